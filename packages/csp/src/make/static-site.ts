/**
 * A strict policy for a site that is a folder of files: hashes for inline blocks, integrity for what the HTML loads,
 * and what has to change before a strict policy can hold.
 * CSP #match-element-to-source-list; Subresource Integrity; HTML #import-maps.
 * @module
 */
import { parse } from "parse5";
import type { Policy } from "../policy/policy.ts";
import { hashSource, integrityOf, type PolicyDirectives } from "./build.ts";
import { styleResources } from "./css.ts";
import {
  type AttributeUse,
  type HtmlAttribute,
  type HtmlElement,
  type HtmlInventory,
  type HtmlScript,
  inspectHtml,
} from "./html.ts";
import {
  type ProposedSource,
  proposePolicy,
  Sightings,
  type SourceDirective,
  sourceFor,
} from "./proposal.ts";

/** A file of the site. */
export interface SiteFile {
  /** From the site's root, with slashes and none in front: `blog/index.html`. */
  readonly path: string;
  readonly content: Uint8Array<ArrayBuffer>;
}

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

/** What stands in the way of a policy, or is to be known about it. */
export interface SiteProblem {
  readonly code:
    | "event-handler"
    | "style-attribute"
    | "javascript-url"
    | "static-nonce"
    | "integrity-mismatch"
    | "missing-file"
    | "not-expressible"
    | "unsafe-source"
    | "not-utf-8"
    | "other-policy"
    | "not-in-meta"
    | "unseen-requests";
  /** `error`: the page would not work; `warning`: it may not; `note`: to be known. */
  readonly severity: "error" | "warning" | "note";
  readonly path: string;
  /** From 1, in UTF-16 code units; 0 where it is about the file. */
  readonly line: number;
  readonly column: number;
  /** What was found. */
  readonly message: string;
  /** What to do. */
  readonly remedy: string;
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

/** What marks the elements that were put in, so that another run takes them for its own. */
const mark = "data-conclave-csp";

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
  const drafts: Draft[] = [];
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
    } else drafts.push(await draftPage(path, text, site, problems));
  }
  const whole = new Sightings();
  for (const { sightings } of drafts) whole.join(sightings.sources());
  const pages = drafts.map((draft): SitePage => {
    const sources = (options.scope === "site" ? whole : draft.sightings).sources();
    const usable = sources.filter(
      ({ concern, expression }) =>
        concern !== "unsafe" || (options.unsafeHashes && expression.startsWith("'")),
    );
    const policy = proposePolicy(usable, policyDirectives(options, draft, problems));
    const html = options.delivery === "header" ? draft.edit() : draft.edit(policy);
    return { path: draft.path, policy, sources, html, changed: html !== draft.text };
  });
  return { pages, problems: dedupe(problems) };
}

/** What the pages have in common. */
interface Site {
  readonly options: StaticSiteOptions;
  readonly base: URL;
  readonly files: ReadonlyMap<string, SiteFile>;
  /** The integrity of every script of the site, by the path of its URL; with `scripts: "hash"` alone. */
  readonly moduleIntegrity: Readonly<Record<string, string>>;
}

async function openSite(files: readonly SiteFile[], options: StaticSiteOptions): Promise<Site> {
  // A name that nobody can have; with https, since a policy for it is the stricter.
  const base = new URL("./", options.base ?? "https://site.invalid/");
  const moduleIntegrity: Record<string, string> = {};
  if (options.scripts === "hash") {
    for (const { path, content } of files) {
      if (!/\.m?js$/i.test(path)) continue;
      moduleIntegrity[new URL(encodePath(path), base).pathname] = await integrityOf(content);
    }
  }
  return {
    options,
    base,
    files: new Map(files.map((file) => [file.path, file])),
    moduleIntegrity,
  };
}

/** A page that has been read. */
interface Draft {
  readonly path: string;
  readonly text: string;
  readonly sightings: Sightings;
  /** The text with everything put in, and the policy, if one is given. */
  edit(policy?: Policy): string;
}

