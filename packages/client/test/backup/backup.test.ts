import { openAsBlob, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type ClientInstance, createDeliveryClient } from "@conclave/delivery/client";
import { encode } from "@conclave/mls/codec";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ACCOUNT_RECORD, Account } from "../../src/account.ts";
import { CHUNK_LENGTH, openBackup, readBackup, sealBackup } from "../../src/backup/container.ts";
import { type BackupRecord, decodeRecords, encodeRecord } from "../../src/backup/records.ts";
import { fromHex, hex, randomBytes } from "../../src/bytes.ts";
import {
  ConversationRecord,
  KEYS,
  type StoredBody,
  StoredMessage,
} from "../../src/conversation/records.ts";
import type { Client, Message, Progress } from "../../src/index.ts";
import { openProfile } from "../../src/node/index.ts";
import { entropyOf, phraseKeyOf } from "../../src/phrase.ts";
import { keyOf } from "../../src/registration.ts";
import { read } from "../../src/storage.ts";
import { sharedWorld } from "../shared-world.ts";
import {
  conversation,
  eventsOf,
  gather,
  say,
  texts,
  until,
  untilState,
  untilTexts,
} from "../world.ts";

const world = sharedWorld();

interface Owner {
  readonly client: Client;
  readonly phrase: string;
}

async function owner(name: string): Promise<Owner> {
  const client = await world.device(name);
  return { client, phrase: (await client.signUp(name)).recoveryPhrase };
}

/** A fresh device of the same account. */
async function recovered(name: string, phrase: string): Promise<Client> {
  const client = await world.device(name);
  await client.recover(phrase);
  return client;
}

const messagesOf = (client: Client, id: string): Promise<readonly Message[]> =>
  client.messages(id, { limit: 1000 });

async function records(file: Blob, phrase: string): Promise<readonly BackupRecord[]> {
  const backup = await openBackup(file, await phraseKeyOf(entropyOf(phrase)));
  const read: BackupRecord[] = [];
  for await (const record of decodeRecords(readBackup(backup, {}))) read.push(record);
  return read;
}

/** As whoever has the phrase can make one. */
async function forged(phrase: string, all: readonly BackupRecord[]): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  async function* content() {
    for (const record of all) yield encodeRecord(record);
  }
  const phraseKey = await phraseKeyOf(entropyOf(phrase));
  for await (const part of sealBackup(phraseKey, content(), async () => {})) parts.push(part);
  return new Blob(parts);
}

