/**
 * Key encapsulation on lattices: ML-KEM as a KEM of HPKE (draft-ietf-hpke-pq §3), and hybrids with Diffie-Hellman
 * (draft-ietf-hpke-pq §4, draft-irtf-cfrg-concrete-hybrid-kems §4), of which MLKEM768-X25519 is X-Wing.
 * @module
 */

import { concat, copyOf, utf8Bytes, wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { checkDhPublicKey, dhEphemeral, i2osp, isNist, type Kem, keyPairOf } from "./kem.ts";
import { sampleScalar } from "./nist-curve.ts";
import type { CryptoProvider, DhGroup, KemName, KeyPair, Lattice, MlKemSize } from "./suite.ts";

/** Where the lattice's operations come from: the platform, or a library that is loaded when it is first needed. */
export type LatticeOf = (provider: CryptoProvider) => Lattice | Promise<Lattice>;

interface Hybrid {
  readonly id: number;
  readonly size: MlKemSize;
  readonly group: DhGroup;
  /** Bytes from which the group's private key is made; for NIST curves so many candidates, one after the other. */
  readonly scalarSeed: number;
  readonly label: string;
}

const HYBRIDS: Readonly<Partial<Record<KemName, Hybrid>>> = {
  "mlkem768-x25519": {
    id: 0x647a,
    size: 768,
    group: "x25519",
    scalarSeed: 32,
    label: "\\.//^\\",
  },
  "mlkem768-p256": {
    id: 0x0050,
    size: 768,
    group: "p256",
    scalarSeed: 128,
    label: "MLKEM768-P256",
  },
  "mlkem1024-p384": {
    id: 0x0051,
    size: 1024,
    group: "p384",
    scalarSeed: 48,
    label: "MLKEM1024-P384",
  },
};

/** FIPS 203 §8: sizes of encapsulation keys and ciphertexts in bytes. */
const ML_KEM = {
  768: { id: 0x0041, npk: 1184, nct: 1088 },
  1024: { id: 0x0042, npk: 1568, nct: 1568 },
} as const;
const SEED_LENGTH = 64;

/** The KEMs of the post-quantum suites, by name. */
export function postQuantumKems(
  latticeOf: LatticeOf,
): ReadonlyMap<KemName, (provider: CryptoProvider) => Kem> {
  return new Map<KemName, (provider: CryptoProvider) => Kem>([
    ["mlkem768", (provider) => mlKem(provider, latticeOf, 768)],
    ["mlkem1024", (provider) => mlKem(provider, latticeOf, 1024)],
    ...Object.entries(HYBRIDS).map(
      ([name, hybrid]) =>
        [
          name as KemName,
          (provider: CryptoProvider) => hybridKem(provider, latticeOf, hybrid),
        ] as const,
    ),
  ]);
}

/** `LabeledDerive` of the single-stage KDF SHAKE256 (draft-ietf-hpke-hpke §4), for `DeriveKeyPair` alone. */
function deriveSeed(lattice: Lattice, id: number, ikm: Bytes, length: number): Bytes {
  const label = utf8Bytes("DeriveKeyPair");
  const suiteId = concat(utf8Bytes("KEM"), i2osp(id, 2));
  const prefixed = concat(i2osp(label.length, 2), label);
  const input = concat(ikm, utf8Bytes("HPKE-v1"), suiteId, prefixed, i2osp(length, 2));
  const seed = lattice.shake256(input, length);
  wipe(input);
  return seed;
}

/**
 * FIPS 203 §7.2, the check of an encapsulation key: its size, and that each of its numbers, in 12 bits, is less than q. A key that
 * breaks it would be refused by whoever encrypts. Throws `TypeError`.
 */
function checkEncapsulationKey(size: MlKemSize, publicKey: Bytes): void {
  const { npk } = ML_KEM[size];
  if (publicKey.length !== npk) throw new TypeError("an encapsulation key of the wrong size");
  // The last 32 bytes are the seed of the matrix.
  for (let i = 0; i < npk - 32; i += 3) {
    const [a = 0, b = 0, c = 0] = publicKey.subarray(i, i + 3);
    if ((a | ((b & 15) << 8)) >= 3329 || ((b >> 4) | (c << 4)) >= 3329) {
      throw new TypeError("an encapsulation key with a number that is not reduced");
    }
  }
}

function mlKem(provider: CryptoProvider, latticeOf: LatticeOf, size: MlKemSize): Kem {
  const { id } = ML_KEM[size];
  const withPublicKey = async (privateKey: Bytes): Promise<KeyPair> => {
    const lattice = await latticeOf(provider);
    return { privateKey, publicKey: lattice.mlKemPublicKey(size, privateKey) };
  };
  return {
    id,
    generateKeyPair: () => withPublicKey(provider.random(SEED_LENGTH)),
    deriveKeyPair: async (seed) =>
      withPublicKey(deriveSeed(await latticeOf(provider), id, seed, SEED_LENGTH)),
    publicKey: async (privateKey) => (await withPublicKey(privateKey)).publicKey,
    checkPublicKey: (publicKey) => checkEncapsulationKey(size, publicKey),
    encap: async (recipient) => {
      const lattice = await latticeOf(provider);
      const { ciphertext, secret } = lattice.mlKemEncaps(size, recipient);
      return { enc: ciphertext, secret };
    },
    decap: async (enc, { privateKey }) =>
      (await latticeOf(provider)).mlKemDecaps(size, privateKey, enc),
  };
}

/**
 * The combiner for a lattice KEM whose ciphertexts are bound to their secret ("C2PRI"): SHA3-256 over both secrets, and of the group
 * ciphertext and public key. Unlike the drafts we refuse a Diffie-Hellman secret of zero, which no honest sender makes.
 */
function hybridKem(provider: CryptoProvider, latticeOf: LatticeOf, hybrid: Hybrid): Kem {
  const { id, size, group, scalarSeed, label } = hybrid;
  const { npk, nct } = ML_KEM[size];

  /** `expandDecapsulationKey`: both private keys, from a seed of 32 bytes. */
  const expand = (lattice: Lattice, seed: Bytes): { readonly pq: Bytes; readonly t: Bytes } => {
    if (seed.length !== 32) throw new TypeError("a private key of the wrong size");
    const expanded = lattice.shake256(seed, SEED_LENGTH + scalarSeed);
    const pq = copyOf(expanded, 0, SEED_LENGTH);
    const scalar = (i: number, nsk: number): Bytes => {
      const start = SEED_LENGTH + i * nsk;
      return copyOf(expanded, start, start + nsk);
    };
    const nsk = group === "p256" ? 32 : 48;
    const t = isNist(group)
      ? sampleScalar(group, (i) => scalar(i, nsk), scalarSeed / nsk)
      : scalar(0, scalarSeed);
    wipe(expanded);
    return { pq, t };
  };

  const withPublicKey = async (privateKey: Bytes): Promise<KeyPair> => {
    const lattice = await latticeOf(provider);
    const { pq, t } = expand(lattice, privateKey);
    const { publicKey } = await keyPairOf(provider, group, t);
    const both = concat(lattice.mlKemPublicKey(size, pq), publicKey);
    wipe(pq, t);
    return { privateKey, publicKey: both };
  };

  const combine = (lattice: Lattice, pq: Bytes, t: Bytes, ct: Bytes, ek: Bytes): Bytes => {
    const input = concat(pq, t, ct, ek, utf8Bytes(label));
    const secret = lattice.sha3(input);
    wipe(input, pq, t);
    return secret;
  };

  return {
    id,
    generateKeyPair: () => withPublicKey(provider.random(32)),
    deriveKeyPair: async (seed) =>
      withPublicKey(deriveSeed(await latticeOf(provider), id, seed, 32)),
    publicKey: async (privateKey) => (await withPublicKey(privateKey)).publicKey,
    checkPublicKey: (publicKey) => {
      checkEncapsulationKey(size, publicKey.subarray(0, npk));
      return checkDhPublicKey(group, publicKey.subarray(npk));
    },
    encap: async (recipient) => {
      const lattice = await latticeOf(provider);
      const ek = recipient.slice(npk);
      const pq = lattice.mlKemEncaps(size, recipient.slice(0, npk));
      const t = await dhEphemeral(provider, group, ek);
      const secret = combine(lattice, pq.secret, t.secret, t.publicKey, ek);
      return { enc: concat(pq.ciphertext, t.publicKey), secret };
    },
    decap: async (enc, { privateKey, publicKey }) => {
      const lattice = await latticeOf(provider);
      const [ct, ek] = [enc.slice(nct), publicKey.slice(npk)];
      const keys = expand(lattice, privateKey);
      const pq = lattice.mlKemDecaps(size, keys.pq, enc.slice(0, nct));
      const t = await provider.dh(group, { privateKey: keys.t, publicKey: ek }, ct);
      wipe(keys.pq, keys.t);
      return combine(lattice, pq, t, ct, ek);
    },
  };
}
