/**
 * Decisions in words, and what would have allowed what was blocked.
 * @module
 */
import type { Directive } from "../policy/directives.ts";
import type { Token } from "../policy/source-list.ts";
import type { Decision, Outcome, Reason } from "./decision.ts";
import type { ViolationResource } from "./violation.ts";

/** A change to one policy after which it allows what it blocked. */
export interface Remedy {
  /** The directive to change, or to add. */
  readonly directive: string;
  /** The expression to add to its list. */
  readonly add: string;
  /** What else is to be known before doing so. */
  readonly note: string;
}

/** One policy's outcome for people. */
export interface Explanation {
  /** A sentence: result, policy, directive, expression, step. */
  readonly text: string;
  /** The tokens that decided, to point at. */
  readonly tokens: readonly Token[];
  /** Nothing where the outcome is `Allowed`. The narrowest comes first. */
  readonly remedies: readonly Remedy[];
}

/** What each policy said, in the order of the list. */
export function explain(decision: Decision): Explanation[] {
  return decision.outcomes.map((outcome) => {
    const violation = decision.violations.find(({ policy }) => policy === outcome.policy);
    return {
      text: sentence(outcome),
      tokens: tokensOf(outcome.reason),
      remedies: outcome.result === "Blocked" ? remedies(outcome, violation?.resource ?? null) : [],
    };
  });
}

function sentence({ result, policy, directive, effectiveDirective, reason }: Outcome): string {
  const verb =
    result === "Allowed"
      ? "Allowed"
      : policy.disposition === "enforce"
        ? "Blocked"
        : "Reported, not blocked,";
  return `${verb} by ${nameOf(directive, effectiveDirective)}: ${because(reason, directive)}.`;
}

/** `script-src (for script-src-elem)`. */
function nameOf(directive: Directive | null, effectiveDirective: string): string {
  if (!directive) return `a policy without ${effectiveDirective || "a directive for it"}`;
  const { name } = directive;
  return name === effectiveDirective || effectiveDirective === ""
    ? name
    : `${name} (which stands in for ${effectiveDirective})`;
}

function because(reason: Reason, directive: Directive | null): string {
  switch (reason.step) {
    case "ungoverned":
      return "nothing in it governs this";
    case "url":
      return `${reason.expression.text} matches the URL`;
    case "nonce":
      return "the element's nonce is listed";
    case "integrity":
      return "every hash of the element's integrity is listed";
    case "hash":
      return `the code's hash is listed, ${reason.expression.text}`;
    case "unsafe-inline":
      return "'unsafe-inline' allows all inline code";
    case "strict-dynamic":
      return "'strict-dynamic' allows what a trusted script inserts";
    case "not-parser-inserted":
      return "'strict-dynamic' lets a trusted script load others";
    case "keyword":
      return `${reason.expression.text} allows it`;
    case "local-response":
      return "documents without a server of their own are not looked at";
    case "not-embedded":
      return "the page is not embedded";
    case "embedders-match":
      return "every embedder is listed";
    case "value":
      return reason.value === "" ? "its value is empty" : `its value is ${reason.value}`;
    case "parser-inserted":
      return "the element has no listed nonce or hash, and 'strict-dynamic' makes hosts and schemes count for nothing";
    case "ancestor":
      return `the embedder ${reason.origin} is not listed`;
    case "no-match":
      if (reason.overridden) {
        return `nothing in its list matches; ${reason.overridden.text} counts for nothing beside a nonce, a hash or 'strict-dynamic'`;
      }
      return directive?.value.length === 0
        ? "its list is empty, which allows nothing"
        : "nothing in its list matches";
  }
}

function tokensOf(reason: Reason): Token[] {
  if (reason.step === "integrity") return [...reason.expressions];
  if ("expression" in reason) return [reason.expression];
  return "overridden" in reason && reason.overridden ? [reason.overridden] : [];
}

function remedies(outcome: Outcome, resource: ViolationResource): Remedy[] {
  const directive = outcome.directive?.name ?? outcome.effectiveDirective;
  const remedy = (add: string, note: string): Remedy => ({ directive, add, note });
  if (outcome.reason.step === "ancestor") {
    return [remedy(outcome.reason.origin, "Lets that origin embed the page.")];
  }
  if (resource === "eval") {
    return [remedy("'unsafe-eval'", "Lets any string become code; better to do without eval.")];
  }
  if (resource === "wasm-eval") return [remedy("'wasm-unsafe-eval'", "Allows WebAssembly alone.")];
  if (resource === "inline" && directive !== "base-uri") {
    return [
      remedy(
        "'nonce-…'",
        "A fresh random one for each response, on scripts and styles of the page's own.",
      ),
      remedy(
        "'sha256-…'",
        "The hash of just this code; attributes need 'unsafe-hashes' beside it.",
      ),
    ];
  }
  if (resource instanceof URL) {
    if (outcome.reason.step === "parser-inserted") {
      return [
        remedy(
          "'nonce-…'",
          "On the element, too: hosts count for nothing beside 'strict-dynamic'.",
        ),
      ];
    }
    return urlRemedies(resource, remedy);
  }
  return [];
}

function urlRemedies(url: URL, remedy: (add: string, note: string) => Remedy): Remedy[] {
  if (url.origin === "null" || url.protocol === "blob:") {
    return [remedy(url.protocol, "Allows every URL of that scheme.")];
  }
  const exact = `${url.origin}${encodePath(url.pathname)}`;
  return [
    remedy(exact, "Allows this URL alone, and after a redirect everything on its host."),
    remedy(url.origin, "Allows everything on that host."),
  ];
}

/** What would end the token or the directive. */
function encodePath(path: string): string {
  return path.replaceAll(";", "%3B").replaceAll(",", "%2C");
}
