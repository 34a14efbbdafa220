/**
 * Hash, HKDF and the derivations that MLS makes with them.
 * RFC 9420 §5.2 (references), §8 (expandWithLabel), §9 (deriveTreeSecret); RFC 5869.
 * @module
 */

import { concat, copyOf, EMPTY, utf8Bytes, wipe } from "../bytes.ts";
import { type Bytes, type Encoder, encode, encodedFor, opaque, struct, uint16 } from "../codec.ts";
import { type CryptoProvider, HASHES, type HashName, type Pieces, type Suite } from "./suite.ts";

export function hash(suite: Suite, data: Pieces): Bytes {
  return suite.provider.hash(suite.hash, data);
}

/** The hash of the encoding of a value. */
export function hashOf<T>(suite: Suite, codec: Encoder<T>, value: T): Bytes {
  return encodedFor(codec, value, (encoded) => hash(suite, encoded));
}

/** The MAC of confirmation and membership tags (§6.2, §8.1). */
export function mac(suite: Suite, key: Bytes, data: Pieces): Bytes {
  return suite.provider.hmac(suite.hash, key, data);
}

/** HKDF-Extract (RFC 5869 §2.2). */
export function hkdfExtract(
  provider: CryptoProvider,
  name: HashName,
  salt: Bytes,
  ikm: Bytes,
): Bytes {
  return provider.hmac(name, salt, ikm);
}

/** The number of the first block of an expansion (RFC 5869 §2.3). */
const FIRST: Bytes = Uint8Array.of(1);

/** The first `length` bytes of a block; nothing stays of the others. */
function begin(block: Bytes, length: number): Bytes {
  if (length === block.length) return block;
  const output = copyOf(block, 0, length);
  wipe(block);
  return output;
}

/** HKDF-Expand (RFC 5869 §2.3), `length` bytes; `info` in parts. Throws `TypeError` beyond 255 hashes, where its counter ends. */
export function hkdfExpand(
  provider: CryptoProvider,
  name: HashName,
  prk: Bytes,
  length: number,
  ...info: readonly Bytes[]
): Bytes {
  if (length > 255 * HASHES[name].nh) throw new TypeError(`HKDF can't give ${length} bytes`);
  if (length <= HASHES[name].nh) {
    return begin(provider.hmac(name, prk, concat(...info, FIRST)), length);
  }
  const output = new Uint8Array(length);
  let block: Bytes = EMPTY;
  for (let at = 0, counter = 1; at < length; at += block.length, counter++) {
    const next = provider.hmac(name, prk, concat(block, ...info, Uint8Array.of(counter)));
    wipe(block);
    block = next;
    output.set(block.length > length - at ? block.subarray(0, length - at) : block, at);
  }
  wipe(block);
  return output;
}

export function extract(suite: Suite, salt: Bytes, ikm: Bytes): Bytes {
  return hkdfExtract(suite.provider, suite.hash, salt, ikm);
}

/** `KDFLabel` (§8), up to its context. */
interface KDFLabelHead {
  readonly length: number;
  readonly label: Bytes;
}
const KDFLabelHead = struct<KDFLabelHead>({ length: uint16, label: opaque });

/** What is ready for a label and a length. */
interface Prepared {
  /** The encoded `KDFLabelHead`. */
  readonly head: Bytes;
  /** All that HKDF's first block is over (RFC 5869 §2.3) where the context is empty. */
  readonly alone: Bytes;
}
/** By label and length: there are few, and each is wanted for every message. */
const PREPARED = new Map<string, Map<number, Prepared>>();
const MAX_PREPARED = 256;

function prepared(label: string, length: number): Prepared {
  const known = PREPARED.get(label)?.get(length);
  if (known) return known;
  const head = encode(KDFLabelHead, { length, label: utf8Bytes(`MLS 1.0 ${label}`) });
  const made = { head, alone: firstBlock(head, EMPTY) };
  // An exporter's labels are the application's: they could be without number, and so could the lengths.
  if (length <= MAX_PREPARED && PREPARED.size < MAX_PREPARED) {
    const byLength = PREPARED.get(label) ?? new Map<number, Prepared>();
    PREPARED.set(label, byLength.set(length, made));
  }
  return made;
}

/** What HKDF's first block is over (RFC 5869 §2.3), for a context whose length takes a byte. */
function firstBlock(head: Bytes, context: Bytes): Bytes {
  const input = new Uint8Array(head.length + context.length + 2);
  input.set(head);
  input[head.length] = context.length;
  input.set(context, head.length + 1);
  input[input.length - 1] = 1;
  return input;
}

/** The same for a context of any length. */
const FirstBlock: Encoder<{ readonly head: Bytes; readonly context: Bytes }> = {
  write: (w, { head, context }) => {
    w.bytes(head);
    opaque.write(w, context);
    w.uint(1, 1);
  },
};

/** `ExpandWithLabel` (§8), `length` bytes. */
export function expandWithLabel(
  suite: Suite,
  secret: Bytes,
  label: string,
  context: Bytes,
  length: number,
): Bytes {
  const { head, alone } = prepared(label, length);
  if (length > suite.nh) {
    const info = encode(opaque, context);
    return hkdfExpand(suite.provider, suite.hash, secret, length, head, info);
  }
  if (context.length >= 2 ** 6) {
    const block = encodedFor(FirstBlock, { head, context }, (input) =>
      suite.provider.hmac(suite.hash, secret, input),
    );
    return begin(block, length);
  }
  // As most are: one block, and for many of them over what is always the same.
  const input = context.length === 0 ? alone : firstBlock(head, context);
  return begin(suite.provider.hmac(suite.hash, secret, input), length);
}

/** `DeriveSecret` (§8), `nh` bytes. */
export function deriveSecret(suite: Suite, secret: Bytes, label: string): Bytes {
  return expandWithLabel(suite, secret, label, EMPTY, suite.nh);
}

/** `DeriveTreeSecret` (§9), `length` bytes. */
export function deriveTreeSecret(
  suite: Suite,
  secret: Bytes,
  label: string,
  generation: number,
  length: number,
): Bytes {
  const context = new Uint8Array(4);
  for (let i = 0; i < 4; i++) context[i] = generation >>> (24 - 8 * i);
  return expandWithLabel(suite, secret, label, context, length);
}

interface RefHashInput {
  readonly label: Bytes;
  readonly value: Bytes;
}
const RefHashInput = struct<RefHashInput>({ label: opaque, value: opaque });

/** `RefHash` (§5.2), `nh` bytes. */
export function refHash(suite: Suite, label: string, value: Bytes): Bytes {
  return hashOf(suite, RefHashInput, { label: utf8Bytes(label), value });
}
