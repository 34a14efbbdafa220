/**
 * TreeKEM: a member replaces the keys on its path and tells the others, each by a key it has.
 * RFC 9420 §4.1.2 (filtered direct path), §7.4 (path secrets), §7.5 (merging), §7.6 (UpdatePath).
 * @module
 */

import { bytesEqual, EMPTY, wipe } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  lateVector,
  opaque,
  type Sequence,
  struct,
  vector,
} from "../codec.ts";
import {
  decryptWithLabel,
  encryptManyWithLabel,
  generateKeyPair,
  HpkeCiphertext,
} from "../crypto/hpke.ts";
import { deriveSecret } from "../crypto/kdf.ts";
import { kemOf } from "../crypto/kem.ts";
import type { KeyPair, Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { LeafNode } from "./leaf-node.ts";
import {
  encryptionKeyAt,
  isSubtree,
  type ParentNode,
  parentAt,
  pathAt,
  type RatchetTree,
  resolution,
  type Subtree,
  type TreeNode,
  withPath,
} from "./ratchet-tree.ts";
import { parentHash as parentHashOf } from "./tree-hash.ts";
import { commonAncestor, isBelow } from "./tree-math.ts";

/** §7.6 `UpdatePathNode`: the key of one node of the filtered direct path, and its secret for each key below its copath node. */
export interface UpdatePathNode {
  readonly encryptionKey: Bytes;
  readonly encryptedPathSecret: Sequence<HpkeCiphertext>;
}
const UpdatePathNode: Codec<UpdatePathNode> = struct({
  encryptionKey: opaque,
  // There are as many as members, where the tree is blank, and one of them is for who reads it.
  encryptedPathSecret: lateVector(HpkeCiphertext),
});
/** §7.6 `UpdatePath`: the sender's new leaf, and the new nodes above it, from the leaf to the root. */
export interface UpdatePath {
  readonly leafNode: LeafNode;
  readonly nodes: readonly UpdatePathNode[];
}
/** How an UpdatePath stands on the wire. */
export const UpdatePath: Codec<UpdatePath> = struct({
  leafNode: LeafNode,
  nodes: vector(UpdatePathNode),
});

/** A node that a path replaces, and its child off the path, for whose members the secret is encrypted. */
interface PathStep {
  readonly node: Subtree;
  readonly copath: TreeNode;
}

/** §4.1.2: the direct path of a leaf without the nodes whose copath child nobody stands below; upwards. */
function filteredDirectPath(tree: RatchetTree, leafIndex: number): PathStep[] {
  const steps: PathStep[] = [];
  for (let node = tree.root; isSubtree(node); ) {
    const isLeft = 2 * leafIndex < node.index;
    const copath = isLeft ? node.right : node.left;
    if (copath.members > 0) steps.push({ node, copath });
    node = isLeft ? node.left : node.right;
  }
  return steps.reverse();
}

/** Overwrites what came of a path that leads to nothing. */
export function wipePath({
  path,
  commitSecret,
}: Pick<NewPath, "path"> & { readonly commitSecret?: Bytes }): void {
  wipe(commitSecret, ...path.flatMap(({ secret, keyPair }) => [secret, keyPair.privateKey]));
}

/** A path secret, and the node whose key pair comes from it. */
export interface PathSecret {
  readonly index: number;
  readonly secret: Bytes;
  readonly keyPair: KeyPair;
}

/** The path secrets for some nodes, upwards, from the first one's; and the commit secret above them (§7.4). */
export async function derivePathSecrets(
  suite: Suite,
  first: Bytes,
  indices: readonly number[],
): Promise<{ readonly path: readonly PathSecret[]; readonly commitSecret: Bytes }> {
  const path: PathSecret[] = [];
  let secret = first;
  for (const index of indices) {
    const nodeSecret = deriveSecret(suite, secret, "node");
    path.push({ index, secret, keyPair: await kemOf(suite).deriveKeyPair(nodeSecret) });
    wipe(nodeSecret);
    secret = deriveSecret(suite, secret, "path");
  }
  return { path, commitSecret: secret };
}

/**
 * The parent nodes, by node index, that new public keys on a path make, with the parent hashes that follow; and the parent hash for the
 * member's new leaf (§7.5, §7.9).
 */
function pathParents(
  suite: Suite,
  steps: readonly PathStep[],
  publicKeys: readonly Bytes[],
): { readonly parents: ReadonlyMap<number, ParentNode>; readonly parentHash: Bytes } {
  if (steps.length !== publicKeys.length) {
    throw new MlsError(
      "update-path",
      "7.5",
      `a path of ${publicKeys.length} nodes where ${steps.length} are due`,
    );
  }
  const parents = new Map<number, ParentNode>();
  let above: Bytes = EMPTY;
  let at = publicKeys.length;
  for (const { node, copath } of steps.toReversed()) {
    const encryptionKey = publicKeys[--at] ?? EMPTY;
    const parent = { encryptionKey, parentHash: above, unmergedLeaves: [] };
    parents.set(node.index, parent);
    above = parentHashOf(suite, parent, copath);
  }
  return { parents, parentHash: above };
}

/** What a committer makes before it can sign or encrypt anything. */
export interface NewPath {
  readonly path: readonly PathSecret[];
  readonly leafKeyPair: KeyPair;
  readonly commitSecret: Bytes;
  /** With the new leaf in place. */
  readonly tree: RatchetTree;
  readonly leafNode: LeafNode;
}

/**
 * New keys on the path of a leaf. `signLeaf` gets the leaf's new encryption key and parent hash.
 * `tree` has the proposals applied, and for an external commit a leaf at `leafIndex`.
 */
export async function createPath(
  suite: Suite,
  tree: RatchetTree,
  leafIndex: number,
  signLeaf: (encryptionKey: Bytes, parentHash: Bytes) => Promise<LeafNode>,
): Promise<NewPath> {
  const steps = filteredDirectPath(tree, leafIndex);
  const indices = steps.map(({ node }) => node.index);
  const first = suite.provider.random(suite.nh);
  const { path, commitSecret } = await derivePathSecrets(suite, first, indices);
  const leafKeyPair = await generateKeyPair(suite);
  const publicKeys = path.map(({ keyPair }) => keyPair.publicKey);
  const { parents, parentHash } = pathParents(suite, steps, publicKeys);
  const leafNode = await signLeaf(leafKeyPair.publicKey, parentHash);
  return {
    path,
    leafKeyPair,
    commitSecret,
    leafNode,
    tree: withPath(tree, leafIndex, parents, leafNode),
  };
}

/** The resolution of a node without the leaves that this commit adds (§7.6). */
function recipients(node: TreeNode, added: ReadonlySet<number>): readonly number[] {
  const all = resolution(node);
  if (added.size === 0) return all;
  return all.filter((index) => index % 2 === 1 || !added.has(index / 2));
}

/** Encrypts each path secret to those below the copath child of its node (§7.6), in parallel. */
export async function encryptPath(
  suite: Suite,
  tree: RatchetTree,
  leafIndex: number,
  made: NewPath,
  added: ReadonlySet<number>,
  groupContext: Bytes,
): Promise<UpdatePath> {
  const steps = filteredDirectPath(tree, leafIndex);
  const to = made.path.map((_, i) => {
    const copath = steps[i]?.copath;
    return copath ? recipients(copath, added) : [];
  });
  const messages = made.path.flatMap(({ secret }, i) =>
    (to[i] ?? []).map((index) => ({ publicKey: encryptionKeyAt(tree, index), plaintext: secret })),
  );
  const sealed = await encryptManyWithLabel(suite, "UpdatePathNode", groupContext, messages);
  let at = 0;
  const nodes = made.path.map(({ keyPair }, i): UpdatePathNode => {
    const from = at;
    at += to[i]?.length ?? 0;
    return { encryptionKey: keyPair.publicKey, encryptedPathSecret: sealed.slice(from, at) };
  });
  return { leafNode: made.leafNode, nodes };
}

/** The tree after a path from outside, with its form and parent hash checked (§7.5, §12.4.2). */
export function mergePath(
  suite: Suite,
  tree: RatchetTree,
  leafIndex: number,
  path: UpdatePath,
  added: ReadonlySet<number>,
): RatchetTree {
  const publicKeys = path.nodes.map(({ encryptionKey }) => encryptionKey);
  const steps = filteredDirectPath(tree, leafIndex);
  const { parents, parentHash } = pathParents(suite, steps, publicKeys);
  steps.forEach(({ copath }, i) => {
    const due = recipients(copath, added).length;
    const found = path.nodes[i]?.encryptedPathSecret.length;
    if (found !== due) {
      throw new MlsError("update-path", "7.6", `${found} path secrets for ${due} recipients`);
    }
  });
  const { source } = path.leafNode;
  if (source.leafNodeSource !== "commit" || !bytesEqual(source.parentHash, parentHash)) {
    throw new MlsError(
      "parent-hash",
      "7.9.2",
      "the new leaf does not carry the parent hash of its path",
    );
  }
  return withPath(tree, leafIndex, parents, path.leafNode);
}

/** Private keys that a member holds, by node index. */
export type PrivateKeys = ReadonlyMap<number, KeyPair>;

/** The key pair for a node, if it is the one that the tree shows there. */
function heldKey(tree: RatchetTree, keys: PrivateKeys, index: number): KeyPair | undefined {
  const held = keys.get(index);
  return held && bytesEqual(held.publicKey, encryptionKeyAt(tree, index)) ? held : undefined;
}

/** A path from outside, and what it was made on. */
export interface ReceivedPath {
  /** The sender's. */
  readonly leafIndex: number;
  readonly path: UpdatePath;
  /** The leaves that the commit adds: the path is not for them. */
  readonly added: ReadonlySet<number>;
  /** The encoded provisional GroupContext (§12.4.1). */
  readonly groupContext: Bytes;
}

/** One of the ciphertexts of a path, and for whom it is. */
export interface Recipient {
  /** The node of a copath node's resolution to whose key the path secret was encrypted. */
  readonly index: number;
  /** Whose path secret: the first of these nodes of the path, upwards. */
  readonly nodes: readonly { readonly index: number; readonly encryptionKey: Bytes }[];
  readonly sealed: HpkeCiphertext;
}

/**
 * The first of the ciphertexts for those below the copath node that `below` is, or is below, whose recipient is looked for. `tree` has the
 * proposals applied and not yet the path.
 */
function recipientWhere(
  tree: RatchetTree,
  { leafIndex, path, added }: ReceivedPath,
  below: number,
  isLookedFor: (index: number) => boolean,
): Recipient | undefined {
  const steps = filteredDirectPath(tree, leafIndex);
  const at = steps.findIndex(({ copath }) => isBelow(below, copath.index));
  const indices = steps[at] ? recipients(steps[at].copath, added) : [];
  const position = indices.findIndex(isLookedFor);
  const index = indices[position];
  const sealed = path.nodes[at]?.encryptedPathSecret.at(position);
  if (index === undefined || !sealed) return undefined;
  const nodes = steps.slice(at).map(({ node }, j) => ({
    index: node.index,
    encryptionKey: path.nodes[at + j]?.encryptionKey ?? EMPTY,
  }));
  return { index, nodes, sealed };
}

/** What of a path is encrypted to the key of this node (§7.6); undefined where nothing is. */
export function recipientAt(
  tree: RatchetTree,
  received: ReceivedPath,
  index: number,
): Recipient | undefined {
  return recipientWhere(tree, received, index, (one) => one === index);
}

/**
 * What of a path is for the member at `ownLeaf`, with the key that opens it (§7.5). `tree` has the proposals applied and not yet the path.
 * Throws `MlsError` with `path-secret` where nothing is.
 */
export function ownRecipient(
  tree: RatchetTree,
  received: ReceivedPath,
  own: { readonly leafIndex: number; readonly keys: PrivateKeys },
): { readonly recipient: Recipient; readonly keyPair: KeyPair } {
  const held = (index: number): KeyPair | undefined => heldKey(tree, own.keys, index);
  const recipient = recipientWhere(tree, received, 2 * own.leafIndex, (one) => !!held(one));
  const keyPair = recipient && held(recipient.index);
  if (recipient && keyPair) return { recipient, keyPair };
  throw new MlsError("path-secret", "7.5", "no path secret is encrypted to a key of this member");
}

/**
 * What one ciphertext of a path tells whoever has the key (§7.5, §12.4.2): the keys of the nodes above, and the commit secret.
 * Throws `MlsError` with `path-secret` or `hpke-open`.
 */
export async function openPathSecret(
  suite: Suite,
  { groupContext }: Pick<ReceivedPath, "groupContext">,
  { sealed, nodes }: Recipient,
  keyPair: KeyPair,
): Promise<{ readonly path: readonly PathSecret[]; readonly commitSecret: Bytes }> {
  const secret = await decryptWithLabel(suite, keyPair, "UpdatePathNode", groupContext, sealed);
  const indices = nodes.map(({ index }) => index);
  const derived = await derivePathSecrets(suite, secret, indices);
  for (const [j, { keyPair: made }] of derived.path.entries()) {
    if (!bytesEqual(made.publicKey, nodes[j]?.encryptionKey ?? EMPTY)) {
      wipePath(derived);
      throw new MlsError(
        "path-secret",
        "7.5",
        "a path secret does not lead to the path's public key",
      );
    }
  }
  return derived;
}

/**
 * What a path tells the member at `ownLeaf` (§7.5, §12.4.2): the keys of the nodes above both, and the commit secret.
 * `tree` has the proposals applied and not yet the path. Throws `MlsError` with `path-secret` or `hpke-open`.
 */
export async function decryptPath(
  suite: Suite,
  tree: RatchetTree,
  received: ReceivedPath,
  own: { readonly leafIndex: number; readonly keys: PrivateKeys },
): Promise<{ readonly path: readonly PathSecret[]; readonly commitSecret: Bytes }> {
  const { recipient, keyPair } = ownRecipient(tree, received, own);
  return await openPathSecret(suite, received, recipient, keyPair);
}

/**
 * The keys above a new member that the commit which added it has given it (§12.4.3.1): those of the common ancestor with the
 * committer and of the nodes above, from the path secret in its Welcome; none where the commit had no path. Throws
 * `MlsError` with `path-secret`.
 */
export async function welcomePath(
  suite: Suite,
  tree: RatchetTree,
  pathSecret: Bytes | undefined,
  between: { readonly ownLeaf: number; readonly committer: number },
): Promise<readonly PathSecret[]> {
  const { ownLeaf, committer } = between;
  const refuse = (why: string): never => {
    throw new MlsError("path-secret", "12.4.3.1", why);
  };
  // A new member is unmerged in whatever stands above it, but for what the commit's own path has replaced since.
  const due = pathAt(tree, ownLeaf).filter(
    ({ parent }) => parent && !parent.unmergedLeaves.includes(ownLeaf),
  );
  const ancestor = commonAncestor(2 * ownLeaf, 2 * committer);
  if (!pathSecret) {
    if (due.length > 0) refuse("no path secret, though the commit had a path");
    return [];
  }
  // Which is also the lowest: below it, what the committer's path did not replace lists us.
  if (due[0]?.index !== ancestor) refuse("the path secret is for no node above this member");
  const indices = due.map(({ index }) => index);
  const { path, commitSecret } = await derivePathSecrets(suite, pathSecret, indices);
  wipe(commitSecret);
  for (const { index, keyPair } of path) {
    if (!bytesEqual(keyPair.publicKey, parentAt(tree, index)?.encryptionKey ?? EMPTY)) {
      wipePath({ path });
      refuse(`the path secret does not lead to node ${index}`);
    }
  }
  return path;
}
