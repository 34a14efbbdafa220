/**
 * A doorbell between the processes that share a PostgreSQL database: NOTIFY, in a transaction of its own, after what it tells of.
 * @module
 */

import pg from "pg";
import { z } from "zod";
import { BytesMap } from "./bytes.ts";
import { type Doorbell, localDoorbell, type Ring } from "./doorbell.ts";
import { bytes, toJson } from "./protocol/index.ts";
import { hostsOf, withSettings } from "./store/postgres-database.ts";
import { StoreUnavailable } from "./store/store.ts";

const CHANNEL = "conclave_doorbell";
/** PostgreSQL takes payloads of less than 8000 bytes. */
const PAYLOAD = 7_900;
/** Devices in one ring: with the longest numbers it fits in a payload. */
const DEVICES = 200;
/** Rings that wait. More are told as "all". */
const WAITING = 5_000;
/** Rings that come together go together, in milliseconds. */
const GATHER = 3;
/** Between attempts to connect, at most, in milliseconds. */
const PAUSE = 5_000;
/** Whether the other side is there is asked so often, and it has so long to answer, in milliseconds. */
const ALIVE = { every: 10_000, within: 5_000 };

/** Nobody waits for a ring to be durable. */
const SETTINGS = "-c synchronous_commit=off";

const numbers = z.array(z.number());
const Heard: z.ZodType<Ring> = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("group"),
    groupId: bytes,
    head: z.number(),
    joined: numbers,
    left: numbers,
  }),
  z.object({ type: z.enum(["inbox", "contacts", "key-packages", "revoked"]), devices: numbers }),
  z.object({ type: z.literal("reports"), groupId: bytes }),
  z.object({
    type: z.literal("signal"),
    groupId: bytes,
    from: z.number(),
    accountId: bytes,
    body: bytes,
  }),
  z.object({ type: z.literal("signed-out"), tokenHash: bytes }),
  z.object({ type: z.literal("all") }),
]);

export interface PostgresDoorbell extends Doorbell {
  /** Rings that wait are sent first. */
  readonly close: () => Promise<void>;
}

/**
 * Has a connection of its own. While that is lost, rings reach this process alone; once it is there again, everybody is told to look
 * at everything. Rejects with `StoreUnavailable` where the database can't be reached at first.
 */
export async function openPostgresDoorbell(url: string): Promise<PostgresDoorbell> {
  const local = localDoorbell();
  let connection: pg.Client | undefined;
  let waiting: Ring[] = [];
  /** Rings that were to go to others did not. */
  let lost = false;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;

  /** To the first host that takes it: a standby does not. */
  async function connect(): Promise<pg.Client> {
    let failure: unknown;
    for (const host of hostsOf(url)) {
      try {
        return await connectTo(host);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  async function connectTo(host: string): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: named(withSettings(host, SETTINGS)),
      keepAlive: true,
      connectionTimeoutMillis: 5_000,
      query_timeout: ALIVE.within,
    });
    let own: number | undefined;
    client.on("notification", ({ processId, payload }) => {
      // One's own were heard when they were rung.
      if (processId !== own) hear(payload ?? "");
    });
    // What comes of it is seen at its end.
    client.on("error", () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
      own = rows[0]?.pid;
      await client.query(`LISTEN ${CHANNEL}`);
    } catch (error) {
      client.end().catch(() => undefined);
      throw error;
    }
    client.once("end", () => {
      if (connection === client) connectionLost();
    });
    return client;
  }

  function hear(payload: string): void {
    const rings = parse(payload);
    for (const one of Array.isArray(rings) ? rings : []) {
      const ring = Heard.safeParse(one);
      // Another version of the service may say more, or less: what it means is in the store.
      if (ring.success) local.ring(ring.data);
    }
  }

  function connectionLost(): void {
    connection = undefined;
    lost = true;
    if (!closed) void reconnect();
  }

  async function reconnect(): Promise<void> {
    for (let pause = 50; !closed; pause = Math.min(2 * pause, PAUSE)) {
      await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random())).unref());
      if (closed) return;
      const client = await connect().catch(() => undefined);
      if (client === undefined) continue;
      if (closed) {
        await client.end();
        return;
      }
      connection = client;
      // What others rang meanwhile was not heard.
      local.ring({ type: "all" });
      gather();
      return;
    }
  }

  /** Drops a connection of which nobody knows whether it is one. */
  function drop(client: pg.Client): void {
    client.end().catch(() => undefined);
    if (connection === client) connectionLost();
  }

  function gather(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      sending ??= send().finally(() => {
        sending = undefined;
        if (waiting.length > 0 || (lost && connection !== undefined)) gather();
      });
    }, GATHER);
  }

  async function send(): Promise<void> {
    const client = connection;
    const rings = lost ? [{ type: "all" } as const] : waiting;
    waiting = [];
    if (client === undefined) {
      lost = true;
      return;
    }
    lost = false;
    if (rings.length === 0) return;
    try {
      await client.query({
        name: "ring",
        text: "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload",
        values: [CHANNEL, payloads(rings)],
      });
    } catch {
      drop(client);
    }
  }

  const alive = setInterval(() => {
    const client = connection;
    client?.query("SELECT 1").catch(() => drop(client));
  }, ALIVE.every);
  alive.unref();

  try {
    connection = await connect();
  } catch (error) {
    clearInterval(alive);
    const code = error instanceof Error && "code" in error ? String(error.code) : "no connection";
    throw new StoreUnavailable(`the doorbell: ${code}`);
  }

  return {
    ring(ring) {
      local.ring(ring);
      if (closed) return;
      if (waiting.length >= WAITING) {
        waiting = [];
        lost = true;
      }
      if (!lost) waiting.push(withoutEntry(ring));
      gather();
    },
    listen: local.listen,
    async close() {
      closed = true;
      clearInterval(alive);
      clearTimeout(timer);
      await sending;
      await send();
      const client = connection;
      connection = undefined;
      await client?.end();
    },
  };
}

