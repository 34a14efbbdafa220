/**
 * `conclave-delivery`: its commands, and how each ends.
 * @module
 */

import { ConfigurationError, didYouMean } from "../config.ts";
import { OperatorError } from "../operator-error.ts";
import { readVersion } from "../run.ts";
import { StoreUnavailable } from "../store/store.ts";
import { inWords, postgresReason, reasonOf } from "../system-error.ts";
import { accounts } from "./accounts.ts";
import { type Command, type ExitCode, UsageError, type World } from "./command.ts";
import { copy } from "./copy.ts";
import { backup, migrate, restore } from "./database.ts";
import { invite } from "./invite.ts";
import { serve } from "./serve.ts";

const COMMANDS: Readonly<Record<string, readonly [summary: string, command: Command]>> = {
  serve: ["runs the service; --check says whether it would", serve],
  migrate: ["makes the database, or brings it up to date", migrate],
  backup: ["copies the database while the service runs (SQLite)", backup],
  restore: ["puts a copy in its place", restore],
  copy: ["takes everything from SQLite to PostgreSQL, or back", copy],
  invite: ["makes codes for new accounts, lists and revokes them", invite],
  accounts: ["lists, shows, disables, enables and deletes accounts", accounts],
};

const OVERVIEW = `Usage: conclave-delivery COMMAND [options]

${Object.entries(COMMANDS)
  .map(([name, [summary]]) => `  ${name.padEnd(8)} ${summary}\n`)
  .join("")}
conclave-delivery COMMAND --help says more. Settings come from environment variables (CONCLAVE_…) and a file (TOML).
Codes: 0 done, 1 something stands in the way, 2 the command line or the configuration can't be followed.
Begin with: CONCLAVE_PUBLIC_ORIGIN=http://localhost:8441 conclave-delivery serve
`;

/** Runs a command; what stands in its way is said on `complain`. Rejects where something fails that nobody foresaw. */
export async function runCli(world: World): Promise<ExitCode> {
  try {
    return await run(world);
  } catch (error) {
    const isWrongUse = error instanceof UsageError || error instanceof ConfigurationError;
    // A folder that may not be written to, a full disk.
    const words = isWrongUse || error instanceof OperatorError ? error.message : obstacleOf(error);
    if (words === undefined) throw error;
    for (const line of words.split("\n")) world.complain(`conclave-delivery: ${line}\n`);
    if (error instanceof UsageError && error.usage !== "") world.complain(`\n${error.usage}`);
    return isWrongUse ? 2 : 1;
  }
}

/** What the system or the database says, as one line; undefined for what nobody foresaw. */
function obstacleOf(error: unknown): string | undefined {
  const postgres = error instanceof Error ? postgresReason(error.message) : undefined;
  if (postgres !== undefined) return `the database can't be used: ${postgres}`;
  if (!(error instanceof StoreUnavailable)) return inWords(error);
  return `the database can't be used: ${reasonOf(error.cause) ?? error.message}`;
}

async function run(world: World): Promise<ExitCode> {
  const [name, ...args] = world.args;
  if (name === undefined) throw new UsageError("say what to do", OVERVIEW);
  if (name === "--version" || name === "-V") {
    world.write(`${await readVersion()}\n`);
    return 0;
  }
  const isHelp = (word: string | undefined) => word === "--help" || word === "-h";
  if (isHelp(name) || name === "help") {
    world.write(args[0] === undefined ? OVERVIEW : commandNamed(args[0]).help);
    return 0;
  }
  const command = commandNamed(name);
  if (args.some(isHelp)) {
    world.write(command.help);
    return 0;
  }
  return command.run({ ...world, args });
}

function commandNamed(name: string): Command {
  const found = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (found !== undefined) return found[1];
  const hint = didYouMean(name, Object.keys(COMMANDS));
  throw new UsageError(
    `there is no command ${JSON.stringify(name)}${hint} (conclave-delivery --help says which there are)`,
  );
}
