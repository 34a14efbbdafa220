/**
 * §7.5, §8, §9.2, §14: what must be gone, and when. There is no error to show for it: these tests look into what is in
 * memory, what is in storage, and what an error or a description says.
 */

import { inspect } from "node:util";
import { type Group, MlsError, memoryStorage, type Storage } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { expect } from "vitest";
import { decodeSecrets, groupKeys, loadKeys } from "../../src/group/stored-group.ts";
import { SecretTree } from "../../src/key/secret-tree.ts";
import { heldKeys } from "../forge.ts";
import { hex, type Person, persons, reload, room, utf8 } from "../people.ts";
import { accepts, holds, refuses, rule } from "./rule.ts";
import { MALLORY, type Stage, stage } from "./stage.ts";

const SECRET_TREE = "key/secret-tree.ts";
const LIVE_GROUP = "group/live-group.ts";

/** All values that someone's storage holds, in hexadecimal. */
async function everything(storage: Storage): Promise<string> {
  return [...(await storage.list("")).values()].map(hex).join("|");
}

async function epochSecretsOf(who: Person): Promise<readonly Bytes[]> {
  const record = await who.storage.get(groupKeys(utf8("room")).secrets);
  if (!record) throw new Error(`${who.name} has no secrets`);
  const { secrets, exporter = [] } = decodeSecrets(record);
  return [...Object.values(secrets), ...exporter.map(({ secret }) => secret)];
}

async function recordsUnder(storage: Storage, part: string): Promise<ReadonlyMap<string, Bytes>> {
  return new Map([...(await storage.list(""))].filter(([key]) => key.includes(part)));
}

