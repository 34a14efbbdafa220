/**
 * Where a client keeps its state: small records under keys, changed by atomic batches.
 * @module
 */

import { checkBytes, copyOf, EMPTY, wipe } from "./bytes.ts";
import type { Bytes } from "./codec.ts";

/** What changes together. Where a key is both put and deleted, it is put. */
export interface Batch {
  readonly put?: ReadonlyMap<string, Bytes>;
  readonly delete?: readonly string[];
}

/** What a client supplies to keep its state: records under keys. */
export interface Storage {
  /** The record under a key, as a copy, or undefined. */
  readonly get: (key: string) => Promise<Bytes | undefined>;
  /** The records whose keys begin with `prefix`, as copies, in the order of their keys. */
  readonly list: (prefix: string) => Promise<ReadonlyMap<string, Bytes>>;
  /**
   * All of it or nothing, and durable when the promise is fulfilled; from then on the arrays may be overwritten, so what is kept are copies.
   * What it deletes should be overwritten too, where the medium can.
   */
  readonly apply: (batch: Batch) => Promise<void>;
}

/** The keys that begin with `prefix`. What was read with them, for nothing, is overwritten. */
export async function keysOf(storage: Storage, prefix: string): Promise<string[]> {
  const records = await storage.list(prefix);
  for (const record of records.values()) wipe(record);
  return [...records.keys()];
}

/** One batch out of several; the later wins. */
export function mergeBatches(...batches: readonly (Batch | undefined)[]): Batch {
  const put = new Map<string, Bytes>();
  const deleted: string[] = [];
  for (const batch of batches) {
    for (const key of batch?.delete ?? []) {
      put.delete(key);
      deleted.push(key);
    }
    // A loop would make an array of each record.
    batch?.put?.forEach((value, key) => {
      put.set(key, value);
    });
  }
  return { put, delete: deleted.filter((key) => !put.has(key)) };
}

/**
 * Storage that is gone with the process: for tests, and for groups that need not outlive it. `records`: where they are kept, what is
 * there already among them; what is deleted or replaced is overwritten.
 */
export function memoryStorage(records: Map<string, Bytes> = new Map<string, Bytes>()): Storage {
  return {
    get: async (key) => {
      const record = records.get(key);
      return record && copyOf(record);
    },
    list: async (prefix) => {
      const keys = [...records.keys()].filter((key) => key.startsWith(prefix));
      // The default order is that of UTF-16 code units, as the comparison of strings is.
      return new Map(keys.sort().map((key) => [key, copyOf(records.get(key) ?? EMPTY)]));
    },
    apply: async (batch) => {
      for (const key of batch.delete ?? []) {
        records.get(key)?.fill(0);
        records.delete(key);
      }
      batch.put?.forEach((value, key) => {
        checkBytes(value);
        const before = records.get(key);
        // Most are as long as what they replace: it is overwritten by them.
        if (before?.length === value.length) return before.set(value);
        before?.fill(0);
        records.set(key, copyOf(value));
      });
    },
  };
}
