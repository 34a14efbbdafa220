/**
 * `npm run simulate -- --seed S --steps 500 --members 40 [--runs N] [--shrink]`: random groups out of consecutive seeds. A run that
 * fails prints its seed, its step and the way there; `--shrink` looks for steps that it can do without.
 */

import { parseArgs } from "node:util";
import { orUsage, wholeNumber } from "../../conformance/command-line.ts";
import { Broken, type Outcome, type Settings, simulate } from "./simulation.ts";

async function failure(settings: Settings): Promise<Broken | undefined> {
  try {
    await simulate(settings);
    return undefined;
  } catch (error) {
    if (error instanceof Broken) return error;
    throw error;
  }
}

/** Leaves out steps, many at once and then few, as long as the run fails all the same. */
async function shortest(settings: Settings, first: Broken): Promise<Broken> {
  let broken = first;
  let without = new Set<number>();
  for (let size = Math.ceil(first.step / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < broken.step; from += size) {
      const left = Array.from({ length: size }, (_, i) => from + i);
      const fewer = new Set([...without, ...left]);
      const steps = broken.step === settings.steps ? settings.steps : broken.step + 1;
      const again = await failure({ ...settings, steps, without: fewer });
      if (again) [broken, without] = [again, fewer];
    }
  }
  return broken;
}

const USAGE = "npm run simulate -- [--seed S] [--steps N] [--members N] [--runs N] [--shrink]";
const { first, steps, members, runs, shrink } = orUsage(USAGE, () => {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      steps: { type: "string", default: "500" },
      members: { type: "string", default: "40" },
      runs: { type: "string", default: "1" },
      shrink: { type: "boolean", default: false },
    },
  });
  return {
    first: wholeNumber("seed", values.seed),
    steps: wholeNumber("steps", values.steps, 1),
    members: wholeNumber("members", values.members, 1),
    runs: wholeNumber("runs", values.runs, 1),
    shrink: values.shrink,
  };
});
const total: Record<string, number> = {};
for (let seed = first; seed < first + runs; seed++) {
  const started = performance.now();
  const settings = { seed, steps, members };
  try {
    const outcome: Outcome = await simulate(settings);
    for (const [name, count] of Object.entries(outcome)) total[name] = (total[name] ?? 0) + count;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`seed ${seed}: ${JSON.stringify(outcome)} ${seconds} s`);
  } catch (error) {
    if (!(error instanceof Broken)) throw error;
    const shown = shrink ? await shortest(settings, error) : error;
    console.error(shown.message);
    console.error(shown.cause);
    process.exitCode = 1;
    break;
  }
}
console.log(`in all: ${JSON.stringify(total)}`);
