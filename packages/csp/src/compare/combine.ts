/**
 * Two lists of policies as one: what both allow, and what either allows.
 * @module
 */
import { doesSourceListAllowAllInlineBehavior } from "../decide/match-element.ts";
import type { DirectiveName } from "../policy/directives.ts";
import { type EffectiveDirective, fetchDirectiveFallbackLists } from "../policy/fetch-directive.ts";
import { getDirective, type Policy, parsePolicy } from "../policy/policy.ts";
import type { AncestorSource, SourceExpression } from "../policy/source-list.ts";
import { type CompareOptions, findAllowedBy, listOf, type Policies } from "./compare.ts";
import { keyOf } from "./expression.ts";
import { ask, describe, everySetting, type Question, type Setting, settingOf } from "./question.ts";
import { shorten } from "./shorten.ts";
import { questions } from "./witnesses.ts";

/**
 * What both allow, in force together: the policies of both, each shortened, without those that forbid nothing that the others don't. They
 * are judged together, as a browser does: `'trusted-types-eval'` of one side counts where the other requires the types. Policies that only
 * report and those that name where to report to stay.
 */
export function intersection(a: Policies, b: Policies, options: CompareOptions = {}): Policy[] {
  return simplify([...listOf(a), ...listOf(b)], options);
}

function simplify(policies: readonly Policy[], options: CompareOptions): Policy[] {
  let kept = policies.map((policy) => shorten(policy, options).policy);
  for (const policy of [...kept].reverse()) {
    if (policy.disposition === "report" || reports(policy)) continue;
    const others = kept.filter((other) => other !== policy);
    if (allowsNoMore(others, policy, everySetting(options))) kept = others;
  }
  return kept;
}

function reports(policy: Policy): boolean {
  return policy.directiveSet.some(({ name }) => name === "report-to" || name === "report-uri");
}

function allowsNoMore(a: Policies, b: Policies, settings: readonly Setting[]): boolean {
  return settings.every((setting) => findAllowedBy(a, b, setting) === null);
}

export interface Union {
  readonly policies: readonly Policy[];
  /**
   * Something that the policies allow and neither side does, with what it is in words; `null` where they are exact. Not
   * looked for are things of several parts, of which each side allows one: a redirect from a URL of one side's to one of the
   * other's, an `integrity` with a hash of each, a frame in an ancestor of each.
   */
  readonly excess: { readonly question: Question; readonly text: string } | null;
}

/**
 * What either allows. Where no policy can say just that (`'unsafe-inline'` on one side and a nonce on the other, hosts and
 * `'strict-dynamic'`), what it allows beyond is as little as this finds, and `excess` shows some of it. Nothing that either side allows is
 * lost. Policies that only report take no part.
 */
export function union(a: Policies, b: Policies, options: CompareOptions = {}): Union {
  const [listA, listB] = [listOf(a), listOf(b)].map((list) =>
    list.filter(({ disposition }) => disposition === "enforce"),
  );
  if (!listA || !listB) return { policies: [], excess: null };
  // What both of several policies allow, or another does, is what each of them or the other allows, all together.
  const pairs = listA.flatMap((one) => listB.flatMap((other) => unite(one, other, options)));
  const policies = simplify(pairs, options);
  return { policies, excess: findExcess(policies, listA, listB, options) };
}

function findExcess(
  policies: readonly Policy[],
  a: readonly Policy[],
  b: readonly Policy[],
  options: CompareOptions,
): Union["excess"] {
  const setting = settingOf(options);
  const isAllowed = (question: Question, by: readonly Policy[]) =>
    ask(question, by, setting).result === "Allowed";
  for (const question of questions([...policies, ...a, ...b], setting)) {
    if (isAllowed(question, a) || isAllowed(question, b)) continue;
    if (isAllowed(question, policies)) return { question, text: describe(question) };
  }
  return null;
}

/** The union of two policies: the exact one where there is one, or else all that are wide enough, to be in force together. */
function unite(a: Policy, b: Policy, options: CompareOptions): Policy[] {
  const wideEnough: Policy[] = [];
  // Lists that are put together have what they had, whatever the origin.
  const settings = everySetting({ selfOrigin: settingOf(options).selfOrigin, ...options });
  for (const without of omissions) {
    const policy = join(a, b, new Set<DirectiveName>(without));
    if (!allowsNoMore(a, policy, settings) || !allowsNoMore(b, policy, settings)) continue;
    if (findExcess([policy], [a], [b], options) === null) return [policy];
    wideEnough.push(policy);
  }
  return wideEnough;
}

const workers = ["worker-src", "child-src"] as const;
const scripts = ["script-src", "script-src-elem", "default-src"] as const;
const scriptAttributes = ["script-src-attr", "script-src", "default-src"] as const;
const styles = ["style-src", "style-src-elem", "default-src"] as const;
const styleAttributes = ["style-src-attr", "style-src", "default-src"] as const;
const webTransport = ["connect-src", "default-src"] as const;

/** What to leave out, as one policy can't say it: nothing, and more and more. The last one leaves nothing to be wrong. */
const omissions: readonly (readonly DirectiveName[])[] = [
  [],
  workers,
  [...scripts, ...workers],
  [...scripts, "worker-src"],
  styles,
  [...styles, ...workers],
  [...scripts, ...styles, ...workers],
  [...scripts, ...scriptAttributes, ...workers],
  [...scripts, ...scriptAttributes, ...styles, ...styleAttributes, ...workers],
  [...scripts, ...scriptAttributes, ...styles, ...styleAttributes, ...workers, ...webTransport],
];

