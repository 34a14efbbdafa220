/**
 * Guards behind the guards: what an earlier check would have refused, and is refused once more where it would do harm.
 * Nothing from outside leads there, so these tests call the insides.
 */

import {
  type GroupRules,
  inspectKeyPackage,
  joinExternally,
  loadGroup,
  type MlsContext,
  MlsError,
} from "@conclave/mls";
import { type Bytes, encode, uint32, vector } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { AuthenticatedContent, signContent, verifyContent } from "../../src/framing/content.ts";
import { decodeMessageOf, encodeMessage } from "../../src/framing/message.ts";
import { liveGroupOf } from "../../src/group/group.ts";
import { applyProposals, checkWelcomePsks } from "../../src/group/proposal-list.ts";
import { stageCommit } from "../../src/group/staged-commit.ts";
import { groupKeys } from "../../src/group/stored-group.ts";
import { openGroupInfo, openGroupSecrets } from "../../src/group/welcome.ts";
import { GroupContext } from "../../src/key/group-context.ts";
import { type GroupInfo, signGroupInfo } from "../../src/key/group-info.ts";
import { SecretTree } from "../../src/key/secret-tree.ts";
import { lifetimeOf, MAX_LIFETIME } from "../../src/tree/leaf-node.ts";
import {
  decodeRatchetTree,
  encryptionKeyAt,
  leafAt,
  Node,
  nodeAt,
  treeFromNodes,
  treeOf,
  withNodes,
  withParent,
} from "../../src/tree/ratchet-tree.ts";
import { createPath, decryptPath, encryptPath, mergePath } from "../../src/tree/update-path.ts";
import {
  forgeCommit,
  forgeKeyPackage,
  forgeProposal,
  forgeUpdate,
  forgeWelcome,
  inside,
} from "../forge.ts";
import { addProposal, found, LIFETIME, person, persons, room, utf8 } from "../people.ts";
import { flipped, MALLORY, type Stage, stage } from "./stage.ts";

const refusal = (code: string, section: string) =>
  expect.objectContaining({ name: "MlsError", code, section });

/** Where the wrong answer of a check would go on. */
function refused(act: () => unknown, code: string, section: string): void {
  expect(act).toThrow(refusal(code, section));
}

const extension = (extensionType: number) => ({ extensionType, extensionData: utf8("") });

describe("a commit", () => {
  it("from an external sender is refused before its signature is looked at, and after (§6.1)", async () => {
    const { where, mallory, outsider } = await stage();
    const commit = await forgeCommit(mallory);
    const { publicMessage } = decodeMessageOf(commit, "mls_public_message");
    const { state } = mallory;
    const sender = { senderType: "external", senderIndex: 0 } as const;
    const signed = await signContent(
      outsider.signer,
      "mls_public_message",
      { ...publicMessage.content, sender },
      encode(GroupContext, state.groupContext),
    );
    await expect(
      verifyContent(
        state.suite,
        signed,
        (leafIndex) => leafAt(state.tree, leafIndex),
        state.groupContext,
      ),
    ).rejects.toEqual(refusal("sender-not-allowed", "6.1"));
    const { content } = signed.content;
    if (content.contentType !== "commit") throw new Error("a commit");
    const { context } = where.at(0).person;
    await expect(stageCommit(context, state, signed, content.commit)).rejects.toEqual(
      refusal("sender-not-allowed", "6.1"),
    );
    const untagged = { ...publicMessage, wireFormat: "mls_public_message" as const };
    const auth = { ...publicMessage.auth, confirmationTag: undefined };
    await expect(
      stageCommit(context, state, { ...untagged, auth }, content.commit),
    ).rejects.toEqual(refusal("confirmation-tag", "6.1"));
  });

  it("with an Update of ours whose key we don't have changes nothing (§12.1.2)", async () => {
    const { where } = await stage();
    const { group: whole, person: who } = where.at(MALLORY);
    const { groupId } = whole;
    const update = await whole.proposeUpdate();
    for (const group of where.groups) await group.receive(update);
    const { commit } = await where.at(0).group.commit();
    const lost = [...(await who.storage.list(`${groupKeys(groupId).all}update/`)).keys()];
    expect(lost).toHaveLength(1);
    await who.storage.apply({ delete: lost });
    const group = await loadGroup(who.context, { groupId, signer: who.signer });
    if (!group) throw new Error("no group");
    const before = group.epochAuthenticator;
    await expect(group.receive(commit)).rejects.toEqual(refusal("path-secret", "12.1.2"));
    expect(group.epochAuthenticator).toEqual(before);
  });
});

