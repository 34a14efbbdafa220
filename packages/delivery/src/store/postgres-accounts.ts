/**
 * Accounts, devices and sessions in PostgreSQL.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { keyOf, sameBytes } from "../bytes.ts";
import { type Device, nameKey } from "../protocol/index.ts";
import { spendInvite } from "./postgres-admission.ts";
import type { Database, Queries } from "./postgres-database.ts";
import { clearInbox } from "./postgres-inbox.ts";
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
import type { AccountStore } from "./store.ts";
import { Undo } from "./undo.ts";

/** Lists the devices, and answers with their numbers; undoes all if the key of one is another device's. */
async function list(
  tx: Queries,
  accountId: Bytes,
  devices: readonly Device[],
): Promise<readonly number[]> {
  const holders = await tx.all<DeviceRow>(
    "SELECT * FROM devices WHERE signature_key = ANY($1::bytea[])",
    devices.map(({ signatureKey }) => signatureKey),
  );
  const mayHold = (device: Device, holder: DeviceRow): boolean =>
    !sameBytes(holder.signature_key, device.signatureKey) ||
    (sameBytes(holder.account_id, accountId) && sameBytes(holder.device_id, device.deviceId));
  const keys = new Set(devices.map(({ signatureKey }) => keyOf(signatureKey)));
  if (
    keys.size < devices.length ||
    !holders.every((holder) => devices.every((device) => mayHold(device, holder)))
  ) {
    throw new Undo("key-in-use");
  }
  const rows = await tx.all<{ device: number }>(
    `INSERT INTO devices (account_id, device_id, signature_key, sign_in_key, revoked_at)
     SELECT $1::bytea, given.* FROM unnest($2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[]) AS given
     ON CONFLICT (account_id, device_id) DO UPDATE
     SET sign_in_key = excluded.sign_in_key, revoked_at = excluded.revoked_at
     RETURNING device`,
    accountId,
    devices.map(({ deviceId }) => deviceId),
    devices.map(({ signatureKey }) => signatureKey),
    devices.map(({ signInKey }) => signInKey),
    devices.map(({ revokedAt }) => revokedAt),
  );
  return rows.map(({ device }) => device);
}

/**
 * Within a transaction: puts the list in its predecessor's place, with its devices; undoes all where it has another. Answers
 * with the devices that were not revoked before. They are held from here on: a commit that lets one of them in
 * comes before this or after it.
 */
export async function putList(tx: Queries, next: DeviceListChange): Promise<readonly DeviceRow[]> {
  const replaced = await tx.one(
    `UPDATE accounts SET device_list = $1, version = $2, hash = $3, expires_at = $4
     WHERE account_id = $5 AND version = $6 AND hash = $7 AND deleted_at IS NULL RETURNING 1`,
    next.deviceList,
    next.version,
    next.hash,
    next.expiresAt,
    next.accountId,
    next.version - 1n,
    next.previousHash,
  );
  if (replaced === undefined) throw new Undo("device-list-conflict");
  const before = await tx.all<DeviceRow>(
    "SELECT * FROM devices WHERE account_id = $1 AND revoked_at = 0 ORDER BY device FOR NO KEY UPDATE",
    next.accountId,
  );
  await list(tx, next.accountId, next.devices);
  return before;
}

/** Within a transaction: undoes all where one of the devices entered a group after it is said to be revoked. */
export async function refuseLateEntry(tx: Queries, devices: readonly number[]): Promise<void> {
  const late = await tx.one(
    `SELECT 1 FROM devices JOIN members USING (device)
     JOIN groups USING (group_id) JOIN log ON group_number = number AND seq = from_seq
     WHERE device = ANY($1::bigint[]) AND revoked_at > 0
       AND log.accepted_at >= revoked_at * 1000
     LIMIT 1`,
    devices,
  );
  if (late !== undefined) throw new Undo("entered-later");
}

