import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openReportStore, type ReportStore, type StoreLimits } from "@conclave/csp/collect";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { observe } from "./reports.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const now = Date.UTC(2026, 10, 26, 17, 30);

let folder: string;
let file: string;
let store: ReportStore;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "collect-"));
  file = join(folder, "reports.db");
  open();
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

function open(limits: Partial<StoreLimits> = {}): void {
  store?.close();
  store = openReportStore(file, limits);
}
const host = (n: number) => ({ blockedURL: `https://cdn-${n}.example/a.js` });

test("counts what is the same, by the hour", () => {
  store.record([observe(), observe({ disposition: "report" })], now - HOUR);
  store.record([observe()], now);
  const [group, ...others] = store.groups();
  expect(others).toEqual([]);
  expect(group).toMatchObject({
    class: "violation",
    blocked: "https://cdn.example",
    document: "/basket",
    count: 3,
    enforced: 2,
    recent: 3,
    firstSeen: now - HOUR,
    lastSeen: now,
  });
  const start = Date.UTC(2026, 10, 26, 16);
  const id = group?.id ?? 0;
  expect(store.counts(id, 0)).toEqual([
    { start, count: 2 },
    { start: start + HOUR, count: 1 },
  ]);
  expect(store.counts(id, start + 1)).toHaveLength(1);
  expect(store.groups({ since: start + HOUR })).toMatchObject([{ recent: 1, count: 3 }]);
  expect(store.totals(0)).toHaveLength(2);
});

test("keeps samples that differ, their policies, browsers", () => {
  const a = { originalPolicy: "script-src 'nonce-a'" };
  store.record([observe(a), observe({ originalPolicy: "script-src 'nonce-b'" })], now);
  store.record([observe({ blockedURL: "https://cdn.example/b.js" })], now + 1);
  const details = store.details(store.groups()[0]?.id ?? 0);
  expect(details?.agents).toEqual([{ agent: "Chrome", count: 3 }]);
  expect(details?.samples).toMatchObject([
    { blockedURL: "https://cdn.example/b.js", count: 1, lastSeen: now + 1 },
    { blockedURL: "https://cdn.example/lib.js", count: 2, policy: "script-src 'nonce-NONCE'" },
  ]);
  expect(store.details(999)).toBeUndefined();
});

describe("filters", () => {
  beforeEach(() => {
    store.record([observe(host(1)), observe(host(1)), observe(host(2))], now - HOUR);
    store.record([observe({ ...host(3), effectiveDirective: "img-src" })], now);
    store.record([observe({ sourceFile: "moz-extension" })], now - 2 * HOUR);
  });
  const found = (filter: Parameters<ReportStore["groups"]>[0]) =>
    store.groups(filter).map(({ blocked }) => blocked.replace(/https:..|\.example/g, ""));

  test.each([
    [{ classes: ["violation"] }, ["cdn-1", "cdn-3", "cdn-2"]],
    [{ classes: ["extension", "browser"] }, ["cdn"]],
    [{ classes: [] }, []],
    [{ directive: "img-src" }, ["cdn-3"]],
    [{ site: "https://other.example" }, []],
    [{ text: "CDN-2" }, ["cdn-2"]],
    [{ text: "%" }, []],
    [{ since: now }, ["cdn-3"]],
    [{ order: "last-seen", limit: 2 }, ["cdn-3", "cdn-1"]],
    [{ order: "first-seen", limit: 1, offset: 3 }, ["cdn"]],
  ] as const)("%o", (filter, expected) => expect(found(filter)).toEqual(expected));

  test("size, directives and sites", () => {
    expect(store.size()).toBe(4);
    expect(store.size({ classes: ["violation"], limit: 1 })).toBe(3);
    expect(store.directives()).toEqual(["img-src", "script-src-elem"]);
    expect(store.sites()).toEqual(["https://shop.example"]);
  });
});

test("forgets a group on request", () => {
  store.record([observe(), observe(host(1))], now);
  store.forget(store.groups({ text: "cdn-1" })[0]?.id ?? 0);
  expect(store.groups()).toMatchObject([{ blocked: "https://cdn.example" }]);
  expect(rows()).toMatchObject({ groups: 1, counts: 1, samples: 1, agents: 1, policies: 1 });
});

describe("a restart", () => {
  test("keeps everything", () => {
    store.record([observe()], now);
    store.refuse("rate-limit", now);
    const before = [store.groups(), store.details(1), store.totals(0)];
    open();
    expect([store.groups(), store.details(1), store.totals(0)]).toEqual(before);
    expect(store.refusals(0)).toEqual([{ reason: "rate-limit", count: 1 }]);
    store.record([observe()], now);
    expect(store.groups()).toMatchObject([{ count: 2 }]);
  });

  test("the file is its owner's alone", () => {
    store.record([observe()], now);
    expect(statSync(file).mode & 0o077).toBe(0);
    expect(statSync(`${file}-wal`).mode & 0o077).toBe(0);
  });

  test("a file of a newer version is left alone", () => {
    store.close();
    const database = new DatabaseSync(file);
    database.exec("PRAGMA user_version = 99");
    database.close();
    expect(() => openReportStore(file)).toThrow("version 99");
  });
});

/** How many rows there are, looked at from outside. */
function rows(): Record<string, number> {
  const database = new DatabaseSync(file, { readOnly: true });
  const tables = ["groups", "counts", "totals", "samples", "agents", "policies", "refusals"];
  const entries = tables.map((table) => {
    const row = database.prepare(`SELECT count(*) AS n FROM ${table}`).get();
    return [table, Number(row?.["n"])] as const;
  });
  database.close();
  return Object.fromEntries(entries);
}

