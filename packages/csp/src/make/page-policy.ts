/**
 * A policy for a page that is a file: what is inline in it is allowed by hash, what it loads is pinned by integrity.
 * CSP #strict-csp, #unsafe-hashes-usage; Subresource Integrity; HTML #import-map-integrity.
 * @module
 */
import type { EffectiveDirective } from "../policy/fetch-directive.ts";
import { parseMetaPolicy, serializePolicy } from "../policy/policy.ts";
import {
  allowSources,
  buildPolicy,
  decidingDirective,
  hashSource,
  type PolicyDirectives,
  type SourceText,
} from "./build.ts";
import type { AttributeUse, HtmlInventory } from "./html.ts";

/**
 * `base` with hashes for the page's inline scripts, styles and attributes, where `base` does not allow them already.
 * For attributes that takes `'unsafe-hashes'`. No hash allows a `javascript:` URL here: mend the page.
 */
export async function allowInline(
  base: PolicyDirectives,
  page: HtmlInventory,
): Promise<PolicyDirectives> {
  const values = (uses: readonly AttributeUse[]) => uses.map(({ attribute }) => attribute.value);
  const scripts = page.scripts.filter(({ type, src }) => type !== "data" && src === null);
  const needs: readonly (readonly [EffectiveDirective, readonly string[]])[] = [
    ["script-src-elem", scripts.map(({ text }) => text)],
    ["script-src-attr", values(page.eventHandlers)],
    ["style-src-elem", page.styles.map(({ text }) => text)],
    ["style-src-attr", values(page.styleAttributes)],
  ];
  let policy = base;
  for (const [directive, texts] of needs) {
    const filled = texts.filter((text) => text !== "");
    if (filled.length === 0 || allowsInline(policy, directive)) continue;
    const hashes: SourceText[] = await Promise.all(filled.map((text) => hashSource(text)));
    policy = allowSources(policy, directive, [
      ...(directive.endsWith("-attr") ? (["'unsafe-hashes'"] as const) : []),
      ...hashes,
    ]);
  }
  return policy;
}

/** #allow-all-inline */
function allowsInline(base: PolicyDirectives, directive: EffectiveDirective): boolean {
  const name = decidingDirective(base, directive);
  const list = (name && base[name])?.map((source) => source.toLowerCase());
  if (!list) return true;
  const strict = list.some((source) =>
    /^'(?:nonce|sha256|sha384|sha512)-|^'strict-dynamic'$/.test(source),
  );
  return list.includes("'unsafe-inline'") && !strict;
}

/** What is written into a page's text. */
export interface Insertion {
  /** In UTF-16 code units. */
  readonly at: number;
  readonly text: string;
}

/** The text with every insertion at its place; those at one place in the order given. */
export function insert(text: string, insertions: readonly Insertion[]): string {
  let result = "";
  let from = 0;
  for (const { at, text: inserted } of insertions.toSorted((a, b) => a.at - b.at)) {
    result += text.slice(from, at) + inserted;
    from = at;
  }
  return result + text.slice(from);
}

/** The policy as a `meta` element. */
export interface MetaElement {
  readonly html: string;
  /** Directives that a `meta` element cannot carry, and that only a header brings into force. */
  readonly left: readonly string[];
}

export function metaElement(directives: PolicyDirectives): MetaElement {
  const parsed = parseMetaPolicy(serializePolicy(buildPolicy(directives)));
  const left = parsed.ignored.flatMap(({ reason, text }) =>
    reason === "not-in-meta" ? [text.split(" ", 1).join()] : [],
  );
  // Visible ASCII with spaces, so that quotation marks and ampersands are all that could end or change it.
  const content = serializePolicy(parsed).replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  return { html: `<meta http-equiv="Content-Security-Policy" content="${content}">`, left };
}
