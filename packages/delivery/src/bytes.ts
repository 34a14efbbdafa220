/**
 * Bytes that are compared and looked up. For what is no secret: it takes as long as they agree.
 * @module
 */

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** The bytes as a key of a `Map` or a `Set`. */
export function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
