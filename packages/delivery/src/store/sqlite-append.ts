/**
 * Application messages on their way into SQLite. Those that come together are written together, and each is one row: what it is
 * judged by is held.
 * @module
 */

import type { Database } from "./sqlite-database.ts";
import type { HeldLogs } from "./sqlite-held-logs.ts";
import { findMessage, insertEntries, type NewEntry } from "./sqlite-log.ts";
import type { AppendMessage, GroupStore } from "./store.ts";

/** What goes together: for so many nothing else can be written. */
const TOGETHER = 128;
/**
 * How long they may be judged, in milliseconds: some 0.1, but one to a group that isn't held, or of an epoch that is over, needs up to
 * `REMEMBERED` rows.
 */
const JUDGED = 4;

type Answer = Awaited<ReturnType<GroupStore["appendApplication"]>>;

interface Waiting {
  readonly message: AppendMessage;
  readonly answer: PromiseWithResolvers<Answer>;
}

export function sqliteAppender(db: Database, logs: HeldLogs): GroupStore["appendApplication"] {
  let queue: Waiting[] = [];

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
    const next = { seq: last.seq + 1, acceptedAt: Math.max(last.acceptedAt, message.now) };
    const again = logs.add(log, hash, next);
    if (again !== undefined) return again;
    entries.push({ log, kind: "application", entry: message, place: next });
    return next;
  }

  /** Takes from the queue what goes together, and writes it. */
  function append(batch: Waiting[]): readonly Answer[] {
    logs.begin();
    const until = performance.now() + JUDGED;
    const entries: NewEntry[] = [];
    const answers: Answer[] = [];
    for (const waiting of queue) {
      batch.push(waiting);
      answers.push(place(waiting.message, entries));
      if (batch.length === TOGETHER || performance.now() >= until) break;
    }
    insertEntries(db, entries);
    return answers;
  }

  /** One batch; what came meanwhile is in the next. */
  async function write(): Promise<void> {
    const batch: Waiting[] = [];
    try {
      const answers = await db.transaction(() => {
        try {
          return append(batch);
        } finally {
          queue = queue.slice(batch.length);
          if (queue.length > 0) void write();
        }
      });
      for (const [i, answer] of answers.entries()) batch[i]?.answer.resolve(answer);
    } catch (error) {
      // Nothing could wait any more.
      if (batch.length === 0) batch.push(...queue.splice(0));
      for (const { answer } of batch) answer.reject(error);
    }
  }

  return (message) => {
    const answer = Promise.withResolvers<Answer>();
    queue.push({ message, answer });
    if (queue.length === 1) void write();
    return answer.promise;
  };
}
