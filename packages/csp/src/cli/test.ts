/**
 * `csp test`: cases with what is expected of them, or the requests of a HAR.
 * @module
 */
import { readFile } from "node:fs/promises";
import type { Decision } from "../decide/decision.ts";
import { explain as explainDecision } from "../decide/explain.ts";
import type { Profile } from "../decide/profile.ts";
import type { Destination } from "../decide/request.ts";
import { shouldFetchBeBlocked } from "../decide/should-block.ts";
import { parsePolicyList } from "../policy/policy.ts";
import {
  type Command,
  coloursFor,
  didYouMean,
  type ExitCode,
  parseOptions,
  UsageError,
  type World,
  widthOf,
  writeJson,
} from "./command.ts";
import {
  type PolicyChoice,
  pageUrl,
  policyHelp,
  policyOptions,
  readSubject,
  type Subject,
} from "./input.ts";
import {
  decideQuestion,
  describeQuestion,
  questionKinds,
  readProfile,
  readQuestion,
} from "./question.ts";
import { printable, wrap } from "./terminal.ts";

const help = `Usage: csp test [options] FILE

Tries policies on cases, or on what a browser has recorded. Exits with 1 when a case is not as expected, or when a
request of the recording would be blocked.

  FILE is JSON: an object with "policy" (a text or a list of texts), "page" (a URL) and "cases", each of which has one
  question as csp explain has it, what is known of it, and "expect": "allowed" or "blocked". Or it is a HAR, as browsers'
  developer tools export it: its pages' own policies are tried, or those that are given.

${policyHelp}
      --profile NAME     specification (default) or chromium, where they differ
      --json             for machines

Examples:
  csp test cases.json
  csp test --policy "default-src 'self'" recording.har

  { "policy": "script-src 'self' 'nonce-abc'", "page": "https://shop.example/",
    "cases": [{ "script": "/app.js", "expect": "allowed" },
              { "inline-script": "alert(1)", "expect": "blocked" }] }
`;

/** A case or a request, and what came of it. */
interface Trial {
  readonly name: string;
  readonly expected: "allowed" | "blocked";
  readonly result: "allowed" | "blocked";
  /** Why, of each policy that decided so. */
  readonly reasons: readonly string[];
}

