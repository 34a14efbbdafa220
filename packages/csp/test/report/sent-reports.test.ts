/** Every field of the reports that a Chromium sends, beside what the engine predicts. */
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import {
  type Client,
  type CspList,
  chromium,
  createRequest,
  type Decision,
  ensureCspDoesNotBlockStringCompilation,
  ensureCspDoesNotBlockWasmByteCompilation,
  type FetchInit,
  getTrustedTypeCompliantString,
  inlineElement,
  inlineSource,
  isBaseAllowedForDocument,
  obtainDeprecatedSerialization,
  parsePolicyList,
  potentiallyReportHash,
  processIntegrityPolicy,
  shouldFetchBeBlocked,
  shouldInlineBehaviorBeBlocked,
  shouldNavigationRequestBeBlocked,
  shouldNavigationResponseBeBlocked,
  shouldRequestBeBlockedByIntegrityPolicy,
  shouldTrustedTypePolicyCreationBeBlocked,
  violationReportBody,
} from "@conclave/csp";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { launchChromium } from "../chromium.ts";
import { type AnyServer, startAnyServer } from "../oracle/server.ts";

type Ask = (client: Client) => Decision | Promise<Decision>;

interface Case {
  readonly name: string;
  readonly policy: string;
  readonly html: string;
  readonly ask: Ask;
  /** The text before which Chromium says that it happened; where it names no place, none. */
  readonly before?: string;
  /** The texts behind one of which Chromium says that it happened; of several, it may name none as well. */
  readonly behind?: readonly [string, ...string[]];
}

const S = "script-src 'nonce-n'";
const script = (code: string): string => `<script nonce="n">\n  ${code}\n</script>`;
const fetches =
  (init: FetchInit): Ask =>
  (client) =>
    shouldFetchBeBlocked(init, client, chromium);
const inline =
  (
    type: "script" | "script attribute" | "style" | "style attribute",
    code: string,
    name = "script",
  ): Ask =>
  async (client) => {
    const source = await inlineSource(code);
    return shouldInlineBehaviorBeBlocked(inlineElement({ name }), type, source, client, chromium);
  };
const compile =
  (compilationType: "DIRECT-EVAL" | "FUNCTION" | "TIMER", codeString: string): Ask =>
  (client) =>
    ensureCspDoesNotBlockStringCompilation({ compilationType, codeString }, client, chromium);
const navigate =
  (url: string, type: "form-submission" | "other"): Ask =>
  (client) => {
    const init = { url, destination: "document", mode: "navigate" } as const;
    return shouldNavigationRequestBeBlocked(createRequest(init, chromium), type, client, {
      profile: chromium,
    });
  };
const sink =
  (name: string, expectedType: "TrustedHTML" | "TrustedScriptURL", input: string): Ask =>
  (client) =>
    getTrustedTypeCompliantString({ sink: name, expectedType, input }, client, chromium).decision;

const long = "a comment of a good deal more than forty characters";
const cut = `\n one() // ${long}`;
const b = "https://b.test/x?q=1";

/** An element of the page that loads something: the place is behind its tag. */
const element = (name: string, policy: string, html: string, init: FetchInit) => ({
  name,
  policy,
  html: `<p>x</p> ${html}`,
  ask: fetches(init),
  behind: [/^.*?>/.exec(html)?.[0] ?? ""] as const,
});
/** The same, of one that loads in its own time: Chromium names where its parser stands by then, and nothing once that is done. */
const later = (name: string, policy: string, html: string, init: FetchInit): Case => {
  const made = element(name, policy, html, init);
  return { ...made, behind: [...made.behind, html] };
};
/** The same, where Chromium does not say where. */
const nowhere = (name: string, policy: string, html: string, init: FetchInit): Case => {
  const { behind: _, ...rest } = element(name, policy, html, init);
  return rest;
};
/** A script that does something: the place is before the text in its code. */
const scripted = (name: string, policy: string, code: string, before: string, ask: Ask): Case => ({
  name,
  policy: policy.includes("script-src") ? policy : `${S}; ${policy}`,
  html: script(code),
  ask,
  before,
});
/** When the parser is done, which would else be where Chromium says that it happened. */
const onceLoaded = (code: string): string =>
  `addEventListener("load", () => setTimeout(() => ${code}))`;
const caught = (code: string): string => `try { ${code} } catch {}`;
const none = (directive: string): string => `${directive} 'none'`;

