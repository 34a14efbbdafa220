/**
 * A policy for a site that runs: a Chromium visits it under a policy that reports everything and blocks nothing, what
 * was seen is proposed with its evidence, and a second visit under the proposed policy proves it.
 * Needs a browser from `playwright-core`, which is handed in.
 * @module
 */
import type { Browser, BrowserContext, CDPSession, Page } from "playwright-core";
import { CspError } from "../errors.ts";
import type { Policy } from "../policy/policy.ts";
import { buildPolicy, hashSource, type PolicyDirectives } from "./build.ts";
import { type HtmlInventory, inspectHtml } from "./html.ts";
import {
  type Concern,
  type Evidence,
  type ProposedSource,
  proposePolicy,
  Sightings,
  type SourceDirective,
  sourceFor,
} from "./proposal.ts";

export type { Concern, Evidence, ProposedSource, SourceDirective };

export interface CrawlOptions {
  /** A Chromium: pages are opened in contexts of their own. */
  readonly browser: Browser;
  /** Default 20. Links to the same origin are followed, without their fragments. */
  readonly maxPages?: number;
  /** For one page to load, in milliseconds. Default 15,000. */
  readonly timeout?: number;
  /** Uses a page that has loaded: what happens only on a click is seen only then. Called in both rounds. */
  readonly interact?: (page: Page) => Promise<void>;
  /** Which of the proposed sources get into the policy. Default: all whose concern is not `unsafe`. */
  readonly accept?: (source: ProposedSource) => boolean;
  /** In place of what is proposed for these. */
  readonly directives?: PolicyDirectives;
  /** Called before each visit. */
  readonly onVisit?: (url: string, round: "observe" | "prove") => void;
}

/** What speaks against the policy. */
export interface CrawlProblem {
  readonly code:
    | "not-loaded"
    | "static-nonce"
    | "varying-script"
    | "script-without-nonce"
    | "not-expressible";
  readonly page: string;
  readonly message: string;
  readonly remedy: string;
}

/** What the policy blocked when it was enforced. */
export interface SeenViolation {
  readonly page: string;
  readonly directive: string;
  /** A URL, or `inline`, `eval`. */
  readonly blocked: string;
  readonly sample: string;
}

export interface CrawledSite {
  /** The pages visited, in order. */
  readonly pages: readonly string[];
  readonly sources: readonly ProposedSource[];
  /** Of those that were accepted. Where `usesNonces`, `withNonce` gives it for one response. */
  readonly policy: Policy;
  readonly usesNonces: boolean;
  readonly problems: readonly CrawlProblem[];
  readonly proof: {
    /** What reported when nothing was allowed. */
    readonly before: number;
    /** Under the policy, with everything else that its pages send about policies taken away. */
    readonly violations: readonly SeenViolation[];
    /** Script errors that did not come in the first round. */
    readonly newErrors: readonly string[];
  };
}

/** Allows nothing, and reports it. */
const observing =
  "default-src 'none'; script-src 'report-sample'; style-src 'report-sample'; base-uri 'none'; form-action 'none'";

/** Stands for a response's nonce in a policy. */
const placeholder = "NONCE";

/** The policy for a response with that nonce. Throws `CspError` when it is none. */
export function withNonce(policy: Policy, nonce: string): Policy {
  const directives = policy.directiveSet.map(({ name, value }) => [
    name,
    value.map(({ text }) => (text === `'nonce-${placeholder}'` ? `'nonce-${nonce}'` : text)),
  ]);
  // They come from a policy that was built.
  return buildPolicy(Object.fromEntries(directives) as PolicyDirectives, policy.disposition);
}

/**
 * Visits a site twice. Only what the visits show is known: pages behind a sign-in, and what nobody clicked, are not
 * seen. Throws `CspError` (`invalid-url`) when `start` is no web URL or cannot be loaded.
 */
