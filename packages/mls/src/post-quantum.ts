/**
 * The eleven post-quantum cipher suites of draft-ietf-mls-pq-ciphersuites-06, for any provider: `withPostQuantum(nodeCrypto)`.
 *
 * The draft is not final and has no code points, so the numbers are the application's to choose, and two applications that want
 * to talk have to choose the same.
 *
 * How far this is audited: ML-KEM, ML-DSA and SHA-3 are OpenSSL's own under Node 24.7 and later. Elsewhere they are those of
 * `@noble/post-quantum` 0.7.1, an optional peer dependency that is loaded when a suite first needs it: its authors have audited it
 * themselves, nobody independent has, and it doesn't claim constant time, so whoever can measure its time may learn of the
 * key. `@noble/hashes`, for SHA-3, was audited independently in earlier versions. The combination of both kinds of keys
 * (`crypto/post-quantum-kem.ts`) is ours, after draft-irtf-cfrg-concrete-hybrid-kems, checked against its and HPKE's test vectors
 * and not audited. A hybrid suite is as strong as the stronger of its two parts; a suite of ML-KEM alone is not.
 * @module
 */

import type { Bytes } from "./codec.ts";
import { loaded } from "./crypto/loading.ts";
import { postQuantumKems } from "./crypto/post-quantum-kem.ts";
import type {
  AeadName,
  CipherSuite,
  CryptoProvider,
  HashName,
  KemName,
  KeyPair,
  Lattice,
  MlDsaSize,
  SignatureName,
} from "./crypto/suite.ts";

/** The suites, by the names that the draft gives them. */
export type PostQuantumSuiteName =
  | "MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519"
  | "MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519"
  | "MLS_128_MLKEM768P256_AES128GCM_SHA256_P256"
  | "MLS_128_MLKEM768P256_AES256GCM_SHA384_P256"
  | "MLS_192_MLKEM1024P384_AES256GCM_SHA384_P384"
  | "MLS_128_MLKEM768_AES256GCM_SHA384_Ed25519"
  | "MLS_128_MLKEM768_AES256GCM_SHA384_P256"
  | "MLS_192_MLKEM1024_AES256GCM_SHA384_P384"
  | "MLS_128_MLKEM768X25519_CHACHA20POLY1305_SHA384_MLDSA44"
  | "MLS_192_MLKEM768_AES256GCM_SHA384_MLDSA65"
  | "MLS_256_MLKEM1024_AES256GCM_SHA384_MLDSA87";

/** The draft's table: KEM, AEAD, hash (and with it the KDF) and signature of each suite. */
const ROWS: Readonly<
  Record<PostQuantumSuiteName, readonly [KemName, AeadName, HashName, SignatureName]>
> = {
  MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519: [
    "mlkem768-x25519",
    "aes128gcm",
    "sha256",
    "ed25519",
  ],
  MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519: [
    "mlkem768-x25519",
    "aes256gcm",
    "sha384",
    "ed25519",
  ],
  MLS_128_MLKEM768P256_AES128GCM_SHA256_P256: [
    "mlkem768-p256",
    "aes128gcm",
    "sha256",
    "ecdsa_secp256r1_sha256",
  ],
  MLS_128_MLKEM768P256_AES256GCM_SHA384_P256: [
    "mlkem768-p256",
    "aes256gcm",
    "sha384",
    "ecdsa_secp256r1_sha256",
  ],
  MLS_192_MLKEM1024P384_AES256GCM_SHA384_P384: [
    "mlkem1024-p384",
    "aes256gcm",
    "sha384",
    "ecdsa_secp384r1_sha384",
  ],
  MLS_128_MLKEM768_AES256GCM_SHA384_Ed25519: ["mlkem768", "aes256gcm", "sha384", "ed25519"],
  MLS_128_MLKEM768_AES256GCM_SHA384_P256: [
    "mlkem768",
    "aes256gcm",
    "sha384",
    "ecdsa_secp256r1_sha256",
  ],
  MLS_192_MLKEM1024_AES256GCM_SHA384_P384: [
    "mlkem1024",
    "aes256gcm",
    "sha384",
    "ecdsa_secp384r1_sha384",
  ],
  MLS_128_MLKEM768X25519_CHACHA20POLY1305_SHA384_MLDSA44: [
    "mlkem768-x25519",
    "chacha20poly1305",
    "sha384",
    "mldsa44",
  ],
  MLS_192_MLKEM768_AES256GCM_SHA384_MLDSA65: ["mlkem768", "aes256gcm", "sha384", "mldsa65"],
  MLS_256_MLKEM1024_AES256GCM_SHA384_MLDSA87: ["mlkem1024", "aes256gcm", "sha384", "mldsa87"],
};

/** Under which numbers an application meets the suites; those without one it doesn't have. */
export type PostQuantumNumbers = Readonly<Partial<Record<PostQuantumSuiteName, number>>>;

