/** The scenarios of web-platform-tests: every one, under the text and under Chromium's behaviour. */
import { readFileSync } from "node:fs";
import {
  type Client,
  chromium,
  type Decision,
  type FetchInit,
  parseMetaPolicy,
  parsePolicyList,
  shouldFetchBeBlocked,
  specification,
} from "@conclave/csp";
import { describe, expect, test } from "vitest";

interface Scenario {
  readonly id: string;
  readonly policies: readonly {
    readonly value: string;
    readonly disposition: "enforce" | "report";
    readonly delivery: "header" | "meta";
  }[];
  readonly page: { readonly url: string; readonly origin: string };
  readonly requests: readonly FetchInit[];
  readonly expectation: "allowed" | "blocked";
  readonly violationCount: number;
}

const file = new URL("../vectors/wpt-gen.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: readonly Scenario[] };

/** The requests one after the other, up to the first that is blocked. */
function play(scenario: Scenario, profile: typeof specification): Decision[] {
  const policies = scenario.policies.flatMap(({ value, disposition, delivery }) =>
    delivery === "meta" ? [parseMetaPolicy(value)] : parsePolicyList(value, disposition),
  );
  const { url, origin } = scenario.page;
  const client: Client = { url, cspList: { policies, selfOrigin: origin } };
  const decisions: Decision[] = [];
  for (const request of scenario.requests) {
    const decision = shouldFetchBeBlocked(request, client, profile);
    decisions.push(decision);
    if (decision.result === "Blocked") break;
  }
  return decisions;
}

test("the file has its 1,240 scenarios", () => expect(cases).toHaveLength(1_240));

describe.each([specification, chromium])("$name", (profile) => {
  test.each(cases)("$id", (scenario) => {
    const decisions = play(scenario, profile);
    const isBlocked = decisions.some(({ result }) => result === "Blocked");
    expect(isBlocked ? "blocked" : "allowed").toBe(scenario.expectation);
    const isWorklet = scenario.requests.some(({ destination }) => destination?.endsWith("worklet"));
    const silent = isWorklet && profile.has("worklet-unreported");
    expect(decisions.flatMap(({ violations }) => violations)).toHaveLength(
      silent ? 0 : scenario.violationCount,
    );
  });
});
