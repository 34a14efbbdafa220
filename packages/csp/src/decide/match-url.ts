/**
 * URL matching.
 * CSP #matching-urls: #match-url-to-source-list down to #match-paths.
 * @module
 */
import {
  type AncestorSource,
  type HostSource,
  parseSourceExpression,
  type SourceExpression,
  type Token,
  token,
} from "../policy/source-list.ts";
import { type Profile, specification } from "./profile.ts";

/** What a match depends on beside the URL and the source list. */
export interface Matching {
  /** The origin that `'self'` stands for, serialized; `"null"` when opaque. */
  readonly selfOrigin: string;
  /** How many redirects led to the URL. Paths count for the first URL alone. */
  readonly redirectCount: number;
  readonly profile: Profile;
  /** Whether the URL is a frame's or an ancestor's. */
  readonly isFramed?: boolean;
}

type MatchableSource = SourceExpression | AncestorSource;

/**
 * #match-url-to-source-list. Gives the first expression that matches; `null` is the specification's "Does Not
 * Match".
 */
export function doesUrlMatchSourceList(
  url: URL,
  sourceList: readonly MatchableSource[],
  matching: Matching,
): MatchableSource | null {
  // `'none'` matches nothing wherever it stands, and so needs no step of its own.
  for (const expression of sourceList) {
    if (doesUrlMatchExpression(url, expression, matching)) return expression;
  }
  return null;
}

/** #match-url-to-source-expression. */
export function doesUrlMatchExpression(
  url: URL,
  expression: MatchableSource,
  matching: Matching,
): boolean {
  switch (expression.type) {
    case "scheme-source":
      return schemePartMatches(expression.schemePart, schemeOf(url), matching.profile);
    case "host-source":
      return isWildcard(expression)
        ? doesWildcardMatch(url, matching)
        : doesHostSourceMatch(url, expression, matching);
    case "keyword-source":
      return expression.keyword === "'self'" && isSelf(url, matching);
    case "invalid": {
      const read = matching.profile.has("query-ignored") ? withAnyPath(expression) : null;
      return read !== null && doesHostSourceMatch(url, read, matching);
    }
    case "nonce-source":
    case "hash-source":
    case "none":
      return false;
  }
}

/** #match-url-to-source-expression, step 1: `*` alone. */
function doesWildcardMatch(url: URL, { selfOrigin, profile }: Matching): boolean {
  const scheme = schemeOf(url);
  if (isHttpScheme(scheme) || scheme === schemeOfOrigin(selfOrigin)) return true;
  return profile.has("websocket-scheme-kept") && isWebSocketScheme(scheme);
}

/** #match-url-to-source-expression, steps 2 and 3. */
function doesHostSourceMatch(url: URL, source: HostSource, matching: Matching): boolean {
  const { selfOrigin, redirectCount, profile } = matching;
  const scheme = schemeOf(url);
  const schemePart = source.schemePart ?? schemeOfOrigin(selfOrigin);
  if (schemePart === null || !schemePartMatches(schemePart, scheme, profile)) return false;
  if (!hostPartMatches(source.hostPart, url, profile)) return false;
  if (!portPartMatches(source.portPart, url, profile)) return false;
  if (profile.has("upgrade-of-both") && !isUpgradeOfBoth(schemePart, source, url, matching)) {
    return false;
  }
  return redirectCount > 0 || pathPartMatches(source.pathPart, url.pathname);
}

/** #match-url-to-source-expression, step 4. */
function isSelf(url: URL, { selfOrigin, profile, isFramed = false }: Matching): boolean {
  const scheme = schemeOf(url);
  if (scheme === "blob" && profile.has("self-excludes-blob")) return false;
  if (selfOrigin === "null") return false;
  if (url.origin === selfOrigin) return true;
  // The parser knows no origin for them.
  if (!isHttpScheme(scheme) && !isWebSocketScheme(scheme)) return false;
  const self = new URL(selfOrigin);
  const selfScheme = schemeOf(self);
  if (self.hostname !== url.hostname) return false;
  // A URL has no port where it has its scheme's default one.
  const port80 = selfScheme === "http" && self.port === "" && url.port === "80";
  const samePort = self.port === url.port || (port80 && profile.has("self-covers-port-80"));
  if (!samePort && !(hasDefaultPort(self) && hasDefaultPort(url))) return false;
  if (isSecure(scheme)) {
    const isUpgrade = scheme === "https" && selfScheme === "http";
    if (!isUpgrade || !isFramed || !profile.has("frame-upgrade-of-defaults")) return true;
    return hasDefaultPort(self) && hasDefaultPort(url);
  }
  return selfScheme === "http" && (scheme === "http" || scheme === "ws");
}

/** #match-schemes. Both in lower case. */
export function schemePartMatches(a: string, b: string, profile: Profile = specification): boolean {
  if (a === b) return true;
  if (a === "http") return b === "https";
  if (profile.has("websocket-scheme-kept")) return a === "ws" && b === "wss";
  if (a === "ws") return b === "wss" || b === "http" || b === "https";
  return a === "wss" && b === "https";
}

