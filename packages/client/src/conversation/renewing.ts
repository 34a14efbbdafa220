/**
 * An account that has other devices than the group knows of: those that its root key revoked go, and those that it lists anew come.
 * Any member carries this out; the account's signed list says so, and nobody's word. Whoever took the old ones out, or added the
 * account, goes on to add those of its devices that could not be yet.
 * @module
 */

import { ServiceError } from "@conclave/delivery/client";
import type { Device, DeviceList } from "@conclave/delivery/protocol";
import { type CommitSummary, type Group, readKeyPackage } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { equal, hex } from "../bytes.ts";
import { acceptable, keyPackagesFor } from "./claiming.ts";
import type { Change } from "./committing.ts";
import { nextTry } from "./intents.ts";
import type { Intent, Renewal } from "./records.ts";
import type { Seat } from "./roster.ts";
import type { ConversationState, Step } from "./state.ts";

/** The longest for which an account is not asked about, in milliseconds. */
const LONGEST_PEACE = 3_600_000;

/**
 * Wants what the lists of these accounts say, which the service says revoke devices that are in. Of one whose list doesn't, it is asked
 * less and less often, whatever rings.
 */
export async function noticeRevoked(
  state: ConversationState,
  accounts: readonly Bytes[],
): Promise<void> {
  const { environment, intents, roster, unrevoked } = state;
  const { now, timing } = environment;
  for (const accountId of accounts) {
    const id = hex(accountId);
    const { times = 0, until = 0 } = unrevoked.get(id) ?? {};
    const isWanted = intents.due(now(), (intent) => isRenewalOf(intent, id)) !== undefined;
    const isIn = roster.some((seat) => seat.accountId === id);
    if (!isIn || isWanted || until > now()) continue;
    const step = state.step();
    wantRenewal(state, step, { type: "renew", accountId, keyPackages: [], tries: 0, at: 0 });
    await step.apply();
    const peace = Math.min(LONGEST_PEACE, timing.poll * 2 ** Math.min(times, 16));
    unrevoked.set(id, { times: times + 1, until: now() + peace });
  }
}

function isRenewalOf(intent: Intent, accountId: string): intent is Renewal {
  return intent.type === "renew" && hex(intent.accountId) === accountId;
}

/** One of an account is enough: it is done at the earlier time. `over`: one that this is to follow. */
function wantRenewal(state: ConversationState, step: Step, wanted: Renewal, over?: number): void {
  const { intents } = state;
  const id = hex(wanted.accountId);
  const number = intents.find((intent, n) => n !== over && isRenewalOf(intent, id));
  const held = number === undefined ? undefined : intents.get(number);
  const next = held?.type === "renew" ? { ...held, at: Math.min(held.at, wanted.at) } : wanted;
  step.afterwards(intents.stage(step.batch, number ?? intents.takeNumber(), next));
}

/** What has to be committed; `over` where nothing is left to do, `soon` and `later` for when to look again. Throws `ServiceError`. */
export async function renewal(
  state: ConversationState,
  group: Group,
  number: number,
  intent: Renewal,
): Promise<Change | "over" | "soon" | "later"> {
  const { accountId, tries } = intent;
  const list = (await state.directory.find(accountId))?.list;
  const gone = list ? revokedSeats(state, list, accountId) : [];
  if (gone.length > 0) state.unrevoked.delete(hex(accountId));
  // Nobody commits its own removal.
  if (!list || gone.some(({ leafIndex }) => leafIndex === group.ownLeafIndex)) return "over";
  if (gone.length === 0 && tries === 0) return "over";
  const removed = gone.map(({ leafIndex }) => leafIndex);
  const fresh = devicesOutside(list, state.roster);
  if (fresh.length === 0) return removed.length > 0 ? { removed } : "over";
  let added: readonly Bytes[] = [];
  try {
    added = await freshKeyPackages(state, group, number, intent, fresh);
  } catch (error) {
    // Whoever is to go doesn't stay for what else fails.
    if (removed.length === 0 || !(error instanceof ServiceError)) throw error;
  }
  if (added.length > 0) return { removed, added: added.map((keyPackage) => ({ keyPackage })) };
  if (removed.length === 0) return "later";
  // A new device has yet to upload its key packages: one commit for both is best.
  const { now, timing } = state.environment;
  const since = state.intents.putOffSince(number) ?? now();
  return now() < since + timing.patience ? "soon" : { removed };
}

async function freshKeyPackages(
  state: ConversationState,
  group: Group,
  number: number,
  intent: Renewal,
  fresh: readonly Device[],
): Promise<readonly Bytes[]> {
  const usable: Bytes[] = [];
  const named = fresh.map(({ deviceId }) => deviceId);
  for (const keyPackage of await keyPackagesFor(state, group, number, intent, named)) {
    const { leafNode } = readKeyPackage(keyPackage);
    const isFresh = fresh.some((one) => equal(one.signatureKey, leafNode.signatureKey));
    if (isFresh && (await acceptable(state, keyPackage))) usable.push(keyPackage);
  }
  return usable;
}

/** An own commit that was to bring in an account's devices is in the log: those that it left out are told of, and tried again. */
export function stageFollowUp(
  state: ConversationState,
  step: Step,
  number: number,
  { added, removed }: Pick<CommitSummary, "added" | "removed">,
): void {
  const intent = state.intents.get(number);
  if (intent?.type !== "add" && intent?.type !== "renew") return;
  const { accountId } = intent;
  const list = state.directory.known(hex(accountId))?.list;
  const gone = new Set(removed.map(({ leafIndex }) => leafIndex));
  const seats = [
    ...state.roster.filter(({ leafIndex }) => !gone.has(leafIndex)),
    ...added.map(({ leafNode }) => ({ signatureKey: hex(leafNode.signatureKey) })),
  ];
  if (!list || devicesOutside(list, seats).length === 0) return;
  const tries = intent.type === "renew" ? intent.tries : 0;
  const { now, timing } = state.environment;
  const wanted = { type: "renew", accountId, keyPackages: [], tries, at: 0 } as const;
  const next = nextTry(wanted, now(), timing.poll);
  if (next) wantRenewal(state, step, next, number);
  if (tries === 0) tellLeftOut(step, hex(accountId), list.name);
}

export function tellLeftOut(step: Step, accountId: string, subject: string): void {
  step.warn({ code: "device-left-out", accountId, subject });
}

/** What the account's list says is of no concern any more: it was taken out. */
export function stageNoRenewal(state: ConversationState, step: Step, accountId: string): void {
  const number = state.intents.find((intent) => isRenewalOf(intent, accountId));
  if (number !== undefined) step.afterwards(state.intents.stageOutcome(step.batch, number));
}

/** Those of the list that may be in and have none of these seats. */
function devicesOutside(
  list: DeviceList,
  seats: readonly Pick<Seat, "signatureKey">[],
): readonly Device[] {
  const seated = new Set(seats.map(({ signatureKey }) => signatureKey));
  return list.devices.filter(
    ({ revokedAt, signatureKey }) => revokedAt === 0n && !seated.has(hex(signatureKey)),
  );
}

/** The leaves of the account's devices that are revoked, at whatever time: whoever lists a time to come wants them out, too. */
function revokedSeats(
  { roster }: ConversationState,
  list: DeviceList,
  accountId: Bytes,
): readonly Seat[] {
  const revoked = list.devices.filter(({ revokedAt }) => revokedAt !== 0n);
  const keys = new Set(revoked.map(({ signatureKey }) => hex(signatureKey)));
  return roster.filter(
    (seat) => equal(seat.accountIdBytes, accountId) && keys.has(seat.signatureKey),
  );
}
