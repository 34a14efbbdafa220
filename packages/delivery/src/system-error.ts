/**
 * What the system or SQLite refuses, in words for the operator: which file, why, and what to do.
 * @module
 */

import { OperatorError } from "./operator-error.ts";

/** By the names that Node gives them. */
const SYSTEM: Readonly<Record<string, string>> = {
  ENOENT: "there is nothing by that name; is the path right, and its folder there?",
  EACCES: "this user may not; take the user that the service runs as, or change the permissions",
  EPERM: "this user may not; take the user that the service runs as, or change the permissions",
  EISDIR: "it is a folder, and a file is needed",
  ERR_FS_EISDIR: "a folder is in the way, where a file is to be",
  ENOTDIR: "it, or a part of its path, is a file, and a folder is needed",
  EEXIST: "it is there already; move it away first",
  ENOSPC: "the disk is full; make room and do it again",
  EDQUOT: "this user's share of the disk is full; make room and do it again",
  EFBIG: "it would be larger than this file system takes",
  EROFS: "the file system can only be read",
  ENAMETOOLONG: "its name is too long",
  ELOOP: "its links lead in a circle",
  EMFILE: "this process has too many files open; raise its limit",
  ENFILE: "this machine has too many files open",
  EIO: "the disk failed; look at the system's log",
  EBUSY: "it is in use",
  EXDEV: "it would have to move to another file system",
};

/** By SQLite's primary result codes. */
const SQLITE: ReadonlyMap<number, string> = new Map([
  [3, "this user may not; take the user that the service runs as, or change the permissions"],
  [5, "it is in use by another process; try again"],
  [6, "it is in use by another process; try again"],
  [
    8,
    "it can't be written to; take the user that the service runs as, or change the permissions of the file and its folder",
  ],
  [10, "the disk failed, or is full; look at the system's log"],
  [11, "it is damaged; put a back-up in its place"],
  [13, "the disk is full; make room and do it again"],
  [14, "it can't be opened; is its folder there, and may this user write to it?"],
  [26, "it is no SQLite database"],
]);

/** By the SQLSTATE that PostgreSQL gives, or by the code of a connection that did not come to be. */
const POSTGRES: Readonly<Record<string, string>> = {
  "28000": "it lets this user not in, or not from here; look at its roles and its pg_hba.conf",
  "28P01": "user or password is wrong",
  "3D000": "it has no database by that name; make it first, as by createdb",
  "3F000": "this user may make no tables there; it should own the database",
  "42501": "this user may not; it should own the database and its tables",
  "42703": "its tables are another program's; give the service a database of its own",
  "42P01": "a table is missing; was it restored whole?",
  "42P07": "a table of another program is in the way; give the service a database of its own",
  "53100": "its disk is full; make room and do it again",
  "53300": "it has no connection left; raise its max_connections",
  "55P03":
    "somebody else writes to it, a service or a `copy`; wait for its end or stop it, and do it again",
  "57P03": "it is starting or ending; try again",
  ECONNREFUSED: "nobody listens there (ECONNREFUSED); does it run, and at that address?",
  ENOENT:
    "there is no such socket, or no such file as its URL names; does it run, and in that folder?",
  ENOTFOUND: "there is no such host",
  ETIMEDOUT: "it doesn't answer; is that its address?",
  "no answer":
    "it doesn't answer, or not as it is spoken to; is that its address, and should it be TLS?",
};

/** Why, in words, by what a store said of PostgreSQL; undefined for what the operator can't mend. */
export function postgresReason(message: string): string | undefined {
  const [, state] = /\bSQLSTATE (\w{5})\b/.exec(message) ?? [];
  if (state === undefined) return POSTGRES[message];
  return POSTGRES[state] ?? `it refused with SQLSTATE ${state}; its own log says why`;
}

export const SQLITE_BUSY = 5;
export const SQLITE_READ_ONLY = 8;
export const SQLITE_CORRUPT = 11;
export const SQLITE_CANT_OPEN = 14;
export const SQLITE_NOT_A_DATABASE = 26;

/** The primary result code of what SQLite said; undefined for what is none of its errors. */
export function sqliteCodeOf(error: unknown): number | undefined {
  const code = error instanceof Error && "errcode" in error ? Number(error.errcode) : Number.NaN;
  // The primary code is the lowest byte.
  return Number.isInteger(code) ? code % 256 : undefined;
}

/** Why, in words; undefined for what comes from neither. */
export function reasonOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const sqlite = sqliteCodeOf(error);
  if (sqlite !== undefined) return SQLITE.get(sqlite) ?? error.message;
  if (!("syscall" in error) || !("code" in error)) return undefined;
  if (error.syscall === "mkdir" && error.code === "EEXIST") return SYSTEM["ENOTDIR"];
  if (error.syscall === "mkdir" && error.code === "ENOENT") return "nothing can be made there";
  return SYSTEM[String(error.code)] ?? String(error.code);
}

/** `about` is what can't be: "/a/b can't be read". What is neither the system's nor SQLite's goes through. */
export async function explained<T>(about: string, attempt: () => T | Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    const reason = error instanceof OperatorError ? undefined : reasonOf(error);
    if (reason === undefined) throw error;
    throw new OperatorError(`${about}: ${reason}`, { cause: error });
  }
}

/** What the system refused and nobody explained, as one line; undefined for what isn't the system's. */
export function inWords(error: unknown): string | undefined {
  const reason = reasonOf(error);
  if (reason === undefined || !(error instanceof Error)) return undefined;
  const path = "dest" in error ? error.dest : "path" in error ? error.path : undefined;
  return typeof path === "string" ? `${path} can't be used: ${reason}` : reason;
}
