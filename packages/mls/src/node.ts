/// <reference types="node" />
/**
 * The provider for Node, on node:crypto: synchronous throughout, and several times faster than WebCrypto there.
 *
 * Everything is OpenSSL's, written for constant time in secret keys, nonces and messages; verifying signatures and checking public
 * keys, where nothing is secret, may vary in time.
 * @module
 */

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPair,
  generateKeyPairSync,
  hash,
  type KeyObject,
  type RawPublicKeyInput,
  randomBytes,
  randomFillSync,
  sign,
  type VerifyPublicKeyInput,
  verify,
} from "node:crypto";
import { concat, EMPTY } from "./bytes.ts";
import type { Bytes } from "./codec.ts";
import { isNist } from "./crypto/kem.ts";
import { type Curve, FORMATS, pkcs8, spki } from "./crypto/key-format.ts";
import { generateScalar } from "./crypto/nist-curve.ts";
import { nodeLattice } from "./crypto/node-lattice.ts";
import {
  type AeadName,
  type CryptoProvider,
  type DhGroup,
  inPieces,
  type KeyPair,
  type NistGroup,
  type SignatureName,
  type Signed,
  SUITES,
} from "./crypto/suite.ts";

const CIPHER = {
  aes128gcm: "aes-128-gcm",
  aes256gcm: "aes-256-gcm",
  chacha20poly1305: "chacha20-poly1305",
} as const satisfies Record<AeadName, string>;
const TAG_LENGTH = 16;

/** How Node calls the curves. */
const NAMED_CURVE = { p256: "P-256", p384: "P-384", p521: "P-521" } as const;
/** In bytes (RFC 7748, RFC 8032). */
const PRIVATE_SIZE = { x25519: 32, x448: 56, ed25519: 32, ed448: 57 } as const;
const OKP = { x25519: "X25519", x448: "X448", ed25519: "Ed25519", ed448: "Ed448" } as const;

/** Hash is null where the scheme hashes for itself: there any `size` bytes are a private key. */
type Scheme =
  | { readonly curve: "ed25519" | "ed448"; readonly hash: null; readonly size: number }
  | { readonly curve: NistGroup; readonly hash: string; readonly size?: undefined };

const SCHEMES: ReadonlyMap<SignatureName, Scheme> = new Map<SignatureName, Scheme>([
  ["ed25519", { curve: "ed25519", hash: null, size: 32 }],
  ["ed448", { curve: "ed448", hash: null, size: 57 }],
  ["ecdsa_secp256r1_sha256", { curve: "p256", hash: "sha256" }],
  ["ecdsa_secp384r1_sha384", { curve: "p384", hash: "sha384" }],
  ["ecdsa_secp521r1_sha512", { curve: "p521", hash: "sha512" }],
]);

/** How many bytes an array may have that lies within the engine's heap. */
const IN_HEAP = 64;
/**
 * Where short inputs lie while native code reads them. It may not read within the engine's heap: an array there would get memory of
 * its own first, which takes longer than all else about it, and what it held would stay in the heap when its owner overwrites it.
 */
const DESK = new Uint8Array(4 * IN_HEAP);
/** Its places, each for up to `IN_HEAP` bytes, by how many those are: a view costs as much as a copy. */
const PLACES: readonly (readonly Bytes[])[] = [0, 1, 2, 3].map((place) =>
  Array.from({ length: IN_HEAP + 1 }, (_, length) => {
    const from = place * IN_HEAP;
    return DESK.subarray(from, from + length);
  }),
);

/** The same bytes for a call that has read them when it returns; `clearDesk` follows what is secret. */
function onDesk(place: 0 | 1 | 2 | 3, input: Uint8Array): Uint8Array {
  const view = PLACES[place]?.[input.length];
  if (view === undefined) return input;
  view.set(input);
  return view;
}

/** Nothing stays there. */
function clearDesk(): void {
  DESK.fill(0);
}

function schemeOf(name: SignatureName): Scheme {
  const scheme = SCHEMES.get(name);
  if (!scheme) throw new TypeError(`this provider has no ${name}`);
  return scheme;
}

function privateKeyObject(curve: Curve, keyPair: KeyPair): KeyObject {
  if (TAKES_RAW && isOkp(curve)) {
    if (keyPair.privateKey.length !== PRIVATE_SIZE[curve]) {
      throw new TypeError("a private key of the wrong size");
    }
    try {
      return createPrivateKey({
        key: onDesk(0, keyPair.privateKey),
        format: "raw-private",
        asymmetricKeyType: curve,
      });
    } finally {
      clearDesk();
    }
  }
  const der = pkcs8(FORMATS[curve], keyPair);
  try {
    return createPrivateKey({ key: Buffer.from(der.buffer), format: "der", type: "pkcs8" });
  } finally {
    der.fill(0);
  }
}

