/**
 * Directives: their names, and what each one's value is made of.
 * CSP #csp-directives; Trusted Types; Upgrade Insecure Requests; Mixed Content; Fenced Frame.
 * @module
 */
import {
  type AncestorSource,
  type InvalidToken,
  lookUp,
  parseAncestorSource,
  parseSourceExpression,
  type SourceExpression,
  type Span,
  type Token,
} from "./source-list.ts";

/** Every directive by name, with the grammar of its value. */
export const directiveGrammars = {
  // #directives-fetch
  "child-src": "source-list",
  "connect-src": "source-list",
  "default-src": "source-list",
  "font-src": "source-list",
  "frame-src": "source-list",
  "img-src": "source-list",
  "manifest-src": "source-list",
  "media-src": "source-list",
  "object-src": "source-list",
  "script-src": "source-list",
  "script-src-elem": "source-list",
  "script-src-attr": "source-list",
  "style-src": "source-list",
  "style-src-elem": "source-list",
  "style-src-attr": "source-list",
  // #directives-other
  webrtc: "webrtc",
  "worker-src": "source-list",
  // #directives-document
  "base-uri": "source-list",
  sandbox: "sandbox",
  // #directives-navigation
  "form-action": "source-list",
  "frame-ancestors": "ancestor-source-list",
  // #directives-reporting
  "report-uri": "uri-references",
  "report-to": "endpoint",
  // #directives-elsewhere
  "block-all-mixed-content": "no-value",
  "upgrade-insecure-requests": "no-value",
  // Trusted Types
  "require-trusted-types-for": "sink-groups",
  "trusted-types": "trusted-types",
  // Fenced Frame, Chromium alone
  "fenced-frame-src": "source-list",
} as const;

export type DirectiveName = keyof typeof directiveGrammars;

/** HTML's keywords for `iframe`'s `sandbox` attribute. */
export const sandboxKeywords = [
  "allow-downloads",
  "allow-forms",
  "allow-modals",
  "allow-orientation-lock",
  "allow-pointer-lock",
  "allow-popups",
  "allow-popups-to-escape-sandbox",
  "allow-presentation",
  "allow-same-origin",
  "allow-scripts",
  "allow-top-navigation",
  "allow-top-navigation-by-user-activation",
  "allow-top-navigation-to-custom-protocols",
] as const;
export type SandboxKeyword = (typeof sandboxKeywords)[number];

export interface SandboxToken extends Token {
  readonly type: "sandbox-keyword";
  /** Lower case. */
  readonly keyword: SandboxKeyword;
}

/** Trusted Types, `tt-expression`. */
export type TrustedTypesExpression =
  | (Token & { readonly type: "policy-name" | "wildcard" | "allow-duplicates" | "none" })
  | InvalidToken;

/** Trusted Types, `trusted-types-sink-group`: `'script'` is the only one. */
export type SinkGroup = (Token & { readonly type: "script" }) | InvalidToken;

/** #directive-webrtc. Whatever is not exactly one `'allow'` blocks. */
export type WebrtcValue = (Token & { readonly type: "allow" | "block" }) | InvalidToken;

/** #directive-report-to: a name that `Reporting-Endpoints` declares. */
export type EndpointName = (Token & { readonly type: "endpoint" }) | InvalidToken;

/** #directive-report-uri. Resolved against the document's URL when a report is sent. */
export type UriReference = (Token & { readonly type: "uri-reference" }) | InvalidToken;

/** What the tokens of a value are, by grammar. */
interface Values {
  readonly "source-list": SourceExpression;
  readonly "ancestor-source-list": AncestorSource;
  readonly sandbox: SandboxToken | InvalidToken;
  readonly "trusted-types": TrustedTypesExpression;
  readonly "sink-groups": SinkGroup;
  readonly webrtc: WebrtcValue;
  readonly endpoint: EndpointName;
  readonly "uri-references": UriReference;
  readonly "no-value": InvalidToken;
  readonly unknown: Token;
}
type Grammar = keyof Values;

type NamesOf<G extends Grammar> = G extends "unknown"
  ? string
  : { [N in DirectiveName]: (typeof directiveGrammars)[N] extends G ? N : never }[DirectiveName];