export async function crawlSite(start: string | URL, options: CrawlOptions): Promise<CrawledSite> {
  const first = URL.parse(String(start));
  if (!first || !/^https?:$/.test(first.protocol)) {
    throw new CspError("invalid-url", `${JSON.stringify(String(start))} is no http or https URL`);
  }
  first.hash = "";
  const maxPages = options.maxPages ?? 20;
  const waiting = [first.href];
  const seenBefore = new Set<string>();
  const pages: string[] = [];
  const visits: Visit[] = [];
  const problems: CrawlProblem[] = [];
  while (pages.length < maxPages) {
    const url = waiting.shift();
    if (url === undefined) break;
    if (seenBefore.has(url)) continue;
    seenBefore.add(url);
    options.onVisit?.(url, "observe");
    const visit = await visitPage(url, { headerFor: observe }, options);
    if ("failure" in visit) {
      if (visits.length === 0) throw new CspError("invalid-url", `${url}: ${visit.failure}`);
      if (visit.failure === notHtml) continue;
      problems.push({
        code: "not-loaded",
        page: url,
        message: visit.failure,
        remedy: "see whether the page works; it is not in the proposal",
      });
      continue;
    }
    pages.push(url);
    visits.push(visit);
    for (const link of visit.links) {
      const linked = URL.parse(link);
      if (linked?.origin !== first.origin) continue;
      linked.hash = "";
      waiting.push(linked.href);
    }
  }
  // The same page again shows what is different in each response.
  options.onVisit?.(first.href, "observe");
  const again = await visitPage(first.href, { headerFor: observe }, options);
  const observed = await readVisits(visits, "failure" in again ? null : again, first, problems);
  const accept = options.accept ?? (({ concern }) => concern !== "unsafe");
  const policy = proposePolicy(observed.sources.filter(accept), {
    "frame-ancestors": ["'none'"],
    ...options.directives,
  });
  return {
    pages,
    sources: observed.sources,
    policy,
    usesNonces: observed.usesNonces,
    problems,
    proof: await prove(pages, visits, policy, options),
  };
}

const reportOnly = "Content-Security-Policy-Report-Only";
const observe = (): Header => [reportOnly, observing];

type Header = readonly [name: string, value: string];

/** A violation as the page's event has it. */
interface PageEvent {
  readonly directive: string;
  readonly blocked: string;
  readonly sample: string;
  readonly policy: string;
  readonly sourceFile: string;
  readonly line: number;
  readonly column: number;
  /** Of the element, where the event went to one. */
  readonly text: string;
  readonly attributes: readonly (readonly [name: string, value: string])[];
  readonly nonce: string;
}

interface Visit {
  readonly url: string;
  readonly html: HtmlInventory;
  readonly events: readonly PageEvent[];
  readonly errors: readonly string[];
  /** Where requests were sent on to, with the URL that they began with. */
  readonly redirects: readonly { readonly from: string; readonly to: string }[];
  readonly forms: readonly string[];
  readonly links: readonly string[];
  readonly base: string | null;
}

const notHtml = "is no HTML";

interface Failure {
  readonly failure: string;
}

/** What a visit's documents are sent with, given the nonce in their HTML. */
interface Sending {
  readonly headerFor: (nonce: string) => Header;
  /** Takes away the pages' own policies. */
  readonly alone?: boolean;
}

async function visitPage(
  url: string,
  sending: Sending,
  { browser, timeout = 15_000, interact }: CrawlOptions,
): Promise<Visit | Failure> {
  const context = await browser.newContext({ serviceWorkers: "block" });
  try {
    const events: PageEvent[] = [];
    const errors: string[] = [];
    const redirects: { from: string; to: string }[] = [];
    const page = await openPage(context, (event) => events.push(event));
    page.setDefaultTimeout(timeout);
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("request", (request) => {
      let origin = request;
      for (let from = origin.redirectedFrom(); from; from = origin.redirectedFrom()) origin = from;
      if (origin !== request) redirects.push({ from: origin.url(), to: request.url() });
    });
    await sendPolicies(await context.newCDPSession(page), new URL(url).origin, sending);
    const response = await page.goto(url, { waitUntil: "load", timeout });
    if (!response?.ok()) return { failure: `answered with status ${response?.status() ?? "none"}` };
    if (!/html/.test(response.headers()["content-type"] ?? "")) return { failure: notHtml };
    const html = inspectHtml(await response.text());
    await settle(page, timeout);
    const { forms, links, base } = await readPage(page);
    await interact?.(page);
    await settle(page, timeout);
    return { url, html, events, errors, redirects, forms, links, base };
  } catch (error) {
    return { failure: error instanceof Error ? (error.message.split("\n")[0] ?? "") : "failed" };
  } finally {
    await context.close();
  }
}

