/**
 * One keep-alive connection of HTTP/1.1 with one request under way at a time: little more than what goes over the wire, so that the
 * machine's time is the service's.
 * @module
 */

import { connect, type Socket } from "node:net";

export interface HttpAnswer {
  readonly status: number;
  readonly body: Buffer;
}

export class HttpConnection {
  readonly #port: number;
  readonly #address: string;
  readonly #token: string;
  #socket: Socket | undefined;
  #received: Buffer = Buffer.alloc(0);
  #asked: PromiseWithResolvers<HttpAnswer> | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  /** `address` is the one to connect from. */
  constructor(to: { readonly port: number; readonly address: string; readonly token: string }) {
    this.#port = to.port;
    this.#address = to.address;
    this.#token = to.token;
  }

  get(path: string): Promise<HttpAnswer> {
    return this.#ask(this.#head("GET", path, ""));
  }

  post(path: string, type: string, body: Uint8Array): Promise<HttpAnswer> {
    const more = `content-type: ${type}\r\ncontent-length: ${body.length}\r\n`;
    return this.#ask(Buffer.concat([Buffer.from(this.#head("POST", path, more)), body]));
  }

  close(): void {
    this.#socket?.destroy();
  }

  #head(method: string, path: string, more: string): string {
    return `${method} ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${this.#token}\r\n${more}\r\n`;
  }

  #ask(request: string | Uint8Array): Promise<HttpAnswer> {
    // A connection that the service closes at that moment is opened again, once: what is asked here may be asked twice.
    const answer = this.#turn.then(() => this.#send(request).catch(() => this.#send(request)));
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  #send(request: string | Uint8Array): Promise<HttpAnswer> {
    this.#asked = Promise.withResolvers<HttpAnswer>();
    this.#open().write(request);
    return this.#asked.promise;
  }

  /** The service closes what was idle for long: then another is opened. */
  #open(): Socket {
    if (this.#socket?.writable === true) return this.#socket;
    const socket = connect({ port: this.#port, host: "127.0.0.1", localAddress: this.#address });
    socket.setNoDelay(true);
    socket.on("data", (data: Buffer) => this.#receive(data));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      if (this.#socket === socket) this.#asked?.reject(new Error("the connection was closed"));
    });
    this.#received = Buffer.alloc(0);
    this.#socket = socket;
    return socket;
  }

  #receive(data: Buffer): void {
    this.#received = this.#received.length === 0 ? data : Buffer.concat([this.#received, data]);
    const end = this.#received.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = this.#received.toString("latin1", 0, end);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (this.#received.length < end + 4 + length) return;
    const body = this.#received.subarray(end + 4, end + 4 + length);
    this.#received = this.#received.subarray(end + 4 + length);
    this.#asked?.resolve({ status: Number(head.slice(9, 12)), body });
  }
}
