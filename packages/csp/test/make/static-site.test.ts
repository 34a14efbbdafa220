import { createHash } from "node:crypto";
import { CspError, hashSource, integrityOf } from "@conclave/csp";
import { type StaticSiteOptions, staticSite } from "@conclave/csp/make";
import { expect, test } from "vitest";

const encode = (text: string) => new TextEncoder().encode(text);

async function make(files: Readonly<Record<string, string>>, options: StaticSiteOptions = {}) {
  const list = Object.entries(files).map(([path, text]) => ({ path, content: encode(text) }));
  const site = await staticSite(list, options);
  const [page] = site.pages;
  if (!page) throw new Error("no page");
  const codes = site.problems.map(({ code }) => code);
  return { ...site, page, policy: page.policy.text, codes };
}

const listOf = (policy: string, name: string) =>
  policy
    .split("; ")
    .find((directive) => directive.startsWith(`${name} `))
    ?.slice(name.length + 1);

test("nothing is allowed that the page does not have", async () => {
  const { policy } = await make({ "index.html": "<p>Text" });
  expect(policy).toBe("default-src 'none'; base-uri 'none'; form-action 'none'");
});

test("inline blocks get hashes of what the parser hands on; data blocks none", async () => {
  const { policy } = await make({
    "index.html": `<script>a("ä &amp;")\r\n</script><script type="application/ld+json">{}</script>
      <script type="text/template"><b></script><style>p{}</style><script type=speculationrules>{}</script>`,
  });
  expect(listOf(policy, "script-src")).toBe(
    `${await hashSource('a("ä &amp;")\n')} ${await hashSource("{}")}`,
  );
  expect(listOf(policy, "style-src")).toBe(await hashSource("p{}"));
});

test("what others serve is named exactly for code, by origin for the rest, and marked", async () => {
  const { page, policy } = await make({
    "index.html": `<script src="//cdn.example/lib;1.js?v=2"></script><img src="https://img.example/a.png">
      <iframe src="https://video.example/embed"></iframe><img src="data:image/gif;base64,R0">`,
  });
  expect(listOf(policy, "script-src")).toBe("https://cdn.example/lib%3B1.js");
  expect(listOf(policy, "img-src")).toBe("https://img.example data:");
  expect(listOf(policy, "frame-src")).toBe("https://video.example");
  const third = page.sources.filter(({ concern }) => concern === "third-party");
  expect(third.map(({ expression, evidence }) => [expression, evidence[0]?.line])).toEqual([
    ["https://cdn.example/lib%3B1.js", 1],
    ["https://img.example", 1],
    ["https://video.example", 2],
  ]);
});

test("the site's own absolute URLs are 'self' where the base is known", async () => {
  const html = '<script src="https://own.example/app/a.js"></script>';
  const files = { "index.html": html, "a.js": "" };
  const known = await make(files, { base: "https://own.example/app/" });
  expect(listOf(known.policy, "script-src")).toBe("'self'");
  expect(known.codes).not.toContain("missing-file");
  const unknown = await make(files);
  expect(listOf(unknown.policy, "script-src")).toBe("https://own.example/app/a.js");
});

test("code in URLs is reported and not allowed", async () => {
  const { policy, problems } = await make(
    { "index.html": '<p>\n<script src="data:text/javascript,a()"></script>' },
    { unsafeHashes: true },
  );
  expect(policy).not.toContain("data:");
  expect(problems).toContainEqual(
    expect.objectContaining({ code: "unsafe-source", severity: "error", line: 2, column: 9 }),
  );
});

