/** §4, §7, §12.4.3: the ratchet tree, as it comes from outside and as members come and go. */

import { joinGroup } from "@conclave/mls";
import { type Bytes, decode, encode, optional, vector } from "@conclave/mls/codec";
import { expect } from "vitest";
import { signLeafNode } from "../../src/tree/leaf-node.ts";
import {
  addLeaf,
  decodeRatchetTree,
  encodeRatchetTree,
  isSubtree,
  leafAt,
  membersOf,
  Node,
  type ParentNode,
  parentAt,
  type RatchetTree,
  removeLeaf,
  resolution,
  type Subtree,
  treeFromNodes,
  withLeaf,
  withParent,
} from "../../src/tree/ratchet-tree.ts";
import { parentHash, rootHash, treeHash } from "../../src/tree/tree-hash.ts";
import { validateTree } from "../../src/tree/tree-validation.ts";
import { forgeKeyPackage, type Inside, inside } from "../forge.ts";
import { add, addProposal, found, joinByLink, person, persons, room, utf8 } from "../people.ts";
import { accepts, refuses, rule } from "./rule.ts";

const Nodes = vector(optional(Node));

/**
 * Eight leaves: alice, bob, carol, dave, eve at 0 to 4; the rest blank. All wrote a path but dave, who came last and is
 * unmerged at the parents above him: node 3 and the root.
 */
async function grow(): Promise<Inside> {
  const [alice, bob, carol, dave, eve, frank] = await persons([
    "alice",
    "bob",
    "carol",
    "dave",
    "eve",
    "frank",
  ]);
  if (!alice || !bob || !carol || !dave || !eve || !frank) throw new Error("six people");
  const { groups } = await room([alice, bob, carol]);
  const [a, b, c] = groups;
  if (!a || !b || !c) throw new Error("three");
  const f = await joinByLink(frank, a, [b, c]);
  const [e] = await add(a, [eve], [b, c, f], { forcePath: true });
  if (!e) throw new Error("eve");
  const commits = async (committer: typeof a, options: Parameters<typeof a.commit>[0] = {}) => {
    const { commit } = await committer.commit(options);
    for (const group of [a, b, c, f, e]) {
      if (group.status === "active") await group.receive(commit);
    }
  };
  for (const committer of [c, b, e]) await commits(committer);
  // Frank, at leaf 3, goes, and dave comes there without a path.
  await commits(a, { proposals: [{ proposalType: "remove", removed: 3 }] });
  await commits(c);
  await commits(a);
  await add(a, [dave], [b, c, e]);
  return inside(alice);
}

let once: Promise<Inside> | undefined;
/** It is only looked at, so one serves for all. */
function grown(): Promise<Inside> {
  once ??= grow();
  return once;
}

/** As a joiner checks it, whatever hash it has. */
async function check(by: Inside, tree: RatchetTree): Promise<void> {
  const hash = rootHash(by.suite, tree);
  await validateTree(by.suite, tree, { ...by.state.groupContext, treeHash: hash });
}

async function checkChanged(
  index: number,
  change: (parent: ParentNode, by: Inside) => Partial<ParentNode>,
): Promise<void> {
  const by = await grown();
  const parent = parentOf(by.state.tree, index);
  await check(by, withParent(by.state.tree, index, { ...parent, ...change(parent, by) }));
}

function parentOf(tree: RatchetTree, index: number): ParentNode {
  const parent = parentAt(tree, index);
  if (!parent) throw new Error(`node ${index} is blank`);
  return parent;
}

function subtreeAt(tree: RatchetTree, index: number): Subtree {
  let node = tree.root;
  while (isSubtree(node) && node.index !== index) {
    node = index < node.index ? node.left : node.right;
  }
  if (!isSubtree(node)) throw new Error(`node ${index} is a leaf`);
  return node;
}

async function nodesOf(by: Inside): Promise<readonly (Node | undefined)[]> {
  return decode(Nodes, encodeRatchetTree(by.state.tree));
}

/** The tree of a founder with as many others as make `count`. */
async function treeOfMembers(count: number): Promise<RatchetTree> {
  const who = await person("founder");
  await found(who);
  let { tree } = (await inside(who)).state;
  for (let i = 1; i < count; i++) {
    ({ tree } = addLeaf(tree, (await forgeKeyPackage(await person(`${i}`))).leafNode));
  }
  return tree;
}

