import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BytesMap, hasher, keyOf } from "../src/bytes.ts";
import { random } from "./world.ts";

const sorted = (values: Iterable<number>): readonly number[] => [...values].sort((a, b) => a - b);

describe("a map by bytes", () => {
  it("is a map", () => {
    const few = fc.uint8Array({ maxLength: 2, max: 3 });
    const step = fc.tuple(fc.constantFrom("set", "set", "delete"), few, fc.nat());
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const [map, model] = [new BytesMap<number>(), new Map<string, number>()];
        for (const [what, key, value] of steps) {
          if (what === "set") {
            map.set(key, value);
            model.set(keyOf(key), value);
          } else {
            map.delete(key);
            model.delete(keyOf(key));
          }
          expect(map.size).toBe(model.size);
          expect(sorted(map.values())).toEqual(sorted(model.values()));
          for (const [, other] of steps) {
            expect(map.get(other)).toBe(model.get(keyOf(other)));
            expect(map.has(other)).toBe(model.has(keyOf(other)));
          }
        }
      }),
    );
  });

  it("knows keys of one hash apart: of so many some have the same", () => {
    const keys = Array.from({ length: 250_000 }, () => random(8));
    const map = new BytesMap<number>();
    for (const [i, key] of keys.entries()) map.set(key, i);
    expect(map.size).toBe(keys.length);
    expect(keys.filter((key, i) => map.get(key) !== i)).toEqual([]);
    // Some were set before others of their hash, some after.
    for (const [i, key] of keys.entries()) if (i % 2 === 1) map.delete(key);
    expect(map.size).toBe(125_000);
    expect(keys.filter((key, i) => map.get(key) !== (i % 2 === 1 ? undefined : i))).toEqual([]);
    expect([...map.values()].reduce((sum, i) => sum + i, 0)).toBe(125_000 * 124_999);
  });

  it("keeps its keys, whatever becomes of those that it was given", () => {
    const map = new BytesMap<string>();
    const key = new Uint8Array([1, 2, 3]);
    map.set(key, "one");
    key[0] = 9;
    expect(map.get(key)).toBeUndefined();
    expect(map.get(new Uint8Array([1, 2, 3]))).toBe("one");
    const buffer = Buffer.from([4, 5, 6]);
    map.set(buffer, "two");
    buffer[0] = 9;
    expect(map.get(new Uint8Array([4, 5, 6]))).toBe("two");
  });

  it("has hashes that nobody can choose keys for", () => {
    const pairs = [
      // FNV-1a has one hash for both, whatever it begins with, if the last byte of that is 0.
      [
        [84, 138, 9, 61, 164, 197],
        [209, 132, 42, 141, 78, 31],
      ],
      [[], [0]],
      [[7], [7, 0]],
      [
        [1, 2],
        [2, 1],
      ],
      [[0], [128]],
      // Those for which there are no factors at first.
      [
        [...Array(200).fill(0), 1, 0],
        [...Array(200).fill(0), 0, 1],
      ],
    ].map(([a, b]) => [new Uint8Array(a ?? []), new Uint8Array(b ?? [])] as const);
    let same = 0;
    for (let drawing = 0; drawing < 5_000; drawing++) {
      const hashOf = hasher();
      for (const [a, b] of pairs) {
        if (hashOf(a) === hashOf(b)) same++;
        expect(hashOf(a)).toBe(hashOf(a.slice()));
      }
    }
    // Two in a thousand runs have one.
    expect(same).toBeLessThan(3);
  });
});
