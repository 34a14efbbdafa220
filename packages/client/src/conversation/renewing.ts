/**
 * An account that has other devices than the group knows of: those that its root key revoked go, and those that it lists anew come.
 * Any member carries this out; the account's signed list says so, and nobody's word.
 * @module
 */

import { ServiceError } from "@conclave/delivery/client";
import type { Device, DeviceList } from "@conclave/delivery/protocol";
import { type Group, type Proposal, readKeyPackage } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { equal, hex } from "../bytes.ts";
import { refusalOf } from "../refusal.ts";
import { acceptable, claimFor } from "./claiming.ts";
import type { Intent } from "./records.ts";
import type { Seat } from "./roster.ts";
import type { ConversationState } from "./state.ts";

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

/** What has to be proposed; undefined where nothing is left to do. Throws a transient `ServiceError` where it is too early. */
export async function renewal(
  state: ConversationState,
  group: Group,
  { accountId }: Extract<Intent, { type: "renew" }>,
): Promise<readonly Proposal[] | undefined> {
  const list = await listOf(state, accountId);
  if (!list) return undefined;
  const gone = revokedSeats(state, list, accountId);
  // Nobody commits its own removal.
  if (gone.length === 0 || gone.some(({ leafIndex }) => leafIndex === group.ownLeafIndex)) {
    return undefined;
  }
  const proposals: Proposal[] = gone.map(({ leafIndex }) => ({
    proposalType: "remove",
    removed: leafIndex,
  }));
  const seated = new Set(state.roster.map(({ signatureKey }) => signatureKey));
  const fresh = list.devices.filter(
    ({ revokedAt, signatureKey }) => revokedAt === 0n && !seated.has(hex(signatureKey)),
  );
  if (fresh.length === 0) return proposals;
  for (const { keyPackage } of await claimed(state, group, accountId)) {
    const read = readKeyPackage(keyPackage);
    const isFresh = fresh.some((one) => equal(one.signatureKey, read.leafNode.signatureKey));
    if (isFresh && (await acceptable(state, keyPackage))) {
      proposals.push({ proposalType: "add", keyPackage: read });
    }
  }
  const since = Math.max(...list.devices.map(({ revokedAt }) => Number(revokedAt) * 1000));
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
