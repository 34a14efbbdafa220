/**
 * The bodies that are being read, or wait and are dealt with: so many bytes in all, and of one caller. Whatever waits for a turn or for
 * the store came in one of them, so this bounds it.
 * @module
 */

import type { Limits } from "./limits.ts";
import { Refusal } from "./refusal.ts";

export interface Room {
  /** The body has turned out to be this long, no longer than was said. */
  readonly shrink: (bytes: number) => void;
  /** The body is dealt with. */
  readonly release: () => void;
}

/** Makes room for a body of one caller. Throws `Refusal` where there is none. */
export type Reserve = (caller: string, bytes: number) => Room;

/** About what a request takes in memory beside its body, in bytes. */
const WEIGHT = 4096;

export function createReading(limits: Pick<Limits, "bodyBytes" | "bodyBytesPerDevice">): Reserve {
  const held = new Map<string, number>();
  let all = 0;

  function change(caller: string, by: number): void {
    all += by;
    const own = (held.get(caller) ?? 0) + by;
    if (own > 0) held.set(caller, own);
    else held.delete(caller);
  }

  return (caller, bytes) => {
    let weight = bytes + WEIGHT;
    const own = (held.get(caller) ?? 0) + weight;
    if (all + weight > limits.bodyBytes || own > limits.bodyBytesPerDevice) {
      throw new Refusal("too-many-requests", "too much is under way at once", {
        headers: { "retry-after": "1" },
      });
    }
    change(caller, weight);
    const leave = (left: number): void => {
      change(caller, left - weight);
      weight = left;
    };
    return { shrink: (length) => leave(length + WEIGHT), release: () => leave(0) };
  };
}