function isOkp(curve: Curve): curve is keyof typeof OKP {
  return Object.hasOwn(OKP, curve);
}

/** Whether this Node takes raw keys, which came in after 24. */
const TAKES_RAW: boolean = ((): boolean => {
  try {
    return createPublicKey(rawKey("x25519", new Uint8Array(32).fill(9))).type === "public";
  } catch {
    return false;
  }
})();

function rawKey(curve: keyof typeof OKP, publicKey: Uint8Array): RawPublicKeyInput {
  return { key: publicKey, format: "raw-public", asymmetricKeyType: curve };
}

/** What verifies: for most, the bytes themselves, since an object for each key would cost more than reading it. */
function verificationKey(curve: Curve, publicKey: Bytes): KeyObject | VerifyPublicKeyInput {
  if (!TAKES_RAW || !isOkp(curve)) return publicKeyObject(curve, publicKey);
  // `verify` takes it as `createPublicKey` does; its types don't say so yet.
  return rawKey(curve, onDesk(0, publicKey)) as unknown as VerifyPublicKeyInput;
}

/** Node refuses other sizes itself, and `spki` what is no uncompressed point. */
function publicKeyObject(curve: Curve, publicKey: Bytes): KeyObject {
  if (isOkp(curve)) {
    if (TAKES_RAW) return createPublicKey(rawKey(curve, onDesk(0, publicKey)));
    // Faster than DER.
    const x = Buffer.from(publicKey).toString("base64url");
    return createPublicKey({ key: { kty: "OKP", crv: OKP[curve], x }, format: "jwk" });
  }
  const der = spki(FORMATS[curve], publicKey);
  return createPublicKey({ key: Buffer.from(der.buffer), format: "der", type: "spki" });
}

/** A public key in the form that is sent. */
function exportPublicKey(curve: Curve, publicKey: KeyObject): Bytes {
  if (TAKES_RAW && isOkp(curve)) {
    // The types don't know of it yet.
    return bytes(publicKey.export({ format: "raw-public" } as never) as unknown as Uint8Array);
  }
  const { x, y } = publicKey.export({ format: "jwk" });
  if (x === undefined) throw new TypeError("no key of an elliptic curve");
  const first = Buffer.from(x, "base64url");
  return y === undefined
    ? bytes(first)
    : concat(Uint8Array.of(4), first, Buffer.from(y, "base64url"));
}

function publicKeyOf(curve: Curve, privateKey: Bytes): Bytes {
  const key = privateKeyObject(curve, { privateKey, publicKey: EMPTY });
  return exportPublicKey(curve, createPublicKey(key));
}

type NewKeys = { readonly publicKey: KeyObject; readonly privateKey: KeyObject };

function newKeys(group: DhGroup): NewKeys {
  // One call for both, though the types want one for each.
  return isNist(group)
    ? generateKeyPairSync("ec", { namedCurve: NAMED_CURVE[group] })
    : generateKeyPairSync(group as "x25519");
}

/** The same on another thread. */
function newKeysAside(
  group: DhGroup,
  made: (failed: Error | null, publicKey: KeyObject, privateKey: KeyObject) => void,
): void {
  if (isNist(group)) generateKeyPair("ec", { namedCurve: NAMED_CURVE[group] }, made);
  else generateKeyPair(group as "x25519", {}, made);
}

function dhAside(
  group: DhGroup,
  other: KeyObject,
): Promise<{ readonly publicKey: Bytes; readonly secret: Bytes }> {
  return new Promise((resolve, reject) => {
    newKeysAside(group, (failed, publicKey, privateKey) => {
      if (failed) return reject(failed);
      diffieHellman({ privateKey, publicKey: other }, (wrong, secret) => {
        if (wrong) return reject(wrong);
        resolve({ publicKey: exportPublicKey(group, publicKey), secret: bytes(secret) });
      });
    });
  });
}

/** Node's buffers as plain arrays: the same memory, where no other buffer shares it. */
function bytes(buffer: Uint8Array): Bytes {
  const { buffer: memory, byteLength } = buffer;
  return memory instanceof ArrayBuffer && memory.byteLength === byteLength
    ? new Uint8Array(memory)
    : Uint8Array.from(buffer);
}

/** Below this many, handing operations to other threads can cost more than it saves: on a busy machine they wait for their turn. */
const WORTH_THREADS = 10;
/** So many signatures are handed over at a time, whatever is asked. */
const AT_A_TIME = 512;

function verifyHere({ curve, hash }: Scheme, signed: Signed): boolean {
  try {
    const key = verificationKey(curve, signed.publicKey);
    return verify(hash, signed.message, key, onDesk(1, signed.signature));
  } catch {
    // A key of the wrong form: no valid signature.
    return false;
  }
}

