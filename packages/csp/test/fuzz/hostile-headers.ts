/** Headers that nobody should send, by a seed: from the grammar, damaged, very long; and what has to hold for every one of them. */
import {
  type Directive,
  type Policy,
  parseLegacyHeaders,
  parseMetaPolicy,
  parsePolicy,
  parsePolicyList,
  policyAtLevel,
  serializePolicy,
  type Token,
} from "@conclave/csp";

/** Mulberry32. Whole numbers below `limit`, each seed's own. */
export function random(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

type Dice = (limit: number) => number;

const names = [
  ..."default-src script-src script-src-elem script-src-attr style-src img-src connect-src".split(
    " ",
  ),
  ..."worker-src child-src frame-src base-uri form-action frame-ancestors sandbox report-uri".split(
    " ",
  ),
  ..."report-to trusted-types require-trusted-types-for upgrade-insecure-requests webrtc".split(
    " ",
  ),
  ..."allow options xhr-src policy-uri plugin-types __proto__ constructor toString SCRIPT-SRC é-src".split(
    " ",
  ),
];

const tokens = [
  ..."* 'self' 'none' 'unsafe-inline' 'unsafe-eval' 'strict-dynamic' 'unsafe-hashes' 'SELF'".split(
    " ",
  ),
  ..."'nonce-abc' 'nonce-' 'nonce-a=b' 'sha256-abc=' 'sha512-_-' 'sha999-a' 'report-sha256'".split(
    " ",
  ),
  ..."https: data: x+y.z-1: : :// a:// https://a.example https://*.a.example:*/x/ a.example:".split(
    " ",
  ),
  ..."*:443 a.example:99999999999999999999 a.example/%zz a.example/%41 //a a..b .a a. [::1]".split(
    " ",
  ),
  ..."127.0.0.1:80 a.example?b a.example#c allow-scripts allow-same-origin 'script' 'allow'".split(
    " ",
  ),
  ..."inline-script eval-script self none __proto__ ü \u{1f600} \ud801 \0 \x7f '' ' \" `".split(
    " ",
  ),
];

const characters = Array.from(
  " \t\n\f\r\v,;:'\"*/.-=%?#[]@\\<>\0\x1f\x7f\xa0éaZ09_\u{1f600}\ud801",
);
const spaces = [" ", " ", " ", "\t", "\n", "\f", "\r", "  "];

function pick<T>(dice: Dice, from: readonly T[], otherwise: T): T {
  return from[dice(from.length)] ?? otherwise;
}

function grammatical(dice: Dice): string {
  let text = "";
  for (let count = dice(8); count >= 0; count--) {
    text += pick(dice, names, "");
    for (let values = dice(6); values > 0; values--) {
      text += pick(dice, spaces, " ") + pick(dice, tokens, "");
    }
    text += pick(dice, [";", ";", "; ", ";;", ",", " , "], ";");
  }
  return text;
}

function damaged(dice: Dice): string {
  let text = grammatical(dice);
  for (let count = dice(12); count >= 0; count--) {
    const at = dice(text.length + 1);
    const until = Math.min(text.length, at + dice(9));
    const piece = [
      () => pick(dice, characters, ""),
      () => String.fromCharCode(dice(0x1_0000)),
      () => String.fromCharCode(dice(0x100)),
      () => text.slice(at, until).repeat(1 + dice(3)),
      () => "",
    ][dice(5)];
    text = text.slice(0, at) + (piece?.() ?? "") + text.slice(dice(2) === 0 ? at : until);
  }
  return text;
}

/** One part many times over; what takes longer than in proportion shows here. */
export const monotonous: readonly string[] =
  "; _ , a ' : / * % = \t; a; a, a_b_ ;_; img-src_a; img-src_'self'_ 'nonce-a'_ https://a.example/_ x-{n}_ x-{n}; x-{n}, default-src_{n}.example;_ script-src_'sha256-{n}';_ é é; a. *. a/ %41 \ud801"
    .split(" ")
    .map((part) => part.replaceAll("_", " "));

/** The part, until the header is of that length; `{n}` counts. */
export function long(part: string, length: number): string {
  if (!part.includes("{n}")) return part.repeat(Math.ceil(length / part.length)).slice(0, length);
  const parts: string[] = [];
  for (let n = 0, total = 0; total < length; n++) {
    const next = part.replace("{n}", String(n));
    parts.push(next);
    total += next.length;
  }
  return parts.join("").slice(0, length);
}

/** The nth hostile header of a seed. */
export function hostileHeader(seed: number, n: number): string {
  const dice = random(Math.imul(seed, 0x9e3779b1) + n);
  switch (dice(16)) {
    case 0:
      return long(pick(dice, monotonous, ";"), 1 + dice(3_000));
    case 1:
      return grammatical(dice) + long(pick(dice, monotonous, ";"), dice(500)) + grammatical(dice);
    case 2: {
      let noise = "";
      for (let count = dice(200); count > 0; count--) noise += pick(dice, characters, "");
      return noise;
    }
    case 3:
    case 4:
    case 5:
    case 6:
      return grammatical(dice);
    default:
      return damaged(dice);
  }
}

/** Reads a header in every way, and throws where something that has to hold doesn't. */
export function withstand(header: string): void {
  for (const policy of parsePolicyList(header)) holds(policy, header);
  holds(parsePolicy(header), header);
  holds(parseMetaPolicy(header), header);
  for (const { policies } of parseLegacyHeaders({ headers: { get: () => header } })) {
    for (const policy of policies) serializePolicy(policy);
  }
}

function holds(policy: Policy, header: string): void {
  // What is in force says the same when it is written and read again.
  const again = parsePolicy(serializePolicy(policy));
  same(again.directiveSet.length, policy.directiveSet.length, header);
  for (const [index, directive] of policy.directiveSet.entries()) {
    same(meaning(again.directiveSet[index]), meaning(directive), header);
  }
  // Every token stands where it says.
  const spans: Token[] = [...policy.ignored];
  for (const directive of policy.directiveSet) {
    const { offset, length, name } = directive;
    const text = header.slice(offset, offset + length);
    same(text.slice(0, name.length).toLowerCase(), name, header);
    spans.push({ text, offset, length });
    for (const value of directive.value) {
      same(header.slice(value.offset, value.offset + value.length), value.text, header);
    }
  }
  // Nothing is lost: between the directives, in force or not, is nothing but separators.
  spans.sort((a, b) => a.offset - b.offset);
  const start = spans[0]?.offset ?? 0;
  let end = start;
  for (const { offset, length, text } of spans) {
    same(header.slice(offset, offset + length), text, header);
    same(/[^\t\n\f\r ;]/.test(header.slice(end, offset)), false, header);
    end = offset + length;
  }
  if (spans.length > 0) same(policy.text.includes(header.slice(start, end)), true, header);
  for (const level of [1, 2, 3] as const) policyAtLevel(policy, level);
}

/** All but where it stands. */
function meaning(directive: Directive | undefined): string {
  let text = `${directive?.name} ${directive?.type}`;
  for (const value of directive?.value ?? []) {
    for (const [key, part] of Object.entries(value)) if (key !== "offset") text += `\n${part}`;
  }
  return text;
}

function same(actual: unknown, expected: unknown, header: string): void {
  if (actual === expected) return;
  const [one, other, where] = [actual, expected, header].map((value) => JSON.stringify(value));
  throw new Error(`${one} is not ${other}, in ${where}`);
}
