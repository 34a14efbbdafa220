/**
 * Joining by a Welcome. RFC 9420 §12.4.3.1.
 * @module
 */

import { bytesEqual, constantTimeEqual, wipe } from "../bytes.ts";
import { type Bytes, decode, encode, uint64 } from "../codec.ts";
import { loaded } from "../crypto/loading.ts";
import type { Signer } from "../crypto/signature.ts";
import { type KeyPair, suiteOf } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { decodeMessageOf } from "../framing/message.ts";
import type { Extension } from "../key/extension.ts";
import { GroupContext } from "../key/group-context.ts";
import type { GroupInfo, GroupSecrets, Welcome } from "../key/group-info.ts";
import type { KeyPackage } from "../key/key-package.ts";
import { confirmationTag, epochSecrets, wipeDerived } from "../key/key-schedule.ts";
import { isLink } from "../key/psk.ts";
import type { Batch } from "../storage.ts";
import { sameLeaf } from "../tree/leaf-node.ts";
import { membersOf } from "../tree/ratchet-tree.ts";
import { welcomePath } from "../tree/update-path.ts";
import { keysAfterPath, type MlsContext } from "./epoch.ts";
import type { Group } from "./group.ts";
import type { And } from "./live-group.ts";
import { begin } from "./new-group.ts";
import { treeFor, verifiedState } from "./opened-group.ts";
import { findKeyPackage, keyPackageKey, lastResortKey } from "./own-key-package.ts";
import { resolvePsks } from "./pre-shared-key.ts";
import { checkWelcomePsks } from "./proposal-list.ts";
import type { PublicState } from "./public-state.ts";
import { openGroupInfo, openGroupSecrets } from "./welcome.ts";

/** A last resort stays, but brings nobody into an epoch again (§9.1: no message key serves twice). Throws `MlsError` with `welcome`. */
async function useLastResort(
  { storage }: MlsContext,
  ref: Bytes,
  { groupId, epoch }: GroupContext,
): Promise<Batch> {
  const key = lastResortKey(ref, groupId);
  const latest = await storage.get(key);
  if (latest && decode(uint64, latest) >= epoch) {
    throw new MlsError("welcome", "12.4.3.1", "a Welcome into an epoch that we were in before");
  }
  return { put: new Map([[key, encode(uint64, epoch)]]) };
}

/** Any other serves once (§10): another Welcome may have used it since it was found. Throws `MlsError` with `key-package-unknown`. */
async function useOnce({ storage }: MlsContext, ref: Bytes): Promise<Batch> {
  const key = keyPackageKey(ref);
  const stored = await storage.get(key);
  if (!stored) {
    throw new MlsError("key-package-unknown", "10", "a key package that another Welcome used");
  }
  wipe(stored);
  return { delete: [key] };
}

/** The epoch that the Welcome leads into, all of it verified. Throws `MlsError`. */
async function enterEpoch(
  context: MlsContext,
  welcome: Welcome,
  secrets: GroupSecrets,
  keyPackage: KeyPackage,
  { ratchetTree, expected }: Parameters<typeof joinGroup>[1],
): Promise<{
  readonly groupInfo: GroupInfo;
  readonly state: PublicState;
  readonly ownLeaf: number;
  readonly derived: ReturnType<typeof epochSecrets>;
}> {
  const suite = suiteOf(context.crypto, welcome.cipherSuite);
  const { joinerSecret, psks } = secrets;
  checkWelcomePsks(suite, psks);
  const pskSecret = await resolvePsks(context, suite, psks);
  try {
    const groupInfo = await openGroupInfo(suite, welcome, joinerSecret, pskSecret);
    const { groupId, epoch } = groupInfo.groupContext;
    if (expected && (!bytesEqual(expected.groupId, groupId) || expected.epoch !== epoch)) {
      throw new MlsError("welcome", "12.4.3.1", "a Welcome into another group or epoch");
    }
    const tree = await treeFor(suite, groupInfo, ratchetTree);
    const state = await verifiedState(context, suite, groupInfo, tree);
    // No more than once: no key stands in a valid tree twice.
    const own = membersOf(tree).find(({ leafNode }) => sameLeaf(leafNode, keyPackage.leafNode));
    if (!own) {
      throw new MlsError("welcome", "12.4.3.1", "our leaf is not in the tree");
    }
    const encodedContext = GroupContext.encoded(state.groupContext);
    const derived = epochSecrets(suite, joinerSecret, pskSecret, encodedContext);
    const confirmed = state.groupContext.confirmedTranscriptHash;
    const tag = confirmationTag(suite, derived.secrets.confirmationKey, confirmed);
    if (!constantTimeEqual(tag, state.confirmationTag)) {
      wipeDerived(derived);
      throw new MlsError("confirmation-tag", "12.4.3.1", "the confirmation tag does not verify");
    }
    return { groupInfo, state, ownLeaf: own.leafIndex, derived };
  } finally {
    wipe(pskSecret);
  }
}

