import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openBackup, readBackup, sealBackup } from "../../src/backup/container.ts";
import {
  type BackupRecord,
  checkRecords,
  decodeRecords,
  encodeRecord,
} from "../../src/backup/records.ts";
import { concat, randomBytes } from "../../src/bytes.ts";
import type { StoredBody } from "../../src/conversation/records.ts";
import { phraseKeyOf } from "../../src/phrase.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const ME = randomBytes(32);
const START: BackupRecord = { type: "start", accountId: ME, savedAt: 5 };
const ROOM: BackupRecord = {
  type: "conversation",
  groupId: randomBytes(16),
  title: "Room",
  createdAt: 1,
};
const message = (seq: number, change: object = {}): BackupRecord => ({
  type: "message",
  id: "ab".repeat(32),
  seq,
  accountId: ME,
  at: 7,
  delivered: false,
  body: { type: "text", text: "hello" },
  ...change,
});

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function read(chunks: readonly Bytes[]): Promise<readonly BackupRecord[]> {
  const records: BackupRecord[] = [];
  for await (const record of checkRecords(decodeRecords(each(chunks)), ME)) records.push(record);
  return records;
}
const encoded = (records: readonly BackupRecord[]): Bytes => concat(...records.map(encodeRecord));
const DAMAGED = { name: "ClientError", code: "backup-damaged" };

const account = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((one) => Uint8Array.from(one));
const time = fc.nat(2 ** 31 - 1).map((seconds) => seconds * 1000);
const body: fc.Arbitrary<StoredBody> = fc.oneof(
  fc.record({ type: fc.constant("text" as const), text: fc.string({ unit: "grapheme" }) }),
  fc.record({
    type: fc.constant("membership" as const),
    change: fc.constantFrom("created", "joined", "added", "removed", "left" as const),
    subject: account,
    by: fc.option(account, { nil: undefined }),
  }),
  fc.constant({ type: "unreadable" as const }),
);
const messages: fc.Arbitrary<readonly BackupRecord[]> = fc
  .array(
    fc.record({
      type: fc.constant("message" as const),
      id: fc.stringMatching(/^[0-9a-f]{1,100}$/),
      seq: fc.nat(1000),
      accountId: account,
      at: time,
      delivered: fc.boolean(),
      body,
    }),
  )
  .map((all) => all.toSorted((a, b) => a.seq - b.seq));
const author = fc.record({
  type: fc.constant("author" as const),
  accountId: account,
  name: fc.string(),
});
const room = fc.record({
  type: fc.constant("conversation" as const),
  groupId: fc.uint8Array({ maxLength: 64 }).map((one) => Uint8Array.from(one)),
  title: fc.string({ unit: "grapheme" }),
  createdAt: time,
});
const history: fc.Arbitrary<readonly BackupRecord[]> = fc
  .array(
    fc.tuple(fc.array(author), room, messages).map(([names, one, all]) => [...names, one, ...all]),
  )
  .map((rooms) => [START, ...rooms.flat()]);

describe("what a backup has in it", () => {
  it("comes back the same, any history, however it is cut into portions", async () => {
    const phraseKey = await phraseKeyOf(randomBytes(16));
    await fc.assert(
      fc.asyncProperty(history, fc.integer({ min: 1, max: 500 }), async (records, length) => {
        const parts: Bytes[] = [];
        const content = each(records.map(encodeRecord));
        for await (const part of sealBackup(phraseKey, content, async () => {})) parts.push(part);
        const backup = await openBackup(new Blob(parts), phraseKey);
        const chunks: Bytes[] = [];
        for await (const chunk of readBackup(backup, {})) {
          for (let at = 0; at < chunk.length; at += length) {
            chunks.push(chunk.slice(at, at + length));
          }
        }
        expect(await read(chunks)).toEqual(records);
      }),
      { numRuns: 60 },
    );
  });

  it("is a text of any length that a message can have, over several chunks", async () => {
    const long = message(1, { body: { type: "text", text: "x".repeat(128 * 1024) } });
    const bytes = encoded([START, ROOM, long]);
    const chunks = [bytes.slice(0, 60_000), bytes.slice(60_000, 120_000), bytes.slice(120_000)];
    expect(await read(chunks)).toEqual([START, ROOM, long]);
  });

  it("is refused where a record is too long, cut off, or none", async () => {
    const long = new Uint8Array(8);
    new DataView(long.buffer).setUint32(0, 2 ** 31);
    const unknown = Uint8Array.of(0, 0, 0, 1, 9);
    const short = Uint8Array.of(0, 0, 0, 2, ...encodeRecord(ROOM).slice(4, 6));
    for (const bytes of [long, unknown, short]) {
      await expect(read([encodeRecord(START), bytes])).rejects.toMatchObject(DAMAGED);
    }
    const whole = encoded([START, ROOM, message(1)]);
    for (const end of [whole.length - 1, encodeRecord(START).length + 2]) {
      await expect(read([whole.slice(0, end)])).rejects.toMatchObject(DAMAGED);
    }
    expect(await read([whole])).toHaveLength(3);
  });

  it("is refused out of order, of another account, or with ids that are none", async () => {
    const wrong: readonly (readonly BackupRecord[])[] = [
      [],
      [ROOM],
      [START, START],
      [START, message(1)],
      [START, ROOM, message(2), message(1)],
      [START, ROOM, message(1, { id: "../x" })],
      [START, ROOM, message(1, { id: "" })],
      [START, ROOM, message(1, { id: "ab".repeat(65) })],
      [START, { ...ROOM, groupId: randomBytes(65) }],
      [{ ...START, accountId: randomBytes(32) }],
    ];
    for (const records of wrong) {
      await expect(read([encoded(records)])).rejects.toMatchObject(DAMAGED);
    }
    const fine = [START, ROOM, message(2), message(2), ROOM, message(1)];
    expect(await read([encoded(fine)])).toEqual(fine);
  });
});
