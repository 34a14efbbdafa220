/**
 * A policy for what Vite builds, and one for its dev server.
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { readFile, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import type { Plugin, ResolvedConfig } from "vite";
import {
  allowSources,
  buildPolicy,
  type HashExpression,
  integrityOf,
  type PolicyDirectives,
} from "../make/build.ts";
import { type HtmlElement, type HtmlInventory, inspectHtml } from "../make/html.ts";
import {
  applyEdits,
  importMapEdit,
  insertion,
  integrityEdit,
  metaElement,
  type PageEdit,
} from "../make/page-edit.ts";
import { allowInline, integrityHashes } from "../make/page-policy.ts";
import { pathInSite, relativeUrl, unknownBase } from "../make/site-path.ts";
import { serializePolicy } from "../policy/policy.ts";
import { securityHeadersMiddleware } from "./node.ts";
import { createNonceMarker } from "./nonce-marker.ts";

/** The policy of a page that was built. */
export interface PagePolicy {
  /** Relative to the output folder, with `/`: `index.html`. */
  readonly file: string;
  /** With what only a header can carry. */
  readonly policy: string;
}

export interface ContentSecurityPolicyOptions {
  /** Over `defaultPolicy`, directive by directive. Hashes are added to it, and in the dev server what that one needs. */
  readonly policy?: PolicyDirectives;
  /**
   * Default `false`. With `true` no file of the site runs because of where it is: scripts are allowed by the hashes of
   * those that the page names, and what these load by `'strict-dynamic'`. Needs browsers that match `integrity` with
   * hashes: Chromium, and WebKit since 2026.
   */
  readonly strict?: boolean;
  /** Default `true`: every page carries its policy in a `meta` element. */
  readonly meta?: boolean;
  /** A file in the output folder for a list of the pages' policies in JSON, for whatever sends headers. */
  readonly json?: string;
  /** Called with all pages at the end of a build. */
  readonly onPolicy?: (policies: readonly PagePolicy[]) => void | Promise<void>;
}

/** What a page that Vite builds needs, and no more. `frame-ancestors` takes a header. */
export const defaultPolicy: PolicyDirectives = {
  "default-src": ["'self'"],
  // Vite puts small files into those that use them.
  "img-src": ["'self'", "data:"],
  "font-src": ["'self'", "data:"],
  "object-src": ["'none'"],
  "base-uri": ["'none'"],
  "form-action": ["'self'"],
};

/**
 * In a build: hashes for what is inline in the emitted pages, `integrity` for the scripts and style sheets that they
 * load, the policy in each page, and as data for those who send headers. In the dev server: the policy as a header with
 * a nonce for each response. Goes last in `plugins`, and takes the pages as they are on disk.
 */
export function contentSecurityPolicy(options: ContentSecurityPolicyOptions = {}): Plugin {
  const base: PolicyDirectives = { ...defaultPolicy, ...options.policy };
  // What is wrong in it is to be known before anything is built.
  buildPolicy(base);
  const marker = createNonceMarker();
  const devOptions = (policy: PolicyDirectives) => ({
    ...nothingElse,
    policy: (nonce: string) => devPolicy(policy, options.strict ?? false, nonce),
    nonceMarker: marker,
  });
  /** In the dev server: whose page is being made. */
  const pages = new AsyncLocalStorage<{
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
  }>();
  let config: ResolvedConfig;
  return {
    name: "@conclave/csp",
    enforce: "post",

    config(user, { command, isPreview }) {
      if (user.html?.cspNonce !== undefined) {
        throw new Error("html.cspNonce: a nonce that is known before the request protects nobody");
      }
      // Replaced in every response, and in no build.
      return command === "serve" && !isPreview ? { html: { cspNonce: marker } } : {};
    },

    configResolved(resolved) {
      config = resolved;
    },

    configureServer(server) {
      const secure = securityHeadersMiddleware(devOptions(base));
      server.middlewares.use((request, response, next) => {
        secure(request, response);
        pages.run({ request, response }, next);
      });
    },

    transformIndexHtml: {
      order: "post",
      async handler(html) {
        const page = pages.getStore();
        if (!page) return;
        // A nonce does nothing for attributes.
        const attributes = { ...inspectHtml(html), scripts: [], styles: [] };
        const policy = await allowInline(base, attributes);
        securityHeadersMiddleware(devOptions(policy))(page.request, page.response);
      },
    },

    writeBundle: {
      order: "post",
      sequential: true,
      async handler({ dir }, bundle) {
        if (this.environment.config.consumer !== "client" || dir === undefined) return;
        const site = { dir, base: config.base, imports: importsOf(bundle) };
        const policies: PagePolicy[] = [];
        for (const file of Object.keys(bundle).filter((name) => name.endsWith(".html"))) {
          const page = await securePage(site, file, base, options);
          for (const warning of page.warnings) this.warn(`${file}: ${warning}`);
          await writeFile(join(dir, file), page.html);
          policies.push({ file, policy: page.policy });
        }
        if (options.json !== undefined) {
          await writeFile(join(dir, options.json), `${JSON.stringify(policies, undefined, 2)}\n`);
        }
        await options.onPolicy?.(policies);
      },
    },
  };
}

