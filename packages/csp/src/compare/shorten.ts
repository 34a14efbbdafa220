/**
 * A shorter policy that decides the same, for where a header is too long for a server or a CDN.
 * @module
 */
import { hashOf } from "../decide/match-request.ts";
import { withAnyPath } from "../decide/match-url.ts";
import { parseSandboxingDirective } from "../decide/sandbox.ts";
import type { Directive, SandboxToken } from "../policy/directives.ts";
import { type FetchDirectiveName, fetchDirectiveFallbackLists } from "../policy/fetch-directive.ts";
import { type Policy, parsePolicy, serializePolicy } from "../policy/policy.ts";
import {
  type AncestorSource,
  type HostSource,
  type InvalidToken,
  type Keyword,
  parseSourceExpression,
  type SourceExpression,
  type Token,
  token,
} from "../policy/source-list.ts";
import { type CompareOptions, findAllowedBy } from "./compare.ts";
import { keyOf } from "./expression.ts";
import { everySetting, type Setting } from "./question.ts";
import { isCovered } from "./witnesses.ts";

/**
 * Why something could go.
 *
 * - `ignored`: browsers don't read the directive (`policy.ignored` says why).
 * - `unknown-directive`: no specification has it.
 * - `same-as-fallback`: without it, the directive that it falls back to says the same.
 * - `never-asked`: others answer for everything that it would be asked.
 * - `repeated`: it stands there already.
 * - `invalid`: no browser understands it.
 * - `no-effect-here`: this directive doesn't look at it, or it counts for nothing beside others.
 * - `covered`: whatever it allows, the others allow.
 * - `respelled`: there is a shorter way to write it.
 */
export type ShorteningReason =
  | "ignored"
  | "unknown-directive"
  | "same-as-fallback"
  | "never-asked"
  | "repeated"
  | "invalid"
  | "no-effect-here"
  | "covered"
  | "respelled";

export interface Shortening {
  readonly reason: ShorteningReason;
  /** The directive's name, where it is known. */
  readonly directive: string | null;
  /** What went, where it stood in the text. */
  readonly token: Token;
  /** What stands in for it, where one token or directive does. */
  readonly by?: string;
}

export interface Shortened {
  readonly policy: Policy;
  readonly changes: readonly Shortening[];
}

/**
 * The policy without what it can do without, under both profiles. Without `selfOrigin`, for whatever origin. Nonces stay, and so does
 * what is there for browsers of earlier levels (`'unsafe-inline'` beside a nonce, hosts beside `'strict-dynamic'`) and for reports.
 */
export function shorten(
  policy: Policy,
  options: Pick<CompareOptions, "selfOrigin"> = {},
): Shortened {
  const changes: Shortening[] = policy.ignored.map((ignored) => {
    return { reason: "ignored", directive: null, token: plain(ignored) };
  });
  const settings = everySetting(options);
  const directives: Directive[] = [];
  for (const directive of policy.directiveSet) {
    const note: Note = (reason, gone, by) => {
      const change = { reason, directive: directive.name, token: plain(gone) };
      changes.push(by === undefined ? change : { ...change, by });
    };
    if (directive.type === "unknown") note("unknown-directive", tokenOf(directive));
    else directives.push(shortenValue(directive, note, settings));
  }
  dropDirectives(directives, policy, changes);
  const text = serializePolicy({ directiveSet: directives });
  return { policy: parsePolicy(text, policy.source, policy.disposition), changes };
}

type Note = (reason: ShorteningReason, gone: Token, by?: string) => void;

function shortenValue(
  directive: Exclude<Directive, { type: "unknown" }>,
  note: Note,
  settings: readonly Setting[],
): Directive {
  switch (directive.type) {
    case "source-list": {
      const value = shortenSources(directive.name, directive.value, note, settings);
      return { ...directive, value } as Directive;
    }
    case "ancestor-source-list": {
      const value = shortenSources(directive.name, directive.value, note, settings);
      return { ...directive, value } as Directive;
    }
    case "sandbox":
      return { ...directive, value: shortenSandbox(directive.value, note) };
    case "trusted-types": {
      const value = unique(valid(directive.value, note), note, ({ text }) => text);
      const isOpen = value.some(({ type }) => type === "wildcard");
      const isAlone = value.length === 1;
      return {
        ...directive,
        value: value.filter((item) => {
          if (item.type === "none" && !isAlone) return drop(note, "no-effect-here", item);
          return !(isOpen && item.type === "policy-name") || drop(note, "covered", item, "*");
        }),
      };
    }
    case "sink-groups":
      return {
        ...directive,
        value: unique(valid(directive.value, note), note, ({ type }) => type),
      };
    case "no-value":
      return { ...directive, value: valid(directive.value, note) };
    case "webrtc":
    case "endpoint":
    case "uri-references":
      // More than one token is another meaning here, or another report.
      return directive;
  }
}

