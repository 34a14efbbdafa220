/** Comparing exactly: counter-examples, differences, and that no question at random finds what they don't. */
import { chromium, parsePolicy, parsePolicyList, specification } from "@conclave/csp";
import { ask, difference, findAllowedBy, type Question } from "@conclave/csp/compare";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { policies, policy, question } from "./arbitraries.ts";

const origins = ["https://self.invalid", "http://a.example:8080", "null"];

describe.each([specification, chromium])("under the profile $name", (profile) => {
  const probes = fc.array(question, { minLength: 25, maxLength: 25 });
  const setting = fc.constantFrom(...origins).map((selfOrigin) => ({ selfOrigin, profile }));

  test("what any question finds, findAllowedBy finds; what it finds, the engine confirms", () => {
    fc.assert(
      fc.property(policies, policies, probes, setting, (a, b, questions, as) => {
        const example = findAllowedBy(a, b, as);
        const isAllowed = (probe: Question) => ask(probe, a, as).result === "Allowed";
        const isBlocked = (probe: Question) => ask(probe, b, as).result === "Blocked";
        if (example) return isAllowed(example.question) && isBlocked(example.question);
        return !questions.some((probe) => isAllowed(probe) && isBlocked(probe));
      }),
      { numRuns: 150 },
    );
  });

  test("one token or directive less is found wherever a question finds it", () => {
    fc.assert(
      fc.property(policy, fc.nat(), probes, setting, (a, at, questions, as) => {
        const words = a.text.split(" ");
        const b = parsePolicy(words.toSpliced(at % words.length, 1).join(" "));
        for (const [first, second] of [
          [a, b],
          [b, a],
        ] as const) {
          const isLooser = questions.some(
            (probe) =>
              ask(probe, [first], as).result === "Allowed" &&
              ask(probe, [second], as).result === "Blocked",
          );
          if (isLooser && !findAllowedBy(first, second, as)) return false;
        }
        return true;
      }),
      { numRuns: 200 },
    );
  });

  test("two lists together allow no more than one, but eval by what one says of Trusted Types", () => {
    fc.assert(
      fc.property(policies, policies, setting, (a, b, as) => {
        const example = findAllowedBy([...a, ...b], a, as);
        // The one exception: 'trusted-types-eval' goes by what any policy says (CSP #can-compile-strings).
        const typed = [...a, ...b].some(({ text }) => /'trusted-types-eval'/i.test(text));
        return example === null || (typed && example.question.kind === "eval");
      }),
      { numRuns: 50 },
    );
  });

  test("'trusted-types-eval' lets eval through where another policy requires Trusted Types", () => {
    const typed = parsePolicyList("default-src 'trusted-types-eval'");
    const required = parsePolicyList("require-trusted-types-for 'script'");
    const as = { selfOrigin: "https://self.invalid", profile };
    expect(findAllowedBy([...typed, ...required], typed, as)?.question.kind).toBe("eval");
    expect(findAllowedBy(typed, typed, as)).toBeNull();
  });
});

describe("what one allows and the other doesn't", () => {
  test.each([
    ["img-src a.example b.example", "img-src a.example", "fetch"],
    ["img-src a.example/x", "img-src a.example/x/", "fetch"],
    ["img-src a.example/x/", "img-src a.example/x", "fetch"],
    ["img-src *.a.example", "img-src b.a.example", "fetch"],
    ["img-src a.example:*", "img-src a.example", "fetch"],
    ["img-src http:", "img-src https:", "fetch"],
    ["img-src 'self'", "img-src 'none'", "fetch"],
    ["img-src *", "img-src http: https:", null],
    ["img-src http: https:", "img-src *", null],
    ["img-src 'none'", "font-src *", "fetch"],
    ["img-src * data:", "img-src *", "fetch"],
    ["img-src *", "default-src 'self'", "fetch"],
    ["script-src 'nonce-a' 'nonce-b'", "script-src 'nonce-a'", "fetch"],
    ["script-src 'strict-dynamic' 'nonce-a'", "script-src 'nonce-a'", "fetch"],
    ["script-src 'nonce-a'; style-src 'unsafe-inline'", "style-src 'nonce-b'", "inline"],
    ["style-src 'unsafe-inline'", "style-src 'unsafe-inline' 'sha256-abc'", "inline"],
    ["script-src 'unsafe-eval'", "script-src 'wasm-unsafe-eval'", "eval"],
    ["script-src 'wasm-unsafe-eval'", "script-src 'none'", "wasm"],
    ["form-action a.example", "form-action b.example", "form"],
    ["base-uri 'self'", "base-uri 'none'", "base"],
    ["frame-ancestors https:", "frame-ancestors 'self'", "embed"],
    ["sandbox allow-scripts", "sandbox", "sandboxed"],
    ["trusted-types *", "trusted-types one", "trusted-types-policy"],
    ["trusted-types one 'allow-duplicates'", "trusted-types one", "trusted-types-policy"],
    ["base-uri *", "require-trusted-types-for 'script'", "javascript-url"],
    ["webrtc 'allow'", "webrtc 'block'", "webrtc"],
    ["img-src http:", "img-src http:; upgrade-insecure-requests", "fetch"],
    ["connect-src * 'unsafe-webtransport-hashes'", "connect-src *", "fetch"],
  ])("%s | %s: %s", (a, b, kind) => {
    const example = findAllowedBy(parsePolicy(a), parsePolicy(b));
    expect(example?.question.kind ?? null).toBe(kind);
    expect(findAllowedBy(parsePolicy(a), parsePolicy(a))).toBeNull();
  });

  test("a path counts for the first request alone", () => {
    const a = parsePolicy("img-src a.example/x b.example");
    const b = parsePolicyList("img-src a.example b.example, img-src a.example/x b.example");
    expect(findAllowedBy(a, b)).toBeNull();
    // After a redirect each list allows all of a.example, and neither allows it at first.
    const two = parsePolicyList("img-src a.example/x c.example, img-src a.example/y c.example");
    const example = findAllowedBy(two, parsePolicy("img-src c.example"));
    expect(example?.question).toMatchObject({
      kind: "fetch",
      request: { url: "https://c.example/", redirects: [expect.stringContaining("a.example")] },
    });
  });

  test("what only reports neither forbids nor counts", () => {
    const reported = parsePolicy("default-src 'none'", "header", "report");
    expect(findAllowedBy(parsePolicy("img-src *"), reported)).toBeNull();
    expect(findAllowedBy(reported, parsePolicy("img-src *"))).not.toBeNull();
  });

  test("'self' is the given origin, or one that nobody names", () => {
    const a = parsePolicy("img-src 'self'");
    const b = parsePolicy("img-src https://page.example wss://page.example");
    expect(findAllowedBy(a, b)).not.toBeNull();
    // A `blob:` URL has the page's origin; Chromium's 'self' leaves it out.
    const options = { selfOrigin: "https://page.example", profile: chromium };
    expect(findAllowedBy(b, a, options)).toBeNull();
    expect(findAllowedBy(a, b, options)).toBeNull();
    expect(findAllowedBy(a, b, { selfOrigin: "https://page.example" })?.text).toContain("blob:");
  });

  test("code that exists by its hash has none that no text can have", () => {
    const impossible = parsePolicy("style-src 'sha256-abc'");
    expect(findAllowedBy(impossible, parsePolicy("style-src 'none'"))).toBeNull();
    const possible = parsePolicy(`style-src 'sha256-${"A".repeat(43)}='`);
    expect(findAllowedBy(possible, parsePolicy("style-src 'none'"))?.text).toBe(
      `style-src-elem: 'sha256-${"A".repeat(43)}=' allows an inline style with the hash sha256-${"A".repeat(43)}=; the other side's style-src blocks it`,
    );
  });
});

