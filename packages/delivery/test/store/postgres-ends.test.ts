import type { Bytes } from "@conclave/mls/codec";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Database } from "../../src/store/postgres-database.ts";
import { type End, Ends } from "../../src/store/postgres-ends.ts";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { random } from "../world.ts";

let server: PostgresServer;
let url: string;
let db: Database;
beforeAll(async () => {
  server = await startPostgres();
  url = await server.database();
  db = await Database.open(url);
});
afterAll(async () => {
  await db.close();
  await server.stop();
});

async function someGroups(count: number): Promise<readonly Bytes[]> {
  const groups = Array.from({ length: count }, () => random(16));
  await db.all(
    `INSERT INTO groups (group_id, epoch, version, head, accepted_at)
     SELECT unnest($1::bytea[]), 0, 0, 0, 0`,
    groups,
  );
  return groups;
}

/** Of a group that nobody wrote to in this epoch. */
async function read(ends: Ends, groupId: Bytes): Promise<void> {
  await ends.read(db, ends.begin(), [{ groupId, devices: new Set([1]) }]);
}

const heldOf = (ends: Ends, groups: readonly Bytes[]): number => {
  ends.begin();
  return groups.filter((groupId) => ends.get(groupId) !== undefined).length;
};

describe("ends of logs", () => {
  it("are what was read last, whatever becomes of what was known before", async () => {
    const ends = new Ends(db);
    const [groupId = random(16)] = await someGroups(1);
    await read(ends, groupId);
    const before = ends.get(groupId);
    if (before === undefined) throw new Error("it was read");
    ends.forget(groupId);
    await read(ends, groupId);
    const change = (end: End): void => void (end.head = 9);
    ends.change(groupId, before, change);
    const now = ends.get(groupId);
    expect(now?.head).toBe(0);
    if (now !== undefined) ends.change(groupId, now, change);
    expect(ends.get(groupId)?.head).toBe(9);
  });

  it("are let go of where there are many, however much was written to them", async () => {
    const ends = new Ends(db, 5_000);
    const groups = await someGroups(12);
    for (const groupId of groups) {
      await read(ends, groupId);
      for (let head = 0; head < 3_000; head++) {
        const end = ends.get(groupId);
        if (end === undefined) throw new Error("it was read");
        end.places.add(random(32), { seq: head + 1, acceptedAt: 0 });
        ends.change(groupId, end, (now) => {
          now.head = head + 1;
          now.places.bound();
        });
      }
    }
    expect(heldOf(ends, groups)).toBeLessThan(7);
  });

  it("are let go of where there are many, also if nothing was written to them", async () => {
    const ends = new Ends(db, 200);
    const groups = await someGroups(60);
    for (const groupId of groups) await read(ends, groupId);
    expect(heldOf(ends, groups)).toBeLessThan(50);
  });
});
