/**
 * Source lists: what a directive's value may be made of.
 * CSP #framework-directive-source-list, #directive-frame-ancestors.
 * @module
 */

/** A stretch of the text that was parsed, in UTF-16 code units. In a header list, `offset` counts from the header's start. */
export interface Span {
  readonly offset: number;
  readonly length: number;
}

/** One string of a directive's value as it was written, and where. */
export interface Token extends Span {
  readonly text: string;
}

export function token(text: string, offset: number): Token {
  return { text, offset, length: text.length };
}

/** A token that its directive's grammar does not have. Browsers skip it; the rest of the value still counts. */
export interface InvalidToken extends Token {
  readonly type: "invalid";
}

/** `https:` */
export interface SchemeSource extends Token {
  readonly type: "scheme-source";
  /** Lower case, without the colon. */
  readonly schemePart: string;
}

/** `https://*.example.com:8443/scripts/` and every part of it but the host left out; `*` alone is one, too. */
export interface HostSource extends Token {
  readonly type: "host-source";
  /** Lower case, without `://`. */
  readonly schemePart: string | null;
  /** Lower case: `*`, `*.example.com`, or a host. */
  readonly hostPart: string;
  readonly portPart: number | "*" | null;
  /** As written, percent-encoding and all; empty when there is none. */
  readonly pathPart: string;
}

/** `'nonce-ch4hvvbHDpv7xCSvXCs3BrNggHdTzxUA'` */
export interface NonceSource extends Token {
  readonly type: "nonce-source";
  /** Compared as a string, never decoded. */
  readonly base64Value: string;
}

export const hashAlgorithms = ["sha256", "sha384", "sha512"] as const;
export type HashAlgorithm = (typeof hashAlgorithms)[number];

/** `'sha256-…'` */
export interface HashSource extends Token {
  readonly type: "hash-source";
  readonly hashAlgorithm: HashAlgorithm;
  /** With base64url's two characters already turned into base64's (#match-element-to-source-list, step 5). */
  readonly base64Value: string;
}

/**
 * `keyword-source`, and `'inline-speculation-rules'`, which HTML adds. No algorithm reads
 * `'unsafe-allow-redirects'`.
 */
export const keywords = [
  "'self'",
  "'unsafe-inline'",
  "'unsafe-eval'",
  "'strict-dynamic'",
  "'unsafe-hashes'",
  "'report-sample'",
  "'unsafe-allow-redirects'",
  "'wasm-unsafe-eval'",
  "'trusted-types-eval'",
  "'report-sha256'",
  "'report-sha384'",
  "'report-sha512'",
  "'unsafe-webtransport-hashes'",
  "'inline-speculation-rules'",
] as const;
export type Keyword = (typeof keywords)[number];

/** `'unsafe-inline'` */
export interface KeywordSource<K extends Keyword = Keyword> extends Token {
  readonly type: "keyword-source";
  /** Lower case, with its quotes. */
  readonly keyword: K;
}

/** `'none'`: matches nothing. Beside another expression it means nothing. */
export interface NoneSource extends Token {
  readonly type: "none";
}

export type SourceExpression =
  | SchemeSource
  | HostSource
  | NonceSource
  | HashSource
  | KeywordSource
  | NoneSource
  | InvalidToken;

/** `ancestor-source`. */
export type AncestorSource =
  | SchemeSource
  | HostSource
  | KeywordSource<"'self'">
  | NoneSource
  | InvalidToken;

/** Reads one source expression. What no production matches is `invalid`; nothing throws. */
export function parseSourceExpression(token: Token): SourceExpression {
  return token.text.startsWith("'") ? parseQuoted(token) : parseSchemeOrHost(token);
}

