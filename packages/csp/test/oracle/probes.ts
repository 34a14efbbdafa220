/** The probes: what a page does, and what the engine is asked about it. */
import type { FetchInit } from "@conclave/csp";
import type { Step } from "./driver.ts";
import { anyUrl, hash } from "./grammar.ts";
import type { Question } from "./question.ts";
import type { Random } from "./random.ts";
import type { Answer } from "./server.ts";

export interface Probe {
  readonly id: string;
  readonly kind: string;
  /** What stands in the page. */
  readonly html?: string;
  /** What is done when it has loaded. */
  readonly step?: Step;
  /** Whether it happened: the last URL was asked for, or the page noted it. */
  readonly measure: "hit" | "done";
  readonly question: Question;
  /** What the server says to URLs with the probe's id and `t=own`. */
  readonly answer?: Answer;
  /** What a policy may list to allow it. */
  readonly urls?: readonly string[];
  readonly nonces?: readonly string[];
  readonly texts?: readonly string[];
}

/** Where a probe is made. */
export interface Site {
  readonly random: Random;
  readonly page: URL;
  readonly id: string;
}

export const nonces = ["abc", "n0nce", "r+/="] as const;

/** The chain of URLs from the first to the last, each of which leads to the next. */
export function chain(
  { id, random, page }: Site,
  type: string,
  options: {
    readonly family?: "http" | "ws";
    readonly own?: boolean;
    readonly unmixed?: boolean;
    readonly import?: string;
  } = {},
): { readonly url: string; readonly redirects: readonly string[] } {
  const redirected = options.family !== "ws" && random.chance(0.2);
  const count = redirected ? random.pick([1, 1, 2]) : 0;
  const bare = Array.from({ length: count + 1 }, () => {
    if (options.own) return `${page.origin}${new URL(anyUrl(random, page)).pathname}`;
    const url = anyUrl(random, page, options.family);
    return options.unmixed && page.protocol === "https:" ? url.replace(/^http:/, "https:") : url;
  });
  const urls: string[] = [];
  for (const href of bare.toReversed()) {
    const url = new URL(href);
    url.searchParams.set("p", id);
    url.searchParams.set("t", type);
    if (urls[0]) url.searchParams.set("to", urls[0]);
    else if (options.import) url.searchParams.set("import", options.import);
    urls.unshift(url.href);
  }
  const [url = "", ...redirects] = urls;
  return { url, redirects };
}

const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");

/** The attributes of a tag, as text. */
export function tag(name: string, attributes: readonly (readonly [string, string])[]): string {
  const texts = attributes.map(([key, value]) => ` ${key}="${escapeHtml(value)}"`);
  return `<${name}${texts.join("")}>`;
}

/** A body that the server gives to a script's URL. */
export const scriptBody = (id: string): string => `globalThis.ran?.(${JSON.stringify(id)})`;

export type Make = (site: Site) => Omit<Probe, "id" | "kind">;

/** Something that is fetched by an operation of the driver. */
export function fetched(
  op: string,
  type: string,
  init: Partial<FetchInit>,
  more: {
    readonly family?: "http" | "ws";
    readonly own?: boolean;
    readonly measure?: Probe["measure"];
    readonly serial?: boolean;
    readonly name?: string;
    readonly noRedirect?: boolean;
    /** Nothing insecure on a secure page. */
    readonly unmixed?: boolean;
  } = {},
): Make {
  return (site) => {
    let { url, redirects } = chain(site, type, more);
    if (more.noRedirect && redirects.length > 0) {
      url = redirects.at(-1) ?? url;
      redirects = [];
    }
    return {
      measure: more.measure ?? "hit",
      step: {
        id: site.id,
        op,
        url,
        serial: more.serial ?? false,
        ...(more.name === undefined ? {} : { name: more.name }),
      },
      question: {
        type: "fetches",
        inits: [{ ...init, url, redirects }],
        preload: op === "preload",
      },
      urls: [url, ...redirects],
    };
  };
}

