import { type Directive, directiveGrammars, isDirectiveName, parsePolicy } from "@conclave/csp";
import { describe, expect, test } from "vitest";

function parse(text: string): Directive {
  const [directive] = parsePolicy(text).directiveSet;
  if (!directive) throw new Error("no directive");
  return directive;
}

const types = (directive: Directive) =>
  directive.type === "unknown" ? [] : directive.value.map((token) => token.type);

describe("#csp-directives", () => {
  test("the table has every directive of Level 3 and its neighbours", () => {
    expect(Object.keys(directiveGrammars).toSorted()).toEqual([
      "base-uri",
      "block-all-mixed-content",
      "child-src",
      "connect-src",
      "default-src",
      "fenced-frame-src",
      "font-src",
      "form-action",
      "frame-ancestors",
      "frame-src",
      "img-src",
      "manifest-src",
      "media-src",
      "object-src",
      "report-to",
      "report-uri",
      "require-trusted-types-for",
      "sandbox",
      "script-src",
      "script-src-attr",
      "script-src-elem",
      "style-src",
      "style-src-attr",
      "style-src-elem",
      "trusted-types",
      "upgrade-insecure-requests",
      "webrtc",
      "worker-src",
    ]);
  });

  const sourceLists = Object.entries(directiveGrammars)
    .filter(([, grammar]) => grammar === "source-list")
    .map(([name]) => name);

  test.each(sourceLists)("%s: source expressions", (name) => {
    const directive = parse(`${name.toUpperCase()} 'self' https: a.test 'nonce-a' 'sha256-a' 'x'`);
    expect(directive).toMatchObject({ type: "source-list", name });
    expect(types(directive)).toEqual([
      "keyword-source",
      "scheme-source",
      "host-source",
      "nonce-source",
      "hash-source",
      "invalid",
    ]);
  });

  test.each<[text: string, type: Directive["type"], tokens: string[]]>([
    [
      "frame-ancestors 'self' 'SELF' https: *.a.test 'none'",
      "ancestor-source-list",
      ["keyword-source", "keyword-source", "scheme-source", "host-source", "none"],
    ],
    [
      "frame-ancestors 'unsafe-inline' 'nonce-a' 'sha256-a' 'x'",
      "ancestor-source-list",
      ["invalid", "invalid", "invalid", "invalid"],
    ],
    ["sandbox", "sandbox", []],
    ["sandbox allow-scripts ALLOW-FORMS", "sandbox", ["sandbox-keyword", "sandbox-keyword"]],
    ["sandbox allow-everything 'none'", "sandbox", ["invalid", "invalid"]],
    ["report-uri /a https://a.test/?q=%20#f", "uri-references", ["uri-reference", "uri-reference"]],
    ['report-uri /%zz /<> "/a"', "uri-references", ["invalid", "invalid", "invalid"]],
    ["report-to default", "endpoint", ["endpoint"]],
    ["report-to (default)", "endpoint", ["invalid"]],
    ["webrtc 'allow' 'BLOCK'", "webrtc", ["allow", "block"]],
    ["webrtc allow 'none'", "webrtc", ["invalid", "invalid"]],
    ["upgrade-insecure-requests", "no-value", []],
    ["upgrade-insecure-requests 1", "no-value", ["invalid"]],
    ["block-all-mixed-content", "no-value", []],
    ["block-all-mixed-content x", "no-value", ["invalid"]],
    ["require-trusted-types-for 'script'", "sink-groups", ["script"]],
    ["require-trusted-types-for script 'style'", "sink-groups", ["invalid", "invalid"]],
    [
      "trusted-types app a-b#c=d_e/f@g.h% * 'none' 'ALLOW-duplicates'",
      "trusted-types",
      ["policy-name", "policy-name", "wildcard", "none", "allow-duplicates"],
    ],
    ["trusted-types a+b 'x' a:b", "trusted-types", ["invalid", "invalid", "invalid"]],
  ])("%s", (text, type, tokens) => {
    const directive = parse(text);
    expect(directive.type).toBe(type);
    expect(types(directive)).toEqual(tokens);
  });

  test("a directive nobody knows is kept with its tokens", () => {
    expect(parse("X-Future a 'b'")).toEqual({
      type: "unknown",
      name: "x-future",
      value: [
        { text: "a", offset: 9, length: 1 },
        { text: "'b'", offset: 11, length: 3 },
      ],
      offset: 0,
      length: 14,
    });
  });

  test("names of Object.prototype are unknown directives", () => {
    expect(isDirectiveName("constructor")).toBe(false);
    expect(parse("__proto__ a").type).toBe("unknown");
    expect(parse("toString a").type).toBe("unknown");
  });
});
