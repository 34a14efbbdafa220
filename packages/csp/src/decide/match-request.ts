/**
 * Nonces, integrity metadata, requests and responses against source lists.
 * CSP #match-nonce-to-source-list, #match-integrity-metadata-to-source-list, #match-request-to-source-list,
 * #match-response-to-source-list; Subresource Integrity, "parse metadata".
 * @module
 */
import {
  type HashAlgorithm,
  type HashSource,
  hashAlgorithms,
  type NonceSource,
  parseSourceExpression,
  type SourceExpression,
} from "../policy/source-list.ts";
import { doesUrlMatchSourceList, type Matching } from "./match-url.ts";
import type { Profile } from "./profile.ts";
import type { Request } from "./request.ts";

type SourceList = readonly SourceExpression[];

/** #match-nonce-to-source-list. Gives the expression that matches; `null` where none does. */
export function doesNonceMatchSourceList(nonce: string, list: SourceList): NonceSource | null {
  if (nonce === "") return null;
  for (const expression of list) {
    if (expression.type === "nonce-source" && expression.base64Value === nonce) return expression;
  }
  return null;
}

/** One `algorithm-value` of an `integrity` attribute. */
export interface IntegritySource {
  readonly hashAlgorithm: HashAlgorithm;
  readonly base64Value: string;
}

/** Subresource Integrity, "parse metadata". What is no known algorithm's hash is left out, options are dropped. */
export function parseIntegrityMetadata(metadata: string): IntegritySource[] {
  const sources: IntegritySource[] = [];
  for (const item of metadata.split(/[\t\n\f\r ]+/)) {
    const [expression = ""] = item.split("?", 1);
    const dash = expression.indexOf("-");
    if (dash < 0) continue;
    const name = expression.slice(0, dash).toLowerCase();
    const hashAlgorithm = hashAlgorithms.find((known) => known === name);
    if (hashAlgorithm) sources.push({ hashAlgorithm, base64Value: expression.slice(dash + 1) });
  }
  return sources;
}

/**
 * #match-integrity-metadata-to-source-list: every hash of the metadata has to be listed. Gives the expressions that
 * match; `null` where one is missing or there is none.
 */
export function doesIntegrityMetadataMatchSourceList(
  metadata: string,
  list: SourceList,
  profile: Profile,
): readonly HashSource[] | null {
  if (metadata === "") return null;
  const expressions = list.flatMap((expression) => hashOf(expression, profile) ?? []);
  if (expressions.length === 0) return null;
  const sources = parseIntegrityMetadata(metadata);
  if (sources.length === 0) return null;
  const matched: HashSource[] = [];
  for (const source of sources) {
    const expression = expressions.find((listed) => isSameHash(listed, source, profile));
    if (!expression) return null;
    matched.push(expression);
  }
  return matched;
}

/** Whether an expression lists a hash; base64url is read as base64 (#match-element-to-source-list, step 5). */
export function isSameHash(
  expression: HashSource,
  { hashAlgorithm, base64Value }: IntegritySource,
  profile: Profile,
): boolean {
  if (expression.hashAlgorithm !== hashAlgorithm || !hashOf(expression, profile)) return false;
  const value = base64Value.replaceAll("-", "+").replaceAll("_", "/");
  if (expression.base64Value === value) return true;
  if (!profile.has("hash-padding-optional")) return false;
  return withoutPadding(expression.base64Value) === withoutPadding(value);
}

/** The hash that an expression is to the browser, if it is one. */
export function hashOf(expression: SourceExpression, profile: Profile): HashSource | null {
  const source = withHyphenRead(expression, profile);
  if (source.type !== "hash-source") return null;
  if (!profile.has("hash-has-to-decode")) return source;
  const digits = withoutPadding(source.base64Value).length;
  // Of four characters one is too few, and padding may fill up no more than the four.
  const decodes = digits % 4 !== 1 && source.base64Value.length <= Math.ceil(digits / 4) * 4;
  return decodes ? source : null;
}

function withHyphenRead(expression: SourceExpression, profile: Profile): SourceExpression {
  if (expression.type !== "invalid" || !profile.has("hash-name-hyphenated")) return expression;
  const { text } = expression;
  if (!/^'sha-(?:256|384|512)-/i.test(text)) return expression;
  const read = parseSourceExpression({
    ...expression,
    text: `'sha${text.slice(5)}`,
    length: text.length - 1,
  });
  // Its place and its words stay what they are in the policy.
  return read.type === "hash-source" ? { ...read, text, length: expression.length } : expression;
}

/** #match-request-to-source-list. */
export function doesRequestMatchSourceList(
  request: Request,
  list: SourceList,
  selfOrigin: string,
  profile: Profile,
): SourceExpression | null {
  return doesUrlMatchSourceList(request.currentUrl, list, matching(request, selfOrigin, profile));
}

/** #match-response-to-source-list. */
export function doesResponseMatchSourceList(
  response: { readonly url: URL },
  request: Request,
  list: SourceList,
  selfOrigin: string,
  profile: Profile,
): SourceExpression | null {
  return doesUrlMatchSourceList(response.url, list, matching(request, selfOrigin, profile));
}

function matching(request: Request, selfOrigin: string, profile: Profile): Matching {
  const { redirectCount, destination } = request;
  const isFramed = destination === "iframe" || destination === "frame";
  return { selfOrigin, redirectCount, profile, isFramed };
}

function withoutPadding(base64: string): string {
  return base64.replace(/={1,2}$/, "");
}
