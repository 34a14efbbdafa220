import {
  chromium,
  createRequest,
  type Destination,
  ensureCspDoesNotBlockStringCompilation,
  ensureCspDoesNotBlockWasmByteCompilation,
  inlineElement,
  inlineSource,
  isBaseAllowedForDocument,
  type RequestInit,
  shouldFetchBeBlocked,
  shouldInlineBehaviorBeBlocked,
  shouldRequestBeBlocked,
  shouldResponseBeBlocked,
  shouldRtcConnectionsBeBlocked,
  specification,
} from "@conclave/csp";
import { describe, expect, test } from "vitest";
import { pageWith } from "./client.ts";

const b = "https://b.example/x";
const ask = (policy: string, init: Partial<RequestInit>) =>
  shouldRequestBeBlocked(createRequest({ url: b, ...init }), pageWith(policy));

describe("#should-block-request, pre-request checks", () => {
  const destinations: readonly (readonly [string, Destination])[] = [
    ["connect-src", ""],
    ["connect-src", "json"],
    ["font-src", "font"],
    ["frame-src", "iframe"],
    ["img-src", "image"],
    ["manifest-src", "manifest"],
    ["media-src", "audio"],
    ["media-src", "video"],
    ["media-src", "track"],
    ["object-src", "object"],
    ["object-src", "embed"],
    ["script-src", "script"],
    ["script-src-elem", "script"],
    ["script-src-elem", "xslt"],
    ["style-src", "style"],
    ["style-src-elem", "style"],
    ["worker-src", "worker"],
    ["worker-src", "serviceworker"],
    ["child-src", "iframe"],
    ["child-src", "worker"],
    ["default-src", "image"],
    ["default-src", "script"],
  ];
  test.each(destinations)("#%s-pre-request with destination %j", (name, destination) => {
    expect(ask(`${name} https://b.example`, { destination }).result).toBe("Allowed");
    const decision = ask(`${name} 'self'`, { destination });
    expect(decision.result).toBe("Blocked");
    expect(decision.outcomes[0]?.directive?.name).toBe(name);
    expect(decision.violations).toHaveLength(1);
  });

  test("#script-pre-request: nonce, integrity, 'strict-dynamic'", () => {
    const integrity = "sha256-YWJj";
    const destination = "script";
    expect(ask("script-src 'nonce-n'", { destination, nonce: "n" }).result).toBe("Allowed");
    expect(ask("script-src 'nonce-n'", { destination, nonce: "m" }).result).toBe("Blocked");
    expect(ask(`script-src '${integrity}'`, { destination, integrity }).result).toBe("Allowed");
    expect(
      ask(`script-src '${integrity}'`, { destination, integrity: `${integrity} sha384-YWJj` })
        .result,
    ).toBe("Blocked");
    const dynamic = "script-src 'strict-dynamic' https:";
    expect(ask(dynamic, { destination, parserInserted: false }).result).toBe("Allowed");
    expect(ask(dynamic, { destination, parserInserted: true }).result).toBe("Blocked");
  });

  test("#connect-src-pre-request: WebTransport with certificate hashes", () => {
    const init = { mode: "webtransport", webTransportHashes: true } as const;
    expect(ask("connect-src 'unsafe-webtransport-hashes'", init).result).toBe("Allowed");
    expect(ask("connect-src https://b.example", init).result).toBe("Blocked");
  });

  test("a report is governed by nothing", () =>
    expect(ask("default-src 'none'", { destination: "report" }).result).toBe("Allowed"));
});

describe("#does-resource-hint-violate-policy", () => {
  const prefetch = { initiator: "prefetch" } as const;
  test.each([
    "default-src https://b.example",
    "default-src 'none'; img-src b.example",
    "img-src 'none'",
  ])("%s allows a prefetch", (policy) => expect(ask(policy, prefetch).result).toBe("Allowed"));
  test.each(["default-src 'none'", "default-src 'none'; img-src c.example"])(
    "%s blocks a prefetch",
    (policy) => expect(ask(policy, prefetch).result).toBe("Blocked"),
  );
});

describe("#should-block-response, post-request checks", () => {
  const request = createRequest({ url: "https://a.example/x", destination: "image" });
  const policy = pageWith("img-src 'self'", "img-src 'self'");
  test("a response from where the list has it is allowed", () => {
    const response = { url: new URL("https://a.example/y") };
    expect(shouldResponseBeBlocked(response, request, policy).result).toBe("Allowed");
  });
  test("one from elsewhere is not, and both policies report the request's URL", () => {
    const { result, violations } = shouldResponseBeBlocked({ url: new URL(b) }, request, policy);
    expect(result).toBe("Blocked");
    expect(violations.map(({ resource }) => String(resource))).toEqual([
      "https://a.example/x",
      "https://a.example/x",
    ]);
  });
});

describe("#report-for-request", () => {
  test("a policy that only reports blocks nothing and comes first", () => {
    const { violations } = shouldRequestBeBlocked(
      createRequest({ url: b, destination: "image" }),
      pageWith("img-src 'none'", "img-src 'none'"),
    );
    expect(violations.map(({ disposition }) => disposition)).toEqual(["report", "enforce"]);
    const reporting = shouldRequestBeBlocked(
      createRequest({ url: b }),
      pageWith("", "connect-src 'none'"),
    );
    expect([reporting.result, reporting.violations.length]).toEqual(["Allowed", 1]);
  });
});

