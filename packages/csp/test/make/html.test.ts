import { CspError, hashSource } from "@conclave/csp";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AttributeUse, type HtmlInventory, inspectHtml } from "../../src/make/html.ts";
import { launchChromium } from "../chromium.ts";

const uses = (list: readonly AttributeUse[]) =>
  list.map(({ element, attribute }) => [element.name, attribute.name, attribute.value]);

const contexts = (list: readonly { readonly context: string }[]) => list.map((e) => e.context);

describe("scripts", () => {
  test.each([
    ["", "classic"],
    [' type=""', "classic"],
    [' type=" Text/JavaScript "', "classic"],
    [' type="text/javascript; charset=utf-8"', "data"],
    [' language="JavaScript1.5"', "classic"],
    [' language="VBScript"', "data"],
    [' type="module"', "module"],
    [' type="importmap"', "importmap"],
    [' type="speculationrules"', "speculationrules"],
    [' type="application/ld+json"', "data"],
  ])("<script%s> is %s", (attributes, type) => {
    expect(inspectHtml(`<script${attributes}>x</script>`).scripts[0]?.type).toBe(type);
  });

  test("have their text as a hash sees it, and their source", () => {
    const { scripts } = inspectHtml(
      "<script>a\r\n&amp;<!--</script><script src=/a.js>b</script><script src></script>",
    );
    expect(scripts.map(({ text, src }) => [text, src])).toEqual([
      ["a\n&amp;<!--", null],
      ["b", "/a.js"],
      ["", ""],
    ]);
  });

  test("in SVG decode character references and have their source in href", () => {
    const { scripts } = inspectHtml(
      "<svg><script>a &amp;&amp; <![CDATA[b]]></script><script href=/a.js /><script xlink:href=/b.js /></svg>",
    );
    expect(scripts.map(({ text, src }) => [text, src])).toEqual([
      ["a && b", null],
      ["", "/a.js"],
      ["", "/b.js"],
    ]);
  });

  test("in a template, a shadow root, a srcdoc are told apart; in a noscript are none", () => {
    const { scripts } = inspectHtml(`<script>1</script>
      <template><script>2</script><div><template><script>3</script></template></div></template>
      <div><template shadowrootmode=open><script>4</script></template></div>
      <noscript><script>none</script></noscript>
      <iframe srcdoc="<script>5 &amp;&amp; '&amp;amp;'</script>"></iframe>
      <script>6</script>`);
    expect(scripts.map(({ text }) => text)).toEqual(["1", "2", "3", "4", "5 && '&amp;'", "6"]);
    expect(contexts(scripts)).toEqual([
      "document",
      "template",
      "template",
      "document",
      "srcdoc",
      "document",
    ]);
  });

  test("in comments, text and other elements' text are none", () => {
    const html = `<!-- <script>1</script> --><title><script>2</script></title>
      <textarea><script>3</script></textarea><style><script>4</script></style>
      <p title="<script>5</script>">&lt;script>6&lt;/script></p><math><script>7</script></math>`;
    expect(inspectHtml(html).scripts).toEqual([]);
  });
});

describe("styles", () => {
  test("are those of any type, for readers without scripts, too", () => {
    const { styles } = inspectHtml(`<style>1</style><style type="text/CSS">2</style>
      <style type="text/plain">2b</style><noscript>\r\n<style>3</style></noscript>
      <body><noscript><style>4</style></noscript><svg><style>5 &gt; 6</style></svg>`);
    expect(styles.map(({ text }) => text)).toEqual(["1", "2", "2b", "3", "4", "5 > 6"]);
    expect(contexts(styles)).toEqual([
      "document",
      "document",
      "document",
      "noscript",
      "noscript",
      "document",
    ]);
  });
});

