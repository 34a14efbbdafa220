/**
 * Hybrid public key encryption in base mode, with the secret export that external joins need.
 * RFC 9180 §5.1 (key schedule), §6 (single shot); RFC 9420 §5.1.3 (encryptWithLabel).
 * @module
 */

import { concat, EMPTY, mlsLabel, utf8Bytes, wipe } from "../bytes.ts";
import { type Bytes, type Codec, encode, opaque, struct } from "../codec.ts";
import { MlsError } from "../errors.ts";
import { i2osp, kemOf, type LabeledKdf, labeledExpand, labeledExtract } from "./kem.ts";
import { passLoadError } from "./loading.ts";
import { AEADS, HASHES, type KeyPair, type Suite } from "./suite.ts";

/** §5.1.3, `HPKECiphertext`. */
export interface HpkeCiphertext {
  readonly kemOutput: Bytes;
  readonly ciphertext: Bytes;
}
/** How it stands on the wire. */
export const HpkeCiphertext: Codec<HpkeCiphertext> = struct({
  kemOutput: opaque,
  ciphertext: opaque,
});

/** What of HPKE is the same for all that a suite encrypts. */
interface SuiteHpke {
  readonly kdf: LabeledKdf;
  /** The beginning of every context in base mode (RFC 9180 §5.1): the mode, and the hash of no PSK's id. */
  readonly context: Bytes;
}
const HPKE = new WeakMap<Suite, SuiteHpke>();

