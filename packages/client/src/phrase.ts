/**
 * The recovery phrase: twelve words (BIP 39, English) from which the account's root key is derived, wherever they are entered. Who has
 * the words can change the device list; a device keeps nothing of either. Of accounts from before 0.2 they unwrap a root key that
 * the device keeps.
 * @module
 */

import type { SigningKey } from "@conclave/delivery/protocol";
import type { Bytes } from "@conclave/mls/codec";
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { entropyToMnemonic, mnemonicToEntropy } from "@scure/bip39";
import { wordlist } from "@scure/bip39/wordlists/english.js";
import { ClientError } from "./api.ts";
import { randomBytes, utf8Bytes } from "./bytes.ts";

const LABEL = utf8Bytes("Conclave 1 recovery phrase");
const ROOT_LABEL = utf8Bytes("Conclave 1 root key");
const ENTROPY_LENGTH = 16;
const NONCE_LENGTH = 24;

export function newEntropy(): Bytes {
  return randomBytes(ENTROPY_LENGTH);
}

export function phraseOf(entropy: Bytes): string {
  return entropyToMnemonic(entropy, wordlist);
}

/** Takes the words in any case and spacing. Throws `ClientError` with `phrase-wrong`. */
export function entropyOf(phrase: string): Bytes {
  try {
    return mnemonicToEntropy(
      phrase.trim().toLowerCase().split(/\s+/u).join(" "),
      wordlist,
    ) as Bytes;
  } catch {
    // The library's error would repeat the words.
    throw new ClientError("phrase-wrong", "these are not the twelve words of a recovery phrase");
  }
}

/** The caller overwrites the seed. */
export function rootSeedOf(entropy: Bytes): Bytes {
  return hkdf(sha256, entropy, undefined, ROOT_LABEL, 32) as Bytes;
}

/** From which WebCrypto derives what is encrypted for whoever has the phrase. The caller overwrites the entropy. */
export function phraseKeyOf(entropy: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", entropy, "HKDF", false, ["deriveKey"]);
}

/** Nonce and ciphertext in. Throws `ClientError` with `phrase-wrong`. The caller overwrites the seed. */
export function unwrapRootSeed(entropy: Bytes, wrapped: Bytes): Bytes {
  const key = wrappingKey(entropy);
  try {
    const cipher = xchacha20poly1305(key, wrapped.slice(0, NONCE_LENGTH), LABEL);
    return cipher.decrypt(wrapped.slice(NONCE_LENGTH)) as Bytes;
  } catch (cause) {
    throw new ClientError("phrase-wrong", "the recovery phrase is of another account", { cause });
  } finally {
    key.fill(0);
  }
}

function wrappingKey(entropy: Bytes): Bytes {
  return hkdf(sha256, entropy, undefined, LABEL, 32) as Bytes;
}

/** Signs with a key given by its seed, which the caller keeps until the last signature is made. */
export function signerOfSeed(seed: Bytes): SigningKey {
  return {
    publicKey: ed25519.getPublicKey(seed) as Bytes,
    sign: async (message) => ed25519.sign(message, seed) as Bytes,
  };
}