/** Alice's tree with a leaf that carries another parent hash. */
async function withCarried(by: Inside, carried: Bytes): Promise<RatchetTree> {
  const { tree, groupContext } = by.state;
  const leaf = leafAt(tree, 0);
  if (!leaf) throw new Error("alice");
  const resigned = await signLeafNode(
    { ...leaf, source: { leafNodeSource: "commit", parentHash: carried } },
    by.person.signer,
    { groupId: groupContext.groupId, leafIndex: 0 },
  );
  return withLeaf(tree, 0, resigned);
}

rule("T01", () => {
  accepts("a tree that ends with a member", async () => {
    const by = await grown();
    const nodes = await nodesOf(by);
    expect(nodes.at(-1)?.nodeType).toBe("leaf");
    await check(by, await decodeRatchetTree(encode(Nodes, nodes)));
  });
  for (const [title, bad] of [
    ["a blank node behind", (nodes: readonly (Node | undefined)[]) => [...nodes, undefined]],
    ["a blank node alone", () => [undefined]],
    ["no node", () => []],
  ] as const) {
    refuses(title, "tree-shape §12.4.3.3", async () => {
      const by = await grown();
      await decodeRatchetTree(encode(Nodes, bad(await nodesOf(by))));
    });
  }
});

rule("T02", () => {
  accepts("nine nodes: they stand in a tree of eight leaves", async () => {
    const by = await grown();
    const nodes = await nodesOf(by);
    expect(nodes).toHaveLength(9);
    const tree = await decodeRatchetTree(encode(Nodes, nodes));
    expect([tree.leafCount, tree.root.index]).toEqual([8, 7]);
    expect(rootHash(by.suite, tree)).toEqual(by.state.groupContext.treeHash);
  });
  refuses(
    "more leaves than a group may have, which cost a byte each",
    "tree-shape §12.4.3.3",
    async () => {
      const by = await grown();
      const [leaf] = await nodesOf(by);
      const far = Array.from({ length: 2 ** 18 }, () => undefined);
      await decodeRatchetTree(encode(Nodes, [...far, leaf]));
    },
  );
});

rule("T03", () => {
  accepts("leaves at even places", async () => {
    const by = await grown();
    await decodeRatchetTree(encode(Nodes, await nodesOf(by)));
  });
  refuses("a leaf at an odd place", "tree-shape §12.4.3.3", async () => {
    const by = await grown();
    await decodeRatchetTree(encode(Nodes, (await nodesOf(by)).slice(1)));
  });
  refuses("a parent at an even place", "tree-shape §12.4.3.3", async () => {
    const by = await grown();
    const nodes = await nodesOf(by);
    await decodeRatchetTree(encode(Nodes, [nodes[7], ...nodes.slice(1)]));
  });
});

rule("T04", () => {
  const joining = async (swapped: boolean): Promise<void> => {
    const [alice, bob, eve] = await persons(["alice", "bob", "eve"]);
    if (!alice || !bob || !eve) throw new Error("three people");
    const group = await found(alice);
    const elsewhere = await found(eve, { groupId: "elsewhere" });
    const tree = () => (swapped ? elsewhere : group).ratchetTree();
    const { commit, welcome } = await group.commit({ proposals: [await addProposal(bob)] });
    await group.receive(commit);
    if (!welcome) throw new Error("no welcome");
    await joinGroup(bob.context, { welcome, ratchetTree: tree(), signer: bob.signer });
  };
  accepts("the group's own, beside the Welcome", () => joining(false));
  refuses("another group's, beside the Welcome", "group-info-signature §12.4.3", () =>
    joining(true),
  );
  refuses("one without a member", "tree-hash §12.4.3.1", async () => {
    const by = await grown();
    const { tree, groupContext } = by.state;
    await validateTree(by.suite, removeLeaf(tree, 4), groupContext);
  });
});

