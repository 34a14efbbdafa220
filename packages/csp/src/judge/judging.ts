/**
 * What the checks of one policy share: what they are given, what they say, and how a policy is mended.
 * @module
 */
import type { Directive } from "../policy/directives.ts";
import type { FetchDirective } from "../policy/fetch-directive.ts";
import { type Policy, serializePolicy } from "../policy/policy.ts";
import type { SourceExpression, Span, Token } from "../policy/source-list.ts";
import { type Attack, doesAttackPass } from "./attack.ts";
import type { FindingType, Severity } from "./finding.ts";
import type { Payload } from "./payload.ts";

/** What is known of the page beside its policies. */
export interface JudgeContext {
  /** What `'self'` means; of a `CspList` its own is taken. */
  readonly pageOrigin?: string;
  /** The names that `Reporting-Endpoints` declares. Where it isn't given, nothing is said of undeclared ones. */
  readonly reportingEndpoints?: readonly string[];
  /** The value of `X-Frame-Options`. */
  readonly xFrameOptions?: string;
  /** URLs of scripts that the page loads: libraries with script gadgets are found by them. */
  readonly scripts?: readonly string[];
  /** Policies that came with other responses of the site: a nonce that comes again is found by them. */
  readonly samples?: readonly (readonly Policy[])[];
  /** Whether to say what browsers of Level 1 and 2 lack, too. */
  readonly oldBrowsers?: boolean;
}

/** One policy and its surroundings. */
export interface Judging {
  readonly policy: Policy;
  readonly selfOrigin: string;
  readonly context: JudgeContext;
}

/** A finding before it is known what the other policies say. */
export interface Draft {
  readonly type: FindingType;
  readonly directive: string;
  readonly span: Span;
  readonly message: string;
  /** Where it is less than the type's. */
  readonly severity?: Severity;
  /** Asked only when somebody wants to read it. */
  readonly mended?: (() => string | undefined) | undefined;
  /** Whether it is about a directive that is not there. */
  readonly absent?: boolean;
  /** What the weakness lets through; without one nothing can close it. */
  readonly attack?: Attack;
  readonly payload?: Payload | undefined;
}

/** That a policy lacks a directive, which is mended by one with `source` in it. */
export function missing(
  policy: Policy,
  directive: string,
  source: "'none'" | "'self'",
  { type, message, attack }: Pick<Draft, "type" | "message"> & { readonly attack: Attack },
): Draft {
  const mended = () => withDirectives(policy, { [directive]: [source] });
  return { type, directive, span: spanOf(policy), absent: true, message, mended, attack };
}

/** Longer policies are judged, but not written anew for each finding. */
const maximumMended = 16_384;

/** A policy is written anew for most of its findings, and most of its directives stay as they are. */
const written = new WeakMap<Directive, string>();

function write(directive: Directive): string {
  const text = written.get(directive) ?? serializePolicy({ directiveSet: [directive] });
  written.set(directive, text);
  return text;
}

/** The policy's text with some directives set; those it lacks come last. `null` deletes one. */
export function withDirectives(
  policy: Policy,
  changes: Readonly<Record<string, readonly string[] | null>>,
): string | undefined {
  if (policy.text.length > maximumMended) return undefined;
  const parts: string[] = [];
  for (const directive of policy.directiveSet) {
    if (!Object.hasOwn(changes, directive.name)) {
      parts.push(write(directive));
      continue;
    }
    const value = changes[directive.name];
    if (value) parts.push([directive.name, ...value].join(" "));
  }
  for (const [name, value] of Object.entries(changes)) {
    if (value && !policy.directiveSet.some((directive) => directive.name === name)) {
      parts.push([name, ...value].join(" "));
    }
  }
  return parts.join("; ");
}

/**
 * The policy without some of a directive's sources. `narrow` is the directive to add where `default-src` decides, so
 * that all else stays as it is.
 */
export function withoutSources<T extends Token>(
  policy: Policy,
  directive: { readonly name: string; readonly value: readonly T[] },
  narrow: string,
  drop: (source: T) => boolean,
): string | undefined {
  const kept = directive.value.filter((source) => !drop(source)).map(({ text }) => text);
  const name = directive.name === "default-src" ? narrow : directive.name;
  return withDirectives(policy, { [name]: kept.length > 0 ? kept : ["'none'"] });
}

/** The policy without each source that, alone in the directive, lets the attack through. */
export function withoutAttack(
  { policy, selfOrigin }: Judging,
  directive: FetchDirective,
  narrow: string,
  attack: Attack,
): string | undefined {
  if (policy.text.length > maximumMended) return undefined;
  return withoutSources<SourceExpression>(policy, directive, narrow, (source) =>
    doesAttackPass(attack, onlySource(policy, directive, source), selfOrigin),
  );
}

function onlySource(policy: Policy, directive: FetchDirective, source: SourceExpression): Policy {
  return { ...policy, directiveSet: [{ ...directive, value: [source] }] };
}

/** Where the policy stands in the text. */
export function spanOf(policy: Policy): Span {
  const first = policy.directiveSet[0] ?? policy.ignored[0];
  const last = policy.directiveSet.at(-1) ?? policy.ignored.at(-1);
  if (!first || !last) return { offset: 0, length: policy.text.length };
  return { offset: first.offset, length: last.offset + last.length - first.offset };
}

/** The sources of a finding's message, no longer than a line. */
export function quote(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
