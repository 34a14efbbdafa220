/**
 * `conclave-delivery copy`: everything from one database to another of the other kind, while no service runs on either.
 * @module
 */

import { dirname, join, resolve } from "node:path";
import { type Configuration, databaseComplaint, withoutSecrets } from "../config.ts";
import {
  copiedError,
  databaseVersion,
  madeFolder,
  openDatabase,
  reached,
  refuseServicesOf,
  sqlitePath,
  unmarkCopied,
} from "../database.ts";
import { OperatorError } from "../operator-error.ts";
import { type Contents, copyContents, firstTaken, type Progress } from "../store/contents.ts";
import { unmarkPostgres, withPostgresContents } from "../store/postgres-contents.ts";
import { withSqliteContents } from "../store/sqlite-contents.ts";
import { lockSqliteFile, unmarkSqlite } from "../store/sqlite-file.ts";
import type { CopyMark } from "../store/store.ts";
import { sqliteCodeOf } from "../system-error.ts";
import {
  CONFIG_OPTION,
  type Command,
  configurationOf,
  expectArguments,
  JSON_OPTION,
  parseCommand,
  UsageError,
  type World,
  writeJson,
} from "./command.ts";

/** How often is said how far it is, in milliseconds. */
const SAYING = 2000;

export const copy: Command = {
  help: `Usage: conclave-delivery copy --from URL [--json] [--config FILE]
       conclave-delivery copy --unmark [--json] [--config FILE]

Takes everything from the database at URL into the one of the configuration, which has to be empty and of the other kind:
from SQLite to PostgreSQL, or back. No service may run on either. It is done in one transaction, which ends when both sides were
read again and every value is the same: whatever fails, nothing was copied. What is copied stays as it is,
but that both are brought up to date first, as by \`migrate\`, so that an older version of the service can't go back to it;
and that it is marked: \`serve\` refuses it from then on. It is marked before anything is copied, so that at no time
both can be served: a copy that was killed on its way is ended by the same command again.
Devices go on as if nothing had been; attachments are in files, or in S3, and stay there.

  --from URL     sqlite:PATH, or postgres://USER@HOST/NAME (the password in PGPASSWORD, so that no list of processes shows it)
  --unmark       lets the service run again on the database of the configuration, which was copied. Only where it never ran on
                 the copy: people would write to the one and read from the other
${JSON_OPTION}${CONFIG_OPTION}`,
  async run(world) {
    const { flags, values, config, rest } = parseCommand(world.args, ["json", "unmark"], ["from"]);
    expectArguments(rest);
    const { from } = values;
    if (flags.has("unmark")) {
      if (from !== undefined) throw new UsageError("--unmark is of the configuration's database");
      return unmark(world, { config, json: flags.has("json") });
    }
    if (from === undefined) throw new UsageError("--from URL is missing: where is all that now?");
    const complaint = databaseComplaint(from);
    if (complaint !== undefined) throw new UsageError(`--from ${complaint}`);
    const configuration = await configurationOf(world, config);
    const to = configuration.database.url;
    if ((sqlitePath(from) === undefined) === (sqlitePath(to) === undefined)) {
      throw new UsageError(SAME_KIND[sqlitePath(to) === undefined ? "postgres" : "sqlite"]);
    }
    const copied = await copyAll(world, from, to);
    say(world, { configuration, from, copied, json: flags.has("json") });
    return 0;
  },
};

async function unmark(
  world: World,
  { config, json }: { readonly config: string | undefined; readonly json: boolean },
): Promise<0> {
  const { url } = (await configurationOf(world, config)).database;
  const shown = withoutSecrets(url);
  const version = await databaseVersion(url);
  if (version === undefined) throw new OperatorError(`there is no database at ${shown}`);
  const marked = version.copied !== undefined;
  if (marked) await unmarkCopied(url);
  if (json) writeJson(world, { database: shown, unmarked: marked });
  else if (marked) world.write(`The service may run on ${shown} again.\n`);
  else world.write(`${shown} was not marked: nothing to do.\n`);
  return 0;
}

const SAME_KIND = {
  sqlite: "both are SQLite: copy the file with `backup`, or move it while no service runs",
  postgres: "both are PostgreSQL: take pg_dump and pg_restore",
} as const;

interface Copied {
  /** Rows, by their tables; undefined where all was there from an earlier attempt. */
  readonly counts: Readonly<Record<string, number>> | undefined;
  /** That it is there for certain is noted. */
  readonly marked: boolean;
}

/** Of a URL, as a mark has it: the same from whatever folder. */
function nameOf(url: string): string {
  const path = sqlitePath(url);
  return path === undefined ? withoutSecrets(url) : `sqlite:${resolve(path)}`;
}

/** Where another copy is, or may be. Throws `OperatorError`. */
function checkMark(from: string, to: string, mark: CopyMark | undefined): void {
  if (mark === undefined || (!mark.ended && mark.to === nameOf(to))) return;
  throw copiedError(from, mark);
}

/**
 * What is copied is marked first, so that at no time both may be served; a copy that was cut off is ended by the same command. Throws
 * what stands in the way, and says beside what came of it.
 */
