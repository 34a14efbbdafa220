/**
 * `npm run conformance -- --vectors DIR`: runs every file of test vectors in a folder, whatever its name.
 * @module
 */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { nodeCrypto } from "../src/node.ts";
import { kindOf, NotBuilt, parseVectors } from "./vectors.ts";

export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** Runs a folder, and prints a line for each file. Files that hold no vectors known here are failures. */
export async function runFolder(folder: string, print: (line: string) => void): Promise<Tally> {
  const total: Tally = { passed: 0, failed: 0, skipped: 0 };
  const names = await readdir(folder).catch((error: unknown) => {
    print(`can't read ${folder}: ${error instanceof Error ? error.message : String(error)}`);
    return [];
  });
  const files = names.filter((name) => name.endsWith(".json")).sort();
  for (const file of files) {
    const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
    const kinds = new Set<string>();
    const reasons: string[] = [];
    const started = performance.now();
    const cases = parseVectors(await readFile(join(folder, file), "utf8"));
    for (const [i, vector] of cases.entries()) {
      const kind = kindOf(vector);
      kinds.add(kind?.name ?? "unknown");
      try {
        if (!kind) throw new Error("fields of no kind of vectors that is known here");
        await kind.check({ crypto: nodeCrypto }, vector);
        tally.passed++;
      } catch (error) {
        if (error instanceof NotBuilt) tally.skipped++;
        else {
          tally.failed++;
          reasons.push(`  case ${i}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
    }
    if (cases.length === 0) {
      tally.failed++;
      reasons.push("  no vectors in this file");
    }
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const { passed, failed, skipped } = tally;
    print(
      `${file} (${[...kinds].join(", ")}): ${passed} passed, ${failed} failed, ${skipped} skipped, ${seconds} s`,
    );
    for (const reason of reasons.slice(0, 10)) print(reason);
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
  }
  if (files.length === 0) {
    print(`no .json files in ${folder}`);
    total.failed++;
  }
  return total;
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { vectors: { type: "string" } } });
  if (!values.vectors) {
    console.error("usage: npm run conformance -- --vectors DIR");
    process.exitCode = 2;
  } else {
    const { passed, failed, skipped } = await runFolder(values.vectors, console.log);
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
    if (failed > 0) process.exitCode = 1;
  }
}
