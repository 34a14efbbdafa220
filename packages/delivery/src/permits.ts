/**
 * How much goes on at once: so much in all, and so much of each account, address or device.
 * @module
 */

/** Whom something is counted for, and how much of it they may have. */
export type Owner = readonly [key: string, limit: number];

export interface Permits {
  /** Takes one. The answer gives it back, and may be called again; undefined where there is none, in all or for one of these. */
  readonly take: (owners: readonly Owner[]) => (() => void) | undefined;
}

export function createPermits(limit: number): Permits {
  const held = new Map<string, number>();
  let all = 0;
  return {
    take(owners) {
      if (all >= limit) return undefined;
      if (owners.some(([key, most]) => (held.get(key) ?? 0) >= most)) return undefined;
      all += 1;
      for (const [key] of owners) held.set(key, (held.get(key) ?? 0) + 1);
      let over = false;
      return () => {
        if (over) return;
        over = true;
        all -= 1;
        for (const [key] of owners) {
          const left = (held.get(key) ?? 1) - 1;
          if (left === 0) held.delete(key);
          else held.set(key, left);
        }
      };
    },
  };
}