const cases: readonly Case[] = [
  {
    name: "inline script, its sample cut",
    policy: `${S} 'report-sample'`,
    html: `<p>x</p> <script>${cut}</script>`,
    ask: inline("script", cut),
    behind: ["<script>"],
  },
  {
    name: "inline script without a sample",
    policy: S,
    html: "<p>x</p> <script>two()</script>",
    ask: inline("script", "two()"),
    behind: ["<script>"],
  },
  {
    name: "inline style",
    policy: "style-src 'report-sample'",
    html: "<p>x</p> <style>p { color: red }</style>",
    ask: inline("style", "p { color: red }", "style"),
    behind: ["<style>"],
  },
  {
    name: "style attribute",
    policy: "default-src 'report-sample'",
    html: '<p>x</p> <p style="color: red">x</p>',
    ask: inline("style attribute", "color: red", "p"),
    behind: ['<p style="color: red">'],
  },
  {
    name: "event handler",
    policy: `${S} 'report-sample'`,
    html: '<p>x</p> <p onclick="one()">x</p>',
    ask: inline("script attribute", "one()", "p"),
  },
  later(
    "image whose URL is stripped",
    none("img-src"),
    '<img src="https://user:pw@a.test/i?q=1#f">',
    { url: "https://user:pw@a.test/i?q=1#f", destination: "image" },
  ),
  later("image of another origin", none("img-src"), `<img src="${b}">`, {
    url: b,
    destination: "image",
  }),
  later("image by default-src", none("default-src"), `<img src="${b}">`, {
    url: b,
    destination: "image",
  }),
  {
    name: "image with a data: URL",
    policy: `${S}; ${none("img-src")}`,
    html: script(onceLoaded('Object.assign(new Image(), { src: "data:image/png,x" })')),
    ask: fetches({ url: "data:image/png,x", destination: "image" }),
  },
  element("image over http", "img-src https:", '<img src="http://b.test:8080/i">', {
    url: "http://b.test:8080/i",
    destination: "image",
  }),
  {
    // The answer comes in its own time: before the parser is done, Chromium would name where that stands.
    name: "image after a redirect",
    policy: `${S}; img-src https://a.test`,
    html: script(onceLoaded(`Object.assign(new Image(), { src: "/to?${b}" })`)),
    ask: fetches({ url: `https://a.test/to?${b}`, redirects: [b], destination: "image" }),
  },
  nowhere("script", S, `<script src="${b}"></script>`, { url: b, destination: "script" }),
  nowhere("script by script-src-elem", none("script-src-elem"), `<script src="${b}"></script>`, {
    url: b,
    destination: "script",
  }),
  nowhere(
    "script under strict-dynamic",
    `${S} 'strict-dynamic' https:`,
    `<script src="${b}"></script>`,
    {
      url: b,
      destination: "script",
    },
  ),
  element("stylesheet", none("style-src"), `<link rel=stylesheet href="${b}">`, {
    url: b,
    destination: "style",
  }),
  {
    name: "imported stylesheet",
    policy: "style-src 'unsafe-inline'",
    html: `<style>@import "${b}";</style>`,
    ask: fetches({ url: b, destination: "style" }),
    behind: ["</style>"],
  },
  later("audio", none("media-src"), `<audio src="${b}"></audio>`, {
    url: b,
    destination: "audio",
  }),
  later("video", none("media-src"), `<video src="${b}"></video>`, {
    url: b,
    destination: "video",
  }),
  later("object", none("object-src"), `<object data="${b}"></object>`, {
    url: b,
    destination: "object",
  }),
  later("embed of the page's origin", none("object-src"), '<embed src="https://a.test/o?q">', {
    url: "https://a.test/o?q",
    destination: "embed",
  }),
  element(
    "frame of the page's origin",
    none("frame-src"),
    '<iframe src="https://a.test/f?q"></iframe>',
    {
      url: "https://a.test/f?q",
      destination: "iframe",
    },
  ),
  element("frame of another origin", none("frame-src"), `<iframe src="${b}"></iframe>`, {
    url: b,
    destination: "iframe",
  }),
  element("frame by child-src", none("child-src"), `<iframe src="${b}"></iframe>`, {
    url: b,
    destination: "iframe",
  }),
  element("frame with a data: URL", none("frame-src"), '<iframe src="data:text/html,x"></iframe>', {
    url: "data:text/html,x",
    destination: "iframe",
  }),
  element("preload", none("img-src"), `<link rel=preload as=image href="${b}">`, {
    url: b,
    destination: "image",
  }),
  element("module preload", S, `<link rel=modulepreload href="${b}">`, {
    url: b,
    destination: "script",
  }),
  {
    name: "base",
    policy: none("base-uri"),
    html: `<p>x</p> <base href="${b}">`,
    ask: (client) => isBaseAllowedForDocument(b, client, chromium),
    behind: [`<base href="${b}">`],
  },
  scripted(
    "font",
    none("font-src"),
    `new FontFace("f", "url(${b})").load().catch(() => {})`,
    "new FontFace",
    fetches({ url: b, destination: "font" }),
  ),
  scripted(
    "fetch",
    none("connect-src"),
    `fetch("${b}#f").catch(() => {})`,
    "fetch(",
    fetches({ url: `${b}#f` }),
  ),
  {
    name: "fetch after a redirect",
    policy: `${S}; connect-src https://a.test`,
    html: script(onceLoaded(`fetch("https://a.test/to?${b}").catch(() => {})`)),
    ask: fetches({ url: `https://a.test/to?${b}`, redirects: [b] }),
  },
  scripted(
    "XMLHttpRequest",
    none("connect-src"),
    `const x = new XMLHttpRequest(); x.open("GET", "${b}"); x.send()`,
    "send()",
    fetches({ url: b }),
  ),
  scripted(
    "beacon",
    none("connect-src"),
    `navigator.sendBeacon("${b}")`,
    "sendBeacon",
    fetches({ url: b }),
  ),
  scripted(
    "WebSocket",
    none("connect-src"),
    'new WebSocket("wss://b.test/x?q")',
    "new WebSocket",
    fetches({ url: "wss://b.test/x?q" }),
  ),
  {
    name: "EventSource",
    policy: `${S}; ${none("connect-src")}`,
    html: script(onceLoaded(`new EventSource("${b}")`)),
    ask: fetches({ url: b }),
  },
  {
    name: "ping",
    policy: `${S}; ${none("connect-src")}`,
    html: `<a href="#x" ping="${b}">x</a>${script('document.querySelector("a").click()')}`,
    ask: fetches({ url: b }),
    before: "click()",
  },
  scripted(
    "worker",
    none("worker-src"),
    'new Worker("https://a.test/w?q")',
    "new Worker",
    fetches({ url: "https://a.test/w?q", destination: "worker" }),
  ),
  scripted(
    "worker by child-src",
    none("child-src"),
    'new Worker("https://a.test/w?q")',
    "new Worker",
    fetches({ url: "https://a.test/w?q", destination: "worker" }),
  ),
  scripted(
    "worker with a data: URL",
    none("worker-src"),
    'new Worker("data:text/javascript,1")',
    "new Worker",
    fetches({ url: "data:text/javascript,1", destination: "worker" }),
  ),
  scripted(
    "shared worker",
    none("worker-src"),
    'new SharedWorker("https://a.test/w?q")',
    "new SharedWorker",
    fetches({ url: "https://a.test/w?q", destination: "sharedworker" }),
  ),
  {
    name: "image with a blob: URL",
    policy: `${S}; ${none("img-src")}`,
    html: script(
      "document.body.append(Object.assign(new Image(), { src: URL.createObjectURL(new Blob([])) }))",
    ),
    ask: fetches({ url: "blob:https://a.test/0", destination: "image" }),
  },
  {
    name: "background set by a script",
    policy: `${S}; ${none("img-src")}`,
    html: script(onceLoaded(`(document.body.style.background = "url(${b})")`)),
    ask: fetches({ url: b, destination: "image" }),
  },
  scripted(
    "eval",
    `${S} 'report-sample'`,
    caught(`eval("1 + 1 // ${long}")`),
    "eval",
    compile("DIRECT-EVAL", `1 + 1 // ${long}`),
  ),
  scripted("eval without a sample", S, caught('eval("1")'), "eval", compile("DIRECT-EVAL", "1")),
  scripted(
    "Function",
    `${S} 'report-sample'`,
    caught('new Function("a", "return a")'),
    "new Function",
    compile("FUNCTION", "function anonymous(a\n) {\nreturn a\n}"),
  ),
  scripted(
    "setTimeout",
    `${S} 'report-sample'`,
    'setTimeout(" 1 + 1 ")',
    "setTimeout",
    compile("TIMER", " 1 + 1 "),
  ),
  scripted(
    "WebAssembly",
    `${S} 'report-sample'`,
    caught("new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0))"),
    "new WebAssembly",
    (client) => ensureCspDoesNotBlockWasmByteCompilation(client),
  ),
  scripted(
    "sink of HTML",
    "require-trusted-types-for 'script'",
    caught("document.body.innerHTML = '<b>1</b>'"),
    "= '<b>",
    sink("Element innerHTML", "TrustedHTML", "<b>1</b>"),
  ),
  scripted(
    "sink of a script's URL",
    "require-trusted-types-for 'script'",
    caught(`document.createElement("script").src = "${b}&${long}"`),
    '= "https',
    sink("HTMLScriptElement src", "TrustedScriptURL", `${b}&${long}`),
  ),
  scripted(
    "eval of a string",
    "require-trusted-types-for 'script'; script-src 'nonce-n' 'unsafe-eval'",
    caught('eval("1 + 1")'),
    "eval",
    compile("DIRECT-EVAL", "1 + 1"),
  ),
  scripted(
    "Function of a string",
    "require-trusted-types-for 'script'; script-src 'nonce-n' 'unsafe-eval'",
    caught('new Function("1 + 1")'),
    "new Function",
    compile("FUNCTION", "function anonymous(\n) {\n1 + 1\n}"),
  ),
  scripted(
    "policy of Trusted Types",
    "trusted-types one",
    caught('trustedTypes.createPolicy("two", {})'),
    "createPolicy",
    (client) => shouldTrustedTypePolicyCreationBeBlocked("two", [], client, chromium),
  ),
  {
    name: "form",
    policy: `${S}; ${none("form-action")}`,
    html: `<form action="${b}" method="post"></form>${script("document.forms[0].submit()")}`,
    ask: navigate(b, "form-submission"),
    before: "submit()",
  },
  {
    name: "javascript: URL",
    policy: `${S} 'report-sample'`,
    html: `<a href="javascript:one()">x</a>${script('document.querySelector("a").click()')}`,
    ask: navigate("javascript:one()", "other"),
    before: "click()",
  },
];