/** Replaces a part of the text; an insertion where both ends are one. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

async function draftPage(
  path: string,
  text: string,
  site: Site,
  problems: SiteProblem[],
): Promise<Draft> {
  const page = new PageReader(path, text, site, problems);
  await page.readScripts();
  await page.readStyles();
  await page.readAttributes();
  await page.readResources();
  page.readBase();
  page.readOwnPolicies();
  const edits = await page.edits();
  return {
    path,
    text,
    sightings: page.sightings,
    edit(policy) {
      if (!policy) return applyEdits(text, edits);
      const meta = `<meta http-equiv="Content-Security-Policy" content="${escapeAttribute(policy.text)}" ${mark}>`;
      // The policy comes before the import map, which it allows.
      return applyEdits(text, [{ start: page.head, end: page.head, text: meta }, ...edits]);
    },
  };
}

class PageReader {
  readonly sightings = new Sightings();
  readonly head: number;
  readonly #path: string;
  readonly #text: string;
  readonly #site: Site;
  readonly #problems: SiteProblem[];
  readonly #html: HtmlInventory;
  readonly #url: URL;
  readonly #baseUrl: URL;
  readonly #integrity: Edit[] = [];
  readonly #lineStarts: readonly number[];

  constructor(path: string, text: string, site: Site, problems: SiteProblem[]) {
    this.#path = path;
    this.#text = text;
    this.#site = site;
    this.#problems = problems;
    this.#html = inspectHtml(text);
    this.#url = new URL(encodePath(path), site.base);
    const [base] = this.#html.bases;
    this.#baseUrl = URL.parse(base?.attribute.value ?? "", this.#url) ?? this.#url;
    this.#lineStarts = [0, ...Array.from(text.matchAll(/\n/g), ({ index }) => index + 1)];
    this.head = startOfHead(text);
  }

  async readScripts(): Promise<void> {
    for (const script of this.#html.scripts) {
      if (script.type === "data") continue;
      if (script.attributes.some(({ name, value }) => name === "nonce" && value !== "")) {
        this.#problem("static-nonce", "warning", script, {
          message: "has a nonce, which in a file is no secret; its hash is used instead",
          remedy: "leave the nonce out, or have a server make a fresh one for each response",
        });
      }
      // What was put in by a run before is put in anew.
      if (script.src !== null || isMarked(script)) continue;
      // With hashes, one import map carries both what the page has and the integrity.
      if (script === this.#importMap() && this.#needsImportMap()) continue;
      await this.#addHash("script-src", script, script.text);
    }
    if (this.#runsScripts()) this.#addUnseen();
  }

  async readStyles(): Promise<void> {
    for (const style of this.#html.styles) {
      await this.#addHash("style-src", style, style.text);
      this.#addStyleResources(style.text, this.#baseUrl, style);
    }
  }

  async readAttributes(): Promise<void> {
    for (const use of this.#html.eventHandlers) {
      const { element, attribute } = use;
      await this.#addUnsafe("script-src-attr", "event-handler", use, listener(element, attribute));
    }
    for (const use of this.#html.styleAttributes) {
      const value = oneLine(use.attribute.value);
      const remedy = `in a style sheet: .name { ${value} }, and class="name" here; a script may still set element.style`;
      await this.#addUnsafe("style-src-attr", "style-attribute", use, remedy);
      this.#addStyleResources(use.attribute.value, this.#baseUrl, use.element);
    }
    for (const use of this.#html.javascriptUrls) {
      const code = oneLine(use.attribute.value.replace(/^\s*javascript:/i, ""));
      const remedy = `<button type="button">, and in a script: button.addEventListener("click", () => { ${code} })`;
      await this.#addUnsafe("script-src", "javascript-url", use, remedy);
    }
  }

  async readResources(): Promise<void> {
    for (const { element, attribute, directive, url: written } of this.#html.resources) {
      const url = URL.parse(written, this.#baseUrl);
      if (!url || url.protocol === "javascript:" || url.protocol === "about:") continue;
      // What is prefetched is allowed where any directive allows it.
      if (directive === "default-src") continue;
      const name = listDirective(directive);
      const integrity = await this.#readIntegrity(element, name, url);
      const isScript = name === "script-src";
      const hashes = this.#site.options.scripts === "hash" && isScript ? integrity : null;
      const evidence = { ...this.#evidence(attribute), what: url.href };
      if (hashes) {
        for (const hash of hashes) {
          this.sightings.add(
            { directive: name, expression: `'${hash}'`, concern: "none" },
            evidence,
          );
        }
      } else this.#addUrl(name, url, attribute);
      if (name === "style-src") this.#readSheet(url, element);
    }
    if (/<form[\s>]/i.test(this.#text)) {
      const own = sourceFor(this.#url, this.#site.base, "form-action");
      if (own) this.sightings.add(own, { page: this.#path, what: "a form of the page" });
    }
  }

  readBase(): void {
    const [base] = this.#html.bases;
    const url = base && URL.parse(base.attribute.value, this.#url);
    if (url) this.#addUrl("base-uri", url, base.attribute);
  }

  readOwnPolicies(): void {
    for (const meta of this.#html.metaPolicies) {
      if (isMarked(meta)) continue;
      this.#problem("other-policy", meta.inHead ? "warning" : "note", meta, {
        message: meta.inHead
          ? "has another policy already; both are enforced"
          : "has a policy outside of head, where browsers ignore it",
        remedy: "remove this element",
      });
    }
  }

  /** All changes but the policy. */
  async edits(): Promise<Edit[]> {
    const edits = [...this.#integrity];
    for (const meta of this.#html.metaPolicies) {
      if (isMarked(meta)) edits.push({ ...spanOf(meta), text: "" });
    }
    const importMap = this.#importMap();
    const marked = this.#html.scripts.filter((script) => isMarked(script));
    for (const script of marked) edits.push({ ...this.#wholeScript(script), text: "" });
    if (!this.#needsImportMap()) return edits;
    const modules = Object.entries(this.#site.moduleIntegrity).map(
      ([path, integrity]) => [relativeUrl(this.#baseUrl.pathname, path), integrity] as const,
    );
    const own = importMap && !isMarked(importMap) ? importMap.text : "{}";
    const text = withIntegrity(own, Object.fromEntries(modules));
    if (text === null) {
      if (importMap) await this.#addHash("script-src", importMap, importMap.text);
      return edits;
    }
    this.sightings.add(
      { directive: "script-src", expression: await hashSource(text), concern: "none" },
      { page: this.#path, what: "the import map with the modules' integrity" },
    );
    for (const [path, integrity] of Object.entries(this.#site.moduleIntegrity)) {
      this.sightings.add(
        { directive: "script-src", expression: `'${integrity}'`, concern: "none" },
        { page: this.#path, what: path },
      );
    }
    if (importMap && !isMarked(importMap)) {
      const { start, end } = this.#content(importMap);
      edits.push({ start, end, text });
    } else {
      const element = `<script type="importmap" ${mark}>${text}</script>`;
      edits.push({ start: this.head, end: this.head, text: element });
    }
    return edits;
  }

  #needsImportMap(): boolean {
    const { scripts } = this.#html;
    return this.#site.options.scripts === "hash" && scripts.some(({ type }) => type === "module");
  }

  #importMap(): HtmlScript | undefined {
    const maps = this.#html.scripts.filter(
      ({ type, context }) => type === "importmap" && context === "document",
    );
    return maps.find((map) => !isMarked(map)) ?? maps[0];
  }

  #runsScripts(): boolean {
    return this.#html.scripts.some(({ type }) => type === "classic" || type === "module");
  }

  /** What scripts load cannot be read from them: files of the site are there to be used. */
  #addUnseen(): void {
    const note = (directive: SourceDirective, what: string) =>
      this.sightings.add(
        { directive, expression: "'self'", concern: "none" },
        { page: this.#path, what },
      );
    for (const [extensions, directive] of fileDirectives) {
      const file = [...this.#site.files.keys()].find((path) => extensions.test(path));
      if (file) note(directive, `${file}, a file of the site that a script may use`);
    }
    note("connect-src", "the site itself, which a script may ask");
    this.#problems.push({
      ...wholeFile(this.#path),
      code: "unseen-requests",
      severity: "note",
      message:
        "runs scripts, and what they load is not in its HTML; the site's own files are allowed",
      remedy: "visit the served site to see the rest (csp generate URL)",
    });
  }

  async #readIntegrity(
    element: HtmlElement,
    directive: SourceDirective,
    url: URL,
  ): Promise<string[] | null> {
    const written = element.attributes.find(({ name }) => name === "integrity");
    const metadata = written?.value.split(/\s+/).filter((word) => /^sha(256|384|512)-/.test(word));
    const file = this.#fileAt(url);
    if (!file) {
      if (url.origin === this.#site.base.origin) {
        this.#problem("missing-file", "warning", element, {
          message: `${quote(url.pathname)} is no file of the site`,
          remedy: "build the site first, or mend the URL",
        });
      }
      return metadata && metadata.length > 0 ? metadata : null;
    }
    const isCode = directive === "script-src" || directive === "style-src";
    if (!isCode) return null;
    const matches = metadata ? await matchesFile(metadata, file) : true;
    if (!matches) {
      this.#problem("integrity-mismatch", "warning", element, {
        message: `the integrity is not that of ${file.path}, so browsers refuse it`,
        remedy: "see why the file has changed; asked for integrity, the new one is put in",
      });
    }
    const wanted = this.#site.options.integrity || this.#site.options.scripts === "hash";
    if (!wanted) return metadata ?? null;
    if (metadata && metadata.length > 0 && matches) return metadata;
    const integrity = await integrityOf(file.content);
    if (element.insertAt === null) return null;
    if (written) {
      this.#integrity.push({ ...spanOf(written), text: `integrity="${integrity}"` });
    } else {
      this.#integrity.push({
        start: element.insertAt,
        end: element.insertAt,
        text: ` integrity="${integrity}"`,
      });
    }
    return [integrity];
  }

  /** A sheet of the site loads more. */
  #readSheet(url: URL, from: HtmlElement): void {
    const seen = new Set<string>();
    const sheets = [url];
    for (let sheet = sheets.pop(); sheet; sheet = sheets.pop()) {
      const file = this.#fileAt(sheet);
      const css = file && !seen.has(file.path) ? decodeUtf8(file.content) : null;
      if (!file || css === null) continue;
      seen.add(file.path);
      sheets.push(...this.#addStyleResources(css, sheet, from));
    }
  }

  /** Gives the sheets that this one imports. */
  #addStyleResources(css: string, base: URL, element: HtmlElement): URL[] {
    const imports: URL[] = [];
    for (const { url: written, directive } of styleResources(css)) {
      const url = URL.parse(written, base);
      // A fragment alone is a part of the page.
      if (!url || written.startsWith("#")) continue;
      this.#addUrl(directive, url, element);
      if (directive === "style-src") imports.push(url);
    }
    return imports;
  }

  #addUrl(directive: SourceDirective, url: URL, at: { readonly offset: number }): void {
    const source = sourceFor(url, this.#site.base, directive);
    if (source) {
      const isOwn = url.origin === this.#site.base.origin;
      const what = shorten(isOwn ? url.pathname + url.search : url.href);
      this.sightings.add(source, { ...this.#evidence(at), what });
      if (source.concern !== "unsafe") return;
      this.#problem("unsafe-source", "error", at, {
        message: `${quote(url.href)} is blocked: who may write markup could write such a URL`,
        remedy: "put the code into a file of the site",
      });
      return;
    }
    this.#problem("not-expressible", "error", at, {
      message: `no source expression can name ${quote(url.origin)}`,
      remedy: "give it a domain name of letters, digits and hyphens",
    });
  }

  async #addHash(directive: SourceDirective, element: HtmlElement, text: string): Promise<void> {
    const source = { directive, expression: await hashSource(text), concern: "none" } as const;
    this.sightings.add(source, { ...this.#evidence(element), what: oneLine(text) });
  }

  async #addUnsafe(
    directive: SourceDirective,
    code: "event-handler" | "style-attribute" | "javascript-url",
    { element, attribute }: AttributeUse,
    remedy: string,
  ): Promise<void> {
    const allowed = this.#site.options.unsafeHashes;
    const message = `${attribute.name} on <${element.name}> is ${allowed ? "allowed by its hash" : "blocked"}: ${quote(attribute.value)}`;
    this.#problem(code, allowed ? "warning" : "error", attribute, { message, remedy });
    // A browser hashes the URL as it was parsed.
    const url = code === "javascript-url" ? URL.parse(attribute.value) : null;
    const hash = await hashSource(url ? url.href : attribute.value);
    for (const expression of ["'unsafe-hashes'", hash]) {
      this.sightings.add(
        { directive, expression, concern: "unsafe" },
        { ...this.#evidence(attribute), what: oneLine(attribute.value) },
      );
    }
  }

  #fileAt(url: URL): SiteFile | undefined {
    const { base, files } = this.#site;
    if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) return undefined;
    const path = decodePath(url.pathname.slice(base.pathname.length));
    return files.get(path) ?? files.get(`${path}index.html`);
  }

  #wholeScript(script: HtmlScript): { start: number; end: number } {
    const { end } = this.#content(script);
    return { start: script.offset, end: this.#text.indexOf(">", end) + 1 };
  }

  #content(script: HtmlScript): { start: number; end: number } {
    const start = script.offset + script.length;
    const length = this.#text.slice(start).search(/<\/script/i);
    return { start, end: length < 0 ? this.#text.length : start + length };
  }

  #evidence({ offset }: { readonly offset: number }) {
    return { page: this.#path, ...this.#place(offset), insertedBy: "parser" } as const;
  }

  #place(offset: number): { line: number; column: number } {
    const after = this.#lineStarts.findIndex((start) => start > offset);
    const line = after < 0 ? this.#lineStarts.length : after;
    return { line, column: offset - (this.#lineStarts[line - 1] ?? 0) + 1 };
  }

  #problem(
    code: SiteProblem["code"],
    severity: SiteProblem["severity"],
    { offset }: { readonly offset: number },
    words: Pick<SiteProblem, "message" | "remedy">,
  ): void {
    this.#problems.push({ code, severity, path: this.#path, ...this.#place(offset), ...words });
  }
}

