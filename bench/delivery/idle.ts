/**
 * Sockets on which nothing happens: how long ten thousand take to connect, what each costs in memory, and what keeping them costs.
 * @module
 */

import type { DevicesProcess } from "./devices-process.ts";
import { type Figure, kilobytes, milliseconds } from "./figures.ts";
import { startProcess } from "./processes.ts";
import type { ServiceProcess } from "./service-process.ts";

/** Between two pings while they are counted, in milliseconds; and how long they are. */
const HEARTBEAT = 5_000;
const WATCHED = 15_000;

export async function measureIdle(store: string, sockets: number): Promise<readonly Figure[]> {
  const service = startProcess<ServiceProcess>(new URL("service-process.ts", import.meta.url));
  const devices = startProcess<DevicesProcess>(new URL("devices-process.ts", import.meta.url));
  try {
    const port = await service.start({ store, heartbeat: HEARTBEAT });
    const seeded = await service.seed(sockets);
    const before = await service.usage();
    const load = await devices.usage();
    const tokens = seeded.map(({ token }) => token);
    const connected = await devices.connect({ port, tokens, atOnce: 64, entries: true });
    const after = await service.usage();
    const loaded = await devices.usage();
    await new Promise((resolve) => setTimeout(resolve, WATCHED));
    const kept = await service.usage();
    const open = await devices.open();
    const cpu = after.cpu - before.cpu;
    const each = (part: "rss" | "heap" | "external"): string =>
      kilobytes((after[part] - before[part]) / sockets);
    return [
      { what: "sockets open in one process", value: String(open) },
      { what: "all connected and signed in after", value: milliseconds(connected.ms) },
      { what: "one, from connecting to ready: p50", value: milliseconds(connected.each.p50) },
      { what: "one, from connecting to ready: p99", value: milliseconds(connected.each.p99) },
      { what: "the service's processor for one", value: milliseconds((cpu * 1000) / sockets) },
      {
        what: "the load generator's processor for one",
        value: milliseconds(((loaded.cpu - load.cpu) * 1000) / sockets),
      },
      { what: "memory for one: resident", value: each("rss") },
      { what: "memory for one: heap", value: each("heap") },
      { what: "memory for one: outside the heap", value: each("external") },
      {
        what: "a ping and its pong, of the service's processor",
        value: milliseconds((((kept.cpu - after.cpu) * 1000) / sockets) * (HEARTBEAT / WATCHED)),
      },
    ];
  } finally {
    devices.end();
    service.end();
  }
}
