/**
 * Application messages on their way into PostgreSQL. Those that come while a transaction is under way wait and go together in the
 * next: a group takes as many in the time of one commit as there are. Whoever takes them from their senders bounds how many wait.
 * @module
 */

import { setImmediate } from "node:timers/promises";
import type { Bytes } from "@conclave/mls/codec";
import { keyOf } from "../bytes.ts";
import { createRecent } from "../recent.ts";
import type { Database, Queries } from "./postgres-database.ts";
import type { AppendMessage, GroupStore } from "./store.ts";
import { StoreUnavailable } from "./store.ts";

/** Transactions under way at once. Messages of one group all go through the same one. */
const WRITERS = 2;
/** What goes together. */
const BATCH = { messages: 256, bytes: 4 * 1024 * 1024 };

/** Of so many groups, and so many devices in each, it is remembered that they are members. */
const KNOWN = { groups: 2_000, devices: 250 };

type Answer = Awaited<ReturnType<GroupStore["appendApplication"]>>;

interface Waiting {
  readonly message: AppendMessage;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
  /** What is remembered of its group was out of date: the database is asked. */
  mistaken: boolean;
}

interface Writer {
  queue: Waiting[];
  /** What goes again goes by itself: whoever keeps sending what doesn't fit holds up nothing twice. */
  again: readonly Waiting[];
  writing: Promise<void> | undefined;
}

/** Messages of one group and epoch that go together. */
interface Lot<One = Waiting> {
  readonly groupId: Bytes;
  readonly epoch: bigint;
  readonly messages: One[];
}

/** Members of a group as of a version: with whoever comes or goes it has another. */
interface Known {
  readonly version: number;
  readonly devices: Set<number>;
}

/**
 * Lots of messages, in one statement: all of them, or none where one has a place already or is not from a member; those are named
 * instead. A lot is left out where the group is not in its epoch, or not in the version that its senders are known to be members in.
 *
 * It waits for the rows of the groups, in the order that is given, and looks at epoch and version again then; all else it sees as of
 * its start. So what it saw of members counts only for the epoch it saw them in. Where the same bytes came another way meanwhile, the
 * index on hashes undoes it, and it is done again.
 *
 * Lots: $1 to $6. Messages, one lot after another: $7 to $9. Whose membership isn't known: $10 to $12. What is looked up in a large table
 * is so by subqueries, which are no joins: none can be made by reading all of it.
 */
const APPEND = `WITH unfit AS MATERIALIZED (
  SELECT place FROM unnest($8::bytea[]) WITH ORDINALITY AS given (hash, place)
  WHERE (SELECT 1 FROM log WHERE log.hash = given.hash) IS NOT NULL
  UNION ALL
  SELECT place FROM unnest($10::bigint[], $11::bytea[], $12::bigint[]) AS asked (place, group_id, device)
  WHERE (SELECT 1 FROM members WHERE members.group_id = asked.group_id
    AND members.device = asked.device AND until_seq IS NULL) IS NULL
), moved AS (
  UPDATE groups SET head = head + size, accepted_at = greatest(accepted_at, now)
  FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
    WITH ORDINALITY AS lots (group_id, epoch, version, size, upto, now, lot)
  WHERE groups.group_id = lots.group_id AND groups.epoch = lots.epoch
    AND groups.version = coalesce(lots.version, groups.version) AND NOT EXISTS (SELECT 1 FROM unfit)
  RETURNING lot, groups.group_id, groups.epoch, groups.version, head - upto AS base, accepted_at
), appended AS (
  INSERT INTO log (group_id, seq, epoch, kind, hash, message, accepted_at)
  SELECT group_id, base + place, epoch, 'application', hash, message, accepted_at
  FROM unnest($7::bigint[], $8::bytea[], $9::bytea[])
    WITH ORDINALITY AS given (lot, hash, message, place) JOIN moved USING (lot)
)
SELECT lot, version, base, accepted_at, NULL AS unfit FROM moved
UNION ALL SELECT NULL, NULL, NULL, NULL, place FROM unfit`;

interface Moved {
  readonly unfit: null;
  readonly lot: number;
  readonly version: number;
  /** A message's place in the log is so far behind its place among all that were given. */
  readonly base: number;
  readonly accepted_at: number;
}
type Row = Moved | { readonly unfit: number };

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

