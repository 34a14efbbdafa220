/**
 * Syntax: what was written and is not in force.
 * @module
 */
import { doesUrlMatchExpression } from "../decide/match-url.ts";
import { chromium } from "../decide/profile.ts";
import {
  type Directive,
  directiveGrammars,
  isDirectiveName,
  parseDirective,
} from "../policy/directives.ts";
import type { IgnoredDirective, Policy } from "../policy/policy.ts";
import { keywords, type Token } from "../policy/source-list.ts";
import { editDistance } from "./edit-distance.ts";
import { type Draft, type Judging, quote, withDirectives } from "./judging.ts";

/** Directives that specifications once had, and what to use instead. */
const deprecated: Readonly<Record<string, string>> = {
  "block-all-mixed-content": "browsers block or upgrade mixed content without it",
  "disown-opener": "use the header Cross-Origin-Opener-Policy",
  "navigate-to": "it was removed, and no browser has it",
  "plugin-types": "no browser runs plugins; use object-src 'none'",
  "prefetch-src": "it was removed; default-src covers prefetching",
  "reflected-xss": "it was removed, as the filters that it was about",
  referrer: "use the header Referrer-Policy",
  "require-sri-for": "use the header Integrity-Policy",
};

const directiveNames = Object.keys(directiveGrammars);

export function* judgeSyntax(judging: Judging): Generator<Draft> {
  const { policy } = judging;
  for (const directive of policy.directiveSet) {
    yield* judgeName(directive, policy);
    yield* judgeSemicolons(directive, policy);
    yield* judgeValue(directive, judging);
  }
  for (const ignored of policy.ignored) yield judgeIgnored(ignored);
}

function* judgeName(directive: Directive, policy: Policy): Generator<Draft> {
  const { name, offset } = directive;
  const span = { offset, length: name.length };
  const removed = () => withDirectives(policy, { [name]: null });
  if (Object.hasOwn(deprecated, name)) {
    const message = `${name} is given up: ${deprecated[name]}.`;
    yield { type: "deprecated-directive", directive: name, span, message, mended: removed };
    return;
  }
  if (directive.type !== "unknown") return;
  if (looksLikeSource(name) && policy.directiveSet[0] === directive) {
    const message = `The policy begins with ${quote(name)}, which is a source: the comma before it ended the policy that it was meant for.`;
    yield { type: "comma-in-policy", directive: name, span, message };
    return;
  }
  const suggestion = similarDirective(name);
  const message = suggestion
    ? `${quote(name)} is no directive; ${suggestion} is.`
    : `${quote(name)} is no directive.`;
  const value = () => directive.value.map(({ text }) => text);
  const mended = () => {
    const taken = policy.directiveSet.some((other) => other.name === suggestion);
    if (suggestion === undefined || taken) return removed();
    return withDirectives(policy, { [name]: null, [suggestion]: value() });
  };
  yield { type: "unknown-directive", directive: name, span, message, mended };
}

function looksLikeSource(name: string): boolean {
  return name.startsWith("'") || name.includes("://") || name.includes(".") || name === "*";
}

/** Longer words are no slips of the hand. */
const maximumWord = 64;

function similarDirective(name: string): string | undefined {
  if (name.length > maximumWord) return undefined;
  const plain = name.replaceAll("_", "-").replace(/[:=]+$/, "");
  if (isDirectiveName(plain)) return plain;
  return directiveNames.find((known) => editDistance(plain, known, 2) <= 2);
}

function* judgeSemicolons(directive: Directive, policy: Policy): Generator<Draft> {
  for (const [index, token] of directive.value.entries()) {
    const name = token.text.toLowerCase();
    if (!isDirectiveName(name) && !Object.hasOwn(deprecated, name)) continue;
    yield {
      type: "missing-semicolon",
      directive: directive.name,
      span: token,
      message: `${name} inside ${quote(directive.name)} counts as a source, not as a directive.`,
      mended: () => {
        if (policy.directiveSet.some((other) => other.name === name)) return undefined;
        const before = directive.value.slice(0, index).map(({ text }) => text);
        const after = directive.value.slice(index + 1).map(({ text }) => text);
        return withDirectives(policy, { [directive.name]: before, [name]: after });
      },
    };
  }
}

