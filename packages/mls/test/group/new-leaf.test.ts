/** §7.3, §12.1.2, §12.4.1: what a member changes about its own leaf. */

import {
  type CryptoProvider,
  type Group,
  loadGroup,
  type NewLeaf,
  readGroupInfo,
  signerOf,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { PublicGroup } from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import { suiteOf } from "../../src/crypto/suite.ts";
import { verifyGroupInfoBy } from "../../src/key/group-info.ts";
import { GREASE } from "../../src/registry.ts";
import {
  addProposal,
  found,
  hex,
  type Person,
  person,
  persons,
  type Room,
  room,
  text,
  utf8,
} from "../people.ts";

async function newSigner() {
  return signerOf(nodeCrypto, "ed25519", await nodeCrypto.generateSignatureKeyPair("ed25519"));
}

const leafOf = (group: Group, leafIndex: number) =>
  group.members().find((member) => member.leafIndex === leafIndex)?.leafNode;

/** What a member's leaf says that means something (§13.5). */
function said(group: Group, leafIndex: number) {
  const leaf = leafOf(group, leafIndex);
  if (!leaf) throw new Error("no leaf");
  const meaning = (types: readonly number[]) => types.filter((type) => !GREASE.has(type));
  const { capabilities, extensions, ...rest } = leaf;
  return {
    ...rest,
    capabilities: {
      versions: capabilities.versions,
      cipherSuites: meaning(capabilities.cipherSuites),
      extensions: meaning(capabilities.extensions),
      proposals: meaning(capabilities.proposals),
      credentials: meaning(capabilities.credentials),
    },
    extensions: extensions.filter(({ extensionType }) => !GREASE.has(extensionType)),
  };
}

async function newLeaf(): Promise<NewLeaf & { readonly signer: Person["signer"] }> {
  return {
    signer: await newSigner(),
    credential: { credentialType: "basic", identity: utf8("alice, later") },
    capabilities: {
      versions: [1],
      cipherSuites: [1, 3],
      extensions: [0xff01],
      proposals: [],
      credentials: [1, 2],
    },
    extensions: [{ extensionType: 0xff01, extensionData: utf8("mine") }],
  };
}

async function all({ groups, observer }: Room, message: Bytes): Promise<void> {
  for (const group of groups) await group.receive(message);
  const { group: followed } = await observer.process(message);
  expect(new Set(groups.map((group) => hex(group.epochAuthenticator))).size).toBe(1);
  expect(followed.members()).toEqual(groups[0]?.members());
}

/** Each says something that all others read. */
async function talk(groups: readonly Group[]): Promise<void> {
  for (const from of groups) {
    const message = await from.send(utf8("hello"));
    for (const group of groups) {
      if (group === from) continue;
      const received = await group.receive(message);
      expect(received.type === "application" && text(received.data)).toBe("hello");
    }
  }
}

function load(who: Person, group: Group, ...signers: readonly Person["signer"][]) {
  return loadGroup(who.context, {
    groupId: group.groupId,
    signer: (publicKey) => signers.find((one) => hex(one.publicKey) === hex(publicKey)),
  });
}

describe("§12.4.1 a commit with a new leaf", () => {
  it("changes what it says, and who signs, once it is accepted", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const { group, person: alice } = where.at(0);
    const leaf = await newLeaf();
    const before = leafOf(group, 0);
    const bundle = await group.commit({ leaf });
    // Meanwhile the old one signs.
    expect(leafOf(group, 0)).toEqual(before);
    await where.at(1).group.receive(await group.send(utf8("still as before")));
    await all(where, bundle.commit);
    const { signer, ...contents } = leaf;
    expect(said(where.at(1).group, 0)).toMatchObject({
      ...contents,
      signatureKey: signer.publicKey,
    });
    await talk(where.groups);
    const again = await load(alice, group, signer);
    if (!again) throw new Error("not there");
    await talk([again, where.at(1).group]);
    // The next one keeps it.
    const { commit } = await again.commit();
    for (const one of [again, where.at(1).group]) await one.receive(commit);
    expect(said(where.at(1).group, 0)).toMatchObject(contents);
  });

  it("has GroupInfos that the new signer signed (openmls#2143), and a path whatever is in it", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const { group } = where.at(0);
    const carol = await person("carol");
    const leaf = { signer: await newSigner() };
    const bundle = await group.commit({
      leaf,
      proposals: [await addProposal(carol)],
      groupInfoForJoiners: true,
    });
    const suite = suiteOf(nodeCrypto, group.suite);
    for (const message of [bundle.groupInfo, bundle.groupInfoForJoiners]) {
      const groupInfo = readGroupInfo(message ?? utf8(""));
      await verifyGroupInfoBy(suite, groupInfo, leaf.signer.publicKey);
    }
    const received = await where.at(1).group.receive(bundle.commit);
    expect(received.type === "commit" && received.summary.pathLeaf?.signatureKey).toEqual(
      leaf.signer.publicKey,
    );
    await group.receive(bundle.commit);
    // openmls#2149: so do those that are made later.
    const later = readGroupInfo(await group.groupInfo({ externalPub: true }));
    await verifyGroupInfoBy(suite, later, leaf.signer.publicKey);
  });

  it("survives a reload before it is accepted, with the signers by their keys", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const { group, person: alice } = where.at(0);
    const leaf = await newLeaf();
    const { commit } = await group.commit({ leaf });
    await expect(load(alice, group, alice.signer)).rejects.toMatchObject({
      code: "signer-unknown",
    });
    await expect(load(alice, group, leaf.signer)).rejects.toMatchObject({ code: "signer-unknown" });
    const again = await load(alice, group, alice.signer, leaf.signer);
    if (!again) throw new Error("not there");
    await where.at(1).group.receive(await again.send(utf8("before")));
    for (const one of [again, where.at(1).group]) await one.receive(commit);
    await talk([again, where.at(1).group]);
  });

  it("that lost leaves the leaf and its signer as they were", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const { group, person: alice } = where.at(0);
    await group.commit({ leaf: await newLeaf() });
    await all(where, (await where.at(1).group.commit()).commit);
    expect(leafOf(group, 0)?.signatureKey).toEqual(alice.signer.publicKey);
    await talk(where.groups);
  });

  it.each<[string, string, (bob: Person) => NewLeaf]>([
    ["a key that another member has", "leaf-key-reused", (bob) => ({ signer: bob.signer })],
    [
      "an extension that it does not list",
      "leaf-extensions",
      () => ({ extensions: [{ extensionType: 0xff07, extensionData: utf8("") }] }),
    ],
    [
      "capabilities without its own suite",
      "leaf-capabilities",
      () => ({
        capabilities: {
          versions: [1],
          cipherSuites: [2],
          extensions: [],
          proposals: [],
          credentials: [1],
        },
      }),
    ],
    [
      "a credential of a type that not all support",
      "leaf-capabilities",
      () => ({
        credential: { credentialType: "other", number: 9, data: utf8("") },
        capabilities: {
          versions: [1],
          cipherSuites: [3],
          extensions: [],
          proposals: [],
          credentials: [1, 9],
        },
      }),
    ],
  ])("with %s is refused before anything is stored", async (_, code, make) => {
    const { at } = await room(await persons(["alice", "bob"]));
    const { group, person: alice } = at(0);
    const leaf = make(at(1).person);
    const before = await alice.storage.list("");
    await expect(group.commit({ leaf })).rejects.toMatchObject({ code });
    await expect(group.proposeUpdate({ leaf })).rejects.toMatchObject({ code });
    expect(await alice.storage.list("")).toEqual(before);
    expect(group.pendingCommit).toBeUndefined();
  });

  it("§5.3.1 is refused where the application sees no successor in it", async () => {
    const authentication = {
      validate: async () => undefined,
      isSuccessor: async () => false,
    };
    const { at } = await room(await persons(["alice", "bob"]));
    const { person: alice, group } = at(0);
    const strict = { ...alice, context: { ...alice.context, authentication } };
    const again = await loadGroup(strict.context, { groupId: group.groupId, signer: alice.signer });
    const leaf = await newLeaf();
    await expect(again?.commit({ leaf })).rejects.toMatchObject({ code: "authentication" });
    await expect(again?.proposeUpdate({ leaf })).rejects.toMatchObject({ code: "authentication" });
  });
});

