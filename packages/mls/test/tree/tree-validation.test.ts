/** §7.3, §7.7, §7.9.2, §12.4.3.1: trees from outside. Each broken tree has the tree hash that its group context names. */

import type { MlsErrorCode } from "@conclave/mls";
import { decode, encode, optional, vector } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { signLeafNode } from "../../src/tree/leaf-node.ts";
import {
  addLeaf,
  decodeRatchetTree,
  encodeRatchetTree,
  leafAt,
  membersOf,
  Node,
  type ParentNode,
  parentAt,
  type RatchetTree,
  removeLeaf,
  resolution,
  withLeaf,
  withParent,
} from "../../src/tree/ratchet-tree.ts";
import { rootHash } from "../../src/tree/tree-hash.ts";
import { validateTree } from "../../src/tree/tree-validation.ts";
import { forgeKeyPackage, type Inside, inside } from "../forge.ts";
import { add, found, joinByLink, type Person, person, persons, room, utf8 } from "../people.ts";

/**
 * Eight leaves: alice, bob, carol, dave, eve at 0 to 4; 5 and 6 blank. All wrote a path but dave and eve, who came later:
 * they are unmerged at the parents above them that are not blank.
 */
async function grown(): Promise<Inside> {
  const people = await persons(["alice", "bob", "carol", "dave", "eve", "frank"]);
  const [alice, bob, carol, dave, eve, frank] = people;
  if (!alice || !bob || !carol || !dave || !eve || !frank) throw new Error("six people");
  const { groups } = await room([alice, bob, carol]);
  const [a, b, c] = groups;
  if (!a || !b || !c) throw new Error("three");
  const f = await joinByLink(frank, a, [b, c]);
  const all = [a, b, c, f];
  const [e] = await add(a, [eve], [b, c, f], { forcePath: true });
  if (!e) throw new Error("eve");
  all.push(e);
  for (const committer of [c, b, e]) {
    const { commit } = await committer.commit();
    for (const group of all) await group.receive(commit);
  }
  // Frank, at leaf 3, goes, and dave comes there without a path.
  const { commit } = await a.commit({ proposals: [{ proposalType: "remove", removed: 3 }] });
  for (const group of all) await group.receive(commit);
  const rest = [b, c, e];
  const again = await a.commit({ forcePath: true });
  for (const group of [a, ...rest]) await group.receive(again.commit);
  await add(a, [dave], rest);
  return inside(alice);
}

async function check(by: Inside, tree: RatchetTree): Promise<void> {
  const treeHash = rootHash(by.suite, tree);
  await validateTree(by.suite, tree, { ...by.state.groupContext, treeHash });
}

async function refused(by: Inside, tree: RatchetTree, code: MlsErrorCode): Promise<void> {
  await expect(check(by, tree)).rejects.toMatchObject({ name: "MlsError", code });
  await expect(check(by, by.state.tree)).resolves.toBeUndefined();
}

function changedParent(
  tree: RatchetTree,
  index: number,
  change: (parent: ParentNode) => Partial<ParentNode>,
): RatchetTree {
  const parent = parentAt(tree, index);
  if (!parent) throw new Error(`node ${index} is blank`);
  return withParent(tree, index, { ...parent, ...change(parent) });
}

