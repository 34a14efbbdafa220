/**
 * Which of two lists of policies allows what the other does not: exactly, by asking the engine.
 * @module
 */
import type { Decision, Reason } from "../decide/decision.ts";
import type { Policy } from "../policy/policy.ts";
import type { Token } from "../policy/source-list.ts";
import { ask, describe, type Question, type Setting, settingOf } from "./question.ts";
import { questions } from "./witnesses.ts";

/** One policy, or several that are in force together. Those that only report allow everything. */
export type Policies = Policy | readonly Policy[];

export interface CompareOptions {
  /** What `'self'` stands for; some https origin that no policy names, where nothing is said. */
  readonly selfOrigin?: string;
  /** Whose decisions are compared; the specification's, where nothing is said. */
  readonly profile?: Setting["profile"];
}

/** Something that one side allows and the other blocks, with both decisions. */
export interface CounterExample {
  readonly question: Question;
  readonly allowed: Decision;
  readonly blocked: Decision;
  /** `img-src: a.example allows an image from https://a.example/, which img-src of the other blocks` */
  readonly text: string;
}

/**
 * Something that `a` allows and `b` does not, confirmed by the engine; `null` where there is nothing. Exact for a given origin:
 * `witnesses.ts` says why its questions are enough.
 */
export function findAllowedBy(
  a: Policies,
  b: Policies,
  options: CompareOptions = {},
): CounterExample | null {
  for (const example of counterExamples(listOf(a), listOf(b), settingOf(options), false)) {
    return example;
  }
  return null;
}

/** One thing that a side allows beyond the other. */
export interface Allowance extends CounterExample {
  /** The directive that a violation on the other side names. */
  readonly directive: string;
  /** The expressions that allow it; none where nothing governs it on that side. */
  readonly expressions: readonly Token[];
}

export interface PolicyDifference {
  /** What the first allows and the second doesn't, directive by directive. */
  readonly onlyFirst: readonly Allowance[];
  readonly onlySecond: readonly Allowance[];
}

/**
 * What each side allows beyond the other: one example for each directive and each expression that is why. Nothing on both
 * sides means that they decide alike.
 */
export function difference(
  a: Policies,
  b: Policies,
  options: CompareOptions = {},
): PolicyDifference {
  const setting = settingOf(options);
  return {
    onlyFirst: allowances(listOf(a), listOf(b), setting),
    onlySecond: allowances(listOf(b), listOf(a), setting),
  };
}

function allowances(a: readonly Policy[], b: readonly Policy[], setting: Setting): Allowance[] {
  const found = new Map<string, Allowance>();
  for (const each of [true, false]) {
    for (const example of counterExamples(a, b, setting, each)) {
      const directive = blockingDirective(example.blocked);
      const expressions = example.allowed.outcomes.flatMap(({ reason }) => expressionsOf(reason));
      const key = [directive, ...expressions.map(({ offset, text }) => `${offset} ${text}`)].join();
      if (!found.has(key)) found.set(key, { ...example, directive, expressions });
    }
  }
  return [...found.values()];
}

function* counterExamples(
  a: readonly Policy[],
  b: readonly Policy[],
  setting: Setting,
  each: boolean,
): Generator<CounterExample> {
  for (const question of questions([...a, ...b], setting, each)) {
    const blocked = ask(question, b, setting);
    if (blocked.result === "Allowed") continue;
    const allowed = ask(question, a, setting);
    if (allowed.result === "Blocked") continue;
    yield { question, allowed, blocked, text: sentence(question, allowed, blocked) };
  }
}

function sentence(question: Question, allowed: Decision, blocked: Decision): string {
  const expressions = new Set(
    allowed.outcomes.flatMap(({ reason }) => expressionsOf(reason)).map(({ text }) => text),
  );
  const why =
    expressions.size > 0 ? `${[...expressions].join(" and ")} allows` : "no directive forbids";
  const directive = blocked.outcomes.find(({ result }) => result === "Blocked")?.directive;
  return `${blockingDirective(blocked)}: ${why} ${describe(question)}; the other side's ${directive?.name ?? "policy"} blocks it`;
}

function blockingDirective({ outcomes }: Decision): string {
  const blocking = outcomes.find(
    ({ policy, result }) => result === "Blocked" && policy.disposition === "enforce",
  );
  return blocking?.effectiveDirective ?? "";
}

function expressionsOf(reason: Reason): readonly Token[] {
  if (reason.step === "integrity") return reason.expressions;
  return "expression" in reason ? [reason.expression] : [];
}

/** The policies as a list. */
export function listOf(policies: Policies): readonly Policy[] {
  return "directiveSet" in policies ? [policies] : policies;
}
