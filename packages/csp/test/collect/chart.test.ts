import { expect, test } from "vitest";
import { chart, firstBar, periods, sparkline, toBars } from "../../src/collect/chart.ts";

const HOUR = 3_600_000;
const now = Date.UTC(2026, 10, 26, 17, 30);

test("the last bar has now in it", () => {
  const first = firstBar(periods.day, now);
  expect(new Date(first).toISOString()).toBe("2026-11-25T18:00:00.000Z");
  const bars = toBars(
    [
      { start: Date.UTC(2026, 10, 26, 17), count: 2 },
      { start: first, count: 1 },
      { start: first - HOUR, count: 100 },
    ],
    periods.day,
    now,
  );
  expect(bars).toHaveLength(24);
  expect(bars.at(0)).toBe(1);
  expect(bars.at(-1)).toBe(2);
  expect(bars.reduce((a, b) => a + b)).toBe(3);
});

test("hours add up to longer bars", () => {
  const start = Date.UTC(2026, 10, 26, 12);
  const counts = [0, 1, 2].map((i) => ({ start: start + i * HOUR, count: 1 }));
  expect(toBars(counts, periods.week, now).at(-1)).toBe(3);
});

test("says in words and in a table what it draws", () => {
  const bars = Array.from({ length: 24 }, (_, i) => (i === 23 ? 3 : 0));
  const { markup } = chart([{ name: "noise", kind: "noise", bars }], periods.day, now);
  expect(markup).toContain('aria-label="Reports in 24 hours: 3 noise."');
  expect(markup).toContain("<title>2026-11-26 17:00: 3 noise</title>");
  expect(markup).toContain('<th scope="row">2026-11-26 17:00</th>');
  expect(markup.match(/<rect class="noise" x/g)).toHaveLength(1);
});

test("nothing at all is drawn, too", () => {
  const bars = Array.from({ length: 24 }, () => 0);
  const { markup } = chart([{ name: "noise", kind: "noise", bars }], periods.day, now);
  expect(markup).not.toContain("NaN");
  expect(sparkline([]).markup).not.toContain("NaN");
});
