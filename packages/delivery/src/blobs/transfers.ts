/**
 * How many uploads and downloads are under way: each holds one part in memory, for as long as its client is slow.
 * @module
 */

import type { Limits } from "../limits.ts";
import { Refusal } from "../refusal.ts";

export interface Transfers {
  /** Counts one; the answer ends it, and may be called again. Throws `Refusal` with `too-many-requests`. */
  readonly begin: (from: { readonly account: string; readonly address: string }) => () => void;
}

export function createTransfers(
  limits: Pick<Limits, "transfers" | "transfersPerAccount" | "transfersPerAddress">,
): Transfers {
  const accounts = new Map<string, number>();
  const addresses = new Map<string, number>();
  let all = 0;
  return {
    begin({ account, address }) {
      const full =
        all >= limits.transfers ||
        (accounts.get(account) ?? 0) >= limits.transfersPerAccount ||
        (addresses.get(address) ?? 0) >= limits.transfersPerAddress;
      if (full) {
        throw new Refusal("too-many-requests", "too many blobs are on their way", {
          headers: { "retry-after": "1" },
        });
      }
      const counted = [[accounts, account] as const, [addresses, address] as const];
      all += 1;
      for (const [running, key] of counted) running.set(key, (running.get(key) ?? 0) + 1);
      let over = false;
      return () => {
        if (over) return;
        over = true;
        all -= 1;
        for (const [running, key] of counted) {
          const left = (running.get(key) ?? 1) - 1;
          if (left === 0) running.delete(key);
          else running.set(key, left);
        }
      };
    },
  };
}
