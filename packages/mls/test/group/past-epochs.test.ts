/** §9.2, §15.3: application messages of epochs that have passed, within the window that the application chose. */

import type { Group } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { forgePrivate, inside } from "../forge.ts";
import {
  add,
  hex,
  NOW,
  type Person,
  person,
  persons,
  reload,
  room,
  text,
  utf8,
} from "../people.ts";

const HOUR = 3_600;

/** A room whose people keep epochs, and a clock for them. */
async function keeping(
  epochs: number,
  names: readonly string[] = ["alice", "bob", "carol"],
  handshakes: "public" | "private" = "public",
) {
  const clock = { now: NOW };
  const context = {
    pastEpochs: { epochs, seconds: HOUR },
    now: () => clock.now,
    handshakes: { send: handshakes },
  };
  const where = await room(await persons(names, { context }));
  const epoch = async (by: number, groups: readonly Group[] = where.groups) => {
    const committer = groups[by];
    if (!committer) throw new Error("nobody");
    const { commit } = await committer.commit();
    for (const group of groups) await group.receive(commit);
  };
  return { ...where, clock, epoch };
}

async function read(group: Group, message: Bytes) {
  const received = await group.receive(message);
  if (received.type !== "application") throw new Error("no application message");
  return { ...received, words: text(received.data) };
}

