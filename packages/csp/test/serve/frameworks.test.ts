/** The same of every framework, by its real server: headers, the nonce in streams, and a marker that never gets out. */
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { buffer } from "node:stream/consumers";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchChromium } from "../chromium.ts";
import { frameworks, marker, type Running } from "./frameworks.ts";

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser?.close());

describe.each(frameworks)("%s", (_name, start) => {
  let running: Running;
  beforeAll(async () => {
    running = await start();
  });
  afterAll(() => running?.close());

  async function fetchText(
    path: string,
  ): Promise<{ response: Response; text: string; nonce: string }> {
    const response = await fetch(`${running.origin}${path}`, { redirect: "manual" });
    const text = await response.text();
    const policy = response.headers.get("Content-Security-Policy") ?? "";
    const nonce = /'nonce-([^']{24})'/.exec(policy)?.[1] ?? "none";
    return { response, text, nonce };
  }

  test("a nonce for each response, in the framework's own place", async () => {
    const first = await fetchText("/nonce");
    const second = await fetchText("/nonce");
    expect(first.text).toBe(first.nonce);
    expect(second.text).toBe(second.nonce);
    expect(first.nonce).not.toBe(second.nonce);
    expect(first.response.headers.get("X-Content-Type-Options")).toBe("nosniff");
    expect(first.response.headers.get("Content-Security-Policy-Report-Only")).toBe(
      "style-src 'self'",
    );
  });

  test("a streamed page has the nonce wherever the template has the marker", async () => {
    const { text, nonce, response } = await fetchText("/page?q=text");
    expect(text.split(`<script nonce="${nonce}">`).length).toBe(3);
    expect(text.length).toBe(
      `<!doctype html><title>Page</title>\n<script nonce="${marker}">ran("head")</script>\n<p>text</p>\n<script nonce="${marker}">ran("body")</script>`
        .length,
    );
    expect(response.headers.get("Content-Length")).toBeNull();
  });

  test("a page of known length keeps it", async () => {
    const { text, nonce, response } = await fetchText("/whole");
    expect(text).toBe(`<script nonce="${nonce}">ran("whole")</script>`);
    expect(response.headers.get("Content-Length")).toBe(String(text.length));
  });

  test("the marker does not get out, in whatever body or header", async () => {
    for (const path of ["/page", "/whole", "/json", "/link", "/cached", "/compressed"]) {
      const [response] = (await once(get(`${running.origin}${path}`), "response")) as [
        IncomingMessage,
      ];
      const body = await buffer(response);
      const raw = `${response.rawHeaders.join("\n")}\n${body.toString("latin1")}`;
      expect(raw).not.toContain(marker);
      expect(raw).toContain(path === "/compressed" ? "failed" : "'nonce-");
    }
    const { response, nonce } = await fetchText("/link");
    expect(response.headers.get("Link")).toBe(`</a.js>; rel=preload; as=script; nonce="${nonce}"`);
    const [first, second] = response.headers.getSetCookie();
    expect([first?.split(";")[0], second]).toEqual(["a=1", `b=${nonce}`]);
    const body = await fetchText("/json");
    expect(JSON.parse(body.text)).toEqual({ html: `<script nonce="${body.nonce}">` });
  });

  test("a page that is already compressed is refused, another file is not", async () => {
    const { response, text } = await fetchText("/compressed");
    expect([response.status, text]).toEqual([500, "failed"]);
    expect((await fetchText("/compressed-asset")).text).toBe("1");
  });

  test("a page is kept by no cache unless it says so, other things may be", async () => {
    const control = async (path: string) =>
      (await fetchText(path)).response.headers.get("Cache-Control");
    expect(await control("/page")).toBe("no-store");
    expect(await control("/cached")).toBe("private");
    expect(await control("/json")).toBeNull();
  });

  test("what the browser has kept keeps its policy", async () => {
    const { response } = await fetchText("/unmodified");
    expect(response.status).toBe(304);
    expect(response.headers.get("Content-Security-Policy")).toBeNull();
    expect(response.headers.get("Content-Security-Policy-Report-Only")).toBe("style-src 'self'");
  });

  test("a route's own options have the nonce that the handler has", async () => {
    const { text, nonce } = await fetchText("/by-route");
    expect(text).toBe(nonce);
  });

  test.each(["/by-request", "/by-route"])("%s replaces what it names", async (path) => {
    const { response, nonce } = await fetchText(path);
    expect(response.headers.get("Content-Security-Policy")).toBe(
      `script-src 'nonce-${nonce}' 'strict-dynamic'; base-uri 'none'; object-src 'none', img-src 'none'`,
    );
    expect(response.headers.get("Content-Security-Policy-Report-Only")).toBeNull();
    expect(response.headers.get("Referrer-Policy")).toBe("origin");
    expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
  });

  describe("in Chromium", () => {
    const ran = async (tab: Page, q: string) => {
      await tab.goto(`${running.origin}/page?q=${encodeURIComponent(q)}`);
      return tab.evaluate<string[]>("list");
    };

    test("an injected script in the stream is blocked, whatever it guesses", async () => {
      const { nonce } = await fetchText("/page");
      const tab = await browser.newPage();
      await tab.addInitScript("globalThis.list = []; globalThis.ran = (what) => list.push(what);");
      const injected = [
        "",
        'nonce=""',
        'nonce="{{nonce}}"',
        'nonce="<%= nonce %>"',
        'nonce="${marker}"',
        'nonce="undefined"',
        `nonce="_${"a".repeat(23)}"`,
        // A nonce of another response.
        `nonce="${nonce}"`,
        `nonce="${marker.slice(0, 23)}"`,
      ].map((attributes) => `<script ${attributes}>ran("injected")</script>`);
      const others = [
        `<img src=x onerror='ran("injected")'>`,
        `<script nonce src="data:,ran(1)"></script>`,
        // Swallows the template's next tag, nonce and all, as an attribute's value or as attributes.
        `<script src="data:,ran(1)" title='`,
        `<script src="data:,ran(1)" `,
      ];
      // Whoever knows the marker is trusted.
      const known = `<script nonce="${marker}">ran("injected")</script>`;
      expect(await ran(tab, known)).toEqual(["head", "injected", "body"]);
      expect(await ran(tab, injected.join(""))).toEqual(["head", "body"]);
      for (const other of others) {
        expect(
          (await ran(tab, other)).filter((what) => what !== "head" && what !== "body"),
        ).toEqual([]);
      }
      await tab.close();
    });
  });
});
