/**
 * The form of a backup file: a header, and chunks of one length, each encrypted and authenticated by itself, so that a history of any size
 * is written and read with little memory. The number of a chunk, and whether it is the last, stand in its nonce (STREAM, Hoang, Reyhanitabar,
 * Rogaway and Vizár 2015): what was cut off, moved, left out or put behind does not open.
 *
 * The keys are this file's own, from the account's recovery phrase and the salt in the header (HKDF-SHA-256).
 * @module
 */

import { type Bytes, decode, encode, fixed, struct, uint16 } from "@conclave/mls/codec";
import { ClientError } from "../api.ts";
import { equal, randomBytes, utf8Bytes } from "../bytes.ts";

const MAGIC = utf8Bytes("conclave backup\n");
/** Of the header, the chunks, and the records in them. */
const VERSION = 1;
const KEY_LABEL = utf8Bytes("Conclave 1 backup");
const HEADER_LABEL = utf8Bytes("Conclave 1 backup header");

/** What a chunk holds, in bytes; the last one may hold less. */
export const CHUNK_LENGTH: number = 64 * 1024;
const TAG_LENGTH = 16;
export const SEALED_CHUNK_LENGTH: number = CHUNK_LENGTH + TAG_LENGTH;

const Header = struct({
  magic: fixed(MAGIC.length),
  version: uint16,
  salt: fixed(32),
  /** HMAC-SHA-256 over what comes before it. */
  tag: fixed(32),
});
export const HEADER_LENGTH: number = MAGIC.length + 2 + 32 + 32;
const TAGGED_LENGTH = HEADER_LENGTH - 32;

/** A file whose header was read: it is a backup that this phrase opens. What follows in it was not looked at. */
export interface OpenedBackup {
  readonly file: Blob;
  readonly key: CryptoKey;
}

/** The bytes of a backup that holds what `content` brings, in portions of at most a chunk. The last chunk is not made before `beforeEnd` is done. */
export async function* sealBackup(
  phraseKey: CryptoKey,
  content: AsyncIterable<Uint8Array>,
  beforeEnd: () => Promise<void>,
): AsyncGenerator<Bytes> {
  const salt = randomBytes(32);
  const { key, headerKey } = await keysOf(phraseKey, salt);
  const header = encode(Header, { magic: MAGIC, version: VERSION, salt, tag: new Uint8Array(32) });
  const tag = await crypto.subtle.sign("HMAC", headerKey, header.slice(0, TAGGED_LENGTH));
  header.set(new Uint8Array(tag), TAGGED_LENGTH);
  yield header;

  const chunk = new Uint8Array(CHUNK_LENGTH);
  let filled = 0;
  let number = 0n;
  const seal = async (last: boolean): Promise<Bytes> => {
    const parameters = { name: "AES-GCM", iv: nonceOf(number++, last) };
    return new Uint8Array(await crypto.subtle.encrypt(parameters, key, chunk.subarray(0, filled)));
  };
  for await (const bytes of content) {
    for (let at = 0; at < bytes.length; ) {
      // Only now is it known that it isn't the last.
      if (filled === CHUNK_LENGTH) {
        yield await seal(false);
        filled = 0;
      }
      const part = bytes.subarray(at, at + CHUNK_LENGTH - filled);
      chunk.set(part, filled);
      filled += part.length;
      at += part.length;
    }
  }
  await beforeEnd();
  yield await seal(true);
  chunk.fill(0);
}

/**
 * Reads the header. Throws `ClientError`: `backup-none` for a file that is none, `backup-newer` for one of a later version,
 * `backup-foreign` for one that these words don't open.
 */
export async function openBackup(file: Blob, phraseKey: CryptoKey): Promise<OpenedBackup> {
  const header = await bytesOf(file.slice(0, HEADER_LENGTH));
  if (!equal(header.subarray(0, MAGIC.length), MAGIC)) {
    throw new ClientError("backup-none", "the file is no backup");
  }
  if (header.length < HEADER_LENGTH) throw damaged();
  const { version, salt, tag } = decode(Header, header);
  if (version !== VERSION) {
    throw new ClientError("backup-newer", `a backup of version ${version} can't be read`);
  }
  const { key, headerKey } = await keysOf(phraseKey, salt);
  const tagged = header.slice(0, TAGGED_LENGTH);
  if (!(await crypto.subtle.verify("HMAC", headerKey, tag, tagged))) {
    throw new ClientError("backup-foreign", "the backup is of another account");
  }
  return { file, key };
}

/**
 * What the backup holds, a chunk at a time; only what was authenticated. `onRead`: how many bytes of the file were read. Throws `ClientError`
 * with `backup-damaged`, and what the signal was aborted with.
 */
export async function* readBackup(
  { file, key }: OpenedBackup,
  { signal, onRead }: { readonly signal?: AbortSignal; readonly onRead?: (bytes: number) => void },
): AsyncGenerator<Bytes> {
  let number = 0n;
  let from = HEADER_LENGTH;
  if (from >= file.size) throw damaged();
  while (from < file.size) {
    signal?.throwIfAborted();
    const to = Math.min(file.size, from + SEALED_CHUNK_LENGTH);
    const sealed = await bytesOf(file.slice(from, to));
    const parameters = { name: "AES-GCM", iv: nonceOf(number++, to === file.size) };
    let chunk: ArrayBuffer;
    try {
      chunk = await crypto.subtle.decrypt(parameters, key, sealed);
    } catch (cause) {
      throw damaged(cause);
    }
    from = to;
    onRead?.(from);
    yield new Uint8Array(chunk);
  }
}

export function damaged(cause?: unknown): ClientError {
  return new ClientError("backup-damaged", "the backup is not whole, or was changed", { cause });
}

/** A file that was moved or changed since it was chosen can't be read. */
async function bytesOf(part: Blob): Promise<Bytes> {
  try {
    return new Uint8Array(await part.arrayBuffer());
  } catch (cause) {
    throw damaged(cause);
  }
}

/** 11 bytes with the chunk's number, and one that says whether it is the last. */
function nonceOf(number: bigint, last: boolean): Bytes {
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  view.setBigUint64(3, number);
  view.setUint8(11, last ? 1 : 0);
  return nonce;
}

async function keysOf(
  phraseKey: CryptoKey,
  salt: Bytes,
): Promise<{ readonly key: CryptoKey; readonly headerKey: CryptoKey }> {
  const { subtle } = crypto;
  const by = (info: Bytes) => ({ name: "HKDF", hash: "SHA-256", salt, info });
  const aes = { name: "AES-GCM", length: 256 };
  const hmac = { name: "HMAC", hash: "SHA-256", length: 256 };
  const [key, headerKey] = await Promise.all([
    subtle.deriveKey(by(KEY_LABEL), phraseKey, aes, false, ["encrypt", "decrypt"]),
    subtle.deriveKey(by(HEADER_LABEL), phraseKey, hmac, false, ["sign", "verify"]),
  ]);
  return { key, headerKey };
}
