/**
 * The service at an address of this machine: a port or a unix socket.
 * @module
 */

import { chmod, unlink } from "node:fs/promises";
import { createServer, type Server as HttpServer, type RequestListener } from "node:http";
import { createServer as createSecureServer, Server as SecureServer } from "node:https";
import { connect, type Server as NetServer, type Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { createPermits } from "./permits.ts";
import { addressKey } from "./rate-limit.ts";
import type { DeliveryService } from "./service.ts";
import { BrokenOff, endSlowReaders, type Patience } from "./slow-readers.ts";

/** PEM. */
export interface Tls {
  readonly key: string;
  readonly cert: string;
}

export type Address =
  | {
      /** 0 for one that is free. */
      readonly port: number;
      /** The interface to listen on; this machine alone where none is named. */
      readonly host?: string;
    }
  /** A unix socket, which this user and group may use. */
  | { readonly path: string };

export type ServeOptions = Address & {
  readonly tls?: Tls;
  /** Connections from one address at a time; any number unless given. Behind a proxy all come from its own. */
  readonly connectionsPerAddress?: number;
  /** With clients that are slow to send, in milliseconds, and slow to take what they are sent. */
  readonly patience?: {
    readonly headers?: number;
    readonly request?: number;
    /** How long a connection may be idle, as clients are told; it ends a second later, so that none who knows loses a request by it. */
    readonly keepAlive?: number;
    readonly readers?: Patience;
  };
};

/** How a server ends, in milliseconds. */
export interface Farewell {
  /** Until no connection is taken any more: who asks `/ready` looks for another process meanwhile. */
  readonly delay: number;
  /** Over which WebSockets are closed. */
  readonly spread: number;
  /** For the requests that are under way then. */
  readonly grace: number;
}

export interface Server {
  /** 0 on a unix socket. */
  readonly port: number;
  /** For connections from now on. */
  readonly renew: (tls: Tls) => void;
  /** Is not ready any more, takes no connections, ends the WebSockets, lets requests under way finish. */
  readonly close: (farewell?: Partial<Farewell>) => Promise<void>;
}

/** For slow clients: until the headers are there, and until the whole request is, in milliseconds. */
const PATIENCE = {
  headersTimeout: 15_000,
  requestTimeout: 60_000,
  keepAliveTimeout: 10_000,
  keepAliveTimeoutBuffer: 1_000,
  connectionsCheckingInterval: 5_000,
};
const CONNECTIONS = 25_000;
const FAREWELL: Farewell = { delay: 0, spread: 0, grace: 1_000 };

/** Resolves when the service can be reached. */
export async function serve(service: DeliveryService, options: ServeOptions): Promise<Server> {
  const { tls, connectionsPerAddress = Number.POSITIVE_INFINITY } = options;
  const {
    headers = PATIENCE.headersTimeout,
    request = PATIENCE.requestTimeout,
    keepAlive = PATIENCE.keepAliveTimeout,
    readers,
  } = options.patience ?? {};
  const timeouts = {
    ...PATIENCE,
    headersTimeout: headers,
    requestTimeout: request,
    keepAliveTimeout: keepAlive,
  };
  const answer = listenerOf(service.fetch);
  let ending = false;
  const handle: RequestListener = (incoming, outgoing) => {
    // Who keeps the connection would send the next request to a process that is gone.
    if (ending) outgoing.setHeader("connection", "close");
    answer(incoming, outgoing);
  };
  const server = tls
    ? createSecureServer({ ...timeouts, ...tls }, handle)
    : createServer(timeouts, handle);
  server.maxConnections = CONNECTIONS;
  boundConnections(server, connectionsPerAddress);
  const slow = endSlowReaders(readers);
  // Of one with TLS the socket beneath, too: until their hands are shaken there is no other.
  server.on("connection", slow.watch);
  if (tls) server.on("secureConnection", slow.watch);
  server.on("upgrade", (request, stream, head) => {
    service.upgrade(request, stream, head, { address: request.socket.remoteAddress ?? "" });
  });
  await listen(server, options);
  return {
    port: portOf(server),
    renew({ key, cert }) {
      if (server instanceof SecureServer) server.setSecureContext({ key, cert });
    },
    async close(farewell) {
      const { delay, spread, grace } = { ...FAREWELL, ...farewell };
      service.retire();
      if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
      ending = true;
      slow.stop();
      const closed = new Promise((resolve) => server.close(resolve));
      await service.close({ spread });
      server.closeIdleConnections();
      // A connection on which nothing was asked yet counts as busy: nobody may hold up the end by one.
      const cut = setTimeout(slow.endAll, grace);
      await closed;
      clearTimeout(cut);
    },
  };
}

/** Ends connections past so many from one address. */
function boundConnections(server: NetServer, limit: number): void {
  const open = createPermits(Number.POSITIVE_INFINITY);
  server.on("connection", (socket: Socket) => {
    const leave = open.take([[addressKey(socket.remoteAddress ?? ""), limit]]);
    if (leave === undefined) socket.destroy();
    else socket.once("close", leave);
  });
}

/** A site of few requests and no sockets, such as the operator's. */
export async function serveSite(
  fetch: (request: Request) => Promise<Response>,
  options: Address,
): Promise<Pick<Server, "port" | "close">> {
  const server = createServer(PATIENCE, listenerOf(fetch));
  await listen(server, options);
  return {
    port: portOf(server),
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function listenerOf(
  fetch: (request: Request, from: { readonly address: string }) => Promise<Response>,
): RequestListener {
  const listener = getRequestListener(
    async (request, { incoming, outgoing }) => {
      const address = incoming.socket.remoteAddress ?? "";
      return breakingOff(await fetch(request, { address }), () => outgoing.destroy());
    },
    { overrideGlobalObjects: false },
  );
  return (incoming, outgoing) => void listener(incoming, outgoing);
}

/**
 * Ends the connection where the body of an answer is broken off for its slow reader. The listener itself would tell of that on the console, as of a
 * failure.
 */
function breakingOff(response: Response, disconnect: () => void): Response {
  const { body, headers } = response;
  // Whatever may be streamed says its length by itself.
  if (body === null || !headers.has("content-length")) return response;
  const reader = body.getReader();
  const over = (error: unknown): void => {
    if (error instanceof BrokenOff) disconnect();
  };
  // Also while nobody reads, which is why it was broken off.
  reader.closed.catch(over);
  const guarded = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          if (!(error instanceof BrokenOff)) throw error;
          controller.close();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return new Response(guarded, response);
}

function portOf(server: HttpServer): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function listen(server: HttpServer, options: Address): Promise<void> {
  const target = "path" in options ? options : { host: "127.0.0.1", ...options };
  const attempt = () =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(target, () => {
        server.off("error", reject);
        resolve();
      });
    });
  try {
    await attempt();
  } catch (error) {
    if (!("path" in options) || codeOf(error) !== "EADDRINUSE") throw error;
    if (await answers(options.path)) throw error;
    // Left over by a process that was killed.
    await unlink(options.path);
    await attempt();
  }
  if ("path" in options) await chmod(options.path, 0o660);
}

/** Whether anybody listens on the unix socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
