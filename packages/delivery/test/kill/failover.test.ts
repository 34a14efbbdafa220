import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../world.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { deployOnCluster } from "./failover.ts";
import { type Report, run } from "./run.ts";

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.close());

const WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

it("the commands of the page replace a primary, and lose nothing", async () => {
  const old = cluster.primary();
  await cluster.query(old, "CREATE TABLE kept (n INTEGER)");
  await cluster.query(old, "INSERT INTO kept VALUES (1)");
  await cluster.kill(old);
  await cluster.failOver(async () => {
    // Fenced: whatever starts it starts a standby.
    await cluster.start(old);
    await expect(cluster.query(old, "INSERT INTO kept VALUES (2)")).rejects.toThrow("read-only");
    await cluster.kill(old);
    // Not fenced: it has no quorum.
    await cluster.unfence(old);
    await cluster.start(old);
    const answer = cluster.query(old, "INSERT INTO kept VALUES (3)").then(
      () => "acknowledged",
      () => "no answer",
    );
    await eventually(async () => (await cluster.query(old, WAITING)) === "1");
    await cluster.query(cluster.primary(), "INSERT INTO kept VALUES (4)");
    await cluster.kill(old);
    expect(await answer).toBe("no answer");
  });
  expect(cluster.primary()).not.toBe(old);
  const all = "SELECT string_agg(n::text, ',' ORDER BY n) FROM kept";
  expect(await cluster.query(cluster.primary(), all)).toBe("1,4");
  for (const node of cluster.standbys()) {
    await eventually(async () => (await cluster.query(node, all)) === "1,4");
  }
});

it("members go on through a fail-over in which waits for the quorum were cancelled", async () => {
  const rhythm = { database: 1000, service: 5000 };
  const deployment = await deployOnCluster(cluster, rhythm, ["replaced without a quorum"]);
  const settings = { seconds: 10, writers: 4, groups: 3, each: 2, seed: 1 };
  let report: Report;
  try {
    report = await run(deployment, settings);
  } finally {
    await deployment.close();
  }
  const { findings, kills, acknowledged } = report;
  expect(findings).toEqual([]);
  expect(kills.get("promoted")).toBeGreaterThan(0);
  expect(kills.get("wait")).toBeGreaterThan(0);
  expect(acknowledged).toBeGreaterThan(10);
}, 240_000);
