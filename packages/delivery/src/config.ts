/**
 * What the operator decides: settings from a file (TOML) and from environment variables, which win. Each has a name,
 * a form and, if it isn't asked for, a value that does no harm. The schema is the one place that knows them: errors,
 * names of variables and the table in the guide come from it.
 * @module
 */

import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { parse as parseToml, TomlError } from "smol-toml";
import { z } from "zod";
import type { S3Options } from "./blobs/s3-bodies.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
import { OperatorError } from "./operator-error.ts";
import type { Address } from "./serve.ts";
import { hostsOf } from "./store/postgres-database.ts";
import { reasonOf } from "./system-error.ts";

/** A configuration that can't be followed: one line for each thing to mend, for the person who wrote it. */
export class ConfigurationError extends OperatorError {
  override readonly name: string = "ConfigurationError";
}

/** `form` completes "… has to be". */
function text(form: string, about: string): z.ZodString {
  return z
    .string({ error: `has to be ${form}` })
    .min(1)
    .meta({ description: about });
}

function count(form: string, about: string, least = 0, most = Number.MAX_SAFE_INTEGER): z.ZodInt {
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `from ${least} to ${most}`;
  const error = `has to be ${form}, ${range}`;
  return z.int({ error }).min(least, { error }).max(most, { error }).meta({ description: about });
}

const HOUR = 3600;
const WEEK = 7 * 24 * 60;
/** What timers take, in milliseconds: of more they make one. */
const LONGEST = 2 ** 31 - 1;

/** A value that is never printed: given itself, or as the name of a file that holds it. */
const SECRET = "secret";

function secret(form: string, about: string): z.ZodString {
  return text(form, about).meta({ description: about, [SECRET]: true });
}

function isOrigin(value: string): boolean {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && url.origin === value;
}

function origin(about: string): z.ZodString {
  const error = "has to be an origin, such as https://delivery.example.org";
  const missing = "is needed: an origin, such as https://delivery.example.org";
  return z
    .string({ error: ({ input }) => (input === undefined ? missing : error) })
    .refine(isOrigin, { error })
    .meta({ description: about });
}

const ADDRESS = "has to be HOST:PORT, such as 127.0.0.1:8441 or [::1]:8441, or unix:/PATH";

function readAddress(value: string): Address | undefined {
  const [, path] = /^unix:(\/.+)$/.exec(value) ?? [];
  if (path !== undefined) return { path };
  const [, bracketed, plain, port = ""] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(value) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65535) return undefined;
  if (bracketed !== undefined && isIP(bracketed) !== 6) return undefined;
  return { host, port: Number(port) };
}

function address(about: string): z.ZodPipe<z.ZodString, z.ZodTransform<Address, string>> {
  return z
    .string({ error: ADDRESS })
    .meta({ description: about })
    .transform((value, context) => {
      const read = readAddress(value);
      if (read !== undefined) return read;
      context.addIssue({ code: "custom", message: ADDRESS });
      return z.NEVER;
    });
}

const LIMIT = "a whole number";

/** A section of the file. */
function section<T extends z.core.$ZodLooseShape>(shape: T): z.ZodObject<T, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === "invalid_type" ? "has to be a section" : undefined),
  });
}

/** Limits that timers wait for, and the most of each. */
const TIMED: Readonly<Partial<Record<string, number>>> = {
  longPoll: HOUR,
  heartbeat: LONGEST,
  lookAgain: LONGEST,
  hello: LONGEST,
  blobPatience: LONGEST,
} satisfies Partial<Record<keyof Limits, number>>;

/** Of two limits, one of which means nothing where it is more than the other. */
const WITHIN: readonly (readonly [part: keyof Limits, whole: keyof Limits])[] = [
  ["bodyBytesPerCaller", "bodyBytes"],
  ["ownGroups", "groupsPerDevice"],
  ["waitingPerDevice", "waiting"],
  ["longPollsPerDevice", "longPollsPerAccount"],
  ["longPollsPerAccount", "longPolls"],
  ["longPollsPerAddress", "longPolls"],
  ["frameEntryBytes", "tailBytes"],
  ["socketsPerDevice", "sockets"],
  ["socketsPerAddress", "sockets"],
  ["blobSize", "blobQuota"],
  ["blobAppend", "blobSize"],
  ["transfersPerAccount", "transfers"],
  ["transfersPerAddress", "transfers"],
];

