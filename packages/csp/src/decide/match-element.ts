/**
 * Inline scripts and styles, event handlers, style attributes, `javascript:` URLs.
 * CSP #matching-elements: #is-element-nonceable, #allow-all-inline, #match-element-to-source-list.
 * @module
 */
import { digest } from "../make/build.ts";
import type {
  HashAlgorithm,
  HashSource,
  KeywordSource,
  NonceSource,
  SourceExpression,
} from "../policy/source-list.ts";
import { hashOf, isSameHash } from "./match-request.ts";
import { type Profile, specification } from "./profile.ts";

type SourceList = readonly SourceExpression[];

/** #should-block-inline; `navigation` is a `javascript:` URL (#should-block-navigation-request). */
export type InlineType = "script" | "script attribute" | "style" | "style attribute" | "navigation";

/** The element that has the inline code. */
export interface InlineElement {
  /** Lower case. */
  readonly name: string;
  /** The value of its nonce, which HTML hides from the attribute; `null` when the tag had none. */
  readonly nonce: string | null;
  /** Names and values as the parser read them. */
  readonly attributes: readonly (readonly [name: string, value: string])[];
  /** Whether the tag repeated an attribute, which is a parse error. */
  readonly duplicateAttribute: boolean;
  readonly parserInserted: boolean;
}

/** Code with its digests in base64, computed beforehand because hashing is asynchronous. */
export interface InlineSource {
  readonly text: string;
  readonly digests: Readonly<Record<HashAlgorithm, string>>;
}

/**
 * Inline code, ready to be decided upon. Give the text as the parser hands it on; of a `javascript:` URL the whole of
 * it. Lone surrogates are hashed as U+FFFD, as the specification's conversion has it.
 */
export async function inlineSource(text: string): Promise<InlineSource> {
  const [sha256, sha384, sha512] = await Promise.all([
    digest(text, "sha256"),
    digest(text, "sha384"),
    digest(text, "sha512"),
  ]);
  return { text, digests: { sha256, sha384, sha512 } };
}

/** An element from what its author knows; a parser-inserted `script` where nothing else is said. */
export function inlineElement(init: Partial<InlineElement> = {}): InlineElement {
  return {
    name: "script",
    nonce: null,
    attributes: [],
    duplicateAttribute: false,
    parserInserted: true,
    ...init,
  };
}

/** What an element's match, or its failing, comes from. */
export type InlineMatch =
  | { readonly step: "unsafe-inline"; readonly expression: KeywordSource }
  | { readonly step: "nonce"; readonly expression: NonceSource }
  | { readonly step: "strict-dynamic"; readonly expression: KeywordSource }
  | { readonly step: "hash"; readonly expression: HashSource };

/** #is-element-nonceable. */
export function isElementNonceable(
  element: InlineElement,
  profile: Profile = specification,
): boolean {
  if (element.nonce === null) return false;
  if (element.name === "script") {
    for (const [name, value] of element.attributes) {
      if (opensTag.test(name) || opensTag.test(value)) return false;
    }
  }
  if (element.name !== "script" && profile.has("duplicate-attribute-of-scripts")) return true;
  return !element.duplicateAttribute;
}

const opensTag = /<script|<style/i;

/** #allow-all-inline. Gives `'unsafe-inline'` where it is in force. */
export function doesSourceListAllowAllInlineBehavior(
  list: SourceList,
  type: InlineType,
  profile: Profile = specification,
): KeywordSource | null {
  let allowAllInline: KeywordSource | null = null;
  for (const expression of list) {
    if (expression.type === "nonce-source") return null;
    if (hashOf(expression, profile)) return null;
    if (expression.type !== "keyword-source") continue;
    const isScript = type === "script" || type === "script attribute" || type === "navigation";
    if (isScript && expression.keyword === "'strict-dynamic'") return null;
    if (expression.keyword === "'unsafe-inline'") allowAllInline ??= expression;
  }
  return allowAllInline;
}

/**
 * #match-element-to-source-list. `element` is `null` for a `javascript:` URL. Gives what matched; `null` is the
 * specification's "Does Not Match".
 */
export function doesElementMatchSourceList(
  element: InlineElement | null,
  list: SourceList,
  type: InlineType,
  source: InlineSource,
  profile: Profile,
): InlineMatch | null {
  const unsafeInline = doesSourceListAllowAllInlineBehavior(list, type, profile);
  if (unsafeInline) return { step: "unsafe-inline", expression: unsafeInline };

  const isBlock = type === "script" || type === "style";
  if (isBlock && element && isElementNonceable(element, profile)) {
    for (const expression of list) {
      if (expression.type === "nonce-source" && expression.base64Value === element.nonce) {
        return { step: "nonce", expression };
      }
    }
  }

  if (!isBlock && !findKeyword(list, "'unsafe-hashes'")) return null;
  for (const expression of list) {
    if (expression.type === "keyword-source" && expression.keyword === "'strict-dynamic'") {
      if (type === "script" && element && !element.parserInserted) {
        return { step: "strict-dynamic", expression };
      }
    }
    const hash = hashOf(expression, profile);
    if (hash) {
      const { hashAlgorithm } = hash;
      const base64Value = source.digests[hashAlgorithm];
      if (isSameHash(hash, { hashAlgorithm, base64Value }, profile)) {
        return { step: "hash", expression: hash };
      }
    }
  }
  return null;
}

/** The list's expression of that keyword, if it has one. */
export function findKeyword(
  list: SourceList,
  keyword: KeywordSource["keyword"],
): KeywordSource | null {
  for (const expression of list) {
    if (expression.type === "keyword-source" && expression.keyword === keyword) return expression;
  }
  return null;
}