type Source = SourceExpression | AncestorSource;

function shortenSources(
  name: string,
  list: readonly Source[],
  note: Note,
  settings: readonly Setting[],
): Source[] {
  let kept = unique(list, note, keyOf).filter((source) => {
    if (source.type === "invalid") {
      const isHash = settings.some(({ profile }) => hashOf(source, profile) !== null);
      return isHash || withAnyPath(source) !== null || drop(note, "invalid", source);
    }
    return hasEffect(name, source) || drop(note, "no-effect-here", source);
  });
  if (kept.length > 1) {
    kept = kept.filter((source) => source.type !== "none" || drop(note, "no-effect-here", source));
  }
  // Of two that cover each other the longer one goes.
  for (const source of [...kept].sort((a, b) => b.length - a.length)) {
    if (!isUrlSource(source)) continue;
    const others = kept.filter((other) => other !== source);
    if (!settings.every((setting) => isCovered(source, others, setting))) continue;
    const one = others.find((other) =>
      settings.every((setting) => isCovered(source, [other], setting)),
    );
    note("covered", source, one?.text);
    kept = others;
  }
  return kept.map((source) => respell(source, note, settings));
}

/** What the directives that look at it make of an expression. */
function hasEffect(name: string, source: Source): boolean {
  const isScript = name.startsWith("script-src") || name === "default-src";
  const isInline = isScript || name.startsWith("style-src");
  if (source.type === "hash-source") return isInline;
  if (source.type !== "keyword-source") return true;
  return effects[source.keyword]({ name, isScript, isInline });
}

interface Place {
  readonly name: string;
  readonly isScript: boolean;
  readonly isInline: boolean;
}

const inFallback = ({ name }: Place) => name === "script-src" || name === "default-src";
const effects: Readonly<Record<Keyword, (place: Place) => boolean>> = {
  "'self'": () => true,
  "'unsafe-inline'": ({ isInline }) => isInline,
  "'unsafe-hashes'": ({ name, isInline }) => isInline && name !== "style-src-elem",
  // In Chromium it covers workers, too.
  "'strict-dynamic'": ({ name, isScript }) =>
    isScript || name === "worker-src" || name === "child-src",
  "'unsafe-eval'": inFallback,
  "'wasm-unsafe-eval'": inFallback,
  "'trusted-types-eval'": inFallback,
  "'report-sample'": ({ isInline }) => isInline,
  // What is reported of is no decision; where a hash of what is loaded is wanted, it stays.
  "'report-sha256'": () => true,
  "'report-sha384'": () => true,
  "'report-sha512'": () => true,
  "'unsafe-allow-redirects'": () => false,
  "'unsafe-webtransport-hashes'": ({ name }) => name === "connect-src" || name === "default-src",
  "'inline-speculation-rules'": ({ name }) =>
    inFallback({ name } as Place) || name === "script-src-elem",
};

/** The shortest way to write a host that matches the same. */
function respell(source: Source, note: Note, settings: readonly Setting[]): Source {
  if (source.type !== "host-source") return source;
  let shortest: HostSource = source;
  for (const text of spellings(source)) {
    const candidate = parseSourceExpression(token(text, source.offset));
    if (candidate.type !== "host-source" || candidate.length >= shortest.length) continue;
    const isSame = settings.every(
      (setting) =>
        isCovered(source, [candidate], setting) && isCovered(candidate, [source], setting),
    );
    if (isSame) shortest = candidate;
  }
  if (shortest !== source) note("respelled", source, shortest.text);
  return shortest;
}

function spellings({ schemePart, hostPart, portPart, pathPart }: HostSource): string[] {
  const schemes = new Set(["", schemePart ? `${schemePart}://` : ""]);
  const ports = new Set(["", portPart === null ? "" : `:${portPart}`]);
  const paths = new Set(["", pathPart]);
  return [...schemes].flatMap((scheme) =>
    [...ports].flatMap((port) => [...paths].map((path) => `${scheme}${hostPart}${port}${path}`)),
  );
}

