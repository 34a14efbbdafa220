import { describe, expect, test } from "vitest";
import { briefly, dayAndTimeOf, dayOf, timeOf } from "../../../src/page/model/calendar.ts";

/** Tuesday, 3 March 2026. */
const now = new Date(2026, 2, 3, 9, 30).getTime();
const at = (day: number, month = 2, year = 2026): number =>
  new Date(year, month, day, 23, 5).getTime();

describe("calendar", () => {
  test.each([
    [at(3), "Today"],
    [at(2), "Yesterday"],
    [at(1), "Sunday"],
    [at(25, 1), "Wednesday"],
    [at(24, 1), "24 February"],
    [at(24, 11, 2025), "24 December 2025"],
    [at(4), "4 March"],
  ])("dayOf %d is %s", (time, expected) => {
    expect(dayOf(time, now)).toBe(expected);
  });

  test("a list has room for little", () => {
    expect(briefly(at(3), now)).toBe(timeOf(at(3)));
    expect(briefly(at(1), now)).toBe("Sunday");
    expect(briefly(at(24, 1), now)).toBe("24 Feb");
  });

  test("a sentence names day and time", () => {
    expect(dayAndTimeOf(at(3), now)).toBe(`today at ${timeOf(at(3))}`);
    expect(dayAndTimeOf(at(10), now)).toBe(`10 March at ${timeOf(at(10))}`);
  });
});
