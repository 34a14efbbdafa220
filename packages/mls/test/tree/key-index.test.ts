import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  hasRepeats,
  type KeyIndex,
  keyCount,
  NO_KEYS,
  reindexed,
} from "../../src/tree/key-index.ts";

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

function comesBefore(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) < 0;
}

/** The sizes of the pieces, whose keys are in order throughout, and within the bounds. */
function sizesOf({ pieces, bounds }: KeyIndex): number[] {
  expect(bounds.keys.length).toBe(pieces.length);
  for (const { heads, keys } of [...pieces, bounds]) {
    expect(heads).toEqual(keys.map(([a = 0, b = 0, c = 0]) => (a << 16) | (b << 8) | c));
  }
  const all = pieces.flatMap(({ keys }) => keys);
  for (const [i, one] of all.slice(1).entries()) {
    expect(comesBefore(all[i] ?? one, one)).toBe(true);
  }
  for (const [i, { keys }] of pieces.entries()) {
    const [first, last] = [bounds.keys[i] ?? new Uint8Array(0), bounds.keys[i + 1]];
    for (const one of keys) {
      expect(comesBefore(one, first)).toBe(false);
      expect(!last || comesBefore(one, last)).toBe(true);
    }
  }
  return pieces.map(({ keys }) => keys.length);
}

describe("the keys in use", () => {
  it("are counted as a map would, and older values stay as they were", () => {
    fc.assert(
      fc.property(keys, fc.array(fc.tuple(keys, fc.nat())), (start, steps) => {
        let inUse: readonly Uint8Array[] = start;
        let index = reindexed(NO_KEYS, [], start);
        const past: [KeyIndex, Counts][] = [];
        const asked = [start, ...steps.map(([come]) => come)].flat();
        for (const [come, going] of steps) {
          past.push([index, countedBy(inUse)]);
          const gone = inUse.slice(0, going % (inUse.length + 1));
          inUse = [...inUse.slice(gone.length), ...come];
          index = reindexed(index, gone, come);
          sizesOf(index);
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
        const index = reindexed(NO_KEYS, [], there);
        const gone = there.slice(going % (there.length + 1));
        let single = index;
        for (const one of gone) single = reindexed(single, [one], []);
        for (const one of come) single = reindexed(single, [], [one]);
        sizesOf(single);
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
  ])("are in pieces that are not long when they come %s", (_, bytesOf) => {
    const all = Array.from({ length: 1000 }, (__, n) => Uint8Array.from(bytesOf(n)));
    let index = NO_KEYS;
    for (const one of all) index = reindexed(index, [], [one]);
    expect(Math.max(...sizesOf(index))).toBeLessThanOrEqual(32);
    expect(index.pieces.length).toBeLessThanOrEqual(1000 / 16);
    for (const one of all) expect(keyCount(index, one)).toBe(1);
    for (const one of all.slice(0, 990)) index = reindexed(index, [one], []);
    const [, ...sizes] = sizesOf(index);
    expect(Math.min(...sizes)).toBeGreaterThan(0);
    for (const [n, one] of all.entries()) expect(keyCount(index, one)).toBe(n < 990 ? 0 : 1);
    index = reindexed(index, all.slice(990), []);
    expect(sizesOf(index)).toEqual([0]);
  });

  it("share what a change doesn't touch", () => {
    const all = Array.from({ length: 1000 }, (_, n) => Uint8Array.of(n >> 8, n & 255));
    const before = reindexed(NO_KEYS, [], all);
    const after = reindexed(before, [], [Uint8Array.of(9)]);
    const old = new Set(before.pieces);
    expect(after.pieces.filter((one) => !old.has(one)).length).toBeLessThanOrEqual(2);
  });
});
