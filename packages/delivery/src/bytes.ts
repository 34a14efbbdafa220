/**
 * Bytes that are compared and looked up. For what is no secret: it takes as long as they agree.
 * @module
 */

import { randomFillSync } from "node:crypto";

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** The bytes as a key of a `Map` or a `Set`. */
export function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

interface Entry<Value> {
  readonly key: Uint8Array;
  readonly value: Value;
  readonly next: Entry<Value> | undefined;
}

/** A `Map` by bytes, for what is looked up for each message: to make a string of them for each look would be a tenth of its cost. */
export class BytesMap<Value> {
  /** Of keys that have the same hash. */
  readonly #chains = new Map<number, Entry<Value>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: Uint8Array): Value | undefined {
    return entryOf(this.#chains.get(hashOf(key)), key)?.value;
  }

  has(key: Uint8Array): boolean {
    return entryOf(this.#chains.get(hashOf(key)), key) !== undefined;
  }

  set(key: Uint8Array, value: Value): void {
    const hash = hashOf(key);
    const chain = this.#chains.get(hash);
    const next = without(chain, key);
    // A copy, which of a `Buffer` its `slice` isn't: the caller's may be a part of much more.
    this.#chains.set(hash, { key: new Uint8Array(key), value, next });
    if (next === chain) this.#size++;
  }

  delete(key: Uint8Array): void {
    const hash = hashOf(key);
    const chain = this.#chains.get(hash);
    const rest = without(chain, key);
    if (rest === chain) return;
    if (rest === undefined) this.#chains.delete(hash);
    else this.#chains.set(hash, rest);
    this.#size--;
  }

  *values(): Generator<Value> {
    for (const chain of this.#chains.values()) {
      for (let entry: Entry<Value> | undefined = chain; entry !== undefined; entry = entry.next) {
        yield entry.value;
      }
    }
  }
}

function entryOf<Value>(
  chain: Entry<Value> | undefined,
  key: Uint8Array,
): Entry<Value> | undefined {
  let entry = chain;
  while (entry !== undefined && !agree(entry.key, key)) entry = entry.next;
  return entry;
}

/** The chain itself where the key is not in it. */
function without<Value>(
  chain: Entry<Value> | undefined,
  key: Uint8Array,
): Entry<Value> | undefined {
  const gone = entryOf(chain, key);
  if (gone === undefined) return chain;
  let rest = gone.next;
  for (let entry = chain; entry !== gone && entry !== undefined; entry = entry.next) {
    rest = { ...entry, next: rest };
  }
  return rest;
}

/** As `sameBytes`, in a sixth of its time where they are few: native code can't read within the engine's heap. */
function agree(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Factors, for each byte of the ids that groups may have; longer keys draw more. */
function draw(): Int32Array {
  return randomFillSync(new Int32Array(64));
}

/**
 * A hash, as a number that the engine keeps without an object. Each one multiplies by factors of its own, so that whoever chooses keys
 * can't choose many of one hash: of two keys it is the same for one drawing in 2 ** 24 at most. Where the secret is but what a hash
 * begins with, as FNV-1a's can be, its last byte may say which keys agree.
 */
export function hasher(): (bytes: Uint8Array) => number {
  let factors = draw();
  return (bytes) => {
    while (factors.length < bytes.length) factors = Int32Array.of(...factors, ...draw());
    const own = factors;
    let hash = 0;
    // By numbers, for half of what an iterator takes. A byte and one, so that zeros at the end count too.
    for (let i = 0; i < bytes.length; i++) {
      hash = (hash + Math.imul((bytes[i] ?? 0) + 1, own[i] ?? 0)) | 0;
    }
    return hash >>> 2;
  };
}

const hashOf = hasher();
