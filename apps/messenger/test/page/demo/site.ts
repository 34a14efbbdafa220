/**
 * Builds the page on the demo engine, as the product is built, and serves it under a policy as
 * strict as the product's, to a real Chromium.
 * @module
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { BrowserContextOptions, Page } from "playwright-core";
import { build, mergeConfig } from "vite";
import { launchChromium } from "../../../../../scripts/chromium.ts";
import pageConfig from "../../../vite.config.ts";
import type { SceneName } from "./scenes.ts";

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

export interface Site {
  /**
   * A profile of its own, showing the scene; the one before is closed. What a page logs as an error
   * fails `close`.
   */
  open(scene: SceneName, options?: BrowserContextOptions & { hash?: string }): Promise<Page>;
  close(): Promise<void>;
}

export async function openSite(): Promise<Site> {
  const files = await buildDemo();
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname.slice(1);
    const file = path === "" ? "index.html" : path;
    const content = files.get(file);
    response.writeHead(content === undefined ? 404 : 200, {
      "content-type": MEDIA_TYPES[file.split(".").at(-1) ?? ""] ?? "text/plain",
      "content-security-policy": POLICY,
    });
    response.end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const browser = await launchChromium();
  const complaints: string[] = [];

  return {
    async open(scene, { hash = "", ...options } = {}) {
      await Promise.all(browser.contexts().map((context) => context.close()));
      const context = await browser.newContext({ locale: "en-GB", ...options });
      const page = await context.newPage();
      page.setDefaultTimeout(30_000);
      page.on("pageerror", (error) => complaints.push(String(error)));
      page.on("console", (line) => {
        // Chromium asks for one by itself when the document names none.
        if (line.type() === "error" && !line.location().url.endsWith("/favicon.ico")) {
          complaints.push(line.text());
        }
      });
      await page.goto(`http://127.0.0.1:${port}/?${scene}${hash}`);
      await page.locator("#page > :not([aria-busy])").waitFor();
      return page;
    },
    async close() {
      await browser.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      if (complaints.length > 0) throw new Error(`the page complained:\n${complaints.join("\n")}`);
    },
  };
}

async function buildDemo(): Promise<ReadonlyMap<string, string | Uint8Array>> {
  const result = await build(
    mergeConfig(pageConfig, {
      root: import.meta.dirname,
      configFile: false,
      logLevel: "error",
      build: { write: false },
    }),
  );
  if (!("output" in result)) throw new Error("one build was expected");
  return new Map(
    result.output.map((file) => [file.fileName, file.type === "chunk" ? file.code : file.source]),
  );
}
