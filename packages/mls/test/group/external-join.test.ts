/** §12.4.3.2: coming into a group by an external commit, for the first time or again. Mallory, at leaf 1, invites. */

import {
  applicationId,
  applicationIdOf,
  EXTENSION,
  type Group,
  joinExternally,
  type PskSource,
  preSharedKey,
} from "@conclave/mls";
import { type Bytes, encode, opaque } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { decodeMessageOf, encodeMessage } from "../../src/framing/message.ts";
import { groupKeys } from "../../src/group/stored-group.ts";
import { signGroupInfo } from "../../src/key/group-info.ts";
import { encodeRatchetTree, withLeaf } from "../../src/tree/ratchet-tree.ts";
import { forgeCommit, type Inside, inside } from "../forge.ts";
import {
  expectRefused,
  found,
  hex,
  joinByLink,
  type Person,
  person,
  persons,
  type Room,
  reload,
  room,
  utf8,
} from "../people.ts";

interface Stage {
  readonly where: Room;
  readonly mallory: Inside;
  readonly eve: Person;
}

async function stage(): Promise<Stage> {
  const where = await room(await persons(["alice", "mallory", "carol"]));
  return { where, mallory: await inside(where.at(1).person), eve: await person("eve") };
}

const extension = (extensionType: number) => ({ extensionType, extensionData: utf8("") });

describe("§12.4.3.2 joining by an external commit", () => {
  const join = (who: Person, groupInfo: Bytes, ratchetTree: Bytes) =>
    joinExternally(who.context, {
      groupInfo,
      ratchetTree,
      credential: who.credential,
      signer: who.signer,
    });

  it("takes a GroupInfo with external_pub", async () => {
    const { where, eve } = await stage();
    const { group } = where.at(0);
    const closed = await group.groupInfo({ externalPub: false });
    await expect(join(eve, closed, group.ratchetTree())).rejects.toMatchObject({
      code: "external-commit",
    });
    const open = await group.groupInfo({ externalPub: true });
    expect((await join(eve, open, group.ratchetTree())).group.status).toBe("joining");
  });

  it("checks signature and tree as by a Welcome", async () => {
    const { where, eve, mallory } = await stage();
    const { group } = where.at(0);
    const open = await group.groupInfo({ externalPub: true });
    const { groupInfo } = decodeMessageOf(open, "mls_group_info");
    const signature = groupInfo.signature.map((byte) => byte ^ 1);
    const unsigned = encodeMessage({
      wireFormat: "mls_group_info",
      groupInfo: { ...groupInfo, signature },
    });
    await expect(join(eve, unsigned, group.ratchetTree())).rejects.toMatchObject({
      code: "group-info-signature",
    });
    await expect(
      join(eve, open, encodeRatchetTree(withLeaf(mallory.state.tree, 2, undefined))),
    ).rejects.toMatchObject({ code: "tree-hash" });
    await expect(join(eve, open, utf8("\0"))).rejects.toMatchObject({ name: "MlsError" });
    const noKey = { extensionType: EXTENSION.externalPub, extensionData: encode(opaque, utf8("")) };
    const useless = await signGroupInfo(
      { ...groupInfo, extensions: [noKey], signer: 1 },
      mallory.person.signer,
    );
    const bytes = encodeMessage({ wireFormat: "mls_group_info", groupInfo: useless });
    await expect(join(eve, bytes, group.ratchetTree())).rejects.toMatchObject({ code: "crypto" });
    expect((await eve.storage.list("")).size).toBe(0);
  });

  it("is for those who can do what the group asks, and are not there yet", async () => {
    const able = { capabilities: { extensions: [0xf001] } };
    const [alice, bob] = await persons(["alice", "bob"], able);
    if (!alice || !bob) throw new Error("two people");
    const group = await found(alice, { extensions: [extension(0xf001)] });
    const open = await group.groupInfo({ externalPub: true });
    const eve = await person("eve");
    await expect(join(eve, open, group.ratchetTree())).rejects.toMatchObject({
      code: "extension-unsupported",
    });
    const twin = { ...eve, signer: alice.signer };
    await expect(join(twin, open, group.ratchetTree())).rejects.toMatchObject({
      code: "leaf-key-reused",
    });
    expect((await eve.storage.list("")).size).toBe(0);
    const joined = await joinByLink(bob, group);
    expect(joined.epochAuthenticator).toEqual(group.epochAuthenticator);
  });

  it("is undone when another commit wins, and done when its own comes back", async () => {
    const { where, eve } = await stage();
    const { group: alice } = where.at(0);
    const open = await alice.groupInfo({ externalPub: true });
    const { group: lost } = await join(eve, open, alice.ratchetTree());
    const early = { code: "pending-commit", section: "12.4.3.2" };
    await expect(lost.send(utf8("early"))).rejects.toMatchObject(early);
    await expect(lost.commit()).rejects.toMatchObject(early);
    const other = await alice.commit();
    for (const group of where.groups) await group.receive(other.commit);
    await expect(lost.receive(other.commit)).rejects.toMatchObject({ code: "pending-commit" });
    await lost.remove();
    expect((await eve.storage.list("group/")).size).toBe(0);

    const again = await alice.groupInfo({ externalPub: true });
    const { group: won, bundle } = await join(eve, again, alice.ratchetTree());
    for (const group of where.groups) await group.receive(bundle.commit);
    const stored = await reload(eve, won);
    expect([stored.status, stored.pendingCommit?.commit]).toEqual(["joining", bundle.commit]);
    const received = await stored.receive(bundle.commit);
    expect(received.type === "commit" && received.own).toBe(true);
    expect(stored.epochAuthenticator).toEqual(alice.epochAuthenticator);
    expect((await reload(eve, stored)).status).toBe("active");
  });

  it("replaces a former self (resync)", async () => {
    const { where } = await stage();
    const { group: alice } = where.at(0);
    const carol = where.at(2).person;
    const fresh = await person("carol");
    const { group, bundle } = await joinExternally(fresh.context, {
      groupInfo: await alice.groupInfo({ externalPub: true }),
      ratchetTree: alice.ratchetTree(),
      credential: carol.credential,
      signer: carol.signer,
      resync: 2,
    });
    for (const leafIndex of [0, 1, 2]) await where.at(leafIndex).group.receive(bundle.commit);
    await group.confirm();
    expect(where.at(2).group.status).toBe("removed");
    expect(group.epochAuthenticator).toEqual(alice.epochAuthenticator);
    expect(group.members()).toHaveLength(3);
  });
});

