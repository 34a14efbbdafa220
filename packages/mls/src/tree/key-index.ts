/**
 * Which public keys stand in a tree, so that a second use is found at once (RFC 9420 §7.3, §12.4.3.1).
 * A persistent set that counts: a change shares all but a path with the set before it.
 * @module
 */

/**
 * A search tree by the keys' bytes, balanced by weight: keys that somebody chose to be alike make it no deeper, and it needs no hash that
 * could be guessed. (J. Nievergelt, E. M. Reingold: Binary search trees of bounded balance. The parameters are those of Y. Hirai, K. Yamamoto.)
 */
interface Entry {
  readonly key: Uint8Array;
  /** The first bytes of the key as a number, which tell most keys apart. */
  readonly head: number;
  readonly count: number;
  readonly smaller: KeyIndex;
  readonly larger: KeyIndex;
  /** Entries in this tree, and one. */
  readonly weight: number;
  /** A key in this tree stands there more than once. */
  readonly repeats: boolean;
}
export type KeyIndex = Entry | undefined;

/** What is said of a key: how often it stands there, or comes and goes. */
type Counted = Pick<Entry, "key" | "head" | "count">;

function counted(key: Uint8Array, count: number): Counted {
  const head = ((key[0] ?? 0) << 16) | ((key[1] ?? 0) << 8) | (key[2] ?? 0);
  return { key, head, count };
}

/** Below 0 where `a` comes before `b`, 0 where they are the same key. */
function compared(a: Counted, b: Counted): number {
  if (a.head !== b.head) return a.head - b.head;
  const length = Math.min(a.key.length, b.key.length);
  for (let i = 0; i < length; i++) {
    const difference = (a.key[i] ?? 0) - (b.key[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.key.length - b.key.length;
}

function weightOf(tree: KeyIndex): number {
  return tree ? tree.weight : 1;
}

function isHeavier(tree: KeyIndex, times: number, other: KeyIndex): tree is Entry {
  return weightOf(tree) > times * weightOf(other);
}

/** Whether a key stands there more than once. */
export function hasRepeats(index: KeyIndex): boolean {
  return index !== undefined && index.repeats;
}

function entry({ key, head, count }: Counted, smaller: KeyIndex, larger: KeyIndex): Entry {
  const weight = weightOf(smaller) + weightOf(larger);
  const repeats = count > 1 || hasRepeats(smaller) || hasRepeats(larger);
  return { key, head, count, smaller, larger, weight, repeats };
}

/** The tree of two whose weights may differ by anything, and of what stands between them. */
function joined(smaller: KeyIndex, middle: Counted, larger: KeyIndex): Entry {
  const under = weightOf(smaller);
  const over = weightOf(larger);
  if (smaller && under > 3 * over) {
    return balanced(smaller.smaller, smaller, joined(smaller.larger, middle, larger));
  }
  if (larger && over > 3 * under) {
    return balanced(joined(smaller, middle, larger.smaller), larger, larger.larger);
  }
  return entry(middle, smaller, larger);
}

/** The same, where they were in balance before one of them grew: turned once or twice where they no longer are. */
function balanced(smaller: KeyIndex, middle: Counted, larger: KeyIndex): Entry {
  if (isHeavier(larger, 3, smaller)) {
    const { smaller: inner, larger: outer } = larger;
    if (!inner || isHeavier(outer, 0.5, inner)) {
      return entry(larger, entry(middle, smaller, inner), outer);
    }
    const left = entry(middle, smaller, inner.smaller);
    return entry(inner, left, entry(larger, inner.larger, outer));
  }
  if (isHeavier(smaller, 3, larger)) {
    const { smaller: outer, larger: inner } = smaller;
    if (!inner || isHeavier(outer, 0.5, inner)) {
      return entry(smaller, outer, entry(middle, inner, larger));
    }
    const right = entry(middle, inner.larger, larger);
    return entry(inner, entry(smaller, outer, inner.smaller), right);
  }
  return entry(middle, smaller, larger);
}

function firstOf(tree: Entry): Entry {
  return tree.smaller ? firstOf(tree.smaller) : tree;
}

function withoutFirst(tree: Entry): KeyIndex {
  return tree.smaller ? joined(withoutFirst(tree.smaller), tree, tree.larger) : tree.larger;
}

/** A tree with some changes, those from `start` and before `end`, which are in order and each of another key. */
function adjusted(
  tree: KeyIndex,
  changes: readonly Counted[],
  start: number,
  end: number,
): KeyIndex {
  if (start === end) return tree;
  // The first change that is not before the tree's own key; or, where there is none, the middle one.
  let at = tree ? start : (start + end) >> 1;
  for (let after = end; tree && at < after; ) {
    const middle = (at + after) >> 1;
    const change = changes[middle];
    if (change && compared(change, tree) < 0) at = middle + 1;
    else after = middle;
  }
  const change = at < end ? changes[at] : undefined;
  const own = change && (!tree || compared(change, tree) === 0) ? change : undefined;
  const smaller = adjusted(tree?.smaller, changes, start, at);
  const larger = adjusted(tree?.larger, changes, own ? at + 1 : at, end);
  const middle = tree && own ? { ...own, count: tree.count + own.count } : (tree ?? own);
  if (middle && middle.count > 0) return joined(smaller, middle, larger);
  return larger ? joined(smaller, firstOf(larger), withoutFirst(larger)) : smaller;
}

/** The index once some keys that are in it are gone, and others have come. */
export function reindexed(
  index: KeyIndex,
  gone: readonly Uint8Array[],
  come: readonly Uint8Array[],
): KeyIndex {
  const all: Counted[] = [];
  for (const key of gone) all.push(counted(key, -1));
  for (const key of come) all.push(counted(key, 1));
  const changes: Counted[] = [];
  for (const one of all.sort(compared)) {
    const last = changes.at(-1);
    if (!last || compared(last, one) !== 0) changes.push(one);
    else changes[changes.length - 1] = { ...one, count: last.count + one.count };
  }
  // A key that goes and comes again changes nothing.
  const real = changes.filter(({ count }) => count !== 0);
  return adjusted(index, real, 0, real.length);
}

/** How often a key is in use. */
export function keyCount(index: KeyIndex, key: Uint8Array): number {
  const wanted = counted(key, 0);
  for (let at = index; at; ) {
    const order = compared(wanted, at);
    if (order === 0) return at.count;
    at = order < 0 ? at.smaller : at.larger;
  }
  return 0;
}