const unquoted: ReadonlySet<string> = new Set([
  "none",
  ...keywords.map((keyword) => keyword.slice(1, -1)),
]);

function* judgeValue(directive: Directive, judging: Judging): Generator<Draft> {
  const { name, type, value } = directive;
  switch (type) {
    case "source-list":
    case "ancestor-source-list":
      for (const source of value) {
        if (source.type === "host-source" && isUnquoted(source)) {
          yield quotesMissing(directive, source, judging.policy);
        }
        if (source.type === "invalid") yield invalidSource(directive, source, judging);
        if (source.type === "none" && value.some((other) => other.text !== source.text)) {
          const [other] = value.filter(({ type }) => type !== "none");
          yield {
            type: "none-not-alone",
            directive: name,
            span: source,
            message: `'none' does not count beside ${quote(other?.text ?? "")}.`,
            mended: () => withDirectives(judging.policy, { [name]: ["'none'"] }),
          };
        }
      }
      return;
    case "unknown":
      return;
    case "sandbox":
    case "trusted-types":
    case "sink-groups":
    case "webrtc":
    case "endpoint":
    case "uri-references":
    case "no-value":
      for (const token of value) {
        if (token.type !== "invalid") continue;
        yield valueNotTaken(directive, token, judging.policy);
      }
  }
}

/** A token that the grammar of its directive, which is no source list, does not have. */
function valueNotTaken(directive: Directive, token: Token, policy: Policy): Draft {
  const { name } = directive;
  const quoted = `'${token.text}'`;
  const span = token;
  const isWord = parseDirective(name, [{ ...token, text: quoted }], token).value.every(
    (meant) => !("type" in meant) || meant.type !== "invalid",
  );
  if (isWord) {
    const value = () => directive.value.map((other) => (other === token ? quoted : other.text));
    const message = `${quote(token.text)} lacks the quotes that ${name} asks for.`;
    const mended = () => withDirectives(policy, { [name]: value() });
    return { type: "unquoted-keyword", directive: name, span, message, mended };
  }
  const message = `${quote(token.text)} is nothing that ${name} takes.`;
  const type = token.text.startsWith("'") ? "invalid-keyword" : "unexpected-value";
  const mended = () => withoutToken(policy, directive, token);
  return { type, directive: name, span, message, mended };
}

/** A host-source that is a keyword, nonce or hash without its quotes. */
function isUnquoted({ text }: Token): boolean {
  const lower = text.toLowerCase();
  return unquoted.has(lower) || /^(?:nonce|sha256|sha384|sha512)-/.test(lower);
}

function quotesMissing(directive: Directive, token: Token, policy: Policy): Draft {
  const quoted = `'${token.text}'`;
  const value = () => directive.value.map((other) => (other === token ? quoted : other.text));
  return {
    type: "unquoted-keyword",
    directive: directive.name,
    span: token,
    message: `${quote(token.text)} without quotes is the name of a host.`,
    mended: () =>
      isUnsafe(quoted)
        ? withoutToken(policy, directive, token)
        : withDirectives(policy, { [directive.name]: value() }),
  };
}

/** Whether it would open what its absence keeps shut: then mending is to delete it. */
function isUnsafe(keyword: string): boolean {
  return keyword.toLowerCase().startsWith("'unsafe-");
}

