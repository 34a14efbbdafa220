/**
 * Which public keys stand in a tree, so that a second use is found at once (RFC 9420 §7.3, §12.4.3.1).
 * A persistent set that counts: a change shares all but a path with the set before it.
 * @module
 */

import { toHex } from "../bytes.ts";
import type { Bytes } from "../codec.ts";

/** A trie over the hexadecimal digits of each key's hash, so that nobody can choose a deep path. */
type Trie = Branch | Entry | undefined;
interface Branch {
  readonly children: readonly Trie[];
}
interface Entry {
  readonly digest: string;
  readonly count: number;
}

export interface KeyIndex {
  readonly trie: Trie;
  /** The hash of a public key: at least 16 bytes. */
  readonly digest: (key: Uint8Array) => Bytes;
}

export function emptyKeyIndex(digest: KeyIndex["digest"]): KeyIndex {
  return { trie: undefined, digest };
}

function isBranch(trie: Trie): trie is Branch {
  return trie !== undefined && "children" in trie;
}

function digit(digest: string, depth: number): number {
  return Number.parseInt(digest.charAt(depth), 16);
}

function adjusted(trie: Trie, digest: string, by: number, depth: number): Trie {
  if (isBranch(trie)) {
    const children = [...trie.children];
    const at = digit(digest, depth);
    children[at] = adjusted(children[at], digest, by, depth + 1);
    return children.every((child) => child === undefined) ? undefined : { children };
  }
  if (trie === undefined) return by > 0 ? { digest, count: by } : undefined;
  if (trie.digest === digest) {
    const count = trie.count + by;
    return count > 0 ? { digest, count } : undefined;
  }
  const children: Trie[] = Array.from({ length: 16 });
  children[digit(trie.digest, depth)] = trie;
  return adjusted({ children }, digest, by, depth);
}

function digestOf(index: KeyIndex, key: Uint8Array): string {
  return toHex(index.digest(key).subarray(0, 16));
}

export function withKey(index: KeyIndex, key: Uint8Array): KeyIndex {
  return { ...index, trie: adjusted(index.trie, digestOf(index, key), 1, 0) };
}

export function withoutKey(index: KeyIndex, key: Uint8Array): KeyIndex {
  return { ...index, trie: adjusted(index.trie, digestOf(index, key), -1, 0) };
}

/** How often a key is in use. */
export function keyCount(index: KeyIndex, key: Uint8Array): number {
  const digest = digestOf(index, key);
  let trie = index.trie;
  for (let depth = 0; isBranch(trie); depth++) trie = trie.children[digit(digest, depth)];
  return trie?.digest === digest ? trie.count : 0;
}
