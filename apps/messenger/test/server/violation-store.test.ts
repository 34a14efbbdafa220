import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openViolationStore, type ViolationStore } from "../../src/server/violation-store.ts";

let folder: string;
let store: ViolationStore;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "conclave-violations-"));
  store = openViolationStore(join(folder, "v.sqlite"), 3);
});
afterEach(async () => {
  store.close();
  await rm(folder, { recursive: true });
});

const inline = { document: "/", directive: "script-src-elem", blocked: "inline" };

test("the same violation is one group, with a count and two times; the most recent stands first", () => {
  store.record(inline, 1);
  store.record({ ...inline, blocked: "eval" }, 2);
  store.record(inline, 3);
  expect(store.groups()).toEqual([
    { ...inline, count: 2, firstSeen: 1, lastSeen: 3 },
    { ...inline, blocked: "eval", count: 1, firstSeen: 2, lastSeen: 2 },
  ]);
});

test("groups are kept in the file", () => {
  store.record(inline, 1);
  store.close();
  store = openViolationStore(join(folder, "v.sqlite"), 3);
  store.record(inline, 2);
  expect(store.groups()).toEqual([{ ...inline, count: 2, firstSeen: 1, lastSeen: 2 }]);
});

test("beyond the limit the rarest and oldest gives way, so that a flood of new ones can't push out the real ones", () => {
  store.record(inline, 1);
  store.record(inline, 2);
  for (let i = 0; i < 20; i++) {
    store.record({ ...inline, blocked: `https://${i}.example` }, 10 + i);
  }
  expect(store.groups().map(({ blocked, count }) => [blocked, count])).toEqual([
    ["https://19.example", 1],
    ["https://18.example", 1],
    ["inline", 2],
  ]);
});

test("clear leaves nothing", () => {
  store.record(inline, 1);
  store.clear();
  expect(store.groups()).toEqual([]);
});
