/**
 * Accounts, devices and sessions in SQLite.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { sameBytes } from "../bytes.ts";
import { type Device, nameKey } from "../protocol/index.ts";
import {
  type AccountRow,
  type DeviceListChange,
  type DeviceRow,
  LISTED,
  type ListedRow,
  placeOf,
  SESSIONS,
  toAccount,
  toDevice,
} from "./rows.ts";
import { spendInvite } from "./sqlite-admission.ts";
import type { Database } from "./sqlite-database.ts";
import { clearInbox } from "./sqlite-inbox.ts";
import { atPlace } from "./sqlite-log.ts";
import type { AccountStore } from "./store.ts";
import { Undo } from "./undo.ts";

/** Lists the device, and answers with its number; undoes all if its key is another device's. Within a transaction. */
function listDevice(db: Database, accountId: Bytes, device: Device): number {
  const holder = db.one<DeviceRow>(
    "SELECT * FROM devices WHERE signature_key = ?",
    device.signatureKey,
  );
  const own =
    holder === undefined ||
    (sameBytes(holder.account_id, accountId) && sameBytes(holder.device_id, device.deviceId));
  if (!own) throw new Undo("key-in-use");
  const row = db.one<{ device: number }>(
    `INSERT INTO devices (account_id, device_id, signature_key, sign_in_key, revoked_at)
     VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (account_id, device_id) DO UPDATE
     SET sign_in_key = excluded.sign_in_key, revoked_at = excluded.revoked_at
     RETURNING device`,
    accountId,
    device.deviceId,
    device.signatureKey,
    device.signInKey,
    device.revokedAt,
  );
  return row?.device ?? 0;
}

/** Within a transaction: puts the list in its predecessor's place, with its devices; undoes all where it has another. */
export function putList(db: Database, next: DeviceListChange): void {
  const replaced = db.run(
    `UPDATE accounts SET device_list = ?, version = ?, hash = ?, expires_at = ?
     WHERE account_id = ? AND version = ? AND hash = ? AND deleted_at IS NULL`,
    next.deviceList,
    next.version,
    next.hash,
    next.expiresAt,
    next.accountId,
    next.version - 1n,
    next.previousHash,
  );
  if (replaced === 0) throw new Undo("device-list-conflict");
  for (const device of next.devices) listDevice(db, next.accountId, device);
}

/** Within a transaction: undoes all where the device entered a group after it is said to be revoked. */
export function refuseLateEntry(db: Database, device: number): void {
  const late = db.one(
    `SELECT 1 FROM devices JOIN members USING (device) JOIN groups USING (group_id)
     JOIN entries AS log ON group_number = number AND ${atPlace("number", "from_seq")}
     WHERE device = ? AND revoked_at > 0 AND log.accepted_at >= revoked_at * 1000`,
    device,
  );
  if (late) throw new Undo("entered-later");
}