function hpkeOf(suite: Suite): SuiteHpke {
  const known = HPKE.get(suite);
  if (known) return known;
  const ids = [kemOf(suite).id, HASHES[suite.hash].hkdfId, AEADS[suite.aead].id];
  const suiteId = concat(utf8Bytes("HPKE"), ...ids.map((id) => i2osp(id, 2)));
  const kdf = { provider: suite.provider, hash: suite.hash, suiteId };
  const pskIdHash = labeledExtract(kdf, EMPTY, "psk_id_hash", EMPTY);
  const made = { kdf, context: concat(Uint8Array.of(0), pskIdHash) };
  HPKE.set(suite, made);
  return made;
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
 * Whether public keys can be encrypted to: a key that nobody can use would stop every later commit (§5.1.1).
 * Throws `MlsError` with `crypto`.
 */
export async function checkPublicKey(suite: Suite, ...publicKeys: readonly Bytes[]): Promise<void> {
  try {
    const kem = kemOf(suite);
    for (const publicKey of publicKeys) {
      const checked = kem.checkPublicKey(publicKey);
      if (checked) await checked;
    }
  } catch (cause) {
    passLoadError(cause);
    throw new MlsError("crypto", "5.1.1", "a public key that cannot be encrypted to", { cause });
  }
}

async function encap(
  suite: Suite,
  recipient: Bytes,
  among = 1,
): Promise<{ enc: Bytes; secret: Bytes }> {
  try {
    return await kemOf(suite).encap(recipient, among);
  } catch (cause) {
    passLoadError(cause);
    throw new MlsError("crypto", "5.1", "the public key cannot be encrypted to", { cause });
  }
}

async function decap(suite: Suite, enc: Bytes, recipient: KeyPair): Promise<Bytes> {
  try {
    return await kemOf(suite).decap(enc, recipient);
  } catch (cause) {
    passLoadError(cause);
    throw new MlsError("hpke-open", "5.1.3", "the KEM output does not fit the key", { cause });
  }
}

/** What the key schedule in base mode (RFC 9180 §5.1) makes of a suite and an info: the same for all recipients. */
interface Schedule {
  readonly suite: Suite;
  readonly kdf: LabeledKdf;
  readonly context: Bytes;
}

function scheduleOf(suite: Suite, info: Bytes): Schedule {
  const { kdf, context } = hpkeOf(suite);
  const infoHash = labeledExtract(kdf, EMPTY, "info_hash", info);
  return { suite, kdf, context: concat(context, infoHash) };
}

/** The secret that keys and exporter come from; it takes `sharedSecret`. */
function scheduleSecret({ kdf }: Schedule, sharedSecret: Bytes): Bytes {
  const secret = labeledExtract(kdf, sharedSecret, "secret", EMPTY);
  wipe(sharedSecret);
  return secret;
}

/** Key and nonce of the one message. */
function messageKey(
  schedule: Schedule,
  sharedSecret: Bytes,
): { readonly key: Bytes; readonly nonce: Bytes } {
  const { suite, kdf, context } = schedule;
  const secret = scheduleSecret(schedule, sharedSecret);
  const key = labeledExpand(kdf, secret, "key", context, suite.nk);
  const nonce = labeledExpand(kdf, secret, "base_nonce", context, suite.nn);
  wipe(secret);
  return { key, nonce };
}

/** `Export` (RFC 9180 §5.3), `length` bytes. */
function exportSecret(
  schedule: Schedule,
  sharedSecret: Bytes,
  label: string,
  length: number,
): Bytes {
  const { suite, kdf, context } = schedule;
  const secret = scheduleSecret(schedule, sharedSecret);
  const exporter = labeledExpand(kdf, secret, "exp", context, suite.nh);
  const exported = labeledExpand(kdf, exporter, "sec", utf8Bytes(label), length);
  wipe(secret, exporter);
  return exported;
}

async function seal(
  schedule: Schedule,
  publicKey: Bytes,
  aad: Bytes,
  plaintext: Bytes,
  among = 1,
): Promise<HpkeCiphertext> {
  const { suite } = schedule;
  const { enc, secret } = await encap(suite, publicKey, among);
  const { key, nonce } = messageKey(schedule, secret);
  const ciphertext = await suite.provider.seal(suite.aead, key, nonce, aad, plaintext);
  wipe(key, nonce);
  return { kemOutput: enc, ciphertext };
}

/** `SealBase`: one message to the holder of `publicKey`. */
export function hpkeSeal(
  suite: Suite,
  publicKey: Bytes,
  info: Bytes,
  aad: Bytes,
  plaintext: Bytes,
): Promise<HpkeCiphertext> {
  return seal(scheduleOf(suite, info), publicKey, aad, plaintext);
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
  const { key, nonce } = messageKey(scheduleOf(suite, info), secret);
  try {
    return await suite.provider.open(suite.aead, key, nonce, aad, sealed.ciphertext);
  } catch (cause) {
    passLoadError(cause);
    throw new MlsError("hpke-open", "5.1.3", "the ciphertext does not open", { cause });
  } finally {
    wipe(key, nonce);
  }
}

/** `SendExportBase`: a secret of `length` bytes that the holder of `publicKey` can derive too (RFC 9420 §8.3). */
export async function hpkeSendExport(
  suite: Suite,
  publicKey: Bytes,
  label: string,
  length: number,
): Promise<{ readonly kemOutput: Bytes; readonly secret: Bytes }> {
  const { enc, secret } = await encap(suite, publicKey);
  return { kemOutput: enc, secret: exportSecret(scheduleOf(suite, EMPTY), secret, label, length) };
}

/** `ReceiveExportBase`; MLS has no `info` there. Throws `MlsError` with `hpke-open`. */
export async function hpkeReceiveExport(
  suite: Suite,
  keyPair: KeyPair,
  kemOutput: Bytes,
  label: string,
  length: number,
  info: Bytes = EMPTY,
): Promise<Bytes> {
  const secret = await decap(suite, kemOutput, keyPair);
  return exportSecret(scheduleOf(suite, info), secret, label, length);
}

interface EncryptContext {
  readonly label: Bytes;
  readonly context: Bytes;
}
const EncryptContext = struct<EncryptContext>({ label: opaque, context: opaque });

function encryptInfo(label: string | Bytes, context: Bytes): Bytes {
  return encode(EncryptContext, { label: mlsLabel(label), context });
}

/** RFC 9420 §5.1.3. */
export function encryptWithLabel(
  suite: Suite,
  publicKey: Bytes,
  label: string | Bytes,
  context: Bytes,
  plaintext: Bytes,
): Promise<HpkeCiphertext> {
  return hpkeSeal(suite, publicKey, encryptInfo(label, context), EMPTY, plaintext);
}

/** So many are encrypted at a time, whatever is asked: others want the platform's threads too. */
const AT_A_TIME = 512;

/** `encryptWithLabel` under one context to many, in parallel where the platform can; in the order of what is given. */
export async function encryptManyWithLabel(
  suite: Suite,
  label: string,
  context: Bytes,
  messages: readonly { readonly publicKey: Bytes; readonly plaintext: Bytes }[],
): Promise<HpkeCiphertext[]> {
  const schedule = scheduleOf(suite, encryptInfo(label, context));
  const sealed: HpkeCiphertext[] = [];
  for (let at = 0; at < messages.length; at += AT_A_TIME) {
    const part = messages.slice(at, at + AT_A_TIME);
    const made = await Promise.all(
      part.map(({ publicKey, plaintext }) =>
        seal(schedule, publicKey, EMPTY, plaintext, part.length),
      ),
    );
    for (const one of made) sealed.push(one);
  }
  return sealed;
}

/** RFC 9420 §5.1.3. Throws `MlsError` with `hpke-open`. */
export function decryptWithLabel(
  suite: Suite,
  keyPair: KeyPair,
  label: string | Bytes,
  context: Bytes,
  sealed: HpkeCiphertext,
): Promise<Bytes> {
  return hpkeOpen(suite, keyPair, encryptInfo(label, context), EMPTY, sealed);
}
