/**
 * Accounts, devices and sessions in SQLite.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Device } from "../protocol/index.ts";
import { type Database, Undo } from "./sqlite-database.ts";
import type { Account, AccountStore, ListedDevice } from "./store.ts";

/** How many sessions a device has at most; the oldest go first. */
const SESSIONS = 16;

interface AccountRow {
  readonly account_id: Bytes;
  readonly name: string;
  readonly device_list: Bytes;
  readonly version: number;
  readonly hash: Bytes;
  readonly registration: Bytes;
}

interface DeviceRow {
  readonly device: number;
  readonly account_id: Bytes;
  readonly device_id: Bytes;
  readonly signature_key: Bytes;
  readonly sign_in_key: Bytes;
}

function toAccount(row: AccountRow | undefined): Account | undefined {
  if (row === undefined) return undefined;
  return {
    accountId: row.account_id,
    name: row.name,
    deviceList: row.device_list,
    version: BigInt(row.version),
    hash: row.hash,
  };
}

function toDevice(row: DeviceRow | undefined): ListedDevice | undefined {
  if (row === undefined) return undefined;
  return {
    device: row.device,
    accountId: row.account_id,
    deviceId: row.device_id,
    signatureKey: row.signature_key,
    signInKey: row.sign_in_key,
  };
}

export function sqliteAccounts(db: Database): AccountStore {
  /** Lists the device, and answers with its number; undoes all if its key is another device's. */
  function list(accountId: Bytes, device: Device): number {
    const holder = db.one<DeviceRow>(
      "SELECT * FROM devices WHERE signature_key = ?",
      device.signatureKey,
    );
    const own =
      holder === undefined ||
      (Buffer.compare(holder.account_id, accountId) === 0 &&
        Buffer.compare(holder.device_id, device.deviceId) === 0);
    if (!own) throw new Undo("key-in-use");
    const row = db.one<{ device: number }>(
      `INSERT INTO devices (account_id, device_id, signature_key, sign_in_key, listed)
       VALUES (?, ?, ?, ?, 1)
       ON CONFLICT (account_id, device_id) DO UPDATE
       SET signature_key = excluded.signature_key, sign_in_key = excluded.sign_in_key, listed = 1
       RETURNING device`,
      accountId,
      device.deviceId,
      device.signatureKey,
      device.signInKey,
    );
    return row?.device ?? 0;
  }

  return {
    async register({ accountId, name, deviceList, version, hash, devices, registration, nonce }) {
      return db.transaction(() => {
        const held = db.one<AccountRow>("SELECT * FROM accounts WHERE account_id = ?", accountId);
        if (held !== undefined) {
          const same = Buffer.compare(held.registration, registration) === 0;
          return same ? "registered" : "account-exists";
        }
        if (db.one("SELECT 1 FROM accounts WHERE name = ?", name)) return "name-taken";
        db.run(
          `INSERT INTO accounts (account_id, name, device_list, version, hash, registration)
           VALUES (?, ?, ?, ?, ?, ?)`,
          accountId,
          name,
          deviceList,
          version,
          hash,
          registration,
        );
        for (const device of devices) {
          const number = list(accountId, device);
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
      return toAccount(db.one("SELECT * FROM accounts WHERE account_id = ?", accountId));
    },

    async accountByName(name) {
      return toAccount(db.one("SELECT * FROM accounts WHERE name = ?", name));
    },

    async replaceDeviceList({ accountId, deviceList, version, hash, previousHash, devices }) {
      return db.transaction(() => {
        const replaced = db.run(
          `UPDATE accounts SET device_list = ?, version = ?, hash = ?
           WHERE account_id = ? AND version = ? AND hash = ?`,
          deviceList,
          version,
          hash,
          accountId,
          version - 1n,
          previousHash,
        );
        if (replaced === 0) return "device-list-conflict";
        const before = db.all<DeviceRow>(
          "SELECT * FROM devices WHERE account_id = ? AND listed = 1",
          accountId,
        );
        db.run("UPDATE devices SET listed = 0 WHERE account_id = ?", accountId);
        for (const device of devices) list(accountId, device);
        const revoked: number[] = [];
        for (const old of before) {
          const unchanged = db.one(
            `SELECT 1 FROM devices
             WHERE device = ? AND listed = 1 AND signature_key = ? AND sign_in_key = ?`,
            old.device,
            old.signature_key,
            old.sign_in_key,
          );
          if (unchanged) continue;
          revoked.push(old.device);
          db.run("DELETE FROM sessions WHERE device = ?", old.device);
          db.run("DELETE FROM key_packages WHERE device = ?", old.device);
        }
        return { revoked };
      });
    },

    async device(accountId, deviceId) {
      return toDevice(
        db.one(
          "SELECT * FROM devices WHERE account_id = ? AND device_id = ? AND listed = 1",
          accountId,
          deviceId,
        ),
      );
    },

    async devicesBySignatureKey(keys) {
      return keys.map((key) =>
        toDevice(db.one("SELECT * FROM devices WHERE signature_key = ? AND listed = 1", key)),
      );
    },

    async startSession({ device, nonce, tokenHash, expiresAt, now }) {
      return db.transaction(() => {
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
          "INSERT INTO sessions (token_hash, device, expires_at) VALUES (?, ?, ?)",
          tokenHash,
          device,
          expiresAt,
        );
        return "started";
      });
    },

    async session(tokenHash, now) {
      const row = db.one<DeviceRow & { readonly expires_at: number }>(
        `SELECT devices.*, expires_at FROM sessions JOIN devices USING (device)
         WHERE token_hash = ? AND expires_at > ? AND listed = 1`,
        tokenHash,
        now,
      );
      const device = toDevice(row);
      return row && device && { device, expiresAt: row.expires_at };
    },

    async endSession(tokenHash) {
      db.run("DELETE FROM sessions WHERE token_hash = ?", tokenHash);
    },
  };
}
