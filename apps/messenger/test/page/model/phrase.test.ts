import { describe, expect, test } from "vitest";
import { placesToAsk, wordsOf } from "../../../src/page/model/phrase.ts";

describe("wordsOf", () => {
  test("takes the words alone, however they were written down", () => {
    for (const text of [
      "Lantern ORCHARD  violet",
      "1. lantern\n2. orchard\n3. violet",
      " lantern,orchard; violet. ",
    ]) {
      expect(wordsOf(text)).toEqual(["lantern", "orchard", "violet"]);
    }
    expect(wordsOf(" 12, ")).toEqual([]);
  });
});

describe("placesToAsk", () => {
  test("are two, in their order, and any two", () => {
    const seen = new Set<number>();
    for (let a = 0; a < 12; a++) {
      for (let b = 0; b < 12; b++) {
        const draws = [a / 12, b / 12];
        const [one, other] = placesToAsk(12, () => draws.shift() ?? 0);
        expect(0 <= one && one < other && other < 12).toBe(true);
        seen.add(one).add(other);
      }
    }
    expect(seen.size).toBe(12);
  });
});