describe("a backup of messages", () => {
  it("is restored on a new device: history is shown as restored, new messages follow, and the same again adds nothing", async () => {
    const ana = await world.person("Ana");
    const bob = await world.person("Bob");
    const lea = await owner("Lea");
    const id = await gather(ana, [bob, lea.client]);
    await say(ana, id, "hello Lea");
    await untilTexts(lea.client, id, ["hello Lea"]);
    await say(lea.client, id, "hello all");
    await untilState(lea.client, id, "hello all", "delivered");
    const alone = await lea.client.createConversation("Notes");
    await say(lea.client, alone, "remember the milk");
    await untilState(lea.client, alone, "remember the milk", "sent");
    // Somebody who is gone when the new device comes.
    await ana.removeMember(id, (await bob.snapshot()).account?.accountId ?? "");
    await until(lea.client, async () => (await conversation(lea.client, id)).members.length === 2);
    const before = await messagesOf(lea.client, id);

    const file = await lea.client.saveBackup(lea.phrase);
    const fresh = await recovered("Lea again", lea.phrase);
    const events = eventsOf(fresh);
    const progress: Progress[] = [];
    const restored = await fresh.restoreBackup(file, lea.phrase, {
      onProgress: (one) => progress.push(one),
    });
    expect(restored).toMatchObject({ conversations: 2, messages: restored.added });
    expect(progress.at(-1)).toEqual({ done: 2 * file.size, total: 2 * file.size });
    expect(events).toContainEqual({ type: "history", conversationId: id });
    // What it was alone in nobody lets it into again; its history is there.
    expect(await texts(fresh, alone)).toEqual(["remember the milk"]);
    expect(await conversation(fresh, alone)).toMatchObject({
      title: "Notes",
      status: "left",
      restored: true,
      unread: 0,
    });

    await until(fresh, async () => (await conversation(fresh, id)).status === "active");
    expect(await conversation(fresh, id)).toMatchObject({ title: "The room", unread: 0 });
    await say(ana, id, "welcome back");
    await say(fresh, id, "here I am");
    const all = ["hello Lea", "hello all", "welcome back", "here I am"];
    await untilState(fresh, id, "here I am", "delivered");
    await until(fresh, async () => (await texts(fresh, id)).length === 4);
    const history = (await messagesOf(fresh, id)).filter((message) => message.restored);
    expect(history).toEqual(before.map((message) => ({ ...message, restored: true })));
    expect((await texts(fresh, id)).toSorted()).toEqual(all.toSorted());
    expect((await messagesOf(fresh, id)).filter(({ restored: is }) => !is).length).toBe(3);

    const there = await messagesOf(fresh, id);
    expect(await fresh.restoreBackup(file, lea.phrase)).toEqual({ ...restored, added: 0 });
    expect(await messagesOf(fresh, id)).toEqual(there);
    await fresh.close();
    const again = await world.device("Lea again");
    expect((await messagesOf(again, id)).map(({ id: one }) => one)).toEqual(
      there.map(({ id: one }) => one),
    );
    expect((await conversation(again, id)).warnings).toEqual([]);

    // What one device had from a backup, the next one has from its backup.
    const next = await again.saveBackup(lea.phrase);
    const third = await recovered("Lea, a third time", lea.phrase);
    await third.restoreBackup(next, lea.phrase);
    const shown = (await messagesOf(third, id)).filter((message) => message.restored);
    expect(shown.map(({ id: one }) => one)).toEqual(there.map(({ id: one }) => one));
    expect(shown.find(({ body }) => body.type === "text" && body.text === "hello all")?.state).toBe(
      "delivered",
    );
  });

  it("has no secret of MLS and no key in it: messages, authors and conversations alone", async () => {
    const [kim, max] = [await owner("Kim"), await world.person("Max")];
    const id = await gather(max, [kim.client]);
    await say(kim.client, id, "is it safe?");
    await untilState(kim.client, id, "is it safe?", "delivered");
    const file = await kim.client.saveBackup(kim.phrase);
    await kim.client.close();
    const all = await records(file, kim.phrase);
    const fields = new Map(all.map((record) => [record.type, Object.keys(record).toSorted()]));
    expect(Object.fromEntries(fields)).toEqual({
      start: ["accountId", "savedAt", "type"],
      author: ["accountId", "name", "type"],
      conversation: ["createdAt", "groupId", "title", "type"],
      message: ["accountId", "at", "body", "delivered", "id", "seq", "type"],
    });
    const content = Buffer.concat(all.map(encodeRecord));
    const profile = new DatabaseSync(join(world.folder, "Kim.db"));
    const keys = profile.prepare("SELECT private AS value FROM keys").all();
    const secrets = profile
      .prepare("SELECT value FROM records WHERE key LIKE '%secret%' OR key LIKE 'key-package%'")
      .all();
    profile.close();
    expect([keys.length, secrets.length > 0]).toEqual([2, true]);
    const window = 16;
    for (const { value } of [...keys, ...secrets]) {
      const bytes = Buffer.from(value as Uint8Array);
      for (let at = 0; at + window <= bytes.length; at++) {
        const part = bytes.subarray(at, at + window);
        // Lengths and numbers; and what everybody may know: the group, its members.
        if (new Set(part).size < window / 2 || isPublic(part, all)) continue;
        expect([at, content.includes(part)]).toEqual([at, false]);
      }
    }
    expect(Buffer.from(await file.arrayBuffer()).includes("is it safe?")).toBe(false);
  });

  it("is any history out and in again, the same", async () => {
    const { client, phrase } = await owner("Many");
    const self = (await client.snapshot()).account?.accountId ?? "";
    await client.close();
    const account = fc.constantFrom(self, "11".repeat(32), "22".repeat(32)).map(fromHex);
    const body: fc.Arbitrary<StoredBody> = fc.oneof(
      fc.record({ type: fc.constant("text" as const), text: fc.string({ maxLength: 3000 }) }),
      fc.record({
        type: fc.constant("membership" as const),
        change: fc.constantFrom("added", "removed" as const),
        subject: account,
        by: fc.option(account, { nil: undefined }),
      }),
    );
    const message = fc.record({
      id: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(hex),
      seq: fc.nat(300),
      accountId: account,
      at: fc.nat(10_000),
      alone: fc.boolean(),
      body,
    });
    const room = fc.record({
      groupId: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(hex),
      title: fc.string(),
      messages: fc.uniqueArray(message, { minLength: 1, maxLength: 600, selector: ({ id }) => id }),
    });
    const shown = async (device: Client, ids: readonly string[]) => {
      const all = await Promise.all(ids.map((id) => messagesOf(device, id)));
      return all.map((one) => one.map((message) => ({ ...message, restored: undefined })));
    };
    await fc.assert(
      fc.asyncProperty(fc.array(room, { minLength: 1, maxLength: 3 }), async (rooms) => {
        const { storage } = openProfile(join(world.folder, "Many.db"));
        const put = new Map<string, Uint8Array<ArrayBuffer>>();
        for (const { groupId, title, messages } of rooms) {
          const record = { title, status: "left", leaving: false, restored: false } as const;
          const kept = encode(ConversationRecord, { ...record, createdAt: 5 });
          put.set(KEYS.conversation(groupId), kept);
          const counts = new Map<number, number>();
          for (const one of messages) {
            const index = counts.get(one.seq) ?? 0;
            counts.set(one.seq, index + 1);
            put.set(KEYS.message(groupId, one.seq, index), encode(StoredMessage, one));
          }
        }
        await storage.apply({ put });
        await storage.close();
        const ids = [...new Set(rooms.map(({ groupId }) => groupId))];
        const device = await world.device("Many");
        const before = await shown(device, ids);
        const titles = (await device.snapshot()).conversations.map(({ title }) => title);
        const file = await device.saveBackup(phrase);
        await device.close();

        const emptied = openProfile(join(world.folder, "Many.db"));
        await emptied.storage.apply({ delete: [...put.keys()] });
        await emptied.storage.close();
        const empty = await world.device("Many");
        expect((await empty.snapshot()).conversations).toEqual([]);
        const { added } = await empty.restoreBackup(file, phrase);
        expect(added).toBe(before.flat().length);
        expect(await shown(empty, ids)).toEqual(before);
        const after = (await empty.snapshot()).conversations.map(({ title }) => title);
        expect(after.toSorted()).toEqual(titles.toSorted());
        await empty.close();
        const last = openProfile(join(world.folder, "Many.db"));
        const all = [...(await last.storage.list("")).keys()];
        const gone = all.filter((key) => /^(message|conversation|seen)\//.test(key));
        await last.storage.apply({ delete: gone });
        await last.storage.close();
      }),
      { numRuns: 8 },
    );
  });

  it("is written and read in parts, and can be given up on", async () => {
    const { client, phrase } = await owner("Long");
    const id = await client.createConversation("Long");
    for (let i = 0; i < 8; i++) await say(client, id, `${i}`.repeat(30_000));
    await until(client, async () => (await texts(client, id)).length === 8);
    await untilState(client, id, "7".repeat(30_000), "sent");

    const stopped = client.streamBackup(phrase).getReader();
    expect((await stopped.read()).value?.length).toBeLessThan(1000);
    await expect(client.saveBackup(phrase)).rejects.toMatchObject({ code: "busy" });
    await stopped.cancel();

    const end = new AbortController();
    const reading = client.streamBackup(phrase, { signal: end.signal }).getReader();
    await reading.read();
    end.abort();
    await expect(reading.read()).rejects.toMatchObject({ code: "cancelled" });

    const path = join(world.folder, "long.backup");
    const lengths: number[] = [];
    const counted = new TransformStream<Uint8Array, Uint8Array>({
      transform(part, controller) {
        lengths.push(part.length);
        controller.enqueue(part);
      },
    });
    await writeFile(path, client.streamBackup(phrase).pipeThrough(counted));
    expect(lengths.length).toBeGreaterThan(3);
    expect(Math.max(...lengths)).toBeLessThan(CHUNK_LENGTH + 100);
    expect(readFileSync(path).includes("7".repeat(100))).toBe(false);
    const file = await openAsBlob(path);

    const fresh = await recovered("Long again", phrase);
    const give = new AbortController();
    const restoring = fresh.restoreBackup(file, phrase, {
      signal: give.signal,
      onProgress: () => give.abort(),
    });
    await expect(restoring).rejects.toMatchObject({ code: "cancelled" });
    expect((await fresh.snapshot()).conversations).toEqual([]);
    expect((await fresh.restoreBackup(file, phrase)).added).toBe(9);
    expect((await texts(fresh, id)).length).toBe(8);
  });
});

/** What a backup has to have: ids of accounts and groups. */
function isPublic(part: Uint8Array, all: readonly BackupRecord[]): boolean {
  return all.some(
    (record) =>
      (record.type === "author" && Buffer.from(record.accountId).includes(part)) ||
      (record.type === "conversation" && Buffer.from(record.groupId).includes(part)),
  );
}

describe("a backup is refused", () => {
  it("with other words, of another account, changed or cut off; and then nothing of it is stored", async () => {
    const [pia, quin] = [await owner("Pia"), await owner("Quin")];
    const id = await pia.client.createConversation("Hers");
    for (let i = 0; i < 6; i++) await say(pia.client, id, `${i}`.repeat(30_000));
    await untilState(pia.client, id, "5".repeat(30_000), "sent");
    await expect(pia.client.saveBackup(quin.phrase)).rejects.toMatchObject({
      code: "phrase-wrong",
    });
    const file = await pia.client.saveBackup(pia.phrase);
    const fresh = await recovered("Pia again", pia.phrase);

    const bytes = new Uint8Array(await file.arrayBuffer());
    const flipped = bytes.slice();
    flipped[bytes.length - 40] = (flipped[bytes.length - 40] ?? 0) ^ 1;
    const refusals: readonly (readonly [Blob, string, string])[] = [
      [file, quin.phrase, "phrase-wrong"],
      [file, "twelve words", "phrase-wrong"],
      [new Blob([flipped]), pia.phrase, "backup-damaged"],
      [file.slice(0, file.size - 1), pia.phrase, "backup-damaged"],
      [file.slice(0, file.size / 2), pia.phrase, "backup-damaged"],
      [file.slice(1), pia.phrase, "backup-none"],
      [await quin.client.saveBackup(quin.phrase), pia.phrase, "backup-foreign"],
    ];
    for (const [given, phrase, code] of refusals) {
      await expect(fresh.restoreBackup(given, phrase)).rejects.toMatchObject({
        name: "ClientError",
        code,
      });
    }
    expect((await fresh.snapshot()).conversations).toEqual([]);
    await fresh.close();
    const { storage } = openProfile(join(world.folder, "Pia again.db"));
    expect([...(await storage.list("message/"))]).toEqual([]);
    await storage.close();
  });

  it("where the account saved a newer one, unless the person wants the older one", async () => {
    const { client, phrase } = await owner("Uta");
    const id = await client.createConversation("Diary");
    await say(client, id, "Monday");
    await untilState(client, id, "Monday", "sent");
    const older = await client.saveBackup(phrase);
    await say(client, id, "Tuesday");
    await untilState(client, id, "Tuesday", "sent");
    const newer = await client.saveBackup(phrase);

    const fresh = await recovered("Uta again", phrase);
    await expect(fresh.restoreBackup(older, phrase)).rejects.toMatchObject({
      code: "backup-older",
    });
    expect((await fresh.snapshot()).conversations).toEqual([]);
    await fresh.restoreBackup(older, phrase, { older: true });
    expect(await texts(fresh, id)).toEqual(["Monday"]);
    expect((await fresh.restoreBackup(newer, phrase)).added).toBe(1);
    expect(await texts(fresh, id)).toEqual(["Monday", "Tuesday"]);
  });

  it("where somebody noted one who has a device and not the phrase; the next that is saved counts again", async () => {
    const { client, phrase } = await owner("Yan");
    const id = await client.createConversation("Diary");
    await say(client, id, "Monday");
    await untilState(client, id, "Monday", "sent");
    const file = await client.saveBackup(phrase);
    await client.close();

    const { storage, vault } = openProfile(join(world.folder, "Yan.db"));
    const account = await read(storage, Account, ACCOUNT_RECORD);
    if (!account) throw new Error("there is the account");
    const thief = createDeliveryClient({ origin: world.origin });
    const instance: ClientInstance = {
      announce: async () => ({ id: randomBytes(16), succeeds: [], takeOver: true }),
      entered: async () => {},
      refused: () => {},
    };
    thief.signInAs({ ...account, key: await keyOf(vault, "sign-in"), instance });
    const note = (number: number) =>
      thief.setBackupMark({ body: { number, seal: randomBytes(32) } });
    await expect(note(Number.MAX_SAFE_INTEGER)).rejects.toMatchObject({ code: "clock-skew" });
    await note(Date.now() + 4 * 60_000);
    await storage.close();

    const fresh = await recovered("Yan again", phrase);
    await expect(fresh.restoreBackup(file, phrase)).rejects.toMatchObject({
      code: "backup-unsure",
    });
    await fresh.restoreBackup(file, phrase, { older: true });
    expect(await texts(fresh, id)).toEqual(["Monday"]);
    const next = await fresh.saveBackup(phrase);
    expect((await fresh.restoreBackup(next, phrase)).added).toBe(0);
    await expect(fresh.restoreBackup(file, phrase)).rejects.toMatchObject({
      code: "backup-older",
    });
  });

  it("where the service can't be asked which is the newest, or makes a note up; and saves none then", async () => {
    const { client, phrase } = await owner("Vera");
    const id = await client.createConversation("Diary");
    await say(client, id, "Monday");
    await untilState(client, id, "Monday", "sent");
    const file = await client.saveBackup(phrase);
    await client.close();

    let answer: Response | "lost" = "lost";
    const fresh = await world.device("Vera again", {
      fetch: async (input, init) => {
        if (!input.endsWith("/v1/account/backup")) return fetch(input, init);
        if (answer === "lost") throw new TypeError("lost");
        return answer.clone();
      },
    });
    await fresh.recover(phrase);
    await expect(fresh.restoreBackup(file, phrase)).rejects.toMatchObject({ code: "offline" });
    await expect(fresh.saveBackup(phrase)).rejects.toMatchObject({ code: "offline" });
    const seal = Buffer.from(randomBytes(32)).toString("base64url");
    answer = Response.json({ mark: { number: 2 ** 50, seal } });
    await expect(fresh.restoreBackup(file, phrase)).rejects.toMatchObject({
      code: "backup-unsure",
    });
    await expect(fresh.saveBackup(phrase)).rejects.toMatchObject({ code: "refused" });
    expect((await fresh.snapshot()).conversations).toEqual([]);
    await fresh.restoreBackup(file, phrase, { older: true });
    expect(await texts(fresh, id)).toEqual(["Monday"]);
  });
});

describe("a message that a backup brought before the log did", () => {
  const setUp = async (name: string) => {
    const ana = await world.person(`${name}'s friend`);
    let blocked = false;
    const client = await world.device(name, {
      fetch: async (input, init) => {
        if (blocked && input.includes("/log")) throw new TypeError("lost");
        return fetch(input, init);
      },
    });
    const { recoveryPhrase: phrase } = await client.signUp(name);
    const id = await gather(ana, [client]);
    blocked = true;
    await say(ana, id, "is it twice?");
    const {
      id: messageId,
      seq = 0,
      accountId,
      at,
    } = await untilState(ana, id, "is it twice?", "sent");
    const restore = async (place: number) => {
      const self = (await client.snapshot()).account?.accountId ?? "";
      const body = { type: "text", text: "is it twice?" } as const;
      const message = { id: messageId, seq: place, accountId: fromHex(accountId), at };
      const file = await forged(phrase, [
        { type: "start", accountId: fromHex(self), savedAt: 1 },
        { type: "conversation", groupId: fromHex(id), title: "x", createdAt: 1 },
        { type: "message", ...message, delivered: false, body },
      ]);
      expect((await client.restoreBackup(file, phrase)).added).toBe(1);
      expect(await texts(client, id)).toEqual(["is it twice?"]);
      blocked = false;
      await say(ana, id, "go on");
    };
    return { client, id, seq, restore };
  };

  it("gives way to that one", async () => {
    const { client, id, seq, restore } = await setUp("Wim");
    await restore(seq);
    await untilTexts(client, id, ["is it twice?", "go on"]);
    const shown = (await messagesOf(client, id)).filter(({ body }) => body.type === "text");
    expect(shown.map(({ restored }) => restored)).toEqual([undefined, undefined]);
    expect((await conversation(client, id)).warnings).toEqual([]);
  });

  it("is a replay at any other place", async () => {
    const { client, id, restore } = await setUp("Xenia");
    await restore(0);
    await untilTexts(client, id, ["is it twice?", "go on"]);
    const { warnings } = await conversation(client, id);
    expect(warnings.map(({ code }) => code)).toContain("message-replayed");
  });
});
