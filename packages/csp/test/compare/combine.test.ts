/** Union and intersection: that nothing is lost, that an excess is shown, and that the engine says so. */
import { type Policy, parsePolicy, parsePolicyList, serializePolicyList } from "@conclave/csp";
import { ask, findAllowedBy, intersection, type Question, union } from "@conclave/csp/compare";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { policies, policy, question } from "./arbitraries.ts";

const setting = { selfOrigin: "https://self.invalid" };

test("an intersection allows what both do in force together: what both allow", () => {
  fc.assert(
    fc.property(policies, policies, fc.array(question, { minLength: 30 }), (a, b, probes) => {
      const both = intersection(a, b);
      const together = [...a, ...b];
      const isAllowed = (probe: Question, by: readonly Policy[]) =>
        ask(probe, by, setting).result === "Allowed";
      return (
        probes.every((probe) => isAllowed(probe, both) === isAllowed(probe, together)) &&
        probes.every(
          (probe) =>
            probe.kind === "eval" ||
            isAllowed(probe, both) === (isAllowed(probe, a) && isAllowed(probe, b)),
        ) &&
        findAllowedBy(both, together, setting) === null &&
        findAllowedBy(together, both, setting) === null
      );
    }),
    { numRuns: 15 },
  );
});

test("in an intersection 'trusted-types-eval' of one side counts where the other requires the types", () => {
  const requiring = parsePolicy("require-trusted-types-for 'script'");
  const compiling = parsePolicy("script-src 'trusted-types-eval'");
  const compilation = { compilationType: "DIRECT-EVAL", codeString: "1", isTrusted: true } as const;
  const probe: Question = { kind: "eval", compilation };
  const both = intersection(requiring, compiling);
  expect(ask(probe, [compiling], setting).result).toBe("Blocked");
  expect(ask(probe, [requiring, compiling], setting).result).toBe("Allowed");
  expect(ask(probe, both, setting).result).toBe("Allowed");
});

test("a union allows what either allows, and shows what it allows beyond", () => {
  fc.assert(
    fc.property(policy, policy, fc.array(question, { minLength: 30 }), (a, b, probes) => {
      const { policies: either, excess } = union(a, b, setting);
      if (findAllowedBy(a, either, setting) || findAllowedBy(b, either, setting)) return false;
      const isExcess = (probe: Question) =>
        ask(probe, either, setting).result === "Allowed" &&
        [a, b].every((one) => ask(probe, [one], setting).result === "Blocked");
      if (excess) return isExcess(excess.question);
      return !probes.some((probe) => isExcess(probe) && !isAllowedInParts(probe, [a, b]));
    }),
    { numRuns: 25 },
  );
});

test("a redirect from a URL of one side's to one of the other's is an excess that is not looked for", () => {
  const [a, b] = [parsePolicy("img-src https://a.example"), parsePolicy("img-src data:")];
  const { policies: either, excess } = union(a, b, setting);
  expect(excess).toBeNull();
  const request = { url: "https://a.example/x", redirects: ["data:,x"], destination: "image" };
  const probe: Question = { kind: "fetch", request };
  expect(ask(probe, either, setting).result).toBe("Allowed");
  for (const one of [a, b]) expect(ask(probe, [one], setting).result).toBe("Blocked");
  expect(isAllowedInParts(probe, [a, b])).toBe(true);
  const elsewhere: Question = { kind: "fetch", request: { ...request, redirects: ["x-app:1"] } };
  expect(isAllowedInParts(elsewhere, [a, b])).toBe(false);
});

/** Whether it has several parts and one of the policies or another allows each: what `union` says that it doesn't look for. */
function isAllowedInParts(probe: Question, either: readonly Policy[]): boolean {
  const parts = partsOf(probe);
  return (
    parts.length > 1 &&
    parts.every(({ question: part, isRedirect }) =>
      either.some((one) => {
        const judge = isRedirect ? withoutPaths(one) : one;
        return ask(part, [judge], setting).result === "Allowed";
      }),
    )
  );
}

interface Part {
  readonly question: Question;
  readonly isRedirect: boolean;
}

function partsOf(probe: Question): Part[] {
  if (probe.kind === "embed") {
    return probe.ancestors.map((ancestor) => whole({ ...probe, ancestors: [ancestor] }));
  }
  if (probe.kind === "form") {
    return [probe.url, ...probe.redirects].map((url, i) => {
      return { question: { ...probe, url, redirects: [] }, isRedirect: i > 0 };
    });
  }
  if (probe.kind !== "fetch") return [whole(probe)];
  const { url, redirects = [], integrity = "" } = probe.request;
  const hashes = integrity.split(" ");
  return [url, ...redirects].flatMap((each, i) =>
    hashes.map((hash) => {
      const request = { ...probe.request, url: each, redirects: [], integrity: hash };
      return { question: { ...probe, request }, isRedirect: i > 0 };
    }),
  );
}

const whole = (probe: Question): Part => ({ question: probe, isRedirect: false });

/** As it judges a redirect, where paths don't count (CSP #match-url-to-source-expression). */
function withoutPaths({ text }: Policy): Policy {
  return parsePolicy(text.replaceAll(/(?<=[\w.*]\.\w+|localhost|\*|:\d+)\/[^\s;]*/g, ""));
}

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
