/**
 * The header names from before `Content-Security-Policy`, and what the browsers that know no other honoured in them.
 *
 * `X-Content-Security-Policy` was Firefox's (4 to 22), in a dialect of its own: `allow` for `default-src`, `options` for inline scripts and
 * eval, `xhr-src` for `connect-src`, names without quotes. Internet Explorer 10 and 11 took it for `sandbox` alone. `X-WebKit-CSP` was
 * Chrome's (14 to 24) and Safari's (5.1 to 6), in the words of Level 1. Today no browser reads either.
 * @module
 */
import { type Directive, parseDirective } from "./directives.ts";
import { policyAtLevel } from "./levels.ts";
import { type Disposition, type Policy, parsePolicyList } from "./policy.ts";
import { type Token, token } from "./source-list.ts";

export type LegacyBrowser =
  | "Firefox 4–22"
  | "Internet Explorer 10–11"
  | "Chrome 14–24, Safari 5.1–6";

/** Something in a header that a browser did otherwise with than one may think. */
export interface LegacyNote {
  /**
   * - `only-sandbox`: the directive was not looked at.
   * - `unknown`: the directive or expression was not known.
   * - `no-default`: neither `allow` nor `default-src`: everything was blocked.
   * - `policy-uri`: the policy was fetched from there, and is not known here; beside other directives it blocked everything.
   */
  readonly reason: "only-sandbox" | "unknown" | "no-default" | "policy-uri";
  readonly token: Token;
}

export interface LegacyView {
  readonly browser: LegacyBrowser;
  /** The header it was read from, in lower case. */
  readonly header: string;
  /**
   * The same in today's words. Tokens have the spans of what they stand for.
   */
  readonly policies: readonly Policy[];
  readonly notes: readonly LegacyNote[];
}

const headers = [
  ["x-content-security-policy", "enforce", mozilla, "Firefox 4–22"],
  ["x-content-security-policy-report-only", "report", mozilla, "Firefox 4–22"],
  ["x-content-security-policy", "enforce", internetExplorer, "Internet Explorer 10–11"],
  ["x-webkit-csp", "enforce", webkit, "Chrome 14–24, Safari 5.1–6"],
  ["x-webkit-csp-report-only", "report", webkit, "Chrome 14–24, Safari 5.1–6"],
] as const;

/** What each old browser made of a response's headers; nothing for a browser that found none of its own. */
export function parseLegacyHeaders(response: {
  readonly headers: { get(name: string): string | null };
}): LegacyView[] {
  const views: LegacyView[] = [];
  for (const [header, disposition, read, browser] of headers) {
    const value = response.headers.get(header);
    if (value === null) continue;
    const notes: LegacyNote[] = [];
    const policies = parsePolicyList(value, disposition satisfies Disposition).flatMap((policy) =>
      read(policy, notes),
    );
    views.push({ browser, header, policies, notes });
  }
  return views;
}

function internetExplorer(policy: Policy, notes: LegacyNote[]): Policy[] {
  const directiveSet = policy.directiveSet.filter((directive) => {
    const isSandbox = directive.name === "sandbox";
    if (!isSandbox) notes.push({ reason: "only-sandbox", token: nameToken(directive) });
    return isSandbox;
  });
  return directiveSet.length > 0 ? [{ ...policy, directiveSet }] : [];
}

function webkit(policy: Policy, notes: LegacyNote[]): Policy[] {
  const view = policyAtLevel(policy, 1);
  for (const { reason, token } of view.notes) {
    if (reason !== "path") notes.push({ reason: "unknown", token });
  }
  return [view.policy];
}

const mozillaNames: ReadonlyMap<string, string> = new Map([
  ["allow", "default-src"],
  ["default-src", "default-src"],
  ["xhr-src", "connect-src"],
  ["script-src", "script-src"],
  ["object-src", "object-src"],
  ["img-src", "img-src"],
  ["media-src", "media-src"],
  ["style-src", "style-src"],
  ["font-src", "font-src"],
  ["frame-src", "frame-src"],
  ["frame-ancestors", "frame-ancestors"],
  ["report-uri", "report-uri"],
]);

const mozillaOptions: ReadonlyMap<string, string> = new Map([
  ["inline-script", "'unsafe-inline'"],
  ["eval-script", "'unsafe-eval'"],
]);

function mozilla(policy: Policy, notes: LegacyNote[]): Policy[] {
  const values = new Map<string, { tokens: Token[]; at: Directive }>();
  const options: Token[] = [];
  let isElsewhere = false;
  for (const directive of policy.directiveSet) {
    const { name, value } = directive;
    if (name === "policy-uri") {
      isElsewhere = true;
      notes.push({ reason: "policy-uri", token: nameToken(directive) });
      continue;
    }
    if (name === "options") {
      for (const option of value) {
        const keyword = mozillaOptions.get(option.text.toLowerCase());
        if (keyword) options.push({ ...option, text: keyword });
        else notes.push({ reason: "unknown", token: plain(option) });
      }
      continue;
    }
    const today = mozillaNames.get(name);
    if (!today) notes.push({ reason: "unknown", token: nameToken(directive) });
    else if (!values.has(today)) values.set(today, { tokens: value.map(quoted), at: directive });
  }
  if (isElsewhere && values.size === 0) return [];

  const fallback = values.get("default-src");
  if (!fallback || isElsewhere) {
    const [first] = policy.directiveSet;
    if (!first) return [];
    if (!fallback) notes.push({ reason: "no-default", token: nameToken(first) });
    const none = { ...first, text: "'none'" };
    return [{ ...policy, directiveSet: [parseDirective("default-src", [plain(none)], first)] }];
  }
  const script = values.get("script-src") ?? fallback;
  values.set("script-src", { ...script, tokens: [...script.tokens, ...options] });
  // Inline styles were not looked at.
  const style = values.get("style-src") ?? fallback;
  const inline = token("'unsafe-inline'", style.at.offset);
  values.set("style-src", { ...style, tokens: [...style.tokens, inline] });
  const directiveSet = Array.from(values, ([name, { tokens, at }]) =>
    parseDirective(name, tokens, at),
  );
  return [{ ...policy, directiveSet }];
}

/** `self` and `none` had no quotes. */
function quoted(value: Token): Token {
  const lower = value.text.toLowerCase();
  const text = lower === "self" || lower === "none" ? `'${lower}'` : value.text;
  return { text, offset: value.offset, length: value.length };
}

function nameToken({ name, offset }: Directive): Token {
  return token(name, offset);
}

function plain({ text, offset, length }: Token): Token {
  return { text, offset, length };
}
