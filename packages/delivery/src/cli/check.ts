/**
 * `conclave-delivery serve --check`: what the service would do with its configuration, for people and for programs.
 * @module
 */

import { once } from "node:events";
import { constants } from "node:fs";
import { access, stat, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join, resolve } from "node:path";
import { type Configuration, ConfigurationError, withoutSecrets } from "../config.ts";
import { copiedError, databaseVersion, sqlitePath } from "../database.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { OperatorError } from "../operator-error.ts";
import { addressText, codeOf, listening, readTls } from "../run.ts";
import type { Address } from "../serve.ts";
import { configurationOf, type ExitCode, type World, writeJson } from "./command.ts";

interface How {
  /** What is only warned of is in the way too. */
  readonly strict: boolean;
  readonly json: boolean;
}

export async function check(
  world: World,
  file: string | undefined,
  { strict, json }: How,
): Promise<ExitCode> {
  if (json) return checkForPrograms(world, file, strict);
  const configuration = await configurationOf(world, file);
  for (const { what, text } of await rowsOf(configuration)) {
    world.write(`${what.padEnd(28)} ${text}\n`);
  }
  const { warnings } = configuration;
  for (const warning of warnings) world.complain(`conclave-delivery: warning: ${warning}\n`);
  if (strict && warnings.length > 0) return 1;
  world.write("Ready to start.\n");
  return 0;
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
      (await rowsOf(configuration)).map(({ key, value, text }) => [key, { value, text }]),
    );
    if (strict && warnings.length > 0) code = 1;
    found = { problems: [], warnings, settings };
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    code = error instanceof ConfigurationError ? 2 : 1;
    found = { problems: error.message.split("\n"), warnings: [] };
  }
  writeJson(world, { ready: code === 0, ...found });
  return code;
}

interface Row {
  readonly key: string;
  /** How a sentence begins that `text` completes. */
  readonly what: string;
  readonly text: string;
  /** The same for programs: JSON. */
  readonly value: unknown;
}

/** What would be, row by row. Throws `OperatorError` for what is in the way. */
async function rowsOf(configuration: Configuration): Promise<readonly Row[]> {
  const { tls, publicOrigin, allowedOrigins, trustedProxies, log, shutdown } = configuration;
  const { contact, registration, metrics, limits, data } = configuration;
  if (tls !== undefined) await readTls(tls);
  const database = await databaseOf(configuration);
  if (configuration.blobs === undefined) await checkWritable("data", join(data, "blobs"));
  const listen = await tried("listen", configuration.listen);
  const operator = metrics && (await tried("metrics.listen", metrics.listen));
  const page = metrics?.token !== undefined;
  const protocol = tls === undefined ? "http" : "https";
  const changed = changedLimits(limits);
  return [
    {
      key: "listen",
      what: "listens on",
      text: `${listen.address}, ${protocol} (${STATES[listen.state]})`,
      value: { ...listen, protocol },
    },
    { key: "publicOrigin", what: "is known as", text: publicOrigin, value: publicOrigin },
    {
      key: "allowedOrigins",
      what: "is used by pages of",
      text: allowedOrigins.join(", ") || "none",
      value: allowedOrigins,
    },
    {
      key: "trustedProxies",
      what: "believes",
      text: `${trustedProxies} proxies`,
      value: trustedProxies,
    },
    {
      key: "registration",
      what: "takes new accounts",
      text: REGISTRATION[registration],
      value: registration,
    },
    { key: "contact", what: "lets strangers reach people", text: CONTACT[contact], value: contact },
    database,
    blobsOf(configuration),
    retentionOf(configuration),
    {
      key: "metrics",
      what: "shows metrics on",
      text: operator === undefined ? "nothing" : `${operator.address} (${STATES[operator.state]})`,
      value: operator ?? null,
    },
    {
      key: "page",
      what: "shows the operator's page",
      text: page ? "with the token" : "to nobody",
      value: page,
    },
    {
      key: "log",
      what: "logs",
      text: `${LEVELS[log.level]}, as ${log.format === "json" ? "JSON" : "text"}`,
      value: log,
    },
    {
      key: "shutdown",
      what: "ends",
      text: `${shutdown.delay} s after the signal, its sockets over ${shutdown.spread} s, its requests within ${shutdown.grace} s`,
      value: shutdown,
    },
    {
      key: "limits",
      what: "has limits",
      text: changed.length === 0 ? "as they are by default" : changed.join(", "),
      value: limits,
    },
  ];
}

const REGISTRATION = {
  open: "of everybody",
  invite: "by code",
  closed: "of nobody",
} as const;
const CONTACT = { ask: "after asking them", open: "at once" } as const;
const LEVELS = {
  request: "requests, events and errors",
  event: "events and errors",
  error: "errors",
} as const;
const STATES = {
  free: "free now",
  "in-use": "in use now: by the service itself, where it runs",
  "not-tried": "not tried",
} as const;

