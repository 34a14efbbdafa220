/**
 * `npm run delivery:kill -- --store sqlite|postgres|failover [--seconds 60] [--writers 32] [--groups 20] [--each 8] [--seed N]`: writers commit
 * and send while processes are killed. Prints what became of it; exits with 1 where anything was lost, forked or stuck.
 * @module
 */

import { parseArgs } from "node:util";
import { oneOf, orUsage, wholeNumber } from "../../../mls/conformance/command-line.ts";
import type { Deployment } from "./deployment.ts";
import { deployOnNewCluster } from "./failover.ts";
import { deployOnPostgres } from "./postgres.ts";
import { run } from "./run.ts";
import { deployOnSqlite } from "./sqlite.ts";

const RHYTHM = { database: 10_000, service: 4_000 };
const STORES = {
  sqlite: () => deployOnSqlite(RHYTHM),
  postgres: () => deployOnPostgres(RHYTHM),
  failover: () => deployOnNewCluster(RHYTHM),
} satisfies Readonly<Record<string, () => Promise<Deployment>>>;
const USAGE =
  "npm run delivery:kill -- [--store sqlite|postgres|failover] [--seconds N] [--writers N] [--groups N] [--each N] [--seed N]";

const { store, ...settings } = orUsage(USAGE, () => {
  const { values } = parseArgs({
    options: {
      store: { type: "string", default: "sqlite" },
      seconds: { type: "string", default: "60" },
      writers: { type: "string", default: "32" },
      groups: { type: "string", default: "20" },
      each: { type: "string", default: "8" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
    },
  });
  return {
    store: oneOf("store", values.store, ["sqlite", "postgres", "failover"]),
    seconds: wholeNumber("seconds", values.seconds, 1),
    writers: wholeNumber("writers", values.writers, 1),
    groups: wholeNumber("groups", values.groups, 1),
    each: wholeNumber("each", values.each, 1),
    seed: wholeNumber("seed", values.seed),
  };
});
console.log(`store ${store}, seed ${settings.seed}, ${settings.seconds} s`);
const deployment = await STORES[store]();
try {
  const report = await run(deployment, settings);
  const list = (counts: ReadonlyMap<string, number>) =>
    [...counts].map(([name, n]) => `${name} ${n}`).join(", ") || "none";
  const broken = new Map<string, number>();
  for (const { rule } of report.findings) broken.set(rule, (broken.get(rule) ?? 0) + 1);
  for (const { rule, what } of report.findings.slice(0, 50)) console.error(`${rule}: ${what}`);
  console.log(
    [
      `acknowledged ${report.acknowledged}`,
      `lost ${broken.get("lost") ?? 0}`,
      `forked ${broken.get("forked") ?? 0}`,
      `stuck ${broken.get("stuck") ?? 0}`,
      `epochs ${report.epochs}`,
      `messages ${report.messages}`,
      `Welcomes ${report.welcomes}`,
      `kills: ${list(report.kills)}`,
      `attempts without an answer: ${list(report.retries)}`,
      `refused: ${list(report.refusals)}`,
      `broken: ${list(broken)}`,
    ].join("\n"),
  );
  process.exitCode = report.findings.length === 0 ? 0 : 1;
} finally {
  await deployment.close();
}
