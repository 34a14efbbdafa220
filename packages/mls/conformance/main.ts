/**
 * `npm run conformance -- --vectors DIR`: runs every file of test vectors in a folder, whatever its name. With `--browser`
 * they run in a headless Chromium, on WebCrypto: the one that `CHROMIUM` names, or /usr/bin/chromium. With `--webcrypto` they
 * run on the WebCrypto of this runtime, which need not be Node.
 * @module
 */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { webCrypto } from "../src/crypto/webcrypto.ts";
import { nodeCrypto } from "../src/node.ts";
import { orUsage } from "./command-line.ts";
import { type Result, runVectors, type Tally } from "./run.ts";

/** Where vectors run: a function from a file's text to its result. */
export type Platform = (json: string) => Promise<Result>;

const onNode: Platform = (json) => runVectors({ crypto: nodeCrypto }, json);
const onWebCrypto: Platform = (json) => runVectors({ crypto: webCrypto }, json);

/** Runs a folder, and prints a line for each file. Files that hold no vectors known here are failures. */
export async function runFolder(
  folder: string,
  print: (line: string) => void,
  platform: Platform = onNode,
): Promise<Tally> {
  const total = { passed: 0, failed: 0 };
  const names = await readdir(folder).catch((error: unknown) => {
    print(`can't read ${folder}: ${error instanceof Error ? error.message : String(error)}`);
    return [];
  });
  const files = names.filter((name) => name.endsWith(".json")).sort();
  for (const file of files) {
    const started = performance.now();
    const { kinds, reasons, passed, failed } = await platform(
      await readFile(join(folder, file), "utf8"),
    );
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    print(`${file} (${kinds.join(", ")}): ${passed} passed, ${failed} failed, ${seconds} s`);
    for (const reason of reasons.slice(0, 10)) print(`  ${reason}`);
    total.passed += passed;
    total.failed += failed;
  }
  if (files.length === 0) {
    print(`no .json files in ${folder}`);
    total.failed++;
  }
  return total;
}

async function main(): Promise<void> {
  const usage = "npm run conformance -- --vectors DIR [--browser | --webcrypto]";
  const { values } = orUsage(usage, () =>
    parseArgs({
      options: {
        vectors: { type: "string" },
        browser: { type: "boolean", default: false },
        webcrypto: { type: "boolean", default: false },
      },
    }),
  );
  if (!values.vectors) {
    console.error(`usage: ${usage}`);
    process.exitCode = 2;
    return;
  }
  // Loaded on demand: other runtimes than Node can do without what it needs.
  const chromium = values.browser
    ? await import("./browser.ts").then(({ openChromium }) => openChromium())
    : undefined;
  try {
    const platform = chromium?.run ?? (values.webcrypto ? onWebCrypto : onNode);
    const total = await runFolder(values.vectors, console.log, platform);
    console.log(`${total.passed} passed, ${total.failed} failed`);
    if (total.failed > 0) process.exitCode = 1;
  } finally {
    await chromium?.close();
  }
}

if (import.meta.main) await main();
