/**
 * `Integrity-Policy`: scripts and styles that have to come with integrity metadata.
 * Subresource Integrity, "Integrity-Policy"; RFC 9651 for the header's form.
 * @module
 */

import type { IntegrityViolationReportBody } from "../report/parse-reports.ts";
import { parseIntegrityMetadata } from "./match-request.ts";
import { isLocal } from "./match-url.ts";
import { type Profile, specification } from "./profile.ts";
import type { Request } from "./request.ts";
import { parseDictionaryOfInnerLists } from "./structured-field.ts";
import { stripUrlForUseInReports } from "./violation.ts";

/** "Integrity policy": a struct of three lists. */
export interface IntegrityPolicyHeader {
  readonly sources: readonly string[];
  readonly blockedDestinations: readonly string[];
  readonly endpoints: readonly string[];
}

/**
 * "Processing an integrity policy". A header that is no structured field is no policy; names that aren't known are
 * left out.
 */
export function processIntegrityPolicy(
  value: string,
  profile: Profile = specification,
): IntegrityPolicyHeader {
  const dictionary = parseDictionaryOfInnerLists(value);
  const list = (key: string): readonly string[] => dictionary?.get(key) ?? [];
  const sources = list("sources").filter((source) => source === "inline");
  return {
    sources: dictionary && !dictionary.has("sources") ? ["inline"] : sources,
    blockedDestinations: list("blocked-destinations").filter(
      (d) => d === "script" || (d === "style" && !profile.has("integrity-of-scripts-alone")),
    ),
    endpoints: list("endpoints"),
  };
}

/** What one of the two headers causes. */
export interface IntegrityDecision {
  readonly result: "Allowed" | "Blocked";
  /** One for each endpoint that is to hear of it. */
  readonly reports: readonly {
    readonly endpoint: string;
    readonly body: IntegrityViolationReportBody;
  }[];
}

/** "Should request be blocked by integrity policy". Worklets have no integrity policy. */
export function shouldRequestBeBlockedByIntegrityPolicy(
  request: Request,
  client: {
    readonly url: string;
    readonly global?: "window" | "worker" | "worklet";
    readonly integrityPolicy?: IntegrityPolicyHeader;
    readonly reportOnlyIntegrityPolicy?: IntegrityPolicyHeader;
  },
): IntegrityDecision {
  const checkable = request.mode === "cors" || request.mode === "same-origin";
  const covered = checkable && parseIntegrityMetadata(request.integrityMetadata).length > 0;
  if (covered || isLocal(request.url) || client.global === "worklet") {
    return { result: "Allowed", reports: [] };
  }
  const { integrityPolicy: policy, reportOnlyIntegrityPolicy: reportPolicy } = client;
  const block = policy !== undefined && blocksDestination(policy, request.destination);
  const reportBlock =
    reportPolicy !== undefined && blocksDestination(reportPolicy, request.destination);
  const documentURL = URL.parse(client.url);
  const body = (reportOnly: boolean): IntegrityViolationReportBody => ({
    documentURL: documentURL ? stripUrlForUseInReports(documentURL) : "",
    blockedURL: stripUrlForUseInReports(request.url),
    destination: request.destination,
    reportOnly,
  });
  return {
    result: block ? "Blocked" : "Allowed",
    reports: [
      ...(block ? policy.endpoints.map((endpoint) => ({ endpoint, body: body(false) })) : []),
      ...(reportBlock
        ? reportPolicy.endpoints.map((endpoint) => ({ endpoint, body: body(true) }))
        : []),
    ],
  };
}

function blocksDestination(policy: IntegrityPolicyHeader, destination: string): boolean {
  return policy.sources.includes("inline") && policy.blockedDestinations.includes(destination);
}
