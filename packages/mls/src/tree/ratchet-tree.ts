/**
 * The ratchet tree: its nodes, its shape, and how members come and go.
 * RFC 9420 §4.1 (terms), §7.1 (parent nodes), §7.7 (adding and removing leaves), §12.4.3.3 (encoding).
 *
 * A tree is a value. A change copies the path to what changed and shares the rest, with the hashes and
 * summaries that were computed there; so cost follows the change, and an older tree stays whole.
 * @module
 */

import { copyOf } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  decode,
  encode,
  opaque,
  optional,
  Reader,
  select,
  struct,
  uint8,
  uint32,
  vector,
} from "../codec.ts";
import { MlsError } from "../errors.ts";
import { credentialTypeOf } from "../key/credential.ts";
import { GREASE } from "../registry.ts";
import { type KeyIndex, NO_KEYS, reindexed } from "./key-index.ts";
import { LeafNode } from "./leaf-node.ts";
import { nodeWidth } from "./tree-math.ts";

/** §7.1. */
export interface ParentNode {
  readonly encryptionKey: Bytes;
  readonly parentHash: Bytes;
  /** Leaf indices below this node whose members don't know its private key; increasing. */
  readonly unmergedLeaves: readonly number[];
}
export const ParentNode: Codec<ParentNode> = struct({
  encryptionKey: opaque,
  parentHash: opaque,
  unmergedLeaves: vector(uint32),
});

/** §12.4.3.3. */
export type Node =
  | { readonly nodeType: "leaf"; readonly leafNode: LeafNode }
  | { readonly nodeType: "parent"; readonly parentNode: ParentNode };
export const Node: Codec<Node> = select<"nodeType", Node>("nodeType", uint8, {
  leaf: [1, struct({ leafNode: LeafNode })],
  parent: [2, struct({ parentNode: ParentNode })],
});
const OptionalNode: Codec<Node | undefined> = optional(Node);
/** The largest tree that is read, in leaves: twice what this package is made for. */
const MAX_LEAVES: number = 2 ** 17;
const RatchetTreeExtension: Codec<readonly (Node | undefined)[]> = vector(OptionalNode);

/** A place for a member. What was computed of it is kept in `memo`. */
export interface LeafSlot {
  readonly level: 0;
  readonly index: number;
  readonly leaf: LeafNode | undefined;
  readonly members: number;
  readonly memo: Memo;
}
/** An inner node with its subtrees, blank or not. */
export interface Subtree {
  readonly level: number;
  readonly index: number;
  readonly parent: ParentNode | undefined;
  readonly left: TreeNode;
  readonly right: TreeNode;
  /** Leaves below that are not blank. */
  readonly members: number;
  readonly memo: Memo;
}
export type TreeNode = LeafSlot | Subtree;

/** What follows from a node and all below it: computed once, when it is first asked for. */
export interface Memo {
  treeHash?: Bytes;
  resolution?: readonly number[];
  support?: Support;
}

/** What all members below a node can do, and the credential types that they use. */
export interface Support {
  readonly extensions: ReadonlySet<number>;
  readonly proposals: ReadonlySet<number>;
  readonly credentials: ReadonlySet<number>;
  readonly credentialTypes: ReadonlySet<number>;
}

export interface RatchetTree {
  readonly root: TreeNode;
  /** Always a power of two. */
  readonly leafCount: number;
  readonly keys: KeyIndex;
}

export function isSubtree(node: TreeNode): node is Subtree {
  return node.level > 0;
}

function leafSlot(leafIndex: number, leaf: LeafNode | undefined): LeafSlot {
  return { level: 0, index: 2 * leafIndex, leaf, members: leaf ? 1 : 0, memo: {} };
}

function subtree(
  index: number,
  parent: ParentNode | undefined,
  left: TreeNode,
  right: TreeNode,
): Subtree {
  const members = left.members + right.members;
  return { level: left.level + 1, index, parent, left, right, members, memo: {} };
}

