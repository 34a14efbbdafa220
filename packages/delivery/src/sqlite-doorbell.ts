/**
 * A doorbell beside a SQLite file: how a command that changed something tells the service that runs on it. It says "look at everything",
 * by the time of a small file next to the database.
 * @module
 */

import { unwatchFile, watchFile } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { type Doorbell, localDoorbell } from "./doorbell.ts";

/** How often the service looks whether somebody rang, in milliseconds. */
const LOOK = 500;

function bellOf(path: string): string {
  return `${path}-bell`;
}

export interface SqliteDoorbell extends Doorbell {
  readonly close: () => void;
}

/** The service's own rings go to itself alone: no other process serves from this file. */
export function openSqliteDoorbell(path: string): SqliteDoorbell {
  const local = localDoorbell();
  const heard = (): void => local.ring({ type: "all" });
  watchFile(bellOf(path), { interval: LOOK, persistent: false }, heard);
  return { ...local, close: () => unwatchFile(bellOf(path), heard) };
}

/**
 * Rings for the service that runs on this file, if one does. A new file takes the place of the old one, which may be another user's,
 * and belongs to whom the database does.
 */
export async function ringSqliteDoorbell(path: string, now: number): Promise<void> {
  const bell = bellOf(path);
  const made = `${bell}.${process.pid}`;
  try {
    // Whatever is there by that name is not followed: the folder is the service's, and this may be root.
    await rm(made, { force: true });
    const file = await open(made, "wx", 0o600);
    try {
      await file.writeFile(`${now}\n`);
      const { uid, gid } = await stat(path);
      if (process.getuid?.() === 0) await file.chown(uid, gid);
    } finally {
      await file.close();
    }
    await rename(made, bell);
  } finally {
    await rm(made, { force: true });
  }
}
