/** draft-ietf-mls-extensions, "Exported Secrets": a secret for each component, given out once. */

import { nodeCrypto } from "@conclave/mls/node";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expandWithLabel } from "../../src/crypto/kdf.ts";
import { suiteOf } from "../../src/crypto/suite.ts";
import { ExporterTree } from "../../src/key/exporter-tree.ts";
import { hex, utf8 } from "../people.ts";

const suite = suiteOf(nodeCrypto, 3);
const ROOT = new Uint8Array(32).fill(9);
const componentIds = fc.integer({ min: 0, max: 0xffff });

function tree(): ExporterTree {
  return ExporterTree.create(suite, ROOT.slice());
}

/** The secret at the end of the way that the bits of a ComponentID say, from the root of 2^16 leaves (RFC 9420 §9). */
function derived(componentId: number): string {
  const way = componentId.toString(2).padStart(16, "0");
  let secret = ROOT.slice();
  for (const bit of way) {
    secret = expandWithLabel(suite, secret, "tree", utf8(bit === "0" ? "left" : "right"), 32);
  }
  return hex(secret);
}

describe("the exporter tree", () => {
  it("has a secret for each ComponentID, whatever was taken before, once", () => {
    fc.assert(
      fc.property(fc.uniqueArray(componentIds, { minLength: 1, maxLength: 8 }), (ids) => {
        const one = tree();
        for (const id of [...ids, 0, 0xffff].filter((each, at, all) => all.indexOf(each) === at)) {
          const taken = one.take(id);
          taken.settle();
          expect(hex(taken.secret)).toBe(derived(id));
          const again = expect.objectContaining({ code: "generation-used", section: "9.2" });
          expect(() => one.take(id)).toThrow(again);
        }
      }),
      { numRuns: 20 },
    );
  });

  it("keeps nothing that leads to what was taken, and all that leads elsewhere", () => {
    const one = tree();
    const first = one.take(0x8001);
    expect(first.left).toHaveLength(16);
    const left = first.left.map(({ node, secret }) => ({ node, secret: secret.slice() }));
    first.settle();
    const loaded = new ExporterTree(suite, left);
    expect(() => loaded.take(0x8001)).toThrow(expect.objectContaining({ code: "generation-used" }));
    // Its sibling is a leaf of its own by now.
    const sibling = loaded.take(0x8000);
    expect(sibling.left).toHaveLength(15);
    sibling.settle();
    expect(hex(sibling.secret)).toBe(derived(0x8000));
    expect(() => loaded.take(0x8000)).toThrow(expect.objectContaining({ code: "generation-used" }));
    expect(hex(loaded.take(7).secret)).toBe(derived(7));
  });

  it("overwrites what was used once that is stored, and not before", () => {
    const root = ROOT.slice();
    const one = ExporterTree.create(suite, root);
    const given = one.take(5);
    given.discard();
    expect(hex(given.secret)).toBe("00".repeat(32));
    expect(hex(root)).toBe(hex(ROOT));
    const taken = one.take(5);
    taken.settle();
    expect(hex(root)).toBe("00".repeat(32));
    expect(hex(taken.secret)).toBe(derived(5));
    const left = one.nodes();
    one.wipe();
    expect(left.map(({ secret }) => hex(secret))).toEqual(left.map(() => "00".repeat(32)));
    expect(one.nodes()).toEqual([]);
  });

  it.each([-1, 2 ** 16, 1.5, Number.NaN])("has no component %d", (componentId) => {
    expect(() => tree().take(componentId)).toThrow(TypeError);
  });
});
