/**
 * The provider for every platform with WebCrypto: browsers, workers, Deno, Bun.
 *
 * What is whose, and what that means for constant time:
 * - AES-GCM, X25519, Ed25519, ECDH and ECDSA are the platform's own, compiled code written for constant time.
 * - Hash and HMAC are noble's: synchronous, without branches or table look-ups that depend on the data.
 * - ChaCha20-Poly1305 is noble's: constant time as far as its algorithm goes; what an engine makes of it, nobody promises.
 *   So are X448 and Ed448, and the curves above, where a platform lacks them; and public keys of NIST curves, where it doesn't
 *   compute them from private ones.
 *
 * All of noble but the hashes is loaded when it is first used.
 * @module
 */

import type { Cipher } from "@noble/ciphers/utils.js";
import type { EdDSA } from "@noble/curves/abstract/edwards.js";
import type { MontgomeryECDH } from "@noble/curves/abstract/montgomery.js";
import type { ECDSA } from "@noble/curves/abstract/weierstrass.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { EMPTY, wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { isNist, loadNistCurves } from "./kem.ts";
import { type Curve, checkPublicKeyForm, FORMATS, pkcs8 } from "./key-format.ts";
import { loaded, passLoadError } from "./loading.ts";
import {
  AEADS,
  type AeadName,
  type CryptoProvider,
  type DhGroup,
  inPieces,
  type KeyPair,
  type NistGroup,
  type Pieces,
  type SignatureName,
  SUITES,
} from "./suite.ts";

const HASH = { sha256, sha384, sha512 } as const;

/** What WebCrypto calls a curve, in agreeing on keys and in signing. */
const DH: Readonly<Record<DhGroup, Algorithm | EcKeyAlgorithm>> = {
  x25519: { name: "X25519" },
  x448: { name: "X448" },
  p256: { name: "ECDH", namedCurve: "P-256" },
  p384: { name: "ECDH", namedCurve: "P-384" },
  p521: { name: "ECDH", namedCurve: "P-521" },
};

interface Scheme {
  readonly curve: "ed25519" | "ed448" | NistGroup;
  readonly algorithm: Algorithm | EcKeyAlgorithm;
  /** What ECDSA needs beside: its hash, and the size of a number in bytes. */
  readonly ecdsa?: { readonly hash: string; readonly size: number };
}

const SCHEMES: ReadonlyMap<SignatureName, Scheme> = new Map<SignatureName, Scheme>([
  ["ed25519", { curve: "ed25519", algorithm: { name: "Ed25519" } }],
  ["ed448", { curve: "ed448", algorithm: { name: "Ed448" } }],
  ["ecdsa_secp256r1_sha256", ecdsa("p256", "P-256", "SHA-256", 32)],
  ["ecdsa_secp384r1_sha384", ecdsa("p384", "P-384", "SHA-384", 48)],
  ["ecdsa_secp521r1_sha512", ecdsa("p521", "P-521", "SHA-512", 66)],
]);

function ecdsa(curve: NistGroup, namedCurve: string, hash: string, size: number): Scheme {
  const algorithm: EcKeyAlgorithm = { name: "ECDSA", namedCurve };
  return { curve, algorithm, ecdsa: { hash, size } };
}

function schemeOf(name: SignatureName): Scheme {
  const scheme = SCHEMES.get(name);
  if (!scheme) throw new TypeError(`WebCrypto has no ${name}`);
  return scheme;
}

const supported = new Map<string, Promise<boolean>>();

/** Whether the platform has a curve: asked once, by trying. */
function supports(algorithm: Algorithm | EcKeyAlgorithm, usages: KeyUsage[]): Promise<boolean> {
  const name = JSON.stringify(algorithm);
  const known = supported.get(name);
  if (known) return known;
  const answer = crypto.subtle.generateKey(algorithm, false, usages).then(
    () => true,
    () => false,
  );
  supported.set(name, answer);
  return answer;
}
const supportsDh = (group: DhGroup): Promise<boolean> => supports(DH[group], ["deriveBits"]);
const supportsScheme = (scheme: Scheme): Promise<boolean> =>
  supports(scheme.algorithm, ["sign", "verify"]);

