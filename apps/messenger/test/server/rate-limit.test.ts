import { expect, test } from "vitest";
import { createRateLimit } from "../../src/server/rate-limit.ts";

test("a burst, then as many as the minute allows", () => {
  const limit = createRateLimit({ burst: 3, perMinute: 60 });
  const takes = (times: number, at: number) =>
    Array.from({ length: times }, () => limit.take("a", at)).filter(Boolean).length;
  expect(takes(5, 0)).toBe(3);
  expect(takes(5, 2000)).toBe(2);
  expect(takes(5, 600_000)).toBe(3);
});

test("one address doesn't use up another's", () => {
  const limit = createRateLimit({ burst: 1, perMinute: 1 });
  expect(limit.take("a", 0)).toBe(true);
  expect(limit.take("a", 0)).toBe(false);
  expect(limit.take("b", 0)).toBe(true);
});

test("a clock that goes back gives nothing", () => {
  const limit = createRateLimit({ burst: 1, perMinute: 60 });
  expect(limit.take("a", 10_000)).toBe(true);
  expect(limit.take("a", 0)).toBe(false);
  expect(limit.take("a", 500)).toBe(false);
});

test("it forgets the address that was quiet longest, so that it holds no more than it may", () => {
  const limit = createRateLimit({ burst: 1, perMinute: 1, addresses: 2 });
  limit.take("a", 0);
  limit.take("b", 0);
  limit.take("a", 0);
  limit.take("c", 0);
  expect(limit.take("a", 0)).toBe(false);
  expect(limit.take("b", 0)).toBe(true);
});