describe("a commit in a group that was re-initialised", () => {
  it("is refused whoever follows the group (§11.2)", async () => {
    const { where, mallory } = await stage();
    const { publicMessage } = decodeMessageOf(await forgeCommit(mallory), "mls_public_message");
    const { content, auth } = publicMessage;
    if (content.content.contentType !== "commit") throw new Error("a commit");
    const reinit = { groupId: utf8("next"), version: 1, cipherSuite: 3, extensions: [] };
    const { context } = where.at(0).person;
    const authenticated = { wireFormat: "mls_public_message", content, auth } as const;
    const over = { ...mallory.state, reinit };
    await expect(stageCommit(context, over, authenticated, content.content.commit)).rejects.toEqual(
      refusal("group-closed", "11.2"),
    );
  });
});

describe("a path", () => {
  it("carries its parent hash in a leaf of its own source (§7.9.2)", async () => {
    const { mallory } = await stage();
    const { suite, state, ownLeaf } = mallory;
    const { tree } = state;
    const old = leafAt(tree, ownLeaf);
    if (!old) throw new Error("no leaf");
    const none = new Set<number>();
    const made = await createPath(suite, tree, ownLeaf, async (encryptionKey, parentHash) => ({
      ...old,
      encryptionKey,
      source: { leafNodeSource: "commit", parentHash },
    }));
    const path = await encryptPath(suite, tree, ownLeaf, made, none, utf8(""));
    expect(leafAt(mergePath(suite, tree, ownLeaf, path, none), ownLeaf)).toBe(path.leafNode);
    const leafNode = { ...made.leafNode, source: { leafNodeSource: "update" } } as const;
    refused(
      () => mergePath(suite, tree, ownLeaf, { ...path, leafNode }, none),
      "parent-hash",
      "7.9.2",
    );
  });
});

describe("a list of proposals", () => {
  it("touches no leaf that is blank, whatever was looked at before (§12.1)", async () => {
    const { where, mallory } = await stage();
    const { context } = where.at(0).person;
    const update = await forgeUpdate(mallory);
    const ref = utf8("a reference");
    const by = (leafIndex: number) => ({ senderType: "member", leafIndex }) as const;
    await expect(
      applyProposals(context, mallory.state, [{ proposal: update, sender: by(9), ref }], 0),
    ).rejects.toEqual(refusal("blank-leaf", "12.1.2"));
    const remove = { proposalType: "remove", removed: 9 } as const;
    await expect(
      applyProposals(context, mallory.state, [{ proposal: remove, sender: by(1), ref }], 0),
    ).rejects.toEqual(refusal("blank-leaf", "12.1.3"));
  });

  it("has no more PSKs than can be counted (§8.4)", { timeout: 30_000 }, async () => {
    const { mallory } = await stage();
    const pskNonce = new Uint8Array(mallory.suite.nh);
    const psks = Array.from({ length: 2 ** 16 }, (_, i) => ({
      pskType: "external" as const,
      pskId: encode(uint32, i),
      pskNonce,
    }));
    refused(() => checkWelcomePsks(mallory.suite, psks), "proposal-list", "8.4");
  });
});

