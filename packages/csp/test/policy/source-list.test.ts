import { parsePolicy, type SourceExpression } from "@conclave/csp";
import { describe, expect, test } from "vitest";

/** The only expression of `img-src <text>`, without its place. */
function parse(text: string): Record<string, unknown> {
  const [directive] = parsePolicy(`img-src ${text}`).directiveSet;
  if (directive?.type !== "source-list") throw new Error("no source list");
  expect(directive.value).toHaveLength(1);
  const [{ offset, length, text: written, ...rest }] = directive.value as [SourceExpression];
  expect([offset, length, written]).toEqual([8, text.length, text]);
  return rest;
}

const host = {
  type: "host-source",
  schemePart: null,
  hostPart: "example.com",
  portPart: null,
  pathPart: "",
};

describe("#framework-directive-source-list", () => {
  test.each([
    ["https:", { type: "scheme-source", schemePart: "https" }],
    ["DATA:", { type: "scheme-source", schemePart: "data" }],
    ["web+app-1.0:", { type: "scheme-source", schemePart: "web+app-1.0" }],
    ["example.com:", { type: "scheme-source", schemePart: "example.com" }],
  ])("scheme-source %s", (text, expected) => expect(parse(text)).toEqual(expected));

  test.each([
    ["example.com", host],
    ["EXAMPLE.com", host],
    ["example.com.", { ...host, hostPart: "example.com." }],
    ["localhost", { ...host, hostPart: "localhost" }],
    ["xn--tdaaaaaa.de", { ...host, hostPart: "xn--tdaaaaaa.de" }],
    ["127.0.0.1", { ...host, hostPart: "127.0.0.1" }],
    ["*", { ...host, hostPart: "*" }],
    ["*.example.com", { ...host, hostPart: "*.example.com" }],
    ["https://*", { ...host, schemePart: "https", hostPart: "*" }],
    ["HTTPS://example.com", { ...host, schemePart: "https" }],
    ["example.com:8443", { ...host, portPart: 8443 }],
    ["example.com:*", { ...host, portPart: "*" }],
    ["*:*", { ...host, hostPart: "*", portPart: "*" }],
    ["example.com/", { ...host, pathPart: "/" }],
    ["example.com/a/B%20c//d.js", { ...host, pathPart: "/a/B%20c//d.js" }],
    ["example.com/a:b@c!$&'()*+=~", { ...host, pathPart: "/a:b@c!$&'()*+=~" }],
    ["example.com/a://b", { ...host, pathPart: "/a://b" }],
    ["example.com/a:", { ...host, pathPart: "/a:" }],
    [
      "wss://*.example.com:443/chat/",
      {
        ...host,
        schemePart: "wss",
        hostPart: "*.example.com",
        portPart: 443,
        pathPart: "/chat/",
      },
    ],
  ])("host-source %s", (text, expected) => expect(parse(text)).toEqual(expected));

  test.each([
    ["'nonce-ch4hvvbHDpv7xCSvXCs3BrNggHdTzxUA'", "ch4hvvbHDpv7xCSvXCs3BrNggHdTzxUA"],
    ["'NONCE-aB+/-_=='", "aB+/-_=="],
    ["'nonce-a='", "a="],
  ])("nonce-source %s", (text, base64Value) =>
    expect(parse(text)).toEqual({ type: "nonce-source", base64Value }),
  );

  test.each([
    ["'sha256-abc='", "sha256", "abc="],
    ["'SHA384-Abc'", "sha384", "Abc"],
    ["'sha512-a-b_c'", "sha512", "a+b/c"],
  ])("hash-source %s", (text, hashAlgorithm, base64Value) =>
    expect(parse(text)).toEqual({ type: "hash-source", hashAlgorithm, base64Value }),
  );

  test.each([
    "'self'",
    "'unsafe-inline'",
    "'unsafe-eval'",
    "'strict-dynamic'",
    "'unsafe-hashes'",
    "'report-sample'",
    "'unsafe-allow-redirects'",
    "'wasm-unsafe-eval'",
    "'trusted-types-eval'",
    "'report-sha256'",
    "'report-sha384'",
    "'report-sha512'",
    "'unsafe-webtransport-hashes'",
    "'inline-speculation-rules'",
  ])("keyword-source %s, in any case", (keyword) => {
    const expected = { type: "keyword-source", keyword };
    expect(parse(keyword)).toEqual(expected);
    expect(parse(keyword.toUpperCase())).toEqual(expected);
  });

  test("'none', in any case", () => {
    expect(parse("'none'")).toEqual({ type: "none" });
    expect(parse("'NONE'")).toEqual({ type: "none" });
  });

  test.each([
    // Quoting
    "'self",
    "'",
    "''",
    "'unknown'",
    "'unknown-x'",
    "'none''",
    // scheme-source, scheme-part
    ":",
    "1http:",
    "ht_tp:",
    "://example.com",
    "1http://example.com",
    "https://",
    // host-part
    "exa_mple.com",
    "[::1]",
    "example..com",
    ".example.com",
    "*example.com",
    "*.",
    "*.*",
    "a.*.com",
    "user@example.com",
    // port-part
    "example.com:x",
    "example.com:80:80",
    "example.com:/x",
    "example.com:-1",
    // path-part
    "example.com//x",
    "example.com/?q",
    "example.com/#f",
    "example.com/%zz",
    "example.com/%2",
    "example.com/[",
    "example.com?q",
    "/path",
    "//example.com",
    // nonce-source, hash-source
    "'nonce-'",
    "'nonce-='",
    "'nonce-a==='",
    "'nonce-a=b'",
    "'nonce-a.b'",
    "'nonce-abc",
    "'nonces-abc'",
    "nonce-abc'",
    "'sha1-abc'",
    "'sha256-'",
    "'sha2567-abc'",
    "'sha256-a*'",
    "'sha256abc'",
  ])("invalid: %s", (text) => expect(parse(text)).toEqual({ type: "invalid" }));

  test("a word of letters without quotes is a host", () =>
    expect(parse("self")).toEqual({ ...host, hostPart: "self" }));
});
