/**
 * Folders, made where they are missing.
 * @module
 */

import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Makes the folder, and those above it, for their owner alone. The first one that was made, if any, as an absolute path.
 * One after the other: Node's own way never ends where there can be none, as in `/proc`.
 */
export async function makeFolder(path: string): Promise<string | undefined> {
  const missing: string[] = [];
  for (let at = resolve(path); !(await isFolder(at)); at = dirname(at)) missing.unshift(at);
  let first: string | undefined;
  for (const folder of missing) {
    try {
      await mkdir(folder, { mode: 0o700 });
      first ??= folder;
    } catch (error) {
      // Somebody else may have made it meanwhile.
      if (!(await isFolder(folder))) throw error;
    }
  }
  return first;
}

/** Throws where nobody may look. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw error;
  }
}
