/**
 * Entries of one log that came by the socket, until it is their turn. The log is the truth: what is missing here is read there.
 * @module
 */

import type { LogEntry } from "../protocol/index.ts";

/** What is kept at most; more is dropped, and read. Bytes are those of messages. */
const MOST = { entries: 512, bytes: 1024 * 1024 };

export interface CarriedEntries<E> {
  /** In whatever order they come, and however often. */
  readonly put: (entries: readonly E[]) => void;
  /** The entry behind this place, if it came: it is given once. Where there is none, those up to the place are forgotten. */
  readonly take: (cursor: number) => E | undefined;
}

export function createCarriedEntries<
  E extends { readonly seq: number; readonly message: { readonly length: number } } = LogEntry,
>(): CarriedEntries<E> {
  const held = new Map<number, E>();
  let bytes = 0;

  function remove(seq: number): E | undefined {
    const entry = held.get(seq);
    if (entry !== undefined && held.delete(seq)) bytes -= entry.message.length;
    return entry;
  }

  return {
    put(entries) {
      for (const entry of entries) {
        if (held.has(entry.seq)) continue;
        if (held.size >= MOST.entries || bytes + entry.message.length > MOST.bytes) return;
        held.set(entry.seq, entry);
        bytes += entry.message.length;
      }
    },
    take(cursor) {
      const next = remove(cursor + 1);
      if (next === undefined) for (const seq of held.keys()) if (seq <= cursor) remove(seq);
      return next;
    },
  };
}