function blankSubtree(level: number, firstLeaf: number): TreeNode {
  if (level === 0) return leafSlot(firstLeaf, undefined);
  const half = 2 ** (level - 1);
  const left = blankSubtree(level - 1, firstLeaf);
  const right = blankSubtree(level - 1, firstLeaf + half);
  return subtree(2 * (firstLeaf + half) - 1, undefined, left, right);
}

/** The tree of one member (§11). */
export function treeOf(leaf: LeafNode): RatchetTree {
  return withLeaf({ root: leafSlot(0, undefined), leafCount: 1, keys: NO_KEYS }, 0, leaf);
}

/** The node at an index, blank or not. Throws `MlsError` with `tree-shape` beyond the tree. */
export function nodeAt(tree: RatchetTree, index: number): TreeNode {
  if (!Number.isInteger(index) || index < 0 || index >= nodeWidth(tree.leafCount)) {
    throw new MlsError("tree-shape", "4.1", `the tree has no node ${index}`);
  }
  let node = tree.root;
  while (node.index !== index && isSubtree(node))
    node = index < node.index ? node.left : node.right;
  return node;
}

/** The child of a node that a leaf is, or is below. */
export function childTowards({ index, left, right }: Subtree, leafIndex: number): TreeNode {
  return 2 * leafIndex < index ? left : right;
}

/** The leaf of a member, or undefined: blank, or beyond the tree. */
export function leafAt(tree: RatchetTree, leafIndex: number): LeafNode | undefined {
  if (!Number.isInteger(leafIndex) || leafIndex < 0 || leafIndex >= tree.leafCount)
    return undefined;
  const node = nodeAt(tree, 2 * leafIndex);
  return isSubtree(node) ? undefined : node.leaf;
}

export function parentAt(tree: RatchetTree, index: number): ParentNode | undefined {
  const node = nodeAt(tree, index);
  return isSubtree(node) ? node.parent : undefined;
}

/** The inner nodes above a leaf, from its parent to the root. */
export function pathAt(tree: RatchetTree, leafIndex: number): Subtree[] {
  const path: Subtree[] = [];
  for (let node = tree.root; isSubtree(node); ) {
    path.push(node);
    node = childTowards(node, leafIndex);
  }
  return path.reverse();
}

/** A member: the leaf that is its place in the tree, and what stands there. */
export interface Member {
  readonly leafIndex: number;
  readonly leafNode: LeafNode;
}

/** The members, by leaf index. */
export function membersOf(tree: Pick<RatchetTree, "root">): Member[] {
  const members: Member[] = [];
  const pending: TreeNode[] = [tree.root];
  for (let node = pending.pop(); node; node = pending.pop()) {
    if (node.members === 0) continue;
    if (isSubtree(node)) pending.push(node.right, node.left);
    else if (node.leaf) members.push({ leafIndex: node.index / 2, leafNode: node.leaf });
  }
  return members;
}

function replaced(node: TreeNode, index: number, change: (at: TreeNode) => TreeNode): TreeNode {
  if (node.index === index || !isSubtree(node)) return change(node);
  const { parent, left, right } = node;
  return index < node.index
    ? subtree(node.index, parent, replaced(left, index, change), right)
    : subtree(node.index, parent, left, replaced(right, index, change));
}

/** The keys that stand at a leaf. */
function leafKeys(leaf: LeafNode | undefined): readonly Bytes[] {
  return leaf ? [leaf.encryptionKey, leaf.signatureKey] : [];
}

/** The keys that stand at a node. */
function keysOf(node: Node | undefined): readonly Bytes[] {
  if (!node) return [];
  return node.nodeType === "leaf" ? leafKeys(node.leafNode) : [node.parentNode.encryptionKey];
}

/** The tree with a leaf set or blanked, and nothing else changed. */
export function withLeaf(
  tree: RatchetTree,
  leafIndex: number,
  leaf: LeafNode | undefined,
): RatchetTree {
  const before = leafAt(tree, leafIndex);
  const root = replaced(tree.root, 2 * leafIndex, () => leafSlot(leafIndex, leaf));
  return { ...tree, root, keys: reindexed(tree.keys, leafKeys(before), leafKeys(leaf)) };
}

