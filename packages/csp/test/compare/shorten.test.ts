/** Shortening: what goes and why, and that no decision changes. */
import { chromium, parsePolicy, specification } from "@conclave/csp";
import { ask, findAllowedBy, shorten } from "@conclave/csp/compare";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { policy, question } from "./arbitraries.ts";

const origins = ["https://self.invalid", "http://a.example:8080", "https://c.example", "null"];

test("no decision changes, under either profile and for any origin", () => {
  fc.assert(
    fc.property(
      policy,
      fc.array(question, { minLength: 40, maxLength: 40 }),
      fc.constantFrom(...origins),
      fc.constantFrom(specification, chromium),
      (long, probes, selfOrigin, profile) => {
        const short = shorten(long).policy;
        const setting = { selfOrigin, profile };
        return (
          short.text.length <= long.text.length &&
          probes.every(
            (probe) => ask(probe, [long], setting).result === ask(probe, [short], setting).result,
          ) &&
          findAllowedBy(long, short, setting) === null &&
          findAllowedBy(short, long, setting) === null
        );
      },
    ),
    { numRuns: 100 },
  );
});

test("what is short enough stays as it is", () => {
  fc.assert(
    fc.property(policy, (long) => {
      const { policy: short } = shorten(long);
      return shorten(short).policy.text === short.text;
    }),
    { numRuns: 40 },
  );
});

describe("each reason", () => {
  test.each([
    ["img-src a.example; img-src b.example", "img-src a.example", ["ignored img-src b.example"]],
    [
      "img-src a.example; plugin-types x/y",
      "img-src a.example",
      ["unknown-directive plugin-types x/y"],
    ],
    [
      "default-src 'self'; img-src 'self'; font-src a.example",
      "default-src 'self'; font-src a.example",
      ["same-as-fallback img-src 'self' (default-src)"],
    ],
    [
      "frame-src a.example; worker-src b.example; child-src c.example",
      "frame-src a.example; worker-src b.example",
      ["never-asked child-src c.example"],
    ],
    ["img-src a.example A.example", "img-src a.example", ["repeated A.example"]],
    ["img-src a.example 'slef'", "img-src a.example", ["invalid 'slef'"]],
    ["img-src 'none' a.example", "img-src a.example", ["no-effect-here 'none'"]],
    ["img-src a.example 'unsafe-eval'", "img-src a.example", ["no-effect-here 'unsafe-eval'"]],
    [
      "img-src *.a.example https://b.a.example a.example",
      "img-src *.a.example https://b.a.example a.example",
      [],
    ],
    [
      "img-src https://*.a.example https://b.a.example/x/",
      "img-src https://*.a.example",
      ["covered https://b.a.example/x/ (https://*.a.example)"],
    ],
    ["img-src * a.example data:", "img-src * data:", ["covered a.example (*)"]],
    ["img-src https: wss: blob:", "img-src https: wss: blob:", []],
    [
      "img-src https://a.example:443/",
      "img-src https://a.example",
      ["respelled https://a.example:443/ (https://a.example)"],
    ],
    [
      "sandbox allow-top-navigation allow-top-navigation-by-user-activation",
      "sandbox allow-top-navigation",
      ["covered allow-top-navigation-by-user-activation"],
    ],
    ["trusted-types one * two", "trusted-types *", ["covered one (*)", "covered two (*)"]],
  ])("%s", (long, short, why) => {
    const { policy: shortened, changes } = shorten(parsePolicy(long));
    expect(shortened.text).toBe(short);
    const told = changes.map(
      ({ reason, token, by }) => `${reason} ${token.text}${by ? ` (${by})` : ""}`,
    );
    expect(told).toEqual(why);
    for (const { token } of changes) {
      expect(long.slice(token.offset, token.offset + token.length)).toBe(token.text);
    }
  });

  test("with the page's origin known, what is its own goes", () => {
    const long = parsePolicy("img-src 'self' https://page.example https://a.example");
    expect(shorten(long).policy.text).toBe("img-src 'self' https://page.example https://a.example");
    const { policy: short } = shorten(long, { selfOrigin: "https://page.example" });
    expect(short.text).toBe("img-src 'self' a.example");
  });

  test("what earlier browsers and reports need stays", () => {
    const text =
      "script-src 'nonce-a' 'nonce-b' 'strict-dynamic' 'unsafe-inline' https: 'report-sample'; report-uri /r; report-to r";
    expect(shorten(parsePolicy(text)).policy.text).toBe(text);
    // A worker that falls back to script-src is checked as a script.
    const worker = "script-src 'nonce-a' a.example; worker-src 'nonce-a' a.example";
    expect(shorten(parsePolicy(worker)).policy.text).toBe(worker);
    // In Chromium 'strict-dynamic' covers workers wherever it stands.
    const dynamic = "worker-src a.example 'strict-dynamic'";
    expect(shorten(parsePolicy(dynamic)).policy.text).toBe(dynamic);
    // Chromium upgrades a port that is said for all but frames.
    const framed = "frame-src http://a.example:443 https://a.example";
    expect(shorten(parsePolicy(framed)).policy.text).toBe(framed);
    // Chromium leaves out a query.
    expect(shorten(parsePolicy("img-src a.example/?b")).policy.text).toBe("img-src a.example/?b");
  });
});

test("what Chromium alone takes for a hash stays: without it 'unsafe-inline' would be in force", () => {
  const text = "script-src 'unsafe-inline' 'sha-256-AAAA'";
  expect(shorten(parsePolicy(text)).policy.text).toContain("'sha-256-AAAA'");
  expect(shorten(parsePolicy("script-src 'self' 'sha-1-AAAA'")).policy.text).toBe(
    "script-src 'self'",
  );
});
