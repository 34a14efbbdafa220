/**
 * All that a PostgreSQL database holds: see `contents.ts`.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { OperatorError } from "../operator-error.ts";
import {
  type ColumnType,
  type Contents,
  ROWS,
  type Row,
  TABLES,
  type Table,
  type Value,
} from "./contents.ts";
import { Database, type Queries, type SqlValue } from "./postgres-database.ts";

/** What the database has beside: it is made anew elsewhere. */
export const POSTGRES_OWN: readonly string[] = [
  "facts.name",
  "facts.at",
  "schema_version.one",
  "schema_version.version",
  "settled.one",
  "settled.times",
];

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
  const db = await Database.open(url, { connections: 1 });
  try {
    return await db.unhurried(async (tx) => {
      await refuseServices(tx);
      await tx.all(`SET LOCAL lock_timeout = '${PATIENCE}'`);
      const names = TABLES.map(({ name }) => name).join(", ");
      await tx.all(`LOCK TABLE ${names} IN EXCLUSIVE MODE`);
      const result = await work(contentsOf(tx));
      // One that was started meanwhile: it looks for the mark when it can be seen here.
      await tx.all("SELECT pg_stat_clear_snapshot()");
      await refuseServices(tx);
      return result;
    });
  } finally {
    await db.close();
  }
}

/** Each process of the service has a connection by which it hears of the others. Throws `OperatorError` where there is one. */
export async function refuseServices(tx: Pick<Queries, "one">): Promise<void> {
  const running = await tx.one<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'conclave-doorbell'`,
  );
  if (running !== undefined && running.count > 0) {
    throw new OperatorError(
      `the PostgreSQL database is in use by the service, in so many processes: ${running.count}; stop them first`,
    );
  }
}

function contentsOf(tx: Queries): Contents {
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
      await tx.all("DELETE FROM facts WHERE name = 'copied'");
    },
    async markCopied(now) {
      // Nobody reads that it isn't copied any more.
      await tx.all("LOCK TABLE facts IN ACCESS EXCLUSIVE MODE");
      await tx.all("INSERT INTO facts (name, at) VALUES ('copied', $1)", now);
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
    FROM ${table.name} AS one ORDER BY ${table.key.map((name) => `one.${name}`).join(", ")}`);
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
  const rows = Array.from({ length: count }, (_, i) => {
    const places = columns.map((_name, j) => `$${i * columns.length + j + 1}`);
    return `(${places.join(", ")})`;
  });
  return `INSERT INTO ${table.name} (${columns.join(", ")}) VALUES ${rows.join(", ")}`;
}
