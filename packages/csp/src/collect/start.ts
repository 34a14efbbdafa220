/**
 * The whole collector as a server: the endpoint for browsers, the page for its operator.
 * @module
 */
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createEndpoint, type EndpointOptions, type Handler } from "./endpoint.ts";
import { toNodeListener } from "./node-listener.ts";
import { createPage } from "./page.ts";
import { openReportStore, type StoreLimits } from "./report-store.ts";

export interface CollectorOptions extends Omit<EndpointOptions, "store"> {
  /** The SQLite file; it is made where there is none. `:memory:` keeps nothing. */
  readonly file: string;
  /** What the operator signs in with: at least 16 characters, from a random source. */
  readonly token: string;
  /** Default 0: any that is free. */
  readonly port?: number;
  /** Default `127.0.0.1`: this machine alone, with a proxy in front of it for all others. */
  readonly host?: string;
  /** PEM. Without it the server speaks plain http, as a proxy in front of it expects. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Where reports are sent to. Default `/reports`. */
  readonly path?: string;
  /** Everything comes through a proxy, which appends the address it saw to `X-Forwarded-For`. Default `false`. */
  readonly behindProxy?: boolean;
  /** What went wrong while answering a request. Default: to the console. */
  readonly onError?: (error: unknown) => void;
  readonly limits?: Partial<StoreLimits>;
}

export interface Collector {
  /** With the port that is really used. */
  readonly url: string;
  /** Lets requests under way finish for a moment, writes everything and frees the port. */
  close(): Promise<void>;
}

/** For slow clients: until the headers are there, and until the whole request is, in milliseconds. */
const PATIENCE = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 10_000 };
const MAX_CONNECTIONS = 10_000;
/** For requests under way when the collector is closed, in milliseconds. */
const GRACE = 1_000;

/**
 * Starts the collector. Rejects where the port or the file can't be had (Node's errors) or the token is too short
 * (`TypeError`), and holds nothing then.
 */
export async function startCollector(options: CollectorOptions): Promise<Collector> {
  const { file, token, port = 0, host = "127.0.0.1", tls, path = "/reports", now } = options;
  const store = openReportStore(file, options.limits);
  try {
    const endpoint = createEndpoint({ ...options, store });
    const page = createPage({ store, token, ...(now ? { now } : {}) });
    const handler: Handler = (request, caller) =>
      new URL(request.url).pathname === path ? endpoint(request, caller) : page(request, caller);
    const listener = toNodeListener(handler, options);
    const server = tls
      ? createHttpsServer({ ...PATIENCE, ...tls }, listener)
      : createHttpServer(PATIENCE, listener);
    server.maxConnections = MAX_CONNECTIONS;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port }, resolve);
    });
    const scheme = tls ? "https" : "http";
    const shownHost = host.includes(":") ? `[${host}]` : host;
    // A server that listens on a port has an address of this form.
    const url = `${scheme}://${shownHost}:${(server.address() as AddressInfo).port}/`;
    return {
      url,
      async close() {
        const closed = new Promise((resolve) => server.close(resolve));
        server.closeIdleConnections();
        const grace = setTimeout(() => server.closeAllConnections(), GRACE);
        await closed;
        clearTimeout(grace);
        store.close();
      },
    };
  } catch (error) {
    store.close();
    throw error;
  }
}
