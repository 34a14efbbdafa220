#!/usr/bin/env node
// There before anything is built, so that installing finds it; a clone that is not built runs its source.
import { existsSync } from "node:fs";

const [major] = process.versions.node.split(".");
if (Number(major) < 24) {
  console.error(`csp: Node 24 or later is needed, and this is ${process.version}`);
  process.exit(2);
}
const built = "../dist/cli/main.js";
await import(existsSync(new URL(built, import.meta.url)) ? built : "../src/cli/main.ts");
