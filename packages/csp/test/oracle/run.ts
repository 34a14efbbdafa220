/** Pages in Chromium, beside what the engine says of them. */
import { chromium, type Profile, violationReportBody } from "@conclave/csp";
import type { Browser, Page } from "playwright-core";
import { launchChromium } from "../chromium.ts";
import { documentKinds } from "./documents.ts";
import { driver, type Seen, type Step } from "./driver.ts";
import { type Pool, pageUrl, policy } from "./grammar.ts";
import { integrityHeaders, integrityKinds } from "./integrity.ts";
import { type Kinds, makeProbe, ordinaryKinds, type Probe, scriptBody } from "./probes.ts";
import {
  type DeliveredPolicy,
  decideQuestion,
  fetchedScheme,
  headersOf,
  type Place,
  type Question,
} from "./question.ts";
import { type Random, seededRandom } from "./random.ts";
import { type Answer, type AnyServer, startAnyServer } from "./server.ts";

import { trustedTypesKinds, trustedTypesPolicies } from "./trusted-types.ts";

/** A page with its policies and what it does. */
export interface Case extends Place {
  readonly probes: readonly Probe[];
}

/** What happened, or was to happen: whether it was allowed, by which scheme it was fetched, and the events, sorted. */
export interface Outcome {
  readonly happened: boolean;
  readonly scheme?: string | undefined;
  events: readonly string[];
}

export interface Difference {
  readonly probe: Probe;
  readonly expected: Outcome;
  readonly observed: Outcome;
}

/** The case that a seed gives. Each is of one theme, so that what is asked about stays apart from the rest. */
export function makeCase(seed: number, size: number): Case {
  const random = seededRandom(seed);
  const url = pageUrl(random);
  const page = new URL(url);
  const make = (kinds: Kinds): Probe[] =>
    Array.from({ length: size }, (_, index) =>
      makeProbe({ random, page, id: `s${seed}x${index}` }, kinds),
    );
  const theme = random.below(20);
  if (theme < 3) {
    const probes = make(trustedTypesKinds);
    const names = probes.flatMap(({ texts = [] }) => texts);
    return { url, probes, policies: trustedTypesPolicies(random, names) };
  }
  if (theme < 6) {
    // A sandboxed form's own navigation would be the page's `frame-src` to judge.
    const { "sandbox forms": _, ...others } = documentKinds;
    if (random.chance(0.5)) return { url, probes: make(documentKinds), policies: [] };
    const probes = make(others);
    return { url, probes, policies: makePolicies(random, poolOf(probes)) };
  }
  if (theme < 7) {
    return { url, probes: make(integrityKinds), policies: [], integrity: integrityHeaders(random) };
  }
  if (theme > 7) {
    const probes = make(ordinaryKinds);
    return { url, probes, policies: makePolicies(random, poolOf(probes)) };
  }
  const probes = make(upgradedKinds);
  const policies = makePolicies(random, poolOf(probes));
  const upgrading = { delivery: random.pick(deliveries), text: "upgrade-insecure-requests" };
  return { url, probes, policies: [...policies, upgrading] };
}

/** What Chromium asks about only when it is upgraded (`asked-before-upgrade`). */
const upgradedKinds: Kinds = Object.fromEntries(
  [
    "script inserted",
    "module inserted",
    "dynamic import",
    "style inserted",
    "image",
    "svg image",
    "background",
    "font",
    "xhr",
    "eventsource",
  ].flatMap((kind) => {
    const made = ordinaryKinds[kind];
    return made ? [[kind, made]] : [];
  }),
);

const deliveries = ["header", "header", "report-only header", "meta"] as const;

function poolOf(probes: readonly Probe[]): Pool {
  return {
    urls: probes.flatMap(({ urls = [] }) => urls),
    nonces: probes.flatMap(({ nonces = [] }) => nonces),
    texts: probes.flatMap(({ texts = [] }) => texts),
  };
}

function makePolicies(random: Random, pool: Pool): DeliveredPolicy[] {
  return Array.from({ length: random.pick([1, 1, 1, 2, 2, 3]) }, () => ({
    delivery: random.pick(deliveries),
    text: policy(random, pool),
  }));
}

function documentOf({ policies, probes }: Case): string {
  const metas = policies
    .filter(({ delivery }) => delivery === "meta")
    .map(({ text }) => {
      const content = text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
      return `<meta http-equiv="Content-Security-Policy" content="${content}">`;
    });
  return `<!doctype html><meta charset="utf-8">${metas.join("\n")}<title>Page</title><body>
${probes.map(({ html = "" }) => html).join("\n")}`;
}

const contentTypes: Readonly<Record<string, string>> = {
  script: "text/javascript",
  module: "text/javascript",
  imported: "text/javascript",
  json: "application/json",
  "css-import": "text/css",
  worker: "text/javascript",
  sharedworker: "text/javascript",
  style: "text/css",
  image: "image/svg+xml",
  font: "font/woff2",
  media: "audio/wav",
  vtt: "text/vtt",
  html: "text/html",
  text: "text/plain",
  events: "text/event-stream",
};

