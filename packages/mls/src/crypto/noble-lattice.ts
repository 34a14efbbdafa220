/**
 * ML-KEM, ML-DSA and SHA-3 of the noble libraries, for platforms without their own.
 * @module
 */

import { sha3_256, shake256 } from "@noble/hashes/sha3.js";
import { ml_dsa44, ml_dsa65, ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import { ml_kem768, ml_kem1024 } from "@noble/post-quantum/ml-kem.js";
import { wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import type { CryptoProvider, Lattice } from "./suite.ts";

const ML_KEM = { 768: ml_kem768, 1024: ml_kem1024 } as const;
const ML_DSA = { 44: ml_dsa44, 65: ml_dsa65, 87: ml_dsa87 } as const;

/** With randomness from the provider. */
export function nobleLattice(provider: CryptoProvider): Lattice {
  return {
    sha3: (data) => sha3_256(data) as Bytes,
    shake256: (data, length) => shake256(data, { dkLen: length }) as Bytes,
    mlKemPublicKey: (size, seed) => {
      const { publicKey, secretKey } = ML_KEM[size].keygen(seed);
      wipe(secretKey);
      return publicKey as Bytes;
    },
    mlKemEncaps: (size, publicKey) => {
      const message = provider.random(32);
      const { cipherText, sharedSecret } = ML_KEM[size].encapsulate(publicKey, message);
      wipe(message);
      return { ciphertext: cipherText as Bytes, secret: sharedSecret as Bytes };
    },
    mlKemDecaps: (size, seed, ciphertext) => {
      const { secretKey } = ML_KEM[size].keygen(seed);
      try {
        return ML_KEM[size].decapsulate(ciphertext, secretKey) as Bytes;
      } finally {
        wipe(secretKey);
      }
    },
    mlDsaPublicKey: (size, seed) => {
      const { publicKey, secretKey } = ML_DSA[size].keygen(seed);
      wipe(secretKey);
      return publicKey as Bytes;
    },
    mlDsaSigner: (size, seed) => {
      const { secretKey } = ML_DSA[size].keygen(seed);
      return (message) =>
        ML_DSA[size].sign(message, secretKey, { extraEntropy: provider.random(32) }) as Bytes;
    },
    mlDsaVerify: (size, publicKey, message, signature) => {
      try {
        return ML_DSA[size].verify(signature, message, publicKey);
      } catch {
        // A key or signature of the wrong form: no valid signature.
        return false;
      }
    },
  };
}