/** How a script says the same as an event handler attribute. */
function listener({ name }: HtmlElement, attribute: HtmlAttribute): string {
  // HTML #window-reflecting-body-element-event-handler-set, the usual ones.
  const reflected =
    /^on(?:blur|error|focus|load|resize|scroll|unload|hashchange|message|popstate)$/;
  const target = name === "body" && reflected.test(attribute.name) ? "window" : "element";
  const code = oneLine(attribute.value);
  const returns = /\breturn\b/.test(code)
    ? "; instead of returning false, event.preventDefault()"
    : "";
  const event = JSON.stringify(attribute.name.slice(2));
  return `in a script: ${target}.addEventListener(${event}, function (event) { ${code} })${returns}`;
}

/** The import map's text with the modules' integrity, or `null` when it is no JSON object. */
function withIntegrity(text: string, modules: Readonly<Record<string, string>>): string | null {
  try {
    const map: unknown = JSON.parse(text);
    if (typeof map !== "object" || map === null || Array.isArray(map)) return null;
    const own = "integrity" in map && typeof map.integrity === "object" ? map.integrity : {};
    const integrity = { ...own, ...modules };
    // Nothing in it may end the element.
    return JSON.stringify({ ...map, integrity }).replaceAll("<", "\\u003C");
  } catch {
    return null;
  }
}

