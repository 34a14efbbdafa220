/**
 * `migrate`, `backup` and `restore`: the database, while no service needs to run.
 * @module
 */

import { dirname } from "node:path";
import { withoutSecrets } from "../config.ts";
import {
  databaseVersion,
  madeFolder,
  openDatabase,
  reached,
  refuseServicesOf,
  sqlitePath,
} from "../database.ts";
import { OperatorError } from "../operator-error.ts";
import { backUpSqlite, lockSqliteFile, restoreSqlite } from "../store/sqlite-file.ts";
import {
  CONFIG_OPTION,
  type Command,
  configurationOf,
  expectArguments,
  JSON_OPTION,
  parseCommand,
  writeJson,
} from "./command.ts";

export const migrate: Command = {
  help: `Usage: conclave-delivery migrate [--json] [--config FILE]

Makes the database, or brings it up to date. \`serve\` does that too; this is for whoever wants to see it done before.

${JSON_OPTION}${CONFIG_OPTION}`,
  async run(world) {
    const { flags, config, rest } = parseCommand(world.args, ["json"]);
    expectArguments(rest);
    const json = flags.has("json");
    const { database } = await configurationOf(world, config);
    const shown = withoutSecrets(database.url);
    const before = await databaseVersion(database.url);
    if (before?.found !== undefined && before.found === before.known) {
      if (json) writeJson(world, { database: shown, before: before.found, after: before.found });
      else world.write(`${shown}: version ${before.found}, the newest: nothing to do.\n`);
      return 0;
    }
    const path = sqlitePath(database.url);
    if (path !== undefined) await madeFolder(dirname(path));
    // Not under a service that runs: its statements were made for the tables as they are.
    const lock =
      path === undefined ? undefined : await reached(database.url, () => lockSqliteFile(path));
    try {
      await (await openDatabase(database.url)).close();
    } finally {
      lock?.close();
    }
    const after = await databaseVersion(database.url);
    if (json) {
      writeJson(world, { database: shown, before: before?.found ?? null, after: after?.found });
      return 0;
    }
    const from = before === undefined ? "made" : `version ${before.found}`;
    world.write(`${shown}: ${from}, now version ${after?.found}.\n`);
    return 0;
  },
};

export const backup: Command = {
  help: `Usage: conclave-delivery backup FILE [--json] [--config FILE]

Copies the SQLite database while the service runs: checked, on disk, and whole before FILE has its name.
PostgreSQL has its own tools for that: the guide says how.

${JSON_OPTION}${CONFIG_OPTION}`,
  async run(world) {
    const { flags, config, rest } = parseCommand(world.args, ["json"]);
    expectArguments(rest, "FILE");
    const [file = ""] = rest;
    const { database } = await configurationOf(world, config);
    const path = sqlitePath(database.url);
    if (path === undefined) throw new OperatorError(POSTGRES);
    await databaseVersion(database.url);
    await reached(database.url, () => backUpSqlite(path, file, world.now()));
    if (flags.has("json")) writeJson(world, { database: database.url, file });
    else world.write(`${file} holds what was acknowledged until now.\n`);
    return 0;
  },
};

export const restore: Command = {
  help: `Usage: conclave-delivery restore FILE [--json] [--config FILE]
       conclave-delivery restore --mark [--json] [--config FILE]

Puts a copy where there is no database. What the copy can't know is made harmless: logs and inboxes go on with numbers that
were never given, key packages and sessions of before are gone. Devices see that something is missing.

  --mark         does the latter alone, for a database that was put back by other means, as a PostgreSQL is by its own tools;
                 no service may run
${JSON_OPTION}${CONFIG_OPTION}`,
  async run(world) {
    const { flags, config, rest } = parseCommand(world.args, ["mark", "json"]);
    expectArguments(rest, ...(flags.has("mark") ? [] : ["FILE"]));
    const { database } = await configurationOf(world, config);
    const path = sqlitePath(database.url);
    const [file] = rest;
    if (file === undefined) {
      if ((await databaseVersion(database.url)) === undefined) {
        throw new OperatorError(`there is no database at ${withoutSecrets(database.url)}`);
      }
      // Not under a service that runs: it would go on with what it remembers.
      if (path === undefined) await refuseServicesOf(database.url);
      const lock =
        path === undefined ? undefined : await reached(database.url, () => lockSqliteFile(path));
      try {
        const store = await openDatabase(database.url);
        try {
          await store.markRestored(world.now());
        } finally {
          await store.close();
        }
      } finally {
        lock?.close();
      }
    } else {
      if (path === undefined) throw new OperatorError(POSTGRES);
      await reached(database.url, () => restoreSqlite(file, path, world.now()));
    }
    const shown = withoutSecrets(database.url);
    if (flags.has("json")) writeJson(world, { database: shown, restored: true });
    else world.write(`${shown} is restored.\n`);
    return 0;
  },
};

const POSTGRES =
  "the database is a PostgreSQL: copy it with pg_dump or pg_basebackup, as the guide says, and after a restore say `restore --mark`";
