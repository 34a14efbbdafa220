/**
 * Application messages on their way into PostgreSQL. Those that come while a transaction is under way wait and go together in the
 * next: a group takes as many in the time of one commit as there are. Whoever takes them from their senders bounds how many wait.
 * @module
 */

import { setImmediate } from "node:timers/promises";
import type { Bytes } from "@conclave/mls/codec";
import { BytesMap } from "../bytes.ts";
import { type Database, Doubted, isTaken, type Queries } from "./postgres-database.ts";
import { type Asked, type End, Ends } from "./postgres-ends.ts";
import {
  type AppendMessage,
  type GroupStore,
  HASH,
  REMEMBERED,
  StoreUnavailable,
} from "./store.ts";
import { Undo } from "./undo.ts";

/** Transactions under way at once. Messages of one group all go through the same one. */
const WRITERS = 2;
/** What goes together. */
const BATCH = { messages: 256, bytes: 4 * 1024 * 1024 };
/**
 * How many groups of which nothing is remembered are read together: each may take a millisecond and be 50 KB. While they are locked
 * nobody else writes to them, and this process to nobody else of theirs.
 */
const UNKNOWN = { beside: 64, locked: 8 };
/** How often what was in a message's way is found gone before that is called a mistake. */
const TRIES = 20;

type Answer = Awaited<ReturnType<GroupStore["appendApplication"]>>;

interface Waiting {
  readonly message: AppendMessage;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
  /** The epoch that was read for it, where that is before the message's own. */
  looked: boolean;
  tries: number;
}

interface Writer {
  queue: Waiting[];
  /** What goes again goes by itself, and in turns with the rest: whoever keeps sending what doesn't fit holds up nothing for long. */
  readonly again: (readonly Waiting[])[];
  isTurnOfAgain: boolean;
  writing: Promise<void> | undefined;
  /** Of groups of which nothing is remembered. They are read beside the others, which wait for none of it. */
  readonly unknown: BytesMap<Lot>;
  reading: Promise<void> | undefined;
}

/** Messages of one group that go together. */
interface Lot {
  readonly groupId: Bytes;
  readonly messages: Waiting[];
}

/** What becomes of a lot: the messages that are new. */
interface Judged {
  readonly lot: Lot;
  readonly end: End;
  readonly fits: readonly Waiting[];
  readonly acceptedAt: number;
}

interface Outcome {
  moved: readonly Judged[];
  missed: readonly Judged[];
  /** Of the same bytes as one before them. */
  readonly later: Waiting[];
  /** With the place that it seems to have. */
  readonly alone: { readonly one: Waiting; readonly seq: number | null }[];
}

/**
 * Of lots: $1, their groups, and $2, of each the version and the end that the group's row has, where its log ends before and after,
 * the time, and which message is its last. Of messages: $3, their hashes in one, and $4. Each parameter costs every statement.
 */
const FIELDS = 6;
const field = (number: number): string => `($2::bigint[])[lot * ${FIELDS} - ${FIELDS - number}]`;
const LOT = {
  version: field(1),
  base: field(2),
  before: field(3),
  head: field(4),
  time: field(5),
  last: field(6),
};
const HASH_OF = (place: string): string =>
  `substr($3::bytea, ${place}::int * ${HASH} - ${HASH - 1}, ${HASH})`;

/** The groups of lots that still are what is remembered of them. */
const SAME = `JOIN groups ON number = ($1::bigint[])[lot] AND version = ${LOT.version} AND groups.head = ${LOT.base}`;
/** And nobody is seen to have been first: for this an eighth of a statement's work is done. */
const UNMOVED = `${SAME} AND (
  SELECT 1 FROM log WHERE group_number = groups.number AND seq = ${LOT.before} + 1) IS NULL`;
const LOG = "INSERT INTO log (group_number, seq, epoch, kind, hash, message, accepted_at)";

/** Fails where a place is taken, though nobody may see that yet. */
const appendSeveral = (groups: string): string => `${LOG}
SELECT number, head - last + place, epoch, 'application', ${HASH_OF("place")}, ($4::bytea[])[place], time
FROM (
  SELECT number, epoch, ${LOT.head} AS head, ${LOT.time} AS time, ${LOT.last} AS last,
    generate_series(${LOT.last} - ${LOT.head} + ${LOT.before} + 1, ${LOT.last}) AS place
  FROM unnest($1::bigint[]) WITH ORDINALITY AS given (group_number, lot) ${groups}
) AS placed`;

