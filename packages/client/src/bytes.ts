/**
 * What is done to bytes everywhere: compare, join, name in hex.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils.js";

/** For public values: takes as long as the first difference is far in. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  return concatBytes(...parts) as Bytes;
}

export function hex(bytes: Uint8Array): string {
  return bytesToHex(bytes);
}

/** Throws for what is not hex. */
export function fromHex(text: string): Bytes {
  return hexToBytes(text) as Bytes;
}

export function utf8Bytes(text: string): Bytes {
  return new TextEncoder().encode(text);
}

export function randomBytes(length: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(length));
}