/** `data:` and `blob:` URLs, whose reports don't tell whose they are. */
function local(
  op: string,
  init: Partial<FetchInit>,
  contents: (id: string) => { readonly type: string; readonly text: string },
): Make {
  return ({ id, random, page }) => {
    const { type, text } = contents(id);
    const isBlob = random.chance(0.5);
    const url = isBlob ? "blob:" : `data:${type},${encodeURIComponent(text)}`;
    const asked = isBlob ? `blob:${page.origin}/00000000-0000-4000-8000-000000000000` : url;
    return {
      measure: "done",
      step: { id, op, url, text, name: type, serial: true },
      question: { type: "fetches", inits: [{ ...init, url: asked }] },
    };
  };
}

/** A script or style by URL, with what else can allow it. */
function external(name: "script" | "module" | "style", parsed: boolean): Make {
  return (site) => {
    const { id, random } = site;
    const type = name === "style" ? "style" : "script";
    const { url, redirects } = chain(site, type);
    const nonce = random.chance(0.4) ? random.pick(nonces) : "";
    const body = type === "script" ? scriptBody(id) : "";
    const sha256 = `sha256-${hash(body, "sha256")}`;
    const sha512 = `sha512-${hash(body, "sha512")}`;
    const integrity = random.chance(0.3)
      ? random.pick([sha256, sha512, `${sha256} ${sha512}`, "sha1-abc", `${sha256}?opt`])
      : "";
    const crossorigin = integrity !== "";
    const init: FetchInit = { url, redirects, destination: type, nonce, integrity };
    const more = {
      measure: type === "script" ? ("done" as const) : ("hit" as const),
      urls: [url, ...redirects],
      nonces: nonce ? [nonce] : [],
      texts: integrity ? [body] : [],
      question: {
        type: "fetches",
        inits: [{ ...init, parserInserted: parsed }],
        scanned: parsed,
      } as const,
    };
    if (!parsed) return { ...more, step: { id, op: name, url, nonce, integrity, crossorigin } };
    const attributes: [string, string][] = [["data-probe", id]];
    if (nonce) attributes.push(["nonce", nonce]);
    if (integrity) attributes.push(["integrity", integrity], ["crossorigin", ""]);
    if (name === "style") attributes.push(["rel", "stylesheet"], ["href", url]);
    else attributes.push(["src", url]);
    if (name === "module") attributes.push(["type", "module"]);
    const html = tag(name === "style" ? "link" : "script", attributes);
    return { ...more, html: name === "style" ? html : `${html}</script>` };
  };
}

/** A module that imports another. */
const moduleImport: Make = (site) => {
  const { id, random } = site;
  const inner = chain(site, "script");
  const outer = chain(site, "module", { import: inner.url });
  const nonce = random.chance(0.5) ? random.pick(nonces) : "";
  const parsed = random.chance(0.5);
  const init = { destination: "script", nonce, parserInserted: parsed, mode: "cors" } as const;
  const attributes: [string, string][] = [
    ["data-probe", id],
    ["type", "module"],
    ["src", outer.url],
  ];
  if (nonce) attributes.push(["nonce", nonce]);
  return {
    measure: "done",
    question: {
      type: "fetches",
      inits: [
        { ...init, ...outer },
        { ...init, ...inner },
      ],
      scanned: parsed,
    },
    urls: [inner.url, outer.url, ...inner.redirects, ...outer.redirects],
    nonces: nonce ? [nonce] : [],
    ...(parsed
      ? { html: `${tag("script", attributes)}</script>` }
      : { step: { id, op: "module", url: outer.url, nonce } }),
  };
};