/** The tree with an inner node set or blanked, and nothing else changed. */
export function withParent(
  tree: RatchetTree,
  index: number,
  parent: ParentNode | undefined,
): RatchetTree {
  const before = parentAt(tree, index);
  if (!before && !parent) return tree;
  const root = replaced(tree.root, index, (at) =>
    isSubtree(at) ? subtree(index, parent, at.left, at.right) : at,
  );
  const gone = before ? [before.encryptionKey] : [];
  return { ...tree, root, keys: reindexed(tree.keys, gone, parent ? [parent.encryptionKey] : []) };
}

/**
 * Adds leaves, each at the leftmost blank place; the tree doubles where there is none (§7.7). One walk for all.
 * Throws `MlsError` with `tree-shape` where they are too many.
 */
export function addLeaves(
  tree: RatchetTree,
  leaves: readonly LeafNode[],
): { readonly tree: RatchetTree; readonly leafIndices: readonly number[] } {
  let { root, leafCount } = tree;
  while (root.members + leaves.length > leafCount) {
    if (leafCount >= MAX_LEAVES) throw new MlsError("tree-shape", "7.7", "the tree is full");
    root = subtree(2 * leafCount - 1, undefined, root, blankSubtree(root.level, leafCount));
    leafCount *= 2;
  }
  const leafIndices: number[] = [];
  // From left to right: a leaf enters at each blank place, and each parent above lists it as unmerged.
  const enter = (node: TreeNode): TreeNode => {
    const placed = leafIndices.length;
    if (placed === leaves.length || node.members === 2 ** node.level) return node;
    if (!isSubtree(node)) {
      leafIndices.push(node.index / 2);
      return leafSlot(node.index / 2, leaves[placed]);
    }
    const left = enter(node.left);
    const right = enter(node.right);
    const parent = node.parent && {
      ...node.parent,
      unmergedLeaves: merged(node.parent.unmergedLeaves, leafIndices.slice(placed)),
    };
    return subtree(node.index, parent, left, right);
  };
  root = enter(root);
  const keys = reindexed(tree.keys, [], leaves.flatMap(leafKeys));
  return { tree: { root, leafCount, keys }, leafIndices };
}

/** Adds one leaf (see `addLeaves`). */
export function addLeaf(
  tree: RatchetTree,
  leaf: LeafNode,
): { readonly tree: RatchetTree; readonly leafIndex: number } {
  const added = addLeaves(tree, [leaf]);
  return { tree: added.tree, leafIndex: added.leafIndices[0] ?? 0 };
}

/** An increasing list with others in their places. */
function merged(numbers: readonly number[], added: readonly number[]): readonly number[] {
  const all = [...numbers, ...added];
  const ordered = (numbers.at(-1) ?? -1) < (added[0] ?? Number.POSITIVE_INFINITY);
  return ordered ? all : all.sort((a, b) => a - b);
}

/** The tree with a leaf set or blanked, and the inner nodes above it, by node index: those without a parent node given are blank. */
export function withPath(
  tree: RatchetTree,
  leafIndex: number,
  parents: ReadonlyMap<number, ParentNode>,
  leaf: LeafNode | undefined,
): RatchetTree {
  const gone: Bytes[] = [];
  const come: Bytes[] = [];
  const walk = (node: TreeNode): TreeNode => {
    if (!isSubtree(node)) {
      gone.push(...leafKeys(node.leaf));
      come.push(...leafKeys(leaf));
      return leafSlot(leafIndex, leaf);
    }
    const { index, left, right } = node;
    const parent = parents.get(index);
    if (node.parent) gone.push(node.parent.encryptionKey);
    if (parent) come.push(parent.encryptionKey);
    return 2 * leafIndex < index
      ? subtree(index, parent, walk(left), right)
      : subtree(index, parent, left, walk(right));
  };
  const root = walk(tree.root);
  return { ...tree, root, keys: reindexed(tree.keys, gone, come) };
}