describe("a group from storage", () => {
  it("has a leaf of ours, and one for each that a commit of ours removes (§14)", async () => {
    const { where } = await stage();
    const { group, person: alice } = where.at(0);
    await group.commit({ proposals: [{ proposalType: "remove", removed: 1 }] });
    const { groupId } = group;
    const load = () => loadGroup(alice.context, { groupId, signer: alice.signer });
    expect(await load()).toBeDefined();
    for (const leafIndex of [1, 0]) {
      const node = `${groupKeys(groupId).all}node/${2 * leafIndex}`;
      expect(await alice.storage.get(node)).toBeDefined();
      await alice.storage.apply({ delete: [node] });
      await expect(load()).rejects.toEqual(refusal("storage", "14"));
      if (leafIndex === 1) await alice.storage.apply({ delete: [groupKeys(groupId).pending] });
    }
  });

  it("that lost an Update of ours doesn't begin an epoch for which it has no signer (§14)", async () => {
    const { where } = await stage();
    const { group, person: bob } = where.at(1);
    const { signer } = await person("bob");
    const update = await group.proposeUpdate({ leaf: { signer } });
    const { groupId } = group;
    await bob.storage.apply({ delete: [groupKeys(groupId).proposal(0)] });
    const damaged = await loadGroup(bob.context, { groupId, signer: bob.signer });
    if (!damaged) throw new Error("no group");
    const { group: alice } = where.at(0);
    await alice.receive(update);
    // It takes itself for an older copy; whatever else would have it know the Update, it knows no signer for that.
    await expect(damaged.receive(update)).rejects.toEqual(refusal("state-old", "14"));
    const { commit } = await alice.commit();
    const [known, lacking] = [liveGroupOf(group), liveGroupOf(damaged)];
    lacking.live = known.live;
    for (const [key, keyPair] of known.updates) lacking.updates.set(key, keyPair);
    await expect(damaged.receive(commit)).rejects.toEqual(refusal("storage", "14"));
    expect(damaged.epoch).toBe(1n);
    // Nothing is lost: with its records whole it goes on.
    await group.receive(commit);
    expect(group.epoch).toBe(2n);
  });

  it("keeps nothing but proposals among its proposals (§14)", async () => {
    const { where, mallory } = await stage();
    const { group, person: alice } = where.at(0);
    const { groupId } = group;
    const { publicMessage } = decodeMessageOf(await forgeCommit(mallory), "mls_public_message");
    const { content, auth } = publicMessage;
    const stored = { wireFormat: "mls_public_message", content, auth } as const;
    const put = new Map([[groupKeys(groupId).proposal(0), encode(AuthenticatedContent, stored)]]);
    await alice.storage.apply({ put });
    await expect(loadGroup(alice.context, { groupId, signer: alice.signer })).rejects.toEqual(
      refusal("storage", "14"),
    );
  });
});

describe("a member who was removed", () => {
  it("proposes nothing, and discards nothing (§12.4.2)", async () => {
    const { where } = await stage();
    const { group } = where.at(1);
    const proposals = [{ proposalType: "remove", removed: 1 } as const];
    const { commit } = await where.at(0).group.commit({ proposals });
    await group.receive(commit);
    const gone = refusal("removed", "12.4.2");
    const remove = { proposalType: "remove", removed: 0 } as const;
    await expect(group.propose(remove)).rejects.toEqual(gone);
    await expect(group.proposeUpdate()).rejects.toEqual(gone);
    await expect(group.discardPendingCommit()).rejects.toEqual(gone);
    await expect(group.send(utf8("still"))).rejects.toEqual(gone);
    await expect(group.commit()).rejects.toEqual(gone);
  });
});

describe("what a member proposes itself", () => {
  it("is judged as if others had (§5.3.1)", async () => {
    let isOpen = true;
    const authentication = {
      validate: async () => {
        if (!isOpen) throw new Error("nobody comes in");
      },
      isSuccessor: async () => true,
    };
    const group = await found(await person("alice", { authentication }));
    isOpen = false;
    await expect(group.propose(await addProposal(await person("eve")))).rejects.toThrow(
      "nobody comes in",
    );
    expect(group.pendingProposals).toEqual([]);
  });
});

