/**
 * A group's log in SQLite: its entries, where it ends, and who may read it.
 * @module
 */

import type { SQLInputValue } from "node:sqlite";
import type { Bytes } from "@conclave/mls/codec";
import type { Accepted, LogEntry } from "../protocol/index.ts";
import { toEntry } from "./rows.ts";
import type { Database } from "./sqlite-database.ts";
import { type AppendMessage, HASH, REMEMBERED } from "./store.ts";

/** A group, and where its log ends. */
export interface GroupRow {
  readonly number: number;
  readonly epoch: number;
  readonly version: number;
  readonly head: number;
  readonly accepted_at: number;
}

/** As the column `kind` says it. */
export const KINDS = [
  "application",
  "commit",
  "proposal",
] as const satisfies readonly LogEntry["kind"][];

/** Whether a device may read an entry of a group, by the device, the group's id, and `log`. */
export const READABLE = `EXISTS (SELECT 1 FROM members WHERE device = ? AND group_id = ?
  AND log.seq >= from_seq AND (until_seq IS NULL OR log.seq <= until_seq))`;

/** With the `entries` of a group: those from its span on in which `place` is; what lies before is not looked at. */
export const fromSpan = (group: string, place: string): string =>
  `first_seq >= ifnull((SELECT max(first_seq) FROM spans
     WHERE spans.group_number = ${group} AND first_seq <= ${place}), 0)`;

/** With the `entries` of a group: the one at a place. */
export const atPlace = (group: string, place: string): string =>
  `seq = ${place} AND first_seq <= ${place} AND ${fromSpan(group, place)}`;

/** The `entries` of a group in their order; and from the newest on. */
export const IN_ORDER = "first_seq, n, seq";
export const NEWEST_FIRST = "first_seq DESC, n DESC, seq DESC";

/** An epoch's application messages: of a group's number, behind the commit that began the epoch, up to a place. The newest is first. */
export const NEWEST_OF_EPOCH = `SELECT seq, hash, accepted_at FROM entries
  WHERE group_number = ?1 AND kind = 0 AND seq > ?2 AND seq <= ?3
    AND first_seq <= ?3 AND ${fromSpan("?1", "?2")}
  ORDER BY ${NEWEST_FIRST} LIMIT ${REMEMBERED}`;

export function groupRow(db: Database, groupId: Bytes): GroupRow | undefined {
  return db.one<GroupRow>("SELECT * FROM group_ends WHERE group_id = ?", groupId);
}

export function leafOf(db: Database, groupId: Bytes, device: number): number | undefined {
  return db.one<{ leaf_index: number }>(
    "SELECT leaf_index FROM members WHERE device = ? AND group_id = ? AND until_seq IS NULL",
    device,
    groupId,
  )?.leaf_index;
}

/** The commit that ended the epoch. */
export function winnerOf(
  db: Database,
  groupId: Bytes,
  epoch: number | bigint,
): { readonly seq: number; readonly hash: Bytes } | undefined {
  return db.one<{ seq: number; hash: Bytes }>(
    `SELECT seq, hash FROM groups JOIN log ON group_number = number
     WHERE group_id = ? AND kind = 1 AND log.epoch = ?`,
    groupId,
    epoch,
  );
}

/** Where the log has a commit or a proposal, for a device that may read it there. */
export function findHandshake(
  db: Database,
  groupId: Bytes,
  device: number,
  hash: Bytes,
): Accepted | undefined {
  return toAccepted(
    db.one<PlaceRow>(
      `SELECT seq, log.accepted_at FROM log JOIN groups ON number = group_number
       WHERE hash = ? AND kind > 0 AND group_id = ? AND ${READABLE}`,
      hash,
      groupId,
      device,
      groupId,
    ),
  );
}

/** Where the log has an application message of an epoch that is over, for a device that may read it there. */
export function findMessage(
  db: Database,
  number: number,
  { groupId, device, epoch, hash }: Pick<AppendMessage, "groupId" | "device" | "epoch" | "hash">,
): Accepted | undefined {
  // For nobody else the log is searched.
  if (!db.one("SELECT 1 FROM members WHERE device = ? AND group_id = ?", device, groupId)) {
    return undefined;
  }
  return toAccepted(
    db.one<PlaceRow>(
      `SELECT seq, accepted_at FROM (${NEWEST_OF_EPOCH}) AS log WHERE hash = ? AND ${READABLE}`,
      number,
      endOf(db, number, epoch - 1n),
      endOf(db, number, epoch),
      hash,
      device,
      groupId,
    ),
  );
}

/** The place of the commit that ended the epoch; 0 before the first. */
export function endOf(db: Database, number: number, epoch: bigint): number {
  const row = db.one<{ seq: number }>(
    "SELECT seq FROM log WHERE group_number = ? AND kind = 1 AND epoch = ?",
    number,
    epoch,
  );
  return row?.seq ?? 0;
}

interface PlaceRow {
  readonly seq: number;
  readonly accepted_at: number;
}

function toAccepted(row: PlaceRow | undefined): Accepted | undefined {
  return row && { seq: row.seq, acceptedAt: row.accepted_at };
}

/** Where a group's entries are written. */
export interface LogEnd {
  /** Of the group. */
  readonly number: number;
  /** Its newest. */
  span: Span | undefined;
  /** The place of its newest entry, where that was written here. */
  written: number | undefined;
}

