import { encode } from "cborg";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Content,
  ContentError,
  DISPOSITION,
  decodeContent,
  encodeContent,
  MAX_CONTENT_LENGTH,
  type Part,
  textContent,
  textOf,
} from "../../src/content/content.ts";

const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => new Uint8Array(array));
const natural = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const name = fc.string({ maxLength: 60, unit: "grapheme" });
const head = { disposition: natural, language: name };
const leaf: fc.Arbitrary<Part> = fc.oneof(
  fc.record({ type: fc.constant("null" as const), ...head }),
  fc.record({
    type: fc.constant("single" as const),
    ...head,
    contentType: name,
    content: bytes(0, 200),
  }),
  fc.record({
    type: fc.constant("external" as const),
    ...head,
    contentType: name,
    url: name,
    expires: natural,
    size: natural,
    encAlg: natural,
    key: bytes(0, 64),
    nonce: bytes(0, 64),
    aad: bytes(0, 64),
    hashAlg: natural,
    contentHash: bytes(0, 64),
    description: name,
    filename: name,
  }),
);
const part: fc.Arbitrary<Part> = fc.oneof(
  leaf,
  fc.record({
    type: fc.constant("multi" as const),
    ...head,
    semantics: fc.constantFrom(0 as const, 1 as const, 2 as const),
    parts: fc.array(leaf, { minLength: 2, maxLength: 5 }),
  }),
);
const content: fc.Arbitrary<Content> = fc.record(
  {
    salt: bytes(16, 16),
    replaces: bytes(32, 32),
    topicId: bytes(0, 40),
    expires: fc.record({ relative: fc.boolean(), time: natural }),
    inReplyTo: bytes(32, 32),
    extensions: fc
      .array(fc.tuple(fc.oneof(name, fc.integer()), fc.oneof(name, fc.integer(), fc.boolean())))
      .map((entries) => new Map(entries)),
    part,
  },
  { requiredKeys: ["salt", "topicId", "extensions", "part"] },
);

/** `value`, or the name of the error. */
function outcomeOf(work: () => unknown): string {
  try {
    work();
    return "value";
  } catch (error) {
    return error instanceof Error ? error.name : "no error";
  }
}

const salt = new Uint8Array(16);
const wire = (nestedPart: unknown, extensions: unknown = new Map()) =>
  encode([salt, null, new Uint8Array(0), null, null, extensions, nestedPart]);

describe("content", () => {
  it("comes back from its encoding", () => {
    fc.assert(
      fc.property(content, (value) => {
        expect(decodeContent(encodeContent(value))).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  it("decodes any bytes to a value or a ContentError", () => {
    const check = (input: Uint8Array) => {
      expect(outcomeOf(() => decodeContent(new Uint8Array(input)))).toMatch(
        /^(value|ContentError)$/u,
      );
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), check), { numRuns: 2000 });
    fc.assert(
      fc.property(content, fc.nat(), fc.nat(255), (value, at, byte) => {
        const mutated = encodeContent(value);
        mutated[at % mutated.length] = byte;
        check(mutated);
      }),
      { numRuns: 1000 },
    );
  });

  it("is refused when it is nested too deep, or has too many parts", () => {
    const nullPart = [0, "", 0];
    const multi = (inner: unknown[]) => [0, "", 3, 0, inner];
    const nested = (depth: number): unknown[] =>
      depth === 0 ? nullPart : multi([nullPart, nested(depth - 1)]);
    expect(decodeContent(wire(nested(3))).part.type).toBe("multi");
    expect(() => decodeContent(wire(nested(4)))).toThrow(ContentError);
    expect(decodeContent(wire(multi(Array.from({ length: 63 }, () => nullPart)))).part.type).toBe(
      "multi",
    );
    expect(() => decodeContent(wire(multi(Array.from({ length: 64 }, () => nullPart))))).toThrow(
      ContentError,
    );
    // Arrays within arrays, far deeper than any stack.
    const hostile = new Uint8Array(MAX_CONTENT_LENGTH).fill(0x81);
    expect(() => decodeContent(hostile)).toThrow(ContentError);
  });

  it("is refused when it is longer than content may be", () => {
    const text = textContent("x".repeat(MAX_CONTENT_LENGTH - 60), salt);
    expect(decodeContent(encodeContent(text))).toEqual(text);
    const long = textContent("x".repeat(MAX_CONTENT_LENGTH), salt);
    expect(() => decodeContent(encodeContent(long))).toThrow(ContentError);
  });

  it("is refused in another encoding of the same value", () => {
    // 0x18 0x00: a zero in two bytes.
    const encoded = wire([0, "", 0]);
    const longer = new Uint8Array([...encoded.slice(0, -3), 0x18, 0x00, 0x60, 0x00]);
    expect(() => decodeContent(longer)).toThrow(ContentError);
    expect(() => decodeContent(new Uint8Array([...encoded, 0]))).toThrow(ContentError);
  });

  it("has a text only where a part is plain text in UTF-8", () => {
    expect(textOf(textContent("grüß dich 👋", salt))).toBe("grüß dich 👋");
    const shown = (contentType: string, ...content: number[]) =>
      textOf({
        salt,
        topicId: new Uint8Array(0),
        extensions: new Map(),
        part: {
          type: "single",
          disposition: DISPOSITION.render,
          language: "",
          contentType,
          content: Uint8Array.from(content),
        },
      });
    expect(shown("text/plain", 104, 105)).toBe("hi");
    expect(shown("text/html", 104, 105)).toBeUndefined();
    expect(shown("text/plain", 0xff)).toBeUndefined();
  });
});
