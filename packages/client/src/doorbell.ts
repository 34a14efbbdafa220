/**
 * The socket by which the service says "look again", and brings what is small of it. It is opened again whenever it closes, later and
 * later while nothing answers. Nothing depends on a frame of it but how soon, and how, the log is read.
 * @module
 */

import { ServiceError } from "@conclave/delivery/client";
import { type LogEntry, SocketFrame } from "@conclave/delivery/protocol";
import type { Bytes } from "@conclave/mls/codec";
import type { Connection } from "./api.ts";
import { causeOf } from "./refusal.ts";

/** How long a new socket may take until it is ready, in milliseconds. */
const PATIENCE = 15_000;

export interface DoorbellOptions {
  /** Of the service: `https:` becomes `wss:`. */
  readonly origin: string;
  readonly WebSocket: typeof WebSocket;
  readonly token: () => Promise<string>;
  readonly forgetToken: () => void;
  /** Milliseconds before the next try: at least, at most. */
  readonly backoff: readonly [number, number];
  readonly onConnection: (connection: Connection) => void;
  /** Each time the socket is ready: everything may have changed meanwhile. */
  readonly onReady: () => void;
  /** The log has grown to there, with these entries at its end, if any came along. */
  readonly onGroup: (groupId: Bytes, head: number, entries: readonly LogEntry[]) => void;
  /** A member says something for the moment. */
  readonly onSignal: (groupId: Bytes, body: Bytes) => void;
  /** There are members of the group that can't follow a commit. */
  readonly onReports: (groupId: Bytes) => void;
  readonly onInbox: () => void;
  /** Somebody asks to reach the account, or one that it asked allowed it. */
  readonly onContacts: () => void;
  /** Few key packages are left, or the last resort was served. */
  readonly onKeyPackages: () => void;
}

export class Doorbell {
  readonly #options: DoorbellOptions;
  readonly #stopped = new AbortController();
  #failures = 0;
  #socket: WebSocket | undefined;
  #hurry: (() => void) | undefined;

  constructor(options: DoorbellOptions) {
    this.#options = options;
  }

  /** Runs until `close`. */
  async run(): Promise<void> {
    const hurry = () => this.hurry();
    globalThis.addEventListener?.("online", hurry);
    let without: Connection = "offline";
    while (!this.#stopped.signal.aborted) {
      this.#options.onConnection(this.#failures === 0 ? "connecting" : without);
      without = await this.#session().then(() => "offline", connectionOf);
      this.#failures++;
      if (this.#stopped.signal.aborted) break;
      this.#options.onConnection(without);
      await this.#pause();
    }
    globalThis.removeEventListener?.("online", hurry);
  }

  /** Tries again at once: there is reason to believe that the service can be reached. */
  hurry(): void {
    this.#hurry?.();
  }

  close(): void {
    this.#stopped.abort();
    this.#socket?.close();
    this.#hurry?.();
  }

  async #pause(): Promise<void> {
    const [least, most] = this.#options.backoff;
    const wait = Math.min(most, least * 2 ** Math.min(this.#failures - 1, 16));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hurry = resolve;
    const timer = setTimeout(resolve, wait * (0.5 + Math.random() / 2));
    await promise;
    clearTimeout(timer);
    this.#hurry = undefined;
  }

  /** Resolves when the socket has closed. */
  async #session(): Promise<void> {
    const { origin, token } = this.#options;
    const hello = { type: "hello", token: await token(), entries: true };
    if (this.#stopped.signal.aborted) return;
    const url = `${origin.replace(/^http/u, "ws")}/v1/socket`;
    const socket = new this.#options.WebSocket(url);
    this.#socket = socket;
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    let ready = false;
    const patience = setTimeout(() => socket.close(), PATIENCE);
    socket.addEventListener("open", () => socket.send(JSON.stringify(hello)));
    socket.addEventListener("message", (event: MessageEvent<unknown>) => {
      const frame = frameOf(event.data);
      if (frame?.type === "ready") {
        ready = true;
        clearTimeout(patience);
        this.#failures = 0;
        this.#options.onConnection("online");
        this.#options.onReady();
      } else if (frame?.type === "group") {
        this.#options.onGroup(frame.groupId, frame.head, frame.entries ?? []);
      } else if (frame?.type === "signal") {
        this.#options.onSignal(frame.groupId, frame.body);
      } else if (frame?.type === "reports") {
        this.#options.onReports(frame.groupId);
      } else if (frame?.type === "inbox") {
        this.#options.onInbox();
      } else if (frame?.type === "contacts") {
        this.#options.onContacts();
      } else if (frame?.type === "key-packages") {
        this.#options.onKeyPackages();
      }
    });
    socket.addEventListener("error", () => socket.close());
    socket.addEventListener("close", () => resolve());
    await closed;
    clearTimeout(patience);
    // A socket that was never ready may have been refused for its token.
    if (!ready) this.#options.forgetToken();
  }
}

/** What there is, where no session could be had. */
function connectionOf(error: unknown): "offline" | "disabled" | "deleted" {
  const code = causeOf(error, ServiceError)?.code;
  if (code === "account-disabled") return "disabled";
  return code === "account-deleted" ? "deleted" : "offline";
}

/** A frame of this protocol; a newer service's others are passed over. */
function frameOf(data: unknown): SocketFrame | undefined {
  if (typeof data !== "string") return undefined;
  try {
    const parsed = SocketFrame.safeParse(JSON.parse(data));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
