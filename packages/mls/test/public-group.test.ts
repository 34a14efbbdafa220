/** What a service sees of a group, and what it needs no secret for. */

import {
  type CommitSummary,
  type Credentialed,
  joinExternally,
  PROPOSAL,
  readKeyPackage,
} from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { PublicGroup, readGroupInfo, readMessage, readWelcome } from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import { encode, opaque } from "../src/codec.ts";
import { suiteOf } from "../src/crypto/suite.ts";
import { signContent } from "../src/framing/content.ts";
import { encodeMessage } from "../src/framing/message.ts";
import { makeGroupInfo } from "../src/group/epoch.ts";
import { GroupContext } from "../src/key/group-context.ts";
import { forgeCommit, forgePrivate, inside } from "./forge.ts";
import {
  ACCEPT_ALL_FOR_TESTS,
  addProposal,
  hex,
  keyPackageOf,
  person,
  persons,
  room,
  utf8,
  withTurns,
} from "./people.ts";
import { populated } from "./populated.ts";

describe("a public group", () => {
  it("is a value: a message that is refused, or taken, leaves it as it was", async () => {
    const { observer, at } = await room(await persons(["alice", "bob"]));
    const before = [hex(observer.state()), hex(observer.ratchetTree())];
    const { commit } = await at(0).group.commit();
    const { group: next, event, changes } = await observer.process(commit);
    await expect(next.process(commit)).rejects.toMatchObject({ code: "wrong-epoch" });
    expect([hex(observer.state()), hex(observer.ratchetTree())]).toEqual(before);
    expect([next.epoch, event.type]).toEqual([2n, "commit"]);
    // Alice's leaf and the root, and nothing else.
    expect(changes.map(({ index }) => index).sort((a, b) => a - b)).toEqual([0, 1]);
  });

  it("hands out the GroupInfo that was checked, whatever its array holds by now", async () => {
    const { at, observer } = await room(await persons(["alice", "bob"]));
    const { group, person: alice } = at(0);
    const groupInfo = await group.groupInfo({ externalPub: false });
    const was = hex(groupInfo);
    const ratchetTree = group.ratchetTree();
    const opened = await PublicGroup.open(alice.context, { groupInfo, ratchetTree });
    const checked = observer.checkGroupInfo(groupInfo);
    groupInfo.fill(0);
    expect(hex(opened.groupInfo ?? groupInfo)).toBe(was);
    expect(hex((await checked).group.groupInfo ?? groupInfo)).toBe(was);
  });

  it("is stored as its state and the nodes that changed", async () => {
    const where = await room(await persons(["alice", "bob", "carol"]));
    const { at } = where;
    const dave = await person("dave");
    const nodes = new Map(where.observer.nodes());
    let { observer } = where;
    const { context } = at(0).person;
    const follow = async (message: Uint8Array<ArrayBuffer>) => {
      for (const group of where.groups) if (group.status === "active") await group.receive(message);
      const loaded = await PublicGroup.load(context, { state: observer.state(), nodes });
      const { group, changes } = await loaded.process(message);
      for (const { index, node } of changes) {
        if (node) nodes.set(index, node);
        else nodes.delete(index);
      }
      ({ group: observer } = await observer.process(message));
      expect(group.state()).toEqual(observer.state());
      expect([...nodes].sort(([a], [b]) => a - b)).toEqual(
        [...observer.nodes()].sort(([a], [b]) => a - b),
      );
    };
    await follow((await at(0).group.commit({ proposals: [await addProposal(dave)] })).commit);
    await follow(await at(2).group.proposeUpdate());
    await follow((await at(0).group.commit()).commit);
    const two = [3, 2].map((removed) => ({ proposalType: "remove", removed }) as const);
    await follow((await at(0).group.commit({ proposals: two })).commit);
    expect(observer.members().map(({ leafIndex }) => leafIndex)).toEqual([0, 1]);
    const state = observer.state().with(0, 9) as Uint8Array<ArrayBuffer>;
    await expect(PublicGroup.load(context, { state, nodes })).rejects.toMatchObject({
      code: "storage",
    });
  });

  it("lets other work go on while a large one is loaded, and is loaded with its hashes", async () => {
    const { observer, at } = await room(await persons(["alice", "bob"]));
    const { group } = await observer.process((await at(0).group.commit()).commit);
    const patterns = [...group.nodes()];
    // Keys that are nobody's: what is loaded is not verified.
    const nodes = Array.from({ length: 2 * 1024 - 1 }, (_, index) => {
      const pattern = patterns.find(([at]) => at % 2 === index % 2);
      const node = Uint8Array.from(pattern?.[1] ?? []);
      node.set(nodeCrypto.random(32), 2);
      if (index % 2 === 0) node.set(nodeCrypto.random(32), 35);
      return [index, node] as const;
    });
    let hashes = 0;
    const hash: typeof nodeCrypto.hash = (...args) => {
      hashes++;
      return nodeCrypto.hash(...args);
    };
    const context = { ...at(0).person.context, crypto: { ...nodeCrypto, hash } };
    let turns = 0;
    const others = setInterval(() => turns++, 0);
    const loaded = await PublicGroup.load(context, { state: group.state(), nodes });
    clearInterval(others);
    expect(turns).toBeGreaterThan(0);
    expect(hashes).toBeGreaterThan(2 * 1024 - 2);
    expect(loaded.members()).toHaveLength(1024);
    expect([...loaded.nodes()].sort(([a], [b]) => a - b)).toEqual(nodes);
  });

  it("lets other work go on while a large one is checked, and while somebody joins it", async () => {
    const people = await persons(Array.from({ length: 1100 }, (_, i) => `${i}`));
    const members = await Promise.all(
      people.map(async (who) => ({
        leafNode: readKeyPackage(await keyPackageOf(who)).leafNode,
        signer: who.signer,
      })),
    );
    const [alice] = people;
    if (!alice) throw new Error("nobody");
    const made = await populated(suiteOf(nodeCrypto, 3), utf8("room"), members, 100);
    // What is done in each turn.
    const hashes = new Map<number, number>();
    const signatures = new Map<number, number>();
    let derived = 0;
    let stored = 0;
    const { value } = await withTurns(async (turn) => {
      const crypto: typeof nodeCrypto = {
        ...nodeCrypto,
        hmac: (...args) => {
          derived = turn();
          return nodeCrypto.hmac(...args);
        },
        hash: (...args) => {
          hashes.set(turn(), (hashes.get(turn()) ?? 0) + 1);
          return nodeCrypto.hash(...args);
        },
        // Here and now, as where a platform has no threads for it.
        verifyMany: async (name, signed) => {
          signatures.set(turn(), (signatures.get(turn()) ?? 0) + signed.length);
          const answers = signed.map(async ({ publicKey, message, signature }) =>
            nodeCrypto.verify(name, publicKey, message, signature),
          );
          return Promise.all(answers);
        },
      };
      const { storage } = alice.context;
      const apply: typeof storage.apply = (batch) => {
        stored = turn();
        return storage.apply(batch);
      };
      const observer = await PublicGroup.open({ ...alice.context, crypto }, made);
      const opening = [[...signatures.values()], [...hashes.values()]] as const;
      const context = { ...alice.context, crypto, storage: { ...storage, apply } };
      await joinExternally(context, { ...alice, ...made, resync: 0 });
      return [observer, ...opening] as const;
    });
    const [opened, verified, hashed] = value;
    expect(opened.members()).toHaveLength(1100);
    // A GroupInfo's, and those of the leaves in two parts.
    expect(verified).toEqual([1, 1024, 76]);
    const others = hashed.slice(4);
    expect(hashed.slice(0, 4)).toEqual([1023, 1023, 1023, 1023]);
    // Those above the parts, and the parent hashes of eleven paths.
    expect(others.length).toBeGreaterThan(2);
    expect(Math.max(...others)).toBeLessThan(64);
    // Whoever joins makes the nodes records, between the last that is computed and what is stored.
    expect(stored).toBeGreaterThan(derived);
  });

  it("has its pending proposals, which commits may name", async () => {
    const { groups, observer, at } = await room(await persons(["alice", "bob", "carol"]));
    const update = await at(1).group.proposeUpdate();
    for (const group of groups) await group.receive(update);
    const { group: next, event } = await observer.process(update);
    expect(event).toMatchObject({ type: "proposal", sender: { leafIndex: 1 } });
    const { commit } = await at(0).group.commit();
    await expect(observer.process(commit)).rejects.toMatchObject({ code: "proposal-unknown" });
    const { event: done } = await next.process(commit);
    expect(done.type === "commit" && done.summary.updated.map((one) => one.leafIndex)).toEqual([1]);
  });

  it("refuses what is not public", async () => {
    const { observer, at } = await room(await persons(["alice", "bob"]));
    const { group, person: alice } = at(0);
    const application = { contentType: "application", applicationData: utf8("x") } as const;
    for (const message of [
      await forgePrivate(await inside(alice), application),
      await group.groupInfo({ externalPub: false }),
      await keyPackageOf(alice),
    ]) {
      await expect(observer.process(message)).rejects.toMatchObject({ code: "wrong-wire-format" });
    }
  });

  it("lets a policy judge each commit, its own or the one for that call", async () => {
    const { observer, at } = await room(await persons(["alice", "bob"]));
    const { commit } = await at(0).group.commit({ authenticatedData: utf8("why") });
    const seen: CommitSummary[] = [];
    const no = new Error("not on Sundays");
    const refused = observer.process(commit, {
      policy: async (summary) => {
        seen.push(summary);
        throw no;
      },
    });
    await expect(refused).rejects.toMatchObject({ code: "policy", cause: no });
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ committer: 0, external: false, epoch: 1n, proposalTypes: [] });
    await expect(observer.process(commit)).resolves.toBeDefined();
  });

  it("§8.1 ends at the last epoch that can be counted, without a stray error", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const mallory = await inside(at(1).person);
    const { state } = mallory;
    const groupContext = { ...state.groupContext, epoch: 2n ** 64n - 2n };
    const late = { ...mallory, state: { ...state, groupContext } };
    const { context } = at(0).person;
    const groupInfo = await makeGroupInfo(at(1).person.signer, late.state, 1, []);
    const ratchetTree = at(0).group.ratchetTree();
    const observer = await PublicGroup.open(context, { groupInfo, ratchetTree });
    const last = await observer.process(await forgeCommit(late));
    expect(last.group.epoch).toBe(2n ** 64n - 1n);
    const beyond = { ...groupContext, epoch: 2n ** 64n - 1n };
    const gone = { ...late.state, groupContext: beyond };
    const opened = await PublicGroup.open(context, {
      groupInfo: await makeGroupInfo(at(1).person.signer, gone, 1, []),
      ratchetTree,
    });
    const proposal = await addProposal(await person("eve"));
    const proposals = [{ type: "proposal", proposal } as const];
    const signed = await signContent(
      at(1).person.signer,
      "mls_public_message",
      {
        groupId: beyond.groupId,
        epoch: beyond.epoch,
        sender: { senderType: "member", leafIndex: 1 },
        authenticatedData: utf8(""),
        content: { contentType: "commit", commit: { proposals, path: undefined } },
      },
      encode(GroupContext, beyond),
    );
    const tag = new Uint8Array(32);
    const publicMessage = {
      ...signed,
      auth: { ...signed.auth, confirmationTag: tag },
      membershipTag: tag,
    };
    const message = encodeMessage({ wireFormat: "mls_public_message", publicMessage });
    await expect(opened.process(message)).rejects.toMatchObject({ code: "exhausted" });
  });
});

