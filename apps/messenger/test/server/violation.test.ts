import { parseReports } from "@conclave/csp";
import { describe, expect, test } from "vitest";
import { violationOf } from "../../src/server/violation.ts";

const origin = "https://chat.example";
const paths = new Set(["/", "/assets/page-1.js", "/assets/worker-1.js"]);

function violations(body: object, type = "csp-violation") {
  const text = JSON.stringify([{ type, age: 0, url: `${origin}/`, user_agent: "x", body }]);
  return parseReports("application/reports+json", text).map((report) =>
    violationOf(report, { origin, paths }),
  );
}

function blocked(blockedURL: string) {
  const [violation] = violations({
    documentURL: `${origin}/`,
    blockedURL,
    effectiveDirective: "script-src-elem",
    disposition: "enforce",
  });
  return violation?.blocked;
}

test("sample, query, fragment, referrer and policy are not in it", () => {
  const body = {
    documentURL: `${origin}/?secret-query#secret-fragment`,
    referrer: "https://secret-referrer.example/",
    blockedURL: "inline",
    effectiveDirective: "script-src-elem",
    originalPolicy: "default-src secret-policy",
    sourceFile: `${origin}/secret-file.js`,
    sample: "secret-sample",
    disposition: "enforce",
  };
  expect(violations(body)).toEqual([
    { document: "/", directive: "script-src-elem", blocked: "inline" },
  ]);
});

test("the old format comes to the same", () => {
  const text = JSON.stringify({
    "csp-report": {
      "document-uri": `${origin}/`,
      "blocked-uri": "https://evil.example/x?secret",
      "violated-directive": "connect-src",
      "effective-directive": "connect-src",
      "script-sample": "secret",
    },
  });
  const [report] = parseReports("application/csp-report", text);
  expect(report && violationOf(report, { origin, paths })).toEqual({
    document: "/",
    directive: "connect-src",
    blocked: "https://evil.example",
  });
});

test("a violation of the integrity policy", () => {
  const body = {
    documentURL: `${origin}/`,
    blockedURL: `${origin}/assets/page-1.js`,
    destination: "script",
    reportOnly: false,
  };
  expect(violations(body, "integrity-violation")).toEqual([
    { document: "/", directive: "integrity-policy", blocked: "/assets/page-1.js" },
  ]);
});

describe("what was blocked", () => {
  test.each([
    ["inline", "inline"],
    ["eval", "eval"],
    ["wasm-eval", "wasm-eval"],
    ["trusted-types-sink", "trusted-types-sink"],
    ["trusted-types-policy", "trusted-types-policy"],
    ["data", "data"],
    ["data:text/html,secret", "data"],
    ["blob", "blob"],
    [`blob:${origin}/0123`, "blob"],
    ["javascript:secret()", "javascript"],
    ["https://evil.example/secret?secret#secret", "https://evil.example"],
    ["wss://evil.example:8443/secret", "wss://evil.example:8443"],
    ["https://user:secret@evil.example/", "https://evil.example"],
    [`${origin}/assets/page-1.js?secret`, "/assets/page-1.js"],
    [`${origin}/secret`, "elsewhere"],
    ["secret", "other"],
    ["secret:scheme", "other"],
    [
      `https://${"s".repeat(60)}.${"e".repeat(60)}.${"c".repeat(60)}.${"r".repeat(60)}.${"t".repeat(60)}/`,
      "other",
    ],
    ["", "other"],
  ])("%s is kept as %s", (url, kept) => {
    expect(blocked(url)).toBe(kept);
  });
});

describe("left out", () => {
  const body = {
    documentURL: `${origin}/`,
    blockedURL: "inline",
    effectiveDirective: "script-src",
    disposition: "enforce",
  };

  test("a page of another origin", () => {
    expect(violations({ ...body, documentURL: "https://evil.example/" })).toEqual([undefined]);
    expect(violations({ ...body, documentURL: "no URL" })).toEqual([undefined]);
  });

  test("a directive that doesn't exist", () => {
    expect(violations({ ...body, effectiveDirective: "secret-src" })).toEqual([undefined]);
  });

  test("a hash report: nothing was blocked", () => {
    expect(
      violations(
        { documentURL: `${origin}/`, subresourceURL: "", hash: "", type: "", destination: "" },
        "csp-hash",
      ),
    ).toEqual([undefined]);
  });
});

test("a path of ours that isn't in the bundle is not kept", () => {
  const body = {
    documentURL: `${origin}/secret-path`,
    blockedURL: "inline",
    effectiveDirective: "script-src",
    disposition: "enforce",
  };
  expect(violations(body)).toEqual([
    { document: "elsewhere", directive: "script-src", blocked: "inline" },
  ]);
});