async function openPage(
  context: BrowserContext,
  onEvent: (event: PageEvent) => void,
): Promise<Page> {
  await context.exposeBinding("__conclaveCspSeen", (_source, event: PageEvent) => onEvent(event));
  // As text, so that no compiler's helper is missing in the page.
  await context.addInitScript(`{
    const seen = globalThis.__conclaveCspSeen;
    addEventListener("securitypolicyviolation", (event) => {
      const element = event.target instanceof Element ? event.target : null;
      const isBlock = element instanceof HTMLScriptElement || element instanceof HTMLStyleElement;
      seen({
        directive: event.effectiveDirective,
        blocked: event.blockedURI,
        sample: event.sample,
        policy: event.originalPolicy,
        sourceFile: event.sourceFile ?? "",
        line: event.lineNumber,
        column: event.columnNumber,
        text: isBlock ? element.textContent : "",
        attributes: Array.from(element?.attributes ?? [], ({ name, value }) => [name, value]),
        nonce: element?.nonce ?? "",
      });
    }, true);
  }`);
  return await context.newPage();
}

/** Sends the documents of the site with a policy. With their body anew: Chromium reads changed headers only so. */
async function sendPolicies(session: CDPSession, origin: string, sending: Sending): Promise<void> {
  session.on("Fetch.requestPaused", (event) => {
    const { requestId, request, responseStatusCode = 0, responseHeaders = [] } = event;
    const answer = async () => {
      const isRedirect = responseStatusCode >= 300 && responseStatusCode < 400;
      if (!responseStatusCode || isRedirect || URL.parse(request.url)?.origin !== origin) {
        await session.send("Fetch.continueRequest", { requestId });
        return;
      }
      const { body, base64Encoded } = await session.send("Fetch.getResponseBody", { requestId });
      const html = base64Encoded ? Buffer.from(body, "base64").toString() : body;
      const nonced = inspectHtml(html).scripts.find((script) => nonceOf(script) !== "");
      const [name, value] = sending.headerFor(nonced ? nonceOf(nonced) : placeholder);
      const kept = responseHeaders.filter(
        (header) =>
          !/^content-(?:encoding|length)$/i.test(header.name) &&
          !(sending.alone && /^content-security-policy/i.test(header.name)),
      );
      await session.send("Fetch.fulfillRequest", {
        requestId,
        responseCode: responseStatusCode,
        responseHeaders: [...kept, { name, value }],
        body: base64Encoded ? body : Buffer.from(body).toString("base64"),
      });
    };
    // The page may be gone by then.
    answer().catch(() => undefined);
  });
  await session.send("Fetch.enable", {
    patterns: [{ resourceType: "Document", requestStage: "Response" }],
  });
}

/** Until the network is quiet, or for a moment where it never is. */
async function settle(page: Page, timeout: number): Promise<void> {
  await page
    .waitForLoadState("networkidle", { timeout: Math.min(timeout, 5_000) })
    .catch(() => undefined);
  // What the events' tasks have queued.
  await page.waitForTimeout(100);
}

interface PageParts {
  readonly forms: readonly string[];
  readonly links: readonly string[];
  readonly base: string | null;
}

async function readPage(page: Page): Promise<PageParts> {
  return await page.evaluate<PageParts>(`({
    forms: Array.from(document.querySelectorAll("form"), (form) => HTMLFormElement.prototype.__lookupGetter__("action").call(form)),
    links: Array.from(document.querySelectorAll("a[href]:not([download])"), (link) => String(link.href)),
    base: document.querySelector("base[href]")?.href ?? null,
  })`);
}

interface Observed {
  readonly sources: readonly ProposedSource[];
  readonly usesNonces: boolean;
}

/** What the visits amount to. */
async function readVisits(
  visits: readonly Visit[],
  again: Visit | null,
  site: URL,
  problems: CrawlProblem[],
): Promise<Observed> {
  const usesNonces = hasFreshNonces(visits, again, problems);
  const sightings = new Sightings();
  let trusting = false;
  let left = false;
  for (const visit of visits) {
    for (const event of visit.events) {
      if (event.policy !== observing) continue;
      const seen = new Seen(event, visit, site);
      if (seen.isCode && usesNonces) {
        const isNonced = seen.nonce !== "";
        if (isNonced) {
          sightings.add(
            { directive: seen.directive, expression: `'nonce-${placeholder}'`, concern: "none" },
            seen.evidence,
          );
          continue;
        }
        if (seen.directive === "script-src" && seen.evidence.insertedBy === "script") {
          trusting = true;
          sightings.add(
            { directive: "script-src", expression: "'strict-dynamic'", concern: "none" },
            seen.evidence,
          );
          continue;
        }
        if (seen.directive === "script-src" && event.blocked !== "inline") left = true;
      }
      await addSeen(seen, sightings, problems);
    }
    for (const { from, to } of visit.redirects) addRedirect(visit, from, to, site, sightings);
    for (const form of visit.forms) {
      addUrl(sightings, form, "form-action", visit, site, "a form of the page", problems);
    }
    if (visit.base) addUrl(sightings, visit.base, "base-uri", visit, site, visit.base, problems);
  }
  if (trusting && left) {
    problems.push({
      code: "script-without-nonce",
      page: site.href,
      message: "has scripts without a nonce, which 'strict-dynamic' blocks whatever their URL",
      remedy: "give every script of the templates the nonce",
    });
  }
  reportVarying(visits[0], again, usesNonces, problems);
  return { sources: sightings.sources(), usesNonces };
}