describe("attributes", () => {
  test("event handlers are the names that browsers know", () => {
    const { eventHandlers } = inspectHtml(
      `<body ONLOAD="a(&quot;b&quot;)"><p onclick=b once=c on-click=d onfoo=e @click=f>
       <svg onbegin=g></svg><noscript><p onclick=h></noscript>`,
    );
    expect(uses(eventHandlers)).toEqual([
      ["body", "onload", 'a("b")'],
      ["p", "onclick", "b"],
      ["svg", "onbegin", "g"],
    ]);
  });

  test("styles", () => {
    const { styleAttributes } = inspectHtml(
      '<p style="color: &quot;red&quot;"><svg style=b></svg><noscript><p style=c></noscript>',
    );
    expect(uses(styleAttributes)).toEqual([
      ["p", "style", 'color: "red"'],
      ["svg", "style", "b"],
      ["p", "style", "c"],
    ]);
  });

  test("javascript: URLs, however they are written, where they would run", () => {
    const { javascriptUrls } = inspectHtml(
      `<a href=" \u0001Java&Tab;script:a">1</a><a href="jav\nascript:b">2</a><a href="/javascript:">3</a>
       <a href="java script:c">4</a><img src="javascript:d"><iframe src="javascript:e"></iframe>
       <form action="javascript:f"><button formaction="javascript:g"></button></form>
       <svg><a xlink:href="javascript:h"></a></svg><a href="javascript">5</a>`,
    );
    expect(
      uses(javascriptUrls).map(([element, name, value]) => `${element} ${name} ${value?.at(-1)}`),
    ).toEqual([
      "a href a",
      "a href b",
      "iframe src e",
      "form action f",
      "button formaction g",
      "a xlink:href h",
    ]);
  });
});

test("policies of the page's own, in the head and elsewhere", () => {
  const { metaPolicies } = inspectHtml(
    `<meta http-equiv=Content-Security-Policy content="img-src *"><meta http-equiv=refresh content=1>
     <body><meta http-equiv=content-security-policy content="img-src a">
     <meta http-equiv=content-security-policy>`,
  );
  expect(metaPolicies.map(({ content, inHead }) => [content, inHead])).toEqual([
    ["img-src *", true],
    ["img-src a", false],
  ]);
});

test("bases", () => {
  expect(uses(inspectHtml("<base target=_top><base href=/a/><base href=/b/>").bases)).toEqual([
    ["base", "href", "/a/"],
    ["base", "href", "/b/"],
  ]);
});

test("links with their relations", () => {
  const { links } = inspectHtml('<link rel=" Preload\nSTYLESHEET " href=a><link>');
  expect(links.map(({ rel, href }) => [rel, href])).toEqual([
    [["preload", "stylesheet"], "a"],
    [[], ""],
  ]);
});

test.each([
  ["<script src=a></script>", ["script-src-elem a"]],
  ["<script type=application/json src=a></script>", []],
  ["<link rel=stylesheet href=a>", ["style-src-elem a"]],
  ["<link rel='alternate stylesheet' href=a>", ["style-src-elem a"]],
  ["<link rel=modulepreload href=a>", ["script-src-elem a"]],
  ["<link rel=preload as=font href=a>", ["font-src a"]],
  ["<link rel=preload as=constructor href=a><link rel=constructor href=a>", []],
  [
    "<link rel=preload as=image href=a imagesrcset='b 1x, c 2x'>",
    ["img-src a", "img-src b", "img-src c"],
  ],
  ["<link rel=manifest href=a><link rel=icon href=b>", ["manifest-src a", "img-src b"]],
  ["<link rel=canonical href=a>", []],
  [
    "<img src=a srcset='b, c 2x,d 3x(,),,e'>",
    ["img-src a", "img-src b", "img-src c", "img-src d", "img-src e"],
  ],
  [
    "<img srcset='data:image/png,x 1x, y, , z,'>",
    ["img-src data:image/png,x", "img-src y", "img-src z"],
  ],
  ["<picture><source srcset=a src=no></picture>", ["img-src a"]],
  [
    "<video src=a poster=b><source src=c srcset=no><track src=d></video>",
    ["media-src a", "img-src b", "media-src c", "media-src d"],
  ],
  [
    "<iframe src=a></iframe><object data=b></object><embed src=c>",
    ["frame-src a", "object-src b", "object-src c"],
  ],
  [
    "<form action=a><button formaction=b></button><input type=IMAGE src=c formaction=d></form>",
    ["form-action a", "form-action b", "img-src c", "form-action d"],
  ],
  ["<input src=a><a href=b></a>", []],
  [
    "<svg><image href=a /><use xlink:href=b /><feImage href=c /></svg>",
    ["img-src a", "img-src b", "img-src c"],
  ],
  [
    "<body background=a><table background=b><td background=c>",
    ["img-src a", "img-src b", "img-src c"],
  ],
  [
    "<noscript><img src=a></noscript><iframe srcdoc='<img src=b>'></iframe>",
    ["img-src a", "img-src b"],
  ],
])("%s loads %j", (html, expected) => {
  const { resources } = inspectHtml(html);
  expect(resources.map(({ directive, url }) => `${directive} ${url}`)).toEqual(expected);
});

