/**
 * Ports for servers that tests start, and perhaps kill and start again.
 * @module
 */

import { once } from "node:events";
import { createServer } from "node:net";
import { threadId } from "node:worker_threads";

/** Below those that a system gives to connections, and to servers that take any: nobody comes upon one while its server is down. */
const [LOWEST, COUNT] = [20_000, 12_000];
/** Each process begins somewhere else, so that two hardly find the same at the same time. */
let next = (process.pid + threadId) * 16;

/** One that nobody listens on right now, and that this process was not given before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + (next++ % COUNT);
    const server = createServer().listen(port);
    try {
      await once(server, "listening");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") continue;
      throw error;
    }
    server.close();
    await once(server, "close");
    return port;
  }
}
