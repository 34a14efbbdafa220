/**
 * Blobs in a folder of this machine, or of a file system that several processes share.
 * @module
 */

import { open, readFile, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { makeFolder as make } from "../folder.ts";
import { StoreUnavailable } from "../store/store.ts";
import type { BlobBodies } from "./bodies.ts";

/** Writes what the folder says of its entries through to the disk. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** `root` is made where it is missing. */
export function diskBodies(root: string): BlobBodies {
  // A level in between, so that no folder has too many entries.
  const folderOf = (blob: string): string => join(resolve(root), blob.slice(0, 2), blob);

  /** Makes the blob's folder; each new entry is synced in the folder that has it. */
  async function makeFolder(blob: string): Promise<string> {
    const folder = folderOf(blob);
    const first = await make(folder);
    if (first !== undefined) {
      for (let made = folder; made.length >= first.length; made = join(made, "..")) {
        await syncFolder(join(made, ".."));
      }
    }
    return folder;
  }

  return {
    async put(blob, part, bytes) {
      const folder = await makeFolder(blob);
      const path = join(folder, part);
      const unfinished = `${path}.unfinished`;
      try {
        const file = await open(unfinished, "wx", 0o600);
        try {
          await file.writeFile(bytes);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(unfinished, path);
        await syncFolder(folder);
      } catch (error) {
        await rm(unfinished, { force: true });
        throw new StoreUnavailable("a part of a blob was not written", { cause: error });
      }
    },

    async get(blob, part) {
      try {
        return new Uint8Array(await readFile(join(folderOf(blob), part)));
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        throw error;
      }
    },

    async removePart(blob, part) {
      await rm(join(folderOf(blob), part), { force: true });
    },

    async remove(blob) {
      await rm(folderOf(blob), { recursive: true, force: true });
    },
  };
}
