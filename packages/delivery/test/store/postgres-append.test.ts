import {
  type AppendCommit,
  type AppendMessage,
  openPostgresStore,
  type Store,
} from "@conclave/delivery";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { type Bytes, eventually, random } from "../world.ts";
import { aCommit, aDevice, aGroup, NOW } from "./fixtures.ts";

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => {
  await server.stop();
});

let url: string;
let store: Store;
/** Another process's. */
let other: Store;
let member: number;
let second: number;
let stranger: number;
let groups: readonly [Bytes, Bytes];

/** In epoch 1, of two. */
async function aPair(): Promise<Bytes> {
  const groupId = await aGroup(store, member);
  await commit(store, groupId, 0, { added: [{ leafIndex: 1, device: second }] });
  return groupId;
}

async function commit(
  by: Store,
  groupId: Bytes,
  epoch: number,
  change: Partial<AppendCommit> = {},
): Promise<void> {
  const taken = await by.appendCommit(aCommit(groupId, epoch, change));
  expect(taken).toMatchObject({ seq: expect.any(Number) });
}

beforeEach(async () => {
  url = await server.database();
  store = await openPostgresStore(url);
  other = await openPostgresStore(url);
  member = await aDevice(store);
  second = await aDevice(store);
  stranger = await aDevice(store);
  groups = [await aPair(), await aPair()];
});
afterEach(async () => {
  await store.close();
  await other.close();
});

