/**
 * Groups: reports that tell of the same thing, whoever's page view it was.
 * @module
 */
import type { Report } from "../report/parse-reports.ts";
import { isReportPossible } from "../report/plausibility.ts";
import type { ReportFacts } from "./facts.ts";
import { type NoiseClass, noiseOf } from "./noise.ts";

/**
 * `violation`: to be looked at. `impossible`: the policy that the report names would not have blocked it.
 * `inventory`: not blocked, a `csp-hash` report. `overflow`: no group could be made for it.
 */
export type GroupClass = "violation" | NoiseClass | "impossible" | "inventory" | "overflow";

/** What makes reports the same. Texts; empty where there is nothing to say. */
export interface GroupKey {
  readonly type: Report["type"] | "";
  readonly class: GroupClass;
  /** Why it is in this class, for people. */
  readonly reason: string;
  readonly evidence: string;
  /** The document's origin, or its scheme. */
  readonly site: string;
  /** The document's path, with `*` for what looks like an identifier. */
  readonly document: string;
  readonly directive: string;
  /** An origin, a scheme, or one of the specification's words. */
  readonly blocked: string;
  /** Inline code by its first characters, or by where it stands; a file by its path, with `*` for hashes. */
  readonly detail: string;
}

/** Where reports go that no group could be made for. */
export const overflow: GroupKey = {
  type: "",
  class: "overflow",
  reason: "too many new groups at a time",
  evidence: "",
  site: "",
  document: "",
  directive: "",
  blocked: "",
  detail: "",
};

/** `sites`: the origins whose reports are wanted; all, where it is undefined. */
export function groupOf(facts: ReportFacts, sites: ReadonlySet<string> | undefined): GroupKey {
  const { type, directive } = facts;
  const site = originOf(facts.documentURL);
  const blocked = originOf(facts.blockedURL);
  const noise = noiseOf(facts, sites);
  // What an extension does, it does on every page.
  if (noise) return { type, ...noise, site, document: "", directive, blocked, detail: "" };

  const common = { type, site, document: pathPattern(facts.documentURL), directive, blocked };
  switch (type) {
    case "csp-hash": {
      const detail = `${pathPattern(facts.blockedURL)} ${facts.sample}`;
      return { ...common, class: "inventory", reason: "", evidence: "", document: "", detail };
    }
    case "integrity-violation": {
      const detail = pathPattern(facts.blockedURL);
      return { ...common, class: "violation", reason: "", evidence: "", detail };
    }
    case "csp-violation": {
      const { possible, reason } = isReportPossible({
        documentURL: facts.documentURL,
        blockedURL: facts.blockedURL,
        effectiveDirective: directive,
        originalPolicy: facts.policy,
        sample: facts.sample,
      });
      return {
        ...common,
        class: possible ? "violation" : "impossible",
        reason: possible ? "" : reason,
        evidence: "",
        detail: codeOf(facts),
      };
    }
  }
}

/** Code by what it is, where the report says it; else by where it stands. */
function codeOf({ blockedURL, sample, sourceFile, lineNumber, columnNumber }: ReportFacts): string {
  if (hasOrigin(blockedURL)) return "";
  if (sample !== "") return sample;
  if (sourceFile === "") return "";
  const file = hasOrigin(sourceFile) ? pathPattern(sourceFile) : sourceFile;
  return `${file}:${lineNumber}:${columnNumber}`;
}

function hasOrigin(text: string): boolean {
  return (URL.parse(text)?.host ?? "") !== "";
}

function originOf(text: string): string {
  if (!hasOrigin(text)) return text;
  const { protocol, host } = new URL(text);
  return `${protocol}//${host}`;
}

const MAX_PATH = 256;

/** A path with `*` for the parts that look like identifiers, so that a page of each customer is one page. */
export function pathPattern(url: string): string {
  if (!hasOrigin(url)) return "";
  const { pathname } = new URL(url);
  return pathname
    .slice(0, MAX_PATH)
    .split("/")
    .map((segment) => (isIdentifier(segment) ? "*" : withoutHash(segment)))
    .join("/");
}

function isIdentifier(segment: string): boolean {
  if (segment.includes("@") || segment.includes("%40")) return true;
  // Numbers, dates; UUIDs and digests; and what is long and has digits among letters.
  if (/^[0-9][0-9_-]*$/.test(segment)) return true;
  if (/^[0-9a-f-]{8,}$/i.test(segment)) return /[0-9]/.test(segment);
  return /^[\w-]{20,}$/.test(segment) && /[0-9]/.test(segment) && /[a-z]/i.test(segment);
}

/** `main.3f2a9c1b.js` and `main-3f2a9c1b.js`: what a bundler puts in for the content. */
function withoutHash(segment: string): string {
  return segment.replace(/([.-])(?=[\w]*[0-9])[\w]{8,}(?=\.[a-z0-9]+$)/i, "$1*");
}
