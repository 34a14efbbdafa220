/**
 * A fetch-style handler as a listener for `node:http` and `node:https`.
 * @module
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { ReadableStream as NodeStream } from "node:stream/web";
import type { Handler } from "./endpoint.ts";

export interface ListenerOptions {
  /** Everything comes through a proxy, which appends the address it saw to `X-Forwarded-For`. Default `false`. */
  readonly behindProxy?: boolean;
  /** What the handler threw. Default: to the console. */
  readonly onError?: (error: unknown) => void;
}

/**
 * What the handler throws ends in a 500 with no word of it. What is left of a request's body when the answer is there
 * is not waited for.
 */
export function toNodeListener(handler: Handler, options: ListenerOptions = {}): RequestListener {
  const { behindProxy = false, onError = console.error } = options;
  return (incoming, outgoing) => {
    answer(handler, incoming, outgoing, behindProxy).catch((error: unknown) => {
      // A client that went away is no error.
      if (!incoming.destroyed) onError(error);
      if (!outgoing.headersSent) outgoing.writeHead(500);
      outgoing.end();
    });
  };
}

async function answer(
  handler: Handler,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  behindProxy: boolean,
): Promise<void> {
  // No `Request` can have these methods, and a stranger's choice of one is no error of ours.
  if (incoming.method === "TRACE" || incoming.method === "TRACK") {
    outgoing.writeHead(405, { Allow: "GET, HEAD, OPTIONS, POST" }).end();
    return;
  }
  const address = (behindProxy && forwardedFor(incoming)) || (incoming.socket.remoteAddress ?? "");
  const response = await handler(toRequest(incoming), { address });
  outgoing.statusCode = response.status;
  for (const [name, value] of response.headers) {
    if (name !== "set-cookie") outgoing.setHeader(name, value);
  }
  const cookies = response.headers.getSetCookie();
  if (cookies.length > 0) outgoing.setHeader("Set-Cookie", cookies);
  // A connection with a body on it that nobody reads can't be used again.
  if (!incoming.complete) outgoing.setHeader("Connection", "close");
  outgoing.end(new Uint8Array(await response.arrayBuffer()));
}

function toRequest(incoming: IncomingMessage): Request {
  const { method = "GET", url = "/", headers } = incoming;
  // The host is the client's word, and nothing here depends on it.
  const target = new URL(
    url.startsWith("/") ? `http://collector.invalid${url}` : "http://collector.invalid/*",
  );
  const copied = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    for (const item of [value ?? []].flat()) copied.append(name, item);
  }
  const hasBody = method !== "GET" && method !== "HEAD";
  return new Request(target, {
    method,
    headers: copied,
    ...(hasBody ? { body: toStream(incoming), duplex: "half" } : {}),
  });
}

/** Node's type for its streams is another than the web's; they are the same. */
function toStream(incoming: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  const stream: NodeStream = Readable.toWeb(incoming);
  return stream as unknown as ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** What stands before the last comma is the client's own word. */
function forwardedFor({ headers }: IncomingMessage): string | undefined {
  return [headers["x-forwarded-for"] ?? ""].flat().join(",").split(",").at(-1)?.trim();
}
