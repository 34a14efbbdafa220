import { expect, test } from "vitest";
import { createRateLimit } from "../../src/collect/rate-limit.ts";

const rate = { burst: 3, perMinute: 60 };

test("a burst, then what time gives", () => {
  const limit = createRateLimit(rate);
  expect(limit.take("a", 3, 0)).toBe(true);
  expect(limit.take("a", 1, 0)).toBe(false);
  expect(limit.take("a", 1, 1_000)).toBe(true);
  expect(limit.take("a", 1, 1_000)).toBe(false);
  expect(limit.take("a", 3, 60_000)).toBe(true);
});

test("takes all or nothing", () => {
  const limit = createRateLimit(rate);
  expect(limit.take("a", 4, 0)).toBe(false);
  expect(limit.take("a", 3, 0)).toBe(true);
});

test("one key is not another", () => {
  const limit = createRateLimit(rate);
  expect(limit.take("a", 3, 0)).toBe(true);
  expect(limit.take("b", 3, 0)).toBe(true);
});

test("a clock that is set back gives nothing and takes nothing", () => {
  const limit = createRateLimit(rate);
  expect(limit.take("a", 2, 10_000)).toBe(true);
  expect(limit.take("a", 1, 0)).toBe(true);
  expect(limit.take("a", 1, 0)).toBe(false);
});

test("forgets the key that was quiet longest", () => {
  const limit = createRateLimit(rate, 2);
  limit.take("a", 3, 0);
  limit.take("b", 3, 0);
  limit.take("a", 0, 0);
  limit.take("c", 3, 0);
  expect(limit.take("a", 1, 0)).toBe(false);
  expect(limit.take("b", 1, 0)).toBe(true);
});
