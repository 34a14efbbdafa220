/** What hostile input costs is bounded: by limits that are refused beyond, and by work in proportion to what came. */

import { type Extension, type MlsContext, type Proposal } from "@conclave/mls";
import { type Bytes, decode, encode, opaque } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { withPostQuantum } from "@conclave/mls/post-quantum";
import { describe, expect, it } from "vitest";
import { concat } from "../../src/bytes.ts";
import { suiteOf } from "../../src/crypto/suite.ts";
import { encodeMessage } from "../../src/framing/message.ts";
import { inspectKeyPackage } from "../../src/group/inspection.ts";
import { checkLeafNode, type LeafNode } from "../../src/tree/leaf-node.ts";
import { decodeRatchetTree, encodeRatchetTree, treeOf } from "../../src/tree/ratchet-tree.ts";
import { rootHash } from "../../src/tree/tree-hash.ts";
import { forgeCommit, forgeKeyPackage, forgeProposal, inside } from "../forge.ts";
import { expectRefused, hex, type Person, person, persons, reload, room, utf8 } from "../people.ts";

const suite = suiteOf(nodeCrypto, 3);

function withLimit(who: Person, maxPendingProposals: number): Person {
  const context: MlsContext = { ...who.context, maxPendingProposals };
  return { ...who, context };
}

function psk(n: number): Proposal {
  const pskNonce = new Uint8Array(32).fill(n);
  return { proposalType: "psk", psk: { pskType: "external", pskId: utf8("x"), pskNonce } };
}

describe("§12.4 proposals that wait to be committed", () => {
  it("are as many as the context says, and what comes after is refused by all alike", async () => {
    const people = (await persons(["alice", "bob", "carol"])).map((who) => withLimit(who, 4));
    const where = await room(people);
    let { observer } = where;
    const by = await inside(where.at(1).person);
    const messages = await Promise.all([1, 2, 3, 4, 5].map((n) => forgeProposal(by, psk(n))));
    for (const message of messages.slice(0, 4)) {
      for (const leafIndex of [0, 2]) await where.at(leafIndex).group.receive(message);
      observer = (await observer.process(message)).group;
    }
    const [first, , , , fifth] = messages;
    if (!first || !fifth) throw new Error("no message");
    await expectRefused({ ...where, observer }, 1, fifth, "too-many-proposals");
    // What waits already is no other one.
    await where.at(0).group.receive(first);
    const again = await reload(where.at(2).person, where.at(2).group);
    expect(again.pendingProposals).toHaveLength(4);
    const { commit } = await where.at(0).group.commit();
    for (const group of where.groups) await group.receive(commit);
    await where.at(0).group.propose(psk(9));
    expect(where.at(0).group.pendingProposals).toHaveLength(1);
  });

  it("leave room for those under way: our own stop at half of it", async () => {
    const [alice, bob] = (await persons(["alice", "bob"])).map((who) => withLimit(who, 4));
    if (!alice || !bob) throw new Error("nobody");
    const where = await room([alice, bob]);
    const { group } = where.at(0);
    await group.propose(psk(1));
    await group.propose(psk(2));
    await expect(group.propose(psk(3))).rejects.toMatchObject({ code: "too-many-proposals" });
    expect(group.pendingProposals).toHaveLength(2);
  });
});

describe("a path", () => {
  it("§7.5 with more nodes than the tree has levels is refused before its keys are looked at", async () => {
    const where = await room(await persons(["alice", "bob", "carol"]));
    const by = await inside(where.at(1).person);
    const node = { encryptionKey: new Uint8Array(32), encryptedPathSecret: [] };
    const message = await forgeCommit(by, {
      path: (path) => ({ ...path, nodes: Array.from({ length: 3 }, () => node) }),
    });
    await expectRefused(where, 1, message, "update-path");
  });
});

describe("a leaf", () => {
  async function leafWith(extensions: readonly Extension[], listed: readonly number[]) {
    const { leafNode } = await forgeKeyPackage(await person("mallory"), {
      leaf: ({ capabilities }) => ({
        extensions,
        capabilities: { ...capabilities, extensions: listed },
      }),
    });
    return leafNode;
  }
  const types = Array.from({ length: 40_000 }, (_, i) => 100 + i);
  const extensions = types.map((extensionType) => ({ extensionType, extensionData: utf8("") }));

  it("§7.3 with huge lists is checked in time of their length", async () => {
    const listed = [...Array.from({ length: 300_000 }, () => 7), ...types];
    const leaf: LeafNode = await leafWith(extensions, listed);
    expect(() => checkLeafNode(leaf, "key_package")).not.toThrow();
  });

  it("§7.3 that breaks a rule many times is inspected in time of its length", async () => {
    const mallory = await person("mallory");
    const keyPackage = await forgeKeyPackage(mallory, { leaf: () => ({ extensions }) });
    const message = encodeMessage({ wireFormat: "mls_key_package", keyPackage });
    const rules = await inspectKeyPackage(mallory.context, message);
    expect(rules.every(({ code }) => code === "leaf-extensions")).toBe(true);
  });
});

