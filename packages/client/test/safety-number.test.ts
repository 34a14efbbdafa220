import { describe, expect, it } from "vitest";
import { safetyNumber } from "../src/safety-number.ts";

const key = (fill: number) => new Uint8Array(32).fill(fill);

describe("the safety number", () => {
  it("is 60 digits in groups of five, the same on both sides", () => {
    const number = safetyNumber(key(1), key(2));
    expect(number).toMatch(/^(\d{5} ){11}\d{5}$/u);
    expect(safetyNumber(key(2), key(1))).toBe(number);
    // Fixed, since people compare it across versions.
    expect(number).toMatchInlineSnapshot(
      `"26379 36242 53006 97920 60317 30492 52034 23417 85253 13286 59201 20352"`,
    );
  });

  it("is another for another root key on either side", () => {
    const number = safetyNumber(key(1), key(2));
    expect(safetyNumber(key(1), key(3))).not.toBe(number);
    expect(safetyNumber(key(3), key(2))).not.toBe(number);
  });
});
