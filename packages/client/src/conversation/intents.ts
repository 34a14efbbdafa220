/**
 * What is wanted of the group: kept on disk until a commit made it so, whoever wins the epochs meanwhile. Who asked can wait
 * for the outcome. Each has its own time: one that is put off holds up no other.
 * @module
 */

import { decode } from "@conclave/mls/codec";
import type { ClientError, ConversationId } from "../api.ts";
import { type Changes, type ClientStorage, put } from "../storage.ts";
import { backoff } from "../worker.ts";
import { type Intent, KEYS, type Renewal, type Return, StoredIntent } from "./records.ts";

/** After so many tries something is given up; each waits twice as long as the one before. */
const TRIES = 12;

/** The longest that a service puts one off, in milliseconds. */
const LONGEST_PAUSE = 3_600_000;

/** Whether every member wants this alike, so that each gives the others a chance to be first. */
export function isCommon({ type }: Intent): boolean {
  return type === "release" || type === "renew" || type === "return";
}

/** The same, later; undefined after too many tries. `pause`: the first, in milliseconds. */
export function nextTry<T extends Renewal | Return>(
  intent: T,
  now: number,
  pause: number,
): T | undefined {
  const { tries } = intent;
  if (tries === TRIES) return undefined;
  return { ...intent, tries: tries + 1, at: now + pause * 2 ** tries };
}

interface Pause {
  readonly failures: number;
  readonly since: number;
  readonly until: number;
}

export class Intents {
  readonly #id: ConversationId;
  readonly #intents = new Map<number, Intent>();
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  /** Those that failed at something that passes. */
  readonly #pauses = new Map<number, Pause>();
  #next = 1;

  private constructor(id: ConversationId) {
    this.#id = id;
  }

  static async load(storage: ClientStorage, id: ConversationId): Promise<Intents> {
    const intents = new Intents(id);
    const prefix = KEYS.intents(id);
    for (const [key, bytes] of await storage.list(prefix)) {
      const number = Number.parseInt(key.slice(prefix.length), 16);
      intents.#intents.set(number, decode(StoredIntent, bytes));
      intents.#next = number + 1;
    }
    return intents;
  }

  get size(): number {
    return this.#intents.size;
  }

  get(number: number): Intent | undefined {
    return this.#intents.get(number);
  }

  /** The first whose time has come, and which `matches`. */
  due(now: number, matches: (intent: Intent) => boolean): readonly [number, Intent] | undefined {
    for (const [number, intent] of this.#intents) {
      if (matches(intent) && this.#timeOf(number, intent) <= now) return [number, intent];
    }
    return undefined;
  }

  /** When the next one's time comes of those whose time is still to come. */
  nextTime(now: number): number {
    const times = [...this.#intents].map(([number, intent]) => this.#timeOf(number, intent));
    return Math.min(Number.POSITIVE_INFINITY, ...times.filter((time) => time > now));
  }

  #timeOf(number: number, intent: Intent): number {
    const at = "at" in intent ? intent.at : 0;
    return Math.max(at, this.#pauses.get(number)?.until ?? 0);
  }

  /** It is tried again after a pause that grows; `atLeast`: what the service asked for, in milliseconds. */
  putOff(
    number: number,
    {
      now,
      retry,
      atLeast = 0,
    }: {
      readonly now: number;
      readonly retry: readonly [least: number, most: number];
      readonly atLeast?: number | undefined;
    },
  ): void {
    const { failures = 0, since = now } = this.#pauses.get(number) ?? {};
    const pause = Math.max(Math.min(atLeast, LONGEST_PAUSE), backoff(retry, failures));
    this.#pauses.set(number, { failures: failures + 1, since, until: now + pause });
  }

  /** When it was put off first. */
  putOffSince(number: number): number | undefined {
    return this.#pauses.get(number)?.since;
  }

  /** What failed before may succeed now. */
  hurry(): void {
    for (const [number, pause] of this.#pauses) this.#pauses.set(number, { ...pause, until: 0 });
  }

  takeNumber(): number {
    return this.#next++;
  }

  /** Puts or changes an intent in a batch. Call what comes back once the batch is applied. */
  stage(batch: Changes, number: number, intent: Intent): () => void {
    if (intent.type !== "return") put(batch, KEYS.intent(this.#id, number), StoredIntent, intent);
    return () => this.#intents.set(number, intent);
  }

  /** Deletes an intent in a batch; afterwards who waits for it learns the outcome. */
  stageOutcome(batch: Changes, number: number, failure?: ClientError): () => void {
    batch.delete.push(KEYS.intent(this.#id, number));
    return () => {
      this.#intents.delete(number);
      this.#pauses.delete(number);
      const waiting = this.#waiting.get(number);
      this.#waiting.delete(number);
      if (failure) waiting?.reject(failure);
      else waiting?.resolve();
    };
  }

  stageFailureOfAll(batch: Changes, failure: ClientError): () => void {
    const outcomes = [...this.#intents.keys()].map((n) => this.stageOutcome(batch, n, failure));
    return () => {
      for (const tell of outcomes) tell();
    };
  }

  /** Resolves or rejects with the outcome of an intent that is among these. */
  outcome(number: number): Promise<void> {
    let waiting = this.#waiting.get(number);
    if (!waiting) {
      waiting = Promise.withResolvers<void>();
      this.#waiting.set(number, waiting);
    }
    return waiting.promise;
  }

  /** Who waits is told that nobody works on it now; what is wanted stays. */
  stopWaiting(why: ClientError): void {
    for (const waiting of this.#waiting.values()) waiting.reject(why);
    this.#waiting.clear();
  }

  /** One that is there already and of which `matches` is true. */
  find(matches: (intent: Intent, number: number) => boolean): number | undefined {
    for (const [number, intent] of this.#intents) if (matches(intent, number)) return number;
    return undefined;
  }
}