/** Joins by a Welcome (§12.4.3.1). The key package's private half is deleted in the same batch, a last resort's kept. */
export async function joinGroup(
  context: MlsContext,
  options: {
    readonly welcome: Bytes;
    /** Where the GroupInfo in the Welcome does not carry it. */
    readonly ratchetTree?: Bytes;
    /** Where it is known: a Welcome into another group or epoch is refused with `welcome`, before anything is stored. */
    readonly expected?: { readonly groupId: Bytes; readonly epoch: bigint };
    readonly signer: Signer;
    /**
     * Sees the group, the leaf index of the member whose commit this joins by, the extensions of the GroupInfo that only joiners get, and
     * whether the key package was a last resort: then others may have been joined by the same, and the leaf is to be updated soon.
     */
    readonly and?: And<{
      readonly group: Group;
      readonly committer: number;
      readonly groupInfoExtensions: readonly Extension[];
      readonly lastResort: boolean;
    }>;
  },
): Promise<Group> {
  const { welcome } = decodeMessageOf(options.welcome, "mls_welcome");
  const suite = suiteOf(context.crypto, welcome.cipherSuite);
  const found = await findKeyPackage(
    context,
    welcome.secrets.map(({ newMember }) => newMember),
  );
  const { ref, stored } = found;
  const { keyPackage } = stored;
  if (!bytesEqual(keyPackage.leafNode.signatureKey, options.signer.publicKey)) {
    throw new MlsError(
      "signer-unknown",
      "12.4.3.1",
      "the signer is not the one of the key package that the Welcome is for",
    );
  }
  if (keyPackage.cipherSuite !== suite.number) {
    throw new MlsError("welcome", "12.4.3.1", "a Welcome of another suite than its key package");
  }
  const initKeyPair = { privateKey: stored.initKey, publicKey: keyPackage.initKey };
  const secrets = await openGroupSecrets(suite, welcome, ref, initKeyPair).finally(() => {
    wipe(initKeyPair.privateKey);
  });
  const leafKeyPair: KeyPair = {
    privateKey: stored.encryptionKey,
    publicKey: keyPackage.leafNode.encryptionKey,
  };
  const pathSecret = secrets.pathSecret?.pathSecret;
  /** Of no use where this fails. */
  const unfinished = [leafKeyPair.privateKey, ...(pathSecret ? [pathSecret] : [])];
  try {
    const entered = await enterEpoch(context, welcome, secrets, keyPackage, options);
    const { groupInfo, state, ownLeaf, derived } = entered;
    const { encryptionSecret, applicationExportSecret } = derived;
    unfinished.push(...Object.values(derived.secrets), encryptionSecret, applicationExportSecret);
    const path = await welcomePath(suite, state.tree, pathSecret, {
      ownLeaf,
      committer: groupInfo.signer,
    });
    unfinished.push(...path.map(({ keyPair }) => keyPair.privateKey));
    const keys = keysAfterPath(state.tree, ownLeaf, new Map([[2 * ownLeaf, leafKeyPair]]), path);
    wipe(...path.map(({ secret }) => secret));
    const next = { state, ownLeaf, keys, ...derived };
    if (secrets.psks.some(isLink)) {
      // Few groups continue another: an application that joins none need not load what judges them.
      const { checkLink } = await loaded(import("./linked-group.ts"));
      await checkLink(context, secrets.psks, state);
    }
    const use = () =>
      stored.lastResort === 1
        ? useLastResort(context, ref, state.groupContext)
        : useOnce(context, ref);
    return await begin(context, options.signer, "active", next, {
      keyPackage: { ref, use },
      and: (group) => {
        const lastResort = stored.lastResort === 1;
        const { signer: committer, extensions: groupInfoExtensions } = groupInfo;
        return options.and?.({ group, committer, groupInfoExtensions, lastResort }) ?? {};
      },
    });
  } catch (cause) {
    wipe(...unfinished);
    throw cause;
  } finally {
    wipe(secrets.joinerSecret);
  }
}
