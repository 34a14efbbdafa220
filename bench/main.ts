/**
 * `npm run bench -- NAME [OPTIONS]`: runs one measurement, or, without a name, all.
 * @module
 */

import { measureMls } from "./mls.ts";
import { measureStorage } from "./storage.ts";

const MEASUREMENTS: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  storage: measureStorage,
  mls: measureMls,
};

const [wanted, ...args] = process.argv.slice(2);
if (wanted !== undefined && !(wanted in MEASUREMENTS)) {
  console.error(`no measurement ${wanted}; there are: ${Object.keys(MEASUREMENTS).join(", ")}`);
  process.exitCode = 2;
} else {
  for (const [name, measure] of Object.entries(MEASUREMENTS)) {
    if (wanted === undefined || wanted === name) await measure(args);
  }
}
