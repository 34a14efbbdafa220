import {
  isReportPossible,
  type PlausibilityReason,
  parsePolicyList,
  type ReportedViolation,
} from "@conclave/csp";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const documentURL = "https://shop.example/basket";
type Case = readonly [
  reason: PlausibilityReason,
  policy: string,
  directive: string,
  blocked: string,
];

function ask(policy: string, effectiveDirective: string, blockedURL: string) {
  return isReportPossible({ documentURL, blockedURL, effectiveDirective, originalPolicy: policy });
}

describe("possible", () => {
  test.each<Case>([
    ["blocked", "script-src 'self'", "script-src-elem", "https://cdn.example/a.js"],
    ["blocked", "default-src 'self'", "img-src", "https://cdn.example/a.png"],
    ["blocked", "default-src 'none'", "worker-src", "https://shop.example/w.js"],
    ["blocked", "script-src https://cdn.example/lib/", "script-src", "https://cdn.example/a.js"],
    // Cut to the origin, as some browsers do.
    ["blocked", "object-src https://cdn.example/lib/", "object-src", "https://cdn.example"],
    ["blocked", "script-src 'self'", "script-src-elem", "inline"],
    ["blocked", "script-src 'self' 'wasm-unsafe-eval'", "script-src", "eval"],
    ["blocked", "default-src 'self' 'unsafe-inline'", "script-src", "eval"],
    ["blocked", "script-src 'self'", "script-src", "wasm-eval"],
    ["blocked", "img-src 'self'", "img-src", "data"],
    // `*` has no `data:` and `blob:`.
    ["blocked", "img-src *", "img-src", "data"],
    ["blocked", "img-src *", "img-src", "blob"],
    // The specification lets `'self'` match blob: URLs, browsers don't.
    ["blocked", "img-src 'self'", "img-src", "blob"],
    // Beside 'strict-dynamic' hosts count for nothing.
    ["blocked", "script-src 'strict-dynamic' 'nonce-x' *", "script-src-elem", "https://a.example/"],
    ["blocked", "script-src 'strict-dynamic' 'nonce-x' *", "worker-src", "https://a.example/w.js"],
    ["blocked", "base-uri 'self'", "base-uri", "https://evil.example/"],
    ["blocked", "form-action 'self'", "form-action", "https://evil.example/"],
    [
      "blocked",
      "require-trusted-types-for 'script'",
      "require-trusted-types-for",
      "trusted-types-sink",
    ],
    ["blocked", "trusted-types 'none'", "trusted-types", "trusted-types-policy"],
    // Older Safari.
    ["blocked", "connect-src 'self'", "connect-src", "wss://shop.example/live"],
    // Where browsers and the specification differ.
    ["blocked", "script-src http://a.example:80", "script-src", "https://a.example/"],
    ["blocked", "script-src https://a.example/x?y", "script-src", "https://a.example/x"],
    ["blocked", "script-src http://a.example:8080", "script-src", "https://a.example:8080/"],
    ["blocked", "frame-src http://a.example:443", "frame-src", "https://a.example/"],

    ["after-redirect", "script-src 'self'", "script-src-elem", "https://shop.example/a.js"],
    ["after-redirect", "script-src https:", "script-src-elem", "https://cdn.example/a.js"],
    ["after-redirect", "form-action 'self'", "form-action", "https://shop.example/order"],
    ["after-redirect", "default-src cdn.example", "font-src", "https://cdn.example/a.woff2"],

    ["not-said", "", "script-src", "https://cdn.example/a.js"],
    ["not-said", "", "navigate-to", "https://cdn.example/"],
    ["not-said", "script-src 'nonce-x'", "script-src-elem", "inline"],
    ["not-said", "script-src 'unsafe-inline' 'sha256-x='", "script-src-attr", "inline"],
    ["not-said", "script-src 'trusted-types-eval'", "script-src", "eval"],
    ["not-said", "script-src 'self'", "script-src", ""],
    ["not-said", "script-src 'self'", "script-src", "self"],
    ["not-said", "script-src 'self'", "script-src", "not a URL"],
    ["not-said", "frame-ancestors 'self'", "frame-ancestors", "https://shop.example/basket"],
    ["not-said", "trusted-types a", "trusted-types", "trusted-types-policy"],
    ["not-said", "trusted-types *", "trusted-types", "trusted-types-policy"],
    ["not-said", "block-all-mixed-content", "block-all-mixed-content", "http://a.example/"],
    ["not-said", "navigate-to 'self'", "navigate-to", "https://a.example/"],
  ])("%s: %s, %s, %s", (reason, ...report) => {
    expect(ask(...report)).toEqual({ possible: true, reason });
  });
});