function bodyOf(type: string, id: string, imported: string | null): string {
  switch (type) {
    case "script":
      return scriptBody(id);
    case "module":
      return `import ${JSON.stringify(imported)}`;
    case "css-import":
      return `@import ${JSON.stringify(imported)};`;
    case "json":
      return "{}";
    case "worker":
      return "postMessage(0)";
    case "sharedworker":
      return "onconnect = ({ ports: [port] }) => port.postMessage(0)";
    case "image":
      return '<svg xmlns="http://www.w3.org/2000/svg"/>';
    case "vtt":
      return "WEBVTT\n\n";
    default:
      return "";
  }
}

/** A Chromium with a server that is every host. */
export class Oracle {
  readonly #server: AnyServer;
  readonly #browser: Browser;
  readonly #cases: Map<string, Case>;
  readonly #answers: Map<string, Answer>;
  readonly #hits: Map<string, Map<string, string>>;
  #next = 0;

  private constructor(
    server: AnyServer,
    browser: Browser,
    cases: Map<string, Case>,
    answers: Map<string, Answer>,
    hits: Map<string, Map<string, string>>,
  ) {
    this.#server = server;
    this.#browser = browser;
    this.#cases = cases;
    this.#answers = answers;
    this.#hits = hits;
  }

  static async start(): Promise<Oracle> {
    const cases = new Map<string, Case>();
    const answers = new Map<string, Answer>();
    const hits = new Map<string, Map<string, string>>();
    const server = await startAnyServer((url): Answer => {
      const parameter = (name: string): string | null => url.searchParams.get(name);
      const common = ["Access-Control-Allow-Origin", "*", "Cache-Control", "no-store"];
      const page = cases.get(parameter("page") ?? "");
      if (page) {
        const headers = ["Content-Type", "text/html", ...common, ...headersOf(page)];
        return { headers, body: documentOf(page) };
      }
      const to = parameter("to");
      const inner = parameter("inner");
      if (inner) {
        const body = `<iframe src="${inner.replaceAll("&", "&amp;")}"></iframe>`;
        return { headers: ["Content-Type", "text/html", ...common], body };
      }
      if (to) return { status: 307, headers: ["Location", to, ...common], body: "" };
      const id = parameter("p") ?? parameter("o");
      const type = parameter("t") ?? "text";
      if (!id) return { status: 404, headers: common, body: "" };
      const own = type === "own" ? answers.get(id) : undefined;
      if (own) return { ...own, headers: [...own.headers, ...common] };
      if (!parameter("import")) for (const seen of hits.values()) seen.set(id, url.protocol);
      const headers = ["Content-Type", contentTypes[type] ?? "text/plain", ...common];
      return { headers, body: bodyOf(type, id, parameter("import")) };
    });
    const browser = await launchChromium(
      ...server.args,
      "--disable-site-isolation-trials",
      "--allow-running-insecure-content",
    );
    return new Oracle(server, browser, cases, answers, hits);
  }

  async close(): Promise<void> {
    await this.#browser.close();
    this.#server.close();
  }

  /**
   * Runs cases of consecutive seeds in several tabs until there have been so many probes. Every difference that stays
   * is handed to `onDifference`.
   */
  async run(options: {
    readonly seed: number;
    readonly probes: number;
    readonly size: number;
    readonly tabs: number;
    readonly onCase?: (page: Case) => void;
    readonly onDifference: (page: Case, difference: Difference, tab: Page) => void | Promise<void>;
  }): Promise<void> {
    const { seed, probes, size, tabs, onCase, onDifference } = options;
    let next = 0;
    const work = async (): Promise<void> => {
      let tab = await this.openTab();
      for (let used = 1; next * size < probes; used++) {
        const page = makeCase(seed + next++, size);
        for (const difference of await this.differences(tab, page)) {
          await onDifference(page, difference, tab);
        }
        onCase?.(page);
        // A tab that has been everywhere gets slow.
        if (used % 40 > 0) continue;
        await tab.context().close();
        tab = await this.openTab();
      }
      await tab.context().close();
    };
    await Promise.all(Array.from({ length: tabs }, work));
  }

  /** A tab to run cases in, one after the other. */
  async openTab(): Promise<Page> {
    const context = await this.#browser.newContext({ ignoreHTTPSErrors: true });
    const tab = await context.newPage();
    // As text: a test runner would replace the import by one of its own.
    await tab.addInitScript("globalThis.oracleImport = (url, options) => import(url, options)");
    await tab.addInitScript(driver);
    return tab;
  }