test("integrity is written, kept, and mended where the file has changed", async () => {
  const integrity = await integrityOf("run()");
  const files = { "a.js": "run()", "a.css": "p{}" };
  const html = '<link rel="stylesheet" href="a.css"><script src=a.js></script>';
  const plain = await make({ "index.html": html, ...files }, { delivery: "header" });
  expect(plain.page.changed).toBe(false);
  const first = await make(
    { "index.html": html, ...files },
    { delivery: "header", integrity: true },
  );
  expect(first.page.html).toBe(
    `<link integrity="${await integrityOf("p{}")}" rel="stylesheet" href="a.css"><script integrity="${integrity}" src=a.js></script>`,
  );
  const stale = first.page.html.replace(integrity, await integrityOf("gone()"));
  const second = await make(
    { "index.html": stale, ...files },
    { delivery: "header", integrity: true },
  );
  expect(second.codes).toContain("integrity-mismatch");
  expect(second.page.html).toBe(first.page.html);
  // A weaker one beside a wrong stronger one does not count.
  const sha256 = `sha256-${createHash("sha256").update("run()").digest("base64")}`;
  const mixed = html.replace("src=a.js", `src=a.js integrity="${sha256} sha384-AAAA"`);
  expect((await make({ "index.html": mixed, ...files })).codes).toContain("integrity-mismatch");
});

test("with hashes, modules are listed in the page's own import map", async () => {
  const map = '{"imports":{"b":"./js/b.js"}}';
  const { page, policy } = await make(
    {
      "sub/index.html": `<script type=importmap>${map}</script><script type=module src=../js/a.js></script>`,
      "js/a.js": 'import "b"',
      "js/b.js": "b()",
    },
    { scripts: "hash", delivery: "header" },
  );
  const a = await integrityOf('import "b"');
  const b = await integrityOf("b()");
  const merged = `{"imports":{"b":"./js/b.js"},"integrity":{"../js/a.js":"${a}","../js/b.js":"${b}"}}`;
  expect(page.html).toContain(`<script type=importmap>${merged}</script>`);
  expect(listOf(policy, "script-src")).toBe(`'${a}' ${await hashSource(merged)} '${b}'`);
});

test("the meta element comes first in head, but for the encoding", async () => {
  const at = async (html: string) => {
    const { page } = await make({ "index.html": html });
    return page.html.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, "|");
  };
  expect(await at('<!doctype html><html><head><meta charset="utf-8"><title>')).toBe(
    '<!doctype html><html><head><meta charset="utf-8">|<title>',
  );
  expect(await at("<html><head lang=en> <title></title><meta charset=utf-8>")).toBe(
    "<html><head lang=en>| <title></title><meta charset=utf-8>",
  );
  expect(await at("<!-- first --><!doctype html><p>")).toBe("<!-- first --><!doctype html>|<p>");
  expect(await at("<html lang=en><body>")).toBe("<html lang=en>|<body>");
  expect(await at("text")).toBe("|text");
  expect(await at("\uFEFFtext")).toBe("\uFEFF|text");
});

test("other policies, nonces and encodings are spoken of", async () => {
  const own = await make({
    "index.html": `<meta http-equiv=content-security-policy content="img-src *"><script nonce=abc>a()</script><script src=none.js></script>`,
  });
  expect(own.codes).toEqual(
    expect.arrayContaining(["other-policy", "static-nonce", "missing-file"]),
  );
  const latin = await staticSite([{ path: "a.html", content: new Uint8Array([60, 0xe4]) }]);
  expect(latin.pages).toEqual([]);
  expect(latin.problems[0]?.code).toBe("not-utf-8");
});

test("what a meta element cannot have is said, and left out", async () => {
  const directives = { "frame-ancestors": ["'self'"], sandbox: ["allow-scripts"] } as const;
  const meta = await make({ "index.html": "" }, { directives });
  expect(meta.policy).not.toMatch(/frame-ancestors|sandbox/);
  expect(meta.problems.filter(({ severity }) => severity === "warning")).toHaveLength(2);
  const header = await make({ "index.html": "" }, { directives, delivery: "header" });
  expect(listOf(header.policy, "frame-ancestors")).toBe("'self'");
  expect(header.codes).toEqual([]);
});

test("directives come in place of what was found; wrong ones are refused", async () => {
  const html = '<img src="https://img.example/a.png">';
  const { policy } = await make({ "index.html": html }, { directives: { "img-src": ["'self'"] } });
  expect(listOf(policy, "img-src")).toBe("'self'");
  await expect(
    make({ "index.html": html }, { directives: { "img-src": ["'slef'"] } }),
  ).rejects.toThrow(CspError);
});

