/**
 * The form in which a rule is tested: what accepts the good, what refuses the bad, and with which error.
 *
 *     rule("E01", () => {
 *       accepts("0 and 1", () => decode(optional(uint8), bytes(0)));
 *       refuses("2", "decode §2.1.1", () => decode(optional(uint8), bytes(2)));
 *     });
 *
 * Rules of deletion and of constant time have no error to show: `holds` looks into state, storage or source instead.
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { MlsError, type MlsErrorCode } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { describe, expect, test } from "vitest";
import { hex, type Room } from "../people.ts";
import { RULES, type RuleId } from "./list.ts";

/** One test of a rule. */
export interface RuleCase {
  readonly rule: RuleId;
  readonly kind: "accepts" | "refuses" | "holds";
  readonly title: string;
  /** `file:line` below `packages/mls/src`: where it is refused, or what does it. */
  readonly source: string | undefined;
}

declare module "vitest" {
  interface TaskMeta {
    ruleCase?: RuleCase;
  }
}

/** The code and the section that an error must have. */
export type Refusal = `${MlsErrorCode} §${string}`;
type Body = () => unknown;

const TIMEOUT = 30_000;

let current: RuleId | undefined;
let collected: RuleCase[] | undefined;

/** The cases that some modules declare, none of them run. */
export async function collect(load: () => Promise<unknown>): Promise<readonly RuleCase[]> {
  const cases: RuleCase[] = [];
  collected = cases;
  try {
    await load();
  } finally {
    collected = undefined;
  }
  return cases;
}

/** The tests of one rule; its section and title come from the list. */
export function rule(id: RuleId, declare: () => void): void {
  const [section, title] = RULES[id];
  const declareIt = (): void => {
    current = id;
    declare();
    current = undefined;
  };
  if (collected) declareIt();
  else describe(`${id} §${section} ${title}`, { timeout: TIMEOUT }, declareIt);
}

function add(
  kind: RuleCase["kind"],
  title: string,
  source: string | undefined,
  body: () => Promise<string | undefined>,
): void {
  if (!current) throw new Error(`"${title}" belongs to no rule`);
  const about = { rule: current, kind, title, source };
  if (collected) {
    collected.push(about);
    return;
  }
  test(`${kind} ${title}`, async ({ task }) => {
    task.meta.ruleCase = about;
    const found = await body();
    task.meta.ruleCase = { ...about, source: found ?? source };
  });
}

/** Keeps the rule: nothing is refused. */
export function accepts(title: string, body: Body): void {
  add("accepts", title, undefined, async () => {
    await body();
    return undefined;
  });
}

/** Breaks the rule: `body` ends in an `MlsError` with this code and section. */
export function refuses(title: string, refusal: Refusal, body: Body): void {
  add("refuses", title, undefined, async () => {
    const error = await errorOf(body);
    if (!(error instanceof MlsError)) throw error ?? new Error("nothing was refused");
    expect(`${error.code} §${error.section}`).toBe(refusal);
    return thrownAt(error);
  });
}

/** A rule without an error. `source`: a file below `src`, and a text that stands in it once, where the rule is kept. */
export function holds(
  title: string,
  source: readonly [file: string, text: string],
  body: Body,
): void {
  add("holds", title, sourceOf(...source), async () => {
    await body();
    return undefined;
  });
}

async function errorOf(body: Body): Promise<unknown> {
  try {
    await body();
    return undefined;
  } catch (error) {
    return error;
  }
}

const SOURCE = fileURLToPath(new URL("../../src/", import.meta.url));

/** The line of a text that a file below `src` holds once. */
export function sourceOf(file: string, text: string): string {
  const parts = readFileSync(SOURCE + file, "utf8").split(text);
  if (parts.length !== 2) throw new Error(`"${text}" stands ${parts.length - 1} times in ${file}`);
  return `${file}:${(parts[0] ?? "").split("\n").length}`;
}

/** Where an error was made, past the functions that only make errors. */
function thrownAt(error: Error): string | undefined {
  const frames = (error.stack ?? "").split("\n").filter((line) => line.includes(SOURCE));
  const frame = frames.find((line) => !/at (?:\w+\.)*(?:refuse|broken|lacking)/i.test(line));
  const [, file, line] =
    frame?.slice(frame.indexOf(SOURCE) + SOURCE.length).match(/^(.+?):(\d+)/) ?? [];
  return file && `${file}:${line}`;
}

/**
 * Everybody but the one at `sender` refuses a message, and stays where they were; so does who follows the group.
 * Throws what they threw: the same for all.
 */
export async function refusedByAll(
  where: Room,
  sender: number,
  message: Bytes,
  options: { readonly membersOnly?: boolean } = {},
): Promise<void> {
  const errors: unknown[] = [];
  for (const [leafIndex, group] of where.groups.entries()) {
    if (leafIndex === sender || group.status !== "active") continue;
    const state = (): unknown[] => [
      group.epoch,
      hex(group.epochAuthenticator),
      group.pendingProposals.length,
    ];
    const before = state();
    errors.push(await errorOf(() => group.receive(message)));
    expect(state()).toEqual(before);
  }
  if (!options.membersOnly) errors.push(await errorOf(() => where.observer.process(message)));
  const [first] = errors;
  for (const error of errors) expect(error).toMatchObject({ name: "MlsError" });
  const told = errors.map(
    (error) => error instanceof MlsError && `${error.code} §${error.section}`,
  );
  expect(new Set(told).size).toBe(1);
  throw first;
}
