/**
 * Response headers: the policies, where reports go, and the neighbouring headers with safe values.
 * CSP #policy-delivery; Reporting API, "Reporting-Endpoints"; Subresource Integrity, "Integrity-Policy";
 * Permissions Policy; RFC 6797; RFC 7034; RFC 9651.
 * @module
 */

import { CspError } from "../errors.ts";
import { buildPolicy, createNonce, type PolicyDirectives } from "../make/build.ts";
import { getDirective, type Policy } from "../policy/policy.ts";

/** A policy, or several: then each of them has to allow a thing, so that a further one can only forbid. */
export type PolicyValue = PolicyDirectives | readonly PolicyDirectives[];

/** Policies, or what makes them for a response from its nonce. */
export type PolicyOption = PolicyValue | ((nonce: string) => PolicyValue);

/** Subresource Integrity: requests that must carry integrity metadata. */
export interface IntegrityPolicy {
  readonly blockedDestinations: readonly ("script" | "style")[];
  /** Names from `reportingEndpoints`. */
  readonly endpoints?: readonly string[];
}

/** RFC 6797 §6.1. */
export interface StrictTransportSecurity {
  /** Seconds. */
  readonly maxAge: number;
  readonly includeSubDomains?: boolean;
  readonly preload?: boolean;
}

export interface SecurityHeadersOptions {
  readonly policy?: PolicyOption | false;
  /** Watched beside `policy`, and not enforced. */
  readonly reportOnly?: PolicyOption | false;
  /** URLs by the names that `report-to` and integrity policies use. Names are lower case. */
  readonly reportingEndpoints?: Readonly<Record<string, string>>;
  readonly integrityPolicy?: IntegrityPolicy;
  readonly integrityPolicyReportOnly?: IntegrityPolicy;
  /** Default `nosniff`. */
  readonly contentTypeOptions?: "nosniff" | false;
  /** Default `no-referrer`. */
  readonly referrerPolicy?:
    | "no-referrer"
    | "no-referrer-when-downgrade"
    | "origin"
    | "origin-when-cross-origin"
    | "same-origin"
    | "strict-origin"
    | "strict-origin-when-cross-origin"
    | "unsafe-url"
    | false;
  /** Default `same-origin`. */
  readonly crossOriginOpenerPolicy?:
    | "same-origin"
    | "same-origin-allow-popups"
    | "noopener-allow-popups"
    | "unsafe-none"
    | false;
  /** Default `same-origin`. */
  readonly crossOriginResourcePolicy?: "same-origin" | "same-site" | "cross-origin" | false;
  /** Default `false`: it breaks every cross-origin resource that does not expect it. */
  readonly crossOriginEmbedderPolicy?: "require-corp" | "credentialless" | "unsafe-none" | false;
  /** Features by name with the origins that may use them (`"self"`, `"*"`, an origin), over `deniedFeatures`. */
  readonly permissionsPolicy?: Readonly<Record<string, readonly string[]>> | false;
  /** Default `false`: a name once promised to https stays so for `maxAge`. */
  readonly strictTransportSecurity?: StrictTransportSecurity | false;
  /** Default: what `frame-ancestors` says, where the old header has a word for it. */
  readonly frameOptions?: "DENY" | "SAMEORIGIN" | false;
}

/** A header's name and value. */
export type Header = readonly [name: string, value: string];

/**
 * Features that reach the person, the hardware or the neighbours, and that no page needs unless it says so. Only
 * names that browsers know: Chromium warns of others on every page.
 */
export const deniedFeatures: readonly string[] = [
  "accelerometer",
  "browsing-topics",
  "camera",
  "display-capture",
  "geolocation",
  "gyroscope",
  "hid",
  "idle-detection",
  "local-fonts",
  "magnetometer",
  "microphone",
  "midi",
  "payment",
  "screen-wake-lock",
  "serial",
  "usb",
  "window-management",
  "xr-spatial-tracking",
];

/** Every header for one response. Throws `CspError` when the options cannot mean what they say. */
export function securityHeaders(options: SecurityHeadersOptions, nonce: string): Header[] {
  return headersMaker(options)(nonce);
}

/** For middleware: `options` are checked at once, and the headers made once when no policy asks for a nonce. */
export function prepareHeaders(
  options: SecurityHeadersOptions,
): (nonce: string) => readonly Header[] {
  const make = headersMaker(options);
  const headers = make(createNonce());
  const perResponse = [options.policy, options.reportOnly].some((p) => typeof p === "function");
  return perResponse ? make : () => headers;
}

/**
 * What makes the headers for a nonce. A policy's function is asked for each response, as its answer may depend on more
 * than the nonce, and each answer is checked; what follows from it is found out anew only when it is another one.
 */
function headersMaker(options: SecurityHeadersOptions): (nonce: string) => Header[] {
  const neighbours = neighbouringHeaders(options);
  let known: string | undefined;
  let frameOptions: string | false | undefined;
  return (nonce) => {
    const policies = policiesFor(options.policy, nonce);
    const reportOnly = policiesFor(options.reportOnly, nonce);
    const text = textOf(policies);
    const reportOnlyText = textOf(reportOnly);
    const both = `${text}\n${reportOnlyText}`.replaceAll(`'nonce-${nonce}'`, "'nonce-'");
    if (both !== known) {
      checkEndpoints(options, [...policies, ...reportOnly]);
      frameOptions = options.frameOptions ?? frameOptionsOf(policies);
      known = both;
    }
    const headers: Header[] = [];
    if (text !== "") headers.push(["Content-Security-Policy", text]);
    if (reportOnlyText !== "") {
      headers.push(["Content-Security-Policy-Report-Only", reportOnlyText]);
    }
    headers.push(...neighbours);
    if (frameOptions) headers.push(["X-Frame-Options", frameOptions]);
    return headers;
  };
}

