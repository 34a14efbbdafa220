import { describe, expect, test } from "vitest";
import {
  doesUrlMatchExpression,
  hostPartMatches,
  pathPartMatches,
  portPartMatches,
  schemePartMatches,
} from "../../src/decide/match-url.ts";
import { chromium } from "../../src/decide/profile.ts";
import { parseSourceExpression, token } from "../../src/policy/source-list.ts";

describe("#match-schemes", () => {
  test.each([
    ["http", "http"],
    ["http", "https"],
    ["ws", "wss"],
    ["ws", "http"],
    ["ws", "https"],
    ["wss", "https"],
    ["custom", "custom"],
  ])("%s matches %s", (a, b) => expect(schemePartMatches(a, b)).toBe(true));
  test.each([
    ["https", "http"],
    ["wss", "ws"],
    ["wss", "http"],
    ["http", "ws"],
    ["https", "wss"],
    ["data", "blob"],
  ])("%s does not match %s", (a, b) => expect(schemePartMatches(a, b)).toBe(false));
});

describe("#match-hosts", () => {
  test.each([
    ["*", "https://a.example/"],
    ["a.example", "https://A.example/"],
    ["*.example", "https://a.b.example/"],
  ])("%s matches %s", (pattern, url) => expect(hostPartMatches(pattern, new URL(url))).toBe(true));
  test.each([
    ["*.example", "https://example/"],
    ["*.a.example", "https://aa.example/"],
    ["a.example", "https://b.a.example/"],
    ["127.0.0.1", "https://127.0.0.1/"],
    ["*", "https://[::1]/"],
    ["*", "data:text/plain,"],
  ])("%s does not match %s", (pattern, url) =>
    expect(hostPartMatches(pattern, new URL(url))).toBe(false),
  );
});

describe("#match-ports", () => {
  test.each([
    ["*", "https://a.example:8443/"],
    [null, "https://a.example/"],
    [443, "https://a.example/"],
    [80, "http://a.example/"],
    [8443, "https://a.example:8443/"],
  ] as const)("%s matches %s", (port, url) =>
    expect(portPartMatches(port, new URL(url))).toBe(true),
  );
  test.each([
    [null, "https://a.example:8443/"],
    [80, "https://a.example/"],
    [443, "http://a.example/"],
    [8080, "https://a.example:8443/"],
  ] as const)("%s does not match %s", (port, url) =>
    expect(portPartMatches(port, new URL(url))).toBe(false),
  );
});

describe("#match-paths", () => {
  test.each([
    ["", "/anything"],
    ["/", ""],
    ["/", "/a/b"],
    ["/a/", "/a/b/c"],
    ["/a", "/a"],
    ["/%61", "/a"],
    ["/a%3Bb", "/a;b"],
  ])("%j matches %j", (a, b) => expect(pathPartMatches(a, b)).toBe(true));
  test.each([
    ["/a", "/a/"],
    ["/a", "/A"],
    ["/a/", "/a"],
    ["/a/b/", "/a/c/d"],
    ["/a%2Fb", "/a/b"],
  ])("%j does not match %j", (a, b) => expect(pathPartMatches(a, b)).toBe(false));
});

describe("what Chromium matches beyond the grammar, and what it does not", () => {
  test.each([
    ["x-app://*", "x-app:b", true],
    ["x-app://*/a", "x-app://b/a", true],
    ["x-app://*/a", "x-app://b/b", false],
    ["x-app://*", "x-app://b:80/a", false],
    ["x-app://*:80", "x-app://b:80/a", true],
    ["x-app://b", "x-app://b/a", false],
    ["b.test//", "http://b.test//z", true],
    ["b.test/a%zz", "http://b.test/a%zz", true],
    ["b.test/%zz", "http://b.test/b", false],
    ["b.test/[a]", "http://b.test/[a]", true],
    ["b.test/a<b", "http://b.test/a%3Cb", true],
    ["b.test/a?x", "http://b.test/a", true],
    ["b.test/#x", "http://b.test/", true],
    ["b.test?x", "http://b.test/", false],
    ["b.test#x", "http://b.test/", false],
  ])("%s and %s", (source, url, matches) => {
    const list = parseSourceExpression(token(source, 0));
    const matching = { selfOrigin: "http://a.test", redirectCount: 0, profile: chromium };
    expect(doesUrlMatchExpression(new URL(url), list, matching)).toBe(matches);
  });
});
