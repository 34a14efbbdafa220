/**
 * What all commands have in common: where they read and write, their options, and how they end.
 * @module
 */
import type { Readable } from "node:stream";
import { type ParseArgsConfig, parseArgs } from "node:util";
import { editDistance } from "../judge/edit-distance.ts";
import { type Palette, palette } from "./terminal.ts";

/** 0: nothing to complain about; 1: findings, failures or blocked requests; 2: the command was used wrongly. */
export type ExitCode = 0 | 1 | 2;

/** The world around a command. */
export interface World {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Screen;
  readonly stderr: Screen;
}

export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** How the command was used is wrong; the message says how, and what else. Nothing else ends with code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface Command {
  /** Usage, options and examples, for `--help`. */
  readonly help: string;
  run(world: World): Promise<ExitCode>;
}

type Options = NonNullable<ParseArgsConfig["options"]>;

/** What every command takes. */
const common: Common = {
  help: { type: "boolean", short: "h" },
  json: { type: "boolean" },
  color: { type: "string" },
  "no-color": { type: "boolean" },
};

interface Common extends Options {
  readonly help: { readonly type: "boolean"; readonly short: "h" };
  readonly json: { readonly type: "boolean" };
  readonly color: { readonly type: "string" };
  readonly "no-color": { readonly type: "boolean" };
}

type Parsed<O extends Options> = ReturnType<
  typeof parseArgs<{ options: O & Common; allowPositionals: true; strict: true }>
>;

/** The options and the rest. Throws `UsageError`, with the option that was probably meant. */
export function parseOptions<const O extends Options>(
  args: readonly string[],
  options: O,
): Parsed<O> {
  const all = { ...options, ...common };
  try {
    return parseArgs({ args: [...args], options: all, allowPositionals: true, strict: true });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const [, unknown] = /^Unknown option '--([^']+)'/.exec(message) ?? [];
    if (unknown === undefined) throw new UsageError(message.split(". ")[0] ?? message);
    throw new UsageError(
      `there is no option --${unknown}${didYouMean(unknown, Object.keys(all), "--")}`,
    );
  }
}

/** `; did you mean --json?`, if one is near. */
export function didYouMean(word: string, known: readonly string[], prefix = ""): string {
  const limit = Math.max(1, Math.floor(word.length / 3));
  const near = known
    .map((candidate) => ({ candidate, distance: editDistance(word, candidate, limit) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)[0];
  return near ? `; did you mean ${prefix}${near.candidate}?` : "";
}

/** One of a few words. Throws `UsageError`. */
export function choice<const T extends string>(
  option: string,
  value: string | undefined,
  choices: readonly T[],
  fallback: T,
): T {
  if (value === undefined) return fallback;
  const found = choices.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new UsageError(
    `--${option} is one of ${choices.join(", ")}, not ${JSON.stringify(value)}${didYouMean(value, choices)}`,
  );
}

/** A whole number. Throws `UsageError`. */
export function wholeNumber(option: string, value: string | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw new UsageError(`--${option} is a whole number, not ${JSON.stringify(value)}`);
}

/** Whether to colour: as told, else as https://no-color.org has it, else on terminals. */
export function coloursFor(
  { env, stdout }: World,
  { color, "no-color": never }: { readonly color?: string; readonly "no-color"?: boolean },
): Palette {
  const when = choice("color", color, ["always", "auto", "never"], never ? "never" : "auto");
  const plain = (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
  const forced = (env["FORCE_COLOR"] ?? "0") !== "0";
  const auto = forced || (stdout.isTTY === true && !plain);
  return palette(when === "always" || (when === "auto" && auto));
}

/** The terminal's width, or what reads well. A terminal without a window, as CI has it, says 0. */
export function widthOf({ stdout }: Pick<World, "stdout">): number {
  return Math.max(40, Math.min(stdout.columns || 100, 120));
}

/** One JSON value and a line's end. */
export function writeJson({ stdout }: World, value: unknown): void {
  stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
