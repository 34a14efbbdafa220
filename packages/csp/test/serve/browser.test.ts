/**
 * Policies in a real Chromium: it enforces what the middleware sends, and `parseReports` reads what it reports.
 * Over https, because Chromium delivers nothing to `Reporting-Endpoints` otherwise.
 */
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import {
  type PolicyDirectives,
  parsePolicy,
  parseReports,
  type Report,
  type SecurityHeadersOptions,
  serializePolicy,
} from "@conclave/csp";
import { withSecurityHeaders } from "@conclave/csp/fetch";
import { getNonce, securityHeadersMiddleware } from "@conclave/csp/node";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { launchChromium } from "../chromium.ts";

const pem = readFileSync(new URL("localhost.pem", import.meta.url));
const publicKey = new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" });
const fingerprint = createHash("sha256").update(publicKey).digest("base64");

const options: SecurityHeadersOptions = {
  policy: (nonce): PolicyDirectives => ({
    "default-src": ["'none'"],
    "script-src": [`'nonce-${nonce}'`, "'report-sample'", "'report-sha256'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
    "report-to": "main",
  }),
  reportOnly: {
    "require-trusted-types-for": ["'script'"],
    "trusted-types": ["'none'"],
    "report-uri": ["/reports"],
  },
  reportingEndpoints: { main: "/reports" },
  integrityPolicyReportOnly: { blockedDestinations: ["script"], endpoints: ["main"] },
  crossOriginEmbedderPolicy: "require-corp",
  strictTransportSecurity: { maxAge: 60 },
};

const html = (nonce: string) => `<!doctype html><title>Page</title>
<body onclick="document.body.dataset.attribute = 'ran'">
<script>document.body.dataset.plain = "ran"</script>
<script nonce="${nonce}">
  document.body.dataset.nonced = "ran";
  document.body.click();
  try { eval("document.body.dataset.eval = 'ran'") } catch {}
  document.head.innerHTML += "";
</script>
<script src="/script.js" nonce="${nonce}"></script>
<script src="/script.js"></script>`;

const contentType = { "Content-Type": "text/html; charset=utf-8" };
const secure = securityHeadersMiddleware(options);
const handle = withSecurityHeaders(
  (_request, { nonce }) => new Response(html(nonce), { headers: contentType }),
  options,
);

let server: Server;
let browser: Browser;
let origin: string;
const received: { readonly contentType: string; readonly body: string }[] = [];

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  switch (request.url ?? "") {
    case "/reports": {
      const body = await text(request);
      received.push({ contentType: request.headers["content-type"] ?? "", body });
      response.writeHead(204).end();
      break;
    }
    case "/script.js":
      response.setHeader("Content-Type", "text/javascript");
      response.end("document.body.dataset.external = 1 + +(document.body.dataset.external ?? 0)");
      break;
    case "/node":
      secure(request, response);
      response.writeHead(200, contentType).end(html(getNonce(response)));
      break;
    case "/fetch": {
      const { status, headers, body } = await handle(new Request(`${origin}/fetch`));
      response.writeHead(status, Object.fromEntries(headers));
      for await (const chunk of body ?? []) response.write(chunk);
      response.end();
      break;
    }
    default:
      response.writeHead(404).end();
  }
}

beforeAll(async () => {
  server = createServer({ key: pem, cert: pem }, (request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  origin = `https://localhost:${(server.address() as AddressInfo).port}`;
  browser = await launchChromium(
    "--short-reporting-delay",
    `--ignore-certificate-errors-spki-list=${fingerprint}`,
  );
}, 60_000);

afterAll(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
});

beforeEach(() => {
  received.length = 0;
});

describe.each(["/node", "/fetch"])("%s", (path) => {
  test("is enforced, and every report can be read", async () => {
    const url = `${origin}${path}`;
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => {
      if (!/violat/.test(message.text())) complaints.push(message.text());
    });
    const response = await page.goto(url);

    expect(await page.evaluate("({ ...document.body.dataset })")).toEqual({
      nonced: "ran",
      external: "1",
    });
    // Chromium understands every header that was sent, and every word in it.
    expect(complaints).toEqual([]);

    const originalPolicy = (await response?.headerValue("content-security-policy")) ?? "";
    expect(serializePolicy(parsePolicy(originalPolicy))).toBe(originalPolicy);
    const bodiesOf = (type: Report["type"], reports: readonly Report[]) =>
      reports.filter((report) => report.type === type).map((report) => report.body);
    const common = {
      documentURL: url,
      referrer: "",
      originalPolicy,
      sourceFile: url,
      disposition: "enforce",
      statusCode: 200,
    };
    const script = { documentURL: url, destination: "script" };
    await vi.waitFor(
      () => {
        const reports = received.flatMap(({ contentType, body }) =>
          parseReports(contentType, body),
        );
        const violations = bodiesOf("csp-violation", reports);
        expect(violations).toContainEqual({
          ...common,
          blockedURL: "inline",
          effectiveDirective: "script-src-elem",
          sample: 'document.body.dataset.plain = "ran"',
          lineNumber: 3,
          columnNumber: expect.any(Number),
        });
        expect(violations).toContainEqual(
          expect.objectContaining({
            blockedURL: "inline",
            effectiveDirective: "script-src-attr",
            sample: "document.body.dataset.attribute = 'ran'",
          }),
        );
        expect(violations).toContainEqual(
          expect.objectContaining({ blockedURL: "eval", effectiveDirective: "script-src" }),
        );
        expect(violations).toContainEqual(
          expect.objectContaining({
            blockedURL: `${origin}/script.js`,
            effectiveDirective: "script-src-elem",
          }),
        );
        // From `report-uri`, in the old format.
        expect(violations).toContainEqual(
          expect.objectContaining({
            documentURL: url,
            blockedURL: "trusted-types-sink",
            effectiveDirective: "require-trusted-types-for",
            originalPolicy:
              "require-trusted-types-for 'script'; trusted-types 'none'; report-uri /reports",
            disposition: "report",
            sourceFile: url,
          }),
        );
        expect(bodiesOf("csp-hash", reports)).toContainEqual({
          ...script,
          subresourceURL: `${origin}/script.js`,
          hash: expect.stringMatching(/^sha256-[A-Za-z0-9+/]{43}=$/),
          type: "subresource",
        });
        expect(bodiesOf("integrity-violation", reports)).toContainEqual({
          ...script,
          blockedURL: `${origin}/script.js`,
          reportOnly: true,
        });
      },
      { timeout: 40_000, interval: 100 },
    );
    expect(new Set(received.map(({ contentType }) => contentType))).toEqual(
      new Set(["application/csp-report", "application/reports+json"]),
    );
    await page.close();
  });
});
