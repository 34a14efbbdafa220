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
