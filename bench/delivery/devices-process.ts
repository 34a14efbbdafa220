/**
 * The process that plays devices: each has a WebSocket, and a connection of HTTP from its first request on.
 * @module
 */

import { type CarriedEntries, createCarriedEntries } from "@conclave/delivery/client";
import { bytesToText } from "@conclave/delivery/protocol";
import type { Bytes } from "@conclave/mls/codec";
import { WebSocket } from "ws";
import { HttpConnection } from "./connection.ts";
import { Histogram, type Summary } from "./histogram.ts";
import { idOf, messagesOf } from "./message.ts";
import { offer, type Usage, usage } from "./processes.ts";

export interface Exchange {
  readonly groups: readonly {
    readonly groupId: Bytes;
    /** Which of the connected devices are in it. */
    readonly readers: readonly number[];
  }[];
  /** How many write at once, each the next message when the one before was acknowledged. */
  readonly writers: number;
  readonly seconds: number;
  /** Messages a second of all writers together: those that are late count from when they were due. As fast as they can where none is named. */
  readonly rate?: number;
  /** Bytes of ciphertext. */
  readonly size: number;
}

export interface Exchanged {
  readonly seconds: number;
  readonly sent: number;
  /** Messages times those who read them. */
  readonly read: number;
  /** As many of them came by the socket. */
  readonly carried: number;
  /** Times that somebody asked for a log. */
  readonly requests: number;
  /** Of messages that were acknowledged: how many not every reader had seen ten seconds after the last. */
  readonly missing: number;
  readonly acknowledged: Summary;
  /** From sending until the last reader has it. */
  readonly delivered: Summary;
}

export interface DevicesProcess {
  /** Opens a socket for each, from so many addresses of this machine; the answer is how long all took, in ms, and each. */
  readonly connect: (options: {
    readonly port: number;
    readonly tokens: readonly string[];
    readonly atOnce: number;
    /** Whether doorbells are to carry entries. */
    readonly entries: boolean;
  }) => Promise<{ readonly ms: number; readonly each: Summary }>;
  readonly exchange: (exchange: Exchange) => Promise<Exchanged>;
  /** How many sockets are open. */
  readonly open: () => Promise<number>;
  readonly usage: () => Promise<Usage>;
  readonly disconnect: () => Promise<void>;
}

interface Connected {
  readonly socket: WebSocket;
  readonly http: HttpConnection;
  readonly token: string;
  readonly address: string;
}

/** So many sockets come from one address: an address has fewer ports than there may be sockets. */
const AN_ADDRESS = 900;
/** How long after the last message readers may take, in ms. */
const PATIENCE = 10_000;

const devices: Connected[] = [];
/** Where each device is in the log of each group: a group begins with one commit. */
const cursors = new Map<string, number>();
let port = 0;
/** The last message that was made. */
let ids = 0;
let heard: (device: number, frame: GroupFrame) => void = () => undefined;

interface Entry {
  readonly seq: number;
  readonly message: string;
}
interface GroupFrame {
  readonly groupId: string;
  readonly head: number;
  readonly entries?: readonly Entry[];
}
type Frame = { readonly type: string } & Partial<GroupFrame>;

/** The last frame that came: many devices get the same, and what parsing costs them is not to be measured here. */
let last: { readonly data: Buffer; readonly frame: Frame } | undefined;

function parse(data: Buffer): Frame {
  if (last?.data.equals(data) !== true) last = { data, frame: JSON.parse(data.toString("latin1")) };
  return last.frame;
}

const addressOf = (n: number): string => `127.0.0.${2 + Math.floor(n / AN_ADDRESS)}`;

