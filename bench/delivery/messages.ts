/**
 * Messages, from the device that sends one to the last that reads it, over sockets and HTTP.
 * @module
 */

import type { DevicesProcess, Exchanged } from "./devices-process.ts";
import { milliseconds, rounded } from "./figures.ts";
import { startProcess } from "./processes.ts";
import type { ServiceProcess } from "./service-process.ts";

export interface Setting {
  readonly members: number;
  readonly groups: number;
}

/** Who is connected, of all groups together. */
const CONNECTED = 1000;
const WRITERS = 32;
/** Bytes of ciphertext: a short text in its frame, signed and padded. */
const SIZE = 500;

export const SETTINGS: readonly Setting[] = [
  { members: 2, groups: 1 },
  { members: 2, groups: 500 },
  { members: 100, groups: 1 },
  { members: 100, groups: 10 },
  { members: 5000, groups: 1 },
];

function rowOf(
  { members, groups }: Setting,
  load: string,
  exchanged: Exchanged,
  share: { readonly service: number; readonly devices: number },
): Record<string, string> {
  const { seconds, sent, read, carried, requests, acknowledged, delivered, missing } = exchanged;
  return {
    "members × groups": `${members} × ${groups}`,
    load,
    "stored/s": rounded(sent / seconds),
    "read/s": rounded(read / seconds),
    carried: `${Math.round((carried / read) * 100)} %`,
    "asked/s": rounded(requests / seconds),
    "ack p50": milliseconds(acknowledged.p50),
    p90: milliseconds(acknowledged.p90),
    p99: milliseconds(acknowledged.p99),
    "all read p50": milliseconds(delivered.p50),
    "p90 ": milliseconds(delivered.p90),
    "p99 ": milliseconds(delivered.p99),
    unread: String(missing),
    "service CPU": `${Math.round(share.service * 100)} %`,
    "load CPU": `${Math.round(share.devices * 100)} %`,
  };
}

/** Each setting twice: as fast as 32 writers can, and at half of that, where a late message counts from when it was due. */
export async function measureMessages(
  store: string,
  { members, groups }: Setting,
  seconds: number,
): Promise<readonly Record<string, string>[]> {
  const service = startProcess<ServiceProcess>(new URL("service-process.ts", import.meta.url));
  const devices = startProcess<DevicesProcess>(new URL("devices-process.ts", import.meta.url));
  try {
    const port = await service.start({ store });
    const seeded = await service.seed(members * groups);
    const place = (group: number, member: number): number => group * members + member;
    const numbers = Array.from({ length: groups }, (_, group) =>
      Array.from({ length: members }, (__, member) => seeded[place(group, member)]?.device ?? 0),
    );
    const groupIds = await service.seedGroups(numbers);
    const connected = Math.min(members, Math.floor(CONNECTED / groups));
    const online = numbers.flatMap((_, group) =>
      Array.from({ length: connected }, (__, member) => place(group, member)),
    );
    const tokens = online.map((at) => seeded[at]?.token ?? "");
    await devices.connect({ port, tokens, atOnce: 32, entries: true });
    const exchange = {
      groups: groupIds.map((groupId, group) => ({
        groupId,
        readers: Array.from({ length: connected }, (_, member) => group * connected + member),
      })),
      writers: WRITERS,
      size: SIZE,
    };
    const rows: Record<string, string>[] = [];
    const run = async (load: string, rate?: number): Promise<number> => {
      const [before, idle] = [await service.usage(), await devices.usage()];
      const exchanged = await devices.exchange({
        ...exchange,
        seconds,
        ...(rate !== undefined && { rate }),
      });
      const [after, busy] = [await service.usage(), await devices.usage()];
      const share = {
        service: (after.cpu - before.cpu) / exchanged.seconds,
        devices: (busy.cpu - idle.cpu) / exchanged.seconds,
      };
      rows.push(rowOf({ members, groups }, load, exchanged, share));
      return exchanged.sent / exchanged.seconds;
    };
    const most = await run("full");
    await run("half", most / 2);
    return rows;
  } finally {
    devices.end();
    service.end();
  }
}
