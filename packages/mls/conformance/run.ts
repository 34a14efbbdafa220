/**
 * One file of test vectors, on whatever platform this runs.
 * @module
 */

import { type Bench, type Case, kindOf, parseVectors } from "./vectors.ts";

export interface Tally {
  readonly passed: number;
  readonly failed: number;
}

export interface Result extends Tally {
  /** The kinds of vectors in the file. */
  readonly kinds: readonly string[];
  /** Why cases failed. */
  readonly reasons: readonly string[];
}

/** Runs what is in a file. Cases of no kind known here are failures, and so is a file without any, or that is no JSON. */
export async function runVectors(bench: Bench, json: string): Promise<Result> {
  let cases: readonly Case[];
  try {
    cases = parseVectors(json);
  } catch (error) {
    return { passed: 0, failed: 1, kinds: ["unreadable"], reasons: [String(error)] };
  }
  // Side by side: a case waits for its platform's cryptography most of the time.
  const ends = await Promise.all(cases.map((vector, i) => endOf(bench, vector, i)));
  const reasons = ends.flatMap(({ reason }) => reason ?? []);
  const passed = cases.length - reasons.length;
  if (cases.length === 0) reasons.push("no vectors in this file");
  const kinds = [...new Set(ends.map(({ kind }) => kind))];
  return { passed, failed: reasons.length, kinds, reasons };
}

async function endOf(
  bench: Bench,
  vector: Case,
  i: number,
): Promise<{ readonly kind: string; readonly reason?: string }> {
  let kind = "unknown";
  try {
    const known = kindOf(vector);
    kind = known?.name ?? kind;
    const check = known?.check;
    if (!check) throw new Error("fields of no kind of vectors that is known here");
    await check(bench, vector);
    return { kind };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind, reason: `case ${i}: ${message}` };
  }
}
