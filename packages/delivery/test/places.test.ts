import { expect, it } from "vitest";
import { createPlaces } from "../src/places.ts";

it("there are so many in all, and so many for each owner; one that is given back is free, once", () => {
  const places = createPlaces(3);
  const owners = [["account a", 2] as const, ["address x", 3] as const];
  const first = places.take(owners);
  expect(first).toBeDefined();
  expect(places.take(owners)).toBeDefined();
  // The account has its two, and what was refused took nothing from the address.
  expect(places.take(owners)).toBeUndefined();
  expect(places.take([["address x", 3]])).toBeDefined();
  expect(places.take([])).toBeUndefined();
  first?.();
  first?.();
  expect(places.take(owners)).toBeDefined();
  expect(places.take([])).toBeUndefined();
});