describe("impossible", () => {
  test.each<Case>([
    ["allowed", "script-src *", "script-src-elem", "https://cdn.example/a.js"],
    ["allowed", "script-src http: https:", "script-src-elem", "https://cdn.example/a.js"],
    ["allowed", "default-src *", "img-src", "http://cdn.example/a.png"],
    ["allowed", "img-src 'self' data:", "img-src", "data"],
    ["allowed", "default-src * blob:", "worker-src", "blob"],
    ["allowed", "connect-src wss://live.example", "connect-src", "wss://live.example/x"],
    ["allowed", "base-uri 'self'", "base-uri", "https://shop.example/a/"],
    ["allowed", "script-src 'unsafe-inline'", "script-src-elem", "inline"],
    ["allowed", "default-src 'unsafe-inline'", "style-src-attr", "inline"],
    ["allowed", "style-src 'unsafe-inline' 'strict-dynamic'", "style-src-elem", "inline"],
    ["allowed", "script-src 'unsafe-eval'", "script-src", "eval"],
    ["allowed", "script-src 'unsafe-eval'", "script-src", "wasm-eval"],
    ["allowed", "script-src 'wasm-unsafe-eval'", "script-src", "wasm-eval"],
    ["allowed", "trusted-types * 'allow-duplicates'", "trusted-types", "trusted-types-policy"],
    ["allowed", "require-trusted-types-for 'x'", "require-trusted-types-for", "trusted-types-sink"],

    ["no-directive", "img-src 'none'", "script-src-elem", "https://cdn.example/a.js"],
    ["no-directive", "default-src 'none'", "base-uri", "https://evil.example/"],
    ["no-directive", "default-src 'none'", "form-action", "https://evil.example/"],
    ["no-directive", "default-src 'none'", "frame-ancestors", "https://evil.example/"],
    ["no-directive", "default-src 'none'", "trusted-types", "trusted-types-policy"],
    ["no-directive", "script-src-elem 'none'", "script-src-attr", "inline"],

    ["unknown-directive", "default-src 'none'", "evil-src", "inline"],
    ["unknown-directive", "", "evil-src", "inline"],
    ["unknown-directive", "default-src 'none'", "__proto__", "inline"],

    ["wrong-resource", "img-src 'none'", "img-src", "inline"],
    ["wrong-resource", "default-src 'none'", "connect-src", "eval"],
    ["wrong-resource", "default-src 'none'", "style-src", "wasm-eval"],
    ["wrong-resource", "script-src 'none'", "script-src-elem", "trusted-types-sink"],
    ["wrong-resource", "script-src 'none'", "script-src", "trusted-types-policy"],
    ["wrong-resource", "script-src 'none'", "script-src-attr", "https://cdn.example/a.js"],
  ])("%s: %s, %s, %s", (reason, ...report) => {
    expect(ask(...report)).toEqual({ possible: false, reason });
  });
});

test("the name of a policy of Trusted Types decides, where it is said", () => {
  const askName = (originalPolicy: string, sample: string) =>
    isReportPossible({
      documentURL,
      blockedURL: "trusted-types-policy",
      effectiveDirective: "trusted-types",
      originalPolicy,
      sample,
    }).reason;
  expect(askName("trusted-types a b", "c")).toBe("blocked");
  // Perhaps it was there before.
  expect(askName("trusted-types a b", "b")).toBe("not-said");
  expect(askName("trusted-types a b", "")).toBe("not-said");
  expect(askName("trusted-types a b 'allow-duplicates'", "b")).toBe("allowed");
  expect(askName("trusted-types a b 'allow-duplicates'", "c")).toBe("blocked");
});

test("of several policies one is enough", () => {
  expect(ask("script-src *, script-src 'none'", "script-src", "https://a.example/").possible).toBe(
    true,
  );
  expect(ask("script-src *, img-src *", "script-src", "https://a.example/").possible).toBe(false);
});

test("what 'self' is comes from the document, if it has an origin", () => {
  const report: ReportedViolation = {
    documentURL: "about",
    blockedURL: "https://shop.example/a.js",
    effectiveDirective: "script-src-elem",
    originalPolicy: "script-src 'self' https://shop.example/b.js",
  };
  expect(isReportPossible(report).reason).toBe("blocked");
  expect(isReportPossible({ ...report, documentURL }).reason).toBe("after-redirect");
});

test("whatever a report says, there is an answer", () => {
  const word = fc.constantFrom(
    "*",
    "'self'",
    "'unsafe-inline'",
    "'nonce-a'",
    "data:",
    "https://a.example:8080/x",
    "'strict-dynamic'",
  );
  const name = fc.constantFrom(
    "default-src",
    "script-src",
    "img-src",
    "trusted-types",
    "x",
    "__proto__",
  );
  const policy = fc
    .array(fc.tuple(name, fc.array(word)), { maxLength: 4 })
    .map((directives) => directives.map(([n, words]) => [n, ...words].join(" ")).join("; "));
  const anything = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(
      fc.oneof(policy, anything),
      fc.oneof(name, anything),
      fc.oneof(anything, fc.webUrl(), fc.constantFrom("inline", "eval", "data", "a:", "http://[")),
      (originalPolicy, effectiveDirective, blockedURL) => {
        const { possible, reason } = ask(originalPolicy, effectiveDirective, blockedURL);
        expect(possible).toBe(["blocked", "after-redirect", "not-said"].includes(reason));
        const saysNothing = parsePolicyList(originalPolicy).length === 0;
        expect(saysNothing && !["not-said", "unknown-directive"].includes(reason)).toBe(false);
      },
    ),
    { numRuns: 2_000 },
  );
});