/** The same on a thread of libuv's pool. */
function verifyAside({ curve, hash }: Scheme, signed: Signed): Promise<boolean> {
  return new Promise((resolve) => {
    try {
      const key = verificationKey(curve, signed.publicKey);
      verify(hash, signed.message, key, signed.signature, (error, valid) =>
        resolve(!error && valid),
      );
    } catch {
      resolve(false);
    }
  });
}

/** The provider on `node:crypto`: see the top of this module. */
export const nodeCrypto: CryptoProvider = {
  suites: SUITES,

  // None is drawn in advance: two copies of a process must not share what each draws after they part (§6.3.1).
  random: (length) => {
    const place = PLACES[0]?.[length];
    if (place === undefined) return randomFillSync(new Uint8Array(length));
    try {
      return randomFillSync(place).slice();
    } finally {
      clearDesk();
    }
  },

  hash: (name, data) => {
    try {
      if (!inPieces(data)) return bytes(hash(name, onDesk(0, data), "buffer"));
      const hasher = createHash(name);
      for (const piece of data) hasher.update(onDesk(0, piece));
      return bytes(hasher.digest());
    } finally {
      clearDesk();
    }
  },

  hmac: (name, key, data) => {
    try {
      const hasher = createHmac(name, onDesk(0, key));
      if (inPieces(data)) for (const piece of data) hasher.update(onDesk(1, piece));
      else hasher.update(onDesk(1, data));
      return bytes(hasher.digest());
    } finally {
      clearDesk();
    }
  },

  seal: (aead, key, nonce, aad, plaintext) => {
    try {
      // All three have tags of 16 bytes unless told otherwise; the types tell AES-GCM and ChaCha20-Poly1305 apart.
      const name = CIPHER[aead] as "aes-128-gcm";
      const cipher = createCipheriv(name, onDesk(0, key), onDesk(1, nonce));
      if (aad.length > 0) cipher.setAAD(onDesk(2, aad));
      const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
      sealed.set(cipher.update(onDesk(3, plaintext)));
      // Both are stream ciphers inside: nothing comes at the end but the tag.
      cipher.final();
      sealed.set(cipher.getAuthTag(), plaintext.length);
      return sealed;
    } finally {
      clearDesk();
    }
  },

  open: (aead, key, nonce, aad, ciphertext) => {
    const split = ciphertext.length - TAG_LENGTH;
    if (split < 0) throw new TypeError("a ciphertext shorter than its tag");
    try {
      const name = CIPHER[aead] as "aes-128-gcm";
      const decipher = createDecipheriv(name, onDesk(0, key), onDesk(1, nonce));
      if (aad.length > 0) decipher.setAAD(onDesk(2, aad));
      decipher.setAuthTag(ciphertext.subarray(split));
      const opened = decipher.update(ciphertext.subarray(0, split));
      // Nothing comes at the end but whether the tag verifies.
      decipher.final();
      return bytes(opened);
    } finally {
      clearDesk();
    }
  },

  ...(nodeLattice && { lattice: nodeLattice }),

  dhPublicKey: publicKeyOf,

  dh: (group, own, peer) =>
    bytes(
      diffieHellman({
        privateKey: privateKeyObject(group, own),
        publicKey: publicKeyObject(group, peer),
      }),
    ),

  dhEphemeral: (group, peer, among) => {
    const other = publicKeyObject(group, peer);
    if (among >= WORTH_THREADS) return dhAside(group, other);
    const { publicKey, privateKey } = newKeys(group);
    const secret = diffieHellman({ privateKey, publicKey: other });
    return { publicKey: exportPublicKey(group, publicKey), secret: bytes(secret) };
  },

  generateSignatureKeyPair: (name) => {
    const { curve, size } = schemeOf(name);
    const privateKey =
      size === undefined ? generateScalar(nodeCrypto, curve) : bytes(randomBytes(size));
    return { privateKey, publicKey: publicKeyOf(curve, privateKey) };
  },

  signer: (name, keyPair) => {
    const { curve, hash } = schemeOf(name);
    const key = privateKeyObject(curve, keyPair);
    return (message) => bytes(sign(hash, message, key));
  },

  verify: (name, publicKey, message, signature) =>
    verifyHere(schemeOf(name), { publicKey, message, signature }),

  verifyMany: async (name, signed) => {
    const scheme = schemeOf(name);
    if (signed.length < WORTH_THREADS) {
      return signed.map((one) => verifyHere(scheme, one));
    }
    const answers: boolean[] = [];
    for (let at = 0; at < signed.length; at += AT_A_TIME) {
      const part = signed.slice(at, at + AT_A_TIME);
      answers.push(...(await Promise.all(part.map((one) => verifyAside(scheme, one)))));
    }
    return answers;
  },
};
