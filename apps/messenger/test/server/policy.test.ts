import { parsePolicy } from "@conclave/csp";
import { expect, test } from "vitest";
import type { Bundle } from "../../src/server/bundle.ts";
import {
  type HeaderList,
  operatorHeaders,
  pageHeaders,
  workerHeaders,
} from "../../src/server/policy.ts";

const digest = `sha384-${"A".repeat(64)}`;
const bundle: Bundle = {
  files: new Map(),
  scripts: new Map([["/assets/page-1.js", digest]]),
  workers: ["/assets/worker-1.js"],
};
const origins = { pageOrigin: "https://chat.example", serviceOrigin: "https://delivery.example" };

function policyOf(headers: HeaderList): Readonly<Record<string, string>> {
  const header = new Map(headers).get("Content-Security-Policy") ?? "";
  return Object.fromEntries(
    parsePolicy(header).directiveSet.map(({ name, value }) => [
      name,
      value.map(({ text }) => text).join(" "),
    ]),
  );
}

test("the page: nothing but what is named", () => {
  expect(policyOf(pageHeaders(bundle, origins))).toEqual({
    "default-src": "'none'",
    "script-src": `'${digest}'`,
    "style-src": "'self'",
    "img-src": "'self'",
    "manifest-src": "'self'",
    "worker-src": "https://chat.example/assets/worker-1.js",
    "connect-src": "'self' https://delivery.example wss://delivery.example",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "conclave",
    "report-uri": "https://chat.example/reports",
  });
});

test("the worker: the service, and no code but its own", () => {
  expect(policyOf(workerHeaders(origins))).toEqual({
    "default-src": "'none'",
    "connect-src": "https://delivery.example wss://delivery.example",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
    "report-uri": "https://chat.example/reports",
  });
});

test("the operator's page: its script by digest, its own server, no trusted types at all", () => {
  expect(policyOf(operatorHeaders(digest))).toEqual({
    "default-src": "'none'",
    "script-src": `'${digest}'`,
    "style-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
  });
});

test("scripts must carry their integrity, and reports go to the page's origin", () => {
  const headers = new Map(pageHeaders(bundle, origins));
  expect(headers.get("Integrity-Policy")).toBe(
    "blocked-destinations=(script), endpoints=(violations)",
  );
  expect(headers.get("Reporting-Endpoints")).toBe('violations="https://chat.example/reports"');
});

test("a bundle without scripts allows none", () => {
  const policy = policyOf(pageHeaders({ ...bundle, scripts: new Map(), workers: [] }, origins));
  expect(policy["script-src"]).toBe("'none'");
  expect(policy["worker-src"]).toBe("'none'");
});
