/**
 * Work under a key: what must be alone, and what may run beside others of its kind. In the order it came, at most so much waiting.
 * @module
 */

import { Refusal } from "./refusal.ts";

export type InTurn = <T>(key: string, work: () => Promise<T>) => Promise<T>;

export interface Turns {
  /** When all that came before has ended; nothing begins until it has. */
  readonly alone: InTurn;
  /** When all that came before and wanted to be alone has ended. */
  readonly together: InTurn;
  /** How much has not begun, under all keys. */
  readonly waiting: () => number;
}

interface Queue {
  /** Settled when the last that wanted to be alone has ended. */
  alone: Promise<unknown>;
  /** Settled when everything has. */
  all: Promise<unknown>;
  length: number;
}

/** Rejects with `Refusal`, `too-many-requests`, where `limit` are under way or waiting. */
export function createTurns(limit: number): Turns {
  const queues = new Map<string, Queue>();
  let waiting = 0;

  function queueOf(key: string): Queue {
    const held = queues.get(key);
    if (held !== undefined) return held;
    const queue = { alone: Promise.resolve(), all: Promise.resolve(), length: 0 };
    queues.set(key, queue);
    return queue;
  }

  async function enter<T>(
    key: string,
    work: () => Promise<T>,
    kind: "alone" | "together",
  ): Promise<T> {
    const queue = queueOf(key);
    if (queue.length >= limit) {
      throw new Refusal("too-many-requests", "too many changes at once", {
        headers: { "retry-after": "1" },
      });
    }
    queue.length += 1;
    waiting += 1;
    const begin = (): Promise<T> => {
      waiting -= 1;
      return work();
    };
    const mine = kind === "alone" ? queue.all.then(begin) : queue.alone.then(begin);
    const ended = mine.catch(() => undefined);
    if (kind === "alone") queue.alone = queue.all = ended;
    else {
      const before = queue.all;
      queue.all = ended.then(() => before);
    }
    try {
      return await mine;
    } finally {
      queue.length -= 1;
      if (queue.length === 0) queues.delete(key);
    }
  }

  return {
    alone: (key, work) => enter(key, work, "alone"),
    together: (key, work) => enter(key, work, "together"),
    waiting: () => waiting,
  };
}
