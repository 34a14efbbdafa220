/**
 * How tests start the Chromium that `npm test` found, or the one that `CHROMIUM` names: one that calls nobody.
 * @module
 */

import { type Browser, type BrowserContext, chromium } from "playwright-core";

const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const ARGS: readonly string[] = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export function launchChromium(...more: readonly string[]): Promise<Browser> {
  return chromium.launch({ executablePath, args: [...ARGS, ...more] });
}

/** A browser of its own, whose profile is this folder: the same again, after it was closed. */
export function launchProfile(folder: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(folder, { executablePath, args: [...ARGS] });
}