/** Every limit of `Limits`, with what it is by default. */
function limits(): z.ZodType<Limits, Record<string, unknown>> {
  const entries = Object.entries(DEFAULT_LIMITS).map(([name, value]) => {
    if (typeof value === "number") return [name, count(LIMIT, "", 1, TIMED[name]).default(value)];
    const rate = section({
      burst: count(LIMIT, "", 1).default(value.burst),
      perSecond: z
        .number({ error: "has to be a number above 0" })
        .gt(0, { error: "has to be a number above 0" })
        .default(value.perSecond),
    });
    return [name, rate.prefault({})];
  });
  // What the table makes has the keys of the table.
  return section(Object.fromEntries(entries)) as unknown as z.ZodType<
    Limits,
    Record<string, unknown>
  >;
}

const Settings = section({
  publicOrigin: origin(
    "The service's own origin, as devices reach it. They sign it when they sign in.",
  ),
  allowedOrigins: z.array(origin(""), { error: "has to be a list of origins" }).default([]).meta({
    description:
      "Origins of the pages that may use the service from a browser. Programs need none.",
  }),
  listen: address("Where the service listens.").prefault("127.0.0.1:8441"),
  trustedProxies: count(
    "a whole number",
    "How many proxies stand before the service, each of which appends to `X-Forwarded-For`.",
  ).default(0),
  contact: z.enum(["ask", "open"], { error: "has to be ask or open" }).default("ask").meta({
    description:
      "Whether strangers may reach an account that hasn't said so itself: after asking (`ask`), or at once (`open`). The messenger that brings its own service (`npm start`) has `open` by default.",
  }),
  registration: z
    .enum(["open", "invite", "closed"], { error: "has to be open, invite or closed" })
    .default("open")
    .meta({
      description:
        "Who may make an account: everybody, who has a code by `conclave-delivery invite`, or nobody.",
    }),
  data: text("a folder", "The folder for what is kept in files.").default("conclave-data"),
  tls: section({
    certFile: text(
      "a file",
      "The certificate with its chain (PEM). Without it the service speaks http, for a proxy.",
    ).optional(),
    keyFile: text("a file", "The certificate's key (PEM).").optional(),
  }).prefault({}),
  database: section({
    url: secret(
      "sqlite:PATH or postgres://…",
      "`sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/NAME`. A SQLite file in `data` where it isn't given.",
    ).optional(),
    urlFile: text("a file", "A file that holds `database.url`.").optional(),
  }).prefault({}),
  blobs: section({
    endpoint: text(
      "a URL",
      "Of an S3-compatible store, without the bucket. Without it blobs are files in `data`.",
    ).optional(),
    bucket: text("a name", "The bucket, which is there already.").optional(),
    region: text("a name", "The bucket's region.").default("us-east-1"),
    prefix: text("letters, digits, . _ - and /", "What the names of objects begin with.")
      .regex(/^[\w./-]*$/, { error: "has to be letters, digits, . _ - and /" })
      .optional(),
    accessKeyId: text("a key's id", "Who writes there.").optional(),
    secretAccessKey: secret("a key", "The key's secret.").optional(),
    secretAccessKeyFile: text("a file", "A file that holds `blobs.secretAccessKey`.").optional(),
  }).prefault({}),
  metrics: section({
    listen: address(
      "Where the metrics and the operator's page are, for nobody but the operator. Without it there are none.",
    ).optional(),
    token: secret(
      "a token of 16 characters or more",
      "The operator's page asks for it. Without it there is no page.",
    )
      .min(16, { error: "has to be a token of 16 characters or more" })
      .optional(),
    tokenFile: text("a file", "A file that holds `metrics.token`.").optional(),
  }).prefault({}),
  log: section({
    level: z
      .enum(["request", "event", "error"], { error: "has to be request, event or error" })
      .default("request")
      .meta({
        description:
          "`request`: a line for each request, and what follows; `event`: starts, ends, sweeps; `error`: what nobody foresaw.",
      }),
    format: z
      .enum(["json", "text"], { error: "has to be json or text" })
      .default("json")
      .meta({ description: "One JSON object a line, or the same for eyes." }),
  }).prefault({}),
  shutdown: section({
    delay: count(
      "a number of seconds",
      "Seconds from the signal until the service takes no more connections: for a proxy that asks `/ready`.",
      0,
      HOUR,
    ).default(0),
    spread: count(
      "a number of seconds",
      "Seconds over which WebSockets are closed, so that not all devices come back at once.",
      0,
      HOUR,
    ).default(2),
    grace: count(
      "a number of seconds",
      "Seconds that requests under way may take then, before they are cut off.",
      0,
      HOUR,
    ).default(10),
  }).prefault({}),
  retention: section({
    days: count(
      "a number of days",
      "Messages older than that are deleted, read or not. Not at all where it isn't given.",
      1,
    ).optional(),
    entries: count(
      "a number of messages",
      "How many of its newest messages a group keeps. All where it isn't given.",
      1,
    ).optional(),
    interval: count(
      "a number of minutes",
      "Minutes between two sweeps of what has expired, or is to be deleted.",
      1,
      WEEK,
    ).default(10),
  }).prefault({}),
  limits: limits().prefault({}),
});

