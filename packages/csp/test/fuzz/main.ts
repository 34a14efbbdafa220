/**
 * `npm run csp:fuzz -- --count 1000000 [--seed S] [--from N]`: the parsers over hostile headers. A header for which something doesn't hold is
 * printed with what leads to it again. Then headers of up to a megabyte of one part: what they cost for each KB.
 */

import { parseArgs } from "node:util";
import { parsePolicyList } from "@conclave/csp";
import { orUsage, wholeNumber } from "../../../mls/conformance/command-line.ts";
import { hostileHeader, long, monotonous, withstand } from "./hostile-headers.ts";

const { count, seed, from } = orUsage(
  "npm run csp:fuzz -- [--count N] [--seed S] [--from N]",
  () => {
    const { values } = parseArgs({
      options: {
        count: { type: "string", default: "1000000" },
        seed: { type: "string", default: String(Date.now() % 2 ** 31) },
        from: { type: "string", default: "0" },
      },
    });
    return {
      count: wholeNumber("count", values.count, 1),
      seed: wholeNumber("seed", values.seed),
      from: wholeNumber("from", values.from),
    };
  },
);

let failures = 0;
let characters = 0;
let slowest = { time: 0, n: 0, length: 0 };
const start = performance.now();
for (let n = from; n < from + count; n++) {
  const header = hostileHeader(seed, n);
  characters += header.length;
  const before = performance.now();
  try {
    withstand(header);
  } catch (error) {
    failures++;
    console.error(`--seed ${seed} --from ${n} --count 1:`, error);
  }
  const time = performance.now() - before;
  if (time > slowest.time) slowest = { time, n, length: header.length };
}
const seconds = (performance.now() - start) / 1000;
console.log(
  `seed ${seed}: ${count} headers, ${(characters / 1e6).toFixed(1)} million characters, ${failures} failures, ${seconds.toFixed(0)} s`,
);
console.log(
  `the slowest, --from ${slowest.n}, of ${slowest.length} characters, took ${slowest.time.toFixed(1)} ms with all its checks`,
);

let read = 0;

/** Milliseconds to parse it, the best of three. */
function timeToParse(header: string): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3; round++) {
    const before = performance.now();
    for (const { directiveSet } of parsePolicyList(header)) {
      // Long values are read when they are looked at.
      for (const { value } of directiveSet) read += value.length;
    }
    best = Math.min(best, performance.now() - before);
  }
  return best;
}

console.log("\nµs a KB, at 64 KB, 256 KB and 1 MB of:");
for (const part of monotonous) {
  const costs = [64, 256, 1024].map((size) => (timeToParse(long(part, size * 1024)) * 1000) / size);
  console.log(
    JSON.stringify(part).padEnd(28),
    costs.map((cost) => cost.toFixed(1).padStart(9)).join(""),
  );
}
console.log(`${read} values read`);
process.exitCode = failures > 0 ? 1 : 0;
