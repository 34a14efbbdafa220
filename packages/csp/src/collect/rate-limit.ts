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

/**
 * Whose bucket an address takes from. A network gets 64 bits of an IPv6 address for itself (RFC 4291 §2.5.1), so that
 * what follows them tells nobody apart.
 */
export function networkOf(address: string): string {
  const [plain = ""] = address.split("%", 1);
  const host = plain.includes(":") ? URL.parse(`http://[${plain}]/`)?.hostname : undefined;
  if (host === undefined) return plain;
  const [head = "", tail] = host.slice(1, -1).split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail ? tail.split(":") : [];
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => "0");
  const groups = [...first, ...zeros, ...last];
  // An IPv4 address in the form of the other.
  const isMapped = groups.slice(0, 6).join(":") === "0:0:0:0:0:ffff";
  return groups.slice(0, isMapped ? 8 : 4).join(":");
}
