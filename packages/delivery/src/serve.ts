/**
 * The service on a port of this machine.
 * @module
 */

import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Server as NetServer, Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { addressKey } from "./rate-limit.ts";
import type { DeliveryService } from "./service.ts";
import { endSlowReaders, type Patience } from "./slow-readers.ts";

export interface ServeOptions {
  /** 0 for one that is free. */
  readonly port: number;
  /** The interface to listen on; this machine alone where none is named. */
  readonly host?: string;
  /** PEM. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Connections from one address at a time; any number unless given. Behind a proxy all come from its own. */
  readonly connectionsPerAddress?: number;
  /** With clients that are slow to send, in milliseconds, and slow to take what they are sent. */
  readonly patience?: {
    readonly headers?: number;
    readonly request?: number;
    readonly readers?: Patience;
  };
}

export interface Server {
  readonly port: number;
  /** Ends the service's sockets, lets requests under way finish for a moment, and frees the port. */
  readonly close: () => Promise<void>;
}

/** For slow clients: until the headers are there, and until the whole request is, in milliseconds. */
const PATIENCE = {
  headersTimeout: 15_000,
  requestTimeout: 60_000,
  keepAliveTimeout: 10_000,
  connectionsCheckingInterval: 5_000,
};
const CONNECTIONS = 25_000;
/** For requests under way when the server is closed, in milliseconds. */
const GRACE = 1_000;

/** Resolves when the service can be reached. */
export async function serve(service: DeliveryService, options: ServeOptions): Promise<Server> {
  const {
    port,
    host = "127.0.0.1",
    tls,
    connectionsPerAddress = Number.POSITIVE_INFINITY,
  } = options;
  const {
    headers = PATIENCE.headersTimeout,
    request = PATIENCE.requestTimeout,
    readers,
  } = options.patience ?? {};
  const timeouts = { ...PATIENCE, headersTimeout: headers, requestTimeout: request };
  const listener = getRequestListener(
    (request, { incoming }) =>
      service.fetch(request, { address: incoming.socket.remoteAddress ?? "" }),
    { overrideGlobalObjects: false },
  );
  const handle: RequestListener = (incoming, outgoing) => void listener(incoming, outgoing);
  const server = tls
    ? createSecureServer({ ...timeouts, ...tls }, handle)
    : createServer(timeouts, handle);
  server.maxConnections = CONNECTIONS;
  boundConnections(server, connectionsPerAddress);
  const slow = endSlowReaders(readers);
  server.on(tls ? "secureConnection" : "connection", slow.watch);
  server.on("upgrade", (request, stream, head) => {
    service.upgrade(request, stream, head, { address: request.socket.remoteAddress ?? "" });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  // Of an IP server that listens, it is never a path or null.
  const address = server.address() as AddressInfo;
  return {
    port: address.port,
    async close() {
      slow.stop();
      const closed = new Promise((resolve) => server.close(resolve));
      await service.close();
      server.closeIdleConnections();
      // A connection on which nothing was asked yet counts as busy: nobody may hold up the end by one.
      const grace = setTimeout(() => server.closeAllConnections(), GRACE);
      await closed;
      clearTimeout(grace);
    },
  };
}

/** Ends connections past so many from one address. */
function boundConnections(server: NetServer, limit: number): void {
  const open = new Map<string, number>();
  server.on("connection", (socket: Socket) => {
    const key = addressKey(socket.remoteAddress ?? "");
    const count = open.get(key) ?? 0;
    if (count >= limit) {
      socket.destroy();
      return;
    }
    open.set(key, count + 1);
    socket.once("close", () => {
      const left = (open.get(key) ?? 1) - 1;
      if (left === 0) open.delete(key);
      else open.set(key, left);
    });
  });
}
