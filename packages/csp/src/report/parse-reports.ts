/**
 * Reports that browsers send.
 * CSP #reporting, #deprecated-serialize-violation; Reporting API, "media type"; Subresource Integrity,
 * "integrity-violation".
 * @module
 */
import { CspError } from "../errors.ts";
import type { Disposition } from "../policy/policy.ts";

/** #reporting, `CSPViolationReportBody`. */
export interface CspViolationReportBody {
  readonly documentURL: string;
  readonly referrer: string;
  /** A URL, or `inline`, `eval`, `wasm-eval`, `trusted-types-policy`, `trusted-types-sink`, or a scheme. */
  readonly blockedURL: string;
  readonly effectiveDirective: string;
  readonly originalPolicy: string;
  readonly sourceFile: string | null;
  /** Up to 40 characters of what was blocked: content of the page, not to be kept lightly. */
  readonly sample: string;
  readonly disposition: Disposition;
  readonly statusCode: number;
  readonly lineNumber: number | null;
  readonly columnNumber: number | null;
}

/** #reporting, "csp hash report body". */
export interface CspHashReportBody {
  readonly documentURL: string;
  readonly subresourceURL: string;
  /** `sha256-…`, or empty when the response was not CORS-same-origin. */
  readonly hash: string;
  readonly type: string;
  readonly destination: string;
}

/** Subresource Integrity, `IntegrityViolationReportBody`. */
export interface IntegrityViolationReportBody {
  readonly documentURL: string;
  readonly blockedURL: string;
  readonly destination: string;
  readonly reportOnly: boolean;
}

interface Envelope {
  /** The page. */
  readonly url: string;
  /** Milliseconds between the event and its report. */
  readonly age: number;
  readonly userAgent: string;
}

export interface CspViolationReport extends Envelope {
  readonly type: "csp-violation";
  readonly body: CspViolationReportBody;
}
export interface CspHashReport extends Envelope {
  readonly type: "csp-hash";
  readonly body: CspHashReportBody;
}
export interface IntegrityViolationReport extends Envelope {
  readonly type: "integrity-violation";
  readonly body: IntegrityViolationReportBody;
}
export type Report = CspViolationReport | CspHashReport | IntegrityViolationReport;

/** What a stranger may make us hold. */
export interface ReportLimits {
  /** Length of the body, in UTF-16 code units. */
  readonly body: number;
  /** Reports in one body. */
  readonly reports: number;
  /** Length of one string; a longer one is cut. */
  readonly string: number;
}

const defaultLimits: ReportLimits = { body: 262_144, reports: 100, string: 8_192 };

const mediaTypes: ReadonlySet<string> = new Set([
  "application/reports+json",
  "application/csp-report",
  // What Firefox sent before it followed the specification.
  "application/json",
]);

/**
 * Reads the body of a request that a browser sent to a reporting endpoint, for `report-uri` or for `report-to`.
 * Reports of types that are not listed in `Report` are left out. Missing fields get the specification's initial
 * values; a field of the wrong type, a body too large, or one that is no report at all throws `CspError`.
 */
export function parseReports(
  contentType: string,
  body: string,
  limits: Partial<ReportLimits> = {},
): Report[] {
  const { body: maxBody, reports: maxReports, string: maxString } = { ...defaultLimits, ...limits };
  const mediaType = contentType.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (!mediaTypes.has(mediaType)) {
    throw new CspError("report-media-type", "the media type is not one that reports have");
  }
  if (body.length > maxBody) {
    throw new CspError("report-too-large", `a body has ${body.length} characters, over ${maxBody}`);
  }
  const json = parseJson(body);
  // The shape tells the formats apart, since Safari sends the new one under the old media type and without an array.
  const list: readonly unknown[] = Array.isArray(json) ? json : [json];
  if (list.length > maxReports) {
    throw new CspError("report-too-large", `a body has ${list.length} reports, over ${maxReports}`);
  }
  return list.flatMap((item) => parseReport(fieldsOf(item, maxString)));
}

