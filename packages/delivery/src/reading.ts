/**
 * The bodies that are being read, or wait and are dealt with: so many bytes in all, and from one account or address. Whatever waits for a
 * turn or for the store came in one of them, so this bounds it.
 * @module
 */

import type { Limits } from "./limits.ts";
import { Refusal } from "./refusal.ts";

export interface Room {
  /** So much more has come of the body. Throws `Refusal` where there is no room for it. */
  readonly grow: (bytes: number) => void;
  /** The body is dealt with. */
  readonly release: () => void;
}

/**
 * Room for a body of so many bytes, which these have sent. What hasn't come takes none: somebody who says much and sends little holds up
 * nobody. Throws `Refusal` where there is none now.
 */
export type Reserve = (callers: readonly string[], bytes: number) => Room;

/** About what a request takes in memory beside its body, in bytes. */
const WEIGHT = 4096;

export function createReading(limits: Pick<Limits, "bodyBytes" | "bodyBytesPerCaller">): Reserve {
  const held = new Map<string, number>();
  let all = 0;

  function check(callers: readonly string[], bytes: number): void {
    const fits =
      all + bytes <= limits.bodyBytes &&
      callers.every((caller) => (held.get(caller) ?? 0) + bytes <= limits.bodyBytesPerCaller);
    if (fits) return;
    throw new Refusal("too-many-requests", "too much is under way at once", {
      headers: { "retry-after": "1" },
    });
  }

  function change(callers: readonly string[], by: number): void {
    all += by;
    for (const caller of callers) {
      const own = (held.get(caller) ?? 0) + by;
      if (own > 0) held.set(caller, own);
      else held.delete(caller);
    }
  }

  return (callers, bytes) => {
    check(callers, bytes + WEIGHT);
    let weight = WEIGHT;
    change(callers, weight);
    return {
      grow(more) {
        check(callers, more);
        change(callers, more);
        weight += more;
      },
      release() {
        change(callers, -weight);
        weight = 0;
      },
    };
  };
}
