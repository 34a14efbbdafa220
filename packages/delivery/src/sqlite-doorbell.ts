/**
 * A doorbell beside a SQLite file: how a command that changed something tells the service that runs on it. It says "look at everything",
 * by the time of a small file next to the database.
 * @module
 */

import { unwatchFile, watchFile } from "node:fs";
import { chown, rename, rm, stat, writeFile } from "node:fs/promises";
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
    await writeFile(made, `${now}\n`, { mode: 0o600 });
    const { uid, gid } = await stat(path);
    if (process.getuid?.() === 0) await chown(made, uid, gid);
    await rename(made, bell);
  } finally {
    await rm(made, { force: true });
  }
}
