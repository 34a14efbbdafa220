/**
 * `conclave-delivery serve`: the service, until a signal ends it; with `--check`, what it would do.
 * @module
 */

import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type Configuration, ConfigurationError, withoutSecrets } from "../config.ts";
import { databaseVersion, sqlitePath } from "../database.ts";
import { createLog } from "../log.ts";
import { OperatorError } from "../operator-error.ts";
import { addressText, readTls, readVersion, runService } from "../run.ts";
import {
  type Command,
  configurationOf,
  type ExitCode,
  expectArguments,
  parseCommand,
  UsageError,
  type World,
} from "./command.ts";

export const serve: Command = {
  help: `Usage: conclave-delivery serve [--config FILE]
       conclave-delivery serve --check [--strict] [--json] [--config FILE]

Runs the service until SIGTERM or SIGINT, which let it end in order; a second one ends it at once.
SIGHUP reads the certificate again.

  --check        says whether it would start, and how; starts nothing and changes nothing, so that it may be
                 asked beside a running service: whether the addresses are free is not looked at
  --strict       what is only warned of is in the way too
  --json         for programs
  --config FILE  the configuration (TOML), instead of the one that CONCLAVE_CONFIG names

Codes: 0 done, 1 something stands in the way, 2 the configuration can't be followed.
`,
  async run(world) {
    const { flags, config, rest } = parseCommand(world.args, ["check", "strict", "json"]);
    expectArguments(rest);
    const [strict, json] = [flags.has("strict"), flags.has("json")];
    if (!flags.has("check") && (strict || json)) {
      throw new UsageError("--strict and --json are for --check");
    }
    if (json) return checkForPrograms(world, config, strict);
    const configuration = await configurationOf(world, config);
    if (flags.has("check")) {
      for (const { what, how } of await check(configuration)) {
        world.write(`${what.padEnd(26)} ${how}\n`);
      }
      const { warnings } = configuration;
      for (const warning of warnings) world.complain(`conclave-delivery: warning: ${warning}\n`);
      if (strict && warnings.length > 0) return 1;
      world.write("Ready to start.\n");
      return 0;
    }

    const { level, format } = configuration.log;
    const { write, now } = world;
    const log = createLog({ level, format, write, now });
    const running = await runService(configuration, { log, now });
    const ended = Promise.withResolvers<0 | 1>();
    let stopping = false;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      world.onSignal(signal, () => {
        if (stopping) return ended.resolve(1);
        stopping = true;
        log.event("stopping", { signal });
        running.stop().then(
          () => ended.resolve(0),
          (error: unknown) => ended.reject(error),
        );
      });
    }
    world.onSignal("SIGHUP", () => {
      running.reload().catch((error: unknown) => {
        log.error("certificate-unusable", { reason: error instanceof Error ? error.message : "" });
      });
    });
    for (const warning of configuration.warnings) log.event("warning", { warning });
    log.event("started", { version: await readVersion(), node: process.version });
    const code = await ended.promise;
    log.event(code === 0 ? "stopped" : "cut-off");
    return code;
  },
};

/** Whether files can be made in the folder, or it in the one that is to hold it. Throws `OperatorError`. */
async function checkWritable(setting: string, folder: string): Promise<void> {
  let there = resolve(folder);
  while (!(await isThere(there)) && there !== dirname(there)) there = dirname(there);
  try {
    await access(there, constants.W_OK | constants.X_OK);
  } catch {
    throw new OperatorError(`${setting}: this user can't write to ${there}`);
  }
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The same as one JSON object on standard output, whatever comes of it. */
async function checkForPrograms(
  world: World,
  file: string | undefined,
  strict: boolean,
): Promise<ExitCode> {
  let code: ExitCode = 0;
  let found: object;
  try {
    const configuration = await configurationOf(world, file);
    const { warnings } = configuration;
    const settings = Object.fromEntries(
      (await check(configuration)).map(({ key, how }) => [key, how]),
    );
    if (strict && warnings.length > 0) code = 1;
    found = { problems: [], warnings, settings };
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    code = error instanceof ConfigurationError ? 2 : 1;
    found = { problems: error.message.split("\n"), warnings: [] };
  }
  world.write(`${JSON.stringify({ ready: code === 0, ...found }, undefined, 2)}\n`);
  return code;
}

/** What would be, row by row: for programs, for people. */
type Rows = readonly { readonly key: string; readonly what: string; readonly how: string }[];

/** Throws `OperatorError` for what is in the way. */
async function check(configuration: Configuration): Promise<Rows> {
  const { tls, listen, publicOrigin, allowedOrigins, trustedProxies } = configuration;
  const { database, metrics, retention, blobs, data } = configuration;
  if (tls !== undefined) await readTls(tls);
  const path = sqlitePath(database.url);
  if (path !== undefined) await checkWritable("database.url", dirname(path));
  if (blobs === undefined) await checkWritable("data", data);
  const version = await databaseVersion(database.url);
  const state =
    version === undefined
      ? "would be made"
      : version.found === version.known
        ? `version ${version.found}, the newest`
        : `version ${version.found}, would be brought to ${version.known}`;
  const kept = [
    ...(retention.days === undefined ? [] : [`${retention.days} days`]),
    ...(retention.entries === undefined ? [] : [`the newest ${retention.entries} of a group`]),
  ];
  const rows = [
    ["listen", "listens on", `${addressText(listen)}, ${tls === undefined ? "http" : "https"}`],
    ["publicOrigin", "is known as", publicOrigin],
    ["allowedOrigins", "is used by pages of", allowedOrigins.join(", ") || "none"],
    ["trustedProxies", "believes", `${trustedProxies} proxies`],
    ["registration", "takes new accounts", REGISTRATION[configuration.registration]],
    ["database", "keeps its data in", `${withoutSecrets(database.url)} (${state})`],
    [
      "blobs",
      "keeps blobs in",
      blobs === undefined ? `${data}/blobs` : `${blobs.endpoint}/${blobs.bucket}`,
    ],
    ["retention", "keeps messages", kept.length === 0 ? "all" : kept.join(", at most ")],
    [
      "metrics",
      "shows metrics on",
      metrics === undefined ? "nothing" : addressText(metrics.listen),
    ],
    [
      "page",
      "shows the operator's page",
      metrics?.token === undefined ? "to nobody" : "with the token",
    ],
  ] as const;
  return rows.map(([key, what, how]) => ({ key, what, how }));
}

const REGISTRATION = {
  open: "of everybody",
  invite: "by code",
  closed: "of nobody",
} as const;
