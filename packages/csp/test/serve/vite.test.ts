/** Real builds and a real dev server of Vite, looked at in a real Chromium. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseMetaPolicy } from "@conclave/csp";
import {
  type ContentSecurityPolicyOptions,
  contentSecurityPolicy,
  type PagePolicy,
} from "@conclave/csp/vite";
import type { Browser, Page } from "playwright-core";
import { build, createServer, type InlineConfig } from "vite";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { inspectHtml } from "../../src/make/html.ts";
import { launchChromium } from "../chromium.ts";
import { listen } from "./frameworks.ts";

const site: Readonly<Record<string, string>> = {
  "index.html": `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Site</title>
    <style>h1 { color: rgb(1, 2, 3) }</style>
    <script>document.documentElement.dataset.inline = "ran"</script>
    <script src="%BASE_URL%public.js"></script>
  </head>
  <body style="margin: 3px">
    <h1>Site</h1>
    <img id="image" src="./image.svg" alt="">
    <script type="module" src="./main.js"></script>
  </body>
</html>
`,
  "more/index.html": `<!doctype html><title>More</title><p>More</p><script type=module src="./more.js"></script>`,
  "more/more.js": `import { mark } from "../shared.js"; mark("more");`,
  "main.js": `import "./main.css"; import { mark } from "./shared.js";
    mark("main"); import("./late.js").then(({ late }) => late());`,
  "shared.js": `export const mark = (what) => { document.documentElement.dataset[what] = "ran"; };`,
  "late.js": `import "./late.css"; import { mark } from "./shared.js"; export const late = () => mark("late");`,
  "main.css": "h1 { margin: 7px }",
  "late.css": "h1 { padding: 9px }",
  "image.svg": `<svg xmlns="http://www.w3.org/2000/svg" width="5" height="5"/>`,
  "public/public.js": `document.documentElement.dataset.public = "ran"`,
};

let browser: Browser;
let root: string;
beforeAll(async () => {
  browser = await launchChromium();
  root = await mkdtemp(join(tmpdir(), "csp-vite-"));
  for (const [file, text] of Object.entries(site)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), text);
  }
});
afterAll(async () => {
  await browser?.close();
  await rm(root, { recursive: true, force: true });
});

interface Built {
  readonly files: ReadonlyMap<string, string>;
  readonly policies: readonly PagePolicy[];
  readonly warnings: readonly string[];
}

async function buildSite(
  options: ContentSecurityPolicyOptions = {},
  config: InlineConfig = {},
): Promise<Built> {
  const outDir = await mkdtemp(join(root, "dist-"));
  const policies: PagePolicy[] = [];
  const warnings: string[] = [];
  await build({
    root,
    configFile: false,
    logLevel: "silent",
    ...config,
    plugins: [
      ...(config.plugins ?? []),
      contentSecurityPolicy({ ...options, onPolicy: (pages) => void policies.push(...pages) }),
    ],
    build: {
      outDir,
      emptyOutDir: true,
      rolldownOptions: {
        input: [join(root, "index.html"), join(root, "more/index.html")],
        onLog: (level, log) => {
          if (level === "warn") warnings.push(log.message);
        },
      },
    },
  });
  const names = await readdir(outDir, { recursive: true, withFileTypes: true });
  const files = new Map<string, string>();
  for (const entry of names.filter((found) => found.isFile())) {
    const path = join(entry.parentPath, entry.name);
    files.set(path.slice(outDir.length + 1), await readFile(path, "utf8"));
  }
  return { files, policies, warnings };
}

interface Seen {
  readonly violations: readonly string[];
  readonly complaints: readonly string[];
  readonly marks: Readonly<Record<string, string>>;
  readonly styles: readonly string[];
}

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript",
  css: "text/css",
  svg: "image/svg+xml",
};

/** Serves what was built, changed or not, under `prefix`, and looks at a page. */
async function visit(
  files: ReadonlyMap<string, string>,
  path: string,
  { prefix = "/", headers = {} }: { prefix?: string; headers?: Record<string, string> } = {},
): Promise<Seen> {
  const server = await listen((request, response) => {
    const { pathname } = new URL(request.url ?? "", "http://localhost");
    const name = pathname.slice(prefix.length);
    const file = name === "" || name.endsWith("/") ? `${name}index.html` : name;
    const text = pathname.startsWith(prefix) ? files.get(file) : undefined;
    const type = types[file.split(".").at(-1) ?? ""] ?? "text/plain";
    response.writeHead(text === undefined ? 404 : 200, { "Content-Type": type, ...headers });
    response.end(text);
  });
  const tab = await browser.newPage();
  const seen = await look(tab, `${server.origin}${prefix}${path}`);
  await tab.close();
  await server.close();
  return seen;
}