type List = readonly (SourceExpression | AncestorSource)[];

/** In the order in which people write them. */
const listNames = [
  "default-src",
  "script-src",
  "script-src-elem",
  "script-src-attr",
  "style-src",
  "style-src-elem",
  "style-src-attr",
  "img-src",
  "font-src",
  "connect-src",
  "media-src",
  "object-src",
  "manifest-src",
  "child-src",
  "frame-src",
  "worker-src",
  "fenced-frame-src",
  "base-uri",
  "form-action",
  "frame-ancestors",
] as const;
type ListName = (typeof listNames)[number];

/** One policy that has, for each directive, both lists; it may be too narrow or too wide. */
function join(a: Policy, b: Policy, without: ReadonlySet<DirectiveName>): Policy {
  const typing = textOf(a, "require-trusted-types-for");
  const typed = typing !== null && typing === textOf(b, "require-trusted-types-for");
  const parts: string[] = [];
  for (const name of listNames) {
    const [listA, listB] = [valueOf(a, name), valueOf(b, name)];
    if (!listA || !listB || without.has(name)) continue;
    const list = joinLists(name, listA, listB, typed);
    parts.push([name, ...list].join(" "));
  }
  for (const join of [joinSandbox, joinTrustedTypes, joinWebrtc]) {
    const text = join(a, b);
    if (text !== null) parts.push(text);
  }
  for (const name of [
    "require-trusted-types-for",
    "upgrade-insecure-requests",
    "block-all-mixed-content",
    "report-to",
    "report-uri",
  ] as const) {
    const [textA, textB] = [textOf(a, name), textOf(b, name)];
    // Reports go where both send them; what is required is required by both.
    if (textA !== null && textA === textB) parts.push(textA);
  }
  return parsePolicy(parts.join("; "), a.source);
}

/** The list that answers for a directive, whether or not the policy has that one. */
function valueOf(policy: Policy, name: ListName): List | null {
  for (const candidate of fallbacksOf(name)) {
    const directive = getDirective(policy, candidate);
    if (directive) return directive.value;
  }
  return null;
}

function fallbacksOf(name: ListName): readonly ListName[] {
  if (name === "child-src" || name === "script-src" || name === "style-src") {
    return [name, "default-src"];
  }
  return isEffective(name) ? fetchDirectiveFallbackLists[name] : [name];
}

function isEffective(name: ListName): name is EffectiveDirective {
  return Object.hasOwn(fetchDirectiveFallbackLists, name);
}

function joinLists(name: ListName, a: List, b: List, typed: boolean): Iterable<string> {
  const type = name.startsWith("style-src") ? "style" : "script";
  const isInline = type === "style" || name.startsWith("script-src") || name === "default-src";
  const allowsInline = [a, b].some((list) => doesSourceListAllowAllInlineBehavior(list, type));
  const isAttribute = name.endsWith("-attr");
  const texts = new Map<string, string>();
  for (const source of [...a, ...b]) {
    if (source.type === "none") continue;
    // Beside what allows all inline code, a hash allows no more of it; a nonce may allow what has a URL.
    if (isInline && allowsInline && source.type === "hash-source" && type === "style") continue;
    if (allowsInline && isAttribute && counts(source)) continue;
    if (isInline && !allowsInline && keyOf(source) === "'unsafe-inline'") continue;
    texts.set(keyOf(source), source.text);
    // Without the types that it hangs on, it would allow nothing.
    if (!typed && keyOf(source) === "'trusted-types-eval'")
      texts.set("'unsafe-eval'", "'unsafe-eval'");
  }
  return texts.size > 0 ? texts.values() : ["'none'"];
}

/** What switches `'unsafe-inline'` off. */
function counts(source: List[number]): boolean {
  return (
    source.type === "nonce-source" ||
    source.type === "hash-source" ||
    keyOf(source) === "'strict-dynamic'"
  );
}

function joinSandbox(a: Policy, b: Policy): string | null {
  return joinTokens("sandbox", getDirective(a, "sandbox"), getDirective(b, "sandbox"));
}

function joinTrustedTypes(a: Policy, b: Policy): string | null {
  const [one, other] = [getDirective(a, "trusted-types"), getDirective(b, "trusted-types")];
  return joinTokens("trusted-types", one, other);
}

function joinTokens(
  name: string,
  a: { readonly value: readonly { readonly text: string }[] } | undefined,
  b: { readonly value: readonly { readonly text: string }[] } | undefined,
): string | null {
  if (!a || !b) return null;
  const texts = new Set([...a.value, ...b.value].map(({ text }) => text));
  return [name, ...texts].join(" ");
}

function joinWebrtc(a: Policy, b: Policy): string | null {
  const blocks = [a, b].every((policy) => {
    const directive = getDirective(policy, "webrtc");
    return directive && !(directive.value.length === 1 && directive.value[0]?.type === "allow");
  });
  return blocks ? "webrtc 'block'" : null;
}

function textOf(policy: Policy, name: DirectiveName): string | null {
  const directive = getDirective(policy, name);
  return directive ? [name, ...directive.value.map(({ text }) => text)].join(" ") : null;
}
