/**
 * The whole messenger in one process: page, delivery service and operator's page, each on an origin of its own, and
 * one data folder.
 * @module
 */

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname, networkInterfaces } from "node:os";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import {
  createDeliveryService,
  lockSqliteFile,
  openPostgresDoorbell,
  openSqliteDoorbell,
  openStore,
  refuseCopied,
  type SqliteLock,
  type Store,
  StoreUnavailable,
} from "@conclave/delivery";
import { readBundle } from "./bundle.ts";
import { type Certificate, fingerprint, keptCertificate } from "./certificate.ts";
import { createCollector } from "./collector.ts";
import { createCounters } from "./counters.ts";
import { takeDataFolder } from "./data-folder.ts";
import { listen } from "./listener.ts";
import { createOperatorServer } from "./operator-server.ts";
import type { Options, Tls } from "./options.ts";
import { createPageServer } from "./page-server.ts";
import { StartError } from "./start-error.ts";
import { openViolationStore } from "./violation-store.ts";

export interface Messenger {
  /** Where the operator opens their page: the token follows `#`. */
  readonly operatorUrl: string;
  /** SHA-256 of the self-signed certificate, for people to compare. */
  readonly fingerprint?: string;
  close(): Promise<void>;
}

/** Throws `StartError` for what a person can mend. */
export async function startMessenger(options: Options, bundleFolder: string): Promise<Messenger> {
  const { data, host, pageOrigin, serviceOrigin, behindProxy } = options;
  // In the order of their making; closed in the opposite one.
  const parts: { close(): void | Promise<void> }[] = [];
  const close = async () => {
    for (const part of parts.splice(0).reverse()) await part.close();
  };
  const started = <T extends { close(): void | Promise<void> }>(part: T): T => {
    parts.push(part);
    return part;
  };
  try {
    started(await takeDataFolder(data));
    const tls = await certificateFor(options);
    const bundle = await readBundle(bundleFolder);
    const token = randomBytes(24).toString("base64url");
    if (options.database === undefined) started(lockDatabase(data));
    const store = started(await openDatabase(options));
    // By which `conclave-delivery accounts` reaches this process, too.
    const doorbell = started(
      options.database === undefined
        ? openSqliteDoorbell(databaseFile(data))
        : await openPostgresDoorbell(options.database),
    );
    await refuseCopied(databaseUrl(options)).catch(failToStart);
    const violations = started(openViolationStore(join(data, "violations.sqlite")));
    const counters = createCounters();
    const service = createDeliveryService({
      store,
      publicOrigin: serviceOrigin,
      allowedOrigins: [pageOrigin],
      doorbell,
      contact: options.contact,
      registration: options.registration,
      log(line) {
        counters.count(line);
        if (options.log) process.stderr.write(`${JSON.stringify(line)}\n`);
      },
    });
    const page = createPageServer({
      bundle,
      origins: options,
      behindProxy,
      collect: createCollector({
        origin: pageOrigin,
        paths: new Set(bundle.files.keys()),
        store: violations,
        now: Date.now,
      }),
    });
    const operator = await createOperatorServer({
      token,
      violations,
      counters: counters.list,
      startedAt: Date.now(),
    });
    started(await listen(operator, { host: "localhost", port: options.operatorPort }));
    started(await listen(service, { host, port: options.servicePort, tls, behindProxy }));
    started(await listen(page, { host, port: options.pagePort, tls, behindProxy }));
    return {
      operatorUrl: `http://localhost:${options.operatorPort}/#${token}`,
      ...(tls && options.tls?.kind === "self-signed" && { fingerprint: fingerprint(tls) }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function databaseFile(data: string): string {
  return join(data, "conclave.sqlite");
}

/** So that `conclave-delivery` neither takes the database elsewhere nor changes its form while this process writes to it. */
function lockDatabase(data: string): SqliteLock {
  try {
    return lockSqliteFile(databaseFile(data));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`The database can't be used: ${reason}.`, { cause: error });
  }
}

function databaseUrl({ data, database }: Options): string {
  return database ?? `sqlite:${databaseFile(data)}`;
}

/** Throws `StartError`, saying the same. */
function failToStart(error: unknown): never {
  throw new StartError(error instanceof Error ? error.message : String(error), { cause: error });
}

async function openDatabase(options: Options): Promise<Store> {
  try {
    return await openStore(databaseUrl(options));
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    throw new StartError(`The database can't be reached: ${error.message}.`, { cause: error });
  }
}

async function readCertificate({
  certFile,
  keyFile,
}: Extract<Tls, { kind: "files" }>): Promise<Certificate> {
  try {
    const pair = { cert: await readFile(certFile, "utf8"), key: await readFile(keyFile, "utf8") };
    createSecureContext(pair);
    return pair;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`The certificate and its key can't be used: ${reason}`, { cause: error });
  }
}

async function certificateFor({
  data,
  tls,
  pageOrigin,
  serviceOrigin,
}: Options): Promise<Certificate | undefined> {
  switch (tls?.kind) {
    case undefined:
      return undefined;
    case "files":
      return readCertificate(tls);
    case "self-signed": {
      const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
      const names = new Set([
        "localhost",
        hostname(),
        ...[pageOrigin, serviceOrigin].map((origin) => new URL(origin).hostname),
        ...addresses.filter(({ scopeid }) => !scopeid).map(({ address }) => address),
      ]);
      return keptCertificate(data, [...names], Date.now());
    }
  }
}
