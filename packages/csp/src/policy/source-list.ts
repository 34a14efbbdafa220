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

/**
 * A table of words by their length: few have the same, and to compare those is quicker than to hash a text that was
 * cut out just now, as a `Map` does.
 */
export function lookUp<T>(
  entries: Iterable<readonly [string, T]>,
): (word: string) => T | undefined {
  const byLength: (readonly [string, T])[][] = [];
  for (const entry of entries) (byLength[entry[0].length] ??= []).push(entry);
  return (word) => {
    const candidates = word.length < byLength.length ? byLength[word.length] : undefined;
    if (!candidates) return undefined;
    for (const [text, value] of candidates) if (text === word) return value;
    return undefined;
  };
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
  return token.text.charCodeAt(0) === 0x27 ? parseQuoted(token) : parseSchemeOrHost(token);
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

/** Characters by what may contain them, for strings that are looked through once. */
const inScheme = 1;
const inHost = 2;
const inPath = 4;
const isDigit = 8;
const inBase64 = 16;
const isUpperCase = 32;
const characters = new Uint8Array(128);
for (const [characterSet, kind] of [
  ["abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.", inScheme],
  ["abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.", inHost],
  ["abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~!$&'()*+=:@%/-", inPath],
  ["0123456789", isDigit],
  ["ABCDEFGHIJKLMNOPQRSTUVWXYZ", isUpperCase],
  ["abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/_-", inBase64],
] as const) {
  for (let index = 0; index < characterSet.length; index++) {
    const code = characterSet.charCodeAt(index);
    characters[code] = (characters[code] ?? 0) | kind;
  }
}

/** Whether the text has, from `start` to before `end`, at least one character, and only of that kind. */
function isAll(kind: number, text: string, start: number, end: number): boolean {
  for (let index = start; index < end; index++) {
    if (((characters[text.charCodeAt(index)] ?? 0) & kind) === 0) return false;
  }
  return start < end;
}

/** That part in lower case. Most are, and `toLowerCase` costs more than to look. */
function lowerCase(text: string, start: number, end: number): string {
  const part = text.slice(start, end);
  for (let index = start; index < end; index++) {
    if (((characters[text.charCodeAt(index)] ?? 0) & isUpperCase) !== 0) return part.toLowerCase();
  }
  return part;
}

function invalid({ text, offset, length }: Token): InvalidToken {
  return { text, offset, length, type: "invalid" };
}

const none = "'none'";
const findWord = lookUp(
  ([...keywords, none] as const).map((word): [string, Keyword | typeof none] => [word, word]),
);

// ABNF's literals have no case, so `'SELF'` and `'SHA256-…'` are the same as their small forms.
function parseQuoted(token: Token): SourceExpression {
  const { text, offset, length } = token;
  const isNonce = text.startsWith("'nonce-");
  const known = isNonce ? undefined : (findWord(text) ?? findWord(text.toLowerCase()));
  if (known === none) return { text, offset, length, type: "none" };
  if (known) return { text, offset, length, type: "keyword-source", keyword: known };
  const dash = isNonce ? "'nonce".length : text.indexOf("-");
  if (dash < 0) return invalid(token);

  // `base64-value`: at most two `=` at its end.
  const end = length - 1;
  let padding = end;
  while (padding > end - 2 && text.charCodeAt(padding - 1) === equalsSign) padding--;
  if (!text.endsWith("'") || !isAll(inBase64, text, dash + 1, padding)) return invalid(token);
  const base64Value = text.slice(dash + 1, end);
  const prefix = isNonce ? "nonce" : text.slice(1, dash).toLowerCase();
  if (prefix === "nonce") return { text, offset, length, type: "nonce-source", base64Value };
  const hashAlgorithm = hashAlgorithms.find((algorithm) => algorithm === prefix);
  if (!hashAlgorithm) return invalid(token);
  const standard = base64Value.replaceAll("-", "+").replaceAll("_", "/");
  return { text, offset, length, type: "hash-source", hashAlgorithm, base64Value: standard };
}

const equalsSign = 0x3d;

function parseSchemeOrHost(token: Token): SourceExpression {
  const { text, offset, length } = token;
  const colon = text.indexOf(":");
  const hasScheme = colon > 0 && isScheme(text, colon);
  if (hasScheme && colon === length - 1) {
    const schemePart = lowerCase(text, 0, colon);
    return { text, offset, length, type: "scheme-source", schemePart };
  }
  const hasSchemePart = hasScheme && text.startsWith("//", colon + 1);
  const schemePart = hasSchemePart ? lowerCase(text, 0, colon) : null;
  const start = hasSchemePart ? colon + 3 : 0;

  const slash = text.indexOf("/", start);
  const end = slash < 0 ? length : slash;
  if (slash >= 0 && !isPathPart(text, slash)) return invalid(token);

  const portColon = text.indexOf(":", start);
  const hasPort = portColon >= 0 && portColon < end;
  const hostEnd = hasPort ? portColon : end;
  if (!isHostPart(text, start, hostEnd)) return invalid(token);
  const isAnyPort = hasPort && portColon + 2 === end && text.charCodeAt(portColon + 1) === asterisk;
  if (hasPort && !isAnyPort && !isAll(isDigit, text, portColon + 1, end)) return invalid(token);
  return {
    text,
    offset,
    length,
    type: "host-source",
    schemePart,
    hostPart: lowerCase(text, start, hostEnd),
    portPart: isAnyPort ? "*" : hasPort ? Number(text.slice(portColon + 1, end)) : null,
    pathPart: slash < 0 ? "" : text.slice(slash),
  };
}

const asterisk = 0x2a;
const dot = 0x2e;

/** `scheme-part`: a letter, then letters, digits, `+`, `-` and `.`. */
function isScheme(text: string, end: number): boolean {
  const first = text.charCodeAt(0) | 0x20;
  return first >= 0x61 && first <= 0x7a && isAll(inScheme, text, 0, end);
}

/** `host-part`: `*`, or labels, perhaps after `*.`; one dot may close it, as in a fully qualified name. */
function isHostPart(text: string, start: number, end: number): boolean {
  let first = start;
  if (text.charCodeAt(start) === asterisk) {
    if (end - start === 1) return true;
    if (text.charCodeAt(start + 1) !== dot) return false;
    first = start + 2;
  }
  if (!isAll(inHost, text, first, end) || text.charCodeAt(first) === dot) return false;
  const dots = text.indexOf("..", first);
  return dots < 0 || dots >= end;
}

/** `path-part`: RFC 3986's `path-absolute`, so it cannot start with two slashes and has no query. */
function isPathPart(text: string, start: number): boolean {
  if (text.startsWith("//", start) || !isAll(inPath, text, start, text.length)) return false;
  for (let at = text.indexOf("%", start); at >= 0; at = text.indexOf("%", at + 1)) {
    if (!isHexadecimal(text.charCodeAt(at + 1)) || !isHexadecimal(text.charCodeAt(at + 2)))
      return false;
  }
  return true;
}

function isHexadecimal(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x66);
}
