/** Numbers that follow from a seed: sfc32. So whatever was found is found again. */

import type { Bytes } from "@conclave/mls/codec";

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** The same seed and stream give the same numbers. */
  constructor(seed: number, stream: number | string = 0) {
    this.#a = seed | 0;
    this.#b = typeof stream === "number" ? stream | 0 : hashOf(stream);
    this.#c = Math.trunc(seed / 2 ** 32) | 0;
    for (let i = 0; i < 12; i++) this.#next();
  }

  #next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** A whole number from 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor((this.#next() / 2 ** 32) * limit);
  }

  chance(probability: number): boolean {
    return this.#next() < probability * 2 ** 32;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new Error("nothing to pick from");
    return picked;
  }

  shuffled<T>(values: readonly T[]): T[] {
    const left = [...values];
    return Array.from(values, () => left.splice(this.below(left.length), 1)).flat();
  }

  bytes(length: number): Bytes {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      let word = this.#next();
      for (let j = i; j < Math.min(i + 4, length); j++) {
        bytes[j] = word & 0xff;
        word >>>= 8;
      }
    }
    return bytes;
  }
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash | 0;
}
