/**
 * Cipher suites as data, and what a platform has to offer to run them.
 * RFC 9420 §5.1 (suites), §17.1 (numbers).
 * @module
 */

import type { Bytes } from "../codec.ts";
import { MlsError } from "../errors.ts";

export type HashName = "sha256" | "sha384" | "sha512";
export type AeadName = "aes128gcm" | "aes256gcm" | "chacha20poly1305";
export type KemName = "x25519";
export type SignatureName = "ed25519";
export type MaybePromise<T> = T | Promise<T>;

export interface CipherSuite {
  readonly number: number;
  readonly name: string;
  readonly kem: KemName;
  /** The hash of the suite and of its HKDF. */
  readonly hash: HashName;
  readonly aead: AeadName;
  readonly signature: SignatureName;
}

/** The suites that are built, by number. */
export const SUITES: ReadonlyMap<number, CipherSuite> = new Map(
  [
    {
      number: 0x0001,
      name: "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519",
      kem: "x25519",
      hash: "sha256",
      aead: "aes128gcm",
      signature: "ed25519",
    } as const,
    {
      number: 0x0003,
      name: "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
      kem: "x25519",
      hash: "sha256",
      aead: "chacha20poly1305",
      signature: "ed25519",
    } as const,
  ].map((suite) => [suite.number, suite]),
);

/** Output size in bytes (`KDF.Nh`), and the number that HPKE gives to HKDF with this hash (RFC 9180 §7.2). */
export const HASHES: Readonly<Record<HashName, { readonly nh: number; readonly hkdfId: number }>> =
  {
    sha256: { nh: 32, hkdfId: 1 },
    sha384: { nh: 48, hkdfId: 2 },
    sha512: { nh: 64, hkdfId: 3 },
  };

/** Key and nonce sizes in bytes (`AEAD.Nk`, `AEAD.Nn`), and HPKE's numbers (RFC 9180 §7.3). */
export const AEADS: Readonly<
  Record<AeadName, { readonly nk: number; readonly nn: number; readonly id: number }>
> = {
  aes128gcm: { nk: 16, nn: 12, id: 1 },
  aes256gcm: { nk: 32, nn: 12, id: 2 },
  chacha20poly1305: { nk: 32, nn: 12, id: 3 },
};

export interface DhKeyPair {
  readonly privateKey: Bytes;
  readonly publicKey: Bytes;
}

/**
 * What the platform supplies. Hash and HMAC are synchronous, since a promise for each would cost more
 * than they do; the rest may be asynchronous. All throw on wrong input; callers turn that into MlsError.
 */
export interface CryptoProvider {
  readonly random: (length: number) => Bytes;
  readonly hash: (hash: HashName, data: Uint8Array) => Bytes;
  readonly hmac: (hash: HashName, key: Uint8Array, data: Uint8Array) => Bytes;
  readonly seal: (
    aead: AeadName,
    key: Bytes,
    nonce: Bytes,
    aad: Bytes,
    plaintext: Bytes,
  ) => MaybePromise<Bytes>;
  /** Throws where the tag does not verify. */
  readonly open: (
    aead: AeadName,
    key: Bytes,
    nonce: Bytes,
    aad: Bytes,
    ciphertext: Bytes,
  ) => MaybePromise<Bytes>;
  /** The public key of a Diffie-Hellman private key. */
  readonly dhPublicKey: (kem: KemName, privateKey: Bytes) => MaybePromise<Bytes>;
  /** Throws where the result would be all zero (RFC 9180 §7.1.4). */
  readonly dh: (kem: KemName, privateKey: Bytes, publicKey: Bytes) => MaybePromise<Bytes>;
  readonly generateDhKeyPair: (kem: KemName) => MaybePromise<DhKeyPair>;
  readonly generateSignatureKeyPair: (signature: SignatureName) => MaybePromise<DhKeyPair>;
  readonly sign: (
    signature: SignatureName,
    privateKey: Bytes,
    message: Bytes,
  ) => MaybePromise<Bytes>;
  /** False for whatever is not a valid signature by that key. */
  readonly verify: (
    signature: SignatureName,
    publicKey: Bytes,
    message: Bytes,
    signatureBytes: Bytes,
  ) => MaybePromise<boolean>;
}

/** A cipher suite on a platform: what all of MLS is computed with. */
export interface Suite extends CipherSuite {
  readonly provider: CryptoProvider;
  /** Size of hashes and secrets in bytes, `KDF.Nh`. */
  readonly nh: number;
  /** Size of AEAD keys in bytes. */
  readonly nk: number;
  /** Size of AEAD nonces in bytes. */
  readonly nn: number;
}

/** Throws `MlsError` with `unsupported-suite`. */
export function suiteOf(provider: CryptoProvider, number: number): Suite {
  const suite = SUITES.get(number);
  if (!suite) throw new MlsError("unsupported-suite", "5.1", `cipher suite ${number} is not built`);
  const { nk, nn } = AEADS[suite.aead];
  return { ...suite, provider, nh: HASHES[suite.hash].nh, nk, nn };
}
