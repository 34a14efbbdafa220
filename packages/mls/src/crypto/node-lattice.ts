/// <reference types="node" />
/**
 * ML-KEM, ML-DSA and SHA-3 of OpenSSL 3.5, which Node has since 24.7. Keys go in and out as RFC 9935 and RFC 9881 write them.
 * @module
 */

import crypto, {
  createPrivateKey,
  createPublicKey,
  hash,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { EMPTY } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { type KeyFormat, pkcs8, spki } from "./key-format.ts";
import type { Lattice } from "./suite.ts";

/** Algorithms as OpenSSL calls them. */
type LatticeKey = "ml-kem-768" | "ml-kem-1024" | "ml-dsa-44" | "ml-dsa-65" | "ml-dsa-87";

const NIST_ALGORITHMS = [0x60, 0x86, 0x48, 1, 0x65, 3, 4] as const;

const FORMATS: Readonly<Record<LatticeKey, KeyFormat>> = {
  "ml-kem-768": { oid: [...NIST_ALGORITHMS, 4, 2], seed: true, nsk: 64, npk: 1184 },
  "ml-kem-1024": { oid: [...NIST_ALGORITHMS, 4, 3], seed: true, nsk: 64, npk: 1568 },
  "ml-dsa-44": { oid: [...NIST_ALGORITHMS, 3, 0x11], seed: true, nsk: 32, npk: 1312 },
  "ml-dsa-65": { oid: [...NIST_ALGORITHMS, 3, 0x12], seed: true, nsk: 32, npk: 1952 },
  "ml-dsa-87": { oid: [...NIST_ALGORITHMS, 3, 0x13], seed: true, nsk: 32, npk: 2592 },
};

function privateKeyObject(name: LatticeKey, seed: Bytes): KeyObject {
  const der = pkcs8(FORMATS[name], { privateKey: seed, publicKey: EMPTY });
  try {
    return createPrivateKey({ key: Buffer.from(der.buffer), format: "der", type: "pkcs8" });
  } finally {
    der.fill(0);
  }
}

function publicKeyObject(name: LatticeKey, publicKey: Bytes): KeyObject {
  const der = spki(FORMATS[name], publicKey);
  return createPublicKey({ key: Buffer.from(der.buffer), format: "der", type: "spki" });
}

function publicKeyOf(name: LatticeKey, seed: Bytes): Bytes {
  const der = createPublicKey(privateKeyObject(name, seed)).export({ format: "der", type: "spki" });
  return bytes(der.subarray(der.length - FORMATS[name].npk));
}

function bytes(buffer: Uint8Array): Bytes {
  return Uint8Array.from(buffer);
}

const NATIVE: Lattice = {
  sha3: (data) => bytes(hash("sha3-256", data, "buffer")),
  shake256: (data, outputLength) =>
    bytes(hash("shake256", data, { outputEncoding: "buffer", outputLength })),
  mlKemPublicKey: (size, seed) => publicKeyOf(`ml-kem-${size}`, seed),
  mlKemEncaps: (size, publicKey) => {
    const { ciphertext, sharedKey } = crypto.encapsulate(
      publicKeyObject(`ml-kem-${size}`, publicKey),
    );
    return { ciphertext: bytes(ciphertext), secret: bytes(sharedKey) };
  },
  mlKemDecaps: (size, seed, ciphertext) =>
    bytes(crypto.decapsulate(privateKeyObject(`ml-kem-${size}`, seed), ciphertext)),
  mlDsaPublicKey: (size, seed) => publicKeyOf(`ml-dsa-${size}`, seed),
  mlDsaSigner: (size, seed) => {
    const key = privateKeyObject(`ml-dsa-${size}`, seed);
    return (message) => bytes(sign(null, message, key));
  },
  mlDsaVerify: (size, publicKey, message, signature) => {
    try {
      return verify(null, message, publicKeyObject(`ml-dsa-${size}`, publicKey), signature);
    } catch {
      // A key of the wrong form: no valid signature.
      return false;
    }
  },
};

export const nodeLattice: Lattice | undefined =
  typeof crypto.encapsulate === "function" ? NATIVE : undefined;
