/**
 * Every host on every port, over http, https and WebSocket: one listening socket, to which Chromium's resolver is made
 * to send everything.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** What the server says to one request. */
export interface Answer {
  readonly status?: number;
  /** Names and values alternating, so that a name can come twice. */
  readonly headers: readonly string[];
  readonly body: string | Uint8Array;
}

export interface AnyServer {
  /** Chromium's arguments. */
  readonly args: readonly string[];
  readonly close: () => void;
}

/** `url` is the whole URL as the browser asked for it. */
export type Handler = (url: URL, request: IncomingMessage) => Answer | Promise<Answer>;

export async function startAnyServer(handle: Handler): Promise<AnyServer> {
  const pem = readFileSync(new URL("../serve/localhost.pem", import.meta.url));
  const answer = async (scheme: string, request: IncomingMessage, response: ServerResponse) => {
    const url = URL.parse(`${scheme}://${request.headers.host}${request.url}`);
    const {
      status = 200,
      headers,
      body,
    } = url ? await handle(url, request) : { status: 400, headers: [], body: "" };
    response.writeHead(status, [...headers, "Content-Length", String(Buffer.byteLength(body))]);
    response.end(body);
  };
  const listener = (scheme: string) => (request: IncomingMessage, response: ServerResponse) => {
    answer(scheme, request, response).catch((error: unknown) => response.destroy(error as Error));
  };
  const upgrade = (scheme: string) => async (request: IncomingMessage, socket: Socket) => {
    socket.on("error", () => socket.destroy());
    const url = URL.parse(`${scheme}://${request.headers.host}${request.url}`);
    if (url) await handle(url, request);
    const accept = createHash("sha1")
      .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest("base64");
    // Accepted and closed at once, with an empty close frame.
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.end(Buffer.from([0x88, 0x00]));
  };
  const options = { keepAliveTimeout: 60_000 };
  const plain = createHttpServer(options, listener("http"));
  const tls = createHttpsServer({ ...options, key: pem, cert: pem }, listener("https"));
  plain.on("upgrade", (request, socket) => void upgrade("ws")(request, socket as Socket));
  tls.on("upgrade", (request, socket) => void upgrade("wss")(request, socket as Socket));

  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.once("data", (chunk: Buffer) => {
      socket.pause();
      socket.unshift(chunk);
      // A TLS handshake begins with 0x16, which no HTTP method does.
      (chunk[0] === 0x16 ? tls : plain).emit("connection", socket);
      process.nextTick(() => socket.resume());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    args: [`--host-resolver-rules=MAP * 127.0.0.1:${port}`, "--ignore-certificate-errors"],
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
