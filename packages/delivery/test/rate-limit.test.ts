import { describe, expect, it } from "vitest";
import { addressKey, createRateLimiter } from "../src/rate-limit.ts";

describe("a bucket", () => {
  it("gives its burst at once, then so many a second", () => {
    let now = 0;
    const limiter = createRateLimiter({ burst: 2, perSecond: 0.5 }, () => now);
    limiter.take("a");
    limiter.take("a");
    expect(() => limiter.take("a")).toThrow("too many requests");
    limiter.take("b");
    now = 1999;
    expect(() => limiter.take("a")).toThrow("too many requests");
    now = 2000;
    limiter.take("a");
    expect(() => limiter.take("a")).toThrow("too many requests");
  });

  it("never holds more than its burst, and a clock that goes back takes nothing", () => {
    let now = 1000;
    const limiter = createRateLimiter({ burst: 1, perSecond: 1 }, () => now);
    now = 1_000_000;
    limiter.take("a");
    expect(() => limiter.take("a")).toThrow("too many requests");
    now = 0;
    expect(() => limiter.take("a")).toThrow("too many requests");
    now = 1000;
    limiter.take("a");
  });
});

describe("an address", () => {
  it("stands for one IPv4 host, or one IPv6 network", () => {
    expect(addressKey("192.0.2.7")).toBe("192.0.2.7");
    expect(addressKey("::ffff:192.0.2.7")).toBe("192.0.2.7");
    expect(addressKey("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2");
    expect(addressKey("2001:db8:1:2::9")).toBe("2001:db8:1:2");
    expect(addressKey("2001:db8::9")).toBe("2001:db8:0:0");
    expect(addressKey("::1")).toBe("0:0:0:0");
  });
});
