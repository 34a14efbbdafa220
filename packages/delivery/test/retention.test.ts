import { openSqliteStore } from "@conclave/delivery";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startSweeper, sweep } from "../src/retention.ts";
import {
  addAll,
  type Member,
  newMember,
  pathOf,
  postMessage,
  readLog,
  send,
  startGroup,
} from "./member.ts";
import { call, eventually, startWorld, type World } from "./world.ts";

const DAY = 24 * 60 * 60 * 1000;

let world: World;
let ada: Member;
beforeEach(async () => {
  world = await startWorld();
  ada = await newMember(world, "Ada");
});
afterEach(() => world.close());

it("keeps everything but what has expired, unless it is told otherwise", async () => {
  const group = await startGroup(world, ada);
  await send(world, ada, group, "hello");
  world.clock.now += 400 * DAY;
  const swept = await sweep(world.store, {}, { now: () => world.clock.now });
  expect(swept).toEqual({
    sessions: 1,
    nonces: 1,
    keyPackages: 0,
    keyPackageRefs: 0,
    invites: 0,
    logEntries: 0,
  });
  world.clock.now -= 400 * DAY;
  expect((await world.store.statistics()).facts.swept).toBe(world.clock.now + 400 * DAY);
});

it("scenario 49: who reads what was deleted for its age is told so, and from where all is there", async () => {
  const group = await startGroup(world, ada);
  const ben = await newMember(world, "Ben");
  await addAll(world, { member: ada, group }, [ben]);
  const first = await send(world, ada, group, "old");
  for (const text of ["older", "oldest"]) await send(world, ada, group, text);
  const sweepNow = (days: number, entries?: number) =>
    sweep(world.store, { days, entries }, { now: () => world.clock.now });
  expect(await sweepNow(1)).toMatchObject({ messages: 0 });
  expect(await sweepNow(1, 2)).toMatchObject({ messages: 2 });

  const path = (after: number) => pathOf(group.groupId, `log?after=${after}`);
  const refused = await call(world, "GET", path(1), { token: ben.token });
  expect(refused.status).toBe(410);
  expect(refused.problem).toMatchObject({ code: "gone", keptFrom: 3 });
  const kept = await readLog(world, ben, group.groupId, 2);
  expect(kept.entries.map(({ seq }) => seq)).toEqual([3, 4]);
  expect(kept.entries.every(({ message }) => message.length > 0)).toBe(true);

  // What was deleted is not taken a second time.
  const again = await postMessage(world, ada, group.groupId, first.message);
  expect(again.body.seq).toBe(first.answer.body.seq);
  expect((await readLog(world, ben, group.groupId, 2)).head).toBe(4);

  // Who has no part in it learns no more than before.
  const eve = await newMember(world, "Eve");
  expect((await call(world, "GET", path(0), { token: eve.token })).status).toBe(404);
});

it("goes through many groups and long logs in portions", async () => {
  const groups = [];
  for (let i = 0; i < 3; i++) groups.push(await startGroup(world, ada));
  for (const group of groups) {
    for (let i = 0; i < 3; i++) await send(world, ada, group, `${i}`);
  }
  const options = { now: () => world.clock.now, portion: 1, groups: 1 };
  const swept = await sweep(world.store, { entries: 1 }, options);
  expect(swept.messages).toBe(6);
  for (const group of groups) {
    const page = await readLog(world, ada, group.groupId, 2);
    expect(page.entries.map(({ seq }) => seq)).toEqual([3]);
  }
});

it("deletes what is past its time although the blobs can't be swept", async () => {
  const store = openSqliteStore(":memory:");
  const seen: unknown[] = [];
  const sweeper = startSweeper({
    store,
    also: async () => {
      throw new Error("no blobs");
    },
    retention: {},
    interval: 1,
    now: () => 5,
    onSwept: () => seen.push("swept"),
    onError: (error) => seen.push(error),
  });
  await eventually(() => seen.length >= 2);
  await sweeper.stop();
  expect(seen).toContain("swept");
  expect(seen).toContainEqual(new Error("no blobs"));
  expect((await store.statistics()).facts).toEqual({ swept: 5 });
  await store.close();
});

it("sweeps again and again, also after a failure, until it is stopped", async () => {
  const store = openSqliteStore(":memory:");
  const seen: string[] = [];
  let fails = true;
  const sweeper = startSweeper({
    store: {
      ...store,
      sweep: async (...values) => {
        if (fails) throw new Error("the disk is full");
        return store.sweep(...values);
      },
    },
    retention: {},
    interval: 1,
    now: Date.now,
    onSwept: () => seen.push("swept"),
    onError: () => {
      seen.push("failed");
      fails = false;
    },
  });
  await eventually(() => seen.length >= 3);
  await sweeper.stop();
  expect(seen.slice(0, 3)).toEqual(["failed", "swept", "swept"]);
  const { length } = seen;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(seen).toHaveLength(length);
  await store.close();
});
