import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openSqliteStore } from "@conclave/delivery";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { Database } from "../../src/store/sqlite-database.ts";
import { Undo } from "../../src/store/undo.ts";
import { random } from "../world.ts";
import { storeContract } from "./contract.ts";
import { concurrencyContract } from "./contract-concurrent.ts";
import { upkeepContract } from "./contract-upkeep.ts";

let folder: string;
let count = 0;
const aPath = (): string => join(folder, `${++count}.sqlite`);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "store-"));
});
afterAll(() => rm(folder, { recursive: true }));

storeContract("SQLite", async () => openSqliteStore(aPath()));
upkeepContract("SQLite", async () => openSqliteStore(aPath()));
concurrencyContract("SQLite", async () => {
  const path = aPath();
  return [openSqliteStore(path), openSqliteStore(path)];
});

describe("the SQLite file", () => {
  it("is written through to the disk before a promise resolves", async () => {
    const path = aPath();
    const store = openSqliteStore(path);
    const account = {
      accountId: random(32),
      name: "Persistent",
      deviceList: random(9),
      version: 1n,
      hash: random(32),
      expiresAt: 0n,
      devices: [],
      registration: random(32),
      nonce: { nonce: random(16), expiresAt: 0 },
    };
    await store.register(account);
    // Another connection sees it while the first is still open.
    const other = new DatabaseSync(path);
    expect(other.prepare("SELECT name FROM accounts").all()).toEqual([{ name: "Persistent" }]);
    expect(other.prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" });
    other.close();
    await store.close();
    const again = openSqliteStore(path);
    expect(await again.account(account.accountId)).toMatchObject({ hash: account.hash });
    await again.close();
  });

  it("is kept over a loss of power, holds no orphans, and overwrites what it deletes", () => {
    const db = new Database(aPath());
    const pragma = (name: string): unknown => Object.values(db.one(`PRAGMA ${name}`) ?? {})[0];
    expect(pragma("synchronous")).toBe(2);
    expect(pragma("foreign_keys")).toBe(1);
    expect(pragma("secure_delete")).toBe(1);
    db.close();
  });

  it("of a newer version is not touched", async () => {
    const path = aPath();
    await openSqliteStore(path).close();
    const newer = new DatabaseSync(path);
    newer.exec("PRAGMA user_version = 99");
    newer.close();
    expect(() => openSqliteStore(path)).toThrow("the database has version 99");
  });

  it("itself forbids two entries at a place, two commits in an epoch, one commit twice, and two members at a leaf", async () => {
    const path = aPath();
    await openSqliteStore(path).close();
    const db = new DatabaseSync(path);
    db.exec("PRAGMA foreign_keys = OFF");
    const log = db.prepare("INSERT INTO log VALUES (NULL, 1, ?, ?, ?, 0, ?, x'00')");
    const [application, commit, proposal] = [0, 1, 2];
    const hash = random(32);
    log.run(1, 0, commit, hash);
    expect(() => log.run(2, 0, commit, random(32))).toThrow("UNIQUE");
    expect(() => log.run(2, 1, commit, hash)).toThrow("UNIQUE");
    expect(() => log.run(2, 1, proposal, hash)).toThrow("UNIQUE");
    expect(() => log.run(1, 1, application, random(32))).toThrow("UNIQUE");
    expect(() => log.run(2, 1, 3, random(32))).toThrow("CHECK");
    const member = db.prepare("INSERT INTO members VALUES (x'01', ?, ?, ?, NULL, 0)");
    member.run(0, 1, 1);
    expect(() => member.run(0, 2, 2)).toThrow("UNIQUE");
    expect(() => member.run(1, 1, 2)).toThrow("UNIQUE");
    db.close();
  });
});

describe("transactions that come together", () => {
  /** A database with a table of numbers that are at least 0, each once. */
  function aDatabase(path = ":memory:"): {
    readonly db: Database;
    readonly put: (n: number) => Promise<number>;
    readonly numbers: () => readonly number[];
  } {
    const db = new Database(path);
    const made = new DatabaseSync(path);
    const create = "CREATE TABLE IF NOT EXISTS numbers (n INTEGER PRIMARY KEY CHECK (n >= 0))";
    if (path === ":memory:") db.run(create);
    else made.exec(create);
    made.close();
    return {
      db,
      put: (n) => db.transaction(() => db.run("INSERT INTO numbers VALUES (?)", n)),
      numbers: () => db.all<{ n: number }>("SELECT n FROM numbers ORDER BY n").map(({ n }) => n),
    };
  }

  it("are written in their order, each seeing those before it, and are not seen earlier", async () => {
    const { db, put, numbers } = aDatabase();
    const seen = [put(1), db.transaction(numbers), put(2), db.transaction(numbers)];
    expect(numbers()).toEqual([]);
    expect(await Promise.all(seen)).toEqual([1, [1], 1, [1, 2]]);
    db.close();
  });

  it("are in one batch with one COMMIT", async () => {
    const path = aPath();
    const { db, put, numbers } = aDatabase(path);
    const other = new DatabaseSync(path);
    const version = (): unknown => other.prepare("PRAGMA data_version").get()?.["data_version"];
    const before = Number(version());
    await Promise.all([put(1), put(2), put(3)]);
    expect(Number(version()) - before).toBe(1);
    expect(numbers()).toEqual([1, 2, 3]);
    other.close();
    db.close();
  });

  it("are not undone by one that fails or is undone", async () => {
    const { db, put, numbers } = aDatabase();
    const thrown = db.transaction(() => {
      db.run("INSERT INTO numbers VALUES (10)");
      throw new TypeError("no");
    });
    const undone = db.transaction(() => {
      db.run("INSERT INTO numbers VALUES (11)");
      throw new Undo("undone");
    });
    const results = await Promise.allSettled([put(1), thrown, put(1), undone, put(-1), put(2)]);
    expect(results.map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      "rejected",
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    await expect(thrown).rejects.toThrow(TypeError);
    expect(await undone).toBe("undone");
    expect(numbers()).toEqual([1, 2]);
    db.close();
  });

  /** No time passes: what comes together goes into one batch, also where the machine is busy. */
  function stopTheClock(): void {
    vi.spyOn(performance, "now").mockReturnValue(0);
  }
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it("all fail with a COMMIT that fails, and the next are written", async () => {
    stopTheClock();
    const { db, put, numbers } = aDatabase();
    await put(1);
    // A reference that is checked at the COMMIT alone.
    db.run(`CREATE TABLE later (n INTEGER REFERENCES numbers DEFERRABLE INITIALLY DEFERRED)`);
    const dangling = db.transaction(() => db.run("INSERT INTO later VALUES (99)"));
    const results = await Promise.allSettled([put(2), dangling, put(3)]);
    for (const result of results) {
      expect(result).toMatchObject({ status: "rejected", reason: { name: "StoreUnavailable" } });
    }
    expect(numbers()).toEqual([1]);
    await put(4);
    expect(numbers()).toEqual([1, 4]);
    db.close();
  });

  it("all fail where SQLite undid the batch, and the next are written", async () => {
    stopTheClock();
    const { db, put, numbers } = aDatabase();
    const before = put(1);
    const undoes = db.transaction(() => db.run("INSERT OR ROLLBACK INTO numbers VALUES (-1)"));
    const after = put(2);
    const results = await Promise.allSettled([before, undoes, after]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"]);
    expect(numbers()).toEqual([2]);
    db.close();
  });

  it("are refused where too many wait, and those that wait are written before the file is closed", async () => {
    const path = aPath();
    const { db, put } = aDatabase(path);
    const waiting = Array.from({ length: 4096 }, (_, n) => put(n));
    await expect(put(5000)).rejects.toMatchObject({ name: "StoreUnavailable" });
    db.close();
    await Promise.all(waiting);
    const again = aDatabase(path);
    expect(again.numbers()).toHaveLength(4096);
    again.db.close();
    await expect(again.put(1)).rejects.toMatchObject({ name: "StoreUnavailable" });
  });

  it("let others have their turn: a batch takes what it can in some milliseconds", async () => {
    const { db, put, numbers } = aDatabase();
    const slow = db.transaction(() => {
      const until = performance.now() + 20;
      while (performance.now() < until);
    });
    const later = put(1);
    await slow;
    expect(numbers()).toEqual([]);
    await later;
    expect(numbers()).toEqual([1]);
    db.close();
  });
});
