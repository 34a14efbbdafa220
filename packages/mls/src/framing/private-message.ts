/**
 * Messages that are encrypted. RFC 9420 §6.3, §15.1 (padding).
 * @module
 */

import { copyOf, wipe } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  decode,
  type Encoder,
  encode,
  encodedFor,
  fixed,
  opaque,
  Reader,
  struct,
  uint32,
  uint64,
} from "../codec.ts";
import { expandWithLabel } from "../crypto/kdf.ts";
import { passLoadError } from "../crypto/loading.ts";
import type { Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import type { SecretTree, TakenKey } from "../key/secret-tree.ts";
import type { Member } from "../tree/ratchet-tree.ts";
import {
  type AuthenticatedContent,
  authDataOf,
  CONTENT,
  type Content,
  ContentType,
  type LeafOf,
} from "./content.ts";

/** §6.3. */
export interface PrivateMessage {
  readonly groupId: Bytes;
  readonly epoch: bigint;
  readonly contentType: ContentType;
  readonly authenticatedData: Bytes;
  readonly encryptedSenderData: Bytes;
  readonly ciphertext: Bytes;
}
export const PrivateMessage: Codec<PrivateMessage> = struct({
  groupId: opaque,
  epoch: uint64,
  contentType: ContentType,
  authenticatedData: opaque,
  encryptedSenderData: opaque,
  ciphertext: opaque,
});

interface PrivateContentAAD {
  readonly groupId: Bytes;
  readonly epoch: bigint;
  readonly contentType: ContentType;
  readonly authenticatedData: Bytes;
}
const PrivateContentAAD: Codec<PrivateContentAAD> = struct({
  groupId: opaque,
  epoch: uint64,
  contentType: ContentType,
  authenticatedData: opaque,
});

/** §6.3.2. */
interface SenderData {
  readonly leafIndex: number;
  readonly generation: number;
  readonly reuseGuard: Bytes;
}
const SenderData: Codec<SenderData> = struct({
  leafIndex: uint32,
  generation: uint32,
  reuseGuard: fixed(4),
});
interface SenderDataAAD {
  readonly groupId: Bytes;
  readonly epoch: bigint;
  readonly contentType: ContentType;
}
const SenderDataAAD: Codec<SenderDataAAD> = struct({
  groupId: opaque,
  epoch: uint64,
  contentType: ContentType,
});

/** The length, in bytes, to which a content of `length` bytes is padded with zeros (§6.3.1, §15.1). */
export type Padding = (length: number) => number;

/**
 * Padmé: the length to pad to leaks O(log log n) bits and costs at most 12 percent.
 * Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", §4.
 */
export function padme(length: number): number {
  if (length < 2) return length;
  const exponent = Math.floor(Math.log2(length));
  const mantissa = Math.floor(Math.log2(exponent)) + 1;
  const step = 2 ** Math.max(0, exponent - mantissa);
  return Math.ceil(length / step) * step;
}

/** Key and nonce for the sender data (§6.3.2). */
export function senderDataKey(
  suite: Suite,
  senderDataSecret: Bytes,
  ciphertext: Bytes,
): { readonly key: Bytes; readonly nonce: Bytes } {
  const sample = ciphertext.slice(0, suite.nh);
  return {
    key: expandWithLabel(suite, senderDataSecret, "key", sample, suite.nk),
    nonce: expandWithLabel(suite, senderDataSecret, "nonce", sample, suite.nn),
  };
}

function guarded(nonce: Bytes, reuseGuard: Bytes): Bytes {
  const made = copyOf(nonce);
  for (let i = 0; i < reuseGuard.length; i++) made[i] = (nonce[i] ?? 0) ^ (reuseGuard[i] ?? 0);
  return made;
}

/** Receivers have to take what is padded into memory, so there is a limit to it: as much again, and 64 KiB. */
function paddedLength(length: number, padding: Padding): number {
  const padded = padding(length);
  if (!Number.isInteger(padded) || padded < length || padded > 2 * length + 2 ** 16) {
    throw new TypeError(`padding from ${length} to ${padded} bytes`);
  }
  return padded;
}

/** `PrivateMessageContent` (§6.3.1), without its padding. */
const PrivateMessageContent: Encoder<AuthenticatedContent> = {
  write: (w, { content: { content }, auth }) => {
    CONTENT[content.contentType].write(w, content as never);
    authDataOf(content.contentType).write(w, auth);
  },
};

/** `PrivateMessageContent` (§6.3.1), padded with zeros. */
function encodePrivateContent(authenticated: AuthenticatedContent, padding: Padding): Bytes {
  return encodedFor(PrivateMessageContent, authenticated, (encoded) => {
    const padded = new Uint8Array(paddedLength(encoded.length, padding));
    padded.set(encoded);
    return padded;
  });
}

function decodePrivateContent(
  plaintext: Bytes,
  contentType: ContentType,
): { readonly content: Content; readonly auth: AuthenticatedContent["auth"] } {
  const reader = new Reader(plaintext);
  const content = { contentType, ...CONTENT[contentType].read(reader) } as Content;
  const auth = authDataOf(contentType).read(reader);
  for (let i = reader.offset; i < plaintext.length; i++) {
    if (plaintext[i] !== 0) throw new MlsError("padding", "6.3.1", "padding that is not zero");
  }
  return { content, auth };
}

/** Where a message's keys come from. */
export interface MessageKeys {
  readonly senderDataSecret: Bytes;
  readonly secretTree: SecretTree;
}

/** Encrypts a signed content (§6.3). The key is taken when the caller has stored `taken.batch` and settles it. */
export async function protectPrivate(
  suite: Suite,
  keys: MessageKeys,
  authenticated: AuthenticatedContent,
  padding: Padding = padme,
): Promise<{ readonly message: PrivateMessage; readonly taken: TakenKey }> {
  const { groupId, epoch, sender, authenticatedData, content } = authenticated.content;
  if (sender.senderType !== "member") {
    throw new MlsError("sender-not-allowed", "6.3", "members alone send encrypted messages");
  }
  const { contentType } = content;
  const type = contentType === "application" ? "application" : "handshake";
  const header = { groupId, epoch, contentType, authenticatedData };
  const plaintext = encodePrivateContent(authenticated, padding);
  const taken = keys.secretTree.next(sender.leafIndex, type);
  const reuseGuard = suite.provider.random(4);
  const messageNonce = guarded(taken.nonce, reuseGuard);
  try {
    const ciphertext = await suite.provider.seal(
      suite.aead,
      taken.key,
      messageNonce,
      encode(PrivateContentAAD, header),
      plaintext,
    );
    const { generation } = taken;
    const senderData = encode(SenderData, { leafIndex: sender.leafIndex, generation, reuseGuard });
    const { key, nonce } = senderDataKey(suite, keys.senderDataSecret, ciphertext);
    const aad = encode(SenderDataAAD, header);
    const encryptedSenderData = await suite.provider.seal(suite.aead, key, nonce, aad, senderData);
    wipe(key, nonce, senderData);
    return { message: { ...header, encryptedSenderData, ciphertext }, taken };
  } catch (cause) {
    taken.discard();
    throw cause;
  } finally {
    wipe(plaintext, messageNonce);
  }
}

async function openSenderData(
  suite: Suite,
  senderDataSecret: Bytes,
  message: PrivateMessage,
): Promise<SenderData> {
  const { key, nonce } = senderDataKey(suite, senderDataSecret, message.ciphertext);
  const aad = encode(SenderDataAAD, message);
  try {
    const opened = await suite.provider.open(
      suite.aead,
      key,
      nonce,
      aad,
      message.encryptedSenderData,
    );
    const senderData = decode(SenderData, opened);
    wipe(opened);
    return senderData;
  } catch (cause) {
    passLoadError(cause);
    throw new MlsError("aead-open", "6.3.2", "the sender data does not open", { cause });
  } finally {
    wipe(key, nonce);
  }
}

/**
 * Decrypts a message (§6.3). Its signature is still to be verified; then `taken.settle`, or `taken.discard` if that fails.
 * `ownLeaf`: our own messages can't be read by us, since their keys are gone; one whose key is still there was sent by a later copy of our state.
 */
export async function unprotectPrivate(
  suite: Suite,
  keys: MessageKeys,
  leafOf: LeafOf,
  message: PrivateMessage,
  ownLeaf: number | undefined,
): Promise<{
  readonly authenticated: AuthenticatedContent;
  readonly sender: Member;
  readonly taken: TakenKey;
}> {
  const { leafIndex, generation, reuseGuard } = await openSenderData(
    suite,
    keys.senderDataSecret,
    message,
  );
  const leafNode = leafOf(leafIndex);
  if (!leafNode) {
    throw new MlsError("unknown-sender", "6.3.2", `leaf ${leafIndex}, the sender, is blank`);
  }
  const { groupId, epoch, contentType, authenticatedData } = message;
  const type = contentType === "application" ? "application" : "handshake";
  if (leafIndex === ownLeaf && keys.secretTree.hasPassed(leafIndex, type, generation)) {
    if (contentType === "commit") {
      throw new MlsError("pending-commit", "14", "a commit of ours that is not the one under way");
    }
    throw new MlsError("own-message", "6.3.2", "a message of our own, whose key is gone");
  }
  const taken = keys.secretTree.at(leafIndex, type, generation);
  const nonce = guarded(taken.nonce, reuseGuard);
  try {
    const aad = encode(PrivateContentAAD, message);
    const plaintext = await open(suite, taken.key, nonce, aad, message.ciphertext);
    const { content, auth } = decodePrivateContent(plaintext, contentType);
    wipe(plaintext);
    const sender = { senderType: "member", leafIndex } as const;
    const framed = { groupId, epoch, sender, authenticatedData, content };
    return {
      authenticated: { wireFormat: "mls_private_message", content: framed, auth },
      sender: { leafIndex, leafNode },
      taken,
    };
  } catch (cause) {
    taken.discard();
    throw cause;
  } finally {
    wipe(nonce);
  }
}

async function open(
  suite: Suite,
  key: Bytes,
  nonce: Bytes,
  aad: Bytes,
  ciphertext: Bytes,
): Promise<Bytes> {
  try {
    return await suite.provider.open(suite.aead, key, nonce, aad, ciphertext);
  } catch (cause) {
    passLoadError(cause);
    throw new MlsError("aead-open", "6.3.1", "the message does not open", { cause });
  }
}
