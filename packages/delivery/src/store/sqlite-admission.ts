/**
 * Invites, and accounts as the operator sees them, in SQLite.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { nameKey } from "../protocol/index.ts";
import { type AccountRow, type InviteRow, inviteRefusal, toAccount, toInvite } from "./rows.ts";
import type { Database } from "./sqlite-database.ts";
import type { AdmissionStore } from "./store.ts";
import { Undo } from "./undo.ts";

/** Within a transaction: undoes all where this invite makes no account. */
export function spendInvite(
  db: Database,
  { hash, now }: { readonly hash: Bytes; readonly now: number },
): void {
  const spent = db.run(
    "UPDATE invites SET spent_at = ? WHERE hash = ? AND spent_at IS NULL AND expires_at > ?",
    now,
    hash,
    now,
  );
  if (spent > 0) return;
  throw new Undo(inviteRefusal(db.one<InviteRow>("SELECT * FROM invites WHERE hash = ?", hash)));
}

export function sqliteAdmission(db: Database): AdmissionStore {
  return {
    async addInvites(invites) {
      await db.transaction(() => {
        for (const { hash, madeAt, expiresAt } of invites) {
          db.run(
            "INSERT INTO invites (hash, made_at, expires_at) VALUES (?, ?, ?)",
            hash,
            madeAt,
            expiresAt,
          );
        }
      });
    },

    async invites({ after, limit }) {
      const rows = db.all<InviteRow>(
        "SELECT * FROM invites WHERE hash > ? ORDER BY hash LIMIT ?",
        after ?? new Uint8Array(0),
        limit,
      );
      return rows.map(toInvite);
    },

    async revokeInvite(hash) {
      return db.transaction(
        () => db.run("DELETE FROM invites WHERE hash = ? AND spent_at IS NULL", hash) > 0,
      );
    },

    async accounts({ after, limit }) {
      const rows = db.all<AccountRow>(
        `SELECT * FROM accounts WHERE name_key > ? AND deleted_at IS NULL
         ORDER BY name_key LIMIT ?`,
        after === undefined ? "" : nameKey(after),
        limit,
      );
      return rows.map(toAccount);
    },

    async findAccount(name) {
      const row =
        "name" in name
          ? db.one<AccountRow>(
              "SELECT * FROM accounts WHERE name_key = ? AND deleted_at IS NULL",
              nameKey(name.name),
            )
          : db.one<AccountRow>(
              "SELECT * FROM accounts WHERE account_id = ? AND deleted_at IS NULL",
              name.accountId,
            );
      return row && toAccount(row);
    },

    async setDisabled(accountId, since) {
      return db.transaction(() => {
        const set = db.run(
          `UPDATE accounts SET disabled_at = iif(? IS NULL, NULL, ifnull(disabled_at, ?))
           WHERE account_id = ? AND deleted_at IS NULL`,
          since ?? null,
          since ?? null,
          accountId,
        );
        if (set === 0) return "unknown";
        const rows = db.all<{ device: number }>(
          "SELECT device FROM devices WHERE account_id = ? ORDER BY device",
          accountId,
        );
        const devices = rows.map(({ device }) => device);
        if (since !== undefined) {
          for (const device of devices) db.run("DELETE FROM sessions WHERE device = ?", device);
        }
        return { devices };
      });
    },
  };
}
