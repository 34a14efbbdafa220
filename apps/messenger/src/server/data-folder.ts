/**
 * The data folder: its databases have one owner at a time, and its files one reader.
 * @module
 */

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { makeFolder } from "@conclave/delivery";
import { StartError } from "./start-error.ts";

export interface DataFolder {
  /** Lets the next one have it. */
  close(): void;
}

/**
 * Makes the folder where there is none, and takes it for this process until it ends, in whatever way: the lock is
 * SQLite's on a file of its own. Rejects with `StartError`.
 */
export async function takeDataFolder(path: string): Promise<DataFolder> {
  try {
    await makeFolder(path);
    const lock = new DatabaseSync(join(path, "lock"));
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    const isLocked = error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY;
    throw new StartError(
      isLocked
        ? `The data folder ${path} is in use by another Conclave. Choose another one with --data.`
        : `The data folder ${path} can't be written to.`,
      { cause: error },
    );
  }
}

const SQLITE_BUSY = 5;
