import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore, type Store } from "@conclave/delivery";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Database } from "../../src/store/sqlite-database.ts";
import {
  IN_ORDER,
  insertEntries,
  type LogEnd,
  logEnd,
  NEWEST_FIRST,
} from "../../src/store/sqlite-log.ts";
import { MIGRATIONS } from "../../src/store/sqlite-schema.ts";
import { type Bytes, random } from "../world.ts";
import { aCommit, aDevice, aGroup, NOW } from "./fixtures.ts";

const PART = 1024;
const STRETCH = 4 * PART;

let folder: string;
let path: string;
let store: Store;
let db: Database;
let device: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "log-"));
  path = join(folder, "store.sqlite");
  store = openSqliteStore(path);
  db = new Database(path);
  device = await aDevice(store);
});
afterEach(async () => {
  db.close();
  await store.close();
  await rm(folder, { recursive: true });
});

async function write(groupId: Bytes, count: number, epoch = 0n): Promise<void> {
  const entries = Array.from({ length: count }, () => ({
    groupId,
    device,
    epoch,
    hash: random(32),
    message: random(9),
    now: NOW,
  }));
  await Promise.all(entries.map((entry) => store.appendApplication(entry)));
}

function endOf(groupId: Bytes): LogEnd {
  const row = db.one<{ number: number }>("SELECT number FROM groups WHERE group_id = ?", groupId);
  return logEnd(db, row?.number ?? 0);
}

/** Without what decides where a message goes. */
function writeAt(log: LogEnd, seq: number): Promise<void> {
  const entry = { epoch: 0n, hash: random(32), message: random(9) };
  const place = { seq, acceptedAt: NOW };
  return db.transaction(() => insertEntries(db, [{ log, kind: "application", entry, place }]));
}

/** The next entry has this number in the whole log. */
function skipTo(id: number): void {
  db.run(
    `INSERT INTO log (id, group_number, seq, epoch, kind, accepted_at, hash, message)
     VALUES (?1, 0, ?1, 0, 0, 0, x'', x'')`,
    id - 1,
  );
}

async function seqs(groupId: Bytes, after: number, limit = 99): Promise<readonly number[]> {
  const page = await store.log(groupId, device, { after, limit, bytes: 10_000 });
  return page?.entries.map(({ seq }) => seq) ?? [];
}

const upTo = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i + 1);

