/**
 * Pre-shared keys in a group: proposed, looked up, forgotten. RFC 9420 §8.4, §8.6 (resumption), §12.1.4.
 * @module
 */

import { bytesEqual, EMPTY, wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { type Suite, suiteOf } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import type { Proposal } from "../framing/proposal.ts";
import {
  freshPskId,
  type PreSharedKeyID,
  type Psk,
  type PskSource,
  pskKey,
  pskSecret,
} from "../key/psk.ts";
import { keysOf, type Storage } from "../storage.ts";
import type { MlsContext } from "./epoch.ts";
import { decodeSecrets, decodeState, groupKeys } from "./stored-group.ts";

/** A PreSharedKey proposal (§12.1.4) for a group of this suite, with a fresh nonce. */
export function preSharedKey(
  context: Pick<MlsContext, "crypto">,
  group: { readonly suite: number },
  psk: PskSource,
): Proposal {
  return { proposalType: "psk", psk: freshPskId(suiteOf(context.crypto, group.suite), psk) };
}

/**
 * The resumption PSK of a group's epoch, as far as this client holds it: of the epoch the group is at, and of those before
 * it that are kept (`resumptionEpochs`).
 */
export async function heldResumptionPsk(
  { storage }: Pick<MlsContext, "storage">,
  groupId: Bytes,
  epoch: bigint,
): Promise<Bytes | undefined> {
  const keys = groupKeys(groupId);
  for (;;) {
    const state = await storage.get(keys.state);
    const kept = await storage.get(keys.resumption(epoch));
    if (kept || !state) return kept;
    const { status, groupContext } = decodeState(state);
    // The epoch that an external commit of ours would begin is no epoch yet.
    if (status === "joining" || groupContext.epoch !== epoch) {
      // Unless it ended, and its PSK was kept, between the two looks.
      if (await isStill(storage, keys.state, state)) return undefined;
      continue;
    }
    const stored = await storage.get(keys.secrets);
    if (!stored) return undefined;
    const { secrets, exporter = [] } = decodeSecrets(stored);
    const { resumptionPsk, ...others } = secrets;
    // The group may have begun its next epoch meanwhile, whose secrets these are then.
    const isOurs = await isStill(storage, keys.state, state);
    const gone = Object.values(isOurs ? others : secrets);
    wipe(stored, ...gone, ...exporter.map(({ secret }) => secret));
    if (isOurs) return resumptionPsk;
  }
}

async function isStill(storage: Storage, key: string, record: Bytes): Promise<boolean> {
  const now = await storage.get(key);
  return now ? bytesEqual(now, record) : false;
}

async function heldPsk(context: MlsContext, id: PreSharedKeyID): Promise<Bytes | undefined> {
  if (id.pskType === "resumption") return heldResumptionPsk(context, id.pskGroupId, id.pskEpoch);
  const value = await context.externalPsk?.(id.pskId);
  // The application's own array stays as it is: this one is overwritten.
  return value && Uint8Array.from(value);
}

/** Whether this client has no value for a PSK. */
export async function lacksPsk(context: MlsContext, id: PreSharedKeyID): Promise<boolean> {
  const held = await heldPsk(context, id);
  wipe(held);
  return !held;
}

/** `psk_secret` over these PSKs, in their order (§8.4). Throws `MlsError` with `psk-unknown`. */
export async function resolvePsks(
  context: MlsContext,
  suite: Suite,
  ids: readonly PreSharedKeyID[],
): Promise<Bytes> {
  const psks: Psk[] = [];
  // One may be injected many times, each with a nonce of its own: it is looked up once.
  const held = new Map<string, Bytes>();
  try {
    for (const id of ids) {
      const source = pskKey({ ...id, pskNonce: EMPTY });
      const secret = held.get(source) ?? (await heldPsk(context, id));
      if (!secret) throw new MlsError("psk-unknown", "8.4", "a PSK that this client does not have");
      held.set(source, secret);
      psks.push({ id, secret });
    }
    return pskSecret(suite, psks);
  } finally {
    wipe(...psks.map(({ secret }) => secret));
  }
}

/** Forgets the resumption PSKs of a group's ended epochs (§8.6): all of them, or those before an epoch. */
export async function deleteResumptionPsks(
  { storage }: Pick<MlsContext, "storage">,
  group: { readonly groupId: Bytes },
  before?: bigint,
): Promise<void> {
  const prefix = groupKeys(group.groupId).resumptions;
  const kept = await keysOf(storage, prefix);
  const isOld = (key: string): boolean =>
    before === undefined || BigInt(key.slice(prefix.length)) < before;
  await storage.apply({ delete: kept.filter(isOld) });
}
