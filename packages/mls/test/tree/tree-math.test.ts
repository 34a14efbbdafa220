import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  commonAncestor,
  copath,
  directPath,
  isBelow,
  left,
  level,
  nodeWidth,
  parent,
  right,
  root,
  sibling,
} from "../../src/tree/tree-math.ts";

const depth = fc.integer({ min: 0, max: 20 });
const place = depth.chain((d) =>
  fc.record({
    leafCount: fc.constant(2 ** d),
    node: fc.nat({ max: nodeWidth(2 ** d) - 1 }),
    other: fc.nat({ max: 2 ** d - 1 }),
  }),
);

describe("App. C the array-based tree", () => {
  it("has for each node but the root a parent, whose child it is", () => {
    fc.assert(
      fc.property(place, ({ leafCount, node }) => {
        fc.pre(node !== root(leafCount));
        const up = parent(node, leafCount) ?? -1;
        expect([left(up), right(up)]).toContain(node);
        expect([left(up), right(up)]).toContain(sibling(node, leafCount));
        expect(level(up)).toBe(level(node) + 1);
      }),
    );
  });

  it("has paths from each node to the root, with a sibling at each step", () => {
    fc.assert(
      fc.property(place, ({ leafCount, node, other }) => {
        const path = directPath(node, leafCount);
        expect(path.length).toBe(level(root(leafCount)) - level(node));
        expect(copath(node, leafCount)).toHaveLength(path.length);
        const leaf = 2 * other;
        expect(isBelow(leaf, root(leafCount))).toBe(true);
        const ancestor = commonAncestor(node, leaf);
        expect([node, ...path]).toContain(ancestor);
        expect([leaf, ...directPath(leaf, leafCount)]).toContain(ancestor);
        expect(isBelow(leaf, ancestor)).toBe(true);
      }),
    );
  });

  it("has a root without a parent and leaves without children", () => {
    expect([parent(7, 8), sibling(7, 8)]).toEqual([undefined, undefined]);
    expect([left(6), right(6), level(6)]).toEqual([undefined, undefined, 0]);
    expect([nodeWidth(0), nodeWidth(1), nodeWidth(2)]).toEqual([0, 1, 3]);
    expect(directPath(0, 1)).toEqual([]);
  });
});