describe("§12.1.2 an Update with a new leaf", () => {
  it("switches to its signer when another member commits it, after a reload too", async () => {
    const where = await room(await persons(["alice", "bob", "carol"]));
    const { group, person: alice } = where.at(0);
    const [bob, carol] = [where.at(1).group, where.at(2).group];
    const leaf = await newLeaf();
    const update = await group.proposeUpdate({ leaf });
    for (const one of [bob, carol]) await one.receive(update);
    expect(leafOf(group, 0)?.signatureKey).toEqual(alice.signer.publicKey);
    await expect(load(alice, group, alice.signer)).rejects.toMatchObject({
      code: "signer-unknown",
    });
    const again = await load(alice, group, alice.signer, leaf.signer);
    if (!again) throw new Error("not there");
    const { commit } = await bob.commit();
    for (const one of [group, bob, carol]) await one.receive(commit);
    expect(leafOf(carol, 0)).toMatchObject({ signatureKey: leaf.signer.publicKey });
    await talk([group, bob, carol]);
  });

  it("signs no GroupInfo of the epoch before, however long that takes to make", async () => {
    let ready = Promise.resolve();
    const slow: CryptoProvider = {
      ...nodeCrypto,
      dhPublicKey: async (...of) => {
        await ready;
        return nodeCrypto.dhPublicKey(...of);
      },
    };
    const alice = await person("alice", { crypto: slow });
    const group = await found(alice);
    const { commit } = await group.commit({ leaf: await newLeaf() });
    const ratchetTree = group.ratchetTree();
    let go: () => void = () => undefined;
    ready = new Promise((resolve) => {
      go = resolve;
    });
    const making = group.groupInfo({ externalPub: true });
    await group.receive(commit);
    go();
    const opened = await PublicGroup.open(alice.context, { groupInfo: await making, ratchetTree });
    expect(opened.epoch).toBe(0n);
  });

  it("is void, and its signer with it, when the epoch ends without it", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const { group, person: alice } = where.at(0);
    const leaf = await newLeaf();
    await where.at(1).group.receive(await group.proposeUpdate({ leaf }));
    // Whoever commits does not commit an Update of its own.
    const { commit } = await group.commit();
    for (const one of where.groups) await one.receive(commit);
    expect(leafOf(group, 0)?.signatureKey).toEqual(alice.signer.publicKey);
    await talk(where.groups);
    expect(await load(alice, group, alice.signer)).toBeDefined();
  });
});
