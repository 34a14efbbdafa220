/**
 * Token buckets: so much at once, so much a second in the long run.
 * @module
 */

import { isIP } from "node:net";
import { createRecent } from "./recent.ts";
import { Refusal } from "./refusal.ts";

export interface Rate {
  /** How many at once. */
  readonly burst: number;
  readonly perSecond: number;
}

export interface RateLimiter {
  /** Takes one from the bucket of `key`, or so many, at most a full one. Throws `Refusal` with `too-many-requests` where they aren't there. */
  readonly take: (key: string, count?: number) => void;
  /** Whether there is one to take. */
  readonly has: (key: string) => boolean;
  /** Takes so many, if they are there; otherwise none. */
  readonly tryTake: (key: string, count?: number) => boolean;
  /** Takes none, and throws `Refusal` as `take` does where there is none to take. */
  readonly check: (key: string) => void;
  /** For what turns out to be so much once it is done: takes as many, also those that aren't there, and who owes some waits longer. */
  readonly charge: (key: string, count?: number) => void;
}

interface Bucket {
  readonly left: number;
  readonly at: number;
}

/** How many buckets are remembered: past that, those that were touched longest ago count as full. */
const BUCKETS = 50_000;

/** `now` in milliseconds. */
export function createRateLimiter({ burst, perSecond }: Rate, now: () => number): RateLimiter {
  const buckets = createRecent<Bucket>(BUCKETS);

  function look(key: string): Bucket {
    const at = now();
    const held = buckets.get(key) ?? { left: burst, at };
    const elapsed = Math.max(0, at - held.at) / 1000;
    return { left: Math.min(burst, held.left + elapsed * perSecond), at };
  }

  function tryTake(key: string, count = 1): boolean {
    const { left, at } = look(key);
    const enough = left >= count;
    buckets.set(key, { left: enough ? left - count : left, at });
    return enough;
  }

  /** `count`: how many have to be there. */
  function refuse(key: string, count: number): never {
    const seconds = Math.max(1, Math.ceil((count - look(key).left) / perSecond));
    throw new Refusal("too-many-requests", "too many requests", {
      headers: { "retry-after": String(seconds) },
    });
  }

  const has = (key: string): boolean => look(key).left >= 1;

  return {
    has,
    tryTake,
    take(key, count = 1) {
      const taken = Math.min(count, burst);
      if (!tryTake(key, taken)) refuse(key, taken);
    },
    check(key) {
      if (!has(key)) refuse(key, 1);
    },
    charge(key, count = 1) {
      const { left, at } = look(key);
      buckets.set(key, { left: left - count, at });
    },
  };
}

/**
 * Who calls: the address of the connection, or, behind so many proxies that each append the address they were called from,
 * the one that the outermost of them saw. What stands further left in `X-Forwarded-For` anybody can make up.
 */
export function clientAddress(
  connection: string,
  forwardedFor: string | undefined,
  trustedProxies: number,
): string {
  if (trustedProxies === 0) return connection;
  const seen = forwardedFor?.split(",").at(-trustedProxies)?.trim() ?? "";
  return isIP(seen) === 0 ? connection : seen;
}

/** Whom an address stands for: one IPv4 address, or one IPv6 network of 64 bits. */
export function addressKey(address: string): string {
  const mapped = /^::ffff:([0-9.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const after = tail === "" ? [] : tail.split(":");
    while (groups.length + after.length < 8) groups.push("0");
    groups.push(...after);
  }
  return groups.slice(0, 4).join(":");
}
