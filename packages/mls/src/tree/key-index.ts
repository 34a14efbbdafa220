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

function adjusted(trie: Trie, changes: readonly Change[], depth: number): Trie {
  const [first] = changes;
  if (first === undefined) return trie;
  if (!isBranch(trie)) {
    const { digest } = trie ?? first;
    if (changes.every((change) => change.digest === digest)) {
      const count = changes.reduce((sum, { by }) => Math.max(0, sum + by), trie?.count ?? 0);
      return count > 0 ? { digest, count } : undefined;
    }
  }
  const children: Trie[] = isBranch(trie) ? [...trie] : Array.from({ length: 16 });
  if (trie && !isBranch(trie)) children[halfByte(trie.digest, depth)] = trie;
  if (changes.length === 1) {
    const at = halfByte(first.digest, depth);
    children[at] = adjusted(children[at], changes, depth + 1);
  } else {
    const parts: Change[][] = Array.from({ length: 16 }, () => []);
    for (const change of changes) parts[halfByte(change.digest, depth)]?.push(change);
    for (const [at, part] of parts.entries()) {
      children[at] = adjusted(children[at], part, depth + 1);
    }
  }
  return children.every((child) => child === undefined) ? undefined : children;
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
  return { ...index, trie: adjusted(index.trie, changes, 0) };
}

/** How often a key is in use. */
export function keyCount(index: KeyIndex, key: Uint8Array): number {
  const digest = index.digest(key);
  let trie = index.trie;
  for (let depth = 0; isBranch(trie); depth++) trie = trie[halfByte(digest, depth)];
  return trie?.digest === digest ? trie.count : 0;
}
