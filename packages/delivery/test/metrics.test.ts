import { readFile } from "node:fs/promises";
import { localDoorbell, openSqliteStore, type Ring } from "@conclave/delivery";
import { PROBLEMS, ROUTES } from "@conclave/delivery/protocol";
import { expect, it } from "vitest";
import { createMetrics } from "../src/metrics.ts";
import { bundleBody, newMember, postCommit, startGroup } from "./member.ts";
import { eventually, random, startWorld } from "./world.ts";

it("counts requests by route and status, and refusals by code", async () => {
  const metrics = createMetrics();
  const line = { time: 0, route: "log", duration: 20 } as const;
  metrics.request({ ...line, status: 200 });
  metrics.request({ ...line, status: 200 });
  metrics.request({ ...line, status: 410, code: "gone" });
  metrics.request({ ...line, route: "-", status: 404, code: "not-found" });
  metrics.request({ ...line, status: 404, code: "not-found" });
  const text = await metrics.text();
  expect(text).toContain('conclave_request_seconds_count{route="log",status="200"} 2');
  expect(text).toContain('conclave_request_seconds_sum{route="log",status="200"} 0.04');
  expect(text).toContain('conclave_refusals_total{code="not-found"} 2');
  expect(await metrics.refusals()).toEqual([
    ["not-found", 2],
    ["gone", 1],
  ]);
  expect(text).toContain("process_cpu_seconds_total");
  expect(metrics.contentType).toContain("text/plain");
});

it("takes the time of each method of the store, and counts those that fail", async () => {
  const metrics = createMetrics();
  const opened = openSqliteStore(":memory:");
  const store = metrics.store(opened);
  expect(await store.groupIds(undefined, 1)).toEqual([]);
  await store.close();
  await expect(store.groupIds(undefined, 1)).rejects.toThrow("statement has been finalized");
  const text = await metrics.text();
  expect(text).toContain('conclave_store_seconds_count{method="groupIds"} 2');
  expect(text).toContain('conclave_store_failures_total{method="groupIds"} 1');
  expect(text).not.toContain('method="close"');
});

it("counts rings, rung and heard, and what was swept", async () => {
  const metrics = createMetrics();
  const doorbell = metrics.doorbell(localDoorbell());
  const heard: Ring[] = [];
  const stop = doorbell.listen((ring) => void heard.push(ring));
  const ring: Ring = { type: "group", groupId: random(16), head: 1, joined: [], left: [] };
  doorbell.ring(ring);
  stop();
  doorbell.ring(ring);
  expect(heard).toEqual([ring]);
  metrics.swept({ sessions: 3 }, 5000);
  const text = await metrics.text();
  expect(text).toContain('conclave_rings_total{type="group",direction="rung"} 2');
  expect(text).toContain('conclave_rings_total{type="group",direction="heard"} 1');
  expect(text).toContain('conclave_swept_total{kind="sessions"} 3');
  expect(text).toContain("conclave_last_sweep_timestamp_seconds 5");
});

it("says what the store holds, and of a back-up nothing until there was one", async () => {
  const metrics = createMetrics();
  const held = { accounts: 1, devices: 2, groups: 3, welcomes: 4, bytes: 5 };
  metrics.holds({ ...held, facts: {} });
  const before = await metrics.text();
  expect(before).toMatch(/^conclave_devices 2$/m);
  expect(before).toMatch(/^conclave_database_bytes 5$/m);
  expect(before).not.toContain("conclave_last_backup");
  metrics.holds({ ...held, devices: 9, facts: { "backed-up": 7000 } });
  const after = await metrics.text();
  expect(after).toMatch(/^conclave_devices 9$/m);
  expect(after).toMatch(/^conclave_last_backup_timestamp_seconds 7$/m);
});

it("has each metric that the guide and its alerts look at, with the routes and codes they name", async () => {
  const docs = new URL("../../../docs/", import.meta.url);
  const alerts = await readFile(new URL("delivery/alerts.yml", docs), "utf8");
  const guide = await readFile(new URL("running-delivery.md", docs), "utf8");
  const [, watched = ""] = /^## What to watch$([\s\S]*?)^## /m.exec(guide) ?? [];
  const metrics = createMetrics();
  metrics.holds({
    accounts: 0,
    devices: 0,
    groups: 0,
    welcomes: 0,
    bytes: 0,
    facts: { "backed-up": 1 },
  });
  metrics.watch(() => ({
    sockets: 0,
    backlog: 0,
    requests: 0,
    waitingForTurn: 0,
    waitingForStore: 0,
  }));
  const text = await metrics.text();
  const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
  const expressions = [...alerts.matchAll(/^ +expr: (.+(?:\n {10,}.+)*)/gm)].map(
    ([, one = ""]) => one,
  );
  expect(expressions).toHaveLength([...alerts.matchAll(/- alert:/g)].length);
  const namesIn = (text: string) => text.match(/\b(?:conclave|process|nodejs)_\w{2,}/g) ?? [];
  expect(new Set(namesIn(watched)).size).toBeGreaterThan(10);
  const named = [...expressions.flatMap(namesIn), ...namesIn(watched)];
  expect(new Set(named).size).toBeGreaterThan(10);
  for (const name of named) {
    const base = name.replace(/_(bucket|count|sum)$/, "");
    expect([name, known.has(name) || known.has(base)]).toEqual([name, true]);
  }
  for (const [, names = ""] of alerts.matchAll(/route=~"([^"]+)"/g)) {
    for (const name of names.split("|")) expect(Object.keys(ROUTES)).toContain(name);
  }
  for (const [, code = ""] of alerts.matchAll(/code="([^"]+)"/g)) {
    expect(Object.keys(PROBLEMS)).toContain(code);
  }
});

it("asks the service for what it has under way when it is asked itself", async () => {
  const metrics = createMetrics();
  const waiting = { waitingForTurn: 4, waitingForStore: 5 };
  const status = { sockets: 1, backlog: 2, requests: 3, ...waiting };
  metrics.watch(() => status);
  expect(await metrics.text()).toContain("conclave_sockets 1");
  status.sockets = 7;
  const text = await metrics.text();
  for (const value of [
    "sockets 7",
    "backlog 2",
    "requests 3",
    "waiting_for_turn 4",
    "waiting_for_store 5",
  ]) {
    expect(text).toContain(`conclave_${value}`);
  }
});

it("are told of what waits for its turn in a group", async () => {
  const world = await startWorld();
  const ada = await newMember(world, "Ada");
  const group = await startGroup(world, ada);
  const body = await bundleBody(group, await group.commit());
  const gate = Promise.withResolvers<undefined>();
  const isBarred = world.store.isBarred.bind(world.store);
  world.store.isBarred = async (...given) => {
    await gate.promise;
    return isBarred(...given);
  };
  const post = () => postCommit(world, ada, group.groupId, body);
  const answers = [post(), post(), post()];
  await eventually(() => world.service.status().waitingForTurn === 2);
  gate.resolve(undefined);
  for (const { status } of await Promise.all(answers)) expect(status).toBe(201);
  expect(world.service.status()).toMatchObject({ waitingForTurn: 0, waitingForStore: 0 });
  await world.close();
});
