/**
 * Policies that are proposed for a site: each source with what it was seen for, so that nothing is allowed unseen.
 * @module
 */
import type { DirectiveName } from "../policy/directives.ts";
import { type Policy, parsePolicy } from "../policy/policy.ts";
import { buildPolicy, type PolicyDirectives } from "./build.ts";

/** A directive whose value is a list of sources. */
export type SourceDirective = Exclude<
  Extract<DirectiveName, `${string}-src${string}`> | "base-uri" | "form-action",
  "fenced-frame-src"
>;

/** Something that was found in a file, or seen in a browser. */
export interface Evidence {
  /** The page: a file's path in the site, or a URL. */
  readonly page: string;
  /** A URL, or the beginning of the code. */
  readonly what: string;
  /** Lines and columns from 1. */
  readonly line?: number;
  readonly column?: number;
  /** Who put it there: the page's HTML, or a script. Absent where nobody can tell. */
  readonly insertedBy?: "parser" | "script";
  readonly times: number;
}

/**
 * What a source needs before it is let in: nothing; somebody's word that the third party is meant; or another look,
 * because it opens a hole (`'unsafe-eval'`, `'unsafe-hashes'`, `data:` scripts), and it is better to change the page.
 */
export type Concern = "none" | "third-party" | "unsafe";

/** A source that the policy would need, and why. */
export interface ProposedSource {
  readonly directive: SourceDirective;
  readonly expression: string;
  readonly concern: Concern;
  readonly evidence: readonly Evidence[];
}

/** More pieces of evidence for one source than anybody reads. */
const maxEvidence = 20;

/** Gathers sources and their evidence. */
export class Sightings {
  readonly #sources = new Map<string, ProposedSource & { evidence: Evidence[] }>();

  add(
    source: Omit<ProposedSource, "evidence">,
    { times = 1, ...evidence }: Omit<Evidence, "times"> & { readonly times?: number },
  ): void {
    const key = `${source.directive} ${source.expression}`;
    const known = this.#sources.get(key) ?? { ...source, evidence: [] };
    this.#sources.set(key, known);
    const again = known.evidence.findIndex(
      (other) => other.page === evidence.page && other.what === evidence.what,
    );
    const seen = known.evidence[again];
    if (seen) known.evidence[again] = { ...seen, times: seen.times + times };
    else if (known.evidence.length < maxEvidence) known.evidence.push({ ...evidence, times });
  }

  /** Of other sightings, all. */
  join(others: Iterable<ProposedSource>): void {
    for (const { evidence, ...source } of others) {
      for (const piece of evidence) this.add(source, piece);
    }
  }

  sources(): ProposedSource[] {
    return [...this.#sources.values()];
  }
}

/** The order in which a policy is written. */
const directiveOrder: readonly SourceDirective[] = [
  "default-src",
  "script-src",
  "script-src-elem",
  "script-src-attr",
  "style-src",
  "style-src-elem",
  "style-src-attr",
  "img-src",
  "font-src",
  "media-src",
  "connect-src",
  "frame-src",
  "child-src",
  "worker-src",
  "manifest-src",
  "object-src",
  "base-uri",
  "form-action",
];

/**
 * The policy of those sources: nothing else is allowed. `directives` come in place of what was proposed for theirs.
 * Throws `CspError` when they cannot be in a policy.
 */
export function proposePolicy(
  sources: readonly ProposedSource[],
  directives: PolicyDirectives = {},
): Policy {
  const lists = new Map<string, string[]>([
    ["default-src", []],
    ["base-uri", []],
    ["form-action", []],
  ]);
  for (const { directive, expression } of sources) {
    const list = lists.get(directive) ?? [];
    lists.set(directive, list);
    if (!list.includes(expression)) list.push(expression);
  }
  const proposed = directiveOrder.flatMap((name) => {
    const list = lists.get(name);
    if (!list) return [];
    return [[name, list.length === 0 ? ["'none'"] : list.toSorted(byKind)] as const];
  });
  return buildPolicy({ ...Object.fromEntries(proposed), ...directives });
}

/** Keywords, hosts and schemes, nonces and hashes; each in the order in which they were seen. */
function byKind(a: string, b: string): number {
  return kind(a) - kind(b);
}

function kind(expression: string): number {
  if (expression === "'self'") return 0;
  if (!expression.startsWith("'")) return 1;
  return expression.includes("-") && /^'(?:nonce|sha\d+)-/.test(expression) ? 2 : 3;
}

/** The narrowest source for a URL, or `null` where no source expression can name it. */
export function sourceFor(
  url: URL,
  site: URL,
  directive: SourceDirective,
): Omit<ProposedSource, "evidence"> | null {
  if (url.origin === site.origin && url.origin !== "null") {
    return { directive, expression: "'self'", concern: "none" };
  }
  const isWeb = /^(?:https?|wss?):$/.test(url.protocol);
  // 'self' means the WebSockets of the same host, too (CSP #match-url-to-source-expression).
  const secure = url.protocol === "wss:" || site.protocol === "http:";
  if (/^wss?:$/.test(url.protocol) && url.host === site.host && secure) {
    return { directive, expression: "'self'", concern: "none" };
  }
  if (!isWeb) {
    if (url.protocol === "blob:" && url.pathname.startsWith(`${site.origin}/`)) {
      return { directive, expression: "blob:", concern: runs.has(directive) ? "unsafe" : "none" };
    }
    const concern = runs.has(directive) || directive === "object-src" ? "unsafe" : "none";
    return { directive, expression: url.protocol, concern };
  }
  const exact = runs.has(directive) || directive.startsWith("style-src");
  const path = exact ? url.pathname.replace(/[;,$]/g, percentEncode) : "";
  const expression = `${url.protocol}//${url.host}${path}`;
  const [written] = parsePolicy(`img-src ${expression}`).directiveSet;
  if (written?.type !== "source-list" || written.value[0]?.type !== "host-source") return null;
  return { directive, expression, concern: "third-party" };
}

/** Directives about code. */
const runs: ReadonlySet<string> = new Set<SourceDirective>([
  "script-src",
  "script-src-elem",
  "worker-src",
]);

/** What would end the token or the directive, and what nginx would take for a variable. */
function percentEncode(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
