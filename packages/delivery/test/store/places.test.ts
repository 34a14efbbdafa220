import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { keyOf } from "../../src/bytes.ts";
import { Places } from "../../src/store/places.ts";
import type { Bytes } from "../world.ts";

const accepted = fc.record({
  seq: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  acceptedAt: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
});
/** Few lead to different slots, so that they stand in each other's way; and some differ at their ends alone. */
const hash: fc.Arbitrary<Bytes> = fc
  .tuple(fc.constantFrom(0, 1, 255), fc.nat({ max: 255 }), fc.nat({ max: 255 }))
  .map(([first, middle, end]) => {
    const bytes = new Uint8Array(32);
    bytes[0] = first;
    bytes[15] = middle;
    bytes[31] = end;
    return bytes;
  });

describe("places", () => {
  it("that were added last can be forgotten, and no others with them", () => {
    const kept = fc.uniqueArray(fc.tuple(hash, accepted), { selector: ([one]) => keyOf(one) });
    fc.assert(
      fc.property(kept, fc.nat(), (added, size) => {
        const places = new Places();
        for (const [one, place] of added) places.add(one, place);
        const stays = size % (added.length + 1);
        places.shrink(stays);
        expect(places.size).toBe(stays);
        for (const [i, [one, place]] of added.entries()) {
          expect(places.get(one)).toEqual(i < stays ? place : undefined);
        }
        for (const [one, place] of added.slice(stays).toReversed()) places.add(one, place);
        for (const [one, place] of added) expect(places.get(one)).toEqual(place);
      }),
    );
  });

  it("are found by their hashes, however many there are, and no others", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(hash, accepted)), fc.array(hash), (added, asked) => {
        const places = new Places();
        const model = new Map<string, unknown>();
        for (const [one, place] of added) {
          const known = model.get(keyOf(one));
          expect(places.get(one)).toEqual(known);
          expect(places.add(one, place)).toEqual(known);
          if (known === undefined) model.set(keyOf(one), place);
        }
        expect(places.size).toBe(model.size);
        for (const one of [...added.map(([each]) => each), ...asked]) {
          expect(places.get(one)).toEqual(model.get(keyOf(one)));
        }
      }),
    );
  });
});