function shortenSandbox(
  value: readonly (SandboxToken | InvalidToken)[],
  note: Note,
): SandboxToken[] {
  const flagsOf = (tokens: readonly SandboxToken[]) =>
    parseSandboxingDirective(tokens.map(({ keyword }) => keyword)).size;
  let kept = unique(valid(value, note), note, ({ keyword }) => keyword);
  for (const keyword of kept) {
    const others = kept.filter((other) => other !== keyword);
    // Keywords only lift flags: as many flags are the same ones.
    if (flagsOf(others) !== flagsOf(kept)) continue;
    note("covered", keyword);
    kept = others;
  }
  return kept;
}

/**
 * Leaves out directives without which others say the same. First those that repeat another, which is asked more then, and may
 * itself repeat the next.
 */
function dropDirectives(directives: Directive[], policy: Policy, changes: Shortening[]): void {
  for (const wanted of ["same-as-fallback", "same-as-fallback", "never-asked"] as const) {
    for (const directive of directives.slice()) {
      const found = whyDroppable(directive, directives);
      if (found?.reason !== wanted) continue;
      const others = directives.filter((other) => other !== directive);
      if (!isSame({ ...policy, directiveSet: directives }, { ...policy, directiveSet: others }))
        continue;
      const { name } = directive;
      const change = { reason: wanted, directive: name, token: tokenOf(directive) };
      changes.push(found.by === null ? change : { ...change, by: found.by });
      directives.splice(directives.indexOf(directive), 1);
    }
  }
}

/** A first look, which the engine then confirms. */
function whyDroppable(
  directive: Directive,
  directives: readonly Directive[],
): { readonly reason: "same-as-fallback" | "never-asked"; readonly by: string | null } | null {
  const fallback = fallbackOf(directive, directives);
  if (fallback === "none") return null;
  if (fallback === null) return { reason: "never-asked", by: null };
  return sameList(directive, fallback) ? { reason: "same-as-fallback", by: fallback.name } : null;
}

/** The next directive in line; `null` where nothing is asked of this one, `none` where nothing is next. */
function fallbackOf(
  directive: Directive,
  directives: readonly Directive[],
): Directive | null | "none" {
  const find = (name: FetchDirectiveName) => directives.find((other) => other.name === name);
  let next: Directive | null = null;
  for (const list of Object.values(fetchDirectiveFallbackLists)) {
    const [first, second] = list.flatMap((name) => find(name) ?? []);
    if (first !== directive) continue;
    if (!second) return "none";
    next ??= second;
  }
  if (directive.name === "script-src") next ??= find("default-src") ?? null;
  const isFetch = Object.values(fetchDirectiveFallbackLists).some((list) =>
    list.some((name) => name === directive.name),
  );
  return isFetch ? next : "none";
}

function sameList(a: Directive, b: Directive): boolean {
  if (a.type !== "source-list" || b.type !== "source-list") return false;
  const [keysA, keysB] = [new Set(a.value.map(keyOf)), new Set(b.value.map(keyOf))];
  return keysA.size === keysB.size && [...keysA].every((key) => keysB.has(key));
}

/** Whether both decide alike. The lists are the same, so that one origin is as good as another. */
function isSame(a: Policy, b: Policy): boolean {
  const enforcedA: Policy = { ...a, disposition: "enforce" };
  const enforcedB: Policy = { ...b, disposition: "enforce" };
  return everySetting({ selfOrigin: "https://self.invalid" }).every(
    (setting) =>
      findAllowedBy(enforcedA, enforcedB, setting) === null &&
      findAllowedBy(enforcedB, enforcedA, setting) === null,
  );
}

function isUrlSource(source: Source): boolean {
  if (source.type === "keyword-source") return source.keyword === "'self'";
  return source.type === "host-source" || source.type === "scheme-source";
}

function unique<T extends Token>(value: readonly T[], note: Note, key: (item: T) => string): T[] {
  const seen = new Set<string>();
  return value.filter((item) => {
    const isNew = !seen.has(key(item));
    seen.add(key(item));
    return isNew || drop(note, "repeated", item);
  });
}

function valid<T extends Token & { readonly type: string }>(
  value: readonly T[],
  note: Note,
): Exclude<T, InvalidToken>[] {
  return value.filter(
    (item): item is Exclude<T, InvalidToken> =>
      item.type !== "invalid" || drop(note, "invalid", item),
  );
}

/** For use in a filter: notes it and is false. */
function drop(note: Note, reason: ShorteningReason, gone: Token, by?: string): false {
  note(reason, gone, by);
  return false;
}

function plain({ text, offset, length }: Token): Token {
  return { text, offset, length };
}

/** A directive with its value; the text that was parsed may have more white space. */
function tokenOf({ name, value, offset, length }: Directive): Token {
  return { text: [name, ...value.map(({ text }) => text)].join(" "), offset, length };
}
