/**
 * Which public keys stand in a tree, so that a second use is found at once (RFC 9420 §7.3, §12.4.3.1).
 * A persistent set that counts: a change shares all but a path with the set before it.
 * @module
 */

import type { Bytes } from "../codec.ts";

/** A trie over the half bytes of each key's hash, so that nobody can choose a deep path. */
type Trie = Branch | Entry | undefined;
type Branch = readonly Trie[];
interface Entry {
  /** The first 16 bytes of the hash, two to a character. */
  readonly digest: string;
  readonly count: number;
}

export interface KeyIndex {
  readonly trie: Trie;
  readonly digest: (key: Uint8Array) => string;
}

/** `hash`: of a public key, at least 16 bytes. It is asked once for each array. */
export function emptyKeyIndex(hash: (key: Uint8Array) => Bytes): KeyIndex {
  const known = new WeakMap<Uint8Array, string>();
  const digest = (key: Uint8Array): string => {
    let found = known.get(key);
    if (found === undefined) {
      found = digestOf(hash(key));
      known.set(key, found);
    }
    return found;
  };
  return { trie: undefined, digest };
}

function digestOf(hash: Bytes): string {
  const units: number[] = [];
  for (let i = 0; i < 16; i += 2) units.push(((hash[i] ?? 0) << 8) | (hash[i + 1] ?? 0));
  return String.fromCharCode(...units);
}

function isBranch(trie: Trie): trie is Branch {
  return Array.isArray(trie);
}

function halfByte(digest: string, depth: number): number {
  return (digest.charCodeAt(depth >> 2) >> (12 - 4 * (depth % 4))) & 15;
}

/** A key that comes (1) or goes (-1). */
interface Change {
  readonly digest: string;
  readonly by: 1 | -1;
}

/** A trie with some changes, those from `start` and before `end`: in the order of their digests, and so of the half bytes. */
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
    const { digest } = trie ?? first;
    if (first.digest === digest && last.digest === digest) {
      let count = trie?.count ?? 0;
      for (let i = start; i < end; i++) count = Math.max(0, count + (changes[i]?.by ?? 0));
      return count > 0 ? { digest, count } : undefined;
    }
  }
  const children: Trie[] = isBranch(trie) ? [...trie] : Array.from({ length: 16 });
  if (trie && !isBranch(trie)) children[halfByte(trie.digest, depth)] = trie;
  for (let from = start; from < end; ) {
    const at = halfByte(changes[from]?.digest ?? "", depth);
    let next = from + 1;
    while (next < end && halfByte(changes[next]?.digest ?? "", depth) === at) next++;
    children[at] = adjusted(children[at], changes, from, next, depth + 1);
    from = next;
  }
  return children.every((child) => child === undefined) ? undefined : children;
}

function byDigest(a: Change, b: Change): number {
  return a.digest < b.digest ? -1 : a.digest > b.digest ? 1 : 0;
}

/** The index once some keys are gone, and then others have come. */
export function reindexed(
  index: KeyIndex,
  gone: readonly Uint8Array[],
  come: readonly Uint8Array[],
): KeyIndex {
  const changes: Change[] = [];
  for (const key of gone) changes.push({ digest: index.digest(key), by: -1 });
  for (const key of come) changes.push({ digest: index.digest(key), by: 1 });
  changes.sort(byDigest);
  return { ...index, trie: adjusted(index.trie, changes, 0, changes.length, 0) };
}

/** How often a key is in use. */
export function keyCount(index: KeyIndex, key: Uint8Array): number {
  const digest = index.digest(key);
  let trie = index.trie;
  for (let depth = 0; isBranch(trie); depth++) trie = trie[halfByte(digest, depth)];
  return trie?.digest === digest ? trie.count : 0;
}
