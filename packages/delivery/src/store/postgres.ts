/**
 * The store for several processes: they share one PostgreSQL database, and keep nothing of their own that matters.
 * @module
 */

import { postgresAccountData } from "./postgres-account-data.ts";
import { postgresAccounts } from "./postgres-accounts.ts";
import { postgresAdmission } from "./postgres-admission.ts";
import { postgresBackupMarks } from "./postgres-backup-marks.ts";
import { postgresBlobs } from "./postgres-blobs.ts";
import { postgresContacts } from "./postgres-contacts.ts";
import { Database, type PostgresOptions } from "./postgres-database.ts";
import { postgresGroups } from "./postgres-groups.ts";
import { postgresInbox } from "./postgres-inbox.ts";
import { postgresKeyPackages } from "./postgres-key-packages.ts";
import { postgresReports } from "./postgres-reports.ts";
import { MIGRATIONS } from "./postgres-schema.ts";
import { postgresUpkeep } from "./postgres-upkeep.ts";
import type { Store } from "./store.ts";

/**
 * Opens `postgres://user:password@host:port/database`, and makes or updates its tables. Rejects with `StoreUnavailable`
 * where it can't be reached.
 */
export async function openPostgresStore(
  url: string,
  options: PostgresOptions = {},
): Promise<Store> {
  const db = await Database.open(url, options);
  const groups = postgresGroups(db);
  return {
    ...postgresAccounts(db),
    ...postgresAccountData(db),
    ...postgresAdmission(db),
    ...postgresContacts(db),
    ...postgresBackupMarks(db),
    ...postgresKeyPackages(db),
    ...groups,
    ...postgresReports(db),
    ...postgresInbox(db),
    ...postgresBlobs(db),
    ...postgresUpkeep(db),
    async ready() {
      const version = await db.version();
      if (version !== MIGRATIONS.length) throw new Error(`the database has version ${version}`);
    },
    settle: () => db.settle(),
    waiting: () => db.waiting + groups.waiting(),
    async close() {
      await groups.close();
      await db.close();
    },
  };
}
