/** §7.5, §7.6, §12.4: what a path carries, and for whom. Mallory, at leaf 3, has all the keys of a member and keeps to no rule. */

import type { Bytes } from "@conclave/mls/codec";
import { expect } from "vitest";
import { generateKeyPair } from "../../src/crypto/hpke.ts";
import type { Suite } from "../../src/crypto/suite.ts";
import { decodeMessageOf } from "../../src/framing/message.ts";
import { groupKeys } from "../../src/group/stored-group.ts";
import { encryptionKeyAt } from "../../src/tree/ratchet-tree.ts";
import type { UpdatePath, UpdatePathNode } from "../../src/tree/update-path.ts";
import { type ForgedCommit, forgeCommit, heldKeys, type Inside, inside } from "../forge.ts";
import {
  add,
  addProposal,
  expectAccepted,
  hex,
  joinByLink,
  person,
  persons,
  type Room,
  reload,
  room,
  utf8,
} from "../people.ts";
import { accepts, refusedByAll, refuses, rule } from "./rule.ts";

interface Stage {
  readonly where: Room;
  readonly mallory: Inside;
}

async function stage(): Promise<Stage> {
  const where = await room(await persons(["alice", "bob", "carol", "mallory"]));
  return { where, mallory: await inside(where.at(3).person) };
}

type Forged = ForgedCommit | ((stage: Stage) => ForgedCommit | Promise<ForgedCommit>);

async function accepted(forged: Forged = {}): Promise<void> {
  const on = await stage();
  const options = typeof forged === "function" ? await forged(on) : forged;
  await expectAccepted(on.where, 3, await forgeCommit(on.mallory, options));
}

async function refused(forged: Forged, options: { readonly membersOnly?: boolean } = {}) {
  const on = await stage();
  const how = typeof forged === "function" ? await forged(on) : forged;
  await refusedByAll(on.where, 3, await forgeCommit(on.mallory, how), options);
}

/** The path with one of its nodes changed, counted from below. */
function changedNode(
  at: number,
  change: (node: UpdatePathNode) => Partial<UpdatePathNode>,
): ForgedCommit {
  const path = (made: UpdatePath): UpdatePath => ({
    ...made,
    nodes: made.nodes.map((node, i) => (i === at ? { ...node, ...change(node) } : node)),
  });
  return { path };
}

/** A suite whose key pairs all show the same public key. */
function sameKeys(suite: Suite, publicKey: Bytes): Suite {
  return { ...suite, provider: { ...suite.provider, dhPublicKey: () => publicKey } };
}

/** A suite whose first two key pairs show the same public key: the nodes of a path of two, and not the leaf below them. */
function sameNodeKeys(suite: Suite, publicKey: Bytes): Suite {
  let made = 0;
  const dhPublicKey: Suite["provider"]["dhPublicKey"] = (...args) =>
    made++ < 2 ? publicKey : suite.provider.dhPublicKey(...args);
  return { ...suite, provider: { ...suite.provider, dhPublicKey } };
}

async function freshKey({ suite }: Inside): Promise<Bytes> {
  return (await generateKeyPair(suite)).publicKey;
}

/** An empty commit, taken by all members. */
async function commitAt({ groups }: Room, leafIndex: number): Promise<void> {
  const bundle = await groups[leafIndex]?.commit();
  if (bundle) for (const group of groups) await group.receive(bundle.commit);
}

function sealedCounts(commit: Bytes): number[] {
  const { content } = decodeMessageOf(commit, "mls_public_message").publicMessage.content;
  const path = content.contentType === "commit" ? content.commit.path : undefined;
  return path?.nodes.map(({ encryptedPathSecret }) => encryptedPathSecret.length) ?? [];
}

function agree(groups: Room["groups"]): void {
  expect(new Set(groups.map((group) => hex(group.epochAuthenticator))).size).toBe(1);
}

rule("U01", () => {
  accepts("a path of two nodes in a group of four", () => accepted());
  accepts("a shorter one where nobody stands below a copath node", async () => {
    const { where } = await stage();
    const { commit } = await where
      .at(0)
      .group.commit({ proposals: [{ proposalType: "remove", removed: 1 }] });
    expect(sealedCounts(commit)).toHaveLength(1);
    await expectAccepted(where, -1, commit);
  });
  refuses("a node less", "update-path §7.5", () =>
    refused({ path: (path) => ({ ...path, nodes: path.nodes.slice(1) }) }),
  );
  refuses("no node", "update-path §7.5", () =>
    refused({ path: (path) => ({ ...path, nodes: [] }) }),
  );
  refuses("a node more", "update-path §7.5", () =>
    refused(async ({ mallory }) => {
      const extra = { encryptionKey: await freshKey(mallory), encryptedPathSecret: [] };
      return { path: (path) => ({ ...path, nodes: [...path.nodes, extra] }) };
    }),
  );
});

