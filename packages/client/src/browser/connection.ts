/**
 * A tab's view of the engine, wherever that runs at the moment. A call that an engine left unanswered
 * is sent again to its successor.
 * @module
 */

import { type ClientApi, ClientError, type ClientEvent, type LongCall } from "../api.ts";
import {
  DEFAULT_PROFILE,
  engineChannel,
  type FromEngine,
  LONG,
  METHODS,
  type Method,
  type ToEngine,
} from "./calls.ts";
import { SCHEMA } from "./database.ts";

export interface EngineConnection extends ClientApi {
  /** The listener is called until what comes back is called. */
  subscribe(listener: (event: ClientEvent) => void): () => void;
  close(): void;
}

/** How many messages of each conversation are shown again after an engine took over from another. */
const REFRESHED = 50;

interface Call extends PromiseWithResolvers<unknown> {
  readonly request: Extract<ToEngine, { type: "call" }>;
  readonly onProgress?: LongCall["onProgress"];
}

/** Calls wait until there is an engine: start one in a worker (`startEngineWorker`). */
export function connectToEngine({
  name = DEFAULT_PROFILE,
  version = SCHEMA.length,
}: {
  readonly name?: string;
  /** That of the database, as this page knows it. */
  readonly version?: number;
} = {}): EngineConnection {
  const channel = engineChannel(name);
  const calls = new Map<string, Call>();
  const listeners = new Set<(event: ClientEvent) => void>();
  const post = (message: ToEngine) => channel.postMessage(message);
  const emit = (event: ClientEvent) => {
    for (const listener of listeners) listener(event);
  };
  let engine: string | undefined;
  /** An engine of a newer page is there, which this one may not understand. */
  let outdated = false;
  const tooOld = () => new ClientError("outdated", "a newer version of this page is in use");

  const call = (method: Method, given: readonly unknown[]): Promise<unknown> => {
    if (outdated) return Promise.reject(tooOld());
    const { args, signal, onProgress } = ownPart(method, given);
    const request = { type: "call", id: crypto.randomUUID(), method, args } as const;
    const made = {
      request,
      ...(onProgress && { onProgress }),
      ...Promise.withResolvers<unknown>(),
    };
    const cancel = () => {
      if (!calls.delete(request.id)) return;
      made.reject(new ClientError("cancelled", "it was cancelled"));
      post({ type: "abort", id: request.id });
    };
    if (signal?.aborted) return Promise.reject(new ClientError("cancelled", "it was cancelled"));
    signal?.addEventListener("abort", cancel);
    calls.set(request.id, made);
    if (engine !== undefined) post(request);
    return made.promise.finally(() => signal?.removeEventListener("abort", cancel));
  };

  const methods = Object.fromEntries(
    Object.keys(METHODS).map((method) => [
      method,
      (...args: readonly unknown[]) => call(method as Method, args),
    ]),
    // `METHODS` has each method of the interface, and each is passed on as it is.
  ) as unknown as ClientApi;

  channel.onmessage = ({ data: message }: MessageEvent<FromEngine>) => {
    switch (message.type) {
      case "engine": {
        if (message.engine === engine || outdated) return;
        // One of an older page is about to end.
        if (message.version < version) return;
        if (message.version > version) {
          outdated = true;
          for (const waiting of calls.values()) waiting.reject(tooOld());
          calls.clear();
          emit({ type: "connection", connection: "outdated" });
          return;
        }
        const successor = engine !== undefined;
        engine = message.engine;
        for (const { request } of calls.values()) post(request);
        if (successor) void refresh(methods, emit);
        return;
      }
      case "event":
        if (engine !== undefined && !outdated) emit(message.event);
        return;
      case "progress":
        calls.get(message.id)?.onProgress?.(message.progress);
        return;
      case "result": {
        const made = calls.get(message.id);
        calls.delete(message.id);
        if (message.ok) made?.resolve(message.value);
        else made?.reject(new ClientError(message.code, message.message));
        return;
      }
      default:
      // Of other tabs, to the engine.
    }
  };
  post({ type: "hello" });

  return {
    ...methods,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => channel.close(),
  };
}

/** The arguments as they go to the engine, and what of them stays here. */
function ownPart(
  method: Method,
  given: readonly unknown[],
): { readonly args: readonly unknown[] } & LongCall {
  const place = LONG[method];
  const options = place === undefined ? undefined : given[place];
  if (place === undefined || options === undefined) return { args: given };
  // The proxy has the method's own type, so options are what stands there.
  const { signal, onProgress, ...sent } = options as LongCall;
  const args = given.with(place, sent);
  return { args, ...(signal && { signal }), ...(onProgress && { onProgress }) };
}

/** What happened between two engines was told to nobody: everything is shown again. */
async function refresh(api: ClientApi, emit: (event: ClientEvent) => void): Promise<void> {
  try {
    const {
      account,
      lost = false,
      connection,
      conversations,
      asked,
      signalSettings,
    } = await api.snapshot();
    emit({ type: "account", account, lost });
    emit({ type: "connection", connection });
    emit({ type: "asked-contacts", asked });
    emit({ type: "signal-settings", settings: signalSettings });
    for (const conversation of conversations) {
      emit({ type: "conversation", conversation });
      emit({ type: "typing", conversationId: conversation.id, accountIds: [] });
      const messages = await api.messages(conversation.id, { limit: REFRESHED });
      emit({ type: "messages", messages });
    }
  } catch {
    // This engine is gone too; its successor will be asked.
  }
}