test("#match-paths: a redirect makes the path count for nothing", () => {
  const page = pageWith("img-src https://a.example/go https://b.example/only");
  const init = { url: "https://a.example/go", destination: "image" } as const;
  expect(shouldFetchBeBlocked({ ...init, redirects: [b] }, page).result).toBe("Allowed");
  expect(shouldFetchBeBlocked({ url: b, destination: "image" }, page).result).toBe("Blocked");
});

describe("#should-block-inline", () => {
  const inline = async (policy: string, type: "script" | "style attribute", text: string) =>
    shouldInlineBehaviorBeBlocked(
      inlineElement({ name: "script" }),
      type,
      await inlineSource(text),
      pageWith(policy),
    );
  test("a hash allows just its text", async () => {
    expect((await inline("script-src 'unsafe-inline'", "script", "abc")).result).toBe("Allowed");
    const { digests } = await inlineSource("abc");
    const own = `script-src 'sha256-${digests.sha256}'`;
    expect((await inline(own, "script", "abc")).result).toBe("Allowed");
    expect((await inline(own, "script", "abd")).result).toBe("Blocked");
  });
  test("an attribute's hash needs 'unsafe-hashes'", async () => {
    const { digests } = await inlineSource("a: b");
    const own = `'sha256-${digests.sha256}'`;
    expect((await inline(`style-src ${own}`, "style attribute", "a: b")).result).toBe("Blocked");
    const unsafe = `style-src 'unsafe-hashes' ${own}`;
    expect((await inline(unsafe, "style attribute", "a: b")).result).toBe("Allowed");
  });
  test("the sample is there only with 'report-sample', 40 long", async () => {
    const text = "x".repeat(50);
    expect((await inline("script-src", "script", text)).violations[0]?.sample).toBe("");
    const { violations } = await inline("script-src 'report-sample'", "script", text);
    expect(violations[0]?.sample).toBe("x".repeat(40));
  });
});

describe("#can-compile-strings", () => {
  const code = { compilationType: "DIRECT-EVAL", codeString: "1 + 1" } as const;
  const compile = (policy: string, isTrusted = false) =>
    ensureCspDoesNotBlockStringCompilation({ ...code, isTrusted }, pageWith(policy));
  test.each(["img-src 'none'", "script-src 'unsafe-eval'", "default-src 'unsafe-eval'"])(
    "%s allows eval",
    (policy) => expect(compile(policy).result).toBe("Allowed"),
  );
  test.each(["script-src 'self'", "default-src 'none'", "script-src 'wasm-unsafe-eval'"])(
    "%s blocks eval",
    (policy) => expect(compile(policy).result).toBe("Blocked"),
  );
  test("Trusted Types refuse a string, and nothing more is asked", () => {
    const policy = "require-trusted-types-for 'script'; script-src 'none'";
    const { result, violations } = compile(policy);
    expect(result).toBe("Blocked");
    expect(violations.map(({ resource }) => resource)).toEqual(["trusted-types-sink"]);
  });
  test("'trusted-types-eval' counts where they are required", () => {
    const list = "script-src 'trusted-types-eval'";
    expect(compile(list, true).result).toBe("Blocked");
    expect(compile(`require-trusted-types-for 'script'; ${list}`, true).result).toBe("Allowed");
  });
  test("'trusted-types-eval' of one policy is enough for all in Chromium, where they are required", () => {
    const ask = (policy: string, profile = specification) =>
      ensureCspDoesNotBlockStringCompilation(
        { compilationType: "DIRECT-EVAL", codeString: "1" },
        pageWith(policy),
        profile,
      ).result;
    const lists = "script-src 'self', script-src 'trusted-types-eval'";
    const typed = `${lists}, require-trusted-types-for 'script'`;
    expect([ask(typed), ask(typed, chromium)]).toEqual(["Blocked", "Allowed"]);
    expect(ask(lists, chromium)).toBe("Blocked");
  });
});

test("#can-compile-wasm-bytes", () => {
  const compile = (policy: string) => ensureCspDoesNotBlockWasmByteCompilation(pageWith(policy));
  expect(compile("script-src 'wasm-unsafe-eval'").result).toBe("Allowed");
  expect(compile("script-src 'unsafe-eval'").result).toBe("Allowed");
  const blocked = compile("default-src 'self' 'report-sample'");
  expect([blocked.result, blocked.violations[0]?.sample]).toEqual(["Blocked", ""]);
});

test("#should-block-rtc-connection and #webrtc-pre-connect: exactly one 'allow'", () => {
  const ask = (policy: string) => shouldRtcConnectionsBeBlocked(pageWith(policy)).result;
  expect(ask("webrtc 'allow'")).toBe("Allowed");
  expect(ask("default-src 'none'")).toBe("Allowed");
  expect(ask("webrtc 'block'")).toBe("Blocked");
  expect(ask("webrtc 'allow' 'allow'")).toBe("Blocked");
});

test("#allow-base-for-document has no fallback", () => {
  const ask = (policy: string) => isBaseAllowedForDocument(b, pageWith(policy)).result;
  expect(ask("base-uri https://b.example")).toBe("Allowed");
  expect(ask("default-src 'none'")).toBe("Allowed");
  expect(ask("base-uri 'self'")).toBe("Blocked");
});
