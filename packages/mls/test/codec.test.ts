import { MlsError } from "@conclave/mls";
import {
  type Bytes,
  type Codec,
  decode,
  encode,
  enumeration,
  fixed,
  kept,
  lateVector,
  opaque,
  optional,
  select,
  struct,
  uint8,
  uint16,
  uint32,
  uint64,
  utf8,
  vector,
  Writer,
} from "@conclave/mls/codec";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hex } from "./people.ts";

function bytes(...values: readonly number[]): Bytes {
  return Uint8Array.from(values);
}

const REFUSED = expect.objectContaining({ name: "MlsError", code: "decode" });

describe("numbers", () => {
  it.each([
    ["uint8", uint8, 0x100],
    ["uint16", uint16, 0x1_0000],
    ["uint32", uint32, 0x1_0000_0000],
  ] as const)("%s takes what fits", (_, codec, limit) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: limit - 1 }), (value) => {
        expect(decode(codec, encode(codec, value))).toBe(value);
      }),
    );
    for (const wrong of [limit, -1, 0.5, Number.NaN]) {
      expect(() => encode(codec, wrong)).toThrow(TypeError);
    }
    expect(() => decode(codec, bytes())).toThrow(REFUSED);
  });
  it("uint64 takes all 64 bits", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        expect(decode(uint64, encode(uint64, value))).toBe(value);
      }),
    );
    for (const wrong of [2n ** 64n, -1n])
      expect(() => encode(uint64, wrong)).toThrow(/not a uint64/);
    expect(() => decode(uint64, bytes(0, 0, 0, 0, 0, 0, 0))).toThrow(REFUSED);
  });
});

describe("byte strings and text", () => {
  it("opaque keeps bytes, as a copy", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (value) => {
        const encoded = encode(opaque, Uint8Array.from(value));
        const read = decode(opaque, encoded);
        encoded.fill(0xff);
        expect([...read]).toEqual([...value]);
      }),
    );
  });
  it("fixed has no length on the wire", () => {
    expect(encode(fixed(2), bytes(1, 2))).toEqual(bytes(1, 2));
    expect(decode(fixed(2), bytes(1, 2))).toEqual(bytes(1, 2));
    expect(() => encode(fixed(2), bytes(1))).toThrow(TypeError);
    expect(() => decode(fixed(2), bytes(1))).toThrow(REFUSED);
  });
  it("utf8 refuses what is no UTF-8", () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        expect(decode(utf8, encode(utf8, value))).toBe(value);
      }),
    );
    expect(hex(encode(utf8, "\ufeffä€😀"))).toBe("0cefbbbfc3a4e282acf09f9880");
    expect(decode(utf8, encode(utf8, "\ufeffä€😀"))).toBe("\ufeffä€😀");
    expect(() => decode(utf8, bytes(1, 0xff))).toThrow(REFUSED);
    expect(() => decode(utf8, bytes(2, 0xc0, 0x80))).toThrow(REFUSED);
    expect(() => decode(utf8, bytes(9, 0x41))).toThrow(REFUSED);
  });
});

type Shape =
  | { readonly shape: "dot" }
  | { readonly shape: "square"; readonly side: number }
  | { readonly shape: "other"; readonly number: number; readonly data: Bytes };
const closed: Codec<Shape> = select<"shape", Exclude<Shape, { shape: "other" }>>("shape", uint8, {
  dot: [1, struct({})],
  square: [2, struct({ side: uint16 })],
}) as Codec<Shape>;
const open: Codec<Shape> = select<"shape", Shape>(
  "shape",
  uint8,
  { dot: [1, struct({})], square: [2, struct({ side: uint16 })] },
  struct({ data: opaque }),
);

