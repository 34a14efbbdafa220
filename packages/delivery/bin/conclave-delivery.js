#!/usr/bin/env node
// There before anything is built, so that installing finds it.
import { existsSync } from "node:fs";

const [major] = process.versions.node.split(".");
const built = new URL("../dist/cli/main.js", import.meta.url);
const obstacle =
  Number(major) < 24
    ? `Node 24 or later is needed, and this is ${process.version}`
    : existsSync(built)
      ? undefined
      : "it is not built yet: npm run build";
if (obstacle !== undefined) {
  console.error(`conclave-delivery: ${obstacle}`);
  process.exit(2);
}
await import(built.href);
