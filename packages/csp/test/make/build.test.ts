import { createHash } from "node:crypto";
import {
  buildPolicy,
  CspError,
  type CspErrorCode,
  createNonce,
  type DirectiveName,
  hashAlgorithms,
  hashSource,
  integrityOf,
  type PolicyDirectives,
  parsePolicy,
  serializePolicy,
} from "@conclave/csp";
import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";

const build = (directives: PolicyDirectives) => serializePolicy(buildPolicy(directives));

/** The code that building `directives` is refused with. What the types forbid is written as `never`. */
function refusal(directives: PolicyDirectives): CspErrorCode | "accepted" {
  try {
    buildPolicy(directives);
    return "accepted";
  } catch (error) {
    if (error instanceof CspError) return error.code;
    throw error;
  }
}

const sha256 = `'sha256-${"a".repeat(43)}='` as const;

describe("buildPolicy", () => {
  test("writes every kind of directive, in the order given", () => {
    const policy = buildPolicy({
      "default-src": ["'none'"],
      "script-src": ["'self'", "'nonce-abc'", sha256, "'strict-dynamic'", "https:", "a.test:*/x"],
      "frame-ancestors": ["'self'", "https://*.a.test"],
      sandbox: ["allow-scripts", "allow-forms"],
      webrtc: "'block'",
      "trusted-types": ["app", "'allow-duplicates'"],
      "require-trusted-types-for": ["'script'"],
      "upgrade-insecure-requests": true,
      "block-all-mixed-content": false,
      "report-uri": ["/reports", "https://a.test/?a=b"],
      "report-to": "main",
    });
    expect(serializePolicy(policy)).toBe(
      `default-src 'none'; script-src 'self' 'nonce-abc' ${sha256} 'strict-dynamic' https: a.test:*/x; ` +
        "frame-ancestors 'self' https://*.a.test; sandbox allow-scripts allow-forms; webrtc 'block'; " +
        "trusted-types app 'allow-duplicates'; require-trusted-types-for 'script'; " +
        "upgrade-insecure-requests; report-uri /reports https://a.test/?a=b; report-to main",
    );
    expect(policy).toEqual(parsePolicy(policy.text));
    expectTypeOf<keyof PolicyDirectives>().toEqualTypeOf<DirectiveName>();
  });

  test("keeps the disposition", () => {
    expect(buildPolicy({ "img-src": ["*"] }, "report").disposition).toBe("report");
  });

  test("directives that are false or undefined are left out", () => {
    expect(build({ "upgrade-insecure-requests": false, "img-src": undefined as never })).toBe("");
  });

  test("an empty sandbox is a value, other empty lists are not", () => {
    expect(build({ sandbox: [] })).toBe("sandbox");
    expect(refusal({ "img-src": [] })).toBe("missing-value");
    expect(refusal({ "trusted-types": [] })).toBe("missing-value");
    expect(refusal({ "script-src": true as never })).toBe("missing-value");
  });

  test.each<[CspErrorCode, PolicyDirectives]>([
    ["unknown-directive", { "scrpt-src": ["'self'"] } as never],
    ["unknown-directive", { "Script-Src": ["'self'"] } as never],
    ["unknown-directive", { constructor: ["'self'"] } as never],
    ["unexpected-value", { "upgrade-insecure-requests": "1" as never }],
    ["none-not-alone", { "img-src": ["'none'", "a.test"] }],
    ["none-not-alone", { "frame-ancestors": ["'self'", "'NONE'"] }],
    ["none-not-alone", { "trusted-types": ["'none'", "app"] }],
    ["hash-length", { "script-src": ["'sha256-abc='"] }],
    ["hash-length", { "script-src": [`'sha384-${"a".repeat(43)}='`] }],
    ["hash-length", { "script-src": [`'sha256-${"a".repeat(43)}'`] }],
    ["invalid-value", { "script-src": ["'unsafe-everything'"] }],
    ["invalid-value", { "script-src": ["'nonce-a.b'"] }],
    ["invalid-value", { "script-src": ["'sha1-abc'"] }],
    ["invalid-value", { "img-src": ["/path"] }],
    ["invalid-value", { "frame-ancestors": ["'unsafe-inline'"] }],
    ["invalid-value", { sandbox: ["allow-everything" as never] }],
    ["invalid-value", { "report-to": "(x)" }],
    ["invalid-value", { "report-uri": ["/<x>"] }],
    ["invalid-value", { webrtc: "allow" as never }],
    ["invalid-value", { "require-trusted-types-for": ["script" as never] }],
  ])("refuses, with %s, %o", (code, directives) => expect(refusal(directives)).toBe(code));

  test.each([
    "a.test; script-src *",
    "a.test, script-src *",
    "a.test b.test",
    "a.test\r\nX: y",
    "\0",
    "ü.test",
    "\u212a.test",
    "",
  ])("nothing gets out of its value: %j", (text) => {
    expect(refusal({ "img-src": [text] })).toBe("separator-in-value");
    expect(refusal({ "report-uri": [text] })).toBe("separator-in-value");
    expect(refusal({ "report-to": text })).toBe("separator-in-value");
    expect(refusal({ "trusted-types": [text] })).toBe("separator-in-value");
  });

  test("whatever is accepted is read back as the same values", () => {
    const word = fc.oneof(
      fc.string({ maxLength: 20 }),
      fc.constantFrom("'self'", "a.test", "https:", "'none'", "'nonce-abc'", "*", "a;b", "a,b"),
    );
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), (words) => {
        const directives = { "img-src": words, "base-uri": ["'none'"] };
        if (refusal(directives) !== "accepted") return;
        const again = parsePolicy(build(directives)).directiveSet;
        expect(again.map(({ name, value }) => [name, value.map(({ text }) => text)])).toEqual(
          Object.entries(directives),
        );
      }),
    );
  });
});

