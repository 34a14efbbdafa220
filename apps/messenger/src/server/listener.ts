/**
 * Listening on a port: fetch-style handlers on node:http and node:https, and in words why that didn't work.
 * @module
 */

import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import type { Certificate } from "./certificate.ts";
import { StartError } from "./start-error.ts";

/** What a handler learns besides the request. */
export interface Caller {
  /** Whose request it is, as far as addresses tell. */
  readonly address: string;
}

export type Handler = (request: Request, caller: Caller) => Response | Promise<Response>;

/** What answers on one origin. */
export interface Site {
  readonly fetch: Handler;
  /** Takes requests for a WebSocket; without it they are refused. */
  readonly upgrade?: (
    request: IncomingMessage,
    stream: Duplex,
    head: Buffer,
    caller: Caller,
  ) => void;
  /** Ends what the site keeps open by itself, such as WebSockets. */
  readonly close?: () => void | Promise<void>;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly tls?: Certificate | undefined;
  /** Everything comes through a proxy, which appends the address it saw to `X-Forwarded-For`. */
  readonly behindProxy?: boolean;
}

export interface Listener {
  /** Closes the site, lets requests under way finish for a moment, and frees the port. */
  close(): Promise<void>;
}

/** For slow clients: until the headers are there, and until the whole request is, in milliseconds. */
const PATIENCE = { headersTimeout: 15_000, requestTimeout: 60_000, keepAliveTimeout: 10_000 };
/** For requests under way when the listener is closed, in milliseconds. */
const GRACE = 1_000;
const MAX_CONNECTIONS = 25_000;

/** Throws `StartError`. */
export async function listen(site: Site, endpoint: Endpoint): Promise<Listener> {
  const { host, port, tls, behindProxy = false } = endpoint;
  const callerOf = (incoming: Pick<IncomingMessage, "headers" | "socket">): Caller => ({
    address: (behindProxy && forwardedFor(incoming)) || (incoming.socket.remoteAddress ?? ""),
  });
  const answer = getRequestListener(
    (request, { incoming }) => site.fetch(request, callerOf(incoming)),
    { overrideGlobalObjects: false },
  );
  const listener: RequestListener = (incoming, outgoing) => void answer(incoming, outgoing);
  const server = tls
    ? createHttpsServer({ ...PATIENCE, ...tls }, listener)
    : createHttpServer(PATIENCE, listener);
  server.maxConnections = MAX_CONNECTIONS;
  server.on("upgrade", (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    if (site.upgrade) site.upgrade(request, stream, head, callerOf(request));
    else stream.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, resolve);
  }).catch((error: unknown) => {
    throw explained(error, endpoint);
  });
  return {
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      await site.close?.();
      server.closeIdleConnections();
      const grace = setTimeout(() => server.closeAllConnections(), GRACE);
      await closed;
      clearTimeout(grace);
    },
  };
}

/** What stands before the last comma is the client's own word. */
function forwardedFor({ headers }: Pick<IncomingMessage, "headers">): string | undefined {
  return String(headers["x-forwarded-for"] ?? "")
    .split(",")
    .at(-1)
    ?.trim();
}

/** The error as a `StartError`, where it tells of the port or the address. */
function explained(error: unknown, { host, port }: Endpoint): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const explain = (message: string) => new StartError(message, { cause: error });
  switch (code) {
    case "EADDRINUSE":
      return explain(
        `Port ${port} is in use, perhaps by another Conclave. Choose others with --port, --service-port and --operator-port.`,
      );
    case "EACCES":
      return explain(
        `This system doesn't let you listen on port ${port}. Ports from 1024 on are free to all.`,
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return explain(`${host} is not an address of this machine. Choose another one with --host.`);
    default:
      return error;
  }
}
