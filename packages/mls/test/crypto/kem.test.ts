/** Key encapsulation: what HPKE's vectors don't show. */

import type { Bytes } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { sampleScalar } from "../../src/crypto/kem.ts";

describe("RFC 9180 §7.1.3 a private key of a NIST curve", () => {
  const candidates = (...fill: readonly number[]) =>
    fill.map((byte) => new Uint8Array(32).fill(byte));
  const among = (all: readonly Bytes[]) =>
    sampleScalar("p256", (counter) => all[counter] ?? new Uint8Array(32), all.length);

  it("is the first candidate below the order that is not zero, and the others are gone", () => {
    const [large, zero, good, unused] = candidates(0xff, 0, 7, 9);
    if (!large || !zero || !good || !unused) throw new Error("four");
    expect(among([large, zero, good, unused])).toBe(good);
    expect(good.every((byte) => byte === 7)).toBe(true);
    expect(large.every((byte) => byte === 0)).toBe(true);
  });

  it("is not made of none", () => {
    expect(() => among(candidates(0xff, 0))).toThrow(TypeError);
  });
});
