/**
 * A group's log in SQLite: its entries, the group's row, which says where it ends, and who may read it.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Accepted, LogEntry } from "../protocol/index.ts";
import type { Database } from "./sqlite-database.ts";

export interface GroupRow {
  readonly epoch: number;
  readonly version: number;
  readonly head: number;
  readonly accepted_at: number;
}

/** Where a row of `members` lets its device read: `log` joined to it, up to `groups.head`. */
export const READABLE = `members.device = ? AND members.group_id = log.group_id
  AND log.seq >= members.from_seq AND (members.until_seq IS NULL OR log.seq <= members.until_seq)`;

export function groupRow(db: Database, groupId: Bytes): GroupRow | undefined {
  return db.one<GroupRow>("SELECT * FROM groups WHERE group_id = ?", groupId);
}

export function leafOf(db: Database, groupId: Bytes, device: number): number | undefined {
  return db.one<{ leaf_index: number }>(
    "SELECT leaf_index FROM members WHERE device = ? AND group_id = ? AND until_seq IS NULL",
    device,
    groupId,
  )?.leaf_index;
}

/** Where the log has these bytes, for a device that may read them there. */
export function findEntry(
  db: Database,
  groupId: Bytes,
  device: number,
  hash: Bytes,
): Accepted | undefined {
  const row = db.one<{ seq: number; accepted_at: number }>(
    `SELECT log.seq, log.accepted_at FROM log JOIN members
     ON ${READABLE} WHERE log.group_id = ? AND log.hash = ? LIMIT 1`,
    device,
    groupId,
    hash,
  );
  return row && { seq: row.seq, acceptedAt: row.accepted_at };
}

/** Whether the entry is new: the same bytes have one place. The group's row is not moved by it (see `advance`). */
export function insertEntry(
  db: Database,
  entry: Accepted & {
    readonly groupId: Bytes;
    readonly epoch: number;
    readonly kind: LogEntry["kind"];
    readonly hash: Bytes;
    readonly message: Bytes;
  },
): boolean {
  // Values, not what a SELECT gives: of one row SQLite needs no journal to undo the statement by.
  const inserted = db.run(
    `INSERT INTO log (group_id, seq, epoch, kind, hash, message, accepted_at)
     VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`,
    entry.groupId,
    entry.seq,
    entry.epoch,
    entry.kind,
    entry.hash,
    entry.message,
    entry.acceptedAt,
  );
  return inserted === 1;
}

/** The log goes as far as this entry now. */
export function advance(db: Database, groupId: Bytes, { seq, acceptedAt }: Accepted): void {
  db.run(
    "UPDATE groups SET head = ?, accepted_at = ? WHERE group_id = ?",
    seq,
    acceptedAt,
    groupId,
  );
}
