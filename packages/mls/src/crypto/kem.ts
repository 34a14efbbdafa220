/**
 * Key encapsulation: the interface, its KDF, and DHKEM.
 * RFC 9180 §4 (labeled KDF), §4.1 (DHKEM), §7.1 (key formats, derivation, validation).
 * @module
 */

import { bytesEqual, concat, EMPTY, labelBytes, utf8Bytes, wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { hkdfExpand, hkdfExtract } from "./kdf.ts";
import {
  type CryptoProvider,
  type DhGroup,
  HASHES,
  type HashName,
  type KemName,
  type KeyPair,
  type MaybePromise,
  type Suite,
} from "./suite.ts";

/** RFC 9180 §4. All functions throw on keys and outputs of the wrong form; callers turn that into `MlsError`. */
export interface Kem {
  /** HPKE's number for it. */
  readonly id: number;
  /** A new key pair. */
  readonly generateKeyPair: () => MaybePromise<KeyPair>;
  /** The seed stays the caller's. */
  readonly deriveKeyPair: (seed: Bytes) => MaybePromise<KeyPair>;
  /** The public half of a private key. */
  readonly publicKey: (privateKey: Bytes) => MaybePromise<Bytes>;
  /** Throws for a key that cannot be encapsulated to, without encapsulating. */
  readonly checkPublicKey: (publicKey: Bytes) => void;
  /** A secret, and what its recipient needs to get it too. */
  /** `among`: how many are made together, 1 unless given. */
  readonly encap: (
    publicKey: Bytes,
    among?: number,
  ) => MaybePromise<{ readonly enc: Bytes; readonly secret: Bytes }>;
  /** The secret that `encap` gave. */
  readonly decap: (enc: Bytes, recipient: KeyPair) => MaybePromise<Bytes>;
}

/** The KEMs that were made, by provider and name. */
const MADE = new WeakMap<CryptoProvider, Map<KemName, Kem>>();

/** The KEM of a suite, on its provider. */
export function kemOf({ kem, provider }: Suite): Kem {
  const made = MADE.get(provider) ?? new Map<KemName, Kem>();
  MADE.set(provider, made);
  const found = made.get(kem) ?? newKem(provider, kem);
  made.set(kem, found);
  return found;
}

function newKem(provider: CryptoProvider, kem: KemName): Kem {
  const other = provider.kems?.get(kem);
  if (other) return other(provider);
  if (!isDhGroup(kem)) throw new TypeError(`the provider has no ${kem}`);
  return dhKem(provider, kem);
}

export function i2osp(value: number, size: 1 | 2): Bytes {
  return size === 1 ? Uint8Array.of(value) : Uint8Array.of(value >> 8, value & 0xff);
}

/** One KDF with the suite id that separates its uses (RFC 9180 §4). */
export interface LabeledKdf {
  readonly provider: CryptoProvider;
  readonly hash: HashName;
  readonly suiteId: Bytes;
}

const VERSION = utf8Bytes("HPKE-v1");

export function labeledExtract(kdf: LabeledKdf, salt: Bytes, label: string, ikm: Bytes): Bytes {
  const labeled = concat(VERSION, kdf.suiteId, labelBytes(label), ikm);
  const prk = hkdfExtract(kdf.provider, kdf.hash, salt, labeled);
  wipe(labeled);
  return prk;
}

export function labeledExpand(
  kdf: LabeledKdf,
  prk: Bytes,
  label: string,
  info: Bytes,
  length: number,
): Bytes {
  const labeled = [i2osp(length, 2), VERSION, kdf.suiteId, labelBytes(label), info];
  return hkdfExpand(kdf.provider, kdf.hash, prk, length, ...labeled);
}

/** RFC 9180 §7.1: HPKE's number, sizes of keys in bytes, and the hash of the KEM's own KDF. */
const GROUPS: Readonly<
  Record<
    DhGroup,
    { readonly id: number; readonly nsk: number; readonly npk: number; readonly hash: HashName }
  >
> = {
  p256: { id: 0x0010, nsk: 32, npk: 65, hash: "sha256" },
  p384: { id: 0x0011, nsk: 48, npk: 97, hash: "sha384" },
  p521: { id: 0x0012, nsk: 66, npk: 133, hash: "sha512" },
  x25519: { id: 0x0020, nsk: 32, npk: 32, hash: "sha256" },
  x448: { id: 0x0021, nsk: 56, npk: 56, hash: "sha512" },
};

/** y² = x³ - 3x + b modulo p, whose points are as many as the prime `order` (SP 800-186 §3.2.1). */
interface NistCurve {
  readonly p: bigint;
  readonly b: bigint;
  readonly order: bigint;
}
export type NistGroup = "p256" | "p384" | "p521";

const NIST: Readonly<Record<NistGroup, NistCurve>> = {
  p256: {
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
    order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
  p384: {
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
    order:
      0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
  p521: {
    p: 2n ** 521n - 1n,
    b: 0x051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
    order:
      0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  },
};

export function isNist(group: DhGroup): group is NistGroup {
  return Object.hasOwn(NIST, group);
}

const [P25519, P448] = [2n ** 255n - 19n, 2n ** 448n - 2n ** 224n - 1n] as const;

/** The little-endian bytes of numbers (RFC 7748 §5). */
function littleEndian(size: number, numbers: readonly bigint[]): readonly Bytes[] {
  return numbers.map((number) =>
    Uint8Array.from({ length: size }, (_, i) => Number((number >> BigInt(8 * i)) & 0xffn)),
  );
}

/**
 * The numbers for which every private key makes the same secret: zero (RFC 7748 §6). They are 0, 1 and -1, the same with p added
 * where that fits, and for Curve25519 the two of order 8.
 */
const SMALL_ORDER: Readonly<Record<"x25519" | "x448", readonly Bytes[]>> = {
  x25519: littleEndian(32, [
    0n,
    1n,
    0x00b8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0n,
    0x57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5fn,
    P25519 - 1n,
    P25519,
    P25519 + 1n,
  ]),
  x448: littleEndian(56, [0n, 1n, P448 - 1n, P448, P448 + 1n]),
};

function isDhGroup(kem: KemName): kem is DhGroup {
  return Object.hasOwn(GROUPS, kem);
}

/** For public values. */
function integer(bigEndian: Iterable<number>): bigint {
  let value = 0n;
  for (const byte of bigEndian) value = (value << 8n) | BigInt(byte);
  return value;
}

/** Whether bytes are a private key of a NIST curve, from 1 to the order less 1, in a time that doesn't depend on them. */
function isScalar(candidate: Bytes, order: bigint): boolean {
  let [borrow, any] = [0, 0];
  for (let i = candidate.length - 1, rest = order; i >= 0; i--, rest >>= 8n) {
    const byte = candidate[i] ?? 0;
    any |= byte;
    borrow = (byte - Number(rest & 0xffn) - borrow) >>> 31;
  }
  return borrow === 1 && any !== 0;
}

/**
 * The first private key of a NIST curve among candidates (RFC 9180 §7.1.3). The bits above the order's are cleared.
 * Throws where none of them is one, which chance doesn't bring about.
 */
export function sampleScalar(
  group: NistGroup,
  candidate: (counter: number) => Bytes,
  limit = 256,
): Bytes {
  const { order } = NIST[group];
  for (let counter = 0; counter < limit; counter++) {
    const bytes = candidate(counter);
    if (group === "p521") bytes[0] = (bytes[0] ?? 0) & 1;
    if (isScalar(bytes, order)) return bytes;
    wipe(bytes);
  }
  throw new TypeError(`no private key among ${limit}`);
}

/** Whether a point is an uncompressed one on the curve (RFC 9180 §7.1.4, SP 800-56A §5.6.2.3.4); none of them is of small order. */
function isOnCurve({ p, b }: NistCurve, point: Bytes): boolean {
  const half = (point.length - 1) / 2;
  const [x, y] = [integer(point.subarray(1, 1 + half)), integer(point.subarray(1 + half))];
  if (point[0] !== 4 || x >= p || y >= p) return false;
  return (y * y - (x * x * x - 3n * x + b)) % p === 0n;
}

/** Throws for a public key of the group with which no secret can be agreed on (RFC 9180 §7.1.4). */
export function checkDhPublicKey(name: DhGroup, publicKey: Bytes): void {
  const group = GROUPS[name];
  if (publicKey.length !== group.npk) throw new TypeError("a public key of the wrong size");
  if (isNist(name)) {
    if (!isOnCurve(NIST[name], publicKey)) throw new TypeError("a point that is not on the curve");
    return;
  }
  const u = publicKey.slice();
  // RFC 7748 §5: the top bit of X25519's is no part of the number.
  if (name === "x25519") u[31] = (u[31] ?? 0) & 0x7f;
  if (SMALL_ORDER[name].some((point) => bytesEqual(point, u))) {
    throw new TypeError("a point of small order");
  }
}

/** A new private key of the group. */
export function generateScalar(provider: CryptoProvider, name: DhGroup): Bytes {
  const { nsk } = GROUPS[name];
  return isNist(name) ? sampleScalar(name, () => provider.random(nsk)) : provider.random(nsk);
}

export async function keyPairOf(
  provider: CryptoProvider,
  name: DhGroup,
  privateKey: Bytes,
): Promise<KeyPair> {
  return { privateKey, publicKey: await provider.dhPublicKey(name, privateKey) };
}

/** What a new key pair and `peer` agree on, and its public key. `among`: how many are made together. */
export async function dhEphemeral(
  provider: CryptoProvider,
  name: DhGroup,
  peer: Bytes,
  among = 1,
): Promise<{ readonly publicKey: Bytes; readonly secret: Bytes }> {
  if (provider.dhEphemeral) return provider.dhEphemeral(name, peer, among);
  const own = await keyPairOf(provider, name, generateScalar(provider, name));
  const secret = await provider.dh(name, own, peer);
  wipe(own.privateKey);
  return { publicKey: own.publicKey, secret };
}

/** DHKEM over a group (RFC 9180 §4.1). */
function dhKem(provider: CryptoProvider, name: DhGroup): Kem {
  const { id, nsk, hash } = GROUPS[name];
  const kdf: LabeledKdf = { provider, hash, suiteId: concat(utf8Bytes("KEM"), i2osp(id, 2)) };

  /** `ExtractAndExpand`. */
  const extractAndExpand = (dh: Bytes, enc: Bytes, recipient: Bytes): Bytes => {
    const prk = labeledExtract(kdf, EMPTY, "eae_prk", dh);
    const context = concat(enc, recipient);
    const secret = labeledExpand(kdf, prk, "shared_secret", context, HASHES[hash].nh);
    wipe(prk, dh);
    return secret;
  };

  return {
    id,
    generateKeyPair: () => keyPairOf(provider, name, generateScalar(provider, name)),
    // §7.1.3
    deriveKeyPair: (seed) => {
      const prk = labeledExtract(kdf, EMPTY, "dkp_prk", seed);
      const privateKey = isNist(name)
        ? sampleScalar(name, (i) => labeledExpand(kdf, prk, "candidate", i2osp(i, 1), nsk))
        : labeledExpand(kdf, prk, "sk", EMPTY, nsk);
      wipe(prk);
      return keyPairOf(provider, name, privateKey);
    },
    publicKey: (privateKey) => provider.dhPublicKey(name, privateKey),
    checkPublicKey: (publicKey) => checkDhPublicKey(name, publicKey),
    encap: async (recipient, among = 1) => {
      const { publicKey: enc, secret } = await dhEphemeral(provider, name, recipient, among);
      return { enc, secret: extractAndExpand(secret, enc, recipient) };
    },
    decap: async (enc, recipient) =>
      extractAndExpand(await provider.dh(name, recipient, enc), enc, recipient.publicKey),
  };
}
