/**
 * `npm run fuzz -- --count 1000000 [--seed S] [--from N] [--live N]`: every decoder over hostile inputs, then live groups over
 * hostile messages, one for each thousand inputs unless `--live` says how many. An input that ends otherwise than it may, or that takes too long, is printed with what leads to it again.
 */

import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { orUsage, wholeNumber } from "../../conformance/command-line.ts";
import { conversation } from "./corpus.ts";
import { decoders } from "./decoders.ts";
import { hostileRoom } from "./live.ts";
import { emptyTally, runInput } from "./run-decoders.ts";

/** Milliseconds. */
const LONGEST = 20_000;
const STUCK = 60_000;

interface Job {
  readonly seed: number;
  readonly from: number;
  readonly count: number;
  readonly live: number;
  /** Where the worker writes what it is at. */
  readonly progress: Int32Array<SharedArrayBuffer>;
}

async function work({ seed, from, count, live, progress }: Job): Promise<string> {
  const all = await decoders(await conversation(), seed);
  const tally = emptyTally();
  for (let n = from; n < from + count; n++) {
    Atomics.store(progress, 0, n);
    await runInput(all, seed, n, tally, { measure: true, longest: LONGEST });
  }
  const where = await hostileRoom(seed);
  for (let n = 0; n < live; n++) {
    Atomics.store(progress, 0, n);
    await where.take(n);
  }
  const { inputs, values, refused, measured, slowest } = tally;
  return [
    `${all.length} decoders, ${inputs} inputs: ${values} values, ${refused} refused with MlsError`,
    `${measured} measured for memory, the slowest took ${slowest.toFixed(1)} ms`,
    `live groups: ${where.report()}`,
  ].join("\n");
}

/** What the command line asks for. */
function asked(): Omit<Job, "progress"> {
  const { values } = parseArgs({
    options: {
      count: { type: "string", default: "1000000" },
      live: { type: "string" },
      seed: { type: "string", default: String(Date.now() % 2 ** 31) },
      from: { type: "string", default: "0" },
    },
  });
  const count = wholeNumber("count", values.count);
  return {
    seed: wholeNumber("seed", values.seed),
    from: wholeNumber("from", values.from),
    count,
    live: values.live === undefined ? Math.ceil(count / 1000) : wholeNumber("live", values.live),
  };
}

function main(): void {
  const { seed, from, count, live } = orUsage(
    "npm run fuzz -- [--count N] [--seed S] [--from N] [--live N]",
    asked,
  );
  console.log(`seed ${seed}`);
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const job: Job = { seed, from, count, live, progress };
  const worker = new Worker(new URL(import.meta.url), { workerData: job });
  let last = -1;
  let since = performance.now();
  const watch = setInterval(() => {
    const now = Atomics.load(progress, 0);
    if (now !== last) [last, since] = [now, performance.now()];
    if (performance.now() - since < STUCK) return;
    console.error(`input ${now} of seed ${seed} does not end`);
    process.exitCode = 1;
    clearInterval(watch);
    void worker.terminate();
  }, 1_000);
  worker.on("message", (report: string) => console.log(report));
  worker.on("error", (error) => {
    console.error(error);
    process.exitCode = 1;
  });
  worker.on("exit", () => clearInterval(watch));
}

if (isMainThread) main();
else parentPort?.postMessage(await work(workerData as Job));
