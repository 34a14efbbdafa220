import { expect, it } from "vitest";
import { createRecent } from "../src/recent.ts";

it("a bounded map forgets what was set longest ago", () => {
  const recent = createRecent<number>(2);
  recent.set("a", 1);
  recent.set("b", 2);
  recent.set("a", 3);
  recent.set("c", 4);
  expect([recent.get("a"), recent.get("b"), recent.get("c")]).toEqual([3, undefined, 4]);
  expect(recent.size()).toBe(2);
});

it("a bounded map forgets by what values weigh, and keeps the newest whatever it weighs", () => {
  const recent = createRecent<number>(10, (value) => value);
  for (const [key, value] of [
    ["a", 4],
    ["b", 4],
    ["a", 5],
    ["c", 2],
  ] as const)
    recent.set(key, value);
  expect(["a", "b", "c"].map((key) => recent.get(key))).toEqual([5, undefined, 2]);
  recent.set("d", 11);
  expect(["a", "c", "d"].map((key) => recent.get(key))).toEqual([undefined, undefined, 11]);
  recent.set("e", 1);
  expect(["d", "e"].map((key) => recent.get(key))).toEqual([undefined, 1]);
});
