/** Reports and what is made of them, for tests. */
import type { CspViolationReport, CspViolationReportBody } from "@conclave/csp";
import { type Observation, type ReportFacts } from "@conclave/csp/collect";
import { factsOf } from "../../src/collect/facts.ts";
import { groupOf } from "../../src/collect/group.ts";

export const chromeAgent =
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";

export function violationReport(body: Partial<CspViolationReportBody> = {}): CspViolationReport {
  return {
    type: "csp-violation",
    url: "https://shop.example/",
    age: 10,
    userAgent: chromeAgent,
    body: {
      documentURL: "https://shop.example/basket",
      referrer: "",
      blockedURL: "https://cdn.example/lib.js",
      effectiveDirective: "script-src-elem",
      originalPolicy: "default-src 'none'; script-src 'self'; report-to csp",
      sourceFile: null,
      sample: "",
      disposition: "enforce",
      statusCode: 200,
      lineNumber: null,
      columnNumber: null,
      ...body,
    },
  };
}

export function factsFor(body: Partial<CspViolationReportBody> = {}): ReportFacts {
  return factsOf(violationReport(body), { samples: true, userAgent: "" });
}

export function observe(body: Partial<CspViolationReportBody> = {}): Observation {
  const facts = factsFor(body);
  return { facts, group: groupOf(facts, undefined) };
}

/** As a browser sends it for `report-to`. */
export function delivery(...bodies: readonly Partial<CspViolationReportBody>[]): string {
  return JSON.stringify(
    bodies.map((body) => {
      const { userAgent, ...report } = violationReport(body);
      return { ...report, user_agent: userAgent };
    }),
  );
}
