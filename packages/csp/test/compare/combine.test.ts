/** Union and intersection: that nothing is lost, that an excess is shown, and that the engine says so. */
import { parsePolicy, parsePolicyList, serializePolicyList } from "@conclave/csp";
import { ask, findAllowedBy, intersection, union } from "@conclave/csp/compare";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { policies, policy, question } from "./arbitraries.ts";

const setting = { selfOrigin: "https://self.invalid" };

test("an intersection allows what both allow", () => {
  fc.assert(
    fc.property(policies, policies, fc.array(question, { minLength: 30 }), (a, b, probes) => {
      const both = intersection(a, b);
      const isAllowed = (by: typeof a) => (probe: (typeof probes)[number]) =>
        ask(probe, by, setting).result === "Allowed";
      return (
        probes.every(
          (probe) => isAllowed(both)(probe) === (isAllowed(a)(probe) && isAllowed(b)(probe)),
        ) &&
        findAllowedBy(both, [...a, ...b], setting) === null &&
        findAllowedBy([...a, ...b], both, setting) === null
      );
    }),
    { numRuns: 15 },
  );
});

test("a union allows what either allows, and shows what it allows beyond", () => {
  fc.assert(
    fc.property(policy, policy, fc.array(question, { minLength: 30 }), (a, b, probes) => {
      const { policies: either, excess } = union(a, b, setting);
      if (findAllowedBy(a, either, setting) || findAllowedBy(b, either, setting)) return false;
      const isExcess = (probe: (typeof probes)[number]) =>
        ask(probe, either, setting).result === "Allowed" &&
        [a, b].every((one) => ask(probe, [one], setting).result === "Blocked");
      return excess ? isExcess(excess.question) : !probes.some(isExcess);
    }),
    { numRuns: 25 },
  );
});

describe("intersections", () => {
  test.each([
    ["img-src 'self'", "img-src 'self' a.example", "img-src 'self'"],
    ["img-src a.example", "font-src a.example", "img-src a.example, font-src a.example"],
    ["default-src 'none'", "sandbox", "default-src 'none', sandbox"],
    ["img-src *", "img-src *; report-to r", "img-src *; report-to r"],
  ])("%s and %s", (a, b, expected) => {
    expect(serializePolicyList(intersection(parsePolicy(a), parsePolicy(b)))).toBe(expected);
  });

  test("what only reports stays", () => {
    const reported = parsePolicy("img-src *", "header", "report");
    expect(intersection(parsePolicy("img-src 'none'"), reported)).toHaveLength(2);
  });
});

describe("unions", () => {
  test.each([
    ["img-src a.example", "img-src b.example", "img-src a.example b.example", null],
    [
      "default-src 'self'",
      "default-src 'self'; img-src a.example",
      "default-src 'self'; img-src 'self' a.example",
      null,
    ],
    [
      "script-src 'nonce-a' 'strict-dynamic'",
      "script-src 'nonce-b' 'strict-dynamic'",
      "script-src 'nonce-a' 'strict-dynamic' 'nonce-b'",
      null,
    ],
    [
      "img-src a.example; font-src a.example",
      "img-src b.example",
      "img-src a.example b.example",
      null,
    ],
    ["sandbox allow-scripts", "sandbox allow-forms", "sandbox allow-scripts allow-forms", null],
    ["webrtc 'block'", "webrtc 'allow'", "", null],
    ["style-src 'unsafe-inline'", "style-src 'sha256-AAAA'", "style-src 'unsafe-inline'", null],
    ["script-src 'unsafe-inline' 'self'", "script-src 'nonce-a' 'strict-dynamic'", "", "some"],
  ])("%s or %s", (a, b, expected, excess) => {
    const either = union(parsePolicy(a), parsePolicy(b));
    expect(serializePolicyList(either.policies)).toBe(expected);
    expect(either.excess === null).toBe(excess === null);
  });

  test("of lists: each of one with each of the other", () => {
    const a = parsePolicyList("img-src a.example b.example, img-src a.example c.example");
    const either = union(a, parsePolicy("img-src d.example"));
    expect(either.excess).toBeNull();
    expect(serializePolicyList(either.policies)).toBe(
      "img-src a.example b.example d.example, img-src a.example c.example d.example",
    );
  });

  test("with nothing on one side everything is allowed", () => {
    expect(union([], parsePolicy("img-src a.example")).policies).toEqual([]);
  });
});