/** Someone joins from outside, and all who are there receive the commit. */
async function joined(
  who: Person,
  groups: readonly Group[],
  options: { readonly psks?: readonly PskSource[]; readonly resync?: number } = {},
): Promise<{ readonly group: Group; readonly commit: Bytes }> {
  const [host] = groups;
  if (!host) throw new Error("nobody is there");
  const { credential, signer, context } = who;
  const { group, bundle } = await joinExternally(context, {
    groupInfo: await host.groupInfo({ externalPub: true, ratchetTree: "inside" }),
    credential,
    signer,
    ...options,
  });
  for (const one of groups) await one.receive(bundle.commit);
  await group.confirm();
  return { group, commit: bundle.commit };
}

function same(groups: readonly Group[]): void {
  const active = groups.filter(({ status }) => status === "active");
  expect(new Set(active.map((group) => hex(group.epochAuthenticator))).size).toBe(1);
}

describe("§12.4.3.2 an external commit with PSKs", () => {
  const external: PskSource = { pskType: "external", pskId: utf8("id") };
  const knowing = { externalPsk: async () => utf8("shared") };

  it("takes those of the application and those of former epochs, in order", async () => {
    const people = await persons(["alice", "bob"], knowing);
    const where = await room(people);
    const { group: alice } = where.at(0);
    const eve = await person("eve", knowing);
    const { group } = await joined(eve, where.groups, { psks: [external, external] });
    same([...where.groups, group]);
    const bob = where.at(1).person;
    const fresh = { ...bob, signer: (await person("bob")).signer };
    const resumption: PskSource = {
      pskType: "resumption",
      pskGroupId: alice.groupId,
      pskEpoch: 2n,
    };
    const again = await joined(fresh, [alice, group], { psks: [external, resumption], resync: 1 });
    same([alice, group, again.group]);
    expect(again.group.epoch).toBe(3n);
  });

  it("is not made without them", async () => {
    const where = await room(await persons(["alice", "bob"], knowing));
    const eve = await person("eve");
    await expect(joined(eve, where.groups, { psks: [external] })).rejects.toMatchObject({
      code: "psk-unknown",
    });
    expect((await eve.storage.list("")).size).toBe(0);
  });

  it("is refused by members who don't have them", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const eve = await person("eve", knowing);
    await expect(joined(eve, where.groups, { psks: [external] })).rejects.toMatchObject({
      code: "psk-unknown",
    });
    expect(where.at(0).group.epoch).toBe(1n);
  });

  it("P08 doesn't take one that links groups", async () => {
    const where = await room(await persons(["alice", "mallory"]));
    const { group: alice, person: who } = where.at(0);
    const made = preSharedKey(who.context, alice, {
      pskType: "resumption",
      pskGroupId: alice.groupId,
      pskEpoch: 1n,
    });
    if (made.proposalType !== "psk") throw new Error("no PSK");
    const link = { proposalType: "psk", psk: { ...made.psk, usage: "branch" } } as const;
    const eve = await person("eve");
    const mallory = await inside(where.at(1).person);
    const commit = await forgeCommit(mallory, { external: { person: eve }, proposals: [link] });
    await expectRefused(where, -1, commit, "psk-usage");
    // Not even into a group at epoch 0, where its maker's first commit may.
    const alone = await found(who, { groupId: "alone" });
    const within = await inside(who, utf8("alone"));
    const first = await forgeCommit(within, { external: { person: eve }, proposals: [link] });
    await expect(alone.receive(first)).rejects.toMatchObject({ code: "psk-usage" });
  });
});

