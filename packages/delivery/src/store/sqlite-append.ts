/**
 * Application messages on their way into SQLite. Those that come together are written together: a group's row is read and written
 * once for all of them.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Accepted } from "../protocol/index.ts";
import type { Database } from "./sqlite-database.ts";
import { advance, findEntry, groupRow, insertEntry, leafOf } from "./sqlite-log.ts";
import { type AppendMessage, type GroupStore, StoreUnavailable } from "./store.ts";

/** What goes together: for so many nothing else can be written. */
const TOGETHER = 128;
/** What may wait. */
const QUEUE = { messages: 10_000, bytes: 64 * 1024 * 1024 };

type Answer = Awaited<ReturnType<GroupStore["appendApplication"]>>;

interface Waiting {
  readonly message: AppendMessage;
  readonly answer: PromiseWithResolvers<Answer>;
}

/** A group, and what becomes of it. */
interface Held {
  readonly groupId: Bytes;
  readonly epoch: number;
  readonly headBefore: number;
  last: Accepted;
}

export function sqliteAppender(db: Database): GroupStore["appendApplication"] {
  let queue: Waiting[] = [];
  let bytes = 0;

  function hold(groupId: Bytes): Held | undefined {
    const row = groupRow(db, groupId);
    if (row === undefined) return undefined;
    const { epoch, head, accepted_at: acceptedAt } = row;
    return { groupId, epoch, headBefore: head, last: { seq: head, acceptedAt } };
  }

  function append(held: Held | undefined, { now, ...message }: AppendMessage): Answer {
    const { groupId, device, epoch, hash } = message;
    const isMember = leafOf(db, groupId, device) !== undefined;
    const isCurrent = held !== undefined && BigInt(held.epoch) === epoch;
    if (isMember && isCurrent) {
      const { seq, acceptedAt } = held.last;
      const next = { seq: seq + 1, acceptedAt: Math.max(acceptedAt, now) };
      const entry = { ...message, ...next, epoch: held.epoch, kind: "application" } as const;
      if (insertEntry(db, entry)) {
        held.last = next;
        return next;
      }
    }
    const again = findEntry(db, groupId, device, hash);
    if (again !== undefined) return again;
    if (held === undefined || !isMember) return "not-member";
    return isCurrent ? "repeated" : { currentEpoch: BigInt(held.epoch) };
  }

  function appendAll(messages: readonly AppendMessage[]): readonly Answer[] {
    const groups = new Map<string, Held | undefined>();
    const answers = messages.map((message) => {
      const key = Buffer.from(message.groupId).toString("latin1");
      if (!groups.has(key)) groups.set(key, hold(message.groupId));
      return append(groups.get(key), message);
    });
    for (const held of groups.values()) {
      if (held && held.last.seq > held.headBefore) advance(db, held.groupId, held.last);
    }
    return answers;
  }

  /** One batch; what came meanwhile is in the next. */
  async function write(): Promise<void> {
    let batch: readonly Waiting[] = [];
    try {
      const answers = await db.transaction(() => {
        batch = queue.slice(0, TOGETHER);
        queue = queue.slice(TOGETHER);
        if (queue.length > 0) void write();
        return appendAll(batch.map(({ message }) => message));
      });
      for (const [i, answer] of answers.entries()) batch[i]?.answer.resolve(answer);
    } catch (error) {
      // Nothing could wait any more.
      if (batch.length === 0) batch = queue.splice(0);
      for (const { answer } of batch) answer.reject(error);
    }
    for (const { message } of batch) bytes -= message.message.length;
  }

  return (message) => {
    if (queue.length >= QUEUE.messages || bytes >= QUEUE.bytes) {
      return Promise.reject(new StoreUnavailable("too many messages wait"));
    }
    const answer = Promise.withResolvers<Answer>();
    bytes += message.message.length;
    queue.push({ message, answer });
    if (queue.length === 1) void write();
    return answer.promise;
  };
}