describe("§5.3.1 credentials", () => {
  it("are judged as new when they enter, as present by who opens or joins, and not again", async () => {
    const asked: string[] = [];
    const authentication = {
      ...ACCEPT_ALL_FOR_TESTS,
      validate: async (leaves: readonly Credentialed[], standing: "new" | "present") => {
        asked.push(`${standing} ${leaves.length}`);
      },
    };
    const where = await room([await person("alice", { authentication }), await person("bob")]);
    expect(asked).toEqual(["new 1", "new 1", "present 2"].slice(-asked.length));
    asked.length = 0;
    const { commit } = await where.at(1).group.commit();
    await where.at(0).group.receive(commit);
    await where.observer.process(commit);
    expect(asked).toEqual([]);
    const eve = await person("eve", { authentication });
    const joined = await joinExternally(eve.context, {
      groupInfo: await where.at(0).group.groupInfo({ externalPub: true }),
      ratchetTree: where.at(0).group.ratchetTree(),
      credential: eve.credential,
      signer: eve.signer,
    });
    expect(asked).toEqual(["present 2", "new 1"]);
    asked.length = 0;
    await where.at(0).group.receive(joined.bundle.commit);
    expect(asked).toEqual(["new 1"]);
  });
});

describe("a look at a message", () => {
  it("tells what its head says", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const { group, person: alice } = at(0);
    const { groupId } = group;
    const { commit, welcome, groupInfo } = await group.commit({
      proposals: [await addProposal(await person("eve"))],
    });
    expect(readMessage(commit)).toEqual({
      wireFormat: "mls_public_message",
      groupId,
      epoch: 1n,
      contentType: "commit",
      sender: { senderType: "member", leafIndex: 0 },
      authenticatedData: utf8(""),
    });
    const message = await group.send(utf8("x"));
    expect(readMessage(message)).toEqual({
      wireFormat: "mls_private_message",
      groupId,
      epoch: 1n,
      contentType: "application",
    });
    expect(readMessage(groupInfo)).toEqual({ wireFormat: "mls_group_info", groupId, epoch: 2n });
    expect(readGroupInfo(groupInfo)).toMatchObject({ groupId, epoch: 2n, suite: 3 });
    if (!welcome) throw new Error("a welcome");
    expect(readMessage(welcome)).toEqual({ wireFormat: "mls_welcome" });
    expect(readWelcome(welcome)).toMatchObject({ suite: 3, keyPackageRefs: { length: 1 } });
    expect(readMessage(await keyPackageOf(alice))).toEqual({ wireFormat: "mls_key_package" });
    expect(() => readWelcome(commit)).toThrow(
      expect.objectContaining({ code: "wrong-wire-format" }),
    );
  });

  it("tells the types of a commit's proposals", async () => {
    const { at, observer } = await room(await persons(["alice", "bob", "carol"]));
    const { commit } = await at(0).group.commit({
      proposals: [{ proposalType: "remove", removed: 1 }, await addProposal(await person("eve"))],
    });
    const { event } = await observer.process(commit);
    expect(event.type === "commit" && event.summary.proposalTypes).toEqual([
      PROPOSAL.add,
      PROPOSAL.remove,
    ]);
    const received = await at(0).group.receive(commit);
    expect(received.type === "commit" && received.summary.proposalTypes).toEqual([1, 3]);
  });
});

