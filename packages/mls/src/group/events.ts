/**
 * What happens in a group, told as a stream: for views, logs and tests. An event follows the stored batch that it tells of,
 * never precedes it, and carries no secret and nothing that was encrypted.
 * @module
 */

import type { Bytes } from "../codec.ts";
import type { Sender } from "../framing/content.ts";
import type { Proposal } from "../framing/proposal.ts";
import type { LeafNode } from "../tree/leaf-node.ts";
import type { CommitSummary } from "./public-state.ts";
import type { Received } from "./receiving.ts";
import type { GroupStatus } from "./stored-group.ts";

/** What happened in a group. It holds no secret and no content; it follows the batch that stored what it tells of. */
export type GroupEvent =
  /** `generation`: of the message, in the epoch in which it was encrypted. */
  | { readonly type: "message-sent"; readonly epoch: bigint; readonly generation: number }
  | {
      readonly type: "message-received";
      readonly epoch: bigint;
      readonly generation: number;
      /** A leaf index. */
      readonly sender: number;
    }
  | {
      readonly type: "proposal";
      /** We made it. */
      readonly own: boolean;
      readonly epoch: bigint;
      readonly ref: Bytes;
      readonly proposalType: Proposal["proposalType"];
      readonly sender: Sender;
    }
  /** A commit of ours, and the epoch that it would end. */
  | {
      readonly type: "commit-composed" | "commit-accepted" | "commit-lost" | "commit-discarded";
      readonly epoch: bigint;
    }
  /** The epoch that begins, and the commit that began it. */
  | { readonly type: "epoch"; readonly epoch: bigint; readonly summary: CommitSummary }
  | {
      readonly type: "member-added" | "member-removed" | "member-updated";
      /** The epoch from which on it is so. */
      readonly epoch: bigint;
      readonly leafIndex: number;
      /** As it stands there; for one who is removed, as it stood. */
      readonly leafNode: LeafNode;
    }
  | { readonly type: "status"; readonly status: GroupStatus }
  /** The reader was too slow: so many events before the next one are left out. */
  | { readonly type: "missed"; readonly count: number };

/** How many events wait for a reader unless it says otherwise. */
const DEFAULT_LIMIT = 256;

interface Reader {
  readonly controller: ReadableStreamDefaultController<GroupEvent>;
  missed: number;
}

/** Tells each reader what happens from the time on that it asked. */
export class GroupEvents {
  readonly #readers = new Set<Reader>();
  #isOver = false;

  /** `limit`: how many events wait for a reader that is slow; what is more is counted and left out. */
  open(limit: number = DEFAULT_LIMIT): ReadableStream<GroupEvent> {
    const readers = this.#readers;
    const isOver = this.#isOver;
    let reader: Reader | undefined;
    return new ReadableStream<GroupEvent>(
      {
        start(controller) {
          if (isOver) return controller.close();
          reader = { controller, missed: 0 };
          readers.add(reader);
        },
        pull(controller) {
          if (!reader || reader.missed === 0) return;
          controller.enqueue({ type: "missed", count: reader.missed });
          reader.missed = 0;
        },
        cancel() {
          if (reader) readers.delete(reader);
        },
      },
      { highWaterMark: Math.max(1, limit) },
    );
  }

  /** `events` are made where somebody reads them. */
  emit(events: () => readonly GroupEvent[]): void {
    if (this.#readers.size === 0) return;
    const made = events();
    for (const reader of this.#readers) {
      for (const event of made) {
        // What was missed is told before what comes after it.
        const isFull = (reader.controller.desiredSize ?? 0) <= 0;
        if (isFull || reader.missed > 0) reader.missed++;
        else reader.controller.enqueue(event);
      }
    }
  }

  /** Nothing will happen any more. */
  close(): void {
    this.#isOver = true;
    for (const { controller, missed } of this.#readers) {
      if (missed > 0) controller.enqueue({ type: "missed", count: missed });
      controller.close();
    }
    this.#readers.clear();
  }
}

/** What a commit that was taken means, in the order in which it is told. */
export function commitEvents(
  received: Extract<Received, { type: "commit" }>,
  status: { readonly before: GroupStatus; readonly after: GroupStatus },
): readonly GroupEvent[] {
  const { own, lostPending, summary, epoch } = received;
  const ended = epoch - 1n;
  const { committer, external, pathLeaf } = summary;
  const member = (
    change: "added" | "removed" | "updated",
    leafIndex: number,
    leafNode: LeafNode,
  ): GroupEvent => ({ type: `member-${change}`, epoch, leafIndex, leafNode });
  return [
    ...(own ? [{ type: "commit-accepted", epoch: ended } as const] : []),
    ...(lostPending ? [{ type: "commit-lost", epoch: ended } as const] : []),
    { type: "epoch", epoch, summary },
    ...summary.removed.map(({ leafIndex, leafNode }) => member("removed", leafIndex, leafNode)),
    ...summary.updated.map(({ leafIndex, next }) => member("updated", leafIndex, next)),
    ...summary.added.map(({ leafIndex, leafNode }) => member("added", leafIndex, leafNode)),
    ...(pathLeaf ? [member(external ? "added" : "updated", committer, pathLeaf)] : []),
    ...(status.before === status.after ? [] : [{ type: "status", status: status.after } as const]),
  ];
}
