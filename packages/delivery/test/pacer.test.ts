import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createPacer } from "../src/pacer.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("the first is said at once, and what comes soon after in one", () => {
  const said: string[] = [];
  const tell = createPacer<string>(1000, (what) => said.push(what));
  for (const what of ["a1", "a2", "a3"]) tell("a", what);
  tell("b", "b1");
  expect(said).toEqual(["a1", "b1"]);
  vi.advanceTimersByTime(1000);
  expect(said).toEqual(["a1", "b1", "a3"]);
  // The pause begins anew with it.
  tell("a", "a4");
  vi.advanceTimersByTime(999);
  expect(said).toHaveLength(3);
  vi.advanceTimersByTime(1);
  expect(said).toEqual(["a1", "b1", "a3", "a4"]);
  vi.advanceTimersByTime(5000);
  tell("a", "a5");
  expect(said.slice(4)).toEqual(["a5"]);
});
