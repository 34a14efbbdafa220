/** Each type of finding with a policy that has it and one that doesn't. */
import { parseMetaPolicy, parsePolicy, parsePolicyList } from "@conclave/csp";
import { type FindingType, findingTypes, judgePolicies } from "@conclave/csp/judge";
import { describe, expect, test } from "vitest";
import { type Case, cases } from "./cases.ts";

function typesOf(text: string, { context, read }: Case): FindingType[] {
  const policies =
    read === "meta"
      ? [parseMetaPolicy(text)]
      : read === "report"
        ? [parsePolicy(text, "header", "report")]
        : parsePolicyList(text);
  return judgePolicies(policies, context).map(({ type }) => type);
}

test("every type has its case", () => {
  expect(Object.keys(cases).sort()).toEqual(Object.keys(findingTypes).sort());
});

describe.each(Object.entries(cases))("%s", (type, entry) => {
  const pairs = [[entry.bad, entry.good] as const, ...(entry.more ?? [])];
  test.each(pairs)("in %s, not in %s", (bad, good) => {
    expect(typesOf(bad, entry)).toContain(type);
    expect(typesOf(good, entry)).not.toContain(type);
  });
});
