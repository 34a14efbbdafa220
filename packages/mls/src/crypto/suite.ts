/**
 * Cipher suites as data, and what a platform has to offer to run them.
 * RFC 9420 §5.1 (suites), §17.1 (numbers).
 * @module
 */

import type { Bytes } from "../codec.ts";
import { MlsError } from "../errors.ts";
import type { Kem } from "./kem.ts";

/** The hashes, whose HMACs are the suites' MACs and KDFs. */
export type HashName = "sha256" | "sha384" | "sha512";
/** The AEADs. */
export type AeadName = "aes128gcm" | "aes256gcm" | "chacha20poly1305";
/** The groups of DHKEM (RFC 9180 §7.1). */
export type DhGroup = "x25519" | "x448" | NistGroup;
/** Those of NIST's curves. */
export type NistGroup = "p256" | "p384" | "p521";
/** DHKEM over a group, or one of the post-quantum KEMs of draft-ietf-hpke-pq. */
export type KemName =
  | DhGroup
  | "mlkem768"
  | "mlkem1024"
  | "mlkem768-x25519"
  | "mlkem768-p256"
  | "mlkem1024-p384";
/** The signature schemes, by the names that TLS gives them. */
export type SignatureName =
  | "ed25519"
  | "ed448"
  | "ecdsa_secp256r1_sha256"
  | "ecdsa_secp384r1_sha384"
  | "ecdsa_secp521r1_sha512"
  | "mldsa44"
  | "mldsa65"
  | "mldsa87";
/** Bytes; or pieces, to be taken one behind the other, of what is too long to be joined for this alone. */
export type Pieces = Uint8Array | readonly Uint8Array[];

export function inPieces(data: Pieces): data is readonly Uint8Array[] {
  return Array.isArray(data);
}
/** What a platform may have at once or later. */
export type MaybePromise<T> = T | Promise<T>;

/** §5.1: which algorithms go together, under a number. */
export interface CipherSuite {
  readonly number: number;
  readonly name: string;
  readonly kem: KemName;
  /** The hash of the suite and of its HKDF. */
  readonly hash: HashName;
  readonly aead: AeadName;
  readonly signature: SignatureName;
}

/** `name kem aead hash signature`, as the rows of §17.1. */
type Row = readonly [string, KemName, AeadName, HashName, SignatureName];

const ROWS: readonly Row[] = [
  ["MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519", "x25519", "aes128gcm", "sha256", "ed25519"],
  [
    "MLS_128_DHKEMP256_AES128GCM_SHA256_P256",
    "p256",
    "aes128gcm",
    "sha256",
    "ecdsa_secp256r1_sha256",
  ],
  [
    "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
    "x25519",
    "chacha20poly1305",
    "sha256",
    "ed25519",
  ],
  ["MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448", "x448", "aes256gcm", "sha512", "ed448"],
  [
    "MLS_256_DHKEMP521_AES256GCM_SHA512_P521",
    "p521",
    "aes256gcm",
    "sha512",
    "ecdsa_secp521r1_sha512",
  ],
  [
    "MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448",
    "x448",
    "chacha20poly1305",
    "sha512",
    "ed448",
  ],
  [
    "MLS_256_DHKEMP384_AES256GCM_SHA384_P384",
    "p384",
    "aes256gcm",
    "sha384",
    "ecdsa_secp384r1_sha384",
  ],
];

