import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AppendCommit, type GroupStore, openSqliteStore } from "@conclave/delivery";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { keyOf } from "../../src/bytes.ts";
import { Database } from "../../src/store/sqlite-database.ts";
import { sqliteGroups } from "../../src/store/sqlite-groups.ts";
import { HeldLogs } from "../../src/store/sqlite-held-logs.ts";
import { sqliteUpkeep } from "../../src/store/sqlite-upkeep.ts";
import { type Bytes, random } from "../world.ts";

const NOW = 1_700_000_000_000;
const DEVICES = [1, 2, 3] as const;
const GROUPS: readonly Bytes[] = [random(16), random(16)];
const HASHES: readonly Bytes[] = Array.from({ length: 12 }, () => random(32));

let folder: string;
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "held-logs-"));
});
afterAll(() => rm(folder, { recursive: true }));

interface World {
  readonly db: Database;
  readonly logs: HeldLogs;
  readonly store: GroupStore;
  /** What the two connections to the file share. */
  readonly other: { readonly db: Database; readonly store: GroupStore };
  readonly close: () => void;
}

async function aWorld(): Promise<World> {
  const path = join(folder, `${++count}.sqlite`);
  await openSqliteStore(path).close();
  const db = new Database(path);
  db.run(
    `INSERT INTO accounts (account_id, name, name_key, device_list, version, hash, expires_at, registration)
     VALUES (x'a1', 'a', 'a', x'', 1, x'', 1, x'')`,
  );
  for (const device of DEVICES) {
    db.run(
      `INSERT INTO devices (device, account_id, device_id, signature_key, sign_in_key, revoked_at)
       VALUES (?, x'a1', ?, ?, x'', 0)`,
      device,
      random(16),
      random(32),
    );
  }
  // A reference that is checked at the COMMIT alone.
  db.run("CREATE TABLE later (device INTEGER REFERENCES devices DEFERRABLE INITIALLY DEFERRED)");
  // Few enough that logs are let go of all the time.
  const logs = new HeldLogs(db, 6);
  const store = sqliteGroups(db, logs);
  const otherDb = new Database(path);
  const other = { db: otherDb, store: sqliteGroups(otherDb) };
  for (const groupId of GROUPS) {
    await store.createGroup({
      groupId,
      device: DEVICES[0],
      leafIndex: DEVICES[0],
      state: random(3),
      groupInfo: random(3),
      nodes: [],
      version: 0,
      groupLimit: 99,
      now: NOW,
    });
  }
  return {
    db,
    logs,
    store,
    other,
    close() {
      db.close();
      otherDb.close();
    },
  };
}

/** What the rows say of a group, read in the simplest way. */
function rowsOf(db: Database, groupId: Bytes) {
  const group = db.one<{ number: number; epoch: number; head: number; accepted_at: number }>(
    "SELECT * FROM groups WHERE group_id = ?",
    groupId,
  );
  if (group === undefined) throw new Error("there is the group");
  const log = db.all<{
    seq: number;
    epoch: number;
    kind: number;
    accepted_at: number;
    hash: Bytes;
  }>("SELECT * FROM log WHERE group_number = ? ORDER BY seq", group.number);
  // By groups they are the same, each once and in order.
  const placed = db.all<{ seq: number }>(
    "SELECT seq FROM entries WHERE group_number = ? ORDER BY first_seq, n, seq",
    group.number,
  );
  expect(placed.map(({ seq }) => seq)).toEqual(log.map(({ seq }) => seq));
  const places = log
    .filter(({ epoch, kind }) => epoch === group.epoch && kind === 0)
    .map(({ hash, seq, accepted_at: acceptedAt }) => [keyOf(hash), { seq, acceptedAt }] as const);
  const members = db.all<{ device: number }>(
    "SELECT device FROM members WHERE group_id = ? AND until_seq IS NULL",
    groupId,
  );
  const spans = db.all<{ first_seq: number; stretch: number }>(
    "SELECT first_seq, stretch FROM spans WHERE group_number = ? ORDER BY first_seq",
    group.number,
  );
  return {
    number: group.number,
    span: spans.at(-1),
    epoch: BigInt(group.epoch),
    last: {
      seq: Math.max(group.head, ...log.map(({ seq }) => seq)),
      acceptedAt: Math.max(group.accepted_at, ...log.map((entry) => entry.accepted_at)),
    },
    places: new Map(places),
    members: members.map(({ device }) => device),
  };
}

