/**
 * What could be done about a violation, the narrowest first: a change of the policy, with what else it allows, tried
 * on the engine; or a change of the page.
 * @module
 */
import {
  doesElementMatchSourceList,
  inlineElement,
  inlineSource,
} from "../decide/match-element.ts";
import { specification } from "../decide/profile.ts";
import type { Finding } from "../judge/finding.ts";
import { judgePolicies } from "../judge/judge-policies.ts";
import { hashSource } from "../make/build.ts";
import type { Directive } from "../policy/directives.ts";
import { type Policy, parsePolicy } from "../policy/policy.ts";
import type { CspViolationReportBody } from "../report/parse-reports.ts";
import {
  findDecidingDirective,
  isReportPossible,
  type ReportedViolation,
} from "../report/plausibility.ts";

/** One way to let happen what a report tells of. */
export interface Proposal {
  /** What to do, for people. */
  readonly advice: string;
  /** Absent where the page has to change, or where the policy need not. */
  readonly change?: PolicyChange;
  /** What else becomes possible. */
  readonly alsoAllows: readonly string[];
}

export interface PolicyChange {
  /** The directive that is changed or added. */
  readonly directive: string;
  /** The expressions that it gets. */
  readonly sources: readonly string[];
  /** The policy after the change. */
  readonly policy: string;
  /** Whether the engine finds that what was reported is allowed by this policy. */
  readonly confirmed: boolean;
  /**
   * What is wrong with this policy and was not with the one before, the most severe first; `null` where it is too long
   * to be judged.
   */
  readonly findings: readonly Finding[] | null;
}

type SampledViolation = ReportedViolation & Pick<CspViolationReportBody, "sample">;

/** Proposals for a report that is possible; none for one that says too little. */
export async function proposeChanges(report: SampledViolation): Promise<readonly Proposal[]> {
  const policy = parsePolicy(report.originalPolicy);
  const deciding = findDecidingDirective(policy, report.effectiveDirective);
  const { possible, reason } = isReportPossible(report);
  if (!possible || !deciding) return [];
  if (reason === "after-redirect") {
    return [
      proposal(
        "The policy has this URL already. Find out where it redirects to, and add that, or load it from there.",
      ),
    ];
  }
  switch (report.blockedURL) {
    case "inline":
      return inlineProposals(report, policy, deciding);
    case "eval":
      return [
        proposal("Replace eval, new Function and timers with strings by functions."),
        changed(report, policy, deciding, ["'unsafe-eval'"], {
          advice: "If a library needs it and cannot be replaced: allow eval.",
        }),
      ];
    case "wasm-eval":
      return [
        changed(report, policy, deciding, ["'wasm-unsafe-eval'"], {
          advice: "Allow WebAssembly, and nothing else that is compiled from text.",
          alsoAllows: ["every WebAssembly module that the page's scripts get hold of"],
        }),
      ];
    case "trusted-types-policy":
      return policyNameProposals(report, policy, deciding);
    case "trusted-types-sink":
      return [
        proposal(
          `Hand a trusted type to ${report.sample.split("|", 1)[0] || "this sink"} instead of a string: let a policy of Trusted Types make or clean it, or use a sink that takes text, as textContent.`,
        ),
      ];
    default:
      return urlProposals(report, policy, deciding);
  }
}

function proposal(advice: string, more: Partial<Omit<Proposal, "advice">> = {}): Proposal {
  return { advice, alsoAllows: [], ...more };
}

/** A sample has 40 characters at most, so a shorter one is all of the code. */
const SAMPLE = 40;

