/**
 * `npm run bench -- NAME [OPTIONS]`: runs one measurement; without a name it says which there are.
 * @module
 */

import { measureCsp } from "./csp.ts";
import { measureDelivery } from "./delivery.ts";
import { measureMls } from "./mls.ts";
import { measureStorage } from "./storage.ts";

interface Measurement {
  readonly run: (args: readonly string[]) => Promise<void>;
  readonly about: string;
  /** With nothing else running, on two cores. */
  readonly takes: string;
  readonly options: string;
}

const MEASUREMENTS: Readonly<Record<string, Measurement>> = {
  storage: {
    run: measureStorage,
    about: "what a message and a commit write to storage",
    takes: "15 seconds",
    options: "",
  },
  csp: {
    run: measureCsp,
    about: "parsing, deciding and judging policies, with peers",
    takes: "10 seconds",
    options: "[--rounds N]",
  },
  delivery: {
    run: measureDelivery,
    about: "the delivery service: accept, writes, commits, loads, messages, idle",
    takes: "about ten minutes; a part, from half a minute on",
    options:
      "[PARTS] [--store sqlite | postgres] [--sockets N] [--seconds S] [--members SIZES] [--json]",
  },
  mls: {
    run: measureMls,
    about: "the operations of a group, against their floor and peers",
    takes: "an hour; `--n 10,100 --peers none`, some minutes",
    options: "[--n SIZES] [--peers NAMES] [--limit S] [--budget S] [--json]",
  },
};

const USAGE = `usage: npm run bench -- NAME [OPTIONS]

${Object.entries(MEASUREMENTS)
  .map(
    ([name, { about, takes, options }]) =>
      `  ${name.padEnd(9)} ${about}\n            takes ${takes}\n${options === "" ? "" : `            ${options}\n`}`,
  )
  .join("")}
What each figure means is in docs/benchmarks.md. Nothing else should run meanwhile.`;

/** A wrong option of the caller, as `parseArgs` tells it, or a `RangeError` of ours. */
function isMistake(error: unknown): error is Error {
  return (
    error instanceof RangeError ||
    (error instanceof TypeError &&
      "code" in error &&
      String(error.code).startsWith("ERR_PARSE_ARGS"))
  );
}

const [wanted, ...args] = process.argv.slice(2);
const isHelp = [wanted, ...args].some((word) => word === "--help" || word === "-h");
const measurement =
  wanted !== undefined && Object.hasOwn(MEASUREMENTS, wanted) ? MEASUREMENTS[wanted] : undefined;
if (isHelp || wanted === undefined) console.log(USAGE);
else if (measurement === undefined) {
  console.error(`there is no measurement ${wanted}\n${USAGE}`);
  process.exitCode = 2;
} else {
  try {
    await measurement.run(args);
  } catch (error) {
    if (!isMistake(error)) throw error;
    console.error(`${error.message}\n${USAGE}`);
    process.exitCode = 2;
  }
}
