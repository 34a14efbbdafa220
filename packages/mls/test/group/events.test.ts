import { inspect } from "node:util";
import { type Group, type GroupEvent, loadGroup, memoryStorage, type Storage } from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { addProposal, hex, joinByLink, person, persons, room, utf8 } from "../people.ts";

/** Notes what a group tells; `take` gives what came since the last call. */
function listen(group: Group, limit?: number) {
  const reader = group.events(limit === undefined ? {} : { limit }).getReader();
  return {
    reader,
    take: async (count: number): Promise<GroupEvent[]> => {
      const events: GroupEvent[] = [];
      while (events.length < count) {
        const { done, value } = await reader.read();
        if (done) break;
        events.push(value);
      }
      return events;
    },
  };
}

const types = (events: readonly GroupEvent[]) => events.map(({ type }) => type);

describe("the events of a group", () => {
  it("tell of messages, proposals, commits, epochs and members, to each reader", async () => {
    const { groups, at } = await room(await persons(["alice", "bob", "carol"]));
    const [a, b, c] = groups;
    if (!a || !b || !c) throw new Error("three");
    const [alice, again, bob, carol] = [listen(a), listen(a), listen(b), listen(c)];
    await b.receive(await a.send(utf8("hello")));
    const update = await b.proposeUpdate();
    for (const group of [a, c]) await group.receive(update);
    const dave = await person("dave");
    const proposals = [{ proposalType: "remove", removed: 2 } as const, await addProposal(dave)];
    await b.commit();
    const { commit } = await a.commit({ proposals });
    for (const group of groups) await group.receive(commit);

    const told = await alice.take(9);
    expect(types(told)).toEqual([
      "message-sent",
      "proposal",
      "commit-composed",
      "commit-accepted",
      "epoch",
      "member-removed",
      "member-updated",
      "member-added",
      "member-updated",
    ]);
    expect(told[0]).toEqual({ type: "message-sent", epoch: 1n, generation: 0 });
    expect(told[1]).toMatchObject({ own: false, proposalType: "update", epoch: 1n });
    expect(told[3]).toEqual({ type: "commit-accepted", epoch: 1n });
    expect(told[4]).toMatchObject({ epoch: 2n, summary: { committer: 0, epoch: 1n } });
    expect(told.slice(5).map((event) => "leafIndex" in event && event.leafIndex)).toEqual([
      2, 1, 2, 0,
    ]);
    expect(await again.take(9)).toEqual(told);
    const toldBob = await bob.take(5);
    expect(types(toldBob)).toEqual([
      "message-received",
      "proposal",
      "commit-composed",
      "commit-lost",
      "epoch",
    ]);
    expect(toldBob[0]).toEqual({ type: "message-received", epoch: 1n, generation: 0, sender: 0 });
    expect(toldBob[1]).toMatchObject({ own: true });
    // Who is removed hears of that, and then no more.
    const last = (await carol.take(99)).at(-1);
    expect(last).toEqual({ type: "status", status: "removed" });
    expect(at(2).group.status).toBe("removed");
  });

  it("tell of commits that are given up, and of being in", async () => {
    const { groups, at } = await room(await persons(["alice", "bob"]));
    const { group } = at(0);
    const alice = listen(group);
    await group.commit();
    await group.discardPendingCommit();
    const eve = await person("eve");
    await joinByLink(eve, group, groups.slice(1));
    expect(types(await alice.take(4))).toEqual([
      "commit-composed",
      "commit-discarded",
      "epoch",
      "member-added",
    ]);
    const mine = listen(group);
    await group.remove();
    expect(await mine.take(9)).toEqual([{ type: "status", status: "removed" }]);
  });

  it("follow what is stored, and are not told where that fails", async () => {
    const inner = memoryStorage();
    const done: string[] = [];
    let isBroken = false;
    const storage: Storage = {
      ...inner,
      apply: async (batch) => {
        if (isBroken) throw new Error("the disk is full");
        await inner.apply(batch);
        done.push("stored");
      },
    };
    const [first] = await persons(["bob"]);
    const alice = await person("alice", { storage });
    const { at } = await room([alice, ...(first ? [first] : [])]);
    const { group } = at(0);
    done.length = 0;
    const listening = listen(group)
      .take(2)
      .then((events) => done.push(...types(events)));
    const refuse = () => {
      throw new Error("no");
    };
    await expect(group.send(utf8("x"), { and: refuse })).rejects.toThrow("no");
    await group.send(utf8("x"));
    await group.commit();
    await listening;
    expect(done).toEqual(["stored", "stored", "message-sent", "commit-composed"]);
    const silent = listen(group);
    isBroken = true;
    await expect(group.send(utf8("x"))).rejects.toThrow("full");
    await silent.reader.cancel();
  });

  it("wait for a slow reader within bounds, and say how many it missed", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const { group } = at(0);
    const slow = listen(group, 2);
    for (let i = 0; i < 10; i++) await group.send(utf8("x"));
    const first = await slow.take(3);
    expect(first.slice(0, 2).map((event) => "generation" in event && event.generation)).toEqual([
      0, 1,
    ]);
    expect(first[2]).toEqual({ type: "missed", count: 8 });
    await group.send(utf8("x"));
    expect(await slow.take(1)).toEqual([{ type: "message-sent", epoch: 1n, generation: 10 }]);
    await slow.reader.cancel();
    await group.send(utf8("x"));
  });
});

