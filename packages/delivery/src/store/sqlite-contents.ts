/**
 * All that a SQLite file holds: see `contents.ts`.
 * @module
 */

import type { SQLInputValue } from "node:sqlite";
import type { Bytes } from "@conclave/mls/codec";
import { BytesMap } from "../bytes.ts";
import type { LogEntry } from "../protocol/index.ts";
import {
  type Contents,
  END_MARK,
  FIND_MARK,
  markName,
  markOf,
  ROWS,
  type Row,
  type Table,
  UNMARK,
  type Value,
} from "./contents.ts";
import { Database } from "./sqlite-database.ts";
import { insertEntries, KINDS, type LogEnd, logEnd, type NewEntry } from "./sqlite-log.ts";

/** What the file has beside: it is made anew elsewhere. */
export const SQLITE_OWN: readonly string[] = [
  "facts.name",
  "facts.at",
  "groups.number",
  "log.id",
  "log.group_number",
  "parts.n",
  "spans.group_number",
  "spans.first_seq",
  "spans.stretch",
];

/** Runs `work` in one transaction, in which nobody else writes: what it throws undoes it. */
export async function withSqliteContents<T>(
  path: string,
  work: (contents: Contents) => Promise<T>,
): Promise<T> {
  const db = new Database(path);
  try {
    db.run("BEGIN IMMEDIATE");
    const result = await work(contentsOf(db));
    db.run("COMMIT");
    return result;
  } finally {
    db.close();
  }
}

function contentsOf(db: Database): Contents {
  return {
    async *rows(table) {
      yield* inPortions(table.name === "log" ? logRows(db, table) : plainRows(db, table));
    },
    async add(table, rows) {
      if (table.name === "log") return addLog(db, rows);
      const columns = Object.keys(table.columns);
      const names = table.name === "groups" ? [...columns, "number"] : columns;
      // A group's number is of this file alone.
      const number =
        table.name === "groups" ? ["(SELECT ifnull(max(number), 0) + 1 FROM groups)"] : [];
      const places = [...columns.map(() => "?"), ...number];
      const sql = `INSERT INTO ${table.name} (${names.join(", ")}) VALUES (${places.join(", ")})`;
      for (const row of rows) db.run(sql, ...(row as SQLInputValue[]));
    },
    // A new row's number is one more than the highest that there is.
    async complete() {
      db.run(UNMARK);
    },
    async arrival() {
      return db.one<{ at: number }>("SELECT at FROM facts WHERE name = 'arrived'")?.at;
    },
    async noteArrival(begun) {
      db.run("INSERT OR REPLACE INTO facts (name, at) VALUES ('arrived', ?)", begun);
    },
    async markCopying(to, now) {
      const held = markOf(db.one(FIND_MARK));
      if (held !== undefined) return held;
      db.run("INSERT INTO facts (name, at) VALUES (?, ?)", markName(to), now);
      db.run("COMMIT");
      db.run("BEGIN IMMEDIATE");
      return undefined;
    },
    async markCopied() {
      db.run(END_MARK);
    },
  };
}

async function* inPortions(rows: Iterable<Row>): AsyncGenerator<readonly Row[]> {
  let portion: Row[] = [];
  for (const row of rows) {
    portion.push(row);
    if (portion.length < ROWS) continue;
    yield portion;
    portion = [];
  }
  if (portion.length > 0) yield portion;
}

/** Numbers as texts: some are larger than those of JavaScript. */
function selected(table: Table, name: string): string {
  const type = table.columns[name];
  return type === "integer" || type === "boolean" ? `CAST(${name} AS TEXT) AS ${name}` : name;
}

function toRow(table: Table, found: Readonly<Record<string, Bytes | string | null>>): Row {
  return Object.entries(table.columns).map(([name, type]): Value => {
    const value = found[name] ?? null;
    const isNumber = type === "integer" || type === "boolean";
    return isNumber && typeof value === "string" ? BigInt(value) : value;
  });
}

function* plainRows(db: Database, table: Table): Generator<Row> {
  const columns = Object.keys(table.columns).map((name) => selected(table, name));
  // Where the log of a group ends, its own row doesn't say.
  const source = table.name === "groups" ? "group_ends" : table.name;
  const sql = `SELECT ${columns.join(", ")} FROM ${source} AS one
    ORDER BY ${table.key.map((name) => `one.${name}`).join(", ")}`;
  for (const found of db.each<Record<string, Bytes | string | null>>(sql))
    yield toRow(table, found);
}

/** Group by group: the file has the log in order of arrival. */
function* logRows(db: Database, table: Table): Generator<Row> {
  interface Found {
    readonly [name: string]: Bytes | string | null;
  }
  const groups = db.each<{ group_id: Bytes; number: number }>(
    "SELECT group_id, number FROM groups ORDER BY group_id",
  );
  const columns = ["seq", "epoch", "hash", "message", "accepted_at"];
  const sql = `SELECT kind, ${columns.map((name) => selected(table, name)).join(", ")}
    FROM entries AS one WHERE group_number = ? ORDER BY first_seq, n, one.seq`;
  for (const { group_id, number } of groups) {
    for (const { kind, ...found } of db.each<Found & { readonly kind: number }>(sql, number)) {
      yield toRow(table, { ...found, group_id, kind: KINDS[kind] ?? null });
    }
  }
}

/** As the log itself writes them. */
function addLog(db: Database, rows: readonly Row[]): void {
  const logs = new BytesMap<LogEnd>();
  const logOf = (groupId: Bytes): LogEnd => {
    const held = logs.get(groupId);
    if (held !== undefined) return held;
    const found = db.one<{ number: number }>(
      "SELECT number FROM groups WHERE group_id = ?",
      groupId,
    );
    const number = found?.number ?? 0;
    const log = logEnd(db, number);
    logs.set(groupId, log);
    return log;
  };
  const entries = rows.map((row): NewEntry => {
    const [groupId, seq, epoch, kind, hash, message, acceptedAt] = row as readonly [
      Bytes,
      bigint,
      bigint,
      LogEntry["kind"],
      Bytes,
      Bytes,
      bigint,
    ];
    return {
      log: logOf(groupId),
      kind,
      entry: { epoch, hash, message },
      place: { seq: Number(seq), acceptedAt: Number(acceptedAt) },
    };
  });
  insertEntries(db, entries);
}
