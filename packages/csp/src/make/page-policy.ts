/**
 * A policy for a page that is a file: what is inline in it is allowed by hash, and so is what its integrity pins.
 * CSP #strict-csp, #unsafe-hashes-usage, #external-hash.
 * @module
 */
import { parseIntegrityMetadata } from "../decide/match-request.ts";
import type { EffectiveDirective } from "../policy/fetch-directive.ts";
import {
  allowSources,
  decidingDirective,
  type HashExpression,
  hashSource,
  type PolicyDirectives,
  type SourceText,
} from "./build.ts";
import type { AttributeUse, HtmlElement, HtmlInventory } from "./html.ts";

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

/** The hashes of an element's `integrity`, as the source expressions that allow what it loads. */
export function integrityHashes({ attributes }: HtmlElement): HashExpression[] {
  const integrity = attributes.find(({ name }) => name === "integrity");
  return parseIntegrityMetadata(integrity?.value ?? "").map(
    ({ hashAlgorithm, base64Value }): HashExpression => `'${hashAlgorithm}-${base64Value}'`,
  );
}