interface Received {
  readonly id: string;
  readonly contentType: string;
  readonly report: Record<string, unknown>;
}

const received: Received[] = [];
const pages = new Map<string, { readonly headers: readonly string[]; readonly body: string }>();
let server: AnyServer;
let browser: Browser;

beforeAll(async () => {
  server = await startAnyServer(async (url, request) => {
    const cors = ["Access-Control-Allow-Origin", "*"];
    const id = url.searchParams.get("c") ?? "";
    if (url.pathname === "/reports") {
      const contentType = request.headers["content-type"] ?? "";
      const body: unknown = JSON.parse(await text(request));
      for (const report of Array.isArray(body) ? body : [body]) {
        received.push({ id, contentType, report });
      }
      return { status: 204, headers: cors, body: "" };
    }
    if (url.pathname === "/to") {
      return { status: 302, headers: ["Location", url.search.slice(1), ...cors], body: "" };
    }
    const page = pages.get(id);
    if (page) return page;
    const isScript = url.pathname.endsWith(".js");
    return {
      headers: ["Content-Type", isScript ? "text/javascript" : "text/plain", ...cors],
      body: isScript ? "1 + 1" : "",
    };
  });
  const pem = readFileSync(new URL("../serve/localhost.pem", import.meta.url));
  const publicKey = new X509Certificate(pem).publicKey.export({ type: "spki", format: "der" });
  const fingerprint = createHash("sha256").update(publicKey).digest("base64");
  browser = await launchChromium(
    ...server.args,
    "--short-reporting-delay",
    // Chromium's reports to `Reporting-Endpoints` heed no other leave.
    `--ignore-certificate-errors-spki-list=${fingerprint}`,
  );
});
afterAll(async () => {
  await browser?.close();
  server?.close();
});