function parseReport(report: Fields): Report[] {
  if (report.has("csp-report")) {
    const body = violation(report.child("csp-report"));
    return [{ type: "csp-violation", url: body.documentURL, age: 0, userAgent: "", body }];
  }
  const envelope = {
    url: report.string("url"),
    age: report.number("age") ?? 0,
    userAgent: report.string("user_agent"),
  };
  switch (report.string("type")) {
    case "":
      throw new CspError("report-shape", "a report has no type");
    case "csp-violation":
      return [{ type: "csp-violation", ...envelope, body: violation(report.child("body")) }];
    case "csp-hash":
      return [{ type: "csp-hash", ...envelope, body: hash(report.child("body")) }];
    case "integrity-violation":
      return [{ type: "integrity-violation", ...envelope, body: integrity(report.child("body")) }];
    default:
      return [];
  }
}

/** Both formats: each field is asked for under its new name, then under its old one. */
function violation(body: Fields): CspViolationReportBody {
  // Level 1 and 2 had `violated-directive` alone, with its value; Level 3 wants the name.
  const directive = body.string("effectiveDirective", "effective-directive", "violated-directive");
  const effectiveDirective = directive.trim().split(/\s/, 1)[0]?.toLowerCase() ?? "";
  if (effectiveDirective === "") {
    throw new CspError("report-shape", "a violation names no directive");
  }
  const disposition = body.string("disposition") || "enforce";
  if (disposition !== "enforce" && disposition !== "report") {
    throw new CspError("report-shape", "a violation has neither of the two dispositions");
  }
  return {
    documentURL: body.string("documentURL", "document-uri"),
    referrer: body.string("referrer"),
    blockedURL: body.string("blockedURL", "blocked-uri"),
    effectiveDirective,
    originalPolicy: body.string("originalPolicy", "original-policy"),
    sourceFile: body.string("sourceFile", "source-file") || null,
    sample: body.string("sample", "script-sample"),
    disposition,
    statusCode: body.number("statusCode", "status-code") ?? 0,
    lineNumber: body.number("lineNumber", "line-number"),
    columnNumber: body.number("columnNumber", "column-number"),
  };
}

function hash(body: Fields): CspHashReportBody {
  return {
    documentURL: body.string("documentURL", "document_url"),
    subresourceURL: body.string("subresourceURL", "subresource_url"),
    hash: body.string("hash"),
    type: body.string("type"),
    destination: body.string("destination"),
  };
}

function integrity(body: Fields): IntegrityViolationReportBody {
  return {
    documentURL: body.string("documentURL"),
    blockedURL: body.string("blockedURL"),
    destination: body.string("destination"),
    reportOnly: body.boolean("reportOnly"),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The engine's message quotes the text, so it is not passed on as the cause.
    throw new CspError("report-syntax", "a report is no JSON");
  }
}

/** A JSON object's members, by whichever of several names it has; absent and null are one. */
interface Fields {
  has(name: string): boolean;
  string(...names: string[]): string;
  number(...names: string[]): number | null;
  boolean(...names: string[]): boolean;
  child(name: string): Fields;
}

function fieldsOf(value: unknown, maxString: number): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CspError("report-shape", "a report has something else where an object belongs");
  }
  const members = new Map<string, unknown>(Object.entries(value));
  const find = (names: readonly string[]) =>
    names.map((name) => members.get(name)).find((member) => member !== undefined);
  const wrong = (names: readonly string[], expected: string) =>
    new CspError("report-shape", `${names[0]} is no ${expected}`);
  return {
    has: (name) => members.has(name),
    string(...names) {
      const found = find(names) ?? "";
      if (typeof found !== "string") throw wrong(names, "string");
      return found.slice(0, maxString);
    },
    number(...names) {
      const found = find(names) ?? null;
      if (found === null) return null;
      if (!Number.isSafeInteger(found) || Number(found) < 0) throw wrong(names, "whole number");
      return Number(found);
    },
    boolean(...names) {
      const found = find(names) ?? false;
      if (typeof found !== "boolean") throw wrong(names, "boolean");
      return found;
    },
    child: (name) => fieldsOf(members.get(name), maxString),
  };
}
