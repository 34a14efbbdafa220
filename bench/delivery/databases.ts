/**
 * The databases beneath the stores: bare inserts with what the stores write with, and what was written.
 * @module
 */

import { statSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import type { Bytes } from "@conclave/mls/codec";
import { Database as Postgres } from "../../packages/delivery/src/store/postgres-database.ts";
import { Database as Sqlite } from "../../packages/delivery/src/store/sqlite-database.ts";

export interface Row {
  readonly groupId: Bytes;
  readonly hash: Bytes;
  readonly message: Bytes;
}

export interface Written {
  readonly rows: number;
  /** Of the write-ahead log. */
  readonly bytes: number;
}

export interface Bench {
  /** The message alone, into a table without another key than a number. */
  readonly insert: (row: Row) => Promise<unknown>;
  /** The message under its group and sequence number, so that a log can be read. */
  readonly insertKeyed: (row: Row) => Promise<unknown>;
  /** What this writes, by whomever. */
  readonly written: (work: () => Promise<void>) => Promise<Written>;
  /** Puts a group of the store into an epoch that it was not led into by commits. */
  readonly setEpoch: (groupId: Bytes, epoch: bigint) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Of the rows with keys. */
let seq = 0;

export async function openBench(url: string): Promise<Bench> {
  return url.startsWith("sqlite:") ? sqliteBench(url.slice("sqlite:".length)) : postgresBench(url);
}

const TABLES = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`;

/** What goes together, and rows in one statement: as where messages are appended. */
const IN_TRANSACTION = 128;
const IN_STATEMENT = 16;

/** Rows that come before a transaction begins go together in it. */
function inTransactions(
  db: Sqlite,
  write: (rows: readonly Row[]) => void,
): (row: Row) => Promise<void> {
  let waiting: { readonly row: Row; readonly done: PromiseWithResolvers<void> }[] = [];
  const run = async (): Promise<void> => {
    const batch = await db.transaction(() => {
      const some = waiting.slice(0, IN_TRANSACTION);
      waiting = waiting.slice(IN_TRANSACTION);
      if (waiting.length > 0) void run();
      const rows = some.map(({ row }) => row);
      let at = 0;
      for (; at + IN_STATEMENT <= rows.length; at += IN_STATEMENT) {
        write(rows.slice(at, at + IN_STATEMENT));
      }
      for (const row of rows.slice(at)) write([row]);
      return some;
    });
    for (const { done } of batch) done.resolve();
  };
  return (row) => {
    const done = Promise.withResolvers<void>();
    waiting.push({ row, done });
    if (waiting.length === 1) void run();
    return done.promise;
  };
}

function sqliteBench(path: string): Bench {
  const db = new Sqlite(path);
  db.run("CREATE TABLE bare (id INTEGER PRIMARY KEY, message BLOB NOT NULL) STRICT");
  db.run(`CREATE TABLE keyed (group_id BLOB NOT NULL, seq INTEGER NOT NULL, message BLOB NOT NULL,
    PRIMARY KEY (group_id, seq)) STRICT`);
  const names = db.all<{ name: string }>(TABLES).map(({ name }) => name);
  // Whoever changes a row, by whatever connection.
  db.run("CREATE TABLE written (rows INTEGER NOT NULL) STRICT");
  db.run("INSERT INTO written VALUES (0)");
  const count = (): number => db.one<{ rows: number }>("SELECT rows FROM written")?.rows ?? 0;
  const triggers = (make: boolean): void => {
    for (const name of names) {
      for (const event of ["INSERT", "UPDATE", "DELETE"]) {
        db.run(
          make
            ? `CREATE TRIGGER count_${event}_${name} AFTER ${event} ON ${name}
               BEGIN UPDATE written SET rows = rows + 1; END`
            : `DROP TRIGGER count_${event}_${name}`,
        );
      }
    }
  };
  const emptyLog = (): void => void db.all("PRAGMA wal_checkpoint(TRUNCATE)");
  return {
    insert: inTransactions(db, (rows) => {
      const places = rows.map(() => "(?)").join(", ");
      db.run(`INSERT INTO bare (message) VALUES ${places}`, ...rows.map(({ message }) => message));
    }),
    insertKeyed: inTransactions(db, (rows) => {
      const places = rows.map(() => "(?, ?, ?)").join(", ");
      const values = rows.flatMap(({ groupId, message }) => [groupId, ++seq, message]);
      db.run(`INSERT INTO keyed VALUES ${places}`, ...values);
    }),
    async written(work) {
      emptyLog();
      await work();
      const { size: bytes } = statSync(`${path}-wal`);
      // Again, since counting is itself written.
      triggers(true);
      const before = count();
      await work();
      const rows = count() - before;
      triggers(false);
      return { rows, bytes };
    },
    async setEpoch(groupId, epoch) {
      const sql = "UPDATE groups SET epoch = ? WHERE group_id = ?";
      await db.transaction(() => db.run(sql, epoch, groupId));
    },
    async close() {
      db.close();
    },
  };
}

/** What goes together, and how many such statements are under way: as where messages are appended. */
const TOGETHER = 256;
const LANES = 2;

/** Rows that come while a statement is under way go together in the next. */
function batched(write: (rows: readonly Row[]) => Promise<unknown>): (row: Row) => Promise<void> {
  const lanes = Array.from({ length: LANES }, () => ({
    waiting: [] as { readonly row: Row; readonly done: PromiseWithResolvers<void> }[],
    writing: false,
  }));
  type Lane = (typeof lanes)[number];
  const run = async (lane: Lane): Promise<void> => {
    lane.writing = true;
    for (;;) {
      await setImmediate();
      if (lane.waiting.length === 0) break;
      const batch = lane.waiting.splice(0, TOGETHER);
      try {
        await write(batch.map(({ row }) => row));
        for (const { done } of batch) done.resolve();
      } catch (error) {
        for (const { done } of batch) done.reject(error);
      }
    }
    lane.writing = false;
  };
  return (row) => {
    const lane = lanes[(row.groupId[0] ?? 0) % LANES] as Lane;
    const done = Promise.withResolvers<void>();
    lane.waiting.push({ row, done });
    if (!lane.writing) void run(lane);
    return done.promise;
  };
}

async function postgresBench(url: string): Promise<Bench> {
  const db = await Postgres.open(url, { connections: 4 });
  await db.all(
    "CREATE TABLE bare (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, message BYTEA NOT NULL)",
  );
  await db.all(`CREATE TABLE keyed (group_id BYTEA NOT NULL, seq BIGINT NOT NULL,
    message BYTEA NOT NULL, PRIMARY KEY (group_id, seq))`);
  const count = async (): Promise<number> => {
    const row = await db.one<{ rows: number }>(
      // The quorum is asked by a row that is written each second, whatever else is.
      `SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint AS rows FROM pg_stat_user_tables
       WHERE relname <> 'settled'`,
    );
    return row?.rows ?? 0;
  };
  /** The server counts with a delay. */
  const settled = async (): Promise<number> => {
    for (let before = -1, same = 0; ; ) {
      const rows = await count();
      same = rows === before ? same + 1 : 0;
      if (same === 12) return rows;
      before = rows;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  };
  const place = async (): Promise<string> =>
    (await db.one<{ at: string }>("SELECT pg_current_wal_insert_lsn()::text AS at"))?.at ?? "";
  return {
    insert: batched((rows) =>
      db.all(
        "INSERT INTO bare (message) SELECT * FROM unnest($1::bytea[])",
        rows.map(({ message }) => message),
      ),
    ),
    insertKeyed: batched((rows) =>
      db.all(
        "INSERT INTO keyed SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[])",
        rows.map(({ groupId }) => groupId),
        rows.map(() => ++seq),
        rows.map(({ message }) => message),
      ),
    ),
    async written(work) {
      const before = await settled();
      const from = await place();
      await work();
      const log = await db.one<{ bytes: number }>(
        "SELECT (pg_current_wal_insert_lsn() - $1::pg_lsn)::bigint AS bytes",
        from,
      );
      return { rows: (await settled()) - before, bytes: log?.bytes ?? 0 };
    },
    async setEpoch(groupId, epoch) {
      await db.all("UPDATE groups SET epoch = $1 WHERE group_id = $2", epoch, groupId);
    },
    close: () => db.close(),
  };
}
