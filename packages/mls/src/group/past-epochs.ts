/**
 * Epochs that have passed, as far as an application still takes their messages: each with its keys, who was in it, and when
 * it ended. RFC 9420 §9.2 (what is deleted), §15.3 (delayed messages), §6.1 (whose signature counts).
 *
 * Whoever takes a member's device learns the messages of the epochs that are kept and did not come yet. So none is kept
 * unless the application says how many, and for how long.
 * @module
 */

import { copyOf, wipe } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  decode,
  encode,
  opaque,
  optional,
  struct,
  uint8,
  uint32,
  uint64,
  vector,
} from "../codec.ts";
import type { Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { GroupContext } from "../key/group-context.ts";
import { type RatchetBounds, SecretTree } from "../key/secret-tree.ts";
import type { Batch } from "../storage.ts";
import { LeafNode } from "../tree/leaf-node.ts";
import { changedNodes, leafAt, type RatchetTree } from "../tree/ratchet-tree.ts";
import type { LiveEpoch } from "./next-epoch.ts";
import type { GroupKeys } from "./stored-group.ts";

/** How long the application messages of an epoch that has passed may still be read: whichever ends first. */
export interface PastEpochWindow {
  /** How many epochs back. */
  readonly epochs: number;
  /** How long after the epoch ended. */
  readonly seconds: number;
}
const NONE: PastEpochWindow = { epochs: 0, seconds: 0 };

/** What it takes to read the application messages of an epoch. */
export interface ReadableEpoch {
  readonly groupContext: GroupContext;
  readonly ownLeaf: number;
  readonly senderDataSecret: Bytes;
  readonly secretTree: SecretTree;
  readonly leafOf: (leafIndex: number) => LeafNode | undefined;
}

interface PastEpoch extends Omit<ReadableEpoch, "leafOf"> {
  /** Milliseconds since the Unix epoch. */
  readonly endedAt: number;
  /** The leaves that the epoch after it changed, as they were: undefined where one was blank. */
  readonly replaced: ReadonlyMap<number, LeafNode | undefined>;
}

const VERSION = 1;

interface StoredPastEpoch {
  readonly version: number;
  readonly endedAt: bigint;
  readonly ownLeaf: number;
  readonly leafCount: number;
  readonly groupContext: GroupContext;
  readonly senderDataSecret: Bytes;
  readonly replaced: readonly {
    readonly leafIndex: number;
    readonly leafNode: LeafNode | undefined;
  }[];
}
const StoredPastEpoch: Codec<StoredPastEpoch> = struct({
  version: uint8,
  endedAt: uint64,
  ownLeaf: uint32,
  leafCount: uint32,
  groupContext: GroupContext,
  senderDataSecret: opaque,
  replaced: vector(struct({ leafIndex: uint32, leafNode: optional(LeafNode) })),
});

/** What is to be written, and what follows in memory once it is. */
interface Step {
  readonly batch: Batch;
  readonly settle: () => void;
}

export class PastEpochs {
  readonly #keys: GroupKeys;
  /** The oldest first, without gaps up to the epoch before the current one. */
  #epochs: readonly PastEpoch[];

  constructor(keys: GroupKeys, epochs: readonly PastEpoch[] = []) {
    this.#keys = keys;
    this.#epochs = epochs;
  }

  get isEmpty(): boolean {
    return this.#epochs.length === 0;
  }

  /** Those among the records of a group. Throws `MlsError` with `storage` for a version that this package does not know. */
  static load(
    suite: Suite,
    keys: GroupKeys,
    records: ReadonlyMap<string, Bytes>,
    bounds: RatchetBounds,
  ): PastEpochs {
    const epochs: PastEpoch[] = [];
    for (const [key, bytes] of records) {
      if (!key.startsWith(keys.allPast)) continue;
      if (bytes[0] !== VERSION) {
        throw new MlsError("storage", "14", `stored epoch of version ${bytes[0]}`);
      }
      const stored = decode(StoredPastEpoch, bytes);
      const { groupContext, leafCount, replaced } = stored;
      const prefix = keys.tree(groupContext.epoch);
      epochs.push({
        groupContext,
        ownLeaf: stored.ownLeaf,
        senderDataSecret: stored.senderDataSecret,
        endedAt: Number(stored.endedAt),
        replaced: new Map(replaced.map(({ leafIndex, leafNode }) => [leafIndex, leafNode])),
        secretTree: SecretTree.load(suite, leafCount, prefix, records, bounds),
      });
    }
    const byAge = (a: PastEpoch, b: PastEpoch) =>
      a.groupContext.epoch < b.groupContext.epoch ? -1 : 1;
    return new PastEpochs(keys, epochs.sort(byAge));
  }

  /** The epoch with this number, if it is kept. `tree`: of the current epoch. */
  at(epoch: bigint, tree: RatchetTree): ReadableEpoch | undefined {
    const position = this.#epochs.findIndex(({ groupContext }) => groupContext.epoch === epoch);
    const found = this.#epochs[position];
    if (!found) return undefined;
    const since = this.#epochs.slice(position);
    return {
      ...found,
      // What no epoch since then has replaced stands there still.
      leafOf: (leafIndex) => {
        const after = since.find(({ replaced }) => replaced.has(leafIndex));
        return after ? after.replaced.get(leafIndex) : leafAt(tree, leafIndex);
      },
    };
  }

  /** Forgets what is too old or too much (§9.2). */
  sweep(window: PastEpochWindow = NONE, now: number): Step {
    return this.#forget(this.#tooMuch(window, now, 0));
  }

  /** Keeps the epoch that ends, where the window wants that; and forgets what is too much then. */
  end(
    ended: LiveEpoch,
    next: RatchetTree,
    window: PastEpochWindow = NONE,
    now: number,
  ): Step & { readonly kept: boolean } {
    const kept = window.epochs > 0 && window.seconds > 0;
    const forgotten = this.#forget(this.#tooMuch(window, now, kept ? 1 : 0));
    if (!kept) {
      const gone = [...(forgotten.batch.delete ?? []), ...ended.secretTree.keys()];
      const settle = () => {
        forgotten.settle();
        ended.secretTree.wipe();
      };
      return { kept, batch: { delete: gone }, settle };
    }
    const { state, ownLeaf, secrets, secretTree } = ended;
    const { groupContext, tree } = state;
    const leaves = changedNodes(next, tree)
      .filter(({ index }) => index % 2 === 0)
      .map(({ index }) => ({ leafIndex: index / 2, leafNode: leafAt(tree, index / 2) }));
    const record = encode(StoredPastEpoch, {
      version: VERSION,
      endedAt: BigInt(Math.floor(now)),
      ownLeaf,
      leafCount: tree.leafCount,
      groupContext,
      senderDataSecret: secrets.senderDataSecret,
      replaced: leaves,
    });
    const epoch: PastEpoch = {
      groupContext,
      ownLeaf,
      senderDataSecret: copyOf(secrets.senderDataSecret),
      secretTree,
      endedAt: now,
      replaced: new Map(leaves.map(({ leafIndex, leafNode }) => [leafIndex, leafNode])),
    };
    return {
      kept,
      batch: {
        put: new Map([[this.#keys.past(groupContext.epoch), record]]),
        delete: forgotten.batch.delete ?? [],
      },
      settle: () => {
        forgotten.settle();
        this.#epochs = [...this.#epochs, epoch];
      },
    };
  }

  /** How many of the oldest have to go, so that there is room for `coming`. */
  #tooMuch({ epochs, seconds }: PastEpochWindow, now: number, coming: number): number {
    // A clock may have been put back between two of them: what came before one that is over is over too.
    const over = 1 + this.#epochs.findLastIndex(({ endedAt }) => now - endedAt >= seconds * 1000);
    return Math.max(over, this.#epochs.length + coming - epochs);
  }

  #forget(count: number): Step {
    const gone = this.#epochs.slice(0, count);
    return {
      batch: {
        delete: gone.flatMap(({ groupContext, secretTree }) => [
          this.#keys.past(groupContext.epoch),
          ...secretTree.keys(),
        ]),
      },
      settle: () => {
        this.#epochs = this.#epochs.slice(gone.length);
        for (const { senderDataSecret, secretTree } of gone) {
          wipe(senderDataSecret);
          secretTree.wipe();
        }
      },
    };
  }

  /** Overwrites everything; the records are the caller's to delete. */
  wipe(): void {
    this.#forget(this.#epochs.length).settle();
  }
}
