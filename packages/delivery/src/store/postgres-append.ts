/**
 * Application messages on their way into PostgreSQL. Those that come while a transaction is under way wait and go together in the
 * next: a group takes as many in the time of one commit as there are.
 * @module
 */

import { setImmediate } from "node:timers/promises";
import type { Accepted } from "../protocol/index.ts";
import type { Database } from "./postgres-database.ts";
import type { AppendMessage, GroupStore } from "./store.ts";
import { StoreUnavailable } from "./store.ts";

/** Transactions under way at once. Messages of one group all go through the same one. */
const WRITERS = 2;
/** What goes together. */
const BATCH = { messages: 256, bytes: 4 * 1024 * 1024 };
/** What may wait for a writer. */
const QUEUE = { messages: 10_000, bytes: 64 * 1024 * 1024 };

type Answer = Awaited<ReturnType<GroupStore["appendApplication"]>>;

interface Waiting {
  readonly message: AppendMessage;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

interface Writer {
  readonly queue: Waiting[];
  writing: Promise<void> | undefined;
}

/**
 * Messages that fit, in one statement. It waits for the rows of the groups, in one order for all, and goes by what they say then;
 * all else it sees as of its start. Where a commit was first the epoch is another, so what it saw of members counts only for the
 * epoch it saw them in. Where the same bytes came another way meanwhile, the index on hashes undoes it, and it is done again.
 */
const APPEND = `WITH given AS (
  SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bigint[])
    WITH ORDINALITY AS given (group_id, device, epoch, hash, message, now, place)
), held AS (
  SELECT group_id, epoch, head, accepted_at FROM groups WHERE group_id = ANY($1::bytea[])
  ORDER BY group_id FOR NO KEY UPDATE
), fit AS (
  SELECT given.*, held.head + row_number() OVER (PARTITION BY group_id ORDER BY place) AS seq,
    max(greatest(held.accepted_at, now)) OVER (PARTITION BY group_id ORDER BY place) AS at
  FROM given JOIN groups AS seen USING (group_id, epoch) JOIN held USING (group_id, epoch)
  WHERE EXISTS (SELECT 1 FROM members WHERE members.group_id = given.group_id
      AND members.device = given.device AND until_seq IS NULL)
    AND NOT EXISTS (SELECT 1 FROM log WHERE log.hash = given.hash)
), moved AS (
  UPDATE groups SET head = last.seq, accepted_at = last.at
  FROM (SELECT group_id, max(seq) AS seq, max(at) AS at FROM fit GROUP BY group_id) AS last
  WHERE groups.group_id = last.group_id
), appended AS (
  INSERT INTO log (group_id, seq, epoch, kind, hash, message, accepted_at)
  SELECT group_id, seq, epoch, 'application', hash, message, at FROM fit
)
SELECT place, seq, at AS accepted_at FROM fit`;

/** Why a message does not fit: where the log has it, for its device and at all; the device's leaf, and the epoch. */
const SEE = `SELECT groups.epoch,
    (SELECT leaf_index FROM members WHERE members.group_id = groups.group_id
     AND device = $2 AND until_seq IS NULL) AS leaf_index,
    log.seq, log.accepted_at,
    EXISTS (SELECT 1 FROM members WHERE members.group_id = groups.group_id AND device = $2
      AND log.seq >= from_seq AND (until_seq IS NULL OR log.seq <= until_seq)) AS readable
  FROM groups LEFT JOIN log ON log.group_id = groups.group_id AND log.hash = $3
  WHERE groups.group_id = $1`;

interface Seen {
  readonly epoch: number;
  readonly leaf_index: number | null;
  readonly seq: number | null;
  readonly accepted_at: number | null;
  readonly readable: boolean;
}

/** "fits": what was in its way is not any more. */
function answerTo(message: AppendMessage, seen: Seen | undefined): Answer | "again" | "fits" {
  if (seen?.readable === true) return "again";
  if (seen === undefined || seen.leaf_index === null) return "not-member";
  if (BigInt(seen.epoch) !== message.epoch) return { currentEpoch: BigInt(seen.epoch) };
  if (seen.seq !== null) throw new Error("the log has these bytes in another epoch");
  return "fits";
}

function keyOf({ groupId, hash }: AppendMessage): string {
  return Buffer.concat([groupId, hash]).toString("latin1");
}

export interface Appender {
  readonly append: (message: AppendMessage) => Promise<Answer>;
  /** How many messages are not under way yet. */
  readonly waiting: () => number;
  /** Resolves when nothing is under way; what comes later is refused. */
  readonly close: () => Promise<void>;
}

export function createAppender(db: Database): Appender {
  const writers = Array.from(
    { length: WRITERS },
    (): Writer => ({ queue: [], writing: undefined }),
  );
  const waiting = { messages: 0, bytes: 0 };
  let closed = false;

  async function appendAll(messages: readonly AppendMessage[]): Promise<(Accepted | undefined)[]> {
    const rows = await db.all<{ place: number; seq: number; accepted_at: number }>(
      APPEND,
      messages.map(({ groupId }) => groupId),
      messages.map(({ device }) => device),
      messages.map(({ epoch }) => epoch),
      messages.map(({ hash }) => hash),
      messages.map(({ message }) => message),
      messages.map(({ now }) => now),
    );
    const answers: (Accepted | undefined)[] = messages.map(() => undefined);
    for (const { place, seq, accepted_at: acceptedAt } of rows) {
      answers[place - 1] = { seq, acceptedAt };
    }
    return answers;
  }

  async function see({ groupId, device, hash }: AppendMessage): Promise<Seen | undefined> {
    return db.one<Seen>(SEE, groupId, device, hash);
  }

  /** What did not go with the others: mostly it is refused. */
  async function appendAlone(message: AppendMessage): Promise<Answer> {
    const seen = await see(message);
    const answer = answerTo(message, seen);
    if (answer === "again") {
      const { seq, accepted_at: acceptedAt } = seen ?? {};
      await db.settle();
      return { seq: seq ?? 0, acceptedAt: acceptedAt ?? 0 };
    }
    if (answer !== "fits") return answer;
    // Others were first each time: now the group's row is held before it is looked at.
    const accepted = await db.transaction(async (tx) => {
      await tx.all("SELECT 1 FROM groups WHERE group_id = $1 FOR NO KEY UPDATE", message.groupId);
      const [row] = await tx.all<{ seq: number; accepted_at: number }>(
        APPEND,
        [message.groupId],
        [message.device],
        [message.epoch],
        [message.hash],
        [message.message],
        [message.now],
      );
      return row && { seq: row.seq, acceptedAt: row.accepted_at };
    });
    return accepted ?? appendAlone(message);
  }

  /** The next that go together: of the same bytes twice, the second goes later. */
  function take(queue: Waiting[]): Waiting[] {
    const keys = new Set<string>();
    let bytes = 0;
    let count = 0;
    for (const { message } of queue) {
      const key = keyOf(message);
      bytes += message.message.length;
      if (count === BATCH.messages || keys.has(key) || (count > 0 && bytes > BATCH.bytes)) break;
      keys.add(key);
      count += 1;
    }
    return queue.splice(0, count);
  }

  async function write(writer: Writer): Promise<void> {
    for (;;) {
      // After what has arrived by now was read: messages that came together go together.
      await setImmediate();
      if (writer.queue.length === 0) break;
      const batch = take(writer.queue);
      try {
        const answers = await appendAll(batch.map(({ message }) => message));
        for (const [i, { message, resolve, reject }] of batch.entries()) {
          const answer = answers[i];
          if (answer === undefined) appendAlone(message).then(resolve, reject);
          else resolve(answer);
        }
      } catch (error) {
        for (const { message, resolve, reject } of batch) {
          // The database refuses one of them: that is to spoil none of the others.
          if (error instanceof StoreUnavailable) reject(error);
          else appendAlone(message).then(resolve, reject);
        }
      }
      for (const { message } of batch) {
        waiting.messages -= 1;
        waiting.bytes -= message.message.length;
      }
    }
    writer.writing = undefined;
  }

  return {
    append(message) {
      if (closed) return Promise.reject(new StoreUnavailable("it is closed"));
      if (waiting.messages >= QUEUE.messages || waiting.bytes >= QUEUE.bytes) {
        return Promise.reject(new StoreUnavailable("too many messages wait"));
      }
      waiting.messages += 1;
      waiting.bytes += message.message.length;
      return new Promise((resolve, reject) => {
        const writer = writers[(message.groupId[0] ?? 0) % WRITERS];
        writer?.queue.push({ message, resolve, reject });
        if (writer) writer.writing ??= write(writer);
      });
    },
    waiting: () => writers.reduce((sum, { queue }) => sum + queue.length, 0),
    async close() {
      closed = true;
      await Promise.all(writers.map(async ({ writing }) => writing));
    },
  };
}
