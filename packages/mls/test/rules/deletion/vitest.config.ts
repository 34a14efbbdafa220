/** Runs tests of this package on a source that `DELETION` says how to rewrite, file by file as it is loaded. */

import { fileURLToPath } from "node:url";
import { defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";
import { type Check, watchedSource, withoutCheck } from "./checks.ts";

/** `watch`: every check tells when it refuses. Otherwise the one check that is deleted. */
export type Rewriting = "watch" | Pick<Check, "file" | "start" | "end" | "without">;

const SOURCE = fileURLToPath(new URL("../../../src/", import.meta.url));
const ROOT = fileURLToPath(new URL("../../../../../", import.meta.url));
const rewriting = JSON.parse(process.env["DELETION"] ?? '"watch"') as Rewriting;
const conditions = ["@conclave/source", ...defaultServerConditions];

/** A module's file below the source folder; nothing where it stands elsewhere. */
function fileOf(id: string): string {
  const [path = ""] = id.split("?");
  return path.startsWith(SOURCE) ? path.slice(SOURCE.length) : "";
}

function rewrites(id: string): boolean {
  const file = fileOf(id);
  return rewriting === "watch" ? file !== "" : file === rewriting.file;
}

export default defineConfig({
  root: ROOT,
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  plugins: [
    {
      name: "deletion",
      enforce: "pre",
      // What was rewritten once must not be taken from a cache by the next run.
      configureVitest: ({ defineCacheKeyGenerator }) => {
        defineCacheKeyGenerator(({ id }) => (rewrites(id) ? false : undefined));
      },
      transform: (code, id) => {
        if (!rewrites(id)) return null;
        const rewritten =
          rewriting === "watch" ? watchedSource(fileOf(id), code) : withoutCheck(code, rewriting);
        return { code: rewritten, map: null };
      },
    },
  ],
  test: {
    include: ["packages/mls/test/**/*.test.ts"],
    // What needs vectors or a time of its own, and what compares the source with documents.
    exclude: [
      "**/conformance.test.ts",
      "**/readme.test.ts",
      "**/complete.test.ts",
      "**/fuzz/**",
      "**/*.slow.test.ts",
    ],
    testTimeout: 60_000,
    setupFiles: rewriting === "watch" ? [fileURLToPath(new URL("watch.ts", import.meta.url))] : [],
    maxWorkers: rewriting === "watch" ? 2 : 1,
  },
});
