/**
 * What a host hands in: who asks, and for what.
 * Fetch, "requests", "responses"; HTML, "policy containers"; CSP #fetch-integration.
 * @module
 */
import { CspError } from "../errors.ts";
import type { CspList } from "../policy/policy.ts";
import { isWebSocketScheme, schemeOf } from "./match-url.ts";
import { type Profile, specification } from "./profile.ts";

/** Where a script stands that is running. Lines and columns from 1. */
export interface SourcePosition {
  readonly sourceFile: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

/** The document or worker whose policies decide (#get-csp-of-object), and what violations say of it. */
export interface Client {
  readonly cspList: CspList;
  /** The document's or worker's URL. */
  readonly url: string;
  readonly global?: "window" | "worker" | "worklet";
  readonly referrer?: string;
  /** The HTTP status that the document came with. */
  readonly status?: number;
  /** Where the script stands that does what is decided. */
  readonly executing?: SourcePosition;
}

/** Fetch, "destination". Others than those listed go to `connect-src`. */
export type Destination =
  | ""
  | "audio"
  | "audioworklet"
  | "document"
  | "embed"
  | "font"
  | "frame"
  | "iframe"
  | "image"
  | "json"
  | "manifest"
  | "object"
  | "paintworklet"
  | "report"
  | "script"
  | "serviceworker"
  | "sharedworker"
  | "style"
  | "text"
  | "track"
  | "video"
  | "webidentity"
  | "worker"
  | "xslt"
  | (string & Record<never, never>);

/** Fetch's request, as far as policies ask. */
export interface Request {
  /** The first URL of the list. Reports name this one, since where a redirect led is not the page's to know. */
  readonly url: URL;
  /** The last URL of the list: the one that is decided upon. */
  readonly currentUrl: URL;
  readonly redirectCount: number;
  readonly destination: Destination;
  readonly initiator: "" | "prefetch" | "prerender" | (string & Record<never, never>);
  readonly mode: "cors" | "navigate" | "no-cors" | "same-origin" | "websocket" | "webtransport";
  readonly cryptographicNonceMetadata: string;
  readonly integrityMetadata: string;
  readonly parserMetadata: "" | "parser-inserted" | "not-parser-inserted";
  /** Whether WebTransport was given certificate hashes. */
  readonly hasWebTransportHashes: boolean;
}

/** A request in the words of the page's author. */
export interface RequestInit {
  readonly url: string | URL;
  readonly destination?: Destination;
  readonly initiator?: Request["initiator"];
  readonly mode?: Request["mode"];
  /** The element's nonce. */
  readonly nonce?: string;
  /** The element's `integrity`. */
  readonly integrity?: string;
  /** Whether the parser made the element, not a script. `true` where it isn't said: what injected markup is. */
  readonly parserInserted?: boolean;
  readonly webTransportHashes?: boolean;
}

/**
 * A request from what its author knows. A WebSocket's URL gets the scheme that Fetch gives it, unless the profile
 * says otherwise. Throws `CspError` (`invalid-url`) for a URL that cannot be parsed.
 */
export function createRequest(init: RequestInit, profile: Profile = specification): Request {
  const given = parseUrl(init.url);
  const url = fetchedUrl(given, profile);
  const parserInserted = init.parserInserted ?? true;
  return {
    url,
    currentUrl: url,
    redirectCount: 0,
    destination: init.destination ?? "",
    initiator: init.initiator ?? "",
    mode: init.mode ?? (isWebSocketScheme(schemeOf(given)) ? "websocket" : "no-cors"),
    cryptographicNonceMetadata: init.nonce ?? "",
    integrityMetadata: init.integrity ?? "",
    parserMetadata: parserInserted ? "parser-inserted" : "not-parser-inserted",
    hasWebTransportHashes: init.webTransportHashes ?? false,
  };
}

/** The same request after one more redirect. Throws `CspError` (`invalid-url`). */
export function redirect(
  request: Request,
  to: string | URL,
  profile: Profile = specification,
): Request {
  const currentUrl = fetchedUrl(parseUrl(to), profile);
  return { ...request, currentUrl, redirectCount: request.redirectCount + 1 };
}

/** The URL, or a `CspError` (`invalid-url`). */
export function parseUrl(url: string | URL): URL {
  if (typeof url !== "string") return url;
  const parsed = URL.parse(url);
  if (!parsed) throw new CspError("invalid-url", `${JSON.stringify(url)} is no absolute URL`);
  return parsed;
}

/** WebSockets, "establish a WebSocket connection", steps 1 and 2. */
function fetchedUrl(url: URL, profile: Profile): URL {
  if (profile.has("websocket-scheme-kept") || !isWebSocketScheme(schemeOf(url))) return url;
  const fetched = new URL(url);
  fetched.protocol = schemeOf(url) === "ws" ? "http:" : "https:";
  return fetched;
}

const scriptLike: ReadonlySet<string> = new Set([
  "animationworklet",
  "audioworklet",
  "layoutworklet",
  "paintworklet",
  "script",
  "serviceworker",
  "sharedworker",
  "worker",
  "xslt",
]);

/** Fetch, "script-like" destinations (with `xslt`, which can run script). */
export function isScriptLike(destination: Destination): boolean {
  return scriptLike.has(destination);
}
