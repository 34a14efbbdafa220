/**
 * Tree hashes and parent hashes. RFC 9420 §7.8, §7.9.
 * @module
 */

import { bytesEqual, EMPTY } from "../bytes.ts";
import { type Bytes, type Encoder, opaque, optional } from "../codec.ts";
import { hashOf } from "../crypto/kdf.ts";
import type { Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { LeafNode } from "./leaf-node.ts";
import {
  eachNode,
  isSubtree,
  type LeafSlot,
  ParentNode,
  type RatchetTree,
  resolution,
  support,
  type TreeNode,
} from "./ratchet-tree.ts";

/** §7.8 `TreeHashInput`, its two arms with their types before them. There are as many as nodes: they are written straight down. */
interface LeafNodeHashInput {
  readonly leafIndex: number;
  readonly leafNode: LeafNode | undefined;
}
const OptionalLeaf = optional(LeafNode);
const LeafNodeHashInput: Encoder<LeafNodeHashInput> = {
  write: (w, { leafIndex, leafNode }) => {
    w.uint(1, 1);
    w.uint(leafIndex, 4);
    OptionalLeaf.write(w, leafNode);
  },
};
interface ParentNodeHashInput {
  readonly parentNode: ParentNode | undefined;
  readonly leftHash: Bytes;
  readonly rightHash: Bytes;
}
const OptionalParent = optional(ParentNode);
const ParentNodeHashInput: Encoder<ParentNodeHashInput> = {
  write: (w, { parentNode, leftHash, rightHash }) => {
    w.uint(2, 1);
    OptionalParent.write(w, parentNode);
    opaque.write(w, leftHash);
    opaque.write(w, rightHash);
  },
};

function hashLeaf(suite: Suite, slot: LeafSlot, leafNode: LeafNode | undefined): Bytes {
  return hashOf(suite, LeafNodeHashInput, { leafIndex: slot.index / 2, leafNode });
}

function hashParent(
  suite: Suite,
  parentNode: ParentNode | undefined,
  leftHash: Bytes,
  rightHash: Bytes,
): Bytes {
  return hashOf(suite, ParentNodeHashInput, { parentNode, leftHash, rightHash });
}

/** The tree hash of a node (§7.8): kept with the node once it is computed. */
export function treeHash(suite: Suite, node: TreeNode): Bytes {
  node.memo.treeHash ??= isSubtree(node)
    ? hashParent(suite, node.parent, treeHash(suite, node.left), treeHash(suite, node.right))
    : hashLeaf(suite, node, node.leaf);
  return node.memo.treeHash;
}

/** Computes of a part of a tree, once, what is asked of every node: its hash, and what the members below it support. */
export function summarizePart(suite: Suite, part: TreeNode): void {
  treeHash(suite, part);
  support({ root: part });
}

export function rootHash(suite: Suite, tree: RatchetTree): Bytes {
  return treeHash(suite, tree.root);
}

/** Those of some leaf indices, which increase, that lie below a node. */
function below(leaves: readonly number[], node: TreeNode): readonly number[] {
  const reach = 2 ** node.level - 1;
  return leaves.filter((leaf) => Math.abs(2 * leaf - node.index) <= reach);
}

/** The tree hash as it would be had these leaves never been added (§7.9 `original_sibling_tree_hash`). */
function originalTreeHash(suite: Suite, node: TreeNode, without: readonly number[]): Bytes {
  const here = without.length > 0 ? below(without, node) : without;
  if (here.length === 0) return treeHash(suite, node);
  if (!isSubtree(node)) return hashLeaf(suite, node, undefined);
  const gone = new Set(here);
  const parent = node.parent && {
    ...node.parent,
    unmergedLeaves: node.parent.unmergedLeaves.filter((leaf) => !gone.has(leaf)),
  };
  const left = originalTreeHash(suite, node.left, here);
  return hashParent(suite, parent, left, originalTreeHash(suite, node.right, here));
}

/** §7.9. */
interface ParentHashInput {
  readonly encryptionKey: Bytes;
  readonly parentHash: Bytes;
  readonly originalSiblingTreeHash: Bytes;
}
const ParentHashInput: Encoder<ParentHashInput> = {
  write: (w, { encryptionKey, parentHash, originalSiblingTreeHash }) => {
    opaque.write(w, encryptionKey);
    opaque.write(w, parentHash);
    opaque.write(w, originalSiblingTreeHash);
  },
};

/** The parent hash of `parent` with copath child `sibling` (§7.9). */
export function parentHash(suite: Suite, parent: ParentNode, sibling: TreeNode): Bytes {
  return hashOf(suite, ParentHashInput, {
    encryptionKey: parent.encryptionKey,
    parentHash: parent.parentHash,
    originalSiblingTreeHash: originalTreeHash(suite, sibling, parent.unmergedLeaves),
  });
}

/** The parent hash that a node carries: empty for a leaf that no commit made. */
function carriedParentHash(node: TreeNode): Bytes {
  if (isSubtree(node)) return node.parent?.parentHash ?? EMPTY;
  const source = node.leaf?.source;
  return source?.leafNodeSource === "commit" ? source.parentHash : EMPTY;
}

function nodeBelow(subtree: TreeNode, index: number): TreeNode {
  let node = subtree;
  while (node.index !== index && isSubtree(node))
    node = index < node.index ? node.left : node.right;
  return node;
}

/** Whether a node below `child` vouches for `parent`: the three conditions of §7.9.2. */
function isVouchedBelow(
  suite: Suite,
  parent: ParentNode,
  child: TreeNode,
  sibling: TreeNode,
): boolean {
  // D is what the resolution of the child holds beside the leaves that came later; there must be just one.
  const unmerged = new Set(below(parent.unmergedLeaves, child).map((leaf) => 2 * leaf));
  const rest = resolution(child).filter((index) => !unmerged.has(index));
  const [index] = rest;
  if (index === undefined || rest.length > 1) return false;
  if (resolution(child).length !== unmerged.size + 1) return false;
  const carried = carriedParentHash(nodeBelow(child, index));
  return carried.length > 0 && bytesEqual(carried, parentHash(suite, parent, sibling));
}

/** Checks every parent node of a tree that came from outside (§7.9.2). Throws `MlsError` with `parent-hash`. */
export function checkParentHashes(suite: Suite, tree: RatchetTree): Promise<void> {
  return eachNode(tree, (node) => {
    if (!isSubtree(node) || !node.parent) return;
    const { index, parent, left, right } = node;
    if (
      !isVouchedBelow(suite, parent, left, right) &&
      !isVouchedBelow(suite, parent, right, left)
    ) {
      throw new MlsError("parent-hash", "7.9.2", `parent node ${index} is not parent-hash valid`);
    }
  });
}
