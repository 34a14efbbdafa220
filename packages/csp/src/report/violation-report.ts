/**
 * What a browser sends about a violation, and where to.
 * CSP #report-violation, #deprecated-serialize-violation, #potentially-report-hash; Subresource Integrity, "report
 * violation".
 * @module
 */
import { type Profile, specification } from "../decide/profile.ts";
import { obtainBlockedUri, stripUrlForUseInReports, type Violation } from "../decide/violation.ts";
import { getDirective } from "../policy/policy.ts";
import type { CspViolationReportBody } from "./parse-reports.ts";

/** #report-violation, step 5.1: the body of a report of type `csp-violation`, which is what events carry, too. */
export function violationReportBody(
  violation: Violation,
  profile: Profile = specification,
): CspViolationReportBody {
  const { sourceFile } = violation;
  return {
    documentURL: stripText(violation.url),
    referrer: stripText(violation.referrer),
    blockedURL: obtainBlockedUri(violation, profile),
    effectiveDirective: violation.effectiveDirective,
    originalPolicy: violation.policy.text,
    sourceFile: sourceFile === null ? null : stripText(sourceFile),
    sample: violation.sample,
    disposition: violation.disposition,
    statusCode: violation.status,
    lineNumber: sourceFile === null ? null : violation.lineNumber,
    columnNumber: sourceFile === null ? null : violation.columnNumber,
  };
}

/** #deprecated-serialize-violation: what is sent to `report-uri`. */
export interface DeprecatedReport {
  readonly "csp-report": Readonly<Record<string, string | number>>;
}

/** #deprecated-serialize-violation, before it becomes JSON. */
export function obtainDeprecatedSerialization(
  violation: Violation,
  profile: Profile = specification,
): DeprecatedReport {
  const body = violationReportBody(violation, profile);
  const { sourceFile, lineNumber, columnNumber } = body;
  const position = {
    "source-file": sourceFile,
    "line-number": lineNumber,
    "column-number": columnNumber,
  };
  return {
    "csp-report": {
      "document-uri": body.documentURL,
      referrer: body.referrer,
      "blocked-uri": body.blockedURL,
      "effective-directive": body.effectiveDirective,
      "violated-directive": body.effectiveDirective,
      "original-policy": body.originalPolicy,
      disposition: body.disposition,
      "status-code": body.statusCode,
      "script-sample": body.sample,
      ...(sourceFile === null ? {} : (position as Record<string, string | number>)),
    },
  };
}

/** Where a violation's reports go: URLs, or the name of an endpoint. */
export type ReportDestination =
  | { readonly type: "report-uri"; readonly urls: readonly string[] }
  | { readonly type: "report-to"; readonly endpoint: string }
  | { readonly type: "none" };

/** #report-violation, steps 4 and 5: `report-to` wins; a URL that cannot be parsed is left out. */
export function reportDestination({ policy, url }: Violation): ReportDestination {
  const reportTo = getDirective(policy, "report-to");
  if (reportTo) return { type: "report-to", endpoint: reportTo.value[0]?.text ?? "" };
  const reportUri = getDirective(policy, "report-uri");
  if (!reportUri) return { type: "none" };
  const urls = reportUri.value.map(({ text }) => URL.parse(text, url)?.href);
  return { type: "report-uri", urls: urls.filter((href) => href !== undefined) };
}

function stripText(url: string): string {
  const parsed = URL.parse(url);
  return parsed ? stripUrlForUseInReports(parsed) : "";
}
