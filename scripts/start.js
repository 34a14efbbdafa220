/**
 * `npm start`: installs and builds what is missing, then runs the messenger. Options go to the server:
 * `npm start -- --help`.
 */

import { join } from "node:path";
import { buildPage, install, main, messenger, runTool } from "./setup.js";

await main(async (args) => {
  await install();
  await buildPage();
  // The person's folder, so that `--data` and `--cert` mean what they mean in the shell.
  const cwd = process.env.INIT_CWD ?? process.cwd();
  const server = join(messenger, "src", "server", "main.ts");
  return runTool("node", ["--conditions=@conclave/source", server, ...args], { cwd });
});
