/**
 * Upkeep in PostgreSQL: what has expired or is past its time goes, and what a copy from before can't know is made harmless.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Database, Queries } from "./postgres-database.ts";
import {
  type Fact,
  INVITE_MEMORY,
  RESTORE_GAP,
  type Statistics,
  type UpkeepStore,
} from "./store.ts";

/** What has a time of its own: kind, table, key, and when a row is of no use any more. */
const EXPIRING = [
  ["sessions", "sessions", "token_hash", "expires_at <= $1"],
  ["nonces", "nonces", "device, nonce", "expires_at <= $1"],
  ["keyPackages", "key_packages", "ref", "not_after * 1000 <= $1"],
  ["keyPackageRefs", "key_package_refs", "ref", "not_after * 1000 <= $1"],
  ["invites", "invites", "hash", `expires_at <= $1 - ${INVITE_MEMORY}`],
] as const;

const SWEEP = `WITH ${EXPIRING.map(
  ([kind, table, key, condition]) => `"${kind}" AS (
    DELETE FROM ${table} WHERE (${key}) IN (
      SELECT ${key} FROM ${table} WHERE ${condition} LIMIT $2) RETURNING 1)`,
).join(", ")},
  entries AS (
    DELETE FROM log WHERE ctid = ANY(ARRAY(
      SELECT found.ctid FROM ended_groups CROSS JOIN LATERAL (
        SELECT log.ctid FROM log WHERE group_number = (
          SELECT number FROM groups WHERE groups.group_id = ended_groups.group_id)
        ORDER BY seq LIMIT $2
      ) AS found LIMIT $2)) RETURNING kind, hash),
  commits_and_proposals AS (
    DELETE FROM handshakes
    WHERE hash = ANY(ARRAY(SELECT hash FROM entries WHERE kind <> 'application'))),
  emptied AS (
    DELETE FROM ended_groups WHERE group_id IN (
      SELECT group_id FROM ended_groups WHERE NOT EXISTS (
        SELECT 1 FROM log JOIN groups ON number = group_number
        WHERE groups.group_id = ended_groups.group_id) LIMIT $2))
  SELECT (SELECT count(*) FROM entries) AS "logEntries",
    ${EXPIRING.map(([kind]) => `(SELECT count(*) FROM "${kind}") AS "${kind}"`).join(", ")}`;

/** What is kept is counted in rows, not by their numbers: after a restore these have a gap. */
const TRIM = `WITH held AS (
  SELECT number, kept_from FROM groups WHERE group_id = $1 FOR NO KEY UPDATE
), oldest AS (
  SELECT seq, accepted_at FROM log
  WHERE group_number = (SELECT number FROM held) AND seq >= (SELECT kept_from FROM held) ORDER BY seq LIMIT $4
), cut AS (
  SELECT max(seq) AS last FROM oldest
  WHERE accepted_at < $2 OR ($3::bigint IS NOT NULL AND seq <= (
    SELECT seq FROM log WHERE group_number = (SELECT number FROM held)
    ORDER BY seq DESC LIMIT 1 OFFSET $3::bigint))
), moved AS (
  UPDATE groups SET kept_from = last + 1 FROM cut WHERE group_id = $1 AND last IS NOT NULL
), emptied AS (
  UPDATE log SET message = '' FROM cut
  WHERE group_number = (SELECT number FROM held)
    AND seq >= (SELECT kept_from FROM held) AND seq <= last RETURNING 1
)
SELECT count(*) AS n FROM emptied`;

async function note(db: Queries, fact: Fact, at: number): Promise<void> {
  await db.all(
    "INSERT INTO facts (name, at) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET at = excluded.at",
    fact,
    at,
  );
}

export function postgresUpkeep(db: Database): UpkeepStore {
  return {
    async sweep(now, limit) {
      return (await db.one<Record<string, number>>(SWEEP, now, limit)) ?? {};
    },

    async groupIds(after, limit) {
      const rows = await db.all<{ group_id: Bytes }>(
        "SELECT group_id FROM groups WHERE group_id > $1 ORDER BY group_id LIMIT $2",
        after ?? new Uint8Array(0),
        limit,
      );
      return rows.map((row) => row.group_id);
    },

    async trimLog(groupId, { before, keep, limit }) {
      const row = await db.one<{ n: number }>(TRIM, groupId, before ?? 0, keep ?? null, limit);
      return row?.n ?? 0;
    },

    async statistics() {
      const row = await db.one<Omit<Statistics, "facts">>(
        `SELECT (SELECT count(*) FROM accounts WHERE deleted_at IS NULL) AS accounts,
           (SELECT count(*) FROM devices WHERE revoked_at = 0) AS devices,
           (SELECT count(*) FROM groups) AS groups,
           (SELECT count(*) FROM inbox) AS welcomes,
           pg_database_size(current_database()) AS bytes`,
      );
      const facts = await db.all<{ name: Fact; at: number }>("SELECT name, at FROM facts");
      const none = { accounts: 0, devices: 0, groups: 0, welcomes: 0, bytes: 0 };
      return {
        ...(row ?? none),
        facts: Object.fromEntries(facts.map(({ name, at }) => [name, at])),
      };
    },

    note: (fact, at) => note(db, fact, at),

    async markRestored(now) {
      // It touches every group and device.
      await db.unhurried(async (tx) => {
        await tx.all(
          `UPDATE groups SET head = ended.head + $1 FROM group_ends AS ended
           WHERE ended.group_id = groups.group_id`,
          RESTORE_GAP,
        );
        await tx.all("UPDATE devices SET inbox_head = inbox_head + $1", RESTORE_GAP);
        await tx.all("DELETE FROM key_packages WHERE last_resort = false");
        await tx.all("DELETE FROM sessions");
        // Who signed in since is not known here.
        await tx.all("UPDATE devices SET instance = NULL WHERE instance IS NOT NULL");
        await note(tx, "restored", now);
      });
    },
  };
}
