/** §7.7: trees as values. Random ones, whose leaves are told apart by their keys and signed by nobody. */

import { nodeCrypto } from "@conclave/mls/node";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { suiteOf } from "../../src/crypto/suite.ts";
import { keyCount } from "../../src/tree/key-index.ts";
import { defaultCapabilities, type LeafNode } from "../../src/tree/leaf-node.ts";
import {
  addLeaf,
  addLeaves,
  changedNodes,
  decodeRatchetTree,
  eachNode,
  encodeRatchetTree,
  isSubtree,
  leafAt,
  membersOf,
  pathAt,
  type RatchetTree,
  removeLeaf,
  type TreeNode,
  treeOf,
  withNodes,
  withPath,
} from "../../src/tree/ratchet-tree.ts";
import { rootHash } from "../../src/tree/tree-hash.ts";
import { withTurns } from "../people.ts";

const suite = suiteOf(nodeCrypto, 3);
const EMPTY = new Uint8Array(0);

let made = 0;
function newKey(): Uint8Array<ArrayBuffer> {
  const key = new Uint8Array(32);
  new DataView(key.buffer).setUint32(0, ++made);
  return key;
}

function newLeaf(): LeafNode {
  return {
    encryptionKey: newKey(),
    signatureKey: newKey(),
    credential: { credentialType: "basic", identity: EMPTY },
    capabilities: defaultCapabilities(nodeCrypto),
    source: { leafNodeSource: "update" },
    extensions: [],
    signature: EMPTY,
  };
}

/** New keys on the whole path of a member. */
function committed(tree: RatchetTree, leafIndex: number): RatchetTree {
  const parents = pathAt(tree, leafIndex).map(
    ({ index }) =>
      [index, { encryptionKey: newKey(), parentHash: EMPTY, unmergedLeaves: [] }] as const,
  );
  return withPath(tree, leafIndex, new Map(parents), leafAt(tree, leafIndex));
}

/** Adds some, removes one, or commits; `pick` says who. */
type Step = readonly [kind: "add" | "remove" | "commit", pick: number];
const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom("add", "add", "remove", "remove", "commit"),
  fc.nat({ max: 5 }),
);

function taken(tree: RatchetTree, [kind, pick]: Step): RatchetTree {
  const members = membersOf(tree);
  const { leafIndex } = members[pick % members.length] ?? { leafIndex: 0 };
  if (kind === "add") return addLeaves(tree, Array.from({ length: pick }, newLeaf)).tree;
  if (kind === "commit") return committed(tree, leafIndex);
  return members.length > 1 ? removeLeaf(tree, leafIndex) : tree;
}

function keysIn(tree: RatchetTree): Uint8Array[] {
  const keys: Uint8Array[] = [];
  const pending: TreeNode[] = [tree.root];
  for (let node = pending.pop(); node; node = pending.pop()) {
    if (!isSubtree(node)) {
      if (node.leaf) keys.push(node.leaf.encryptionKey, node.leaf.signatureKey);
      continue;
    }
    if (node.parent) keys.push(node.parent.encryptionKey);
    pending.push(node.left, node.right);
  }
  return keys;
}

function expectSame(tree: RatchetTree, other: RatchetTree): void {
  expect(tree.leafCount).toBe(other.leafCount);
  expect(rootHash(suite, tree)).toEqual(rootHash(suite, other));
  expect(encodeRatchetTree(tree)).toEqual(encodeRatchetTree(other));
  const keys = keysIn(other);
  expect(keys.every((key) => keyCount(tree.keys, key) === 1)).toBe(true);
}

describe("a ratchet tree", () => {
  it("is the same from its changes, in whatever way it changed", () => {
    fc.assert(
      fc.property(fc.array(step), fc.array(step), (earlier, later) => {
        const before = earlier.reduce(taken, treeOf(newLeaf()));
        const after = later.reduce(taken, before);
        const changes = changedNodes(before, after);
        const again = withNodes(before, changes);
        expectSame(again, after);
        for (const key of keysIn(before)) {
          expect(keyCount(again.keys, key)).toBe(keyCount(after.keys, key));
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("is the same after reading what was written", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step), async (steps) => {
        const tree = steps.reduce(taken, treeOf(newLeaf()));
        expectSame(await decodeRatchetTree(encodeRatchetTree(tree)), tree);
      }),
    );
  });

  it("lets other work go on while a large one is read, made and looked at", async () => {
    const leaves = Array.from({ length: 2 ** 11 }, newLeaf);
    const { tree } = addLeaves(treeOf(newLeaf()), leaves.slice(1));
    const parts: number[] = [];
    const nodes: number[] = [];
    const { value } = await withTurns(async (turns) => {
      const read = await decodeRatchetTree(encodeRatchetTree(tree), () => parts.push(turns()));
      await eachNode(read, () => nodes.push(turns()));
      return read;
    });
    expectSame(value, tree);
    // The first is made when all are read, and each of the four in a turn of its own.
    expect(parts[0]).toBeGreaterThan(0);
    expect(new Set(parts).size).toBe(4);
    expect(nodes).toHaveLength(2 ** 12 - 1);
    expect(new Set(nodes).size).toBe(4);
  });

  it("§7.7 takes many leaves at once as it would take them one by one", () => {
    fc.assert(
      fc.property(fc.array(step), fc.nat({ max: 20 }), (steps, count) => {
        const tree = steps.reduce(taken, treeOf(newLeaf()));
        const leaves = Array.from({ length: count }, newLeaf);
        const together = addLeaves(tree, leaves);
        let single = tree;
        const leafIndices = leaves.map((leaf) => {
          const added = addLeaf(single, leaf);
          single = added.tree;
          return added.leafIndex;
        });
        expect(together.leafIndices).toEqual(leafIndices);
        expectSame(together.tree, single);
      }),
    );
  });

  it("refuses a changed node of the wrong kind for its place", () => {
    const { tree } = addLeaves(treeOf(newLeaf()), [newLeaf(), newLeaf()]);
    const [leaf] = changedNodes(undefined, tree);
    expect(() => withNodes(tree, [{ index: 1, node: leaf?.node }])).toThrow(
      expect.objectContaining({ name: "MlsError", code: "tree-shape" }),
    );
  });
});
