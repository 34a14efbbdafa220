/** Sites for tests: read from `test/fixtures/sites`, served, and visited in a Chromium that notes what is blocked. */
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { SiteFile } from "@conclave/csp/make";
import type { Browser, Page } from "playwright-core";

export const sitesFolder = fileURLToPath(new URL("../fixtures/sites", import.meta.url));

export function readSite(folder: string): SiteFile[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return { path: relative(folder, path), content: new Uint8Array(readFileSync(path)) };
    });
}

/** The same site with some of its files changed. */
export function withPages(
  files: readonly SiteFile[],
  pages: readonly { readonly path: string; readonly html: string }[],
): SiteFile[] {
  const changed = new Map(pages.map(({ path, html }) => [path, new TextEncoder().encode(html)]));
  return files.map((file) => ({ ...file, content: changed.get(file.path) ?? file.content }));
}

const types: Readonly<Record<string, string>> = {
  css: "text/css",
  html: "text/html; charset=utf-8",
  js: "text/javascript",
  json: "application/json",
  mjs: "text/javascript",
  svg: "image/svg+xml",
};

export interface Served {
  readonly url: string;
  close(): void;
}

/** `policyOf` gives the header of a page. */
export async function serve(
  files: readonly SiteFile[],
  policyOf?: (path: string) => string | undefined,
  headers: Readonly<Record<string, string>> = {},
): Promise<Served> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const path = pathname.slice(1) + (pathname.endsWith("/") ? "index.html" : "");
    const file = files.find((candidate) => candidate.path === path);
    const policy = policyOf?.(path);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (policy) response.setHeader("Content-Security-Policy", policy);
    response.setHeader("Content-Type", types[path.split(".").at(-1) ?? ""] ?? "text/plain");
    const isBeacon = request.method === "POST";
    response.statusCode = file ? 200 : isBeacon ? 204 : 404;
    response.end(file?.content);
  });
  const url = await listen(server);
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url, close };
}

export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return `http://localhost:${(server.address() as AddressInfo).port}/`;
}

/** What went against a policy, and what went wrong: directive, then URL or code. */
export async function visit(
  browser: Browser,
  url: string,
  use: (page: Page) => Promise<void>,
): Promise<string[]> {
  const context = await browser.newContext();
  const found: string[] = [];
  await context.exposeBinding("noteViolation", (_, text: string) => found.push(text));
  await context.addInitScript(`addEventListener("securitypolicyviolation", (event) =>
    noteViolation(event.effectiveDirective + " " + (event.blockedURI || event.sample)))`);
  const page = await context.newPage();
  page.on("pageerror", (error) => found.push(`error ${error.message}`));
  page.on("console", (message) => {
    const noIcon = message.location().url.endsWith("/favicon.ico");
    if (message.type() === "error" && !noIcon) found.push(`console ${message.text()}`);
  });
  await page.goto(url, { waitUntil: "networkidle" });
  await use(page);
  await page.waitForLoadState("networkidle");
  await context.close();
  return found;
}
