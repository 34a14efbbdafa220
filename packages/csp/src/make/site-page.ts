/**
 * A page of a site that is a folder of files: the sources that it needs, what stands in the way of a strict policy, and
 * what has to be written into it.
 * CSP #match-element-to-source-list; Subresource Integrity; HTML #import-maps.
 * @module
 */
import { hashAlgorithms } from "../policy/source-list.ts";
import { type HashExpression, hashSource, integrityOf } from "./build.ts";
import { styleResources } from "./css.ts";
import {
  type AttributeUse,
  type HtmlAttribute,
  type HtmlElement,
  type HtmlInventory,
  type HtmlScript,
  inspectHtml,
  mark,
} from "./html.ts";
import {
  applyEdits,
  importMapEdit,
  insertion,
  integrityEdit,
  type PageEdit,
  removeElement,
  removeScript,
} from "./page-edit.ts";
import { integrityHashes } from "./page-policy.ts";
import { Sightings, type SourceDirective, sourceFor } from "./proposal.ts";
import { encodePath, pathInSite, relativeUrl } from "./site-path.ts";

/** A file of the site. */
export interface SiteFile {
  /** From the site's root, with slashes and none in front: `blog/index.html`. */
  readonly path: string;
  readonly content: Uint8Array<ArrayBuffer>;
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

/** What the pages have in common. */
export interface Site {
  readonly base: URL;
  readonly files: ReadonlyMap<string, SiteFile>;
  /** Whether scripts and style sheets of the site get `integrity` attributes. */
  readonly pins: boolean;
  /** The integrity of every script of the site, by the path of its URL, where hashes allow them; `null` where `'self'` does. */
  readonly moduleIntegrity: Readonly<Record<string, string>> | null;
  /** Whether event handlers and the like are allowed by hash. */
  readonly unsafeHashes: boolean;
}

/** A page that has been read. */
export interface ReadPage {
  readonly path: string;
  readonly text: string;
  readonly sightings: Sightings;
  /** The text with everything put in; `meta`, the policy's element, comes first in `head`. */
  edit(meta?: string): string;
}

/** Reads a page, and adds to `problems` what is found. */
export async function readPage(
  path: string,
  text: string,
  site: Site,
  problems: SiteProblem[],
): Promise<ReadPage> {
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
    // The policy comes before the import map, which it allows.
    edit: (meta = "") => applyEdits(text, [insertion(page.headAt, meta), ...edits]),
  };
}

class PageReader {
  readonly sightings = new Sightings();
  readonly #path: string;
  readonly #text: string;
  readonly #site: Site;
  readonly #problems: SiteProblem[];
  readonly #html: HtmlInventory;
  readonly #url: URL;
  readonly #baseUrl: URL;
  readonly #integrity: PageEdit[] = [];
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
  }

  get headAt(): number {
    return this.#html.headAt;
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
      const hashes = this.#site.moduleIntegrity && name === "script-src" ? integrity : [];
      const evidence = { ...this.#evidence(attribute), what: url.href };
      for (const expression of hashes) {
        this.sightings.add({ directive: name, expression, concern: "none" }, evidence);
      }
      if (hashes.length === 0) this.#addUrl(name, url, attribute);
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
  async edits(): Promise<PageEdit[]> {
    const { scripts, metaPolicies, headAt } = this.#html;
    const edits = [
      ...this.#integrity,
      ...metaPolicies.filter(isMarked).map(removeElement),
      ...scripts.filter(isMarked).map((script) => removeScript(this.#text, script)),
    ];
    if (!this.#needsImportMap()) return edits;
    const modules = Object.entries(this.#site.moduleIntegrity ?? {});
    const named = modules.map(([path, integrity]) => [
      relativeUrl(this.#baseUrl.pathname, path),
      integrity,
    ]);
    const importMap = this.#importMap();
    const own = importMap && !isMarked(importMap) ? importMap : undefined;
    const edit = importMapEdit(this.#text, own, headAt, Object.fromEntries(named), mark);
    if (!edit) {
      if (own) await this.#addHash("script-src", own, own.text);
      return edits;
    }
    this.sightings.add(
      { directive: "script-src", expression: await hashSource(edit.importMap), concern: "none" },
      { page: this.#path, what: "the import map with the modules' integrity" },
    );
    for (const [path, integrity] of modules) {
      this.sightings.add(
        { directive: "script-src", expression: `'${integrity}'`, concern: "none" },
        { page: this.#path, what: path },
      );
    }
    return [...edits, edit];
  }

  #needsImportMap(): boolean {
    const { moduleIntegrity } = this.#site;
    return moduleIntegrity !== null && this.#html.scripts.some(({ type }) => type === "module");
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

  /** The hashes that the element has, or comes to have. */
  async #readIntegrity(
    element: HtmlElement,
    directive: SourceDirective,
    url: URL,
  ): Promise<readonly HashExpression[]> {
    const hashes = integrityHashes(element);
    const file = this.#fileAt(url);
    if (!file) {
      if (url.origin === this.#site.base.origin) {
        this.#problem("missing-file", "warning", element, {
          message: `${quote(url.pathname)} is no file of the site`,
          remedy: "build the site first, or mend the URL",
        });
      }
      return hashes;
    }
    if (directive !== "script-src" && directive !== "style-src") return [];
    const matches = await doHashesMatch(hashes, file);
    if (!matches) {
      this.#problem("integrity-mismatch", "warning", element, {
        message: `the integrity is not that of ${file.path}, so browsers refuse it`,
        remedy: "see why the file has changed; asked for integrity, the new one is put in",
      });
    }
    if (!this.#site.pins || (hashes.length > 0 && matches)) return hashes;
    const integrity = await integrityOf(file.content);
    const edit = integrityEdit(element, integrity);
    if (!edit) return [];
    this.#integrity.push(edit);
    return [`'${integrity}'`];
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
    const allowed = this.#site.unsafeHashes;
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
    const path = pathInSite(url, base);
    return path === undefined ? undefined : (files.get(path) ?? files.get(`${path}index.html`));
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

/** Subresource Integrity, "do bytes match metadataList": the strongest algorithm decides. */
async function doHashesMatch(
  hashes: readonly HashExpression[],
  { content }: SiteFile,
): Promise<boolean> {
  for (const algorithm of hashAlgorithms.toReversed()) {
    const strongest = hashes.filter((hash) => hash.startsWith(`'${algorithm}-`));
    if (strongest.length > 0) return strongest.includes(await hashSource(content, algorithm));
  }
  return true;
}

function isMarked({ attributes }: HtmlElement): boolean {
  return attributes.some(({ name }) => name === mark);
}

/** Where a problem is that has no place in the file. */
export function wholeFile(path: string): Pick<SiteProblem, "path" | "line" | "column"> {
  return { path, line: 0, column: 0 };
}

/** `null` when the bytes are no UTF-8. A byte order mark stays. */
export function decodeUtf8(bytes: Uint8Array<ArrayBuffer>): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
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
