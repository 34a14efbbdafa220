/** §7.3, §7.7, §7.9.2, §12.4.3.1: trees from outside. Each broken tree has the tree hash that its group context names. */

import { type MlsErrorCode, signerOf } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { describe, expect, it } from "vitest";
import { suiteOf } from "../../src/crypto/suite.ts";
import { MLS10 } from "../../src/registry.ts";
import { type LeafNode, signLeafNode } from "../../src/tree/leaf-node.ts";
import {
  addLeaves,
  leafAt,
  MANY,
  parentAt,
  type RatchetTree,
  treeOf,
  withLeaf,
  withParent,
} from "../../src/tree/ratchet-tree.ts";
import { rootHash } from "../../src/tree/tree-hash.ts";
import { validateTree } from "../../src/tree/tree-validation.ts";
import { forgeKeyPackage, type Inside, inside } from "../forge.ts";
import { add, joinByLink, person, persons, room, utf8 } from "../people.ts";

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

describe("a tree from outside", () => {
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
    const root = parentAt(tree, 7);
    const { encryptionKey } = root ?? four;
    await refused(by, withLeaf(tree, 3, { ...two, encryptionKey }), "leaf-key-reused");
    const other = parentAt(tree, 3);
    if (!root || !other) throw new Error("two parents");
    await refused(by, withParent(tree, 3, { ...other, encryptionKey }), "leaf-key-reused");
  });

  /** Another leaf in place 3, signed for some place: what is there is unmerged in all above it. */
  async function replaced(change: Partial<LeafNode> = {}, groupId = "room", leafIndex = 3) {
    const by = await grown();
    const mover = await person("mover");
    const { leafNode } = await forgeKeyPackage(mover);
    const content = { ...leafNode, source: { leafNodeSource: "update" }, ...change } as const;
    const position = { groupId: utf8(groupId), leafIndex };
    const signedLeaf = await signLeafNode(content, mover.signer, position);
    return { by, tree: withLeaf(by.state.tree, 3, signedLeaf) };
  }

  it("§7.3 holds no leaf of another place or group", async () => {
    const here = await replaced();
    await check(here.by, here.tree);
    const elsewhere = await replaced({}, "room", 4);
    await refused(elsewhere.by, elsewhere.tree, "leaf-signature");
    const other = await replaced({}, "hall");
    await refused(other.by, other.tree, "leaf-signature");
  });

  it("§7.3 holds no leaf with what it does not list itself", async () => {
    const extension = { extensionType: 0xf0_01, extensionData: utf8("") };
    const { by, tree } = await replaced({ extensions: [extension] });
    await refused(by, tree, "leaf-extensions");
    const twice = await replaced({ extensions: [extension, extension] });
    await refused(twice.by, twice.tree, "duplicate-extension");
  });
});

describe("a tree of more leaves than are checked at once", () => {
  const suite = suiteOf(nodeCrypto, 3);
  const flipped = (leaf: LeafNode) => {
    const signature = Uint8Array.from(leaf.signature);
    signature[9] = (signature[9] ?? 0) ^ 1;
    return { ...leaf, signature };
  };
  const unlisted = { extensionType: 0xf0_01, extensionData: utf8("") };

  async function leaves(): Promise<LeafNode[]> {
    const one = await person("one");
    const { leafNode } = await forgeKeyPackage(one);
    return Promise.all(
      Array.from({ length: 2 * MANY + 9 }, async () => {
        const { publicKey, privateKey } = await nodeCrypto.generateSignatureKeyPair(
          suite.signature,
        );
        const signer = signerOf(nodeCrypto, suite.signature, { publicKey, privateKey });
        const encryptionKey = nodeCrypto.random(32);
        return signLeafNode({ ...leafNode, encryptionKey, signatureKey: publicKey }, signer);
      }),
    );
  }

  async function validate([first, ...others]: readonly LeafNode[]): Promise<void> {
    if (!first) throw new Error("no leaf");
    const { tree } = addLeaves(treeOf(first), others);
    await validateTree(suite, tree, {
      version: MLS10,
      cipherSuite: suite.number,
      groupId: utf8("room"),
      epoch: 0n,
      treeHash: rootHash(suite, tree),
      confirmedTranscriptHash: utf8(""),
      extensions: [],
    });
  }

  it("§7.3 is taken, and refused for the signature of any of them", async () => {
    const all = await leaves();
    await validate(all);
    for (const at of [0, MANY - 1, MANY, 2 * MANY - 1, 2 * MANY, 2 * MANY + 8]) {
      const broken = all.map((leaf, i) => (i === at ? flipped(leaf) : leaf));
      await expect(validate(broken)).rejects.toMatchObject({ code: "leaf-signature" });
    }
    // Two at once, of which one is found while the other is still being verified: the other's failure is nobody's.
    const both = all.map((leaf, i) => {
      if (i === 3) return flipped(leaf);
      return i === MANY + 3 ? { ...leaf, extensions: [unlisted] } : leaf;
    });
    await expect(validate(both)).rejects.toMatchObject({ name: "MlsError" });
  });
});
