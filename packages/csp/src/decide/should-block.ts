/**
 * The questions that Fetch, HTML, ECMAScript, WebAssembly and WebRTC ask of a policy list.
 * CSP #fetch-integration, #html-integration, #ecma-integration, #wasm-integration, #webrtc-integration,
 * #allow-base-for-document.
 * @module
 */
import { type CspList, getDirective, type Policy } from "../policy/policy.ts";
import type { KeywordSource, SourceExpression } from "../policy/source-list.ts";
import {
  allowed,
  blocked,
  type Check,
  type Decision,
  decide,
  join,
  type Outcome,
} from "./decision.ts";
import { checkInline, doesRequestViolatePolicy, ungoverned } from "./fetch-directives.ts";
import {
  findKeyword,
  type InlineElement,
  type InlineSource,
  type InlineType,
} from "./match-element.ts";
import { doesUrlMatchSourceList } from "./match-url.ts";
import { type Profile, specification } from "./profile.ts";
import {
  type Client,
  createRequest,
  parseUrl,
  type Request,
  type RequestInit,
  redirect,
} from "./request.ts";
import {
  doesSinkTypeRequireTrustedTypes,
  getTrustedTypeCompliantString,
  type TrustedValue,
} from "./trusted-types.ts";
import {
  createViolationForGlobal,
  createViolationForRequest,
  sampleOf,
  type Violation,
} from "./violation.ts";

/**
 * #report-for-request and #should-block-request, which Fetch calls one after the other for the first URL and for each
 * redirect: policies that only report come first among the violations.
 */
export function shouldRequestBeBlocked(
  request: Request,
  client: Client,
  profile: Profile = specification,
): Decision {
  const isPlugin = request.destination === "object" || request.destination === "embed";
  if (isPlugin && profile.has("plugin-is-framed")) {
    const framed = decideRequest({ ...request, destination: "iframe" }, client, profile);
    if (request.redirectCount > 0) return framed;
    const decision = decideRequest(request, client, profile);
    return decision.result === "Blocked" ? decision : join(decision, framed);
  }
  return decideRequest(request, client, profile);
}

function decideRequest(request: Request, client: Client, profile: Profile): Decision {
  const { policies, selfOrigin } = client.cspList;
  const fetching = { request, response: null, selfOrigin, profile };
  const outcomes = policies.map((policy) => doesRequestViolatePolicy(policy, fetching));
  if (request.destination.endsWith("worklet") && profile.has("worklet-unreported")) {
    return decide(outcomes, []);
  }
  const violated = outcomes.filter(({ result }) => result === "Blocked");
  const violations = [
    ...violated.filter(({ policy }) => policy.disposition === "report"),
    ...violated.filter(({ policy }) => policy.disposition === "enforce"),
  ].map(({ policy }) => createViolationForRequest(request, client, policy, profile));
  if (request.initiator === "prefetch" && profile.has("hint-reported-by-first")) {
    const first = violations.find(({ disposition }) => disposition === "enforce");
    const reporting = violations.filter(({ disposition }) => disposition === "report");
    return decide(outcomes, [
      ...(request.redirectCount > 0 ? reporting : []),
      ...(first ? [first] : []),
    ]);
  }
  return decide(outcomes, violations);
}

/** #should-block-response. `url` is the response's, which a service worker may have taken from elsewhere. */
export function shouldResponseBeBlocked(
  response: { readonly url: URL },
  request: Request,
  client: Client,
  profile: Profile = specification,
): Decision {
  const { policies, selfOrigin } = client.cspList;
  const fetching = { request, response, selfOrigin, profile };
  const outcomes = policies.map((policy) => doesRequestViolatePolicy(policy, fetching));
  const violations = outcomes
    .filter(({ result }) => result === "Blocked")
    .map(({ policy }) => createViolationForRequest(request, client, policy, profile));
  return decide(outcomes, violations);
}

/** A fetch from its beginning to its end. */
export interface FetchInit extends RequestInit {
  /** The URLs after the first, in order. */
  readonly redirects?: readonly (string | URL)[];
  /** Where the response comes from, if not from the last URL. */
  readonly responseUrl?: string | URL;
}

/**
 * What the policies say to a whole fetch: to the request, to each redirect, and to the response. It ends with the
 * first that is blocked. Throws `CspError` (`invalid-url`).
 */
