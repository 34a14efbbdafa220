/** Probes that are documents and workers of their own: who may frame them, what a sandbox takes, what they inherit. */
import type { SandboxingFlag } from "@conclave/csp";
import { anyUrl, type Pool, policy, sourceList } from "./grammar.ts";
import { chain, type Kinds, type Make, type Site, scriptBody, urlsOf } from "./probes.ts";
import { type DeliveredPolicy, headersOf, type Place, type Question } from "./question.ts";

const html = ["Content-Type", "text/html"] as const;

/** A document of the probe's own, on a host of its own. */
function ownUrl({ id, random, page }: Site): string {
  const url = new URL(anyUrl(random, page));
  url.search = `?p=${id}&t=own`;
  return url.href;
}

/** The page's own word on a frame. */
const framed = (url: string): Question => ({
  type: "fetches",
  inits: [{ destination: "iframe", mode: "navigate", url }],
});

const deliveries = ["header", "header", "report-only header"] as const;

/** `frame-ancestors` and `X-Frame-Options`, with a frame between now and then. */
const framing: Make = (site) => {
  const { id, random, page } = site;
  const url = ownUrl(site);
  const between = random.chance(0.4) ? new URL(anyUrl(random, page)) : null;
  if (between) between.search = `?t=outer&inner=${encodeURIComponent(url)}`;
  const ancestors = [...(between ? [between.origin] : []), page.origin];
  const pool: Pool = { urls: ancestors, nonces: [], texts: [] };
  const count = random.pick([0, 1, 1, 1, 2]);
  const policies = Array.from({ length: count }, (): DeliveredPolicy => {
    const others = random.chance(0.2) ? "; default-src 'none'" : "";
    const text = `frame-ancestors ${sourceList(random, pool)}${others}`;
    return { delivery: random.pick(deliveries), text };
  });
  const options = random.chance(0.5)
    ? random.pick([
        "DENY",
        "SAMEORIGIN",
        "ALLOWALL",
        "sameOrigin",
        "invalid",
        "DENY, SAMEORIGIN",
        "SAMEORIGIN,SAMEORIGIN",
        "ALLOWALL, invalid",
        "ALLOW-FROM https://a.test",
        "invalid, other",
        "SAMEORIGIN, ",
      ])
    : null;
  const place: Place = { url, policies };
  const xFrameOptions = options === null ? [] : options.split(",");
  const headers = [...html, ...headersOf(place)];
  if (options !== null) headers.push("X-Frame-Options", options);
  return {
    measure: "done",
    step: { id, op: "iframe", url: between?.href ?? url, serial: true },
    question: {
      type: "sequence",
      questions: [
        framed(between?.href ?? url),
        { type: "framing", place, xFrameOptions, ancestors },
      ],
    },
    answer: { headers, body: "framed" },
  };
};

const sandboxTokens = [
  "allow-scripts",
  "allow-scripts",
  "ALLOW-SCRIPTS",
  "allow-same-origin",
  "allow-forms",
  "allow-popups",
  "allow-modals",
  "allow-downloads",
  "unknown",
] as const;

/** A sandboxed document that tries something. `needs` are the flags that have to be off for it. */
const sandboxed =
  (
    needs: readonly SandboxingFlag[],
    script: (id: string) => string,
    measure: "done" | "hit",
  ): Make =>
  (site) => {
    const { id, random } = site;
    // Not `p`, which would count as done when the document is there.
    const url = ownUrl(site).replace("?p=", "?o=");
    const policies = Array.from({ length: random.pick([1, 1, 2]) }, (): DeliveredPolicy => {
      const tokens = random.some(sandboxTokens, 0.6).join(" ");
      return { delivery: random.pick(deliveries), text: `sandbox ${tokens}`.trim() };
    });
    const place: Place = { url, policies };
    const body = `<body><script>${script(id)}</script>`;
    return {
      measure,
      step: { id, op: "frame", url, serial: true },
      question: {
        type: "sequence",
        questions: [framed(url), { type: "sandbox", place, needs }],
      },
      answer: { headers: [...html, ...headersOf(place)], body },
    };
  };

/** Documents whose policies are the page's, and what they load. */
function inheriting(how: "srcdoc" | "blob" | "data" | "blank"): Make {
  return (site) => {
    const { id, page } = site;
    const { url, redirects } = chain(site, "image");
    const text = `<img src="${url.replaceAll("&", "&amp;")}">`;
    const image: Question = {
      type: "fetches",
      inits: [{ destination: "image", url, redirects }],
    };
    const urls = {
      blob: `blob:${page.origin}/00000000-0000-4000-8000-000000000000`,
      data: `data:text/html,${encodeURIComponent(text)}`,
    };
    const more = { measure: "hit", urls: urlsOf(image) } as const;
    if (how === "srcdoc" || how === "blank") {
      return { ...more, step: { id, op: how, text }, question: image };
    }
    const frameUrl = how === "blob" ? "blob:" : urls.data;
    return {
      ...more,
      step: { id, op: "iframe", url: frameUrl, text, name: "text/html", serial: true },
      question: { type: "sequence", questions: [framed(urls[how]), image] },
    };
  };
}

