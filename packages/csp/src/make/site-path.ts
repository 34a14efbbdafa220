/**
 * The files of a site and their URLs.
 * @module
 */

/** Where a site is served as long as nobody knows: a name that nobody can have, with https, for that is the stricter. */
export const unknownBase = "https://site.invalid/";

/** A file's path from the site's root, as a URL relative to it. */
export function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** The path that a URL names from the site's root, if it is the site's own. */
export function pathInSite(url: URL, base: URL): string | undefined {
  if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) return undefined;
  const path = decoded(url.pathname.slice(base.pathname.length));
  // An encoded slash is none to the URL, but one to a file system: `..%2f`.
  return /^[/\\]|(?:^|[/\\])\.\.(?:[/\\]|$)/.test(path) ? undefined : path;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    // A file may have such a name: `100%.html`.
    return path;
  }
}

/** From one path to another, as an import map wants it: with a dot in front. Where the site is served doesn't matter. */
export function relativeUrl(from: string, to: string): string {
  const folders = from.split("/").slice(0, -1);
  const parts = to.split("/");
  let common = 0;
  while (common < folders.length && folders[common] === parts[common]) common++;
  const up = "../".repeat(folders.length - common);
  return `${up || "./"}${parts.slice(common).join("/")}`;
}
