import { describe, expect, test } from "vitest";
import { noiseOf } from "../../src/collect/noise.ts";
import { factsFor } from "./reports.ts";

const classOf = (body: Parameters<typeof factsFor>[0], sites?: readonly string[]) =>
  noiseOf(factsFor(body), sites && new Set(sites))?.class;

describe("is noise", () => {
  test.each([
    ["extension", { blockedURL: "chrome-extension://abc/font.woff" }],
    // Chromium cuts the source file to the scheme.
    ["extension", { blockedURL: "inline", sourceFile: "chrome-extension" }],
    ["extension", { blockedURL: "inline", sourceFile: "moz-extension" }],
    ["extension", { blockedURL: "safari-web-extension://x/y.js" }],
    ["extension", { sourceFile: "user-script" }],
    ["extension", { blockedURL: "inline", sample: "(function installGlobalHook(window) {" }],
    ["browser", { blockedURL: "about" }],
    ["browser", { blockedURL: "android-webview" }],
    ["browser", { blockedURL: "resource://gre/x" }],
    ["browser", { blockedURL: "webviewprogressproxy:///complete" }],
    ["injected", { blockedURL: "https://gc.kis.v2.scr.kaspersky-labs.com/1/main.js" }],
    ["injected", { blockedURL: "https://nikkomsgchannel/e" }],
    ["injected", { blockedURL: "http://10.237.69.146:15871" }],
    ["injected", { blockedURL: "http://127.0.0.1:8080/x" }],
    ["injected", { blockedURL: "http://[::1]/x" }],
    ["elsewhere", { documentURL: "https://shop-example.translate.goog/" }],
    ["elsewhere", { documentURL: "file:///home/ann/page.html" }],
  ] as const)("%s: %o", (expected, body) => expect(classOf(body)).toBe(expected));
});

describe("is not", () => {
  test.each([
    {},
    { blockedURL: "inline" },
    { blockedURL: "data" },
    { blockedURL: "blob" },
    { documentURL: "about" },
    { blockedURL: "https://notkaspersky-labs.com/" },
    { blockedURL: "https://kaspersky-labs.com.example/" },
    { blockedURL: "https://10.example/" },
    { blockedURL: "https://172.15.0.1/" },
    { blockedURL: "http://localhost:3000/a", documentURL: "http://localhost:3000/" },
    { sample: "chrome-extension" },
  ])("%o", (body) => expect(classOf(body)).toBeUndefined());
});

test("says what it went by", () => {
  expect(noiseOf(factsFor({ sourceFile: "moz-extension" }), undefined)).toEqual({
    class: "extension",
    reason: "a browser extension",
    evidence: "sourceFile: moz-extension",
  });
});

test("pages of other sites, where sites are named", () => {
  const sites = ["https://shop.example"];
  expect(classOf({}, sites)).toBeUndefined();
  expect(classOf({ documentURL: "about" }, sites)).toBeUndefined();
  expect(classOf({ documentURL: "https://other.example/" }, sites)).toBe("elsewhere");
  expect(classOf({ documentURL: "http://shop.example/" }, sites)).toBe("elsewhere");
  expect(classOf({ documentURL: "nonsense" }, sites)).toBe("elsewhere");
});
