import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openPostgresStore, openSqliteStore, type Store } from "@conclave/delivery";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MIGRATIONS as POSTGRES } from "../../src/store/postgres-schema.ts";
import { MIGRATIONS as SQLITE } from "../../src/store/sqlite-schema.ts";
import { type PostgresServer, startPostgres } from "../postgres.ts";

/** What the two say differently. */
interface Dialect {
  readonly bytes: (hex: string) => string;
  readonly no: string;
}
const IN_SQLITE: Dialect = { bytes: (hex) => `x'${hex}'`, no: "0" };
const IN_POSTGRES: Dialect = { bytes: (hex) => `'\\x${hex}'`, no: "false" };

/** Rows in tables that a step makes, as they were written when it was the newest. */
type Rows = (dialect: Dialect) => readonly string[];

const first: Rows = ({ bytes, no }) => [
  `accounts (account_id, name, name_key, device_list, version, hash, expires_at, registration)
   VALUES (${bytes("a1")}, 'Ada', 'ada', ${bytes("11")}, 1, ${bytes("12")}, 2000, ${bytes("13")})`,
  `devices (device, account_id, device_id, signature_key, sign_in_key, revoked_at, inbox_head)
   VALUES (1000, ${bytes("a1")}, ${bytes("d1")}, ${bytes("21")}, ${bytes("22")}, 0, 1)`,
  `nonces VALUES (1000, ${bytes("31")}, 2000)`,
  `key_packages VALUES (${bytes("41")}, 1000, 1, 0, 2000, ${no}, ${bytes("42")})`,
  `key_package_refs VALUES (${bytes("41")}, 1000, 2000)`,
  `groups VALUES (${bytes("61")}, 1, 1, 1, 1000)`,
  `group_states VALUES (${bytes("61")}, ${bytes("62")}, ${bytes("63")})`,
  `group_nodes VALUES (${bytes("61")}, 0, 0, NULL, ${bytes("64")})`,
  `log VALUES (${bytes("61")}, 1, 0, 'commit', ${bytes("65")}, ${bytes("66")}, 1000)`,
  `members (group_id, leaf_index, device, from_seq) VALUES (${bytes("61")}, 0, 1000, 1)`,
  `links VALUES (${bytes("71")}, ${bytes("61")}, 2000, 3, 1, ${bytes("72")})`,
  `welcomes VALUES (${bytes("61")}, 1, 1, ${bytes("67")})`,
  `inbox VALUES (1000, 1, ${bytes("61")}, 1)`,
];
const session: Rows = ({ bytes }) => [
  `sessions (token_hash, device, expires_at) VALUES (${bytes("51")}, 1000, 2000)`,
];
const people: Rows = ({ bytes }) => [
  `contacts VALUES (${bytes("a1")}, ${bytes("a2")}, 'allowed', NULL, 1000)`,
];
const startedSession: Rows = ({ bytes }) => [
  `sessions (token_hash, device, started_at, expires_at)
   VALUES (${bytes("51")}, 1000, 0, 2000)`,
];
const blobs: Rows = ({ bytes }) => [
  `blobs (blob_id, account_id, request_key, size, stored, expires_at)
   VALUES (${bytes("81")}, ${bytes("a1")}, ${bytes("82")}, 9, 9, 2000)`,
  `blob_parts VALUES (${bytes("81")}, 0, 9, ${bytes("83")}, 'part')`,
  `blob_usage VALUES (${bytes("a1")}, 9, 1)`,
];
const capable: Rows = () => [];
const upkeep: Rows = () => ["facts VALUES ('restored', 1000)"];
const reported: Rows = ({ bytes, no }) => [
  `past_states VALUES (${bytes("61")}, 0, ${bytes("68")})`,
  `reports VALUES (${bytes("61")}, 0, 1, ${bytes("69")}, ${no})`,
  `barred VALUES (${bytes("61")}, 1000)`,
];
const ended: Rows = ({ bytes }) => [`ended_groups VALUES (${bytes("61")})`];
const bounded: Rows = () => [];
const instances: Rows = () => [];
const hashed: Rows = () => [];
const backups: Rows = ({ bytes }) => [`backup_marks VALUES (${bytes("a1")}, 1, ${bytes("91")})`];
const admitted: Rows = ({ bytes }) => [
  `invites (hash, made_at, expires_at) VALUES (${bytes("91")}, 1000, 2000)`,
];
const byArrival: Rows = () => [];
const reindexed: Rows = () => [];
const inStretches: Rows = () => [];
const inParts: Rows = () => [];
const handshakes: Rows = () => [];
const ends: Rows = () => [];
const of =
  (...several: readonly Rows[]): Rows =>
  (dialect) =>
    several.flatMap((rows) => rows(dialect));

/** For each step, in their order. Who adds a step adds rows for what it makes, or none. */
const IN_STEP: { readonly sqlite: readonly Rows[]; readonly postgres: readonly Rows[] } = {
  sqlite: [
    of(first, session),
    people,
    blobs,
    capable,
    upkeep,
    reported,
    ended,
    bounded,
    instances,
    hashed,
    backups,
    admitted,
    byArrival,
    inStretches,
    inParts,
  ],
  postgres: [
    of(first, startedSession, people),
    blobs,
    capable,
    upkeep,
    reported,
    ended,
    bounded,
    instances,
    hashed,
    backups,
    admitted,
    reindexed,
    handshakes,
    ends,
  ],
};