/** The suites of RFC 9420 (§17.1), by number. */
export const SUITES: ReadonlyMap<number, CipherSuite> = new Map(
  ROWS.map(([name, kem, aead, hash, signature], i) => [
    i + 1,
    { number: i + 1, name, kem, aead, hash, signature },
  ]),
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

/** Keys of a KEM or of a signature scheme, in the form in which they are stored and sent (§5.1.1, §5.1.2). */
export interface KeyPair {
  readonly privateKey: Bytes;
  readonly publicKey: Bytes;
}

/** A signature, and what it claims to be of whom. */
export interface Signed {
  readonly publicKey: Bytes;
  readonly message: Bytes;
  readonly signature: Bytes;
}

/** Private keys are seeds: of ML-KEM 64 bytes, d and z (FIPS 203 §7.1); of ML-DSA 32 (FIPS 204 §6.1). */
export interface Lattice {
  /** SHA3-256. */
  readonly sha3: (data: Bytes) => Bytes;
  /** SHAKE256, `length` bytes. */
  readonly shake256: (data: Bytes, length: number) => Bytes;
  /** The encapsulation key of a seed `d || z` of 64 bytes (FIPS 203 §7.1). */
  readonly mlKemPublicKey: (size: MlKemSize, seed: Bytes) => Bytes;
  /** Throws for a key of the wrong size, and where a number in it is not reduced (FIPS 203 §7.2). */
  readonly mlKemEncaps: (
    size: MlKemSize,
    publicKey: Bytes,
  ) => { readonly ciphertext: Bytes; readonly secret: Bytes };
  /** Throws for a ciphertext of the wrong size; any other gives a secret, if only one that nobody has. */
  readonly mlKemDecaps: (size: MlKemSize, seed: Bytes, ciphertext: Bytes) => Bytes;
  /** The public key of a seed of 32 bytes (FIPS 204 §5.1). */
  readonly mlDsaPublicKey: (size: MlDsaSize, seed: Bytes) => Bytes;
  /** Signs with an empty context (FIPS 204 §5.2). */
  readonly mlDsaSigner: (size: MlDsaSize, seed: Bytes) => (message: Bytes) => Bytes;
  /** With an empty context (FIPS 204 §5.3). */
  readonly mlDsaVerify: (
    size: MlDsaSize,
    publicKey: Bytes,
    message: Bytes,
    signature: Bytes,
  ) => boolean;
}
export type MlKemSize = 768 | 1024;
export type MlDsaSize = 44 | 65 | 87;

/**
 * What the platform supplies. Hash and HMAC are synchronous, since a promise for each would cost more
 * than they do; the rest may be asynchronous. All throw on wrong input; callers turn that into MlsError.
 */
export interface CryptoProvider {
  /** The suites that this provider can do, by the numbers under which they are met. */
  readonly suites: ReadonlyMap<number, CipherSuite>;
  /** Unpredictable bytes. */
  readonly random: (length: number) => Bytes;
  /** Of bytes that may be secret. */
  readonly hash: (hash: HashName, data: Pieces) => Bytes;
  /** HMAC (RFC 2104), with a key of any length. */
  readonly hmac: (hash: HashName, key: Uint8Array, data: Pieces) => Bytes;
  /** The ciphertext with its tag of 16 bytes behind. */
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
  /** The public key of a Diffie-Hellman private key; points of the NIST curves are uncompressed. */
  readonly dhPublicKey: (group: DhGroup, privateKey: Bytes) => MaybePromise<Bytes>;
  /** The coordinate that both ends get. Throws for a point off the curve, and where the result would be all zero (RFC 9180 §7.1.4). */
  readonly dh: (group: DhGroup, own: KeyPair, peer: Bytes) => MaybePromise<Bytes>;
  /** `dh` with a new key pair, of which only the public key is told: where a platform does both at once faster. `among`: how many are made together. */
  readonly dhEphemeral?: (
    group: DhGroup,
    peer: Bytes,
    among: number,
  ) => MaybePromise<{ readonly publicKey: Bytes; readonly secret: Bytes }>;
  /** ML-KEM, ML-DSA and SHA-3, where the platform has them. */
  readonly lattice?: Lattice;
  /** KEMs other than DHKEM, each made for the provider that is in use. */
  readonly kems?: ReadonlyMap<KemName, (provider: CryptoProvider) => Kem>;
  /** A new key pair; the public half as it stands in leaves (§5.1.1). */
  readonly generateSignatureKeyPair: (signature: SignatureName) => MaybePromise<KeyPair>;
  /** Signs with a key that is made ready once, however often it signs; throws, at once or when it signs, for a key of the wrong size. */
  readonly signer: (
    signature: SignatureName,
    keyPair: KeyPair,
  ) => (message: Bytes) => MaybePromise<Bytes>;
  /** False for whatever is not a valid signature by that key. */
  readonly verify: (
    signature: SignatureName,
    publicKey: Bytes,
    message: Bytes,
    signatureBytes: Bytes,
  ) => MaybePromise<boolean>;
  /**
   * `verify` for many, in parallel where the platform can: the answers stand in the order of the questions. It is asked for the leaves
   * of a tree and for key packages that are added together (`verifyWithLabel`).
   */
  readonly verifyMany: (
    signature: SignatureName,
    signed: readonly Signed[],
  ) => Promise<readonly boolean[]>;
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
  const suite = provider.suites.get(number);
  if (!suite) {
    throw new MlsError("unsupported-suite", "5.1", `the provider has no cipher suite ${number}`);
  }
  const { nk, nn } = AEADS[suite.aead];
  return { ...suite, provider, nh: HASHES[suite.hash].nh, nk, nn };
}
