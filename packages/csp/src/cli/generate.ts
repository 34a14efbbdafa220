/**
 * `csp generate`: a policy for a folder of HTML, or for a site that runs.
 * @module
 */
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { CspError } from "../errors.ts";
import {
  type FindingType,
  type Grade,
  judgePolicies,
  type Severity,
  summarize,
} from "../judge/index.ts";
import { createNonce } from "../make/build.ts";
import type { CrawledSite } from "../make/crawl.ts";
import type { ProposedSource } from "../make/proposal.ts";
import { configurationFormats, serverConfiguration } from "../make/server-configuration.ts";
import type { SiteFile, SiteProblem } from "../make/site-page.ts";
import type { StaticSite } from "../make/static-site.ts";
import type { Policy } from "../policy/policy.ts";
import {
  type Command,
  choice,
  coloursFor,
  type ExitCode,
  parseOptions,
  UsageError,
  type World,
  wholeNumber,
  widthOf,
  writeJson,
} from "./command.ts";
import { didYouMeanUrl, needsParse5 } from "./input.ts";
import { type Palette, printable, wrap } from "./terminal.ts";

const help = `Usage: csp generate [options] FOLDER|URL

Makes a strict policy. For a folder of HTML: hashes for inline blocks, and what stands in the way, with its place.
Nothing is written without --write. For a site that runs: a Chromium visits it, and visits it again under the policy.
Exits with 1 when something of the site would not work.

For a folder:
      --server NAME      prints the configuration of nginx, apache, caddy, netlify or cloudflare, or json;
                         without it the policy goes into meta elements
      --scope SCOPE      page (default): a policy for each page; site: one for all
      --integrity        writes integrity attributes for scripts and style sheets
      --scripts HOW      self (default), or hash: no other file of the origin runs
      --unsafe-hashes    allows event handlers, style attributes and javascript: URLs by hash
      --base URL         where the root will be served
      --report-only      for --server: the policy is watched, not enforced
      --write            writes the pages (and with --server, its file into the folder)

For a URL (needs playwright-core and a Chromium):
      --max-pages N      how many pages are visited (default 20)
      --own-only         lets no third party in
      --accept-unsafe    lets in what opens a hole, like 'unsafe-eval', where it was seen
      --chromium PATH    the browser (default: CHROMIUM in the environment, or the installed Chrome)

      --evidence         shows for each source what it was seen for
      --json             for machines

Examples:
  csp generate dist/
  csp generate --server nginx --scope site dist/ > csp.conf
  csp generate --integrity --write dist/
  csp generate http://localhost:3000/
`;

const options = {
  server: { type: "string" },
  scope: { type: "string" },
  integrity: { type: "boolean" },
  scripts: { type: "string" },
  "unsafe-hashes": { type: "boolean" },
  base: { type: "string" },
  "report-only": { type: "boolean" },
  write: { type: "boolean" },
  "max-pages": { type: "string" },
  "own-only": { type: "boolean" },
  "accept-unsafe": { type: "boolean" },
  chromium: { type: "string" },
  evidence: { type: "boolean" },
} as const;

const folderOnly = [
  "server",
  "scope",
  "integrity",
  "scripts",
  "unsafe-hashes",
  "base",
  "report-only",
  "write",
] as const;
const urlOnly = ["max-pages", "own-only", "accept-unsafe", "chromium"] as const;

type Values = ReturnType<typeof parseOptions<typeof options>>["values"];