describe("a tree from outside", () => {
  it("is taken with blank nodes and unmerged leaves, and reads back as it was written", async () => {
    const by = await grown();
    const { tree } = by.state;
    expect(membersOf(tree).map(({ leafIndex }) => leafIndex)).toEqual([0, 1, 2, 3, 4]);
    expect(parentAt(tree, 7)?.unmergedLeaves).toEqual([3]);
    await check(by, tree);
    const again = decodeRatchetTree(by.suite, encodeRatchetTree(tree));
    expect(rootHash(by.suite, again)).toEqual(rootHash(by.suite, tree));
    await check(by, again);
  });

  it("is the one of the group context", async () => {
    const by = await grown();
    const { groupContext, tree } = by.state;
    const other = removeLeaf(tree, 4);
    await expect(validateTree(by.suite, other, groupContext)).rejects.toMatchObject({
      code: "tree-hash",
    });
    await expect(validateTree(by.suite, tree, groupContext)).resolves.toBeUndefined();
  });

  describe("§12.4.3.1 lists as unmerged", () => {
    it.each([
      ["leaves in another order", [4, 3]],
      ["a leaf twice", [3, 3]],
      ["a blank leaf", [3, 5]],
      ["a leaf beyond the tree", [3, 8]],
      ["a leaf far beyond the tree", [3, 2 ** 32 - 1]],
    ])("%s: refused", async (_, unmergedLeaves) => {
      const by = await grown();
      const bad = changedParent(by.state.tree, 7, () => ({ unmergedLeaves }));
      await expect(check(by, bad)).rejects.toMatchObject({
        code: expect.stringMatching(/^(unmerged-leaves|parent-hash)$/),
      });
    });

    it("a leaf that a node between does not list: refused", async () => {
      const by = await grown();
      const { tree } = by.state;
      const between = [3, 5].find((index) => parentAt(tree, index));
      if (between === undefined) throw new Error("no node between");
      const bad = changedParent(tree, between, () => ({ unmergedLeaves: [] }));
      await expect(check(by, bad)).rejects.toMatchObject({ name: "MlsError" });
    });
  });

  describe("§7.9.2 has parents that someone below vouches for", () => {
    it.each(["parentHash", "encryptionKey"] as const)("another %s: refused", async (field) => {
      const by = await grown();
      const bad = changedParent(by.state.tree, 7, (parent) => ({
        [field]: parent[field].length > 0 ? parent[field].map((byte) => byte ^ 1) : utf8("x"),
      }));
      await refused(by, bad, "parent-hash");
    });

    it("an emptied parent hash in a leaf: refused", async () => {
      const by = await grown();
      const { tree, groupContext } = by.state;
      const leaf = leafAt(tree, 0);
      if (!leaf) throw new Error("alice");
      const emptied = await signLeafNode(
        { ...leaf, source: { leafNodeSource: "commit", parentHash: utf8("") } },
        by.person.signer,
        { groupId: groupContext.groupId, leafIndex: 0 },
      );
      await refused(by, withLeaf(tree, 0, emptied), "parent-hash");
    });

    it("a parent that nobody wrote: refused", async () => {
      const by = await grown();
      const blank = [1, 3, 5, 9, 11].find((index) => !parentAt(by.state.tree, index));
      if (blank === undefined) throw new Error("no blank node");
      const encryptionKey = by.suite.provider.random(32);
      const made = { encryptionKey, parentHash: utf8(""), unmergedLeaves: [] };
      await refused(by, withParent(by.state.tree, blank, made), "parent-hash");
    });

    it("a member who is under a parent's key and whom the parent does not list: refused", async () => {
      const by = await grown();
      const bad = changedParent(by.state.tree, 7, () => ({ unmergedLeaves: [] }));
      await refused(by, bad, "parent-hash");
    });
  });

  it("§7.3 shows each key once", async () => {
    const by = await grown();
    const { tree } = by.state;
    const [two, four] = [leafAt(tree, 3), leafAt(tree, 4)];
    if (!two || !four) throw new Error("two leaves");
    await refused(
      by,
      withLeaf(tree, 3, { ...two, signatureKey: four.signatureKey }),
      "leaf-key-reused",
    );
    await refused(
      by,
      withLeaf(tree, 3, { ...two, encryptionKey: four.encryptionKey }),
      "leaf-key-reused",
    );
    const key = parentAt(tree, 7)?.encryptionKey ?? utf8("");
    await refused(by, withLeaf(tree, 3, { ...two, encryptionKey: key }), "leaf-key-reused");
  });

  it("§7.3 holds no leaf of another place or group", async () => {
    const by = await grown();
    const mover = await person("mover");
    const { leafNode } = await forgeKeyPackage(mover);
    // Leaf 3 is unmerged in all that is above it, so that another one may stand there.
    const at = async (groupId: string, leafIndex: number) => {
      const content = { ...leafNode, source: { leafNodeSource: "update" } } as const;
      const position = { groupId: utf8(groupId), leafIndex };
      return withLeaf(by.state.tree, 3, await signLeafNode(content, mover.signer, position));
    };
    await check(by, await at("room", 3));
    await refused(by, await at("room", 4), "leaf-signature");
    await refused(by, await at("hall", 3), "leaf-signature");
  });

  it("§7.7 is no larger than it must be", async () => {
    const by = await grown();
    const { tree } = by.state;
    const empty = [5, 6, 7, 4].reduce((now, leaf) => withLeaf(now, leaf, undefined), tree);
    const bad = [7, 9, 11, 13].reduce((now, index) => withParent(now, index, undefined), empty);
    await refused(by, bad, "tree-shape");
    const { tree: small } = by.state;
    const cut = removeLeaf(small, 4);
    expect([small.leafCount, cut.leafCount]).toEqual([8, 4]);
    await check(by, cut);
  });
});