/** The platform would take a key of any AES. */
async function aesKey(
  aead: AeadName,
  key: Bytes,
  usage: "encrypt" | "decrypt",
): Promise<CryptoKey> {
  if (key.length !== AEADS[aead].nk) throw new TypeError("a key of the wrong size");
  return crypto.subtle.importKey("raw", key, "AES-GCM", false, [usage]);
}

async function chaCha(key: Bytes, nonce: Bytes, aad: Bytes): Promise<Cipher> {
  const { chacha20poly1305 } = await loaded(import("@noble/ciphers/chacha.js"));
  return chacha20poly1305(key, nonce, aad);
}

async function importPrivate(
  curve: Curve,
  algorithm: Algorithm | EcKeyAlgorithm,
  keyPair: KeyPair,
  usages: KeyUsage[],
): Promise<CryptoKey> {
  const encoded = pkcs8(FORMATS[curve], keyPair);
  try {
    return await crypto.subtle.importKey("pkcs8", encoded, algorithm, false, usages);
  } finally {
    wipe(encoded);
  }
}

/** What is needed for NIST's curves alone. */
const nist = (): Promise<typeof import("./webcrypto-nist.ts")> =>
  loaded(import("./webcrypto-nist.ts"));

async function nistCurve(group: NistGroup): Promise<ECDSA> {
  return (await nist()).curveOf(group);
}

/** X25519 and X448 in JavaScript. */
async function montgomeryCurve(group: "x25519" | "x448"): Promise<MontgomeryECDH> {
  return group === "x25519"
    ? (await loaded(import("@noble/curves/ed25519.js"))).x25519
    : (await loaded(import("@noble/curves/ed448.js"))).x448;
}

async function edwardsCurve(curve: "ed25519" | "ed448"): Promise<EdDSA> {
  return curve === "ed25519"
    ? (await loaded(import("@noble/curves/ed25519.js"))).ed25519
    : (await loaded(import("@noble/curves/ed448.js"))).ed448;
}

async function dhPublicKey(group: DhGroup, privateKey: Bytes): Promise<Bytes> {
  if (isNist(group)) return (await nist()).publicKeyOf(group, DH[group], privateKey);
  // A shared secret with the base point is the public key (RFC 7748 §6).
  const base = new Uint8Array(group === "x25519" ? 32 : 56);
  base[0] = group === "x25519" ? 9 : 5;
  return dh(group, { privateKey, publicKey: EMPTY }, base);
}

async function dh(group: DhGroup, own: KeyPair, peer: Bytes): Promise<Bytes> {
  checkPublicKeyForm(FORMATS[group], peer);
  if (!(await supportsDh(group))) {
    return isNist(group)
      ? ((await nistCurve(group)).getSharedSecret(own.privateKey, peer).slice(1) as Bytes)
      : ((await montgomeryCurve(group)).getSharedSecret(own.privateKey, peer) as Bytes);
  }
  const algorithm = DH[group];
  const [key, publicKey] = await Promise.all([
    importPrivate(group, algorithm, own, ["deriveBits"]),
    crypto.subtle.importKey("raw", peer, algorithm, false, []),
  ]);
  const { name } = algorithm;
  return new Uint8Array(await crypto.subtle.deriveBits({ name, public: publicKey }, key, null));
}

async function verify(
  name: SignatureName,
  publicKey: Bytes,
  message: Bytes,
  signature: Bytes,
): Promise<boolean> {
  const scheme = schemeOf(name);
  const { curve, algorithm, ecdsa } = scheme;
  try {
    checkPublicKeyForm(FORMATS[curve], publicKey);
    const raw = ecdsa ? (await nist()).ecdsaFromDer(signature, ecdsa.size) : signature;
    if (await supportsScheme(scheme)) {
      const key = await crypto.subtle.importKey("raw", publicKey, algorithm, false, ["verify"]);
      return await crypto.subtle.verify({ ...algorithm, ...ecdsa }, key, raw, message);
    }
    return isEdwards(curve)
      ? (await edwardsCurve(curve)).verify(raw, message, publicKey, { zip215: false })
      : (await nistCurve(curve)).verify(raw, message, publicKey, { lowS: false });
  } catch (cause) {
    passLoadError(cause);
    // A key or signature of the wrong form: no valid signature.
    return false;
  }
}

