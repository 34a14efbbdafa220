/**
 * The provider for every platform with WebCrypto. Hash, HMAC and ChaCha20-Poly1305 are noble's (synchronous, and constant-time
 * in JavaScript); AES-GCM, X25519 and Ed25519 are the platform's own, the curves with noble where a platform lacks them.
 * @module
 */

import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { concat } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { AEADS, type AeadName, type CryptoProvider } from "./suite.ts";

const HASH = { sha256, sha384, sha512 } as const;

/** PKCS #8 around a raw 32-byte private key of RFC 8410; the last byte of the algorithm tells the curves apart. */
function pkcs8(algorithm: "X25519" | "Ed25519", privateKey: Bytes): Bytes {
  if (privateKey.length !== 32) throw new TypeError("a private key of the wrong size");
  const oid = algorithm === "X25519" ? 0x6e : 0x70;
  return concat(
    Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, oid, 4, 0x22, 4, 0x20),
    privateKey,
  );
}

/** Whether the platform has a curve: asked once, by trying. */
function supports(algorithm: "X25519" | "Ed25519"): () => Promise<boolean> {
  let answer: Promise<boolean> | undefined;
  const usages: KeyUsage[] = algorithm === "X25519" ? ["deriveBits"] : ["sign", "verify"];
  return () => {
    answer ??= crypto.subtle.generateKey(algorithm, false, usages).then(
      () => true,
      () => false,
    );
    return answer;
  };
}
const hasX25519 = supports("X25519");
const hasEd25519 = supports("Ed25519");

/** The platform would take a key of any AES. */
async function aesKey(
  aead: AeadName,
  key: Bytes,
  usage: "encrypt" | "decrypt",
): Promise<CryptoKey> {
  if (key.length !== AEADS[aead].nk) throw new TypeError("a key of the wrong size");
  return crypto.subtle.importKey("raw", key, "AES-GCM", false, [usage]);
}

function isAes(aead: AeadName): boolean {
  return aead !== "chacha20poly1305";
}

export const webCrypto: CryptoProvider = {
  random: (length) => crypto.getRandomValues(new Uint8Array(length)),

  hash: (name, data) => HASH[name](data) as Bytes,

  hmac: (name, key, data) => hmac(HASH[name], key, data) as Bytes,

  seal: async (aead, key, nonce, aad, plaintext) => {
    if (!isAes(aead)) return chacha20poly1305(key, nonce, aad).encrypt(plaintext) as Bytes;
    const parameters = { name: "AES-GCM", iv: nonce, additionalData: aad };
    return new Uint8Array(
      await crypto.subtle.encrypt(parameters, await aesKey(aead, key, "encrypt"), plaintext),
    );
  },

  open: async (aead, key, nonce, aad, ciphertext) => {
    if (!isAes(aead)) return chacha20poly1305(key, nonce, aad).decrypt(ciphertext) as Bytes;
    const parameters = { name: "AES-GCM", iv: nonce, additionalData: aad };
    return new Uint8Array(
      await crypto.subtle.decrypt(parameters, await aesKey(aead, key, "decrypt"), ciphertext),
    );
  },

  dhPublicKey: (_, privateKey) => x25519.getPublicKey(privateKey) as Bytes,

  dh: async (_, privateKey, publicKey) => {
    if (!(await hasX25519())) return x25519.getSharedSecret(privateKey, publicKey) as Bytes;
    const encoded = pkcs8("X25519", privateKey);
    const [own, peer] = await Promise.all([
      crypto.subtle.importKey("pkcs8", encoded, "X25519", false, ["deriveBits"]),
      crypto.subtle.importKey("raw", publicKey, "X25519", false, []),
    ]);
    encoded.fill(0);
    return new Uint8Array(
      await crypto.subtle.deriveBits({ name: "X25519", public: peer }, own, 256),
    );
  },

  generateDhKeyPair: () => {
    const privateKey = crypto.getRandomValues(new Uint8Array(32));
    return { privateKey, publicKey: x25519.getPublicKey(privateKey) as Bytes };
  },

  generateSignatureKeyPair: () => {
    const privateKey = crypto.getRandomValues(new Uint8Array(32));
    return { privateKey, publicKey: ed25519.getPublicKey(privateKey) as Bytes };
  },

  sign: async (_, privateKey, message) => {
    if (!(await hasEd25519())) return ed25519.sign(message, privateKey) as Bytes;
    const encoded = pkcs8("Ed25519", privateKey);
    const key = await crypto.subtle.importKey("pkcs8", encoded, "Ed25519", false, ["sign"]);
    encoded.fill(0);
    return new Uint8Array(await crypto.subtle.sign("Ed25519", key, message));
  },

  verify: async (_, publicKey, message, signature) => {
    try {
      if (!(await hasEd25519())) return ed25519.verify(signature, message, publicKey);
      const key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
      return await crypto.subtle.verify("Ed25519", key, signature, message);
    } catch {
      // A key or signature of the wrong form: no valid signature.
      return false;
    }
  },
};
