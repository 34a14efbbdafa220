/** What older versions of the package wrote is read, and lived on with: a file for each form, written by `write-storage.ts`. */

import { readFileSync } from "node:fs";
import {
  type Group,
  joinGroup,
  loadGroup,
  type MlsContext,
  memoryStorage,
  signerOf,
} from "@conclave/mls";
import { type Bytes, encode, Reader } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { PublicGroup } from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import { concat } from "../../src/bytes.ts";
import type { FramedContent } from "../../src/framing/content.ts";
import { decodeMessageOf, encodeMessage } from "../../src/framing/message.ts";
import { StoredBundle } from "../../src/group/stored-group.ts";
import { ACCEPT_ALL_FOR_TESTS, hex, NOW, text, unhex, utf8 } from "../people.ts";

interface Stored {
  readonly people: Readonly<
    Record<
      string,
      {
        readonly privateKey: string;
        readonly publicKey: string;
        readonly records: Readonly<Record<string, string>>;
      }
    >
  >;
  readonly publicGroup: {
    readonly state: string;
    readonly nodes: readonly (readonly [number, string])[];
  };
  readonly messages: Readonly<Record<"past" | "late" | "commit" | "welcome", string>>;
}

function read(version: number): Stored {
  const file = new URL(`../fixtures/storage-v${version}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, "utf8")) as Stored;
}

const groupId = utf8("stored");

async function restore(stored: Stored, name: string) {
  const one = stored.people[name];
  if (!one) throw new Error(`no ${name}`);
  const storage = memoryStorage();
  const records = Object.entries(one.records).map(([key, value]) => [key, unhex(value)] as const);
  await storage.apply({ put: new Map(records) });
  const context: MlsContext = {
    crypto: nodeCrypto,
    storage,
    authentication: ACCEPT_ALL_FOR_TESTS,
    now: () => NOW,
    pastEpochs: { epochs: 2, seconds: 3600 },
  };
  const keyPair = { privateKey: unhex(one.privateKey), publicKey: unhex(one.publicKey) };
  const signer = signerOf(nodeCrypto, "ed25519", keyPair);
  const load = async (): Promise<Group> => {
    const group = await loadGroup(context, { groupId, signer });
    if (!group) throw new Error(`${name} has no group`);
    return group;
  };
  return { context, signer, load };
}

async function words(group: Group, message: Bytes): Promise<string> {
  const received = await group.receive(message);
  return received.type === "application" ? text(received.data) : received.type;
}

describe("what a later version wrote", () => {
  it.each(["state", "secrets", "pending", "position"])("is not read: %s", async (name) => {
    const { context, load } = await restore(read(3), "alice");
    const key = `group/${hex(groupId)}/${name}`;
    const record = await context.storage.get(key);
    expect(record?.[0]).toBe(3);
    const later = record?.with(0, 4) ?? utf8("");
    await context.storage.apply({ put: new Map([[key, new Uint8Array(later)]]) });
    await expect(load()).rejects.toMatchObject({ code: "storage", section: "14" });
  });

  it("is not read: a key package, a public group, what a joining group has to send", async () => {
    const stored = read(3);
    const [eve, dave] = [await restore(stored, "eve"), await restore(stored, "dave")];
    const pending = `group/${hex(groupId)}/pending`;
    await eve.context.storage.apply({ put: new Map([[pending, Uint8Array.of(4)]]) });
    await expect(eve.load()).rejects.toMatchObject({ code: "storage" });
    const packages = await dave.context.storage.list("key-package/");
    const later = [...packages].map(
      ([key, value]) => [key, new Uint8Array(value.with(0, 3))] as const,
    );
    await dave.context.storage.apply({ put: new Map(later) });
    const welcome = unhex(stored.messages.welcome);
    const joined = joinGroup(dave.context, { welcome, signer: dave.signer });
    await expect(joined).rejects.toMatchObject({ code: "storage" });
    const state = new Uint8Array(unhex(stored.publicGroup.state).with(0, 3));
    await expect(PublicGroup.load(eve.context, { state, nodes: [] })).rejects.toMatchObject({
      code: "storage",
    });
  });
});

describe("a pending commit of version 1", () => {
  it("is a commit, or is refused: its proposals are read out of it", async () => {
    const { context, load } = await restore(read(1), "alice");
    const key = `group/${hex(groupId)}/pending`;
    const record = await context.storage.get(key);
    if (!record) throw new Error("nothing is pending");
    const reader = new Reader(record);
    const version = reader.uint(1);
    const bundle = StoredBundle.read(reader);
    const { publicMessage } = decodeMessageOf(bundle.commit, "mls_public_message");
    const proposal = { proposalType: "remove", removed: 1 } as const;
    const content = { ...publicMessage.content, content: { contentType: "proposal", proposal } };
    const other = encodeMessage({
      wireFormat: "mls_public_message",
      publicMessage: { ...publicMessage, content: content as FramedContent },
    });
    const damaged = concat(
      Uint8Array.of(version),
      encode(StoredBundle, { ...bundle, commit: other }),
      record.subarray(reader.offset),
    );
    await context.storage.apply({ put: new Map([[key, damaged]]) });
    await expect(load()).rejects.toMatchObject({ code: "storage", section: "14" });
  });
});

describe.each([1, 2, 3])("what version %i wrote", (version) => {
  const stored = read(version);
  const message = (name: keyof Stored["messages"]) => unhex(stored.messages[name]);

  it("is a group to go on with: late messages, pending proposals, a pending commit, an Update", async () => {
    const [alice, bob, carol, dave] = await Promise.all(
      ["alice", "bob", "carol", "dave"].map((name) => restore(stored, name)),
    );
    if (!alice || !bob || !carol || !dave) throw new Error("four");
    const [a, b, c] = [await alice.load(), await bob.load(), await carol.load()];
    expect([a, b, c].map(({ epoch, status }) => [epoch, status])).toEqual(
      [0, 1, 2].map(() => [2n, "active"]),
    );
    expect(await words(a, message("late"))).toBe("late");
    // Past epochs are kept from version 2 on.
    const past = await a.receive(message("past")).catch((error: unknown) => error);
    expect(past).toMatchObject(
      version === 1 ? { code: "wrong-epoch" } : { type: "application", epoch: 1n },
    );
    expect(a.pendingProposals.map(({ proposal }) => proposal.proposalType)).toEqual([
      "remove",
      "update",
    ]);
    await expect(a.send(utf8("x"))).rejects.toMatchObject({ code: "pending-proposals" });
    expect(a.pendingCommit?.commit).toEqual(message("commit"));

    const own = await a.receive(message("commit"));
    expect(own).toMatchObject({ type: "commit", own: true, epoch: 3n });
    if (own.type !== "commit") throw new Error("no commit");
    expect(own.summary.proposals.map(({ proposal }) => proposal.proposalType)).toEqual([
      "remove",
      "update",
      "add",
    ]);
    await b.receive(message("commit"));
    expect(await c.receive(message("commit"))).toMatchObject({ removed: true });
    const d = await joinGroup(dave.context, {
      welcome: message("welcome"),
      ratchetTree: a.ratchetTree(),
      signer: dave.signer,
    });
    const groups = [a, b, d];
    expect(new Set(groups.map((group) => hex(group.epochAuthenticator))).size).toBe(1);
    for (const from of groups) {
      const said = await from.send(utf8("on we go"));
      const heard: string[] = [];
      for (const group of groups) {
        if (group !== from) heard.push(await words(group, said));
      }
      expect(heard).toEqual(["on we go", "on we go"]);
    }
    const again = [await alice.load(), await bob.load(), await dave.load()];
    const { commit } = await (again[1] ?? b).commit();
    for (const group of again) await group.receive(commit);
    expect(new Set(again.map((group) => hex(group.epochAuthenticator))).size).toBe(1);
    expect((await carol.load()).status).toBe("removed");
    // What was not used is there still: dave's last resort.
    expect([...(await dave.context.storage.list("key-package/")).keys()]).toHaveLength(1);
  });

  it("is the group that someone joins by an external commit", async () => {
    const eve = await restore(stored, "eve");
    const group = await eve.load();
    expect([group.status, group.epoch]).toEqual(["joining", 3n]);
    const commit = group.pendingCommit?.commit;
    if (!commit) throw new Error("nothing to send");
    const alice = await (await restore(stored, "alice")).load();
    await alice.receive(commit);
    await group.receive(commit);
    expect(group.epochAuthenticator).toEqual(alice.epochAuthenticator);
    expect(await words(alice, await group.send(utf8("I am in")))).toBe("I am in");
  });

  it("gives each component its secret once, from version 3 on, and in every epoch after it", async () => {
    const [alice, bob] = [await restore(stored, "alice"), await restore(stored, "bob")];
    const [a, b] = [await alice.load(), await bob.load()];
    // Alice has taken this one.
    const taken = 0x8001;
    const asked = (group: Group) => group.safeExportSecret(taken).catch((error: unknown) => error);
    // An older version stored neither this epoch's tree nor the one that its pending commit begins.
    const none = { code: "storage", section: "8" };
    const used = { code: "generation-used", section: "9.2" };
    expect(await asked(a)).toMatchObject(version < 3 ? none : used);
    for (const group of [a, b]) await group.receive(message("commit"));
    expect(await asked(a)).toMatchObject(version < 3 ? none : { length: 32 });
    const { commit } = await a.commit();
    for (const group of [a, b]) await group.receive(commit);
    expect(hex(await a.safeExportSecret(taken))).toBe(hex(await b.safeExportSecret(taken)));
  });

  it("is a public group that goes on following", async () => {
    const { context } = await restore(stored, "alice");
    const { state, nodes } = stored.publicGroup;
    const group = await PublicGroup.load(context, {
      state: unhex(state),
      nodes: nodes.map(([index, node]) => [index, unhex(node)] as const),
    });
    const { group: next, event } = await group.process(message("commit"));
    expect([next.epoch, event.type]).toEqual([3n, "commit"]);
    expect(next.members()).toHaveLength(3);
  });
});
