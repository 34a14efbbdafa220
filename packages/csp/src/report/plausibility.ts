/**
 * Could a browser have sent this report? One that contradicts the policy it names was forged, or comes from a page
 * whose policy an extension had changed.
 *
 * A report does not say everything: not the nonce and the integrity metadata of an element, not where a redirect led,
 * not all of the code. Where that could have made the difference the report is possible, and so it is where browsers
 * differ.
 * @module
 */
import {
  doesSourceListAllowAllInlineBehavior,
  findKeyword,
  type InlineType,
} from "../decide/match-element.ts";
import { doesUrlMatchSourceList } from "../decide/match-url.ts";
import { chromium, specification } from "../decide/profile.ts";
import {
  type Directive,
  type DirectiveName,
  isDirectiveName,
  type TrustedTypesExpression,
} from "../policy/directives.ts";
import { fetchDirectiveFallbackLists } from "../policy/fetch-directive.ts";
import { type Policy, parsePolicy, parsePolicyList } from "../policy/policy.ts";
import type { SourceExpression } from "../policy/source-list.ts";
import type { CspViolationReportBody } from "./parse-reports.ts";

/**
 * Of reports that are possible:
 * - `blocked`: the policy blocks what the report names.
 * - `after-redirect`: it allows the URL, but a redirect (or a service worker) may have led to one that it does not.
 * - `not-said`: the report leaves out what would decide.
 *
 * Of reports that are not:
 * - `unknown-directive`: neither a specification nor the policy has a directive of this name.
 * - `no-directive`: the policy has neither this directive nor one that stands in for it.
 * - `wrong-resource`: this directive does not govern such a thing, as `img-src` and inline code.
 * - `allowed`: the policy allows it.
 */
export type PlausibilityReason =
  | "blocked"
  | "after-redirect"
  | "not-said"
  | "unknown-directive"
  | "no-directive"
  | "wrong-resource"
  | "allowed";

export interface Plausibility {
  readonly possible: boolean;
  readonly reason: PlausibilityReason;
}

/** What a report has to say for this. The sample matters where it is the name of a policy of Trusted Types. */
export type ReportedViolation = Pick<
  CspViolationReportBody,
  "documentURL" | "blockedURL" | "effectiveDirective" | "originalPolicy"
> &
  Partial<Pick<CspViolationReportBody, "sample">>;

/** Whether the policy that the report names can have led to it. A policy that is empty or was not sent can. */
export function isReportPossible(report: ReportedViolation): Plausibility {
  const text = report.originalPolicy;
  // In a header a comma separates policies, in a `meta` element it is a part of one.
  const policies = text.includes(",")
    ? [parsePolicy(text), ...parsePolicyList(text)]
    : [parsePolicy(text)];
  const reasons = policies.map((policy) => reasonFor(policy, report));
  const reason = reasons.find(isPossible) ?? reasons[0] ?? "not-said";
  return { possible: isPossible(reason), reason };
}

function isPossible(reason: PlausibilityReason): boolean {
  return reason === "blocked" || reason === "after-redirect" || reason === "not-said";
}

function reasonFor(policy: Policy, report: ReportedViolation): PlausibilityReason {
  const { effectiveDirective, blockedURL } = report;
  const directive = findDecidingDirective(policy, effectiveDirective);
  if (!directive) {
    const isKnown = isDirectiveName(effectiveDirective) || former.has(effectiveDirective);
    if (!isKnown) return "unknown-directive";
    return policy.directiveSet.length === 0 ? "not-said" : "no-directive";
  }
  const governs = governedBy(effectiveDirective);
  switch (blockedURL) {
    case "inline":
      if (governs === "requests") return "wrong-resource";
      return directive.type === "source-list" && governs !== "other"
        ? reasonForInline(directive.value, effectiveDirective)
        : "not-said";
    case "eval":
    case "wasm-eval":
      if (governs === "requests" || governs === "styles") return "wrong-resource";
      return directive.type === "source-list" && governs !== "other"
        ? reasonForEval(directive.value, blockedURL)
        : "not-said";
    case "trusted-types-policy":
      if (governs !== "other") return "wrong-resource";
      return directive.type === "trusted-types"
        ? reasonForPolicyCreation(directive.value, report.sample ?? "")
        : "not-said";
    case "trusted-types-sink":
      if (governs !== "other") return "wrong-resource";
      if (directive.type !== "sink-groups") return "not-said";
      return directive.value.some(({ type }) => type === "script") ? "blocked" : "allowed";
    default:
      if (isAttributeDirective(effectiveDirective))
        return URL.canParse(blockedURL) ? "wrong-resource" : "not-said";
      return directive.type === "source-list"
        ? reasonForUrl(directive.value, directive.name, report)
        : "not-said";
  }
}

/** Directives that browsers had, and no specification has any more. */
const former: ReadonlySet<string> = new Set(["navigate-to", "plugin-types", "prefetch-src"]);

/** What browsers of Level 2 name as the effective directive, or did. */
const olderFallbackLists: Readonly<Record<string, readonly DirectiveName[]>> = {
  "script-src": ["script-src", "default-src"],
  "style-src": ["style-src", "default-src"],
  "child-src": ["child-src", "default-src"],
  "fenced-frame-src": ["fenced-frame-src", "frame-src", "child-src", "default-src"],
};