describe("who follows a group", () => {
  it("opens it from a GroupInfo and a tree that fit, and from nothing else", async () => {
    const where = await room(await persons(["alice", "bob", "carol"]));
    const { group, person: alice } = where.at(0);
    const groupInfo = await group.groupInfo({ externalPub: false });
    const ratchetTree = group.ratchetTree();
    const opened = await PublicGroup.open(alice.context, { groupInfo, ratchetTree });
    expect(opened.members()).toEqual(group.members());
    const { commit } = await group.commit();
    for (const one of where.groups) await one.receive(commit);
    const other = { groupInfo, ratchetTree: group.ratchetTree() };
    await expect(PublicGroup.open(alice.context, other)).rejects.toMatchObject({
      code: "tree-hash",
    });
    const later = await group.groupInfo({ externalPub: false });
    await expect(opened.checkGroupInfo(later)).rejects.toMatchObject({
      code: "group-info-signature",
    });
    const { group: followed } = await opened.process(commit);
    expect((await followed.checkGroupInfo(later)).extensions).toHaveLength(1);
  });

  it("opens it from a GroupInfo with the tree inside, and from nothing without one", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const { group, person: alice } = at(0);
    const groupInfo = await group.groupInfo({ externalPub: false, ratchetTree: "inside" });
    const opened = await PublicGroup.open(alice.context, { groupInfo });
    expect(opened.members()).toEqual(group.members());
    const without = { groupInfo: await group.groupInfo({ externalPub: false }) };
    await expect(PublicGroup.open(alice.context, without)).rejects.toMatchObject({
      code: "welcome",
    });
  });

  it("gives out the newest GroupInfo that it checked, of this epoch alone", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const { group, person: alice } = where.at(0);
    const { observer } = where;
    const first = observer.groupInfo;
    expect(first && readGroupInfo(first).epoch).toBe(1n);
    const byBob = await where.at(1).group.groupInfo({ externalPub: true });
    const { group: newer } = await observer.checkGroupInfo(byBob);
    expect([observer.groupInfo, newer.groupInfo]).toEqual([first, byBob]);
    const loaded = await PublicGroup.load(alice.context, {
      state: newer.state(),
      nodes: newer.nodes(),
    });
    expect(loaded.groupInfo).toEqual(byBob);
    const proposal = await group.propose({ proposalType: "remove", removed: 1 });
    const { group: proposed } = await loaded.process(proposal);
    expect(proposed.groupInfo).toEqual(byBob);
    const { commit, groupInfo } = await group.commit();
    const { group: next } = await proposed.process(commit);
    expect(next.groupInfo).toBeUndefined();
    expect((await next.checkGroupInfo(groupInfo)).group.groupInfo).toEqual(groupInfo);
    await expect(next.checkGroupInfo(byBob)).rejects.toMatchObject({
      code: "group-info-signature",
    });
  });

  it("reads what version 1 wrote, and no version that it doesn't know", async () => {
    const { observer, at } = await room(await persons(["alice", "bob"]));
    const { context } = at(0).person;
    const { groupInfo } = observer;
    if (!groupInfo) throw new Error("no GroupInfo");
    const state = observer.state();
    // Behind it stand nothing to go on as, and the GroupInfo with its presence and its length.
    const end = state.length - (1 + 1 + encode(opaque, groupInfo).length);
    const older = Uint8Array.of(1, ...state.subarray(1, end));
    const loaded = await PublicGroup.load(context, { state: older, nodes: observer.nodes() });
    expect([loaded.groupInfo, loaded.reinit, loaded.epoch]).toEqual([undefined, undefined, 1n]);
    const newer = Uint8Array.of(9, ...state.subarray(1));
    const load = PublicGroup.load(context, { state: newer, nodes: observer.nodes() });
    await expect(load).rejects.toThrow(/version 9/);
  });
});
