/**
 * Policies: from text to values and back.
 * CSP #framework-policy, #parse-serialized-policy, #parse-response-csp, #meta-element.
 * @module
 */
import {
  createDirective,
  createDirectiveLater,
  type Directive,
  type DirectiveName,
  type DirectiveNamed,
  type Reading,
  readingOf,
} from "./directives.ts";
import { type Token, token } from "./source-list.ts";

export type Disposition = "enforce" | "report";
export type PolicySource = "header" | "meta";

/** A directive that stands in the text and has no effect. */
export interface IgnoredDirective extends Token {
  readonly reason: "duplicate" | "not-ascii" | "not-in-meta";
}

/** #framework-policy */
export interface Policy {
  readonly directiveSet: readonly Directive[];
  readonly disposition: Disposition;
  readonly source: PolicySource;
  /** What was parsed, without the white space around it; what browsers put into a report's `originalPolicy`. */
  readonly text: string;
  /** Left out of `directiveSet`, and kept for whoever wants to tell the author. */
  readonly ignored: readonly IgnoredDirective[];
}

/** #framework-policy: the policies in force for a page, and what `'self'` means in them. */
export interface CspList {
  readonly policies: readonly Policy[];
  /** A serialized origin; `"null"` when opaque. */
  readonly selfOrigin: string;
}

/**
 * #parse-serialized-policy. Any text gives a policy, if need be one with no directive. A header's bytes are
 * expected to be decoded one to one, as `fetch` and Node do.
 */
export function parsePolicy(
  serialized: string,
  source: PolicySource = "header",
  disposition: Disposition = "enforce",
): Policy {
  return parseToken(token(serialized, 0), source, disposition);
}

/**
 * One header's value: policies separated by commas (#csp-header, #cspro-header). Those with no directive are left
 * out, as in #parse-response-csp. Offsets count from the start of `value`.
 */
export function parsePolicyList(value: string, disposition: Disposition = "enforce"): Policy[] {
  const policies: Policy[] = [];
  let offset = 0;
  for (const part of value.split(",")) {
    // Of nothing but ASCII white space comes no directive, and a header can be all commas.
    if (strip(part) !== "") {
      const policy = parseToken(token(part, offset), "header", disposition);
      if (policy.directiveSet.length > 0) policies.push(policy);
    }
    offset += part.length + 1;
  }
  return policies;
}

/** #parse-response-csp. Takes a `Response`; several headers of one name are read as `get` joins them. */
export function parseResponsePolicies(response: {
  readonly headers: { get(name: string): string | null };
  readonly url: string;
}): CspList {
  const { headers, url } = response;
  const enforced = headers.get("content-security-policy") ?? "";
  const reported = headers.get("content-security-policy-report-only") ?? "";
  return {
    policies: [...parsePolicyList(enforced, "enforce"), ...parsePolicyList(reported, "report")],
    selfOrigin: URL.canParse(url) ? new URL(url).origin : "null",
  };
}

const notInMeta: ReadonlySet<string> = new Set(["frame-ancestors", "report-uri", "sandbox"]);

/** A `meta` element's `content`. HTML removes three directives from it (#meta-element). */
export function parseMetaPolicy(content: string): Policy {
  const policy = parsePolicy(content, "meta", "enforce");
  const removed = policy.directiveSet.filter(({ name }) => notInMeta.has(name));
  const ignored = removed.map(({ offset, length }) => ({
    ...token(content.slice(offset, offset + length), offset),
    reason: "not-in-meta" as const,
  }));
  return {
    ...policy,
    directiveSet: policy.directiveSet.filter(({ name }) => !notInMeta.has(name)),
    ignored: [...policy.ignored, ...ignored],
  };
}

/** The policy's directive of that name, if it has one. */
export function getDirective<N extends DirectiveName>(
  policy: Policy,
  name: N,
): DirectiveNamed<N> | undefined {
  const found = policy.directiveSet.find((directive) => directive.name === name);
  // `parseDirective` gives a known name the type that the table has for it.
  return found as DirectiveNamed<N> | undefined;
}

/**
 * The policy as a `serialized-policy`: the directives in force, one space between tokens. Parsing it gives the same
 * directives; `policy.text` is the text as it was.
 */
export function serializePolicy(policy: Pick<Policy, "directiveSet">): string {
  let text = "";
  for (const { name, value } of policy.directiveSet) {
    text += text === "" ? name : `; ${name}`;
    for (const token of value) text += ` ${token.text}`;
  }
  return text;
}

/** Several policies as the value of one header. */
export function serializePolicyList(policies: readonly Policy[]): string {
  return policies.map(serializePolicy).join(", ");
}

function parseToken(serialized: Token, source: PolicySource, disposition: Disposition): Policy {
  const directiveSet: Directive[] = [];
  const names = new Set<string>();
  const ignored: IgnoredDirective[] = [];
  const { text, offset } = serialized;
  const hasOthers = notAscii.test(text);
  for (let start = 0; start <= text.length; ) {
    const separator = text.indexOf(";", start);
    const end = separator < 0 ? text.length : separator;
    let first = start;
    while (first < end && isWhitespace(text.charCodeAt(first))) first++;
    start = end + 1;
    if (first === end) continue;
    let nameEnd = first;
    while (nameEnd < end && !isWhitespace(text.charCodeAt(nameEnd))) nameEnd++;
    let last = end;
    while (isWhitespace(text.charCodeAt(last - 1))) last--;

    const span = { offset: offset + first, length: last - first };
    const reading = readingOf(text.slice(first, nameEnd));
    const isKept = !hasOthers || !notAscii.test(text.slice(first, last));
    if (isKept && !names.has(reading.name)) {
      names.add(reading.name);
      const read = () => readValue(text, nameEnd, last, offset, reading);
      // To put off what is short would cost more than to do it.
      const directive =
        span.length > 80
          ? createDirectiveLater(reading, read, span)
          : createDirective(reading, read(), span);
      directiveSet.push(directive);
    } else {
      const written = token(text.slice(first, last), span.offset);
      ignored.push({ ...written, reason: isKept ? "duplicate" : "not-ascii" });
    }
  }
  const stripped = strip(text);
  return { directiveSet, disposition, source, text: stripped, ignored };
}

/** Infra's "split on ASCII whitespace" of a part of the text, keeping positions, and what each word is. */
function readValue(text: string, start: number, end: number, offset: number, { parse }: Reading) {
  const value: ReturnType<typeof parse>[] = [];
  for (let index = start; index < end; ) {
    if (isWhitespace(text.charCodeAt(index))) {
      index++;
      continue;
    }
    const from = index;
    while (index < end && !isWhitespace(text.charCodeAt(index))) index++;
    value.push(parse(token(text.slice(from, index), offset + from)));
  }
  return value;
}

const notAscii = /[^\0-\x7f]/;

/** Infra's "strip leading and trailing ASCII whitespace". By index: a pattern anchored at the end would be quadratic. */
function strip(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhitespace(text.charCodeAt(start))) start++;
  while (end > start && isWhitespace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

const space = 0x20;

function isWhitespace(code: number): boolean {
  if (code > space) return false;
  return code === space || code === 0x09 || code === 0x0a || code === 0x0c || code === 0x0d;
}