async function expectHeldAsRows({ db, logs }: World): Promise<void> {
  await db.transaction(() => {
    logs.begin();
    for (const groupId of GROUPS) {
      const { places, members, ...rows } = rowsOf(db, groupId);
      const log = logs.get(groupId);
      if (log === undefined) throw new Error("there is the group");
      const { number, span, written, epoch, last } = log;
      expect({ number, span, epoch, last }).toEqual(rows);
      expect([undefined, last.seq]).toContain(written);
      expect(log.places.size).toBe(places.size);
      for (const hash of HASHES) expect(log.places.get(hash)).toEqual(places.get(keyOf(hash)));
      expect(members).toEqual(expect.arrayContaining([...log.members]));
      for (const device of DEVICES) {
        expect(logs.isMember(groupId, log, device)).toBe(members.includes(device));
      }
    }
  });
}

/** Settled, whatever came of it. */
type Step = (world: World) => Promise<unknown>;

function message(groupId: Bytes, device: number, hash: Bytes, now: number): Step {
  return async ({ db, store }) => {
    const epoch = BigInt(
      db.one<{ epoch: number }>("SELECT epoch FROM groups WHERE group_id = ?", groupId)?.epoch ?? 0,
    );
    await store.appendApplication({ groupId, device, epoch, hash, message: random(3), now });
  };
}

const commit =
  (groupId: Bytes, change: Partial<AppendCommit>, by: "own" | "other"): Step =>
  async (world) => {
    const { db, store } = by === "own" ? world : world.other;
    const held = await store.group(groupId, -1);
    const seats = db.all<{ leaf_index: number }>(
      "SELECT leaf_index FROM members WHERE group_id = ? AND until_seq IS NULL",
      groupId,
    );
    const taken = (leaf: number): boolean => seats.some((seat) => seat.leaf_index === leaf);
    await store.appendCommit({
      groupId,
      version: held?.version ?? 0,
      nextVersion: (held?.version ?? 0) + 1,
      epoch: held?.epoch ?? 0n,
      hash: random(32),
      message: random(3),
      acceptedAt: held?.acceptedAt ?? NOW,
      state: random(3),
      groupInfo: random(3),
      nodes: [],
      groupLimit: 99,
      welcome: undefined,
      links: [],
      linkUsed: undefined,
      ...change,
      removed: (change.removed ?? []).filter(taken),
      added: (change.added ?? []).filter(({ leafIndex }) => !taken(leafIndex)),
    });
  };

const propose =
  (groupId: Bytes, device: number, by: "own" | "other"): Step =>
  async (world) => {
    const { store } = by === "own" ? world : world.other;
    const held = await store.group(groupId, -1);
    await store.appendProposal({
      groupId,
      device,
      version: held?.version ?? 0,
      nextVersion: (held?.version ?? 0) + 1,
      epoch: held?.epoch ?? 0n,
      hash: random(32),
      message: random(3),
      state: random(3),
      limit: 99,
      now: NOW,
    });
  };

const aGroup = fc.constantFrom(...GROUPS);
const aDevice = fc.constantFrom(...DEVICES);
const by = fc.constantFrom("own" as const, "other" as const);
const aMessage = fc
  .tuple(aGroup, aDevice, fc.constantFrom(...HASHES), fc.integer({ min: NOW - 9, max: NOW + 9 }))
  .map(([groupId, device, hash, now]) => message(groupId, device, hash, now));

/** The next entry but one is in another part, or stretch. */
const ends =
  (size: number): Step =>
  async ({ db }) =>
    db.transaction(() =>
      db.run(
        `INSERT INTO log (id, group_number, seq, epoch, kind, accepted_at, hash, message)
         SELECT (max(id) / ?1 + 1) * ?1 - 2, 99, max(id), 0, 0, 0, x'', x'' FROM log`,
        size,
      ),
    );
const partEnds = ends(1024);
const stretchEnds = ends(4096);
const fails: Step = async ({ db }) =>
  db.transaction(() => {
    db.run("UPDATE groups SET epoch = epoch + 1, head = head + 5");
    db.run("DELETE FROM log");
    throw new TypeError("no");
  });
const failsWithItsBatch: Step = async ({ db }) =>
  db.transaction(() => db.run("INSERT INTO later VALUES (99)"));
const endsItsBatch: Step = async ({ db }) =>
  db.transaction(() => db.run("INSERT OR ROLLBACK INTO devices SELECT * FROM devices"));
const membersAlone: Step = async ({ db }) =>
  db.transaction(() => {
    db.run("UPDATE members SET until_seq = 1 WHERE device = 2 AND until_seq IS NULL");
    db.run("DELETE FROM members WHERE device = 1");
  });
const restored: Step = async ({ db }) => sqliteUpkeep(db).markRestored(NOW);

const ofOthers =
  (groupId: Bytes, device: number): Step =>
  async ({ other: { db, store } }) => {
    const { epoch } = rowsOf(db, groupId);
    const entry = { groupId, device, epoch, hash: random(32), message: random(3), now: NOW };
    await store.appendApplication(entry);
  };
const trims =
  (groupId: Bytes): Step =>
  async ({ db }) =>
    sqliteUpkeep(db).trimLog(groupId, { keep: 1, limit: 9 });