/** The next that go together, lot by lot, and those that stay: of the same bytes twice, or of two epochs of a group, the second. */
function take(queue: readonly Waiting[]): {
  readonly lots: readonly Lot[];
  readonly rest: Waiting[];
} {
  const lots = new Map<string, Lot>();
  const hashes = new Set<string>();
  const later: Waiting[] = [];
  let bytes = 0;
  let seen = 0;
  for (const one of queue) {
    const { groupId, epoch, hash, message } = one.message;
    if (seen === BATCH.messages || (hashes.size > 0 && bytes + message.length > BATCH.bytes)) break;
    seen += 1;
    const [key, hashKey] = [keyOf(groupId), keyOf(hash)];
    const lot = lots.get(key);
    if (hashes.has(hashKey) || (lot !== undefined && lot.epoch !== epoch)) {
      later.push(one);
      continue;
    }
    hashes.add(hashKey);
    bytes += message.length;
    if (lot === undefined) lots.set(key, { groupId, epoch, messages: [one] });
    else lot.messages.push(one);
  }
  // In one order for all who wait for several.
  const inOrder = [...lots.values()].toSorted((a, b) => Buffer.compare(a.groupId, b.groupId));
  return { lots: inOrder, rest: [...later, ...queue.slice(seen)] };
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
    (): Writer => ({ queue: [], again: [], writing: undefined }),
  );
  const members = createRecent<Known>(KNOWN.groups);
  let closed = false;

  function learn({ groupId, messages }: Lot, version: number): void {
    const key = keyOf(groupId);
    let known = members.get(key);
    if (known?.version !== version) {
      known = { version, devices: new Set() };
      members.set(key, known);
    }
    for (const { message } of messages) {
      if (known.devices.size < KNOWN.devices) known.devices.add(message.device);
    }
  }

  function appendLots(
    queries: Queries,
    lots: readonly Lot<Pick<Waiting, "message">>[],
    known: readonly (Known | undefined)[],
  ): Promise<readonly Row[]> {
    const upTo: number[] = [];
    const lotOf: number[] = [];
    const all: AppendMessage[] = [];
    const asked: AppendMessage[] = [];
    const askedAt: number[] = [];
    for (const [i, { messages }] of lots.entries()) {
      for (const { message } of messages) {
        all.push(message);
        lotOf.push(i + 1);
        if (known[i]?.devices.has(message.device) === true) continue;
        asked.push(message);
        askedAt.push(all.length);
      }
      upTo.push(all.length);
    }
    return queries.all<Row>(
      APPEND,
      lots.map(({ groupId }) => groupId),
      lots.map(({ epoch }) => epoch),
      known.map((one) => one?.version ?? null),
      lots.map(({ messages }) => messages.length),
      upTo,
      lots.map(({ messages }) => Math.max(...messages.map(({ message }) => message.now))),
      lotOf,
      all.map(({ hash }) => hash),
      all.map(({ message }) => message),
      askedAt,
      asked.map(({ groupId }) => groupId),
      asked.map(({ device }) => device),
    );
  }

  /** Gives those that go their answers, and says which are to be looked at alone, and which to go again. */
  async function appendTogether(
    lots: readonly Lot[],
  ): Promise<{ readonly alone: readonly Waiting[]; readonly again: readonly Waiting[] }> {
    const known = lots.map(({ groupId, messages }) =>
      messages.some(({ mistaken }) => mistaken) ? undefined : members.get(keyOf(groupId)),
    );
    const rows = await appendLots(db, lots, known);
    const moved = new Map<number, Moved>();
    const unfit = new Set<number>();
    for (const row of rows) {
      if (row.unfit === null) moved.set(row.lot, row);
      else unfit.add(row.unfit);
    }
    const alone: Waiting[] = [];
    const again: Waiting[] = [];
    let place = 0;
    if (unfit.size > 0) {
      for (const { messages } of lots) {
        for (const one of messages) (unfit.has(++place) ? alone : again).push(one);
      }
      return { alone, again };
    }
    for (const [i, lot] of lots.entries()) {
      const row = moved.get(i + 1);
      if (row === undefined) {
        place += lot.messages.length;
        for (const one of lot.messages) one.mistaken = true;
        (known[i] === undefined ? alone : again).push(...lot.messages);
        continue;
      }
      learn(lot, row.version);
      for (const one of lot.messages) {
        place += 1;
        one.resolve({ seq: row.base + place, acceptedAt: row.accepted_at });
      }
    }
    return { alone, again };
  }

  /** What did not go with the others: mostly it is refused. */
  async function appendAlone(message: AppendMessage): Promise<Answer> {
    const { groupId, device, epoch, hash } = message;
    const seen = await db.one<Seen>(SEE, groupId, device, hash);
    const answer = answerTo(message, seen);
    if (answer === "again") {
      const { seq, accepted_at: acceptedAt } = seen ?? {};
      await db.settle();
      return { seq: seq ?? 0, acceptedAt: acceptedAt ?? 0 };
    }
    if (answer !== "fits") return answer;
    // Others were first each time: now the group's row is held before it is looked at.
    const accepted = await db.transaction(async (tx) => {
      await tx.all("SELECT 1 FROM groups WHERE group_id = $1 FOR NO KEY UPDATE", groupId);
      const [row] = await appendLots(tx, [{ groupId, epoch, messages: [{ message }] }], []);
      if (row === undefined || row.unfit !== null) return undefined;
      return { seq: row.base + 1, acceptedAt: row.accepted_at };
    });
    return accepted ?? appendAlone(message);
  }

  function finish({ message, resolve, reject }: Waiting): void {
    appendAlone(message).then(resolve, reject);
  }

  async function writeBatch(writer: Writer): Promise<void> {
    const isAgain = writer.again.length > 0;
    const { lots, rest } = take(isAgain ? writer.again : writer.queue);
    if (isAgain) writer.again = rest;
    else writer.queue = rest;
    const batch = lots.flatMap(({ messages }) => messages);
    let again: readonly Waiting[] = [];
    try {
      const left = await appendTogether(lots);
      again = left.again;
      left.alone.forEach(finish);
    } catch (error) {
      for (const one of batch) {
        // The database refuses one of them: that is to spoil none of the others.
        if (error instanceof StoreUnavailable) one.reject(error);
        else finish(one);
      }
    }
    writer.again = [...again, ...writer.again];
  }

  async function write(writer: Writer): Promise<void> {
    for (;;) {
      // After what has arrived by now was read: messages that came together go together.
      await setImmediate();
      if (writer.again.length + writer.queue.length === 0) break;
      await writeBatch(writer);
    }
    writer.writing = undefined;
  }

  return {
    append(message) {
      if (closed) return Promise.reject(new StoreUnavailable("it is closed"));
      return new Promise((resolve, reject) => {
        const writer = writers[(message.groupId[0] ?? 0) % WRITERS];
        if (writer === undefined) return;
        writer.queue.push({ message, resolve, reject, mistaken: false });
        writer.writing ??= write(writer);
      });
    },
    waiting: () => writers.reduce((sum, { queue, again }) => sum + queue.length + again.length, 0),
    async close() {
      closed = true;
      await Promise.all(writers.map(async ({ writing }) => writing));
    },
  };
}