export function shouldFetchBeBlocked(
  init: FetchInit,
  client: Client,
  profile: Profile = specification,
): Decision {
  let request = createRequest(init, profile);
  let decision = shouldRequestBeBlocked(request, client, profile);
  for (const to of init.redirects ?? []) {
    if (decision.result === "Blocked") return decision;
    request = redirect(request, to, profile);
    decision = join(decision, shouldRequestBeBlocked(request, client, profile));
  }
  if (decision.result === "Blocked" || init.responseUrl === undefined) return decision;
  const response = { url: parseUrl(init.responseUrl) };
  return join(decision, shouldResponseBeBlocked(response, request, client, profile));
}

/**
 * #should-block-inline, for a script or style, an event handler or a style attribute. For `javascript:` URLs ask
 * `shouldNavigationRequestBeBlocked`.
 */
export function shouldInlineBehaviorBeBlocked(
  element: InlineElement,
  type: Exclude<InlineType, "navigation">,
  source: InlineSource,
  client: Client,
  profile: Profile = specification,
): Decision {
  return decideInline(element, type, source, client, profile);
}

/** The inline checks of all policies, and their violations; `element` is `null` for a `javascript:` URL. */
export function decideInline(
  element: InlineElement | null,
  type: InlineType,
  source: InlineSource,
  client: Client,
  profile: Profile,
): Decision {
  const outcomes = client.cspList.policies.map((policy) =>
    checkInline(policy, element, type, source, profile),
  );
  const stripped = (text: string): string => (profile.has("sample-stripped") ? text.trim() : text);
  const violations = outcomes
    .filter(({ result }) => result === "Blocked")
    .map(({ policy, directive, effectiveDirective }) => {
      const list = directive?.type === "source-list" ? directive.value : [];
      const samples = type !== "navigation" || profile.has("javascript-url-sampled");
      const sampled = samples && findKeyword(list, "'report-sample'") !== null;
      return createViolationForGlobal(client, policy, effectiveDirective, {
        resource: "inline",
        element,
        sample: sampled ? sampleOf(stripped(source.text)) : "",
      });
    });
  return decide(outcomes, violations);
}

/** #can-compile-strings: what is to be compiled, and by whom. */
export interface StringCompilation {
  /** `TIMER` is a string given to `setTimeout` or `setInterval`. */
  readonly compilationType: "DIRECT-EVAL" | "INDIRECT-EVAL" | "FUNCTION" | "TIMER";
  readonly codeString: string;
  /** Whether code and parameters were `TrustedScript`s. */
  readonly isTrusted?: boolean;
  /** The page's default policy of Trusted Types: `createScript`. */
  readonly defaultPolicy?: (value: string, type: "TrustedScript", sink: string) => TrustedValue;
}

/** #can-compile-strings, EnsureCSPDoesNotBlockStringCompilation. `Blocked` is an `EvalError`. */
export function ensureCspDoesNotBlockStringCompilation(
  compilation: StringCompilation,
  client: Client,
  profile: Profile = specification,
): Decision {
  const { compilationType, codeString, isTrusted = false, defaultPolicy } = compilation;
  let trusting: Decision | null = null;
  const required = doesSinkTypeRequireTrustedTypes(client.cspList, "'script'", false);
  const isTimer = compilationType === "TIMER";
  const unchecked =
    !isTimer && profile.has("trusted-types-eval-unchecked") ? typedEvalOf(client.cspList) : null;
  if (!isTimer && !isTrusted && !unchecked) {
    const sink = compilationType === "FUNCTION" ? "Function" : "eval";
    const compliant = getTrustedTypeCompliantString(
      { expectedType: "TrustedScript", input: codeString, sink, defaultPolicy },
      client,
      profile,
    );
    trusting = compliant.decision;
    // What is refused is not asked about further; nor may a default policy change what eval compiles.
    if (trusting.result === "Blocked" || compliant.value !== codeString)
      return { ...trusting, result: "Blocked" };
  }
  const parenthesized = compilationType === "FUNCTION" && profile.has("function-parenthesized");
  const cut = sampleOf(parenthesized ? `(${codeString})` : codeString);
  const sample = profile.has("sample-stripped") ? cut.trim() : cut;
  const decision = decideBySource(client, "eval", sample, (list) => {
    if (required && unchecked) return allowed({ step: "keyword", expression: unchecked });
    const typed = findKeyword(list, "'trusted-types-eval'");
    if (required && typed) return allowed({ step: "keyword", expression: typed });
    const expression = findKeyword(list, "'unsafe-eval'");
    return expression ? allowed({ step: "keyword", expression }) : blocked({ step: "no-match" });
  });
  return trusting ? join(trusting, decision) : decision;
}