interface DirectiveOf<G extends Grammar> extends Span {
  /** The grammar of the value; `unknown` for a directive that no specification has. */
  readonly type: G;
  /** Lower case. */
  readonly name: NamesOf<G>;
  /** In the order written. #framework-directives calls it a set: a string that comes again adds nothing. */
  readonly value: readonly Values[G][];
}

/** #framework-directives. Told apart by `type`, and within a type by `name`. */
export type Directive = { [G in Grammar]: DirectiveOf<G> }[Grammar];

/** The directive of a known name. */
export type DirectiveNamed<N extends DirectiveName> = Extract<
  Directive,
  { type: (typeof directiveGrammars)[N] }
> & { readonly name: N };

/** Whether a specification has a directive of this name. Lower case is expected. */
export function isDirectiveName(name: string): name is DirectiveName {
  return Object.hasOwn(directiveGrammars, name);
}

/** A directive from its name (lower case) and the tokens of its value. */
export function parseDirective(name: string, tokens: readonly Token[], span: Span): Directive {
  const reading = readingOf(name);
  return createDirective(reading, tokens.map(reading.parse), span);
}

/** A directive from its name and what its reading made of the tokens. */
export function createDirective(
  { type, name }: Reading,
  value: readonly Values[Grammar][],
  { offset, length }: Span,
): Directive {
  // The table pairs name, grammar and parser; the compiler cannot follow the pairing.
  return { type, name, value, offset, length } as Directive;
}

/**
 * The same, with a value that is read when it is first looked at: of a policy's long directives most decisions ask one.
 */
export function createDirectiveLater(
  { type, name }: Reading,
  read: () => readonly Values[Grammar][],
  { offset, length }: Span,
): Directive {
  let value: readonly unknown[] | undefined;
  const directive = {
    type,
    name,
    get value() {
      value ??= read();
      return value;
    },
    offset,
    length,
  };
  return directive as Directive;
}

const policyName = /^[A-Za-z0-9#=_/@.%-]+$/;
const httpToken = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
const notUriChar = /[^A-Za-z0-9._~:/?#[\]@!$&'()*+=%-]|%(?![0-9A-Fa-f]{2})/;

/** Trusted Types, `tt-policy-name`. */
export function isPolicyName(text: string): boolean {
  return policyName.test(text);
}

const valueParsers: { readonly [G in Grammar]: (token: Token) => Values[G] } = {
  "source-list": parseSourceExpression,
  "ancestor-source-list": parseAncestorSource,
  sandbox(token) {
    const lower = token.text.toLowerCase();
    const keyword = sandboxKeywords.find((known) => known === lower);
    return keyword ? { ...token, type: "sandbox-keyword", keyword } : invalid(token);
  },
  "trusted-types"(token) {
    const lower = token.text.toLowerCase();
    if (lower === "'none'") return { ...token, type: "none" };
    if (lower === "'allow-duplicates'") return { ...token, type: "allow-duplicates" };
    if (lower === "*") return { ...token, type: "wildcard" };
    return isPolicyName(token.text) ? { ...token, type: "policy-name" } : invalid(token);
  },
  "sink-groups"(token) {
    return token.text.toLowerCase() === "'script'" ? { ...token, type: "script" } : invalid(token);
  },
  webrtc(token) {
    const lower = token.text.toLowerCase();
    if (lower === "'allow'") return { ...token, type: "allow" };
    return lower === "'block'" ? { ...token, type: "block" } : invalid(token);
  },
  endpoint(token) {
    return httpToken.test(token.text) ? { ...token, type: "endpoint" } : invalid(token);
  },
  "uri-references"(token) {
    return notUriChar.test(token.text) ? invalid(token) : { ...token, type: "uri-reference" };
  },
  "no-value": invalid,
  unknown: (token) => token,
};

/** How a directive is read. */
export interface Reading {
  /** Lower case. */
  readonly name: string;
  readonly type: Grammar;
  readonly parse: (token: Token) => Values[Grammar];
}

const findReading = lookUp(
  Object.entries(directiveGrammars).map(([name, type]): readonly [string, Reading] => [
    name,
    { name, type, parse: valueParsers[type] },
  ]),
);

/** How a directive of that name is read, written in whatever case. */
export function readingOf(written: string): Reading {
  const known = findReading(written);
  if (known) return known;
  const name = written.toLowerCase();
  return findReading(name) ?? { name, type: "unknown", parse: valueParsers.unknown };
}

function invalid(token: Token): InvalidToken {
  return { ...token, type: "invalid" };
}
