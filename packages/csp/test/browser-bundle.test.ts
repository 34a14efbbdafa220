/** What runs anywhere needs nothing of Node: each such entry point is bundled for a browser. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { describe, expect, test } from "vitest";

/** Only these may need Node; what comes anew has to say so. */
const forNode: ReadonlySet<string> = new Set([
  "./node",
  "./fastify",
  "./vite",
  "./collect",
  "./crawl",
  "./package.json",
]);
const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
};
const entries = Object.entries(manifest.exports).flatMap(([name, target]) =>
  forNode.has(name) || typeof target === "string"
    ? []
    : [[name, target["@conclave/source"]] as const],
);

describe("an entry point for every runtime", () => {
  test("are there", () => expect(entries.length).toBeGreaterThan(3));

  test.each(entries)("%s has nothing of Node's", async (_, source) => {
    const output = await build({
      configFile: false,
      logLevel: "silent",
      build: {
        write: false,
        minify: false,
        lib: { entry: fileURLToPath(new URL(`../${source}`, import.meta.url)), formats: ["es"] },
        rolldownOptions: { external: /^(?:node:|hono|parse5)/ },
      },
    });
    const chunks = [output].flat().flatMap((result) => ("output" in result ? result.output : []));
    for (const chunk of chunks) {
      if (chunk.type !== "chunk") continue;
      expect(chunk.imports.filter((name) => !/^(?:hono|parse5)$/.test(name))).toEqual([]);
      expect(chunk.code).not.toMatch(/\bBuffer\.from\(|\bprocess\.env\b/);
    }
  });
});
