/**
 * A group out of storage, after a restart.
 * @module
 */

import { bytesEqual } from "../bytes.ts";
import { type Bytes, decode } from "../codec.ts";
import type { Signer } from "../crypto/signature.ts";
import { suiteOf } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { EpochSecrets } from "../key/key-schedule.ts";
import { SecretTree } from "../key/secret-tree.ts";
import { membersOf } from "../tree/ratchet-tree.ts";
import type { MlsContext } from "./epoch.ts";
import { Group } from "./group.ts";
import { PastEpochs } from "./past-epochs.ts";
import type { PublicState } from "./public-state.ts";
import {
  decodePending,
  decodeState,
  type GroupKeys,
  type GroupStatus,
  groupKeys,
  loadKeys,
  loadProposals,
  loadTree,
  loadUpdates,
  StoredBundle,
} from "./stored-group.ts";

/** The public state among a group's records, or undefined. */
export function loadState(
  context: MlsContext,
  keys: GroupKeys,
  records: ReadonlyMap<string, Bytes>,
):
  | { readonly state: PublicState; readonly status: GroupStatus; readonly ownLeaf: number }
  | undefined {
  const stored = records.get(keys.state);
  if (!stored) return undefined;
  const { status, ownLeaf, confirmationTag, ...rest } = decodeState(stored);
  const { groupContext, interimTranscriptHash, reinit } = rest;
  const suite = suiteOf(context.crypto, groupContext.cipherSuite);
  const tree = loadTree(suite, keys, records);
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

/** The group with this id from storage, or undefined. Throws `MlsError` with `storage` where the signer is another. */
export async function loadGroup(
  context: MlsContext,
  options: { readonly groupId: Bytes; readonly signer: Signer },
): Promise<Group | undefined> {
  const keys = groupKeys(options.groupId);
  const records = await context.storage.list(keys.all);
  const loaded = loadState(context, keys, records);
  if (!loaded) return undefined;
  const { state, status, ownLeaf } = loaded;
  const { suite, tree, groupContext } = state;
  const own = membersOf(tree).find(({ leafIndex }) => leafIndex === ownLeaf);
  if (!own || !bytesEqual(own.leafNode.signatureKey, options.signer.publicKey)) {
    throw new MlsError("storage", "14", "the signer is not the one of our leaf");
  }
  const secrets = records.get(keys.secrets);
  const pending = records.get(keys.pending);
  const none = new Uint8Array(0);
  const past = PastEpochs.load(suite, keys, records, context);
  const old = past.sweep(context.pastEpochs, context.now());
  if (old.batch.delete?.length !== 0) await context.storage.apply(old.batch);
  old.settle();
  return new Group({
    context,
    signer: options.signer,
    status,
    live: {
      state,
      ownLeaf,
      keys: loadKeys(keys, records),
      secrets: secrets
        ? decode(EpochSecrets, secrets)
        : {
            senderDataSecret: none,
            exporterSecret: none,
            epochAuthenticator: none,
            externalSecret: none,
            confirmationKey: none,
            membershipKey: none,
            resumptionPsk: none,
            initSecret: none,
          },
      secretTree: SecretTree.load(
        suite,
        tree.leafCount,
        keys.tree(groupContext.epoch),
        records,
        context,
      ),
    },
    pending:
      pending && status !== "joining" ? { composed: decodePending(state, pending) } : undefined,
    joining: pending && status === "joining" ? decode(StoredBundle, pending) : undefined,
    updates: loadUpdates(keys, records),
    past,
  });
}
