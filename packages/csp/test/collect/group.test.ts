import { describe, expect, test } from "vitest";
import { groupOf, pathPattern } from "../../src/collect/group.ts";
import { factsFor, observe } from "./reports.ts";

const keyOf = (body: Parameters<typeof observe>[0]) => {
  const { evidence: _, ...key } = observe(body).group;
  return key;
};

describe("are one group", () => {
  test.each([
    [
      "files of one host",
      { blockedURL: "https://cdn.example/a.js" },
      { blockedURL: "https://cdn.example/b.js" },
    ],
    [
      "the same code on other lines",
      { blockedURL: "inline", sample: "go()", lineNumber: 3 },
      { blockedURL: "inline", sample: "go()", lineNumber: 4 },
    ],
    [
      "pages of different customers",
      { documentURL: "https://shop.example/orders/1234" },
      { documentURL: "https://shop.example/orders/5678" },
    ],
    [
      "an extension on different pages",
      { sourceFile: "moz-extension", documentURL: "https://shop.example/a" },
      { sourceFile: "moz-extension", documentURL: "https://shop.example/b" },
    ],
    ["enforced or only reported", { disposition: "enforce" }, { disposition: "report" }],
    [
      "policies that differ by their nonce",
      { originalPolicy: "script-src 'nonce-a'" },
      { originalPolicy: "script-src 'nonce-b'" },
    ],
  ] as const)("%s", (_, a, b) => expect(keyOf(a)).toEqual(keyOf(b)));
});

describe("are two groups", () => {
  test.each([
    [
      "hosts",
      { blockedURL: "https://cdn.example/a.js" },
      { blockedURL: "https://other.example/a.js" },
    ],
    [
      "different code",
      { blockedURL: "inline", sample: "go()" },
      { blockedURL: "inline", sample: "stop()" },
    ],
    [
      "code without a sample, by its place",
      { blockedURL: "eval", sourceFile: "https://shop.example/a.js", lineNumber: 3 },
      { blockedURL: "eval", sourceFile: "https://shop.example/a.js", lineNumber: 4 },
    ],
    ["directives", { effectiveDirective: "img-src" }, { effectiveDirective: "font-src" }],
    ["pages", { documentURL: "https://shop.example/a" }, { documentURL: "https://shop.example/b" }],
    [
      "a violation and an extension's",
      { blockedURL: "inline" },
      { blockedURL: "inline", sourceFile: "chrome-extension" },
    ],
  ] as const)("%s", (_, a, b) => expect(keyOf(a)).not.toEqual(keyOf(b)));
});

test.each([
  ["https://a.example/", "/"],
  ["https://a.example/orders/17/items", "/orders/*/items"],
  ["https://a.example/2026-11-26/news", "/*/news"],
  ["https://a.example/u/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/u/*"],
  ["https://a.example/u/ann@example.com", "/u/*"],
  ["https://a.example/u/ann%40example.com", "/u/*"],
  ["https://a.example/s/Zx81kQpLw02mNvB7tYcR", "/s/*"],
  ["https://a.example/assets/main.3f2a9c1b.js", "/assets/main.*.js"],
  ["https://a.example/assets/index-DiwrgT4x.js", "/assets/index-*.js"],
  ["https://a.example/jquery/3.4.1/jquery.min.js", "/jquery/3.4.1/jquery.min.js"],
  ["https://a.example/a-very-long-title-of-an-article", "/a-very-long-title-of-an-article"],
  ["https://a.example/decade", "/decade"],
  ["inline", ""],
])("pathPattern(%j) is %j", (url, pattern) => expect(pathPattern(url)).toBe(pattern));

test("csp-hash reports are an inventory, by file and hash", () => {
  const facts = { ...factsFor(), type: "csp-hash" as const, sample: "sha256-x" };
  expect(groupOf(facts, undefined)).toMatchObject({
    class: "inventory",
    blocked: "https://cdn.example",
    detail: "/lib.js sha256-x",
    document: "",
  });
});
