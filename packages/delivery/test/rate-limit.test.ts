import { describe, expect, it } from "vitest";
import { addressKey, clientAddress, createRateLimiter } from "../src/rate-limit.ts";

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

describe("what is known once it is done", () => {
  it("is charged, and who owes some waits until it is there again", () => {
    let now = 0;
    const limiter = createRateLimiter({ burst: 10, perSecond: 2 }, () => now);
    limiter.check("a");
    limiter.charge("a", 30);
    const refused = (seconds: string) =>
      expect.objectContaining({ headers: { "retry-after": seconds } });
    expect(() => limiter.check("a")).toThrow(refused("11"));
    limiter.check("b");
    now = 10_000;
    expect(() => limiter.check("a")).toThrow(refused("1"));
    now = 10_500;
    limiter.check("a");
    // To look takes nothing.
    limiter.take("a");
  });
});

describe("an address", () => {
  it("is that of the connection where no proxy is trusted, whatever a header says", () => {
    expect(clientAddress("192.0.2.1", "198.51.100.9", 0)).toBe("192.0.2.1");
    expect(clientAddress("192.0.2.1", undefined, 0)).toBe("192.0.2.1");
  });

  it("is the one that the outermost trusted proxy saw, not what a client wrote before it", () => {
    const forwarded = "203.0.113.66, 198.51.100.9, 10.0.0.2";
    expect(clientAddress("10.0.0.1", forwarded, 1)).toBe("10.0.0.2");
    expect(clientAddress("10.0.0.1", forwarded, 2)).toBe("198.51.100.9");
    expect(clientAddress("10.0.0.1", "2001:db8::9", 1)).toBe("2001:db8::9");
  });

  it("is that of the connection where the proxies said too little, or no address", () => {
    for (const forwarded of [undefined, "", "198.51.100.9", "unknown, 10.0.0.2"]) {
      expect(clientAddress("10.0.0.1", forwarded, 2)).toBe("10.0.0.1");
    }
  });

  it("stands for one IPv4 host, or one IPv6 network", () => {
    expect(addressKey("192.0.2.7")).toBe("192.0.2.7");
    expect(addressKey("::ffff:192.0.2.7")).toBe("192.0.2.7");
    expect(addressKey("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2");
    expect(addressKey("2001:db8:1:2::9")).toBe("2001:db8:1:2");
    expect(addressKey("2001:db8::9")).toBe("2001:db8:0:0");
    expect(addressKey("::1")).toBe("0:0:0:0");
  });
});