/** Numbers for private use (§17.1), in the order of the draft. */
export const PRIVATE_USE_NUMBERS: Readonly<Record<PostQuantumSuiteName, number>> = {
  MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519: 0xfd01,
  MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519: 0xfd02,
  MLS_128_MLKEM768P256_AES128GCM_SHA256_P256: 0xfd03,
  MLS_128_MLKEM768P256_AES256GCM_SHA384_P256: 0xfd04,
  MLS_192_MLKEM1024P384_AES256GCM_SHA384_P384: 0xfd05,
  MLS_128_MLKEM768_AES256GCM_SHA384_Ed25519: 0xfd06,
  MLS_128_MLKEM768_AES256GCM_SHA384_P256: 0xfd07,
  MLS_192_MLKEM1024_AES256GCM_SHA384_P384: 0xfd08,
  MLS_128_MLKEM768X25519_CHACHA20POLY1305_SHA384_MLDSA44: 0xfd09,
  MLS_192_MLKEM768_AES256GCM_SHA384_MLDSA65: 0xfd0a,
  MLS_256_MLKEM1024_AES256GCM_SHA384_MLDSA87: 0xfd0b,
};

/** The numbers that OpenMLS gives to those suites that it has. */
export const OPENMLS_NUMBERS: PostQuantumNumbers = {
  MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519: 0x004f,
  MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519: 0x004e,
  MLS_128_MLKEM768_AES256GCM_SHA384_Ed25519: 0xf042,
  MLS_128_MLKEM768_AES256GCM_SHA384_P256: 0x0050,
  MLS_192_MLKEM1024_AES256GCM_SHA384_P384: 0x0042,
  MLS_128_MLKEM768X25519_CHACHA20POLY1305_SHA384_MLDSA44: 0x0052,
  MLS_192_MLKEM768_AES256GCM_SHA384_MLDSA65: 0x0051,
  MLS_256_MLKEM1024_AES256GCM_SHA384_MLDSA87: 0x0907,
};

const ML_DSA: ReadonlyMap<SignatureName, MlDsaSize> = new Map<SignatureName, MlDsaSize>([
  ["mldsa44", 44],
  ["mldsa65", 65],
  ["mldsa87", 87],
]);

async function latticeOf(provider: CryptoProvider): Promise<Lattice> {
  if (provider.lattice) return provider.lattice;
  return (await loaded(import("./crypto/noble-lattice.ts"))).nobleLattice(provider);
}

/** The provider with the suites beside its own. Throws `TypeError` where two suites would have one number. */
export function withPostQuantum(
  provider: CryptoProvider,
  numbers: PostQuantumNumbers = PRIVATE_USE_NUMBERS,
): CryptoProvider {
  const suites = new Map(provider.suites);
  for (const name of Object.keys(ROWS) as PostQuantumSuiteName[]) {
    const number = numbers[name];
    if (number === undefined) continue;
    if (suites.has(number)) throw new TypeError(`two suites with the number ${number}`);
    const [kem, aead, hash, signature] = ROWS[name];
    suites.set(number, { number, name, kem, aead, hash, signature } satisfies CipherSuite);
  }
  const verifyMlDsa = async (
    size: MlDsaSize,
    ...[publicKey, message, signature]: readonly [Bytes, Bytes, Bytes]
  ): Promise<boolean> =>
    (await latticeOf(provider)).mlDsaVerify(size, publicKey, message, signature);
  return {
    ...provider,
    suites,
    kems: new Map([...(provider.kems ?? []), ...postQuantumKems(latticeOf)]),
    generateSignatureKeyPair: (name) => {
      const size = ML_DSA.get(name);
      if (size === undefined) return provider.generateSignatureKeyPair(name);
      return latticeOf(provider).then((lattice): KeyPair => {
        const privateKey = provider.random(32);
        return { privateKey, publicKey: lattice.mlDsaPublicKey(size, privateKey) };
      });
    },
    signer: (name, keyPair) => {
      const size = ML_DSA.get(name);
      if (size === undefined) return provider.signer(name, keyPair);
      let signer: ((message: Bytes) => Bytes) | undefined;
      return async (message) => {
        const lattice = await latticeOf(provider);
        signer ??= lattice.mlDsaSigner(size, keyPair.privateKey);
        return signer(message);
      };
    },
    verify: (name, publicKey, message, signature) => {
      const size = ML_DSA.get(name);
      return size === undefined
        ? provider.verify(name, publicKey, message, signature)
        : verifyMlDsa(size, publicKey, message, signature);
    },
    verifyMany: (name, signed) => {
      const size = ML_DSA.get(name);
      return size === undefined
        ? provider.verifyMany(name, signed)
        : Promise.all(
            signed.map((one) => verifyMlDsa(size, one.publicKey, one.message, one.signature)),
          );
    },
  };
}
