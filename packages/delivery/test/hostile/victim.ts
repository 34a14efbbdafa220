/**
 * A service in a process of its own, told by messages: `start` answers with the port, and keeps what it writes in that folder, `usage` with what it holds, `stop` ends it. Its log
 * is written to a file.
 * @module
 */

import { appendFileSync } from "node:fs";
import { join } from "node:path";
import {
  createDeliveryService,
  diskBodies,
  openStore,
  type Server,
  type Store,
  serve,
} from "@conclave/delivery";
import { ORIGIN, PAGE } from "../world.ts";

export interface Usage {
  /** Bytes; the heap after a full collection. */
  readonly heap: number;
  readonly rss: number;
}

export type Order =
  | { readonly order: "start"; readonly store: string; readonly folder: string }
  | { readonly order: "usage" | "stop" };

// Otherwise what is tried would end at the first limit. What is exact and what is asked of others stays as it is.
const GENEROUS = { burst: 1e9, perSecond: 1e9 };

let store: Store | undefined;
let server: Server | undefined;

async function start(url: string, folder: string): Promise<number> {
  store = await openStore(url);
  const service = createDeliveryService({
    store,
    publicOrigin: ORIGIN,
    allowedOrigins: [PAGE],
    contact: "ask",
    blobs: diskBodies(join(folder, "blobs")),
    limits: {
      address: GENEROUS,
      device: GENEROUS,
      account: GENEROUS,
      registration: GENEROUS,
      signIn: GENEROUS,
      lookUp: GENEROUS,
      claim: GENEROUS,
      socketsPerAddress: 200,
      hello: 2_000,
    },
    log: (line) => appendFileSync(join(folder, "log"), `${JSON.stringify(line)}\n`),
  });
  server = await serve(service, { port: 0, patience: { headers: 3_000, request: 5_000 } });
  return server.port;
}

function usage(): Usage {
  const { gc } = globalThis;
  for (let i = 0; i < 4; i++) gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, rss };
}

async function obey(order: Order): Promise<void> {
  switch (order.order) {
    case "start":
      process.send?.({ port: await start(order.store, order.folder) });
      return;
    case "usage":
      process.send?.(usage());
      return;
    case "stop":
      await server?.close();
      await store?.close();
      process.disconnect?.();
  }
}

process.on("message", (order: Order) => void obey(order));
