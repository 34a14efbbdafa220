import { expect, it } from "vitest";
import { createPermits } from "../src/permits.ts";

it("there are so many in all, and so many for each owner; one that is given back is free, once", () => {
  const permits = createPermits(3);
  const owners = [["account a", 2] as const, ["address x", 3] as const];
  const first = permits.take(owners);
  expect(first).toBeDefined();
  expect(permits.take(owners)).toBeDefined();
  // The account has its two, and what was refused took nothing from the address.
  expect(permits.take(owners)).toBeUndefined();
  expect(permits.take([["address x", 3]])).toBeDefined();
  expect(permits.take([])).toBeUndefined();
  first?.();
  first?.();
  expect(permits.take(owners)).toBeDefined();
  expect(permits.take([])).toBeUndefined();
});
