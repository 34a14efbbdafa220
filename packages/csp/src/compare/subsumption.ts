/**
 * Subsumption as browsers compute it for a frame's `csp` attribute: by the expressions, not by what they allow.
 * CSP Embedded Enforcement #subsume-csp-list, #subsume-source-list, #subsume-source-expressions,
 * #intersection-source-list, #the-effective-source-list, #effective-directive.
 *
 * It is safe and not exact: what it accepts is no looser (nonces aside, whose values it must not reveal), but it may refuse a list
 * of policies that is stricter. `findAllowedBy` is exact. Where the text contradicts itself or CSP, this follows what browsers and
 * web-platform-tests do:
 *
 * - An empty source list is `'none'`, not a list that subsumes all (#subsume-source-list, steps 2 and 3).
 * - `default-src` is required of each directive that falls back to it, not left out (#subsume-policy, step 2.2).
 * - Each directive's lists are intersected as they are in force in their policies, so that no fallback is lost.
 * - Of two expressions the narrower host and port is taken, as the definition of their intersection says; its steps 11 and 16 take the
 *   other where the first is a wildcard.
 * - `'unsafe-inline'` counts for nothing beside a nonce or hash in styles, too (#the-effective-source-list names scripts alone).
 * - `*` has neither `data:` nor `blob:` (#subsume-source-list, step 7.2), as in CSP.
 * - Directives that no specification has any more (`plugin-types`) require nothing.
 * - Keywords that are newer than the text are treated as it treats `'unsafe-eval'`.
 * @module
 */

import { doesSourceListAllowAllInlineBehavior } from "../decide/match-element.ts";
import { pathPartMatches, schemePartMatches } from "../decide/match-url.ts";
import { parseSandboxingDirective, type SandboxingFlag } from "../decide/sandbox.ts";
import {
  type EffectiveDirective,
  type FetchDirectiveName,
  fetchDirectiveFallbackLists,
} from "../policy/fetch-directive.ts";
import { getDirective, type Policy } from "../policy/policy.ts";
import {
  type AncestorSource,
  type HostSource,
  parseSourceExpression,
  type SchemeSource,
  type SourceExpression,
  type Token,
  token,
} from "../policy/source-list.ts";
import { keyOf } from "./expression.ts";

/** The answer, and the first place where the returned policies are looser. */
export type Subsumption =
  | { readonly subsumes: true }
  | {
      readonly subsumes: false;
      /** The directive in which they differ; `null` where no policy was returned at all. */
      readonly directive: string | null;
      /** What the required policy doesn't have; `null` where a directive is missing altogether. */
      readonly expression: Token | null;
    };

type Source = SourceExpression | AncestorSource;
type List = readonly Source[];
type UrlSource = SchemeSource | HostSource;

/**
 * #subsume-csp-list: whether whatever the `returned` policies allow together, the `required` one allows, too. Policies that only
 * report take no part. `'self'` stands for `selfOrigin`, the response's.
 */
export function subsumes(
  required: Policy | null,
  returned: readonly Policy[],
  { selfOrigin }: { readonly selfOrigin: string },
): Subsumption {
  const known = required?.directiveSet.filter(({ type }) => type !== "unknown") ?? [];
  if (!required || required.disposition === "report" || known.length === 0) {
    return { subsumes: true };
  }
  const enforced = returned.filter(({ disposition }) => disposition === "enforce");
  if (enforced.length === 0) return { subsumes: false, directive: null, expression: null };
  for (const name of sourceListDirectives) {
    const listA = effectiveValue(required, name);
    if (!listA) continue;
    const lists = enforced.flatMap((policy) => {
      const list = effectiveValue(policy, name);
      return list ? [list] : [];
    });
    // A worker that falls back to `script-src` is checked as a script.
    const isOwn = name !== "worker-src" || listA !== effectiveValue(required, "script-src");
    const missing = findUncovered(listA, lists, isOwn ? name : "script-src", selfOrigin);
    if (missing !== undefined) return { subsumes: false, directive: name, expression: missing };
  }
  return compareSandbox(required, enforced);
}

const sourceListDirectives = [
  "child-src",
  "connect-src",
  "font-src",
  "frame-src",
  "img-src",
  "manifest-src",
  "media-src",
  "object-src",
  "script-src",
  "script-src-elem",
  "script-src-attr",
  "style-src",
  "style-src-elem",
  "style-src-attr",
  "worker-src",
  "base-uri",
  "form-action",
  "frame-ancestors",
] as const;
type SourceListDirective = (typeof sourceListDirectives)[number];

/** #effective-directive. */
function effectiveValue(policy: Policy, name: SourceListDirective): List | null {
  for (const candidate of fallbackList(name)) {
    const directive = getDirective(policy, candidate);
    if (directive) return directive.value;
  }
  return null;
}

function fallbackList(
  name: SourceListDirective,
): readonly (FetchDirectiveName | SourceListDirective)[] {
  if (name === "base-uri" || name === "form-action" || name === "frame-ancestors") return [name];
  if (name === "child-src" || name === "script-src" || name === "style-src") {
    return [name, "default-src"];
  }
  return fetchDirectiveFallbackLists[name satisfies EffectiveDirective];
}