const referrer = "https://from.test/path?q";

interface Place {
  readonly lineNumber: number;
  readonly columnNumber: number;
}

/** The page's text, and where in it something may happen; `null` where no place is named. */
function documentOf({ html, before, behind }: Case): {
  readonly body: string;
  readonly places: readonly (Place | null)[];
} {
  const body = `<!doctype html>\n<title>Page</title>\n<body>\n${html}`;
  const placeAt = (index: number): Place => {
    const lines = body.slice(0, index).split("\n");
    return { lineNumber: lines.length, columnNumber: (lines.at(-1)?.length ?? 0) + 1 };
  };
  if (before !== undefined) return { body, places: [placeAt(body.indexOf(before))] };
  const places = (behind ?? []).map((text) => placeAt(body.indexOf(text) + text.length));
  return { body, places: places.length === 1 ? places : [null, ...places] };
}

/**
 * Both formats at once: `report-uri` of a policy that is enforced, `report-to` of the same that only reports. Gives a client for each place where
 * Chromium may say that it happened.
 */
async function visit(page: Page, id: string, found: Case): Promise<readonly Client[]> {
  const url = `https://a.test/page?c=${id}`;
  const enforced = `${found.policy}; report-uri /reports?c=${id}`;
  const reporting = `${found.policy}; report-to main`;
  const { body, places } = documentOf(found);
  const named = {
    "Content-Type": "text/html",
    "Content-Security-Policy": enforced,
    "Content-Security-Policy-Report-Only": reporting,
    "Reporting-Endpoints": `main="https://a.test/reports?c=${id}"`,
  };
  const headers = Object.entries(named).flat();
  pages.set(id, { headers, body });
  await page.goto(url, { referer: referrer, waitUntil: "commit" });
  // What the page has not yet handed on when it goes is lost.
  await expect.poll(() => received.some((entry) => entry.id === id)).toBe(true);
  const policies = [...parsePolicyList(enforced), ...parsePolicyList(reporting, "report")];
  const cspList: CspList = { policies, selfOrigin: "https://a.test" };
  return places.map((place) => {
    const executing = place ? { executing: { sourceFile: url, ...place } } : {};
    return { url, cspList, referrer, ...executing };
  });
}