/** Throws `OperatorError` where nobody could listen there. */
async function tried(
  setting: string,
  address: Address,
): Promise<{ readonly address: string; readonly state: keyof typeof STATES }> {
  const shown = addressText(address);
  if ("path" in address) {
    const folder = dirname(address.path);
    if (!(await isThere(folder))) {
      throw new OperatorError(`${setting}: can't listen on ${shown}: there is no such folder`);
    }
    // To try it would be to make it.
    await checkWritable(setting, folder);
    return { address: shown, state: "not-tried" };
  }
  try {
    await listening(setting, address, async () => {
      const server = createServer().listen(address);
      await once(server, "listening");
      server.close();
      await once(server, "close");
    });
    return { address: shown, state: "free" };
  } catch (error) {
    const isInUse = error instanceof OperatorError && codeOf(error.cause) === "EADDRINUSE";
    if (!isInUse) throw error;
    return { address: shown, state: "in-use" };
  }
}

async function databaseOf({ database: { url }, data }: Configuration): Promise<Row> {
  const path = sqlitePath(url);
  if (path !== undefined) {
    // Where no URL is given, it is in the folder that `data` names.
    const setting = path === join(data, "conclave.sqlite") ? "data" : "database.url";
    await checkWritable(setting, dirname(path));
    for (const rest of SQLITE_FILES) await checkFile(setting, path + rest);
  }
  const shown = withoutSecrets(url);
  const version = await databaseVersion(url);
  if (version?.copied !== undefined) throw copiedError(url, version.copied);
  const state =
    version === undefined
      ? "would be made"
      : version.found === version.known
        ? `version ${version.found}, the newest`
        : `version ${version.found}, would be brought to ${version.known}`;
  return {
    key: "database",
    what: "keeps its data in",
    text: `${shown} (${state})`,
    value: {
      url: shown,
      kind: path === undefined ? "postgres" : "sqlite",
      version: version?.found ?? null,
      newest: version?.known ?? null,
    },
  };
}

function blobsOf({ blobs, data }: Configuration): Row {
  const folder = join(data, "blobs");
  return {
    key: "blobs",
    what: "keeps blobs in",
    text: blobs === undefined ? folder : `${blobs.endpoint}/${blobs.bucket}`,
    value:
      blobs === undefined
        ? { kind: "folder", folder }
        : { kind: "s3", endpoint: blobs.endpoint, bucket: blobs.bucket },
  };
}

function retentionOf({ retention: { days, entries, interval } }: Configuration): Row {
  const kept = [
    ...(days === undefined ? [] : [`${days} days`]),
    ...(entries === undefined ? [] : [`the newest ${entries} of a group`]),
  ];
  return {
    key: "retention",
    what: "keeps messages",
    text: kept.length === 0 ? "all" : kept.join(", at most "),
    value: { days: days ?? null, entries: entries ?? null, interval },
  };
}

/** Those that are not as they are by default. */
function changedLimits(limits: Limits): readonly string[] {
  const text = (value: Limits[keyof Limits]): string =>
    typeof value === "number" ? String(value) : `${value.burst} and ${value.perSecond}/s`;
  return Object.entries(limits).flatMap(([name, value]) => {
    const byDefault = text(DEFAULT_LIMITS[name as keyof Limits]);
    return text(value) === byDefault ? [] : [`${name} ${text(value)} (${byDefault} by default)`];
  });
}

/** Whether files can be made in the folder, or it in the one that is to hold it. Throws `OperatorError`. */
async function checkWritable(setting: string, folder: string): Promise<void> {
  let there = resolve(folder);
  while (!(await isThere(there)) && there !== dirname(there)) there = dirname(there);
  if (!(await stat(there)).isDirectory()) {
    throw new OperatorError(`${setting}: ${there} is no folder`);
  }
  try {
    await access(there, constants.W_OK | constants.X_OK);
  } catch {
    throw new OperatorError(`${setting}: this user can't write to ${there}`);
  }
  // Of root the system says there that it may.
  if (OF_THE_KERNEL.has((await statfs(there)).type)) {
    throw new OperatorError(`${setting}: no files can be made in ${there}`);
  }
}

/** What the service writes to, beside one another. Made by another user, one of them may be in the way. */
const SQLITE_FILES = ["", "-wal", "-shm", "-lock", "-bell"] as const;

/** Throws `OperatorError` where it is there and can't be written to. */
async function checkFile(setting: string, file: string): Promise<void> {
  if (!(await isThere(file))) return;
  try {
    await access(file, constants.R_OK | constants.W_OK);
  } catch {
    throw new OperatorError(
      `${setting}: this user can't write to ${file}; was it made by another, such as root? The service's own has to own it`,
    );
  }
}

/** File systems that only show what the kernel knows, as Linux numbers them: `/proc`, `/sys`, and the control groups in it. */
const OF_THE_KERNEL: ReadonlySet<number> = new Set([0x9fa0, 0x62656572, 0x27e0eb, 0x63677270]);

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