rule("T05", () => {
  accepts("the tree of a group that has changed for a while", async () => {
    const by = await grown();
    const { tree } = by.state;
    expect(membersOf(tree).map(({ leafIndex }) => leafIndex)).toEqual([0, 1, 2, 3, 4]);
    expect([3, 7].map((index) => parentOf(tree, index).unmergedLeaves)).toEqual([[3], [3]]);
    await check(by, tree);
  });
  refuses("a parent that nobody wrote", "parent-hash §7.9.2", async () => {
    const by = await grown();
    const { tree } = by.state;
    const blank = [9, 11, 13].find((index) => !parentAt(tree, index));
    if (blank === undefined) throw new Error("no blank node");
    const encryptionKey = by.suite.provider.random(32);
    const made = { encryptionKey, parentHash: utf8(""), unmergedLeaves: [] };
    await check(by, withParent(tree, blank, made));
  });
  refuses("the root with another encryption key", "parent-hash §7.9.2", () =>
    checkChanged(7, (_, by) => ({ encryptionKey: by.suite.provider.random(32) })),
  );
});

rule("T06", () => {
  accepts("a leaf below its parent", async () => {
    const by = await grown();
    await check(by, by.state.tree);
  });
  refuses("the parent hash carried by a leaf elsewhere", "parent-hash §7.9.2", async () => {
    // What alice's leaf carries moves to dave's, who stands on the other side of her parent.
    const by = await grown();
    const { tree } = by.state;
    const source = leafAt(tree, 0)?.source;
    if (source?.leafNodeSource !== "commit") throw new Error("alice wrote a path");
    const dave = await person("another dave");
    const { leafNode } = await forgeKeyPackage(dave);
    const moved = await signLeafNode({ ...leafNode, source }, dave.signer, {
      groupId: by.state.groupContext.groupId,
      leafIndex: 3,
    });
    const emptied = await withCarried(by, by.suite.provider.random(by.suite.nh));
    await check(by, withLeaf(emptied, 3, moved));
  });
});

rule("T07", () => {
  accepts("the parent hash over the sibling as it was", async () => {
    const by = await grown();
    const { tree } = by.state;
    const node = subtreeAt(tree, 7);
    // Dave came after the root was written, so what alice's side carries is over a right side without him.
    const due = parentHash(by.suite, parentOf(tree, 7), node.right);
    expect(parentOf(tree, 3).parentHash).toEqual(due);
  });
  refuses("a changed parent hash in the parent", "parent-hash §7.9.2", () =>
    checkChanged(3, (parent) => ({ parentHash: parent.parentHash.map((byte) => byte ^ 1) })),
  );
  refuses("a changed parent hash in the leaf", "parent-hash §7.9.2", async () => {
    const by = await grown();
    await check(by, await withCarried(by, by.suite.provider.random(by.suite.nh)));
  });
});

rule("T08", () => {
  accepts("a parent whose later members are listed", async () => {
    const by = await grown();
    expect(resolution(subtreeAt(by.state.tree, 3))).toEqual([3, 6]);
    await check(by, by.state.tree);
  });
  refuses("a member under the root's key whom the root does not list", "parent-hash §7.9.2", () =>
    checkChanged(7, () => ({ unmergedLeaves: [] })),
  );
  refuses("a member listed who was there when it was written", "parent-hash §7.9.2", () =>
    checkChanged(7, () => ({ unmergedLeaves: [3, 4] })),
  );
});

rule("T09", () => {
  accepts("each parent of the direct path of the last committer", async () => {
    const by = await grown();
    await check(by, by.state.tree);
  });
  refuses("two parents that would share one leaf's parent hash", "parent-hash §7.9.2", async () => {
    // A second parent, at a blank place above eve, with what her own path says of the root.
    const by = await grown();
    const { tree } = by.state;
    const second = { ...parentOf(tree, 3), encryptionKey: by.suite.provider.random(32) };
    await check(by, withParent(tree, 11, { ...second, unmergedLeaves: [] }));
  });
});

rule("T10", () => {
  accepts("an empty parent hash at the root", async () => {
    const by = await grown();
    expect(parentOf(by.state.tree, 7).parentHash).toHaveLength(0);
    await check(by, by.state.tree);
  });
  refuses("an emptied parent hash in a leaf", "parent-hash §7.9.2", async () => {
    const by = await grown();
    await check(by, await withCarried(by, utf8("")));
  });
  refuses("an emptied parent hash in a parent", "parent-hash §7.9.2", () =>
    checkChanged(3, () => ({ parentHash: utf8("") })),
  );
});