/** What files of the site are good for, when scripts may use them. */
const fileDirectives: readonly (readonly [RegExp, SourceDirective])[] = [
  [/\.css$/i, "style-src"],
  [/\.(?:avif|gif|ico|jpe?g|png|svg|webp)$/i, "img-src"],
  [/\.(?:otf|ttf|woff2?)$/i, "font-src"],
  [/\.(?:mp3|mp4|m4a|ogg|opus|wav|webm)$/i, "media-src"],
];

/** Elements share the list of scripts and of styles; attributes have their own. */
function listDirective(directive: string): SourceDirective {
  if (directive === "script-src-elem") return "script-src";
  if (directive === "style-src-elem") return "style-src";
  // The inventory has no other than fetch directives and `form-action`.
  return directive as SourceDirective;
}

const headerOnly = ["frame-ancestors", "report-uri", "sandbox"] as const;

/** Directives from the options, and those that no `meta` element can have. */
function policyDirectives(
  { directives = {}, delivery = "meta" }: StaticSiteOptions,
  { path }: Draft,
  problems: SiteProblem[],
): PolicyDirectives {
  if (delivery === "header") return { "frame-ancestors": ["'none'"], ...directives };
  const rest: Record<string, unknown> = { ...directives };
  for (const name of headerOnly) {
    delete rest[name];
    if (name !== "frame-ancestors" && !(name in directives)) continue;
    problems.push({
      ...wholeFile(path),
      code: "not-in-meta",
      severity: name in directives ? "warning" : "note",
      message: `${name} has no effect in a meta element${name === "frame-ancestors" ? ", so any site may embed the page" : ""}`,
      remedy: "send the policy as a header, if the server lets you",
    });
  }
  // Only names were taken out.
  return rest as PolicyDirectives;
}