describe("§12.4.3.3 an encoded tree", () => {
  const Nodes = vector(optional(Node));

  it("ends with a node that is not blank", async () => {
    const by = await grown();
    const encoded = encodeRatchetTree(by.state.tree);
    const nodes = decode(Nodes, encoded);
    expect(nodes.at(-1)).toBeDefined();
    for (const bad of [[...nodes, undefined], [undefined], []]) {
      expect(() => decodeRatchetTree(by.suite, encode(Nodes, bad))).toThrow(
        expect.objectContaining({ code: "tree-shape" }),
      );
    }
  });

  it("has a bounded number of leaves, since blank ones cost nothing to write", async () => {
    const by = await grown();
    const [leaf] = decode(Nodes, encodeRatchetTree(by.state.tree));
    const far = Array.from({ length: 2 ** 18 }, () => undefined);
    expect(() => decodeRatchetTree(by.suite, encode(Nodes, [...far, leaf]))).toThrow(
      expect.objectContaining({ code: "tree-shape" }),
    );
  });

  it("has leaves at even indices and parents at odd ones", async () => {
    const by = await grown();
    const nodes = decode(Nodes, encodeRatchetTree(by.state.tree));
    for (const bad of [nodes.slice(1), [nodes[7], ...nodes.slice(1)]]) {
      expect(() => decodeRatchetTree(by.suite, encode(Nodes, bad))).toThrow(
        expect.objectContaining({ code: "tree-shape" }),
      );
    }
  });
});

describe("§7.7 members who come and go", () => {
  async function treeOfMembers(count: number): Promise<{ tree: RatchetTree; who: Person }> {
    const who = await person("founder");
    await found(who);
    let { tree } = (await inside(who)).state;
    for (let i = 1; i < count; i++) {
      ({ tree } = addLeaf(tree, (await forgeKeyPackage(await person(`${i}`))).leafNode));
    }
    return { tree, who };
  }

  it.each([
    [1, 1],
    [2, 2],
    [3, 4],
    [4, 4],
    [5, 8],
    [8, 8],
    [9, 16],
  ])("%i of them stand over %i leaves, which go as they go", async (count, leafCount) => {
    const { tree } = await treeOfMembers(count);
    expect(tree.leafCount).toBe(leafCount);
    let less = tree;
    for (let leaf = count - 1; leaf > 0; leaf--) {
      less = removeLeaf(less, leaf);
      expect(less.leafCount).toBe(2 ** Math.ceil(Math.log2(leaf)));
    }
    expect(tree.leafCount).toBe(leafCount);
    expect(membersOf(tree)).toHaveLength(count);
  });

  it("take the leftmost blank leaf, and are listed as unmerged in order", async () => {
    const { tree } = await treeOfMembers(8);
    const parent = { encryptionKey: utf8("key"), parentHash: utf8(""), unmergedLeaves: [6] };
    const holes = [5, 2].reduce(removeLeaf, tree);
    const withRoot = withParent(holes, 7, parent);
    const { leafNode } = await forgeKeyPackage(await person("new"));
    const first = addLeaf(withRoot, leafNode);
    const second = addLeaf(first.tree, leafNode);
    expect([first.leafIndex, second.leafIndex]).toEqual([2, 5]);
    expect(parentAt(second.tree, 7)?.unmergedLeaves).toEqual([2, 5, 6]);
    expect(resolution(second.tree.root)).toEqual([7, 4, 10, 12]);
    expect(parentAt(removeLeaf(second.tree, 5), 7)).toBeUndefined();
  });
});
