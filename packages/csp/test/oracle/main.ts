/**
 * `npm run csp:oracle -- --probes 20000 [--seed S] [--size 40] [--tabs 3]`: policies and pages at random, decided by the
 * engine and by a Chromium. What differs is printed, made as small as still differs, with the seed that leads to it.
 * `--shown N` asks no Chromium: it prints in which of the first N pages each known difference shows.
 */
import { parseArgs } from "node:util";
import { orUsage, wholeNumber } from "../../../mls/conformance/command-line.ts";
import { Oracle } from "./run.ts";
import { findShown } from "./shown.ts";

const USAGE =
  "npm run csp:oracle -- [--probes N] [--seed S] [--size N] [--tabs N] | --shown N [--size N]";
const {
  probes: wanted,
  seed,
  size,
  tabs,
  shown,
} = orUsage(USAGE, () => {
  const { values } = parseArgs({
    options: {
      probes: { type: "string", default: "20000" },
      seed: { type: "string", default: String(Date.now() % 2 ** 31) },
      size: { type: "string", default: "40" },
      tabs: { type: "string", default: "3" },
      shown: { type: "string" },
    },
  });
  return {
    probes: wholeNumber("probes", values.probes, 1),
    seed: wholeNumber("seed", values.seed),
    size: wholeNumber("size", values.size, 1),
    tabs: wholeNumber("tabs", values.tabs, 1),
    shown: values.shown === undefined ? undefined : wholeNumber("shown", values.shown, 1),
  };
});
if (shown !== undefined) {
  for (const { difference, page } of await findShown(shown, size)) {
    console.log(difference, ...page.probes.map(({ id, kind }) => `${id}: ${kind}`));
  }
  process.exit();
}
console.log(`seed ${seed}, ${wanted} probes`);

const kinds = new Map<string, { probes: number; differences: number }>();
const countOf = (kind: string): { probes: number; differences: number } => {
  const count = kinds.get(kind) ?? { probes: 0, differences: 0 };
  kinds.set(kind, count);
  return count;
};
let probes = 0;
let printed = 0;
const started = performance.now();
const oracle = await Oracle.start();
await oracle.run({
  seed,
  probes: wanted,
  size: size,
  tabs: tabs,
  onCase(page) {
    for (const { kind } of page.probes) countOf(kind).probes++;
    const before = probes;
    probes += page.probes.length;
    if (Math.floor(before / 2000) === Math.floor(probes / 2000)) return;
    console.log(`${probes} probes, ${((performance.now() - started) / 1000).toFixed(0)} s`);
  },
  async onDifference(page, { probe, expected, observed }, tab) {
    countOf(probe.kind).differences++;
    const minimal = await oracle.minimal(tab, page, probe);
    console.log(`\n${probe.kind}, probe ${probe.id}`, minimal.url, minimal.policies);
    console.log(probe.html ?? probe.step, JSON.stringify(probe.question));
    console.log({ expected, observed });
    printed++;
  },
});
await oracle.close();

console.log("\nkind: probes, differences");
for (const [kind, count] of kinds) {
  console.log(`${kind}: ${count.probes}, ${count.differences}`);
}
console.log(`${probes} probes of ${kinds.size} kinds, ${printed} unexplained differences`);
process.exitCode = printed > 0 ? 1 : 0;