describe("§12.4.3.2 a member who comes back (resync)", () => {
  it("takes the place of its former self in storage, also after a commit that lost", async () => {
    const { where } = await stage();
    const { group: alice } = where.at(0);
    const { person: carol, group: former } = where.at(2);
    const fresh = { ...carol, signer: (await person("carol")).signer };
    const { credential, signer, context } = fresh;
    const again = async () =>
      joinExternally(context, {
        groupInfo: await alice.groupInfo({ externalPub: true, ratchetTree: "inside" }),
        credential,
        signer,
        resync: 2,
      });
    await again();
    const other = await alice.commit();
    for (const group of [alice, where.at(1).group]) await group.receive(other.commit);
    const { group, bundle } = await again();
    for (const one of [alice, where.at(1).group]) await one.receive(bundle.commit);
    await group.confirm();
    same([alice, where.at(1).group, group]);
    expect(group.members()).toHaveLength(3);
    expect((await reload(fresh, group)).epoch).toBe(3n);
    // What may prove that it was there is kept, and nothing else of the former self.
    const keys = groupKeys(former.groupId);
    const kept = [...(await context.storage.list(keys.resumptions)).keys()];
    expect(kept).toEqual([keys.resumption(1n)]);
    await expect(reload(carol, former)).rejects.toMatchObject({ code: "signer-unknown" });
  });

  it("P38 §12.2 is a valid successor of the leaf it removes", async () => {
    const isSuccessor = async (
      previous: { credential: unknown },
      next: { credential: unknown },
    ): Promise<boolean> => JSON.stringify(previous.credential) === JSON.stringify(next.credential);
    const authentication = { validate: async () => undefined, isSuccessor };
    const where = await room(await persons(["alice", "mallory", "carol"], { authentication }));
    const mallory = await inside(where.at(1).person);
    const remove = { proposalType: "remove", removed: 2 } as const;
    const eve = await person("eve");
    const byEve = await forgeCommit(mallory, { external: { person: eve }, proposals: [remove] });
    await expectRefused(where, -1, byEve, "authentication");
    const carol = await person("carol");
    await joined(carol, where.groups, { resync: 2 });
    same([where.at(0).group, where.at(1).group]);
  });

  it("P38 §7.3 has another encryption key than the leaf it removes", async () => {
    const { where, mallory } = await stage();
    const { person: carol, group } = where.at(2);
    const old = group.members()[2]?.leafNode;
    if (!old) throw new Error("no leaf");
    const remove = { proposalType: "remove", removed: 2 } as const;
    const commit = await forgeCommit(mallory, {
      external: { person: carol },
      proposals: [remove],
      leaf: () => ({ encryptionKey: old.encryptionKey }),
    });
    await expectRefused(where, -1, commit, "leaf-encryption-key");
  });
});

describe("§12.4.3.2 who gives up joining", () => {
  it("has no commit to send any more", async () => {
    const { where, eve } = await stage();
    const { group } = await joinExternally(eve.context, {
      groupInfo: await where.at(0).group.groupInfo({ externalPub: true, ratchetTree: "inside" }),
      credential: eve.credential,
      signer: eve.signer,
    });
    expect(group.pendingCommit).toBeDefined();
    await group.remove();
    expect(group.pendingCommit).toBeUndefined();
  });
});

describe("§5.3.3, §7.2 the leaf of who joins", () => {
  it("has the extensions that the application gives it, and keeps them", async () => {
    const { where, eve } = await stage();
    const { group: alice } = where.at(0);
    const id = applicationId(utf8("device 7"));
    const { group, bundle } = await joinExternally(eve.context, {
      groupInfo: await alice.groupInfo({ externalPub: true, ratchetTree: "inside" }),
      credential: eve.credential,
      signer: eve.signer,
      leafExtensions: [id],
    });
    for (const one of where.groups) await one.receive(bundle.commit);
    await group.confirm();
    const { commit } = await group.commit();
    for (const one of [group, ...where.groups]) await one.receive(commit);
    const leaf = alice.members().find(({ leafIndex }) => leafIndex === group.ownLeafIndex);
    expect(applicationIdOf(leaf?.leafNode.extensions ?? [])).toEqual(utf8("device 7"));
  });
});
