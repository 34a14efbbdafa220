/**
 * `npm run conformance:fetch`: gets the working group's test vectors for `npm test`, into a folder that git ignores.
 * @module
 */

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { orUsage } from "./command-line.ts";

const REPOSITORY = "https://github.com/mlswg/mls-implementations";
/** The vectors grow now and then; the tests name the state that they were written for. */
const COMMIT = "cfd450286d1bfd9cd2519b95c80f9771f94a5b1a";

/** Its folders with vectors: those of the test suite, and what clients of different origin recorded together. */
const FOLDERS = ["test-vectors", "interop/passive"] as const;

const FETCHED = fileURLToPath(new URL("../test/vectors", import.meta.url));
/** A fresh clone has none: whoever keeps several of them side by side may have the vectors once, for all. */
const SHARED = fileURLToPath(new URL("../../../../shared/vectors/mls", import.meta.url));

/** Where vectors are: those fetched, or those that several clones share. Undefined where nobody put any. */
export function vectorsFolder(): string | undefined {
  return [FETCHED, SHARED].find((path) => existsSync(path));
}

export const MISSING = "no test vectors here: `npm run conformance:fetch` gets them";

function fetchVectors(repository: string): void {
  const clone = mkdtempSync(join(tmpdir(), "mls-vectors-"));
  const git = (...args: readonly string[]): void => {
    execFileSync("git", ["-C", clone, ...args], { stdio: "inherit" });
  };
  try {
    git("init", "--quiet");
    git("fetch", "--quiet", "--depth=1", repository, COMMIT);
    git("checkout", "--quiet", "FETCH_HEAD", "--", ...FOLDERS);
    rmSync(FETCHED, { recursive: true, force: true });
    for (const folder of FOLDERS) cpSync(join(clone, folder), FETCHED, { recursive: true });
  } finally {
    rmSync(clone, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const { positionals } = orUsage("npm run conformance:fetch [-- REPOSITORY]", () =>
    parseArgs({ allowPositionals: true, options: {} }),
  );
  const repository = positionals[0] ?? REPOSITORY;
  try {
    fetchVectors(repository);
    console.log(`the test vectors of ${COMMIT} are in ${FETCHED}`);
  } catch {
    // git has said why.
    console.error(
      `the test vectors could not be got from ${repository}: is git here, and can it be reached? \`npm run conformance:fetch -- REPOSITORY\` takes another address or a folder`,
    );
    process.exitCode = 1;
  }
}