/** The dev server's other headers are its own. */
const nothingElse = {
  contentTypeOptions: false,
  referrerPolicy: false,
  crossOriginOpenerPolicy: false,
  crossOriginResourcePolicy: false,
  permissionsPolicy: false,
  frameOptions: false,
} as const;

/** The client's styles and inline scripts have the nonce; its socket may have another port. */
function devPolicy(base: PolicyDirectives, strict: boolean, nonce: string): PolicyDirectives {
  const nonceSource = `'nonce-${nonce}'` as const;
  let policy = allowSources(base, "script-src-elem", [
    nonceSource,
    ...(strict ? (["'strict-dynamic'"] as const) : []),
  ]);
  policy = allowSources(policy, "style-src-elem", [nonceSource]);
  return allowSources(policy, "connect-src", ["ws:", "wss:"]);
}

interface Site {
  readonly dir: string;
  /** Vite's `base`: a path, a URL, or relative. */
  readonly base: string;
  /** What each emitted script imports, at once or later. */
  readonly imports: ReadonlyMap<string, readonly string[]>;
}

interface SecuredPage {
  readonly html: string;
  readonly policy: string;
  readonly warnings: readonly string[];
}

async function securePage(
  site: Site,
  file: string,
  base: PolicyDirectives,
  { strict = false, meta = true }: ContentSecurityPolicyOptions,
): Promise<SecuredPage> {
  const before = await readFile(join(site.dir, file), "utf8");
  const page = inspectHtml(before);
  const warnings = warningsFor(page);
  const pins = await pinsFor(site, file, before, page);
  warnings.push(...pins.warnings);
  const pinned = applyEdits(before, pins.edits);

  // Read again: an import map is inline, too.
  const after = inspectHtml(pinned);
  let directives = base;
  if (strict) {
    const own = base["script-src"]?.filter((source) => source !== "'self'") ?? [];
    directives = { ...base, "script-src": [...own, "'strict-dynamic'"] };
    directives = allowSources(directives, "script-src-elem", scriptHashes(after));
  }
  directives = await allowInline(directives, after);
  const built = buildPolicy(directives);
  const policy = serializePolicy(built);
  if (!meta) return { html: pinned, policy, warnings };
  const element = metaElement(built);
  if (element.left.length > 0) {
    warnings.push(`only a header can carry ${element.left.join(", ")}`);
  }
  const html = applyEdits(pinned, [insertion(after.headAt, element.html)]);
  return { html, policy, warnings };
}

function warningsFor(page: HtmlInventory): string[] {
  const warnings: string[] = [];
  if (page.metaPolicies.length > 0) {
    warnings.push("has a policy of its own; both have to allow a thing");
  }
  for (const { attribute, element } of page.javascriptUrls) {
    warnings.push(`<${element.name} ${attribute.name}> is a javascript: URL, which is blocked`);
  }
  for (const { attribute, element } of page.eventHandlers) {
    warnings.push(
      `<${element.name} ${attribute.name}> takes 'unsafe-hashes'; use addEventListener`,
    );
  }
  return warnings;
}

