/** Key encapsulation: what HPKE's vectors don't show. */

import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { describe, expect, it } from "vitest";
import { dhEphemeral, labeledExtract } from "../../src/crypto/kem.ts";
import { sampleScalar } from "../../src/crypto/nist-curve.ts";
import { nobleLattice } from "../../src/crypto/noble-lattice.ts";
import { postQuantumKems } from "../../src/crypto/post-quantum-kem.ts";
import { ledgerOf } from "../ledger.ts";
import { utf8 } from "../people.ts";

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

describe("FIPS 203 §7.2 an encapsulation key", () => {
  it("has none of its numbers, two in three bytes, that is not reduced", () => {
    const kem = postQuantumKems(() => nobleLattice(nodeCrypto)).get("mlkem768")?.(nodeCrypto);
    const key = (...numbers: readonly [number, number]): Bytes => {
      const [a, b] = numbers;
      const bytes = new Uint8Array(1184);
      bytes.set([a & 255, (a >> 8) | ((b & 15) << 4), b >> 4], 300);
      return bytes;
    };
    expect(() => kem?.checkPublicKey(key(3328, 3328))).not.toThrow();
    expect(() => kem?.checkPublicKey(key(3329, 0))).toThrow(TypeError);
    expect(() => kem?.checkPublicKey(key(0, 3329))).toThrow(TypeError);
  });
});

describe("of secrets is left in memory what is given out alone", () => {
  it("by an extraction under a label", () => {
    const { crypto, left } = ledgerOf(nodeCrypto);
    const kdf = { provider: crypto, hash: "sha256", suiteId: utf8("suite") } as const;
    const prk = labeledExtract(kdf, utf8("salt"), "label", utf8("input keying material"));
    expect(left([prk, utf8("salt")])).toEqual([]);
  });

  it("by an ephemeral key pair, of a provider that makes none", async () => {
    const { dhEphemeral: _, ...provider } = nodeCrypto;
    const { crypto, left } = ledgerOf(provider);
    const peer = await nodeCrypto.dhPublicKey("x25519", nodeCrypto.random(32));
    const { secret } = await dhEphemeral(crypto, "x25519", peer);
    expect(left([secret])).toEqual([]);
  });

  const { dhEphemeral: _, ...provider } = nodeCrypto;
  it.each(["mlkem768", "mlkem768-x25519", "mlkem768-p256", "mlkem1024-p384"] as const)(
    "by %s",
    async (name) => {
      const ledger = ledgerOf(provider);
      const lattice = ledger.lattice(nobleLattice(ledger.crypto));
      const kem = postQuantumKems(() => lattice).get(name)?.(ledger.crypto);
      if (!kem) throw new Error("no KEM");
      const made = await kem.generateKeyPair();
      expect(ledger.left([made.privateKey])).toEqual([]);
      const seed = nodeCrypto.random(32);
      const derived = await kem.deriveKeyPair(seed);
      const known = [made.privateKey, seed, derived.privateKey];
      expect(ledger.left(known)).toEqual([]);
      const { enc, secret } = await kem.encap(derived.publicKey);
      known.push(secret);
      expect(ledger.left(known)).toEqual([]);
      expect(await kem.decap(enc, derived)).toEqual(secret);
      expect(ledger.left(known)).toEqual([]);
    },
  );
});
