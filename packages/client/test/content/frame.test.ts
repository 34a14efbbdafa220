import { encode } from "cborg";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ContentError } from "../../src/content/content.ts";
import { decodeFrame, encodeFrame, messageIdOf, PADDING_BLOCK } from "../../src/content/frame.ts";

const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => new Uint8Array(array));
const natural = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const frame = fc.record({
  envelope: fc.record({
    sequence: natural,
    lastSeen: fc.record({ length: natural, hash: bytes(32, 32) }),
    deviceList: fc.record({ version: natural.map(BigInt), hash: bytes(32, 32) }),
  }),
  content: bytes(0, 700),
});

/** `value`, or the name of the error. */
function outcomeOf(work: () => unknown): string {
  try {
    work();
    return "value";
  } catch (error) {
    return error instanceof Error ? error.name : "no error";
  }
}

describe("a frame", () => {
  it("comes back from its encoding, whose length says little", () => {
    fc.assert(
      fc.property(frame, (value) => {
        const encoded = encodeFrame(value);
        expect(encoded.length % PADDING_BLOCK).toBe(0);
        expect(decodeFrame(encoded)).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  it("decodes any bytes to a value or a ContentError", () => {
    fc.assert(
      fc.property(frame, fc.nat(), fc.nat(255), (value, at, byte) => {
        const mutated = encodeFrame(value);
        mutated[at % mutated.length] = byte;
        expect(outcomeOf(() => decodeFrame(mutated))).toMatch(/^(value|ContentError)$/u);
      }),
      { numRuns: 1000 },
    );
  });

  it("of another version is refused", () => {
    const hash = new Uint8Array(32);
    const fields = [[1, [0, hash], [1, hash]], new Uint8Array(3), new Uint8Array(0)];
    expect(decodeFrame(encode([1, ...fields])).envelope.sequence).toBe(1);
    expect(() => decodeFrame(encode([2, ...fields]))).toThrow(ContentError);
  });
});

describe("a message's id", () => {
  it("is another for another sender, conversation or content", async () => {
    const a = new Uint8Array(32).fill(1);
    const b = new Uint8Array(32).fill(2);
    const ids = await Promise.all([
      messageIdOf(a, a, a),
      messageIdOf(b, a, a),
      messageIdOf(a, b, a),
      messageIdOf(a, a, b),
      // Where one ends and the other begins counts too.
      messageIdOf(a.slice(0, 16), a.slice(0, 16), a),
      messageIdOf(a.slice(0, 8), a.slice(0, 24), a),
    ]);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^01[0-9a-f]{62}$/u);
    expect(await messageIdOf(a, a, a)).toBe(ids[0]);
  });
});