describe("createNonce", () => {
  test("is a nonce-source's value of 144 bits, and new each time", () => {
    const nonces = Array.from({ length: 100 }, createNonce);
    for (const nonce of nonces) expect(nonce).toMatch(/^[A-Za-z0-9+/]{24}$/);
    expect(new Set(nonces).size).toBe(100);
  });
});

describe("hashSource and integrityOf", () => {
  test.each(hashAlgorithms)("agree with Node's %s", async (algorithm) => {
    const script = "alert('Hello, wörld.')";
    const digest = createHash(algorithm).update(script).digest("base64");
    expect(await hashSource(script, algorithm)).toBe(`'${algorithm}-${digest}'`);
    expect(await integrityOf(new TextEncoder().encode(script), algorithm)).toBe(
      `${algorithm}-${digest}`,
    );
    expect(refusal({ "script-src": [await hashSource(script, algorithm)] })).toBe("accepted");
  });

  test("an unpaired surrogate counts as U+FFFD, as in #match-element-to-source-list", async () => {
    expect(await hashSource("\ud800")).toBe(await hashSource("\ufffd"));
  });

  test("the default is sha256 inline and sha384 for files", async () => {
    expect(await hashSource("")).toBe("'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
    expect(await integrityOf("")).toMatch(/^sha384-/);
  });
});

describe("a header made again for the next response", () => {
  const make = (nonce: string) =>
    buildPolicy({ "script-src": ["'self'", `'nonce-${nonce}'`], "img-src": ["'none'"] });

  test("is the same but for its nonce, and as typed as the first", () => {
    expect(make("one").directiveSet).toEqual(parsePolicy(make("one").text).directiveSet);
    const again = make("two");
    expect(again.text).toBe("script-src 'self' 'nonce-two'; img-src 'none'");
    expect(again.directiveSet).toEqual(parsePolicy(again.text).directiveSet);
  });

  test("is refused for what is wrong with it, whatever was accepted before", () => {
    make("one");
    const wrong: [string, () => unknown][] = [
      ["invalid-value", () => make("o!ne")],
      ["separator-in-value", () => make("one'; script-src *; '")],
      ["none-not-alone", () => buildPolicy({ "img-src": ["'none'", "'self'"] })],
      ["invalid-value", () => buildPolicy({ sandbox: ["'self'" as never] })],
    ];
    for (const [code, build] of wrong) expect(build).toThrow(expect.objectContaining({ code }));
  });
});