/** The entries of a group in a stretch: those from this one on. */
export interface Span {
  readonly first_seq: number;
  readonly stretch: number;
}

export function logEnd(db: Database, number: number): LogEnd {
  const span = db.one<Span>(
    "SELECT first_seq, stretch FROM spans WHERE group_number = ? ORDER BY first_seq DESC LIMIT 1",
    number,
  );
  return { number, span, written: undefined };
}

/** An entry that is to be written. */
export interface NewEntry {
  /** Of its group, the same for each of them. */
  readonly log: LogEnd;
  readonly kind: LogEntry["kind"];
  readonly entry: Pick<AppendMessage, "epoch" | "hash" | "message">;
  readonly place: Accepted;
}

/** So many entries of the whole log are a part, and so many parts a stretch: as the column and the table of them say it. */
const PART = 1024;
const PARTS = 4;

/** Rows in one statement: with more each costs no less. */
const ROWS = 16;

/**
 * Values, not what a SELECT gives, and no undoing of the statement alone: for neither SQLite keeps pages as they were before. Who is
 * refused must undo the transaction.
 */
const INSERT = (rows: number): string =>
  `INSERT OR FAIL INTO log (group_number, seq, epoch, kind, accepted_at, hash, message)
   VALUES ${Array(rows).fill("(?, ?, ?, ?, ?, ?, ?)").join(", ")}`;
const INSERT_ONE: string = INSERT(1);
const INSERT_ROWS: string = INSERT(ROWS);

/**
 * Hashes on their way into a statement, which copies them once more. The engine keeps so few bytes among its own objects, and would
 * move each out of there for good, to be read once.
 */
const HASHES = Array.from({ length: ROWS }, () => new Uint8Array(new ArrayBuffer(HASH)));

function toBind(hash: Bytes, row: number): Bytes {
  const copy = HASHES[row];
  if (copy?.length !== hash.length) return hash;
  copy.set(hash);
  return copy;
}

/** Throws where a place is taken: the database itself refuses a second entry there. */
export function insertEntries(db: Database, entries: readonly NewEntry[]): void {
  let id = 0;
  let rows: SQLInputValue[] = [];
  const write = (sql: string): void => {
    id = db.insert(sql, ...rows);
    rows = [];
  };
  const inRows = entries.length - (entries.length % ROWS);
  let i = 0;
  for (const { log, kind, entry, place } of entries) {
    const { epoch, message } = entry;
    const hash = toBind(entry.hash, i % ROWS);
    rows.push(log.number, place.seq, epoch, KINDS.indexOf(kind), place.acceptedAt, hash, message);
    if (i >= inRows) write(INSERT_ONE);
    else if (i % ROWS === ROWS - 1) write(INSERT_ROWS);
    i++;
  }
  // They have the numbers up to this one.
  id -= entries.length;
  for (const { log, place } of entries) extend(db, log, place.seq, Math.floor(++id / PART));
}

/** Where the index can't see whether the place is taken: in another part, or in another span, which is begun then. */
function extend(db: Database, log: LogEnd, seq: number, part: number): void {
  const { number, span, written } = log;
  const stretch = Math.floor(part / PARTS);
  if (span?.stretch !== stretch || seq < span.first_seq) {
    // The database sees to it that no entry of an earlier one is at this place or behind it.
    db.run("INSERT INTO spans VALUES (?, ?, ?)", number, seq, stretch);
    log.span = { first_seq: seq, stretch };
  } else if (written !== seq - 1) {
    const taken = db.one(TAKEN, number, span.first_seq, part % PARTS, seq);
    if (taken !== undefined) throw new Error("the place in the log is taken");
  }
  log.written = Math.max(seq, written ?? 0);
}

/** Whether a span has entries at a place or behind it, in the parts before one: in that itself the index forbids them. */
const TAKEN = `SELECT 1 FROM entries
  WHERE group_number = ? AND first_seq = ? AND n < ? AND seq >= ?`;

/** Deletes so many at most of a group's log, from its beginning; says how many, and whether nothing is left. */
export function deleteEntries(
  db: Database,
  number: number,
  limit: number,
): { readonly gone: number; readonly empty: boolean } {
  const gone = db.run(
    `DELETE FROM log WHERE id IN (
       SELECT id FROM entries WHERE group_number = ? ORDER BY ${IN_ORDER} LIMIT ?)`,
    number,
    limit,
  );
  const next = db.one<{ first_seq: number }>(
    "SELECT first_seq FROM entries WHERE group_number = ? ORDER BY first_seq LIMIT 1",
    number,
  );
  db.run(
    "DELETE FROM spans WHERE group_number = ? AND (?2 IS NULL OR first_seq < ?2)",
    number,
    next?.first_seq ?? null,
  );
  return { gone, empty: next === undefined };
}

export interface EntryRow {
  readonly seq: number;
  readonly epoch: number;
  readonly kind: number;
  readonly message: Bytes;
  readonly accepted_at: number;
}

/** These rows, as many as fit into so many bytes, but so many at least. */
export function entriesOf(
  rows: Iterable<EntryRow>,
  bytes: number,
  least: number,
): readonly LogEntry[] {
  const entries: LogEntry[] = [];
  let size = 0;
  for (const row of rows) {
    size += row.message.length;
    if (entries.length >= least && size > bytes) break;
    entries.push(toEntry({ ...row, kind: KINDS[row.kind] ?? "application" }));
  }
  return entries;
}