describe("a flood", () => {
  test("10,000 different reports in an hour are counted in a bounded number of rows", () => {
    for (let i = 0; i < 10_000; i += 100) {
      const batch = Array.from({ length: 100 }, (_, j) =>
        observe({ ...host(i + j), originalPolicy: `img-src h${i + j}.example; script-src 'none'` }),
      );
      store.record(batch, now);
    }
    expect(rows()).toEqual({
      // 200 new ones, and the one for all others.
      groups: 201,
      counts: 201,
      totals: 1,
      samples: 200,
      agents: 200,
      policies: 50,
      refusals: 0,
    });
    expect(store.totals(0)).toMatchObject([{ class: "violation", count: 10_000 }]);
    expect(store.groups({ classes: ["overflow"] })).toMatchObject([
      { count: 9_800, reason: "too many new groups at a time" },
    ]);
    // The next hour is another one.
    store.record([observe(host(20_000))], now + HOUR);
    expect(store.groups({ text: "cdn-20000" })).toHaveLength(1);
  });

  test("the rarest give way when there are enough groups", () => {
    open({ groups: 3 });
    store.record([observe(host(0)), observe(host(0))], now);
    for (let i = 1; i <= 5; i++) store.record([observe(host(i))], now + i);
    expect(store.groups().map(({ blocked }) => blocked)).toEqual([
      "https://cdn-0.example",
      "https://cdn-5.example",
      "https://cdn-4.example",
    ]);
    expect(rows()).toMatchObject({ groups: 3, samples: 3, counts: 3 });
    expect(store.totals(0)).toMatchObject([{ count: 7 }]);
  });

  test("samples of a group", () => {
    open({ samples: 3 });
    for (let i = 0; i < 50; i++) {
      store.record([observe({ blockedURL: `https://cdn.example/${i}.js` })], now + i);
    }
    const samples = store.details(store.groups()[0]?.id ?? 0)?.samples ?? [];
    expect(samples.map(({ blockedURL }) => blockedURL)).toEqual(
      [49, 48, 47].map((i) => `https://cdn.example/${i}.js`),
    );
  });

  test("policies: the one not seen for longest gives way", () => {
    open({ policies: 4 });
    const originalPolicy = (i: number) => `script-src p${i}.example`;
    for (let i = 0; i < 8; i++) {
      store.record([observe({ originalPolicy: originalPolicy(i) })], now + i * HOUR);
    }
    expect(rows()).toMatchObject({ policies: 4 });
  });

  test("a file that is full makes room, and never grows beyond its size", () => {
    const bytes = 512 * 1024;
    open({ bytes, newGroupsPerHour: 1e9, groups: 1e9, policies: 1e9 });
    for (let i = 0; i < 2_000; i += 50) {
      const batch = Array.from({ length: 50 }, (_, j) =>
        observe({
          ...host(i + j),
          documentURL: `https://shop.example/${"x".repeat(900)}`,
          originalPolicy: `script-src h${i + j}.example; img-src ${"y".repeat(500)}`,
        }),
      );
      store.record(batch, now + i);
    }
    store.close();
    expect(statSync(file).size).toBeLessThanOrEqual(bytes);
    open({ bytes });
    expect(store.size()).toBeGreaterThan(50);
    // The last to come are there.
    expect(store.groups({ text: "cdn-1999.example" })).toHaveLength(1);
  });
});

describe("time", () => {
  test("after a week hours become days; nothing is lost", () => {
    const start = Date.UTC(2026, 9, 1);
    for (let hour = 0; hour < 30 * 24; hour++) store.record([observe()], start + hour * HOUR);
    expect(store.groups()).toMatchObject([{ count: 720, recent: 720 }]);
    const counts = store.counts(1, 0);
    expect(counts.reduce((sum, { count }) => sum + count, 0)).toBe(720);
    // 22 days, and the hours of the last 8 at most.
    expect(counts.length).toBeLessThanOrEqual(22 + 8 * 24);
    expect(counts[0]).toEqual({ start, count: 24 });
    expect(store.totals(0).reduce((sum, { count }) => sum + count, 0)).toBe(720);
  });

  test("what is older than the retention is forgotten", () => {
    open({ days: 10 });
    store.record([observe(host(1))], now);
    store.record([observe(host(2))], now + 5 * DAY);
    store.refuse("rate-limit", now);
    store.record([observe(host(2))], now + 12 * DAY);
    expect(store.groups()).toMatchObject([{ blocked: "https://cdn-2.example", count: 2 }]);
    store.record([observe(host(2))], now + 17 * DAY);
    expect(store.groups()).toMatchObject([{ count: 3, recent: 2 }]);
    expect(store.refusals(0)).toEqual([]);
    expect(rows()).toMatchObject({ groups: 1, policies: 1 });
  });
});

test("what cannot be written is not half written", () => {
  const bad = observe({ sample: "x", blockedURL: "inline" });
  const broken = { ...bad, facts: { ...bad.facts, agent: undefined as unknown as string } };
  expect(() => store.record([observe(), broken], now)).toThrow("agents.agent");
  expect(rows()).toMatchObject({ groups: 0, counts: 0, totals: 0, samples: 0 });
  store.record([observe()], now);
  expect(store.size()).toBe(1);
});