const NO_PARENTS: ReadonlyMap<number, ParentNode> = new Map();

/** Replaces a member's leaf and blanks the path above it (§12.1.2). */
export function updateLeaf(tree: RatchetTree, leafIndex: number, leaf: LeafNode): RatchetTree {
  return withPath(tree, leafIndex, NO_PARENTS, leaf);
}

/** Blanks a leaf and the path above it, and cuts the tree in half while its right half is empty (§7.7, §12.1.3). */
export function removeLeaf(tree: RatchetTree, leafIndex: number): RatchetTree {
  return truncated(withPath(tree, leafIndex, NO_PARENTS, undefined));
}

/** §7.7: without right halves that hold nobody. What stood above such a half, in a tree from outside, goes with its key. */
function truncated({ root: whole, leafCount: count, keys }: RatchetTree): RatchetTree {
  let root = whole;
  let leafCount = count;
  const gone: Bytes[] = [];
  while (isSubtree(root) && root.right.members === 0) {
    gone.push(...keysOf(nodeOf(root)));
    root = root.left;
    leafCount /= 2;
  }
  return { root, leafCount, keys: gone.length > 0 ? reindexed(keys, gone, []) : keys };
}

/** §4.1.1: the nodes that together stand for all members below, as node indices from left to right. */
export function resolution(node: TreeNode): readonly number[] {
  node.memo.resolution ??= computeResolution(node);
  return node.memo.resolution;
}

function computeResolution(node: TreeNode): readonly number[] {
  const found: number[] = [];
  const walk = (at: TreeNode): void => {
    if (!isSubtree(at)) {
      if (at.leaf) found.push(at.index);
    } else if (at.parent) {
      found.push(at.index);
      for (const leaf of at.parent.unmergedLeaves) found.push(2 * leaf);
    } else {
      walk(at.left);
      walk(at.right);
    }
  };
  walk(node);
  return found;
}

/** The encryption key at a node of a resolution. */
export function encryptionKeyAt(tree: RatchetTree, index: number): Bytes {
  const node = nodeAt(tree, index);
  const key = isSubtree(node) ? node.parent?.encryptionKey : node.leaf?.encryptionKey;
  if (!key) throw new MlsError("tree-shape", "4.1.1", `node ${index} is blank`);
  return key;
}

/** What all members can do. */
export function support(tree: Pick<RatchetTree, "root">): Support {
  return supportBelow(tree.root);
}

const NO_MEMBERS: Support = {
  extensions: new Set(),
  proposals: new Set(),
  credentials: new Set(),
  credentialTypes: new Set(),
};

/** `like`: what others can do. Where it is the same here they share one object: memory and time follow the differences. */
function supportBelow(node: TreeNode, like: Support = NO_MEMBERS): Support {
  node.memo.support ??= computeSupport(node, like);
  return node.memo.support;
}

/** §13.5: nobody supports what means nothing, though everybody may list it. */
function withoutGrease(types: readonly number[]): ReadonlySet<number> {
  return new Set(types.filter((type) => !GREASE.has(type)));
}

/** Whether a set is that of a list, without GREASE; no, for a list that says something twice. */
function isSetOf(set: ReadonlySet<number>, types: readonly number[]): boolean {
  let count = 0;
  for (const type of types) {
    if (GREASE.has(type)) continue;
    if (!set.has(type)) return false;
    count++;
  }
  return count === set.size;
}

function isSupportOf(support: Support, { capabilities, credential }: LeafNode): boolean {
  return (
    isSetOf(support.credentialTypes, [credentialTypeOf(credential)]) &&
    isSetOf(support.extensions, capabilities.extensions) &&
    isSetOf(support.proposals, capabilities.proposals) &&
    isSetOf(support.credentials, capabilities.credentials)
  );
}

