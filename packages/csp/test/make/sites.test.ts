/** Policies that are made for whole sites, enforced by a Chromium that visits and uses them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseMetaPolicy } from "@conclave/csp";
import { judgePolicies } from "@conclave/csp/judge";
import {
  type SiteFile,
  type SitePage,
  type StaticSiteOptions,
  staticSite,
} from "@conclave/csp/make";
import type { Browser, Page } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchChromium } from "../chromium.ts";
import { readSite, serve, sitesFolder, visit, withPages } from "./site.ts";

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser?.close());

/** Visits a site under the policies that were made for it. */
async function prove(
  files: readonly SiteFile[],
  options: StaticSiteOptions,
  use: (page: Page) => Promise<void>,
): Promise<string[]> {
  const { pages } = await staticSite(files, options);
  const served = await serve(withPages(files, pages), (path) =>
    options.delivery === "header"
      ? pages.find((page) => page.path === path)?.policy.text
      : undefined,
  );
  try {
    return await visit(browser, served.url, use);
  } finally {
    served.close();
  }
}

/** The severe findings of all pages. */
const judged = (pages: readonly SitePage[]) =>
  pages
    .flatMap(({ policy }) => judgePolicies([policy]))
    .filter(({ severity }) => severity === "high");

describe("a site of plain HTML", () => {
  const files = readSite(join(sitesFolder, "plain"));

  const use = async (page: Page) => {
    expect(await page.evaluate("document.documentElement.dataset.early")).toBe("yes");
    expect(await page.evaluate("document.getElementById('hours').dataset.open")).toBe("true");
    expect(await page.evaluate("getComputedStyle(document.querySelector('h1')).color")).toBe(
      "rgb(0, 0, 128)",
    );
    await page.click("#more");
    await page.waitForSelector("#menu li:nth-child(2)");
    await page.click("a");
    expect(await page.textContent("#about")).toContain("Still here.");
    await page.goBack();
    await page.click("form button");
    await page.waitForURL(/thanks/);
  };

  test.each([
    { delivery: "meta", scripts: "self", scope: "page" },
    { delivery: "meta", scripts: "hash", scope: "site" },
    { delivery: "header", scripts: "self", scope: "site" },
    { delivery: "header", scripts: "hash", scope: "page" },
  ] as const)("$delivery, scripts by $scripts, a policy for the $scope", async (options) => {
    expect(await prove(files, { ...options, integrity: true }, use)).toEqual([]);
    expect(judged((await staticSite(files, options)).pages)).toEqual([]);
  });

  test("with hashes, no other file of the origin runs", async () => {
    const { pages } = await staticSite(files, { scripts: "hash" });
    const added = { path: "other.js", content: new TextEncoder().encode("document.title = 'ran'") };
    const served = await serve([...withPages(files, pages), added]);
    const found = await visit(browser, served.url, async (page) => {
      await page.evaluate(
        "new Promise((done) => { const s = document.createElement('script'); s.src = 'other.js'; s.onerror = done; document.body.append(s); })",
      );
      expect(await page.title()).toBe("Harbour café");
    });
    served.close();
    expect(found).toContain(`script-src-elem ${served.url}other.js`);
  });
});

describe("a site that Vite builds of React components", () => {
  let files: SiteFile[];
  beforeAll(async () => {
    const outDir = mkdtempSync(join(tmpdir(), "csp-vite-"));
    await build({
      root: join(sitesFolder, "vite-react"),
      base: "./",
      configFile: false,
      logLevel: "error",
      build: { outDir, emptyOutDir: true },
    });
    files = readSite(outDir);
    rmSync(outDir, { recursive: true });
  });

  const use = async (page: Page) => {
    expect(await page.evaluate("document.documentElement.dataset.theme")).toBe("light");
    await page.click("#count");
    await page.waitForSelector("#details");
    expect(await page.textContent("#details")).toBe("clicked 1 times");
    const colour = "getComputedStyle(document.getElementById('details')).color";
    // Not waitForFunction, which evaluates a string in the page: its policy may forbid that.
    await expect.poll(() => page.evaluate(colour)).toBe("rgb(120, 20, 20)");
  };

  test.each([
    { delivery: "meta", scripts: "self" },
    { delivery: "header", scripts: "hash" },
  ] as const)("$delivery, scripts by $scripts", async (options) => {
    expect(files.filter(({ path }) => path.endsWith(".js")).length).toBeGreaterThan(1);
    expect(await prove(files, options, use)).toEqual([]);
    const { pages } = await staticSite(files, options);
    expect(judged(pages)).toEqual([]);
  });
});

describe("an old site", () => {
  const files = readSite(join(sitesFolder, "old"));
  const use = async (page: Page) => {
    await page.click("#link");
    await page.click("#void");
    await page.fill("input[name=q]", "boat");
    await page.click("input[type=submit]");
  };

  test("is told where it has to change", async () => {
    const { problems } = await staticSite(files);
    const errors = problems.filter(({ severity }) => severity === "error");
    expect(errors.map(({ code, line, column }) => `${code} ${line}:${column}`)).toEqual([
      "event-handler 12:25",
      "event-handler 16:40",
      "event-handler 17:42",
      "event-handler 18:17",
      "style-attribute 13:5",
      "style-attribute 20:16",
      "style-attribute 20:48",
      "javascript-url 15:14",
      "javascript-url 16:14",
    ]);
    expect(errors[1]?.remedy).toBe(
      "in a script: element.addEventListener(\"click\", function (event) { say('clicked'); return false }); instead of returning false, event.preventDefault()",
    );
  });

  test("stays blocked as long as nobody asks for hashes of attributes", async () => {
    const { pages } = await staticSite(files);
    for (const { policy } of pages) expect(policy.text).not.toContain("unsafe");
    const found = await prove(files, { delivery: "header" }, use);
    expect(found).toContain("script-src-attr inline");
    expect(found).toContain("style-src-attr inline");
  });

  for (const delivery of ["meta", "header"] as const) {
    test(`works in ${delivery} with 'unsafe-hashes'`, async () => {
      const found = await prove(files, { delivery, unsafeHashes: true }, async (page) => {
        await use(page);
        expect(await page.textContent("#said")).toBe("loaded linked clicked checked:boat ");
        expect(await page.evaluate("getComputedStyle(document.querySelector('h1')).color")).toBe(
          "rgb(255, 0, 0)",
        );
      });
      expect(found).toEqual([]);
      expect(judged((await staticSite(files, { delivery, unsafeHashes: true })).pages)).toEqual([]);
    });
  }
});

test.each(["plain", "old"])("%s: a second run changes nothing", async (name) => {
  const files = readSite(join(sitesFolder, name));
  for (const options of [{}, { scripts: "hash" }, { integrity: true, scope: "site" }] as const) {
    const first = await staticSite(files, options);
    const second = await staticSite(withPages(files, first.pages), options);
    expect(second.pages.map(({ html }) => html)).toEqual(first.pages.map(({ html }) => html));
    expect(second.pages.some(({ changed }) => changed)).toBe(false);
    for (const { policy } of first.pages) {
      expect(parseMetaPolicy(policy.text).ignored).toEqual([]);
    }
  }
});
