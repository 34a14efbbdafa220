/** How far a client has come: what tells an older copy of its state. */

import { comparePositions, type Group, memoryStorage } from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { type Person, persons, reload, room, utf8 } from "../people.ts";

async function copyOf(who: Person, group: Group): Promise<Group> {
  const storage = memoryStorage();
  await storage.apply({ put: await who.storage.list("") });
  return reload({ ...who, context: { ...who.context, storage } }, group);
}

describe("a position in a group", () => {
  it.each(["public", "private"] as const)(
    "grows with whatever leaves this client, and is stored before (%s handshakes)",
    async (send) => {
      const context = { handshakes: { send } };
      const { groups, at } = await room(await persons(["alice", "bob"], { context }));
      const { group, person: alice } = at(0);
      const steps: readonly (() => Promise<unknown>)[] = [
        () => group.send(utf8("one")),
        () => group.send(utf8("two")),
        () => group.commit(),
        () => group.send(utf8("three")),
        () => group.discardPendingCommit(),
        async () => {
          const { commit } = await group.commit();
          for (const one of groups) await one.receive(commit);
        },
        async () => {
          const { commit } = await at(1).group.commit();
          for (const one of groups) await one.receive(commit);
        },
        () => group.send(utf8("four")),
        () => group.safeExportSecret(1),
        () => group.proposeUpdate(),
        () => group.propose({ proposalType: "remove", removed: 1 }),
      ];
      for (const step of steps) {
        const copy = await copyOf(alice, group);
        expect(comparePositions(copy.position, group.position)).toBe(0);
        await step();
        expect(comparePositions(copy.position, group.position)).toBeLessThan(0);
        expect(comparePositions(group.position, copy.position)).toBeGreaterThan(0);
        expect((await reload(alice, group)).position).toEqual(group.position);
      }
    },
  );

  it("says what was sent in this epoch, and last of all", async () => {
    const context = { handshakes: { send: "private" } as const };
    const { groups, at } = await room(await persons(["alice", "bob"], { context }));
    const { group } = at(0);
    const sent = { application: 0, handshake: 0 };
    expect(group.position).toMatchObject({ epoch: 1n, sent, lastSent: undefined });
    for (const words of ["one", "two"]) await group.send(utf8(words));
    const { commit } = await group.commit();
    const lastSent = { epoch: 1n, generation: 1 };
    expect(group.position).toMatchObject({ sent: { application: 2, handshake: 1 }, lastSent });
    for (const one of groups) await one.receive(commit);
    expect(group.position).toMatchObject({ epoch: 2n, sent, lastSent });
    expect((await reload(at(0).person, group)).position).toEqual(group.position);
  });

  it("stays where it is when others speak, and when nothing was stored", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const { group } = at(0);
    const before = group.position;
    await group.receive(await at(1).group.send(utf8("hello")));
    await group.receive(await at(1).group.propose({ proposalType: "remove", removed: 1 }));
    const refuse = () => {
      throw new Error("no");
    };
    await expect(group.commit({ and: refuse })).rejects.toThrow("no");
    expect(group.position).toEqual(before);
  });
});
