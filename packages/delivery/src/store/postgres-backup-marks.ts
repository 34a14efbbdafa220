/**
 * What accounts noted about their newest backups, in PostgreSQL.
 * @module
 */

import type { BackupMark } from "../protocol/index.ts";
import type { Database } from "./postgres-database.ts";
import type { BackupMarkStore } from "./store.ts";

export function postgresBackupMarks(db: Database): BackupMarkStore {
  return {
    async backupMark(accountId) {
      return db.one<BackupMark>(
        "SELECT number, seal FROM backup_marks WHERE account_id = $1",
        accountId,
      );
    },

    async setBackupMark(accountId, { number, seal }) {
      return db.transaction(async (tx) => {
        // The account is held, so that it is not deleted meanwhile.
        const set = await tx.one(
          `INSERT INTO backup_marks (account_id, number, seal)
           SELECT account_id, $2::bigint, $3::bytea FROM accounts
           WHERE account_id = $1 AND deleted_at IS NULL FOR SHARE
           ON CONFLICT (account_id) DO UPDATE SET number = excluded.number, seal = excluded.seal
           WHERE excluded.number > backup_marks.number
             OR excluded.number = backup_marks.number AND excluded.seal = backup_marks.seal
           RETURNING 1`,
          accountId,
          number,
          seal,
        );
        return set === undefined ? "older" : "set";
      });
    },
  };
}
