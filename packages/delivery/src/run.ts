/**
 * The service as a process runs it: store, service, its address, metrics, sweeps, and an end in order.
 * @module
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { BlobBodies } from "./blobs/bodies.ts";
import { diskBodies } from "./blobs/disk-bodies.ts";
import { s3Bodies } from "./blobs/s3-bodies.ts";
import type { Configuration } from "./config.ts";
import {
  madeFolder,
  openDatabase,
  openDoorbell,
  reached,
  refuseCopied,
  sqlitePath,
} from "./database.ts";
import type { Log } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { createOperatorSite } from "./operator.ts";
import { OperatorError } from "./operator-error.ts";
import { startSweeper } from "./retention.ts";
import { type Address, type Server, serve, serveSite, type Tls } from "./serve.ts";
import { createDeliveryService } from "./service.ts";
import { lockSqliteFile } from "./store/sqlite-file.ts";
import type { Statistics, Store } from "./store/store.ts";
import { explained, postgresReason, reasonOf } from "./system-error.ts";

export interface RunningService {
  /** Of the service, and of the metrics: 0 on a unix socket, or where there is none. */
  readonly port: number;
  readonly metricsPort: number;
  /** Reads certificate and key again; those in use stay where that fails. */
  readonly reload: () => Promise<void>;
  /** Ends in order, within the bounds of the configuration. */
  readonly stop: () => Promise<void>;
}

const MINUTE = 60_000;
/** Between two looks at the database, in milliseconds. */
const LOOK = 5_000;
const VERSION_FILE = new URL("../package.json", import.meta.url);

export async function readVersion(): Promise<string> {
  return (JSON.parse(await readFile(VERSION_FILE, "utf8")) as { version: string }).version;
}

/** Certificate and key, proven to fit. Throws `OperatorError`. */
export async function readTls({
  certFile,
  keyFile,
}: NonNullable<Configuration["tls"]>): Promise<Tls> {
  const read = (setting: string, file: string): Promise<string> =>
    explained(`tls.${setting}: ${file} can't be read`, () => readFile(file, "utf8"));
  // One after the other: where both can't be read, the same is said each time.
  const cert = await read("certFile", certFile);
  const key = await read("keyFile", keyFile);
  const certificate = parsed(`tls.certFile: ${certFile} is no certificate in PEM`, () => {
    return new X509Certificate(cert);
  });
  const privateKey = parsed(`tls.keyFile: ${keyFile} is no key in PEM`, () => {
    return createPrivateKey(key);
  });
  if (certificate.checkPrivateKey(privateKey)) return { cert, key };
  throw new OperatorError(
    `tls: the key in ${keyFile} is not that of the certificate in ${certFile}`,
  );
}

function parsed<T>(complaint: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new OperatorError(complaint, { cause: error });
  }
}

