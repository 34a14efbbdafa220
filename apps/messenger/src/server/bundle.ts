/**
 * The page as it was built: immutable files, read whole at the start and never written into.
 * @module
 */

import { readdir, readFile } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";
import { promisify } from "node:util";
import { brotliCompress } from "node:zlib";
import { integrityOf } from "@conclave/csp";
import { StartError } from "./start-error.ts";

export interface BundleFile {
  readonly contentType: string;
  readonly body: Buffer;
  /** By Brotli, where that is shorter. */
  readonly compressed?: Buffer;
  /** Its name changes with its content: it may be cached for ever. */
  readonly hashed: boolean;
}

export interface Bundle {
  /** By path, as in a URL. The page itself is at `/`. */
  readonly files: ReadonlyMap<string, BundleFile>;
  /** Paths of the scripts that the page loads, each with its digest as in `integrity` (SHA-384). */
  readonly scripts: ReadonlyMap<string, string>;
  /** Paths of the scripts that workers start from: all others. */
  readonly workers: readonly string[];
}

/** What may stand in a bundle; anything else is a mistake of the build. */
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
};

const compress = promisify(brotliCompress);

/** Throws `StartError`. */
export async function readBundle(folder: string): Promise<Bundle> {
  const files = new Map<string, BundleFile>();
  for (const name of await list(folder)) {
    const path = `/${name.split(sep).join("/")}`;
    const contentType = CONTENT_TYPES[extname(name)];
    if (contentType === undefined)
      throw new StartError(`The page has a file of unknown type: ${path}`);
    const body = await readFile(join(folder, name));
    const compressed = await compress(body);
    files.set(path === "/index.html" ? "/" : path, {
      contentType,
      body,
      ...(compressed.length < body.length && { compressed }),
      hashed: path.startsWith("/assets/"),
    });
  }
  const page = files.get("/")?.body.toString("utf8");
  if (page === undefined) throw new StartError(`There is no page in ${folder}: build it first.`);

  const scripts = new Map<string, string>();
  for (const [tag] of page.matchAll(/<script\b[^>]*>/g)) {
    const path = attribute(tag, "src");
    const file = path === undefined ? undefined : files.get(path);
    if (path === undefined || file === undefined) {
      throw new StartError(`The page names a script that is not in its bundle: ${tag}`);
    }
    const integrity = await integrityOf(new Uint8Array(file.body));
    // Without it, or with another, the browser would refuse to run the script: better said here.
    if (attribute(tag, "integrity") !== integrity) {
      throw new StartError(`The page doesn't carry the integrity of its script ${path}.`);
    }
    scripts.set(path, integrity);
  }
  const workers = [...files.keys()].filter((path) => path.endsWith(".js") && !scripts.has(path));
  return { files, scripts, workers };
}

async function list(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  } catch (error) {
    throw new StartError(`There is no page in ${folder}: build it first.`, { cause: error });
  }
}

function attribute(tag: string, name: string): string | undefined {
  return new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1];
}
