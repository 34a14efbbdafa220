/**
 * What a decision says: the result, what each policy had to say and why, and the violations.
 * @module
 */
import type { Directive } from "../policy/directives.ts";
import type { Policy } from "../policy/policy.ts";
import type {
  AncestorSource,
  HashSource,
  KeywordSource,
  SourceExpression,
} from "../policy/source-list.ts";
import type { InlineMatch } from "./match-element.ts";
import type { Violation } from "./violation.ts";

export type Result = "Allowed" | "Blocked";

/**
 * The step that decided. Those that allow come first; `explain` puts them into words.
 *
 * - `ungoverned`: the policy has no directive for it.
 * - `url`: an expression matches the URL.
 * - `integrity`: every hash of the integrity metadata is listed.
 * - `not-parser-inserted`: `'strict-dynamic'` lets scripts load scripts.
 * - `keyword`: the keyword allows it.
 * - `local-response`, `not-embedded`: what `frame-ancestors` does not look at; `embedders-match`: all it looked at.
 * - `value`: the directive's value as a whole says so.
 * - `parser-inserted`: `'strict-dynamic'` ignores hosts and schemes, and the element has neither nonce nor hash.
 * - `no-match`: nothing in the list matches. `overridden` is an `'unsafe-inline'` that a nonce or hash switches off,
 *   or a URL's match that counts no more because of `'strict-dynamic'`.
 * - `ancestor`: the first embedder that the list does not have.
 */
export type Reason =
  | { readonly step: "ungoverned" }
  | { readonly step: "url"; readonly expression: SourceExpression | AncestorSource }
  | InlineMatch
  | { readonly step: "integrity"; readonly expressions: readonly HashSource[] }
  | { readonly step: "not-parser-inserted"; readonly expression: KeywordSource }
  | { readonly step: "keyword"; readonly expression: KeywordSource }
  | { readonly step: "local-response" | "not-embedded" | "embedders-match" }
  | { readonly step: "value"; readonly value: string }
  | { readonly step: "parser-inserted"; readonly expression: KeywordSource }
  | { readonly step: "no-match"; readonly overridden?: SourceExpression }
  | { readonly step: "ancestor"; readonly origin: string };

/** What one directive says. */
export interface Check {
  readonly result: Result;
  readonly reason: Reason;
}

/** What one policy says. */
export interface Outcome extends Check {
  readonly policy: Policy;
  /** The directive that decided; `null` where the policy has none for it. */
  readonly directive: Directive | null;
  /** The name that a report gives; the directive's own, or the one that `directive` stands in for. */
  readonly effectiveDirective: string;
}

/** What all policies together say. */
export interface Decision {
  /** `Blocked` when a policy that is enforced blocks; policies that only report never do. */
  readonly result: Result;
  /** One for each policy, in the order of the list. */
  readonly outcomes: readonly Outcome[];
  /** One for each policy that was violated, enforced or not, in the order in which a browser reports them. */
  readonly violations: readonly Violation[];
}

export const allowed = (reason: Reason): Check => ({ result: "Allowed", reason });
export const blocked = (reason: Reason): Check => ({ result: "Blocked", reason });

/** The decision that outcomes and violations amount to. */
export function decide(outcomes: readonly Outcome[], violations: readonly Violation[]): Decision {
  const blocks = outcomes.some(
    ({ policy, result }) => result === "Blocked" && policy.disposition === "enforce",
  );
  return { result: blocks ? "Blocked" : "Allowed", outcomes, violations };
}

/** Two decisions on one action, one after the other: a request and its redirects, a request and its response. */
export function join(first: Decision, second: Decision): Decision {
  return {
    result: first.result === "Blocked" ? "Blocked" : second.result,
    outcomes: [...first.outcomes, ...second.outcomes],
    violations: [...first.violations, ...second.violations],
  };
}