export function sqliteAccounts(db: Database): AccountStore {
  return {
    async register(account) {
      const { accountId, name, devices, registration, nonce } = account;
      return db.transaction(() => {
        const held = db.one<AccountRow>("SELECT * FROM accounts WHERE account_id = ?", accountId);
        if (held !== undefined) {
          const same = sameBytes(held.registration, registration);
          return same ? "registered" : "account-exists";
        }
        const key = nameKey(name);
        if (db.one("SELECT 1 FROM accounts WHERE name_key = ?", key)) return "name-taken";
        if (account.invite !== undefined) spendInvite(db, account.invite);
        db.run(
          `INSERT INTO accounts
             (account_id, name, name_key, device_list, version, hash, expires_at, registration)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
          accountId,
          name,
          key,
          account.deviceList,
          account.version,
          account.hash,
          account.expiresAt,
          registration,
        );
        for (const device of devices) {
          const number = listDevice(db, accountId, device);
          db.run(
            "INSERT INTO nonces (device, nonce, expires_at) VALUES (?, ?, ?)",
            number,
            nonce.nonce,
            nonce.expiresAt,
          );
        }
        return "registered";
      });
    },

    async account(accountId) {
      const row = db.one<AccountRow>(
        "SELECT * FROM accounts WHERE account_id = ? AND length(device_list) > 0",
        accountId,
      );
      return row && toAccount(row);
    },

    async replaceDeviceList(next) {
      const { accountId } = next;
      return db.transaction(() => {
        const before = db.all<DeviceRow>(
          "SELECT * FROM devices WHERE account_id = ? AND revoked_at = 0",
          accountId,
        );
        putList(db, next);
        const revoked: number[] = [];
        for (const { device, sign_in_key: signInKey } of before) {
          const unchanged = db.one(
            "SELECT 1 FROM devices WHERE device = ? AND sign_in_key = ? AND revoked_at = 0",
            device,
            signInKey,
          );
          if (unchanged) continue;
          refuseLateEntry(db, device);
          revoked.push(device);
          db.run("DELETE FROM sessions WHERE device = ?", device);
          db.run("DELETE FROM key_packages WHERE device = ?", device);
          clearInbox(db, device, Number.MAX_SAFE_INTEGER);
        }
        return { revoked };
      });
    },

    async device(accountId, deviceId) {
      const where = "WHERE account_id = ? AND device_id = ?";
      const row = db.one<ListedRow>(`${LISTED} ${where}`, accountId, deviceId);
      return row && toDevice(row);
    },

    async devicesBySignatureKey(keys) {
      return keys.map((key) => {
        const row = db.one<ListedRow>(`${LISTED} WHERE signature_key = ?`, key);
        return row && toDevice(row);
      });
    },

    async startSession({ device, signInKey, nonce, instance, tokenHash, expiresAt, now }) {
      return db.transaction(() => {
        const current = db.one<{
          readonly instance: Bytes | null;
          readonly disabled_at: number | null;
        }>(
          `SELECT instance, disabled_at FROM devices JOIN accounts USING (account_id)
           WHERE device = ? AND sign_in_key = ? AND revoked_at = 0`,
          device,
          signInKey,
        );
        if (current === undefined) return "not-current";
        if (current.disabled_at !== null) return "disabled";
        const place = placeOf(instance, current.instance);
        if (place === "in-use") return "in-use";
        db.run("DELETE FROM nonces WHERE device = ? AND expires_at <= ?", device, now);
        if (nonce !== undefined) {
          const fresh = db.run(
            "INSERT INTO nonces (device, nonce, expires_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            device,
            nonce.nonce,
            nonce.expiresAt,
          );
          if (fresh === 0) return "nonce-used";
        }
        let ended: readonly { readonly token_hash: Bytes }[] = [];
        if (instance !== undefined && place === "next") {
          ended = db.all("DELETE FROM sessions WHERE device = ? RETURNING token_hash", device);
          db.run("UPDATE devices SET instance = ? WHERE device = ?", instance.id, device);
        }
        db.run(
          `DELETE FROM sessions WHERE device = ? AND token_hash NOT IN (
             SELECT token_hash FROM sessions WHERE device = ? AND expires_at > ?
             ORDER BY expires_at DESC LIMIT ?)`,
          device,
          device,
          now,
          SESSIONS - 1,
        );
        db.run(
          "INSERT INTO sessions (token_hash, device, started_at, expires_at) VALUES (?, ?, ?, ?)",
          tokenHash,
          device,
          now,
          expiresAt,
        );
        return { ended: ended.map((row) => row.token_hash) };
      });
    },

    async session(tokenHash, now) {
      const row = db.one<
        ListedRow & { readonly started_at: number; readonly session_expires_at: number }
      >(
        `SELECT devices.*, accounts.expires_at AS list_expires_at, sessions.started_at,
           sessions.expires_at AS session_expires_at
         FROM sessions JOIN devices USING (device) JOIN accounts USING (account_id)
         WHERE token_hash = ? AND sessions.expires_at > ? AND revoked_at = 0`,
        tokenHash,
        now,
      );
      if (row === undefined) return undefined;
      const { started_at: startedAt, session_expires_at: expiresAt } = row;
      return { device: toDevice(row), startedAt, expiresAt };
    },

    async sessionsLive(tokenHashes, now) {
      return tokenHashes.map((tokenHash) => {
        const live = db.one(
          `SELECT 1 FROM sessions JOIN devices USING (device)
           WHERE token_hash = ? AND expires_at > ? AND revoked_at = 0`,
          tokenHash,
          now,
        );
        return live !== undefined;
      });
    },

    async sessionsOf(accountId, now) {
      const rows = db.all<{
        readonly token_hash: Bytes;
        readonly device_id: Bytes;
        readonly started_at: number;
        readonly expires_at: number;
      }>(
        `SELECT token_hash, device_id, started_at, expires_at FROM devices JOIN sessions USING (device)
         WHERE account_id = ? AND revoked_at = 0 AND expires_at > ? ORDER BY started_at, token_hash`,
        accountId,
        now,
      );
      return rows.map((row) => ({
        tokenHash: row.token_hash,
        deviceId: row.device_id,
        startedAt: row.started_at,
        expiresAt: row.expires_at,
      }));
    },

    async endSession(accountId, tokenHash) {
      return db.transaction(() => {
        const ended = db.run(
          `DELETE FROM sessions WHERE token_hash = ?
           AND device IN (SELECT device FROM devices WHERE account_id = ?)`,
          tokenHash,
          accountId,
        );
        return ended > 0;
      });
    },

    async endSessions(accountId, deviceId) {
      return db.transaction(() => {
        const ended = db.all<{ device: number }>(
          `DELETE FROM sessions WHERE device IN (
             SELECT device FROM devices WHERE account_id = ? AND device_id = ifnull(?, device_id))
           RETURNING device`,
          accountId,
          deviceId ?? null,
        );
        return [...new Set(ended.map(({ device }) => device))];
      });
    },
  };
}