/** Text in the page that its own hash or nonce may allow. */
function inlineBlock(name: "script" | "style", parsed: boolean): Make {
  return ({ id, random }) => {
    const text =
      name === "script"
        ? random.pick(["", "", " ", "\n\t "]) +
          `ran("${id}")` +
          random.pick(["", " // a comment long enough to be cut off", "\n// ü", "   "])
        : `#p${id} { color: red }`;
    const nonce = random.chance(0.5) ? random.pick(nonces) : null;
    const attributes: [string, string][] = [];
    let duplicateAttribute = false;
    if (parsed && random.chance(0.3)) {
      const odd = random.pick(["value", "name", "plain", "duplicate"]);
      if (odd === "value") attributes.push(["data-x", random.pick(["<script", "a <STYLE b"])]);
      else if (odd === "plain") attributes.push(["data-x", "script"]);
      else if (odd === "name") attributes.push([random.pick(["<script", "a<style"]), ""]);
      else duplicateAttribute = true;
    }
    const all: [string, string][] = [["data-probe", id], ...attributes];
    if (nonce !== null) all.push(["nonce", nonce]);
    const doubled: [string, string][] = duplicateAttribute
      ? [
          ["data-d", ""],
          ["data-d", ""],
        ]
      : [];
    return {
      measure: "done",
      question: {
        type: "inline",
        inline: name,
        element: { name, nonce, attributes: all, duplicateAttribute, parserInserted: parsed },
        text,
      },
      texts: [text],
      nonces: nonce ? [nonce] : [],
      ...(parsed ? { html: `${tag(name, [...all, ...doubled])}${text}</${name}>` } : {}),
      ...(parsed && name === "script"
        ? {}
        : {
            step: {
              id,
              op: parsed ? "parsed-style" : `inline-${name}`,
              text,
              ...(nonce === null ? {} : { nonce }),
            },
          }),
    };
  };
}

function inlineAttribute(name: "onclick" | "style", parsed: boolean): Make {
  return ({ id }) => {
    const text = name === "onclick" ? `ran('${id}')` : `--p: ${id}`;
    const inline = name === "onclick" ? "script attribute" : "style attribute";
    const attributes: [string, string][] = [
      ["data-probe", id],
      [name, text],
    ];
    const op = name === "onclick" ? ["set-handler", "click"] : ["set-style", "has-style"];
    return {
      measure: "done",
      question: {
        type: "inline",
        inline,
        element: { name: "b", attributes, parserInserted: parsed },
        text,
      },
      texts: [text],
      ...(parsed ? { html: `${tag("b", attributes)}</b>` } : {}),
      step: { id, op: op[parsed ? 1 : 0] ?? "none", text },
    };
  };
}

function javascriptUrl(op: string): Make {
  return ({ id }) => {
    const url =
      op === "javascript-frame" ? `javascript:parent.ran('${id}')` : `javascript:ran('${id}')`;
    return {
      measure: "done",
      step: { id, op, url, serial: true },
      question: { type: "javascript", url },
      texts: [url, url.slice("javascript:".length)],
    };
  };
}

function compiled(
  op: string,
  compilationType: "DIRECT-EVAL" | "INDIRECT-EVAL" | "FUNCTION" | "TIMER",
): Make {
  return ({ id, random }) => {
    const start = random.pick(["", "", "  "]);
    const end = random.pick(["", " /* so long that no sample has all of it */", "  "]);
    const code = `${start}ran("${id}")${end}`;
    // CreateDynamicFunction's source text.
    const text = compilationType === "FUNCTION" ? `function anonymous(\n) {\n${code}\n}` : code;
    return {
      measure: "done",
      step: { id, op, text: code, serial: true },
      question: { type: "compile", compilationType, text },
    };
  };
}

const html = (id: string) => ({ type: "text/html", text: `<!-- ?p=${id} -->` });
const script = (id: string) => ({ type: "text/javascript", text: scriptBody(id) });
const workerBody = { type: "text/javascript", text: "postMessage(0)" };

/** The same, but an image where the page is not secure, which has no worklets. */
const ifSecure =
  (make: Make): Make =>
  (site) => {
    const isSecure = site.page.protocol === "https:" || site.page.hostname === "localhost";
    return (isSecure ? make : fetched("image", "image", { destination: "image" }))(site);
  };

/** What a policy may list to allow it. */
export function urlsOf(question: Question): string[] {
  if (question.type !== "fetches") return [];
  return question.inits.flatMap(({ url, redirects = [] }) => [url, ...redirects].map(String));
}

