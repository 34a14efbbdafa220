/**
 * From one epoch's secrets to the next one's, by a commit that someone else made. RFC 9420 §8, §12.4.2.
 * @module
 */

import { constantTimeEqual, toHex, wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { hpkeReceiveExport } from "../crypto/hpke.ts";
import type { KeyPair } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import type { Commit } from "../framing/proposal.ts";
import type { ExporterTree } from "../key/exporter-tree.ts";
import { GroupContext } from "../key/group-context.ts";
import {
  confirmationTag,
  type EpochSecrets,
  EXTERNAL_INIT_LABEL,
  epochSecrets,
  externalKeyPair,
  joinerSecret,
  wipeDerived,
} from "../key/key-schedule.ts";
import type { SecretTree } from "../key/secret-tree.ts";
import { decryptPath, wipePath } from "../tree/update-path.ts";
import { keysAfterPath, type MlsContext, type NextEpoch, zeroSecret } from "./epoch.ts";
import { resolvePsks } from "./pre-shared-key.ts";
import type { PublicState } from "./public-state.ts";
import { receivedPath, type StagedCommit } from "./staged-commit.ts";

/** A member's epoch, alive. */
export interface LiveEpoch {
  readonly state: PublicState;
  readonly ownLeaf: number;
  readonly keys: ReadonlyMap<number, KeyPair>;
  readonly secrets: EpochSecrets;
  readonly secretTree: SecretTree;
  /** Undefined where a version without it stored the epoch. */
  readonly exporter: ExporterTree | undefined;
}

/** The private keys of the provisional tree: ours, and that of an Update of ours which the commit takes along. Throws `MlsError` with `path-secret`. */
export function keysForPath(
  live: Pick<LiveEpoch, "keys" | "ownLeaf">,
  updates: ReadonlyMap<string, KeyPair>,
  { summary }: Pick<StagedCommit, "summary">,
): ReadonlyMap<number, KeyPair> {
  const updated = summary.updated.find(({ leafIndex }) => leafIndex === live.ownLeaf);
  if (!updated) return live.keys;
  const keyPair = updates.get(toHex(updated.next.encryptionKey));
  if (!keyPair) throw new MlsError("path-secret", "12.1.2", "an Update of ours whose key is gone");
  return new Map(live.keys).set(2 * live.ownLeaf, keyPair);
}

/**
 * The secrets of the epoch that someone else's commit begins (§12.4.2). `updates`: private keys of our Updates, by public key in
 * hexadecimal. Nothing of `live` changes. Throws `MlsError`.
 */
export async function nextEpoch(
  context: MlsContext,
  live: LiveEpoch,
  updates: ReadonlyMap<string, KeyPair>,
  received: {
    readonly commit: Commit;
    readonly staged: StagedCommit;
  },
): Promise<NextEpoch> {
  const { commit, staged } = received;
  const { state, ownLeaf, secrets } = live;
  const { suite } = state;
  const { applied, next, provisionalTree } = staged;
  const keys = keysForPath(live, updates, staged);
  // §12.4.2: all of them are there before anything is done with them.
  const pskSecret = await resolvePsks(context, suite, applied.psks);
  // What is overwritten however this ends, and what if it comes to nothing.
  const passing = [pskSecret];
  let opened: Awaited<ReturnType<typeof decryptPath>> | undefined;
  try {
    if (commit.path) {
      const received = receivedPath(staged, commit.path);
      opened = await decryptPath(suite, provisionalTree, received, { leafIndex: ownLeaf, keys });
    }
    const commitSecret = opened?.commitSecret ?? zeroSecret(suite);
    passing.push(commitSecret, ...(opened?.path ?? []).map(({ secret }) => secret));
    let { initSecret } = secrets;
    if (applied.externalInit) {
      initSecret = await externalInitSecret(live, applied.externalInit);
      passing.push(initSecret);
    }
    const groupContext = GroupContext.encoded(next.groupContext);
    const joiner = joinerSecret(suite, initSecret, commitSecret, groupContext);
    passing.push(joiner);
    const derived = epochSecrets(suite, joiner, pskSecret, groupContext);
    const { confirmationKey } = derived.secrets;
    const confirmed = next.groupContext.confirmedTranscriptHash;
    const due = confirmationTag(suite, confirmationKey, confirmed);
    if (!constantTimeEqual(due, next.confirmationTag)) {
      wipeDerived(derived);
      throw new MlsError("confirmation-tag", "8.1", "the confirmation tag does not verify");
    }
    const after = keysAfterPath(next.tree, ownLeaf, keys, opened?.path ?? []);
    return { state: next, ownLeaf, keys: after, ...derived };
  } catch (cause) {
    if (opened) wipePath(opened);
    throw cause;
  } finally {
    wipe(...passing);
  }
}

/** The `init_secret` that an external commit brings (§8.3). */
async function externalInitSecret(live: LiveEpoch, kemOutput: Bytes): Promise<Bytes> {
  const { state, secrets } = live;
  const keyPair = await externalKeyPair(state.suite, secrets.externalSecret);
  try {
    const { suite } = state;
    return await hpkeReceiveExport(suite, keyPair, kemOutput, EXTERNAL_INIT_LABEL, suite.nh);
  } finally {
    wipe(keyPair.privateKey);
  }
}
