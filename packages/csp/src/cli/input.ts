/**
 * Policies from wherever they are: an option, a file, a folder, standard input, a server.
 * @module
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { text as readText } from "node:stream/consumers";
import { directiveGrammars } from "../policy/directives.ts";
import {
  type Disposition,
  type Policy,
  parseMetaPolicy,
  parsePolicyList,
} from "../policy/policy.ts";
import { didYouMean, UsageError, type World } from "./command.ts";

/** A policy, and the text that its positions count in. */
export interface WrittenPolicy {
  readonly policy: Policy;
  /** The header's whole value, or the meta element's content. */
  readonly text: string;
  /** `Content-Security-Policy`, `meta`. */
  readonly from: string;
}

/** What is judged together: the policies of one page. */
export interface Subject {
  /** The URL, the file, or `policy`. */
  readonly name: string;
  readonly policies: readonly WrittenPolicy[];
  /** What `'self'` means. */
  readonly selfOrigin: string;
  readonly reportingEndpoints?: readonly string[];
  readonly xFrameOptions?: string;
  /** URLs of the page's scripts. */
  readonly scripts?: readonly string[];
}

export const policyOptions = {
  policy: { type: "string", short: "p", multiple: true },
  "report-only": { type: "string", multiple: true },
  meta: { type: "string", multiple: true },
  page: { type: "string" },
} as const;

export const policyHelp = `  POLICY is the text of a policy, a file (headers, HTML, JSON, or the policy itself), a folder of HTML,
  an http or https URL that is asked for its headers and meta elements, or - for standard input.
  -p, --policy TEXT      a Content-Security-Policy header; may come several times
      --report-only TEXT a Content-Security-Policy-Report-Only header
      --meta TEXT        the content of a meta element
      --page URL         the page's URL: what 'self' means (default https://page.example/)`;

/** What the options of `policyOptions` say. */
export interface PolicyChoice {
  readonly policy?: readonly string[];
  readonly "report-only"?: readonly string[];
  readonly meta?: readonly string[];
  readonly page?: string;
}

/** No header that a server sends is longer. */
const maximumText = 4 * 1024 * 1024;
/** For a server to answer, in milliseconds. */
const patience = 15_000;

/** Every subject that the options and arguments name, or standard input where they name none. */
export async function readSubjects(
  world: World,
  options: PolicyChoice,
  inputs: readonly string[],
): Promise<Subject[]> {
  const subjects: Subject[] = [];
  const page = pageUrl(options.page);
  const written = [
    ...(options.policy ?? []).flatMap((text) => fromText(text, "enforce")),
    ...(options["report-only"] ?? []).flatMap((text) => fromText(text, "report")),
    ...(options.meta ?? []).map(fromMeta),
  ];
  const isGiven = [options.policy, options["report-only"], options.meta].some((list) => list);
  if (isGiven && written.length === 0) throw new UsageError("the policy has no directive in it");
  if (written.length > 0) {
    subjects.push({ name: "policy", policies: written, selfOrigin: page.origin });
  }
  const isPiped = world.stdin.isTTY !== true;
  const names = inputs.length === 0 && subjects.length === 0 && isPiped ? ["-"] : inputs;
  for (const name of names) subjects.push(...(await readInput(world, name, page)));
  if (subjects.length === 0) throw new UsageError("no policy is given");
  for (const subject of subjects) warnOfNames(world, subject);
  return subjects;
}

/** The one subject. Throws `UsageError` where there are more. */
export async function readSubject(
  world: World,
  options: PolicyChoice,
  inputs: readonly string[],
): Promise<Subject> {
  const [only, ...others] = await readSubjects(world, options, inputs);
  if (!only || others.length > 0) {
    throw new UsageError(`one policy is asked for, and ${others.length + 1} are given`);
  }
  return only;
}

export function pageUrl(text: string | undefined): URL {
  const url = URL.parse(text ?? "https://page.example/");
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new UsageError(`--page is an http or https URL, not ${JSON.stringify(text)}`);
}

