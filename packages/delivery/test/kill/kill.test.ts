import { expect, it } from "vitest";
import type { Deployment } from "./deployment.ts";
import { deployOnPostgres } from "./postgres.ts";
import { type Report, run } from "./run.ts";
import { deployOnSqlite } from "./sqlite.ts";

/** What `npm run delivery:kill` does for a minute with many, for a moment with few. */
async function briefly(deploy: () => Promise<Deployment>, seconds: number): Promise<Report> {
  const deployment = await deploy();
  try {
    return await run(deployment, { seconds, writers: 4, groups: 3, each: 2, seed: 1 });
  } finally {
    await deployment.close();
  }
}

it("SQLite: a process that is killed has everything it acknowledged, and leaves nobody stuck", async () => {
  const { findings, kills, acknowledged } = await briefly(
    () => deployOnSqlite({ service: 1500 }),
    3,
  );
  expect(findings).toEqual([]);
  expect(kills.get("service")).toBeGreaterThan(0);
  expect(acknowledged).toBeGreaterThan(10);
}, 180_000);

it("PostgreSQL: two processes and the database are killed, and the same holds", async () => {
  const deploy = () => deployOnPostgres({ service: 1500, database: 1500 });
  const { findings, kills, acknowledged } = await briefly(deploy, 4);
  expect(findings).toEqual([]);
  expect(kills.get("service")).toBeGreaterThan(0);
  expect(kills.get("database")).toBeGreaterThan(0);
  expect(acknowledged).toBeGreaterThan(10);
}, 180_000);