rule("U02", () => {
  accepts("a ciphertext for each", () => accepted());
  refuses("a ciphertext less", "update-path §7.6", () =>
    refused(changedNode(1, () => ({ encryptedPathSecret: [] }))),
  );
  refuses("a ciphertext more", "update-path §7.6", () =>
    refused(
      changedNode(1, ({ encryptedPathSecret: sealed }) => ({
        encryptedPathSecret: [...sealed, ...sealed],
      })),
    ),
  );
});

rule("U03", () => {
  accepts("a path that leaves out whom the commit adds", async () => {
    const { where } = await stage();
    const dave = await person("dave");
    const { commit } = await where
      .at(0)
      .group.commit({ proposals: [await addProposal(dave)], forcePath: true });
    // Dave alone stands on the other side of the new root.
    expect(sealedCounts(commit)).toEqual([1, 2, 0]);
    await expectAccepted(where, -1, commit);
  });
  refuses("a path that is encrypted to whom the commit adds too", "update-path §7.6", () =>
    refused(async ({ mallory }) => {
      const proposals = [await addProposal(await person("dave"))];
      const sealed = { kemOutput: await freshKey(mallory), ciphertext: utf8("a secret") };
      return { proposals, ...changedNode(2, () => ({ encryptedPathSecret: [sealed] })) };
    }),
  );
});

rule("U04", () => {
  accepts("the next epoch and tree", () => accepted());
  for (const [title, change] of [
    ["another epoch", (c: { epoch: bigint }) => ({ epoch: c.epoch + 1n })],
    ["another tree", () => ({ treeHash: new Uint8Array(32) })],
    ["other extensions", () => ({ extensions: [{ extensionType: 1, extensionData: utf8("") }] })],
    ["another transcript", () => ({ confirmedTranscriptHash: utf8("other") })],
  ] as const) {
    refuses(title, "hpke-open §5.1.3", () =>
      refused(
        { encryptedUnder: (context) => ({ ...context, ...change(context) }) },
        { membersOnly: true },
      ),
    );
  }
});

rule("U05", () => {
  accepts("secrets that lead to the path's keys", () => accepted());
  refuses("a secret that opens and leads elsewhere", "path-secret §7.5", async () => {
    const { where, mallory } = await stage();
    const { suite } = mallory;
    // What is encrypted is another secret than the one that the path's keys come from.
    const provider = {
      ...suite.provider,
      seal: (...args: Parameters<typeof suite.provider.seal>) => {
        const [aead, key, nonce, aad, plaintext] = args;
        const swapped = plaintext.length === 32 ? new Uint8Array(32).fill(7) : plaintext;
        return suite.provider.seal(aead, key, nonce, aad, swapped);
      },
    };
    const bad = await forgeCommit({ ...mallory, suite: { ...suite, provider } });
    await refusedByAll(where, 3, bad, { membersOnly: true });
  });
});

rule("U06", () => {
  accepts("the parent hash of the path", () => accepted());
  refuses("none", "parent-hash §7.9.2", () =>
    refused({ leaf: () => ({ source: { leafNodeSource: "commit", parentHash: utf8("") } }) }),
  );
  refuses("another one", "parent-hash §7.9.2", () =>
    refused({
      leaf: () => ({ source: { leafNodeSource: "commit", parentHash: new Uint8Array(32) } }),
    }),
  );
  refuses("that of a path which was changed afterwards", "parent-hash §7.9.2", () =>
    refused(async ({ mallory }) => {
      const encryptionKey = await freshKey(mallory);
      return changedNode(1, () => ({ encryptionKey }));
    }),
  );
});

rule("U07", () => {
  accepts("new keys", () => accepted());
  for (const [title, index] of [
    ["the key of a parent, even one that the path replaces", 3],
    ["the key of a leaf", 0],
  ] as const) {
    refuses(title, "update-path §12.4.2", () =>
      refused(({ mallory }) => {
        const encryptionKey = encryptionKeyAt(mallory.state.tree, index);
        return changedNode(0, () => ({ encryptionKey }));
      }),
    );
  }
});

rule("U08", () => {
  accepts("keys that differ", () => accepted());
  refuses("one key for two nodes", "leaf-key-reused §7.3", () =>
    refused(async ({ mallory }) => ({
      pathSuite: sameKeys(mallory.suite, await freshKey(mallory)),
    })),
  );
  refuses("one key for two nodes, and another for the leaf", "leaf-key-reused §7.3", () =>
    refused(async ({ mallory }) => ({
      pathSuite: sameNodeKeys(mallory.suite, await freshKey(mallory)),
    })),
  );
});

