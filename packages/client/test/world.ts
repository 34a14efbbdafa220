/**
 * A delivery service on a port of this machine, and people with devices: what the scenarios happen in.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createDeliveryService,
  type DeliveryService,
  type DeliveryServiceOptions,
  inviteHash,
  type Limits,
  openSqliteStore,
  type RegistrationRule,
  type Server,
  type Store,
  serve,
} from "@conclave/delivery";
import type { CryptoProvider } from "@conclave/mls";
import { freePort } from "../../../scripts/free-port.ts";
import {
  type Client,
  ClientError,
  type ClientEvent,
  createClient,
  type Fetch,
  type Message,
} from "../src/index.ts";
import { nodeCrypto, openProfile } from "../src/node/index.ts";

export interface World {
  readonly origin: string;
  readonly folder: string;
  /** A device, whose profile is the file of this name: the same again, after it was closed. */
  readonly device: (file: string, options?: DeviceOptions) => Promise<Client>;
  /** A device with an account. */
  readonly person: (name: string, options?: DeviceOptions) => Promise<Client>;
  readonly stopService: () => Promise<void>;
  readonly startService: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export interface DeviceOptions {
  /** All that is read comes through it, unless there is a `WebSocket` beside it. */
  readonly fetch?: Fetch;
  readonly WebSocket?: typeof WebSocket;
  readonly now?: () => number;
  readonly crypto?: CryptoProvider;
  /** Milliseconds before the next try, at least and at most. */
  readonly retry?: readonly [least: number, most: number];
  readonly receipt?: number;
  readonly typing?: readonly [pause: number, shown: number];
  /** Milliseconds between two looks at the log without a doorbell. */
  readonly poll?: number;
  /** Milliseconds for which a revoked device stays for another that can't be added yet. */
  readonly patience?: number;
}

