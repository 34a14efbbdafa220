import { type Batch, createGroup, type Group, joinGroup, readKeyPackage } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import {
  add,
  addProposal,
  found,
  hex,
  joinByLink,
  LIFETIME,
  person,
  persons,
  reload,
  room,
  text,
  utf8,
} from "../people.ts";

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

describe("what fails", () => {
  it("leaves the group as it was: its state, its records, its next message", async () => {
    const no = new Error("no room for that");
    const refuse = () => {
      throw no;
    };
    const { people, groups, at } = await room(await persons(["alice", "bob", "carol"]));
    const [{ person: bob, group }, { group: alice }] = [at(1), at(0)];
    const message = await alice.send(utf8("hello"));
    const proposal = await alice.propose({ proposalType: "remove", removed: 2 });
    await group.receive(proposal);
    await at(2).group.receive(proposal);
    const { commit } = await alice.commit();
    const own = await group.commit();
    const snapshot = async () => ({
      records: await bob.storage.list(""),
      epoch: group.epoch,
      authenticator: group.epochAuthenticator,
      pending: group.pendingCommit,
      proposals: group.pendingProposals,
      tree: group.ratchetTree(),
    });
    const before = await snapshot();
    for (const attempt of [
      group.receive(message, { and: refuse }),
      group.receive(commit, { and: refuse }),
      group.receive(own.commit, { and: refuse }),
      group.propose({ proposalType: "remove", removed: 2 }, { and: refuse }),
      group.proposeUpdate({ and: refuse }),
      group.discardPendingCommit({ and: refuse }),
      group.remove({ and: refuse }),
    ]) {
      await expect(attempt).rejects.toBe(no);
      expect(await snapshot()).toEqual(before);
    }
    await expect(group.receive(utf8("nonsense"))).rejects.toMatchObject({ name: "MlsError" });
    await expect(group.commit()).rejects.toMatchObject({ code: "pending-commit" });
    expect(await snapshot()).toEqual(before);
    const received = await group.receive(message);
    expect(received.type === "application" && text(received.data)).toBe("hello");
    await group.receive(commit);
    await alice.receive(commit);
    expect(group.epochAuthenticator).toEqual(alice.epochAuthenticator);
    expect(people.length + groups.length).toBe(6);
  });

  it("for a record of the application's in the wrong form goes on", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const and = () => ({ put: { mine: utf8("1") } }) as unknown as Batch;
    await expect(at(0).group.send(utf8("hello"), { and })).rejects.toThrow(TypeError);
    await say(at(0).group, [at(1).group], "hello");
  });

  it.each([
    ["a text", "AAEAAQ=="],
    ["nothing", undefined],
    ["numbers of two bytes", new Uint16Array([1, 1])],
  ])("for %s in place of bytes says so, and blames no message", async (_, given) => {
    const wrong = given as unknown as Bytes;
    const { at } = await room(await persons(["alice", "bob"]));
    const { group, person: alice } = at(0);
    const { context, signer } = alice;
    const why = { name: "TypeError", message: expect.stringContaining("bytes are a Uint8Array") };
    await expect(group.receive(wrong)).rejects.toMatchObject(why);
    await expect(group.send(wrong)).rejects.toThrow(TypeError);
    const named = createGroup(context, { ...alice, groupId: wrong, lifetime: LIFETIME });
    await expect(named).rejects.toMatchObject(why);
    expect(() => readKeyPackage(wrong)).toThrow(expect.objectContaining(why));
    await expect(joinGroup(context, { welcome: wrong, signer })).rejects.toMatchObject(why);
    await say(group, [at(1).group], "hello");
  });

  it("for lack of a record of the application's takes no key", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const { group } = at(0);
    const refused = group.send(utf8("one"), {
      and: () => {
        throw new Error("no");
      },
    });
    await expect(refused).rejects.toThrow("no");
    const received = await at(1).group.receive(await group.send(utf8("two")));
    expect(received.type === "application" && received.generation).toBe(0);
  });

  it("refuses a commit of ours that is not the one under way (§14)", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const { group } = at(0);
    const { commit } = await group.commit();
    await group.discardPendingCommit();
    await expect(group.receive(commit)).rejects.toMatchObject({ code: "pending-commit" });
    expect(group.epoch).toBe(1n);
  });
});

