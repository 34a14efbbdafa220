/**
 * A tree from outside, checked whole before it is used. RFC 9420 §12.4.3.1, §7.3, §7.9.2.
 * @module
 */

import { bytesEqual } from "../bytes.ts";
import type { Suite } from "../crypto/suite.ts";
import { MlsError, type Refuse, refuseAtOnce } from "../errors.ts";
import { type Extension, requiredCapabilitiesOf } from "../key/extension.ts";
import type { GroupContext } from "../key/group-context.ts";
import { DEFAULT_EXTENSIONS, DEFAULT_PROPOSALS } from "../registry.ts";
import { hasRepeats, keyCount } from "./key-index.ts";
import {
  checkLeafNode,
  checkTotalLifetime,
  type LeafNode,
  MAX_LIFETIME,
  verifyLeafNode,
} from "./leaf-node.ts";
import {
  eachNode,
  isSubtree,
  MANY,
  membersOf,
  othersTurn,
  type ParentNode,
  type RatchetTree,
  type Subtree,
  support,
  type TreeNode,
} from "./ratchet-tree.ts";
import { checkParentHashes, rootHash } from "./tree-hash.ts";

/**
 * Throws `MlsError` for the first rule that the tree breaks. Credentials are the application's to judge. It is done part by part, and between
 * them other work has its turn.
 */
export async function validateTree(
  suite: Suite,
  tree: RatchetTree,
  groupContext: GroupContext,
): Promise<void> {
  if (!bytesEqual(rootHash(suite, tree), groupContext.treeHash)) {
    throw new MlsError("tree-hash", "12.4.3.1", "the tree is not the one of this group's epoch");
  }
  if (isSubtree(tree.root) && tree.root.right.members === 0) {
    throw new MlsError("tree-shape", "7.7", "the right half of the tree is empty");
  }
  checkUnique(tree);
  await eachNode(tree, (node) => {
    if (isSubtree(node) && node.parent) checkUnmergedLeaves(node, node.parent);
  });
  await checkParentHashes(suite, tree);
  checkSupport(tree, groupContext.extensions);
  const { groupId } = groupContext;
  const members = membersOf(tree);
  for (let at = 0; at < members.length; at += MANY) {
    if (at > 0) await othersTurn();
    const some = members.slice(at, at + MANY);
    for (const { leafNode } of some) checkLeafNode(leafNode, leafNode.source.leafNodeSource);
    await Promise.all(
      some.map(({ leafIndex, leafNode }) =>
        verifyLeafNode(suite, leafNode, { groupId, leafIndex }),
      ),
    );
  }
}

/** §7.2: no leaf lives longer than the application allows. Throws `MlsError` with `leaf-lifetime`. */
export function checkTotalLifetimes(tree: RatchetTree, longest: bigint = MAX_LIFETIME): void {
  for (const { leafNode } of membersOf(tree)) checkTotalLifetime(leafNode.source, longest);
}

function keyReused(): MlsError {
  return new MlsError("leaf-key-reused", "7.3", "a public key stands in the tree twice");
}

/** §7.3, §16.7: no public key stands in a tree twice. Throws `MlsError` with `leaf-key-reused`. */
export function checkUnique(tree: RatchetTree): void {
  if (hasRepeats(tree.keys)) throw keyReused();
}

/** The same, of the keys of one leaf that is in the tree. */
export function checkLeafUnique(
  tree: RatchetTree,
  { encryptionKey, signatureKey }: LeafNode,
  refuse: Refuse,
): void {
  for (const key of [encryptionKey, signatureKey]) {
    if (keyCount(tree.keys, key) > 1) refuse(keyReused());
  }
}

/** §7.1, §12.4.3.1: increasing; members below the node; listed in every node between that is not blank. */
function checkUnmergedLeaves(node: Subtree, parent: ParentNode): void {
  const refuse = (why: string): never => {
    throw new MlsError(
      "unmerged-leaves",
      "12.4.3.1",
      `unmerged leaves of node ${node.index}: ${why}`,
    );
  };
  let previous = -1;
  const listed = new Map<Subtree, ReadonlySet<number>>();
  const lists = (at: Subtree, unmerged: readonly number[], leaf: number): boolean => {
    const known = listed.get(at) ?? new Set(unmerged);
    listed.set(at, known);
    return known.has(leaf);
  };
  for (const leaf of parent.unmergedLeaves) {
    if (leaf <= previous) refuse("not increasing");
    previous = leaf;
    if (Math.abs(2 * leaf - node.index) > 2 ** node.level - 1) refuse("a leaf elsewhere");
    let at: TreeNode = node;
    while (isSubtree(at)) {
      if (at.parent && !lists(at, at.parent.unmergedLeaves, leaf))
        refuse("a node between lacks it");
      at = 2 * leaf < at.index ? at.left : at.right;
    }
    if (!at.leaf) refuse("a blank leaf");
  }
}

/**
 * Whether all members can do what the group asks: its required capabilities (§11.1), its extensions (§13.4),
 * and the credential types of all (§7.3). Throws `MlsError` with `leaf-capabilities` or `extension-unsupported`.
 */
export function checkSupport(
  tree: RatchetTree,
  extensions: readonly Extension[],
  refuse: Refuse = refuseAtOnce,
): void {
  const all = support(tree);
  const required = requiredCapabilitiesOf(extensions);
  const lacking = (what: string, type: number): void => {
    refuse(new MlsError("leaf-capabilities", "7.3", `a member does not support ${what} ${type}`));
  };
  for (const type of required.extensionTypes) {
    if (!DEFAULT_EXTENSIONS.has(type) && !all.extensions.has(type)) lacking("extension", type);
  }
  for (const type of required.proposalTypes) {
    if (!DEFAULT_PROPOSALS.has(type) && !all.proposals.has(type)) lacking("proposal", type);
  }
  for (const type of required.credentialTypes) {
    if (!all.credentials.has(type)) lacking("credential", type);
  }
  for (const type of all.credentialTypes) {
    if (!all.credentials.has(type)) lacking("credential", type);
  }
  for (const { extensionType } of extensions) {
    if (!DEFAULT_EXTENSIONS.has(extensionType) && !all.extensions.has(extensionType)) {
      refuse(
        new MlsError(
          "extension-unsupported",
          "13.4",
          `a member does not support extension ${extensionType} of the group`,
        ),
      );
    }
  }
}