async function look(tab: Page, url: string): Promise<Seen> {
  const complaints: string[] = [];
  tab.on("console", (message) => {
    if (message.type() === "error" && !/favicon/.test(message.location().url)) {
      complaints.push(message.text());
    }
  });
  tab.on("pageerror", (error) => complaints.push(error.message));
  await tab.addInitScript(`
    globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      violations.push(event.effectiveDirective + " " + event.blockedURI);
    });`);
  await tab.goto(url, { waitUntil: "networkidle" });
  const seen = await tab.evaluate<Omit<Seen, "complaints">>(`({
    violations,
    marks: { ...document.documentElement.dataset },
    styles: [
      getComputedStyle(document.body).marginTop,
      ...["color", "marginTop", "paddingTop"].map((name) =>
        getComputedStyle(document.querySelector("h1") ?? document.body)[name]),
    ],
  })`);
  return { ...seen, complaints };
}

const whole = {
  violations: [],
  complaints: [],
  marks: { inline: "ran", public: "ran", main: "ran", late: "ran" },
  styles: ["3px", "rgb(1, 2, 3)", "7px", "9px"],
};

describe.each([
  ["", {}],
  [", strict", { strict: true }],
])("a build%s", (_, options) => {
  test.each([
    ["/", "/"],
    ["/under/it/", "/under/it/"],
    ["./", "/anywhere/"],
  ])("with base %s loads without a violation", async (base, prefix) => {
    const { files, warnings } = await buildSite(options, { base });
    expect(await visit(files, "", { prefix })).toEqual(whole);
    expect(await visit(files, "more/", { prefix })).toMatchObject({
      violations: [],
      complaints: [],
      marks: { more: "ran" },
    });
    expect(warnings).toEqual([]);
  });

  test("a byte changed is blocked, wherever it is", async () => {
    const { files } = await buildSite(options);
    const changed = (pattern: RegExp, from: string, to: string) => {
      const [name = "", text = ""] = [...files].find(([file]) => pattern.test(file)) ?? [];
      expect(text).toContain(from);
      return new Map([...files, [name, text.replace(from, to)]]);
    };
    const inline = await visit(changed(/^index\.html$/, '"ran"', '"Ran"'), "");
    expect(inline.violations).toEqual(["script-src-elem inline"]);
    expect(inline.marks).not.toHaveProperty("inline");

    const style = await visit(changed(/^index\.html$/, "#010203", "#010204"), "");
    expect(style.violations).toEqual(["style-src-elem inline"]);

    const attribute = await visit(changed(/^index\.html$/, "margin: 3px", "margin: 4px"), "");
    expect(attribute.violations).toEqual(["style-src-attr inline"]);

    const { scripts } = inspectHtml(files.get("index.html") ?? "");
    const main = new RegExp(`^${scripts.at(-1)?.src?.slice(1)}$`);
    for (const [pattern, mark] of [
      [main, "main"],
      [/^assets\/late.*\.js$/, "late"],
      [/^public\.js$/, "public"],
    ] as const) {
      const seen = await visit(changed(pattern, "", ";"), "");
      expect(seen.complaints.join()).toMatch(/integrity/);
      expect(seen.marks).not.toHaveProperty(mark);
    }

    const css = await visit(changed(/^assets\/index.*\.css$/, "7px", "8px"), "");
    expect(css.styles[2]).not.toBe("8px");
  });
});

