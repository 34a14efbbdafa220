import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openSqliteStore } from "@conclave/delivery";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Database } from "../../src/store/sqlite-database.ts";
import { random } from "../world.ts";
import { storeContract } from "./contract.ts";

let folder: string;
let count = 0;
const aPath = (): string => join(folder, `${++count}.sqlite`);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "store-"));
});
afterAll(() => rm(folder, { recursive: true }));

storeContract("SQLite", async () => openSqliteStore(aPath()));

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
    expect(await again.accountByName("Persistent")).toMatchObject({ hash: account.hash });
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

  it("itself forbids two commits in one epoch, one message twice, and two members at a leaf", async () => {
    const path = aPath();
    await openSqliteStore(path).close();
    const db = new DatabaseSync(path);
    db.exec("PRAGMA foreign_keys = OFF");
    const log = db.prepare("INSERT INTO log VALUES (x'01', ?, ?, ?, ?, x'00', 0)");
    log.run(1, 0, "commit", random(32));
    expect(() => log.run(2, 0, "commit", random(32))).toThrow("UNIQUE");
    const hash = random(32);
    log.run(2, 0, "application", hash);
    expect(() => log.run(3, 0, "application", hash)).toThrow("UNIQUE");
    expect(() => log.run(2, 0, "application", random(32))).toThrow("UNIQUE");
    const member = db.prepare("INSERT INTO members VALUES (x'01', ?, ?, ?, NULL)");
    member.run(0, 1, 1);
    expect(() => member.run(0, 2, 2)).toThrow("UNIQUE");
    expect(() => member.run(1, 1, 2)).toThrow("UNIQUE");
    db.close();
  });
});
