/** The parsers over hostile headers: a short run of `npm run csp:fuzz`. */
import { parsePolicyList } from "@conclave/csp";
import { describe, expect, test } from "vitest";
import { hostileHeader, long, monotonous, withstand } from "../fuzz/hostile-headers.ts";

test("2,000 headers by a seed", () => {
  for (let n = 0; n < 2_000; n++) expect(() => withstand(hostileHeader(1, n))).not.toThrow();
});

describe("long headers of one part", () => {
  test.each(monotonous)("%j", (part) => {
    expect(() => withstand(long(part, 20_000))).not.toThrow();
  });
});

test("a megabyte of 100,000 directives, all kept", () => {
  const header = Array.from({ length: 100_000 }, (_, n) => `x-${n} a`).join(";");
  const [policy] = parsePolicyList(header);
  expect(policy?.directiveSet).toHaveLength(100_000);
});

test("a seed gives the same headers again, another one others", () => {
  expect(hostileHeader(1, 1)).toBe(hostileHeader(1, 1));
  expect(hostileHeader(1, 1)).not.toBe(hostileHeader(2, 1));
});
