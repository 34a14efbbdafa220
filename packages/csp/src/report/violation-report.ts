/**
 * What a browser sends about a violation, and where to.
 * CSP #report-violation, #deprecated-serialize-violation, #potentially-report-hash; Subresource Integrity, "report
 * violation".
 * @module
 */
import { findKeyword } from "../decide/match-element.ts";
import { type Profile, specification } from "../decide/profile.ts";
import type { Client, Request } from "../decide/request.ts";
import { obtainBlockedUri, stripUrlForUseInReports, type Violation } from "../decide/violation.ts";
import { digest } from "../make/build.ts";
import { getExecutingDirective } from "../policy/fetch-directive.ts";
import { getDirective, type Policy } from "../policy/policy.ts";
import type { CspHashReportBody, CspViolationReportBody } from "./parse-reports.ts";

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
    sourceFile: sourceFile === null ? null : stripSourceFile(sourceFile, profile),
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

/** A response to a script's request, as #potentially-report-hash sees it. */
export interface HashedResponse {
  readonly body: string | Uint8Array<ArrayBuffer>;
  /** HTML, "CORS-same-origin": of the page's own origin, or fetched with CORS. */
  readonly isCorsSameOrigin: boolean;
}

/** A report of type `csp-hash`, and the endpoint that it goes to. */
export interface HashReport {
  readonly endpoint: string;
  readonly body: CspHashReportBody;
}

const reportedAlgorithms = ["sha512", "sha384", "sha256"] as const;

/**
 * #potentially-report-hash: what a policy with `'report-sha256'` and its like reports of a script that it let in; one
 * with `report-to`, of a document's.
 */
export async function potentiallyReportHash(
  response: HashedResponse,
  request: Request,
  policy: Policy,
  client: Client,
  profile: Profile = specification,
): Promise<HashReport | null> {
  const directive = getExecutingDirective(policy, "script-src-elem");
  const algorithm = reportedAlgorithms.find(
    (known) => directive && findKeyword(directive.value, `'report-${known}'`),
  );
  const reportTo = getDirective(policy, "report-to");
  const isWindow = (client.global ?? "window") === "window";
  if (request.destination !== "script" || !algorithm || !isWindow || !reportTo) return null;
  const { body, isCorsSameOrigin } = response;
  const { url } = request;
  const isStripped = profile.has("hash-report-url-stripped");
  return {
    endpoint: reportTo.value[0]?.text ?? "",
    body: {
      documentURL: stripText(client.url),
      subresourceURL: isStripped ? stripUrlForUseInReports(url) : url.href,
      hash: isCorsSameOrigin ? `${algorithm}-${await digest(body, algorithm)}` : "",
      type: "subresource",
      destination: request.destination,
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

function stripSourceFile(sourceFile: string, profile: Profile): string {
  const url = URL.parse(sourceFile);
  if (url && profile.has("source-file-without-query")) url.search = "";
  return url ? stripUrlForUseInReports(url) : "";
}

function stripText(url: string): string {
  const parsed = URL.parse(url);
  return parsed ? stripUrlForUseInReports(parsed) : "";
}