function pastRecords(who: Person): Promise<readonly string[]> {
  return who.storage
    .list("group/")
    .then((records) => [...records.keys()].filter((key) => /\/past\/|\/tree\//.test(key)))
    .then((keys) => [...new Set(keys.map((key) => key.replace(/\/(\d+)\/.*$/, "/$1")))])
    .then((keys) => keys.map((key) => key.split("/").slice(2).join("/")));
}

describe("§15.3 a message of an epoch that has passed", () => {
  it("is refused unless the application keeps epochs", async () => {
    const { at, groups } = await room(await persons(["alice", "bob"]));
    const late = await at(0).group.send(utf8("late"));
    const { commit } = await at(0).group.commit();
    for (const group of groups) await group.receive(commit);
    await expect(at(1).group.receive(late)).rejects.toMatchObject({ code: "wrong-epoch" });
    expect(await pastRecords(at(1).person)).toEqual(["tree/2"]);
  });

  it.each(["public", "private"] as const)(
    "is read within the window, after a reload too, and by no one twice (%s handshakes)",
    async (handshakes) => {
      const { at, epoch } = await keeping(2, ["alice", "bob", "carol"], handshakes);
      const { group, person: bob } = at(1);
      const [first, second, third] = [
        await at(0).group.send(utf8("first")),
        await at(0).group.send(utf8("second")),
        await at(0).group.send(utf8("third")),
      ];
      await epoch(0);
      expect(await read(group, second)).toMatchObject({
        words: "second",
        epoch: 1n,
        generation: 1,
      });
      await epoch(2);
      const again = await reload(bob, group);
      expect(await read(again, first)).toMatchObject({ words: "first", sender: 0 });
      for (const used of [first, second]) {
        await expect(again.receive(used)).rejects.toMatchObject({ code: "generation-used" });
      }
      const oncemore = await reload(bob, again);
      await expect(oncemore.receive(first)).rejects.toMatchObject({ code: "generation-used" });
      expect(await read(oncemore, third)).toMatchObject({ words: "third" });
      expect(await read(oncemore, await at(0).group.send(utf8("now")))).toMatchObject({
        epoch: 3n,
      });
    },
  );

  it("is verified against the leaf that its sender had then (openmls#1691)", async () => {
    const { at, groups, epoch } = await keeping(3);
    const { group, person: bob } = at(1);
    const carol = await inside(at(2).person);
    const late = await at(2).group.send(utf8("from carol"));
    const { commit } = await at(0).group.commit({
      proposals: [{ proposalType: "remove", removed: 2 }],
    });
    for (const one of groups) await one.receive(commit);
    // Dave takes the place of carol's leaf: what she said is still hers.
    const [a, b] = groups;
    if (!a || !b) throw new Error("two");
    const dave = await person("dave");
    const [d] = await add(a, [dave], [b]);
    expect(d?.ownLeafIndex).toBe(2);
    await epoch(0, d ? [a, b, d] : []);
    const forged = await forgePrivate(
      carol,
      { contentType: "application", applicationData: utf8("from dave") },
      { skip: 1, signer: dave.signer },
    );
    for (const one of [group, await reload(bob, group)]) {
      await expect(one.receive(forged)).rejects.toMatchObject({ code: "signature" });
    }
    const received = await read(await reload(bob, group), late);
    expect(received.words).toBe("from carol");
    expect(received.senderLeaf.signatureKey).toEqual(at(2).person.signer.publicKey);
    // Who came later can't read it: the membership of that epoch decides.
    await expect(d?.receive(late)).rejects.toMatchObject({ code: "wrong-epoch" });
  });

  it("§6.3.2 is told to be our own by the leaf that we had then (openmls#2194)", async () => {
    const { at, epoch } = await keeping(2);
    const { group, person: bob } = at(1);
    const late = await group.send(utf8("mine"));
    await epoch(0);
    await expect(group.receive(late)).rejects.toMatchObject({ code: "own-message" });
    const again = await reload(bob, group);
    await expect(again.receive(late)).rejects.toMatchObject({ code: "own-message" });
  });

  it("§12.4.2 is refused where it is a proposal or a commit", async () => {
    const { at, epoch } = await keeping(2, ["alice", "bob", "carol"], "private");
    const proposal = await at(0).group.propose({ proposalType: "remove", removed: 2 });
    const { commit } = await at(0).group.commit();
    await at(0).group.discardPendingCommit();
    const publicly = await forgePrivate(await inside(at(2).person), {
      contentType: "proposal",
      proposal: { proposalType: "remove", removed: 0 },
    });
    await epoch(1);
    for (const late of [proposal, commit, publicly]) {
      await expect(at(1).group.receive(late)).rejects.toMatchObject({ code: "wrong-epoch" });
    }
  });

  it("of another group is refused", async () => {
    const { at, epoch } = await keeping(2);
    await epoch(0);
    const message = await forgePrivate(
      await inside(at(0).person),
      { contentType: "application", applicationData: utf8("x") },
      { groupId: utf8("elsewhere"), epoch: 1n },
    );
    await expect(at(1).group.receive(message)).rejects.toMatchObject({ code: "wrong-group" });
  });
});

describe("§9.2 an epoch that has passed", () => {
  it("is deleted by count, its record and its keys", async () => {
    const { at, epoch } = await keeping(2);
    const { group, person: bob } = at(1);
    const late = await at(0).group.send(utf8("late"));
    for (const by of [0, 1, 0]) await epoch(by);
    expect([...(await pastRecords(bob))].sort()).toEqual([
      "past/2",
      "past/3",
      "tree/2",
      "tree/3",
      "tree/4",
    ]);
    for (const one of [group, await reload(bob, group)]) {
      await expect(one.receive(late)).rejects.toMatchObject({ code: "wrong-epoch" });
    }
  });

  it.each(["by the next message", "by loading", "by the next epoch"])(
    "is deleted by time, %s",
    async (how) => {
      const { at, epoch, clock } = await keeping(5);
      const { group, person: bob } = at(1);
      const late = await at(0).group.send(utf8("late"));
      await epoch(0);
      clock.now += HOUR * 1000 - 1;
      await epoch(0);
      const secrets = [...(await bob.storage.list(`group/${hex(group.groupId)}/past/1`)).values()];
      expect(await pastRecords(bob)).toContain("past/1");
      clock.now += 1;
      if (how === "by loading") await reload(bob, group);
      else if (how === "by the next epoch") await epoch(0);
      else await group.receive(late).catch(() => undefined);
      const left = await pastRecords(bob);
      expect(left).not.toContain("past/1");
      expect(left).not.toContain("tree/1");
      expect(left).toContain("past/2");
      const all = [...(await bob.storage.list("")).values()].map(hex).join("|");
      // The sender data secret is in the record, of 32 bytes.
      expect(secrets).toHaveLength(1);
      expect(all.includes(hex(secrets[0] ?? utf8("")))).toBe(false);
      await expect(group.receive(late)).rejects.toMatchObject({ code: "wrong-epoch" });
    },
  );

  it("is deleted where the application keeps fewer, or none, from now on", async () => {
    const { at, epoch } = await keeping(3);
    const { group, person: bob } = at(1);
    for (const by of [0, 1, 0]) await epoch(by);
    const context = { ...bob.context, pastEpochs: { epochs: 1, seconds: HOUR } };
    await reload({ ...bob, context }, group);
    expect([...(await pastRecords(bob))].sort()).toEqual(["past/3", "tree/3", "tree/4"]);
    const { pastEpochs: _, ...without } = context;
    await reload({ ...bob, context: without }, group);
    expect(await pastRecords(bob)).toEqual(["tree/4"]);
  });

  it("is deleted when we are removed, or leave", async () => {
    const { at, groups, epoch } = await keeping(3);
    await epoch(0);
    const { commit } = await at(0).group.commit({
      proposals: [{ proposalType: "remove", removed: 1 }],
    });
    for (const group of groups) await group.receive(commit);
    expect(await pastRecords(at(1).person)).toEqual([]);
    await at(2).group.remove();
    expect(await pastRecords(at(2).person)).toEqual([]);
  });

  it("of another version than this package knows is not loaded", async () => {
    const { at, epoch } = await keeping(3);
    await epoch(0);
    const { group, person: bob } = at(1);
    const key = `group/${hex(group.groupId)}/past/1`;
    const record = await bob.storage.get(key);
    if (!record) throw new Error("no record");
    await bob.storage.apply({ put: new Map([[key, record.with(0, 99) as Bytes]]) });
    await expect(reload(bob, group)).rejects.toMatchObject({ code: "storage" });
  });

  it("is over with what came after it, where the clock was put back between the two", async () => {
    const { at, clock, epoch } = await keeping(3);
    const { group } = at(1);
    const late = await at(0).group.send(utf8("late"));
    await epoch(0);
    const later = await at(0).group.send(utf8("later"));
    clock.now -= HOUR * 1000;
    await epoch(0);
    // For half an hour by the clock the first has not even ended.
    clock.now += HOUR * 1000;
    for (const message of [later, late]) {
      await expect(group.receive(message)).rejects.toMatchObject({ code: "wrong-epoch" });
    }
  });

  it("may end between two milliseconds", async () => {
    const { at, clock, epoch } = await keeping(1);
    clock.now += 0.5;
    const late = await at(0).group.send(utf8("late"));
    await epoch(0);
    expect((await read(at(1).group, late)).words).toBe("late");
  });
});
