/**
 * A SQLite file as a thing to look at, to copy and to put back, by a program beside the service.
 * @module
 */

import { closeSync, constants, fchownSync, openSync, realpathSync, statSync } from "node:fs";
import { access, chmod, copyFile, open, rename, rm, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { makeFolder } from "../folder.ts";
import { OperatorError } from "../operator-error.ts";
import {
  explained,
  reasonOf,
  SQLITE_BUSY,
  SQLITE_CANT_OPEN,
  SQLITE_CORRUPT,
  SQLITE_NOT_A_DATABASE,
  SQLITE_READ_ONLY,
  sqliteCodeOf,
} from "../system-error.ts";
import { FIND_MARK, markOf, UNMARK } from "./contents.ts";
import { openSqliteStore } from "./sqlite.ts";
import { MIGRATIONS } from "./sqlite-schema.ts";
import type { CopyMark, DatabaseVersion } from "./store.ts";

/** How long a copy waits for a writer, in milliseconds. */
const PATIENCE = 10_000;

/** Holds the file for one process: the service, or who puts a copy in its place. */
export interface SqliteLock {
  close(): void;
}

/** Throws `OperatorError` where another process has it. It ends with the process, in whatever way. */
export function lockSqliteFile(path: string): SqliteLock {
  const file = `${realPath(path)}-lock`;
  makeLock(file);
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(file);
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock?.close();
    const code = sqliteCodeOf(error);
    if (code === SQLITE_BUSY) {
      throw new OperatorError(
        `${path} is in use by another process: several can share a PostgreSQL, not a SQLite file`,
      );
    }
    if (code !== SQLITE_READ_ONLY && code !== SQLITE_CANT_OPEN) throw error;
    throw new OperatorError(
      `${file} can't be locked: ${reasonOf(error)}; if it is another user's, remove it: it holds nothing`,
      { cause: error },
    );
  }
}

/** Of the file itself, by whichever links it is named: whoever names it otherwise must find the same lock. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // Not there yet.
    return path;
  }
}

/** Root makes it for whom the folder belongs to, so that the service's own user can lock it later. */
function makeLock(path: string): void {
  if (process.getuid?.() !== 0) return;
  let file: number;
  try {
    // Nothing that is there by that name is given away.
    file = openSync(path, "wx", 0o600);
  } catch {
    return;
  }
  try {
    const { uid, gid } = statSync(dirname(path));
    fchownSync(file, uid, gid);
  } finally {
    closeSync(file);
  }
}

/** What the file says of itself; undefined where there is none. */
export async function sqliteVersion(path: string): Promise<DatabaseVersion | undefined> {
  if (!(await exists(path))) return undefined;
  return inspect(path, path, (db) => ({
    found: versionOf(db),
    known: MIGRATIONS.length,
    copied: hasFacts(db) ? markIn(db) : undefined,
  }));
}

function markIn(db: DatabaseSync): CopyMark | undefined {
  // The schema is the proof.
  return markOf(db.prepare(FIND_MARK).get() as { name: string; at: number } | undefined);
}

/** A file that was not brought up to date for long has no place for them. */
function hasFacts(db: DatabaseSync): boolean {
  return db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'facts'").get() !== undefined;
}

/** Lets the service run on the file again. */
export function unmarkSqlite(path: string): void {
  const db = new DatabaseSync(path, { timeout: PATIENCE });
  try {
    if (hasFacts(db)) db.exec(UNMARK);
  } finally {
    db.close();
  }
}

/** Takes away a database that was begun and never came to be. */
export async function removeSqlite(path: string): Promise<void> {
  for (const rest of ["", "-wal", "-shm"]) await rm(path + rest, { force: true });
}

/**
 * A copy of the file while the service writes to it: what was acknowledged before this began is in it. It is checked, on disk and
 * whole when the promise resolves; before that nothing has its name. Throws `OperatorError`.
 */
export async function backUpSqlite(path: string, copy: string, now: number): Promise<void> {
  await refuseToOverwrite(copy);
  if (!(await exists(path))) throw new OperatorError(`there is no database at ${path}`);
  const partial = `${copy}.partial`;
  const unwritable = `${copy} can't be written`;
  await explained(unwritable, () => rm(partial, { force: true }));
  const db = new DatabaseSync(path, { timeout: PATIENCE });
  try {
    const version = versionOf(db);
    if (version > MIGRATIONS.length) throw tooNew(path, version);
    await explained(unwritable, async () => {
      // SQLite says no more of a file that it can't make than that.
      await (await open(partial, "wx", 0o600)).close();
      copyInto(db, path, partial);
      inspect(partial, copy, (made) => check(made, copy));
      await settle(partial, copy);
    });
    if (hasFacts(db)) {
      db.prepare(
        `INSERT INTO facts (name, at) VALUES ('backed-up', ?)
         ON CONFLICT (name) DO UPDATE SET at = excluded.at`,
      ).run(now);
    }
  } finally {
    db.close();
    await rm(partial, { force: true }).catch(() => undefined);
  }
}