describe("who joins from outside with proposals of members", () => {
  async function joins(
    messages: readonly ((stage: Stage) => Promise<Bytes>)[],
    context: Partial<MlsContext> = {},
  ) {
    const at = await stage();
    const { group } = at.where.at(0);
    const { credential, signer, ...eve } = await person("eve", { context });
    return joinExternally(eve.context, {
      groupInfo: await group.groupInfo({ externalPub: true }),
      ratchetTree: group.ratchetTree(),
      credential,
      signer,
      proposals: await Promise.all(messages.map((message) => message(at))),
    });
  }
  const remove = { proposalType: "remove", removed: 1 } as const;

  it("takes proposals alone (§12.4.3.2)", async () => {
    await expect(joins([({ mallory }) => forgeCommit(mallory)])).rejects.toEqual(
      refusal("content-type-not-allowed", "12.4.3.2"),
    );
  });

  it("judges each of them", async () => {
    const proposes = ({ mallory }: Stage) => forgeProposal(mallory, remove);
    const proposalPolicy = async (): Promise<void> => {
      throw new Error("no");
    };
    await expect(joins([proposes], { proposalPolicy })).rejects.toEqual(refusal("policy", "12.4"));
    // What it may not name is refused by another rule.
    await expect(joins([proposes])).rejects.toEqual(refusal("proposal-list", "12.2"));
  });

  it("takes none that a member would not take (§6, §12.1.3, §12.4)", async () => {
    const of =
      (removed: number, data = "") =>
      ({ mallory }: Stage) =>
        forgeProposal(mallory, { ...remove, removed }, { authenticatedData: utf8(data) });
    await expect(joins([of(9)])).rejects.toEqual(refusal("blank-leaf", "12.1.3"));
    await expect(joins([of(1), of(2)], { maxPendingProposals: 1 })).rejects.toEqual(
      refusal("too-many-proposals", "12.4"),
    );
    const rules: GroupRules = {
      checkAuthenticatedData: (_, { length }) => {
        if (length > 0) throw new MlsError("decode", "6", "data that nobody reads");
      },
    };
    await expect(joins([of(1, "data")], { rules })).rejects.toEqual(refusal("decode", "6"));
  });
});

describe("a group that is made", () => {
  it("has no extension twice (§13.4)", async () => {
    const alice = await person("alice", { capabilities: { extensions: [0xf001] } });
    await expect(
      found(alice, { extensions: [extension(0xf001), extension(0xf001)] }),
    ).rejects.toEqual(refusal("duplicate-extension", "13.4"));
  });
});

describe("a key package that lasts too long", () => {
  it("is told of before it is used (§7.2)", async () => {
    const { notBefore } = LIFETIME;
    const lifetime = { notBefore, notAfter: notBefore + MAX_LIFETIME + 1n };
    const eve = await person("eve");
    const keyPackage = await forgeKeyPackage(eve, {
      leaf: () => ({ source: { leafNodeSource: "key_package", lifetime } }),
    });
    const message = encodeMessage({ wireFormat: "mls_key_package", keyPackage });
    const broken = await inspectKeyPackage(eve.context, message);
    expect(broken).toEqual([expect.objectContaining({ code: "leaf-lifetime", section: "7.2" })]);
  });
});

describe("a leaf that is of no key package", () => {
  it("has no lifetime (§7.3)", () => {
    expect(lifetimeOf({ source: { leafNodeSource: "key_package", lifetime: LIFETIME } })).toEqual(
      LIFETIME,
    );
    refused(() => lifetimeOf({ source: { leafNodeSource: "update" } }), "leaf-source", "7.3");
  });
});

describe("a Welcome", () => {
  it("opens for its key package, with its secrets, and for nothing else (§12.4.3.1)", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const by = await inside(where.at(0).person);
    const keyPackage = await forgeKeyPackage(await person("eve"));
    const { welcome } = decodeMessageOf(await forgeWelcome(by, keyPackage), "mls_welcome");
    const keyPair = { privateKey: new Uint8Array(32).fill(1), publicKey: keyPackage.initKey };
    await expect(openGroupSecrets(by.suite, welcome, utf8("another"), keyPair)).rejects.toEqual(
      refusal("welcome", "12.4.3.1"),
    );
    const none = new Uint8Array(32);
    await expect(openGroupInfo(by.suite, welcome, none, none)).rejects.toEqual(
      refusal("welcome", "12.4.3.1"),
    );
  });
});

