/**
 * What it costs a store to accept a message: beside a bare insert into the same database, with the same durability, batching and number
 * of writers, in turns; and what is written for one, however many members there are.
 * @module
 */

import { createHash } from "node:crypto";
import { openStore, type Store } from "@conclave/delivery";
import type { Bytes } from "@conclave/mls/codec";
import { type Bench, openBench, type Row } from "./databases.ts";
import { rounded } from "./figures.ts";
import { messagesOf } from "./message.ts";
import { inParts, seedDevice, seedGroup } from "./people.ts";

const WRITERS = [1, 8, 32, 128];
/** Short ones in turns: a moment in which the machine does something else spoils few. */
const ROUNDS = 15;
/** Of one round of one subject, in ms. */
const ROUND = 200;
/** Bytes of ciphertext. */
const SIZE = 500;
/** Messages made before each round: about as many as are written in it. */
const PREPARED = 12_000;

type Write = (writer: number) => Promise<unknown>;

/** Microseconds for one message: by the clock, and of the processor, of the thread that writes. */
interface Cost {
  readonly clock: number;
  readonly processor: number;
}

/** So many writers, each with its next when the one before was acknowledged. */
async function time(writers: number, write: Write): Promise<Cost> {
  // The other connection wrote meanwhile, so that nothing of the file is held in memory any more: that is not what is asked.
  await Promise.all(Array.from({ length: writers }, async (_, writer) => write(writer)));
  const before = process.threadCpuUsage();
  const begun = performance.now();
  let written = 0;
  const one = async (_: unknown, writer: number): Promise<void> => {
    do {
      await write(writer);
      written++;
    } while (performance.now() - begun < ROUND);
  };
  await Promise.all(Array.from({ length: writers }, one));
  const clock = ((performance.now() - begun) * 1000) / written;
  const { user, system } = process.threadCpuUsage(before);
  return { clock, processor: (user + system) / written };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** The median of what one took of the other in each round, so that both are of the same moment. */
function ratio(
  costs: readonly Cost[] = [],
  to: readonly Cost[] = [],
  of: keyof Cost = "clock",
): string {
  return rounded(median(costs.map((cost, i) => cost[of] / (to[i]?.[of] ?? Number.NaN))));
}

interface Place {
  readonly groupId: Bytes;
  readonly device: number;
}

interface Rows {
  /** Makes so many before they are timed. */
  readonly prepare: (count: number) => void;
  readonly next: () => Row;
}

function rowsOf(groupId: Bytes): Rows {
  const make = messagesOf(groupId, SIZE);
  const made: Row[] = [];
  let id = 0;
  const prepare = (count: number): void => {
    while (made.length < count) {
      const message = make(++id);
      const hash = new Uint8Array(createHash("sha256").update(message).digest());
      made.push({ groupId, hash, message });
    }
  };
  return {
    prepare,
    next() {
      prepare(1);
      return made.pop() as Row;
    },
  };
}

async function compare(
  store: Store,
  bench: Bench,
  writers: number,
  places: readonly Place[],
): Promise<Readonly<Record<string, string>>> {
  const sources = new Map(places.map(({ groupId }) => [groupId, rowsOf(groupId)]));
  const next = (writer: number): readonly [Place, Row] => {
    const place = places[writer % places.length] as Place;
    return [place, (sources.get(place.groupId) as Rows).next()];
  };
  const subjects: Readonly<Record<string, Write>> = {
    bare: (writer) => bench.insert(next(writer)[1]),
    keyed: (writer) => bench.insertKeyed(next(writer)[1]),
    accept: async (writer) => {
      const [{ device }, { groupId, hash, message }] = next(writer);
      const entry = { groupId, device, epoch: 1n, hash, message, now: Date.now() };
      const accepted = await store.appendApplication(entry);
      if (typeof accepted === "string" || !("seq" in accepted)) throw new Error("refused");
    },
  };
  const costs: Record<string, Cost[]> = { bare: [], keyed: [], accept: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const order = Object.entries(subjects);
    // Each comes first, second and last as often: what one leaves to be done falls to whoever is next.
    for (const [name, write] of [...order.slice(round % 3), ...order.slice(0, round % 3)]) {
      for (const rows of sources.values()) rows.prepare(PREPARED / sources.size);
      // Whoever is next would else have what was prepared moved about in the midst of it.
      globalThis.gc?.();
      costs[name]?.push(await time(writers, write));
    }
  }
  const medians = (of: keyof Cost): readonly number[] =>
    Object.values(costs).map((some) => median(some.map((cost) => cost[of])));
  const [bare = 0, keyed = 0, accept = 0] = medians("clock");
  const groups = new Set(places.map(({ groupId }) => groupId)).size;
  return {
    writers: String(writers),
    groups: groups === 1 ? "1" : "apart",
    "bare insert": `${rounded(bare)} µs`,
    "with its key": `${rounded(keyed)} µs`,
    accept: `${rounded(accept)} µs`,
    "accept / bare": ratio(costs["accept"], costs["bare"]),
    "accept / keyed": ratio(costs["accept"], costs["keyed"]),
    "of the processor": `${medians("processor").map(rounded).join(", ")} µs`,
    "accept / bare of it": ratio(costs["accept"], costs["bare"], "processor"),
  };
}

export async function measureAccept(
  url: string,
): Promise<readonly Readonly<Record<string, string>>[]> {
  const store = await openStore(url);
  const bench = await openBench(url);
  const most = Math.max(...WRITERS);
  const people = await inParts(
    Array.from({ length: most }, (_, n) => n),
    (n) => seedDevice(store, `writer ${n}`),
  );
  const devices = people.map(({ device }) => device);
  const hot = await seedGroup(store, devices);
  const apart = await inParts(devices, (device) => seedGroup(store, [device]));
  const rows: Readonly<Record<string, string>>[] = [];
  for (const writers of WRITERS) {
    const some = devices.slice(0, writers);
    const together = some.map((device) => ({ groupId: hot, device }));
    rows.push(await compare(store, bench, writers, together));
    const each = some.map((device, n) => ({ groupId: apart[n] ?? hot, device }));
    if (writers > 1) rows.push(await compare(store, bench, writers, each));
  }
  await bench.close();
  await store.close();
  return rows;
}

const MEMBERS = [2, 100, 5000];
const MESSAGES = 100;

/** Messages that come one by one, so that none shares what is written with others. */
export async function measureWrites(
  url: string,
): Promise<readonly Readonly<Record<string, string>>[]> {
  const store = await openStore(url);
  const bench = await openBench(url);
  const people = await inParts(
    Array.from({ length: Math.max(...MEMBERS) }, (_, n) => n),
    (n) => seedDevice(store, `member ${n}`),
  );
  const rows: Readonly<Record<string, string>>[] = [];
  for (const members of MEMBERS) {
    const devices = people.slice(0, members).map(({ device }) => device);
    const groupId = await seedGroup(store, devices);
    const { next } = rowsOf(groupId);
    const written = await bench.written(async () => {
      for (let n = 0; n < MESSAGES; n++) {
        const { hash, message } = next();
        const [device = 0] = devices;
        const entry = { groupId, device, epoch: 1n, hash, message, now: Date.now() };
        await store.appendApplication(entry);
      }
    });
    rows.push({
      members: String(members),
      "rows written": rounded(written.rows / MESSAGES),
      "bytes of write-ahead log": rounded(written.bytes / MESSAGES),
    });
  }
  await bench.close();
  await store.close();
  return rows;
}
