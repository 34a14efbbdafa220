/**
 * HMAC from a hash. RFC 2104.
 * @module
 */

import { wipe } from "../bytes.ts";
import { HASHES, type HashName } from "./suite.ts";

/** The block of a hash, in bytes (RFC 2104 §2, FIPS 180-4). */
const BLOCK = { sha256: 64, sha384: 128, sha512: 128 } as const satisfies Record<HashName, number>;

/** What the two hashes of an HMAC are of: overwritten after each, since making it anew costs as much as a hash. */
const INNER = new Uint8Array(4096);
const OUTER = new Uint8Array(BLOCK.sha512 + HASHES.sha512.nh);

/** HMAC as two hashes. `hash`: the one of that name, of which a fresh array comes. */
export function hmacOf<H extends Uint8Array>(
  hash: (data: Uint8Array) => H,
  name: HashName,
  key: Uint8Array,
  data: Uint8Array,
): H {
  const block = BLOCK[name];
  const fitting = key.length <= block ? key : hash(key);
  const length = block + data.length;
  const inner = length <= INNER.length ? INNER.subarray(0, length) : new Uint8Array(length);
  const outer = OUTER.subarray(0, block + HASHES[name].nh);
  inner.fill(0x36, 0, block);
  outer.fill(0x5c, 0, block);
  for (let i = 0; i < fitting.length; i++) {
    const byte = fitting[i] ?? 0;
    inner[i] = byte ^ 0x36;
    outer[i] = byte ^ 0x5c;
  }
  inner.set(data, block);
  const digest = hash(inner);
  outer.set(digest, block);
  const made = hash(outer);
  wipe(inner, outer, digest);
  return made;
}
