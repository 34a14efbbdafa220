import type { Group } from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { add, found, hex, joinByLink, person, reload, text, utf8 } from "../people.ts";

/** `from` says something, and everyone else reads it. */
async function say(from: Group, to: readonly Group[], words: string): Promise<void> {
  const message = await from.send(utf8(words));
  for (const group of to) {
    const received = await group.receive(message);
    expect(received.type === "application" && text(received.data)).toBe(words);
  }
}

function agree(groups: readonly Group[]): void {
  const [first, ...rest] = groups.map((group) => hex(group.epochAuthenticator));
  for (const other of rest) expect(other).toBe(first);
}

describe.each([1, 3])("a group of suite %i", (suite) => {
  it("lives: people come by Welcome and by link, talk, update and leave", async () => {
    const [alice, bob, carol, dave] = await Promise.all(
      ["alice", "bob", "carol", "dave"].map((name) => person(name, { suite })),
    );
    if (!alice || !bob || !carol || !dave) throw new Error("four people");
    const a = await found(alice);
    const [b, c] = await add(a, [bob, carol]);
    if (!b || !c) throw new Error("two joined");
    agree([a, b, c]);
    await say(a, [b, c], "hello");
    await say(b, [a, c], "hello alice");
    await say(b, [a, c], "and carol");

    const d = await joinByLink(dave, a, [b, c]);
    agree([a, b, c, d]);
    await say(d, [a, b, c], "I came by a link");

    const update = await c.commit();
    for (const group of [a, b, c, d]) await group.receive(update.commit);
    agree([a, b, c, d]);

    const proposal = await d.proposeUpdate();
    for (const group of [a, b, c]) await group.receive(proposal);
    await expect(a.send(utf8("too early"))).rejects.toMatchObject({ code: "pending-proposals" });
    const byReference = await b.commit();
    for (const group of [a, b, c, d]) await group.receive(byReference.commit);
    agree([a, b, c, d]);
    await say(d, [a, b, c], "with new keys");

    const removal = await a.commit({ proposals: [{ proposalType: "remove", removed: 1 }] });
    for (const group of [a, c, d]) await group.receive(removal.commit);
    const last = await b.receive(removal.commit);
    expect(last.type === "commit" && last.removed).toBe(true);
    expect(b.status).toBe("removed");
    agree([a, c, d]);
    await say(a, [c, d], "bob can't read this");
  });

  it("goes on after a reload, from its records", async () => {
    const alice = await person("alice", { suite });
    const bob = await person("bob", { suite });
    const a = await found(alice);
    const [b] = await add(a, [bob]);
    if (!b) throw new Error("bob joined");
    await say(a, [b], "one");
    const a2 = await reload(alice, a);
    const b2 = await reload(bob, b);
    await say(a2, [b2], "two");
    await say(b2, [a2], "three");
    const pending = await b2.commit();
    const b3 = await reload(bob, b2);
    expect(b3.pendingCommit?.commit).toEqual(pending.commit);
    for (const group of [a2, b3]) await group.receive(pending.commit);
    agree([a2, b3]);
    await say(b3, [a2], "four");
  });
});