async function run(world: World): Promise<ExitCode> {
  const { values, positionals } = parseOptions(world.args, {
    ...policyOptions,
    profile: { type: "string" },
  });
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new UsageError("one file is asked for");
  const content = await readFile(file, "utf8").catch((error: unknown) => {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : ""}`);
  });
  const profile = readProfile(values.profile);
  const value = parseJson(file, content);
  const isHar = isRecord(value) && isRecord(value["log"]);
  const trials = isHar
    ? await tryRecording(world, value["log"], values, profile)
    : await tryCases(world, file, value, values, profile);
  const failed = trials.filter(({ expected, result }) => expected !== result);
  if (values.json) {
    writeJson(world, {
      version: 1,
      passed: trials.length - failed.length,
      failed: failed.length,
      trials,
    });
  } else writeTrials(world, trials, coloursFor(world, values));
  return failed.length > 0 ? 1 : 0;
}

function parseJson(file: string, content: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    throw new UsageError(`${file} is no JSON: ${error instanceof Error ? error.message : ""}`);
  }
}

const caseKeys: readonly string[] = [
  ...questionKinds,
  "name",
  "nonce",
  "integrity",
  "inserted-by-script",
  "redirect",
  "expect",
];

async function tryCases(
  world: World,
  file: string,
  value: unknown,
  options: PolicyChoice,
  profile: Profile,
): Promise<Trial[]> {
  if (!isRecord(value) || !Array.isArray(value["cases"])) {
    throw new UsageError(`${file} has no list of "cases", and is no HAR`);
  }
  const own = value["policy"] === undefined ? [] : [value["policy"]].flat();
  if (own.some((policy) => typeof policy !== "string")) {
    throw new UsageError(`${file}: "policy" is a text or a list of texts`);
  }
  const written = typeof value["page"] === "string" ? value["page"] : undefined;
  const page = options.page ?? written;
  const given = hasPolicy(options) ? options : { policy: own.map(String) };
  const subject = await readSubject(
    world,
    { ...given, ...(page === undefined ? {} : { page }) },
    [],
  );
  const trials: Trial[] = [];
  for (const [index, one] of value["cases"].entries()) {
    const where = `${file}: case ${index + 1}`;
    if (!isRecord(one)) throw new UsageError(`${where} is no object`);
    for (const key of Object.keys(one)) {
      if (caseKeys.includes(key)) continue;
      throw new UsageError(`${where} has ${JSON.stringify(key)}${didYouMean(key, caseKeys)}`);
    }
    const expected = one["expect"];
    if (expected !== "allowed" && expected !== "blocked") {
      throw new UsageError(`${where}: "expect" is "allowed" or "blocked"`);
    }
    const question = readQuestion(one);
    if (!question) throw new UsageError(`${where} asks nothing; say "script", "image" …`);
    const decision = await decideQuestion(question, subject, pageUrl(page), profile);
    const name = typeof one["name"] === "string" ? one["name"] : describeQuestion(question);
    trials.push(trialOf(name, expected, decision));
  }
  return trials;
}

function hasPolicy(options: PolicyChoice): boolean {
  return [options.policy, options["report-only"], options.meta].some((list) => list !== undefined);
}

function trialOf(name: string, expected: Trial["expected"], decision: Decision): Trial {
  const explanations = explainDecision(decision);
  const reasons = decision.outcomes.flatMap(({ result }, index) => {
    const explanation = explanations[index];
    return result === decision.result && explanation ? [explanation.text] : [];
  });
  const result = decision.result === "Allowed" ? "allowed" : "blocked";
  return { name, expected, result, reasons: [...new Set(reasons)] };
}

/** Chromium's and Firefox's names for what a request is for. */
const recordedDestinations: Readonly<Record<string, Destination>> = {
  eventsource: "",
  fetch: "",
  font: "font",
  image: "image",
  manifest: "manifest",
  media: "video",
  other: "",
  ping: "",
  script: "script",
  stylesheet: "style",
  texttrack: "track",
  websocket: "",
  xhr: "",
};

/** The requests of one page, against its policies. */
async function tryRecording(
  world: World,
  log: unknown,
  options: PolicyChoice,
  profile: Profile,
): Promise<Trial[]> {
  const entries = isRecord(log) && Array.isArray(log["entries"]) ? log["entries"] : null;
  if (!entries) throw new UsageError("the HAR has no entries");
  const given = hasPolicy(options) ? await readSubject(world, options, []) : null;
  const pages = new Map<string, Subject & { url: string }>();
  const trials: Trial[] = [];
  for (const entry of entries) {
    const request = readEntry(entry);
    if (!request) continue;
    const { url, pageref, policies } = request;
    if (request.isDocument && !pages.has(pageref)) {
      const selfOrigin = new URL(url).origin;
      const own = { name: url, url, selfOrigin, policies };
      pages.set(pageref, given ? { ...given, selfOrigin, url } : own);
      continue;
    }
    const page = pages.get(pageref);
    if (!page) continue;
    const client = {
      cspList: {
        policies: page.policies.map(({ policy }) => policy),
        selfOrigin: page.selfOrigin,
      },
      url: page.url,
    };
    const decision = shouldFetchBeBlocked(request, client, profile);
    trials.push(trialOf(`${request.label} ${url}`, "allowed", decision));
  }
  if (pages.size === 0) throw new UsageError("the HAR has no page in it");
  if ([...pages.values()].every(({ policies }) => policies.length === 0)) {
    throw new UsageError("the HAR's pages have no policy; give one with --policy");
  }
  return trials;
}

function readEntry(entry: unknown) {
  if (!isRecord(entry) || !isRecord(entry["request"])) return null;
  const { url } = entry["request"];
  if (typeof url !== "string" || !URL.canParse(url)) return null;
  const response = isRecord(entry["response"]) ? entry["response"] : {};
  const content = isRecord(response["content"]) ? response["content"] : {};
  const mimeType = textOf(content["mimeType"]);
  const recorded = textOf(entry["_resourceType"]);
  const label = recorded === "" || recorded === "other" ? labelOf(mimeType) : recorded;
  const initiator = isRecord(entry["_initiator"]) ? entry["_initiator"] : {};
  const headers: unknown[] = Array.isArray(response["headers"]) ? response["headers"] : [];
  const policies = headers.flatMap((header) => {
    if (!isRecord(header) || textOf(header["name"]).toLowerCase() !== "content-security-policy") {
      return [];
    }
    const text = textOf(header["value"]);
    const from = "Content-Security-Policy";
    return parsePolicyList(text).map((policy) => ({ policy, text, from }));
  });
  const isDocument = label === "document" || /html/.test(mimeType);
  return {
    url,
    label,
    isDocument,
    policies,
    pageref: textOf(entry["pageref"]),
    destination: label === "document" ? "iframe" : (recordedDestinations[label] ?? ""),
    parserInserted: initiator["type"] !== "script",
  };
}

/** What a response's type lets one think it was for. */
function labelOf(mimeType: string): string {
  if (/javascript|ecmascript/.test(mimeType)) return "script";
  if (mimeType.startsWith("text/css")) return "stylesheet";
  if (mimeType.startsWith("image/")) return "image";
  if (/font/.test(mimeType)) return "font";
  if (/^(?:audio|video)\//.test(mimeType)) return "media";
  if (/html/.test(mimeType)) return "document";
  return /manifest/.test(mimeType) ? "manifest" : "fetch";
}

function writeTrials(
  world: World,
  trials: readonly Trial[],
  { green, red, dim, bold }: ReturnType<typeof coloursFor>,
): void {
  const { stdout } = world;
  const width = widthOf(world);
  const failed = trials.filter(({ expected, result }) => expected !== result);
  for (const { name, expected, result, reasons } of trials) {
    if (expected === result) {
      stdout.write(`${green("ok")}    ${printable(name)} ${dim(`is ${result}`)}\n`);
      continue;
    }
    stdout.write(`${red("FAIL")}  ${bold(printable(name))} is ${result}, not ${expected}\n`);
    for (const reason of reasons) stdout.write(`      ${wrap(reason, width, "      ")}\n`);
  }
  const summary = `${trials.length - failed.length} of ${trials.length} as expected`;
  stdout.write(`${failed.length > 0 ? red(summary) : green(summary)}\n`);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const test: Command = { help, run };
