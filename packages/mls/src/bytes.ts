/**
 * What is done with bytes everywhere: compare, join, print, overwrite.
 * @module
 */

import type { Bytes } from "./codec.ts";

export const EMPTY: Bytes = new Uint8Array(0);

/** Only the compiler knows better: a text, or numbers of another size, would be taken for bytes that they aren't. Throws `TypeError`. */
export function checkBytes(value: unknown): void {
  if ((value as Partial<Uint8Array> | undefined)?.BYTES_PER_ELEMENT === 1) return;
  throw new TypeError("bytes are a Uint8Array; for text: new TextEncoder().encode(text)");
}

/**
 * A copy, of a part. Not `slice`: a provider or a storage may give a `Buffer`, and that of one shares its memory. A view of few bytes
 * makes the engine move them, and leaves another copy of them behind: none is made for all of them. Throws `TypeError` for what is no bytes.
 */
export function copyOf(bytes: Uint8Array, start?: number, end?: number): Bytes {
  checkBytes(bytes);
  return new Uint8Array(start === undefined ? bytes : bytes.subarray(start, end));
}

/** Whether two byte strings are the same. For public values: it stops at the first difference. */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The same for secrets and tags: the time depends on the lengths alone, which are compared too. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, i) =>
  i.toString(16).padStart(2, "0"),
);

export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += HEX[byte];
  return hex;
}

const UTF8 = new TextEncoder();

export function utf8Bytes(text: string): Bytes {
  return UTF8.encode(text);
}

/** The bytes of labels that are used for every message: there are few of them. */
const LABELS = new Map<string, Bytes>();
const MAX_LABELS = 256;

/** The bytes of a label, which must not change. */
export function labelBytes(label: string): Bytes {
  const known = LABELS.get(label);
  if (known) return known;
  const made = utf8Bytes(label);
  // An application's labels could be without number.
  if (LABELS.size < MAX_LABELS) LABELS.set(label, made);
  return made;
}

const MLS_LABEL: Bytes = utf8Bytes("MLS 1.0 ");

/** A label of §5.1 as it is signed and encrypted under; in bytes where it is itself a structure. */
export function mlsLabel(label: string | Bytes): Bytes {
  return concat(MLS_LABEL, typeof label === "string" ? labelBytes(label) : label);
}

/** Overwrites secrets that are done with. What the engine copied elsewhere is out of our reach. */
export function wipe(...secrets: readonly (Uint8Array | undefined)[]): void {
  for (const secret of secrets) secret?.fill(0);
}
