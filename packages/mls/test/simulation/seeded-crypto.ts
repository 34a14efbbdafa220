/** A platform's cryptography with randomness from a seed, which notes what is sealed: no key and nonce may serve twice. */

import { createHash, createPrivateKey, createPublicKey } from "node:crypto";
import { type CryptoProvider, type KeyPair, type Signer, signerOf } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import type { Random } from "../fuzz/random.ts";

/** What was ever sealed: by key and nonce, what it was. Shared by all who are simulated. */
export class Seals {
  readonly #seen = new Map<string, string>();
  #total = 0;

  get count(): number {
    return this.#total;
  }

  /** Sealing the very same again, after a crash before it could leave, tells nobody anything. */
  note(aead: string, key: Bytes, nonce: Bytes, aad: Bytes, plaintext: Bytes): void {
    this.#total++;
    const pair = createHash("sha256").update(aead).update(key).update(nonce).digest("base64");
    const hash = createHash("sha256").update(`${aad.length} `).update(aad).update(plaintext);
    const content = hash.digest("base64");
    const before = this.#seen.get(pair);
    if (before !== undefined && before !== content) throw new Error("a key and nonce used twice");
    this.#seen.set(pair, content);
  }
}

export function seededCrypto(
  platform: CryptoProvider,
  random: Random,
  seals: Seals,
): CryptoProvider {
  // Without its own way to new keys, which asks for no randomness of ours.
  const { dhEphemeral: _, ...rest } = platform;
  return {
    ...rest,
    random: (length) => random.bytes(length),
    seal: (aead, key, nonce, aad, plaintext) => {
      seals.note(aead, key, nonce, aad, plaintext);
      return platform.seal(aead, key, nonce, aad, plaintext);
    },
  };
}

/** An Ed25519 key out of the seed (RFC 8410). */
export function seededSigner(random: Random): Signer {
  const head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
  const privateKey = random.bytes(32);
  const key = createPrivateKey({
    key: Buffer.from([...head, ...privateKey]),
    format: "der",
    type: "pkcs8",
  });
  const der = createPublicKey(key).export({ format: "der", type: "spki" });
  const keyPair: KeyPair = { privateKey, publicKey: Uint8Array.from(der.subarray(-32)) };
  return signerOf(nodeCrypto, "ed25519", keyPair);
}
