import { describe, expect, it } from "vitest";
import { signingTime } from "../src/account.ts";

const DAY = 24 * 3600 * 1000;

describe("the time that a device list is signed by", () => {
  const now = Date.UTC(2026, 0, 1);
  const list = (issuedAt: number) => ({
    issuedAt: BigInt(issuedAt / 1000),
    expiresAt: BigInt((issuedAt + 365 * DAY) / 1000),
  });

  it("is the service's, whichever way our clock is wrong", () => {
    for (const wrong of [-9000 * DAY, -DAY, 0, DAY, 9000 * DAY]) {
      const clocks = { ours: now + wrong, theirs: now };
      expect(signingTime(list(now - 10 * DAY), clocks)).toBe(now);
    }
    // Also where the list before was signed by the same wrong clock, or has expired.
    expect(signingTime(list(now + DAY), { ours: now - DAY, theirs: now })).toBe(now);
    expect(signingTime(list(now - 400 * DAY), { ours: now, theirs: now })).toBe(now);
  });

  it("is not before the list that it follows, nor behind its end, unless our clock says so, too", () => {
    const clocks = (theirs: number) => ({ ours: now, theirs });
    const before = list(now - 10 * DAY);
    expect(signingTime(before, clocks(0))).toBe(now - 10 * DAY);
    expect(signingTime(before, clocks(Date.UTC(3000, 0, 1)))).toBe(now + 355 * DAY);
    expect(signingTime(list(now - 400 * DAY), clocks(Date.UTC(3000, 0, 1)))).toBe(now);
  });
});
