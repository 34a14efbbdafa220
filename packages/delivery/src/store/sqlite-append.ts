/**
 * Application messages on their way into SQLite. Those that come together are written together: a group's row is read and written
 * once for all of them.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Accepted } from "../protocol/index.ts";
import type { Database } from "./sqlite-database.ts";
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

/** A group's row, and what becomes of it. */
interface Held {
  readonly groupId: Bytes;
  readonly epoch: number;
  readonly headBefore: number;
  head: number;
  acceptedAt: number;
}

export function sqliteAppender(
  db: Database,
  findEntry: (groupId: Bytes, device: number, hash: Bytes) => Accepted | undefined,
): GroupStore["appendApplication"] {
  let queue: Waiting[] = [];
  let bytes = 0;

  function hold(groupId: Bytes): Held | undefined {
    const row = db.one<{ epoch: number; head: number; accepted_at: number }>(
      "SELECT epoch, head, accepted_at FROM groups WHERE group_id = ?",
      groupId,
    );
    return (
      row && {
        groupId,
        epoch: row.epoch,
        headBefore: row.head,
        head: row.head,
        acceptedAt: row.accepted_at,
      }
    );
  }

  function isMember(groupId: Bytes, device: number): boolean {
    const leaf = db.one(
      "SELECT 1 FROM members WHERE group_id = ? AND device = ? AND until_seq IS NULL",
      groupId,
      device,
    );
    return leaf !== undefined;
  }

  function append(held: Held | undefined, message: AppendMessage): Answer {
    const { groupId, device, hash } = message;
    const isIn = isMember(groupId, device);
    const isCurrent = held !== undefined && BigInt(held.epoch) === message.epoch;
    if (isIn && isCurrent) {
      const seq = held.head + 1;
      const acceptedAt = Math.max(held.acceptedAt, message.now);
      // Values, not what a SELECT gives: of one row SQLite needs no journal to undo the statement by.
      const appended = db.run(
        `INSERT INTO log (group_id, seq, epoch, kind, hash, message, accepted_at)
         VALUES (?, ?, ?, 'application', ?, ?, ?) ON CONFLICT (hash) DO NOTHING`,
        groupId,
        seq,
        held.epoch,
        hash,
        message.message,
        acceptedAt,
      );
      if (appended === 1) {
        held.head = seq;
        held.acceptedAt = acceptedAt;
        return { seq, acceptedAt };
      }
    }
    const again = findEntry(groupId, device, hash);
    if (again !== undefined) return again;
    if (held === undefined || !isIn) return "not-member";
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
      if (held === undefined || held.head === held.headBefore) continue;
      db.run(
        "UPDATE groups SET head = ?, accepted_at = ? WHERE group_id = ?",
        held.head,
        held.acceptedAt,
        held.groupId,
      );
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
