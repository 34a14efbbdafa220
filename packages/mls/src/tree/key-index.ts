/**
 * Which public keys stand in a tree, so that a second use is found at once (RFC 9420 §7.3, §12.4.3.1).
 * A persistent set that counts: a change shares all but a path with the set before it.
 * @module
 */

import { bytesEqual, wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";

/** A trie over the half bytes of each key's hash. */
type Trie = Branch | Entry | undefined;
type Branch = readonly Trie[];
interface Entry {
  readonly hash: number;
  readonly key: Uint8Array;
  readonly count: number;
  /** Another key with the same hash. */
  readonly next: Entry | undefined;
}

export interface KeyIndex {
  readonly trie: Trie;
  readonly hash: KeyHash;
}

/** Of a public key, 32 bits. */
export type KeyHash = (key: Uint8Array) => number;

export function emptyKeyIndex(hash: KeyHash): KeyIndex {
  return { trie: undefined, hash };
}

/**
 * HalfSipHash-1-3 under 8 bytes that are nobody else's: who chooses keys can't choose where they stand, and so no deep path. For this, a
 * cryptographic hash would cost ten times as much.
 */
export function keyedHash(random: (length: number) => Bytes): KeyHash {
  const seed = random(8);
  const { buffer, byteOffset } = seed;
  const view = new DataView(buffer, byteOffset);
  const [k0, k1] = [view.getInt32(0), view.getInt32(4)];
  wipe(seed);
  return (key) => {
    let v0 = k0;
    let v1 = k1;
    let v2 = k0 ^ 0x6c796765;
    let v3 = k1 ^ 0x74656462;
    // A word is four bytes, the last one what is left of them and the length; then three rounds that take in nothing.
    const words = key.length >> 2;
    for (let i = 0; i < words + 4; i++) {
      let word = 0;
      for (let j = 0; j < 4 && i <= words; j++) {
        word |= (key[4 * i + j] ?? (j === 3 ? key.length : 0)) << (8 * j);
      }
      if (i === words + 1) v2 ^= 0xff;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    return (v1 ^ v3) >>> 0;
  };
}

const NO_CHILDREN: Branch = Array.from({ length: 16 }, () => undefined);

function isBranch(trie: Trie): trie is Branch {
  return Array.isArray(trie);
}

function halfByte(hash: number, depth: number): number {
  return (hash >>> (28 - 4 * depth)) & 15;
}

/** A key that comes (1) or goes (-1). */
interface Change {
  readonly hash: number;
  readonly key: Uint8Array;
  readonly by: 1 | -1;
}

/** Entries of one hash with a change. */
function counted(entry: Entry | undefined, change: Change): Entry | undefined {
  const { hash, key, by } = change;
  if (!entry) return by === 1 ? { hash, key, count: 1, next: undefined } : undefined;
  if (!bytesEqual(entry.key, key)) return { ...entry, next: counted(entry.next, change) };
  const count = entry.count + by;
  return count > 0 ? { ...entry, count } : entry.next;
}

/** A trie with some changes, those from `start` and before `end`: in the order of their hashes, and so of the half bytes. */
function adjusted(
  trie: Trie,
  changes: readonly Change[],
  start: number,
  end: number,
  depth: number,
): Trie {
  const [first, last] = [changes[start], changes[end - 1]];
  if (!first || !last) return trie;
  if (!isBranch(trie)) {
    const { hash } = trie ?? first;
    if (first.hash === hash && last.hash === hash) {
      let entry = trie;
      for (let i = start; i < end; i++) entry = counted(entry, changes[i] ?? first);
      return entry;
    }
  }
  const children = (isBranch(trie) ? trie : NO_CHILDREN).slice();
  if (trie && !isBranch(trie)) children[halfByte(trie.hash, depth)] = trie;
  for (let from = start; from < end; ) {
    const at = halfByte(changes[from]?.hash ?? 0, depth);
    let next = from + 1;
    while (next < end && halfByte(changes[next]?.hash ?? 0, depth) === at) next++;
    children[at] = adjusted(children[at], changes, from, next, depth + 1);
    from = next;
  }
  return children.every((child) => child === undefined) ? undefined : children;
}

/** The index once some keys are gone, and then others have come. */
export function reindexed(
  index: KeyIndex,
  gone: readonly Uint8Array[],
  come: readonly Uint8Array[],
): KeyIndex {
  const { trie, hash } = index;
  const changes: Change[] = [];
  for (const key of gone) changes.push({ hash: hash(key), key, by: -1 });
  for (const key of come) changes.push({ hash: hash(key), key, by: 1 });
  changes.sort((a, b) => a.hash - b.hash);
  return { trie: adjusted(trie, changes, 0, changes.length, 0), hash };
}

/** How often a key is in use. */
export function keyCount(index: KeyIndex, key: Uint8Array): number {
  const hash = index.hash(key);
  let trie = index.trie;
  for (let depth = 0; isBranch(trie); depth++) trie = trie[halfByte(hash, depth)];
  if (trie?.hash !== hash) return 0;
  let entry: Entry | undefined = trie;
  while (entry && !bytesEqual(entry.key, key)) entry = entry.next;
  return entry?.count ?? 0;
}
