/**
 * Every payload in a Chromium: it runs under the policy that was judged, and not under the mended one. All hosts are
 * this machine's.
 */
import { parsePolicy } from "@conclave/csp";
import {
  type Finding,
  type FindingType,
  findingTypes,
  type JudgeContext,
  judgePolicies,
} from "@conclave/csp/judge";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../chromium.ts";
import { cases } from "./cases.ts";
import { pageOrigin, type Shown, type StandInServer, startStandIns } from "./stand-in.ts";

const nonce = "'nonce-mN9fGz0b5KqvT3Xw7Jr1Lg'";

/** Policies beside those of the table, by what is found in them. */
const more: readonly (readonly [FindingType, string, JudgeContext?])[] = [
  ["missing-script-src", "script-src-attr 'none'"],
  ["script-scheme", "script-src data:"],
  ["script-scheme", "script-src http:"],
  ["script-host-shared", "script-src *.workers.dev"],
  ["script-host-gadget", "script-src www.google.com/recaptcha/"],
  [
    "script-path-escape",
    "script-src https://cdnjs.cloudflare.com/ajax/libs/jquery/ https://bit.ly",
  ],
  ["script-host-eval", "script-src-elem www.googletagmanager.com 'self'"],
  ["script-path-escape", "script-src https://accounts.google.com/gsi/client https://t.co"],
  ["nonce-predictable", "script-src 'nonce-abc'; object-src 'none'; base-uri 'none'"],
  ["base-uri-open", `script-src ${nonce}; base-uri *`],
  ["base-uri-open", `script-src ${nonce} 'strict-dynamic'; base-uri https:`],
  [
    "script-gadget",
    `script-src ${nonce}`,
    { scripts: ["https://code.angularjs.org/1.8.3/angular.min.js"] },
  ],
  ["script-gadget", "script-src 'self'", { scripts: ["/js/angular.min.js"] }],
  [
    "script-gadget",
    `script-src ${nonce} 'unsafe-eval'`,
    { scripts: ["https://cdn.jsdelivr.net/npm/alpinejs@3.14.1/dist/cdn.min.js"] },
  ],
  [
    "script-gadget",
    `script-src ${nonce} 'unsafe-eval'`,
    { scripts: ["https://unpkg.com/knockout@3.5.1/build/output/knockout-latest.js"] },
  ],
  [
    "script-gadget",
    `script-src ${nonce} 'strict-dynamic'`,
    { scripts: ["https://cdnjs.cloudflare.com/ajax/libs/require.js/2.3.6/require.min.js"] },
  ],
];

interface Run {
  readonly type: FindingType;
  readonly text: string;
  readonly finding: Finding;
}

function severeRuns(): Run[] {
  const runs: Run[] = [];
  const add = (type: FindingType, text: string, context: JudgeContext = {}) => {
    const findings = judgePolicies([parsePolicy(text)], { pageOrigin, ...context });
    for (const finding of findings) {
      if (finding.severity === "high" && finding.type === type) runs.push({ type, text, finding });
    }
  };
  for (const [type, { bad, more: pairs, context }] of Object.entries(cases)) {
    for (const text of [bad, ...(pairs ?? []).map(([text]) => text)])
      add(type as FindingType, text, context);
  }
  for (const [type, text, context] of more) add(type, text, context);
  return runs;
}

let server: StandInServer;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  server = await startStandIns();
  browser = await launchChromium(server.resolverRules, "--ignore-certificate-errors");
  page = await browser.newPage({ ignoreHTTPSErrors: true });
});

afterAll(async () => {
  await browser.close();
  await server.close();
});

async function runs(payload: Shown["payload"], policies: readonly string[]): Promise<boolean> {
  server.show({ payload, policies });
  await page.goto(`${pageOrigin}/`, { waitUntil: "load" });
  for (let wait = 0; wait < 6; wait++) {
    if ((await page.title()) === "ran") return true;
    await page.waitForTimeout(50);
  }
  return false;
}

test("every payload of a severe finding runs under its policy, and not under the mended one", {
  timeout: 170_000,
}, async () => {
  const severe = severeRuns();
  const wrong: string[] = [];
  const proven = new Set<FindingType>();
  for (const { type, text, finding } of severe) {
    const { payload, mended } = finding;
    if (!payload) {
      wrong.push(`${type} has no payload under ${text}`);
      continue;
    }
    if (!(await runs(payload, [text])))
      wrong.push(`${type} does not run under ${text}: ${payload.html}`);
    // A gadget that needs nothing of the policy is mended in the page: without the library.
    const after = mended === undefined ? { ...payload, page: "" } : payload;
    if (await runs(after, [mended ?? text]))
      wrong.push(`${type} runs under ${mended ?? "no library"}`);
    proven.add(type);
  }
  if (process.env["FIGURES"]) console.log(`${severe.length} payloads of ${proven.size} types`);
  expect(wrong).toEqual([]);
  const high = Object.entries(findingTypes).filter(([, { severity }]) => severity === "high");
  expect([...proven].sort()).toEqual(high.map(([type]) => type).sort());
});

test.each([
  ["script-src 'unsafe-inline'", "script-src 'self'"],
  ["script-src https://unpkg.com", "script-src 'none'"],
  [`script-src ${nonce}`, `script-src ${nonce}; base-uri 'none'`],
  [`script-src ${nonce}`, "script-src 'nonce-9pQeX2v0aUeQvM4nY6sKzA'"],
  ["script-src 'nonce-abc'; base-uri 'none'", "script-src 'self'"],
  ["script-src www.googletagmanager.com 'unsafe-eval'", "script-src *"],
])("what another policy closes does not run: %s, %s", async (weak, closing) => {
  const findings = judgePolicies([parsePolicy(weak), parsePolicy(closing)], { pageOrigin });
  const ran: string[] = [];
  for (const { policy, payload, standing } of findings) {
    if (policy !== 0 || !payload) continue;
    const [alone, beside] = [await runs(payload, [weak]), await runs(payload, [weak, closing])];
    ran.push(`${standing.type}: ${alone} alone, ${beside} beside`);
  }
  expect([...new Set(ran)]).toEqual(["closed: true alone, false beside"]);
});
