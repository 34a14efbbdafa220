/**
 * All that a PostgreSQL database holds: see `contents.ts`.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import {
  type ColumnType,
  type Contents,
  END_MARK,
  FIND_MARK,
  markName,
  markOf,
  ROWS,
  type Row,
  TABLES,
  type Table,
  UNMARK,
  type Value,
} from "./contents.ts";
import { Database, type Queries, refuseServices, type SqlValue } from "./postgres-database.ts";
import type { CopyMark } from "./store.ts";

/** What the database has beside: it is made anew elsewhere. */
export const POSTGRES_OWN: readonly string[] = [
  "facts.name",
  "facts.at",
  "handshakes.group_id",
  "handshakes.epoch",
  "handshakes.seq",
  "handshakes.kind",
  "handshakes.hash",
  "handshakes.accepted_at",
  "groups.number",
  "log.group_number",
  "schema_version.one",
  "schema_version.version",
  "settled.one",
  "settled.times",
];

/** With the groups' ids in place of their numbers. */
const LOG = "(SELECT group_id, log.* FROM log JOIN groups ON number = group_number)";

/** How long is waited for others who write. */
const PATIENCE = "10s";
/** How many rows one statement writes: few statements, so that each is planned once. */
const TOGETHER = [64, 8, 1] as const;

/**
 * Runs `work` in one transaction, in which nobody else writes: what it throws undoes it. Throws `OperatorError` where a service runs
 * on the database.
 */
export async function withPostgresContents<T>(
  url: string,
  work: (contents: Contents) => Promise<T>,
): Promise<T> {
  return Database.unhurried(url, async (tx) => {
    await refuseServices(tx);
    await tx.all(`SET LOCAL lock_timeout = '${PATIENCE}'`);
    const names = TABLES.map(({ name }) => name).join(", ");
    await tx.all(`LOCK TABLE ${names} IN EXCLUSIVE MODE`);
    let marked = false;
    const contents = contentsOf(tx);
    const result = await work({
      ...contents,
      async markCopying(to, now) {
        const held = await markCopying(url, to, now);
        marked = true;
        return held;
      },
    });
    // One that was started meanwhile; where a mark is, it refuses to run by itself.
    await tx.all("SELECT pg_stat_clear_snapshot()");
    if (!marked) await refuseServices(tx);
    return result;
  });
}

/** On a connection of its own. Throws `OperatorError` where a service runs on the database. */
function markCopying(url: string, to: string, now: number): Promise<CopyMark | undefined> {
  return Database.unhurried(url, async (tx) => {
    await tx.all(`SET LOCAL lock_timeout = '${PATIENCE}'`);
    // Nobody reads that it isn't copied any more. Who read that before can be seen here: a service looks for the mark after that.
    await tx.all("LOCK TABLE facts IN ACCESS EXCLUSIVE MODE");
    await refuseServices(tx);
    const held = markOf(await tx.one(FIND_MARK));
    if (held !== undefined) return held;
    await tx.all("INSERT INTO facts (name, at) VALUES ($1, $2)", markName(to), now);
    return undefined;
  });
}

/** Throws `OperatorError` where a service runs on the database, and is refused where it is being copied. */
export function unmarkPostgres(url: string): Promise<void> {
  return Database.unhurried(url, async (tx) => {
    await refuseServices(tx);
    await tx.all("LOCK TABLE accounts IN EXCLUSIVE MODE NOWAIT");
    await tx.all(UNMARK);
  });
}

function contentsOf(tx: Queries): Omit<Contents, "markCopying"> {
  let cursors = 0;
  return {
    rows: (table) => readRows(tx, table, `cursor_${++cursors}`),
    async add(table, rows) {
      let at = 0;
      for (const count of TOGETHER) {
        for (; at + count <= rows.length; at += count) {
          const values = rows.slice(at, at + count).flatMap((row) => toValues(table, row));
          await tx.all(insertion(table, count), ...values);
        }
      }
    },
    async complete() {
      await tx.all(
        `SELECT setval(pg_get_serial_sequence('devices', 'device'), max(device))
         FROM devices HAVING max(device) IS NOT NULL`,
      );
      await tx.all(
        `INSERT INTO handshakes (group_id, epoch, seq, kind, hash, accepted_at)
         SELECT group_id, epoch, seq, kind, hash, accepted_at FROM ${LOG} AS log
         WHERE kind <> 'application'`,
      );
      await tx.all(UNMARK);
    },
    async arrival() {
      return (await tx.one<{ at: number }>("SELECT at FROM facts WHERE name = 'arrived'"))?.at;
    },
    async noteArrival(begun) {
      await tx.all(
        `INSERT INTO facts (name, at) VALUES ('arrived', $1)
         ON CONFLICT (name) DO UPDATE SET at = excluded.at`,
        begun,
      );
    },
    async markCopied() {
      await tx.all(END_MARK);
    },
  };
}

/** By a cursor, which ends with the transaction where not all is read. */
async function* readRows(
  tx: Queries,
  table: Table,
  cursor: string,
): AsyncGenerator<readonly Row[]> {
  const columns = Object.entries(table.columns);
  await tx.all(`DECLARE ${cursor} NO SCROLL CURSOR FOR
    SELECT ${columns.map(([name, type]) => `${READING[type](name)} AS ${name}`).join(", ")}
    FROM ${table.name === "log" ? LOG : table.name} AS one ORDER BY ${table.key.map((name) => `one.${name}`).join(", ")}`);
  for (;;) {
    const found = await tx.all<Record<string, Bytes | string | null>>(
      `FETCH ${ROWS} FROM ${cursor}`,
    );
    if (found.length > 0)
      yield found.map((row) => columns.map(([n, t]) => toValue(t, row[n] ?? null)));
    if (found.length < ROWS) break;
  }
  await tx.all(`CLOSE ${cursor}`);
}

/** Numbers as texts: some are larger than those of JavaScript. */
const READING: Readonly<Record<ColumnType, (name: string) => string>> = {
  bytes: (name) => name,
  text: (name) => name,
  integer: (name) => `${name}::text`,
  boolean: (name) => `${name}::int::text`,
  texts: (name) => `array_to_json(${name})::text`,
};

function toValue(type: ColumnType, value: Bytes | string | null): Value {
  if (typeof value !== "string" || type === "text") return value;
  return type === "texts" ? JSON.stringify(JSON.parse(value)) : BigInt(value);
}

function toValues(table: Table, row: Row): readonly SqlValue[] {
  return Object.values(table.columns).map((type, i) => {
    const value = row[i] ?? null;
    return type === "texts" && typeof value === "string" ? (JSON.parse(value) as string[]) : value;
  });
}

function insertion(table: Table, count: number): string {
  const columns = Object.keys(table.columns);
  const isOfLog = (name: string): boolean => table.name === "log" && name === "group_id";
  const rows = Array.from({ length: count }, (_, i) => {
    const places = columns.map((name, j) => {
      const value = `$${i * columns.length + j + 1}`;
      return isOfLog(name) ? `(SELECT number FROM groups WHERE group_id = ${value})` : value;
    });
    return `(${places.join(", ")})`;
  });
  const names = columns.map((name) => (isOfLog(name) ? "group_number" : name));
  return `INSERT INTO ${table.name} (${names.join(", ")}) VALUES ${rows.join(", ")}`;
}
