/**
 * The embedded store: one process, one SQLite file.
 * @module
 */

import { sqliteAccountData } from "./sqlite-account-data.ts";
import { sqliteAccounts } from "./sqlite-accounts.ts";
import { sqliteAdmission } from "./sqlite-admission.ts";
import { sqliteBackupMarks } from "./sqlite-backup-marks.ts";
import { sqliteBlobs } from "./sqlite-blobs.ts";
import { sqliteContacts } from "./sqlite-contacts.ts";
import { Database } from "./sqlite-database.ts";
import { sqliteGroups } from "./sqlite-groups.ts";
import { sqliteInbox } from "./sqlite-inbox.ts";
import { sqliteKeyPackages } from "./sqlite-key-packages.ts";
import { sqliteReports } from "./sqlite-reports.ts";
import { MIGRATIONS } from "./sqlite-schema.ts";
import { sqliteUpkeep } from "./sqlite-upkeep.ts";
import type { Store } from "./store.ts";

/**
 * Opens the file, or makes it, with its neighbours `-wal` and `-shm`.
 * `":memory:"` is a store that is gone when it is closed.
 */
export function openSqliteStore(path: string): Store {
  const db = new Database(path);
  return {
    ...sqliteAccounts(db),
    ...sqliteAccountData(db),
    ...sqliteAdmission(db),
    ...sqliteContacts(db),
    ...sqliteBackupMarks(db),
    ...sqliteKeyPackages(db),
    ...sqliteGroups(db),
    ...sqliteReports(db),
    ...sqliteInbox(db),
    ...sqliteBlobs(db),
    async settle() {},
    ...sqliteUpkeep(db),
    async ready() {
      const version = db.version();
      if (version !== MIGRATIONS.length) throw new Error(`the database has version ${version}`);
    },
    waiting: () => db.waiting,
    async close() {
      db.close();
    },
  };
}
