/**
 * `conclave-delivery serve`: the service, until a signal ends it; with `--check`, what it would do.
 * @module
 */

import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type Configuration, withoutSecrets } from "../config.ts";
import { databaseVersion, sqlitePath } from "../database.ts";
import { createLog } from "../log.ts";
import { OperatorError } from "../operator-error.ts";
import { addressText, readTls, readVersion, runService } from "../run.ts";
import {
  type Command,
  configurationOf,
  expectArguments,
  parseCommand,
  type World,
} from "./command.ts";

export const serve: Command = {
  help: `Usage: conclave-delivery serve [--check] [--config FILE]

Runs the service until SIGTERM or SIGINT, which let it end in order; a second one ends it at once.
SIGHUP reads the certificate again.

  --check        says whether it would start, and how; starts nothing and changes nothing, so that it may be
                 asked beside a running service: whether the addresses are free is not looked at
  --config FILE  the configuration (TOML), instead of the one that CONCLAVE_CONFIG names

Codes: 0 done, 1 something stands in the way, 2 the configuration can't be followed.
`,
  async run(world) {
    const { flags, config, rest } = parseCommand(world.args, ["check"]);
    expectArguments(rest);
    const configuration = await configurationOf(world, config);
    if (flags.has("check")) return check(world, configuration);

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

async function check(world: World, configuration: Configuration): Promise<0> {
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
    ["listens on", `${addressText(listen)}, ${tls === undefined ? "http" : "https"}`],
    ["is known as", publicOrigin],
    ["is used by pages of", allowedOrigins.join(", ") || "none"],
    ["believes", `${trustedProxies} proxies`],
    ["keeps its data in", `${withoutSecrets(database.url)} (${state})`],
    ["keeps blobs in", blobs === undefined ? `${data}/blobs` : `${blobs.endpoint}/${blobs.bucket}`],
    ["keeps messages", kept.length === 0 ? "all" : kept.join(", at most ")],
    ["shows metrics on", metrics === undefined ? "nothing" : addressText(metrics.listen)],
    ["shows the operator's page", metrics?.token === undefined ? "to nobody" : "with the token"],
  ] as const;
  for (const [what, how] of rows) world.write(`${what.padEnd(26)} ${how}\n`);
  world.write("Ready to start.\n");
  return 0;
}