/** A stylesheet that imports another. */
const styleImport: Make = (site) => {
  const { id, random } = site;
  const inner = chain(site, "style");
  const outer = chain(site, "css-import", { import: inner.url });
  const nonce = random.chance(0.3) ? random.pick(nonces) : "";
  const question: Question = {
    type: "fetches",
    inits: [
      { destination: "style", nonce, ...outer },
      { destination: "style", ...inner },
    ],
  };
  return {
    measure: "hit",
    question,
    urls: urlsOf(question),
    nonces: nonce ? [nonce] : [],
    step: { id, op: "style", url: outer.url, nonce },
  };
};

/** From a path without escapes: of others a service worker may not be. */
const serviceWorker: Make = ({ id, random, page }) => {
  const path = random.pick(["/", "/file", "/dir/file", "/dir/sub/file"]);
  const url = `${page.origin}${path}?p=${id}&t=worker`;
  return {
    measure: "hit",
    step: { id, op: "serviceworker", url },
    question: {
      type: "fetches",
      inits: [{ destination: "serviceworker", parserInserted: false, url }],
    },
    urls: [url],
  };
};

/** Every kind of an ordinary page with how often it is made. */
export const ordinaryKinds: Kinds = {
  "script parsed": [6, external("script", true)],
  "script inserted": [5, external("script", false)],
  "script local": [1, local("script", { destination: "script", parserInserted: false }, script)],
  "module parsed": [2, external("module", true)],
  "module inserted": [2, external("module", false)],
  "module import": [3, moduleImport],
  "style parsed": [2, external("style", true)],
  "style inserted": [2, external("style", false)],
  "style import": [2, styleImport],
  "dynamic import": [
    2,
    fetched(
      "dynamic-import",
      "script",
      { destination: "script", parserInserted: false, mode: "cors" },
      { measure: "done" },
    ),
  ],
  "json import": [1, fetched("json-import", "json", { destination: "json", mode: "cors" })],
  "service worker": [1, ifSecure(serviceWorker)],
  "style local": [
    1,
    local("style", { destination: "style" }, () => ({
      type: "text/css",
      text: "p { color: red }",
    })),
  ],
  image: [4, fetched("image", "image", { destination: "image" })],
  "image local": [
    1,
    local("image", { destination: "image" }, () => ({
      type: "image/svg+xml",
      text: '<svg xmlns="http://www.w3.org/2000/svg"/>',
    })),
  ],
  "svg image": [1, fetched("svg-image", "image", { destination: "image" })],
  poster: [1, fetched("poster", "image", { destination: "image" })],
  background: [1, fetched("background", "image", { destination: "image" })],
  font: [2, fetched("font", "font", { destination: "font" })],
  audio: [1, fetched("audio", "media", { destination: "audio" })],
  video: [1, fetched("video", "media", { destination: "video" })],
  track: [1, fetched("track", "vtt", { destination: "track" })],
  object: [1, fetched("object", "html", { destination: "object" }, { serial: true })],
  embed: [1, fetched("embed", "html", { destination: "embed" }, { serial: true })],
  iframe: [
    3,
    fetched("iframe", "html", { destination: "iframe", mode: "navigate" }, { serial: true }),
  ],
  "iframe local": [1, local("iframe", { destination: "iframe", mode: "navigate" }, html)],
  fetch: [3, fetched("fetch", "text", { mode: "cors" })],
  "fetch local": [
    1,
    local("fetch", { mode: "cors" }, () => ({ type: "text/plain", text: "text" })),
  ],
  xhr: [2, fetched("xhr", "text", { mode: "cors" })],
  beacon: [1, fetched("beacon", "text", {})],
  ping: [1, fetched("ping", "text", {})],
  eventsource: [2, fetched("eventsource", "events", { mode: "cors" })],
  websocket: [3, fetched("websocket", "text", {}, { family: "ws" })],
  worker: [
    1,
    fetched(
      "worker",
      "worker",
      { destination: "worker", parserInserted: false },
      { own: true, noRedirect: true },
    ),
  ],
  "module worker": [
    1,
    fetched(
      "module-worker",
      "worker",
      { destination: "worker", parserInserted: false },
      { own: true, noRedirect: true },
    ),
  ],
  "worker local": [
    1,
    local("worker", { destination: "worker", parserInserted: false }, () => workerBody),
  ],
  "shared worker": [
    1,
    fetched(
      "sharedworker",
      "sharedworker",
      { destination: "sharedworker", parserInserted: false },
      { own: true, noRedirect: true },
    ),
  ],
  "audio worklet": [
    1,
    ifSecure(
      fetched(
        "audioworklet",
        "script",
        { destination: "audioworklet", parserInserted: false },
        { unmixed: true },
      ),
    ),
  ],
  "paint worklet": [
    1,
    ifSecure(
      fetched(
        "paintworklet",
        "script",
        { destination: "paintworklet", parserInserted: false },
        { unmixed: true },
      ),
    ),
  ],
  prefetch: [2, fetched("prefetch", "text", { initiator: "prefetch" })],
  "preload script": [
    1,
    fetched(
      "preload",
      "script",
      { destination: "script", parserInserted: false },
      { name: "script" },
    ),
  ],
  "preload style": [1, fetched("preload", "style", { destination: "style" }, { name: "style" })],
  "preload image": [1, fetched("preload", "image", { destination: "image" }, { name: "image" })],
  "preload font": [1, fetched("preload", "font", { destination: "font" }, { name: "font" })],
  "module preload": [
    1,
    fetched("modulepreload", "script", { destination: "script", parserInserted: false }),
  ],
  "inline script parsed": [5, inlineBlock("script", true)],
  "inline script inserted": [3, inlineBlock("script", false)],
  "inline style parsed": [2, inlineBlock("style", true)],
  "inline style inserted": [2, inlineBlock("style", false)],
  "handler parsed": [2, inlineAttribute("onclick", true)],
  "handler set": [2, inlineAttribute("onclick", false)],
  "style attribute parsed": [2, inlineAttribute("style", true)],
  "style attribute set": [2, inlineAttribute("style", false)],
  "style attribute by script": [
    1,
    ({ id }) => ({
      measure: "done",
      step: { id, op: "css-text", text: "--p: 1" },
      question: { type: "cssom" },
    }),
  ],
  "javascript: link": [1, javascriptUrl("javascript-link")],
  "javascript: frame": [1, javascriptUrl("javascript-frame")],
  eval: [2, compiled("eval", "DIRECT-EVAL")],
  "indirect eval": [1, compiled("indirect-eval", "INDIRECT-EVAL")],
  Function: [2, compiled("function", "FUNCTION")],
  setTimeout: [2, compiled("timer", "TIMER")],
  wasm: [
    1,
    ({ id, random }) => ({
      measure: "done",
      step: { id, op: random.pick(["wasm", "wasm-compile"]), serial: true },
      question: { type: "wasm" },
    }),
  ],
  base: [
    2,
    (site) => {
      const { url } = chain({ ...site, random: { ...site.random, chance: () => false } }, "text");
      return {
        measure: "done",
        step: { id: site.id, op: "base", url, serial: true },
        question: { type: "base", url },
        urls: [url],
      };
    },
  ],
  form: [
    2,
    (site) => {
      const { url, redirects } = chain(site, "html");
      return {
        measure: "hit",
        step: { id: site.id, op: "form", url, serial: true },
        question: { type: "form", urls: [url, ...redirects] },
        urls: [url, ...redirects],
      };
    },
  ],
};

export type Kinds = Readonly<Record<string, readonly [weight: number, make: Make]>>;

/** A probe of any of the kinds, the heavier ones more often. */
export function makeProbe(site: Site, kinds: Kinds): Probe {
  const drawn = Object.entries(kinds).flatMap(([kind, [weight, make]]) =>
    Array.from({ length: weight }, () => ({ kind, make })),
  );
  const { kind, make } = site.random.pick(drawn);
  return { id: site.id, kind, ...make(site) };
}