/** #subsume-policy, step 2. `undefined` where `listA` subsumes the lists' intersection. */
function findUncovered(
  listA: List,
  lists: readonly List[],
  name: SourceListDirective,
  selfOrigin: string,
): Token | null | undefined {
  const [first, ...others] = lists.map((list) => effectiveSourceList(list, name, selfOrigin));
  if (!first) return null;
  const listB = others.reduce((list, other) => intersect(list, other), first);
  return subsumeSourceList(listA, listB, name, selfOrigin);
}

/** #the-effective-source-list. `'none'` is the empty list. */
function effectiveSourceList(list: List, name: SourceListDirective, selfOrigin: string): List {
  const [isScript, isStyle] = [name.startsWith("script-src"), name.startsWith("style-src")];
  const isDynamic = isScript && list.some((source) => isKeyword(source, "'strict-dynamic'"));
  const hasProof = list.some(({ type }) => type === "nonce-source" || type === "hash-source");
  return list.flatMap((source): List => {
    switch (source.type) {
      case "keyword-source":
        if (source.keyword === "'self'") return isDynamic ? [] : rewriteSelf(source, selfOrigin);
        if (source.keyword === "'strict-dynamic'") return isScript ? [source] : [];
        if (source.keyword === "'unsafe-inline'" && (hasProof || isDynamic)) return [];
        return isScript || isStyle || name === "connect-src" ? [source] : [];
      case "nonce-source":
      case "hash-source":
        return isScript || isStyle ? [source] : [];
      case "scheme-source":
      case "host-source":
        return isDynamic ? [] : expand(source, selfOrigin);
      case "invalid":
        return isOldHashesKeyword(source) ? [source] : [];
      case "none":
        return [];
    }
  });
}

/** `*` as the schemes that it stands for, and a scheme with the one that it is upgraded to. */
function expand(source: UrlSource, selfOrigin: string): UrlSource[] {
  const own = schemeOfOrigin(selfOrigin);
  if (source.type === "host-source" && source.text === "*") {
    const schemes = new Set(["ftp", "http", "https", "ws", "wss", ...(own ? [own] : [])]);
    const { text, offset, length } = source;
    const type = "scheme-source";
    return Array.from(schemes, (schemePart) => ({ type, text, offset, length, schemePart }));
  }
  const schemePart = source.schemePart ?? own;
  if (schemePart === null) return [];
  const secure = schemePart === "http" ? "https" : schemePart === "ws" ? "wss" : null;
  const expanded = { ...source, schemePart };
  return secure ? [expanded, { ...source, schemePart: secure }] : [expanded];
}

/** #rewrite-self. */
function rewriteSelf(source: Token, selfOrigin: string): UrlSource[] {
  const host = parseSourceExpression(token(selfOrigin, source.offset));
  // What points at the text is to point at `'self'`.
  return host.type === "host-source"
    ? expand({ ...host, text: source.text, length: source.length }, selfOrigin)
    : [];
}

/** #intersection-source-list. */
function intersect(listA: List, listB: List): List {
  const result = new Map<string, Source>();
  for (const a of listA) {
    for (const b of listB) {
      const both = intersectExpressions(a, b);
      if (both) result.set(keyOf(both), both);
    }
  }
  return [...result.values()];
}

/** #intersection-source-expression. */
function intersectExpressions(a: Source, b: Source): Source | null {
  if (!isUrlSource(a) || !isUrlSource(b)) return keyOf(a) === keyOf(b) ? a : null;
  const scheme = narrower(a, b, coversScheme);
  if (!scheme) return null;
  const schemePart = scheme.schemePart ?? "";
  if (a.type === "scheme-source") return { ...b, schemePart };
  if (b.type === "scheme-source") return { ...a, schemePart };
  const host = narrower(a, b, coversHost);
  const port = narrower(a, b, coversPort);
  const path = narrower(a, b, coversPath);
  if (!host || !port || !path) return null;
  return {
    ...a,
    schemePart,
    hostPart: host.hostPart,
    portPart: port.portPart,
    pathPart: path.pathPart,
  };
}

/** The one that the other covers. */
function narrower<T>(a: T, b: T, covers: (wide: T, narrow: T) => boolean): T | null {
  if (covers(a, b)) return b;
  return covers(b, a) ? a : null;
}

/** #subsume-source-list. Gives the expression that isn't covered; `undefined` where all are. */
function subsumeSourceList(
  listA: List,
  listB: List,
  name: SourceListDirective,
  selfOrigin: string,
): Token | undefined {
  for (const source of listB) {
    if (!isPermission(source, name)) continue;
    const covering = coveringKeywords[keyOf(source)] ?? [keyOf(source)];
    if (!listA.some((other) => covering.includes(keyOf(other)))) return source;
  }
  const type = name.startsWith("style-src") ? "style" : "script";
  if (type === "style" || name.startsWith("script-src")) {
    const looser = doesSourceListAllowAllInlineBehavior(listB, type);
    if (looser && !doesSourceListAllowAllInlineBehavior(listA, type)) return looser;
  }
  const sourcesA = listA.flatMap((source): List => {
    if (isKeyword(source, "'self'")) return rewriteSelf(source, selfOrigin);
    return isUrlSource(source) ? expand(source, selfOrigin) : [source];
  });
  return listB.find(
    (b) =>
      b.type !== "keyword-source" &&
      b.type !== "invalid" &&
      !sourcesA.some((a) => subsumesExpression(a, b)),
  );
}