type Settings = z.infer<typeof Settings>;

export type Configuration = Omit<Settings, "tls" | "database" | "blobs" | "metrics"> & {
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  readonly database: { readonly url: string };
  readonly blobs: S3Options | undefined;
  readonly metrics: { readonly listen: Address; readonly token: string | undefined } | undefined;
  /** What is allowed, and most likely not meant: a line each, which names the setting. */
  readonly warnings: readonly string[];
};

/** One setting, for the guide and for the names of variables. */
export interface Setting {
  /** As in the file: `log.level`. */
  readonly key: string;
  /** `CONCLAVE_LOG_LEVEL`. */
  readonly variable: string;
  readonly type: string;
  readonly about: string;
  /** As it would be written in the file. */
  readonly fallback: string | undefined;
  readonly required: boolean;
  readonly secret: boolean;
}

const PREFIX = "CONCLAVE_";
/** Names the file, so it can't stand in it. */
const FILE_VARIABLE = "CONCLAVE_CONFIG";

function variableOf(key: string): string {
  return PREFIX + key.replace(/[A-Z]/g, "_$&").replaceAll(".", "_").toUpperCase();
}

interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly secret?: boolean;
}

/** Every setting, in the order of the schema. */
export function settings(): readonly Setting[] {
  const found: Setting[] = [];
  function walk(schema: JsonSchema, path: readonly string[], required: boolean): void {
    if (schema.properties !== undefined) {
      for (const [name, inner] of Object.entries(schema.properties)) {
        walk(inner, [...path, name], schema.required?.includes(name) === true);
      }
      return;
    }
    const key = path.join(".");
    found.push({
      key,
      variable: variableOf(key),
      type: schema.type ?? "string",
      about: schema.description ?? "",
      fallback: schema.default === undefined ? undefined : JSON.stringify(schema.default),
      required,
      secret: schema.secret === true,
    });
  }
  // Its types are those of all of JSON Schema; what is read of it is written above.
  walk(z.toJSONSchema(Settings, { io: "input" }) as JsonSchema, [], false);
  return found;
}

type Table = Record<string, unknown>;

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A variable's text as the type that the setting has. What isn't one stays text: the schema says so. */
function fromVariable(value: string, type: string): unknown {
  if (type === "array") return value.split(/[\s,]+/).filter((item) => item !== "");
  if (type === "integer" || type === "number") {
    return value.trim() === "" || Number.isNaN(Number(value)) ? value : Number(value);
  }
  return value;
}

/** Puts what the variables say into the table of the file. */
function withVariables(
  table: Table,
  environment: Readonly<Record<string, string | undefined>>,
  complain: (line: string) => void,
): void {
  const known = settings();
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || variable === FILE_VARIABLE) continue;
    const setting = known.find((one) => one.variable === variable);
    if (setting === undefined) {
      const hint = didYouMean(variable, [FILE_VARIABLE, ...known.map((one) => one.variable)]);
      complain(`${variable} is no setting${hint}`);
      continue;
    }
    if (value === undefined || value === "") continue;
    const path = setting.key.split(".");
    const last = path.pop() ?? "";
    let section = table;
    for (const name of path) {
      const inner = section[name];
      section[name] = isTable(inner) ? inner : {};
      section = section[name] as Table;
    }
    section[last] = fromVariable(value, setting.type);
  }
}

/** Where settings were given, for messages about them. */
interface Origins {
  /** `FILE:LINE: ` of the first of the settings that stands in the file; nothing where none does. */
  readonly at: (...keys: readonly string[]) => string;
  /** The setting, and where to mend it: the place in the file, or the variable. */
  readonly named: (key: string) => string;
}

