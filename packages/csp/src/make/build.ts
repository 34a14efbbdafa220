/**
 * For authors: a policy from an object, nonces, hashes.
 * CSP #framework-directive-source-list; Subresource Integrity, "integrity metadata".
 * @module
 */

import { CspError } from "../errors.ts";
import {
  type Directive,
  type DirectiveName,
  isDirectiveName,
  type SandboxKeyword,
} from "../policy/directives.ts";
import {
  type EffectiveDirective,
  type FetchDirectiveName,
  fetchDirectiveFallbackLists,
} from "../policy/fetch-directive.ts";
import { type Disposition, getDirective, type Policy, parsePolicy } from "../policy/policy.ts";
import type { HashAlgorithm, HashSource, Keyword } from "../policy/source-list.ts";

// Keeps an editor's completion of the literals beside it, where a plain `string` would swallow them.
type AnyString = string & Record<never, never>;

export type NonceExpression = `'nonce-${string}'`;
export type HashExpression = `'${HashAlgorithm}-${string}'`;

/** A source expression as authors write it. Keywords keep their quotes. */
export type SourceText = "'none'" | Keyword | NonceExpression | HashExpression | AnyString;

type NamesOf<G extends Directive["type"]> = Extract<Directive, { type: G }>["name"];

/** A policy as an object. A list names at least one expression; `"'none'"` stands alone. */
export type PolicyDirectives = {
  readonly [Name in NamesOf<"source-list">]?: readonly SourceText[];
} & {
  readonly "frame-ancestors"?: readonly ("'none'" | "'self'" | AnyString)[];
  /** The empty list is the strictest. */
  readonly sandbox?: readonly SandboxKeyword[];
  readonly "report-uri"?: readonly string[];
  readonly "report-to"?: string;
  readonly webrtc?: "'allow'" | "'block'";
  readonly "trusted-types"?: readonly ("'none'" | "'allow-duplicates'" | "*" | AnyString)[];
  readonly "require-trusted-types-for"?: readonly "'script'"[];
  /** `false` leaves the directive out. */
  readonly "upgrade-insecure-requests"?: boolean;
  readonly "block-all-mixed-content"?: boolean;
};

/**
 * Builds a policy, and refuses whatever a browser would read otherwise than it was meant: separators inside a value,
 * unknown keywords, malformed nonces and hashes, `'none'` beside others.
 */
export function buildPolicy(
  directives: PolicyDirectives,
  disposition: Disposition = "enforce",
): Policy {
  let text = "";
  let unfamiliar: Map<DirectiveName, readonly string[]> | undefined;
  for (const name of Object.keys(directives) as (keyof PolicyDirectives)[]) {
    const value = directives[name];
    // Plain JavaScript writes `condition ? value : undefined`.
    if (value === false || value === undefined) continue;
    const words = wordsOf(value);
    let part = familiarText(name, words);
    if (part === undefined) {
      if (!isDirectiveName(name)) {
        throw new CspError("unknown-directive", `there is no directive ${JSON.stringify(name)}`);
      }
      for (const word of words) checkCharacters(name, word);
      unfamiliar ??= new Map();
      unfamiliar.set(name, words);
      part = textOf(name, words);
    }
    text = text === "" ? part : `${text}; ${part}`;
  }
  if (!unfamiliar) return parseLater(text, disposition);
  const policy = parsePolicy(text, "header", disposition);
  for (const [name, words] of unfamiliar) {
    const directive = getDirective(policy, name);
    if (!directive) continue;
    checkDirective(directive);
    remember(name, words, directive);
  }
  return policy;
}

function textOf(name: string, words: readonly string[]): string {
  return words.length === 0 ? name : `${name} ${words.join(" ")}`;
}

/** A policy that is known to be good: most often its text is all that is asked for. */
function parseLater(text: string, disposition: Disposition): Policy {
  let directiveSet: Policy["directiveSet"] | undefined;
  return {
    get directiveSet() {
      directiveSet ??= parsePolicy(text, "header", disposition).directiveSet;
      return directiveSet;
    },
    disposition,
    source: "header",
    text,
    ignored: [],
  };
}

function wordsOf(value: string | true | readonly string[]): readonly string[] {
  if (value === true) return [];
  return typeof value === "string" ? [value] : value;
}

/**
 * Values that were accepted before, a nonce in them left out. A header is made for each response, and all but its nonce is
 * the same as in the last one: to see that is much less than to read it anew.
 */
interface Familiar {
  readonly words: readonly (string | undefined)[];
  /** Of the whole directive, where it has no nonce. */
  readonly text: string | undefined;
}
const familiar = new Map<string, Familiar[]>();
/** Values of one directive: a page's own, another route's, one that is tried. The oldest makes room. */
const mostFamiliar = 8;
/** Words of one value. */
const longestFamiliar = 200;

function familiarText(name: string, words: readonly string[]): string | undefined {
  const values = familiar.get(name);
  if (values === undefined) return undefined;
  for (const value of values) {
    if (areTheSame(value.words, words)) return value.text ?? textOf(name, words);
  }
  return undefined;
}

function areTheSame(known: Familiar["words"], words: readonly string[]): boolean {
  if (known.length !== words.length) return false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (word === known[i]) continue;
    if (known[i] !== undefined || word === undefined || !nonceExpression.test(word)) return false;
  }
  return true;
}

