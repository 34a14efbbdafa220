/**
 * Work that must not overlap: one after another under each key, at most so many waiting.
 * @module
 */

import { Refusal } from "./refusal.ts";

export type InTurn = <T>(key: string, work: () => Promise<T>) => Promise<T>;

/** Rejects with `Refusal`, `too-many-requests`, where `limit` are under way or waiting. */
export function createTurns(limit: number): InTurn {
  const queues = new Map<string, { last: Promise<unknown>; length: number }>();
  return async (key, work) => {
    const queue = queues.get(key) ?? { last: Promise.resolve(), length: 0 };
    if (queue.length >= limit) {
      throw new Refusal("too-many-requests", "too many changes at once", {
        headers: { "retry-after": "1" },
      });
    }
    queues.set(key, queue);
    queue.length += 1;
    const mine = queue.last.then(work);
    queue.last = mine.catch(() => undefined);
    try {
      return await mine;
    } finally {
      queue.length -= 1;
      if (queue.length === 0) queues.delete(key);
    }
  };
}