/** One event, and what can be said about it. */
class Seen {
  readonly event: PageEvent;
  readonly visit: Visit;
  readonly site: URL;
  readonly directive: SourceDirective;
  readonly nonce: string;
  readonly evidence: Omit<Evidence, "times">;

  constructor(event: PageEvent, visit: Visit, site: URL) {
    this.event = event;
    this.visit = visit;
    this.site = site;
    // The observing policy has source lists alone; elements share theirs.
    this.directive = event.directive.replace(/-elem$/, "") as SourceDirective;
    const element = this.#inHtml();
    this.nonce = event.nonce || (element ? nonceOf(element) : "");
    const code = (this.code ?? event.sample).replace(/\s+/g, " ").trim().slice(0, 80);
    const isCode = ["inline", "eval", "wasm-eval"].includes(event.blocked);
    this.evidence = {
      page: visit.url,
      what: isCode ? code || event.blocked : event.blocked,
      ...(event.line > 0 ? { line: event.line, column: event.column } : {}),
      // What a style sheet loads is in neither.
      ...(element
        ? { insertedBy: "parser" }
        : /^(?:script|style)-src/.test(event.directive)
          ? { insertedBy: "script" }
          : {}),
    };
  }

  get isCode(): boolean {
    return /^(?:script|style)-src-elem$/.test(this.event.directive);
  }

  /** The whole of what a hash would be of. */
  get code(): string | null {
    const { event } = this;
    if (event.blocked !== "inline") return null;
    if (event.directive.endsWith("-elem")) {
      const { scripts, styles, javascriptUrls } = this.visit.html;
      if (event.text) return event.text;
      const blocks = event.directive === "script-src-elem" ? scripts : styles;
      const block = blocks.find(({ text }) => event.sample !== "" && text.startsWith(event.sample));
      if (block) return block.text;
      const [url] = javascriptUrls;
      return url ? (URL.parse(url.attribute.value)?.href ?? null) : null;
    }
    const isHandler = event.directive === "script-src-attr";
    for (const [name, value] of event.attributes) {
      const fits = isHandler ? name.startsWith("on") : name === "style";
      if (fits && value.startsWith(event.sample)) return value;
    }
    return null;
  }

  /** The element of the HTML that this comes from; `undefined` where a script has made it. */
  #inHtml() {
    const { event, visit } = this;
    const { html } = visit;
    if (event.blocked === "inline" && event.directive.endsWith("-elem")) {
      const { code } = this;
      const blocks = event.directive === "script-src-elem" ? html.scripts : html.styles;
      return (
        blocks.find(({ text }) => text === code) ??
        html.javascriptUrls.find(({ attribute }) => attribute.value === code)?.element
      );
    }
    if (event.blocked === "inline") {
      const uses = [...html.eventHandlers, ...html.styleAttributes];
      return uses.find(({ attribute }) => attribute.value === this.code)?.element;
    }
    const base = visit.base ?? visit.url;
    return html.resources.find(({ url }) => {
      const parsed = URL.parse(url, base);
      if (parsed) parsed.hash = "";
      // Of a frame, events name the origin alone.
      return parsed?.href === event.blocked || parsed?.origin === event.blocked;
    })?.element;
  }
}

async function addSeen(seen: Seen, sightings: Sightings, problems: CrawlProblem[]): Promise<void> {
  const { event, directive, evidence, visit, site } = seen;
  const add = (expression: string, concern: Concern) =>
    sightings.add({ directive, expression, concern }, evidence);
  if (event.blocked === "eval") add("'unsafe-eval'", "unsafe");
  else if (event.blocked === "wasm-eval") add("'wasm-unsafe-eval'", "none");
  else if (event.blocked === "inline") {
    const { code } = seen;
    const isBlock = event.directive.endsWith("-elem") && !code?.startsWith("javascript:");
    if (!isBlock) add("'unsafe-hashes'", "unsafe");
    if (code !== null) add(await hashSource(code), isBlock ? "none" : "unsafe");
  } else {
    const url = event.blocked === "" ? "data:" : event.blocked;
    const whole = URL.canParse(url) ? url : `${url}:`;
    addUrl(sightings, whole, directive, visit, site, evidence.what, problems, evidence);
  }
}