const nonceExpression = /^'nonce-[A-Za-z0-9+/_-]+={0,2}'$/;

function remember(name: DirectiveName, words: readonly string[], directive: Directive): void {
  if (words.length > longestFamiliar) return;
  const nonces = new Set<string>();
  for (const token of directive.value) {
    if ("type" in token && token.type === "nonce-source") nonces.add(token.text);
  }
  const kept = words.map((word) => (nonces.has(word) ? undefined : word));
  const text = kept.includes(undefined) ? undefined : textOf(name, words);
  const values = familiar.get(name) ?? [];
  familiar.set(name, values);
  values.unshift({ words: kept, text });
  values.length = Math.min(values.length, mostFamiliar);
}

/**
 * `base` with further sources for what `directive` decides. A list that is missing starts as the one that it falls back
 * to, so that nothing is lost that was allowed before; where no list decides, everything is allowed already.
 */
export function allowSources(
  base: PolicyDirectives,
  directive: EffectiveDirective,
  sources: readonly SourceText[],
): PolicyDirectives {
  const name = decidingDirective(base, directive);
  if (!name) return base;
  const list = base[name]?.filter((source) => source.toLowerCase() !== "'none'") ?? [];
  // Never the list of something wider, which would allow it there, too.
  const own = name === directive ? name : general(directive);
  return { ...base, [own]: [...new Set([...list, ...sources])] };
}

/** Which of the lists in `base` decides. */
export function decidingDirective(
  base: PolicyDirectives,
  directive: EffectiveDirective,
): FetchDirectiveName | undefined {
  return fetchDirectiveFallbackLists[directive].find((name) => base[name] !== undefined);
}

/** `script-src` for `script-src-elem`, which browsers of Level 2 do not know. */
function general(directive: EffectiveDirective): FetchDirectiveName {
  if (directive.startsWith("script-src")) return "script-src";
  return directive.startsWith("style-src") ? "style-src" : directive;
}

/** Directives whose value may be empty. */
const emptyAllowed: ReadonlySet<string> = new Set<DirectiveName>([
  "sandbox",
  "upgrade-insecure-requests",
  "block-all-mixed-content",
]);

/** What would end the token, the directive or the policy, and what browsers drop the directive for. */
function checkCharacters(name: string, word: string): void {
  if (/^[!-+\--:<-~]+$/.test(word)) return;
  throw new CspError(
    "separator-in-value",
    `${name}: ${JSON.stringify(word)} has to be visible ASCII without spaces, commas and semicolons`,
  );
}

function checkDirective(directive: Directive): void {
  const { name } = directive;
  if (directive.value.length === 0 && !emptyAllowed.has(name)) {
    throw new CspError("missing-value", `${name} has no value; write 'none' to allow nothing`);
  }
  if (directive.type === "unknown") return;
  for (const token of directive.value) {
    if (token.type === "invalid") {
      const code = directive.type === "no-value" ? "unexpected-value" : "invalid-value";
      throw new CspError(code, `${name} cannot have ${token.text}`);
    }
    if (token.type === "none" && directive.value.length > 1) {
      throw new CspError("none-not-alone", `${name}: 'none' means nothing beside other values`);
    }
    if (token.type === "hash-source") checkHashLength(name, token);
  }
}

/** The characters of a digest in base64, padding included: browsers compare strings, so a shorter one never matches. */
const base64Length: Readonly<Record<HashAlgorithm, number>> = {
  sha256: 44,
  sha384: 64,
  sha512: 88,
};

function checkHashLength(name: string, { hashAlgorithm, base64Value, text }: HashSource): void {
  const expected = base64Length[hashAlgorithm];
  if (base64Value.length === expected) return;
  throw new CspError(
    "hash-length",
    `${name}: ${text} has ${base64Value.length} characters of base64, ${hashAlgorithm} needs ${expected}`,
  );
}

/** 144 random bits as 24 characters of base64: for one response, never kept. */
export function createNonce(): string {
  return toBase64(crypto.getRandomValues(new Uint8Array(18)));
}

/**
 * The source expression that allows `content` inline. Give the text between the tags exactly as the parser hands it
 * on: character references are not decoded in scripts and styles, and CR LF is already LF.
 */
export async function hashSource(
  content: string | Uint8Array<ArrayBuffer>,
  algorithm: HashAlgorithm = "sha256",
): Promise<HashExpression> {
  return `'${algorithm}-${await digest(content, algorithm)}'`;
}

/** The value of an `integrity` attribute for a file's bytes. */
export async function integrityOf(
  content: string | Uint8Array<ArrayBuffer>,
  algorithm: HashAlgorithm = "sha384",
): Promise<`${HashAlgorithm}-${string}`> {
  return `${algorithm}-${await digest(content, algorithm)}`;
}

const webCryptoNames = { sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" } as const;

/** The digest of UTF-8 or bytes, in base64. */
export async function digest(
  content: string | Uint8Array<ArrayBuffer>,
  algorithm: HashAlgorithm,
): Promise<string> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return toBase64(new Uint8Array(await crypto.subtle.digest(webCryptoNames[algorithm], bytes)));
}

function toBase64(bytes: Uint8Array<ArrayBuffer>): string {
  return btoa(String.fromCharCode(...bytes));
}
