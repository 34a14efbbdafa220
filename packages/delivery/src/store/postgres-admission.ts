/**
 * Invites, and accounts as the operator sees them, in PostgreSQL.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { nameKey } from "../protocol/index.ts";
import type { Database, Queries } from "./postgres-database.ts";
import { type AccountRow, type InviteRow, inviteRefusal, toAccount, toInvite } from "./rows.ts";
import type { AdmissionStore } from "./store.ts";
import { Undo } from "./undo.ts";

/** Within a transaction: undoes all where this invite makes no account. Who comes at the same time waits, and finds it spent. */
export async function spendInvite(
  tx: Queries,
  { hash, now }: { readonly hash: Bytes; readonly now: number },
): Promise<void> {
  const spent = await tx.one(
    `UPDATE invites SET spent_at = $2
     WHERE hash = $1 AND spent_at IS NULL AND expires_at > $2 RETURNING 1`,
    hash,
    now,
  );
  if (spent !== undefined) return;
  throw new Undo(
    inviteRefusal(await tx.one<InviteRow>("SELECT * FROM invites WHERE hash = $1", hash)),
  );
}

export function postgresAdmission(db: Database): AdmissionStore {
  return {
    async addInvites(invites) {
      await db.all(
        `INSERT INTO invites (hash, made_at, expires_at)
         SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[])`,
        invites.map(({ hash }) => hash),
        invites.map(({ madeAt }) => madeAt),
        invites.map(({ expiresAt }) => expiresAt),
      );
    },

    async invites({ after, limit }) {
      const rows = await db.all<InviteRow>(
        "SELECT * FROM invites WHERE hash > $1 ORDER BY hash LIMIT $2",
        after ?? new Uint8Array(0),
        limit,
      );
      return rows.map(toInvite);
    },

    async revokeInvite(hash) {
      const gone = await db.one(
        "DELETE FROM invites WHERE hash = $1 AND spent_at IS NULL RETURNING 1",
        hash,
      );
      return gone !== undefined;
    },

    async accounts({ after, limit }) {
      const rows = await db.all<AccountRow>(
        `SELECT * FROM accounts WHERE name_key > $1 AND deleted_at IS NULL
         ORDER BY name_key LIMIT $2`,
        after === undefined ? "" : nameKey(after),
        limit,
      );
      return rows.map(toAccount);
    },

    async findAccount(name) {
      const row =
        "name" in name
          ? await db.one<AccountRow>(
              "SELECT * FROM accounts WHERE name_key = $1 AND deleted_at IS NULL",
              nameKey(name.name),
            )
          : await db.one<AccountRow>(
              "SELECT * FROM accounts WHERE account_id = $1 AND deleted_at IS NULL",
              name.accountId,
            );
      return row && toAccount(row);
    },

    async setDisabled(accountId, since) {
      return db.transaction(async (tx) => {
        const set = await tx.one(
          `UPDATE accounts
           SET disabled_at = CASE WHEN $2::bigint IS NOT NULL THEN coalesce(disabled_at, $2) END
           WHERE account_id = $1 AND deleted_at IS NULL RETURNING 1`,
          accountId,
          since ?? null,
        );
        if (set === undefined) return "unknown";
        // They are held: a sign-in that is under way comes before all of this, or meets it.
        const rows = await tx.all<{ device: number }>(
          "SELECT device FROM devices WHERE account_id = $1 ORDER BY device FOR NO KEY UPDATE",
          accountId,
        );
        const devices = rows.map(({ device }) => device);
        if (since !== undefined) {
          await tx.all("DELETE FROM sessions WHERE device = ANY($1::bigint[])", devices);
        }
        return { devices };
      });
    },
  };
}