async function commitBy({ where }: Stage, leafIndex: number): Promise<void> {
  const { commit } = await where.at(leafIndex).group.commit();
  for (const group of where.groups) await group.receive(commit);
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** A secret tree over eight leaves whose root secret is in hand. */
async function secretTree() {
  const { suite } = (await stage()).mallory;
  const rootSecret = suite.provider.random(suite.nh);
  const copy = hex(rootSecret);
  const storage = memoryStorage();
  const tree = SecretTree.create(suite, 8, "t/", rootSecret, {});
  await storage.apply(tree.records());
  const take = async (taken: ReturnType<SecretTree["next"]>) => {
    await storage.apply(taken.batch);
    taken.settle();
  };
  return { suite, rootSecret, copy, storage, tree, take };
}

rule("D01", () => {
  const source = [SECRET_TREE, "  #open(leafIndex: number, type: RatchetType): Found {"] as const;
  holds("the root secret is overwritten and deleted with the first key", source, async () => {
    const { rootSecret, copy, storage, tree, take } = await secretTree();
    expect(await everything(storage)).toContain(copy);
    await take(tree.next(5, "application"));
    expect(isZero(rootSecret)).toBe(true);
    expect(await everything(storage)).not.toContain(copy);
  });
  holds("the root secret stays while no key was taken", source, async () => {
    const { rootSecret, tree } = await secretTree();
    tree.next(5, "application").discard();
    expect(isZero(rootSecret)).toBe(false);
    expect(() => tree.next(5, "application")).not.toThrow();
  });
});

rule("D02", () => {
  const source = [SECRET_TREE, "closed: [nodeKey(this.#prefix, path.start)],"] as const;
  holds("every node on the way to a leaf is gone, its siblings are left", source, async () => {
    const { storage, tree, take } = await secretTree();
    await take(tree.next(5, "application"));
    // Root 7, then 11 and 9 on the way to leaf 5, which is node 10.
    const nodes = [...(await storage.list("t/n/")).keys()];
    expect(nodes.sort()).toEqual(["t/n/13", "t/n/3", "t/n/8"]);
    await take(tree.next(4, "handshake"));
    expect((await storage.list("t/n/8")).size).toBe(0);
  });
  holds("a sibling's secret doesn't lead back", source, async () => {
    const { suite, storage, tree, take } = await secretTree();
    await take(tree.next(5, "application"));
    const loaded = SecretTree.load(suite, 8, "t/", await storage.list("t/"), {});
    expect(() => loaded.at(5, "application", 0)).toThrow(
      expect.objectContaining({ code: "generation-used" }),
    );
  });
});

rule("D03", () => {
  accepts("a key that is used once, from what waits for late messages", async () => {
    const { storage, tree, take } = await secretTree();
    await take(tree.at(1, "application", 3));
    expect((await storage.list("t/k/")).size).toBe(3);
    const late = tree.at(1, "application", 1);
    const { key, nonce } = late;
    await take(late);
    expect([isZero(key), isZero(nonce)]).toEqual([true, true]);
    expect([...(await storage.list("t/k/")).keys()].sort()).toEqual([
      "t/k/1/application/0",
      "t/k/1/application/2",
    ]);
  });
  refuses("the same key again", "generation-used §9.1", async () => {
    const { tree, take } = await secretTree();
    await take(tree.at(1, "application", 3));
    await take(tree.at(1, "application", 1));
    tree.at(1, "application", 1);
  });
});

rule("D04", () => {
  const source = [SECRET_TREE, "for (const one of [nextSecret, ...passed]) wipe(one);"] as const;
  holds("a ratchet's record is replaced with every step", source, async () => {
    const { storage, tree, take } = await secretTree();
    const seen = new Set<string>();
    for (let i = 0; i < 4; i++) {
      await take(tree.next(2, "application"));
      seen.add(hex((await storage.get("t/r/2/application")) ?? utf8("")));
    }
    expect(seen.size).toBe(4);
    const all = await everything(storage);
    expect([...seen].filter((record) => all.includes(record))).toHaveLength(1);
  });
  holds(
    "nor is the record in memory that it replaces, or that was never stored",
    source,
    async () => {
      const { tree, take } = await secretTree();
      const first = tree.next(2, "application");
      await take(first);
      const record = first.batch.put?.get("t/r/2/application") ?? utf8("none");
      expect(isZero(record)).toBe(false);
      await take(tree.next(2, "application"));
      expect(isZero(record)).toBe(true);
      const given = tree.at(2, "application", 5);
      const records = [...(given.batch.put?.values() ?? [])];
      expect(records).toHaveLength(4);
      given.discard();
      expect(records.filter((one) => !isZero(one))).toEqual([]);
    },
  );
  holds("what is stored after a step gives no earlier key", source, async () => {
    const { suite, storage, tree, take } = await secretTree();
    for (let i = 0; i < 4; i++) await take(tree.next(2, "application"));
    const loaded = SecretTree.load(suite, 8, "t/", await storage.list("t/"), {});
    for (let generation = 0; generation < 4; generation++) {
      expect(() => loaded.at(2, "application", generation)).toThrow(
        expect.objectContaining({ code: "generation-used" }),
      );
    }
    expect(loaded.next(2, "application").generation).toBe(4);
  });
});

rule("D05", () => {
  const source = ["group/next-epoch.ts", "wipe(...passing);"] as const;
  holds("an epoch that ended leaves none of its secrets in memory or storage", source, async () => {
    const at = await stage();
    const [before, held] = [new Map<string, readonly Bytes[]>(), new Map<string, string[]>()];
    for (const who of at.where.people) before.set(who.name, await epochSecretsOf(who));
    for (const [name, secrets] of before) held.set(name, secrets.map(hex));
    await commitBy(at, 0);
    for (const who of at.where.people) {
      const all = await everything(who.storage);
      // A resumption PSK is kept for a while (§8.6): that alone.
      const kept = [...(await recordsUnder(who.storage, "/resumption/")).values()].map(hex);
      for (const secret of held.get(who.name) ?? []) {
        if (!kept.includes(secret)) expect(all).not.toContain(secret);
      }
    }
  });
  holds("the secrets of the epoch that begins are others", source, async () => {
    const at = await stage();
    const [alice] = at.where.people;
    if (!alice) throw new Error("alice");
    const before = new Set((await epochSecretsOf(alice)).map(hex));
    await commitBy(at, 0);
    const after = (await epochSecretsOf(alice)).map(hex);
    expect(after.filter((secret) => before.has(secret))).toEqual([]);
  });
});

rule("D06", () => {
  const source = [
    LIVE_GROUP,
    "if (next.keys.get(index)?.privateKey !== privateKey) wipe(privateKey);",
  ] as const;
  holds("of a path that was written over", source, async () => {
    const at = await stage();
    await commitBy(at, MALLORY);
    const carol = at.where.at(2).person;
    const before = [...(await heldKeys(carol))].map(([, { privateKey }]) => hex(privateKey));
    await commitBy(at, MALLORY);
    const all = await everything(carol.storage);
    // Her own leaf's key is still in use; what mallory's path replaced is gone.
    expect(before.filter((key) => all.includes(key))).toHaveLength(1);
  });
  holds("keys that still fit are kept", source, async () => {
    const at = await stage();
    await commitBy(at, MALLORY);
    const { person: carol } = at.where.at(2);
    const own = (await heldKeys(carol)).get(4);
    await commitBy(at, 0);
    expect(hex((await heldKeys(carol)).get(4)?.privateKey ?? utf8(""))).toBe(
      hex(own?.privateKey ?? utf8("none")),
    );
  });
});

rule("D07", () => {
  const HOUR = 3_600_000;
  const late = async (pass: { epochs: number; time: number }) => {
    let now = Date.UTC(2026, 10, 23);
    const people = await persons(["alice", "bob"]);
    const clocked = people.map((who) => ({
      ...who,
      context: { ...who.context, now: () => now, pastEpochs: { epochs: 2, seconds: HOUR / 1000 } },
    }));
    const where = await room(clocked);
    const [alice, bob] = where.groups;
    if (!alice || !bob) throw new Error("two");
    const message = await alice.send(utf8("late"));
    for (let i = 0; i < pass.epochs; i++) {
      const { commit } = await alice.commit();
      for (const group of where.groups) await group.receive(commit);
    }
    now += pass.time;
    return { bob, message, storage: clocked[1]?.storage ?? memoryStorage() };
  };
  accepts("a message of an epoch inside the window", async () => {
    const { bob, message } = await late({ epochs: 2, time: HOUR - 1 });
    expect((await bob.receive(message)).type).toBe("application");
  });
  refuses("one of an epoch too far back", "wrong-epoch §6.1", async () => {
    const { bob, message } = await late({ epochs: 3, time: 0 });
    await bob.receive(message);
  });
  refuses(
    "one of an epoch that ended too long ago, whose records are gone",
    "wrong-epoch §6.1",
    async () => {
      const { bob, message, storage } = await late({ epochs: 1, time: HOUR + 1 });
      try {
        await bob.receive(message);
      } finally {
        const left = [...(await storage.list("")).keys()];
        expect(left.filter((key) => /\/(past|tree\/1)\//.test(key))).toEqual([]);
      }
    },
  );
});

rule("D08", () => {
  const source = [
    "group/next-epoch.ts",
    "return new Map(live.keys).set(2 * live.ownLeaf, keyPair);",
  ] as const;
  holds("the key before an Update, and the Update's own record", source, async () => {
    const at = await stage();
    const { person: bob, group } = at.where.at(1);
    const old = hex((await heldKeys(bob)).get(2)?.privateKey ?? utf8("none"));
    const update = await group.proposeUpdate();
    for (const leafIndex of [0, 2, 3]) await at.where.at(leafIndex).group.receive(update);
    expect((await recordsUnder(bob.storage, "/update/")).size).toBe(1);
    await commitBy(at, 0);
    expect((await recordsUnder(bob.storage, "/update/")).size).toBe(0);
    expect(await everything(bob.storage)).not.toContain(old);
  });
  holds("the key of an Update that nobody committed", source, async () => {
    const at = await stage();
    const { person: bob, group } = at.where.at(1);
    await group.proposeUpdate();
    const [record] = (await recordsUnder(bob.storage, "/update/")).values();
    // The others never saw it: the next commit leaves it out, and it is void.
    await commitBy(at, 0);
    expect(await everything(bob.storage)).not.toContain(hex(record ?? utf8("none")));
  });
});

rule("D09", () => {
  const source = [LIVE_GROUP, "this.wipeNext(this.pending.composed.next);"] as const;
  const pendingOf = async (who: Person): Promise<Bytes> => {
    const [record] = (await recordsUnder(who.storage, "/pending")).values();
    if (!record) throw new Error("nothing is pending");
    // It ends with a secret of the epoch to come, the root of its exporter tree.
    return record.slice(-32);
  };
  holds("when another commit wins", source, async () => {
    const at = await stage();
    const { person: bob, group } = at.where.at(1);
    await group.commit();
    const secret = hex(await pendingOf(bob));
    await commitBy(at, 0);
    expect(group.pendingCommit).toBeUndefined();
    expect(await everything(bob.storage)).not.toContain(secret);
  });
  holds("when it is given up", source, async () => {
    const at = await stage();
    const { person: bob, group } = at.where.at(1);
    await group.commit();
    const secret = hex(await pendingOf(bob));
    await group.discardPendingCommit();
    expect(await everything(bob.storage)).not.toContain(secret);
  });
});

rule("D10", () => {
  const sent = async (group: Group, who: Stage, from: number): Promise<number> => {
    const received = await who.where.at(from).group.receive(await group.send(utf8("hello")));
    return received.type === "application" ? received.generation : -1;
  };
  accepts("a group that was loaded again goes on after what it sent", async () => {
    const at = await stage();
    const { person: bob, group } = at.where.at(1);
    expect(await sent(group, at, 0)).toBe(0);
    const again = await reload(bob, group);
    expect(await sent(again, at, 0)).toBe(1);
  });
  refuses(
    "an older copy's message in a generation that was used",
    "generation-used §9.1",
    async () => {
      const at = await stage();
      const { person: bob, group } = at.where.at(1);
      const copy = new Map(await bob.storage.list(""));
      await sent(group, at, 0);
      const restored = memoryStorage();
      await restored.apply({ put: copy });
      const old = await reload({ ...bob, context: { ...bob.context, storage: restored } }, group);
      await at.where.at(0).group.receive(await old.send(utf8("again")));
    },
  );
});

rule("D11", () => {
  const source = [
    "storage.ts",
    "before?.fill(0);\n        records.set(key, copyOf(value));",
  ] as const;
  holds("no key of an ended epoch is listed", source, async () => {
    const at = await stage();
    await at.where.at(0).group.send(utf8("so that the tree is open"));
    await commitBy(at, 0);
    for (const { storage } of at.where.people) {
      expect((await recordsUnder(storage, "/tree/1/")).size).toBe(0);
    }
  });
  holds("memory storage overwrites what it deletes and replaces", source, async () => {
    const records = new Map<string, Bytes>();
    const storage = memoryStorage(records);
    const value = utf8("secret");
    await storage.apply({ put: new Map([["key", value]]) });
    const [before, kept] = [await storage.get("key"), records.get("key")];
    await storage.apply({ put: new Map([["key", utf8("public")]]) });
    // By what replaces it, where that is as long.
    expect([before, kept]).toEqual([value, utf8("public")]);
    expect(await storage.get("key")).toEqual(utf8("public"));
    await storage.apply({ put: new Map([["key", utf8("much longer")]]) });
    expect(kept).toEqual(new Uint8Array(6));
    expect(await storage.get("key")).toEqual(utf8("much longer"));
    const after = records.get("key");
    await storage.apply({ delete: ["key"] });
    expect(after).toEqual(new Uint8Array(11));
    expect(await storage.get("key")).toBeUndefined();
  });
});

rule("D12", () => {
  const source = ["errors.ts", "Nothing secret is in its message."] as const;
  /** Every form in which a byte string might show. */
  const formsOf = (secret: Bytes): readonly string[] => [
    hex(secret),
    [...secret].join(),
    [...secret].join(", "),
    Buffer.from(secret).toString("base64"),
  ];
  holds("in what is shown of a group", source, async () => {
    const { where } = await stage();
    const { person: bob, group } = where.at(1);
    await group.send(utf8("hello"));
    await group.commit();
    const shown = [
      inspect(group, { depth: 20, showHidden: true, maxArrayLength: null, maxStringLength: null }),
      JSON.stringify(group),
    ].join("\n");
    const keys = loadKeys(groupKeys(group.groupId), await bob.storage.list("group/"));
    const secrets = [
      ...(await epochSecretsOf(bob)),
      ...[...keys.values()].map(({ privateKey }) => privateKey),
    ];
    for (const form of secrets.flatMap(formsOf)) expect(shown).not.toContain(form);
  });
  holds("in the errors of messages that are refused", source, async () => {
    const at = await stage();
    const { person: bob, group } = at.where.at(1);
    const secrets = (await epochSecretsOf(bob)).flatMap(formsOf);
    const real = await at.where.at(0).group.send(utf8("hello"));
    for (let i = 0; i < real.length; i += 7) {
      const bad = real.with(i, (real[i] ?? 0) ^ 0x55);
      const error = await group.receive(bad).then(
        () => undefined,
        (cause: unknown) => cause,
      );
      if (!error) continue;
      expect(error).toBeInstanceOf(MlsError);
      const shown = inspect(error, { depth: 20, showHidden: true });
      for (const form of secrets) expect(shown).not.toContain(form);
    }
  });
});
