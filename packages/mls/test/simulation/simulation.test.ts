/** A few short runs of `npm run simulate`: whatever goes wrong on the way, all members agree, and so does who follows them. */

import { describe, expect, it } from "vitest";
import { simulate } from "./simulation.ts";

describe("a group over many steps, with losses, races and crashes", () => {
  it.each([
    { seed: 1, members: 5, mixed: true },
    { seed: 2, members: 6, mixed: true },
    { seed: 3, members: 8, mixed: false },
    { seed: 4, members: 12, mixed: false },
  ])("agrees: $members members, seed $seed", { timeout: 120_000 }, async (settings) => {
    const outcome = await simulate({ ...settings, steps: 60 });
    expect(outcome.epochs).toBeGreaterThan(4);
    expect(outcome.crashes).toBeGreaterThan(10);
    expect(outcome.read).toBeGreaterThan(10);
  });

  it("goes the same way again from the same seed", async () => {
    const settings = { seed: 5, members: 4, steps: 25 };
    expect(await simulate(settings)).toEqual(await simulate(settings));
  });
});
