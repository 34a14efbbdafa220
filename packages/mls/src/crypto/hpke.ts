/**
 * Hybrid public key encryption in base mode, with the secret export that external joins need.
 * RFC 9180 §5.1 (key schedule), §6 (single shot); RFC 9420 §5.1.3 (encryptWithLabel).
 * @module
 */

import { concat, EMPTY, utf8Bytes, wipe } from "../bytes.ts";
import { type Bytes, type Codec, encode, opaque, struct } from "../codec.ts";
import { MlsError } from "../errors.ts";
import { i2osp, kemOf, type LabeledKdf, labeledExpand, labeledExtract } from "./kem.ts";
import { AEADS, HASHES, type KeyPair, type Suite } from "./suite.ts";

/** §5.1.3, `HPKECiphertext`. */
export interface HpkeCiphertext {
  readonly kemOutput: Bytes;
  readonly ciphertext: Bytes;
}
export const HpkeCiphertext: Codec<HpkeCiphertext> = struct({
  kemOutput: opaque,
  ciphertext: opaque,
});

function hpkeKdf(suite: Suite): LabeledKdf {
  const ids = [kemOf(suite).id, HASHES[suite.hash].hkdfId, AEADS[suite.aead].id];
  const suiteId = concat(utf8Bytes("HPKE"), ...ids.map((id) => i2osp(id, 2)));
  return { provider: suite.provider, hash: suite.hash, suiteId };
}

/** A new key pair of the suite's KEM. */
export async function generateKeyPair(suite: Suite): Promise<KeyPair> {
  return kemOf(suite).generateKeyPair();
}

/** `DeriveKeyPair` (RFC 9180 §7.1.3). The seed stays the caller's. */
export async function deriveKeyPair(suite: Suite, seed: Bytes): Promise<KeyPair> {
  return kemOf(suite).deriveKeyPair(seed);
}

/** The public key of a private key of the suite's KEM. */
export async function publicKeyOf(suite: Suite, privateKey: Bytes): Promise<Bytes> {
  return kemOf(suite).publicKey(privateKey);
}

/**
 * Whether a public key can be encrypted to: a key that nobody can use would stop every later commit (§5.1.1).
 * Throws `MlsError` with `crypto`.
 */
export function checkPublicKey(suite: Suite, publicKey: Bytes): void {
  try {
    kemOf(suite).checkPublicKey(publicKey);
  } catch (cause) {
    throw new MlsError("crypto", "5.1.1", "a public key that cannot be encrypted to", { cause });
  }
}

async function encap(suite: Suite, recipient: Bytes): Promise<{ enc: Bytes; secret: Bytes }> {
  try {
    return await kemOf(suite).encap(recipient);
  } catch (cause) {
    throw new MlsError("crypto", "5.1", "the public key cannot be encrypted to", { cause });
  }
}

async function decap(suite: Suite, enc: Bytes, recipient: KeyPair): Promise<Bytes> {
  try {
    return await kemOf(suite).decap(enc, recipient);
  } catch (cause) {
    throw new MlsError("hpke-open", "5.1.3", "the KEM output does not fit the key", { cause });
  }
}

interface HpkeContext {
  readonly key: Bytes;
  readonly nonce: Bytes;
  readonly exporterSecret: Bytes;
}

/** `KeySchedule` in base mode (RFC 9180 §5.1). */
function keySchedule(suite: Suite, sharedSecret: Bytes, info: Bytes): HpkeContext {
  const kdf = hpkeKdf(suite);
  const context = concat(
    Uint8Array.of(0),
    labeledExtract(kdf, EMPTY, "psk_id_hash", EMPTY),
    labeledExtract(kdf, EMPTY, "info_hash", info),
  );
  const secret = labeledExtract(kdf, sharedSecret, "secret", EMPTY);
  wipe(sharedSecret);
  const derived = {
    key: labeledExpand(kdf, secret, "key", context, suite.nk),
    nonce: labeledExpand(kdf, secret, "base_nonce", context, suite.nn),
    exporterSecret: labeledExpand(kdf, secret, "exp", context, suite.nh),
  };
  wipe(secret);
  return derived;
}

