import { type AppendMessage, openPostgresStore, type Store } from "@conclave/delivery";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { type Bytes, eventually, random } from "../world.ts";
import { aCommit, aGroup, NOW } from "./fixtures.ts";

let server: PostgresServer;
let url: string;
let store: Store;
beforeAll(async () => {
  server = await startPostgres();
  url = await server.database();
  store = await openPostgresStore(url);
});
afterAll(async () => {
  await store.close();
  await server.stop();
});

/** From now on a commit waits for a standby: one of that name, which there is not. */
async function waitFor(standbys: string): Promise<void> {
  await server.query(`ALTER SYSTEM SET synchronous_standby_names = '${standbys}'`);
  await server.query("SELECT pg_reload_conf()");
  await eventually(async () => {
    const [row] = await server.query("SHOW synchronous_standby_names");
    return row?.["synchronous_standby_names"] === standbys;
  });
}

const WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

/** What becomes of a call while somebody cuts short whatever waits for the standby: it may wait several times. */
async function cutShort(call: Promise<unknown>): Promise<PromiseSettledResult<unknown>> {
  let result: PromiseSettledResult<unknown> | undefined;
  let cuts = 0;
  void Promise.allSettled([call]).then(([settled]) => {
    result = settled;
  });
  await eventually(async () => {
    const cut = await server.query(`SELECT pg_cancel_backend(pid) FROM (${WAITING}) AS waiting`);
    cuts += cut.length;
    return result !== undefined;
  });
  expect(cuts).toBeGreaterThan(0);
  if (result === undefined) throw new Error("it has no answer");
  return result;
}

let groupId: Bytes;
let device: number;
let account: Parameters<Store["register"]>[0];
beforeEach(async () => {
  await waitFor("");
  account = {
    accountId: random(32),
    name: Buffer.from(random(8)).toString("hex"),
    deviceList: random(100),
    version: 1n,
    hash: random(32),
    expiresAt: BigInt(NOW),
    devices: [
      { deviceId: random(16), signatureKey: random(32), signInKey: random(32), revokedAt: 0n },
    ],
    registration: random(32),
    nonce: { nonce: random(16), expiresAt: NOW },
  };
  await store.register(account);
  device = (await store.devicesOf(account.accountId))[0]?.device ?? -1;
  groupId = await aGroup(store, device);
});

const aMessage = (): AppendMessage => ({
  groupId,
  device,
  epoch: 0n,
  hash: random(32),
  message: random(9),
  now: NOW,
});

const unavailable = { name: "StoreUnavailable" };

describe("with a quorum that is not there", () => {
  it("a message whose wait was cut short is not acknowledged, nor is its retry, nor is it shown", async () => {
    const message = aMessage();
    await waitFor("nobody");
    const first = await cutShort(store.appendApplication(message));
    expect(first).toMatchObject({ status: "rejected", reason: unavailable });
    // It is in the database all the same.
    const [row] = await server.query("SELECT count(*) AS n FROM log", url);
    expect(row).toEqual({ n: "1" });

    for (let attempt = 0; attempt < 2; attempt++) {
      const retry = await cutShort(store.appendApplication(message));
      expect(retry).toMatchObject({ status: "rejected", reason: unavailable });
    }
    const read = await cutShort(store.log(groupId, device, { after: 0, limit: 9, bytes: 999 }));
    expect(read).toMatchObject({ status: "rejected", reason: unavailable });

    // The quorum is there again: the same bytes have one place.
    await waitFor("");
    expect(await store.appendApplication(message)).toEqual({ seq: 1, acceptedAt: NOW });
    expect(await store.log(groupId, device, { after: 0, limit: 9, bytes: 999 })).toMatchObject({
      head: 1,
    });
  });

  it("another process does not acknowledge it either", async () => {
    const other = await openPostgresStore(url);
    // It has seen that all was well.
    await other.settle();
    const [message, commit] = [aMessage(), aCommit(groupId, 0)];
    await waitFor("nobody");
    await cutShort(store.appendApplication(message));
    await cutShort(store.appendCommit(commit));
    const asked = [
      () => other.appendApplication(message),
      () => other.findEntry(groupId, device, message.hash),
      () => other.register(account),
      () => other.endSession(account.accountId, random(32)),
    ];
    for (const ask of asked) {
      const answer = await cutShort(ask());
      expect(answer).toMatchObject({ status: "rejected", reason: unavailable });
    }
    await waitFor("");
    expect(await other.appendApplication(message)).toMatchObject({ seq: 1 });
    await other.close();
  });

  it("an answer waits as long as the commit does, and comes when the quorum is back", async () => {
    await waitFor("nobody");
    let answered = false;
    const appended = store.appendApplication(aMessage()).finally(() => {
      answered = true;
    });
    await eventually(async () => (await server.query(WAITING)).length > 0);
    // Nobody sees it meanwhile.
    const [row] = await server.query(
      `SELECT head FROM groups WHERE group_id = '\\x${Buffer.from(groupId).toString("hex")}'`,
      url,
    );
    expect(row).toEqual({ head: "0" });
    expect(answered).toBe(false);
    await waitFor("");
    expect(await appended).toMatchObject({ seq: 1 });
  });
});