/** The `'trusted-types-eval'` of the first policy that is enforced and has one for eval. */
function typedEvalOf({ policies }: CspList): KeywordSource | null {
  for (const policy of policies) {
    if (policy.disposition !== "enforce") continue;
    const directive = getDirective(policy, "script-src") ?? getDirective(policy, "default-src");
    const typed = directive ? findKeyword(directive.value, "'trusted-types-eval'") : null;
    if (typed) return typed;
  }
  return null;
}

/** #can-compile-wasm-bytes, EnsureCSPDoesNotBlockWasmByteCompilation. `Blocked` is a `CompileError`. */
export function ensureCspDoesNotBlockWasmByteCompilation(client: Client): Decision {
  return decideBySource(client, "wasm-eval", null, (list) => {
    const expression =
      findKeyword(list, "'unsafe-eval'") ?? findKeyword(list, "'wasm-unsafe-eval'");
    return expression ? allowed({ step: "keyword", expression }) : blocked({ step: "no-match" });
  });
}

/** What `script-src`, or else `default-src`, says; #can-compile-strings and #can-compile-wasm-bytes ask these two. */
function decideBySource(
  client: Client,
  resource: "eval" | "wasm-eval",
  sample: string | null,
  check: (list: readonly SourceExpression[]) => Check,
): Decision {
  const effectiveDirective = "script-src";
  const violations: Violation[] = [];
  const outcomes = client.cspList.policies.map((policy): Outcome => {
    const directive = getDirective(policy, "script-src") ?? getDirective(policy, "default-src");
    if (!directive) return ungoverned(policy, effectiveDirective);
    const checked = check(directive.value);
    if (checked.result === "Blocked") {
      const sampled = sample !== null && findKeyword(directive.value, "'report-sample'") !== null;
      const more = { resource, sample: sampled ? sample : "" };
      violations.push(createViolationForGlobal(client, policy, effectiveDirective, more));
    }
    return { policy, directive, effectiveDirective, ...checked };
  });
  return decide(outcomes, violations);
}

/** #should-block-rtc-connection. Its violations have no resource. */
export function shouldRtcConnectionsBeBlocked(
  client: Client,
  profile: Profile = specification,
): Decision {
  const effectiveDirective = "webrtc";
  const outcomes = client.cspList.policies.map((policy): Outcome => {
    const directive = getDirective(policy, "webrtc");
    if (!directive || profile.has("webrtc-not-enforced")) {
      return ungoverned(policy, effectiveDirective);
    }
    // #webrtc-pre-connect: exactly one `'allow'`.
    const [only, ...others] = directive.value;
    const allows = only?.type === "allow" && others.length === 0;
    const reason = {
      step: "value",
      value: directive.value.map(({ text }) => text).join(" "),
    } as const;
    const check = allows ? allowed(reason) : blocked(reason);
    return { policy, directive, effectiveDirective, ...check };
  });
  return decide(outcomes, violationsOf(outcomes, client));
}

/**
 * #allow-base-for-document. All policies are asked, where the text stops at the first that is enforced and leaves the
 * others' reports out.
 */
export function isBaseAllowedForDocument(
  base: string | URL,
  client: Client,
  profile: Profile = specification,
): Decision {
  const effectiveDirective = "base-uri";
  const url = parseUrl(base);
  const { policies, selfOrigin } = client.cspList;
  const outcomes = policies.map((policy): Outcome => {
    const directive = getDirective(policy, "base-uri");
    if (!directive) return ungoverned(policy, effectiveDirective);
    const matching = { selfOrigin, redirectCount: 0, profile };
    const expression = doesUrlMatchSourceList(url, directive.value, matching);
    const check = expression ? allowed({ step: "url", expression }) : blocked({ step: "no-match" });
    return { policy, directive, effectiveDirective, ...check };
  });
  const resource = profile.has("base-uri-names-url") ? url : "inline";
  return decide(outcomes, violationsOf(outcomes, client, { resource }));
}

/** One violation for each policy that blocks. */
export function violationsOf(
  outcomes: readonly Outcome[],
  client: Client,
  more: Partial<Pick<Violation, "resource" | "sample">> = {},
): Violation[] {
  return outcomes
    .filter(({ result }) => result === "Blocked")
    .map(({ policy, effectiveDirective }: { policy: Policy; effectiveDirective: string }) =>
      createViolationForGlobal(client, policy, effectiveDirective, more),
    );
}
