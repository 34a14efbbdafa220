/** Pages in Chromium, beside what the engine says of them. */
import {
  type Client,
  chromium,
  type Policy,
  parseMetaPolicy,
  parsePolicyList,
  violationReportBody,
} from "@conclave/csp";
import type { Browser, Page } from "playwright-core";
import { launchChromium } from "../chromium.ts";
import { driver, type Seen, type Step } from "./driver.ts";
import { type Pool, pageUrl, policy } from "./grammar.ts";
import { decideQuestion, makeProbe, type Probe, scriptBody } from "./probes.ts";
import { type Random, seededRandom } from "./random.ts";
import { type Answer, type AnyServer, startAnyServer } from "./server.ts";

/** A policy and how it comes to the page. */
export interface DeliveredPolicy {
  readonly delivery: "header" | "report-only header" | "meta";
  readonly text: string;
}

/** A page with its policies and what it does. */
export interface Case {
  readonly url: string;
  readonly policies: readonly DeliveredPolicy[];
  readonly probes: readonly Probe[];
}

/** What happened, or was to happen: whether it was allowed, and the events, sorted. */
export interface Outcome {
  readonly happened: boolean;
  readonly events: readonly string[];
}

export interface Difference {
  readonly probe: Probe;
  readonly expected: Outcome;
  readonly observed: Outcome;
}

/** The case that a seed gives. */
export function makeCase(seed: number, size: number): Case {
  const random = seededRandom(seed);
  const url = pageUrl(random);
  const page = new URL(url);
  const probes = Array.from({ length: size }, (_, index) =>
    makeProbe({ random, page, id: `s${seed}x${index}` }),
  );
  return { url, probes, policies: makePolicies(random, poolOf(probes)) };
}

function poolOf(probes: readonly Probe[]): Pool {
  return {
    urls: probes.flatMap(({ urls = [] }) => urls),
    nonces: probes.flatMap(({ nonces = [] }) => nonces),
    texts: probes.flatMap(({ texts = [] }) => texts),
  };
}

function makePolicies(random: Random, pool: Pool): DeliveredPolicy[] {
  return Array.from({ length: random.pick([1, 1, 1, 2, 2, 3]) }, () => ({
    delivery: random.pick(["header", "header", "report-only header", "meta"] as const),
    text: policy(random, pool),
  }));
}

/** The policies as the engine has them. Those of headers come first. */
export function clientOf({ url, policies }: Case): Client {
  const delivered = (delivery: DeliveredPolicy["delivery"]): readonly Policy[] =>
    policies
      .filter((policy) => policy.delivery === delivery)
      .flatMap(({ text }) => {
        if (delivery === "meta") return [parseMetaPolicy(text)];
        // Headers carry bytes, which are read one to one.
        const bytes = Buffer.from(text).toString("latin1");
        return parsePolicyList(bytes, delivery === "header" ? "enforce" : "report");
      });
  const all = [...delivered("header"), ...delivered("report-only header"), ...delivered("meta")];
  return { url, cspList: { policies: all, selfOrigin: new URL(url).origin } };
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

function headersOf({ policies }: Case): string[] {
  return policies.flatMap(({ delivery, text }) => {
    if (delivery === "meta") return [];
    const name =
      delivery === "header" ? "Content-Security-Policy" : "Content-Security-Policy-Report-Only";
    return [name, Buffer.from(text).toString("latin1")];
  });
}

const contentTypes: Readonly<Record<string, string>> = {
  script: "text/javascript",
  module: "text/javascript",
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
  readonly #hits: Map<string, Set<string>>;
  #next = 0;

  private constructor(
    server: AnyServer,
    browser: Browser,
    cases: Map<string, Case>,
    hits: Map<string, Set<string>>,
  ) {
    this.#server = server;
    this.#browser = browser;
    this.#cases = cases;
    this.#hits = hits;
  }

  static async start(): Promise<Oracle> {
    const cases = new Map<string, Case>();
    const hits = new Map<string, Set<string>>();
    const server = await startAnyServer((url): Answer => {
      const parameter = (name: string): string | null => url.searchParams.get(name);
      const common = ["Access-Control-Allow-Origin", "*", "Cache-Control", "no-store"];
      const page = cases.get(parameter("page") ?? "");
      if (page) {
        const headers = ["Content-Type", "text/html", ...common, ...headersOf(page)];
        return { headers, body: documentOf(page) };
      }
      const to = parameter("to");
      if (to) return { status: 307, headers: ["Location", to, ...common], body: "" };
      const id = parameter("p");
      const type = parameter("t") ?? "text";
      if (!id) return { status: 404, headers: common, body: "" };
      for (const seen of hits.values()) seen.add(id);
      const headers = ["Content-Type", contentTypes[type] ?? "text/plain", ...common];
      return { headers, body: bodyOf(type, id, parameter("import")) };
    });
    const browser = await launchChromium(
      ...server.args,
      "--disable-site-isolation-trials",
      "--allow-running-insecure-content",
    );
    return new Oracle(server, browser, cases, hits);
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
    const hits = new Set<string>();
    this.#cases.set(key, page);
    this.#hits.set(key, hits);
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
    }
    const client = clientOf(page);
    const done = new Set(seen.done);
    const found: Difference[] = [];
    for (const probe of page.probes) {
      const decision = await decideQuestion(probe.question, client);
      const expected: Outcome = {
        happened: decision.result === "Allowed",
        events: eventTexts(
          decision.violations
            .map((violation) => violationReportBody(violation, chromium))
            .map((body) => ({ ...body, blockedURI: body.blockedURL })),
        ),
      };
      const observed: Outcome = {
        happened: (probe.measure === "hit" ? hits : done).has(probe.id),
        events: eventTexts(seen.events.filter((event) => event.probe === probe.id)),
      };
      if (JSON.stringify(expected) !== JSON.stringify(observed)) {
        found.push({ probe, expected, observed });
      }
    }
    return found;
  }
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