function checkEndpoints(options: SecurityHeadersOptions, policies: readonly Policy[]): void {
  const { reportingEndpoints = {}, integrityPolicy, integrityPolicyReportOnly } = options;
  for (const name of [
    ...policies.flatMap(endpointsOf),
    ...(integrityPolicy?.endpoints ?? []),
    ...(integrityPolicyReportOnly?.endpoints ?? []),
  ]) {
    if (Object.hasOwn(reportingEndpoints, name)) continue;
    throw new CspError("unknown-endpoint", `reportingEndpoints has no ${JSON.stringify(name)}`);
  }
}

/** Those that are the same for every response. */
function neighbouringHeaders(options: SecurityHeadersOptions): Header[] {
  const { integrityPolicy, integrityPolicyReportOnly } = options;
  const headers: readonly (readonly [string, string | false | undefined])[] = [
    ["Reporting-Endpoints", reportingEndpoints(options.reportingEndpoints ?? {})],
    ["Integrity-Policy", integrityPolicy && serializeIntegrityPolicy(integrityPolicy)],
    [
      "Integrity-Policy-Report-Only",
      integrityPolicyReportOnly && serializeIntegrityPolicy(integrityPolicyReportOnly),
    ],
    ["X-Content-Type-Options", options.contentTypeOptions ?? "nosniff"],
    ["Referrer-Policy", options.referrerPolicy ?? "no-referrer"],
    ["Cross-Origin-Opener-Policy", options.crossOriginOpenerPolicy ?? "same-origin"],
    ["Cross-Origin-Resource-Policy", options.crossOriginResourcePolicy ?? "same-origin"],
    ["Cross-Origin-Embedder-Policy", options.crossOriginEmbedderPolicy],
    ["Permissions-Policy", permissionsPolicy(options.permissionsPolicy)],
    ["Strict-Transport-Security", strictTransportSecurity(options.strictTransportSecurity)],
  ];
  return headers.flatMap(([name, value]) => (value ? [[name, value] as const] : []));
}

function policiesFor(option: PolicyOption | false | undefined, nonce: string): Policy[] {
  if (!option) return [];
  const value = typeof option === "function" ? option(nonce) : option;
  return [value].flat().map((directives) => buildPolicy(directives));
}

/** What was built is already as it is serialized. */
function textOf(policies: readonly Policy[]): string {
  return policies.map(({ text }) => text).join(", ");
}

function endpointsOf(policy: Policy): string[] {
  const reportTo = getDirective(policy, "report-to");
  return reportTo?.value.map((token) => token.text) ?? [];
}

/** RFC 7034 has words for two of `frame-ancestors`' values. Of several policies the strictest. */
function frameOptionsOf(policies: readonly Policy[]): "DENY" | "SAMEORIGIN" | undefined {
  const found = policies.map((policy) => {
    const [only, ...others] = getDirective(policy, "frame-ancestors")?.value ?? [];
    return others.length > 0 ? undefined : only?.type;
  });
  if (found.includes("none")) return "DENY";
  return found.includes("keyword-source") ? "SAMEORIGIN" : undefined;
}

/** A dictionary of strings, by name. */
function reportingEndpoints(endpoints: Readonly<Record<string, string>>): string {
  return Object.entries(endpoints)
    .map(([name, url]) => `${serializeKey(name)}=${serializeString(url)}`)
    .join(", ");
}

function serializeIntegrityPolicy(policy: IntegrityPolicy): string {
  const { blockedDestinations, endpoints = [] } = policy;
  const members = [`blocked-destinations=(${blockedDestinations.map(serializeKey).join(" ")})`];
  if (endpoints.length > 0) members.push(`endpoints=(${endpoints.map(serializeKey).join(" ")})`);
  return members.join(", ");
}

function permissionsPolicy(option: SecurityHeadersOptions["permissionsPolicy"]): string {
  if (option === false) return "";
  const denied = Object.fromEntries(deniedFeatures.map((feature) => [feature, []]));
  return Object.entries<readonly string[]>({ ...denied, ...option })
    .map(([feature, allowed]) => `${serializeKey(feature)}=${allowlist(allowed)}`)
    .join(", ");
}

function allowlist(allowed: readonly string[]): string {
  if (allowed.includes("*")) return "*";
  return `(${allowed.map((origin) => (origin === "self" ? origin : serializeString(origin))).join(" ")})`;
}

function strictTransportSecurity(option: StrictTransportSecurity | false | undefined): string {
  if (!option) return "";
  const { maxAge, includeSubDomains, preload } = option;
  if (!Number.isSafeInteger(maxAge) || maxAge < 0) {
    throw new CspError("invalid-header", `maxAge is a whole number of seconds, not ${maxAge}`);
  }
  const parts = [`max-age=${maxAge}`];
  if (includeSubDomains) parts.push("includeSubDomains");
  if (preload) parts.push("preload");
  return parts.join("; ");
}

/** RFC 9651 §4.1.1.3. Every key is a token, too. */
function serializeKey(text: string): string {
  if (/^[a-z*][a-z0-9_.*-]*$/.test(text)) return text;
  throw new CspError("invalid-header", `${JSON.stringify(text)} is no name in lower case`);
}

/** RFC 9651 §4.1.6. */
function serializeString(text: string): string {
  if (/^[ -~]+$/.test(text)) return `"${text.replace(/["\\]/g, "\\$&")}"`;
  throw new CspError("invalid-header", `${JSON.stringify(text)} has to be printable ASCII`);
}
