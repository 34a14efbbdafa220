/**
 * How fast policies are parsed, decided by, judged and written: ours beside others that do the same, in turns in one process.
 * @module
 */

import { parseArgs } from "node:util";
import {
  buildPolicy,
  type Client,
  inlineElement,
  inlineSource,
  parsePolicy,
  parsePolicyList,
  shouldFetchBeBlocked,
  shouldInlineBehaviorBeBlocked,
} from "@conclave/csp";
import { judgePolicies } from "@conclave/csp/judge";
import parseOther from "content-security-policy-parser";
import { CspEvaluator } from "csp_evaluator/dist/evaluator.js";
import { CspParser } from "csp_evaluator/dist/parser.js";
import { contentSecurityPolicy } from "helmet";
import { wholeNumber } from "./options.ts";

const SHORT =
  "default-src 'self'; script-src 'self' 'nonce-r4nd0mr4nd0m'; object-src 'none'; base-uri 'none'";
const STRICT =
  "script-src 'nonce-r4nd0mr4nd0m' 'strict-dynamic' 'unsafe-inline' https:; object-src 'none'; base-uri 'none'; report-uri /reports";
const HOSTS = Array.from({ length: 12 }, (_, n) => `https://host${n}.example.com`).join(" ");
const LONG = [
  "default-src 'self'",
  `script-src 'self' 'unsafe-eval' ${HOSTS} *.analytics.example`,
  `style-src 'self' 'unsafe-inline' ${HOSTS}`,
  `img-src 'self' data: blob: ${HOSTS}`,
  `connect-src 'self' wss://socket.example.com ${HOSTS}`,
  `font-src 'self' data: ${HOSTS}`,
  "frame-src https://www.example.com/embed/",
  "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
  "upgrade-insecure-requests; report-uri /reports; report-to csp",
].join("; ");

type Step = () => unknown;
interface Comparison {
  readonly name: string;
  /** The first is ours. */
  readonly subjects: Readonly<Record<string, Step>>;
}

/** Milliseconds for one, of a batch that takes about two. */
function time({ run, batch }: Measured): number {
  const start = performance.now();
  for (let n = 0; n < batch; n++) used = run();
  return (performance.now() - start) / batch;
}

// What is computed has to go somewhere, or it may not be computed at all.
export let used: unknown;

interface Measured {
  readonly run: Step;
  readonly batch: number;
  best: number;
}

function prepare(run: Step): Measured {
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < 100) {
    used = run();
    count++;
  }
  return { run, batch: Math.max(1, Math.round(count / 50)), best: Number.POSITIVE_INFINITY };
}

/** Short batches in turns, the best of each: whatever else the machine does only makes a batch slower. */
function compare({ name, subjects }: Comparison, rounds: number): void {
  const measured = Object.entries(subjects).map(([who, run]) => ({ who, ...prepare(run) }));
  for (let round = 0; round < rounds; round++) {
    for (const subject of measured) subject.best = Math.min(subject.best, time(subject));
  }
  const [ours, ...others] = measured;
  for (const { who, best } of measured) {
    const figure = Math.round(1000 / best)
      .toLocaleString("en")
      .padStart(11);
    console.log(
      `${name.padEnd(34)} ${who.padEnd(32)} ${figure} /s ${(best * 1000).toFixed(2).padStart(9)} µs`,
    );
  }
  for (const { who, best } of others) {
    if (ours)
      console.log(`${"".padEnd(34)} ${(best / ours.best).toFixed(2)} times as fast as ${who}`);
  }
}

async function comparisons(): Promise<Comparison[]> {
  const self = { selfOrigin: "https://page.example", url: "https://page.example/" };
  const clientOf = (policies: string): Client => ({
    url: self.url,
    cspList: { policies: parsePolicyList(policies), selfOrigin: self.selfOrigin },
  });
  const [one, three] = [clientOf(LONG), clientOf([LONG, SHORT, STRICT].join(", "))];
  const image = { url: "https://host11.example.com/a.png", destination: "image" };
  const script = {
    url: "https://host11.example.com/a.js",
    destination: "script",
    nonce: "r4nd0mr4nd0m",
  };
  const element = inlineElement({ nonce: "r4nd0mr4nd0m" });
  const code = await inlineSource("start()");
  const parsing = [
    ["short", SHORT],
    ["strict", STRICT],
    ["long", LONG],
  ] as const;
  return [
    {
      name: "decide: image, 1 policy",
      subjects: { conclave: () => shouldFetchBeBlocked(image, one) },
    },
    {
      name: "decide: script, 3 policies",
      subjects: { conclave: () => shouldFetchBeBlocked(script, three) },
    },
    {
      name: "decide: inline script, 1 policy",
      subjects: { conclave: () => shouldInlineBehaviorBeBlocked(element, "script", code, one) },
    },
    {
      name: "decide: inline script, 3 policies",
      subjects: { conclave: () => shouldInlineBehaviorBeBlocked(element, "script", code, three) },
    },
    ...parsing.map(([which, text]) => ({
      name: `parse: ${which}, ${text.length} characters`,
      subjects: {
        conclave: () => parsePolicy(text),
        "content-security-policy-parser": () => parseOther(text),
        csp_evaluator: () => new CspParser(text).csp,
      },
    })),
    ...parsing.map(([which, text]) => ({
      name: `parse and judge: ${which}`,
      subjects: {
        conclave: () => judgePolicies([parsePolicy(text)]),
        csp_evaluator: () => new CspEvaluator(new CspParser(text).csp).evaluate(),
      },
    })),
    headerBuilding(),
  ];
}

/** A header with a nonce of its own for each response, refused where a value would end its directive. */
function headerBuilding(): Comparison {
  const hosts = HOSTS.split(" ");
  const ours = (nonce: string) => ({
    "default-src": ["'self'"],
    "script-src": ["'self'", `'nonce-${nonce}'`],
    "img-src": ["'self'", ...hosts],
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
  });
  // Random bytes cost both the same, and more than the rest.
  let count = 0;
  const nextNonce = () => `r4nd0m${count++}`;
  let nonce = "";
  const middleware = contentSecurityPolicy({
    useDefaults: false,
    directives: {
      "default-src": ["'self'"],
      "script-src": ["'self'", () => `'nonce-${nonce}'`],
      "img-src": ["'self'", ...hosts],
      "object-src": ["'none'"],
      "base-uri": ["'none'"],
    },
  });
  const response = { setHeader: (_name: string, value: string) => (used = value) };
  return {
    name: "a header with a nonce",
    subjects: {
      conclave: () => buildPolicy(ours(nextNonce())).text,
      helmet: () => {
        nonce = nextNonce();
        middleware({} as never, response as never, () => undefined);
      },
    },
  };
}

export async function measureCsp(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { rounds: { type: "string", default: "200" } },
  });
  const rounds = wholeNumber(values.rounds, "rounds");
  for (const comparison of await comparisons()) compare(comparison, rounds);
}