/** Reads one expression of `frame-ancestors`. */
export function parseAncestorSource(token: Token): AncestorSource {
  const source = parseSourceExpression(token);
  switch (source.type) {
    case "scheme-source":
    case "host-source":
    case "none":
    case "invalid":
      return source;
    case "keyword-source":
      return source.keyword === "'self'"
        ? { ...token, type: "keyword-source", keyword: source.keyword }
        : { ...token, type: "invalid" };
    case "nonce-source":
    case "hash-source":
      return { ...token, type: "invalid" };
  }
}

// Every pattern below is one class under one star, or fixed in length: no token, however long, makes one backtrack.
const base64Value = /^[A-Za-z0-9+/_-]+={0,2}$/;
const scheme = /^[A-Za-z][A-Za-z0-9+.-]*$/;
const notHostChar = /[^a-z0-9.-]/;
const emptyLabel = /^\.|\.\./;
const digits = /^[0-9]+$/;
const notPathChar = /[^A-Za-z0-9._~!$&'()*+=:@%/-]/;
const notPercentEncoded = /%(?![0-9A-Fa-f]{2})/;

// ABNF's literals have no case, so `'SELF'` and `'SHA256-…'` are the same as their small forms.
function parseQuoted(token: Token): SourceExpression {
  const invalid = { ...token, type: "invalid" } as const;
  const lower = token.text.toLowerCase();
  if (lower === "'none'") return { ...token, type: "none" };
  const keyword = keywords.find((known) => known === lower);
  if (keyword) return { ...token, type: "keyword-source", keyword };

  const dash = lower.indexOf("-");
  const value = token.text.slice(dash + 1, -1);
  if (dash < 0 || !token.text.endsWith("'") || !base64Value.test(value)) return invalid;
  const prefix = lower.slice(1, dash);
  if (prefix === "nonce") return { ...token, type: "nonce-source", base64Value: value };
  const hashAlgorithm = hashAlgorithms.find((known) => known === prefix);
  if (!hashAlgorithm) return invalid;
  const standard = value.replaceAll("-", "+").replaceAll("_", "/");
  return { ...token, type: "hash-source", hashAlgorithm, base64Value: standard };
}

function parseSchemeOrHost(token: Token): SourceExpression {
  const invalid = { ...token, type: "invalid" } as const;
  const { text } = token;
  if (text.endsWith(":") && scheme.test(text.slice(0, -1))) {
    return { ...token, type: "scheme-source", schemePart: text.slice(0, -1).toLowerCase() };
  }

  const separator = text.indexOf("://");
  const hasScheme = separator > 0 && scheme.test(text.slice(0, separator));
  const schemePart = hasScheme ? text.slice(0, separator).toLowerCase() : null;
  const rest = hasScheme ? text.slice(separator + 3) : text;

  const slash = rest.indexOf("/");
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const pathPart = slash < 0 ? "" : rest.slice(slash);
  if (!isPathPart(pathPart)) return invalid;

  const portColon = authority.indexOf(":");
  const hostPart = (portColon < 0 ? authority : authority.slice(0, portColon)).toLowerCase();
  if (!isHostPart(hostPart)) return invalid;
  if (portColon < 0) {
    return { ...token, type: "host-source", schemePart, hostPart, portPart: null, pathPart };
  }
  const port = authority.slice(portColon + 1);
  if (port !== "*" && !digits.test(port)) return invalid;
  const portPart = port === "*" ? port : Number(port);
  return { ...token, type: "host-source", schemePart, hostPart, portPart, pathPart };
}

/** `host-part`: one dot may close it, as in a fully qualified name. */
function isHostPart(text: string): boolean {
  if (text === "*") return true;
  const labels = text.startsWith("*.") ? text.slice(2) : text;
  return labels !== "" && !notHostChar.test(labels) && !emptyLabel.test(labels);
}

/** `path-part`: RFC 3986's `path-absolute`, so it cannot start with two slashes and has no query. */
function isPathPart(text: string): boolean {
  return !text.startsWith("//") && !notPathChar.test(text) && !notPercentEncoded.test(text);
}
