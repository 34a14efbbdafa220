import { expect, test } from "vitest";
import { createRateLimit, networkOf } from "../../src/collect/rate-limit.ts";

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

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:db8:1:2::", "2001:db8:1:2"],
  ["2001:0DB8::1", "2001:db8:0:0"],
  ["::1", "0:0:0:0"],
  ["fe80::1%eth0", "fe80:0:0:0"],
  ["::ffff:192.0.2.1", "0:0:0:0:0:ffff:c000:201"],
  ["::ffff:192.0.2.2", "0:0:0:0:0:ffff:c000:202"],
  ["not:an:address", "not:an:address"],
  ["", ""],
])("networkOf(%j) is %j", (address, network) => expect(networkOf(address)).toBe(network));
