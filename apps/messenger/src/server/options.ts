/**
 * The command line: what the server is told, checked whole before anything starts.
 * @module
 */

import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { parseArgs } from "node:util";
import type { RegistrationRule } from "@conclave/delivery";

export const HELP = `Conclave: a messenger whose server can't read what it carries.

  npm start -- [options]

  --port N               the page people open (8440)
  --service-port N       the delivery service (8441)
  --operator-port N      the operator's page, on this machine alone (8442)
  --host NAME            name or address to listen on (localhost);
                         0.0.0.0 for all of this machine's addresses
  --data DIR             folder of the databases and the certificate (conclave-data)
  --database URL         postgres://USER@HOST/NAME instead of a file in the data folder; with a
                         password better in the variable DATABASE_URL
  --tls                  https, with a certificate that is made and kept in the data folder
  --cert FILE --key FILE https, with a certificate of your own (PEM)
  --public-origin URL    behind a proxy: where people open the page
  --service-origin URL   behind a proxy: where the page finds the service
  --contact open|ask     whether people can be added by who knows their name, or have to be
                         asked first; each decides it anew in the settings (open)
  --registration RULE    who may make an account: open, invite (by a code) or closed (open)
  --log                  a line of JSON for each request, on standard error
  --help                 this text

docs/messenger.md says more.
`;

/** How the server speaks https. */
export type Tls =
  | { readonly kind: "self-signed" }
  | { readonly kind: "files"; readonly certFile: string; readonly keyFile: string };

export interface Options {
  /** The address to listen on, for page and service. */
  readonly host: string;
  readonly pagePort: number;
  readonly servicePort: number;
  readonly operatorPort: number;
  readonly data: string;
  /** `postgres://…`; a SQLite file in the data folder where none is named. */
  readonly database?: string;
  readonly tls?: Tls;
  /** The origins as browsers see them. */
  readonly pageOrigin: string;
  readonly serviceOrigin: string;
  /** A proxy stands in front: what it sends as `Host` is its own matter. */
  readonly behindProxy: boolean;
  /** The rule of accounts that made none. */
  readonly contact: "open" | "ask";
  /** Who may make an account. */
  readonly registration: RegistrationRule;
  readonly log: boolean;
}

/** A command line that can't be followed; the message is for the person who wrote it. */
export class OptionsError extends Error {
  override readonly name = "OptionsError";
}

/** The options, or "help". Throws `OptionsError`. */
export function parseOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = {},
): Options | "help" {
  const given = parse(args);
  if (given.help) return "help";

  const host = given.host ?? "localhost";
  const pagePort = port("--port", given.port, 8440);
  const servicePort = port("--service-port", given["service-port"], 8441);
  const operatorPort = port("--operator-port", given["operator-port"], 8442);
  if (new Set([pagePort, servicePort, operatorPort]).size < 3) {
    throw new OptionsError("Page, service and operator's page need a port each: two are the same.");
  }

  const database = databaseUrl(given.database ?? environment["DATABASE_URL"]);
  const tls = tlsOf(given);
  const behindProxy = given["public-origin"] !== undefined;
  if (behindProxy !== (given["service-origin"] !== undefined)) {
    throw new OptionsError("--public-origin and --service-origin belong together: one is missing.");
  }
  const own = `${tls ? "https" : "http"}://${publicName(host)}`;
  const pageOrigin = origin("--public-origin", given["public-origin"] ?? `${own}:${pagePort}`);
  const serviceOrigin = origin(
    "--service-origin",
    given["service-origin"] ?? `${own}:${servicePort}`,
  );
  if (pageOrigin === serviceOrigin) {
    throw new OptionsError("Page and service need an origin each: the two are the same.");
  }
  return {
    host,
    pagePort,
    servicePort,
    operatorPort,
    data: given.data ?? "conclave-data",
    ...(database !== undefined && { database }),
    ...(tls && { tls }),
    pageOrigin,
    serviceOrigin,
    behindProxy,
    contact: contactRule(given.contact ?? "open"),
    registration: registrationRule(given.registration ?? "open"),
    log: given.log ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: false,
      options: {
        port: { type: "string" },
        "service-port": { type: "string" },
        "operator-port": { type: "string" },
        host: { type: "string" },
        data: { type: "string" },
        database: { type: "string" },
        tls: { type: "boolean" },
        cert: { type: "string" },
        key: { type: "string" },
        "public-origin": { type: "string" },
        "service-origin": { type: "string" },
        contact: { type: "string" },
        registration: { type: "string" },
        log: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new OptionsError(error instanceof Error ? error.message : String(error));
  }
}

function port(option: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > 65535) {
    throw new OptionsError(`${option} takes a number from 1 to 65535, not "${text}".`);
  }
  return value;
}

function contactRule(text: string): Options["contact"] {
  if (text === "open" || text === "ask") return text;
  throw new OptionsError(`--contact takes "open" or "ask", not "${text}".`);
}

function registrationRule(text: string): RegistrationRule {
  if (text === "open" || text === "invite" || text === "closed") return text;
  throw new OptionsError(`--registration takes "open", "invite" or "closed", not "${text}".`);
}

/** The message doesn't show it: there may be a password in it. */
function databaseUrl(text: string | undefined): string | undefined {
  if (text === undefined || text === "") return undefined;
  if (URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol)) return text;
  throw new OptionsError("--database takes a URL such as postgres://conclave@localhost/conclave.");
}

function tlsOf(given: {
  readonly tls?: boolean;
  readonly cert?: string;
  readonly key?: string;
}): Tls | undefined {
  if (given.cert !== undefined && given.key !== undefined) {
    return { kind: "files", certFile: given.cert, keyFile: given.key };
  }
  if (given.cert !== undefined || given.key !== undefined) {
    throw new OptionsError("--cert and --key belong together: one of them is missing.");
  }
  return given.tls ? { kind: "self-signed" } : undefined;
}

/** An origin that a browser treats as a secure context: without one, it gives a page no cryptography. */
function origin(option: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.href !== `${url.origin}/`) {
    throw new OptionsError(
      `${option} takes an origin, such as https://chat.example, not "${text}".`,
    );
  }
  // CSP #framework-directive-source-list: a host-source can't be an IPv6 address.
  if (url.hostname.startsWith("[")) {
    throw new OptionsError(
      `A page's policy can't name an IPv6 address such as ${url.hostname}: give a host name.`,
    );
  }
  if (url.protocol === "http:" && !isLoopback(url.hostname)) {
    throw new OptionsError(
      `Browsers let a page use cryptography only over https or on localhost, and ${url.origin} is neither.\n` +
        "Add --tls, or put a proxy with https in front and name its addresses with --public-origin and --service-origin.",
    );
  }
  return url.origin;
}

function isLoopback(hostname: string): boolean {
  return (
    hostname === "localhost" ||
    hostname.endsWith(".localhost") ||
    /^127(\.[0-9]+){3}$/.test(hostname)
  );
}

/** The host in the addresses that people open, where the server listens on `host`. */
function publicName(host: string): string {
  const name = host === "0.0.0.0" || host === "::" ? networkAddress() : host;
  return isIP(name) === 6 ? `[${name}]` : name;
}

/** This machine's address in its network, as far as it has one. */
function networkAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const external = addresses.filter((address) => !address.internal);
  return external.find(({ family }) => family === "IPv4")?.address ?? "localhost";
}
