import { allowSources, hashSource, type PolicyDirectives } from "@conclave/csp";
import { describe, expect, test } from "vitest";
import { inspectHtml } from "../../src/make/html.ts";
import { allowInline, integrityHashes } from "../../src/make/page-policy.ts";

describe("allowSources", () => {
  test.each<[string, PolicyDirectives, PolicyDirectives]>([
    ["adds to the list", { "img-src": ["a"] }, { "img-src": ["a", "b"] }],
    ["says nothing twice", { "img-src": ["b"] }, { "img-src": ["b"] }],
    ["takes 'none' away", { "img-src": ["'None'"] }, { "img-src": ["b"] }],
    [
      "starts from what it falls back to, and leaves that as it is",
      { "default-src": ["'self'"] },
      { "default-src": ["'self'"], "img-src": ["'self'", "b"] },
    ],
    ["leaves alone what is allowed already", { "font-src": ["a"] }, { "font-src": ["a"] }],
  ])("%s", (_, base, expected) => {
    expect(allowSources(base, "img-src", ["b"])).toEqual(expected);
  });

  test("allows a worker's script without allowing it as a script", () => {
    expect(allowSources({ "script-src": ["a"] }, "worker-src", ["b"])).toEqual({
      "script-src": ["a"],
      "worker-src": ["a", "b"],
    });
  });

  test("prefers the directive that old browsers know", () => {
    expect(allowSources({ "default-src": ["a"] }, "script-src-elem", ["b"])).toEqual({
      "default-src": ["a"],
      "script-src": ["a", "b"],
    });
    expect(allowSources({ "script-src-elem": ["a"] }, "script-src-elem", ["b"])).toEqual({
      "script-src-elem": ["a", "b"],
    });
  });
});

describe("allowInline", () => {
  const page = inspectHtml(
    `<script>1</script><script></script><script type=application/json>{}</script><script src=a></script>
     <p onclick="2" style="3"><style>4</style><template><script>5</script></template>`,
  );

  test("hashes what browsers ask about, and nothing else", async () => {
    expect(await allowInline({ "script-src": ["'self'"], "style-src": ["'none'"] }, page)).toEqual({
      "script-src": [
        "'self'",
        await hashSource("1"),
        await hashSource("5"),
        "'unsafe-hashes'",
        await hashSource("2"),
      ],
      "style-src": [await hashSource("4"), "'unsafe-hashes'", await hashSource("3")],
    });
  });

  test("adds no hash that would turn 'unsafe-inline' off", async () => {
    const base: PolicyDirectives = { "default-src": ["'Unsafe-Inline'"] };
    expect(await allowInline(base, page)).toEqual(base);
    for (const strict of ["'strict-dynamic'", "'nonce-abc'", await hashSource("0")]) {
      const both = { "script-src": ["'unsafe-inline'", strict] };
      expect(await allowInline(both, page)).not.toEqual(both);
    }
  });

  test("adds nothing where no list decides", async () => {
    expect(await allowInline({ "img-src": ["a"] }, page)).toEqual({ "img-src": ["a"] });
  });
});

test("integrityHashes gives every hash of a known algorithm", () => {
  const [script] = inspectHtml(
    `<script src=a integrity="SHA256-AAAA?x sha1-BBBB sha512-C-C_"></script>`,
  ).scripts;
  expect(script && integrityHashes(script)).toEqual(["'sha256-AAAA'", "'sha512-C-C_'"]);
  const [without] = inspectHtml("<script src=a></script>").scripts;
  expect(without && integrityHashes(without)).toEqual([]);
});
