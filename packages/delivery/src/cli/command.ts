/**
 * What the commands have in common: where they read and write, and how they end.
 * @module
 */

import { parseArgs } from "node:util";
import { type Configuration, didYouMean, loadConfiguration } from "../config.ts";

/** 0: done; 1: something stands in the way; 2: the configuration or the command line can't be followed. */
export type ExitCode = 0 | 1 | 2;

/** The world around a command. */
export interface World {
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly write: (text: string) => void;
  readonly complain: (text: string) => void;
  readonly now: () => number;
  /** Calls the listener at each of the signal; a process has a few of them. */
  readonly onSignal: (signal: "SIGTERM" | "SIGINT" | "SIGHUP", listener: () => void) => void;
}

/** The command line can't be followed. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** What it might have been, for who named nothing. */
  readonly usage: string;

  constructor(message: string, usage = "") {
    super(message);
    this.usage = usage;
  }
}

export interface Command {
  readonly help: string;
  readonly run: (world: World) => Promise<ExitCode>;
}

/** The flags and the rest. Throws `UsageError`, with the option that was probably meant. */
export function parseCommand<const Flag extends string = never, const Value extends string = never>(
  args: readonly string[],
  known: readonly Flag[] = [],
  valued: readonly Value[] = [],
): {
  readonly flags: ReadonlySet<Flag>;
  readonly values: Readonly<Partial<Record<Value, string>>>;
  readonly config: string | undefined;
  readonly rest: readonly string[];
} {
  const flags = Object.fromEntries(known.map((flag) => [flag, { type: "boolean" } as const]));
  const texts = Object.fromEntries(valued.map((name) => [name, { type: "string" } as const]));
  const options = { ...flags, ...texts, config: { type: "string" } as const };
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options,
      allowPositionals: true,
      strict: true,
    });
    const given = values as Readonly<Record<string, unknown>>;
    const { config } = given;
    const textOf = (name: Value): readonly [Value, string][] =>
      typeof given[name] === "string" ? [[name, given[name]]] : [];
    return {
      flags: new Set(known.filter((flag) => given[flag] === true)),
      // The names are those that were asked for.
      values: Object.fromEntries(valued.flatMap(textOf)) as Partial<Record<Value, string>>,
      config: typeof config === "string" ? config : undefined,
      rest: positionals,
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const [, unknown] = /^Unknown option '(--[^']+)'/.exec(message) ?? [];
    if (unknown === undefined) throw new UsageError(message.split(". ")[0] ?? message);
    const names = Object.keys(options).map((name) => `--${name}`);
    throw new UsageError(`there is no option ${unknown}${didYouMean(unknown, names)}`);
  }
}

/** Throws `UsageError` where there is more than `names` name. */
export function expectArguments(rest: readonly string[], ...names: readonly string[]): void {
  const missing = names[rest.length];
  if (missing !== undefined) throw new UsageError(`${missing} is missing`);
  const more = rest[names.length];
  if (more !== undefined) throw new UsageError(`${JSON.stringify(more)} is one word too many`);
}

/** What `--json` says, in the help of every command that has it. */
export const JSON_OPTION = "  --json         for programs\n";

/** What `--config` says, in every command's help. */
export const CONFIG_OPTION =
  "  --config FILE  the configuration (TOML), instead of the one that CONCLAVE_CONFIG names\n";

/** One JSON value on standard output. */
export function writeJson(world: World, value: unknown): void {
  world.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** The last time that a `Date` shows. */
const LAST_TIME = 8.64e15;

/** Times for people: to the second, in UTC. */
export function timeText(at: number): string {
  return at > LAST_TIME ? "never" : `${new Date(at).toISOString().slice(0, 19)}Z`;
}

export function configurationOf(world: World, file: string | undefined): Promise<Configuration> {
  return loadConfiguration(world.environment, { file });
}
