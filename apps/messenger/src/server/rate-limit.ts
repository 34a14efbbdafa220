/**
 * How often an address may do something: a bucket of tokens that fills with time.
 * @module
 */

export interface RateLimit {
  /** Takes a token of this address; false where it has none left. */
  take(address: string, now: number): boolean;
}

/** At most `burst` at once, and `perMinute` in the long run; knows `addresses` of them at a time. */
export function createRateLimit({
  burst,
  perMinute,
  addresses = 10_000,
}: {
  readonly burst: number;
  readonly perMinute: number;
  readonly addresses?: number;
}): RateLimit {
  const buckets = new Map<string, { tokens: number; at: number }>();
  return {
    take(address, now) {
      const bucket = buckets.get(address) ?? { tokens: burst, at: now };
      // A Map keeps its order of insertion: the address that was quiet longest is forgotten first.
      buckets.delete(address);
      buckets.set(address, bucket);
      if (buckets.size > addresses) {
        for (const [oldest] of buckets) {
          buckets.delete(oldest);
          break;
        }
      }
      const elapsed = Math.max(0, now - bucket.at);
      bucket.tokens = Math.min(burst, bucket.tokens + (elapsed * perMinute) / 60_000);
      bucket.at = now;
      if (bucket.tokens < 1) return false;
      bucket.tokens -= 1;
      return true;
    },
  };
}
