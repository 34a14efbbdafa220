import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hasRepeats, type KeyIndex, keyCount, reindexed } from "../../src/tree/key-index.ts";

/** Keys of which many begin alike, or are the beginning of others. */
const key = fc
  .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 9 }))
  .map(([alike, n]) => Uint8Array.of(...new Uint8Array(alike), ...(n === 9 ? [] : [n])));
const keys = fc.array(key, { maxLength: 40 });

type Counts = ReadonlyMap<string, number>;

function countedBy(keysInUse: readonly Uint8Array[]): Counts {
  const counts = new Map<string, number>();
  for (const one of keysInUse) counts.set(one.join(), (counts.get(one.join()) ?? 0) + 1);
  return counts;
}

function expectCounts(index: KeyIndex, counts: Counts, asked: readonly Uint8Array[]): void {
  for (const one of asked) expect(keyCount(index, one)).toBe(counts.get(one.join()) ?? 0);
  expect(hasRepeats(index)).toBe([...counts.values()].some((count) => count > 1));
}

/** How many keys are on the longest way down; what is on either side of each is in order, and weighs no more than thrice the other. */
function depthOf(index: KeyIndex): number {
  if (!index) return 0;
  const { smaller, larger, weight } = index;
  const [left, right] = [smaller?.weight ?? 1, larger?.weight ?? 1];
  expect(weight).toBe(left + right);
  expect(Math.max(left, right)).toBeLessThanOrEqual(3 * Math.min(left, right));
  return 1 + Math.max(depthOf(smaller), depthOf(larger));
}

describe("the keys in use", () => {
  it("are counted as a map would, and older values stay as they were", () => {
    fc.assert(
      fc.property(keys, fc.array(fc.tuple(keys, fc.nat())), (start, steps) => {
        let inUse: readonly Uint8Array[] = start;
        let index = reindexed(undefined, [], start);
        const past: [KeyIndex, Counts][] = [];
        const asked = [start, ...steps.map(([come]) => come)].flat();
        for (const [come, going] of steps) {
          past.push([index, countedBy(inUse)]);
          const gone = inUse.slice(0, going % (inUse.length + 1));
          inUse = [...inUse.slice(gone.length), ...come];
          index = reindexed(index, gone, come);
          depthOf(index);
        }
        for (const [before, counts] of [...past, [index, countedBy(inUse)] as const]) {
          expectCounts(before, counts, asked);
        }
      }),
    );
  });

  it("are the same whether they come and go one by one or together", () => {
    fc.assert(
      fc.property(keys, keys, fc.nat(), (there, come, going) => {
        const index = reindexed(undefined, [], there);
        const gone = there.slice(going % (there.length + 1));
        let single = index;
        for (const one of gone) single = reindexed(single, [one], []);
        for (const one of come) single = reindexed(single, [], [one]);
        depthOf(single);
        const together = reindexed(index, gone, come);
        for (const one of [...there, ...come]) {
          expect(keyCount(together, one)).toBe(keyCount(single, one));
        }
      }),
    );
  });

  it.each([
    ["in order", (n: number) => [n >> 8, n & 255]],
    ["backwards", (n: number) => [255 - (n >> 8), 255 - (n & 255)]],
    [
      "with a long beginning that all have",
      (n: number) => [...new Uint8Array(60), n >> 8, n & 255],
    ],
    ["each the beginning of the next", (n: number) => [...new Uint8Array(n)]],
  ])("are found in few steps when they come %s", (_, bytesOf) => {
    const all = Array.from({ length: 1000 }, (__, n) => Uint8Array.from(bytesOf(n)));
    let index: KeyIndex;
    for (const one of all) index = reindexed(index, [], [one]);
    expect(depthOf(index)).toBeLessThanOrEqual(2.5 * Math.log2(all.length));
    for (const one of all) expect(keyCount(index, one)).toBe(1);
    for (const one of all.slice(0, 990)) index = reindexed(index, [one], []);
    expect(depthOf(index)).toBeLessThanOrEqual(8);
    expect(index?.weight).toBe(11);
  });

  it("share what a change doesn't touch", () => {
    const all = Array.from({ length: 1000 }, (_, n) => Uint8Array.of(n >> 8, n & 255));
    const before = reindexed(undefined, [], all);
    const after = reindexed(before, [], [Uint8Array.of(9)]);
    const entries = (index: KeyIndex): object[] =>
      index ? [index, ...entries(index.smaller), ...entries(index.larger)] : [];
    const old = new Set(entries(before));
    expect(entries(after).filter((one) => !old.has(one)).length).toBeLessThan(25);
  });
});
