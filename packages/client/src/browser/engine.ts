/**
 * The engine in a dedicated worker. Each tab starts one; a Web Lock decides which of them works, and
 * the others wait for it to be free. When the tab of the one that works is closed or crashes, the browser
 * frees the lock, and another goes on from what is in the database.
 * @module
 */

import { webCrypto } from "@conclave/mls";
import type { ClientEvent, LongCall, Progress } from "../api.ts";
import { type Client, type ClientOptions, createClient } from "../client.ts";
import {
  DEFAULT_PROFILE,
  engineChannel,
  engineLock,
  type FromEngine,
  failure,
  LONG,
  METHODS,
  type Outcome,
  type ToEngine,
} from "./calls.ts";
import {
  type BrowserProfile,
  openBrowserProfile,
  SCHEMA,
  type SchemaStep,
  updateDatabase,
} from "./database.ts";

/** How many answers are remembered, for calls that come twice. */
const ANSWERS = 1000;
/** After an engine stopped, in milliseconds. */
const PAUSE = 1_000;

export interface EngineOptions {
  /** Scheme, host and port of the delivery service. */
  readonly serviceOrigin: string;
  /** The name of the profile: of its database, its lock and its channel. */
  readonly name?: string;
  readonly log?: ClientOptions["log"];
  /** How the database came to be as it is; the product's unless given. */
  readonly schema?: readonly SchemaStep[];
}

/** Call it once in a dedicated worker: it runs for as long as the worker does. */
export function startEngineWorker(options: EngineOptions): void {
  void work(options);
}

async function work(options: EngineOptions): Promise<void> {
  const { name = DEFAULT_PROFILE, schema = SCHEMA, log } = options;
  // An engine of an older page has the lock, and holds it for as long as nobody changes its database.
  await updateDatabase(name, schema).catch((error: unknown) => log?.("database", error));
  let outdated = false;
  while (!outdated) {
    await navigator.locks.request(engineLock(name), async () => {
      const channel = engineChannel(name);
      try {
        outdated = await serve(channel, open(options, name, schema), schema.length);
      } catch (error) {
        log?.("engine", error);
      }
      // Whoever calls meanwhile is told why; the next attempt may go better.
      if (!outdated) await new Promise((resolve) => setTimeout(resolve, PAUSE));
      channel.close();
    });
  }
}

interface Opened {
  readonly client: Client;
  readonly ended: BrowserProfile["ended"];
}

async function open(
  { serviceOrigin, log }: EngineOptions,
  name: string,
  schema: readonly SchemaStep[],
): Promise<Opened> {
  const { storage, vault, ended } = await openBrowserProfile(name, schema);
  const client = await createClient({
    storage,
    vault,
    crypto: webCrypto,
    service: { origin: serviceOrigin },
    ...(log && { log }),
  });
  return { client, ended };
}

/** Answers calls until the client has stopped; whether a newer version of the page took over. Rejects where it could not be opened. */
async function serve(
  channel: BroadcastChannel,
  opening: Promise<Opened>,
  version: number,
): Promise<boolean> {
  const engine = crypto.randomUUID();
  const answers = new Map<string, Promise<Outcome>>();
  const underway = new Map<string, AbortController>();
  const post = (message: FromEngine) => channel.postMessage(message);
  channel.onmessage = (event: MessageEvent<ToEngine>) => {
    const message = event.data;
    if (message.type === "hello") post({ type: "engine", engine, version });
    if (message.type === "abort") underway.get(message.id)?.abort();
    if (message.type !== "call") return;
    const { id } = message;
    const begin = () => {
      const end = new AbortController();
      underway.set(id, end);
      const onProgress = (progress: Progress) => post({ type: "progress", id, progress });
      const performed = perform(opening, message, { signal: end.signal, onProgress });
      return performed.finally(() => underway.delete(id));
    };
    // A call that comes a second time gets the answer of the first.
    const answer = answers.get(id) ?? begin();
    answers.set(id, answer);
    for (const oldest of answers.keys()) {
      if (answers.size <= ANSWERS) break;
      answers.delete(oldest);
    }
    void answer.then((outcome) => post({ type: "result", id, ...outcome }));
  };
  post({ type: "engine", engine, version });
  const { client, ended } = await opening;
  const unsubscribe = client.subscribe((event: ClientEvent) => post({ type: "event", event }));
  const why = await Promise.race([ended, client.closed]);
  unsubscribe();
  if (why === "outdated") post({ type: "event", event: { type: "connection", connection: why } });
  await client.close();
  return why === "outdated";
}

async function perform(
  opening: Promise<Opened>,
  { method, args }: Extract<ToEngine, { type: "call" }>,
  long: LongCall,
): Promise<Outcome> {
  try {
    if (!Object.hasOwn(METHODS, method)) throw new TypeError("no such method");
    const { client } = await opening;
    // The tab's proxy has the method's own type: what comes here fits it.
    const call = client[method] as (...given: unknown[]) => Promise<unknown>;
    const given = [...args];
    const place = LONG[method];
    if (place !== undefined) given[place] = { ...(given[place] as object | undefined), ...long };
    return { ok: true, value: await call.apply(client, given) };
  } catch (error) {
    return failure(error);
  }
}
