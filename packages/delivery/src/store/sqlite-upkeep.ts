/**
 * Upkeep in SQLite: what has expired or is past its time goes, and what a copy from before can't know is made harmless.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Database } from "./sqlite-database.ts";
import { deleteEntries, fromSpan, IN_ORDER, NEWEST_FIRST } from "./sqlite-log.ts";
import {
  type Fact,
  INVITE_MEMORY,
  RESTORE_GAP,
  type Statistics,
  type UpkeepStore,
} from "./store.ts";

/** What has a time of its own: kind, table, key, and the condition under which a row is of no use any more. */
const EXPIRING = [
  ["sessions", "sessions", "token_hash", "expires_at <= :now"],
  ["nonces", "nonces", "(device, nonce)", "expires_at <= :now"],
  ["keyPackages", "key_packages", "ref", "not_after <= :now / 1000"],
  ["keyPackageRefs", "key_package_refs", "ref", "not_after <= :now / 1000"],
  ["invites", "invites", "hash", `expires_at <= :now - ${INVITE_MEMORY}`],
] as const;

function note(db: Database, fact: Fact, at: number): void {
  db.run(
    "INSERT INTO facts (name, at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at",
    fact,
    at,
  );
}

export function sqliteUpkeep(db: Database): UpkeepStore {
  return {
    async sweep(now, limit) {
      return db.transaction(() => {
        const counts = EXPIRING.map(([kind, table, key, condition]) => {
          const columns = key.replace(/[()]/g, "");
          const gone = db.run(
            `DELETE FROM ${table} WHERE ${key} IN (
               SELECT ${columns} FROM ${table} WHERE ${condition.replace(":now", "?")} LIMIT ?)`,
            now,
            limit,
          );
          return [kind, gone] as const;
        });
        const ended = db.all<{ group_id: Bytes; number: number }>(
          "SELECT group_id, number FROM ended_groups JOIN groups USING (group_id) LIMIT ?",
          limit,
        );
        let logEntries = 0;
        for (const { group_id, number } of ended) {
          const { gone, empty } = deleteEntries(db, number, limit - logEntries);
          logEntries += gone;
          if (!empty) break;
          db.run("DELETE FROM ended_groups WHERE group_id = ?", group_id);
        }
        return Object.fromEntries([...counts, ["logEntries", logEntries]]);
      });
    },

    async groupIds(after, limit) {
      return db
        .all<{ group_id: Bytes }>(
          "SELECT group_id FROM groups WHERE group_id > ? ORDER BY group_id LIMIT ?",
          after ?? new Uint8Array(0),
          limit,
        )
        .map((row) => row.group_id);
    },

    async trimLog(groupId, { before, keep, limit }) {
      return db.transaction(() => {
        const held = db.one<{ number: number; kept_from: number }>(
          "SELECT number, kept_from FROM groups WHERE group_id = ?",
          groupId,
        );
        if (held === undefined) return 0;
        const cut = db.one<{ last: number | null }>(
          // By rows, not by numbers: after a restore these have a gap.
          `SELECT max(seq) AS last FROM (
             SELECT seq, accepted_at FROM entries
             WHERE group_number = ?1 AND seq >= ?2 AND ${fromSpan("?1", "?2")}
             ORDER BY ${IN_ORDER} LIMIT ?3)
           WHERE accepted_at < ?4 OR (?5 AND seq <= (
             SELECT seq FROM entries WHERE group_number = ?1
             ORDER BY ${NEWEST_FIRST} LIMIT 1 OFFSET ?6))`,
          held.number,
          held.kept_from,
          limit,
          before ?? 0,
          keep === undefined ? 0 : 1,
          keep ?? 0,
        );
        if (cut === undefined || cut.last === null) return 0;
        db.run("UPDATE groups SET kept_from = ? WHERE group_id = ?", cut.last + 1, groupId);
        return db.run(
          `UPDATE log SET message = x'' WHERE id IN (
             SELECT id FROM entries WHERE group_number = ?1 AND seq BETWEEN ?2 AND ?3
             AND first_seq <= ?3 AND ${fromSpan("?1", "?2")})`,
          held.number,
          held.kept_from,
          cut.last,
        );
      });
    },

    async statistics() {
      const row = db.one<Omit<Statistics, "facts">>(
        `SELECT (SELECT count(*) FROM accounts WHERE deleted_at IS NULL) AS accounts,
           (SELECT count(*) FROM devices WHERE revoked_at = 0) AS devices,
           (SELECT count(*) FROM groups) AS groups,
           (SELECT count(*) FROM inbox) AS welcomes,
           (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size) AS bytes`,
      );
      const facts = db.all<{ name: Fact; at: number }>("SELECT name, at FROM facts");
      const none = { accounts: 0, devices: 0, groups: 0, welcomes: 0, bytes: 0 };
      return {
        ...(row ?? none),
        facts: Object.fromEntries(facts.map(({ name, at }) => [name, at])),
      };
    },

    async note(fact, at) {
      await db.transaction(() => note(db, fact, at));
    },

    async markRestored(now) {
      await db.transaction(() => {
        db.run(
          `UPDATE groups SET head = ended.head + ? FROM group_ends AS ended
           WHERE ended.group_id = groups.group_id`,
          RESTORE_GAP,
        );
        db.run("UPDATE devices SET inbox_head = inbox_head + ?", RESTORE_GAP);
        db.run("DELETE FROM key_packages WHERE last_resort = 0");
        db.run("DELETE FROM sessions");
        // Who signed in since is not known here.
        db.run("UPDATE devices SET instance = NULL WHERE instance IS NOT NULL");
        note(db, "restored", now);
      });
    },
  };
}