describe("calls that come at once", () => {
  it("take turns: each message has its own generation, in the order of the calls", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const messages = await Promise.all(
      Array.from({ length: 20 }, (_, i) => at(0).group.send(utf8(`${i}`))),
    );
    const received = await Promise.all(messages.map((message) => at(1).group.receive(message)));
    expect(
      received.map((one) => one.type === "application" && [text(one.data), one.generation]),
    ).toEqual(Array.from({ length: 20 }, (_, i) => [`${i}`, i]));
  });

  it("see what those before them did, and not their failures", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const { group } = at(0);
    const [first, second, sent] = await Promise.allSettled([
      group.commit(),
      group.commit(),
      group.send(utf8("still in the old epoch")),
    ]);
    expect([first.status, second.status, sent.status]).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    expect(group.epoch).toBe(1n);
  });
});

describe("§14 a commit", () => {
  it("changes nothing until it comes back", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const { group } = at(0);
    const before = [group.epoch, hex(group.epochAuthenticator), hex(group.ratchetTree())];
    const bundle = await group.commit();
    expect([group.epoch, hex(group.epochAuthenticator), hex(group.ratchetTree())]).toEqual(before);
    expect(group.pendingCommit).toEqual(bundle);
    const received = await at(1).group.receive(await group.send(utf8("meanwhile")));
    expect(received.type).toBe("application");
  });

  it("loses to another one of the same epoch, and can be made again on it", async () => {
    const { groups, at } = await room(await persons(["alice", "bob", "carol"]));
    const bundles = await Promise.all(groups.map((group) => group.commit()));
    const [winner, loser] = bundles;
    if (!winner || !loser) throw new Error("three bundles");
    for (const group of groups) {
      const received = await group.receive(winner.commit);
      expect(received.type === "commit" && [received.own, received.lostPending]).toEqual(
        group === at(0).group ? [true, false] : [false, true],
      );
    }
    agree(groups);
    await expect(at(2).group.receive(loser.commit)).rejects.toMatchObject({ code: "wrong-epoch" });
    const again = await at(1).group.commit();
    for (const group of groups) await group.receive(again.commit);
    agree(groups);
  });

  it("tells what it did, to its maker and to others alike", async () => {
    const { groups, at, observer } = await room(await persons(["alice", "bob", "carol"]));
    const dave = await person("dave");
    const update = await at(2).group.proposeUpdate();
    for (const group of groups) await group.receive(update);
    const { group: followed } = await observer.process(update);
    const { commit } = await at(0).group.commit({
      proposals: [{ proposalType: "remove", removed: 1 }, await addProposal(dave)],
      authenticatedData: utf8("why"),
    });
    const { event } = await followed.process(commit);
    const summaries = [event.type === "commit" ? event.summary : undefined];
    const reloaded = await reload(at(0).person, at(0).group);
    for (const group of [...groups, reloaded]) {
      const received = await group.receive(commit);
      summaries.push(received.type === "commit" ? received.summary : undefined);
    }
    const [first] = summaries;
    expect(first?.removed.map(({ leafIndex }) => leafIndex)).toEqual([1]);
    expect(first?.added.map(({ leafIndex }) => leafIndex)).toEqual([1]);
    expect(first?.updated.map(({ leafIndex }) => leafIndex)).toEqual([2]);
    expect([first?.committer, first?.external, text(first?.authenticatedData ?? utf8(""))]).toEqual(
      [0, false, "why"],
    );
    for (const summary of summaries) expect(summary).toEqual(first);
  });

  it("§11.2 of a ReInit ends the group, for its maker and for others", async () => {
    const { groups, at } = await room(await persons(["alice", "bob"]));
    const { commit } = await at(0).group.commit({
      proposals: [
        {
          proposalType: "reinit",
          groupId: utf8("next"),
          version: 1,
          cipherSuite: 3,
          extensions: [],
        },
      ],
    });
    for (const group of groups) {
      await group.receive(commit);
      expect(group.status).toBe("closed");
      await expect(group.send(utf8("x"))).rejects.toMatchObject({ code: "group-closed" });
      await expect(group.commit()).rejects.toMatchObject({ code: "group-closed" });
    }
    agree(groups);
    const again = await reload(at(0).person, at(0).group);
    expect(again.status).toBe("closed");
  });
});