rule("T11", () => {
  /** Blank nodes over carol's side, with dave, who came later, below them. */
  const withBlankAncestor = async (): Promise<Inside> => {
    const people = await persons([
      "alice",
      "bob",
      "carol",
      "dave",
      "eve",
      "frank",
      "grace",
      "heidi",
    ]);
    const [alice, ...others] = people;
    const heidi = others.pop();
    if (!alice || !heidi) throw new Error("eight people");
    const { groups } = await room([alice, ...others]);
    const [a, b] = groups;
    if (!a || !b) throw new Error("two groups");
    // Frank, at 5, goes: nodes 9, 11 and 7 are blank. Alice writes the root over that; then heidi comes below it.
    for (const options of [
      { proposals: [{ proposalType: "remove", removed: 5 } as const] },
      { forcePath: true },
    ]) {
      const { commit } = await a.commit(options);
      for (const group of groups) if (group.status === "active") await group.receive(commit);
    }
    await add(
      a,
      [heidi],
      groups.filter((group) => group !== a && group.status === "active"),
    );
    return inside(alice);
  };
  accepts("a member who came below a blank node of the sibling's", async () => {
    const by = await withBlankAncestor();
    const { tree } = by.state;
    expect(parentAt(tree, 9)).toBeUndefined();
    expect(parentOf(tree, 7).unmergedLeaves).toEqual([5]);
    await check(by, tree);
  });
  refuses(
    "the same where the root does not tell of the newcomer",
    "parent-hash §7.9.2",
    async () => {
      const by = await withBlankAncestor();
      const root = parentOf(by.state.tree, 7);
      await check(by, withParent(by.state.tree, 7, { ...root, unmergedLeaves: [] }));
    },
  );
});

/** The root, or node 3, lists these as unmerged. */
function listing(title: string, unmergedLeaves: readonly number[], index = 7): void {
  refuses(title, "unmerged-leaves §12.4.3.1", () =>
    checkChanged(index, () => ({ unmergedLeaves })),
  );
}

function acceptsHonestLists(): void {
  accepts("the lists of an honest tree", async () => {
    const by = await grown();
    await check(by, by.state.tree);
  });
}

rule("T12", () => {
  acceptsHonestLists();
  listing("a blank leaf", [3, 5]);
  listing("a leaf of another subtree", [3, 4], 3);
});

rule("T14", () => {
  acceptsHonestLists();
  listing("leaves in another order", [4, 3]);
  listing("a leaf twice", [3, 3]);
});

rule("T15", () => {
  acceptsHonestLists();
  listing("a leaf beyond the tree", [3, 8]);
  listing("the last number there is", [3, 2 ** 32 - 1]);
});

rule("T13", () => {
  accepts("a leaf that the nodes between list", async () => {
    const by = await grown();
    expect(parentOf(by.state.tree, 3).unmergedLeaves).toEqual([3]);
    await check(by, by.state.tree);
  });
  refuses("a leaf that a node between does not list", "unmerged-leaves §12.4.3.1", () =>
    checkChanged(3, () => ({ unmergedLeaves: [] })),
  );
});

rule("T16", () => {
  accepts("keys that differ", async () => {
    const by = await grown();
    await check(by, by.state.tree);
  });
  refuses("a leaf with the encryption key of a parent", "leaf-key-reused §7.3", async () => {
    const by = await grown();
    const { tree } = by.state;
    const dave = leafAt(tree, 3);
    if (!dave) throw new Error("dave");
    const { encryptionKey } = parentOf(tree, 7);
    await check(by, withLeaf(tree, 3, { ...dave, encryptionKey }));
  });
});

