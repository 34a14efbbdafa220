/** Sites that run, visited by a Chromium; the policy that comes out is enforced by another visit. */
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { CspError, createNonce, type PolicyDirectives } from "@conclave/csp";
import { type CrawledSite, crawlSite, withNonce } from "@conclave/csp/crawl";
import { judgePolicies } from "@conclave/csp/judge";
import type { SiteFile } from "@conclave/csp/make";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchChromium } from "../chromium.ts";
import { listen, readSite, type Served, serve, sitesFolder, visit } from "./site.ts";
import { streamingSite } from "./streaming-site.ts";

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(() => browser?.close());

const listOf = ({ policy }: CrawledSite, name: string) =>
  policy.directiveSet
    .find((directive) => directive.name === name)
    ?.value.map(({ text }) => text)
    .join(" ");

const severe = ({ policy }: CrawledSite) =>
  judgePolicies([withNonce(policy, createNonce())]).filter(({ severity }) => severity === "high");

describe("a site with statistics of a third party", () => {
  let shop: Served;
  let statistics: Served;
  let files: SiteFile[];
  let crawled: CrawledSite;

  const buy = async (page: Page) => {
    if ((await page.locator("#buy").count()) > 0) await page.click("#buy");
  };

  beforeAll(async () => {
    statistics = await serve(readSite(join(sitesFolder, "third-party")), undefined, {
      "Access-Control-Allow-Origin": "*",
    });
    files = readSite(join(sitesFolder, "analytics")).map(({ path, content }) => {
      const text = new TextDecoder().decode(content).replaceAll("%ANALYTICS%", statistics.url);
      return { path, content: new TextEncoder().encode(text) };
    });
    shop = await serve(files);
    crawled = await crawlSite(shop.url, { browser, interact: buy });
  });
  afterAll(() => {
    shop?.close();
    statistics?.close();
  });

  test("is seen whole: pages, scripts of scripts, beacons, forms", () => {
    const { origin } = new URL(statistics.url);
    expect(crawled.pages).toEqual([shop.url, `${shop.url}basket.html`]);
    expect(listOf(crawled, "script-src")).toMatch(
      new RegExp(`^'self' ${origin}/stats.js ${origin}/session.js 'sha256-.{44}'$`),
    );
    expect(listOf(crawled, "connect-src")).toBe(origin);
    // And the icon that browsers ask every site for.
    expect(listOf(crawled, "img-src")).toBe(`'self' ${origin}`);
    expect(listOf(crawled, "style-src")).toBe("'self'");
    expect(listOf(crawled, "form-action")).toBe("'self'");
    expect(listOf(crawled, "default-src")).toBe("'none'");
  });

  test("each source tells why, and the third party's are marked", () => {
    const { origin } = new URL(statistics.url);
    const session = crawled.sources.find(({ expression }) => expression.endsWith("/session.js"));
    expect(session).toEqual({
      directive: "script-src",
      expression: `${origin}/session.js`,
      concern: "third-party",
      evidence: [
        expect.objectContaining({
          page: shop.url,
          what: `${origin}/session.js`,
          insertedBy: "script",
          times: 1,
        }),
        expect.objectContaining({ page: `${shop.url}basket.html` }),
      ],
    });
    const stats = crawled.sources.find(({ expression }) => expression.endsWith("/stats.js"));
    expect(stats?.evidence[0]?.insertedBy).toBe("parser");
    for (const { expression, concern } of crawled.sources) {
      expect(concern).toBe(expression.startsWith("'") ? "none" : "third-party");
    }
  });

  test("is proved, and judged without a severe finding", async () => {
    expect(crawled.proof.before).toBeGreaterThan(8);
    expect(crawled.proof.violations).toEqual([]);
    expect(crawled.proof.newErrors).toEqual([]);
    expect(crawled.problems).toEqual([]);
    expect(severe(crawled)).toEqual([]);
    const guarded = await serve(files, () => crawled.policy.text);
    const found = await visit(browser, guarded.url, async (page) => {
      await page.click("#buy");
      expect(await page.textContent("#buy")).toBe("Bought");
      await page.waitForSelector("html[data-session=recorded]", { state: "attached" });
      await page.click("a");
      await page.click("form button");
      await page.waitForURL(/thanks/);
    });
    guarded.close();
    expect(found).toEqual([]);
  });

  test("without the third party the proof says what would be missing", async () => {
    const { proof, policy } = await crawlSite(shop.url, {
      browser,
      maxPages: 1,
      accept: ({ concern }) => concern === "none",
    });
    expect(policy.text).not.toContain(statistics.url.slice(0, -1));
    expect(proof.violations).toEqual([
      {
        page: shop.url,
        directive: "script-src-elem",
        blocked: `${statistics.url}stats.js`,
        sample: "",
      },
    ]);
  });
});