describe("a log over several stretches", () => {
  let groupId: Bytes;
  let other: Bytes;
  beforeEach(async () => {
    [groupId, other] = [await aGroup(store, device), await aGroup(store, device)];
    await write(groupId, 3);
    await write(other, 2);
    skipTo(2 * STRETCH - 2);
    // On both sides of a border, in one batch.
    await Promise.all([write(groupId, 3), write(other, 3)]);
    skipTo(7 * STRETCH);
    await write(groupId, 2);
    // On both sides of a border between parts.
    skipTo(7 * STRETCH + 2 * PART - 1);
    await write(groupId, 2);
  });

  it("is read in order, from any place and in pages of any size", async () => {
    for (let after = 0; after <= 11; after++) {
      expect(await seqs(groupId, after)).toEqual(upTo(10).slice(after));
      expect(await seqs(groupId, after, 2)).toEqual(upTo(10).slice(after, after + 2));
      const newest = await store.newest(groupId, { after, limit: 3, bytes: 999 });
      expect(newest.map(({ seq }) => seq)).toEqual(upTo(10).slice(after, after + 3));
    }
    expect(await seqs(other, 0)).toEqual(upTo(5));
  });

  it("ends where its newest entry is", async () => {
    const groups = await store.groupsOf(device, { after: undefined, limit: 9 });
    expect(new Set(groups.map(({ head }) => head))).toEqual(new Set([10, 5]));
    const again = openSqliteStore(path);
    const entry = { groupId: other, device, epoch: 0n, hash: random(32), message: random(9) };
    expect(await again.appendApplication({ ...entry, now: NOW })).toMatchObject({ seq: 6 });
    await again.close();
  });

  it("knows its messages again, also when their epoch is over", async () => {
    const first = { groupId, device, epoch: 0n, hash: random(32), message: random(9), now: NOW };
    const place = await store.appendApplication(first);
    skipTo(9 * STRETCH);
    await write(groupId, 1);
    const again = openSqliteStore(path);
    expect(await again.appendApplication(first)).toEqual(place);
    const held = await again.group(groupId);
    await again.appendCommit(aCommit(groupId, 0, { version: held?.version ?? 0 }));
    await write(groupId, 1, 1n);
    expect(await again.appendApplication(first)).toEqual(place);
    await again.close();
  });

  it("is emptied by places, and goes portion by portion with its spans", async () => {
    expect(await store.trimLog(groupId, { keep: 3, limit: 99 })).toBe(7);
    expect(await seqs(groupId, 7)).toEqual([8, 9, 10]);
    const empty = db.all<{ seq: number }>(
      "SELECT seq FROM log JOIN groups ON number = group_number WHERE group_id = ? AND message = x''",
      groupId,
    );
    expect(empty.map(({ seq }) => seq)).toEqual(upTo(7));
    await db.transaction(() => db.run("INSERT INTO ended_groups VALUES (?)", groupId));
    for (const gone of [4, 4, 2]) {
      expect(await store.sweep(NOW, 4)).toMatchObject({ logEntries: gone });
    }
    const left = db.all<{ seq: number }>(
      "SELECT first_seq AS seq FROM spans JOIN groups ON number = group_number WHERE group_id = ?",
      groupId,
    );
    expect(left).toEqual([]);
    expect(db.all("SELECT * FROM ended_groups")).toEqual([]);
    expect(await seqs(other, 0)).toEqual(upTo(5));
  });

  it("has one entry at a place: the database refuses another, in whatever stretch the first is", async () => {
    const again = (seq: number): Promise<void> => writeAt(endOf(groupId), seq);
    // In this stretch, behind whose beginning the place is or not.
    await expect(again(10)).rejects.toThrow("UNIQUE");
    for (const seq of upTo(9)) {
      await expect(again(seq)).rejects.toThrow("the place in the log is taken");
    }
    for (const next of [7 * STRETCH + 3 * PART, 8 * STRETCH]) {
      skipTo(next);
      for (const seq of upTo(10)) {
        await expect(again(seq)).rejects.toThrow("the place in the log is taken");
      }
    }
    await again(11);
    for (const seq of upTo(10)) {
      await expect(again(seq)).rejects.toThrow("the place in the log is taken");
    }
    expect(await seqs(groupId, 0)).toEqual(upTo(11));
  });

  it("has one entry at a place, also for whoever wrote behind it before", async () => {
    const log = endOf(groupId);
    const write = (seq: number): Promise<void> => writeAt(log, seq);
    skipTo(7 * STRETCH + 3 * PART);
    await write(11);
    await write(12);
    await expect(write(11)).rejects.toThrow("UNIQUE");
    for (const seq of upTo(10)) {
      await expect(write(seq)).rejects.toThrow("the place in the log is taken");
    }
    // Not in order, and the newest again in the next part.
    skipTo(8 * STRETCH + 2);
    for (const seq of [13, 15, 14]) await write(seq);
    skipTo(8 * STRETCH + PART);
    await expect(write(15)).rejects.toThrow("the place in the log is taken");
    expect(await seqs(groupId, 0)).toEqual(upTo(15));
  });

  it("reads no entry more than once to sort it", () => {
    // By what is written here the database keeps them in order, by spans and parts.
    for (const order of [IN_ORDER, NEWEST_FIRST]) {
      const plan = db.all<{ detail: string }>(
        `EXPLAIN QUERY PLAN SELECT seq FROM entries WHERE group_number = ? AND seq > ? ORDER BY ${order}`,
        1,
        1,
      );
      expect(plan.map(({ detail }) => detail).join()).not.toContain("TEMP B-TREE");
    }
  });
});

describe("a log that was indexed by stretches", () => {
  it("is read as before, and goes on", async () => {
    const groupId = await aGroup(store, device);
    const other = await aGroup(store, device);
    for (const next of [0, PART - 1, 3 * PART, STRETCH - 1, 5 * STRETCH + PART - 2]) {
      if (next > 0) skipTo(next);
      await Promise.all([write(groupId, 3), write(other, 1)]);
    }
    await store.close();
    // What the step changed, as it was before.
    db.run("DROP VIEW group_ends");
    db.run("DROP VIEW entries");
    db.run("DROP TRIGGER spans_follow");
    db.run("DROP INDEX places");
    db.run("DROP TABLE parts");
    db.run("ALTER TABLE log DROP COLUMN part");
    const version = MIGRATIONS.findIndex((step) => step.includes("CREATE TABLE parts"));
    const before = MIGRATIONS[version - 1] ?? "";
    db.run("ALTER TABLE log ADD COLUMN stretch INTEGER AS (id / 4096)");
    db.run("CREATE UNIQUE INDEX places ON log (stretch, group_number, seq)");
    for (const [made] of before.matchAll(/CREATE (TRIGGER .*?\nEND|VIEW .*?);/gs)) db.run(made);
    db.run(`PRAGMA user_version = ${version}`);
    db.close();
    store = openSqliteStore(path);
    db = new Database(path);
    expect(await seqs(groupId, 0)).toEqual(upTo(15));
    expect(await seqs(groupId, 7, 4)).toEqual([8, 9, 10, 11]);
    await write(groupId, 1);
    expect(await seqs(groupId, 13)).toEqual([14, 15, 16]);
    expect(await seqs(other, 0)).toEqual(upTo(5));
  });
});