export async function createWorld(
  options: {
    readonly allowedOrigins?: readonly string[];
    readonly limits?: Partial<Limits>;
    readonly registration?: RegistrationRule;
    /** Codes that the service's operator made. */
    readonly inviteCodes?: readonly string[];
    /** What the service has in the place of its own. */
    readonly service?: (store: Store) => Partial<DeliveryServiceOptions>;
  } = {},
): Promise<World> {
  const { allowedOrigins = [], registration = "open", inviteCodes = [] } = options;
  const folder = await mkdtemp(join(tmpdir(), "conclave-client-"));
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const clients = new Set<Client>();
  let running: { store: Store; service: DeliveryService; server: Server } | undefined;

  const startService = async () => {
    const store = openSqliteStore(join(folder, "service.db"));
    const service = createDeliveryService({
      store,
      publicOrigin: origin,
      allowedOrigins,
      contact: "open",
      registration,
      limits: { ...LIMITS, ...options.limits },
      ...options.service?.(store),
    });
    running = { store, service, server: await serve(service, { port }) };
  };
  const stopService = async () => {
    await running?.server.close();
    await running?.store.close();
    running = undefined;
  };
  const device = async (file: string, options: DeviceOptions = {}) => {
    const profile = openProfile(join(folder, `${file}.db`));
    const client = await createClient({
      ...profile,
      crypto: options.crypto ?? nodeCrypto,
      service: {
        origin,
        ...(options.fetch && { fetch: options.fetch, WebSocket: WithoutEntries }),
        ...(options.WebSocket && { WebSocket: options.WebSocket }),
      },
      ...(options.now && { now: options.now }),
      timing: {
        receipt: options.receipt ?? 20,
        typing: options.typing ?? [0, 6_000],
        retry: options.retry ?? [20, 200],
        proposals: 50,
        poll: options.poll ?? 60_000,
        ...(options.patience !== undefined && { patience: options.patience }),
      },
      log: (what, error) => {
        if (process.env["CONCLAVE_LOG"]) console.error(file, what, error);
      },
    });
    clients.add(client);
    return client;
  };
  await startService();
  const [madeAt, expiresAt] = [Date.now(), Date.now() + 3_600_000];
  const hashes = inviteCodes.flatMap((code) => inviteHash(code) ?? []);
  await running?.store.addInvites(hashes.map((hash) => ({ hash, madeAt, expiresAt })));
  return {
    origin,
    folder,
    device,
    person: async (name, options) => {
      const client = await device(name, options);
      await client.signUp(name);
      return client;
    },
    startService,
    stopService,
    close: async () => {
      await Promise.all([...clients].map((client) => client.close().catch(() => {})));
      await stopService();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Asks for doorbells that carry nothing, as clients did before there were others. */
class WithoutEntries extends WebSocket {
  override send(data: string): void {
    super.send(data.replace(',"entries":true', ""));
  }
}

/** All devices of a test come from one address, and some start very often. */
const OFTEN = { burst: 100_000, perSecond: 10_000 };
const LIMITS = {
  address: OFTEN,
  device: OFTEN,
  registration: OFTEN,
  signIn: OFTEN,
  lookUp: OFTEN,
  claim: OFTEN,
  claimed: OFTEN,
  strangerClaim: OFTEN,
  strangerClaimed: OFTEN,
  ask: OFTEN,
  asksPerAddress: OFTEN,
  group: OFTEN,
  socket: OFTEN,
};

/** Waits until `condition` gives something; looks again at each event of the client, and now and then. */
export async function until<T>(
  client: Client,
  condition: () => Promise<T | undefined | false>,
): Promise<T> {
  const deadline = Date.now() + 40_000;
  for (;;) {
    const found = await condition();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${condition.toString()}`);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, 50);
      const unsubscribe = client.subscribe(done);
      function done() {
        clearTimeout(timer);
        unsubscribe();
        resolve();
      }
    });
  }
}

export async function texts(client: Client, id: string): Promise<readonly string[]> {
  const messages = await client.messages(id, { limit: 1000 });
  return messages.flatMap(({ body }) => (body.type === "text" ? [body.text] : []));
}

/** Waits until the client shows just these texts. */
export async function untilTexts(
  client: Client,
  id: string,
  expected: readonly string[],
): Promise<void> {
  await until(client, async () => (await texts(client, id)).join("\n") === expected.join("\n"));
}

export async function untilState(
  client: Client,
  id: string,
  text: string,
  state: Message["state"],
): Promise<Message> {
  return until(client, async () => {
    const messages = await client.messages(id, { limit: 1000 });
    return messages.find(
      ({ body, state: now }) => body.type === "text" && body.text === text && now === state,
    );
  });
}

export async function conversation(client: Client, id: string) {
  const { conversations } = await client.snapshot();
  const found = conversations.find((one) => one.id === id);
  if (!found) throw new Error("no such conversation");
  return found;
}

export async function untilMembers(client: Client, id: string, names: readonly string[]) {
  await until(client, async () => {
    const { conversations } = await client.snapshot();
    const members = conversations.find((one) => one.id === id)?.members ?? [];
    return (
      members
        .map(({ name }) => name)
        .sort()
        .join() === [...names].sort().join()
    );
  });
}

/** Brings people into a conversation of the first one, by a link. */
export async function gather(first: Client, others: readonly Client[]): Promise<string> {
  const id = await first.createConversation("The room");
  const { fragment } = await first.createInvitation(id, { expiresInSeconds: 3600, maxUses: 100 });
  for (const other of others) await other.acceptInvitation(fragment);
  const everyone = others.length + 1;
  for (const one of [first, ...others]) {
    await until(one, async () => (await conversation(one, id)).members.length === everyone);
  }
  return id;
}

let keys = 0;
export function say(client: Client, id: string, text: string): Promise<void> {
  return client.sendText(id, text, `key ${keys++}`);
}

export function eventsOf(client: Client): ClientEvent[] {
  const events: ClientEvent[] = [];
  client.subscribe((event) => events.push(event));
  return events;
}

export async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error instanceof ClientError ? error.code : String(error);
  }
}

/** The other device's key packages may still be on their way. */
export async function addWhenReady(client: Client, id: string, name: string): Promise<void> {
  await until(client, async () => {
    const code = await codeOf(client.addByName(id, name));
    if (code !== undefined && code !== "no-key-packages") throw new Error(code);
    return code === undefined;
  });
}