describe("a tree", () => {
  async function twoLeaves(leafCount: number): Promise<Bytes> {
    const { leafNode } = await forgeKeyPackage(await person("mallory"));
    const one = decode(opaque, encodeRatchetTree(treeOf(leafNode)));
    return encode(opaque, concat(one, new Uint8Array(2 * leafCount - 3), one));
  }

  it("§12.4.3.3 may be blank almost everywhere", async () => {
    const tree = await decodeRatchetTree(await twoLeaves(2 ** 12));
    expect(tree.leafCount).toBe(2 ** 12);
    expect(rootHash(suite, tree)).toHaveLength(32);
  });

  it("§12.4.3.3 has 2^17 leaves at most", async () => {
    const longer = await twoLeaves(2 ** 17 + 1);
    await expect(decodeRatchetTree(longer)).rejects.toMatchObject({ code: "tree-shape" });
  });
});

describe("§11.2 a group that was re-initialised", () => {
  it("takes no other commit: it would be opened again", async () => {
    const where = await room(await persons(["alice", "bob", "carol"]));
    const reinit = { groupId: utf8("next"), version: 1, cipherSuite: 3, extensions: [] };
    const { commit } = await where.at(0).group.commit({
      proposals: [{ proposalType: "reinit", ...reinit }],
    });
    for (const group of where.groups) await group.receive(commit);
    const { group: observer } = await where.observer.process(commit);
    const message = await forgeCommit(await inside(where.at(1).person));
    for (const leafIndex of [0, 2]) {
      const { group } = where.at(leafIndex);
      await expect(group.receive(message)).rejects.toMatchObject({ code: "group-closed" });
      expect(group.status).toBe("closed");
    }
    await expect(observer.process(message)).rejects.toMatchObject({ code: "group-closed" });
  });
});

describe("a Buffer of Node", () => {
  /** What a function of a provider gives, as a Buffer. */
  const given = (value: unknown): unknown =>
    value instanceof Uint8Array
      ? Buffer.from(value)
      : value instanceof Promise
        ? value.then(given)
        : typeof value === "object" && value !== null
          ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, given(one)]))
          : value;
  const giving = <T extends object>(of: T): T =>
    Object.fromEntries(
      Object.entries(of).map(([name, act]) => [
        name,
        typeof act === "function" ? (...from: unknown[]) => given(act(...from)) : act,
      ]),
    ) as T;

  it("may be what a provider gives: no key is overwritten before it was used", async () => {
    const { verify, verifyMany, signer, lattice } = nodeCrypto;
    const native = { ...giving(nodeCrypto), verify, verifyMany, signer };
    const ours = withPostQuantum({ ...native, ...(lattice && { lattice: giving(lattice) }) });
    const theirs = withPostQuantum(nodeCrypto);
    const used: string[] = [];
    const seal: typeof ours.seal = (aead, key, ...others) => {
      used.push(hex(key));
      return ours.seal(aead, key, ...others);
    };
    const context = { pastEpochs: { epochs: 1, seconds: 60 } };
    for (const suite of [1, 2, 3, 0xfd01]) {
      const where = await room([
        await person("alice", { suite, crypto: { ...ours, seal }, context }),
        await person("bob", { suite, crypto: theirs, context }),
      ]);
      const [alice, bob] = [where.at(0).group, where.at(1).group];
      const late = await bob.send(utf8("late"));
      expect(await bob.receive(await alice.send(utf8("hello")))).toMatchObject({
        data: utf8("hello"),
      });
      const authenticator = alice.epochAuthenticator;
      const was = hex(authenticator);
      const { commit } = await alice.commit();
      for (const group of where.groups) await group.receive(commit);
      expect(hex(authenticator)).toBe(was);
      expect(await alice.receive(late)).toMatchObject({ data: utf8("late") });
      expect(hex(alice.epochAuthenticator)).toBe(hex(bob.epochAuthenticator));
    }
    expect(used.filter((key) => /^0*$/.test(key))).toEqual([]);
  });

  it("may be what a storage gives: a message that is refused leaves its key", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const { group, person: bob } = where.at(1);
    const { storage } = bob;
    const list = async (prefix: string) => {
      const records = await storage.list(prefix);
      return new Map([...records].map(([key, value]) => [key, Buffer.from(value)]));
    };
    const context = { ...bob.context, storage: { ...storage, list } };
    const loaded = await reload({ ...bob, context }, group);
    const message = await where.at(0).group.send(utf8("hello"));
    const bad = message.with(-1, (message.at(-1) ?? 0) ^ 1);
    await expect(loaded.receive(bad)).rejects.toMatchObject({ code: "aead-open" });
    expect(await loaded.receive(message)).toMatchObject({ data: utf8("hello") });
  });

  it("is read like any array: what was read is a copy", async () => {
    const pool = Buffer.from([3, 1, 2, 3, 9]);
    const read = decode(opaque, pool.subarray(0, 4));
    pool.fill(0);
    expect([...read]).toEqual([1, 2, 3]);
    expect(read.constructor).toBe(Uint8Array);
  });

  it("may be a PSK, and stays the application's", async () => {
    const kept = Buffer.alloc(32, 7);
    const where = await room(
      await persons(["alice", "bob"], {
        externalPsk: async () => kept as unknown as Uint8Array<ArrayBuffer>,
      }),
    );
    const { commit } = await where.at(0).group.commit({ proposals: [psk(1)] });
    for (const group of where.groups) await group.receive(commit);
    expect(hex(kept)).toBe("07".repeat(32));
    expect(hex(where.at(1).group.epochAuthenticator)).toBe(
      hex(where.at(0).group.epochAuthenticator),
    );
  });
});