async function inlineProposals(
  report: SampledViolation,
  policy: Policy,
  deciding: Directive,
): Promise<readonly Proposal[]> {
  const { effectiveDirective, sample } = report;
  const isStyle = effectiveDirective.startsWith("style-src");
  const isAttribute = effectiveDirective.endsWith("-attr");
  if (!isStyle && !effectiveDirective.startsWith("script-src")) return [];
  const proposals: Proposal[] = [];
  if (isAttribute) {
    const instead = isStyle
      ? "Use a class, or set the property from a script with element.style."
      : "Use addEventListener in a script of the page's own.";
    proposals.push(proposal(`${instead} Attributes have no nonce.`));
  } else {
    const hasNonce = deciding.value.some(
      (token) => "type" in token && token.type === "nonce-source",
    );
    proposals.push(
      hasNonce
        ? proposal("Give the element the response's nonce.")
        : proposal("Move the code into a file of the page's own."),
    );
  }
  const isWhole = sample !== "" && sample.length < SAMPLE && !sample.endsWith("…");
  if (!isWhole) return proposals;
  const hash = await hashSource(sample);
  const change = changeOf(
    report,
    policy,
    deciding,
    isAttribute ? ["'unsafe-hashes'", hash] : [hash],
  );
  proposals.push(
    proposal(isAttribute ? "Allow this attribute by its hash." : "Allow this code by its hash.", {
      change: { ...change, confirmed: await allowsInline(change.policy, report) },
      alsoAllows: [
        `the same ${isStyle ? "style" : "script"} wherever it stands${isAttribute ? ", as a block of its own, too" : ""}`,
      ],
    }),
  );
  return proposals;
}

async function allowsInline(text: string, report: SampledViolation): Promise<boolean> {
  const { effectiveDirective, sample } = report;
  const directive = findDecidingDirective(parsePolicy(text), effectiveDirective);
  if (directive?.type !== "source-list") return false;
  const kind = effectiveDirective.startsWith("style-src") ? "style" : "script";
  const type = effectiveDirective.endsWith("-attr") ? (`${kind} attribute` as const) : kind;
  const element = inlineElement({ name: kind });
  const source = await inlineSource(sample);
  return doesElementMatchSourceList(element, directive.value, type, source, specification) !== null;
}

