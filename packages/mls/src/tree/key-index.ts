/**
 * Which public keys stand in a tree, so that a second use is found at once (RFC 9420 §7.3, §12.4.3.1).
 * A persistent set that counts: a change copies the pieces that it touches, and shares all others with the set before it.
 * @module
 */

import { bytesEqual, EMPTY, toHex } from "../bytes.ts";

/**
 * Keys in order: those that somebody chose to be alike are found as fast as others, and it takes no hash that could be guessed.
 * `heads`: the first bytes of each as a number, which tell most keys apart.
 */
interface Keys {
  readonly heads: readonly number[];
  readonly keys: readonly Uint8Array[];
}

export interface KeyIndex {
  /** All keys, each once: one piece behind the other, in order. */
  readonly pieces: readonly Keys[];
  /** For each piece: none of its keys comes before this one, all of those in the pieces before it do. */
  readonly bounds: Keys;
  /** How often a key stands there beyond once, by the key in hexadecimal. */
  readonly repeats: ReadonlyMap<string, number>;
}
/** The index of no keys. */
export const NO_KEYS: KeyIndex = {
  pieces: [{ heads: [], keys: [] }],
  bounds: { heads: [0], keys: [EMPTY] },
  repeats: new Map(),
};

/** How many keys a piece has at most; what grows beyond becomes two. */
const MAX_PIECE = 32;

/** Whether a key stands there more than once. */
export function hasRepeats({ repeats }: KeyIndex): boolean {
  return repeats.size > 0;
}

function headOf(key: Uint8Array): number {
  return ((key[0] ?? 0) << 16) | ((key[1] ?? 0) << 8) | (key[2] ?? 0);
}

/** Below 0 where `a` comes before `b`, 0 where they are the same. */
function compared(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** How many of these keys come before one, or are that one. */
function countUpTo({ heads, keys }: Keys, key: Uint8Array, head: number): number {
  let low = 0;
  for (let high = heads.length; low < high; ) {
    const middle = (low + high) >> 1;
    const order = (heads[middle] ?? 0) - head || compared(keys[middle] ?? key, key);
    if (order > 0) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** These keys, with others in place of some. */
function spliced({ heads, keys }: Keys, at: number, gone: number, ...come: Uint8Array[]): Keys {
  return {
    heads: heads.toSpliced(at, gone, ...come.map(headOf)),
    keys: keys.toSpliced(at, gone, ...come),
  };
}

/** The piece for a key, and how many of its keys come before that. */
interface Place {
  readonly at: number;
  readonly piece: Keys;
  readonly before: number;
  readonly isThere: boolean;
}

function placeOf({ pieces, bounds }: KeyIndex, key: Uint8Array): Place {
  const head = headOf(key);
  const at = countUpTo(bounds, key, head) - 1;
  const piece = pieces[at] ?? bounds;
  const last = countUpTo(piece, key, head) - 1;
  const isThere = piece.heads[last] === head && bytesEqual(piece.keys[last] ?? EMPTY, key);
  return { at, piece, before: isThere ? last : last + 1, isThere };
}

/** An index that is being made: its lists are its own. */
interface Draft extends KeyIndex {
  readonly pieces: Keys[];
  bounds: Keys;
  readonly repeats: Map<string, number>;
}

function enter(draft: Draft, key: Uint8Array): void {
  const { at, piece, before, isThere } = placeOf(draft, key);
  if (isThere) {
    const name = toHex(key);
    draft.repeats.set(name, (draft.repeats.get(name) ?? 0) + 1);
    return;
  }
  const grown = spliced(piece, before, 0, key);
  const half = grown.keys.length >> 1;
  const middle = grown.keys[half];
  if (grown.keys.length <= MAX_PIECE || !middle) {
    draft.pieces[at] = grown;
    return;
  }
  draft.pieces.splice(at, 1, spliced(grown, half, MAX_PIECE), spliced(grown, 0, half));
  draft.bounds = spliced(draft.bounds, at + 1, 0, middle);
}

function leave(draft: Draft, key: Uint8Array): void {
  const name = hasRepeats(draft) ? toHex(key) : "";
  const more = draft.repeats.get(name);
  if (more) {
    if (more > 1) draft.repeats.set(name, more - 1);
    else draft.repeats.delete(name);
    return;
  }
  const { at, piece, before, isThere } = placeOf(draft, key);
  if (!isThere) return;
  draft.pieces[at] = spliced(piece, before, 1);
  if (piece.keys.length > 1 || at === 0) return;
  draft.pieces.splice(at, 1);
  draft.bounds = spliced(draft.bounds, at, 1);
}

/** The index once some keys that are in it are gone, and others have come. */
export function reindexed(
  { pieces, bounds, repeats }: KeyIndex,
  gone: readonly Uint8Array[],
  come: readonly Uint8Array[],
): KeyIndex {
  const draft = { pieces: [...pieces], bounds, repeats: new Map(repeats) };
  for (const key of gone) leave(draft, key);
  for (const key of come) enter(draft, key);
  return draft;
}

/** How often a key is in use. */
export function keyCount(index: KeyIndex, key: Uint8Array): number {
  if (!placeOf(index, key).isThere) return 0;
  return hasRepeats(index) ? 1 + (index.repeats.get(toHex(key)) ?? 0) : 1;
}
