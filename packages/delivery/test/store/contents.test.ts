import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openPostgresStore, openSqliteStore } from "@conclave/delivery";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type ColumnType,
  type Contents,
  copyContents,
  Difference,
  firstTaken,
  ROWS,
  type Row,
  TABLES,
  type Table,
  type Value,
} from "../../src/store/contents.ts";
import { POSTGRES_OWN, withPostgresContents } from "../../src/store/postgres-contents.ts";
import { SQLITE_OWN, withSqliteContents } from "../../src/store/sqlite-contents.ts";
import { type PostgresServer, startPostgres } from "../postgres.ts";

let folder: string;
let server: PostgresServer;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "contents-"));
  server = await startPostgres();
});
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

async function newFile(): Promise<string> {
  const path = join(folder, `${++files}.sqlite`);
  await openSqliteStore(path).close();
  return path;
}

/** Both databases have all of these; one has some of them in another shape. */
const COPIED: readonly string[] = TABLES.flatMap(({ name, columns }) =>
  Object.keys(columns).map((column) => `${name}.${column}`),
);

describe("the tables that are copied", () => {
  it("are all that SQLite has, column by column", async () => {
    const db = new DatabaseSync(await newFile());
    const rows = db
      .prepare(
        `SELECT m.name || '.' || c.name AS place FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`,
      )
      .all();
    db.close();
    const there = rows.map(({ place }) => String(place));
    expect(there.filter((place) => !COPIED.includes(place)).toSorted()).toEqual(
      SQLITE_OWN.toSorted(),
    );
    expect(COPIED.filter((place) => !there.includes(place))).toEqual(["log.group_id"]);
  });

  it("are all that PostgreSQL has, column by column", async () => {
    const url = await server.database();
    const rows = await server.query(
      `SELECT table_name || '.' || column_name AS place
       FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
       WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'`,
      url,
    );
    const there = rows.map(({ place }) => String(place));
    expect(there.filter((place) => !COPIED.includes(place)).toSorted()).toEqual(
      POSTGRES_OWN.toSorted(),
    );
    expect(COPIED.filter((place) => !there.includes(place))).toEqual(["log.group_id"]);
  });

  it("come after whatever they refer to, and are ordered by what no database orders differently", async () => {
    const db = new DatabaseSync(await newFile());
    for (const [i, { name, key, columns }] of TABLES.entries()) {
      expect(key.map((column) => columns[column])).not.toContain("text");
      const before = TABLES.slice(0, i).map((table) => table.name);
      for (const { table } of db.prepare(`PRAGMA foreign_key_list(${name})`).all()) {
        expect(before).toContain(table);
      }
    }
    db.close();
  });
});

/** More than are in memory at a time. */
const MANY = ROWS * 2 + 9;
/** How many rows a table has here: one has just as many as are in memory at a time. */
const countOf = ({ name }: Table): number => (name === "blob_usage" ? ROWS : MANY);

/** Values of one row: those that keys and references are made of are the row's number, as each kind says it. */
function someValue(table: Table, column: string, type: ColumnType, i: number): Value {
  const only: Readonly<Record<string, Value>> = {
    "accounts.contact": i % 2 === 0 ? "open" : null,
    "contacts.state": ["asked", "allowed", "refused", "blocked"][i % 4] ?? null,
    // Several of a group.
    "log.group_id": new Uint8Array([0, 1 + (i % 5), 0, 255]),
    // Not before the last of them.
    "groups.head": BigInt(i) + 1000n,
    "groups.accepted_at": BigInt(i) + 1000n,
    "log.kind": ["commit", "proposal", "application"][i % 3] ?? null,
    "group_nodes.to_epoch": i % 2 === 0 ? null : BigInt(i) + 1n,
    // More than a number of JavaScript holds.
    "accounts.version": 2n ** 62n + BigInt(i),
    "accounts.name": `Zoë ${i} 🔑 "'\\`,
    "key_packages.capabilities": i % 3 === 0 ? null : JSON.stringify(["a", 'b"\\,{}é', ""]),
    "links.sealed_group_info": i % 2 === 0 ? null : new Uint8Array(0),
  };
  const value = only[`${table.name}.${column}`];
  if (value !== undefined) return value;
  switch (type) {
    case "bytes":
      return new Uint8Array([i >> 8, i, 0, 255]);
    case "integer":
      return BigInt(i);
    case "text":
      return `text ${i}`;
    case "boolean":
      return BigInt(i % 2);
    case "texts":
      return "[]";
  }
}

async function fill(contents: Contents): Promise<void> {
  for (const table of TABLES) {
    const rows = Array.from(
      { length: countOf(table) },
      (_, i): Row =>
        Object.entries(table.columns).map(([column, type]) =>
          someValue(table, column, type, i + 1),
        ),
    );
    await contents.add(table, rows);
  }
  await contents.complete();
}

