/**
 * What accounts noted about their newest backups, in SQLite.
 * @module
 */

import type { BackupMark } from "../protocol/index.ts";
import type { Database } from "./sqlite-database.ts";
import type { BackupMarkStore } from "./store.ts";

export function sqliteBackupMarks(db: Database): BackupMarkStore {
  return {
    async backupMark(accountId) {
      return db.one<BackupMark>(
        "SELECT number, seal FROM backup_marks WHERE account_id = ?",
        accountId,
      );
    },

    async setBackupMark(accountId, { number, seal }) {
      return db.transaction(() => {
        const set = db.run(
          `INSERT INTO backup_marks (account_id, number, seal)
           SELECT account_id, ?, ? FROM accounts WHERE account_id = ? AND deleted_at IS NULL
           ON CONFLICT (account_id) DO UPDATE SET number = excluded.number, seal = excluded.seal
           WHERE excluded.number > backup_marks.number
             OR excluded.number = backup_marks.number AND excluded.seal = backup_marks.seal`,
          number,
          seal,
          accountId,
        );
        return set > 0 ? "set" : "older";
      });
    },
  };
}