/** As the JSON of a report: what is `null` is not there, and Chromium leaves out an empty `blockedURL`. */
function sent(body: object): Record<string, unknown> {
  const entries = Object.entries(body).filter(([key, value]) => {
    return value !== null && !(key === "blockedURL" && value === "");
  });
  return Object.fromEntries(entries);
}

test("reports of all violations are as predicted, field by field", {
  timeout: 240_000,
}, async () => {
  const page = await browser.newPage();
  /** By case: what is predicted for each place. */
  const expected = new Map<string, readonly (readonly string[])[]>();
  for (const [index, found] of cases.entries()) {
    const id = `case${index}`;
    const clients = await visit(page, id, found);
    const predict = async (client: Client): Promise<readonly string[]> => {
      const { violations } = await found.ask(client);
      const enforced = violations.filter(({ disposition }) => disposition === "enforce");
      const reporting = violations.filter(({ disposition }) => disposition === "report");
      expect.soft([enforced.length, reporting.length], found.name).toEqual([1, 1]);
      return [
        ...enforced.map((violation) => ({ ...obtainDeprecatedSerialization(violation, chromium) })),
        ...reporting.map((violation) => sent(violationReportBody(violation, chromium))),
      ]
        .map((body) => JSON.stringify(sorted(body)))
        .toSorted();
    };
    expected.set(id, await Promise.all(clients.map(predict)));
  }
  const bodies = (id: string): unknown[] =>
    received
      .filter((entry) => entry.id === id)
      .map(({ contentType, report }) =>
        contentType === "application/csp-report" ? report : report["body"],
      );
  const isComplete = (): boolean => [...expected.keys()].every((id) => bodies(id).length >= 2);
  // What is missing after that is named below.
  await vi.waitUntil(isComplete, { timeout: 30_000, interval: 200 }).catch(() => undefined);
  for (const [index, { name }] of cases.entries()) {
    const id = `case${index}`;
    // Repeated where a policy only reports: `report-only-repeats`.
    const distinct = [
      ...new Set(bodies(id).map((body) => JSON.stringify(sorted(body)))),
    ].toSorted();
    const predicted = expected.get(id) ?? [];
    const same = predicted.find((one) => one.join() === distinct.join());
    expect.soft(distinct, name).toEqual(same ?? predicted[0]);
  }
  expect(cases.length).toBeGreaterThanOrEqual(50);
  for (const { contentType, report } of received) {
    if (contentType === "application/csp-report") continue;
    expect(Object.keys(report).toSorted()).toEqual(["age", "body", "type", "url", "user_agent"]);
  }
});

/** With its keys in order, so that it can be compared as text. */
function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [z]) => (a < z ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}