async function all(contents: Contents): Promise<Readonly<Record<string, readonly Row[]>>> {
  const found: Record<string, Row[]> = {};
  for (const table of TABLES) {
    const rows: Row[] = [];
    for await (const portion of contents.rows(table)) rows.push(...portion);
    found[table.name] = rows;
  }
  return found;
}

const ignore = () => undefined;

describe("a copy", () => {
  it("has every value of every table, on the way there and back", async () => {
    const [path, url, back] = [await newFile(), await server.database(), await newFile()];
    const before = await withSqliteContents(path, async (contents) => {
      expect(await firstTaken(contents)).toBeUndefined();
      await fill(contents);
      return all(contents);
    });
    const counts = await withSqliteContents(path, (from) =>
      withPostgresContents(url, (to) => copyContents(from, to, ignore)),
    );
    expect(counts).toEqual(Object.fromEntries(TABLES.map((table) => [table.name, countOf(table)])));
    // What PostgreSQL has beside the log is of the log.
    const log = "(SELECT group_id, log.* FROM log JOIN groups ON number = group_number) AS log";
    const [held, logged] = await Promise.all(
      ["handshakes", `${log} WHERE kind <> 'application'`].map((source) =>
        server.query(
          `SELECT group_id, epoch, seq, kind, hash, accepted_at FROM ${source} ORDER BY group_id, seq`,
          url,
        ),
      ),
    );
    expect(held).toHaveLength(Math.floor((MANY * 2) / 3));
    expect(held).toEqual(logged);
    await withPostgresContents(url, async (from) => {
      expect(await firstTaken(from)).toBe("accounts");
      expect(await all(from)).toEqual(before);
      await withSqliteContents(back, (to) => copyContents(from, to, ignore));
    });
    expect(await withSqliteContents(back, all)).toEqual(before);
    // What SQLite gives the groups itself is whole.
    const db = new DatabaseSync(back);
    expect(db.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
    expect(db.prepare("PRAGMA foreign_key_check").all()).toEqual([]);
    expect(db.prepare("SELECT count(DISTINCT number) AS n FROM groups").get()).toEqual({ n: MANY });
    db.close();
  });

  it("gives devices numbers that were never given", async () => {
    const [path, url] = [await newFile(), await server.database()];
    await withSqliteContents(path, fill);
    await withSqliteContents(path, (from) =>
      withPostgresContents(url, (to) => copyContents(from, to, ignore)),
    );
    const [row] = await server.query("SELECT nextval('devices_device_seq')::int AS next", url);
    expect(row).toEqual({ next: MANY + 1 });
  });

  it("that differs in one value, or in the number of rows, is refused, and nothing of it stays", async () => {
    const [path, url] = [await newFile(), await server.database()];
    await withSqliteContents(path, fill);
    const spoilt: readonly ((table: Table, rows: readonly Row[]) => readonly Row[])[] = [
      ({ name }, rows) =>
        name === "group_states" ? rows.map(([id = null]) => [id, id, new Uint8Array([1])]) : rows,
      ({ name }, rows) => (name === "inbox" ? rows.slice(1) : rows),
      ({ name }, rows) => (name === "invites" && rows.length < ROWS ? [] : rows),
      ({ name }, rows) =>
        name === "blob_usage" ? [...rows, [new Uint8Array([255]), 1n, 1n]] : rows,
    ];
    for (const spoil of spoilt) {
      const copied = withSqliteContents(path, (from) =>
        withPostgresContents(url, (to) =>
          copyContents(
            from,
            { ...to, add: (table, rows) => to.add(table, spoil(table, rows)) },
            ignore,
          ),
        ),
      );
      await expect(copied).rejects.toThrow(Difference);
      expect(await withPostgresContents(url, firstTaken)).toBeUndefined();
    }
  });

  it("leaves a SQLite file empty that it could not fill", async () => {
    const [path, url] = [await newFile(), await server.database()];
    await withPostgresContents(url, fill);
    const failing = withPostgresContents(url, (from) =>
      withSqliteContents(path, (to) =>
        copyContents(from, to, ({ table, what }) => {
          if (table === "blob_usage" && what === "compared") throw new Error("cut off");
        }),
      ),
    );
    await expect(failing).rejects.toThrow("cut off");
    expect(await withSqliteContents(path, firstTaken)).toBeUndefined();
  });
});

it("lets nobody write to a PostgreSQL meanwhile", async () => {
  const url = await server.database();
  const store = await openPostgresStore(url);
  await withPostgresContents(url, async () => {
    const write = "SET lock_timeout = '50ms'; INSERT INTO invites VALUES ('a', 1, 1, NULL)";
    await expect(server.query(write, url)).rejects.toThrow("lock timeout");
  });
  await store.close();
});