function computeSupport(node: TreeNode, like: Support): Support {
  if (!isSubtree(node)) {
    if (!node.leaf) return NO_MEMBERS;
    if (isSupportOf(like, node.leaf)) return like;
    const { capabilities, credential } = node.leaf;
    return {
      extensions: withoutGrease(capabilities.extensions),
      proposals: withoutGrease(capabilities.proposals),
      credentials: withoutGrease(capabilities.credentials),
      credentialTypes: new Set([credentialTypeOf(credential)]),
    };
  }
  if (node.left.members === 0) return supportBelow(node.right, like);
  // What is known beside a leaf that changed is most often what that can do too.
  const left = supportBelow(node.left, node.right.memo.support ?? like);
  if (node.right.members === 0) return left;
  const right = supportBelow(node.right, left);
  if (left === right || sameSupport(left, right)) return left;
  return {
    extensions: left.extensions.intersection(right.extensions),
    proposals: left.proposals.intersection(right.proposals),
    credentials: left.credentials.intersection(right.credentials),
    credentialTypes: left.credentialTypes.union(right.credentialTypes),
  };
}

function sameSupport(a: Support, b: Support): boolean {
  return (
    sameSet(a.extensions, b.extensions) &&
    sameSet(a.proposals, b.proposals) &&
    sameSet(a.credentials, b.credentials) &&
    sameSet(a.credentialTypes, b.credentialTypes)
  );
}

function sameSet(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  if (a.size !== b.size) return false;
  for (const one of a) if (!b.has(one)) return false;
  return true;
}

function contentOf(node: TreeNode): LeafNode | ParentNode | undefined {
  return isSubtree(node) ? node.parent : node.leaf;
}

function nodeOf(node: TreeNode): Node | undefined {
  if (isSubtree(node)) return node.parent && { nodeType: "parent", parentNode: node.parent };
  return node.leaf && { nodeType: "leaf", leafNode: node.leaf };
}

/** A node, encoded; undefined where it is blank. */
export function encodedNode(node: TreeNode): Bytes | undefined {
  const content = nodeOf(node);
  return content && encode(Node, content);
}

/** The nodes that are not blank, encoded, by node index. */
export function encodedNodes(tree: RatchetTree): (readonly [index: number, node: Bytes])[] {
  return changedNodes(undefined, tree).flatMap(({ index, node }) =>
    node ? [[index, node] as const] : [],
  );
}

/** A node that is not as it was. */
export interface NodeChange {
  readonly index: number;
  /** The node now, encoded; undefined where it is blank. */
  readonly node: Bytes | undefined;
}

/** What differs between two trees, found by what they don't share: in time of the change, not of the tree. */
export function changedNodes(before: RatchetTree | undefined, after: RatchetTree): NodeChange[] {
  const changes: NodeChange[] = [];
  const walk = (old: TreeNode | undefined, now: TreeNode | undefined): void => {
    if (old === now) return;
    // A subtree that doubled keeps its old self on the left, one that was halved is that.
    if (old && now && old.level < now.level && isSubtree(now)) {
      compare(now.index, undefined, now);
      walk(old, now.left);
      walk(undefined, now.right);
      return;
    }
    if (old && now && old.level > now.level && isSubtree(old)) {
      compare(old.index, old, undefined);
      walk(old.left, now);
      walk(old.right, undefined);
      return;
    }
    compare((now ?? old)?.index ?? 0, old, now);
    const oldBelow = old && isSubtree(old) ? old : undefined;
    const nowBelow = now && isSubtree(now) ? now : undefined;
    if (!oldBelow && !nowBelow) return;
    walk(oldBelow?.left, nowBelow?.left);
    walk(oldBelow?.right, nowBelow?.right);
  };
  const compare = (index: number, old: TreeNode | undefined, now: TreeNode | undefined): void => {
    if (old && now && contentOf(old) === contentOf(now)) return;
    const node = now && encodedNode(now);
    if (node || (old && contentOf(old))) changes.push({ index, node });
  };
  walk(before?.root, after.root);
  return changes;
}