function invalidSource(directive: Directive, token: Token, judging: Judging): Draft {
  const { policy } = judging;
  const { name: directiveName } = directive;
  const { text } = token;
  const at = { directive: directiveName, span: token } as const;
  const mended = () => withoutToken(policy, directive, token);
  if (/^'nonce-/i.test(text)) {
    const message = `${quote(text)} has characters that base64 does not have, or a missing quote.`;
    return { type: "nonce-charset", ...at, message, mended };
  }
  // A hash or nonce that only lacks its quotes, with characters that no host has.
  if (isUnquoted(token)) return quotesMissing(directive, token, policy);
  if (text.startsWith("'") || text.endsWith("'") || text.startsWith('"') || text.startsWith("`")) {
    const keyword = similarKeyword(text);
    const message = keyword
      ? `${quote(text)} is no keyword; ${keyword} is.`
      : `${quote(text)} is no keyword, nonce or hash.`;
    const value = () =>
      directive.value.map((other) => (other === token && keyword ? keyword : other.text));
    return {
      type: "invalid-keyword",
      ...at,
      message,
      mended: () =>
        keyword && !isUnsafe(keyword)
          ? withDirectives(policy, { [directiveName]: value() })
          : mended(),
    };
  }
  if (text.startsWith("//")) {
    const value = () =>
      directive.value.map((other) => (other === token ? text.slice(2) : other.text));
    const message = `${quote(text)} is no source; ${quote(text.slice(2))} is.`;
    const fixed = () => withDirectives(policy, { [directiveName]: value() });
    return { type: "protocol-relative-source", ...at, message, mended: fixed };
  }
  const cut = text.replace(/[?#].*$/s, "");
  if (cut !== text) {
    const url = URL.parse(text.includes("://") ? text : `https://${text}`);
    const matching = { selfOrigin: judging.selfOrigin, redirectCount: 0, profile: chromium };
    const matches =
      url !== null && doesUrlMatchExpression(url, { ...token, type: "invalid" }, matching);
    const message = matches
      ? `${quote(text)} matches nothing by the specification; Chromium takes it for ${quote(cut)}.`
      : `${quote(text)} matches nothing.`;
    const value = () => directive.value.map((other) => (other === token ? cut : other.text));
    const fixed = () => withDirectives(policy, { [directiveName]: value() });
    return { type: "source-query", ...at, message, mended: fixed };
  }
  return { type: "invalid-source", ...at, message: `${quote(text)} is no source.`, mended };
}

function withoutToken(policy: Policy, directive: Directive, token: Token): string | undefined {
  const isList = directive.type === "source-list" || directive.type === "ancestor-source-list";
  const kept = directive.value.filter((other) => other !== token).map(({ text }) => text);
  const value = isList && kept.length === 0 ? ["'none'"] : kept;
  return withDirectives(policy, { [directive.name]: value });
}

function similarKeyword(text: string): string | undefined {
  if (text.length > maximumWord) return undefined;
  const plain = `'${text.toLowerCase().replaceAll(/['"`]/g, "").replaceAll("_", "-")}'`;
  if (plain === "'none'") return plain;
  return keywords.find((known) => editDistance(plain, known, 2) <= 2);
}

function judgeIgnored(ignored: IgnoredDirective): Draft {
  const { text, reason } = ignored;
  const name = /^[^\t\n\f\r ]*/.exec(text)?.[0].toLowerCase() ?? "";
  const at = { directive: name, span: ignored } as const;
  switch (reason) {
    case "duplicate":
      return {
        type: "duplicate-directive",
        ...at,
        message: `${quote(name)} comes again; only the first counts.`,
      };
    case "not-ascii":
      return {
        type: "not-ascii",
        ...at,
        message: `The whole directive is dropped: it holds ${notAscii(text)}.`,
      };
    case "not-in-meta":
      return {
        type: "ignored-in-meta",
        ...at,
        message: `${name} has no effect in a meta element.`,
      };
  }
}

function notAscii(text: string): string {
  const character = /[^\0-\x7f]/u.exec(text)?.[0] ?? "";
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  return `U+${code}`;
}
