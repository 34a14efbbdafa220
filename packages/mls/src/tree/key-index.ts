/**
 * Which public keys stand in a tree, so that a second use is found at once (RFC 9420 §7.3, §12.4.3.1), and how often each does.
 * A value: what came of a change is another one, and the one before it can be asked as well. The keys themselves are there once for all that
 * came of each other: the one that was asked or changed last has them, and they are changed in place; each of the others knows what leads from it
 * to the one that has them (H. G. Baker, "Shallow Binding Makes Functional Arrays Fast"). So a change costs nothing but itself, as
 * long as it is made to the newest.
 * @module
 */

import { bytesEqual, EMPTY, toHex } from "../bytes.ts";

/**
 * Keys in order: those that somebody chose to be alike are found as fast as others, and it takes no hash that could be guessed.
 * `heads`: the first bytes of each as a number, which tell most keys apart.
 */
interface Keys {
  readonly heads: number[];
  readonly keys: Uint8Array[];
}

/** All keys in use. */
interface KeysInUse {
  /** Each once: one piece behind the other, in order. */
  readonly pieces: Keys[];
  /** For each piece: none of its keys comes before this one, all of those in the pieces before it do. */
  readonly bounds: Keys;
  /** How often a key stands there beyond once, by the key in hexadecimal. */
  readonly repeats: Map<string, number>;
}

/** Another index: this one without some keys, and with others. */
interface Step {
  readonly to: KeyIndex;
  readonly gone: readonly Uint8Array[];
  readonly come: readonly Uint8Array[];
}

export interface KeyIndex {
  /** The keys, or the step to where they are. */
  at: { readonly here: KeysInUse } | Step;
}

/** The index of no keys. */
export function noKeys(): KeyIndex {
  const bounds = { heads: [0], keys: [EMPTY] };
  return { at: { here: { pieces: [{ heads: [], keys: [] }], bounds, repeats: new Map() } } };
}

/** How many keys a piece has at most; what grows beyond becomes two. */
const MAX_PIECE = 64;

/** The keys of an index, which has them from now on. */
function keysOf(index: KeyIndex): KeysInUse {
  // The way to where they are, and then back, a step undone each time.
  const way: { readonly from: KeyIndex; readonly step: Step }[] = [];
  let last = index;
  while (!("here" in last.at)) {
    way.push({ from: last, step: last.at });
    last = last.at.to;
  }
  const { at } = last;
  for (const { from, step } of way.reverse()) {
    for (const key of step.come) leave(at.here, key);
    for (const key of step.gone) enter(at.here, key);
    step.to.at = { to: from, gone: step.come, come: step.gone };
    from.at = at;
  }
  return at.here;
}

/** Whether a key stands there more than once. */
export function hasRepeats(index: KeyIndex): boolean {
  return keysOf(index).repeats.size > 0;
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

function insert({ heads, keys }: Keys, at: number, key: Uint8Array): void {
  heads.splice(at, 0, headOf(key));
  keys.splice(at, 0, key);
}

function remove({ heads, keys }: Keys, at: number): void {
  heads.splice(at, 1);
  keys.splice(at, 1);
}

/** The piece for a key, and how many of its keys come before that. */
interface Place {
  readonly at: number;
  readonly piece: Keys;
  readonly before: number;
  readonly isThere: boolean;
}

function placeOf({ pieces, bounds }: KeysInUse, key: Uint8Array): Place {
  const head = headOf(key);
  const at = countUpTo(bounds, key, head) - 1;
  const piece = pieces[at] ?? bounds;
  const last = countUpTo(piece, key, head) - 1;
  const isThere = piece.heads[last] === head && bytesEqual(piece.keys[last] ?? EMPTY, key);
  return { at, piece, before: isThere ? last : last + 1, isThere };
}

function enter(inUse: KeysInUse, key: Uint8Array): void {
  const { at, piece, before, isThere } = placeOf(inUse, key);
  if (isThere) {
    const name = toHex(key);
    inUse.repeats.set(name, (inUse.repeats.get(name) ?? 0) + 1);
    return;
  }
  insert(piece, before, key);
  const half = piece.keys.length >> 1;
  const middle = piece.keys[half];
  if (piece.keys.length <= MAX_PIECE || !middle) return;
  const behind = { heads: piece.heads.splice(half), keys: piece.keys.splice(half) };
  inUse.pieces.splice(at + 1, 0, behind);
  insert(inUse.bounds, at + 1, middle);
}

/** Gives whether it was there. */
function leave(inUse: KeysInUse, key: Uint8Array): boolean {
  const name = inUse.repeats.size > 0 ? toHex(key) : "";
  const more = inUse.repeats.get(name);
  if (more) {
    if (more > 1) inUse.repeats.set(name, more - 1);
    else inUse.repeats.delete(name);
    return true;
  }
  const { at, piece, before, isThere } = placeOf(inUse, key);
  if (!isThere) return false;
  remove(piece, before);
  if (piece.keys.length > 0 || at === 0) return true;
  inUse.pieces.splice(at, 1);
  remove(inUse.bounds, at);
  return true;
}

/** The index once some keys that are in it are gone, and others have come. */
export function reindexed(
  index: KeyIndex,
  gone: readonly Uint8Array[],
  come: readonly Uint8Array[],
): KeyIndex {
  const here = keysOf(index);
  const left = gone.filter((key) => leave(here, key));
  for (const key of come) enter(here, key);
  const made: KeyIndex = { at: { here } };
  index.at = { to: made, gone: left, come };
  return made;
}

/** How often a key is in use. */
export function keyCount(index: KeyIndex, key: Uint8Array): number {
  const here = keysOf(index);
  if (!placeOf(here, key).isThere) return 0;
  return here.repeats.size > 0 ? 1 + (here.repeats.get(toHex(key)) ?? 0) : 1;
}
