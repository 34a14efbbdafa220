/**
 * Indices of the array-based tree. RFC 9420 App. C.
 *
 * Leaf i stands at node 2i; a tree always has 2^d leaves. Numbers stay below 2^31, so bit operators serve.
 * @module
 */

/** The level of a node: 0 for a leaf. */
export function level(node: number): number {
  return node % 2 === 0 ? 0 : 31 - Math.clz32(~node & (node + 1));
}

/** The number of nodes over this many leaves. */
export function nodeWidth(leafCount: number): number {
  return leafCount === 0 ? 0 : 2 * leafCount - 1;
}

export function root(leafCount: number): number {
  return leafCount - 1;
}

export function left(node: number): number | undefined {
  const k = level(node);
  return k === 0 ? undefined : node ^ (1 << (k - 1));
}

export function right(node: number): number | undefined {
  const k = level(node);
  return k === 0 ? undefined : node ^ (3 << (k - 1));
}

export function parent(node: number, leafCount: number): number | undefined {
  if (node === root(leafCount)) return undefined;
  const k = level(node);
  return (node | (1 << k)) & ~(1 << (k + 1));
}

export function sibling(node: number, leafCount: number): number | undefined {
  const up = parent(node, leafCount);
  if (up === undefined) return undefined;
  return node < up ? right(up) : left(up);
}

/** The ancestors of a node, from its parent up to the root. */
export function directPath(node: number, leafCount: number): number[] {
  const path: number[] = [];
  for (let at = parent(node, leafCount); at !== undefined; at = parent(at, leafCount))
    path.push(at);
  return path;
}

/** The siblings of a node and of its ancestors but the root: those whose subtrees its path does not pass. */
export function copath(node: number, leafCount: number): number[] {
  const path: number[] = [];
  for (let at = node; at !== root(leafCount); ) {
    const beside = sibling(at, leafCount);
    const up = parent(at, leafCount);
    if (beside === undefined || up === undefined) break;
    path.push(beside);
    at = up;
  }
  return path;
}

/** Whether `leaf`, a node index, lies below `node`. */
export function isBelow(leaf: number, node: number): boolean {
  const reach = (1 << level(node)) - 1;
  return leaf >= node - reach && leaf <= node + reach;
}

/** The lowest node that both are below or at. */
export function commonAncestor(a: number, b: number): number {
  let x = a;
  let y = b;
  while (x !== y) {
    if (level(x) <= level(y)) x = up(x);
    else y = up(y);
  }
  return x;
}

function up(node: number): number {
  const k = level(node);
  return (node | (1 << k)) & ~(1 << (k + 1));
}
