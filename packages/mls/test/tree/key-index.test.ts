import { nodeCrypto } from "@conclave/mls/node";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { emptyKeyIndex, keyCount, keyedHash, reindexed } from "../../src/tree/key-index.ts";

const key = fc.integer({ min: 0, max: 20 }).map((n) => Uint8Array.of(n));

describe.each([
  ["a keyed hash", keyedHash(nodeCrypto.random)],
  // Hashes that differ in their last bits only make the deepest trie there is.
  ["hashes with a common beginning", (bytes: Uint8Array) => bytes[0] ?? 0],
  ["hashes that collide", (bytes: Uint8Array) => (bytes[0] ?? 0) % 3],
])("the keys in use, by %s", (_, hash) => {
  it("counts as a map would, and older values stay as they were", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), key), { maxLength: 60 }), (steps) => {
        let index = emptyKeyIndex(hash);
        const counts = new Map<number, number>();
        for (const [come, bytes] of steps) {
          const n = bytes[0] ?? 0;
          const before = index;
          const count = counts.get(n) ?? 0;
          index = come ? reindexed(index, [], [bytes]) : reindexed(index, [bytes], []);
          counts.set(n, Math.max(0, count + (come ? 1 : -1)));
          expect(keyCount(index, bytes)).toBe(counts.get(n));
          expect(keyCount(before, bytes)).toBe(count);
        }
        for (const [n, count] of counts) expect(keyCount(index, Uint8Array.of(n))).toBe(count);
      }),
    );
  });

  it("takes many changes at once as it would take them one by one", () => {
    const keys = fc.array(key, { maxLength: 40 });
    fc.assert(
      fc.property(keys, keys, keys, (there, gone, come) => {
        const index = reindexed(emptyKeyIndex(hash), [], there);
        const together = reindexed(index, gone, come);
        let single = index;
        for (const one of gone) single = reindexed(single, [one], []);
        for (const one of come) single = reindexed(single, [], [one]);
        for (let n = 0; n <= 20; n++) {
          const bytes = Uint8Array.of(n);
          expect(keyCount(together, bytes)).toBe(keyCount(single, bytes));
        }
      }),
    );
  });
});

describe("the keyed hash", () => {
  it("is of every byte of a key, and of its length", () => {
    const hash = keyedHash(nodeCrypto.random);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 70 }), fc.nat(), (bytes, place) => {
        const changed = bytes.slice();
        const at = place % bytes.length;
        changed[at] = (bytes[at] ?? 0) ^ 1;
        expect(hash(bytes.slice())).toBe(hash(bytes));
        expect(hash(changed)).not.toBe(hash(bytes));
        expect(hash(Uint8Array.of(...bytes, 0))).not.toBe(hash(bytes));
      }),
    );
  });

  it("is another one under other bytes", () => {
    const bytes = nodeCrypto.random(32);
    const hashes = Array.from({ length: 8 }, () => keyedHash(nodeCrypto.random)(bytes));
    expect(new Set(hashes).size).toBe(8);
  });
});