/** The version and the number of rows of each table. */
interface Opened {
  readonly version: number;
  readonly store: Store;
  readonly count: (table: string) => Promise<number>;
}

const NOW = 1_000_000;
const bytes = (hex: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(hex, "hex"));

/** Everything that the earliest version had is there, for whoever asks the store. */
async function expectFirst(store: Store): Promise<void> {
  const [accountId, groupId] = [bytes("a1"), bytes("61")];
  const found = await store.reach(accountId, { name: "Ada" }, "ask");
  expect(found?.account).toMatchObject({ accountId, version: 1n });
  expect(await store.session(bytes("51"), 1000)).toMatchObject({ device: { device: 1000 } });
  const pools = [{ suite: 1, available: 1, lastResort: false }];
  expect(await store.countKeyPackages(1000, NOW)).toMatchObject({ pools });
  const claimed = await store.claimKeyPackages(accountId, [1], NOW);
  expect(claimed).toMatchObject([{ keyPackage: bytes("42") }]);
  expect(await store.group(groupId)).toMatchObject({
    epoch: 1n,
    parts: { state: bytes("62"), nodes: [[0, bytes("64")]] },
  });
  const page = { after: 0, limit: 9, bytes: 999 };
  expect(await store.log(groupId, 1000, page)).toMatchObject({
    head: 1,
    entries: [{ seq: 1, message: bytes("66") }],
  });
  expect(await store.findEntry(groupId, 1000, bytes("65"))).toMatchObject({ seq: 1 });
  expect(await store.link(bytes("71"), NOW)).toMatchObject({ usesLeft: 2 });
  expect(await store.inbox(1000, page)).toMatchObject([{ welcome: bytes("67") }]);
}

function migrations(
  name: string,
  steps: readonly string[],
  rows: readonly Rows[],
  dialect: Dialect,
  open: (statements: readonly string[], version: number) => Promise<Opened>,
): void {
  describe(`${name}: a store of an earlier version`, () => {
    it("is known for each step", () => {
      expect(rows).toHaveLength(steps.length);
    });

    for (const version of steps.keys()) {
      it(`${version} becomes the newest with all that is in it`, async () => {
        const written = rows.slice(0, version).flatMap((one) => one(dialect));
        const inserts = written.map((row) => `INSERT INTO ${row}`);
        const statements: string[] = [];
        for (const [i, step] of steps.slice(0, version).entries()) {
          const own = rows[i]?.(dialect) ?? [];
          statements.push(step, ...own.map((row) => `INSERT INTO ${row}`));
        }
        expect(statements).toHaveLength(version + inserts.length);
        const opened = await open(statements, version);
        expect(opened.version).toBe(steps.length);
        for (const row of written) {
          const [table = ""] = row.split(" ");
          expect([table, await opened.count(table)]).toEqual([table, 1]);
        }
        if (version > 0) await expectFirst(opened.store);
        await opened.store.close();
      });
    }
  });
}

let folder: string;
let server: PostgresServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "migrations-"));
  server = await startPostgres();
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await server.stop();
});

migrations("SQLite", SQLITE, IN_STEP.sqlite, IN_SQLITE, async (statements, version) => {
  const path = join(folder, `${version}.sqlite`);
  const made = new DatabaseSync(path);
  for (const statement of statements) made.exec(statement);
  made.exec(`PRAGMA user_version = ${version}`);
  made.close();
  const store = openSqliteStore(path);
  const one = (sql: string): number => {
    const reader = new DatabaseSync(path);
    const [value] = Object.values(reader.prepare(sql).get() ?? {});
    reader.close();
    return Number(value);
  };
  return {
    store,
    version: one("PRAGMA user_version"),
    count: async (table) => one(`SELECT count(*) FROM ${table}`),
  };
});

const SCHEMA_VERSION =
  "CREATE TABLE schema_version (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL)";

migrations("PostgreSQL", POSTGRES, IN_STEP.postgres, IN_POSTGRES, async (statements, version) => {
  const url = await server.database("empty");
  if (version > 0) {
    const held = `${SCHEMA_VERSION}; INSERT INTO schema_version VALUES (1, ${version})`;
    await server.query([held, ...statements].join(";\n"), url);
  }
  const store = await openPostgresStore(url);
  const one = async (sql: string): Promise<number> => {
    const [row = {}] = await server.query(sql, url);
    return Number(Object.values(row)[0]);
  };
  return {
    store,
    version: await one("SELECT version FROM schema_version"),
    count: (table) => one(`SELECT count(*) FROM ${table}`),
  };
});

describe("PostgreSQL: processes that start together", () => {
  it("take the steps once, and all find them taken, none in another's way", async () => {
    const url = await server.database("empty");
    const stores = await Promise.all(Array.from({ length: 8 }, () => openPostgresStore(url)));
    for (const store of stores) {
      expect(await store.account(bytes("00"))).toBeUndefined();
      await store.close();
    }
    expect(await server.query("SELECT version FROM schema_version", url)).toEqual([
      { version: POSTGRES.length },
    ]);
    const undone =
      "SELECT xact_rollback AS undone FROM pg_stat_database WHERE datname = current_database()";
    expect(await server.query(undone, url)).toEqual([{ undone: "0" }]);
  });
});
