import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  NewestPlaces,
  type RememberedLog,
  RememberedLogs,
} from "../../src/store/remembered-logs.ts";
import { REMEMBERED } from "../../src/store/store.ts";
import { type Bytes, random } from "../world.ts";

/** Adds the next so many, bounded after each batch. */
function addTo(places: NewestPlaces, hashes: Bytes[], batches: readonly number[]): void {
  for (const batch of batches) {
    for (let i = 0; i < batch; i++) {
      const hash = random(32);
      places.add(hash, { seq: hashes.push(hash), acceptedAt: 7 });
    }
    places.bound();
  }
}

describe("newest places", () => {
  it("are the last 1,024 at least, and not many more", () => {
    const batches = fc.array(fc.integer({ min: 1, max: 256 }), { maxLength: 40 });
    fc.assert(
      fc.property(batches, (sizes) => {
        const [places, hashes] = [new NewestPlaces(), [] as Bytes[]];
        addTo(places, hashes, sizes);
        expect(places.size).toBeGreaterThanOrEqual(Math.min(REMEMBERED, hashes.length));
        expect(places.size).toBeLessThan(2 * (REMEMBERED + 256));
        const kept = hashes.length - places.size;
        for (const [i, hash] of hashes.entries()) {
          const place = i < kept ? undefined : { seq: i + 1, acceptedAt: 7 };
          expect(places.get(hash)).toEqual(place);
        }
        // Whatever comes again has the place that it had.
        for (const [i, hash] of hashes.entries().drop(kept)) {
          const place = { seq: i + 1, acceptedAt: 7 };
          expect(places.add(hash, { seq: 9_999, acceptedAt: 9 })).toEqual(place);
          expect(places.get(hash)).toEqual(place);
        }
      }),
      { numRuns: 20 },
    );
  });

  it("are without those that are undone, also right after older ones went", () => {
    for (const before of [0, 5, REMEMBERED - 1, REMEMBERED]) {
      const [places, hashes] = [new NewestPlaces(), [] as Bytes[]];
      addTo(places, hashes, [before]);
      const undone = [random(32), random(32)];
      for (const hash of undone) places.add(hash, { seq: 9_999, acceptedAt: 7 });
      places.undo(2);
      expect(places.size).toBe(before);
      for (const hash of undone) expect(places.get(hash)).toBeUndefined();
      for (const hash of hashes) expect(places.get(hash)).toBeDefined();
    }
  });
});

const aLog = (members: number): RememberedLog => ({
  members: new Set(Array.from({ length: members }, (_, i) => i)),
  places: new NewestPlaces(),
  weight: 0,
});
const id = (name: string): Bytes => new TextEncoder().encode(name);
const heldOf = (logs: RememberedLogs<RememberedLog>, names: readonly string[]): string[] =>
  names.filter((name) => logs.get(id(name)) !== undefined);

describe("remembered logs", () => {
  it("stay where they are asked for, and go where others take their memory", () => {
    const logs = new RememberedLogs<RememberedLog>(100);
    logs.set(id("asked"), aLog(0));
    logs.set(id("not asked"), aLog(0));
    for (let i = 0; i < 30; i++) {
      logs.bound();
      expect(logs.get(id("asked"))).toBeDefined();
      logs.set(id(`another ${i}`), aLog(30));
    }
    expect(heldOf(logs, ["asked", "not asked"])).toEqual(["asked"]);
  });

  it("are fewer where they are larger, by members and by places, at once or as they grow", () => {
    const grow = {
      nothing: () => undefined,
      members: ({ members }: RememberedLog) => members.add(members.size),
      places: ({ places }: RememberedLog) => places.add(random(32), { seq: 1, acceptedAt: 1 }),
    };
    const counts = Object.values(grow).map((step) => {
      const logs = new RememberedLogs<RememberedLog>(1_000);
      const keys = Array.from({ length: 100 }, (_, i) => `${i}`);
      for (const key of keys) {
        const log = aLog(0);
        logs.set(id(key), log);
        for (let i = 0; i < 300; i++) {
          step(log);
          logs.weigh(log);
          logs.bound();
        }
      }
      return heldOf(logs, keys).length;
    });
    expect(counts[0]).toBe(100);
    for (const count of counts.slice(1)) expect(count).toBeLessThan(9);
  });

  it("don't count what is forgotten, and are gone then, whenever they were asked for", () => {
    const logs = new RememberedLogs<RememberedLog>(1_000);
    logs.set(id("stays"), aLog(0));
    for (let i = 0; i < 1_000; i++) {
      const key = random(16);
      logs.set(key, aLog(50));
      logs.bound();
      logs.forget(key);
      expect(logs.get(key)).toBeUndefined();
    }
    logs.set(id("earlier"), aLog(2_000));
    logs.bound();
    logs.forget(id("earlier"));
    expect(heldOf(logs, ["stays", "earlier"])).toEqual(["stays"]);
    logs.forgetAll();
    expect(heldOf(logs, ["stays"])).toEqual([]);
  });
});
