/**
 * Reports on commits, and what it takes to check them, in PostgreSQL.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Database } from "./postgres-database.ts";
import { HOLDS, type NodeRow, toNodes } from "./postgres-groups.ts";
import type { ReportStore } from "./store.ts";

export function postgresReports(db: Database): ReportStore {
  return {
    async pastGroup(groupId, epoch) {
      const [past, ...nodes] = await db.all<NodeRow>(
        `SELECT -1 AS node_index, state AS bytes FROM past_states WHERE group_id = $1 AND epoch = $2
         UNION ALL
         SELECT node_index, node FROM past_states JOIN group_nodes USING (group_id)
         WHERE group_id = $1 AND epoch = $2 AND ${HOLDS("$2")}
         ORDER BY node_index`,
        groupId,
        epoch,
      );
      return past && { state: past.bytes, nodes: toNodes(nodes) };
    },

    async addReport({ groupId, device, seq, report, committer }) {
      return db.transaction(async (tx) => {
        // Held from here on: the leaf is not removed meanwhile.
        await tx.all("SELECT 1 FROM groups WHERE group_id = $1 FOR NO KEY UPDATE", groupId);
        const added = await tx.one(
          `WITH leaf AS (
             SELECT leaf_index FROM members
             WHERE group_id = $1 AND device = $2 AND until_seq IS NULL AND from_seq < $3
           ), committer AS (
             SELECT device FROM members WHERE group_id = $1 AND leaf_index = $5 AND from_seq <= $3
             ORDER BY from_seq DESC LIMIT 1
           ), barred_now AS (
             INSERT INTO barred (group_id, device)
             SELECT $1, device FROM committer WHERE EXISTS (SELECT 1 FROM leaf)
             ON CONFLICT DO NOTHING
           )
           INSERT INTO reports (group_id, leaf_index, seq, report, proven)
           SELECT $1, leaf_index, $3, $4, $5::bigint IS NOT NULL FROM leaf
           ON CONFLICT (group_id, leaf_index) DO UPDATE SET seq = excluded.seq, report = excluded.report,
             proven = excluded.proven OR (reports.proven AND reports.seq = excluded.seq)
           RETURNING 1`,
          groupId,
          device,
          seq,
          report,
          committer ?? null,
        );
        return added === undefined ? "not-member" : "added";
      });
    },

    async reports(groupId) {
      const rows = await db.all<{
        readonly leaf_index: number;
        readonly seq: number;
        readonly report: Bytes;
        readonly proven: boolean;
      }>(
        "SELECT leaf_index, seq, report, proven FROM reports WHERE group_id = $1 ORDER BY leaf_index",
        groupId,
      );
      return rows.map(({ leaf_index: leafIndex, seq, report, proven }) => ({
        leafIndex,
        seq,
        report,
        proven,
      }));
    },

    async revokedIn(groupId) {
      const rows = await db.all<{ account_id: Bytes }>(
        `SELECT DISTINCT account_id FROM members JOIN devices USING (device)
         WHERE group_id = $1 AND until_seq IS NULL AND revoked_at <> 0`,
        groupId,
      );
      return rows.map((row) => row.account_id);
    },

    async isBarred(groupId, device) {
      const row = await db.one(
        "SELECT 1 FROM barred WHERE group_id = $1 AND device = $2",
        groupId,
        device,
      );
      return row !== undefined;
    },
  };
}
