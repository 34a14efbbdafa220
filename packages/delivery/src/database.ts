/**
 * The database that a URL names, for the operator: whatever stands in the way is said in words.
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { withoutSecrets } from "./config.ts";
import { makeFolder } from "./folder.ts";
import { OperatorError } from "./operator-error.ts";
import { openPostgresDoorbell, type PostgresDoorbell } from "./postgres-doorbell.ts";
import { openSqliteDoorbell, ringSqliteDoorbell, type SqliteDoorbell } from "./sqlite-doorbell.ts";
import { openStore } from "./store/open.ts";
import { unmarkPostgres } from "./store/postgres-contents.ts";
import { Database, refuseServices } from "./store/postgres-database.ts";
import { lockSqliteFile, removeSqlite, sqliteVersion, unmarkSqlite } from "./store/sqlite-file.ts";
import {
  type CopyMark,
  type DatabaseVersion,
  type Store,
  StoreUnavailable,
} from "./store/store.ts";
import { explained, postgresReason, reasonOf, sqliteCodeOf } from "./system-error.ts";

/** Of `sqlite:PATH`. */
export function sqlitePath(url: string): string | undefined {
  return /^sqlite:(.+)$/.exec(url)?.[1];
}

/** Throws `OperatorError` where the folder is not there and can't be made. */
export async function madeFolder(path: string): Promise<void> {
  await explained(`the folder ${path} can't be made`, () => makeFolder(path));
}

/**
 * Opens the store, and brings it up to date. Throws `OperatorError` where it can't be reached, is of a newer version, or is another
 * program's; a SQLite file that could not be made is not left there.
 */
export async function openDatabase(url: string): Promise<Store> {
  const path = sqlitePath(url);
  const isNew = (await databaseVersion(url)) === undefined;
  if (path === undefined) return reached(url, () => openStore(url));
  try {
    return await reached(url, () => openStore(url));
  } catch (error) {
    if (isNew) await removeSqlite(path).catch(() => undefined);
    throw error;
  }
}

/** What carries "look again" between the processes at this database. Throws `OperatorError` where it can't be reached. */
export async function openDoorbell(url: string): Promise<PostgresDoorbell | SqliteDoorbell> {
  const path = sqlitePath(url);
  if (path !== undefined) return openSqliteDoorbell(path);
  return reached(url, () => openPostgresDoorbell(url));
}

/** The store for a command, while a service may run on it. */
export interface StoreBeside {
  readonly store: Store;
  /** Tells the service that the sessions of these devices are over. */
  readonly ringRevoked: (devices: readonly number[], now: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

/**
 * The store as it is: nothing is brought up to date under a service that may run. Its transactions are few and short, so that a
 * service on the same SQLite file waits for milliseconds. Throws `OperatorError`, also where there is no database of this version.
 */
export async function openBeside(url: string): Promise<StoreBeside> {
  const version = await databaseVersion(url);
  // What is changed here would be missing there.
  if (version?.copied !== undefined) throw copiedError(url, version.copied);
  if (version === undefined) {
    throw new OperatorError(`there is no database at ${withoutSecrets(url)}: \`migrate\` makes it`);
  }
  if (version.found < version.known) {
    throw new OperatorError(
      `${withoutSecrets(url)} has version ${version.found}, this program needs ${version.known}: \`migrate\` brings it up to date`,
    );
  }
  const store = await openDatabase(url);
  const path = sqlitePath(url);
  return {
    store,
    async ringRevoked(devices, now) {
      if (path !== undefined) return ringSqliteDoorbell(path, now);
      const doorbell = await reached(url, () => openPostgresDoorbell(url));
      doorbell.ring({ type: "revoked", devices });
      await doorbell.close();
    },
    close: () => store.close(),
  };
}

/**
 * Where all was copied to another database, people would write to the one and read from the other. Throws `OperatorError`. Exact once
 * the file is locked, or the doorbell is open: then no copy is being made.
 */
export async function refuseCopied(url: string): Promise<void> {
  const mark = (await databaseVersion(url))?.copied;
  if (mark !== undefined) throw copiedError(url, mark);
}

export function copiedError(url: string, { to, ended }: CopyMark): OperatorError {
  return new OperatorError(
    ended
      ? `${withoutSecrets(url)} was copied to ${to}, where the service is to run; if it never ran there, \`conclave-delivery copy --unmark\` lets it run here again`
      : `${withoutSecrets(url)} is being copied to ${to}, or was when that was cut off: the same \`conclave-delivery copy\` again ends it; if the service never ran there, \`copy --unmark\` lets it run here again`,
  );
}

/** Lets the service run on it again, if it was copied. Throws `OperatorError` where somebody else is at it, a copy or a service. */
export async function unmarkCopied(url: string): Promise<void> {
  const path = sqlitePath(url);
  await reached(url, async () => {
    if (path === undefined) return unmarkPostgres(url);
    const lock = lockSqliteFile(path);
    try {
      unmarkSqlite(path);
    } finally {
      lock.close();
    }
  });
}

/** Throws `OperatorError` where a service runs on the PostgreSQL database. */
export function refuseServicesOf(url: string): Promise<void> {
  return reached(url, () => Database.asIs(url, (db) => refuseServices(db)));
}

/** What the database says of itself; undefined where nothing is there yet. Throws `OperatorError`. */
export async function databaseVersion(url: string): Promise<DatabaseVersion | undefined> {
  const path = sqlitePath(url);
  const version = await reached(url, () =>
    path === undefined ? Database.inspect(url) : sqliteVersion(path),
  );
  if (version !== undefined && version.found > version.known) {
    throw new OperatorError(
      `${withoutSecrets(url)} has version ${version.found}, this service knows ${version.known}: it is from a newer one`,
    );
  }
  if (path !== undefined && version?.found === 0 && (await reached(url, () => hasTables(path)))) {
    throw new OperatorError(`${path} is the database of another program`);
  }
  return version;
}

function hasTables(path: string): boolean {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return db.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").get() !== undefined;
  } finally {
    db.close();
  }
}

/** Throws `OperatorError` where the attempt meets no database, or a file that SQLite can't use. */
export async function reached<T>(url: string, attempt: () => T | Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    const postgres = error instanceof Error ? postgresReason(error.message) : undefined;
    if (error instanceof StoreUnavailable) {
      const reason = postgres ?? error.message;
      throw new OperatorError(`${withoutSecrets(url)} can't be reached: ${reason}`);
    }
    if (postgres !== undefined && sqlitePath(url) === undefined) {
      throw new OperatorError(`${withoutSecrets(url)} can't be used: ${postgres}`, {
        cause: error,
      });
    }
    if (sqliteCodeOf(error) === undefined) throw error;
    throw new OperatorError(`${url} can't be used: ${reasonOf(error)}`, { cause: error });
  }
}