/** A subtree of so many levels is made at once. */
const AT_ONCE = 9;
/** With so many nodes, or members, something is done at once. */
export const MANY: number = 2 ** (AT_ONCE + 1);

/** Lets other work have its turn, between the parts of what takes long in a large tree. */
export function othersTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Shows each node of a tree, blank or not, a node before those below it; other work has its turn meanwhile. */
export async function eachNode(
  tree: Pick<RatchetTree, "root">,
  show: (node: TreeNode) => void,
): Promise<void> {
  const pending: TreeNode[] = [tree.root];
  let shown = 0;
  for (let node = pending.pop(); node; node = pending.pop()) {
    show(node);
    if (isSubtree(node)) pending.push(node.right, node.left);
    if (++shown % MANY === 0) await othersTurn();
  }
}

/**
 * Makes the tree whose last node that is not blank has the index `last`, and gives each part of it that is made at once. Throws
 * `MlsError` with `tree-shape`, and what `nodeAtIndex` throws.
 */
function* growing(
  last: number,
  nodeAtIndex: (index: number) => Node | undefined,
): Generator<TreeNode, RatchetTree, void> {
  if (last < 0) throw new MlsError("tree-shape", "12.4.3.3", "a tree without nodes");
  if (last >= nodeWidth(MAX_LEAVES)) {
    throw new MlsError("tree-shape", "12.4.3.3", `a tree of more than ${MAX_LEAVES} leaves`);
  }
  let leafCount = 1;
  while (nodeWidth(leafCount) <= last) leafCount *= 2;
  let keys = NO_KEYS;
  let come: Bytes[] = [];
  function* grow(level: number, index: number): Generator<TreeNode, TreeNode, void> {
    const node = nodeAtIndex(index);
    if (node && (level === 0) !== (node.nodeType === "leaf")) {
      throw new MlsError("tree-shape", "12.4.3.3", `a ${node.nodeType} node at index ${index}`);
    }
    come.push(...keysOf(node));
    if (level === 0)
      return leafSlot(index / 2, node?.nodeType === "leaf" ? node.leafNode : undefined);
    const parent = node?.nodeType === "parent" ? node.parentNode : undefined;
    const reach = 2 ** (level - 1);
    const left = yield* grow(level - 1, index - reach);
    const made = subtree(index, parent, left, yield* grow(level - 1, index + reach));
    if (level === AT_ONCE) {
      keys = reindexed(keys, [], come);
      come = [];
      yield made;
    }
    return made;
  }
  const root = yield* grow(Math.log2(leafCount), leafCount - 1);
  return { root, leafCount, keys: reindexed(keys, [], come) };
}

/**
 * A tree from its nodes, encoded, whose bytes must not change meanwhile; those that are not named are blank. It is made part by part, and
 * between them other work has its turn. `made` is shown each part. Throws `MlsError` with `tree-shape` or `decode`.
 */
export async function treeFromNodes(
  nodes: Iterable<readonly [index: number, node: Bytes]>,
  made?: (part: TreeNode) => void,
): Promise<RatchetTree> {
  const byIndex = new Map(nodes);
  let last = -1;
  for (const index of byIndex.keys()) last = Math.max(last, index);
  const parts = growing(last, (index) => {
    const node = byIndex.get(index);
    return node && decode(Node, node);
  });
  return grown(parts, made);
}

/** The tree, once all its parts are made. */
async function grown(
  parts: Generator<TreeNode, RatchetTree, void>,
  made?: (part: TreeNode) => void,
): Promise<RatchetTree> {
  let part = parts.next();
  for (; !part.done; part = parts.next()) {
    made?.(part.value);
    await othersTurn();
  }
  return part.value;
}

/**
 * The tree with some nodes changed, as `changedNodes` found them, and of the size that its members need: in time of the change.
 * Throws `MlsError` with `decode` or `tree-shape`.
 */