function isEdwards(curve: Scheme["curve"]): curve is "ed25519" | "ed448" {
  return curve === "ed25519" || curve === "ed448";
}

interface Hasher {
  readonly update: (piece: Uint8Array) => unknown;
  readonly digest: () => Uint8Array;
}

function digest(hasher: Hasher, data: Pieces): Bytes {
  for (const piece of inPieces(data) ? data : [data]) hasher.update(piece);
  return hasher.digest() as Bytes;
}

/** The provider on WebCrypto and noble: see the top of this module. */
export const webCrypto: CryptoProvider = {
  suites: SUITES,

  random: (length) => crypto.getRandomValues(new Uint8Array(length)),

  hash: (name, data) => digest(HASH[name].create(), data),

  hmac: (name, key, data) => digest(hmac.create(HASH[name], key), data),

  seal: async (aead, key, nonce, aad, plaintext) => {
    if (aead === "chacha20poly1305") {
      return (await chaCha(key, nonce, aad)).encrypt(plaintext) as Bytes;
    }
    const parameters = { name: "AES-GCM", iv: nonce, additionalData: aad };
    return new Uint8Array(
      await crypto.subtle.encrypt(parameters, await aesKey(aead, key, "encrypt"), plaintext),
    );
  },

  open: async (aead, key, nonce, aad, ciphertext) => {
    if (aead === "chacha20poly1305") {
      return (await chaCha(key, nonce, aad)).decrypt(ciphertext) as Bytes;
    }
    const parameters = { name: "AES-GCM", iv: nonce, additionalData: aad };
    return new Uint8Array(
      await crypto.subtle.decrypt(parameters, await aesKey(aead, key, "decrypt"), ciphertext),
    );
  },

  dhPublicKey,

  dh,

  generateSignatureKeyPair: async (name) => {
    const scheme = schemeOf(name);
    const { curve, algorithm } = scheme;
    if (!isEdwards(curve)) {
      const privateKey = (await loadNistCurves()).generateScalar(webCrypto, curve);
      return { privateKey, publicKey: await dhPublicKey(curve, privateKey) };
    }
    if (!(await supportsScheme(scheme))) {
      const keys = (await edwardsCurve(curve)).keygen();
      return { privateKey: keys.secretKey as Bytes, publicKey: keys.publicKey as Bytes };
    }
    const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    if (!("publicKey" in keys)) throw new TypeError("no key pair");
    const exported = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
    const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", keys.publicKey));
    // RFC 8410 §7: the private key stands at the end, and is as long as the public one.
    const privateKey = exported.slice(-publicKey.length);
    wipe(exported);
    return { privateKey, publicKey };
  },

  signer: (name, keyPair) => {
    const scheme = schemeOf(name);
    const { curve, algorithm, ecdsa } = scheme;
    let key: Promise<CryptoKey> | undefined;
    return async (message) => {
      if (await supportsScheme(scheme)) {
        key ??= importPrivate(curve, algorithm, keyPair, ["sign"]);
        const parameters = { ...algorithm, ...ecdsa };
        const signature = new Uint8Array(await crypto.subtle.sign(parameters, await key, message));
        return ecdsa ? (await nist()).ecdsaToDer(signature) : signature;
      }
      if (isEdwards(curve)) {
        return (await edwardsCurve(curve)).sign(message, keyPair.privateKey) as Bytes;
      }
      const { ecdsaToDer } = await nist();
      const noble = await nistCurve(curve);
      return ecdsaToDer(noble.sign(message, keyPair.privateKey, { lowS: false }));
    };
  },

  verify,

  // The platform has its own threads: what is asked at once runs at once.
  verifyMany: (name, signed) =>
    Promise.all(
      signed.map(({ publicKey, message, signature }) =>
        verify(name, publicKey, message, signature),
      ),
    ),
};
