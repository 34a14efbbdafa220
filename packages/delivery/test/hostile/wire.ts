/**
 * A connection that sends whatever bytes it is given, and reads the answers that come: HTTP without the manners of a client.
 * @module
 */

import { connect, type Socket } from "node:net";

export interface Reply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** What is read of one answer, in bytes. */
const MOST = 64 * 1024 * 1024;

export class Wire {
  readonly #socket: Socket;
  #held: Buffer = Buffer.alloc(0);
  #ended = false;
  #replies = 0;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
      this.#wake?.();
    });
    const end = () => {
      this.#ended = true;
      this.#wake?.();
    };
    socket.on("error", end);
    socket.on("close", end);
    socket.on("end", end);
  }

  static async open(port: number): Promise<Wire> {
    const socket = connect(port, "127.0.0.1");
    socket.setNoDelay(true);
    const wire = new Wire(socket);
    await new Promise<void>((resolve) => {
      socket.once("connect", resolve);
      socket.once("close", () => resolve());
    });
    return wire;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Whether it was used before, and then ended without a byte: the service may end a connection that it holds for idle while a request is on
   * its way, and has not begun with that one (RFC 9112 §9.3.1). Whoever asked asks again on another.
   */
  get endedIdle(): boolean {
    return this.#ended && this.#replies > 0 && this.#held.length === 0;
  }

  send(bytes: string | Uint8Array): void {
    if (!this.#ended) this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** What came and was no answer. */
  rest(): Buffer {
    return this.#held;
  }

  /**
   * The next answer; undefined where the connection ended, or nothing came in so many milliseconds. `bodiless`: it is to HEAD, whose
   * answers speak of a body that does not come.
   */
  async reply(patience: number, bodiless = false): Promise<Reply | undefined> {
    const until = performance.now() + patience;
    for (;;) {
      const reply = this.#take(bodiless);
      if (reply !== undefined) {
        this.#replies++;
        return reply;
      }
      const left = until - performance.now();
      if (this.#ended || left <= 0 || this.#held.length > MOST) return undefined;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
  }

  #take(bodiless: boolean): Reply | undefined {
    const end = this.#held.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    const [first = "", ...lines] = this.#held.subarray(0, end).toString("latin1").split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0);
    const headers = new Map<string, string>();
    for (const line of lines) {
      const at = line.indexOf(":");
      headers.set(line.slice(0, at).toLowerCase(), line.slice(at + 1).trim());
    }
    const start = end + 4;
    if (bodiless || status === 101) {
      this.#held = this.#held.subarray(start);
      return { status, headers, body: Buffer.alloc(0) };
    }
    // "Continue": the answer follows.
    if (status === 100) {
      this.#held = this.#held.subarray(start);
      return this.#take(bodiless);
    }
    const body = bodyOf(this.#held, start, headers, this.#ended);
    if (body === undefined) return undefined;
    this.#held = this.#held.subarray(body.end);
    return { status, headers, body: body.bytes };
  }
}

function bodyOf(
  held: Buffer,
  start: number,
  headers: ReadonlyMap<string, string>,
  ended: boolean,
): { readonly bytes: Buffer; readonly end: number } | undefined {
  if (headers.get("transfer-encoding") === "chunked") return chunkedBody(held, start);
  const length = headers.get("content-length");
  if (length !== undefined) {
    const end = start + Number(length);
    return held.length < end ? undefined : { bytes: held.subarray(start, end), end };
  }
  // Without either, an answer has no body, or it ends with the connection.
  if (headers.get("connection") === "close" && !ended) return undefined;
  const end = headers.get("connection") === "close" ? held.length : start;
  return { bytes: held.subarray(start, end), end };
}

function chunkedBody(
  held: Buffer,
  start: number,
): { readonly bytes: Buffer; readonly end: number } | undefined {
  const chunks: Buffer[] = [];
  let at = start;
  for (;;) {
    const line = held.indexOf("\r\n", at);
    if (line < 0) return undefined;
    const size = Number.parseInt(held.subarray(at, line).toString("latin1"), 16);
    const next = line + 2 + size + 2;
    if (held.length < next) return undefined;
    if (size === 0) return { bytes: Buffer.concat(chunks), end: next };
    chunks.push(held.subarray(line + 2, line + 2 + size));
    at = next;
  }
}

/** The bytes of a request, with a `content-length` for its body unless its headers say otherwise. */
export function requestBytes(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body: Uint8Array = new Uint8Array(0),
): Buffer {
  const all: Record<string, string> = { host: "127.0.0.1", ...headers };
  if (body.length > 0 && all["transfer-encoding"] === undefined) {
    all["content-length"] ??= String(body.length);
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`, "latin1"),
    body,
  ]);
}
