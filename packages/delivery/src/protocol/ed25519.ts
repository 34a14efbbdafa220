/**
 * Ed25519 for the signatures of this protocol (device lists, sign-in, invitation links), by WebCrypto.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";

/** What can sign, without saying where its private key is. */
export interface SigningKey {
  /** 32 bytes. */
  readonly publicKey: Bytes;
  readonly sign: (message: Bytes) => Promise<Bytes>;
}

/** False for whatever is not a valid signature, also for a key or signature of the wrong form. */
export async function verifyEd25519(
  publicKey: Bytes,
  message: Bytes,
  signature: Bytes,
): Promise<boolean> {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  try {
    const key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, signature, message);
  } catch {
    // A public key that is no point on the curve.
    return false;
  }
}

export async function sha256(message: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", message));
}
