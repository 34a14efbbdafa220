/**
 * The process of the service.
 * @module
 */

import {
  createDeliveryService,
  openStore,
  type Server,
  type Store,
  serve,
} from "@conclave/delivery";
import type { Bytes } from "@conclave/mls/codec";
import { inParts, ORIGIN, type SeededDevice, seedDevice, seedGroup } from "./people.ts";
import { offer, type Usage, usage } from "./processes.ts";

/** Rates are no part of what is measured: all devices come from this machine. */
const UNLIMITED = { burst: 1e9, perSecond: 1e9 };

export interface ServiceProcess {
  /** On a store by its URL; the answer is the port. */
  readonly start: (options: {
    readonly store: string;
    readonly heartbeat?: number;
  }) => Promise<number>;
  readonly seed: (devices: number) => Promise<readonly SeededDevice[]>;
  /** Of these devices, one group each. */
  readonly seedGroups: (groups: readonly (readonly number[])[]) => Promise<readonly Bytes[]>;
  readonly usage: () => Promise<Usage>;
  readonly stop: () => Promise<void>;
}

let store: Store | undefined;
let server: Server | undefined;
let names = 0;

function theStore(): Store {
  if (store === undefined) throw new Error("nothing was started");
  return store;
}

offer({
  async start({ store: url, heartbeat }) {
    const opened = await openStore(url);
    store = opened;
    const service = createDeliveryService({
      store: opened,
      publicOrigin: ORIGIN,
      allowedOrigins: [],
      limits: {
        address: UNLIMITED,
        device: UNLIMITED,
        account: UNLIMITED,
        groupMessage: UNLIMITED,
        groupCommit: UNLIMITED,
        waiting: 1024,
        ...(heartbeat !== undefined && { heartbeat }),
      },
    });
    server = await serve(service, { port: 0 });
    return server.port;
  },
  seed: (count) =>
    inParts(Array.from({ length: count }), () => seedDevice(theStore(), `device ${++names}`)),
  seedGroups: (groups) => inParts(groups, (devices) => seedGroup(theStore(), devices)),
  usage: async () => usage(),
  async stop() {
    await server?.close();
    await store?.close();
  },
} satisfies ServiceProcess);