describe("a site that is rendered on the server, in pieces", () => {
  let server: Server;
  let url: string;
  beforeAll(async () => {
    server = streamingSite({});
    url = await listen(server);
  });
  afterAll(() => server?.close());

  const use = async (page: Page) => {
    await page.waitForSelector("#slow");
    await page.click("#more");
    await expect.poll(() => page.title()).toBe("More news");
  };

  test("keeps its nonces, and trusts what its scripts load", async () => {
    const crawled = await crawlSite(url, { browser, interact: use });
    expect(crawled.usesNonces).toBe(true);
    expect(listOf(crawled, "script-src")).toBe("'nonce-NONCE' 'strict-dynamic'");
    expect(crawled.proof.violations).toEqual([]);
    expect(crawled.problems).toEqual([]);
    expect(severe(crawled)).toEqual([]);

    const policy = (nonce: string): PolicyDirectives =>
      Object.fromEntries(
        withNonce(crawled.policy, nonce).directiveSet.map(({ name, value }) => [
          name,
          value.map(({ text }) => text),
        ]),
      );
    const guarded = streamingSite({ policy });
    const found = await visit(browser, await listen(guarded), use);
    guarded.close();
    expect(found).toEqual([]);
  });
});

/** A page, and more by path. */
async function crawlPages(
  pages: Readonly<Record<string, string | (() => string)>>,
  options: Omit<Parameters<typeof crawlSite>[1], "browser"> = {},
): Promise<CrawledSite> {
  const server = createServer((request, response) => {
    const page = pages[request.url ?? ""];
    const body = typeof page === "function" ? page() : page;
    if (body?.startsWith("http")) response.writeHead(302, { Location: body }).end();
    else if (body === undefined) response.writeHead(404).end();
    else {
      const isScript = request.url?.endsWith(".js");
      response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
      response.end(body);
    }
  });
  try {
    return await crawlSite(await listen(server), { browser, ...options });
  } finally {
    server.close();
  }
}

test("eval, handlers and style attributes are shown, and not let in without a word", async () => {
  const page = `<body><p style="color: red" onclick="f()">x</p><script>try { eval("1") } catch {}
    document.body.insertAdjacentHTML("beforeend", "<i style='top: 0'>")</script>`;
  const crawled = await crawlPages({ "/": page });
  const unsafe = crawled.sources.filter(({ concern }) => concern === "unsafe");
  expect(
    unsafe.map(({ directive, expression }) => `${directive} ${expression.slice(0, 8)}`),
  ).toEqual(
    expect.arrayContaining([
      "script-src 'unsafe-",
      "script-src-attr 'unsafe-",
      "script-src-attr 'sha256-",
      "style-src-attr 'unsafe-",
      "style-src-attr 'sha256-",
    ]),
  );
  expect(crawled.policy.text).not.toContain("unsafe");
  expect(crawled.proof.violations.length).toBeGreaterThan(3);
  const accepted = await crawlPages({ "/": page }, { accept: () => true });
  expect(accepted.proof.violations).toEqual([]);
});

