import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { Database } from "../../src/store/postgres-database.ts";
import { StoreUnavailable } from "../../src/store/store.ts";
import { eventually } from "../world.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { pause } from "./deployment.ts";
import { deployOnCluster } from "./failover.ts";
import { type Report, run } from "./run.ts";

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.close());

const CANCEL =
  "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
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

it("what a cancelled wait left visible is shown by nobody before the quorum has it", async () => {
  const [writer, reader] = [await Database.open(cluster.url), await Database.open(cluster.url)];
  const read = () => reader.one<{ n: number }>("SELECT count(*) AS n FROM said");
  await writer.all("CREATE TABLE said (n INTEGER)");
  expect(await read()).toEqual({ n: 0 });
  const standbys = cluster.standbys();
  await Promise.all(standbys.map((node) => cluster.kill(node)));
  const answer = writer.all("INSERT INTO said VALUES (1)").then(
    () => "acknowledged",
    (error: unknown) => error,
  );
  await pause(2500);
  const primary = cluster.primary();
  await eventually(async () => (await cluster.query(primary, WAITING)) !== "0");
  await cluster.query(primary, CANCEL);
  expect(await answer).toBeInstanceOf(StoreUnavailable);
  expect(await cluster.query(primary, "SELECT count(*) FROM said")).toBe("1");
  const shown = vi.fn<() => void>();
  const reading = read().finally(shown);
  await pause(500);
  expect(shown).not.toHaveBeenCalled();
  await Promise.all(standbys.map((node) => cluster.start(node)));
  expect(await reading).toEqual({ n: 1 });
  await Promise.all([writer.close(), reader.close()]);
});

it("members go on through a fail-over in which waits for the quorum were cancelled", async () => {
  const rhythm = { database: 1000, service: 5000 };
  const deployment = await deployOnCluster(cluster, rhythm, ["replaced without a quorum"]);
  const settings = { seconds: 6, writers: 4, groups: 3, each: 2, seed: 1 };
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
