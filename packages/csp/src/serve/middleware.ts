/**
 * What the middleware of every framework has in common: which headers a request's response gets, and what is to be
 * seen to when the response's own headers are known.
 * @module
 */
import { CspError } from "../errors.ts";
import { checkNonceMarker, type MarkerReplacer, markerReplacer } from "./nonce-marker.ts";
import { type Header, prepareHeaders, type SecurityHeadersOptions } from "./security-headers.ts";

/** `R` is the framework's request. */
export interface MiddlewareOptions<R> extends SecurityHeadersOptions {
  /**
   * From `createNonceMarker`: wherever a response has it, in its body or headers, the response's nonce is sent. HTML
   * must reach the middleware as text in UTF-8: one that is already compressed is refused, as a marker in it would
   * get out. Compress outside of this middleware.
   */
  readonly nonceMarker?: string;
  /**
   * What is different for a request: by route, or for the part of the visitors that tries a policy. Options named
   * here replace those of the same name; `false` leaves a header out. Called before the handler.
   */
  readonly forRequest?: (request: R) => SecurityHeadersOptions | undefined;
}

/** What is known of a response before its handler runs. */
export interface Preparation {
  readonly nonce: string;
  readonly headers: readonly Header[];
  readonly marker: string | undefined;
}

/** Throws `CspError` at once when `options` are wrong; what `forRequest` gives is checked when it is first used. */
export function prepareMiddleware<R>(
  options: MiddlewareOptions<R>,
): (request: R, nonce: string) => Preparation {
  const { nonceMarker: marker, forRequest, ...always } = options;
  if (marker !== undefined) checkNonceMarker(marker);
  const headersFor = prepareHeaders(always);
  const prepared = new WeakMap<SecurityHeadersOptions, typeof headersFor>();
  return (request, nonce) => {
    const own = forRequest?.(request);
    if (!own) return { nonce, headers: headersFor(nonce), marker };
    const ownHeadersFor = prepared.get(own) ?? prepareHeaders({ ...always, ...named(own) });
    prepared.set(own, ownHeadersFor);
    return { nonce, headers: ownHeadersFor(nonce), marker };
  };
}

/** Plain JavaScript writes `condition ? value : undefined`, which is not to leave a policy out. */
function named(options: SecurityHeadersOptions): SecurityHeadersOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** A response's headers, wherever a framework has them. */
export interface HeaderAccess {
  get(name: string): string | null;
  set(name: string, value: string): void;
  delete(name: string): void;
}

/** Last changes, when nothing but the body is still to come. Throws `CspError` for HTML that hides a marker. */
export function finishHeaders(
  headers: HeaderAccess,
  status: number,
  { nonce, marker }: Preparation,
): void {
  const policies = policyHeaders.filter((name) => headers.get(name)?.includes(`'nonce-${nonce}'`));
  // What the browser has kept has the nonce of then, in its policy as in its tags (RFC 9111 §4.3.4 would renew the one).
  if (status === 304) for (const name of policies) headers.delete(name);
  if (!isDocument(headers.get("Content-Type") ?? "")) return;
  if (marker !== undefined) refuseEncoded(headers);
  // Two readers of one copy share a nonce; who knows better says so.
  if (policies.length > 0 && headers.get("Cache-Control") === null) {
    headers.set("Cache-Control", "no-store");
  }
}

const policyHeaders = ["Content-Security-Policy", "Content-Security-Policy-Report-Only"] as const;

/** Types that a browser shows as a page, scripts and all. */
function isDocument(contentType: string): boolean {
  const [essence = ""] = contentType.toLowerCase().split(";");
  return /^(?:text\/html|(?:text|application)\/xml|[^ ]+\+xml)$/.test(essence.trim());
}

function refuseEncoded(headers: HeaderAccess): void {
  const coding = headers.get("Content-Encoding")?.toLowerCase() ?? "identity";
  if (coding !== "identity") {
    throw new CspError("invalid-header", `a page with markers has to come before ${coding}`);
  }
  if (/charset\s*=\s*["']?utf-?(?:16|32)/i.test(headers.get("Content-Type") ?? "")) {
    throw new CspError("invalid-header", "a page with markers has to be in UTF-8");
  }
}

/** For the body, when the response may have a marker in it. */
export function bodyReplacer({ marker, nonce }: Preparation): MarkerReplacer | undefined {
  return marker === undefined ? undefined : markerReplacer(marker, nonce);
}

/** A header's value with the nonce in the marker's place. */
export function withNonce(value: string, { marker, nonce }: Preparation): string {
  return marker === undefined ? value : value.replaceAll(marker, nonce);
}