/** The directive of the policy that speaks for one of this name, which need not be one of a specification. */
export function findDecidingDirective(policy: Policy, name: string): Directive | undefined {
  const lists: Readonly<Record<string, readonly string[]>> = {
    ...fetchDirectiveFallbackLists,
    ...olderFallbackLists,
  };
  const names = Object.hasOwn(lists, name) ? (lists[name] ?? []) : [name];
  for (const candidate of names) {
    const directive = policy.directiveSet.find((held) => held.name === candidate);
    if (directive) return directive;
  }
  return undefined;
}

function governedBy(name: string): "scripts" | "styles" | "requests" | "all" | "other" {
  if (name.startsWith("script-src")) return "scripts";
  if (name.startsWith("style-src")) return "styles";
  if (name === "default-src") return "all";
  return Object.hasOwn(fetchDirectiveFallbackLists, name) || Object.hasOwn(olderFallbackLists, name)
    ? "requests"
    : "other";
}

function isAttributeDirective(name: string): boolean {
  return name === "script-src-attr" || name === "style-src-attr";
}

/** The kinds of inline code that a directive can report. */
const inlineTypes: Readonly<Record<string, readonly InlineType[]>> = {
  "script-src-elem": ["script", "navigation"],
  "script-src-attr": ["script attribute"],
  "script-src": ["script", "script attribute", "navigation"],
  "style-src-elem": ["style"],
  "style-src-attr": ["style attribute"],
  "style-src": ["style", "style attribute"],
  "default-src": ["script", "script attribute", "navigation", "style", "style attribute"],
};

type SourceList = readonly SourceExpression[];

function reasonForInline(list: SourceList, effectiveDirective: string): PlausibilityReason {
  const types = inlineTypes[effectiveDirective] ?? [];
  if (types.every((type) => doesSourceListAllowAllInlineBehavior(list, type))) return "allowed";
  const mayMatch = list.some(({ type }) => type === "nonce-source" || type === "hash-source");
  return mayMatch ? "not-said" : "blocked";
}

function reasonForEval(list: SourceList, resource: "eval" | "wasm-eval"): PlausibilityReason {
  if (findKeyword(list, "'unsafe-eval'")) return "allowed";
  if (resource === "wasm-eval" && findKeyword(list, "'wasm-unsafe-eval'")) return "allowed";
  return findKeyword(list, "'trusted-types-eval'") ? "not-said" : "blocked";
}

/** Without the name nothing is known; a name that is listed may have been taken before. */
function reasonForPolicyCreation(
  list: readonly TrustedTypesExpression[],
  policyName: string,
): PlausibilityReason {
  const has = (wanted: string) => list.some(({ type }) => type === wanted);
  const isNamed = list.some(({ type, text }) => type === "policy-name" && text === policyName);
  if (!has("wildcard") && !isNamed) {
    return policyName === "" && has("policy-name") ? "not-said" : "blocked";
  }
  return has("allow-duplicates") ? "allowed" : "not-said";
}

function reasonForUrl(
  list: SourceList,
  name: string,
  { documentURL, blockedURL, effectiveDirective }: ReportedViolation,
): PlausibilityReason {
  const url = urlOf(blockedURL);
  if (url === undefined) return "not-said";
  const runsScript = name.startsWith("script-src") || effectiveDirective.startsWith("script-src");
  if (runsScript && findKeyword(list, "'strict-dynamic'")) return "blocked";
  const selfOrigin = URL.parse(documentURL)?.origin ?? "null";
  // In older Safari `'self'` had no WebSockets.
  const isWebSocket = /^wss?:$/.test(url.protocol);
  const sources = isWebSocket ? list.filter(({ text }) => text.toLowerCase() !== "'self'") : list;
  const isFramed = effectiveDirective === "frame-src" || effectiveDirective === "frame-ancestors";
  const matches = (candidate: URL, redirectCount: number) =>
    [specification, chromium].every((profile) => {
      const matching = { selfOrigin, redirectCount, profile, isFramed };
      return doesUrlMatchSourceList(candidate, sources, matching) !== null;
    });
  if (!matches(url, 0)) return "blocked";
  // A base is not fetched, WebSockets follow no redirect, and a URL without a host has none to be redirected by.
  const isRedirectable = /^https?:$/.test(url.protocol) && effectiveDirective !== "base-uri";
  if (!isRedirectable || elsewhere.every((target) => matches(target, 1))) return "allowed";
  return "after-redirect";
}

/** Targets of a redirect that a list has for one reason alone: it has everything. */
const elsewhere: readonly URL[] = [
  new URL("https://redirected.invalid/"),
  new URL("http://redirected.invalid:1/"),
];

/** What is reported as a scheme alone stands for a URL of it; undefined for what is none of both. */
function urlOf(blockedURL: string): URL | undefined {
  if (/^[a-z][a-z0-9+.-]*$/i.test(blockedURL)) {
    // Old browsers said `self` where it is `inline` or `eval` today.
    return blockedURL === "self" ? undefined : (URL.parse(`${blockedURL}:x`) ?? undefined);
  }
  return URL.parse(blockedURL) ?? undefined;
}