/** By this name a copy of the database knows that a service runs: it wins over one that the URL has. */
function named(url: string): string {
  const parsed = new URL(url);
  parsed.searchParams.set("application_name", "conclave-doorbell");
  return parsed.toString();
}

/** An entry is too large to go along, and to wait: whoever hears of it reads it. */
function withoutEntry(ring: Ring): Ring {
  if (ring.type !== "group") return ring;
  const { entry: _, ...rest } = ring;
  return rest;
}

/** The rings in as few payloads as hold them. */
function payloads(rings: readonly Ring[]): string[] {
  const texts: string[] = [];
  let text = "";
  for (const ring of newest(rings).flatMap(parts)) {
    // All in it is ASCII.
    const next = toJson(ring);
    if (text !== "" && text.length + next.length + 3 > PAYLOAD) {
      texts.push(`[${text}]`);
      text = "";
    }
    text += text === "" ? next : `,${next}`;
  }
  return text === "" ? texts : [...texts, `[${text}]`];
}

/** Of a group whose log only grew several times, the last ring says it all. */
function newest(rings: readonly Ring[]): Ring[] {
  const last = new BytesMap<Ring>();
  const isGrowth = (ring: Ring): ring is Extract<Ring, { type: "group" }> =>
    ring.type === "group" && ring.joined.length + ring.left.length === 0;
  for (const ring of rings) {
    if (!isGrowth(ring)) continue;
    const held = last.get(ring.groupId);
    if (held?.type !== "group" || held.head < ring.head) last.set(ring.groupId, ring);
  }
  return rings.filter((ring) => !isGrowth(ring) || last.get(ring.groupId) === ring);
}

/** A ring for many devices as several; who leaves and joins with the same commit is told so in one. */
function parts(ring: Ring): Ring[] {
  if ("devices" in ring) {
    return slices(ring.devices).map((devices) => ({ ...ring, devices }));
  }
  if (ring.type !== "group" || ring.joined.length + ring.left.length <= DEVICES) return [ring];
  const left = new Set(ring.left);
  const joined = new Set(ring.joined);
  return slices([...new Set([...ring.joined, ...ring.left])]).map((devices) => ({
    ...ring,
    joined: devices.filter((device) => joined.has(device)),
    left: devices.filter((device) => left.has(device)),
  }));
}

function slices(devices: readonly number[]): (readonly number[])[] {
  return Array.from({ length: Math.ceil(devices.length / DEVICES) }, (_, i) =>
    devices.slice(i * DEVICES, (i + 1) * DEVICES),
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
