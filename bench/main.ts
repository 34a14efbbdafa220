/**
 * `npm run bench -- NAME`: runs one measurement, or all.
 * @module
 */

import { measureStorage } from "./storage.ts";

const MEASUREMENTS: Readonly<Record<string, () => Promise<void>>> = { storage: measureStorage };

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in MEASUREMENTS));
if (unknown.length > 0) {
  console.error(
    `no measurement ${unknown.join(", ")}; there are: ${Object.keys(MEASUREMENTS).join(", ")}`,
  );
  process.exitCode = 2;
} else {
  for (const [name, measure] of Object.entries(MEASUREMENTS)) {
    if (wanted.length === 0 || wanted.includes(name)) await measure();
  }
}
