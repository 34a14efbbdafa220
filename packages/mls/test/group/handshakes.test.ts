/** §6: in which wire format proposals and commits travel is the application's choice. */

import { type Group, type HandshakePolicy, memoryStorage, type Storage } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { readMessage } from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import { forgeCommit, forgePrivate, inside } from "../forge.ts";
import {
  add,
  addProposal,
  expectRefused,
  found,
  hex,
  joinByLink,
  person,
  persons,
  type Room,
  reload,
  room,
  text,
  utf8,
} from "../people.ts";

function roomOf(names: readonly string[], handshakes: HandshakePolicy): Promise<Room> {
  return persons(names, { context: { handshakes } }).then((people) => room(people));
}

async function all(groups: readonly Group[], message: Bytes): Promise<void> {
  for (const group of groups) await group.receive(message);
  expect(new Set(groups.map((group) => hex(group.epochAuthenticator))).size).toBe(1);
}

describe("§6 handshake messages", () => {
  it("are PublicMessages unless the application wants otherwise", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const update = await at(1).group.proposeUpdate();
    expect(readMessage(update)).toMatchObject({
      wireFormat: "mls_public_message",
      contentType: "proposal",
    });
    await at(0).group.receive(update);
    const { commit } = await at(0).group.commit();
    expect(readMessage(commit)).toMatchObject({
      wireFormat: "mls_public_message",
      contentType: "commit",
    });
  });

  it("are PrivateMessages where it does: proposals, commits by reference and by value, people who come and go", async () => {
    const { groups, people, at } = await roomOf(["alice", "bob", "carol"], { send: "private" });
    const [a, b, c] = groups;
    if (!a || !b || !c) throw new Error("three");
    const update = await b.proposeUpdate();
    const removal = await c.propose({ proposalType: "remove", removed: 2 });
    for (const message of [update, removal]) {
      expect(readMessage(message)).toEqual({
        wireFormat: "mls_private_message",
        groupId: a.groupId,
        epoch: 1n,
        contentType: "proposal",
      });
    }
    for (const group of [a, c]) await group.receive(update);
    for (const group of [a, b]) await group.receive(removal);
    const { commit } = await a.commit();
    expect(readMessage(commit)).toMatchObject({
      wireFormat: "mls_private_message",
      contentType: "commit",
    });
    await all([a, b], commit);
    expect(await c.receive(commit)).toMatchObject({ type: "commit", removed: true });
    const [d] = await add(b, [await person("dave")], [a]);
    if (!d) throw new Error("dave");
    await all([a, b, d], (await d.commit()).commit);
    const again = await reload(at(0).person, a);
    await all([again, b, d], (await again.commit()).commit);
    const received = await b.receive(await again.send(utf8("hello")));
    expect(received.type === "application" && text(received.data)).toBe("hello");
    expect(people).toHaveLength(3);
  });

  it("§12.4.3.2 of someone who joins are PublicMessages whatever the policy", async () => {
    const handshakes = { send: "private", accept: "private" } as const;
    const [alice, bob] = await persons(["alice", "bob"], { context: { handshakes } });
    if (!alice || !bob) throw new Error("two");
    const a = await found(alice);
    const b = await joinByLink(bob, a);
    expect(b.epochAuthenticator).toEqual(a.epochAuthenticator);
    await all([a, b], (await b.commit()).commit);
  });

  it("are refused from members in the wire format that is not accepted", async () => {
    const secret = await roomOf(["alice", "bob"], { send: "private", accept: "private" });
    const alice = await inside(secret.at(0).person);
    const content = {
      contentType: "proposal",
      proposal: { proposalType: "remove", removed: 0 },
    } as const;
    await expectRefused(secret, 0, await forgeCommit(alice), "wrong-wire-format", {
      membersOnly: true,
    });
    await secret.at(1).group.receive(await forgePrivate(alice, content));
    expect(secret.at(1).group.pendingProposals).toHaveLength(1);

    const open = await roomOf(["alice", "bob"], { accept: "public" });
    const other = await inside(open.at(0).person);
    await expectRefused(open, 0, await forgePrivate(other, content), "wrong-wire-format");
    const wireFormat = "mls_private_message";
    const commit = await forgeCommit(other, { wireFormat });
    await expectRefused(open, 0, commit, "wrong-wire-format");
    const received = await open.at(1).group.receive(await open.at(0).group.send(utf8("hi")));
    expect(received.type).toBe("application");
    await all(open.groups, (await open.at(0).group.commit()).commit);
  });

  it("use up a key each, which is stored before they leave", async () => {
    const { at } = await roomOf(["alice", "bob"], { send: "private" });
    const { group, person: alice } = at(0);
    const generations: number[] = [];
    for (let i = 0; i < 3; i++) {
      const again = await reload(alice, group);
      await again.commit();
      await again.discardPendingCommit();
      const reloaded = await reload(alice, again);
      const { commit } = await reloaded.commit();
      const records = await alice.storage.list(`group/${hex(group.groupId)}/tree/1/r/0/`);
      const ratchet = [...records].find(([key]) => key.endsWith("/handshake"))?.[1];
      generations.push(new DataView(ratchet?.buffer ?? new ArrayBuffer(4)).getUint32(0));
      expect(readMessage(commit).wireFormat).toBe("mls_private_message");
      await reloaded.discardPendingCommit();
    }
    // Two commits each time, none with a key that one before it had.
    expect(generations).toEqual([2, 4, 6]);
  });

  it("§14 of ours that were given up and are met all the same are told apart from replays", async () => {
    const { at } = await roomOf(["alice", "bob"], { send: "private" });
    const { group } = at(0);
    const update = await group.proposeUpdate();
    await expect(group.receive(update)).rejects.toMatchObject({ code: "own-message" });
    const { commit } = await group.commit();
    await group.discardPendingCommit();
    await expect(group.receive(commit)).rejects.toMatchObject({ code: "pending-commit" });
  });

  it("§14 of ours that an older copy of the state does not know show that it is one", async () => {
    const { at } = await roomOf(["alice", "bob"], { send: "private" });
    const { group, person: alice } = at(0);
    const backup: Storage = memoryStorage();
    await backup.apply({ put: await alice.storage.list("") });
    const { commit } = await group.commit();
    const context = { ...alice.context, storage: backup };
    const restored = await reload({ ...alice, context }, group);
    await expect(restored.receive(commit)).rejects.toMatchObject({ code: "state-old" });
    await all([group, at(1).group], commit);
  });

  it("leave the group as it was when they can't be stored", async () => {
    const { at } = await roomOf(["alice", "bob"], { send: "private" });
    const { group } = at(0);
    const no = () => {
      throw new Error("no");
    };
    await expect(group.commit({ and: no })).rejects.toThrow("no");
    const again = [await addProposal(at(1).person)];
    await expect(group.commit({ proposals: again })).rejects.toMatchObject({
      code: "leaf-key-reused",
    });
    await expect(
      group.propose({ proposalType: "remove", removed: 1 }, { and: no }),
    ).rejects.toThrow("no");
    const { commit } = await group.commit();
    const bob = at(1).group;
    await expect(bob.receive(commit, { and: no })).rejects.toThrow("no");
    await all([group, bob], commit);
  });
});