/** #match-hosts. The pattern in lower case, as the URL's host is. */
export function hostPartMatches(
  pattern: string,
  url: URL,
  profile: Profile = specification,
): boolean {
  const host = url.hostname;
  if (!isDomain(url)) {
    const isOfOtherScheme = pattern === "*" && !specialSchemes.has(schemeOf(url));
    if (isOfOtherScheme && profile.has("wildcard-host-of-any-scheme")) return true;
    if (!profile.has("ip-address-matches") || !ipv4Address.test(host)) return false;
  }
  if (pattern === "*") return true;
  if (pattern.startsWith("*.")) return host.endsWith(pattern.slice(1));
  return pattern === host;
}

/** #match-ports. */
export function portPartMatches(
  portPart: number | "*" | null,
  url: URL,
  profile: Profile = specification,
): boolean {
  if (portPart === "*") return true;
  const port = url.port === "" ? null : Number(url.port);
  if (portPart === port) return true;
  if (port !== null) return false;
  if (portPart === defaultPortOf(url)) return true;
  return profile.has("upgrade-of-both") && portPart === 80 && isSecure(schemeOf(url));
}

/** #match-paths. `pathA` is an expression's, `pathB` a URL's. */
export function pathPartMatches(pathA: string, pathB: string): boolean {
  if (pathA === "") return true;
  if (pathA === "/" && pathB === "") return true;
  const exactMatch = !pathA.endsWith("/");
  const listA = pathA.split("/");
  const listB = pathB.split("/");
  if (listA.length > listB.length) return false;
  if (exactMatch && listA.length !== listB.length) return false;
  if (!exactMatch) listA.pop();
  return listA.every((piece, index) => percentDecode(piece) === percentDecode(listB[index] ?? ""));
}

/** A URL's scheme, without the colon. */
export function schemeOf(url: URL): string {
  return url.protocol.slice(0, -1);
}

/** The scheme of a serialized origin; an opaque one has none. */
function schemeOfOrigin(origin: string): string | null {
  const colon = origin.indexOf(":");
  return colon < 0 ? null : origin.slice(0, colon);
}

/** Fetch, "HTTP(S) scheme". */
export function isHttpScheme(scheme: string): boolean {
  return scheme === "http" || scheme === "https";
}

export function isWebSocketScheme(scheme: string): boolean {
  return scheme === "ws" || scheme === "wss";
}

/** Fetch, "local scheme". */
export function isLocal(url: URL): boolean {
  return url.protocol === "about:" || url.protocol === "blob:" || url.protocol === "data:";
}

const defaultPorts: Readonly<Record<string, number>> = {
  http: 80,
  https: 443,
  ws: 80,
  wss: 443,
  ftp: 21,
};

function defaultPortOf(url: URL): number | undefined {
  return defaultPorts[schemeOf(url)];
}

function hasDefaultPort(url: URL): boolean {
  return url.port === "";
}

/** The asterisk alone: step 1's `*`, not a host-source with a port, path or scheme. */
function isWildcard(source: HostSource): boolean {
  return source.text === "*";
}

const ipv4Address = /^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$/;
const specialSchemes: ReadonlySet<string> = new Set(["http", "https", "ws", "wss", "ftp", "file"]);

/** URL, "domain": what the parser makes of a special scheme's host that is no address. */
function isDomain(url: URL): boolean {
  const host = url.hostname;
  if (host === "" || host.startsWith("[")) return false;
  return specialSchemes.has(schemeOf(url)) && !ipv4Address.test(host);
}

/** Chromium upgrades scheme and port together: http and 80, 443 or no port said, to https and 443. */
function isUpgradeOfBoth(
  schemePart: string,
  { portPart }: HostSource,
  url: URL,
  { isFramed = false, profile }: Matching,
): boolean {
  const isSecureDefault = hasDefaultPort(url) && isSecure(schemeOf(url));
  const covers443 =
    schemePart === "http" && !(isFramed && profile.has("frame-upgrade-of-defaults"));
  const upgradesPort = isSecureDefault && (portPart === 80 || (portPart === 443 && covers443));
  if (schemePart === schemeOf(url)) return !upgradesPort;
  return upgradesPort || portPart === null || portPart === "*";
}

function isSecure(scheme: string): boolean {
  return scheme === "https" || scheme === "wss";
}

/** Percent-decodes to bytes, kept one to one in a string: what is compared are bytes, which need not be UTF-8. */
function percentDecode(piece: string): string {
  if (!piece.includes("%")) return piece;
  return piece.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** What Chromium reads where the grammar has no such path: it takes any, up to a query or a fragment. */
export function withAnyPath(source: Token): HostSource | null {
  const { text, offset, length } = source;
  const [authority = ""] = /^(?:[A-Za-z][A-Za-z0-9+.-]*:\/\/)?[^/]*/.exec(text) ?? [];
  const [pathPart = ""] = text.slice(authority.length).split(/[?#]/, 1);
  if (pathPart === "") return null;
  const host = parseSourceExpression(token(authority, offset));
  return host.type === "host-source" ? { ...host, text, length, pathPart } : null;
}
