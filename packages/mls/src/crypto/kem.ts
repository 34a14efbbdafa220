/**
 * Key encapsulation: the interface, its KDF, and DHKEM.
 * RFC 9180 §4 (labeled KDF), §4.1 (DHKEM), §7.1 (key formats, derivation, validation).
 * @module
 */

import { concat, EMPTY, labelBytes, utf8Bytes, wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { hkdfExpand, hkdfExtract } from "./kdf.ts";
import { loaded } from "./loading.ts";
import {
  type CryptoProvider,
  type DhGroup,
  HASHES,
  type HashName,
  type KemName,
  type KeyPair,
  type MaybePromise,
  type NistGroup,
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
  readonly checkPublicKey: (publicKey: Bytes) => MaybePromise<void>;
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

/** The groups of NIST's curves, whose arithmetic is loaded with the first key of one. */
export function isNist(group: DhGroup): group is NistGroup {
  return group === "p256" || group === "p384" || group === "p521";
}

let nistCurves: Promise<typeof import("./nist-curve.ts")> | undefined;
/** What is computed with keys of NIST's curves. */
export function loadNistCurves(): Promise<typeof import("./nist-curve.ts")> {
  // What did not come may come when it is asked for again.
  nistCurves ??= loaded(import("./nist-curve.ts")).catch((cause: unknown) => {
    nistCurves = undefined;
    throw cause;
  });
  return nistCurves;
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

/** Throws for a public key of the group with which no secret can be agreed on (RFC 9180 §7.1.4). */
export function checkDhPublicKey(name: DhGroup, publicKey: Bytes): MaybePromise<void> {
  if (publicKey.length !== GROUPS[name].npk) throw new TypeError("a public key of the wrong size");
  if (isNist(name)) return loadNistCurves().then(({ checkPoint }) => checkPoint(name, publicKey));
  for (const point of SMALL_ORDER[name]) {
    if (isNumber(name, publicKey, point)) throw new TypeError("a point of small order");
  }
}

function isNumber(name: "x25519" | "x448", publicKey: Bytes, number: Bytes): boolean {
  const last = number.length - 1;
  for (let i = 0; i < last; i++) if (publicKey[i] !== number[i]) return false;
  // RFC 7748 §5: the top bit of X25519's is no part of it.
  return ((publicKey[last] ?? 0) & (name === "x25519" ? 0x7f : 0xff)) === number[last];
}

/** Whatever the promise is made by: a page may have put another in place of its own. */
function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return "then" in Object(value);
}

/** What `use` makes of a value, without a pause where that is there already. */
function usedBy<T, R>(value: MaybePromise<T>, use: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return isPromise(value) ? value.then(use) : use(value);
}

/** A new private key of the group. */
async function generatePrivateKey(provider: CryptoProvider, name: DhGroup): Promise<Bytes> {
  return isNist(name)
    ? (await loadNistCurves()).generateScalar(provider, name)
    : provider.random(GROUPS[name].nsk);
}

export function keyPairOf(
  provider: CryptoProvider,
  name: DhGroup,
  privateKey: Bytes,
): MaybePromise<KeyPair> {
  return usedBy(provider.dhPublicKey(name, privateKey), (publicKey) => ({ privateKey, publicKey }));
}

/** What a new key pair and `peer` agree on, and its public key. `among`: how many are made together. */
export function dhEphemeral(
  provider: CryptoProvider,
  name: DhGroup,
  peer: Bytes,
  among = 1,
): MaybePromise<{ readonly publicKey: Bytes; readonly secret: Bytes }> {
  return provider.dhEphemeral?.(name, peer, among) ?? dhWithNewKey(provider, name, peer);
}

async function dhWithNewKey(
  provider: CryptoProvider,
  name: DhGroup,
  peer: Bytes,
): Promise<{ readonly publicKey: Bytes; readonly secret: Bytes }> {
  const own = await keyPairOf(provider, name, await generatePrivateKey(provider, name));
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
    generateKeyPair: async () =>
      keyPairOf(provider, name, await generatePrivateKey(provider, name)),
    // §7.1.3
    deriveKeyPair: (seed) =>
      usedBy(isNist(name) ? loadNistCurves() : undefined, (nist) => {
        const prk = labeledExtract(kdf, EMPTY, "dkp_prk", seed);
        const privateKey =
          nist && isNist(name)
            ? nist.sampleScalar(name, (i) => labeledExpand(kdf, prk, "candidate", i2osp(i, 1), nsk))
            : labeledExpand(kdf, prk, "sk", EMPTY, nsk);
        wipe(prk);
        return keyPairOf(provider, name, privateKey);
      }),
    publicKey: (privateKey) => provider.dhPublicKey(name, privateKey),
    checkPublicKey: (publicKey) => checkDhPublicKey(name, publicKey),
    encap: (recipient, among = 1) =>
      usedBy(dhEphemeral(provider, name, recipient, among), ({ publicKey: enc, secret }) => ({
        enc,
        secret: extractAndExpand(secret, enc, recipient),
      })),
    decap: (enc, recipient) =>
      usedBy(provider.dh(name, recipient, enc), (dh) =>
        extractAndExpand(dh, enc, recipient.publicKey),
      ),
  };
}