describe("§8.6 a resumption PSK", () => {
  it("of this epoch or an earlier one serves as a PSK of the application", async () => {
    const { groups, at } = await room(await persons(["alice", "bob"]));
    for (const pskEpoch of [1n, 1n, 2n]) {
      const psk = {
        pskType: "resumption",
        usage: "application",
        pskGroupId: utf8("room"),
        pskEpoch,
        pskNonce: new Uint8Array(32).fill(Number(at(0).group.epoch)),
      } as const;
      const { commit } = await at(1).group.commit({ proposals: [{ proposalType: "psk", psk }] });
      for (const group of groups) await group.receive(commit);
      agree(groups);
    }
  });
});

describe("§7.2 a group's first leaf", () => {
  it("lives no longer than whoever joins would take", async () => {
    const alice = await person("alice");
    const { notBefore } = LIFETIME;
    const lifetime = { notBefore, notAfter: notBefore + 500n * 86_400n };
    const options = { ...alice, groupId: utf8("room"), lifetime };
    await expect(createGroup(alice.context, options)).rejects.toMatchObject({
      code: "leaf-lifetime",
    });
    const context = { ...alice.context, maxLifetime: 500n * 86_400n };
    await expect(createGroup(context, options)).resolves.toMatchObject({ epoch: 0n });
  });
});

describe("a group's id", () => {
  it("stays what it was, whatever becomes of the array that it was given in", async () => {
    const [alice, bob] = [await person("alice"), await person("bob")];
    const groupId = utf8("room");
    const group = await createGroup(alice.context, { ...alice, groupId, lifetime: LIFETIME });
    groupId.fill(0);
    const [joined] = await add(group, [bob]);
    if (!joined) throw new Error("bob joined");
    await say(group, [joined], "hello");
    expect(text(joined.groupId)).toBe("room");
  });
});

describe("a group that could not be stored", () => {
  it("is of no use to whoever kept it", async () => {
    const alice = await person("alice");
    const apply = async () => {
      throw new Error("the disk is full");
    };
    const context = { ...alice.context, storage: { ...alice.storage, apply } };
    let kept: Group | undefined;
    const options = { ...alice, groupId: utf8("room"), lifetime: LIFETIME };
    const and = (group: Group) => {
      kept = group;
      return {};
    };
    await expect(createGroup(context, { ...options, and })).rejects.toThrow("full");
    await expect(kept?.send(utf8("hello"))).rejects.toMatchObject({ code: "storage" });
    expect(() => kept?.exportSecret("label", utf8(""), 32)).toThrow("no member of this group");
  });
});

describe("§8.5 an exported secret", () => {
  it("is of a context in bytes", async () => {
    const group = await found(await person("alice"));
    const context = "context" as unknown as Uint8Array<ArrayBuffer>;
    expect(() => group.exportSecret("label", context, 32)).toThrow("TextEncoder");
    expect(group.exportSecret("label", utf8("context"), 32)).toHaveLength(32);
  });
});

describe("§8.4 an external PSK", () => {
  it("stays the application's: the array that it gave is not overwritten", async () => {
    const kept = new Uint8Array(32).fill(7);
    const { groups, at } = await room(
      await persons(["alice", "bob"], { externalPsk: async () => kept }),
    );
    for (const nonce of [1, 2]) {
      const pskNonce = new Uint8Array(32).fill(nonce);
      const psk = { pskType: "external", pskId: utf8("id"), pskNonce } as const;
      const { commit } = await at(0).group.commit({ proposals: [{ proposalType: "psk", psk }] });
      for (const group of groups) await group.receive(commit);
      expect(hex(kept)).toBe("07".repeat(32));
    }
    agree(groups);
  });
});
