/** How much of this package a browser loads for an application that uses suite 1 alone. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const APP = fileURLToPath(new URL("bundle/app.ts", import.meta.url));

const folder = mkdtempSync(join(tmpdir(), "mls-bundle-"));
const ENTRY = "app.js";

beforeAll(async () => {
  await build({
    configFile: false,
    logLevel: "error",
    root: fileURLToPath(new URL(".", import.meta.url)),
    resolve: { conditions: ["@conclave/source", "module", "browser", "import"] },
    build: {
      outDir: folder,
      emptyOutDir: true,
      modulePreload: false,
      rolldownOptions: {
        input: APP,
        // What comes later takes what it needs from the entry, as in an application: nobody imports that.
        preserveEntrySignatures: "allow-extension",
        output: { entryFileNames: ENTRY, chunkFileNames: "[name].js" },
      },
    },
  });
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A chunk and all that it imports, without what it may import later. */
function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const code = readFileSync(join(folder, file), "utf8");
  for (const [, name] of code.matchAll(/\b(?:from|import)\s*"\.\/([^"]+)"/g)) {
    if (name) loadedWith(name, seen);
  }
  return seen;
}

describe("an application in suite 1", () => {
  it("loads at most 45 KB (gzip) of code", () => {
    const sizes = [...loadedWith(ENTRY)].map(
      (file) => gzipSync(readFileSync(join(folder, file))).length,
    );
    const total = sizes.reduce((sum, size) => sum + size, 0);
    expect(total).toBeLessThanOrEqual(45_000);
  });

  it("needs nothing of what other suites load", async () => {
    const loaded = loadedWith(ENTRY);
    const later = readdirSync(folder).filter((file) => !loaded.has(file));
    expect(later.length).toBeGreaterThan(0);
    for (const file of later) rmSync(join(folder, file));
    const { main } = (await import(
      /* @vite-ignore */ pathToFileURL(join(folder, ENTRY)).href
    )) as typeof import("./bundle/app.ts");
    expect(await main()).toBe("hello");
  });
});
