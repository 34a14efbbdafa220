/** A short run of `npm run fuzz`; and what holds for all bytes, with inputs that shrink. */

import { MlsError } from "@conclave/mls";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesEqual } from "../../src/bytes.ts";
import { conversation } from "./corpus.ts";
import { decoders } from "./decoders.ts";
import { hostileRoom } from "./live.ts";
import { mutated } from "./mutation.ts";
import { Random } from "./random.ts";
import { emptyTally, runInput } from "./run-decoders.ts";

const SEED = 20_261_126;

describe("the decoders", () => {
  it("end in a value or an MlsError, whatever they read", async () => {
    const all = await decoders(await conversation(), SEED);
    const tally = emptyTally();
    for (let n = 0; n < 40_000; n++) {
      await runInput(all, SEED, n, tally, { measure: false, longest: Number.POSITIVE_INFINITY });
    }
    expect(tally.inputs).toBe(40_000);
    expect(tally.values).toBeGreaterThan(4_000);
    expect(tally.refused).toBeGreaterThan(4_000);
  });

  it("§2.1 accept one encoding of each value", async () => {
    const all = await decoders(await conversation(), SEED);
    for (const { corpus, run } of all) {
      await fc.assert(
        fc.asyncProperty(fc.nat({ max: 2 ** 31 }), async (seed) => {
          const random = new Random(seed);
          const input = mutated(random, random.pick(corpus), corpus);
          try {
            const again = await run(input);
            return again === undefined || bytesEqual(again, input);
          } catch (error) {
            return error instanceof MlsError;
          }
        }),
        { numRuns: 50, seed: SEED },
      );
      for (const valid of corpus) await run(valid);
    }
  });
});

describe("live groups", () => {
  it("refuse what is hostile, stay as they were, and go on", async () => {
    const where = await hostileRoom(SEED);
    for (let n = 0; n < 150; n++) await where.take(n);
    expect(where.report()).toMatch(/^\d+ taken, refused: decode \d+/);
  });
});