describe("other reports", () => {
  test("frame-ancestors", async () => {
    const id = "ancestors";
    const policy = `frame-ancestors 'none'; report-uri https://b.test/reports?c=${id}`;
    const url = `https://b.test/framed?c=${id}#f`;
    pages.set(id, { headers: ["Content-Security-Policy", policy], body: "framed" });
    const page = await browser.newPage();
    await page.goto("https://a.test/embedder?q");
    await page.evaluate(`document.documentElement.append(
      Object.assign(document.createElement("iframe"), { src: ${JSON.stringify(url)} }))`);
    const cspList = { policies: parsePolicyList(policy), selfOrigin: "https://b.test" };
    const response = { url, cspList, ancestors: ["https://a.test"] };
    const { violations } = shouldNavigationResponseBeBlocked(response, chromium);
    const predicted = violations.map((violation) =>
      obtainDeprecatedSerialization(violation, chromium),
    );
    expect(predicted).toHaveLength(1);
    await expect
      .poll(() => received.filter((entry) => entry.id === id).map(({ report }) => report))
      .toEqual(predicted);
  });

  const scripts = [
    { src: "/own.js?q#f", isCorsSameOrigin: true, mode: "no-cors" },
    { src: "https://b.test/plain.js", isCorsSameOrigin: false, mode: "no-cors" },
    { src: "https://b.test/cors.js", isCorsSameOrigin: true, mode: "cors" },
  ] as const;
  const html = scripts
    .map(
      ({ src, mode }) => `<script src="${src}"${mode === "cors" ? " crossorigin" : ""}></script>`,
    )
    .join("");
  const requests = scripts.map(({ src, mode }) =>
    createRequest({ url: new URL(src, "https://a.test/"), destination: "script", mode }),
  );

  /** The bodies of a type, each once, in the order of their text. */
  async function bodiesOf(id: string, headers: readonly string[], type: string, count: number) {
    const endpoint = ["Reporting-Endpoints", `main="https://a.test/reports?c=${id}"`];
    pages.set(id, { headers: ["Content-Type", "text/html", ...endpoint, ...headers], body: html });
    const page = await browser.newPage();
    await page.goto(`https://a.test/page?c=${id}`);
    const bodies = (): string[] => {
      const own = received.filter((entry) => entry.id === id && entry.report["type"] === type);
      return [...new Set(own.map(({ report }) => JSON.stringify(sorted(report["body"]))))];
    };
    await vi.waitFor(() => expect(bodies().length).toBeGreaterThanOrEqual(count), {
      timeout: 20_000,
    });
    return bodies().toSorted();
  }

  test("csp-hash", async () => {
    const policy =
      "script-src 'self' https://b.test 'report-sha256' 'report-sha384'; report-to main";
    const client: Client = {
      url: "https://a.test/page?c=hash",
      cspList: { policies: parsePolicyList(policy), selfOrigin: "https://a.test" },
    };
    const [parsed] = client.cspList.policies;
    if (!parsed) throw new Error("no policy");
    const predicted: string[] = [];
    for (const [index, request] of requests.entries()) {
      const isCorsSameOrigin = scripts[index]?.isCorsSameOrigin ?? false;
      const response = { body: "1 + 1", isCorsSameOrigin };
      const report = await potentiallyReportHash(response, request, parsed, client, chromium);
      expect(report?.endpoint).toBe("main");
      predicted.push(JSON.stringify(sorted(report?.body)));
    }
    const headers = ["Content-Security-Policy", policy];
    const bodies = await bodiesOf("hash", headers, "csp-hash", predicted.length);
    expect(bodies).toEqual(predicted.toSorted());
  });

  test("integrity-violation", async () => {
    const value = "blocked-destinations=(script), endpoints=(main)";
    const integrityPolicy = processIntegrityPolicy(value, chromium);
    const client = {
      url: "https://a.test/page?c=integrity",
      integrityPolicy,
      reportOnlyIntegrityPolicy: integrityPolicy,
    };
    const predicted = requests.flatMap((request) =>
      shouldRequestBeBlockedByIntegrityPolicy(request, client).reports.map(({ body }) =>
        JSON.stringify(sorted(body)),
      ),
    );
    const headers = ["Integrity-Policy", value, "Integrity-Policy-Report-Only", value];
    const bodies = await bodiesOf("integrity", headers, "integrity-violation", predicted.length);
    expect(bodies).toEqual(predicted.toSorted());
  });
});