describe("a GroupInfo for who follows a group", () => {
  it("is signed by its member (§12.4.3)", async () => {
    const { where, mallory } = await stage();
    const good = await where.at(0).group.groupInfo({ externalPub: false });
    await expect(where.observer.checkGroupInfo(good)).resolves.toBeDefined();
    const { groupInfo } = decodeMessageOf(good, "mls_group_info");
    const bad = await signGroupInfo(groupInfo, mallory.person.signer);
    await expect(
      where.observer.checkGroupInfo(
        encodeMessage({ wireFormat: "mls_group_info", groupInfo: bad }),
      ),
    ).rejects.toEqual(refusal("group-info-signature", "12.4.3"));
  });

  it("has the confirmation tag of its epoch (§12.4.3)", async () => {
    const { where, mallory } = await stage();
    const good = await where.at(MALLORY).group.groupInfo({ externalPub: false });
    const { groupInfo } = decodeMessageOf(good, "mls_group_info");
    const { confirmationTag: tag } = groupInfo;
    const { groupContext } = groupInfo;
    const others = [
      { ...groupInfo, confirmationTag: flipped(tag, 0) },
      { ...groupInfo, groupContext: { ...groupContext, extensions: [extension(0xf001)] } },
    ];
    const signed = async (of: GroupInfo) =>
      encodeMessage({
        wireFormat: "mls_group_info",
        groupInfo: await signGroupInfo(of, mallory.person.signer),
      });
    await expect(where.observer.checkGroupInfo(await signed(groupInfo))).resolves.toBeDefined();
    for (const other of others) {
      await expect(where.observer.checkGroupInfo(await signed(other))).rejects.toEqual(
        refusal("group-info-signature", "12.4.3"),
      );
    }
  });
});

describe("a ratchet", () => {
  it("ends before its generation does not fit (§9.1)", async () => {
    const { mallory } = await stage();
    const window = { forward: 2 ** 33, kept: 1 };
    const secret = new Uint8Array(32);
    const tree = SecretTree.create(mallory.suite, 4, "t/", secret, { window });
    refused(() => tree.at(0, "application", 2 ** 32 - 1), "exhausted", "9.1");
  });
});

describe("a tree", () => {
  it("has no node beyond its end, and no key at a blank one (§4.1)", async () => {
    const { mallory } = await stage();
    const { tree } = mallory.state;
    for (const index of [7, -1, 0.5]) refused(() => nodeAt(tree, index), "tree-shape", "4.1");
    const blank = withParent(tree, 1, undefined);
    refused(() => encryptionKeyAt(blank, 1), "tree-shape", "4.1.1");
  });

  it("is not read from nothing, nor with more leaves than are read (§12.4.3.3)", async () => {
    const leafNode = (await forgeKeyPackage(await person("eve"))).leafNode;
    const leaf = encode(Node, { nodeType: "leaf", leafNode });
    for (const nodes of [[], [[2 ** 18, leaf] as const]]) {
      await expect(treeFromNodes(nodes)).rejects.toThrow(refusal("tree-shape", "12.4.3.3"));
    }
    const blanks = encode(
      vector<number>({ write: (w, value) => w.uint(value, 1), read: (r) => r.uint(1) }),
      // What comes after as many nodes as there may be is not even read.
      [...Array.from({ length: 2 ** 18 - 1 }, () => 0), 7],
    );
    await expect(decodeRatchetTree(blanks)).rejects.toThrow(refusal("tree-shape", "12.4.3.3"));
    const tree = treeOf(leafNode);
    refused(() => withNodes(tree, [{ index: 2 ** 18, node: undefined }]), "tree-shape", "7.7");
  });

  it("of one member has no path to be read (§7.5)", async () => {
    const alice = await person("alice");
    await found(alice);
    const by = await inside(alice);
    const { suite, state } = by;
    const leafNode = (await forgeKeyPackage(alice)).leafNode;
    const path = { leafNode, nodes: [] };
    const received = { leafIndex: 0, path, added: new Set<number>(), groupContext: utf8("") };
    await expect(
      decryptPath(suite, state.tree, received, { leafIndex: 0, keys: new Map() }),
    ).rejects.toEqual(refusal("path-secret", "7.5"));
  });
});
