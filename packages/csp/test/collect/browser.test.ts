/**
 * The collector and a real Chromium: it takes what the browser sends by itself, over https and from another origin,
 * and shows it, hostile reports among it, without anything of it running.
 */
import { createHash, X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { securityHeaders } from "@conclave/csp";
import { type Collector, startCollector } from "@conclave/csp/collect";
import axe from "axe-core";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { launchChromium } from "../chromium.ts";
import { delivery } from "./reports.ts";

const pem = readFileSync(new URL("../serve/localhost.pem", import.meta.url), "utf8");
const publicKey = new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" });
const fingerprint = createHash("sha256").update(publicKey).digest("base64");
const token = "0123456789abcdef";
/** A folder for pictures to look at. */
const pictures = process.env["PICTURES"];

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium(
    "--short-reporting-delay",
    `--ignore-certificate-errors-spki-list=${fingerprint}`,
  );
});
afterAll(() => browser?.close());

const startOverTls = () =>
  startCollector({ file: ":memory:", token, host: "localhost", tls: { key: pem, cert: pem } });

async function listOf({ url }: Collector, context: BrowserContext) {
  const headers = { Authorization: `Bearer ${token}`, Accept: "application/json" };
  const response = await context.request.get(`${url}?show=all`, {
    headers,
    ignoreHTTPSErrors: true,
  });
  return (await response.json()).groups as readonly Record<string, unknown>[];
}

