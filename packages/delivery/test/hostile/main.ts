/**
 * `npm run delivery:hostile -- --count 100000 --seed N [--store sqlite|postgres] [--workers 16]`: hostile requests against a service, while
 * honest members talk. Prints what was answered; exits with 1 where anything failed, leaked or was lost.
 * @module
 */

import { parseArgs } from "node:util";
import { oneOf, orUsage, wholeNumber } from "../../../mls/conformance/command-line.ts";
import { startPostgres } from "../postgres.ts";
import { run } from "./run.ts";

const USAGE =
  "npm run delivery:hostile -- [--count N] [--seed N] [--store sqlite|postgres] [--workers N]";

const asked = orUsage(USAGE, () => {
  const { values } = parseArgs({
    options: {
      count: { type: "string", default: "100000" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      store: { type: "string", default: "sqlite" },
      workers: { type: "string", default: "16" },
    },
  });
  return {
    count: wholeNumber("count", values.count, 1),
    seed: wholeNumber("seed", values.seed),
    store: oneOf("store", values.store, ["sqlite", "postgres"]),
    workers: wholeNumber("workers", values.workers, 1),
  };
});
const megabytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MB`;
const postgres = asked.store === "postgres" ? await startPostgres() : undefined;
console.log(`store ${asked.store}, seed ${asked.seed}`);
try {
  const store = await postgres?.database();
  const report = await run({
    count: asked.count,
    seed: asked.seed,
    workers: asked.workers,
    ...(store !== undefined && { store }),
    progress: (sent, { heap, rss }) =>
      console.log(`${sent}: heap ${megabytes(heap)}, RSS ${megabytes(rss)}`),
  });
  const totals = new Map<string, number>();
  for (const [kind, answers] of report.answers) {
    const list = [...answers].toSorted(([, a], [, b]) => b - a);
    console.log(`${kind}: ${list.map(([what, n]) => `${what} ${n}`).join(", ")}`);
    for (const [what, n] of list) totals.set(what, (totals.get(what) ?? 0) + n);
  }
  const { before, after, honest } = report;
  const all = [...totals].toSorted(([a], [b]) => a.localeCompare(b));
  console.log(`requests ${report.sent} in ${report.seconds.toFixed(0)} s`);
  console.log(`answers: ${all.map(([what, n]) => `${what} ${n}`).join(", ")}`);
  console.log(`heap ${megabytes(before.heap)} → ${megabytes(after.heap)}`);
  console.log(`RSS ${megabytes(before.rss)} → ${megabytes(after.rss)}`);
  console.log(
    `honest messages ${honest.sent}, median ${honest.median.toFixed(0)} ms, longest ${honest.longest.toFixed(0)} ms`,
  );
  console.log(`findings ${report.findings.length}`);
  for (const finding of report.findings.slice(0, 60)) console.log(`- ${finding}`);
  process.exitCode = report.findings.length === 0 ? 0 : 1;
} finally {
  await postgres?.stop();
}
