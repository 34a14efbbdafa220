/**
 * What was written and is not yet in the log. An entry is on disk before anything else happens to it,
 * and leaves only when the log has it or the person discards it.
 * @module
 */

import { type Bytes, decode } from "@conclave/mls/codec";
import type { ConversationId } from "../api.ts";
import { equal } from "../bytes.ts";
import { type Changes, type ClientStorage, put } from "../storage.ts";
import { KEYS, OutboxEntry } from "./records.ts";

/** How often something failed, and since when. */
interface Failing {
  readonly times: number;
  readonly since: number;
}

export class Outbox {
  readonly #id: ConversationId;
  /** By number, in the order in which they were written. */
  readonly #entries = new Map<number, OutboxEntry>();
  #next = 1;
  /** The entry that failed last for no known reason. */
  #failing: (Failing & { readonly number: number }) | undefined;

  private constructor(id: ConversationId) {
    this.#id = id;
  }

  static async load(storage: ClientStorage, id: ConversationId): Promise<Outbox> {
    const outbox = new Outbox(id);
    const prefix = KEYS.outbox(id);
    for (const [key, bytes] of await storage.list(prefix)) {
      const number = Number.parseInt(key.slice(prefix.length), 16);
      outbox.#entries.set(number, decode(OutboxEntry, bytes));
      outbox.#next = number + 1;
    }
    return outbox;
  }

  /** Each number is given once. */
  takeNumber(): number {
    return this.#next++;
  }

  /** Puts, changes or deletes an entry in a batch. Call what comes back once the batch is applied. */
  stage(batch: Changes, number: number, entry: OutboxEntry | undefined): () => void {
    const key = KEYS.outboxEntry(this.#id, number);
    if (!entry) {
      batch.delete.push(key);
      return () => this.#entries.delete(number);
    }
    put(batch, key, OutboxEntry, entry);
    return () => this.#entries.set(number, entry);
  }

  get entries(): ReadonlyMap<number, OutboxEntry> {
    return this.#entries;
  }

  /** The first that is still to be sent. */
  first(): readonly [number, OutboxEntry] | undefined {
    for (const [number, entry] of this.#entries) {
      if (entry.failure === undefined && entry.acceptedSeq === undefined) return [number, entry];
    }
    return undefined;
  }

  /** Notes that this one failed for no known reason; with all times that it did since the engine began. `now`: milliseconds. */
  noteFailure(number: number, now: number): Failing {
    const { times, since } =
      this.#failing?.number === number ? this.#failing : { times: 0, since: now };
    this.#failing = { number, times: times + 1, since };
    return this.#failing;
  }

  byHash(hash: Bytes): readonly [number, OutboxEntry] | undefined {
    for (const [number, entry] of this.#entries) {
      if (entry.ciphertext && equal(entry.ciphertext.hash, hash)) return [number, entry];
    }
    return undefined;
  }

  /** Those that a person wrote, oldest first. */
  texts(): readonly OutboxEntry[] {
    return [...this.#entries.values()].filter((entry) => entry.kind === "text");
  }
}
