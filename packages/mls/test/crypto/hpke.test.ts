/**
 * HPKE against its test vectors: RFC 9180 App. A, and those of draft-ietf-hpke-pq (April 2026), which has the post-quantum KEMs and
 * DHKEM with P-384 and X448. Kept are the values of what we have: base mode, the first message, the first exports.
 */

import { readFileSync } from "node:fs";
import { type CryptoProvider, webCrypto } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { withPostQuantum } from "@conclave/mls/post-quantum";
import { describe, expect, it } from "vitest";
import { hpkeOpen, hpkeReceiveExport, hpkeSeal } from "../../src/crypto/hpke.ts";
import { kemOf } from "../../src/crypto/kem.ts";
import {
  AEADS,
  type AeadName,
  HASHES,
  type HashName,
  type KemName,
  type Suite,
} from "../../src/crypto/suite.ts";
import { hex, text, unhex } from "../people.ts";

interface KemVector {
  readonly source: string;
  readonly kem: KemName;
  readonly ikmR: string;
  readonly skRm: string;
  readonly pkRm: string;
  readonly enc: string;
  readonly shared_secret: string;
}
interface HpkeVector extends KemVector {
  readonly hash: HashName;
  readonly aead: AeadName;
  readonly info: string;
  readonly aad: string;
  readonly pt: string;
  readonly ct: string;
  readonly exports: readonly (readonly [context: string, length: number, value: string])[];
}

const VECTORS = JSON.parse(
  readFileSync(new URL("hpke-vectors.json", import.meta.url), "utf8"),
) as readonly (KemVector | HpkeVector)[];

/** Without Node's own ML-KEM. */
const { lattice: _, ...withoutLattice } = nodeCrypto;

const PROVIDERS: readonly (readonly [string, CryptoProvider])[] = [
  ["nodeCrypto", withPostQuantum(nodeCrypto)],
  ["nodeCrypto and noble", withPostQuantum(withoutLattice)],
  ["webCrypto", withPostQuantum(webCrypto)],
];

function suiteFor(provider: CryptoProvider, vector: KemVector | HpkeVector): Suite {
  const { hash, aead } =
    "hash" in vector ? vector : ({ hash: "sha256", aead: "aes128gcm" } as const);
  const { nk, nn } = AEADS[aead];
  const { nh } = HASHES[hash];
  const { kem } = vector;
  return { number: 0, name: kem, kem, hash, aead, signature: "ed25519", provider, nh, nk, nn };
}

/** The vectors write X448's private keys with those bits set and cleared that are ignored (RFC 7748 §5), X25519's as derived. */
function written({ kem }: KemVector, privateKey: Bytes): Bytes {
  if (kem !== "x448") return privateKey;
  const clamped = privateKey.slice();
  clamped[0] = (clamped[0] ?? 0) & 0xfc;
  clamped[55] = (clamped[55] ?? 0) | 0x80;
  return clamped;
}

describe.each(PROVIDERS)("%s", (_name, provider) => {
  it.each(VECTORS)("derives keys and decapsulates as $source says for $kem", async (vector) => {
    const kem = kemOf(suiteFor(provider, vector));
    const keyPair = await kem.deriveKeyPair(unhex(vector.ikmR));
    expect(hex(written(vector, keyPair.privateKey))).toBe(vector.skRm);
    expect(hex(keyPair.publicKey)).toBe(vector.pkRm);
    expect(hex(await kem.publicKey(keyPair.privateKey))).toBe(vector.pkRm);
    await kem.checkPublicKey(keyPair.publicKey);
    expect(hex(await kem.decap(unhex(vector.enc), keyPair))).toBe(vector.shared_secret);
    const { enc, secret } = await kem.encap(keyPair.publicKey);
    expect(await kem.decap(enc, keyPair)).toEqual(secret);
  });

  it.each(VECTORS.filter((vector): vector is HpkeVector => "hash" in vector))(
    "opens and exports as $source says for $kem, $hash and $aead",
    async (vector) => {
      const suite = suiteFor(provider, vector);
      const keyPair = { privateKey: unhex(vector.skRm), publicKey: unhex(vector.pkRm) };
      const [info, aad, plaintext] = [vector.info, vector.aad, vector.pt].map(unhex);
      if (!info || !aad || !plaintext) throw new Error("three");
      const sealed = { kemOutput: unhex(vector.enc), ciphertext: unhex(vector.ct) };
      expect(await hpkeOpen(suite, keyPair, info, aad, sealed)).toEqual(plaintext);
      for (const [context, length, value] of vector.exports) {
        const label = text(unhex(context));
        const { kemOutput } = sealed;
        const exported = await hpkeReceiveExport(suite, keyPair, kemOutput, label, length, info);
        expect(hex(exported)).toBe(value);
      }
      const ours = await hpkeSeal(suite, keyPair.publicKey, info, aad, plaintext);
      expect(await hpkeOpen(suite, keyPair, info, aad, ours)).toEqual(plaintext);
    },
  );
});
