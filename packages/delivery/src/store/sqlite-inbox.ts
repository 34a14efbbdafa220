/**
 * Inboxes in SQLite.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { InboxEntry } from "../protocol/index.ts";
import type { Database } from "./sqlite-database.ts";
import { type InboxStore, PAST_EPOCHS } from "./store.ts";

/** A Welcome that nobody waits for goes, and so do the nodes that were kept for it. */
function forget(db: Database, groupId: Bytes, epoch: number): void {
  const waiting = db.one("SELECT 1 FROM inbox WHERE group_id = ? AND epoch = ?", groupId, epoch);
  if (waiting) return;
  db.run("DELETE FROM welcomes WHERE group_id = ? AND epoch = ?", groupId, epoch);
  db.run(
    `DELETE FROM group_nodes WHERE group_id = ?
     AND to_epoch <= (SELECT epoch FROM groups WHERE group_id = ?) - ? AND NOT EXISTS (
       SELECT 1 FROM inbox WHERE inbox.group_id = group_nodes.group_id
       AND inbox.epoch >= from_epoch AND inbox.epoch < to_epoch)`,
    groupId,
    groupId,
    PAST_EPOCHS,
  );
}

/** Takes entries out of an inbox, within a transaction. */
export function clearInbox(db: Database, device: number, upTo: number): void {
  const gone = db.all<{ group_id: Bytes; epoch: number }>(
    "DELETE FROM inbox WHERE device = ? AND seq <= ? RETURNING group_id, epoch",
    device,
    upTo,
  );
  for (const { group_id: groupId, epoch } of gone) forget(db, groupId, epoch);
}

export function sqliteInbox(db: Database): InboxStore {
  return {
    async inbox(device, { after, limit, bytes }) {
      const rows = db.each<{
        readonly seq: number;
        readonly group_id: Bytes;
        readonly epoch: number;
        readonly commit_seq: number;
        readonly welcome: Bytes;
      }>(
        `SELECT seq, group_id, epoch, commit_seq, welcome
         FROM inbox JOIN welcomes USING (group_id, epoch)
         WHERE device = ? AND seq > ? ORDER BY seq LIMIT ?`,
        device,
        after,
        limit,
      );
      const entries: InboxEntry[] = [];
      let size = 0;
      for (const row of rows) {
        size += row.welcome.length;
        if (entries.length > 0 && size > bytes) break;
        entries.push({
          seq: row.seq,
          groupId: row.group_id,
          epoch: BigInt(row.epoch),
          commitSeq: row.commit_seq,
          welcome: row.welcome,
        });
      }
      return entries;
    },

    async hasWelcome(device, groupId, epoch) {
      const row = db.one(
        "SELECT 1 FROM inbox WHERE device = ? AND group_id = ? AND epoch = ?",
        device,
        groupId,
        epoch,
      );
      return row !== undefined;
    },

    async acknowledge(device, upTo) {
      return db.transaction(() => {
        const head = db.one<{ inbox_head: number }>(
          "SELECT inbox_head FROM devices WHERE device = ?",
          device,
        );
        if (head === undefined || upTo > head.inbox_head) return "beyond-end";
        clearInbox(db, device, upTo);
        return "acknowledged";
      });
    },
  };
}