/** Where each lot is one message, as most are where many write: a sixth less of such a statement. */
const appendEach = (groups: string): string => `${LOG}
SELECT number, ${LOT.head}, epoch, 'application', ${HASH_OF("lot")}, message, ${LOT.time}
FROM unnest($4::bytea[]) WITH ORDINALITY AS given (message, lot) ${groups}`;

const APPEND = {
  each: { unlooked: appendEach(SAME), looked: appendEach(UNMOVED) },
  several: { unlooked: appendSeveral(SAME), looked: appendSeveral(UNMOVED) },
} as const;

/**
 * Which lots were left out: those whose messages are not all in the log as they were to be. Another may have written the first of them,
 * and something else behind it. The parameters are those of `APPEND`, without the messages.
 */
const MISSED = `SELECT DISTINCT lot FROM (
  SELECT *, generate_series(last - head + before + 1, last) AS place FROM (
    SELECT number, lot, ${LOT.before} AS before, ${LOT.head} AS head, ${LOT.time} AS time, ${LOT.last} AS last
    FROM unnest($1::bigint[]) WITH ORDINALITY AS lots (number, lot)) AS lots
  ) AS given
  WHERE (SELECT 1 FROM log WHERE log.group_number = given.number
    AND log.seq = given.head - given.last + given.place AND log.accepted_at = given.time
    AND log.hash = ${HASH_OF("given.place")}) IS NULL`;

/** So that whoever writes to this group beside us misses, and looks who else does. It never goes back, whoever else moves it on. */
const TELL = `UPDATE groups SET head = greatest(groups.head, ended.head) FROM group_ends AS ended
  WHERE groups.group_id = $1 AND ended.group_id = groups.group_id`;

const LOCK = `SELECT 1 FROM groups WHERE group_id = ANY($1::bytea[])
  ORDER BY group_id FOR NO KEY UPDATE`;

/**
 * Why a message goes nowhere: where the log has it, for its device; the device's leaf, and the epoch. It is looked for where it is
 * said to be, or among the newest of its epoch, and for nobody but those who are members or were.
 */
const SEE = `SELECT own.epoch, found.seq, found.accepted_at,
    (SELECT leaf_index FROM members WHERE members.group_id = own.group_id
     AND device = $2 AND until_seq IS NULL) AS leaf_index
  FROM group_ends AS own LEFT JOIN LATERAL (
    SELECT seq, newest.accepted_at FROM (
      SELECT seq, log.accepted_at, hash FROM log
      WHERE log.group_number = own.number AND kind = 'application'
        AND seq >= coalesce($5, (SELECT seq FROM handshakes AS ended WHERE ended.group_id = own.group_id
          AND ended.epoch = $4::bigint - 1 AND ended.kind = 'commit'), 0)
        AND seq <= coalesce($5, (SELECT seq FROM handshakes AS ended WHERE ended.group_id = own.group_id
          AND ended.epoch = $4 AND ended.kind = 'commit'), head)
      ORDER BY seq DESC LIMIT CASE WHEN $4 <= own.epoch AND EXISTS (
        SELECT 1 FROM members WHERE members.group_id = own.group_id AND device = $2
      ) THEN ${REMEMBERED} ELSE 0 END) AS newest
    WHERE hash = $3 AND EXISTS (SELECT 1 FROM members WHERE members.group_id = own.group_id
      AND device = $2 AND seq >= from_seq AND (until_seq IS NULL OR seq <= until_seq))
  ) AS found ON true
  WHERE own.group_id = $1`;

interface Seen {
  readonly epoch: number;
  readonly leaf_index: number | null;
  readonly seq: number | null;
  readonly accepted_at: number | null;
}

