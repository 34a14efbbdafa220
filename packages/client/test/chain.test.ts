import { describe, expect, it } from "vitest";
import { chainNext, chainStart } from "../src/chain.ts";

const hash = (fill: number) => new Uint8Array(32).fill(fill);

describe("the chain", () => {
  it("is the same for the same history, and another for any other", async () => {
    const chainOf = async (transcript: number, ...entries: number[]) => {
      let chain = await chainStart(7n, hash(transcript));
      for (const entry of entries) chain = await chainNext(chain, hash(entry));
      return chain;
    };
    const chain = await chainOf(1, 2, 3);
    expect(await chainOf(1, 2, 3)).toEqual(chain);
    expect(chain).toMatchObject({ epoch: 7n, length: 2 });
    const others = await Promise.all([chainOf(9, 2, 3), chainOf(1, 3, 2), chainOf(1, 2, 2)]);
    for (const other of others) expect(other.hash).not.toEqual(chain.hash);
  });
});