/** @param environment Wins over the file. */
function originsOf(
  file: Source | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Origins {
  const known = new Map(settings().map(({ key, variable }) => [key, variable]));
  const isGiven = (variable: string | undefined): boolean =>
    variable !== undefined && (environment[variable] ?? "") !== "";
  function placeOf(key: string): string | undefined {
    const line = isGiven(known.get(key)) ? undefined : lineOf(file?.text ?? "", key);
    return line === undefined ? undefined : `${file?.name}:${line}: `;
  }
  return {
    at: (...keys) => keys.map(placeOf).find((place) => place !== undefined) ?? "",
    named(key) {
      const place = placeOf(key);
      if (place !== undefined) return place + key;
      const variable = known.get(key);
      return variable === undefined ? key : `${key} (${variable})`;
    },
  };
}

/** The line of TOML where a setting is given, or the section or table that it is in; undefined where it can't be told. */
function lineOf(text: string, key: string): number | undefined {
  const plain = (name: string): string => name.replaceAll(/[\s"']/g, "");
  let section = "";
  let found: { readonly line: number; readonly length: number } | undefined;
  for (const [i, line] of text.split("\n").entries()) {
    const [, header, name] = /^\s*(?:\[([^[\]]+)\]|([\w."'\s-]+)=)/.exec(line) ?? [];
    if (header !== undefined) section = `${plain(header)}.`;
    const here = header === undefined ? section + plain(name ?? "") : plain(header);
    const isOf = here !== "" && (key === here || key.startsWith(`${here}.`));
    if ((header ?? name) === undefined || !isOf) continue;
    if (here.length > (found?.length ?? 0)) found = { line: i + 1, length: here.length };
  }
  return found?.line;
}

/** What is wrong with the settings, a line each. */
function complaints(error: z.ZodError, { at, named }: Origins): readonly string[] {
  const known = settings();
  return error.issues.flatMap((issue) => {
    const path = issue.path.filter((name) => typeof name === "string");
    const key = path.join(".");
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((name) => {
        const unknown = [...path, name].join(".");
        const sections = known.map((one) => one.key.replace(/\.?[^.]*$/, ""));
        const hint = didYouMean(unknown, [...known.map((one) => one.key), ...sections]);
        return `${at(unknown)}${unknown} is no setting${hint}`;
      });
    }
    return [`${named(key)} ${issue.message}`];
  });
}

async function readText(file: string, whose: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const reason = reasonOf(error) ?? "it is unreadable";
    throw new ConfigurationError(`${whose} names ${file}, which can't be read: ${reason}`);
  }
}

/** A file of the configuration, as it was read. */
interface Source {
  readonly name: string;
  readonly text: string;
}

function readTable({ name, text }: Source): Table {
  try {
    return parseToml(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Its message quotes the lines around, in which a password may stand.
    const [reason] = error.message.split("\n");
    const hint = reason?.endsWith("invalid value") === true ? ": texts stand in quotes" : "";
    throw new ConfigurationError(`${name}:${error.line}:${error.column}: ${reason}${hint}`);
  }
}

/** A secret as it was given, or from the file that was named instead. */
async function secretOf(
  key: string,
  given: string | undefined,
  file: string | undefined,
  { at }: Origins,
): Promise<string | undefined> {
  if (file === undefined) return given;
  const whose = `${at(`${key}File`)}${key}File`;
  if (given !== undefined) {
    throw new ConfigurationError(
      `${at(`${key}File`, key)}${key} and ${key}File are both given: one of them is enough`,
    );
  }
  const held = (await readText(file, whose)).trim();
  if (held === "") throw new ConfigurationError(`${whose} names ${file}, which is empty`);
  return held;
}

/**
 * The configuration. Throws `ConfigurationError`, whose message has a line for each thing that is wrong and nothing secret.
 *
 * @param options `file`: of TOML, instead of the one that `CONCLAVE_CONFIG` names.
 */
export async function loadConfiguration(
  environment: Readonly<Record<string, string | undefined>>,
  options: { readonly file?: string | undefined } = {},
): Promise<Configuration> {
  const name = options.file ?? environment[FILE_VARIABLE] ?? "";
  const file = name === "" ? undefined : { name, text: await readText(name, whoNames(options)) };
  const table = file === undefined ? {} : readTable(file);
  const origins = originsOf(file, environment);
  const wrong: string[] = [];
  withVariables(table, environment, (line) => wrong.push(line));
  const parsed = Settings.safeParse(table);
  if (!parsed.success) wrong.push(...complaints(parsed.error, origins));
  if (!parsed.success || wrong.length > 0) throw new ConfigurationError(wrong.join("\n"));
  return settle(parsed.data, origins);
}

function whoNames({ file }: { readonly file?: string | undefined }): string {
  return file === undefined ? FILE_VARIABLE : "--config";
}

function isSameAddress(one: Address, other: Address): boolean {
  if ("path" in one || "path" in other) {
    return "path" in one && "path" in other && one.path === other.path;
  }
  // Of port 0 each gets a free one.
  return one.port !== 0 && one.port === other.port && one.host === other.host;
}

/** What one setting alone can't say. */
async function settle(given: Settings, origins: Origins): Promise<Configuration> {
  const { at, named } = origins;
  const { tls, database, metrics, data } = given;
  const { certFile, keyFile } = tls;
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new ConfigurationError(
      `${at("tls.certFile", "tls.keyFile")}tls.certFile and tls.keyFile belong together: one is missing`,
    );
  }
  if ("path" in given.listen && given.trustedProxies === 0) {
    throw new ConfigurationError(
      `${at("listen")}listen is a unix socket, so a proxy stands before it: trustedProxies has to be 1 or more`,
    );
  }
  if (metrics.listen !== undefined && isSameAddress(given.listen, metrics.listen)) {
    throw new ConfigurationError(
      `${at("metrics.listen", "listen")}listen and metrics.listen are one address: each needs its own`,
    );
  }
  const url = await secretOf("database.url", database.url, database.urlFile, origins);
  const complaint = url === undefined ? undefined : databaseComplaint(url);
  if (complaint !== undefined) {
    throw new ConfigurationError(`${named("database.url")} ${complaint}`);
  }
  const token = await secretOf("metrics.token", metrics.token, metrics.tokenFile, origins);
  if (token !== undefined && token.length < 16) {
    throw new ConfigurationError(
      `${at("metrics.tokenFile")}metrics.token has to be a token of 16 characters or more`,
    );
  }
  return {
    ...given,
    blobs: await bucketOf(given.blobs, origins),
    tls: certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile },
    database: { url: url ?? `sqlite:${join(data, "conclave.sqlite")}` },
    metrics: metrics.listen && { listen: metrics.listen, token },
    warnings: warningsOf(given, token),
  };
}

/** What is wrong with a database's URL: completes a sentence that names it, and quotes nothing. */
export function databaseComplaint(url: string): string | undefined {
  if (!/^(sqlite:.|postgres(ql)?:\/\/)/.test(url)) return "has to be sqlite:PATH or postgres://…";
  if (isSqlite(url)) {
    const isKept = !/^sqlite:(:memory:|file:.*)$/.test(url);
    return isKept
      ? undefined
      : "has to be the path of a file: what is in memory is lost with the process";
  }
  const hosts = readHosts(url);
  if (hosts === undefined) {
    return "can't be read: a port is a number, not too high, and / ? # @ and % in its names and its password have to be percent-encoded";
  }
  const isNamed = hosts.every(({ pathname }) => pathname.length > 1);
  return isNamed ? undefined : "names no database: postgres://USER@HOST/NAME";
}

const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/;
const EVERYWHERE: ReadonlySet<string> = new Set(["0.0.0.0", "::", "*"]);

function warningsOf(
  {
    publicOrigin,
    allowedOrigins,
    trustedProxies,
    listen: ownAddress,
    tls,
    metrics,
    limits,
  }: Settings,
  token: string | undefined,
): readonly string[] {
  const warnings: string[] = [];
  const isOpen = (origin: string): boolean => {
    const { protocol, hostname } = new URL(origin);
    return protocol === "http:" && !LOOPBACK.test(hostname);
  };
  if (isOpen(publicOrigin)) {
    warnings.push(
      "publicOrigin is http: who is on the way reads the tokens by which devices are signed in, and browsers let no page use it. It should be https, by tls or by a proxy.",
    );
  }
  const open = allowedOrigins.find(isOpen);
  if (open !== undefined) {
    warnings.push(
      `allowedOrigins has ${open}: browsers encrypt nothing for a page without TLS. It should be https.`,
    );
  }
  if (publicOrigin.startsWith("https:") && tls.certFile === undefined && trustedProxies === 0) {
    warnings.push(
      "trustedProxies is 0, and without tls a proxy stands before the service, since publicOrigin is https: all people have the proxy's address, and share what one address may do. It should be 1.",
    );
  }
  if (trustedProxies > 0 && "host" in ownAddress && EVERYWHERE.has(ownAddress.host ?? "")) {
    warnings.push(
      "listen is on all addresses: whoever reaches the port past the proxy says what address they have. It should be 127.0.0.1, or an address that only the proxy reaches.",
    );
  }
  for (const [part, whole] of WITHIN) {
    if (limits[part] <= limits[whole]) continue;
    warnings.push(`limits.${part} is more than limits.${whole}, which holds before it.`);
  }
  const { listen } = metrics;
  if (token !== undefined && listen === undefined) {
    warnings.push(
      "metrics.token is given and metrics.listen is not: there are neither metrics nor the operator's page.",
    );
  }
  const host = listen !== undefined && "host" in listen ? listen.host : undefined;
  if (host !== undefined && EVERYWHERE.has(host)) {
    warnings.push(
      `metrics.listen is on all addresses: whoever reaches the port reads the metrics${token === undefined ? "" : ", and may try tokens"}. It should be 127.0.0.1, or an address that only the operator reaches.`,
    );
  }
  return warnings;
}

async function bucketOf(
  blobs: Settings["blobs"],
  origins: Origins,
): Promise<S3Options | undefined> {
  const { endpoint, bucket, region, prefix, accessKeyId } = blobs;
  const { secretAccessKey: given, secretAccessKeyFile: file } = blobs;
  const secretAccessKey = await secretOf("blobs.secretAccessKey", given, file, origins);
  const all = { endpoint, bucket, accessKeyId, secretAccessKey };
  const missing = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [name] : [],
  );
  if (missing.length === Object.keys(all).length && prefix === undefined) return undefined;
  if (endpoint !== undefined && !/^https?:\/\/[^?#@]+$/.test(endpoint)) {
    throw new ConfigurationError(
      `${origins.named("blobs.endpoint")} has to be a URL without the bucket, such as https://s3.example.org`,
    );
  }
  if (
    endpoint === undefined ||
    bucket === undefined ||
    accessKeyId === undefined ||
    secretAccessKey === undefined
  ) {
    throw new ConfigurationError(
      `${origins.at("blobs")}blobs.${missing[0]} is missing: an S3-compatible store needs it`,
    );
  }
  return { endpoint, bucket, region, accessKeyId, secretAccessKey, ...(prefix && { prefix }) };
}

/** A database's URL as it may be shown: neither password nor parameters, among which one may stand. */
export function withoutSecrets(databaseUrl: string): string {
  if (isSqlite(databaseUrl)) return databaseUrl;
  const hosts = readHosts(databaseUrl);
  const [first] = hosts ?? [];
  if (hosts === undefined || first === undefined) return "postgres://…";
  const { protocol, username, pathname } = first;
  const names = hosts.map(({ host }) => host).join(",");
  return `${protocol}//${username === "" ? "" : `${username}@`}${names}${pathname}`;
}

function isSqlite(databaseUrl: string): boolean {
  return databaseUrl.startsWith("sqlite:");
}

/** A URL for each host. Undefined where it can't be told what is a host and what a part of the password. */
function readHosts(databaseUrl: string): readonly URL[] | undefined {
  const hosts = hostsOf(databaseUrl);
  if (!hosts.every((host) => URL.canParse(host))) return undefined;
  const urls = hosts.map((host) => new URL(host));
  return urls.every(isClear) ? urls : undefined;
}

/** With a raw / ? or # in a password the host is what stands before it, and an @ comes after. */
function isClear({ username, password, host, pathname, search, hash }: URL): boolean {
  if (hash !== "" || `${pathname}${search}`.includes("@")) return false;
  try {
    for (const part of [username, password, host, pathname]) decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

/** `; did you mean …?`, if one is near. */
export function didYouMean(word: string, known: readonly string[]): string {
  const [nearest] = known
    .map((name) => ({ name, distance: editDistance(word.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const near = nearest !== undefined && nearest.distance <= Math.max(1, word.length / 3);
  return near ? `; did you mean ${nearest.name}?` : "";
}

/** How many letters to insert, delete or replace. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
