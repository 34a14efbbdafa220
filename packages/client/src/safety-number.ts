/**
 * The number two people read to each other: it is the same on both sides only if each has the other's
 * true root key.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { sha512 } from "@noble/hashes/sha2.js";
import { concat, utf8Bytes } from "./bytes.ts";

const LABEL = utf8Bytes("Conclave 1 safety number");
/** Makes a search for a key with the same digits costly: each try costs this many hashes. */
const ROUNDS = 5200;

/** 60 digits in groups of five, the same whichever key comes first. */
export function safetyNumber(rootKey: Bytes, otherRootKey: Bytes): string {
  return [digitsOf(rootKey), digitsOf(otherRootKey)].sort().join(" ");
}

/** Six groups of five digits for a root key. */
function digitsOf(rootKey: Bytes): string {
  let hash: Uint8Array = concat(LABEL, rootKey);
  for (let round = 0; round < ROUNDS; round++) hash = sha512(concat(hash, rootKey));
  const groups: string[] = [];
  for (let at = 0; at < 30; at += 5) {
    const chunk = hash.subarray(at, at + 5).reduce((sum, byte) => sum * 256 + byte, 0);
    groups.push(String(chunk % 100_000).padStart(5, "0"));
  }
  return groups.join(" ");
}