const isSwept =
  (groupId: Bytes): Step =>
  async ({ db }) => {
    await db.transaction(() =>
      db.run("INSERT INTO ended_groups VALUES (?) ON CONFLICT DO NOTHING", groupId),
    );
    await sqliteUpkeep(db).sweep(NOW, 1);
  };

const aStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: aMessage },
  fc
    .tuple(aGroup, aDevice, by)
    .map(([groupId, device, who]) =>
      commit(groupId, { added: [{ leafIndex: device, device }] }, who),
    ),
  fc
    .tuple(aGroup, aDevice, by)
    .map(([groupId, device, who]) => commit(groupId, { removed: [device] }, who)),
  // Undone with an answer: who enters has no room.
  aGroup.map((groupId) =>
    commit(groupId, { added: [{ leafIndex: 3, device: 3 }], groupLimit: 0 }, "own"),
  ),
  fc.tuple(aGroup, aDevice, by).map(([groupId, device, who]) => propose(groupId, device, who)),
  fc.tuple(aGroup, aDevice).map(([groupId, device]) => ofOthers(groupId, device)),
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      fails,
      failsWithItsBatch,
      endsItsBatch,
      membersAlone,
      restored,
      partEnds,
      stretchEnds,
    ),
  },
  aGroup.map(trims),
  aGroup.map(isSwept),
);

describe("held logs", () => {
  it("are what the rows say, whatever was done together, failed or was undone", async () => {
    const together = fc.array(aStep, { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.array(together, { minLength: 1, maxLength: 12 }), async (rounds) => {
        const world = await aWorld();
        try {
          for (const steps of rounds) {
            await Promise.allSettled(steps.map((step) => step(world)));
            await expectHeldAsRows(world);
          }
        } finally {
          world.close();
        }
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  it("are of nothing that was not written: what failed with its batch is accepted anew, at the same place", async () => {
    const world = await aWorld();
    const { db, store } = world;
    const entry = {
      groupId: GROUPS[0] ?? random(16),
      device: 1,
      epoch: 0n,
      message: random(3),
      now: NOW,
    };
    const first = random(32);
    let second = first;
    let head = 0;
    expect(await store.appendApplication({ ...entry, hash: first })).toMatchObject({ seq: ++head });
    // On a slow machine the batch may end before what fails: then both go again.
    for (;;) {
      second = random(32);
      const lost = store.appendApplication({ ...entry, hash: second }).then(
        (accepted) => accepted,
        ({ name }: Error) => name,
      );
      const dangling = db.transaction(() => db.run("INSERT INTO later VALUES (99)"));
      await expect(dangling).rejects.toMatchObject({ name: "StoreUnavailable" });
      if ((await lost) === "StoreUnavailable") break;
      expect(await lost).toMatchObject({ seq: ++head });
    }
    for (const hash of [random(32), second]) {
      expect(await store.appendApplication({ ...entry, hash })).toMatchObject({ seq: ++head });
    }
    expect(await store.appendApplication({ ...entry, hash: first })).toMatchObject({ seq: 1 });
    world.close();
  });

  it("know of proposals, which take places too", async () => {
    const world = await aWorld();
    const [groupId = random(16)] = GROUPS;
    const entry = { groupId, device: 1, epoch: 0n, message: random(3), now: NOW };
    expect(await world.store.appendApplication({ ...entry, hash: random(32) })).toMatchObject({
      seq: 1,
    });
    await propose(groupId, 1, "own")(world);
    expect(await world.store.appendApplication({ ...entry, hash: random(32) })).toMatchObject({
      seq: 3,
    });
    world.close();
  });

  it("are none after another connection wrote, and are let go of when there are too many", async () => {
    const world = await aWorld();
    const { db, logs, store, other } = world;
    const [groupId = random(16)] = GROUPS;
    const entry = { groupId, device: 1, epoch: 0n, message: random(3), now: NOW };
    await store.appendApplication({ ...entry, hash: random(32) });
    const hash = random(32);
    expect(await other.store.appendApplication({ ...entry, hash })).toMatchObject({ seq: 2 });
    expect(await store.appendApplication({ ...entry, hash })).toMatchObject({ seq: 2 });
    const held = () =>
      db.transaction(() => {
        logs.begin();
        return logs.get(groupId);
      });
    const log = await held();
    expect(await held()).toBe(log);
    for (let n = 0; n < 20; n++) await store.appendApplication({ ...entry, hash: random(32) });
    expect(await held()).toBe(log);
    // Twice as much of others came meanwhile.
    for (let n = 0; n < 20; n++) {
      await store.appendApplication({ ...entry, groupId: GROUPS[1] ?? groupId, hash: random(32) });
    }
    expect(await held()).not.toBe(log);
    world.close();
  });
});