async function copyAll(world: World, from: string, to: string): Promise<Copied> {
  const version = await databaseVersion(from);
  if (version === undefined) {
    throw new OperatorError(`there is no database at ${withoutSecrets(from)}`);
  }
  checkMark(from, to, version.copied);
  // Whether anything may be there, as far as is known; of a copy that was cut off nothing is.
  let nothing = version.copied === undefined;
  let marked = false;
  const there: Pick<Copied, "counts">[] = [];
  // One of the two.
  const [sqlite, postgres] = sqlitePath(from) === undefined ? [to, from] : [from, to];
  const copyInto = (source: Contents, begun: number): Promise<Pick<Copied, "counts">> =>
    within(to, async (target) => {
      if ((await target.arrival()) === begun) return { counts: undefined };
      const taken = await firstTaken(target);
      // What is there came otherwise.
      nothing = true;
      if (taken !== undefined) {
        throw new OperatorError(
          `${withoutSecrets(to)} is not empty (it has ${taken}): a copy needs a database of its own`,
        );
      }
      const counts = await copyContents(source, target, follow(world));
      await target.noteArrival(begun);
      // A PostgreSQL may have done its last step when the connection was lost; of a file one knows.
      nothing = sqlitePath(to) !== undefined;
      return { counts };
    });
  const copyIt = (): Promise<Copied> =>
    within(from, async (source) => {
      const now = world.now();
      const held = await source.markCopying(nameOf(to), now);
      // Somebody else may have been faster.
      checkMark(from, to, held);
      nothing = held === undefined;
      marked = true;
      const copied = await copyInto(source, held?.at ?? now);
      there.push(copied);
      await source.markCopied();
      return { ...copied, marked: true };
    });
  const copyOrUnmark = async (): Promise<Copied> => {
    try {
      return await copyIt();
    } catch (error) {
      if (marked && nothing && there.length === 0) await unmarkAgain(world, from);
      throw error;
    }
  };
  try {
    return await alone(sqlite, postgres, copyOrUnmark);
  } catch (error) {
    // The copy is there for good, however that ended.
    const [copied] = there;
    if (copied !== undefined) {
      const why = error instanceof OperatorError ? ` (${error.message})` : "";
      world.complain(
        `conclave-delivery: all was copied, but ${withoutSecrets(from)} says only that it was begun${why}: the same command again ends it\n`,
      );
      return { ...copied, marked: false };
    }
    world.complain(
      nothing
        ? `conclave-delivery: nothing was copied, ${withoutSecrets(to)} is as it was\n`
        : `conclave-delivery: all may be in ${withoutSecrets(to)} already: the same command again finds out, and ends it; \`serve\` refuses ${withoutSecrets(from)} until then\n`,
    );
    // SQLite's errors are the only ones with such a code.
    return reached(sqliteCodeOf(error) === undefined ? postgres : sqlite, () => {
      throw error;
    });
  }
}

/** While the file is still held. */
async function unmarkAgain(world: World, from: string): Promise<void> {
  const path = sqlitePath(from);
  try {
    if (path === undefined) await unmarkPostgres(from);
    else unmarkSqlite(path);
  } catch {
    world.complain(
      `conclave-delivery: ${withoutSecrets(from)} stays marked as copied: \`serve\` refuses it until the same command again ended, or \`copy --unmark\`\n`,
    );
  }
}

/** Before either is changed, neither has a service; the file gets none meanwhile. */
async function alone<T>(sqlite: string, postgres: string, work: () => Promise<T>): Promise<T> {
  await refuseServicesOf(postgres);
  const path = sqlitePath(sqlite) ?? "";
  await madeFolder(dirname(path));
  const lock = await reached(sqlite, () => lockSqliteFile(path));
  try {
    return await work();
  } finally {
    lock.close();
  }
}

/** Brings the database up to date, or makes it, and keeps everybody else from writing to it meanwhile. */
async function within<T>(url: string, work: (contents: Contents) => Promise<T>): Promise<T> {
  await (await openDatabase(url)).close();
  const path = sqlitePath(url);
  return path === undefined ? withPostgresContents(url, work) : withSqliteContents(path, work);
}

/** Says now and then how far it is; throws once a signal asked for an end. */
function follow(world: World): (progress: Progress) => void {
  let said = world.now();
  let stopped: string | undefined;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    world.onSignal(signal, () => {
      stopped = signal;
    });
  }
  return ({ table, rows, what }) => {
    if (stopped !== undefined) throw new OperatorError(`it was stopped by ${stopped}`);
    if (world.now() - said < SAYING) return;
    said = world.now();
    world.complain(`${table}: ${rows} rows ${what}\n`);
  };
}

function say(
  world: World,
  {
    configuration: { database, blobs, data },
    from,
    copied: { counts, marked },
    json,
  }: {
    readonly configuration: Configuration;
    readonly from: string;
    readonly copied: Copied;
    readonly json: boolean;
  },
): void {
  const [source, target] = [withoutSecrets(from), withoutSecrets(database.url)];
  if (json) {
    writeJson(world, { from: source, to: target, rows: counts ?? null, marked });
    return;
  }
  for (const [table, count] of Object.entries(counts ?? {})) {
    world.write(`${table.padEnd(18)} ${count}\n`);
  }
  const bodies = blobs === undefined ? join(data, "blobs") : `${blobs.endpoint}/${blobs.bucket}`;
  const mark = marked
    ? "is marked as copied: `serve` refuses it from now on."
    : "is marked as being copied: `serve` refuses it.";
  const how =
    counts === undefined
      ? " from before, by the copy that was cut off"
      : ", compared value by value";
  world.write(`All of ${source} is in ${target}${how}.
${source} ${mark}
The service looks for attachments in ${bodies}: they were not touched.
`);
}
