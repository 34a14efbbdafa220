/**
 * How many uploads and downloads are under way: each holds one part in memory, for as long as its client is slow.
 * @module
 */

import { Refusal } from "../refusal.ts";

export interface Transfers {
  /** Counts one; the answer ends it, and may be called again. Throws `Refusal` with `too-many-requests`. */
  readonly begin: (account: string) => () => void;
}

export function createTransfers(limits: {
  readonly transfers: number;
  readonly transfersPerAccount: number;
}): Transfers {
  const running = new Map<string, number>();
  let all = 0;
  return {
    begin(account) {
      const own = running.get(account) ?? 0;
      if (all >= limits.transfers || own >= limits.transfersPerAccount) {
        throw new Refusal("too-many-requests", "too many blobs are on their way", {
          headers: { "retry-after": "1" },
        });
      }
      all += 1;
      running.set(account, own + 1);
      let over = false;
      return () => {
        if (over) return;
        over = true;
        all -= 1;
        const left = (running.get(account) ?? 1) - 1;
        if (left === 0) running.delete(account);
        else running.set(account, left);
      };
    },
  };
}
