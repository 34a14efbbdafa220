/**
 * Navigations: where to, by whom, and inside of what.
 * CSP #should-block-navigation-request, #should-block-navigation-response, #directives-navigation; Trusted Types,
 * "require-trusted-types-for pre-navigation check"; HTML, "X-Frame-Options".
 * @module
 */
import { type CspList, getDirective } from "../policy/policy.ts";
import { allowed, blocked, type Decision, decide, join, type Outcome } from "./decision.ts";
import { ungoverned } from "./fetch-directives.ts";
import { inlineSource } from "./match-element.ts";
import { doesRequestMatchSourceList } from "./match-request.ts";
import { doesUrlMatchSourceList, isLocal } from "./match-url.ts";
import { type Profile, specification } from "./profile.ts";
import { type Client, parseUrl, type Request } from "./request.ts";
import { decideInline, violationsOf } from "./should-block.ts";
import {
  doesSinkTypeRequireTrustedTypes,
  requiresTypesFor,
  type TrustedValue,
} from "./trusted-types.ts";

export type NavigationType = "form-submission" | "other";

/** A page's default policy of Trusted Types: its `createScript`. */
export type CreateScript = (value: string, type: "TrustedScript", sink: string) => TrustedValue;

/**
 * #should-block-navigation-request: `form-action`, `require-trusted-types-for`, and for a `javascript:` URL the inline
 * check. Asynchronous because a `javascript:` URL may have to be hashed, after a default policy has changed it.
 */
export async function shouldNavigationRequestBeBlocked(
  request: Request,
  type: NavigationType,
  client: Client,
  options: { readonly profile?: Profile; readonly defaultPolicy?: CreateScript } = {},
): Promise<Decision> {
  const profile = options.profile ?? specification;
  const isScript = request.currentUrl.protocol === "javascript:";
  let decision = checkFormAction(request, type, client, profile);
  let script = request.currentUrl;
  if (isScript && doesSinkTypeRequireTrustedTypes(client.cspList, "'script'", true)) {
    const converted = convertJavascriptUrl(script, options.defaultPolicy);
    if (converted) script = converted;
    else decision = join(decision, refuseUntyped(request, client));
  }
  if (decision.result === "Blocked" || !isScript) return decision;
  const source = await inlineSource(script.href);
  return join(decision, decideInline(null, "navigation", source, client, profile));
}

/** #form-action-pre-navigate. */
export function checkFormAction(
  request: Request,
  type: NavigationType,
  client: Client,
  profile: Profile,
): Decision {
  const effectiveDirective = "form-action";
  const { policies, selfOrigin } = client.cspList;
  const outcomes = policies.map((policy): Outcome => {
    const directive = getDirective(policy, "form-action");
    if (!directive || type !== "form-submission") return ungoverned(policy, effectiveDirective);
    const expression = doesRequestMatchSourceList(request, directive.value, selfOrigin, profile);
    const check = expression ? allowed({ step: "url", expression }) : blocked({ step: "no-match" });
    return { policy, directive, effectiveDirective, ...check };
  });
  return decide(outcomes, violationsOf(outcomes, client, { resource: request.url }));
}

/** "require-trusted-types-for pre-navigation check": the URL that the default policy makes of this one. */
function convertJavascriptUrl(url: URL, defaultPolicy: CreateScript | undefined): URL | null {
  const code = url.href.slice("javascript:".length);
  const converted = defaultPolicy?.(code, "TrustedScript", "Location href");
  if (converted === null || converted === undefined) return null;
  return URL.parse(`javascript:${converted}`);
}

function refuseUntyped(request: Request, client: Client): Decision {
  const effectiveDirective = "require-trusted-types-for";
  const outcomes = client.cspList.policies.map((policy): Outcome => {
    const directive = getDirective(policy, effectiveDirective);
    if (!directive || !requiresTypesFor(policy, "'script'")) {
      return ungoverned(policy, effectiveDirective);
    }
    const check = blocked({ step: "value", value: "'script'" });
    return { policy, directive, effectiveDirective, ...check };
  });
  return decide(outcomes, violationsOf(outcomes, client, { resource: request.url }));
}

/** A document that is about to be shown in a frame, and who frames it. */
export interface NavigationResponse {
  readonly url: string | URL;
  /** The response's own policies, which have `frame-ancestors`. */
  readonly cspList: CspList;
  /** The serialized origins of the parent, its parent, and so on up to the top; none for a top-level page. */
  readonly ancestors: readonly string[];
}

/**
 * #should-block-navigation-response: `frame-ancestors`. The text's second loop asks the source's policies, of which no
 * directive has anything to say.
 */
export function shouldNavigationResponseBeBlocked(
  response: NavigationResponse,
  profile: Profile = specification,
): Decision {
  const effectiveDirective = "frame-ancestors";
  const url = parseUrl(response.url);
  const { cspList, ancestors } = response;
  const outcomes = cspList.policies.map((policy): Outcome => {
    const directive = getDirective(policy, "frame-ancestors");
    if (!directive) return ungoverned(policy, effectiveDirective);
    const outcome = { policy, directive, effectiveDirective };
    if (isLocal(url)) return { ...outcome, ...allowed({ step: "local-response" }) };
    if (ancestors.length === 0) return { ...outcome, ...allowed({ step: "not-embedded" }) };
    const matching = { selfOrigin: cspList.selfOrigin, redirectCount: 0, profile, isFramed: true };
    const stranger = ancestors.find((origin) => {
      // An opaque origin is serialized as `null`, which is no URL and matches nothing.
      const ancestor = URL.parse(origin);
      return !ancestor || !doesUrlMatchSourceList(ancestor, directive.value, matching);
    });
    return stranger === undefined
      ? { ...outcome, ...allowed({ step: "embedders-match" }) }
      : { ...outcome, ...blocked({ step: "ancestor", origin: stranger }) };
  });
  const named = profile.has("ancestors-violation-names-origin") ? new URL("/", url) : url;
  const client: Client = { cspList, url: named.href };
  return decide(outcomes, violationsOf(outcomes, client, { resource: named }));
}

/**
 * HTML, "check a navigation response's adherence to `X-Frame-Options`". `values` are the header's, split at commas; an
 * enforced `frame-ancestors` takes the header's place.
 */
export function doesResponseAdhereToXFrameOptions(
  values: readonly string[],
  { url, cspList, ancestors }: NavigationResponse,
): boolean {
  if (ancestors.length === 0) return true;
  const overridden = cspList.policies.some(
    (policy) => policy.disposition === "enforce" && getDirective(policy, "frame-ancestors"),
  );
  if (overridden) return true;
  const options = new Set(values.map((value) => value.trim().toLowerCase()));
  const known = ["deny", "allowall", "sameorigin"].some((option) => options.has(option));
  if (options.size > 1) return !known;
  if (options.has("deny")) return false;
  if (!options.has("sameorigin")) return true;
  const { origin } = parseUrl(url);
  return ancestors.every((ancestor) => ancestor === origin && origin !== "null");
}