describe("what Chromium sends", () => {
  let collector: Collector;
  let server: Server;
  let site: string;
  beforeAll(async () => {
    collector = await startOverTls();
    const endpoint = new URL("/reports", collector.url).href;
    const headers = securityHeaders(
      {
        policy: {
          "default-src": ["'none'"],
          "script-src": ["'nonce-abcdefghijklmnop'", "'report-sample'", "'report-sha256'"],
          "report-to": "collector",
        },
        reportOnly: { "img-src": ["'none'"], "report-uri": [endpoint] },
        reportingEndpoints: { collector: endpoint },
        integrityPolicyReportOnly: { blockedDestinations: ["script"], endpoints: ["collector"] },
      },
      "",
    );
    server = createServer({ key: pem, cert: pem }, (request, response) => {
      for (const [name, value] of headers) response.setHeader(name, value);
      if (request.url === "/script.js") {
        response.setHeader("Content-Type", "text/javascript").end("window.ran = true");
        return;
      }
      response.setHeader("Content-Type", "text/html").end(`<!doctype html><title>Site</title>
<script>start()</script>
<img src="https://images.example/cat.png?secret=1">
<script nonce="abcdefghijklmnop" src="/script.js"></script>
<script nonce="abcdefghijklmnop">try { eval("1") } catch {}</script>`);
    });
    await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
    site = `https://localhost:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    server?.closeAllConnections();
    server?.close();
    await collector?.close();
  });

  test("by report-to and by report-uri, from another origin", async () => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    await page.goto(`${site}/orders/12345?token=s3cret`);
    const common = { site, document: "/orders/*" };
    const violation = { ...common, type: "csp-violation", class: "violation" };
    await vi.waitFor(
      async () => {
        const groups = await listOf(collector, context);
        for (const expected of [
          { ...violation, directive: "script-src-elem", blocked: "inline", detail: "start()" },
          { ...violation, directive: "script-src", blocked: "eval", detail: "1" },
          // Enforced by one policy, reported by the other.
          {
            ...violation,
            directive: "img-src",
            blocked: "https://images.example",
            count: 2,
            enforced: 1,
          },
          { ...common, type: "integrity-violation", blocked: site, detail: "/script.js" },
          {
            site,
            type: "csp-hash",
            class: "inventory",
            detail: expect.stringMatching(/^\/script\.js sha256-[A-Za-z0-9+/]{43}=$/),
          },
        ]) {
          expect(groups).toContainEqual(expect.objectContaining(expected));
        }
        expect(JSON.stringify(groups)).not.toMatch(/s3cret|secret|abcdefghijklmnop/);
      },
      { timeout: 40_000, interval: 200 },
    );
    await context.close();
  });
});

/** The fields of a report, made by somebody who wants to be seen by the operator. */
const hostile = [
  `<script>document.title = "ran"</script>`,
  `"><img src=x onerror="document.title='ran'">`,
  `' onfocus='document.title="ran"' autofocus='`,
  `javascript:document.title="ran"`,
  "</code></pre></main><h1>Sign in again</h1><form action=https://evil.example/>",
  "\u202Ettp://elpmaxe.live\u0000\u0007\u200B\uFEFF",
  "\ud800 a lone surrogate",
  "{{constructor.constructor('document.title=1')()}} ${7*7}",
];

// Axe looks at each page four times over.
describe("the operator's page", { timeout: 180_000 }, () => {
  let collector: Collector;
  beforeAll(async () => {
    collector = await startOverTls();
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const send = async (body: string, expected = 204) => {
      const headers = { "Content-Type": "application/reports+json" };
      const response = await context.request.post(`${collector.url}reports`, {
        headers,
        data: body,
      });
      if (response.status() !== expected) throw new Error(`answered ${response.status()}`);
    };
    for (const text of hostile) {
      const everywhere = {
        documentURL: `https://shop.example/${text}`,
        blockedURL: text,
        sample: text,
        sourceFile: text,
        effectiveDirective: text,
        originalPolicy: `script-src ${text}`,
        referrer: text,
      };
      await send(delivery(everywhere));
      await send(delivery({ blockedURL: "inline", sample: text }));
    }
    await send(delivery({ sample: "x".repeat(10_000_000) }), 413);
    const plain = [
      { blockedURL: "https://cdn.example/lib.js" },
      { blockedURL: "inline", sample: "start()" },
      { blockedURL: "https://img.example/cat.png", effectiveDirective: "img-src" },
      { blockedURL: "eval", effectiveDirective: "script-src" },
      { blockedURL: "inline", sourceFile: "chrome-extension" },
      { originalPolicy: "script-src *", blockedURL: "https://forged.example/" },
    ];
    for (const [i, body] of plain.entries()) {
      await send(delivery(...Array.from({ length: 12 - 2 * i }, () => body)));
    }
    await context.close();
  });
  afterAll(() => collector?.close());

  /** A page that is signed in, and what is wrong with it. */
  async function open(options: Parameters<Browser["newContext"]>[0] = {}) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("request", (request) => {
      if (!request.url().startsWith(collector.url)) complaints.push(`asked for ${request.url()}`);
    });
    await page.goto(collector.url);
    complaints.length = 0;
    await page.getByLabel("Token").fill(token);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Reports", exact: true }).waitFor();
    return { context, page, complaints };
  }

  async function look(page: Page, name: string): Promise<void> {
    if (pictures === undefined) return;
    mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
  }

  /** What axe finds serious or critical. It is run in a world of its own, which the page's policy does not govern. */
  async function findings(page: Page): Promise<readonly string[]> {
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  }

  test("asks for the token; the cookie is for this host and no script", async () => {
    const { context, page } = await open();
    const [cookie, ...others] = await context.cookies(collector.url);
    expect(others).toEqual([]);
    expect(cookie).toMatchObject({
      name: "__Host-csp-collector",
      httpOnly: true,
      secure: true,
      sameSite: "Strict",
      path: "/",
    });
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Token").waitFor();
    await context.close();
  });

  test("shows hostile reports as text: nothing runs, nothing is asked for", async () => {
    const { context, page, complaints } = await open();
    await page.goto(`${collector.url}?show=all`);
    const links = await page
      .locator("tbody a")
      .evaluateAll((elements) => elements.map((element) => (element as HTMLAnchorElement).href));
    expect(links.length).toBeGreaterThan(15);
    for (const address of [`${collector.url}?show=all`, ...links]) {
      await page.goto(address);
      expect(await page.title()).not.toMatch(/^ran/);
      // The page has no script, image or frame at all, and forms that lead nowhere else.
      expect(await page.locator("script, img, iframe, object, embed, [style]").count()).toBe(0);
      const actions = await page
        .locator("form")
        .evaluateAll((forms) =>
          forms.map((form) => new URL((form as HTMLFormElement).action).origin),
        );
      expect([...new Set(actions)]).toEqual([new URL(collector.url).origin]);
      const attributes = await page.evaluate(() =>
        [...document.querySelectorAll("*")].flatMap((element) =>
          element.getAttributeNames().filter((name) => name.startsWith("on")),
        ),
      );
      expect(attributes).toEqual([]);
      expect(await page.locator("body").innerText()).not.toMatch(/[\u202a-\u202e\0\u200b\ufeff]/);
    }
    expect(complaints).toEqual([]);
    await context.close();
  });

  test("says what is impossible, and what is noise", async () => {
    const { context, page } = await open();
    await page.getByLabel("Show").selectOption("Impossible reports");
    await page.getByRole("button", { name: "Show" }).click();
    await page.getByText("https://forged.example").waitFor();
    expect(await page.getByText("The policy that it names allows this").count()).toBe(1);
    await page.getByLabel("Show").selectOption("Noise");
    await page.getByRole("button", { name: "Show" }).click();
    await page.getByText("a browser extension").waitFor();
    await context.close();
  });

  test("proposes a policy", async () => {
    const { context, page } = await open();
    await page.getByRole("link", { name: "https://cdn.example", exact: true }).click();
    await page.getByText("script-src 'self' https://cdn.example/lib.js").waitFor();
    expect(await page.getByText("The engine confirms").count()).toBe(2);
    await look(page, "group");
    await context.close();
  });

  test.each([
    ["light", { colorScheme: "light" }],
    ["dark", { colorScheme: "dark" }],
    ["narrow", { colorScheme: "light", viewport: { width: 390, height: 800 } }],
    ["narrow and dark", { colorScheme: "dark", viewport: { width: 390, height: 800 } }],
  ] as const)("can be read by everybody: %s", async (name, options) => {
    // Axe is put into the page, whose policy would not have it.
    const { context, page } = await open({ ...options, bypassCSP: true });
    await look(page, `list ${name}`);
    expect(await findings(page)).toEqual([]);
    const width = page.viewportSize()?.width ?? 0;
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(
      width,
    );
    await page.getByRole("link", { name: "inline: start()" }).click();
    await look(page, `group ${name}`);
    expect(await findings(page)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(
      width,
    );
    await page.goto(`${collector.url}?show=all`);
    await look(page, `all ${name}`);
    expect(await findings(page)).toEqual([]);
    await page.getByRole("button", { name: "Sign out" }).click();
    await look(page, `sign-in ${name}`);
    expect(await findings(page)).toEqual([]);
    await context.close();
  });

  test("works by keyboard alone, and without scripts", async () => {
    const { context, page } = await open({ javaScriptEnabled: false });
    const link = page.getByRole("link", { name: "inline: start()" });
    for (let steps = 0; steps < 40; steps++) {
      await page.keyboard.press("Tab");
      if ((await page.locator(":focus").allInnerTexts()).join() === (await link.innerText())) break;
    }
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "inline: start()" }).waitFor();
    await page.getByRole("button", { name: "Forget this group" }).press("Enter");
    await page.getByRole("heading", { name: "Reports", exact: true }).waitFor();
    expect(await link.count()).toBe(0);
    await context.close();
  });
});

declare global {
  var axe: typeof import("axe-core");
}