function policyNameProposals(
  report: SampledViolation,
  policy: Policy,
  deciding: Directive,
): readonly Proposal[] {
  if (deciding.type !== "trusted-types") return [];
  const name = report.sample;
  if (!/^[A-Za-z0-9#=_/@.%-]+$/.test(name)) return [];
  const isListed = deciding.value.some(
    ({ type, text }) => type === "wildcard" || (type === "policy-name" && text === name),
  );
  if (isListed) {
    return [
      proposal(`Make the policy ${name} once, and keep it.`),
      changed(report, policy, deciding, ["'allow-duplicates'"], {
        advice: "Allow policies of one name.",
        alsoAllows: ["a second policy of a name, which may let through what the first one refuses"],
      }),
    ];
  }
  return [
    changed(report, policy, deciding, [name], {
      advice: `Allow the policy ${name}.`,
      alsoAllows: ["whatever that policy lets through: look at its code"],
    }),
  ];
}

function urlProposals(
  report: SampledViolation,
  policy: Policy,
  deciding: Directive,
): readonly Proposal[] {
  if (deciding.type !== "source-list") return [];
  const { blockedURL, documentURL, effectiveDirective } = report;
  if (/^[a-z][a-z0-9+.-]*$/i.test(blockedURL)) {
    if (!["data", "blob", "mediastream", "filesystem"].includes(blockedURL)) return [];
    return [
      changed(report, policy, deciding, [`${blockedURL}:`], {
        advice: `Allow ${blockedURL}: URLs here.`,
        alsoAllows: [`every ${blockedURL}: URL, whoever wrote it`],
      }),
    ];
  }
  const url = URL.parse(blockedURL);
  if (url === null || url.host === "") return [];
  const proposals: Proposal[] = [];
  const has = (type: string) => deciding.value.some((token) => token.type === type);
  const isScript = effectiveDirective.startsWith("script-src");
  if (isScript && has("nonce-source")) {
    proposals.push(
      proposal("Give the element the response's nonce, or load it from a script that has it."),
    );
  }
  const isStrict = deciding.value.some((token) => token.text.toLowerCase() === "'strict-dynamic'");
  // Beside 'strict-dynamic' hosts count for nothing.
  if (isScript && isStrict) return proposals;

  // Workers are checked as scripts where the policy has no directive for them.
  const workers =
    isScript && !findDecidingDirective(policy, "worker-src")?.name.match(/^(worker|child)-src$/)
      ? ["workers from there"]
      : [];
  const origin = `${url.protocol}//${url.host}`;
  const isOwn = URL.parse(documentURL)?.origin === url.origin;
  const exact = `${origin}${url.pathname.replaceAll(";", "%3B").replaceAll(",", "%2C")}`;
  if (!exact.endsWith("/")) {
    proposals.push(
      changed(report, policy, deciding, [exact], {
        advice: "Allow this file alone.",
        alsoAllows: [
          `other files of ${url.host}, when an allowed URL redirects to them: paths do not count then`,
          ...workers,
        ],
      }),
    );
  }
  proposals.push(
    changed(report, policy, deciding, [isOwn ? "'self'" : origin], {
      advice: isOwn ? "Allow the site itself." : `Allow all of ${url.host}.`,
      alsoAllows: [
        isOwn ? "every file of the site" : `everything that ${url.host} serves, now and later`,
        ...workers,
      ],
    }),
  );
  return proposals;
}

/** A proposal that changes the policy. */
function changed(
  report: SampledViolation,
  policy: Policy,
  deciding: Directive,
  sources: readonly string[],
  { advice, ...more }: Omit<Partial<Proposal>, "change"> & { readonly advice: string },
): Proposal {
  return proposal(advice, { ...more, change: changeOf(report, policy, deciding, sources) });
}

/**
 * Adds the sources where they allow least: to the directive that is there for this alone, or to a new one that has
 * what the one that stands in for it has.
 */
function changeOf(
  report: SampledViolation,
  policy: Policy,
  deciding: Directive,
  sources: readonly string[],
): PolicyChange {
  const directive = directiveToChange(report.effectiveDirective);
  const isThere = deciding.name === directive || deciding.name === report.effectiveDirective;
  const held = isThere
    ? deciding.value
    : deciding.value.filter((token) => countsFor(directive, token));
  const words = held.map(({ text }) => text).filter((text) => text.toLowerCase() !== "'none'");
  const name = isThere ? deciding.name : directive;
  const line = [name, ...words, ...sources.filter((source) => !words.includes(source))].join(" ");
  const lines = policy.directiveSet.map((other) =>
    isThere && other === deciding
      ? line
      : [other.name, ...other.value.map(({ text }) => text)].join(" "),
  );
  if (!isThere) {
    // After the one whose place it takes.
    lines.splice(policy.directiveSet.indexOf(deciding) + 1, 0, line);
  }
  const text = lines.join("; ");
  const after = isReportPossible({ ...report, originalPolicy: text });
  // Of a policy's name no more can be said than that it is listed.
  const isListed = deciding.type === "trusted-types" && after.reason === "not-said";
  const confirmed = !after.possible || after.reason === "after-redirect" || isListed;
  const findings = findingsOfChange(policy, parsePolicy(text), report.documentURL);
  return { directive: name, sources, policy: text, confirmed, findings };
}

/** A page has several proposals, each judged when somebody looks, and the policies are strangers' words. */
const MAX_JUDGED = 16_384;

/** Notes aside, and what the name of a host says of itself. */
function findingsOfChange(
  before: Policy,
  after: Policy,
  documentURL: string,
): readonly Finding[] | null {
  if (before.text.length > MAX_JUDGED) return null;
  const pageOrigin = URL.parse(documentURL)?.origin;
  const judge = (policy: Policy) => judgePolicies([policy], pageOrigin ? { pageOrigin } : {});
  const keyOf = ({ type, message }: Finding) => `${type} ${message}`;
  const known = new Set(judge(before).map(keyOf));
  return judge(after).filter(
    (finding) =>
      finding.severity !== "info" &&
      finding.type !== "source-top-level" &&
      !known.has(keyOf(finding)),
  );
}

/** Browsers of Level 2 know no `script-src-elem` and the like, so that those are not added where there is none. */
function directiveToChange(effectiveDirective: string): string {
  return effectiveDirective.replace(/-(elem|attr)$/, "");
}

/** Whether an expression of `default-src` or the like means something in this directive, too. */
function countsFor(directive: string, token: Directive["value"][number]): boolean {
  if (directive === "script-src" || directive === "style-src" || !("type" in token)) return true;
  return (
    token.type === "host-source" ||
    token.type === "scheme-source" ||
    (token.type === "keyword-source" && token.keyword === "'self'")
  );
}
