/**
 * Inboxes in PostgreSQL.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Database, Queries } from "./postgres-database.ts";
import { type InboxStore, PAST_EPOCHS } from "./store.ts";

/**
 * Takes entries out of inboxes, within a transaction. A Welcome that nobody waits for goes, and so do the nodes that
 * were kept for it.
 */
export async function clearInbox(
  tx: Queries,
  devices: readonly number[],
  upTo: number,
): Promise<void> {
  const gone = await tx.all<{ group_id: Bytes; epoch: number }>(
    "DELETE FROM inbox WHERE device = ANY($1::bigint[]) AND seq <= $2 RETURNING group_id, epoch",
    devices,
    upTo,
  );
  if (gone.length === 0) return;
  const groups = gone.map((row) => row.group_id);
  // Of two devices that take the last entries at once, the second one sees what the first did.
  await tx.all(
    `SELECT 1 FROM groups WHERE group_id = ANY($1::bytea[]) ORDER BY group_id
     FOR NO KEY UPDATE`,
    groups,
  );
  await tx.all(
    `DELETE FROM welcomes USING unnest($1::bytea[], $2::bigint[]) AS gone (group_id, epoch)
     WHERE welcomes.group_id = gone.group_id AND welcomes.epoch = gone.epoch AND NOT EXISTS (
       SELECT 1 FROM inbox WHERE inbox.group_id = gone.group_id AND inbox.epoch = gone.epoch)`,
    groups,
    gone.map(({ epoch }) => epoch),
  );
  await tx.all(
    `DELETE FROM group_nodes USING groups
     WHERE group_nodes.group_id = ANY($1::bytea[]) AND groups.group_id = group_nodes.group_id
     AND to_epoch <= groups.epoch - ${PAST_EPOCHS} AND NOT EXISTS (
       SELECT 1 FROM inbox WHERE inbox.group_id = group_nodes.group_id
       AND inbox.epoch >= from_epoch AND inbox.epoch < to_epoch)`,
    groups,
  );
}

export function postgresInbox(db: Database): InboxStore {
  return {
    async inbox(device, { after, limit, bytes }) {
      const rows = await db.all<{
        readonly seq: number;
        readonly group_id: Bytes;
        readonly epoch: number;
        readonly commit_seq: number;
        readonly welcome: Bytes;
      }>(
        `SELECT seq, group_id, epoch, commit_seq, welcome FROM (
           SELECT seq, group_id, epoch, commit_seq, welcome,
             row_number() OVER (ORDER BY seq) AS place,
             sum(octet_length(welcome)) OVER (ORDER BY seq) AS size
           FROM inbox JOIN welcomes USING (group_id, epoch)
           WHERE device = $1 AND seq > $2 ORDER BY seq LIMIT $3) AS page
         WHERE place = 1 OR size <= $4 ORDER BY seq`,
        device,
        after,
        limit,
        bytes,
      );
      return rows.map((row) => ({
        seq: row.seq,
        groupId: row.group_id,
        epoch: BigInt(row.epoch),
        commitSeq: row.commit_seq,
        welcome: row.welcome,
      }));
    },

    async hasWelcome(device, groupId, epoch) {
      const row = await db.one(
        "SELECT 1 FROM inbox WHERE device = $1 AND group_id = $2 AND epoch = $3",
        device,
        groupId,
        epoch,
      );
      return row !== undefined;
    },

    async acknowledge(device, upTo) {
      return db.transaction(async (tx) => {
        const head = await tx.one<{ inbox_head: number }>(
          "SELECT inbox_head FROM devices WHERE device = $1",
          device,
        );
        if (head === undefined || upTo > head.inbox_head) return "beyond-end";
        await clearInbox(tx, [device], upTo);
        return "acknowledged";
      });
    },
  };
}
