/**
 * What a policy says to a request, to its response, and to inline code.
 * CSP #directives-fetch, #script-checks, #does-request-violate-policy, #does-resource-hint-violate-policy.
 * @module
 */
import {
  type EffectiveDirective,
  type FetchDirective,
  getEffectiveDirectiveForInlineChecks,
  getEffectiveDirectiveForRequest,
  getExecutingDirective,
} from "../policy/fetch-directive.ts";
import { getDirective, type Policy } from "../policy/policy.ts";
import type { KeywordSource, SourceExpression } from "../policy/source-list.ts";
import { allowed, blocked, type Check, type Outcome } from "./decision.ts";
import {
  doesElementMatchSourceList,
  findKeyword,
  type InlineElement,
  type InlineSource,
  type InlineType,
} from "./match-element.ts";
import {
  doesIntegrityMetadataMatchSourceList,
  doesNonceMatchSourceList,
  doesRequestMatchSourceList,
  doesResponseMatchSourceList,
} from "./match-request.ts";
import type { Profile } from "./profile.ts";
import { isScriptLike, type Request } from "./request.ts";

type SourceList = readonly SourceExpression[];

/** What the checks of one request share. `response` is `null` before there is one. */
interface Fetching {
  readonly request: Request;
  readonly response: { readonly url: URL } | null;
  readonly selfOrigin: string;
  readonly profile: Profile;
}

/** #does-request-violate-policy, and with a response the post-request checks of #should-block-response. */
export function doesRequestViolatePolicy(policy: Policy, fetching: Fetching): Outcome {
  const { request, response } = fetching;
  const effectiveDirective = getEffectiveDirectiveForRequest(request);
  if (effectiveDirective === null) return ungoverned(policy, "");
  if (effectiveDirective === "default-src") {
    // A prerender is a navigation, and no fetch directive executes for `default-src`.
    const isHint = request.initiator === "prefetch" && response === null;
    return isHint
      ? doesResourceHintViolatePolicy(policy, fetching)
      : ungoverned(policy, effectiveDirective);
  }
  const directive = getExecutingDirective(policy, effectiveDirective);
  if (!directive) return ungoverned(policy, effectiveDirective);
  const check = checkFetch(delegate(directive, effectiveDirective), directive.value, fetching);
  return { policy, directive, effectiveDirective, ...check };
}

/**
 * Whose check is run: `default-src` and `child-src` run the effective directive's with their own value, all others
 * run theirs, so a worker that falls back to `script-src` is checked as a script.
 */
function delegate(
  { name }: FetchDirective,
  effectiveDirective: EffectiveDirective,
): FetchDirective["name"] {
  return name === "default-src" || name === "child-src" ? effectiveDirective : name;
}

/** The pre-request or post-request check of a directive with the given value. */
function checkFetch(name: FetchDirective["name"], list: SourceList, fetching: Fetching): Check {
  if (name.startsWith("script-src")) return checkScript(list, fetching);
  if (name.startsWith("style-src")) return checkStyle(list, fetching);
  if (name === "worker-src" && fetching.profile.has("strict-dynamic-covers-workers")) {
    const expression = findKeyword(list, "'strict-dynamic'");
    if (expression) return allowed({ step: "not-parser-inserted", expression });
  }
  return name === "connect-src" ? checkConnect(list, fetching) : checkUrl(list, fetching);
}

/** #match-request-to-source-list or #match-response-to-source-list. */
function checkUrl(list: SourceList, fetching: Fetching): Check {
  const expression = matchUrl(list, fetching);
  return expression ? allowed({ step: "url", expression }) : blocked({ step: "no-match" });
}

function matchUrl(list: SourceList, fetching: Fetching): SourceExpression | null {
  const { request, response, selfOrigin, profile } = fetching;
  return response
    ? doesResponseMatchSourceList(response, request, list, selfOrigin, profile)
    : doesRequestMatchSourceList(request, list, selfOrigin, profile);
}

/** #script-pre-request, #script-post-request. */
function checkScript(list: SourceList, fetching: Fetching): Check {
  const { request, profile } = fetching;
  if (!isScriptLike(request.destination)) return allowed({ step: "ungoverned" });
  const nonce = doesNonceMatchSourceList(request.cryptographicNonceMetadata, list);
  if (nonce) return allowed({ step: "nonce", expression: nonce });
  const integrity = request.integrityMetadata;
  const expressions = doesIntegrityMetadataMatchSourceList(integrity, list, profile);
  if (expressions) return allowed({ step: "integrity", expressions });
  const expression = findKeyword(list, "'strict-dynamic'");
  if (expression) {
    return request.parserMetadata === "parser-inserted"
      ? blocked({ step: "parser-inserted", expression })
      : allowed({ step: "not-parser-inserted", expression });
  }
  return checkUrl(list, fetching);
}