async function readInput(world: World, name: string, page: URL): Promise<Subject[]> {
  if (name === "-") {
    const text = await readText(world.stdin);
    return [await readContent("standard input", text, page)];
  }
  if (/^https?:\/\//i.test(name)) return [await readUrl(name)];
  const found = await stat(name).catch(() => null);
  if (found?.isDirectory()) return await readFolder(name, page);
  if (found?.isFile()) {
    if (found.size > maximumText) throw new UsageError(`${name} is too large to be a policy`);
    return [await readContent(name, await readFile(name, "utf8"), page)];
  }
  const [first = ""] = name.trim().toLowerCase().split(/[\s;]/);
  const looksLikePolicy = Object.hasOwn(directiveGrammars, first) || /\s/.test(name.trim());
  if (!looksLikePolicy) {
    const hint = didYouMeanUrl(name) || didYouMean(first, Object.keys(directiveGrammars));
    throw new UsageError(`${JSON.stringify(name)} is no file, folder, URL or policy${hint}`);
  }
  const policies = fromText(name, "enforce");
  if (policies.length === 0) throw new UsageError("the policy has no directive in it");
  return [{ name: "policy", policies, selfOrigin: page.origin }];
}

/** `localhost:3000` is a host and its port; without a port it could be a file just as well. */
export function didYouMeanUrl(name: string): string {
  const isHost = /^[a-z0-9-]+(?:\.[a-z0-9-]+)*:\d+(?:\/|$)/i.test(name);
  return isHost ? `; did you mean http://${name}?` : "";
}

/** By what it looks like: HTML, JSON, lines of headers, or a policy alone. */
async function readContent(name: string, text: string, page: URL): Promise<Subject> {
  if (text.includes("\0")) throw new UsageError(`${name} is no text`);
  const start = text.trimStart();
  const base = { name, selfOrigin: page.origin };
  if (start.startsWith("<") || /\.html?$/i.test(name)) {
    const { policies, scripts } = await readHtml(text, page);
    if (policies.length === 0) throw new UsageError(`${name} has no meta element with a policy`);
    return { ...base, policies, scripts };
  }
  if (/^[[{"]/.test(start)) return { ...base, policies: readJson(name, text) };
  const lines = readHeaderLines(text);
  if (lines.some(([header]) => isPolicyHeader(header))) {
    return { ...base, ...fromHeaders(lines) };
  }
  const policies = fromHeader(text.trim(), "enforce");
  if (policies.length === 0) throw new UsageError(`${name} has no policy in it`);
  return { ...base, policies };
}

function isPolicyHeader(name: string): boolean {
  return /^content-security-policy(?:-report-only)?$/i.test(name);
}

/**
 * `Name: value` as servers answer and as `_headers` files have it; nginx's `add_header Name "value" always;`, Apache's
 * `Header set Name "value"`, Caddy's `header Name value`.
 */
function readHeaderLines(text: string): [name: string, value: string][] {
  const headers: [string, string][] = [];
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at++) {
    const trimmed = (lines[at] ?? "").trim();
    const [, plain, value] = /^([A-Za-z0-9-]+):\s?(.*)$/.exec(trimmed) ?? [];
    if (plain !== undefined && value !== undefined) {
      headers.push([plain, value.trim()]);
      continue;
    }
    const directive =
      /^(?:add_header|header(?:\s+always)?\s+(?:set|add|append|setifempty)|header)\s+([A-Za-z0-9-]+)\s+(.*)$/i.exec(
        trimmed,
      );
    if (!directive) continue;
    const [, name = "", first = ""] = directive;
    let rest = first;
    const [, quoted] = /^(["'`])/.exec(rest) ?? [];
    if (quoted === undefined) {
      headers.push([name, rest.replace(/\s*(?:always)?;$/, "")]);
      continue;
    }
    if (rest.lastIndexOf(quoted) === 0) {
      // A value in quotes may go on over lines, in nginx and Caddy.
      let last = at + 1;
      while (last < lines.length && !lines[last]?.includes(quoted)) last++;
      if (last < lines.length) {
        rest = [rest, ...lines.slice(at + 1, last + 1).map((line) => line.trim())].join(" ");
        at = last;
      }
    }
    const end = rest.lastIndexOf(quoted);
    headers.push([name, rest.slice(1, end > 0 ? end : undefined).replaceAll("%%", "%")]);
  }
  return headers;
}

function fromHeaders(
  headers: readonly (readonly [string, string])[],
): Pick<Subject, "policies" | "reportingEndpoints" | "xFrameOptions"> {
  const policies: WrittenPolicy[] = [];
  for (const [name, value] of headers) {
    if (!isPolicyHeader(name)) continue;
    policies.push(...fromHeader(value, /only$/i.test(name) ? "report" : "enforce"));
  }
  const find = (wanted: string) => headers.find(([name]) => name.toLowerCase() === wanted)?.[1];
  const endpoints = find("reporting-endpoints");
  const xFrameOptions = find("x-frame-options");
  return {
    policies,
    ...(endpoints === undefined ? {} : { reportingEndpoints: endpointNames(endpoints) }),
    ...(xFrameOptions === undefined ? {} : { xFrameOptions }),
  };
}

function endpointNames(value: string): string[] {
  return Array.from(
    value.matchAll(/(?:^|,)\s*([a-z*][a-z0-9_.*-]*)\s*=/g),
    ([, name = ""]) => name,
  );
}

function fromHeader(text: string, disposition: Disposition): WrittenPolicy[] {
  const from =
    disposition === "enforce" ? "Content-Security-Policy" : "Content-Security-Policy-Report-Only";
  return parsePolicyList(text, disposition).map((policy) => ({ policy, text, from }));
}

/** A policy, or the line that sends it, as it is copied from a server's answer or configuration. */
function fromText(text: string, disposition: Disposition): WrittenPolicy[] {
  const lines = readHeaderLines(text);
  return lines.some(([header]) => isPolicyHeader(header))
    ? [...fromHeaders(lines).policies]
    : fromHeader(text, disposition);
}

function fromMeta(content: string): WrittenPolicy {
  return { policy: parseMetaPolicy(content), text: content, from: "meta" };
}

/** A policy, a list of them, an object of directives, or what `csp generate --json` and `--server json` print. */
function readJson(name: string, text: string): WrittenPolicy[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${name}: ${error instanceof Error ? error.message : "no JSON"}`);
  }
  const policies = fromJson(value);
  if (policies.length === 0) throw new UsageError(`${name} has no policy in its JSON`);
  return policies;
}

function fromJson(value: unknown): WrittenPolicy[] {
  if (typeof value === "string") return fromHeader(value, "enforce");
  if (Array.isArray(value)) return value.flatMap(fromJson);
  if (typeof value !== "object" || value === null) return [];
  const entries = Object.entries(value);
  const known = entries.filter(([key]) => Object.hasOwn(directiveGrammars, key));
  if (known.length > 0) {
    const words = entries
      .filter(([, list]) => list !== false && list !== null)
      .map(([key, list]) => [key, ...(list === true ? [] : [list].flat())].map(String).join(" "));
    return fromHeader(words.join("; "), "enforce");
  }
  return entries.flatMap(([key, inner]) =>
    ["policy", "policies", "pages", "value", "csp"].includes(key) || isPolicyHeader(key)
      ? fromJson(inner)
      : [],
  );
}

async function readUrl(name: string): Promise<Subject> {
  const response = await fetch(name, {
    headers: { Accept: "text/html,*/*" },
    signal: AbortSignal.timeout(patience),
  }).catch((error: unknown) => {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new UsageError(`${name} does not answer: ${cause instanceof Error ? cause.message : ""}`);
  });
  const { headers, policies, url } = await readResponse(response);
  if (policies.length === 0) {
    throw new UsageError(`${url} sends no policy, in its headers or its HTML`);
  }
  return { name: url, selfOrigin: new URL(url).origin, ...headers, policies };
}

async function readResponse(response: Response) {
  const url = response.url;
  const headers = fromHeaders([...response.headers]);
  const isHtml = /html/.test(response.headers.get("content-type") ?? "");
  const html = isHtml ? await boundedText(response) : "";
  const { policies, scripts } = await readHtml(html, new URL(url));
  return { url, headers: { ...headers, scripts }, policies: [...headers.policies, ...policies] };
}

/** A page's meta elements come early. */
async function boundedText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > maximumText) break;
  }
  return text;
}

async function readHtml(
  html: string,
  page: URL,
): Promise<{ policies: WrittenPolicy[]; scripts: string[] }> {
  if (html === "") return { policies: [], scripts: [] };
  const { inspectHtml } = await needsParse5(() => import("../make/html.ts"));
  const { metaPolicies, scripts } = inspectHtml(html);
  const urls = scripts.flatMap(({ src }) =>
    src === null ? [] : (URL.parse(src, page)?.href ?? []),
  );
  const inHead = metaPolicies.filter((meta) => meta.inHead);
  return { policies: inHead.map(({ content }) => fromMeta(content)), scripts: urls };
}

/** Loads what needs an optional package. Throws `UsageError` with what to install. */
export async function needsParse5<T>(load: () => Promise<T>): Promise<T> {
  return await load().catch((error: unknown) => {
    throw new UsageError("HTML is read by parse5: npm install parse5", { cause: error });
  });
}

async function readFolder(folder: string, page: URL): Promise<Subject[]> {
  const subjects: Subject[] = [];
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name);
    const name = relative(".", path).split(sep).join("/");
    if (!/\.html?$/i.test(entry.name) && entry.name !== "_headers") continue;
    const text = await readFile(path, "utf8");
    if (entry.name === "_headers") {
      const { policies } = fromHeaders(readHeaderLines(text));
      if (policies.length > 0) subjects.push({ name, policies, selfOrigin: page.origin });
      continue;
    }
    const { policies, scripts } = await readHtml(text, page);
    if (policies.length > 0) subjects.push({ name, policies, scripts, selfOrigin: page.origin });
  }
  if (subjects.length === 0) {
    throw new UsageError(`${folder} has no HTML with a policy and no _headers file`);
  }
  return subjects.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** A wrong name changes what every other command says; `check` has a finding for it. */
function warnOfNames({ stderr }: World, { name, policies }: Subject): void {
  for (const { policy } of policies) {
    for (const directive of policy.directiveSet) {
      if (directive.type !== "unknown") continue;
      const hint = didYouMean(directive.name, Object.keys(directiveGrammars));
      stderr.write(`${name}: there is no directive ${JSON.stringify(directive.name)}${hint}\n`);
    }
  }
}