/** Later epochs than any that a group has are all alike. */
const LAST_EPOCH = 2n ** 63n - 1n;

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
    (): Writer => ({
      queue: [],
      again: [],
      isTurnOfAgain: false,
      writing: undefined,
      unknown: new BytesMap(),
      reading: undefined,
    }),
  );
  const ends = new Ends(db);
  const answering = new Set<Promise<void>>();
  let closed = false;

  /** The next that go together, by their groups. What others write to much goes by itself, and what is to be read first waits for that. */
  function take(writer: Writer): readonly Lot[] {
    const lots = new BytesMap<Lot>();
    const crowded: Waiting[] = [];
    let [seen, count, bytes] = [0, 0, 0];
    for (const one of writer.queue) {
      const { groupId, message } = one.message;
      if (count === BATCH.messages || (count > 0 && bytes + message.length > BATCH.bytes)) break;
      seen++;
      let lot = lots.get(groupId) ?? writer.unknown.get(groupId);
      if (lot === undefined) {
        const end = ends.get(groupId);
        lot = { groupId, messages: (end?.rivals ?? 0) >= 2 ? crowded : [] };
        (end === undefined ? writer.unknown : lots).set(groupId, lot);
      }
      lot.messages.push(one);
      if (!lots.has(groupId)) continue;
      count++;
      bytes += message.length;
    }
    writer.queue = writer.queue.slice(seen);
    if (crowded.length > 0) writer.again.push(crowded);
    if (writer.unknown.size > 0) writer.reading ??= readUnknown(writer);
    return [...lots.values()].filter(({ messages }) => messages !== crowded);
  }

  /** The next that go again: of few groups of which nothing is remembered. */
  function takeAgain(writer: Writer): readonly Lot[] {
    const lots: Lot[] = [];
    const rest: Waiting[] = [];
    let unknown = 0;
    for (const lot of byGroup(writer.again.shift() ?? [])) {
      if (ends.get(lot.groupId) === undefined && ++unknown > UNKNOWN.locked)
        rest.push(...lot.messages);
      else lots.push(lot);
    }
    if (rest.length > 0) writer.again.unshift(rest);
    return lots;
  }

  /** Until there is nothing of any that waits for it: then its messages are the next, in their order. */
  async function readUnknown(writer: Writer): Promise<void> {
    for (;;) {
      const lots = [...writer.unknown.values()].slice(0, UNKNOWN.beside);
      if (lots.length === 0) break;
      const doubts = ends.begin();
      try {
        // One that went again was read meanwhile.
        const asked = toRead(
          lots.filter(({ groupId }) => ends.get(groupId) === undefined),
          false,
        );
        if (asked.length > 0) await ends.read(db.asOf(doubts), doubts, asked);
      } catch (error) {
        if (error instanceof Doubted) continue;
        for (const { groupId } of lots) writer.unknown.delete(groupId);
        fail(writer, lots, error);
        start(writer);
        continue;
      }
      const known: Waiting[] = [];
      for (const { groupId, messages } of lots) {
        writer.unknown.delete(groupId);
        if (ends.get(groupId) !== undefined) known.push(...messages);
        else for (const one of messages) answerAlone(one, null);
      }
      writer.queue = [...known, ...writer.queue];
      start(writer);
    }
    writer.reading = undefined;
  }

  /** Which groups are to be read before, and of which senders it is asked whether they are members. */
  function toRead(lots: readonly Lot[], isLocked: boolean): readonly Asked[] {
    const asked: Asked[] = [];
    for (const { groupId, messages } of lots) {
      const end = ends.get(groupId);
      const isOld = messages.some((one) => !one.looked && end && one.message.epoch > end.epoch);
      const unknown: number[] = [];
      for (const one of messages) {
        if (isOld) one.looked = true;
        // In another epoch who was known may be none any more.
        const { device } = one.message;
        if (isOld || end?.members.has(device) !== true) unknown.push(device);
      }
      const isRead = isLocked || end === undefined || end.rivals > 0 || unknown.length > 0;
      if (isRead) asked.push({ groupId, devices: new Set(unknown) });
    }
    return asked;
  }

  /** Gives those that fit their places, which count once they are written. */
  function judge(lot: Lot, outcome: Outcome): Judged | undefined {
    const end = ends.get(lot.groupId);
    if (end === undefined) {
      for (const one of lot.messages) outcome.alone.push({ one, seq: null });
      return undefined;
    }
    const { places, members, epoch, head } = end;
    const fits: Waiting[] = [];
    let { acceptedAt } = end;
    for (const { message } of lot.messages) acceptedAt = Math.max(acceptedAt, message.now);
    for (const one of lot.messages) {
      const { message } = one;
      if (message.epoch !== epoch || !members.has(message.device)) {
        outcome.alone.push({ one, seq: null });
        continue;
      }
      const known = places.add(message.hash, { seq: head + fits.length + 1, acceptedAt });
      if (known === undefined) fits.push(one);
      else if (known.seq > head) outcome.later.push(one);
      else outcome.alone.push({ one, seq: known.seq });
    }
    return fits.length === 0 ? undefined : { lot, end, fits, acceptedAt };
  }

  /** Writes what fits, in one statement after what is to be read for it. */
  async function appendTogether(
    queries: Pick<Queries, "all" | "count">,
    doubts: number,
    lots: readonly Lot[],
    isLocked = false,
  ): Promise<Outcome> {
    const asked = toRead(lots, isLocked);
    if (asked.length > 0) await ends.read(queries, doubts, asked);
    const outcome: Outcome = { moved: [], missed: [], later: [], alone: [] };
    const judged: Judged[] = [];
    for (const lot of lots) {
      const one = judge(lot, outcome);
      if (one !== undefined) judged.push(one);
    }
    // In one order for all who wait for several places.
    judged.sort((a, b) => a.end.number - b.end.number);
    if (judged.length === 0) return outcome;
    try {
      const missed = await insert(queries, judged, isLocked);
      outcome.moved = judged.filter((one) => !missed.has(one));
      outcome.missed = [...missed];
    } catch (error) {
      if (!isLocked || !isTaken(error)) throw error;
      // Somebody who didn't ask for the lock: all of it is undone.
      outcome.missed = judged;
      throw new Undo(outcome);
    }
    return outcome;
  }

  /** Gives those that were left out, since others were first. */
  async function insert(
    queries: Pick<Queries, "all" | "count">,
    judged: readonly Judged[],
    isLocked: boolean,
  ): Promise<ReadonlySet<Judged>> {
    const messages: Bytes[] = [];
    const hashes: Bytes[] = [];
    const ofLots: number[] = [];
    for (const { end, fits, acceptedAt } of judged) {
      for (const { message } of fits) {
        messages.push(message.message);
        hashes.push(message.hash);
      }
      const { version, base, head } = end;
      ofLots.push(version, base, head, head + fits.length, acceptedAt, messages.length);
    }
    const groups = judged.map(({ end }) => end.number);
    const { unlooked, looked } = APPEND[messages.length === groups.length ? "each" : "several"];
    const allHashes = Buffer.concat(hashes);
    const isLooked = isLocked || judged.some(({ end }) => end.isShared);
    let written = 0;
    for (const append of isLooked ? [looked] : [unlooked, looked]) {
      try {
        written = await queries.count(append, groups, ofLots, allHashes, messages);
        break;
      } catch (error) {
        // A place is taken, so none has a message.
        if (isLocked || !isTaken(error)) throw error;
      }
    }
    if (written === messages.length) return new Set();
    if (written === 0) return new Set(judged);
    const missed = await queries.all<{ lot: number }>(MISSED, groups, ofLots, allHashes);
    const places = new Set(missed.map(({ lot }) => lot));
    return new Set(judged.filter((_, i) => places.has(i + 1)));
  }

  /** After others were first: now the groups' rows are held before they are read. */
  function appendLocked(lots: readonly Lot[], doubts: number): Promise<Outcome> {
    return db.transaction(async (tx) => {
      // Nobody knows where a connection leads that was made after that.
      if (db.doubts !== doubts) throw new Doubted();
      await tx.all(
        LOCK,
        lots.map(({ groupId }) => groupId),
      );
      try {
        return await appendTogether(tx, doubts, lots, true);
      } catch (error) {
        if (!(error instanceof Undo)) forget(lots);
        throw error;
      }
    });
  }
  function forget(lots: readonly Lot[]): void {
    for (const { groupId } of lots) ends.forget(groupId);
  }

  /** Answers those that were written. */
  function settle({ lot, end, fits, acceptedAt }: Judged): void {
    let { head } = end;
    for (const one of fits) one.resolve({ seq: ++head, acceptedAt });
    ends.change(lot.groupId, end, (now) => {
      now.head = head;
      now.acceptedAt = acceptedAt;
      now.places.bound();
    });
  }

  /** What did not go with the others: mostly it is refused, or has its place. */
  async function answer(one: Waiting, at: number | null): Promise<void> {
    const { groupId, device, hash } = one.message;
    const epoch = one.message.epoch > LAST_EPOCH ? LAST_EPOCH : one.message.epoch;
    const seen = await db.one<Seen>(SEE, groupId, device, hash, epoch, at);
    if (seen !== undefined && seen.seq !== null && seen.accepted_at !== null) {
      await db.settle();
      one.resolve({ seq: seen.seq, acceptedAt: seen.accepted_at });
    } else if (seen === undefined || seen.leaf_index === null) one.resolve("not-member");
    else if (BigInt(seen.epoch) !== one.message.epoch) {
      one.resolve({ currentEpoch: BigInt(seen.epoch) });
    } else if (++one.tries > TRIES) one.reject(new Error("a message neither fits nor doesn't"));
    else {
      // What was in its way is not any more.
      ends.forget(groupId);
      enqueue(one);
    }
  }

  function answerAlone(one: Waiting, at: number | null): void {
    const answered = answer(one, at)
      .catch(one.reject)
      .finally(() => answering.delete(answered));
    answering.add(answered);
  }

  async function writeBatch(writer: Writer): Promise<void> {
    const doubts = ends.begin();
    writer.isTurnOfAgain = !writer.isTurnOfAgain || writer.queue.length === 0;
    const isAgain = writer.isTurnOfAgain && writer.again.length > 0;
    const lots = isAgain ? takeAgain(writer) : take(writer);
    if (lots.length === 0) return;
    try {
      const outcome = isAgain
        ? await appendLocked(lots, doubts)
        : await appendTogether(db.asOf(doubts), doubts, lots);
      outcome.moved.forEach(settle);
      for (const { one, seq } of outcome.alone) answerAlone(one, seq);
      const missed = outcome.missed.flatMap(({ lot, end, fits }) => {
        ends.change(lot.groupId, end, (now) => {
          now.places.undo(fits.length);
          now.rivals = Math.max(now.rivals, Math.min(2, now.rivals + 1));
        });
        return fits;
      });
      if (missed.length > 0) writer.again.push(missed);
      writer.queue.unshift(...outcome.later);
      if (isAgain) await tellRivals(outcome.missed);
    } catch (error) {
      // What is remembered of them has messages that may not be there.
      forget(lots);
      fail(writer, lots, error);
    }
  }

  /** Of groups to which they wrote though the row was held here: they don't know of it. */
  async function tellRivals(missed: readonly Judged[]): Promise<void> {
    // One by one: who locks several does so in an order. If it fails they are told when it is missed once more.
    for (const { lot } of missed) await db.all(TELL, lot.groupId).catch(() => undefined);
  }

  function fail(writer: Writer, lots: readonly Lot[], error: unknown): void {
    const batch = lots.flatMap(({ messages }) => messages);
    if (error instanceof Doubted) writer.queue.unshift(...batch);
    else if (error instanceof StoreUnavailable || batch.length === 1) {
      for (const one of batch) one.reject(error);
    } else {
      // The database refuses one of them: that is to spoil none of the others.
      const half = batch.length >> 1;
      writer.again.push(batch.slice(0, half), batch.slice(half));
    }
  }

  function start(writer: Writer): void {
    writer.writing ??= write(writer);
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

  function enqueue(one: Waiting): void {
    const writer = writers[(one.message.groupId[0] ?? 0) % WRITERS];
    if (writer === undefined) return;
    writer.queue.push(one);
    start(writer);
  }

  return {
    append(message) {
      if (closed) return Promise.reject(new StoreUnavailable("it is closed"));
      return new Promise((resolve, reject) => {
        enqueue({ message, resolve, reject, looked: false, tries: 0 });
      });
    },
    waiting: () =>
      writers.reduce((sum, { queue, again, unknown }) => {
        const lots = [...again, ...Array.from(unknown.values(), ({ messages }) => messages)];
        return lots.reduce((all, messages) => all + messages.length, sum + queue.length);
      }, 0),
    async close() {
      closed = true;
      for (;;) {
        const busy = [...answering];
        for (const { writing, reading } of writers) {
          if (writing !== undefined) busy.push(writing);
          if (reading !== undefined) busy.push(reading);
        }
        if (busy.length === 0) return;
        await Promise.all(busy);
      }
    },
  };
}

function byGroup(messages: readonly Waiting[]): readonly Lot[] {
  const lots = new BytesMap<Lot>();
  for (const one of messages) {
    const { groupId } = one.message;
    const lot = lots.get(groupId);
    if (lot !== undefined) lot.messages.push(one);
    else lots.set(groupId, { groupId, messages: [one] });
  }
  return [...lots.values()];
}