/** All byte arrays that can be reached from a value. */
function reachable(value: unknown, found = new Set<unknown>(), bytes: string[] = []): string[] {
  if (typeof value !== "object" || value === null || found.has(value)) return bytes;
  found.add(value);
  if (value instanceof Uint8Array) bytes.push(hex(value));
  else for (const key of Reflect.ownKeys(value)) reachable(Reflect.get(value, key), found, bytes);
  return bytes;
}

describe("nothing secret", () => {
  it("can be reached from an event, or seen by inspecting what an application holds", async () => {
    const { groups, observer, at } = await room(await persons(["alice", "bob"]));
    const { group, person: alice } = at(0);
    const heard = listen(group);
    const message = await group.send(utf8("a secret of another kind"));
    await at(1).group.receive(message);
    const update = await at(1).group.proposeUpdate();
    await group.receive(update);
    const { commit } = await group.commit();
    const secrets: string[] = [];
    const note = async () => {
      for (const [key, value] of await alice.storage.list("group/")) {
        const digits = hex(value);
        if (/\/(tree|resumption)\//.test(key)) secrets.push(digits.slice(-64));
        // The private key, behind its length.
        if (/\/(key|update)\//.test(key)) secrets.push(digits.slice(2, 66));
      }
    };
    await note();
    for (const one of groups) await one.receive(commit);
    await note();
    const events = await heard.take(6);
    const told = reachable(events).join("|");
    expect(told.length).toBeGreaterThan(100);
    expect(secrets.length).toBeGreaterThan(6);
    for (const secret of secrets) expect(told.includes(secret)).toBe(false);
    const again = await loadGroup(alice.context, { groupId: group.groupId, signer: alice.signer });
    for (const held of [group, again, observer]) {
      const shown = inspect(held, { showHidden: true, depth: 9 });
      expect(shown).not.toContain("Uint8Array");
      expect(reachable(held)).toEqual([]);
      expect(JSON.stringify(held)).toBe("{}");
    }
    const refused: unknown = await at(1)
      .group.receive(message)
      .catch((error: unknown) => error);
    expect(reachable(refused)).toEqual([]);
  });
});

describe("when a group is forgotten", () => {
  it("a reader that was slow is told how much it missed, and one who comes then that nothing follows", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const { group } = at(1);
    const slow = listen(group, 1);
    for (let i = 0; i < 3; i++) await group.receive(await at(0).group.send(utf8("hello")));
    await group.remove();
    // Two messages and the status.
    expect(await slow.take(3)).toMatchObject([
      { type: "message-received", generation: 0 },
      { type: "missed", count: 3 },
    ]);
    expect(await listen(group).take(1)).toEqual([]);
  });
});
