/**
 * What is kept of a report: its fields without what may be somebody's secret, cut to a size.
 *
 * Left out: query strings, fragments, user names and passwords of every URL, the referrer, the address it came from,
 * all of the user agent but the browser's family, and the nonces in the policy (which would make each policy a new
 * one, too).
 * @module
 */
import { parsePolicy } from "../policy/policy.ts";
import type { Report } from "../report/parse-reports.ts";

export interface ReportFacts {
  readonly type: Report["type"];
  readonly documentURL: string;
  /** As in the report, a URL without its query. For a `csp-hash` report the subresource. */
  readonly blockedURL: string;
  /** The effective directive; `integrity-policy`; for a `csp-hash` report the destination. */
  readonly directive: string;
  readonly disposition: "enforce" | "report";
  /** With `NONCE` for every nonce; empty where the report names none, or one too long for a header. */
  readonly policy: string;
  readonly sourceFile: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
  readonly statusCode: number;
  /** For a `csp-hash` report the hash. */
  readonly sample: string;
  readonly agent: string;
}

/** Longer URLs and samples are cut. A sample has 40 characters, behind a sink's name a few more. */
const MAX_URL = 1_024;
const MAX_SAMPLE = 128;
const MAX_NAME = 40;
/** A policy that was cut would be another policy, so a longer one is not kept at all. */
const MAX_POLICY = 32_768;

/** `samples`: whether the first characters of what was blocked are kept; they are content of the page. */
export function factsOf(
  report: Report,
  { samples, userAgent }: { readonly samples: boolean; readonly userAgent: string },
): ReportFacts {
  const common = {
    type: report.type,
    documentURL: withoutSecrets(report.body.documentURL || report.url),
    agent: agentFamily(report.userAgent || userAgent),
    policy: "",
    sourceFile: "",
    lineNumber: 0,
    columnNumber: 0,
    statusCode: 0,
    sample: "",
  };
  switch (report.type) {
    case "csp-violation": {
      const { body } = report;
      return {
        ...common,
        blockedURL: withoutSecrets(body.blockedURL),
        directive: clean(body.effectiveDirective, MAX_NAME),
        disposition: body.disposition,
        policy: withoutNonces(body.originalPolicy),
        sourceFile: withoutSecrets(body.sourceFile ?? ""),
        lineNumber: body.lineNumber ?? 0,
        columnNumber: body.columnNumber ?? 0,
        statusCode: body.statusCode,
        sample: samples ? clean(body.sample, MAX_SAMPLE) : "",
      };
    }
    case "integrity-violation":
      return {
        ...common,
        blockedURL: withoutSecrets(report.body.blockedURL),
        directive: "integrity-policy",
        disposition: report.body.reportOnly ? "report" : "enforce",
      };
    case "csp-hash":
      return {
        ...common,
        blockedURL: withoutSecrets(report.body.subresourceURL),
        directive: clean(report.body.destination, MAX_NAME),
        disposition: "report",
        sample: clean(report.body.hash, MAX_SAMPLE),
      };
  }
}

/** URLs of these keep host and path. Firefox and Safari give each installation of an extension a host of its own. */
const withHost: ReadonlySet<string> = new Set([
  "http:",
  "https:",
  "ws:",
  "wss:",
  "chrome-extension:",
  "safari-extension:",
]);

/** A URL without query, fragment, user name and password; of `data:` and the like the scheme alone. */
function withoutSecrets(text: string): string {
  if (!URL.canParse(text)) return clean(text.split(/[?#]/, 1)[0] ?? "", MAX_URL);
  const url = new URL(text);
  if (!withHost.has(url.protocol)) return clean(url.protocol.slice(0, -1), MAX_URL);
  return clean(`${url.protocol}//${url.host}${url.pathname}`, MAX_URL);
}

function withoutNonces(text: string): string {
  if (text.length > MAX_POLICY) return "";
  const policy = parsePolicy(text);
  const directiveSet = policy.directiveSet.map((directive) => {
    const words = directive.value.map((token) =>
      "type" in token && token.type === "nonce-source" ? "'nonce-NONCE'" : token.text,
    );
    return [directive.name, ...words].join(" ");
  });
  return clean(directiveSet.join("; "), 2 * MAX_POLICY);
}

/** What SQLite can give back as it was: no lone surrogates, no NUL. */
function clean(text: string, length: number): string {
  return text.slice(0, length).toWellFormed().replaceAll("\0", "\uFFFD");
}

/** The first that the user agent names. */
const agentFamilies: readonly (readonly [token: RegExp, family: string])[] = [
  [/bot\b|crawler|spider|HeadlessChrome/i, "Robot"],
  [/\bEdgA?\/|\bEdgiOS\//, "Edge"],
  [/\bOPR\/|\bOPiOS\//, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\bFirefox\/|\bFxiOS\//, "Firefox"],
  [/\bChrome\/|\bCriOS\//, "Chrome"],
  [/\bVersion\/.*\bSafari\//, "Safari"],
  [/\bAppleWebKit\//, "Other WebKit"],
];

function agentFamily(userAgent: string): string {
  return agentFamilies.find(([token]) => token.test(userAgent.slice(0, 512)))?.[1] ?? "Other";
}
