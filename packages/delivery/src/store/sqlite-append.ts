/**
 * Application messages on their way into SQLite. Those that come together are written together, and each is one row: what it is
 * judged by is held.
 * @module
 */

import { keyOf } from "../bytes.ts";
import type { Database } from "./sqlite-database.ts";
import type { HeldLogs } from "./sqlite-held-logs.ts";
import { findMessage, insertEntries, type NewEntry } from "./sqlite-log.ts";
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

export function sqliteAppender(db: Database, logs: HeldLogs): GroupStore["appendApplication"] {
  let queue: Waiting[] = [];
  let bytes = 0;

  /** Where it is, or may not be; where it is new it is one of `entries`. */
  function place(message: AppendMessage, entries: NewEntry[]): Answer {
    const { groupId, device, hash } = message;
    const log = logs.get(groupId);
    if (log === undefined) return "not-member";
    const { number, epoch, last } = log;
    if (message.epoch < epoch) {
      const again = findMessage(db, number, message);
      if (again !== undefined) return again;
    }
    if (!logs.isMember(groupId, log, device)) return "not-member";
    if (message.epoch !== epoch) return { currentEpoch: epoch };
    const key = keyOf(hash);
    const again = logs.placeOf(log, key);
    if (again !== undefined) return again;
    const next = { seq: last.seq + 1, acceptedAt: Math.max(last.acceptedAt, message.now) };
    entries.push({ number, kind: "application", entry: message, place: next });
    logs.add(log, key, next);
    return next;
  }

  function appendAll(messages: readonly AppendMessage[]): readonly Answer[] {
    logs.begin();
    const entries: NewEntry[] = [];
    const answers = messages.map((message) => place(message, entries));
    insertEntries(db, entries);
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
