/**
 * A group out of storage, after a restart.
 * @module
 */

import { bytesEqual, EMPTY, wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import type { Signer } from "../crypto/signature.ts";
import { suiteOf } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { ExporterTree } from "../key/exporter-tree.ts";
import type { EpochSecrets } from "../key/key-schedule.ts";
import { SecretTree } from "../key/secret-tree.ts";
import { mergeBatches } from "../storage.ts";
import type { ComposedCommit } from "./compose.ts";
import { type MlsContext, ownLeafNode } from "./epoch.ts";
import { Group } from "./group.ts";
import { PastEpochs } from "./past-epochs.ts";
import type { PublicState } from "./public-state.ts";
import {
  decodeJoining,
  decodePending,
  decodeSecrets,
  decodeState,
  type GroupKeys,
  type GroupStatus,
  groupKeys,
  loadKeys,
  loadPosition,
  loadProposals,
  loadTree,
  loadUpdates,
  staleResumptionPsks,
} from "./stored-group.ts";

/** Of a group that removed us. */
const NO_SECRETS: EpochSecrets = {
  senderDataSecret: EMPTY,
  exporterSecret: EMPTY,
  epochAuthenticator: EMPTY,
  externalSecret: EMPTY,
  confirmationKey: EMPTY,
  membershipKey: EMPTY,
  resumptionPsk: EMPTY,
  initSecret: EMPTY,
};

/** The public state among a group's records, or undefined. */
export async function loadState(
  context: MlsContext,
  keys: GroupKeys,
  records: ReadonlyMap<string, Bytes>,
): Promise<
  | { readonly state: PublicState; readonly status: GroupStatus; readonly ownLeaf: number }
  | undefined
> {
  const stored = records.get(keys.state);
  if (!stored) return undefined;
  const { status, ownLeaf, confirmationTag, ...rest } = decodeState(stored);
  const { groupContext, interimTranscriptHash, reinit } = rest;
  const suite = suiteOf(context.crypto, groupContext.cipherSuite);
  const tree = await loadTree(keys, records);
  const proposals = loadProposals(suite, keys, records);
  return {
    status,
    ownLeaf,
    state: {
      suite,
      groupContext,
      tree,
      confirmationTag,
      interimTranscriptHash,
      proposals,
      reinit,
    },
  };
}

/** The signer with this public key, or undefined where there is none. */
export type SignerOf = (publicKey: Bytes) => Signer | undefined | Promise<Signer | undefined>;

/** The public keys that leaves of ours which are under way are to sign with. */
function comingSignatureKeys(
  { state, ownLeaf }: { readonly state: PublicState; readonly ownLeaf: number },
  pending: ComposedCommit | undefined,
): readonly Bytes[] {
  const updates = [...state.proposals.values()].flatMap(({ proposal, sender }) =>
    proposal.proposalType === "update" &&
    sender.senderType === "member" &&
    sender.leafIndex === ownLeaf
      ? [proposal.leafNode.signatureKey]
      : [],
  );
  return [...(pending ? [ownLeafNode(pending.next).signatureKey] : []), ...updates];
}

async function signerFor(publicKey: Bytes, signer: Signer | SignerOf): Promise<Signer> {
  const found = typeof signer === "function" ? await signer(publicKey) : signer;
  if (!found || !bytesEqual(found.publicKey, publicKey)) {
    throw new MlsError("signer-unknown", "14", "the signer is not the one of our leaf");
  }
  return found;
}

/**
 * The group with this id from storage, or undefined. `signer`: of our leaf; where a commit or Update of ours with a new one may be
 * under way, by public key. Throws `MlsError`: `signer-unknown` where a signer is another than is needed, `storage` where the epoch's secrets are gone.
 */
export async function loadGroup(
  context: MlsContext,
  options: { readonly groupId: Bytes; readonly signer: Signer | SignerOf },
): Promise<Group | undefined> {
  const keys = groupKeys(options.groupId);
  const records = await context.storage.list(keys.all);
  try {
    return await fromRecords(context, keys, records, options.signer);
  } finally {
    // What was read of them are copies, but for the secret trees, which own theirs.
    for (const [key, record] of records) {
      if (!key.startsWith(`${keys.all}tree/`)) wipe(record);
    }
  }
}

async function fromRecords(
  context: MlsContext,
  keys: GroupKeys,
  records: ReadonlyMap<string, Bytes>,
  ours: Signer | SignerOf,
): Promise<Group | undefined> {
  const loaded = await loadState(context, keys, records);
  if (!loaded) return undefined;
  const { state, status, ownLeaf } = loaded;
  const { suite, tree, groupContext } = state;
  const storedSecrets = records.get(keys.secrets);
  // Nothing is to be encrypted with secrets that are none.
  if (status !== "removed" && !storedSecrets) {
    throw new MlsError("storage", "14", "the epoch's secrets are gone");
  }
  const { secrets, exporter } = storedSecrets
    ? decodeSecrets(storedSecrets)
    : { secrets: NO_SECRETS, exporter: undefined };
  const pending = records.get(keys.pending);
  const composed = pending && status !== "joining" ? decodePending(state, pending) : undefined;
  const signer = await signerFor(ownLeafNode(loaded).signatureKey, ours);
  const signers = await Promise.all(
    comingSignatureKeys(loaded, composed).map((key) => signerFor(key, ours)),
  );
  const past = PastEpochs.load(suite, keys, records, context);
  const old = past.sweep(context.pastEpochs, context.now());
  const sweep = mergeBatches(
    old.batch,
    staleResumptionPsks(keys, records, groupContext.epoch, context.resumptionEpochs),
  );
  if (sweep.delete?.length !== 0) await context.storage.apply(sweep);
  old.settle();
  return new Group({
    context,
    signer,
    signers,
    status,
    live: {
      state,
      ownLeaf,
      keys: loadKeys(keys, records),
      secrets,
      secretTree: SecretTree.load(
        suite,
        tree.leafCount,
        keys.tree(groupContext.epoch),
        records,
        context,
      ),
      exporter: exporter && new ExporterTree(suite, exporter),
    },
    discarded: records.has(keys.discarded),
    pending: composed && { composed },
    joining: pending && status === "joining" ? decodeJoining(pending) : undefined,
    updates: loadUpdates(keys, records),
    past,
    position: loadPosition(keys, records),
  });
}
