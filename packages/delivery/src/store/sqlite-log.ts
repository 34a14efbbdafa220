/**
 * A group's log in SQLite: its entries, where it ends, and who may read it.
 * @module
 */

import type { SQLInputValue } from "node:sqlite";
import type { Bytes } from "@conclave/mls/codec";
import type { Accepted, LogEntry } from "../protocol/index.ts";
import { toEntry } from "./rows.ts";
import type { Database } from "./sqlite-database.ts";
import { type AppendMessage, REMEMBERED } from "./store.ts";

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

/** The stretch in which a place of a group is, if it is taken. */
export const stretchOf = (group: string, place: string): string =>
  `(SELECT spans.stretch FROM spans WHERE spans.group_number = ${group} AND first_seq <= ${place}
    ORDER BY first_seq DESC LIMIT 1)`;

/** An epoch's application messages: of a group's number, behind the commit that began the epoch, up to a place. The newest is first. */
export const NEWEST_OF_EPOCH = `SELECT seq, hash, accepted_at FROM entries
  WHERE group_number = ?1 AND kind = 0 AND seq > ?2 AND seq <= ?3
    AND first_seq <= ?3 AND ${fromSpan("?1", "?2")}
  ORDER BY first_seq DESC, seq DESC LIMIT ${REMEMBERED}`;

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

/** An entry that is to be written. */
export interface NewEntry {
  /** Of its group. */
  readonly number: number;
  readonly kind: LogEntry["kind"];
  readonly entry: Pick<AppendMessage, "epoch" | "hash" | "message">;
  readonly place: Accepted;
}

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

/** Of entries behind this one of the whole log: a span for each group where it has none yet in the stretch. */
const INSERT_SPANS = `INSERT INTO spans
  SELECT group_number, seq, stretch FROM (
    SELECT group_number, min(seq) AS seq, stretch FROM log NOT INDEXED
    WHERE id > ? GROUP BY group_number, stretch) AS fresh
  WHERE stretch IS NOT ${stretchOf("fresh.group_number", "fresh.seq")}`;

/** Throws where a place is taken: the database itself refuses a second entry there. */
export function insertEntries(db: Database, entries: readonly NewEntry[]): void {
  if (entries.length === 0) return;
  const last = db.one<{ id: number }>("SELECT ifnull(max(id), 0) AS id FROM log")?.id ?? 0;
  const values = ({ number, kind, entry, place }: NewEntry): readonly SQLInputValue[] => [
    number,
    place.seq,
    entry.epoch,
    KINDS.indexOf(kind),
    place.acceptedAt,
    entry.hash,
    entry.message,
  ];
  let at = 0;
  for (; at + ROWS <= entries.length; at += ROWS) {
    db.run(INSERT_ROWS, ...entries.slice(at, at + ROWS).flatMap(values));
  }
  for (const entry of entries.slice(at)) db.run(INSERT_ONE, ...values(entry));
  db.run(INSERT_SPANS, last);
}

/** Deletes so many at most of a group's log, from its beginning; says how many, and whether nothing is left. */
export function deleteEntries(
  db: Database,
  number: number,
  limit: number,
): { readonly gone: number; readonly empty: boolean } {
  const gone = db.run(
    `DELETE FROM log WHERE id IN (
       SELECT id FROM entries WHERE group_number = ? ORDER BY first_seq, seq LIMIT ?)`,
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
