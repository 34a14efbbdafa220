/**
 * Judging: every finding about the policies of a page, and what they come to.
 * @module
 */
import type { CspList, Policy } from "../policy/policy.ts";
import type { Span } from "../policy/source-list.ts";
import { doesAttackPass } from "./attack.ts";
import { judgeContent } from "./content.ts";
import { judgeDocument } from "./document.ts";
import {
  describeFinding,
  type Finding,
  type Severity,
  type Standing,
  severities,
} from "./finding.ts";
import type { Draft, JudgeContext, Judging } from "./judging.ts";
import { spanOf } from "./judging.ts";
import { judgeNoncesAndHashes } from "./nonce.ts";
import type { Payload } from "./payload.ts";
import { judgeReporting, judgeTrustedTypes } from "./reporting.ts";
import { judgeScripts } from "./script.ts";
import { judgeSources } from "./sources.ts";
import { judgeSyntax } from "./syntax.ts";

const checks: readonly ((judging: Judging) => Iterable<Draft>)[] = [
  judgeSyntax,
  judgeScripts,
  judgeNoncesAndHashes,
  judgeTrustedTypes,
  judgeContent,
  judgeDocument,
  judgeSources,
  judgeReporting,
];

/** Of one type in one policy; what is beyond says nothing new. */
const maximumOfType = 100;

/** Each policy is held against each other, and a header of 32 KB has room for thousands. */
const maximumPolicies = 64;

/**
 * What is wrong with the policies of a page, the most severe first.
 *
 * An attack has to pass every policy that is enforced, so a weakness that another one closes is no weakness of the
 * page: its `standing` says so, and its severity is `info`. Policies that only report are judged as if they were
 * enforced; their findings are marked. Of one type at most 100 findings a policy are given; of many
 * policies 64 are judged, the enforced ones first, and a finding says so. Nothing throws.
 */
export function judgePolicies(
  policies: readonly Policy[] | CspList,
  context: JudgeContext = {},
): Finding[] {
  const list = "policies" in policies ? policies.policies : policies;
  const selfOrigin =
    "policies" in policies ? policies.selfOrigin : (context.pageOrigin ?? "https://page.example");
  const findings: Finding[] = [];
  if (!list.some(({ disposition }) => disposition === "enforce")) {
    const [first] = list;
    const message = first ? "No policy is enforced." : "There is no policy.";
    const span = first ? spanOf(first) : { offset: 0, length: 0 };
    const draft = { type: "no-enforced-policy", directive: "", span, message } as const;
    findings.push(toFinding(draft, first ? 0 : -1, { type: "open" }));
  }
  const order = orderOf(list);
  const judged = order.slice(0, maximumPolicies);
  const next = order[maximumPolicies];
  if (next) {
    const message = `Of ${list.length} policies ${judged.length} are judged, the enforced ones first.`;
    const span = spanOf(next[1]);
    const draft = { type: "too-many-policies", directive: "", span, message } as const;
    findings.push(toFinding(draft, next[0], { type: "open" }));
  }
  for (const [index, policy] of judged) {
    const counts = new Map<string, number>();
    for (const check of checks) {
      for (const draft of check({ policy, selfOrigin, context })) {
        const count = (counts.get(draft.type) ?? 0) + 1;
        counts.set(draft.type, count);
        if (count > maximumOfType || isSaidBefore(draft, policy, index, findings, list)) continue;
        findings.push(
          toFinding(draft, index, standingOf(draft, index, policy, judged, selfOrigin)),
        );
      }
    }
  }
  return severities.flatMap((severity) => findings.filter((found) => found.severity === severity));
}

type Placed = readonly [index: number, policy: Policy];

/** As they came; where not all can be judged, those that decide something before those that only report. */
function orderOf(list: readonly Policy[]): readonly Placed[] {
  const placed: Placed[] = [...list.entries()];
  if (placed.length <= maximumPolicies) return placed;
  const isEnforced = ([, { disposition }]: Placed) => disposition === "enforce";
  return [...placed.filter(isEnforced), ...placed.filter((entry) => !isEnforced(entry))];
}

/** Whether something is missing that an earlier policy lacks, too: it is said once for the page. */
function isSaidBefore(
  { absent, type, directive }: Draft,
  policy: Policy,
  index: number,
  findings: readonly Finding[],
  list: readonly Policy[],
): boolean {
  if (absent !== true || index === 0) return false;
  return findings.some(
    (other) =>
      other.type === type &&
      other.directive === directive &&
      other.policy !== index &&
      other.standing.type === "open" &&
      list[other.policy]?.disposition === policy.disposition,
  );
}

function standingOf(
  { attack }: Draft,
  index: number,
  { disposition }: Policy,
  judged: readonly Placed[],
  selfOrigin: string,
): Standing {
  if (disposition === "report") return { type: "report-only" };
  if (!attack) return { type: "open" };
  const closing = judged.find(
    ([at, other]) =>
      at !== index && other.disposition === "enforce" && !doesAttackPass(attack, other, selfOrigin),
  );
  return closing ? { type: "closed", by: closing[0] } : { type: "open" };
}

function toFinding(draft: Draft, policy: number, standing: Standing): Finding {
  return new JudgedFinding(draft, policy, standing);
}

class JudgedFinding implements Finding {
  readonly type: Finding["type"];
  readonly severity: Severity;
  readonly policy: number;
  readonly directive: string;
  readonly span: Span;
  readonly message: string;
  readonly why: string;
  readonly mend: string;
  readonly standing: Standing;
  readonly payload?: Payload;
  #mended: Draft["mended"];
  #text: string | undefined;

  constructor(draft: Draft, policy: number, standing: Standing) {
    const { why, mend, severity } = describeFinding(draft.type);
    this.type = draft.type;
    this.severity = standing.type === "closed" ? "info" : (draft.severity ?? severity);
    this.policy = policy;
    this.directive = draft.directive;
    this.span = { offset: draft.span.offset, length: draft.span.length };
    this.message = draft.message;
    this.why = why;
    this.mend = mend;
    this.standing = standing;
    if (draft.payload !== undefined) this.payload = draft.payload;
    this.#mended = draft.mended;
  }

  /** Most are never read, and a policy written anew for each of its sources adds up. */
  get mended(): string | undefined {
    this.#text ??= this.#mended?.();
    this.#mended = undefined;
    return this.#text;
  }

  /** What is read of it, for `JSON.stringify`. */
  toJSON(): Finding {
    return Object.assign({}, this, { mended: this.mended });
  }
}

/**
 * What findings come to. `none`: nothing is enforced. `bypassable`: something of high severity is open. `weak`: of
 * medium. `fair`: of low. `strict`: nothing but notes.
 */
export type Grade = "none" | "bypassable" | "weak" | "fair" | "strict";

export interface Summary {
  readonly grade: Grade;
  /** Findings that are open, by severity; those of report-only policies don't count. */
  readonly counts: Readonly<Record<Severity, number>>;
}

/** The grade of a page from its findings. */
export function summarize(findings: readonly Finding[]): Summary {
  const counts = { high: 0, medium: 0, low: 0, info: 0 };
  for (const { severity, standing } of findings) {
    if (standing.type !== "report-only") counts[severity]++;
  }
  return { grade: gradeOf(findings, counts), counts };
}

function gradeOf(findings: readonly Finding[], counts: Summary["counts"]): Grade {
  if (findings.some(({ type }) => type === "no-enforced-policy")) return "none";
  if (counts.high > 0) return "bypassable";
  if (counts.medium > 0) return "weak";
  return counts.low > 0 ? "fair" : "strict";
}
