/**
 * How often somebody may do something: buckets of tokens that fill with time.
 * @module
 */

/** At most `burst` at once, and `perMinute` in the long run. */
export interface Rate {
  readonly burst: number;
  readonly perMinute: number;
}

export interface RateLimit {
  /** Takes `tokens` of this key's bucket, or none of them and answers false where it has fewer. */
  take(key: string, tokens: number, now: number): boolean;
}

/** Knows `keys` buckets at a time: the one that was quiet longest is forgotten first, which fills it. */
export function createRateLimit({ burst, perMinute }: Rate, keys = 10_000): RateLimit {
  const buckets = new Map<string, { tokens: number; at: number }>();
  return {
    take(key, tokens, now) {
      const bucket = buckets.get(key) ?? { tokens: burst, at: now };
      // A Map keeps its order of insertion.
      buckets.delete(key);
      buckets.set(key, bucket);
      if (buckets.size > keys) {
        const { value: oldest } = buckets.keys().next();
        if (oldest !== undefined) buckets.delete(oldest);
      }
      const elapsed = Math.max(0, now - bucket.at);
      bucket.tokens = Math.min(burst, bucket.tokens + (elapsed * perMinute) / 60_000);
      bucket.at = now;
      if (bucket.tokens < tokens) return false;
      bucket.tokens -= tokens;
      return true;
    },
  };
}
