/**
 * Violations: what went against which policy.
 * CSP #framework-violation, #create-violation-for-global, #create-violation-for-request,
 * #obtain-violation-blocked-uri, #strip-url-for-use-in-reports.
 * @module
 */

import { getEffectiveDirectiveForRequest } from "../policy/fetch-directive.ts";
import type { Disposition, Policy } from "../policy/policy.ts";
import type { InlineElement } from "./match-element.ts";
import { isHttpScheme, isWebSocketScheme, schemeOf } from "./match-url.ts";
import { type Profile, specification } from "./profile.ts";
import type { Client, Destination, Request } from "./request.ts";

/** #framework-violation, "resource". */
export type ViolationResource =
  | null
  | "inline"
  | "eval"
  | "wasm-eval"
  | "trusted-types-policy"
  | "trusted-types-sink"
  | URL;

/** #framework-violation. */
export interface Violation {
  readonly url: string;
  readonly status: number;
  readonly resource: ViolationResource;
  readonly referrer: string;
  readonly policy: Policy;
  readonly disposition: Disposition;
  readonly effectiveDirective: string;
  readonly sourceFile: string | null;
  readonly lineNumber: number;
  readonly columnNumber: number;
  readonly element: InlineElement | null;
  readonly sample: string;
  /** The request's destination where a request is the cause; Chromium's reports depend on it. */
  readonly destination: string | null;
}

/** #create-violation-for-global. */
export function createViolationForGlobal(
  client: Client,
  policy: Policy,
  effectiveDirective: string,
  more: Partial<Pick<Violation, "resource" | "element" | "sample" | "destination">> = {},
): Violation {
  const { executing } = client;
  return {
    url: client.url,
    status: client.status ?? 200,
    resource: null,
    referrer: client.referrer ?? "",
    policy,
    disposition: policy.disposition,
    effectiveDirective,
    sourceFile: executing?.sourceFile ?? null,
    lineNumber: executing?.lineNumber ?? 0,
    columnNumber: executing?.columnNumber ?? 0,
    element: null,
    sample: "",
    destination: null,
    ...more,
  };
}

/** #create-violation-for-request. */
export function createViolationForRequest(
  request: Request,
  client: Client,
  policy: Policy,
  profile: Profile,
): Violation {
  const directive = getEffectiveDirectiveForRequest(request) ?? "";
  const { url, currentUrl, destination } = request;
  const isFrame = destination === "iframe" || destination === "frame";
  const named = isFrame && profile.has("frame-names-origin") ? currentUrl : url;
  return createViolationForGlobal(client, policy, directive, { resource: named, destination });
}

/** The sample of a violation: 40 UTF-16 code units. */
export function sampleOf(source: string): string {
  return source.slice(0, 40);
}

/** #strip-url-for-use-in-reports. */
export function stripUrlForUseInReports(url: URL): string {
  if (!isHttpScheme(schemeOf(url))) return schemeOf(url);
  return withoutSecrets(url);
}

function withoutSecrets(url: URL): string {
  const stripped = new URL(url);
  stripped.hash = "";
  stripped.username = "";
  stripped.password = "";
  return stripped.href;
}

/** #obtain-violation-blocked-uri. WebRTC's violation has no resource, and an empty string here. */
export function obtainBlockedUri(violation: Violation, profile: Profile = specification): string {
  const { resource, destination } = violation;
  if (resource === null) return "";
  if (typeof resource === "string") return resource;
  if (destination !== null && isFramed(destination)) {
    const own = URL.parse(violation.url)?.origin;
    const isForeign = isHttpScheme(schemeOf(resource)) && resource.origin !== own;
    if (isForeign && profile.has("frame-names-origin")) return resource.origin;
    if (schemeOf(resource) === "data" && profile.has("data-frame-unnamed")) return "";
  }
  if (isWebSocketScheme(schemeOf(resource)) && profile.has("websocket-scheme-kept")) {
    return withoutSecrets(resource);
  }
  return stripUrlForUseInReports(resource);
}

/** Whether what is fetched becomes a document inside of another. */
function isFramed(destination: Destination): boolean {
  return ["embed", "frame", "iframe", "object"].includes(destination);
}
