/**
 * Reports on commits, and what it takes to check them, in SQLite.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Database } from "./sqlite-database.ts";
import { nodesAt } from "./sqlite-groups.ts";
import type { ReportStore } from "./store.ts";

export function sqliteReports(db: Database): ReportStore {
  /** Whose leaf it was behind this place in the log. */
  function deviceAt(groupId: Bytes, leafIndex: number, seq: number): number | undefined {
    return db.one<{ device: number }>(
      `SELECT device FROM members WHERE group_id = ? AND leaf_index = ? AND from_seq <= ?
       ORDER BY from_seq DESC LIMIT 1`,
      groupId,
      leafIndex,
      seq,
    )?.device;
  }

  return {
    async pastGroup(groupId, epoch) {
      const past = db.one<{ state: Bytes }>(
        "SELECT state FROM past_states WHERE group_id = ? AND epoch = ?",
        groupId,
        epoch,
      );
      return past && { state: past.state, nodes: nodesAt(db, groupId, epoch) };
    },

    async addReport({ groupId, device, seq, report, committer }) {
      return db.transaction(() => {
        const leaf = db.one<{ leaf_index: number }>(
          `SELECT leaf_index FROM members
           WHERE device = ? AND group_id = ? AND until_seq IS NULL AND from_seq < ?`,
          device,
          groupId,
          seq,
        )?.leaf_index;
        if (leaf === undefined) return "not-member";
        db.run(
          `INSERT INTO reports (group_id, leaf_index, seq, report, proven) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT (group_id, leaf_index) DO UPDATE SET seq = excluded.seq, report = excluded.report,
             proven = max(excluded.proven, reports.proven AND reports.seq = excluded.seq)`,
          groupId,
          leaf,
          seq,
          report,
          committer === undefined ? 0 : 1,
        );
        const by = committer === undefined ? undefined : deviceAt(groupId, committer, seq);
        if (by !== undefined) {
          db.run(
            "INSERT INTO barred (group_id, device) VALUES (?, ?) ON CONFLICT DO NOTHING",
            groupId,
            by,
          );
        }
        return "added";
      });
    },

    async reports(groupId) {
      return db
        .all<{ leaf_index: number; seq: number; report: Bytes; proven: number }>(
          "SELECT leaf_index, seq, report, proven FROM reports WHERE group_id = ? ORDER BY leaf_index",
          groupId,
        )
        .map((row) => ({
          leafIndex: row.leaf_index,
          seq: row.seq,
          report: row.report,
          proven: row.proven === 1,
        }));
    },

    async revokedIn(groupId) {
      return db
        .all<{ account_id: Bytes }>(
          `SELECT DISTINCT account_id FROM members JOIN devices USING (device)
           WHERE group_id = ? AND until_seq IS NULL AND revoked_at <> 0`,
          groupId,
        )
        .map((row) => row.account_id);
    },

    async isBarred(groupId, device) {
      const row = db.one("SELECT 1 FROM barred WHERE group_id = ? AND device = ?", groupId, device);
      return row !== undefined;
    },
  };
}
