/**
 * Whether bytes are the same. For what is no secret: it takes as long as they agree.
 * @module
 */

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