/** Starts everything, or nothing. Throws `OperatorError` for what the operator can mend. */
export async function runService(
  configuration: Configuration,
  options: { readonly log: Log; readonly now?: () => number },
): Promise<RunningService> {
  const { log, now = Date.now } = options;
  const startedAt = now();
  // In the order of their making; ended in the opposite one.
  const ends: (() => void | Promise<void>)[] = [];
  let stopping = false;
  async function stop(): Promise<void> {
    stopping = true;
    for (const end of ends.splice(0).reverse()) await end();
  }

  try {
    const tls = configuration.tls && (await readTls(configuration.tls));
    const metrics = createMetrics();
    const path = sqlitePath(configuration.database.url);
    if (path !== undefined) {
      await madeFolder(dirname(path));
      const lock = await reached(configuration.database.url, () => lockSqliteFile(path));
      ends.push(() => lock.close());
    }
    const opened = await openDatabase(configuration.database.url);
    ends.push(() => opened.close());
    const doorbell = await openDoorbell(configuration.database.url);
    ends.push(() => doorbell.close());
    await refuseCopied(configuration.database.url);
    ends.push(watchDatabase(opened, log));
    const store = metrics.store(opened);

    const service = createDeliveryService({
      store,
      doorbell: metrics.doorbell(doorbell),
      publicOrigin: configuration.publicOrigin,
      allowedOrigins: configuration.allowedOrigins,
      trustedProxies: configuration.trustedProxies,
      limits: configuration.limits,
      contact: configuration.contact,
      registration: configuration.registration,
      blobs: bodiesOf(configuration),
      now,
      log(line) {
        metrics.request(line);
        log.request(line);
      },
    });
    metrics.watch(service.status);

    const { days, entries, interval } = configuration.retention;
    const sweeper = startSweeper({
      store,
      also: () => service.sweep(),
      retention: { days, entries },
      interval: interval * MINUTE,
      now,
      onSwept(counts) {
        metrics.swept(counts, now());
        store.statistics().then(metrics.holds, () => undefined);
        log.event("swept", counts);
      },
      onError: (error) => log.error("sweep-failed", { error: nameOf(error), code: codeOf(error) }),
    });
    ends.push(() => sweeper.stop());

    let metricsServer: Pick<Server, "port"> | undefined;
    if (configuration.metrics !== undefined) {
      const { listen, token } = configuration.metrics;
      const version = await readVersion();
      const site = createOperatorSite({
        metrics,
        token,
        isReady: () => service.isReady(),
        report: async () => ({
          startedAt,
          version,
          database: path === undefined ? "PostgreSQL" : "SQLite",
          state: stopping ? "shutting down" : "running",
          status: service.status(),
          statistics: await store.statistics().catch((): Statistics | undefined => undefined),
        }),
      });
      const server = await listening("metrics.listen", listen, () => serveSite(site.fetch, listen));
      metricsServer = server;
      ends.push(() => server.close());
    }

    const server = await listening("listen", configuration.listen, () =>
      serve(service, {
        ...configuration.listen,
        ...(tls && { tls }),
        // Behind a proxy all connections come from its address.
        ...(configuration.trustedProxies === 0 && {
          connectionsPerAddress: configuration.limits.connectionsPerAddress,
        }),
      }),
    );
    const { delay, spread, grace } = configuration.shutdown;
    ends.push(() =>
      server.close({ delay: delay * 1000, spread: spread * 1000, grace: grace * 1000 }),
    );
    return {
      port: server.port,
      metricsPort: metricsServer?.port ?? 0,
      async reload() {
        if (configuration.tls === undefined) return;
        server.renew(await readTls(configuration.tls));
        log.event("certificate-renewed");
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Says in the log that the database can't be served from any more, and why; and when it can again. */
function watchDatabase(store: Pick<Store, "ready">, log: Log): () => void {
  let isThere = true;
  let ended = false;
  let timer: NodeJS.Timeout;
  async function look(): Promise<void> {
    const reason = await store.ready().then(() => undefined, unavailableReason);
    if (ended) return;
    if (reason !== undefined && isThere) log.error("database-unavailable", { reason });
    if (reason === undefined && !isThere) log.event("database-available");
    isThere = reason === undefined;
    wait();
  }
  function wait(): void {
    timer = setTimeout(() => void look(), LOOK).unref();
  }
  wait();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}

function unavailableReason(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  return postgresReason(error.message) ?? reasonOf(error) ?? error.message;
}

/** In the S3-compatible store that is named, or else in the data folder. */
function bodiesOf({ blobs, data }: Configuration): BlobBodies {
  return blobs === undefined ? diskBodies(join(data, "blobs")) : s3Bodies(blobs);
}

export function addressText(address: Address): string {
  if ("path" in address) return `unix:${address.path}`;
  const { host = "127.0.0.1", port } = address;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Says whose address it is that can't be listened on. */
export async function listening<T>(
  setting: string,
  address: Address,
  attempt: () => Promise<T>,
): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    const reason =
      {
        EADDRINUSE: "another process listens there",
        EACCES: "the system doesn't allow it; ports from 1024 on are free to all",
        EADDRNOTAVAIL: "it is not an address of this machine",
        ENOTFOUND: "there is no such name",
        ENOENT: "there is no such folder",
      }[code] ?? code;
    throw new OperatorError(`${setting}: can't listen on ${addressText(address)}: ${reason}`, {
      cause: error,
    });
  }
}

/** What the system or the store of blobs calls it, such as `ENOSPC`. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

/** An error's name: its message might quote what was sent. */
function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "unknown";
}