/**
 * Where the first thing in `head` can stand. After the declaration of the encoding, if that comes first: browsers look
 * for it in the first kilobyte alone.
 */
function startOfHead(text: string): number {
  const root = parse(text, { sourceCodeLocationInfo: true });
  const html = root.childNodes.find((node) => node.nodeName === "html");
  const head =
    html && "childNodes" in html
      ? html.childNodes.find((node) => node.nodeName === "head")
      : undefined;
  if (head && "childNodes" in head) {
    for (const child of head.childNodes) {
      if (child.nodeName.startsWith("#")) continue;
      if (!("attrs" in child)) break;
      if (child.attrs.some(({ name }) => name === mark)) continue;
      if (child.nodeName !== "meta") break;
      const declares = child.attrs.some(
        ({ name, value }) =>
          name === "charset" || (name === "http-equiv" && value.toLowerCase() === "content-type"),
      );
      if (!declares) break;
      return child.sourceCodeLocation?.endOffset ?? 0;
    }
  }
  const doctype = root.childNodes.find((node) => node.nodeName === "#documentType");
  for (const node of [head, html]) {
    const tag = node && "attrs" in node ? node.sourceCodeLocation?.startTag : undefined;
    if (tag) return tag.endOffset;
  }
  return doctype?.sourceCodeLocation?.endOffset ?? (text.startsWith("\uFEFF") ? 1 : 0);
}

