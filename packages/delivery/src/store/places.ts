/**
 * Places of messages by their hashes, in flat arrays: as a string, an object and an entry of a `Map` each, they would be the larger part
 * of what a message costs, most of it for the collector of garbage.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Accepted } from "../protocol/index.ts";
import { HASH } from "./store.ts";

/** What the arrays are for at least, once there is one. */
const LEAST = 8;

/** What there is before there is any: most groups' older places are none. */
const NO_HASHES = new Uint8Array(0);
const NO_NUMBERS = new Float64Array(0);
const NO_SLOTS = new Int32Array(1);

/** What is to be forgotten is forgotten with all of it, or was added last. */
export class Places {
  #size = 0;
  #hashes = NO_HASHES;
  #seqs = NO_NUMBERS;
  #times = NO_NUMBERS;
  /** One more than an entry's index, where its hash leads or in the next that is free; half are 0, for none. */
  #slots = NO_SLOTS;

  get size(): number {
    return this.#size;
  }

  /** For how many there is memory: some 60 bytes each. */
  get capacity(): number {
    return this.#seqs.length;
  }

  /** What all of it takes, counted in such places: the arrays themselves take a kilobyte. */
  get weight(): number {
    return this.capacity === 0 ? 0 : 16 + this.capacity;
  }

  get(hash: Bytes): Accepted | undefined {
    return this.#at(this.#slotOf(hash));
  }

  /** Takes it in, unless it is there: then that is the answer. */
  add(hash: Bytes, { seq, acceptedAt }: Accepted): Accepted | undefined {
    let slot = this.#slotOf(hash);
    const there = this.#at(slot);
    if (there !== undefined) return there;
    if (this.#size === this.capacity) {
      this.#grow();
      slot = this.#slotOf(hash);
    }
    const entry = this.#size++;
    this.#hashes.set(hash, entry * HASH);
    this.#seqs[entry] = seq;
    this.#times[entry] = acceptedAt;
    this.#slots[slot] = entry + 1;
    return undefined;
  }

  /** Forgets what was added since there were so many. */
  shrink(size: number): void {
    // Nothing that stays was put behind them where they stood in its way.
    while (this.#size > size) {
      const from = --this.#size * HASH;
      this.#slots[this.#slotOf(this.#hashes.subarray(from, from + HASH))] = 0;
    }
  }

  /** Forgets all of it, and keeps the memory for as many. */
  clear(): void {
    this.#size = 0;
    this.#slots.fill(0);
  }

  #at(slot: number): Accepted | undefined {
    const entry = (this.#slots[slot] ?? 0) - 1;
    if (entry < 0) return undefined;
    return { seq: this.#seqs[entry] ?? 0, acceptedAt: this.#times[entry] ?? 0 };
  }

  /** The slot of an entry, or the free one where it would be. */
  #slotOf(hash: Uint8Array): number {
    const mask = this.#slots.length - 1;
    let slot = ((hash[0] ?? 0) | ((hash[1] ?? 0) << 8) | ((hash[2] ?? 0) << 16)) & mask;
    for (;;) {
      const entry = this.#slots[slot] ?? 0;
      if (entry === 0 || this.#has(entry - 1, hash)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #has(entry: number, hash: Uint8Array): boolean {
    const from = entry * HASH;
    for (let i = 0; i < HASH; i++) if (this.#hashes[from + i] !== hash[i]) return false;
    return true;
  }

  #grow(): void {
    const capacity = Math.max(LEAST, this.capacity * 2);
    const [hashes, seqs, times] = [this.#hashes, this.#seqs, this.#times];
    this.#hashes = new Uint8Array(capacity * HASH);
    this.#hashes.set(hashes);
    this.#seqs = new Float64Array(capacity);
    this.#seqs.set(seqs);
    this.#times = new Float64Array(capacity);
    this.#times.set(times);
    this.#slots = new Int32Array(capacity * 2);
    for (let entry = 0; entry < this.#size; entry++) {
      const hash = this.#hashes.subarray(entry * HASH, (entry + 1) * HASH);
      this.#slots[this.#slotOf(hash)] = entry + 1;
    }
  }
}