function wipeContext(context: HpkeContext): void {
  wipe(context.key, context.nonce, context.exporterSecret);
}

/** `SealBase`: one message to the holder of `publicKey`. */
export async function hpkeSeal(
  suite: Suite,
  publicKey: Bytes,
  info: Bytes,
  aad: Bytes,
  plaintext: Bytes,
): Promise<HpkeCiphertext> {
  const { enc, secret } = await encap(suite, publicKey);
  const context = keySchedule(suite, secret, info);
  const { key, nonce } = context;
  const ciphertext = await suite.provider.seal(suite.aead, key, nonce, aad, plaintext);
  wipeContext(context);
  return { kemOutput: enc, ciphertext };
}

/** `OpenBase`. Throws `MlsError` with `hpke-open`. */
export async function hpkeOpen(
  suite: Suite,
  keyPair: KeyPair,
  info: Bytes,
  aad: Bytes,
  sealed: HpkeCiphertext,
): Promise<Bytes> {
  const secret = await decap(suite, sealed.kemOutput, keyPair);
  const context = keySchedule(suite, secret, info);
  const { key, nonce } = context;
  try {
    return await suite.provider.open(suite.aead, key, nonce, aad, sealed.ciphertext);
  } catch (cause) {
    throw new MlsError("hpke-open", "5.1.3", "the ciphertext does not open", { cause });
  } finally {
    wipeContext(context);
  }
}

function exportSecret(suite: Suite, context: HpkeContext, label: string, length: number): Bytes {
  return labeledExpand(hpkeKdf(suite), context.exporterSecret, "sec", utf8Bytes(label), length);
}

/** `SendExportBase`: a secret of `length` bytes that the holder of `publicKey` can derive too (RFC 9420 §8.3). */
export async function hpkeSendExport(
  suite: Suite,
  publicKey: Bytes,
  label: string,
  length: number,
): Promise<{ readonly kemOutput: Bytes; readonly secret: Bytes }> {
  const { enc, secret } = await encap(suite, publicKey);
  const context = keySchedule(suite, secret, EMPTY);
  const exported = exportSecret(suite, context, label, length);
  wipeContext(context);
  return { kemOutput: enc, secret: exported };
}

/** `ReceiveExportBase`. Throws `MlsError` with `hpke-open`. */
export async function hpkeReceiveExport(
  suite: Suite,
  keyPair: KeyPair,
  kemOutput: Bytes,
  label: string,
  length: number,
): Promise<Bytes> {
  const context = keySchedule(suite, await decap(suite, kemOutput, keyPair), EMPTY);
  const exported = exportSecret(suite, context, label, length);
  wipeContext(context);
  return exported;
}

interface EncryptContext {
  readonly label: Bytes;
  readonly context: Bytes;
}
const EncryptContext = struct<EncryptContext>({ label: opaque, context: opaque });

function encryptInfo(label: string, context: Bytes): Bytes {
  return encode(EncryptContext, { label: utf8Bytes(`MLS 1.0 ${label}`), context });
}

/** RFC 9420 §5.1.3. */
export function encryptWithLabel(
  suite: Suite,
  publicKey: Bytes,
  label: string,
  context: Bytes,
  plaintext: Bytes,
): Promise<HpkeCiphertext> {
  return hpkeSeal(suite, publicKey, encryptInfo(label, context), EMPTY, plaintext);
}

/** RFC 9420 §5.1.3. Throws `MlsError` with `hpke-open`. */
export function decryptWithLabel(
  suite: Suite,
  keyPair: KeyPair,
  label: string,
  context: Bytes,
  sealed: HpkeCiphertext,
): Promise<Bytes> {
  return hpkeOpen(suite, keyPair, encryptInfo(label, context), EMPTY, sealed);
}