export function withNodes(tree: RatchetTree, changes: readonly NodeChange[]): RatchetTree {
  const nodes = changes
    .map(({ index, node }) => ({ index, node: node && decode(Node, node) }))
    .sort((a, b) => a.index - b.index);
  let { root, leafCount } = tree;
  while (nodeWidth(leafCount) <= (nodes.at(-1)?.index ?? 0)) {
    if (leafCount >= MAX_LEAVES) throw new MlsError("tree-shape", "7.7", "the tree is full");
    root = subtree(2 * leafCount - 1, undefined, root, blankSubtree(root.level, leafCount));
    leafCount *= 2;
  }
  const gone: Bytes[] = [];
  const come: Bytes[] = [];
  /** `node` with those changes that are for it and below it: from `start`, and before `end`. */
  const walk = (node: TreeNode, start: number, end: number): TreeNode => {
    if (start === end) return node;
    let at = start;
    while (at < end && (nodes[at]?.index ?? 0) < node.index) at++;
    const own = nodes[at]?.index === node.index && at < end ? nodes[at] : undefined;
    if (own) {
      gone.push(...keysOf(nodeOf(node)));
      come.push(...keysOf(own.node));
      if (own.node && (own.node.nodeType === "leaf") === isSubtree(node)) {
        throw new MlsError("tree-shape", "12.4.3.3", `a ${own.node.nodeType} node at an odd place`);
      }
    }
    if (!isSubtree(node)) {
      return leafSlot(
        node.index / 2,
        own?.node?.nodeType === "leaf" ? own.node.leafNode : undefined,
      );
    }
    const parent = own?.node?.nodeType === "parent" ? own.node.parentNode : undefined;
    const left = walk(node.left, start, at);
    return subtree(
      node.index,
      own ? parent : node.parent,
      left,
      walk(node.right, own ? at + 1 : at, end),
    );
  };
  root = walk(root, 0, nodes.length);
  return truncated({ root, leafCount, keys: reindexed(tree.keys, gone, come) });
}

/** The content of a `ratchet_tree` extension (§12.4.3.3): up to the last node that is not blank. */
export function encodeRatchetTree(tree: RatchetTree): Bytes {
  const nodes: (Node | undefined)[] = [];
  const walk = (node: TreeNode): void => {
    if (isSubtree(node)) walk(node.left);
    nodes.push(nodeOf(node));
    if (isSubtree(node)) walk(node.right);
  };
  walk(tree.root);
  while (nodes.length > 0 && nodes.at(-1) === undefined) nodes.pop();
  return encode(RatchetTreeExtension, nodes);
}

/**
 * Reads a `ratchet_tree` extension, part by part as `treeFromNodes` does. `made` is shown each part. Throws `MlsError` with `decode` or
 * `tree-shape`; nothing is verified.
 */
export async function decodeRatchetTree(
  bytes: Bytes,
  made?: (part: TreeNode) => void,
): Promise<RatchetTree> {
  const nodes = await readNodes(bytes);
  if (nodes.at(-1) === undefined) {
    throw new MlsError("tree-shape", "12.4.3.3", "the last node of the tree is blank");
  }
  const parts = growing(nodes.length - 1, (index) => nodes[index]);
  return grown(parts, made);
}

/** The nodes, no more than a tree can have: a blank one takes a byte, so the input's length is no bound. */
async function readNodes(bytes: Bytes): Promise<(Node | undefined)[]> {
  // A copy that nobody changes: its nodes keep their parts of it.
  const whole = new Reader(copyOf(bytes), 0, bytes.length, "owned");
  const reader = whole.vector();
  if (!whole.done) throw new MlsError("decode", "12.4.3.3", "bytes behind the tree");
  const nodes: (Node | undefined)[] = [];
  while (!reader.done) {
    if (nodes.length >= nodeWidth(MAX_LEAVES)) {
      throw new MlsError("tree-shape", "12.4.3.3", `a tree of more than ${MAX_LEAVES} leaves`);
    }
    nodes.push(OptionalNode.read(reader));
    if (nodes.length % MANY === 0) await othersTurn();
  }
  return nodes;
}
