/** Policies and questions at random, of a small vocabulary, so that they have to do with each other. */
import { inlineElement, type Policy, parsePolicy } from "@conclave/csp";
import type { Question } from "@conclave/csp/compare";
import fc from "fast-check";

/** As a digest, 43 characters; the last one's low bits are zero. */
const digests = ["A", "B", "C"].map((letter) => `${letter.repeat(42)}A=`);
const hashes = digests.flatMap((digest) => [
  `'sha256-${digest}'`,
  `'sha256-${digest.slice(0, -1)}'`,
]);
const nonces = ["one", "two", "three"];

const hostNames = [
  "a.example",
  "b.a.example",
  "c.example",
  "self.invalid",
  "127.0.0.1",
  "localhost",
];
const paths = ["", "/", "/x", "/x/", "/x/y", "/x/y/", "/%78/"];

const hostExpression = fc
  .tuple(
    fc.constantFrom("", "", "https://", "http://", "ws://", "wss://"),
    fc.constantFrom("*", "*.a.example", "*.example", ...hostNames),
    fc.constantFrom("", "", "", ":*", ":80", ":443", ":8080"),
    fc.constantFrom(...paths, "/x?y"),
  )
  .map((parts) => parts.join(""));

const expression = fc.oneof(
  { weight: 4, arbitrary: hostExpression },
  fc.constantFrom("https:", "http:", "ws:", "wss:", "data:", "blob:", "x-app:"),
  fc.constantFrom("*", "'self'", "'none'", "'nonsense'"),
  fc.constantFrom(...nonces).map((nonce) => `'nonce-${nonce}'`),
  fc.constantFrom(...hashes),
  fc.constantFrom("'unsafe-inline'", "'unsafe-hashes'", "'strict-dynamic'", "'unsafe-eval'"),
  fc.constantFrom("'wasm-unsafe-eval'", "'trusted-types-eval'", "'unsafe-webtransport-hashes'"),
  fc.constantFrom("'report-sample'", "'unsafe-allow-redirects'"),
);

export const sourceListDirectives = [
  "default-src",
  "script-src",
  "script-src-elem",
  "script-src-attr",
  "style-src",
  "style-src-elem",
  "style-src-attr",
  "img-src",
  "connect-src",
  "worker-src",
  "child-src",
  "frame-src",
  "font-src",
  "base-uri",
  "form-action",
  "frame-ancestors",
] as const;

const list = (values: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(values, { maxLength: 4 }).map((tokens) => tokens.join(" "));

const directive = fc.oneof(
  {
    weight: 12,
    arbitrary: fc
      .tuple(fc.constantFrom(...sourceListDirectives), list(expression))
      .map(([name, value]) => `${name} ${value}`),
  },
  list(
    fc.constantFrom(
      "allow-scripts",
      "allow-same-origin",
      "allow-popups",
      "allow-top-navigation",
      "no",
    ),
  ).map((value) => `sandbox ${value}`),
  list(fc.constantFrom("one", "two", "*", "'none'", "'allow-duplicates'", "<>")).map(
    (value) => `trusted-types ${value}`,
  ),
  fc.constantFrom(
    "require-trusted-types-for 'script'",
    "upgrade-insecure-requests",
    "webrtc 'allow'",
    "webrtc 'block'",
    "unknown-directive x",
    "report-to group",
  ),
);

const text = fc.array(directive, { minLength: 1, maxLength: 5 }).map((parts) => parts.join("; "));

export const policy: fc.Arbitrary<Policy> = text.map((value) => parsePolicy(value));
export const policies: fc.Arbitrary<Policy[]> = fc.array(policy, { minLength: 1, maxLength: 2 });

const url = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(
        fc.constantFrom("https", "https", "http", "ws", "wss"),
        fc.constantFrom(...hostNames, "z.b.a.example", "other.test"),
        fc.constantFrom("", "", ":80", ":443", ":8080", ":9"),
        fc.constantFrom("/", "/x", "/x/", "/x/y", "/x/z", "/x/y/z", "/%78/y", "/w"),
      )
      .map(([scheme, host, port, path]) => `${scheme}://${host}${port}${path}`),
  },
  fc.constantFrom("data:,x", "blob:https://self.invalid/1", "blob:https://a.example/1", "x-app:1"),
);
const redirects = fc.array(url, { maxLength: 2 });
const source = fc
  .tuple(fc.constantFrom("", ...digests), fc.constantFrom("", "D".repeat(64)))
  .map(([sha256, sha384]) => ({ text: "x", digests: { sha256, sha384, sha512: "" } }));

export const question: fc.Arbitrary<Question> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        url,
        redirects,
        destination: fc.constantFrom(
          "script",
          "style",
          "image",
          "",
          "worker",
          "iframe",
          "font",
          "xslt",
        ),
        initiator: fc.constantFrom("", "", "", "prefetch"),
        nonce: fc.constantFrom("", ...nonces, "four"),
        integrity: fc
          .array(fc.constantFrom(...digests), { maxLength: 2 })
          .map((all) => all.map((digest) => `sha256-${digest}`).join(" ")),
        parserInserted: fc.boolean(),
        webTransportHashes: fc.boolean(),
        mode: fc.constantFrom("no-cors", "webtransport"),
      })
      .map((request) => ({ kind: "fetch", request }) as const),
  },
  {
    weight: 4,
    arbitrary: fc
      .record({
        type: fc.constantFrom("script", "style", "script attribute", "style attribute"),
        nonce: fc.constantFrom(null, ...nonces, "four"),
        parserInserted: fc.boolean(),
        source,
      })
      .map(({ type, nonce, parserInserted, source }) => {
        const name = type === "style" ? "style" : "script";
        return {
          kind: "inline",
          type,
          element: inlineElement({ name, nonce, parserInserted }),
          source,
        } as const;
      }),
  },
  fc.record({ kind: fc.constant("javascript-url" as const), source, isTrusted: fc.boolean() }),
  fc
    .record({
      compilationType: fc.constantFrom("DIRECT-EVAL", "INDIRECT-EVAL", "FUNCTION", "TIMER"),
      isTrusted: fc.boolean(),
      codeString: fc.constant("1"),
    })
    .map((compilation) => ({ kind: "eval", compilation }) as const),
  fc.record({ kind: fc.constant("form" as const), url, redirects }),
  fc.record({ kind: fc.constant("base" as const), url }),
  fc
    .array(url, { minLength: 1, maxLength: 2 })
    .map(
      (urls) => ({ kind: "embed", ancestors: urls.map((each) => new URL(each).origin) }) as const,
    ),
  fc
    .constantFrom("scripts", "origin", "auxiliary navigation", "downloads")
    .map((flag) => ({ kind: "sandboxed", flag }) as const),
  fc.record({
    kind: fc.constant("trusted-types-policy" as const),
    name: fc.constantFrom("one", "two", "four"),
    created: fc.constantFrom([], ["one"], ["two", "four"]),
  }),
  fc.constantFrom("wasm", "worker", "webrtc", "string-to-sink").map((kind) => ({ kind }) as const),
);
