/** What tests of a store put into it, where nothing about it matters but that it is there. */

import type { AppendCommit, Store } from "@conclave/delivery";
import { type Bytes, random } from "../world.ts";

export const NOW = 1_700_000_000_000;

/** The number of the one device of a new account. */
export async function aDevice(store: Store, name: string): Promise<number> {
  const accountId = random(32);
  await store.register({
    accountId,
    name,
    deviceList: random(9),
    version: 1n,
    hash: random(32),
    expiresAt: 2_000_000_000n,
    devices: [
      { deviceId: random(16), signatureKey: random(32), signInKey: random(32), revokedAt: 0n },
    ],
    registration: random(32),
    nonce: { nonce: random(16), expiresAt: NOW + 1000 },
  });
  return (await store.devicesOf(accountId))[0]?.device ?? -1;
}

/** A group of one device, in epoch 0. */
export async function aGroup(store: Store, device: number): Promise<Bytes> {
  const groupId = random(16);
  await store.createGroup({
    groupId,
    device,
    leafIndex: 0,
    version: 0,
    groupLimit: 99,
    state: random(9),
    groupInfo: random(9),
    nodes: [[0, random(9)]],
    now: NOW,
  });
  return groupId;
}

/** A commit that ends an epoch of a group. The group's versions are the numbers of its epochs, unless told otherwise. */
export const aCommit = (
  groupId: Bytes,
  epoch: number | bigint,
  change: Partial<AppendCommit> = {},
): AppendCommit => ({
  groupId,
  version: Number(epoch),
  nextVersion: (change.version ?? Number(epoch)) + 1,
  groupLimit: 99,
  epoch: BigInt(epoch),
  hash: random(32),
  message: random(40),
  acceptedAt: NOW,
  state: random(9),
  groupInfo: random(9),
  nodes: [],
  removed: [],
  added: [],
  welcome: undefined,
  links: [],
  linkUsed: undefined,
  ...change,
});
