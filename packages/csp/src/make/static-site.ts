/**
 * A strict policy for a site that is a folder of files: hashes for inline blocks, integrity for what the HTML loads,
 * and what has to change before a strict policy can hold.
 * CSP #match-element-to-source-list; Subresource Integrity; HTML #import-maps.
 * @module
 */
import type { Policy } from "../policy/policy.ts";
import { integrityOf, type PolicyDirectives } from "./build.ts";
import { mark } from "./html.ts";
import { metaElement } from "./page-edit.ts";
import { type ProposedSource, proposePolicy, Sightings } from "./proposal.ts";
import {
  decodeUtf8,
  type ReadPage,
  readPage,
  type Site,
  type SiteFile,
  type SiteProblem,
  wholeFile,
} from "./site-page.ts";
import { encodePath, unknownBase } from "./site-path.ts";

export interface StaticSiteOptions {
  /** A policy for each page (`page`, the default), or one that fits them all. */
  readonly scope?: "page" | "site";
  /** In the pages' own `meta` elements (the default), or in headers; see `serverConfiguration`. */
  readonly delivery?: "meta" | "header";
  /** Where the root will be served, if it is known: absolute URLs that start so are the site's own. */
  readonly base?: string;
  /** Whether scripts and style sheets of the site get `integrity` attributes. */
  readonly integrity?: boolean;
  /**
   * What allows the site's own script files: `'self'` (the default), or the hash of each, which lets no other file of
   * the origin run. Hashes come with `integrity`, also in an import map for modules that others import, and leave
   * workers and scripts that scripts insert to be allowed by hand.
   */
  readonly scripts?: "self" | "hash";
  /** Allows event handlers, style attributes and `javascript:` URLs by hash, with `'unsafe-hashes'`. Default `false`. */
  readonly unsafeHashes?: boolean;
  /** In place of what is proposed for these. */
  readonly directives?: PolicyDirectives;
}

/** A page, its policy, and its text with what was put in. */
export interface SitePage {
  readonly path: string;
  readonly policy: Policy;
  readonly sources: readonly ProposedSource[];
  /** The same string as before where there is nothing to change. */
  readonly html: string;
  readonly changed: boolean;
}

export interface StaticSite {
  readonly pages: readonly SitePage[];
  readonly problems: readonly SiteProblem[];
}

/**
 * Makes the policies of a site and the pages that go with them. Nothing is written. What a strict policy blocks is
 * among `problems`, and not allowed by the policy unless `unsafeHashes` is asked for. Running it on its own result
 * gives the same again. Throws `CspError` when `directives` are wrong, `TypeError` when `base` is no URL.
 */
export async function staticSite(
  files: readonly SiteFile[],
  options: StaticSiteOptions = {},
): Promise<StaticSite> {
  const site = await openSite(files, options);
  const problems: SiteProblem[] = [];
  const drafts: ReadPage[] = [];
  for (const { path, content } of files) {
    if (!/\.html?$/i.test(path)) continue;
    const text = decodeUtf8(content);
    if (text === null) {
      problems.push({
        ...wholeFile(path),
        code: "not-utf-8",
        severity: "error",
        message: "is not UTF-8, so its hashes are unknown; it gets no policy",
        remedy: "save it as UTF-8",
      });
    } else drafts.push(await readPage(path, text, site, problems));
  }
  const whole = new Sightings();
  for (const { sightings } of drafts) whole.join(sightings.sources());
  const pages = drafts.map((draft): SitePage => {
    const sources = (options.scope === "site" ? whole : draft.sightings).sources();
    const usable = sources.filter(
      ({ concern, expression }) =>
        concern !== "unsafe" || (options.unsafeHashes && expression.startsWith("'")),
    );
    const policy = proposePolicy(usable, { "frame-ancestors": ["'none'"], ...options.directives });
    if (options.delivery === "header") return finish(draft, policy, sources, draft.edit());
    const meta = metaElement(policy, mark);
    for (const name of meta.left) problems.push(notInMeta(draft, name, options));
    return finish(draft, meta.policy, sources, draft.edit(meta.html));
  });
  return { pages, problems: dedupe(problems) };
}

async function openSite(files: readonly SiteFile[], options: StaticSiteOptions): Promise<Site> {
  const base = new URL("./", options.base ?? unknownBase);
  const byHash = options.scripts === "hash";
  const moduleIntegrity: Record<string, string> = {};
  for (const { path, content } of byHash ? files : []) {
    if (!/\.m?js$/i.test(path)) continue;
    moduleIntegrity[new URL(encodePath(path), base).pathname] = await integrityOf(content);
  }
  return {
    base,
    files: new Map(files.map((file) => [file.path, file])),
    pins: byHash || options.integrity === true,
    moduleIntegrity: byHash ? moduleIntegrity : null,
    unsafeHashes: options.unsafeHashes === true,
  };
}

function finish(
  { path, text }: ReadPage,
  policy: Policy,
  sources: readonly ProposedSource[],
  html: string,
): SitePage {
  return { path, policy, sources, html, changed: html !== text };
}

function notInMeta(
  { path }: ReadPage,
  name: string,
  { directives = {} }: StaticSiteOptions,
): SiteProblem {
  return {
    ...wholeFile(path),
    code: "not-in-meta",
    severity: name in directives ? "warning" : "note",
    message: `${name} has no effect in a meta element${name === "frame-ancestors" ? ", so any site may embed the page" : ""}`,
    remedy: "send the policy as a header, if the server lets you",
  };
}

function dedupe(problems: readonly SiteProblem[]): SiteProblem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
}