rule("T17", () => {
  const full = async (): Promise<RatchetTree> => {
    const parent = { encryptionKey: utf8("key"), parentHash: utf8(""), unmergedLeaves: [6] };
    const holes = [5, 2].reduce(removeLeaf, await treeOfMembers(8));
    return withParent(holes, 7, parent);
  };
  accepts("two Adds into a tree with holes", async () => {
    const { leafNode } = await forgeKeyPackage(await person("new"));
    const first = addLeaf(await full(), leafNode);
    const second = addLeaf(first.tree, leafNode);
    expect([first.leafIndex, second.leafIndex]).toEqual([2, 5]);
    expect(parentAt(second.tree, 7)?.unmergedLeaves).toEqual([2, 5, 6]);
  });
  refuses("an Add to a tree that is as large as one may be", "tree-shape §7.7", async () => {
    const { leafNode } = await forgeKeyPackage(await person("new"));
    const small = await treeOfMembers(1);
    addLeaf({ ...small, leafCount: 2 ** 17, root: { ...small.root, members: 2 ** 17 } }, leafNode);
  });
});

rule("T18", () => {
  accepts("a Remove: the path is blank, the empty half is gone", async () => {
    const by = await grown();
    const cut = removeLeaf(by.state.tree, 4);
    expect([by.state.tree.leafCount, cut.leafCount]).toEqual([8, 4]);
    expect(parentAt(removeLeaf(by.state.tree, 3), 7)).toBeUndefined();
    await check(by, cut);
  });
  refuses("a tree that was not cut", "tree-shape §7.7", async () => {
    const by = await grown();
    const without = withLeaf(by.state.tree, 4, undefined);
    const blank = [7, 9, 11, 13].reduce((now, index) => withParent(now, index, undefined), without);
    await check(by, blank);
  });
});

rule("T19", () => {
  accepts("a parent, then its unmerged leaves, from left to right", async () => {
    const by = await grown();
    expect(resolution(by.state.tree.root)).toEqual([7, 6]);
    expect(resolution(subtreeAt(removeLeaf(by.state.tree, 0), 7).left)).toEqual([2, 4, 6]);
  });
  refuses("one where an unmerged leaf is left out", "unmerged-leaves §12.4.3.1", () =>
    checkChanged(3, () => ({ unmergedLeaves: [] })),
  );
});

rule("T20", () => {
  accepts("a group of one", async () => {
    const alice = await person("alice");
    await found(alice);
    const by = await inside(alice);
    expect([by.state.tree.leafCount, by.state.tree.root.level]).toEqual([1, 0]);
    await check(by, await decodeRatchetTree(encodeRatchetTree(by.state.tree)));
  });
  refuses("a parent in a tree of one leaf", "tree-shape §12.4.3.3", async () => {
    const by = await grown();
    const parentNode = parentOf(by.state.tree, 7);
    await treeFromNodes([[0, encode(Node, { nodeType: "parent", parentNode })]]);
  });
});

rule("T21", () => {
  for (const [count, leafCount] of [
    [2, 2],
    [3, 4],
    [4, 4],
    [5, 8],
    [8, 8],
    [9, 16],
  ] as const) {
    accepts(`${count} members over ${leafCount} leaves, which go as they go`, async () => {
      const tree = await treeOfMembers(count);
      expect(tree.leafCount).toBe(leafCount);
      let less = tree;
      for (let leaf = count - 1; leaf > 0; leaf--) {
        less = removeLeaf(less, leaf);
        expect(less.leafCount).toBe(2 ** Math.ceil(Math.log2(leaf)));
      }
      expect(membersOf(tree)).toHaveLength(count);
    });
  }
  refuses("five members over sixteen leaves", "tree-shape §7.7", async () => {
    const by = await grown();
    const { tree } = by.state;
    const [ninth] = membersOf(tree);
    if (!ninth) throw new Error("nobody");
    const doubled = addLeaf(
      { ...tree, root: { ...tree.root, members: tree.leafCount } },
      ninth.leafNode,
    );
    await check(by, withLeaf(doubled.tree, doubled.leafIndex, undefined));
  });
});

rule("T22", () => {
  accepts("a blank root, whose hash and resolution come from below", async () => {
    const by = await grown();
    const blank = removeLeaf(by.state.tree, 1);
    expect(parentAt(blank, 7)).toBeUndefined();
    expect(resolution(blank.root)).toEqual([0, 4, 6, 8]);
    expect(treeHash(by.suite, blank.root)).toHaveLength(by.suite.nh);
    await check(by, blank);
  });
  refuses("a blank root over an empty half", "tree-shape §7.7", async () => {
    const by = await grown();
    const blank = withParent(withLeaf(by.state.tree, 4, undefined), 7, undefined);
    await check(by, blank);
  });
});