describe("hosts and ports that stand for all others", () => {
  test.each(["*.test", "test", "t", "*.test *.test-2 unlisted.test-3"])(
    "there is a host that %s has no part in",
    (list) => {
      const [all, some] = [parsePolicy("img-src http:"), parsePolicy(`img-src ${list}`)];
      expect(findAllowedBy(all, some)).not.toBeNull();
      expect(findAllowedBy(some, parsePolicy("img-src c.example"))).not.toBeNull();
    },
  );

  test("Chromium's 'self' has a port that nobody wrote", () => {
    const own = parsePolicy("img-src 'self'");
    const written = parsePolicy("img-src http://a.example ws://a.example wss://a.example blob:");
    const as = { selfOrigin: "http://a.example", profile: chromium };
    expect(findAllowedBy(own, written, as)?.question).toMatchObject({
      request: { url: "https://a.example:80/" },
    });
    expect(findAllowedBy(own, written, { ...as, profile: specification })).toBeNull();
  });
});

test("what Chromium matches for all but frames tells nothing of frames", () => {
  const some = parsePolicy("child-src http://*:443 'strict-dynamic'");
  const none = parsePolicy("child-src 'strict-dynamic'");
  expect(findAllowedBy(some, none, { profile: chromium })?.question).toMatchObject({
    request: { url: expect.stringMatching(/^http:.*:443/), destination: "iframe" },
  });
});

describe("differences", () => {
  test("each directive and expression once, on the side that has more", () => {
    const a = parsePolicy(
      "default-src 'self'; script-src 'self' https://cdn.example 'unsafe-eval'",
    );
    const b = parsePolicy("default-src 'self'; img-src 'self' https://img.example");
    const { onlyFirst, onlySecond } = difference(a, b);
    expect(
      onlyFirst.map(({ directive, expressions }) => [directive, expressions[0]?.text]),
    ).toEqual([
      ["script-src-elem", "https://cdn.example"],
      ["worker-src", "https://cdn.example"],
      ["default-src", "https://cdn.example"],
      ["script-src", "'unsafe-eval'"],
    ]);
    expect(onlySecond.map(({ text }) => text)).toEqual([
      "img-src: https://img.example allows an image from https://img.example/; the other side's default-src blocks it",
      "default-src: https://img.example allows a prefetch of https://img.example/; the other side's default-src blocks it",
    ]);
    expect(difference(a, a)).toEqual({ onlyFirst: [], onlySecond: [] });
  });

  test("there is one exactly where findAllowedBy finds something", () => {
    fc.assert(
      fc.property(policies, policies, (a, b) => {
        const { onlyFirst, onlySecond } = difference(a, b);
        expect(onlyFirst.length > 0).toBe(findAllowedBy(a, b) !== null);
        expect(onlySecond.length > 0).toBe(findAllowedBy(b, a) !== null);
      }),
      { numRuns: 40 },
    );
  });
});

test("a hash with a hyphen in its name allows what it is of, in Chromium", () => {
  const hash = parsePolicy("script-src 'sha-256-kg/yIXDzLg6QI87Y3hU+rLPz5cPH0oMHB5R3jnQCw6o='");
  const none = parsePolicy("script-src 'none'");
  expect(findAllowedBy(hash, none, { profile: chromium })).not.toBeNull();
  expect(findAllowedBy(hash, none, { profile: specification })).toBeNull();
});
