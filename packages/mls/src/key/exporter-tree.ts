/**
 * The exporter tree: one secret for each component of an application, given out once in an epoch.
 * draft-ietf-mls-extensions, "Exported Secrets"; RFC 9420 §9 (how the tree is derived), §9.2 (what is deleted).
 * @module
 */

import { wipe } from "../bytes.ts";
import { type Bytes, type Codec, opaque, struct, uint32, vector } from "../codec.ts";
import type { Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { root } from "../tree/tree-math.ts";
import { openPath, type Taken } from "./secret-tree.ts";

/** A leaf for each ComponentID. */
const LEAF_COUNT = 2 ** 16;

/** The secrets of the nodes that all others come from, as they are stored. */
export type ExporterNodes = readonly { readonly node: number; readonly secret: Bytes }[];
export const ExporterNodes: Codec<ExporterNodes> = vector(struct({ node: uint32, secret: opaque }));

/** A secret that was asked for, and what is left of the tree without it. */
export interface TakenExport extends Taken {
  /** The caller's. */
  readonly secret: Bytes;
  readonly left: ExporterNodes;
}

export class ExporterTree {
  readonly #suite: Suite;
  readonly #secrets: Map<number, Bytes>;

  /** The tree owns the secrets from now on. */
  constructor(suite: Suite, nodes: ExporterNodes) {
    this.#suite = suite;
    this.#secrets = new Map(nodes.map(({ node, secret }) => [node, secret]));
  }

  /** A new epoch's tree. `applicationExportSecret` is its root from now on. */
  static create(suite: Suite, applicationExportSecret: Bytes): ExporterTree {
    return new ExporterTree(suite, [{ node: root(LEAF_COUNT), secret: applicationExportSecret }]);
  }

  /** Everything, to be stored when the epoch begins. */
  nodes(): ExporterNodes {
    return nodesOf(this.#secrets);
  }

  /** `SafeExportSecret`, `nh` bytes. Throws `MlsError` with `generation-used` where it was taken before. */
  take(componentId: number): TakenExport {
    if (!Number.isInteger(componentId) || componentId < 0 || componentId >= LEAF_COUNT) {
      throw new TypeError(`${componentId} is not a ComponentID`);
    }
    const path = openPath(this.#suite, LEAF_COUNT, componentId, (node) => this.#secrets.get(node));
    if (!path) {
      const why = `the secret of component ${componentId} was given out in this epoch`;
      throw new MlsError("generation-used", "9.2", why);
    }
    const { start, secret, siblings } = path;
    const left = new Map([...this.#secrets, ...siblings]);
    left.delete(start);
    return {
      secret,
      left: nodesOf(left),
      settle: () => {
        wipe(this.#secrets.get(start));
        this.#secrets.delete(start);
        for (const [node, value] of siblings) this.#secrets.set(node, value);
      },
      discard: () => wipe(secret, ...siblings.values()),
    };
  }

  /** Overwrites everything. */
  wipe(): void {
    for (const secret of this.#secrets.values()) wipe(secret);
    this.#secrets.clear();
  }
}

function nodesOf(secrets: ReadonlyMap<number, Bytes>): ExporterNodes {
  return [...secrets].map(([node, secret]) => ({ node, secret }));
}
