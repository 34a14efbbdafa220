import { openPostgresStore, openStore, type Store, StoreUnavailable } from "@conclave/delivery";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Database, Doubted } from "../../src/store/postgres-database.ts";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { eventually, random } from "../world.ts";
import { storeContract } from "./contract.ts";
import { concurrencyContract } from "./contract-concurrent.ts";
import { upkeepContract } from "./contract-upkeep.ts";

/** Of a group that is made. */
const AT_FIRST = { version: 0, groupLimit: 9 };

let server: PostgresServer;
let url: string;
beforeAll(async () => {
  // What a store promises after a loss of power is tried elsewhere: here nobody waits for a disk.
  server = await startPostgres({ fsync: "off" });
  url = await server.database();
});
afterAll(() => server.stop());

const open = async () => {
  await server.clear(url);
  return openPostgresStore(url);
};
storeContract("PostgreSQL", open);
upkeepContract("PostgreSQL", open);

concurrencyContract("PostgreSQL", async () => {
  await server.clear(url);
  return [await openPostgresStore(url), await openPostgresStore(url)];
});

describe("the PostgreSQL database", () => {
  it("itself forbids two commits in one epoch, one of them twice, two entries at one place, and two members at a leaf", async () => {
    await server.clear(url);
    const insert = (table: string, values: string): Promise<unknown> =>
      server.query(
        `SET session_replication_role = replica; INSERT INTO ${table} VALUES (${values})`,
        url,
      );
    const hash = (): string => `'\\x${Buffer.from(random(32)).toString("hex")}'`;
    const handshake = (seq: number, epoch: number, kind: string, its = hash()): Promise<unknown> =>
      insert("handshakes", `'\\x01', ${epoch}, ${seq}, '${kind}', ${its}, 0`);
    await handshake(1, 0, "commit");
    await expect(handshake(2, 0, "commit")).rejects.toMatchObject({ code: "23505" });
    const its = hash();
    await handshake(2, 0, "proposal", its);
    await expect(handshake(3, 1, "commit", its)).rejects.toMatchObject({ code: "23505" });
    const entry = (seq: number): Promise<unknown> =>
      insert("log", `1, ${seq}, 0, 'application', ${hash()}, '\\x00', 0`);
    await entry(2);
    await expect(entry(2)).rejects.toMatchObject({ code: "23505" });
    const member = (leaf: number, device: number, from: number): Promise<unknown> =>
      insert("members", `'\\x01', ${leaf}, ${device}, ${from}, NULL`);
    await member(0, 1, 1);
    await expect(member(0, 2, 2)).rejects.toMatchObject({ code: "23505" });
    await expect(member(1, 1, 2)).rejects.toMatchObject({ code: "23505" });
  });

  it("keeps no commit's place when its group's log is gone", async () => {
    await server.clear(url);
    const insert = (table: string, values: string): Promise<unknown> =>
      server.query(`INSERT INTO ${table} VALUES ${values}`, url);
    await insert(
      "groups (group_id, number, epoch, version, head, accepted_at)",
      `('\\x01', 1, 1, 0, 1, 0), ('\\x03', 2, 1, 0, 1, 0)`,
    );
    await insert(
      "log",
      `(1, 1, 0, 'commit', '\\x02', '\\x00', 0), (2, 1, 0, 'commit', '\\x04', '\\x00', 0)`,
    );
    await insert(
      "handshakes",
      `('\\x01', 0, 1, 'commit', '\\x02', 0), ('\\x03', 0, 1, 'commit', '\\x04', 0)`,
    );
    await insert("ended_groups", `('\\x01')`);
    const store = await openPostgresStore(url);
    expect(await store.sweep(1, 100)).toMatchObject({ logEntries: 1 });
    await store.close();
    const left = await server.query("SELECT seq, hash FROM handshakes", url);
    expect(left).toEqual([{ seq: "1", hash: Buffer.from([4]) }]);
  });

  it("refuses a message without those that came with it", async () => {
    await server.clear(url);
    const store = await openPostgresStore(url);
    const [accountId, deviceId, groupId] = [random(32), random(16), random(16)];
    await store.register({
      accountId,
      name: "Ada",
      deviceList: random(100),
      version: 1n,
      hash: random(32),
      expiresAt: 2_000_000_000n,
      devices: [{ deviceId, signatureKey: random(32), signInKey: random(32), revokedAt: 0n }],
      registration: random(32),
      nonce: { nonce: random(16), expiresAt: 2_000_000_000_000 },
    });
    const device = (await store.device(accountId, deviceId))?.device ?? -1;
    const parts = { state: random(9), groupInfo: random(9), nodes: [[0, random(9)] as const] };
    await store.createGroup({ groupId, device, leafIndex: 0, ...parts, ...AT_FIRST, now: 1 });
    const append = (epoch: bigint): ReturnType<Store["appendApplication"]> =>
      store.appendApplication({
        groupId,
        device,
        epoch,
        hash: random(32),
        message: random(9),
        now: 1,
      });
    // While the first is under way the others wait, and go together.
    const epochs = [0n, 0n, 2n ** 64n - 1n, 0n];
    const answers = await Promise.all(epochs.map(append));
    const seqs = answers.map((answer) => typeof answer === "object" && "seq" in answer);
    expect(seqs).toEqual([true, true, false, true]);
    expect(answers[2]).toEqual({ currentEpoch: 0n });
    await store.close();
  });

  it("of a newer version is not touched", async () => {
    const newer = await server.database();
    await server.query("UPDATE schema_version SET version = 99", newer);
    await expect(openPostgresStore(newer)).rejects.toThrow("the database has version 99");
  });

  it("that can't be reached is unavailable, and what it is called is not told", async () => {
    const nowhere = "postgres://someone:secret@localhost:1/nothing?host=/nowhere";
    const error = await openStore(nowhere).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: "StoreUnavailable" });
    expect(String(error)).not.toMatch(/secret|someone|nowhere/);
  });

  it("that only reads is unavailable", async () => {
    const readOnly = `${await server.database()}&options=-c%20default_transaction_read_only%3Don`;
    await expect(openStore(readOnly)).rejects.toMatchObject({ name: "StoreUnavailable" });
  });

  it("is reached again after its connections were lost", async () => {
    await server.clear(url);
    const store = await openStore(url);
    expect(await store.account(random(32))).toBeUndefined();
    await server.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'conclave-delivery'",
    );
    // One that finds its connection lost may fail; the next has another.
    const [first] = await Promise.allSettled([store.account(random(32))]);
    const reason = first?.status === "rejected" ? first.reason : undefined;
    expect([undefined, "StoreUnavailable"]).toContain(reason?.name);
    expect(await store.account(random(32))).toBeUndefined();
    await store.close();
  });

  it("runs nothing by what was read before a connection was lost", async () => {
    const own = await server.database();
    const db = await Database.open(own, { connections: 2 });
    const times = async () => db.one("SELECT times FROM settled");
    await db.settle();
    const { doubts } = db;
    const move = "UPDATE settled SET times = -1 WHERE $1::bigint = 1";
    await db.asOf(doubts).all(move, 0);
    await server.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'conclave-delivery'",
    );
    await eventually(async () => db.doubts > doubts);
    await expect(db.asOf(doubts).all(move, 1)).rejects.toBeInstanceOf(Doubted);
    expect(await times()).not.toMatchObject({ times: -1 });
    await db.asOf(db.doubts).all(move, 1);
    await db.close();
  });

  it("doubts nothing that was read because its connections are busy", async () => {
    const own = await server.database();
    const onHosts = async (hosts: string): Promise<void> => {
      const several = own.replace("@localhost/", `@${hosts}/`);
      const db = await Database.open(several, { connections: 1 });
      await db.settle();
      const { doubts } = db;
      const busy = db.all("SELECT pg_sleep(6)");
      await expect(Promise.all([busy, db.all("SELECT 1")])).rejects.toThrow(StoreUnavailable);
      await busy;
      expect(db.doubts).toBe(doubts);
      await db.close();
    };
    await Promise.all(["localhost", "localhost,localhost"].map(onHosts));
  });

  it("does not keep more callers waiting than a bound", async () => {
    const store = await openPostgresStore(url, { connections: 1 });
    const calls = Array.from({ length: 2500 }, () => store.account(random(32)));
    const results = await Promise.allSettled(calls);
    const refused = results.filter((result) => result.status === "rejected");
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toMatchObject({ name: "StoreUnavailable" });
    expect(await store.account(random(32))).toBeUndefined();
    await store.close();
  });

  it("is marked as restored however long that takes", async () => {
    await server.clear(url);
    const store = await openPostgresStore(url);
    await server.query(
      `CREATE TABLE seen (timeout TEXT);
       CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO seen VALUES (current_setting('statement_timeout')); RETURN NEW; END $$;
       CREATE TRIGGER seen BEFORE INSERT ON facts FOR EACH ROW EXECUTE FUNCTION see()`,
      url,
    );
    await store.note("swept", 1);
    await store.markRestored(2);
    expect(await server.query("SELECT timeout FROM seen", url)).toEqual([
      { timeout: "10s" },
      { timeout: "0" },
    ]);
    await server.query("DROP FUNCTION see CASCADE; DROP TABLE seen", url);
    await store.close();
  });

  it("does not tell values in its errors", async () => {
    const store = await openPostgresStore(url);
    const account = await store.account(random(32));
    expect(account).toBeUndefined();
    // A device that does not exist.
    const [groupId, part] = [random(16), random(8)];
    const group = { groupId, device: 1e9, leafIndex: 0, state: part, groupInfo: part };
    const create = store.createGroup({ ...group, nodes: [[0, part]], ...AT_FIRST, now: 0 });
    const error = await create.catch((reason: unknown) => reason);
    expect(String(error)).toBe(
      "Error: the database refused with SQLSTATE 23503 (members_device_fkey)",
    );
    await store.close();
  });
});

describe("openStore", () => {
  it("opens SQLite too, and nothing else", async () => {
    const stores: Store[] = [await openStore("sqlite::memory:"), await openStore(url)];
    for (const store of stores) {
      expect(await store.account(random(32))).toBeUndefined();
      await store.close();
    }
    for (const wrong of ["", "sqlite:", "mysql://secret@localhost/x", "file.sqlite"]) {
      const error = await openStore(wrong).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(TypeError);
      expect(String(error)).not.toContain("secret");
    }
  });
});
