/**
 * Work under a key: what must be alone, and what may run beside others of its kind. In the order it came, at most so much waiting, and of
 * one device so much.
 * @module
 */

import type { Limits } from "./limits.ts";
import { Refusal } from "./refusal.ts";

/** `device`: whose work it is. */
export type InTurn = <T>(key: string, device: number, work: () => Promise<T>) => Promise<T>;

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
  /** How much of that is each device's. */
  readonly devices: Map<number, number>;
}

/** Rejects with `Refusal`, `too-many-requests`, where so many are under way or waiting. */
export function createTurns(limits: Pick<Limits, "waiting" | "waitingPerDevice">): Turns {
  const queues = new Map<string, Queue>();
  let waiting = 0;

  function queueOf(key: string): Queue {
    const found = queues.get(key);
    if (found !== undefined) return found;
    const settled = Promise.resolve();
    return { alone: settled, all: settled, length: 0, devices: new Map() };
  }

  /** Counts it; the answer counts it off again. */
  function count(key: string, device: number, queue: Queue): () => void {
    const own = queue.devices.get(device) ?? 0;
    if (queue.length >= limits.waiting || own >= limits.waitingPerDevice) {
      throw new Refusal("too-many-requests", "too many changes at once", {
        headers: { "retry-after": "1" },
      });
    }
    queues.set(key, queue);
    queue.length += 1;
    queue.devices.set(device, own + 1);
    return () => {
      queue.length -= 1;
      const left = (queue.devices.get(device) ?? 1) - 1;
      if (left === 0) queue.devices.delete(device);
      else queue.devices.set(device, left);
      if (queue.length === 0) queues.delete(key);
    };
  }

  async function enter<T>(
    key: string,
    device: number,
    work: () => Promise<T>,
    kind: "alone" | "together",
  ): Promise<T> {
    const queue = queueOf(key);
    const end = count(key, device, queue);
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
      end();
    }
  }

  return {
    alone: (key, device, work) => enter(key, device, work, "alone"),
    together: (key, device, work) => enter(key, device, work, "together"),
    waiting: () => waiting,
  };
}
