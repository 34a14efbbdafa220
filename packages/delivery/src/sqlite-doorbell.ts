/**
 * A doorbell beside a SQLite file: how a command that changed something tells the service that runs on it. It says "look at everything",
 * by the time of a small file next to the database.
 * @module
 */

import { unwatchFile, watchFile } from "node:fs";
import { writeFile } from "node:fs/promises";
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

/** Rings for the service that runs on this file, if one does. */
export async function ringSqliteDoorbell(path: string, now: number): Promise<void> {
  await writeFile(bellOf(path), `${now}\n`, { mode: 0o600 });
}