function connectOne(
  hello: { readonly token: string; readonly entries: boolean },
  address: string,
  device: number,
): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/socket`, {
      localAddress: address,
      perMessageDeflate: false,
    });
    socket.on("open", () => socket.send(JSON.stringify({ type: "hello", ...hello })));
    socket.on("error", reject);
    socket.on("close", (code) => reject(new Error(`the socket was closed with ${code}`)));
    socket.on("message", (data: Buffer) => {
      const frame = parse(data);
      const { groupId, head, entries = [] } = frame;
      if (frame.type === "ready") resolve(socket);
      else if (groupId !== undefined && head !== undefined)
        heard(device, { groupId, head, entries });
    });
  });
}

/** Takes what the doorbell carries and reads logs for the rest, and counts for each message who is still to see it. */
function readers(groups: Exchange["groups"]) {
  const delivered = new Histogram();
  const waiting = new Map<number, { readonly since: number; left: number }>();
  const seen = { count: 0, carried: 0, requests: 0 };
  interface Reader {
    readonly path: string;
    readonly key: string;
    readonly carried: CarriedEntries<Entry>;
    head: number;
    reading: boolean;
  }
  const byGroup = new Map<string, Map<number, Reader>>();
  for (const group of groups) {
    const text = bytesToText(group.groupId);
    const path = `/v1/groups/${text}/log?limit=200&after=`;
    const aReader = (device: number): Reader => ({
      path,
      key: `${device} ${text}`,
      carried: createCarriedEntries<Entry>(),
      head: 0,
      reading: false,
    });
    byGroup.set(text, new Map(group.readers.map((device) => [device, aReader(device)])));
  }

  function see(reader: Reader, { seq, message }: Entry): void {
    cursors.set(reader.key, seq);
    const id = idOf(Buffer.from(message, "base64url"));
    const entry = waiting.get(id);
    if (entry === undefined) return;
    seen.count++;
    if (--entry.left > 0) return;
    waiting.delete(id);
    delivered.record(performance.now() - entry.since);
  }

  const cursorOf = ({ key }: Reader): number => cursors.get(key) ?? 1;

  function takeCarried(reader: Reader): void {
    for (let entry = reader.carried.take(cursorOf(reader)); entry !== undefined; ) {
      see(reader, entry);
      seen.carried++;
      entry = reader.carried.take(cursorOf(reader));
    }
  }

  async function readPage(device: number, reader: Reader): Promise<void> {
    const { http } = devices[device] as Connected;
    seen.requests++;
    const { status, body } = await http.get(reader.path + cursorOf(reader));
    if (status !== 200) throw new Error(`a log was answered with ${status}`);
    const log: { entries: Entry[]; head: number } = JSON.parse(body.toString("latin1"));
    for (const entry of log.entries) see(reader, entry);
    reader.head = Math.max(reader.head, log.head);
  }

  async function read(device: number, reader: Reader): Promise<void> {
    if (reader.reading) return;
    reader.reading = true;
    takeCarried(reader);
    while (cursorOf(reader) < reader.head) {
      await readPage(device, reader);
      takeCarried(reader);
    }
    reader.reading = false;
  }

  const started = async (): Promise<void> => {
    for (const group of byGroup.values()) {
      // From where the log is now on.
      for (const [device, reader] of group) {
        await readPage(device, reader);
        await read(device, reader);
      }
    }
    heard = (device, { groupId, head, entries = [] }) => {
      const reader = byGroup.get(groupId)?.get(device);
      if (reader === undefined || head <= cursorOf(reader)) return;
      reader.carried.put(entries);
      reader.head = Math.max(reader.head, head);
      void read(device, reader);
    };
    seen.count = seen.carried = seen.requests = 0;
  };
  return { delivered, waiting, seen, started };
}

async function exchange(options: Exchange): Promise<Exchanged> {
  const { groups, writers, seconds, rate, size } = options;
  const reading = readers(groups);
  await reading.started();
  const acknowledged = new Histogram();
  const makers = groups.map(({ groupId }) => messagesOf(groupId, size));
  let sent = 0;
  let due = 0;
  const begun = performance.now();
  const end = begun + seconds * 1000;

  async function write(writer: number): Promise<void> {
    const group = groups[writer % groups.length];
    const make = makers[writer % groups.length];
    if (group === undefined || make === undefined) return;
    const place = Math.floor(writer / groups.length) % group.readers.length;
    const device = devices[group.readers[place] ?? -1];
    if (device === undefined) return;
    const http = new HttpConnection({ port, ...device });
    const path = `/v1/groups/${bytesToText(group.groupId)}/messages`;
    for (;;) {
      let since = performance.now();
      if (rate !== undefined) {
        since = begun + (due++ / rate) * 1000;
        const wait = Math.min(since, end) - performance.now();
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      }
      if (since >= end) break;
      const id = ++ids;
      reading.waiting.set(id, { since, left: group.readers.length });
      const { status } = await http.post(path, "message/mls", make(id));
      if (status !== 201) throw new Error(`a message was answered with ${status}`);
      acknowledged.record(performance.now() - since);
      sent++;
    }
    http.close();
  }
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  const written = performance.now();
  while (reading.waiting.size > 0 && performance.now() - written < PATIENCE) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  heard = () => undefined;
  return {
    seconds: (performance.now() - begun) / 1000,
    sent,
    read: reading.seen.count,
    carried: reading.seen.carried,
    requests: reading.seen.requests,
    missing: reading.waiting.size,
    acknowledged: acknowledged.summary(),
    delivered: reading.delivered.summary(),
  };
}
offer({
  async connect(options) {
    ({ port } = options);
    const each = new Histogram();
    const begun = performance.now();
    const first = devices.length;
    let next = 0;
    const some = async (): Promise<void> => {
      while (next < options.tokens.length) {
        const n = first + next;
        const token = options.tokens[next++] ?? "";
        const address = addressOf(n);
        const since = performance.now();
        const socket = await connectOne({ token, entries: options.entries }, address, n);
        each.record(performance.now() - since);
        devices[n] = { socket, token, address, http: new HttpConnection({ port, address, token }) };
      }
    };
    await Promise.all(Array.from({ length: options.atOnce }, some));
    return { ms: performance.now() - begun, each: each.summary() };
  },
  exchange,
  open: async () => devices.filter(({ socket }) => socket.readyState === socket.OPEN).length,
  usage: async () => usage(),
  async disconnect() {
    for (const { socket, http } of devices.splice(0)) {
      http.close();
      socket.removeAllListeners("close");
      socket.terminate();
    }
  },
} satisfies DevicesProcess);