const aMessage = (change: Partial<AppendMessage> = {}): AppendMessage => ({
  groupId: groups[0],
  device: member,
  epoch: 1n,
  hash: random(32),
  message: random(9),
  now: NOW,
  ...change,
});
const KILL = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE application_name = 'conclave-delivery' AND datname = current_database()`;
const appendAll = (...messages: readonly AppendMessage[]): Promise<readonly unknown[]> =>
  Promise.all(messages.map((message) => store.appendApplication(message)));

describe("messages that come together", () => {
  it("have places of their own in each group, and spoil none of the others", async () => {
    const first = aMessage();
    expect(await appendAll(first)).toEqual([{ seq: 2, acceptedAt: NOW }]);
    const new2 = aMessage({ device: second });
    const answers = await appendAll(
      aMessage(),
      first,
      aMessage({ groupId: groups[1], now: NOW + 5 }),
      aMessage({ device: stranger }),
      aMessage({ groupId: random(16) }),
      new2,
      new2,
      aMessage({ epoch: 0n }),
      aMessage({ epoch: 2n, groupId: groups[1] }),
      aMessage(),
    );
    expect(answers).toEqual([
      { seq: 3, acceptedAt: NOW },
      { seq: 2, acceptedAt: NOW },
      { seq: 2, acceptedAt: NOW + 5 },
      "not-member",
      "not-member",
      { seq: 4, acceptedAt: NOW },
      { seq: 4, acceptedAt: NOW },
      { currentEpoch: 1n },
      { currentEpoch: 1n },
      { seq: 5, acceptedAt: NOW },
    ]);
    const page = { after: 0, limit: 99, bytes: 99_999 };
    const log = await store.log(groups[0], member, page);
    expect(log?.entries.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
  });

  it("are more than a statement takes", async () => {
    const answers = await appendAll(...Array.from({ length: 700 }, () => aMessage()));
    expect(answers).toEqual(
      Array.from({ length: 700 }, (_, i) => ({ seq: i + 2, acceptedAt: NOW })),
    );
  });

  it("go on, however many come that don't fit", async () => {
    let over = false;
    let refused = 0;
    const flood = Array.from({ length: 64 }, async () => {
      while (!over) {
        const groupId = Uint8Array.of(groups[0][0] ?? 0, ...random(15));
        expect(await store.appendApplication(aMessage({ groupId }))).toBe("not-member");
        refused++;
      }
    });
    while (refused < 200) await new Promise((resolve) => setTimeout(resolve, 1));
    refused = 0;
    const answers = await appendAll(aMessage(), aMessage({ device: second }));
    const before = refused;
    over = true;
    await Promise.all(flood);
    expect(answers).toEqual([2, 3].map((seq) => ({ seq, acceptedAt: NOW })));
    expect(before).toBeLessThan(600);
  });

  it("wait for no group of which nothing is known, and those of one that is read come in their order", async () => {
    await appendAll(aMessage());
    const cold = aMessage({ groupId: Uint8Array.of(groups[0][0] ?? 0, ...random(15)) });
    const unread = [aMessage({ groupId: groups[1] }), aMessage({ groupId: groups[1] })];
    const locking = new pg.Client({ connectionString: url });
    await locking.connect();
    // Whoever is a member can't be read.
    await locking.query("BEGIN; LOCK TABLE members");
    const [first, second] = unread.map((one) => store.appendApplication(one));
    const stranger = store.appendApplication(cold);
    for (let seq = 3; seq < 6; seq++) {
      expect(await appendAll(aMessage())).toEqual([{ seq, acceptedAt: NOW }]);
    }
    const last = store.appendApplication(aMessage({ groupId: groups[1] }));
    await locking.query("COMMIT");
    await locking.end();
    expect(await Promise.all([first, second, last])).toEqual(
      [2, 3, 4].map((seq) => ({ seq, acceptedAt: NOW })),
    );
    expect(await stranger).toBe("not-member");
  });

  it("to a great many groups of which nothing is known have their places", async () => {
    const many = await Promise.all(
      Array.from({ length: 300 }, () => aGroup(store, member, { groupLimit: 999 })),
    );
    const toAll = (): Promise<readonly unknown[]> =>
      Promise.all(many.map((groupId) => other.appendApplication(aMessage({ groupId, epoch: 0n }))));
    for (const seq of [1, 2]) {
      expect(await toAll()).toEqual(many.map(() => ({ seq, acceptedAt: NOW })));
    }
  });

  it("look up their groups alone, while there are few others too", async () => {
    const many = Array.from({ length: 100 }, () => aGroup(store, member, { groupLimit: 999 }));
    await Promise.all(many);
    const groupId = await aGroup(store, member, { groupLimit: 999 });
    await server.query("ANALYZE groups", url);
    const read = async (): Promise<number> => {
      const [row] = await server.query(
        `SELECT sum(idx_tup_read)::int AS n FROM pg_stat_user_indexes WHERE relname = 'groups'`,
        url,
      );
      return Number(row?.["n"]);
    };
    // What a connection read is counted for certain once it has ended.
    const ended = async (): Promise<void> => {
      await store.close();
      await eventually(async () => {
        const left = `SELECT 1 FROM pg_stat_activity
          WHERE application_name = 'conclave-delivery' AND datname = current_database()`;
        return (await server.query(left, url)).length === 0;
      });
    };
    await other.close();
    await ended();
    const before = await read();
    store = await openPostgresStore(url);
    for (let seq = 1; seq < 21; seq++) {
      const answers = await appendAll(aMessage({ groupId, epoch: 0n }));
      expect(answers).toEqual([{ seq, acceptedAt: NOW }]);
    }
    await ended();
    expect((await read()) - before).toBeLessThan(200);
    store = await openPostgresStore(url);
    other = await openPostgresStore(url);
  });

  it("are never earlier than what was before them", async () => {
    await appendAll(aMessage({ now: NOW + 9 }));
    expect(await appendAll(aMessage())).toEqual([{ seq: 3, acceptedAt: NOW + 9 }]);
  });
});

describe("a message that the database refuses", () => {
  it("spoils none of those that came with it", async () => {
    await server.query("ALTER TABLE log ADD CHECK (message <> '\\x0bad')", url);
    await appendAll(aMessage());
    const refused = aMessage({ message: Uint8Array.of(0x0b, 0xad) });
    const others = Array.from({ length: 9 }, (_, i) =>
      aMessage({ groupId: groups[i % 2 === 0 ? 0 : 1] }),
    );
    const answers = await Promise.allSettled(
      [...others.slice(0, 4), refused, ...others.slice(4)].map((one) =>
        store.appendApplication(one),
      ),
    );
    const bad = answers.flatMap((one, i) => (one.status === "rejected" ? [[i, one.reason]] : []));
    expect(bad).toEqual([
      [4, expect.objectContaining({ message: expect.stringContaining("23514") })],
    ]);
    const page = { after: 0, limit: 99, bytes: 99_999 };
    const heads = groups.map(async (one) => (await store.log(one, member, page))?.entries.length);
    expect(await Promise.all(heads)).toEqual([7, 5]);
    await expect(store.appendApplication(refused)).rejects.toThrow("23514");
    expect(await appendAll(aMessage())).toEqual([{ seq: 8, acceptedAt: NOW }]);
  });
});

describe("a message of somebody who is no member", () => {
  it("has no log looked through for it", async () => {
    await appendAll(...Array.from({ length: 200 }, () => aMessage()));
    const read = async (): Promise<number> => {
      const [row] = await server.query(
        "SELECT idx_tup_fetch AS n FROM pg_stat_user_tables WHERE relname = 'log'",
        url,
      );
      return Number(row?.["n"]);
    };
    // What a connection read is counted for certain once it has ended.
    const ended = (): Promise<void> =>
      eventually(async () => {
        const left = `SELECT 1 FROM pg_stat_activity
          WHERE application_name = 'conclave-delivery' AND datname = current_database()`;
        return (await server.query(left, url)).length === 0;
      });
    await Promise.all([store.close(), other.close()]);
    await ended();
    const before = await read();
    store = await openPostgresStore(url);
    other = await openPostgresStore(url);
    for (const epoch of [1n, 0n, 9n]) {
      for (let i = 0; i < 10; i++) {
        expect(await appendAll(aMessage({ device: stranger, epoch }))).toEqual(["not-member"]);
      }
    }
    await Promise.all([store.close(), other.close()]);
    await ended();
    // Once, to know where the log ends.
    expect((await read()) - before).toBeLessThan(300);
    store = await openPostgresStore(url);
    other = await openPostgresStore(url);
  });
});

describe("what is remembered of a log", () => {
  const bytesOf = (bytes: Bytes): string => `'\\x${Buffer.from(bytes).toString("hex")}'`;
  const NUMBER_OF = (group: Bytes): string =>
    `(SELECT number FROM groups WHERE group_id = ${bytesOf(group)})`;

  it("is forgotten with a connection: by the next another log may answer", async () => {
    const [lost, kept] = [aMessage(), aMessage()];
    expect(await appendAll(lost)).toEqual([{ seq: 2, acceptedAt: NOW }]);
    // The next primary never had it; there another message has its place.
    await server.query(
      `UPDATE log SET hash = ${bytesOf(kept.hash)}, message = ${bytesOf(kept.message)}
       WHERE seq = 2 AND group_number = ${NUMBER_OF(groups[0])}`,
      url,
    );
    const rows = await server.query(KILL, url);
    expect(rows.length).toBeGreaterThan(0);
    await eventually(async () => {
      const [answer] = await Promise.allSettled([store.appendApplication(kept)]);
      if (answer?.status === "rejected") return false;
      expect(answer?.value).toEqual({ seq: 2, acceptedAt: NOW });
      return true;
    });
    expect(await appendAll(lost, kept)).toEqual([
      { seq: 3, acceptedAt: NOW },
      { seq: 2, acceptedAt: NOW },
    ]);
  });

  it("is forgotten where the log doesn't have it", async () => {
    const [lost, next] = [aMessage(), aMessage()];
    await appendAll(lost);
    const where = `WHERE group_id = ${bytesOf(groups[0])}`;
    await server.query(
      `DELETE FROM log WHERE seq = 2 AND group_number = ${NUMBER_OF(groups[0])}`,
      url,
    );
    await server.query(`UPDATE groups SET head = 1 ${where}`, url);
    expect(await appendAll(lost)).toEqual([{ seq: 2, acceptedAt: NOW }]);
    expect(await appendAll(next, lost)).toEqual([
      { seq: 3, acceptedAt: NOW },
      { seq: 2, acceptedAt: NOW },
    ]);
  });

  it("is followed by what others wrote, however the two take turns", async () => {
    const stores = [store, other];
    const sent: AppendMessage[] = [];
    for (let turn = 0; turn < 30; turn++) {
      const message = aMessage();
      const by = stores[(turn >> 1) % 2] ?? store;
      expect(await by.appendApplication(message)).toEqual({ seq: turn + 2, acceptedAt: NOW });
      sent.push(message);
      for (const each of stores) {
        const again = sent[turn >> 1] ?? message;
        expect(await each.appendApplication(again)).toMatchObject({ seq: (turn >> 1) + 2 });
      }
    }
  });

  it("is followed in the groups that others wrote to, beside those they didn't", async () => {
    const all = [...groups, await aPair(), await aPair(), await aPair()];
    // Three of five at least go together.
    const together = [0, 1]
      .map((rest) => all.filter(([first = 0]) => first % 2 === rest))
      .find(({ length }) => length > 2);
    const [first = groups[0], ...rest] = together ?? [];
    const toAll = (): Promise<readonly unknown[]> =>
      appendAll(...[...rest, first].map((groupId) => aMessage({ groupId })));
    expect(await toAll()).toEqual([first, ...rest].map(() => ({ seq: 2, acceptedAt: NOW })));
    expect(await other.appendApplication(aMessage({ groupId: first }))).toMatchObject({ seq: 3 });
    const messages = [...rest, first].map((groupId) => aMessage({ groupId }));
    const answers = [...rest.map(() => 3), 4].map((seq) => ({ seq, acceptedAt: NOW }));
    expect(await appendAll(...messages)).toEqual(answers);
    // Each has that place, and no other.
    expect(await appendAll(...messages)).toEqual(answers);
    expect(await toAll()).toEqual(answers.map(({ seq }) => ({ seq: seq + 1, acceptedAt: NOW })));
  });

  it("has no message that another process only wrote the one before of", async () => {
    // Both in what goes together.
    const near = Uint8Array.of(groups[0][0] ?? 0, ...random(15));
    await aGroup(store, member, { groupId: near });
    const toNear = (): AppendMessage => aMessage({ groupId: near, epoch: 0n });
    await appendAll(aMessage(), toNear());
    const [again, own] = [aMessage({ now: NOW + 5 }), aMessage()];
    // Its device asked there too, since it had no answer here.
    expect(await other.appendApplication(again)).toEqual({ seq: 3, acceptedAt: NOW + 5 });
    await other.appendApplication(aMessage());
    expect(await appendAll(again, own, toNear())).toEqual([
      { seq: 3, acceptedAt: NOW + 5 },
      { seq: 5, acceptedAt: NOW + 5 },
      { seq: 2, acceptedAt: NOW },
    ]);
    const page = { after: 4, limit: 9, bytes: 99_999 };
    const log = await store.log(groups[0], member, page);
    expect(log?.entries.map(({ message }) => message)).toEqual([own.message]);
  });

  it("lets two who write at once both go on", async () => {
    const PER = 40;
    const write = async (by: Store): Promise<readonly number[]> => {
      const seqs: number[] = [];
      for (let i = 0; i < PER; i++) {
        const answers = await Promise.all(
          [0, 1, 2].map(async () => by.appendApplication(aMessage())),
        );
        for (const one of answers) {
          if (typeof one === "object" && "seq" in one) seqs.push(one.seq);
        }
      }
      return seqs;
    };
    const seqs = (await Promise.all([write(store), write(other)])).flat();
    expect(seqs.toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 6 * PER }, (_, i) => i + 2),
    );
  });
});

describe("a place in the log", () => {
  const numberOf = (group: Bytes): string =>
    `(SELECT number FROM groups WHERE group_id = '\\x${Buffer.from(group).toString("hex")}')`;
  const clients: pg.Client[] = [];
  afterEach(async () => {
    await Promise.all(clients.splice(0).map(async (client) => client.end()));
  });

  interface Taker {
    /** Resolves when a statement waits for what becomes of it. */
    readonly awaited: () => Promise<void>;
    readonly commit: () => Promise<unknown>;
  }

  async function taker(sql: string, ...values: unknown[]): Promise<Taker> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    clients.push(client);
    await client.query("BEGIN");
    await client.query(sql, values);
    const { rows } = await client.query<{ id: string }>("SELECT pg_current_xact_id()::xid AS id");
    const waiting = `SELECT 1 FROM pg_locks WHERE NOT granted AND transactionid = '${rows[0]?.id}'`;
    return {
      awaited: () => eventually(async () => (await server.query(waiting, url)).length === 1),
      commit: async () => client.query("COMMIT"),
    };
  }

  /** Somebody who has taken a place in the first group, which nobody sees until it is committed. */
  const taken = (seq: number, acceptedAt = NOW): Promise<Taker> =>
    taker(
      `INSERT INTO log (group_number, seq, epoch, kind, hash, message, accepted_at)
       VALUES (${numberOf(groups[0])}, $1, 1, 'application', $2, $3, $4)`,
      seq,
      Buffer.from(random(32)),
      Buffer.from(random(9)),
      acceptedAt,
    );

  it("is the next one's where somebody has it already, and so for those behind it", async () => {
    await appendAll(aMessage());
    const first = await taken(3);
    const answers = appendAll(aMessage(), aMessage(), aMessage({ groupId: groups[1] }));
    await first.awaited();
    await first.commit();
    expect(await answers).toEqual([4, 5, 2].map((seq) => ({ seq, acceptedAt: NOW })));
  });

  it("is not taken by a statement that fails each time, where two take turns", async () => {
    const failed = async (): Promise<number> => {
      // What a connection did is counted for certain once it has ended.
      await Promise.all([store.close(), other.close()]);
      const row =
        "SELECT xact_rollback::int AS n FROM pg_stat_database WHERE datname = current_database()";
      const connections =
        "SELECT 1 FROM pg_stat_activity WHERE application_name = 'conclave-delivery' AND datname = current_database()";
      await eventually(async () => (await server.query(connections, url)).length === 0);
      store = await openPostgresStore(url);
      other = await openPostgresStore(url);
      return Number((await server.query(row, url))[0]?.["n"]);
    };
    const before = await failed();
    for (let seq = 2; seq < 42; seq++) {
      const by = (seq >> 1) % 2 === 0 ? store : other;
      expect(await by.appendApplication(aMessage())).toEqual({ seq, acceptedAt: NOW });
    }
    expect((await failed()) - before).toBeLessThan(4);
  });

  it("is one of those that the group's row is held for, where others don't ask for it; then they are told", async () => {
    const head = async (): Promise<unknown> =>
      (await server.query(`SELECT head FROM groups WHERE number = ${numberOf(groups[0])}`, url))[0];
    await appendAll(aMessage());
    const [first, second] = [await taken(3), await taken(4)];
    const answers = appendAll(aMessage(), aMessage());
    await first.awaited();
    await first.commit();
    await second.awaited();
    expect(await head()).toEqual({ head: "1" });
    await second.commit();
    expect(await answers).toEqual([5, 6].map((seq) => ({ seq, acceptedAt: NOW })));
    expect(await head()).toEqual({ head: "4" });
  });

  it("is asked for with the group's row by whoever was told, until others who are far had the time to take one", async () => {
    await appendAll(aMessage());
    await server.query(`UPDATE groups SET head = 2 WHERE number = ${numberOf(groups[0])}`, url);
    for (let seq = 3; seq < 20; seq++) expect(await appendAll(aMessage())).toMatchObject([{ seq }]);
    const row = `SELECT 1 FROM groups WHERE number = ${numberOf(groups[0])} FOR NO KEY UPDATE`;
    const far = await taker(row);
    const answers = appendAll(aMessage());
    await far.awaited();
    await far.commit();
    expect(await answers).toEqual([{ seq: 20, acceptedAt: NOW }]);
    // And then it is left to the log's key again.
    for (let seq = 21; seq < 60; seq++) await appendAll(aMessage());
    const held = await taker(row);
    expect(await appendAll(aMessage())).toEqual([{ seq: 60, acceptedAt: NOW }]);
    await held.commit();
  });

  it("is behind the end that the group's row names, which may be none that the log has", async () => {
    await appendAll(aMessage());
    await server.query(`UPDATE groups SET head = 1000 WHERE number = ${numberOf(groups[0])}`, url);
    expect(await appendAll(aMessage())).toEqual([{ seq: 1001, acceptedAt: NOW }]);
  });

  it("is none where the group's row has another version, though it names the same end", async () => {
    await appendAll(aMessage());
    const where = `WHERE number = ${numberOf(groups[0])}`;
    await server.query(`UPDATE groups SET version = 7, epoch = 2 ${where}`, url);
    expect(await appendAll(aMessage())).toEqual([{ currentEpoch: 2n }]);
  });

  it("is a commit's behind the message that was under way, and no earlier than that", async () => {
    // However many others go on.
    const places = [2, 3, 4, 5, 6, 7, 8];
    const others = await Promise.all(places.map((seq) => taken(seq, NOW + 5)));
    const late = store.appendCommit(aCommit(groups[0], 1, { acceptedAt: NOW + 5 }));
    for (const one of others) {
      await one.awaited();
      await one.commit();
    }
    expect(await late).toEqual({ seq: 9, acceptedAt: NOW + 5 });
    const last = await taken(10, NOW + 9);
    const early = store.appendCommit(aCommit(groups[0], 2, { acceptedAt: NOW + 8 }));
    await last.awaited();
    await last.commit();
    expect(await early).toBe("moved");
    const page = { after: 8, limit: 9, bytes: 99_999 };
    const log = await store.log(groups[0], member, page);
    expect(log?.entries.map(({ seq, kind }) => [seq, kind])).toEqual([
      [9, "commit"],
      [10, "application"],
    ]);
  });
});

describe("members who are remembered", () => {
  it("are none as of the commit that removes them, by whichever process", async () => {
    await appendAll(aMessage(), aMessage({ device: second }));
    await commit(other, groups[0], 1, { removed: [1] });
    expect(
      await appendAll(
        aMessage({ device: second }),
        aMessage({ device: second, epoch: 2n }),
        aMessage(),
        aMessage({ epoch: 2n }),
      ),
    ).toEqual(["not-member", "not-member", { currentEpoch: 2n }, { seq: 5, acceptedAt: NOW }]);
  });

  it("are members still where the group has another version", async () => {
    await appendAll(aMessage(), aMessage({ device: second }));
    const leaving = aMessage({ device: second });
    const state = random(9);
    await other.appendProposal({ ...leaving, version: 1, nextVersion: 7, state, limit: 9 });
    const places = [5, 6].map((seq) => ({ seq, acceptedAt: NOW }));
    expect(await appendAll(aMessage(), aMessage({ device: second }))).toEqual(places);
    expect(await appendAll(aMessage(), aMessage({ device: stranger }))).toEqual([
      { seq: 7, acceptedAt: NOW },
      "not-member",
    ]);
  });
});
