/**
 * The bodies that are being read at once: so many bytes in all, and of one caller.
 * @module
 */

import type { Limits } from "./limits.ts";
import { Refusal } from "./refusal.ts";

/** Makes room for so many bytes of one caller, and gives what gives it back. Throws `Refusal` where there is none. */
export type Reserve = (caller: string, bytes: number) => () => void;

export function createReading(limits: Pick<Limits, "bodyBytes" | "bodyBytesPerDevice">): Reserve {
  const held = new Map<string, number>();
  let all = 0;

  return (caller, bytes) => {
    const own = (held.get(caller) ?? 0) + bytes;
    if (all + bytes > limits.bodyBytes || own > limits.bodyBytesPerDevice) {
      throw new Refusal("too-many-requests", "too much is being read at once", {
        headers: { "retry-after": "1" },
      });
    }
    all += bytes;
    held.set(caller, own);
    return () => {
      all -= bytes;
      const left = (held.get(caller) ?? 0) - bytes;
      if (left > 0) held.set(caller, left);
      else held.delete(caller);
    };
  };
}