/** A worker, with policies of its own or inherited, that does something and says when it has. */
function inWorker(what: "fetch" | "importScripts" | "eval", how: "network" | "blob"): Make {
  return (site) => {
    const { id, random, page } = site;
    const { url, redirects } = chain(site, what === "fetch" ? "text" : "imported");
    const actions = {
      fetch: `await fetch(${JSON.stringify(url)})`,
      importScripts: `importScripts(${JSON.stringify(url)})`,
      eval: `eval("postMessage({ ran: '${id}' })")`,
    };
    const text = `
      addEventListener("securitypolicyviolation", (e) => postMessage({ event: {
        probe: "${id}", blockedURI: e.blockedURI, effectiveDirective: e.effectiveDirective,
        disposition: e.disposition, sample: e.sample, originalPolicy: e.originalPolicy } }));
      (async () => {
        try { ${actions[what]} } catch {}
        setTimeout(() => postMessage("end"), 60);
      })()`;
    const questions: Record<typeof what, Question> = {
      fetch: { type: "fetches", inits: [{ mode: "cors", url, redirects }] },
      importScripts: {
        type: "fetches",
        inits: [{ destination: "script", parserInserted: false, url, redirects }],
      },
      eval: {
        type: "compile",
        compilationType: "DIRECT-EVAL",
        text: `postMessage({ ran: '${id}' })`,
      },
    };
    const question = questions[what];
    const workerUrl =
      how === "network"
        ? `${page.origin}/worker?p=${id}&t=own`
        : `blob:${page.origin}/00000000-0000-4000-8000-000000000000`;
    const started: Question = {
      type: "fetches",
      inits: [{ destination: "worker", parserInserted: false, url: workerUrl }],
    };
    const common = {
      measure: what === "eval" ? "done" : "hit",
      urls: urlsOf(question),
    } as const;
    if (how === "blob") {
      return {
        ...common,
        step: { id, op: "worker", url: "blob:", text, name: "text/javascript", serial: true },
        question: { type: "sequence", questions: [started, question] },
      };
    }
    const pool: Pool = { urls: urlsOf(question), nonces: [], texts: [] };
    const policies = Array.from({ length: random.pick([0, 1, 1, 2]) }, (): DeliveredPolicy => {
      // Chromium encodes other characters twice where a worker reports its policy.
      const text = policy(random, pool).replaceAll(/[^ -~]/g, "");
      return { delivery: random.pick(deliveries), text };
    });
    const place: Place = { url: workerUrl, policies };
    return {
      ...common,
      step: { id, op: "worker", url: workerUrl },
      question: {
        type: "sequence",
        questions: [started, { type: "elsewhere", place, question }],
      },
      answer: { headers: ["Content-Type", "text/javascript", ...headersOf(place)], body: text },
    };
  };
}

/** Each kind with how often it is made. */
export const documentKinds: Kinds = {
  framing: [8, framing],
  "sandbox scripts": [2, sandboxed(["scripts"], scriptBody, "done")],
  "sandbox origin": [
    2,
    sandboxed(["scripts", "origin"], (id) => `if (origin !== "null") ${scriptBody(id)}`, "done"),
  ],
  "sandbox forms": [
    2,
    sandboxed(
      ["scripts", "forms"],
      (id) =>
        `const f = document.createElement("form"); f.action = "/form"; f.append(Object.assign(document.createElement("input"), { name: "p", value: "${id}" })); document.body.append(f); f.submit()`,
      "hit",
    ),
  ],
  "sandbox popups": [
    1,
    sandboxed(
      ["scripts", "auxiliary navigation"],
      (id) => `const w = open("about:blank"); if (w) { ${scriptBody(id)}; w.close() }`,
      "done",
    ),
  ],
  "srcdoc image": [2, inheriting("srcdoc")],
  "blob frame image": [2, inheriting("blob")],
  "data frame image": [2, inheriting("data")],
  "blank frame image": [1, inheriting("blank")],
  "worker fetch": [2, inWorker("fetch", "network")],
  "worker importScripts": [2, inWorker("importScripts", "network")],
  "worker eval": [2, inWorker("eval", "network")],
  "blob worker fetch": [1, inWorker("fetch", "blob")],
  "blob worker importScripts": [1, inWorker("importScripts", "blob")],
  "blob worker eval": [1, inWorker("eval", "blob")],
};