export function postgresAccounts(db: Database): AccountStore {
  return {
    async register(account) {
      const { accountId, name, devices, registration, nonce } = account;
      const registered = await db.transaction(async (tx) => {
        // Waits for another that is under way with this account or name.
        const isNew = await tx.one(
          `INSERT INTO accounts
             (account_id, name, name_key, device_list, version, hash, expires_at, registration)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING 1`,
          accountId,
          name,
          nameKey(name),
          account.deviceList,
          account.version,
          account.hash,
          account.expiresAt,
          registration,
        );
        if (isNew === undefined) {
          const held = await tx.one<AccountRow>(
            "SELECT * FROM accounts WHERE account_id = $1",
            accountId,
          );
          if (held === undefined) return "name-taken";
          return sameBytes(held.registration, registration) ? "again" : "account-exists";
        }
        if (account.invite !== undefined) await spendInvite(tx, account.invite);
        await tx.all(
          `INSERT INTO nonces (device, nonce, expires_at)
           SELECT device, $2::bytea, $3::bigint FROM unnest($1::bigint[]) AS device`,
          await list(tx, accountId, devices),
          nonce.nonce,
          nonce.expiresAt,
        );
        return "registered";
      });
      if (registered !== "again") return registered;
      await db.settle();
      return "registered";
    },

    async account(accountId) {
      const row = await db.one<AccountRow>(
        "SELECT * FROM accounts WHERE account_id = $1 AND octet_length(device_list) > 0",
        accountId,
      );
      return row && toAccount(row);
    },

    async replaceDeviceList(next) {
      return db.transaction(async (tx) => {
        const before = await putList(tx, next);
        const changed = await tx.all<{ device: number }>(
          `SELECT device FROM devices
           JOIN unnest($1::bigint[], $2::bytea[]) AS held (device, sign_in_key) USING (device)
           WHERE devices.sign_in_key <> held.sign_in_key OR revoked_at <> 0`,
          before.map(({ device }) => device),
          before.map((row) => row.sign_in_key),
        );
        const revoked = changed.map(({ device }) => device);
        if (revoked.length === 0) return { revoked };
        await refuseLateEntry(tx, revoked);
        await tx.all("DELETE FROM sessions WHERE device = ANY($1::bigint[])", revoked);
        await tx.all("DELETE FROM key_packages WHERE device = ANY($1::bigint[])", revoked);
        await clearInbox(tx, revoked, Number.MAX_SAFE_INTEGER);
        return { revoked };
      });
    },

    async device(accountId, deviceId) {
      const where = "WHERE account_id = $1 AND device_id = $2";
      const row = await db.one<ListedRow>(`${LISTED} ${where}`, accountId, deviceId);
      return row && toDevice(row);
    },

    async devicesBySignatureKey(keys) {
      const rows = await db.all<ListedRow>(
        `${LISTED} WHERE signature_key = ANY($1::bytea[])`,
        keys,
      );
      const byKey = new Map(rows.map((row) => [keyOf(row.signature_key), toDevice(row)]));
      return keys.map((key) => byKey.get(keyOf(key)));
    },

    async startSession({ device, signInKey, nonce, instance, tokenHash, expiresAt, now }) {
      return db.transaction(async (tx) => {
        // The device is held first: a list that changes it, or another instance, comes before all of this, or after it.
        const current = await tx.one<{ readonly instance: Bytes | null }>(
          `SELECT instance FROM devices WHERE device = $1 AND sign_in_key = $2 AND revoked_at = 0
           FOR NO KEY UPDATE`,
          device,
          signInKey,
        );
        if (current === undefined) return "not-current";
        const place = placeOf(instance, current.instance);
        if (place === "in-use") return "in-use";
        const next = place === "next" ? (instance?.id ?? null) : null;
        const rows = await tx.all<{
          readonly started: boolean;
          readonly disabled: boolean;
          readonly token_hash: Bytes | null;
        }>(
          `WITH old_nonces AS (
             DELETE FROM nonces WHERE device = $1 AND expires_at <= $6 AND nonce IS DISTINCT FROM $2
           ), fresh AS (
             INSERT INTO nonces (device, nonce, expires_at)
             SELECT $1, $2, $3::bigint WHERE $2::bytea IS NOT NULL
             ON CONFLICT (device, nonce) DO UPDATE SET expires_at = excluded.expires_at
             WHERE nonces.expires_at <= $6
             RETURNING 1
           ), disabled AS (
             SELECT 1 FROM devices JOIN accounts USING (account_id)
             WHERE device = $1 AND disabled_at IS NOT NULL
           ), lets AS (
             SELECT 1 WHERE ($2::bytea IS NULL OR EXISTS (SELECT 1 FROM fresh))
             AND NOT EXISTS (SELECT 1 FROM disabled)
           ), old_sessions AS (
             DELETE FROM sessions WHERE device = $1 AND EXISTS (SELECT 1 FROM lets)
             AND ($8::bytea IS NOT NULL OR token_hash NOT IN (
               SELECT token_hash FROM sessions WHERE device = $1 AND expires_at > $6
               ORDER BY expires_at DESC LIMIT $7))
             RETURNING token_hash
           ), moved AS (
             UPDATE devices SET instance = $8
             WHERE device = $1 AND $8::bytea IS NOT NULL AND EXISTS (SELECT 1 FROM lets)
           ), started AS (
             INSERT INTO sessions (token_hash, device, started_at, expires_at)
             SELECT $4::bytea, $1, $6, $5::bigint WHERE EXISTS (SELECT 1 FROM lets)
             RETURNING 1
           )
           SELECT outcome.*, old_sessions.token_hash
           FROM (SELECT EXISTS (SELECT 1 FROM started) AS started,
               EXISTS (SELECT 1 FROM disabled) AS disabled) AS outcome
             LEFT JOIN old_sessions ON $8::bytea IS NOT NULL`,
          device,
          nonce?.nonce ?? null,
          nonce?.expiresAt ?? null,
          tokenHash,
          expiresAt,
          now,
          SESSIONS - 1,
          next,
        );
        if (rows[0]?.disabled === true) return "disabled";
        if (rows[0]?.started !== true) return "nonce-used";
        return { ended: rows.flatMap((row) => row.token_hash ?? []) };
      });
    },

    async session(tokenHash, now) {
      const row = await db.one<
        ListedRow & { readonly started_at: number; readonly session_expires_at: number }
      >(
        `SELECT devices.*, accounts.expires_at AS list_expires_at, sessions.started_at,
           sessions.expires_at AS session_expires_at
         FROM sessions JOIN devices USING (device) JOIN accounts USING (account_id)
         WHERE token_hash = $1 AND sessions.expires_at > $2 AND revoked_at = 0`,
        tokenHash,
        now,
      );
      if (row === undefined) return undefined;
      const { started_at: startedAt, session_expires_at: expiresAt } = row;
      return { device: toDevice(row), startedAt, expiresAt };
    },

    async sessionsLive(tokenHashes, now) {
      const rows = await db.all<{ token_hash: Bytes }>(
        `SELECT token_hash FROM sessions JOIN devices USING (device)
         WHERE token_hash = ANY($1::bytea[]) AND expires_at > $2 AND revoked_at = 0`,
        tokenHashes,
        now,
      );
      const live = new Set(rows.map((row) => keyOf(row.token_hash)));
      return tokenHashes.map((tokenHash) => live.has(keyOf(tokenHash)));
    },

    async sessionsOf(accountId, now) {
      const rows = await db.all<{
        readonly token_hash: Bytes;
        readonly device_id: Bytes;
        readonly started_at: number;
        readonly expires_at: number;
      }>(
        `SELECT token_hash, device_id, started_at, expires_at FROM devices JOIN sessions USING (device)
         WHERE account_id = $1 AND revoked_at = 0 AND expires_at > $2
         ORDER BY started_at, token_hash`,
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
      const ended = await db.one(
        `DELETE FROM sessions WHERE token_hash = $1
         AND device IN (SELECT device FROM devices WHERE account_id = $2) RETURNING 1`,
        tokenHash,
        accountId,
      );
      if (ended === undefined) await db.settle();
      return ended !== undefined;
    },

    async endSessions(accountId, deviceId) {
      const ended = await db.all<{ device: number }>(
        `DELETE FROM sessions WHERE device IN (
           SELECT device FROM devices
           WHERE account_id = $1 AND device_id = coalesce($2::bytea, device_id))
         RETURNING device`,
        accountId,
        deviceId ?? null,
      );
      if (ended.length === 0) await db.settle();
      return [...new Set(ended.map(({ device }) => device))];
    },
  };
}
