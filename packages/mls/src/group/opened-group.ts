/**
 * A group as a GroupInfo and its tree show it, checked before any secret of it is known. RFC 9420 §12.4.3.
 * @module
 */

import type { Bytes } from "../codec.ts";
import type { Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { decodeMessageOf } from "../framing/message.ts";
import { checkNoDuplicateExtension, externalSendersOf, findExtension } from "../key/extension.ts";
import { interimTranscriptHash } from "../key/group-context.ts";
import { type GroupInfo, verifyGroupInfo } from "../key/group-info.ts";
import { EXTENSION, MLS10 } from "../registry.ts";
import { decodeRatchetTree, membersOf, type RatchetTree } from "../tree/ratchet-tree.ts";
import { summarizePart } from "../tree/tree-hash.ts";
import { checkTotalLifetimes, validateTree } from "../tree/tree-validation.ts";
import { checkGroup } from "./group-rules.ts";
import type { PublicContext, PublicState } from "./public-state.ts";

/**
 * The tree that comes in a GroupInfo, or beside it, with what is computed of all its nodes. Throws `MlsError` with `welcome` where there is
 * neither.
 */
export async function treeFor(
  suite: Suite,
  groupInfo: GroupInfo,
  beside: Bytes | undefined,
): Promise<RatchetTree> {
  const encoded = findExtension(groupInfo.extensions, EXTENSION.ratchetTree) ?? beside;
  if (!encoded) throw new MlsError("welcome", "12.4.3.1", "neither here nor there a ratchet tree");
  return decodeRatchetTree(encoded, (part) => summarizePart(suite, part));
}

/** What a joiner can check of a group before it has any secret of it (§12.4.3.1). */
export async function verifiedState(
  context: PublicContext,
  suite: Suite,
  groupInfo: GroupInfo,
  tree: RatchetTree,
): Promise<PublicState> {
  const { groupContext, confirmationTag: tag } = groupInfo;
  if (groupContext.version !== MLS10) {
    throw new MlsError(
      "unsupported-version",
      "12.4.3.1",
      `a group of MLS version ${groupContext.version}`,
    );
  }
  if (groupContext.cipherSuite !== suite.number) {
    throw new MlsError("welcome", "12.4.3.1", "a group of another cipher suite");
  }
  checkNoDuplicateExtension(groupContext.extensions);
  checkNoDuplicateExtension(groupInfo.extensions);
  await verifyGroupInfo(suite, groupInfo, tree);
  await validateTree(suite, tree, groupContext);
  checkTotalLifetimes(tree, context.maxLifetime);
  await checkGroup(context, groupContext.extensions, tree);
  await context.authentication.validate(
    [
      ...membersOf(tree).map(({ leafNode }) => leafNode),
      ...externalSendersOf(groupContext.extensions),
    ],
    "present",
  );
  const confirmed = groupContext.confirmedTranscriptHash;
  return {
    suite,
    groupContext,
    tree,
    confirmationTag: tag,
    interimTranscriptHash: interimTranscriptHash(suite, confirmed, tag),
    proposals: new Map(),
  };
}

/** What a GroupInfo says before any of it is verified: for looking, not for trusting. */
export function readGroupInfo(message: Bytes): GroupInfo {
  return decodeMessageOf(message, "mls_group_info").groupInfo;
}
