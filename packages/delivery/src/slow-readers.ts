/**
 * Connections on which much is sent and little is taken. Each holds what waits for it, so it ends.
 * @module
 */

import type { Socket } from "node:net";

/** How long a connection may take nothing, in milliseconds, and how fast it has to take what waits, in bytes a millisecond. */
export interface Patience {
  readonly still: number;
  readonly rate: number;
  /** Between two looks, in milliseconds. */
  readonly look: number;
}

/** What an answer's body ends with where its reader took too little of it: nothing failed here. */
export class BrokenOff extends Error {
  override readonly name = "BrokenOff";
}

const PATIENCE_WITH_READERS: Patience = { still: 30_000, rate: 16, look: 5_000 };

export interface SlowReaders {
  readonly watch: (socket: Socket) => void;
  readonly stop: () => void;
  /** Ends all that are open, slow or not: also those that speak HTTP no more, which its server forgot. */
  readonly endAll: () => void;
}

/**
 * Watches connections. What a connection has been sent in one piece leaves in one piece, as far as can be seen from here: therefore more
 * time is given for more bytes.
 */
export function endSlowReaders({
  still,
  rate,
  look,
}: Patience = PATIENCE_WITH_READERS): SlowReaders {
  const sockets = new Set<Socket>();
  /** How much waited, and since when it has not become less. */
  const waiting = new WeakMap<Socket, { readonly bytes: number; readonly since: number }>();

  const timer = setInterval(() => {
    const now = performance.now();
    for (const socket of sockets) {
      const bytes = socket.writableLength;
      const held = waiting.get(socket);
      if (bytes === 0) waiting.delete(socket);
      else if (held === undefined || bytes < held.bytes) waiting.set(socket, { bytes, since: now });
      else if (now - held.since > still + held.bytes / rate) socket.destroy();
    }
  }, look);
  timer.unref();

  return {
    watch(socket) {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    },
    stop: () => clearInterval(timer),
    endAll() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