/** A keyword that the required list has to have as well (#subsume-source-list, steps 4 and 5). */
function isPermission(source: Source, name: SourceListDirective): boolean {
  const isInlineList = name.startsWith("script-src") || name.startsWith("style-src");
  if (isOldHashesKeyword(source)) return isInlineList;
  if (source.type !== "keyword-source") return false;
  const { keyword } = source;
  if (keyword === "'strict-dynamic'") return name.startsWith("script-src");
  if (keyword === "'unsafe-webtransport-hashes'") return name === "connect-src";
  return isInlineList && permissions.has(keyword);
}

const permissions: ReadonlySet<string> = new Set([
  "'unsafe-eval'",
  "'unsafe-hashes'",
  "'wasm-unsafe-eval'",
  "'trusted-types-eval'",
  "'inline-speculation-rules'",
]);

/** The text's old name for `'unsafe-hashes'`, which no parser knows any more and #subsume-source-list still names. */
const oldHashesKeyword = "'unsafe-hashed-attributes'";

const coveringKeywords: Readonly<Partial<Record<string, readonly string[]>>> = {
  "'wasm-unsafe-eval'": ["'wasm-unsafe-eval'", "'unsafe-eval'"],
  "'trusted-types-eval'": ["'trusted-types-eval'", "'unsafe-eval'"],
};

/** #subsume-source-expressions. */
function subsumesExpression(a: Source, b: Source): boolean {
  if (isUrlSource(a) && isUrlSource(b)) {
    if (!coversScheme(a, b)) return false;
    if (a.type === "scheme-source") return true;
    return b.type === "host-source" && coversHost(a, b) && coversPort(a, b) && coversPath(a, b);
  }
  // Whatever their values: an embedder must not find out a nonce by asking.
  if (a.type === "nonce-source" && b.type === "nonce-source") return true;
  return a.type === "hash-source" && b.type === "hash-source" && keyOf(a) === keyOf(b);
}

function coversScheme(a: UrlSource, b: UrlSource): boolean {
  return schemePartMatches(a.schemePart ?? "", b.schemePart ?? "");
}

function coversHost(a: HostSource, b: HostSource): boolean {
  if (a.hostPart === "*" || a.hostPart === b.hostPart) return true;
  return a.hostPart.startsWith("*.") && b.hostPart.endsWith(a.hostPart.slice(1));
}

/** A port that isn't written is the scheme's default one, which an upgrade of the scheme changes. */
function coversPort(a: HostSource, b: HostSource): boolean {
  if (a.portPart === "*") return true;
  if (b.portPart === "*") return false;
  const portA = a.portPart ?? defaultPort(a);
  const portB = b.portPart ?? defaultPort(b);
  return portA === portB || (portA === 80 && portB === 443 && defaultPort(b) === 443);
}

function coversPath(a: HostSource, b: HostSource): boolean {
  return pathPartMatches(a.pathPart, b.pathPart);
}

function defaultPort({ schemePart }: HostSource): number | null {
  if (schemePart === "http" || schemePart === "ws") return 80;
  if (schemePart === "https" || schemePart === "wss") return 443;
  return schemePart === "ftp" ? 21 : null;
}

function schemeOfOrigin(origin: string): string | null {
  const end = origin.indexOf(":");
  return end < 0 ? null : origin.slice(0, end);
}

function isUrlSource(source: Source): source is UrlSource {
  return source.type === "scheme-source" || source.type === "host-source";
}

function isKeyword(source: Source, keyword: string): boolean {
  return source.type === "keyword-source" && source.keyword === keyword;
}

function isOldHashesKeyword({ type, text }: Source): boolean {
  return type === "invalid" && text.toLowerCase() === oldHashesKeyword;
}

/** #subsume-policy, step 2.9: no flag that is required may be missing. */
function compareSandbox(required: Policy, returned: readonly Policy[]): Subsumption {
  const requiredFlags = sandboxingFlags(required);
  const flags = returned.flatMap((policy) => [...sandboxingFlags(policy)]);
  const isMissing = [...requiredFlags].some((flag) => !flags.includes(flag));
  return isMissing
    ? { subsumes: false, directive: "sandbox", expression: null }
    : { subsumes: true };
}

function sandboxingFlags(policy: Policy): ReadonlySet<SandboxingFlag> {
  const directive = getDirective(policy, "sandbox");
  if (!directive) return new Set();
  return parseSandboxingDirective(
    directive.value.flatMap((value) => (value.type === "invalid" ? [] : [value.keyword])),
  );
}