/** #style-src-pre-request, #style-src-post-request. */
function checkStyle(list: SourceList, fetching: Fetching): Check {
  const nonce = doesNonceMatchSourceList(fetching.request.cryptographicNonceMetadata, list);
  return nonce ? allowed({ step: "nonce", expression: nonce }) : checkUrl(list, fetching);
}

/** #connect-src-pre-request, #connect-src-post-request. */
function checkConnect(list: SourceList, fetching: Fetching): Check {
  const { mode, hasWebTransportHashes } = fetching.request;
  if (mode !== "webtransport" || !hasWebTransportHashes) return checkUrl(list, fetching);
  const expression = findKeyword(list, "'unsafe-webtransport-hashes'");
  return expression ? allowed({ step: "keyword", expression }) : blocked({ step: "no-match" });
}

export const hintDirectives = [
  "child-src",
  "connect-src",
  "font-src",
  "frame-src",
  "img-src",
  "manifest-src",
  "media-src",
  "object-src",
  "script-src",
  "script-src-elem",
  "style-src",
  "style-src-elem",
  "worker-src",
] as const;

/**
 * #does-resource-hint-violate-policy. Where the text looks for a result that #match-request-to-source-list never has,
 * a match is meant: a hint is allowed when any list allows it. `default-src` itself has to be one of them.
 */
function doesResourceHintViolatePolicy(policy: Policy, fetching: Fetching): Outcome {
  const effectiveDirective = "default-src";
  const directive = getDirective(policy, "default-src");
  if (!directive) return ungoverned(policy, effectiveDirective);
  const asksDefault =
    fetching.profile.has("hint-redirect-asks-default") &&
    fetching.request.redirectCount > 0 &&
    policy.disposition === "report";
  const byKind = fetching.profile.has("hint-asked-by-kind");
  const forWorkers = byKind ? getExecutingDirective(policy, "worker-src") : null;
  const dynamic = forWorkers && findKeyword(forWorkers.value, "'strict-dynamic'");
  if (dynamic && !asksDefault) {
    const check = allowed({ step: "not-parser-inserted", expression: dynamic });
    return { policy, directive: forWorkers, effectiveDirective, ...check };
  }
  for (const name of [...(asksDefault ? [] : hintDirectives), "default-src"] as const) {
    const candidate = getDirective(policy, name);
    if (!candidate) continue;
    const isDynamic =
      name.startsWith("script-src") && findKeyword(candidate.value, "'strict-dynamic'");
    if (byKind && isDynamic) continue;
    const expression = matchUrl(candidate.value, fetching);
    if (expression) {
      const check = allowed({ step: "url", expression });
      return { policy, directive: candidate, effectiveDirective, ...check };
    }
  }
  return { policy, directive, effectiveDirective, ...blocked({ step: "no-match" }) };
}

/** The inline checks of #directives-fetch: what one policy says to inline code. */
export function checkInline(
  policy: Policy,
  element: InlineElement | null,
  type: InlineType,
  source: InlineSource,
  profile: Profile,
): Outcome {
  const effectiveDirective = getEffectiveDirectiveForInlineChecks(type);
  const directive = getExecutingDirective(policy, effectiveDirective);
  if (!directive) return ungoverned(policy, effectiveDirective);
  const isSwitchedOff =
    directive.name === "default-src" &&
    profile.has("strict-dynamic-in-default-src") &&
    findKeyword(directive.value, "'strict-dynamic'") !== null;
  const list = isSwitchedOff
    ? directive.value.filter((e) => !("keyword" in e) || e.keyword !== "'unsafe-inline'")
    : directive.value;
  const reason = doesElementMatchSourceList(element, list, type, source, profile);
  const check = reason ? allowed(reason) : blocked(withOverridden(directive.value));
  return { policy, directive, effectiveDirective, ...check };
}

function withOverridden(list: SourceList): Check["reason"] {
  const overridden: KeywordSource | null = findKeyword(list, "'unsafe-inline'");
  return overridden ? { step: "no-match", overridden } : { step: "no-match" };
}

export function ungoverned(policy: Policy, effectiveDirective: string): Outcome {
  const check = allowed({ step: "ungoverned" });
  return { policy, directive: null, effectiveDirective, ...check };
}
