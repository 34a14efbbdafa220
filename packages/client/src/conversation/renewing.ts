/**
 * An account that has other devices than the group knows of: those that its root key revoked go, and those that it lists anew come.
 * Any member carries this out; the account's signed list says so, and nobody's word.
 * @module
 */

import { ServiceError } from "@conclave/delivery/client";
import type { Device, DeviceList } from "@conclave/delivery/protocol";
import { type Group, type Proposal, readKeyPackage } from "@conclave/mls";
import { type Bytes, decode } from "@conclave/mls/codec";
import { equal, fromHex, hex } from "../bytes.ts";
import { refusalOf } from "../refusal.ts";
import { put } from "../storage.ts";
import { acceptable, claimFor } from "./claiming.ts";
import { Awaited, type Intent, KEYS } from "./records.ts";
import type { Seat } from "./roster.ts";
import type { ConversationState, Step } from "./state.ts";

/** How long after a revocation a device that is new waits to be added with the same commit, in milliseconds: it has yet to upload its key packages. */
const PATIENCE = 30_000;

/** Wants what the lists of these accounts say. Throws `ServiceError`. */
export async function noticeRevoked(
  state: ConversationState,
  accounts: readonly Bytes[],
): Promise<void> {
  for (const accountId of accounts) {
    const list = await listOf(state, accountId);
    if (!list || revokedSeats(state, list, accountId).length === 0) continue;
    const isWanted = (intent: Intent) =>
      intent.type === "renew" && equal(intent.accountId, accountId);
    if (state.intents.find(isWanted) !== undefined) continue;
    const step = state.step();
    const intent = { type: "renew", accountId } as const;
    step.afterwards(state.intents.stage(step.batch, state.intents.takeNumber(), intent));
    await step.apply();
  }
}

/** After so many tries a device is left out for good; each waits twice as long as the one before. */
const TRIES = 12;

/** Which of the account's devices had no key package: the person is told, and it is tried again later. */
export function noteLeftOut(
  state: ConversationState,
  step: Step,
  accountId: Bytes,
  claimed: readonly { readonly deviceId: Bytes }[],
): void {
  const id = hex(accountId);
  const list = state.directory.known(id)?.list;
  const served = new Set(claimed.map(({ deviceId }) => hex(deviceId)));
  const isLeftOut = ({ deviceId, revokedAt }: Device): boolean =>
    revokedAt === 0n && !served.has(hex(deviceId));
  if (!list?.devices.some(isLeftOut)) return;
  const { now, timing } = state.environment;
  put(step.batch, KEYS.awaited(state.id, id), Awaited, { tries: 0, at: now() + timing.poll });
  step.warn({ code: "device-left-out", accountId: id, subject: list.name });
}

/** Wants those in whose time has come. Throws `ServiceError`. */
export async function lookAfterLeftOut(state: ConversationState): Promise<void> {
  const { storage, environment, directory } = state;
  const prefix = KEYS.allAwaited(state.id);
  for (const [key, bytes] of await storage.list(prefix)) {
    const { tries, at } = decode(Awaited, bytes);
    if (environment.now() < at) continue;
    const accountId = key.slice(prefix.length);
    const list = (await listOf(state, fromHex(accountId))) ?? directory.known(accountId)?.list;
    const isIn = state.roster.some((seat) => seat.accountId === accountId);
    const step = state.step();
    if (!isIn || !list || freshDevices(state, list).length === 0 || tries === TRIES) {
      step.batch.delete.push(key);
    } else {
      const pause = environment.timing.poll * 2 ** tries;
      put(step.batch, key, Awaited, { tries: tries + 1, at: environment.now() + pause });
      const intent = { type: "renew", accountId: fromHex(accountId) } as const;
      step.afterwards(state.intents.stage(step.batch, state.intents.takeNumber(), intent));
    }
    await step.apply();
  }
}

/** Those of the list that may be in and are not. */
function freshDevices({ roster }: ConversationState, list: DeviceList): readonly Device[] {
  const seated = new Set(roster.map(({ signatureKey }) => signatureKey));
  return list.devices.filter(
    ({ revokedAt, signatureKey }) => revokedAt === 0n && !seated.has(hex(signatureKey)),
  );
}

/** What has to be proposed; undefined where nothing is left to do. Throws a transient `ServiceError` where it is too early. */
export async function renewal(
  state: ConversationState,
  group: Group,
  { accountId }: Extract<Intent, { type: "renew" }>,
): Promise<readonly Proposal[] | undefined> {
  const list = await listOf(state, accountId);
  if (!list) return undefined;
  const gone = revokedSeats(state, list, accountId);
  // Nobody commits its own removal; and who was taken out meanwhile stays out.
  if (gone.some(({ leafIndex }) => leafIndex === group.ownLeafIndex)) return undefined;
  if (!state.roster.some((seat) => equal(seat.accountIdBytes, accountId))) return undefined;
  const proposals: Proposal[] = gone.map(({ leafIndex }) => ({
    proposalType: "remove",
    removed: leafIndex,
  }));
  const fresh = freshDevices(state, list);
  if (fresh.length === 0) return proposals.length > 0 ? proposals : undefined;
  for (const { keyPackage } of await claimed(state, group, accountId)) {
    const read = readKeyPackage(keyPackage);
    const isFresh = fresh.some((one) => equal(one.signatureKey, read.leafNode.signatureKey));
    if (isFresh && (await acceptable(state, keyPackage))) {
      proposals.push({ proposalType: "add", keyPackage: read });
    }
  }
  if (gone.length === 0) return proposals.length > 0 ? proposals : undefined;
  // Of those that go now: a list may name any time for its other devices.
  const keys = new Set(gone.map(({ signatureKey }) => signatureKey));
  const going = list.devices.filter((one) => keys.has(hex(one.signatureKey)));
  const since = Math.max(...going.map(({ revokedAt }) => Number(revokedAt) * 1000));
  if (proposals.length === gone.length && state.environment.now() < since + PATIENCE) {
    throw new ServiceError("no-key-packages", "the new device has none yet", { transient: true });
  }
  return proposals;
}

/** None of an account that can't be reached. */
async function claimed(
  state: ConversationState,
  group: Group,
  accountId: Bytes,
): Promise<readonly { readonly keyPackage: Bytes }[]> {
  try {
    return (await claimFor(state, group, accountId)).keyPackages;
  } catch (error) {
    if (error instanceof ServiceError && error.code === "not-found") return [];
    throw error;
  }
}

async function listOf(
  { directory }: ConversationState,
  accountId: Bytes,
): Promise<DeviceList | undefined> {
  try {
    return (await directory.fetch(accountId)).list;
  } catch (error) {
    const code = error instanceof ServiceError ? error.code : undefined;
    if (!refusalOf(error) && code !== "not-found") throw error;
    return undefined;
  }
}

/** The leaves of the account's devices that are revoked by now. */
function revokedSeats(
  { roster, environment }: ConversationState,
  list: DeviceList,
  accountId: Bytes,
): readonly Seat[] {
  const isRevoked = ({ revokedAt }: Device): boolean =>
    revokedAt !== 0n && Number(revokedAt) * 1000 <= environment.now() + 1000;
  const keys = new Set(list.devices.filter(isRevoked).map((one) => hex(one.signatureKey)));
  return roster.filter(
    (seat) => equal(seat.accountIdBytes, accountId) && keys.has(seat.signatureKey),
  );
}