describe("a vector that is decoded late", () => {
  const element = struct<{ a: Bytes; b: number }>({ a: opaque, b: uint16 });
  const late = lateVector(element);
  const eager = vector(element);
  const values = fc.array(
    fc.record({
      a: fc.uint8Array({ maxLength: 70 }).map((value) => Uint8Array.from(value)),
      b: fc.nat(0xffff),
    }),
    { maxLength: 6 },
  );

  function outcome(read: () => Iterable<unknown>): unknown {
    try {
      return [...read()];
    } catch (error) {
      return error instanceof MlsError ? `${error.code} ${error.message}` : error;
    }
  }

  it("has the elements that were written, in their order", () => {
    fc.assert(
      fc.property(values, (written) => {
        const encoded = encode(late, written);
        expect(encoded).toEqual(encode(eager, written));
        const read = decode(late, encoded);
        expect([...read]).toEqual(written);
        expect(read.length).toBe(written.length);
        for (let i = -1; i <= written.length; i++) expect(read.at(i)).toEqual(written[i]);
        expect(encode(late, read)).toEqual(encoded);
      }),
    );
  });

  it("refuses what another vector refuses, in the same words", () => {
    const changed = fc
      .tuple(values, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }))
      .map(([written, changes]) => {
        const encoded = encode(eager, written);
        for (const [at, value] of changes) encoded[at % encoded.length] = value;
        return encoded;
      });
    const any = fc.uint8Array({ maxLength: 40 }).map((value) => Uint8Array.from(value));
    fc.assert(
      fc.property(fc.oneof(changed, any), (input) => {
        expect(outcome(() => decode(late, input))).toEqual(outcome(() => decode(eager, input)));
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ["a vector that is cut short", bytes(5, 1, 7, 0)],
    ["an element that is cut short", bytes(3, 1, 7, 0)],
    ["a length that is not the shortest", bytes(5, 0x40, 1, 7, 0, 1)],
    ["a length of no size", bytes(5, 0xc0, 1, 7, 0, 1)],
    ["an element beyond the vector", bytes(4, 2, 7, 7, 0, 1)],
  ])("refuses %s when it is read", (_, input) => {
    expect(() => decode(late, input)).toThrow(REFUSED);
    expect(outcome(() => decode(late, input))).toBe(outcome(() => decode(eager, input)));
  });

  it("does not see what becomes of its input", () => {
    const encoded = encode(late, [{ a: bytes(1), b: 2 }]);
    const read = decode(late, encoded);
    encoded.fill(0xff);
    expect([...read]).toEqual([{ a: bytes(1), b: 2 }]);
  });

  it("passes over elements of any kind", () => {
    const read = decode(lateVector(optional(uint16)), bytes(5, 0, 1, 0, 7, 0));
    expect([read.at(0), read.at(1), read.at(2)]).toEqual([undefined, 7, undefined]);
    expect(() => decode(lateVector(optional(uint16)), bytes(2, 0, 2))).toThrow(REFUSED);
  });
});

describe("select and enumeration", () => {
  it("read the arm that the number names", () => {
    expect(decode(closed, bytes(2, 0, 5))).toEqual({ shape: "square", side: 5 });
    expect(encode(closed, { shape: "square", side: 5 })).toEqual(bytes(2, 0, 5));
  });
  it("refuse a number without a name", () => {
    expect(() => decode(closed, bytes(3))).toThrow(REFUSED);
    const colour = enumeration(uint8, { red: 1 });
    expect(decode(colour, bytes(1))).toBe("red");
    expect(() => decode(colour, bytes(2))).toThrow(REFUSED);
  });
  it("keep a number without a name where there is an open arm, and only there", () => {
    const value = { shape: "other", number: 7, data: bytes(8) } as const;
    expect(decode(open, bytes(7, 1, 8))).toEqual(value);
    expect(encode(open, value)).toEqual(bytes(7, 1, 8));
    expect(() => encode(open, { ...value, number: 1 })).toThrow(TypeError);
    expect(() => encode(closed, value)).toThrow(TypeError);
  });
});

describe("decode", () => {
  it("takes all of its input", () => {
    expect(decode(uint8, bytes(1))).toBe(1);
    expect(() => decode(uint8, bytes(1, 0))).toThrow(REFUSED);
    expect(() => decode(vector(uint16), bytes(3, 0, 1, 0))).toThrow(REFUSED);
  });
  it("reads a view into a larger buffer", () => {
    const view = bytes(9, 9, 0, 0, 0, 0, 0, 0, 0, 5, 9).subarray(2, 10);
    expect(decode(uint64, view)).toBe(5n);
    expect(decode(fixed(8), view)).toEqual(bytes(0, 0, 0, 0, 0, 0, 0, 5));
  });
  it("copies out of a Buffer too, whose own slices share its memory", () => {
    const buffer = Buffer.from([2, 7, 8]);
    const value = decode(opaque, buffer);
    value.fill(0);
    expect(buffer).toEqual(Buffer.from([2, 7, 8]));
    expect(value.constructor).toBe(Uint8Array);
    const inner = decode(vector(fixed(1)), Buffer.from([1, 7]));
    expect(inner).toEqual([bytes(7)]);
    expect(inner[0]?.constructor).toBe(Uint8Array);
  });
});

describe("what is no Uint8Array", () => {
  it("is neither written nor read, though the compiler was told otherwise", () => {
    const others = ["hello", [1, 2], undefined, new Uint16Array([1, 300]), new ArrayBuffer(2)];
    for (const wrong of others as unknown as Bytes[]) {
      expect(() => encode(opaque, wrong)).toThrow(TypeError);
      expect(() => decode(opaque, wrong)).toThrow(TypeError);
    }
    expect(() => encode(fixed(5), "hello" as unknown as Bytes)).toThrow("TextEncoder");
  });
});

describe("a writer", () => {
  it("overwrites what it held when it is wiped, and when it grows", () => {
    const writer = new Writer();
    writer.bytes(new Uint8Array(1000).fill(7));
    const before = writer.finish();
    writer.wipe();
    expect(writer.finish()).toEqual(bytes());
    expect(before).toEqual(new Uint8Array(1000).fill(7));
    writer.uint(1, 1);
    expect(writer.finish()).toEqual(bytes(1));
  });

  it("leaves nothing in the buffer that it had", () => {
    const writer = new Writer();
    const view = (): Bytes => {
      writer.bytes(new Uint8Array(100).fill(7));
      return writer.view();
    };
    const first = view();
    // More than fits in.
    writer.bytes(new Uint8Array(1000).fill(7));
    expect(first).toEqual(new Uint8Array(100));
    writer.wipe();
    const second = view();
    writer.wipe();
    expect(second).toEqual(new Uint8Array(100));
  });
});

describe("encodings that are kept", () => {
  const inner = kept(struct({ a: opaque }));
  const outer = kept(struct({ inner, late: lateVector(uint8) }), false);
  const encoded = encode(outer, { inner: { a: bytes(1, 2) }, late: [3, 4] });

  it("stay as they were when the bytes that were read change", () => {
    const theirs = encoded.slice();
    const read = decode(outer, theirs);
    theirs.fill(0);
    expect(outer.encoded(read)).toEqual(encoded);
    expect(inner.encoded(read.inner)).toEqual(encoded.subarray(0, 3));
    expect([...read.late]).toEqual([3, 4]);
  });

  it("are parts of bytes that never change, but for what lasts longer than those", () => {
    const own = encoded.slice();
    const passing = decode(outer, own, "passing");
    expect(outer.encoded(passing).buffer).toBe(own.buffer);
    expect(inner.encoded(passing.inner).buffer).not.toBe(own.buffer);
    const owned = decode(outer, own, "owned");
    expect(inner.encoded(owned.inner).buffer).toBe(own.buffer);
  });
});