async function run(world: World): Promise<ExitCode> {
  const { values, positionals } = parseOptions(world.args, options);
  const [target, ...more] = positionals;
  if (target === undefined || more.length > 0)
    throw new UsageError("one folder or URL is asked for");
  const isUrl = /^https?:\/\//i.test(target);
  const wrong = (isUrl ? folderOnly : urlOnly).find((name) => values[name] !== undefined);
  if (wrong) throw new UsageError(`--${wrong} is for a ${isUrl ? "folder" : "URL"}`);
  try {
    return isUrl ? await fromUrl(world, target, values) : await fromFolder(world, target, values);
  } catch (error) {
    if (error instanceof CspError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

async function fromFolder(world: World, folder: string, values: Values): Promise<ExitCode> {
  const found = await stat(folder).catch(() => null);
  if (!found?.isDirectory())
    throw new UsageError(
      `${JSON.stringify(folder)} is no folder and no URL${didYouMeanUrl(folder)}`,
    );
  if (values.base !== undefined && !URL.canParse(values.base)) {
    throw new UsageError(`--base is a URL, not ${JSON.stringify(values.base)}`);
  }
  const format =
    values.server === undefined
      ? null
      : choice("server", values.server, configurationFormats, "nginx");
  if (values["report-only"] && !format) {
    throw new UsageError("--report-only needs --server: no meta element can only report");
  }
  const { staticSite } = await needsParse5(() => import("../make/static-site.ts"));
  const files = await readFiles(folder);
  const site = await staticSite(files, {
    scope: choice("scope", values.scope, ["page", "site"], "page"),
    scripts: choice("scripts", values.scripts, ["self", "hash"], "self"),
    delivery: format ? "header" : "meta",
    integrity: values.integrity ?? false,
    unsafeHashes: values["unsafe-hashes"] ?? false,
    ...(values.base === undefined ? {} : { base: values.base }),
  });
  if (site.pages.length === 0) throw new UsageError(`${folder} has no HTML`);
  const basePath = values.base === undefined ? "/" : new URL("./", values.base).pathname;
  const server = format && {
    format,
    ...serverConfiguration(format, site.pages, {
      reportOnly: values["report-only"] ?? false,
      basePath,
    }),
  };
  const written: string[] = [];
  if (values.write) {
    for (const { path, html, changed } of site.pages) {
      if (!changed) continue;
      await writeFile(join(folder, path), html);
      written.push(path);
    }
    if (server) {
      await writeFile(join(folder, server.name), server.text);
      written.push(server.name);
    }
  }
  if (values.json) {
    writeJson(world, {
      version: 1,
      pages: site.pages.map(({ path, policy, sources, changed }) => ({
        path,
        policy: policy.text,
        ...judgement(policy),
        sources,
        changed,
      })),
      problems: site.problems,
      ...(server ? { server } : {}),
      written,
    });
  } else writeSite(world, site, values, server, written);
  return site.problems.some(({ severity }) => severity === "error") ? 1 : 0;
}

async function readFiles(folder: string): Promise<SiteFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files: SiteFile[] = [];
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name);
    if (path.split(sep).includes("node_modules")) continue;
    const content = new Uint8Array(await readFile(path));
    files.push({ path: relative(folder, path).split(sep).join("/"), content });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

interface Judgement {
  readonly grade: Grade;
  readonly counts: Readonly<Record<Severity, number>>;
  /** The types of the most severe findings, notes aside. */
  readonly worst: readonly FindingType[];
}

function judgement(policy: Policy): Judgement {
  const findings = judgePolicies([policy]);
  const [first] = findings;
  const worst = findings.filter(
    ({ severity }) => severity !== "info" && severity === first?.severity,
  );
  return { ...summarize(findings), worst: [...new Set(worst.map(({ type }) => type))] };
}

/** `weak: missing-frame-ancestors` */
function judgementWords(policy: Policy): string {
  const { grade, worst } = judgement(policy);
  return worst.length > 0 ? `${grade}: ${worst.join(", ")}` : grade;
}

type Server = ReturnType<typeof serverConfiguration>;

/** With `--server` the configuration alone goes to standard output, so that it can be sent to a file. */
function writeSite(
  world: World,
  site: StaticSite,
  values: Values,
  server: Server | null,
  written: readonly string[],
): void {
  const isPiped = server !== null && !values.write;
  const { stdout, stderr } = world;
  const notes = isPiped ? stderr : stdout;
  const colours = coloursFor({ ...world, stdout: notes }, values);
  for (const { path, policy, sources } of site.pages) {
    if (!isPiped) {
      notes.write(
        `${colours.bold(printable(path))} ${colours.dim(`(${judgementWords(policy)})`)}\n`,
      );
      notes.write(`  ${printable(policy.text)}\n`);
    }
    if (values.evidence) writeEvidence(notes, sources, colours);
  }
  writeProblems(notes, site.problems, colours, widthOf(world));
  writeThirdParties(
    notes,
    site.pages.flatMap(({ sources }) => sources),
    colours,
  );
  for (const warning of server?.warnings ?? [])
    notes.write(`${colours.yellow("warning")} ${warning}\n`);
  if (isPiped) stdout.write(server?.text ?? "");
  else if (written.length > 0) notes.write(`Written: ${written.join(", ")}\n`);
  else if (values.write) notes.write("Nothing to change.\n");
  else notes.write(colours.dim("Nothing is written without --write.\n"));
}

interface Notes {
  write(text: string): unknown;
}

function writeProblems(
  notes: Notes,
  problems: readonly SiteProblem[],
  { red, yellow, dim }: Palette,
  width: number,
): void {
  const colour = { error: red, warning: yellow, note: dim };
  // What is the same of many pages is said once.
  const groups = new Map<string, SiteProblem[]>();
  for (const problem of problems) {
    const key = problem.line === 0 ? `${problem.code} ${problem.message}` : JSON.stringify(problem);
    groups.set(key, [...(groups.get(key) ?? []), problem]);
  }
  for (const [first, ...others] of groups.values()) {
    if (!first) continue;
    const { severity, path, line, column, message, remedy } = first;
    const place = line === 0 ? path : `${path}:${line}:${column}`;
    const more = others.length > 0 ? ` (and ${others.length} more)` : "";
    notes.write(
      `${colour[severity](severity)} ${printable(place)}${more}: ${wrap(message, width, "  ")}\n`,
    );
    notes.write(`  ${wrap(`Mend: ${remedy}`, width, "  ")}\n`);
  }
}

function writeThirdParties(
  notes: Notes,
  sources: readonly ProposedSource[],
  { yellow }: Palette,
): void {
  const names = new Set(
    sources
      .filter(({ concern }) => concern === "third-party")
      .map(({ directive, expression }) => `${directive} ${expression}`),
  );
  if (names.size === 0) return;
  notes.write(`${yellow("confirm")} these are others' servers; are they meant?\n`);
  for (const name of names) notes.write(`  ${printable(name)}\n`);
}

function writeEvidence(
  notes: Notes,
  sources: readonly ProposedSource[],
  { cyan, dim }: Palette,
): void {
  for (const { directive, expression, evidence } of sources) {
    notes.write(`  ${cyan(printable(`${directive} ${expression}`))}\n`);
    for (const { page, what, line, insertedBy, times } of evidence) {
      const place = line === undefined ? page : `${page}:${line}`;
      const by =
        insertedBy === undefined ? "" : `, by ${insertedBy === "parser" ? "the HTML" : "a script"}`;
      notes.write(
        dim(
          `    ${printable(what)} (${printable(place)}${by}${times > 1 ? `, ${times} times` : ""})\n`,
        ),
      );
    }
  }
}

async function fromUrl(world: World, url: string, values: Values): Promise<ExitCode> {
  const maxPages = wholeNumber("max-pages", values["max-pages"], 20);
  const { stderr } = world;
  const { crawlSite, withNonce } = await needsParse5(() => import("../make/crawl.ts"));
  const browser = await launch(world, values.chromium);
  let crawled: CrawledSite;
  try {
    crawled = await crawlSite(url, {
      browser,
      maxPages,
      accept: ({ concern }) =>
        concern === "none" ||
        (concern === "third-party" ? !values["own-only"] : (values["accept-unsafe"] ?? false)),
      onVisit: (page, round) => {
        if (stderr.isTTY)
          stderr.write(`${round === "observe" ? "visiting" : "proving"} ${printable(page)}\n`);
      },
    });
  } finally {
    await browser.close();
  }
  const judged = withNonce(crawled.policy, createNonce());
  const { proof } = crawled;
  const isProved = proof.violations.length === 0 && proof.newErrors.length === 0;
  if (values.json) {
    const { policy, ...rest } = crawled;
    writeJson(world, { version: 1, policy: policy.text, ...judgement(judged), ...rest });
  } else writeCrawl(world, crawled, judgementWords(judged), values);
  return isProved ? 0 : 1;
}

function writeCrawl(world: World, crawled: CrawledSite, words: string, values: Values): void {
  const { stdout } = world;
  const colours = coloursFor(world, values);
  const { green, red, yellow, dim, bold } = colours;
  const { pages, policy, sources, problems, proof } = crawled;
  stdout.write(
    `${bold(`${pages.length} ${pages.length === 1 ? "page" : "pages"}`)} ${dim(`(${words})`)}\n`,
  );
  stdout.write(`  ${printable(policy.text)}\n`);
  if (crawled.usesNonces) {
    stdout.write(dim("  NONCE stands for the nonce of each response.\n"));
  }
  if (values.evidence) writeEvidence(stdout, sources, colours);
  const left = sources.filter(({ concern }) => concern === "unsafe");
  if (left.length > 0 && !values["accept-unsafe"]) {
    stdout.write(`${red("left out")} these open holes; better to change the pages\n`);
    writeEvidence(stdout, left, colours);
  }
  if (!values["own-only"]) writeThirdParties(stdout, sources, colours);
  for (const { page, message, remedy } of problems) {
    stdout.write(
      `${yellow("warning")} ${printable(page)} ${wrap(message, widthOf(world), "  ")}\n  Mend: ${remedy}\n`,
    );
  }
  const what = `${proof.before} violations when nothing was allowed, ${proof.violations.length} under this policy`;
  stdout.write(`${proof.violations.length === 0 ? green("proved") : red("not proved")} ${what}\n`);
  for (const { page, directive, blocked, sample } of proof.violations) {
    stdout.write(
      `  ${printable(`${directive} ${blocked} ${sample}`.trim())} ${dim(`(${printable(page)})`)}\n`,
    );
  }
  for (const error of proof.newErrors) stdout.write(`  ${red("error")} ${printable(error)}\n`);
}

async function launch(world: World, path: string | undefined) {
  const { chromium } = await import("playwright-core").catch((error: unknown) => {
    throw new UsageError("a site is visited by playwright-core: npm install playwright-core", {
      cause: error,
    });
  });
  const executablePath = path ?? world.env["CHROMIUM"];
  const isRoot = process.getuid?.() === 0;
  return await chromium
    .launch({
      ...(executablePath === undefined ? { channel: "chrome" } : { executablePath }),
      // Nothing that would turn a URL into another or ask for leave. Root has no sandbox to use.
      args: [
        "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,LocalNetworkAccessChecks",
        ...(isRoot ? ["--no-sandbox"] : []),
      ],
    })
    .catch((error: unknown) => {
      const [line = ""] = (error instanceof Error ? error.message : "").split("\n");
      throw new UsageError(`no Chromium starts (say where with --chromium): ${line}`);
    });
}

export const generate: Command = { help, run };
