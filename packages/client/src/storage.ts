/**
 * Where a client keeps its records, and the forms in which it keeps them.
 *
 * Keys are ASCII, so that every store puts them in the same order. One engine writes at a time:
 * opening a store takes the next number of its `ENGINE_RECORD`, and a batch is applied only while that
 * number stands. A tab that was frozen and wakes behind its successor is refused, and writes nothing.
 * @module
 */

import type { Batch, Storage } from "@conclave/mls";
import { type Bytes, type Codec, decode, encode, mapped, uint8, uint64 } from "@conclave/mls/codec";

/** The number of the engine that owns the store: it only grows. */
export const ENGINE_RECORD = "engine";

export interface ClientStorage extends Storage {
  /**
   * Records with `from <= key < to`: the first `limit` in key order, or the last `limit`, in reverse,
   * with `reverse`.
   */
  range(range: KeyRange): Promise<readonly (readonly [key: string, value: Bytes])[]>;
  close(): Promise<void>;
}

export interface KeyRange {
  readonly from: string;
  readonly to: string;
  readonly limit: number;
  readonly reverse?: boolean;
}

/** The first key behind all keys that start with `prefix`. */
export function endOf(prefix: string): string {
  return `${prefix}\u007f`;
}

/** A number in a key: keys sort as their numbers do, up to 2^53. */
export function ordinal(value: number): string {
  return value.toString(16).padStart(14, "0");
}

export async function read<T>(
  storage: Storage,
  codec: Codec<T>,
  key: string,
): Promise<T | undefined> {
  const bytes = await storage.get(key);
  return bytes && decode(codec, bytes);
}

/** A batch that grows. */
export interface Changes extends Batch {
  readonly put: Map<string, Bytes>;
  readonly delete: string[];
}

export function changes(): Changes {
  return { put: new Map(), delete: [] };
}

export function put<T>(batch: Changes, key: string, codec: Codec<T>, value: T): void {
  batch.put.set(key, encode(codec, value));
}

/** A whole number up to 2^53. */
export const count: Codec<number> = mapped(uint64, Number, BigInt);

export const boolean: Codec<boolean> = mapped(
  uint8,
  (wire) => wire === 1,
  (value) => (value ? 1 : 0),
);