test("a run on its own result puts in nothing twice", async () => {
  const files = {
    "js/a.js": "a()",
    "a.css": '@import "b.css";',
    "b.css": "p { background: url(b.png) }",
  };
  const html =
    "<head><meta charset=utf-8><link rel=stylesheet href=a.css><script type=module src=js/a.js></script>";
  const options = { scripts: "hash" } as const;
  const first = await make({ "index.html": html, ...files }, options);
  const second = await make({ "index.html": first.page.html, ...files }, options);
  expect(second.page.html).toBe(first.page.html);
  expect(second.policy).toBe(first.policy);
  expect(second.codes).not.toContain("integrity-mismatch");
  expect(first.page.html.match(/http-equiv/g)).toHaveLength(1);
  expect(first.page.html.match(/importmap/g)).toHaveLength(1);
  // An own meta element comes before the encoding where the author has put that later.
  const moved = first.page.html.replace("<meta charset=utf-8>", "");
  const again = await make(
    { "index.html": moved.replace("<link", "<meta charset=utf-8><link"), ...files },
    options,
  );
  expect(again.page.html.match(/<meta charset=utf-8><meta http-equiv/g)).toHaveLength(1);
  // What another run had put in goes when it is not asked for any more.
  const plain = await make({ "index.html": first.page.html, ...files });
  expect(plain.page.html).not.toContain("importmap");
  expect(listOf(plain.policy, "script-src")).toBe("'self'");
});

test("style sheets of the site are read, what they import as well", async () => {
  const { page, policy } = await make({
    "index.html": "<link rel=stylesheet href=css/a.css>",
    "css/a.css": '@import "b.css"; p { fill: url(#here) }',
    "css/b.css": "@font-face { src: url(https://fonts.example/a.woff2) }",
  });
  expect(listOf(policy, "font-src")).toBe("https://fonts.example");
  expect(policy).not.toContain("img-src");
  const font = page.sources.find(({ directive }) => directive === "font-src");
  expect(font?.evidence).toEqual([
    {
      page: "index.html",
      what: "https://fonts.example/a.woff2",
      line: 1,
      column: 1,
      insertedBy: "parser",
      times: 1,
    },
  ]);
});

test("integrity that stands is kept as it is, and others' counts for theirs", async () => {
  const sha512 = await integrityOf("run()", "sha512");
  const html = `<script src=a.js integrity="${sha512}"></script>
    <script src=https://cdn.example/b.js integrity="sha384-${"A".repeat(64)}"></script>`;
  const files = { "index.html": html, "a.js": "run()" };
  const { page, policy, codes } = await make(files, { delivery: "header", scripts: "hash" });
  expect(codes).not.toContain("integrity-mismatch");
  expect(page.html).toBe(html);
  expect(listOf(policy, "script-src")).toBe(`'${sha512}' 'sha384-${"A".repeat(64)}'`);
});

test("prefetched pages, javascript: frames and paths with ampersands ask for no source of their own", async () => {
  const { page, policy } = await make({
    "index.html":
      '<link rel=prefetch href="https://next.example/"><iframe src="javascript:x()"></iframe><script src="https://cdn.example/a&b.js"></script>',
  });
  expect(policy).not.toMatch(/next\.example|frame-src/);
  expect(policy).toContain("https://cdn.example/a&b.js");
  expect(page.html).toContain("https://cdn.example/a&amp;b.js;");
});

test("javascript: URLs are hashed as a browser has parsed them", async () => {
  const html = '<a href=" java\nscript:say(&quot;é&quot;)">x</a>';
  const { policy } = await make({ "index.html": html }, { unsafeHashes: true });
  expect(listOf(policy, "script-src")).toBe(
    `${await hashSource('javascript:say("%C3%A9")')} 'unsafe-hashes'`,
  );
});

test("nothing in an import map ends its element", async () => {
  const map = '{"imports":{"</script>":"./a.js"}}'.replace("</", "<\\/");
  const { page } = await make(
    {
      "index.html": `<script type=importmap>${map}</script><script type=module src=a.js></script>`,
      "a.js": "",
    },
    { scripts: "hash", delivery: "header" },
  );
  expect(page.html).toContain('{"imports":{"\\u003C/script>":"./a.js"}');
});
