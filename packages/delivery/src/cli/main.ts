/**
 * `conclave-delivery` as a process.
 * @module
 */

import { inWords } from "../system-error.ts";
import { runCli } from "./cli.ts";

// What is made is for this user alone.
process.umask(0o077);

process.stdout.on("error", (error: Error & { readonly code?: string }) => {
  // Whoever reads may stop reading.
  if (error.code !== "EPIPE") {
    const reason = inWords(error) ?? error.message;
    process.stderr.write(`conclave-delivery: standard output can't be written: ${reason}\n`);
  }
  process.exit(1);
});
const code = await runCli({
  args: process.argv.slice(2),
  environment: process.env,
  write: (text) => process.stdout.write(text),
  complain: (text) => process.stderr.write(text),
  now: Date.now,
  onSignal: (signal, listener) => process.on(signal, listener),
});
// Not `exitCode`: after a second signal nothing is waited for, but that an error of the output was heard.
setImmediate(() => process.exit(code));