  /**
   * Runs a case, and gives what is not as the engine says. What is not so when the probes concerned run again by
   * themselves was the machine's doing and counts for nothing.
   */
  async differences(tab: Page, page: Case): Promise<Difference[]> {
    const found = await this.#compare(tab, page);
    const confirmed: Difference[] = [];
    for (const { probe } of found) {
      confirmed.push(...(await this.#compare(tab, { ...page, probes: [probe] })));
    }
    return confirmed;
  }

  /** The case with as little in it as still shows the difference: fewer policies, directives, expressions. */
  async minimal(tab: Page, page: Case, probe: Probe): Promise<Case> {
    let smallest: Case = { ...page, probes: [probe] };
    for (let shrunk = true; shrunk; ) {
      shrunk = false;
      for (const candidate of smallerCases(smallest)) {
        if ((await this.#compare(tab, candidate)).length === 0) continue;
        smallest = candidate;
        shrunk = true;
        break;
      }
    }
    return smallest;
  }

  async #compare(tab: Page, page: Case): Promise<Difference[]> {
    const key = String(this.#next++);
    const hits = new Map<string, string>();
    this.#cases.set(key, page);
    this.#hits.set(key, hits);
    for (const { id, answer } of page.probes) if (answer) this.#answers.set(id, answer);
    let seen: Seen;
    try {
      const url = new URL(page.url);
      url.searchParams.set("page", key);
      await tab.goto(url.href);
      const steps = page.probes.flatMap(({ step }): Step[] => (step ? [step] : []));
      const run = `oracleRun(${JSON.stringify(steps)})`;
      seen = await tab.evaluate<Seen>(run);
    } finally {
      this.#cases.delete(key);
      this.#hits.delete(key);
      for (const { id } of page.probes) this.#answers.delete(id);
    }
    const done = new Set(seen.done);
    const found: Difference[] = [];
    for (const probe of page.probes) {
      const expected = await expectedOutcome(probe, page);
      const observed: Outcome = {
        happened: (probe.measure === "hit" ? hits : done).has(probe.id),
        scheme:
          probe.measure === "hit" && fetchedScheme(probe.question, page)
            ? hits.get(probe.id)
            : undefined,
        events: eventTexts(seen.events.filter((event) => event.probe === probe.id)),
      };
      if (isPreloadedRedirect(probe.question)) {
        for (const outcome of [expected, observed]) {
          outcome.events = outcome.events.filter((event) => !event.startsWith('["report"'));
        }
      }
      if (JSON.stringify(expected) !== JSON.stringify(observed)) {
        found.push({ probe, expected, observed });
      }
    }
    return found;
  }
}

/** What the engine says of a probe. */
export async function expectedOutcome(
  { question, measure }: Probe,
  page: Case,
  profile: Profile = chromium,
): Promise<Outcome> {
  const decision = await decideQuestion(question, page, profile);
  const happened = decision.result === "Allowed";
  const bodies = decision.violations.map((violation) => violationReportBody(violation, profile));
  return {
    happened,
    scheme: measure === "hit" && happened ? fetchedScheme(question, page, profile) : undefined,
    events: eventTexts(bodies.map((body) => ({ ...body, blockedURI: body.blockedURL }))),
  };
}

/** What the parser has preloaded says nothing of a redirect to policies that only report. */
function isPreloadedRedirect(question: Question): boolean {
  if (question.type !== "fetches" || !question.scanned) return false;
  return question.inits.some(({ redirects = [] }) => redirects.length > 0);
}

// The case with one policy, directive or expression less.
function* smallerCases(page: Case): Generator<Case> {
  for (const [index, policy] of page.policies.entries()) {
    const others = page.policies.toSpliced(index, 1);
    if (others.length > 0) yield { ...page, policies: others };
    const directives = policy.text.split(";");
    const withText = (text: string): Case => ({
      ...page,
      policies: page.policies.with(index, { ...policy, text }),
    });
    for (const [at, directive] of directives.entries()) {
      if (directives.length > 1) yield withText(directives.toSpliced(at, 1).join(";"));
      const tokens = directive.trim().split(/ +/);
      for (let token = 1; token < tokens.length; token++) {
        yield withText(directives.with(at, tokens.toSpliced(token, 1).join(" ")).join(";"));
      }
    }
  }
}

interface EventFacts {
  readonly disposition: string;
  readonly effectiveDirective: string;
  readonly blockedURI: string;
  readonly sample: string;
  readonly originalPolicy: string;
}

/**
 * Events as text, sorted. Of those of a policy that only reports one of each kind is kept: that there may be more is
 * the difference `report-only-repeats`.
 */
function eventTexts(events: readonly EventFacts[]): string[] {
  const text = (event: EventFacts): string => {
    const { disposition, effectiveDirective, blockedURI, sample, originalPolicy } = event;
    return JSON.stringify([disposition, effectiveDirective, blockedURI, sample, originalPolicy]);
  };
  const enforced = events.filter(({ disposition }) => disposition === "enforce").map(text);
  const reported = events.filter(({ disposition }) => disposition === "report").map(text);
  return [...enforced, ...new Set(reported)].toSorted();
}
