/**
 * A signal: what a device says to the members who are there at the moment. It is in no log, so it is no MLS message, whose keys are
 * used up in the order of their making and would be missed where signals get lost. Instead each is encrypted under a key that is used
 * once, which MLS exports (RFC 9420 §8.5) for 32 random bytes, and signed by the leaf that sends it. All have one length.
 * @module
 */

import { type SigningKey, verifyEd25519 } from "@conclave/delivery/protocol";
import type { CryptoProvider, Group } from "@conclave/mls";
import {
  type Bytes,
  type Codec,
  decode,
  encode,
  fixed,
  opaque,
  struct,
  uint32,
  uint64,
  utf8,
} from "@conclave/mls/codec";
import { boolean, count } from "../storage.ts";

const LABEL = "Conclave 1 signal";
/** ChaCha20-Poly1305, as the suite has it. */
const AEAD = "chacha20poly1305";
const KEY_LENGTH = 32;
/** The key is used once. */
const NONCE: Bytes = new Uint8Array(12);

export interface Signal {
  /** Of the sender. */
  readonly leafIndex: number;
  /** Grows with each signal of a device, so that none is heard twice. */
  readonly number: number;
  /** The number, in the sender's sequence, that the message being written gets if nothing else is sent before; 0 where none is written. */
  readonly typing: number;
  /** The last entry of the log that the person has read; 0 where it isn't said. */
  readonly read: number;
  /** The sender wants to know what the others have read. */
  readonly asks: boolean;
}
const CONTENT = {
  leafIndex: uint32,
  number: count,
  typing: count,
  read: count,
  asks: boolean,
} as const;
const SignedSignal: Codec<Signal & { readonly signature: Bytes }> = struct({
  ...CONTENT,
  signature: fixed(64),
});
const SignalTBS: Codec<
  Signal & { readonly label: string; readonly groupId: Bytes; readonly epoch: bigint }
> = struct({ label: utf8, groupId: opaque, epoch: uint64, ...CONTENT });

interface SealedSignal {
  /** In which it was made; it is read in no other. */
  readonly epoch: bigint;
  readonly salt: Bytes;
  /** Of a `SignedSignal`, 93 bytes, and its tag. */
  readonly ciphertext: Bytes;
}
const SealedSignal: Codec<SealedSignal> = struct({
  epoch: uint64,
  salt: fixed(32),
  ciphertext: fixed(93 + 16),
});

type Epoch = Pick<Group, "groupId" | "epoch" | "exportSecret">;

/** Throws `MlsError` with `removed`. */
export async function sealSignal(
  crypto: CryptoProvider,
  group: Epoch,
  signal: Signal,
  leafKey: SigningKey,
): Promise<Bytes> {
  const { groupId, epoch } = group;
  const salt = crypto.random(32);
  // At once, so that it is of the epoch that is named.
  const key = group.exportSecret(LABEL, salt, KEY_LENGTH);
  try {
    const signature = await leafKey.sign(
      encode(SignalTBS, { label: LABEL, groupId, epoch, ...signal }),
    );
    const plaintext = encode(SignedSignal, { ...signal, signature });
    const ciphertext = await crypto.seal(AEAD, key, NONCE, encode(uint64, epoch), plaintext);
    return encode(SealedSignal, { epoch, salt, ciphertext });
  } finally {
    key.fill(0);
  }
}

/** Undefined for what is no signal of this epoch by the leaf that it names. Throws `MlsError` with `removed`. */
export async function openSignal(
  crypto: CryptoProvider,
  group: Epoch,
  bytes: Bytes,
  /** The signature key of a leaf. */
  keyOf: (leafIndex: number) => Bytes | undefined,
): Promise<Signal | undefined> {
  const { groupId, epoch } = group;
  const sealed = parsed(SealedSignal, bytes);
  if (sealed?.epoch !== epoch) return undefined;
  const key = group.exportSecret(LABEL, sealed.salt, KEY_LENGTH);
  let plaintext: Bytes;
  try {
    plaintext = await crypto.open(AEAD, key, NONCE, encode(uint64, epoch), sealed.ciphertext);
  } catch {
    return undefined;
  } finally {
    key.fill(0);
  }
  const signed = parsed(SignedSignal, plaintext);
  if (!signed) return undefined;
  const { signature, ...signal } = signed;
  if (![signal.number, signal.typing, signal.read].every(Number.isSafeInteger)) return undefined;
  const leafKey = keyOf(signal.leafIndex);
  const tbs = encode(SignalTBS, { label: LABEL, groupId, epoch, ...signal });
  return leafKey && (await verifyEd25519(leafKey, tbs, signature)) ? signal : undefined;
}

function parsed<T>(codec: Codec<T>, bytes: Bytes): T | undefined {
  try {
    return decode(codec, bytes);
  } catch {
    return undefined;
  }
}
