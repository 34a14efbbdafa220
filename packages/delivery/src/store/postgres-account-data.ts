/**
 * All that PostgreSQL holds about an account: read, and deleted.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { putList, refuseLateEntry } from "./postgres-accounts.ts";
import { deleteBlobsOf } from "./postgres-blobs.ts";
import type { Database, Queries } from "./postgres-database.ts";
import { clearInbox } from "./postgres-inbox.ts";
import { type AccountRow, EVER, LISTED, type ListedRow, toDevice } from "./rows.ts";
import { type AccountDataStore, GONE } from "./store.ts";

/** Groups in which nobody but the account's devices ever was, of those it is or was in; and whether there are others. */
async function groupsOf(
  tx: Queries,
  accountId: Bytes,
): Promise<{ readonly own: readonly Bytes[]; readonly shared: boolean }> {
  // Held from here on: nobody enters meanwhile.
  const groups = await tx.all<{ group_id: Bytes }>(
    `SELECT group_id FROM groups WHERE group_id IN (
       SELECT group_id FROM devices JOIN members USING (device) WHERE account_id = $1)
     ORDER BY group_id FOR NO KEY UPDATE`,
    accountId,
  );
  const own = await tx.all<{ group_id: Bytes }>(
    `SELECT group_id FROM unnest($2::bytea[]) AS given (group_id) WHERE NOT EXISTS (
       SELECT 1 FROM members JOIN devices USING (device)
       WHERE members.group_id = given.group_id AND devices.account_id <> $1)`,
    accountId,
    groups.map((row) => row.group_id),
  );
  return { own: own.map((row) => row.group_id), shared: own.length < groups.length };
}

/** Their logs may be long: the sweep deletes them. Nobody is a member from here on, so nothing is added to them. */
async function clearGroups(tx: Queries, groups: readonly Bytes[]): Promise<void> {
  await tx.all(
    `WITH ended AS (
         INSERT INTO ended_groups SELECT unnest($1::bytea[]) ON CONFLICT DO NOTHING),
       unread AS (
         UPDATE groups SET version = ${GONE}, kept_from = ended.head + 1 FROM group_ends AS ended
         WHERE groups.group_id = ANY($1::bytea[]) AND ended.group_id = groups.group_id),
       gone AS (
         UPDATE members SET until_seq = ended.head FROM group_ends AS ended
         WHERE members.group_id = ANY($1::bytea[]) AND ended.group_id = members.group_id
           AND until_seq IS NULL),
       nodes AS (DELETE FROM group_nodes WHERE group_id = ANY($1::bytea[])),
       states AS (DELETE FROM group_states WHERE group_id = ANY($1::bytea[])),
       past AS (DELETE FROM past_states WHERE group_id = ANY($1::bytea[])),
       reported AS (DELETE FROM reports WHERE group_id = ANY($1::bytea[]))
     UPDATE links SET sealed_group_info = NULL WHERE group_id = ANY($1::bytea[])`,
    groups,
  );
}

async function clearDevices(tx: Queries, devices: readonly number[]): Promise<void> {
  await tx.all(
    `WITH ended AS (DELETE FROM sessions WHERE device = ANY($1::bigint[])),
       forgotten AS (DELETE FROM nonces WHERE device = ANY($1::bigint[])),
       packages AS (DELETE FROM key_packages WHERE device = ANY($1::bigint[]))
     DELETE FROM key_package_refs WHERE device = ANY($1::bigint[])`,
    devices,
  );
  await clearInbox(tx, devices, Number.MAX_SAFE_INTEGER);
}

export function postgresAccountData(db: Database): AccountDataStore {
  return {
    async isDeleted(accountId) {
      const where = "account_id = $1 AND deleted_at IS NOT NULL";
      return (await db.one(`SELECT 1 FROM accounts WHERE ${where}`, accountId)) !== undefined;
    },

    async devicesOf(accountId) {
      const rows = await db.all<ListedRow>(
        `${LISTED} WHERE account_id = $1 ORDER BY device`,
        accountId,
      );
      return rows.map(toDevice);
    },

    async keyPackagesOf(device) {
      const rows = await db.all<{
        readonly ref: Bytes;
        readonly suite: number;
        readonly not_before: number;
        readonly not_after: number;
        readonly last_resort: boolean;
        readonly key_package: Bytes;
      }>("SELECT * FROM key_packages WHERE device = $1 ORDER BY ref", device);
      return rows.map((row) => ({
        ref: row.ref,
        suite: row.suite,
        notBefore: BigInt(row.not_before),
        notAfter: BigInt(row.not_after),
        keyPackage: row.key_package,
        lastResort: row.last_resort,
      }));
    },

    async membershipsOf(device, { after, limit }) {
      const rows = await db.all<{
        readonly group_id: Bytes;
        readonly leaf_index: number;
        readonly from_seq: number;
        readonly until_seq: number | null;
      }>(
        `SELECT group_id, leaf_index, from_seq, until_seq FROM members
         WHERE device = $1 AND (group_id, from_seq) > ($2, $3) ORDER BY group_id, from_seq LIMIT $4`,
        device,
        after?.groupId ?? new Uint8Array(0),
        after?.fromSeq ?? 0,
        limit,
      );
      return rows.map((row) => ({
        groupId: row.group_id,
        leafIndex: row.leaf_index,
        fromSeq: row.from_seq,
        untilSeq: row.until_seq ?? undefined,
      }));
    },

    async deleteAccount(accountId, { final, now }) {
      return db.transaction(async (tx) => {
        const held = await tx.one<AccountRow>(
          "SELECT * FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE",
          accountId,
        );
        if (held === undefined) return "unknown";
        if (held.deleted_at !== null) return { devices: [] };
        if (final !== undefined) await putList(tx, final);
        const rows = await tx.all<{ device: number }>(
          "SELECT device FROM devices WHERE account_id = $1 ORDER BY device FOR NO KEY UPDATE",
          accountId,
        );
        const devices = rows.map(({ device }) => device);
        if (final !== undefined) await refuseLateEntry(tx, devices);
        await clearDevices(tx, devices);
        await tx.all(
          "UPDATE devices SET revoked_at = $2 WHERE account_id = $1 AND revoked_at = 0",
          accountId,
          Math.floor(now / 1000),
        );
        const { own, shared } = await groupsOf(tx, accountId);
        await clearGroups(tx, own);
        await deleteBlobsOf(tx, accountId, now);
        await tx.all("DELETE FROM backup_marks WHERE account_id = $1", accountId);
        await tx.all("DELETE FROM contacts WHERE account_id = $1 OR peer_id = $1", accountId);
        await tx.all(
          // No name has a control character, so none is in the way of this one.
          `UPDATE accounts SET name = '', name_key = chr(1) || encode(account_id, 'hex'),
             contact = NULL, asked_at = NULL, registration = '', deleted_at = $2
           WHERE account_id = $1`,
          accountId,
          now,
        );
        if (!shared) {
          await tx.all(
            "UPDATE accounts SET device_list = '', hash = '' WHERE account_id = $1",
            accountId,
          );
          await tx.all("UPDATE devices SET revoked_at = $2 WHERE account_id = $1", accountId, EVER);
        }
        return { devices };
      });
    },
  };
}