describe("places", () => {
  const html = `<!doctype html>\r\n<p>😀</p>\r\n<SCRIPT\r\n  src = "a.js"  Integrity=x></SCRIPT>
<noscript>\r\n<style id=a>b</style></noscript><image src=c><iframe srcdoc="<script>1</script>"></iframe>`;
  const { scripts, styles, resources } = inspectHtml(html);
  const slice = ({ offset, length }: { offset: number; length: number }) =>
    html.slice(offset, offset + length);

  test("are in the text as it is", () => {
    const [external, srcdoc] = scripts;
    expect(external && slice(external)).toBe('<SCRIPT\r\n  src = "a.js"  Integrity=x>');
    expect(external?.attributes.map(slice)).toEqual(['src = "a.js"', "Integrity=x"]);
    expect(styles.map(slice)).toEqual(["<style id=a>"]);
    expect(styles[0]?.attributes.map(slice)).toEqual(["id=a"]);
    expect(srcdoc && slice(srcdoc)).toBe('srcdoc="<script>1</script>"');
  });

  test("an attribute inserted is the one that counts", () => {
    const insert = (at: number | null | undefined) =>
      `${html.slice(0, at ?? 0)} integrity="y"${html.slice(at ?? 0)}`;
    const after = inspectHtml(insert(scripts[0]?.insertAt)).scripts[0];
    expect(after?.attributes.map(({ name, value }) => `${name}=${value}`)).toEqual([
      "integrity=y",
      "src=a.js",
    ]);
    const image = resources.find(({ url }) => url === "c");
    expect(insert(image?.element.insertAt)).toContain('<image integrity="y" src=c>');
    expect(scripts[1]?.insertAt).toBeNull();
  });

  test("an attribute that a second tag brings has its element's", () => {
    const { eventHandlers } = inspectHtml("<body class=a><p><body onload=b>");
    expect(eventHandlers[0]?.attribute).toEqual({
      name: "onload",
      value: "b",
      offset: 0,
      length: 14,
    });
  });
});

test("places count a byte order mark", () => {
  const page = "\uFEFF<noscript><p style=a></noscript><script>1</script>";
  const { scripts, styleAttributes } = inspectHtml(page);
  expect(scripts[0]?.offset).toBe(page.indexOf("<script"));
  expect(styleAttributes[0]?.attribute.offset).toBe(page.indexOf("style"));
});

test.each([
  ["<!doctype html><html><head>|<title>a</title><script></script>"],
  ["<!doctype html><html><head><!-- a -->\n<meta charset=utf-8>|<script></script>"],
  ["<html><head><meta http-equiv=Content-Type content='text/html; charset=utf-8'/>|<title>"],
  ["<!doctype html><html><head>|<script></script><meta charset=utf-8>"],
  ["<!doctype html><html lang=en>|<title>a</title>"],
  ["<!doctype html>|<meta name=a><meta charset=utf-8>"],
  ["<!doctype html><!-- a --><meta charset=utf-8>|<script></script>"],
  ["<head><meta http-equiv=content-security-policy content=a><meta charset=utf-8>|<title>"],
  ["<head><script type=importmap data-conclave-csp>{}</script><meta charset=utf-8>|<title>"],
  ["|<p>a"],
  ["\uFEFF|<p>a"],
  ["\uFEFF<!doctype html><html><head><meta charset=utf-8>|<title>"],
  ["<html>|<body onload=a>"],
])("a policy belongs at the bar in %s", (html) => {
  const bar = html.indexOf("|");
  const page = html.replace("|", "");
  expect(inspectHtml(page).headAt).toBe(bar);
  const policy = '<meta http-equiv="Content-Security-Policy" content="img-src *">';
  const { metaPolicies } = inspectHtml(html.replace("|", policy));
  expect(metaPolicies.at(-1)).toMatchObject({ offset: bar, inHead: true });
});

