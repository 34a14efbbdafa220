/** What stands in storage: how little is written, what is gone when, and what is left after a crash. */

import {
  type Batch,
  type CryptoProvider,
  comparePositions,
  type Group,
  joinExternally,
  joinGroup,
  loadGroup,
  type MlsContext,
  MlsError,
  memoryStorage,
  mergeBatches,
  type NewLeaf,
  type Storage,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { describe, expect, it } from "vitest";
import { decodePending, decodeSecrets, encodePending } from "../../src/group/stored-group.ts";
import { changedNodes, withNodes } from "../../src/tree/ratchet-tree.ts";
import { inside } from "../forge.ts";
import {
  add,
  addProposal,
  found,
  hex,
  joinByLink,
  type Person,
  person,
  persons,
  reload,
  room,
  text,
  utf8,
} from "../people.ts";

interface Recording extends Storage {
  readonly batches: Batch[];
}

function recording(): Recording {
  const inner = memoryStorage();
  const batches: Batch[] = [];
  return {
    ...inner,
    batches,
    apply: async (batch) => {
      const put = new Map([...(batch.put ?? [])].map(([key, value]) => [key, value.slice()]));
      batches.push({ ...batch, put });
      await inner.apply(batch);
    },
  };
}

function sizeOf({ put, delete: deleted }: Batch): readonly [records: number, bytes: number] {
  const bytes = [...(put ?? [])].reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  return [(put?.size ?? 0) + (deleted?.length ?? 0), bytes];
}

async function recorded(storage: Recording, act: () => Promise<unknown>): Promise<Batch> {
  storage.batches.length = 0;
  await act();
  expect(storage.batches).toHaveLength(1);
  return mergeBatches(...storage.batches);
}

/** Two who talk in a group of this size, each with a storage that notes what is written. */
async function talkers(size: number) {
  const [one, two] = [recording(), recording()];
  const alice = await person("alice", { storage: one });
  const bob = await person("bob", { storage: two });
  const crowd = await persons(Array.from({ length: size - 2 }, (_, i) => `${i}`));
  const a = await found(alice);
  const proposals = await Promise.all([bob, ...crowd].map(addProposal));
  const { commit, welcome } = await a.commit({ proposals, forcePath: true });
  await a.receive(commit);
  if (!welcome) throw new Error("no welcome");
  const joined = { welcome, ratchetTree: a.ratchetTree(), signer: bob.signer };
  const b = await joinGroup(bob.context, joined);
  return { a, b, one, two };
}

describe("what is written", () => {
  it("for a message is the same in small groups and large ones", async () => {
    const sizes = new Map<number, readonly (readonly [number, number])[]>();
    for (const members of [2, 64]) {
      const { a, b, one, two } = await talkers(members);
      const costs: (readonly [number, number])[] = [];
      for (let i = 0; i < 3; i++) {
        let message: Bytes = utf8("");
        const sent = await recorded(one, async () => {
          message = await a.send(utf8("hello"));
        });
        costs.push(sizeOf(sent), sizeOf(await recorded(two, () => b.receive(message))));
      }
      sizes.set(members, costs);
    }
    const [small, large] = [sizes.get(2) ?? [], sizes.get(64) ?? []];
    // From the second message on: one record, which is the sender's ratchet.
    expect(large.slice(2)).toEqual(small.slice(2));
    expect(large.slice(2).map(([records]) => records)).toEqual([1, 1, 1, 1]);
    // The first opens the path to the sender's leaf: one record for each level.
    for (const at of [0, 1]) {
      const more = (large[at]?.[0] ?? 0) - (small[at]?.[0] ?? 0);
      expect(more).toBe(5);
    }
  });

  it("for a commit follows the change, not the group", async () => {
    const { a, b, two } = await talkers(64);
    for (const committer of [b, a]) {
      const { commit } = await committer.commit();
      for (const group of [a, b]) await group.receive(commit);
    }
    const { commit } = await a.commit();
    const batch = await recorded(two, () => b.receive(commit));
    // Two paths of six levels, and a handful of records beside.
    expect(sizeOf(batch)[0]).toBeLessThan(30);
    expect(sizeOf(batch)[1]).toBeLessThan(6000);
  });

  it("takes the application's records into the same batch", async () => {
    const { a, b, one, two } = await talkers(2);
    const mine = new Map([["mine", utf8("1")]]);
    let message: Bytes = utf8("");
    const sent = await recorded(one, async () => {
      message = await a.send(utf8("x"), { and: () => ({ put: mine }) });
    });
    expect(sent.put?.get("mine")).toEqual(utf8("1"));
    const received = await recorded(two, () => b.receive(message, { and: () => ({ put: mine }) }));
    expect(received.put?.get("mine")).toEqual(utf8("1"));
    const committed = await recorded(one, () => a.commit({ and: () => ({ put: mine }) }));
    expect(committed.put?.has("mine")).toBe(true);
  });
});

/** The secrets of an epoch as they are stored; the resumption PSK may outlive it (§8.6). */
async function epochSecretsOf(who: Person): Promise<readonly Bytes[]> {
  const records = await who.storage.list("group/");
  const found = [...records].find(([key]) => key.endsWith("/secrets"));
  if (!found) return [];
  const { secrets, exporter = [] } = decodeSecrets(found[1]);
  const { resumptionPsk: _, ...others } = secrets;
  return [...Object.values(others), ...exporter.map(({ secret }) => secret)];
}

async function secretRecords(who: Person): Promise<readonly Bytes[]> {
  const records = await who.storage.list("group/");
  const secret = [...records].filter(([key]) => /\/(tree|key|update)\//.test(key));
  return secret.map(([, value]) => value);
}

async function everything(who: Person): Promise<string> {
  return [...(await who.storage.list("")).values()].map(hex).join("|");
}

function expectNoneIn(secrets: readonly Bytes[], all: string): void {
  expect(secrets.length).toBeGreaterThan(0);
  for (const secret of secrets) {
    expect(secret.length).toBeGreaterThan(15);
    expect(all.includes(hex(secret))).toBe(false);
  }
}

describe("what is gone from storage", () => {
  it("§9.2 after a commit: all secrets of the epoch before it, the keys that it replaced", async () => {
    const { people, groups, at } = await room(await persons(["alice", "bob", "carol"]));
    await at(0).group.send(utf8("so that the tree is open"));
    const [epochs, trees] = await Promise.all([
      Promise.all(people.map(epochSecretsOf)),
      Promise.all(people.map(secretRecords)),
    ]);
    const { commit } = await at(0).group.commit();
    for (const group of groups) await group.receive(commit);
    for (const [i, who] of people.entries()) {
      const all = await everything(who);
      expectNoneIn(epochs[i] ?? [], all);
      // The others keep their own leaf's key and what alice's path does not touch.
      const kept = i === 0 ? 0 : 1;
      const left = (trees[i] ?? []).filter((value) => all.includes(hex(value)));
      expect(left.length).toBeLessThanOrEqual(kept + (i === 2 ? 1 : 0));
      const keys = [...(await who.storage.list("group/")).keys()];
      expect(keys.filter((key) => key.includes("/tree/1/"))).toEqual([]);
    }
  });

  it("§14 after a commit of ours was lost or given up: all that it had prepared", async () => {
    const { groups, at } = await room(await persons(["alice", "bob", "carol"]));
    const { person: bob, group } = at(1);
    const pendingOf = async () => {
      const records = await bob.storage.list("group/");
      return [...records].find(([key]) => key.endsWith("/pending"))?.[1];
    };
    await group.commit();
    const first = await pendingOf();
    if (!first) throw new Error("nothing is pending");
    // Records end with the encryption secret of the epoch to come.
    const secretOf = (record: Bytes) => record.slice(-32);
    await group.discardPendingCommit();
    expectNoneIn([secretOf(first)], await everything(bob));
    await group.commit();
    const second = await pendingOf();
    if (!second) throw new Error("nothing is pending");
    const { commit } = await at(0).group.commit();
    for (const one of groups) {
      const received = await one.receive(commit);
      expect(received.type === "commit" && received.lostPending).toBe(one === group);
    }
    expect(await pendingOf()).toBeUndefined();
    expectNoneIn([secretOf(second)], await everything(bob));
    await expect(group.discardPendingCommit()).rejects.toMatchObject({ code: "no-pending-commit" });
  });

  it("§12.1.2 after an Update: its private key, and the one before it", async () => {
    const { groups, at } = await room(await persons(["alice", "bob"]));
    const { person: bob, group } = at(1);
    const proposal = await group.proposeUpdate();
    await at(0).group.receive(proposal);
    const before = await secretRecords(bob);
    const again = await reload(bob, group);
    const { commit } = await at(0).group.commit();
    for (const one of [groups[0], again]) await one?.receive(commit);
    expect(again.epochAuthenticator).toEqual(at(0).group.epochAuthenticator);
    const all = await everything(bob);
    const keys = [...(await bob.storage.list("group/")).keys()];
    expect(keys.filter((key) => key.includes("/update/"))).toEqual([]);
    expect(before.filter((value) => all.includes(hex(value))).length).toBeLessThanOrEqual(1);
  });

  it("§12.4.2 after a removal: everything but who was there", async () => {
    const { groups, at } = await room(await persons(["alice", "bob", "carol"]));
    const { person: bob, group } = at(1);
    const secrets = [...(await epochSecretsOf(bob)), ...(await secretRecords(bob))];
    const { commit } = await at(0).group.commit({
      proposals: [{ proposalType: "remove", removed: 1 }],
    });
    for (const one of groups) await one.receive(commit);
    const left = await bob.storage.list("group/");
    expect([...left.keys()].every((key) => /\/(state|node\/\d+)$/.test(key))).toBe(true);
    expectNoneIn(secrets, await everything(bob));
    const again = await reload(bob, group);
    for (const gone of [group, again]) {
      expect(gone.status).toBe("removed");
      expect(gone.members()).toHaveLength(3);
      expect(() => gone.epochAuthenticator).toThrow(expect.objectContaining({ code: "removed" }));
      expect(() => gone.exportSecret("x", utf8(""), 16)).toThrow(
        expect.objectContaining({ code: "removed" }),
      );
      await expect(gone.send(utf8("x"))).rejects.toMatchObject({ code: "removed" });
      await expect(gone.receive(commit)).rejects.toMatchObject({ code: "removed" });
      await expect(gone.groupInfo({ externalPub: true })).rejects.toMatchObject({
        code: "removed",
      });
    }
    // Who was removed may come again; of before, nothing is left.
    const back = await joinByLink(bob, at(0).group, [at(2).group]);
    expect(back.epochAuthenticator).toEqual(at(0).group.epochAuthenticator);
  });

  it("§8.6 after eight epochs: an epoch's resumption PSK", async () => {
    const alice = await person("alice");
    const group = await found(alice);
    for (let i = 0; i < 12; i++) await group.receive((await group.commit()).commit);
    const kept = [...(await alice.storage.list("group/")).keys()]
      .flatMap((key) => /resumption\/(\d+)$/.exec(key)?.[1] ?? [])
      .map(Number);
    expect(kept.sort((x, y) => x - y)).toEqual([4, 5, 6, 7, 8, 9, 10, 11]);
  });

  it("after the group was removed from this device: all of it, and nothing else", async () => {
    const { at } = await room(await persons(["alice", "bob"]));
    const { person: bob, group } = at(1);
    await bob.storage.apply({ put: new Map([["mine", utf8("stays")]]) });
    await found(bob, { groupId: "another" });
    const others = (await bob.storage.list("")).size;
    const own = (await bob.storage.list(`group/${hex(group.groupId)}/`)).size;
    await group.remove();
    expect((await bob.storage.list("")).size).toBe(others - own);
    await expect(group.send(utf8("x"))).rejects.toMatchObject({ code: "removed" });
  });
});

const CRASH = new Error("the disk is gone");

/** Storage that fails once, at the `at`-th batch from when it is armed: before that is written, or after. */
function failing(): Storage & {
  arm: (at: number, when: "before" | "after") => void;
  count: number;
} {
  const inner = memoryStorage();
  let failure: { readonly at: number; readonly when: "before" | "after" } | undefined;
  const storage = {
    ...inner,
    count: 0,
    arm: (at: number, when: "before" | "after") => {
      storage.count = 0;
      failure = { at, when };
    },
    apply: async (batch: Batch) => {
      const fails = failure && storage.count++ === failure.at ? failure : undefined;
      if (fails?.when === "before") throw CRASH;
      await inner.apply(batch);
      if (fails) throw CRASH;
    },
  };
  return storage;
}

/** Alice's life, in which her storage fails once; she goes on from what is stored. The number of batches that she wrote. */
async function lifeWith(
  at: number,
  when: "before" | "after",
  context: Partial<MlsContext>,
): Promise<number> {
  const sealed: string[] = [];
  const crypto = {
    ...nodeCrypto,
    seal: (...args: Parameters<typeof nodeCrypto.seal>) => {
      sealed.push(`${hex(args[1])} ${hex(args[2])}`);
      return nodeCrypto.seal(...args);
    },
  };
  const disk = failing();
  const alice = await person("alice", { storage: disk, crypto, context });
  const bob = await person("bob", { context });
  let a = await found(alice);
  const [b] = await add(a, [bob], [], { forcePath: true });
  if (!b) throw new Error("bob");
  const [second, third] = [(await person("alice")).signer, (await person("alice")).signer];
  const signers = [alice.signer, second, third];
  disk.arm(at, when);

  const has = async (record: string) => disk.get(record);
  /** Does something that leaves a record; again, if a crash left none. */
  const surely = async (
    record: string,
    act: (group: Group) => Promise<unknown>,
  ): Promise<Bytes> => {
    for (;;) {
      const stored = await has(record);
      if (stored) return stored;
      try {
        await act(a);
      } catch (error) {
        if (error !== CRASH) throw error;
        // What is in memory can't be trusted any more.
        const next: unknown = await a.send(utf8("x")).catch((refused: unknown) => refused);
        if (!(next instanceof MlsError) || next.code !== "storage") throw new Error("it went on");
        const before = a.position;
        const again = await loadGroup(alice.context, {
          groupId: a.groupId,
          signer: (key) => signers.find(({ publicKey }) => hex(publicKey) === hex(key)),
        });
        if (!again) throw new Error("the group is not in storage");
        a = again;
        // What was stored, or tried, is never behind what was in memory.
        if (comparePositions(before, a.position) > 0) throw new Error("it went back");
      }
    }
  };
  const kept = (record: string) => (bytes: Bytes) => ({ put: new Map([[record, bytes]]) });
  const cursor = (record: string) => () => ({ put: new Map([[record, utf8("done")]]) });
  const generations = new Set<string>();
  const hears = async (message: Bytes, words: string) => {
    const received = await b.receive(message);
    if (received.type !== "application") throw new Error("no application message");
    expect(text(received.data)).toBe(words);
    const generation = `${received.epoch} ${received.generation}`;
    expect(generations.has(generation)).toBe(false);
    generations.add(generation);
  };

  await hears(await surely("one", (g) => g.send(utf8("one"), { and: kept("one") })), "one");
  await hears(await surely("two", (g) => g.send(utf8("two"), { and: kept("two") })), "two");
  const answer = await b.send(utf8("answer"));
  await surely("answer", (g) => g.receive(answer, { and: cursor("answer") }));
  const update = await surely("update", (g) =>
    g.proposeUpdate({ leaf: { signer: second }, and: kept("update") }),
  );
  await b.receive(update);
  const { commit: theirs } = await b.commit();
  await b.receive(theirs);
  await surely("theirs", (g) => g.receive(theirs, { and: cursor("theirs") }));
  expect(a.epochAuthenticator).toEqual(b.epochAuthenticator);
  const composed = (record: string, leaf: NewLeaf) => (g: Group) =>
    g.commit({ leaf, and: ({ commit }) => ({ put: new Map([[record, commit]]) }) });
  // One that is given up, one that loses, and one that is accepted.
  await surely("vain", composed("vain", { signer: third }));
  await surely("given up", (g) => g.discardPendingCommit({ and: cursor("given up") }));
  expect(await disk.get(`group/${hex(a.groupId)}/pending`)).toBeUndefined();
  await surely("late", composed("late", { signer: third }));
  const { commit: winner } = await b.commit();
  await b.receive(winner);
  await surely("lost", (g) => g.receive(winner, { and: cursor("lost") }));
  expect(a.pendingCommit).toBeUndefined();
  expect(await disk.get(`group/${hex(a.groupId)}/pending`)).toBeUndefined();
  const ours = await surely("ours", composed("ours", { signer: third }));
  expect(a.pendingCommit?.commit).toEqual(ours);
  await b.receive(ours);
  await surely("merged", (g) => g.receive(ours, { and: cursor("merged") }));
  expect(a.epochAuthenticator).toEqual(b.epochAuthenticator);
  await hears(await surely("three", (g) => g.send(utf8("three"), { and: kept("three") })), "three");
  const last = await b.send(utf8("last"));
  await surely("last", (g) => g.receive(last, { and: cursor("last") }));
  expect(new Set(sealed).size).toBe(sealed.length);
  return disk.count;
}

describe("after a crash", () => {
  it.each([
    ["before", "public", 0],
    ["after", "public", 2],
    ["before", "private", 2],
    ["after", "private", 0],
  ] as const)(
    "%s any batch was written, with %s handshakes and %i epochs kept, there is exactly one way on, and no key is used twice",
    { timeout: 90_000 },
    async (when, send, epochs) => {
      const context = { handshakes: { send }, pastEpochs: { epochs, seconds: 3600 } };
      const batches = await lifeWith(-1, when, context);
      expect(batches).toBe(13);
      for (let at = 0; at < batches; at++) await lifeWith(at, when, context);
    },
  );
});

describe("a stored group", () => {
  it("opens with the signer of its leaf, and of its version", async () => {
    const [alice, eve] = await persons(["alice", "eve"]);
    if (!alice || !eve) throw new Error("two");
    const group = await found(alice);
    await expect(reload({ ...alice, signer: eve.signer }, group)).rejects.toMatchObject({
      code: "signer-unknown",
    });
    await expect(reload(eve, group)).rejects.toThrow("not in storage");
    const records = await alice.storage.list("group/");
    const [key, state] = [...records].find(([name]) => name.endsWith("/state")) ?? [];
    if (!key || !state) throw new Error("no state");
    await alice.storage.apply({ put: new Map([[key, state.with(0, 99) as Bytes]]) });
    await expect(reload(alice, group)).rejects.toMatchObject({ code: "storage" });
  });

  it("has its pending proposals, in their order", async () => {
    const { at } = await room(await persons(["alice", "bob", "carol"]));
    const { person: alice, group } = at(0);
    const update = await at(1).group.proposeUpdate();
    const removal = await at(2).group.propose({ proposalType: "remove", removed: 1 });
    for (const message of [update, removal]) {
      for (const leafIndex of [0, 1, 2]) await at(leafIndex).group.receive(message);
    }
    const again = await reload(alice, group);
    expect(again.pendingProposals).toEqual(group.pendingProposals);
    expect(again.pendingProposals.map(({ proposal }) => proposal.proposalType)).toEqual([
      "update",
      "remove",
    ]);
    const { commit } = await again.commit();
    await at(2).group.receive(commit);
    await again.receive(commit);
    expect(again.epochAuthenticator).toEqual(at(2).group.epochAuthenticator);
  });
});

describe("mergeBatches", () => {
  it("lets the later win", () => {
    const put = (value: string): Batch => ({ put: new Map([["a", utf8(value)]]) });
    expect(mergeBatches(put("1"), put("2")).put?.get("a")).toEqual(utf8("2"));
    expect(mergeBatches(put("1"), { delete: ["a"] })).toEqual({ put: new Map(), delete: ["a"] });
    expect(mergeBatches({ delete: ["a"] }, undefined, put("1"))).toEqual({
      put: new Map([["a", utf8("1")]]),
      delete: [],
    });
  });
});

describe("records of version 1", () => {
  it("are read: they end before what a group goes on as, and what a commit holds", async () => {
    const alice = await person("alice");
    const group = await found(alice);
    const { commit } = await group.commit();
    const prefix = `group/${hex(group.groupId)}/`;
    for (const [name, more] of [
      ["state", 1],
      // Empty lists, and the root of the exporter tree.
      ["pending", 2 + 34],
    ] as const) {
      const key = prefix + name;
      const record = await alice.storage.get(key);
      if (!record) throw new Error("no record");
      const older = Uint8Array.of(1, ...record.subarray(1, -more));
      await alice.storage.apply({ put: new Map([[key, older]]) });
    }
    const loaded = await reload(alice, group);
    expect(loaded.reinit).toBeUndefined();
    await loaded.receive(commit);
    expect([loaded.status, loaded.epoch]).toEqual(["active", 1n]);
    expect((await alice.storage.get(`${prefix}state`))?.[0]).toBe(3);
  });
});

describe("§12.4.3.1 a commit that was given up, and the same words again", () => {
  it("seal nothing else with the same key and nonce, after a restart either", async () => {
    const sealed = new Map<string, string>();
    const crypto: CryptoProvider = {
      ...nodeCrypto,
      seal: (aead, key, nonce, aad, plaintext) => {
        const pair = `${hex(key)} ${hex(nonce)}`;
        expect(sealed.get(pair) ?? hex(plaintext)).toBe(hex(plaintext));
        sealed.set(pair, hex(plaintext));
        return nodeCrypto.seal(aead, key, nonce, aad, plaintext);
      },
    };
    const alice = await person("alice", { crypto });
    let a = await found(alice);
    const proposals = [await addProposal(await person("bob"))];
    const withExtension = (byte: number) => ({
      proposals,
      joinerExtensions: [{ extensionType: 0xf001, extensionData: Uint8Array.of(byte) }],
    });
    await a.commit(withExtension(1));
    await a.discardPendingCommit();
    a = await reload(alice, a);
    const { commit } = await a.commit(withExtension(2));
    expect(sealed.size).toBeGreaterThan(2);
    await a.receive(commit);
    const keys = [...(await alice.storage.list("group/")).keys()];
    expect(keys.filter((key) => /pending|discarded/.test(key))).toEqual([]);
  });
});

describe("a stored commit", () => {
  it("makes the tree no larger than it can: a damaged one is refused", async () => {
    const alice = await person("alice");
    const group = await found(alice);
    await group.commit();
    const { state } = await inside(alice);
    const record = await alice.storage.get(`group/${hex(group.groupId)}/pending`);
    const [leaf] = changedNodes(undefined, state.tree);
    if (!record || !leaf) throw new Error("a commit is stored");
    const composed = decodePending(state, record);
    const tree = withNodes(state.tree, [{ ...leaf, index: 2 ** 12 }]);
    const next = { ...composed.next, state: { ...composed.next.state, tree } };
    const damaged = encodePending(state.tree, { ...composed, next });
    expect(() => decodePending(state, damaged)).toThrow(
      expect.objectContaining({ name: "MlsError", code: "storage" }),
    );
  });
});

describe("a stored group", () => {
  it("isn't loaded without its epoch's secrets", async () => {
    const alice = await person("alice");
    const group = await found(alice);
    const { groupId } = group;
    const options = { groupId, signer: alice.signer };
    expect((await loadGroup(alice.context, options))?.status).toBe("active");
    await alice.context.storage.apply({ delete: [`group/${hex(groupId)}/secrets`] });
    await expect(loadGroup(alice.context, options)).rejects.toMatchObject({ code: "storage" });
  });

  it("isn't loaded without them while it is joined, nor when it is closed", async () => {
    const [alice, bob] = [await person("alice"), await person("bob")];
    const group = await found(alice);
    const { groupId } = group;
    await joinExternally(bob.context, {
      ...bob,
      groupInfo: await group.groupInfo({ externalPub: true, ratchetTree: "inside" }),
    });
    const reinit = { groupId: utf8("new"), version: 1, cipherSuite: 1, extensions: [] };
    const { commit } = await group.commit({
      proposals: [{ proposalType: "reinit", ...reinit }],
    });
    await group.receive(commit);
    for (const [who, status] of [
      [bob, "joining"],
      [alice, "closed"],
    ] as const) {
      const options = { groupId, signer: who.signer };
      expect((await loadGroup(who.context, options))?.status).toBe(status);
      await who.storage.apply({ delete: [`group/${hex(groupId)}/secrets`] });
      await expect(loadGroup(who.context, options)).rejects.toMatchObject({ code: "storage" });
    }
  });

  it("is not deleted by an object of the group as it was before we were added again", async () => {
    const [alice, bob] = [await person("alice"), await person("bob")];
    const group = await found(alice);
    const [former] = await add(group, [bob]);
    if (!former) throw new Error("bob joined");
    const { commit } = await group.commit({ proposals: [{ proposalType: "remove", removed: 1 }] });
    for (const one of [group, former]) await one.receive(commit);
    const [again] = await add(group, [bob]);
    const before = await bob.storage.list("group/");
    await former.remove({ and: () => ({ put: new Map([["left", utf8("yes")]]) }) });
    expect(await bob.storage.list("group/")).toEqual(before);
    expect(await bob.storage.get("left")).toEqual(utf8("yes"));
    await again?.remove();
    expect((await bob.storage.list("group/")).size).toBe(0);
    await again?.remove();
  });
});
