/** Subsumption as published: web-platform-tests' vectors, and a case for each rule that they have none for. */
import { readFileSync } from "node:fs";
import { parsePolicy, parsePolicyList } from "@conclave/csp";
import { subsumes } from "@conclave/csp/compare";
import { describe, expect, test } from "vitest";

interface Vector {
  readonly id: string;
  readonly required: string | null;
  readonly returned: readonly string[];
  readonly subsumes: boolean;
  readonly flags?: readonly string[];
}

const file = new URL("../vectors/wpt-subsumption.json", import.meta.url);
const { cases, setting } = JSON.parse(readFileSync(file, "utf8")) as {
  cases: readonly Vector[];
  setting: { readonly responseOrigin: string };
};

test("the file has its 167 cases", () => expect(cases).toHaveLength(167));

test.each(cases)("$id", ({ required, returned, subsumes: expected }) => {
  const policy = required === null ? null : parsePolicy(required);
  const policies = returned.map((value) => parsePolicy(value));
  const answer = subsumes(policy, policies, { selfOrigin: setting.responseOrigin });
  expect(answer.subsumes).toBe(expected);
});

/** What the flagged cases hang on. Each is decided, and here is how. */
const undecided: Readonly<Record<string, string>> = {
  "plugin-types-removed": "a directive that no specification has any more requires nothing",
  "unknown-required-directive": "nor does one that none ever had",
  "keyword-renamed-unsafe-hashes": "the old keyword is one of its own, as the text still has it",
  "ftp-scheme": "`*` stands for ftp:, too, as the text has it; in CSP itself it doesn't any more",
  "empty-required": "a policy without directives requires nothing",
  "no-required": "no policy requires nothing",
};

test("every flag has its decision", () => {
  const flags = new Set(cases.flatMap(({ flags = [] }) => flags));
  expect([...flags].sort()).toEqual(Object.keys(undecided).sort());
});

function ask(required: string, ...returned: readonly string[]) {
  const policies = returned.flatMap((value) => parsePolicyList(value));
  return subsumes(parsePolicy(required), policies, { selfOrigin: "https://page.example" });
}

describe("beyond the vectors", () => {
  test("the answer points at the expression that the required policy doesn't have", () => {
    const answer = ask("img-src a.example", "img-src a.example b.example");
    expect(answer).toMatchObject({
      subsumes: false,
      directive: "img-src",
      expression: { text: "b.example", offset: 18 },
    });
  });

  test("a policy that only reports neither requires nor gives anything", () => {
    const required = parsePolicy("img-src 'none'", "header", "report");
    expect(subsumes(required, [], { selfOrigin: "null" }).subsumes).toBe(true);
    const returned = parsePolicy("img-src 'none'", "header", "report");
    const answer = subsumes(parsePolicy("img-src *"), [returned], { selfOrigin: "null" });
    expect(answer).toEqual({ subsumes: false, directive: null, expression: null });
  });

  test.each([
    ["sandbox allow-scripts", "sandbox", true],
    ["sandbox", "sandbox allow-scripts", false],
    ["sandbox", "img-src *", false],
    ["frame-ancestors 'self'", "frame-ancestors 'none'", true],
    ["frame-ancestors 'none'", "frame-ancestors 'self'", false],
    ["frame-ancestors https:", "frame-ancestors 'self'", true],
    ["default-src 'self'", "default-src 'self'; img-src *", false],
    ["script-src 'unsafe-eval'", "script-src 'wasm-unsafe-eval'", true],
    ["script-src 'wasm-unsafe-eval'", "script-src 'unsafe-eval'", false],
    ["connect-src *", "connect-src * 'unsafe-webtransport-hashes'", false],
    ["img-src https:", "img-src a.example", true],
    ["img-src data:", "img-src a.example", false],
    ["script-src 'self'; worker-src 'none'", "script-src 'self'", false],
  ])("%s over %s: %s", (required, returned, expected) => {
    expect(ask(required, returned).subsumes).toBe(expected);
  });

  test("an opaque origin has no 'self' and gives hosts no scheme", () => {
    const options = { selfOrigin: "null" };
    const required = parsePolicy("img-src 'none'");
    const returned = parsePolicy("img-src 'self' a.example");
    expect(subsumes(required, [returned], options).subsumes).toBe(true);
  });
});