describe("hostile pages", () => {
  test("nest elements as deeply as they like", () => {
    const html = `${"<div>".repeat(5000)}<script>1</script>`;
    expect(inspectHtml(html).scripts.length).toBe(1);
  });

  test("nest documents no deeper than eight", () => {
    const nested = (depth: number): string => {
      if (depth === 0) return "<script>1</script>";
      const inner = nested(depth - 1)
        .replaceAll("&", "&amp;")
        .replaceAll('"', "&quot;");
      return `<iframe srcdoc="${inner}"></iframe>`;
    };
    expect(inspectHtml(nested(8)).scripts[0]?.text).toBe("1");
    expect(() => inspectHtml(nested(9))).toThrow(CspError);
  });
});

describe("in Chromium", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser?.close());

  const page = `<!doctype html><title>Page</title>
<script>log(1)\r\n</script><script type=module>log("2 &amp;")</script><script>log(3) <!-- </script>
<style>p { color: red }\r\n</style><style type=text/plain>no</style>
<script type=application/ld+json>{}</script><script type=importmap>{"imports":{}}</script>
<svg><script>log(4 &amp; 4)</script><style>a &gt; b { color: red }</style></svg>
<p style="margin: 0 &quot;"><p onclick="log(&quot;5&quot;)"><iframe srcdoc="<script>top.log(6)</script>"></iframe>
<p once="log(7)" onfoo="log(8)"><noscript><p style="no"></noscript>`;

  async function openPage(): Promise<(policy: string) => Promise<string[]>> {
    const tab = await browser.newPage();
    let policy = "";
    await tab.addInitScript(`
      globalThis.log = () => {};
      globalThis.seen = [];
      document.addEventListener("securitypolicyviolation", (event) => {
        top.seen.push(event.effectiveDirective + " " + event.sample);
      });`);
    await tab.route("http://page.test/", (route) =>
      route.fulfill({
        contentType: "text/html",
        headers: { "Content-Security-Policy": policy },
        body: page,
      }),
    );
    return async (next) => {
      policy = next;
      await tab.goto("http://page.test/");
      return tab.evaluate<string[]>("seen");
    };
  }

  test("the hashes of what is found are what a policy needs, and each is needed", async () => {
    const found: HtmlInventory = inspectHtml(page);
    const hashes = (texts: readonly string[]) => Promise.all(texts.map((text) => hashSource(text)));
    const scripts = await hashes([
      ...found.scripts
        .filter(({ type, src }) => type !== "data" && src === null)
        .map((s) => s.text),
      ...found.eventHandlers.map(({ attribute }) => attribute.value),
    ]);
    const styles = await hashes([
      ...found.styles.map(({ text }) => text),
      ...found.styleAttributes
        .filter(({ element }) => element.context !== "noscript")
        .map(({ attribute }) => attribute.value),
    ]);
    expect([scripts.length, styles.length]).toEqual([7, 4]);
    const violations = await openPage();
    const policy = (scriptHashes: readonly string[], styleHashes: readonly string[]) =>
      `script-src 'unsafe-hashes' 'report-sample' ${scriptHashes.join(" ")};
       style-src 'unsafe-hashes' 'report-sample' ${styleHashes.join(" ")}`.replaceAll("\n", "");
    expect(await violations(policy(scripts, styles))).toEqual([]);
    for (const left of scripts) {
      expect(
        await violations(
          policy(
            scripts.filter((s) => s !== left),
            styles,
          ),
        ),
      ).toHaveLength(1);
    }
    for (const left of styles) {
      expect(
        await violations(
          policy(
            scripts,
            styles.filter((s) => s !== left),
          ),
        ),
      ).toHaveLength(1);
    }
  });

  test("every event handler that it knows is known", async () => {
    const tab = await browser.newPage();
    const names = await tab.evaluate<string[]>(`
      [...new Set([
        document.body,
        document.createElementNS("http://www.w3.org/2000/svg", "svg"),
        document.createElementNS("http://www.w3.org/2000/svg", "animate"),
        document.createElementNS("http://www.w3.org/1998/Math/MathML", "math"),
        ...["div", "video", "marquee", "frameset", "form"].map((n) => document.createElement(n)),
      ].flatMap((element) => {
        const names = [];
        for (const name in element) if (name.startsWith("on")) names.push(name);
        return names;
      }))]`);
    expect(names.length).toBeGreaterThan(100);
    const html = `<p ${names.map((name) => `${name}=x`).join(" ")}>`;
    const known = inspectHtml(html).eventHandlers.map(({ attribute }) => attribute.name);
    expect(names.filter((name) => !known.includes(name))).toEqual([]);
    await tab.close();
  });
});