async function matchesFile(metadata: readonly string[], { content }: SiteFile): Promise<boolean> {
  if (metadata.length === 0) return true;
  for (const algorithm of ["sha512", "sha384", "sha256"] as const) {
    const ofThis = metadata.filter((word) => word.startsWith(algorithm));
    // The strongest decides.
    if (ofThis.length === 0) continue;
    return ofThis.includes(await integrityOf(content, algorithm));
  }
  return true;
}

function applyEdits(text: string, edits: readonly Edit[]): string {
  // Insertions at one place stay in the order in which they were given.
  const ordered = edits.toSorted((a, b) => a.start - b.start || a.end - b.end);
  let result = "";
  let at = 0;
  for (const { start, end, text: replacement } of ordered) {
    result += text.slice(at, start) + replacement;
    at = end;
  }
  return result + text.slice(at);
}

function isMarked({ attributes }: HtmlElement): boolean {
  return attributes.some(({ name }) => name === mark);
}

function spanOf({ offset, length }: { readonly offset: number; readonly length: number }) {
  return { start: offset, end: offset + length };
}

function wholeFile(path: string) {
  return { path, line: 0, column: 0 };
}

function dedupe(problems: readonly SiteProblem[]): SiteProblem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
}

/** `null` when the bytes are no UTF-8. A byte order mark stays. */
function decodeUtf8(bytes: Uint8Array<ArrayBuffer>): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** From one path to another, as an import map wants it: with a dot in front. Where the site is served doesn't matter. */
function relativeUrl(from: string, to: string): string {
  const folders = from.split("/").slice(0, -1);
  const parts = to.split("/");
  let common = 0;
  while (common < folders.length && folders[common] === parts[common]) common++;
  const up = "../".repeat(folders.length - common);
  return `${up || "./"}${parts.slice(common).join("/")}`;
}

function escapeAttribute(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
}

function oneLine(text: string): string {
  return shorten(text.replace(/\s+/g, " ").trim());
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function quote(text: string): string {
  return `“${oneLine(text)}”`;
}