/** One read transaction: in WAL mode nobody waits for it, and it sees one state of the file. */
function copyInto(db: DatabaseSync, path: string, partial: string): void {
  try {
    db.prepare("VACUUM INTO ?").run(partial);
  } catch (error) {
    // All else is about the copy.
    const code = sqliteCodeOf(error);
    if (code !== SQLITE_CORRUPT && code !== SQLITE_NOT_A_DATABASE) throw error;
    throw new OperatorError(`${path} can't be read: ${reasonOf(error)}`, { cause: error });
  }
}

/**
 * Puts a copy where there is no database, brings it up to date, and makes what it can't know harmless: see `markRestored` of
 * the store. Nothing is made before the copy was found good. Throws `OperatorError`.
 */
export async function restoreSqlite(copy: string, path: string, now: number): Promise<void> {
  for (const file of [path, `${path}-wal`]) await refuseToOverwrite(file);
  if (!(await exists(copy))) throw new OperatorError(`there is no copy at ${copy}`);
  // Immutable: nothing is made beside the copy, whatever mode it is in.
  const url = pathToFileURL(resolve(copy));
  url.search = "immutable=1";
  inspect(url, copy, (db) => {
    const version = versionOf(db);
    if (version > MIGRATIONS.length) throw tooNew(copy, version);
    check(db, copy);
    if (version === 0) throw new OperatorError(`${copy} is no database of this service`);
  });
  await explained(`${path} can't be made`, async () => {
    await makeFolder(dirname(path));
    const lock = lockSqliteFile(path);
    const partial = `${path}.partial`;
    try {
      await removeSqlite(partial);
      await copyFile(copy, partial);
      const store = openSqliteStore(partial);
      try {
        await store.markRestored(now);
      } finally {
        await store.close();
      }
      await settle(partial, path);
    } finally {
      await removeSqlite(partial);
      lock.close();
    }
  });
}

function versionOf(db: DatabaseSync): number {
  return Number(db.prepare("PRAGMA user_version").get()?.user_version ?? 0);
}

function tooNew(path: string, version: number): OperatorError {
  return new OperatorError(
    `${path} has version ${version}, this service knows ${MIGRATIONS.length}: it is from a newer one`,
  );
}

/** What `look` says of the file, which it can't change. Throws `OperatorError`, about `name`, for what is no database. */
function inspect<T>(file: string | URL, name: string, look: (db: DatabaseSync) => T): T {
  try {
    const db = new DatabaseSync(file, { readOnly: true, timeout: PATIENCE });
    try {
      return look(db);
    } finally {
      db.close();
    }
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    const reason = reasonOf(error) ?? (error instanceof Error ? error.message : String(error));
    throw new OperatorError(`${name} can't be read: ${reason}`, { cause: error });
  }
}

/** Throws `OperatorError` unless the whole file is in order. */
function check(db: DatabaseSync, path: string): void {
  const found = db.prepare("PRAGMA integrity_check(1)").get();
  const orphan = db.prepare("PRAGMA foreign_key_check").get();
  if (found?.integrity_check === "ok" && orphan === undefined) return;
  throw new OperatorError(`${path} is damaged`);
}

/** On disk under its last name, for its owner alone. */
async function settle(partial: string, path: string): Promise<void> {
  await chmod(partial, 0o600);
  const file = await open(partial, "r+");
  await file.sync();
  await file.close();
  await rename(partial, path);
  const folder = await open(dirname(resolve(path)), "r");
  await folder.sync();
  await folder.close();
}

async function refuseToOverwrite(path: string): Promise<void> {
  if (await exists(path)) {
    throw new OperatorError(`${path} is there already, and is not overwritten: move it away first`);
  }
}

/** Whether there is a file. Throws `OperatorError` for what is no file, and where nobody may look. */
async function exists(path: string): Promise<boolean> {
  const found = await explained(`${path} can't be read`, async () => {
    try {
      const there = await stat(path);
      await access(path, constants.R_OK);
      return there;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
  });
  if (found?.isDirectory() === true) {
    throw new OperatorError(`${path} is a folder, and a file is needed`);
  }
  return found !== undefined;
}