rule("U09", () => {
  accepts("a commit: its receiver has the new keys, and none of the old", async () => {
    const { where } = await stage();
    const carol = where.at(2).person;
    await commitAt(where, 3);
    const held = async (): Promise<Map<number, string>> =>
      new Map([...(await heldKeys(carol))].map(([index, key]) => [index, hex(key.privateKey)]));
    const before = await held();
    await commitAt(where, 3);
    const after = await held();
    const { tree } = (await inside(carol)).state;
    expect([...after.keys()].sort((a, b) => a - b)).toEqual([3, 4, 5]);
    for (const index of [3, 5]) expect(after.get(index)).not.toBe(before.get(index));
    for (const [index, { publicKey }] of await heldKeys(carol)) {
      expect(hex(publicKey)).toBe(hex(encryptionKeyAt(tree, index)));
    }
  });
  refuses("a path secret where only the key from before is left", "path-secret §7.5", async () => {
    const { where } = await stage();
    const { person: carol, group } = where.at(2);
    const keyOfNode = groupKeys(group.groupId).key(5);
    await commitAt(where, 3);
    const old = await carol.storage.get(keyOfNode);
    if (!old) throw new Error("carol holds the key of node 5");
    await commitAt(where, 3);
    await carol.storage.apply({ put: new Map([[keyOfNode, old]]) });
    const again = await reload(carol, group);
    await again.receive((await where.at(0).group.commit()).commit);
  });
});

rule("U10", () => {
  accepts("members below blank nodes, after a Remove", async () => {
    const people = await persons(["alice", "bob", "carol", "dave", "eve", "frank"]);
    const { groups } = await room(people);
    const [a, b, c, d, , f] = groups;
    if (!a || !b || !c || !d || !f) throw new Error("six");
    const rest = [a, b, c, d, f];
    const { commit } = await a.commit({ proposals: [{ proposalType: "remove", removed: 4 }] });
    for (const group of groups) await group.receive(commit);
    for (const committer of [f, b, d]) {
      const again = await committer.commit();
      for (const group of rest) await group.receive(again.commit);
      agree(rest);
    }
  });
  refuses(
    "a secret for the members below, sealed to one key less",
    "update-path §7.6",
    async () => {
      // Bob goes: node 1 and the root are blank, and mallory's root secret is for alice's leaf alone.
      const where = await room(await persons(["alice", "bob", "carol", "mallory"]));
      await where
        .at(0)
        .group.commit({ proposals: [{ proposalType: "remove", removed: 1 }] })
        .then(({ commit }) => Promise.all(where.groups.map((group) => group.receive(commit))));
      const rest = { ...where, groups: where.groups.filter(({ status }) => status === "active") };
      const mallory = await inside(where.at(3).person);
      const bad = await forgeCommit(
        mallory,
        changedNode(1, () => ({ encryptedPathSecret: [] })),
      );
      await refusedByAll(rest, rest.groups.length - 1, bad, { membersOnly: true });
    },
  );
});

rule("U11", () => {
  const late = async () => {
    const [alice, bob, carol, dave, eve] = await persons(["alice", "bob", "carol", "dave", "eve"]);
    if (!alice || !bob || !carol || !dave || !eve) throw new Error("five people");
    const { groups } = await room([alice, bob, carol]);
    const [a, b, c] = groups;
    if (!a || !b || !c) throw new Error("three groups");
    // Dave comes below nodes that have keys; no path has told him.
    const [d] = await add(a, [dave], [b, c]);
    if (!d) throw new Error("dave joined");
    const e = await joinByLink(eve, a, [b, c, d]);
    return { all: [a, b, c, d, e], alice };
  };
  accepts("members who came without a path", async () => {
    const { all } = await late();
    for (const committer of [...all].reverse()) {
      const { commit } = await committer.commit();
      for (const group of all) await group.receive(commit);
      agree(all);
    }
  });
  refuses("no ciphertext for an unmerged leaf", "update-path §7.6", async () => {
    const { all, alice } = await late();
    const fewer = ({ encryptedPathSecret: sealed, ...node }: UpdatePathNode): UpdatePathNode => ({
      ...node,
      encryptedPathSecret: sealed.length > 1 ? [...sealed].slice(0, -1) : sealed,
    });
    const bad = await forgeCommit(await inside(alice), {
      path: (path) => ({ ...path, nodes: path.nodes.map(fewer) }),
    });
    const where = { ...(await stage()).where, groups: all };
    await refusedByAll(where, 0, bad, { membersOnly: true });
  });
});

rule("U12", () => {
  const garbage = (): ForgedCommit =>
    changedNode(0, (node) => ({
      encryptedPathSecret: [...node.encryptedPathSecret].map((sealed) => ({
        ...sealed,
        ciphertext: sealed.ciphertext.map((byte) => byte ^ 1),
      })),
    }));
  accepts("garbage for another member", async () => {
    const { where, mallory } = await stage();
    const bad = await forgeCommit(mallory, garbage());
    for (const leafIndex of [0, 1]) await where.at(leafIndex).group.receive(bad);
    agree([0, 1].map((leafIndex) => where.at(leafIndex).group));
  });
  refuses("garbage for oneself, and stays in the epoch", "hpke-open §5.1.3", async () => {
    const { where, mallory } = await stage();
    const bad = await forgeCommit(mallory, garbage());
    const carol = where.at(2).group;
    await refusedByAll({ ...where, groups: [carol] }, -1, bad, { membersOnly: true });
  });
});
