/**
 * A socket as a device has it, for the tests.
 * @module
 */

import { SocketFrame } from "@conclave/delivery/protocol";
import { WebSocket } from "ws";
import { eventually } from "./world.ts";

export interface Listener {
  readonly socket: WebSocket;
  readonly frames: SocketFrame[];
  /** The code it was closed with. */
  readonly closed: Promise<number>;
}

export function listen(
  at: { readonly url: string },
  options: { readonly origin?: string; readonly path?: string } = {},
): Listener {
  const url = at.url.replace("http", "ws") + (options.path ?? "/v1/socket");
  const socket = new WebSocket(url, options.origin === undefined ? {} : { origin: options.origin });
  const frames: SocketFrame[] = [];
  socket.on("message", (data: Buffer) =>
    frames.push(SocketFrame.parse(JSON.parse(data.toString()))),
  );
  const closed = new Promise<number>((resolve) => {
    socket.on("close", resolve);
    socket.on("error", () => undefined);
  });
  return { socket, frames, closed };
}

/** Says hello with the token. */
export async function greet(listener: Listener, token: string, more: object = {}): Promise<void> {
  const { socket } = listener;
  if (socket.readyState !== WebSocket.OPEN) {
    await new Promise((resolve) => socket.once("open", resolve));
  }
  socket.send(JSON.stringify({ type: "hello", token, ...more }));
}

/** A listener that was told it is ready. */
export async function listenReady(
  at: { readonly url: string },
  token: string,
  more: object = {},
): Promise<Listener> {
  const listener = listen(at);
  await greet(listener, token, more);
  await eventually(() => listener.frames.some((frame) => frame.type === "ready"));
  return listener;
}