function addUrl(
  sightings: Sightings,
  written: string,
  directive: SourceDirective,
  visit: Visit,
  site: URL,
  what: string,
  problems: CrawlProblem[],
  evidence: Omit<Evidence, "times"> = { page: visit.url, what },
): void {
  const url = URL.parse(written, visit.url);
  if (!url || url.protocol === "javascript:") return;
  const source = sourceFor(url, site, directive);
  if (source) sightings.add(source, evidence);
  else {
    problems.push({
      code: "not-expressible",
      page: visit.url,
      message: `no source expression can name ${url.origin}`,
      remedy: "give it a domain name of letters, digits and hyphens",
    });
  }
}

/** Events name the URL that a request began with; where it was sent on to needs a source, too, without a path. */
function addRedirect(
  visit: Visit,
  from: string,
  to: string,
  site: URL,
  sightings: Sightings,
): void {
  const url = URL.parse(to);
  if (!url) return;
  for (const event of visit.events) {
    if (event.blocked !== from || event.policy !== observing) continue;
    const seen = new Seen(event, visit, site);
    const source = sourceFor(new URL(url.origin), site, seen.directive);
    if (!source) continue;
    const expression = source.expression.replace(/\/$/, "");
    sightings.add({ ...source, expression }, { ...seen.evidence, what: `${from} → ${to}` });
  }
}

function nonceOf({
  attributes,
}: {
  readonly attributes: readonly { readonly name: string; readonly value: string }[];
}): string {
  return attributes.find(({ name }) => name === "nonce")?.value ?? "";
}

function noncesOf(visit: Visit): Set<string> {
  return new Set(visit.html.scripts.map(nonceOf).filter((nonce) => nonce !== ""));
}

/** A nonce that comes twice is none. */
function hasFreshNonces(
  visits: readonly Visit[],
  again: Visit | null,
  problems: CrawlProblem[],
): boolean {
  const [first] = visits;
  if (!first || !again) return false;
  const before = noncesOf(first);
  const after = noncesOf(again);
  if (before.size === 0 || after.size === 0) return false;
  if (![...after].some((nonce) => before.has(nonce))) return true;
  problems.push({
    code: "static-nonce",
    page: first.url,
    message: "sends the same nonce twice, so whoever has seen it can use it",
    remedy: "make a fresh nonce for each response",
  });
  return false;
}

/** An inline script that is another one each time has no hash. */
function reportVarying(
  first: Visit | undefined,
  again: Visit | null,
  usesNonces: boolean,
  problems: CrawlProblem[],
): void {
  if (!first || !again) return;
  const inline = ({ html }: Visit) =>
    html.scripts.filter(({ type, src }) => type !== "data" && src === null);
  const texts = new Set(inline(again).map(({ text }) => text));
  for (const script of inline(first)) {
    if (texts.has(script.text) || (usesNonces && nonceOf(script) !== "")) continue;
    problems.push({
      code: "varying-script",
      page: first.url,
      message: `has an inline script that is different each time: ${script.text.trim().slice(0, 60)}`,
      remedy: "give it a nonce, or put what changes into a data block (type=application/json)",
    });
  }
}

/** Visits all pages again, under the policy. */
async function prove(
  pages: readonly string[],
  visits: readonly Visit[],
  policy: Policy,
  options: CrawlOptions,
): Promise<CrawledSite["proof"]> {
  const violations: SeenViolation[] = [];
  const newErrors: string[] = [];
  const headerFor = (nonce: string): Header => [
    "Content-Security-Policy",
    withNonce(policy, nonce).text,
  ];
  for (const [index, url] of pages.entries()) {
    options.onVisit?.(url, "prove");
    const visit = await visitPage(url, { headerFor, alone: true }, options);
    if ("failure" in visit) {
      newErrors.push(`${url}: ${visit.failure}`);
      continue;
    }
    for (const { directive, blocked, sample } of visit.events) {
      violations.push({ page: url, directive, blocked, sample });
    }
    const known = new Set(visits[index]?.errors);
    newErrors.push(...visit.errors.filter((error) => !known.has(error)));
  }
  const before = visits
    .flatMap(({ events }) => events)
    .filter((event) => event.policy === observing).length;
  return { before, violations, newErrors };
}
