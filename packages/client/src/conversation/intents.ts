/**
 * What the person wants the group to become: kept on disk until a commit made it so, whoever wins the
 * epochs meanwhile. Who asked can wait for the outcome.
 * @module
 */

import { decode } from "@conclave/mls/codec";
import type { ClientError, ConversationId } from "../api.ts";
import { type Changes, type ClientStorage, put } from "../storage.ts";
import { Intent, KEYS } from "./records.ts";

export class Intents {
  readonly #id: ConversationId;
  readonly #intents = new Map<number, Intent>();
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  #next = 1;

  private constructor(id: ConversationId) {
    this.#id = id;
  }

  static async load(storage: ClientStorage, id: ConversationId): Promise<Intents> {
    const intents = new Intents(id);
    const prefix = KEYS.intents(id);
    for (const [key, bytes] of await storage.list(prefix)) {
      const number = Number.parseInt(key.slice(prefix.length), 16);
      intents.#intents.set(number, decode(Intent, bytes));
      intents.#next = number + 1;
    }
    return intents;
  }

  first(): readonly [number, Intent] | undefined {
    return this.#intents.entries().next().value;
  }

  takeNumber(): number {
    return this.#next++;
  }

  /** Puts or changes an intent in a batch. Call what comes back once the batch is applied. */
  stage(batch: Changes, number: number, intent: Intent): () => void {
    put(batch, KEYS.intent(this.#id, number), Intent, intent);
    return () => this.#intents.set(number, intent);
  }

  /** Deletes an intent in a batch; afterwards who waits for it learns the outcome. */
  stageOutcome(batch: Changes, number: number, failure?: ClientError): () => void {
    batch.delete.push(KEYS.intent(this.#id, number));
    return () => {
      this.#intents.delete(number);
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
  find(matches: (intent: Intent) => boolean): number | undefined {
    for (const [number, intent] of this.#intents) if (matches(intent)) return number;
    return undefined;
  }
}
