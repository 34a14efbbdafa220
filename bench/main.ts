/**
 * `npm run bench -- NAME [OPTIONS]`: runs one measurement, or, without a name, all.
 * @module
 */

import { measureCsp } from "./csp.ts";
import { measureDelivery } from "./delivery.ts";
import { measureMls } from "./mls.ts";
import { measureStorage } from "./storage.ts";

const MEASUREMENTS: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  storage: measureStorage,
  mls: measureMls,
  csp: measureCsp,
  delivery: measureDelivery,
};

const USAGE =
  "usage: npm run bench -- [storage | mls [--n SIZES] [--peers NAMES] [--limit S] [--budget S] [--json] | csp [--rounds N] | delivery [PARTS] [--store sqlite | postgres] [--sockets N] [--seconds S] [--members SIZES] [--json]]";

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
if (wanted !== undefined && !(wanted in MEASUREMENTS)) {
  console.error(`no measurement ${wanted}\n${USAGE}`);
  process.exitCode = 2;
} else {
  for (const [name, measure] of Object.entries(MEASUREMENTS)) {
    if (wanted !== undefined && wanted !== name) continue;
    try {
      await measure(args);
    } catch (error) {
      if (!isMistake(error)) throw error;
      console.error(`${error.message}\n${USAGE}`);
      process.exitCode = 2;
    }
  }
}
