/**
 * `conclave-delivery` as a process.
 * @module
 */

import { runCli } from "./cli.ts";

// Whoever reads may stop reading.
process.stdout.on("error", () => process.exit(1));
const code = await runCli({
  args: process.argv.slice(2),
  environment: process.env,
  write: (text) => process.stdout.write(text),
  complain: (text) => process.stderr.write(text),
  now: Date.now,
  onSignal: (signal, listener) => process.on(signal, listener),
});
// Not `exitCode`: after a second signal nothing is waited for.
process.exit(code);