test("whatever a page does is seen, and allowed when everything is accepted", async () => {
  const framed = createServer((_request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end("<p>Framed");
  });
  const other = await listen(framed);
  const page = `<!doctype html><base href="/sub/"><link rel="icon" href="data:,">
    <style>@font-face { font-family: own; src: url(/own.woff2) } p { font-family: own }</style>
    <p>Text<iframe src="${other}"></iframe><object data="/o.svg"></object><video src="/v.mp4"></video>
    <form action="${other}go"></form><form method="post"><input name="action"></form><div id="place"></div>
    <script>
      new Worker("/w.js");
      new Worker(URL.createObjectURL(new Blob(["1"])));
      new WebSocket("ws://" + location.host + "/ws");
      WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])).catch(() => {});
      setTimeout("1");
      place.innerHTML = "<b style='color: red' onclick='x()'>";
      for (const [name, text] of [["style", "i {}"], ["script", "window.inserted = 1"]]) {
        document.head.append(Object.assign(document.createElement(name), { textContent: text }));
      }
      document.write("<script src=/written.js><\\/script>");
      fetch("${other}x").catch(() => {});
      const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "/late.css" });
      document.head.append(link);
    </script><script type="module">import("/module.js")</script>`;
  const pages = { "/": page, "/w.js": "1", "/written.js": "1", "/module.js": "export {}" };
  const crawled = await crawlPages(pages, { accept: () => true });
  framed.close();
  const { origin } = new URL(other);
  expect(listOf(crawled, "script-src")).toMatch(
    /^'self'( 'sha256-.{44}'){3} 'wasm-unsafe-eval' 'unsafe-eval'$/,
  );
  expect(listOf(crawled, "style-src")).toMatch(/^'self'( 'sha256-.{44}'){2}$/);
  expect(listOf(crawled, "worker-src")).toBe("'self' blob:");
  expect(listOf(crawled, "connect-src")).toBe(`'self' ${origin}`);
  expect(listOf(crawled, "frame-src")).toContain(origin);
  expect(listOf(crawled, "form-action")).toBe(`'self' ${origin}`);
  expect(listOf(crawled, "font-src")).toBe("'self'");
  expect(listOf(crawled, "media-src")).toBe("'self'");
  expect(listOf(crawled, "object-src")).toBe("'self'");
  expect(listOf(crawled, "base-uri")).toBe("'self'");
  expect(crawled.proof.violations).toEqual([]);
  expect(crawled.proof.newErrors).toEqual([]);
  const by = (name: string, expression: string) => {
    const source = crawled.sources.find(
      (each) => each.directive === name && each.expression === expression,
    );
    return source?.evidence[0]?.insertedBy;
  };
  expect(by("frame-src", origin)).toBe("parser");
  expect(by("script-src", "'unsafe-eval'")).toBe("script");
  expect(by("font-src", "'self'")).toBeUndefined();
});

test("a redirect's end gets a source as well", async () => {
  const image = await serve([{ path: "a.svg", content: new TextEncoder().encode("<svg/>") }]);
  const crawled = await crawlPages({ "/": "<img src=/go>", "/go": `${image.url}a.svg` });
  image.close();
  expect(listOf(crawled, "img-src")).toBe(`'self' ${new URL(image.url).origin}`);
  expect(crawled.proof.violations).toEqual([]);
});

test("a nonce that comes twice counts for nothing", async () => {
  const crawled = await crawlPages({ "/": '<script nonce="constant">1</script>' });
  expect(crawled.usesNonces).toBe(false);
  expect(crawled.problems.map(({ code }) => code)).toEqual(["static-nonce"]);
  expect(listOf(crawled, "script-src")).toMatch(/^'sha256-.{44}'$/);
});

test("an inline script that changes has no hash that lasts", async () => {
  const page = () => `<script>const now = ${Math.random()}</script>`;
  const crawled = await crawlPages({ "/": page });
  expect(crawled.problems.map(({ code }) => code)).toContain("varying-script");
  expect(crawled.proof.violations).not.toEqual([]);
});

test("pages that don't load are told, and the first has to", async () => {
  const crawled = await crawlPages({ "/": "<a href=/gone>x</a><a href=/a.js>y</a>", "/a.js": "1" });
  expect(crawled.problems.map(({ code, page }) => [code, new URL(page).pathname])).toEqual([
    ["not-loaded", "/gone"],
  ]);
  await expect(crawlPages({})).rejects.toThrow(CspError);
  await expect(crawlSite("ftp://a.example", { browser })).rejects.toThrow(CspError);
});
