import { createCarriedEntries } from "@conclave/delivery/client";
import fc from "fast-check";
import { expect, it } from "vitest";

const entry = (seq: number, length = 1) => ({ seq, message: new Uint8Array(length) });

/** Who reads takes what is carried, and asks the log for the rest. Answers with what it read. */
function readThrough(
  head: number,
  frames: readonly (readonly number[])[],
): { readonly read: readonly number[]; readonly asked: number } {
  const carried = createCarriedEntries<ReturnType<typeof entry>>();
  const read: number[] = [];
  let cursor = 0;
  let asked = 0;
  const take = (): void => {
    for (let next = carried.take(cursor); next !== undefined; next = carried.take(cursor)) {
      read.push(next.seq);
      cursor = next.seq;
    }
  };
  for (const frame of frames) {
    carried.put(frame.map((seq) => entry(seq)));
    take();
  }
  while (cursor < head) {
    asked++;
    read.push(++cursor);
    take();
  }
  return { read, asked };
}

it("gives each entry once and in order, in whatever frames they come", () => {
  const frames = fc.array(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 5 }));
  fc.assert(
    fc.property(frames, (given) => {
      const { read } = readThrough(40, given);
      expect(read).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    }),
  );
});

it("leaves nothing to be asked for where all came", () => {
  expect(readThrough(4, [[3, 4], [2], [1]]).asked).toBe(0);
  expect(readThrough(4, [[3, 4], [1]]).asked).toBe(1);
});

it("holds so many entries and bytes, and has room again once they are behind", () => {
  const carried = createCarriedEntries<ReturnType<typeof entry>>();
  for (let seq = 2; seq < 2000; seq++) carried.put([entry(seq)]);
  expect(carried.take(512)).toMatchObject({ seq: 513 });
  expect(carried.take(513)).toBeUndefined();
  carried.put([entry(515, 1024 * 1024), entry(516)]);
  expect(carried.take(514)).toMatchObject({ seq: 515 });
  expect(carried.take(515)).toBeUndefined();
  carried.put([entry(517, 1024 * 1024 + 1), entry(518)]);
  expect([516, 517].map(carried.take)).toEqual([undefined, undefined]);
  carried.put([entry(518)]);
  expect(carried.take(517)).toMatchObject({ seq: 518 });
});
