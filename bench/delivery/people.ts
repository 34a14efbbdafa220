/**
 * Accounts, sessions and groups, put straight into a store: what thousands of devices would have done before anything is measured.
 * @module
 */

import { createHash, randomBytes } from "node:crypto";
import type { Store, StoredNode } from "@conclave/delivery";
import { bytesToText } from "@conclave/delivery/protocol";
import type { Bytes } from "@conclave/mls/codec";

export interface SeededDevice {
  /** The store's number. */
  readonly device: number;
  readonly token: string;
}

/** Of the service: a token is good at one. */
export const ORIGIN = "https://delivery.example";
const YEAR = 365 * 24 * 60 * 60 * 1000;

export function random(length: number): Bytes {
  return new Uint8Array(randomBytes(length));
}

/** Some at a time: a store lets only so many wait. */
export async function inParts<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += 256) {
    results.push(...(await Promise.all(items.slice(at, at + 256).map(work))));
  }
  return results;
}

/** A device that is signed in, of an account of its own. Its keys are only bytes: nobody checks a signature here. */
export async function seedDevice(store: Store, name: string): Promise<SeededDevice> {
  const now = Date.now();
  const accountId = random(32);
  const deviceId = random(16);
  await store.register({
    accountId,
    name,
    deviceList: random(300),
    version: 1n,
    hash: random(32),
    expiresAt: BigInt(Math.floor((now + YEAR) / 1000)),
    devices: [{ deviceId, signatureKey: random(32), signInKey: random(32), revokedAt: 0n }],
    registration: random(32),
    nonce: { nonce: random(16), expiresAt: now },
  });
  const listed = await store.device(accountId, deviceId);
  if (listed === undefined) throw new Error("the device was not registered");
  const { device, signInKey } = listed;
  const token = bytesToText(random(32));
  const hash = createHash("sha256").update(`${ORIGIN}\n${token}`);
  const tokenHash = new Uint8Array(hash.digest());
  await store.startSession({ device, signInKey, tokenHash, expiresAt: now + YEAR, now });
  return { device, token };
}

/** What a store has of a group. */
export interface SeededGroup {
  readonly groupId: Bytes;
  readonly state: Bytes;
  readonly groupInfo: Bytes;
  readonly nodes: readonly StoredNode[];
}

/**
 * A group of these, in epoch 1: its log begins with the commit that added them. Unless more is given nothing in it is of MLS: messages
 * need none of it.
 */
export async function seedGroup(
  store: Store,
  devices: readonly number[],
  group: SeededGroup = {
    groupId: random(16),
    state: random(300),
    groupInfo: random(300),
    nodes: [],
  },
): Promise<Bytes> {
  const [founder = 0, ...others] = devices;
  const now = Date.now();
  const bounds = { version: 0, groupLimit: Number.MAX_SAFE_INTEGER };
  await store.createGroup({ ...group, ...bounds, device: founder, leafIndex: 0, now });
  await store.appendCommit({
    ...group,
    ...bounds,
    nextVersion: 1,
    epoch: 0n,
    hash: random(32),
    message: random(500),
    acceptedAt: now,
    nodes: [],
    removed: [],
    added: others.map((device, at) => ({ leafIndex: at + 1, device })),
    welcome: undefined,
    links: [],
    linkUsed: undefined,
  });
  return group.groupId;
}