describe("a build", () => {
  test("its policy is in the head before all that it decides about, and the same for onPolicy", async () => {
    const { files, policies } = await buildSite({ json: "csp.json" });
    expect(policies.map(({ file }) => file)).toEqual(["index.html", "more/index.html"]);
    expect(JSON.parse(files.get("csp.json") ?? "")).toEqual(policies);
    for (const { file, policy } of policies) {
      const page = inspectHtml(files.get(file) ?? "");
      const [meta] = page.metaPolicies;
      expect(meta?.inHead).toBe(true);
      expect(meta?.content).toBe(policy);
      expect(meta?.offset).toBeLessThan(page.scripts[0]?.offset ?? 0);
    }
    expect(files.get("index.html")).toMatch(/<meta charset="utf-8"><meta http-equiv="Content-/);
  });

  test("strict allows nothing for where it is", async () => {
    const { policies } = await buildSite({ strict: true });
    for (const { policy } of policies) {
      expect(policy).toMatch(/script-src 'strict-dynamic'( 'sha(256|384)-[^' ]+')+(;|$)/);
    }
  });

  test("says what only a header can carry, and gives it to those who send headers", async () => {
    const policy = { "frame-ancestors": ["'none'"], "report-uri": ["/reports"] };
    const { policies, warnings, files } = await buildSite({ policy });
    expect(warnings).toContainEqual(
      expect.stringContaining("only a header can carry frame-ancestors, report-uri"),
    );
    expect(policies[0]?.policy).toContain("frame-ancestors 'none'; report-uri /reports");
    expect(files.get("index.html")).not.toContain("frame-ancestors");
  });

  test("without a meta element the header alone does it", async () => {
    const { policies, files } = await buildSite({
      meta: false,
      policy: { "frame-ancestors": ["'none'"] },
    });
    expect(inspectHtml(files.get("index.html") ?? "").metaPolicies).toEqual([]);
    const headers = { "Content-Security-Policy": policies[0]?.policy ?? "" };
    expect(await visit(files, "", { headers })).toEqual(whole);
  });

  test("with Integrity-Policy every script has its integrity, imported ones too", async () => {
    const { files } = await buildSite();
    const headers = { "Integrity-Policy": "blocked-destinations=(script)" };
    expect(await visit(files, "", { headers })).toEqual(whole);
  });

  test("warns of what it cannot mend", async () => {
    const transformIndexHtml = (html: string) =>
      `${html}<p onclick="x()"><a href="javascript:x()">x</a><script src="https://a.test/x.js"></script>
       <script src="/missing.js"></script>`;
    const { warnings, policies } = await buildSite(
      {},
      { plugins: [{ name: "old", transformIndexHtml }] },
    );
    const all = warnings.join("\n");
    expect(all).toMatch(/<p onclick> takes 'unsafe-hashes'/);
    expect(all).toMatch(/<a href> is a javascript: URL/);
    expect(all).toMatch(/https:\/\/a\.test\/x\.js has no integrity/);
    expect(all).toMatch(/\/missing\.js has no integrity/);
    expect(policies[0]?.policy).toContain("'unsafe-hashes'");
  });

  test("a nonce that would be the same for everybody is refused", async () => {
    await expect(buildSite({}, { html: { cspNonce: "abc" } })).rejects.toThrow(/cspNonce/);
  });

  test("a wrong policy is refused before anything is built", () => {
    expect(() => contentSecurityPolicy({ policy: { "img-src": ["a;b"] } })).toThrow(/img-src/);
  });
});

describe.each([
  ["", {}],
  [", strict", { strict: true }],
])("the dev server%s", (_, options) => {
  test("has a nonce for each response, and updates modules without a violation", async () => {
    // As React's plugin does it.
    const preamble = {
      name: "preamble",
      transformIndexHtml: () => [
        {
          tag: "script",
          attrs: { type: "module" },
          children: `document.documentElement.dataset.preamble = "ran"`,
        },
      ],
    };
    const server = await createServer({
      root,
      configFile: false,
      logLevel: "silent",
      cacheDir: join(root, "cache"),
      plugins: [preamble, contentSecurityPolicy(options)],
      server: { port: 0, host: "127.0.0.1" },
    });
    await server.listen();
    const url = `${server.resolvedUrls?.local[0]}`;
    try {
      const policies = new Set<string | null>();
      for (let i = 0; i < 2; i++) {
        const response = await fetch(url);
        const policy = response.headers.get("Content-Security-Policy") ?? "";
        policies.add(policy);
        const [, nonce = "none"] = /script-src [^;]*'nonce-([^']+)'/.exec(policy) ?? [];
        const { scripts } = inspectHtml(await response.text());
        expect(scripts.length).toBeGreaterThan(3);
        for (const { attributes } of scripts) {
          expect(attributes).toContainEqual(
            expect.objectContaining({ name: "nonce", value: nonce }),
          );
        }
        expect(parseMetaPolicy(policy).ignored).toEqual([]);
      }
      expect(policies.size).toBe(2);

      const tab = await browser.newPage();
      expect(await look(tab, url)).toMatchObject({
        violations: [],
        complaints: [],
        marks: { ...whole.marks, preamble: "ran" },
        styles: whole.styles,
      });
      await writeFile(join(root, "main.css"), "h1 { margin: 11px }");
      const margin = () => tab.evaluate(`getComputedStyle(document.querySelector("h1")).marginTop`);
      await vi.waitFor(async () => expect(await margin()).toBe("11px"), { timeout: 20_000 });
      expect(await tab.evaluate("violations")).toEqual([]);
      await tab.close();
    } finally {
      await server.close();
      await writeFile(join(root, "main.css"), site["main.css"] ?? "");
    }
  });
});