/** Integrity for what the page loads of its own site, and for what its scripts import. */
async function pinsFor(
  site: Site,
  file: string,
  text: string,
  page: HtmlInventory,
): Promise<{ readonly edits: readonly PageEdit[]; readonly warnings: readonly string[] }> {
  const edits: PageEdit[] = [];
  const warnings: string[] = [];
  const named = new Set<string>();
  for (const { element, url } of pinnable(page)) {
    if (element.insertAt === null) continue;
    const path = pathOf(site, file, url);
    if (path !== undefined) named.add(path);
    if (has(element, "integrity")) continue;
    const bytes = path === undefined ? undefined : await readIfThere(join(site.dir, path));
    if (!bytes) {
      warnings.push(`${url} has no integrity, and is no file of the site`);
      continue;
    }
    const edit = integrityEdit(element, await integrityOf(bytes));
    if (edit) edits.push(edit);
    // The site's files may be served by another origin, whose bytes the page may see only so.
    if (!has(element, "crossorigin")) edits.push(insertion(element.insertAt, " crossorigin"));
  }
  const imported = importedBy(named, site);
  const modules = page.scripts.some(({ type }) => type === "module");
  if (!modules || imported.length === 0) return { edits, warnings };
  const integrity: Record<string, string> = {};
  for (const chunk of imported) {
    integrity[urlInSite(site, file, chunk)] = await integrityOf(
      new Uint8Array(await readFile(join(site.dir, chunk))),
    );
  }
  const own = page.scripts.find(
    ({ type, context }) => type === "importmap" && context === "document",
  );
  const edit = importMapEdit(text, own, page.headAt, integrity);
  if (edit) edits.push(edit);
  else
    warnings.push("has an import map that is no JSON object; what scripts import has no integrity");
  return { edits, warnings };
}

/** Scripts, style sheets and preloads of them: what `integrity` is for. */
function pinnable(
  page: HtmlInventory,
): readonly { readonly element: HtmlElement; readonly url: string }[] {
  return page.resources.filter(
    ({ directive, attribute }) =>
      (directive === "script-src-elem" || directive === "style-src-elem") &&
      attribute.name !== "xlink:href",
  );
}

function scriptHashes(page: HtmlInventory): HashExpression[] {
  return page.resources.flatMap(({ directive, element }) =>
    directive === "script-src-elem" ? integrityHashes(element) : [],
  );
}

function has({ attributes }: HtmlElement, wanted: string): boolean {
  return attributes.some(({ name }) => name === wanted);
}

/** A page's address, by which relative ones are read. */
function pageUrl({ base }: Site, file: string): URL {
  const root = base === "" || base === "./" ? "/" : base;
  return new URL(file, new URL(root, unknownBase));
}

/** The file in the output folder that a URL names, if it is the site's own. */
function pathOf(site: Site, file: string, url: string): string | undefined {
  const parsed = URL.parse(url, pageUrl(site, file));
  return parsed ? pathInSite(parsed, pageUrl(site, "")) : undefined;
}

/** As an import map has to name it: absolute, or with a dot in front. */
function urlInSite({ base }: Site, file: string, path: string): string {
  return base === "" || base === "./" ? relativeUrl(file, path) : `${base}${path}`;
}

async function readIfThere(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return new Uint8Array(await readFile(path));
  } catch {
    return undefined;
  }
}

/** As much of a bundle as is used. */
type Bundle = Readonly<
  Record<
    string,
    | { readonly type: "asset" }
    | {
        readonly type: "chunk";
        readonly imports: readonly string[];
        readonly dynamicImports: readonly string[];
      }
  >
>;

function importsOf(bundle: Bundle): Map<string, readonly string[]> {
  const imports = new Map<string, readonly string[]>();
  for (const [file, output] of Object.entries(bundle)) {
    if (output.type === "chunk") imports.set(file, [...output.imports, ...output.dynamicImports]);
  }
  return imports;
}

/** What the page's scripts come to import, without those that it names itself. */
function importedBy(named: ReadonlySet<string>, { imports }: Site): string[] {
  const found = new Set(named);
  // A set's iteration comes to what is added on the way.
  for (const file of found) for (const next of imports.get(file) ?? []) found.add(next);
  return [...found.difference(named)].filter((file) => imports.has(file));
}
