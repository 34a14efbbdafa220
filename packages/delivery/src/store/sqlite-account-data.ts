/**
 * All that SQLite holds about an account: read, and deleted.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { type AccountRow, EVER, LISTED, type ListedRow, toDevice } from "./rows.ts";
import { putList, refuseLateEntry } from "./sqlite-accounts.ts";
import { deleteBlobsOf } from "./sqlite-blobs.ts";
import type { Database } from "./sqlite-database.ts";
import { clearInbox } from "./sqlite-inbox.ts";
import { type AccountDataStore, GONE } from "./store.ts";

export function sqliteAccountData(db: Database): AccountDataStore {
  function devicesOf(accountId: Bytes): readonly ListedRow[] {
    return db.all<ListedRow>(`${LISTED} WHERE account_id = ? ORDER BY device`, accountId);
  }

  /** The groups of the account, each with whether a device of another ever was in it. */
  function groupsOf(accountId: Bytes) {
    return db.all<{ readonly group_id: Bytes; readonly shared: number }>(
      `SELECT DISTINCT group_id, EXISTS (
         SELECT 1 FROM members AS other JOIN devices AS theirs USING (device)
         WHERE other.group_id = members.group_id AND theirs.account_id <> devices.account_id
       ) AS shared
       FROM devices JOIN members USING (device) WHERE account_id = ?`,
      accountId,
    );
  }

  function clearGroup(groupId: Bytes): void {
    // The log may be long: the sweep deletes it. Nobody is a member from here on, so nothing is added to it.
    db.run(
      `UPDATE groups SET version = ${GONE}, kept_from = ended.head + 1
       FROM group_ends AS ended WHERE groups.group_id = ? AND ended.group_id = groups.group_id`,
      groupId,
    );
    db.run(
      `UPDATE members SET until_seq = ended.head FROM group_ends AS ended
       WHERE members.group_id = ? AND ended.group_id = members.group_id AND until_seq IS NULL`,
      groupId,
    );
    db.run("INSERT INTO ended_groups VALUES (?) ON CONFLICT DO NOTHING", groupId);
    db.run("DELETE FROM group_nodes WHERE group_id = ?", groupId);
    db.run("DELETE FROM group_states WHERE group_id = ?", groupId);
    db.run("DELETE FROM past_states WHERE group_id = ?", groupId);
    db.run("DELETE FROM reports WHERE group_id = ?", groupId);
    db.run("UPDATE links SET sealed_group_info = NULL WHERE group_id = ?", groupId);
  }

  function clearDevice(device: number): void {
    db.run("DELETE FROM sessions WHERE device = ?", device);
    db.run("DELETE FROM nonces WHERE device = ?", device);
    db.run("DELETE FROM key_packages WHERE device = ?", device);
    db.run("DELETE FROM key_package_refs WHERE device = ?", device);
    clearInbox(db, device, Number.MAX_SAFE_INTEGER);
  }

  return {
    async isDeleted(accountId) {
      const where = "account_id = ? AND deleted_at IS NOT NULL";
      return db.one(`SELECT 1 FROM accounts WHERE ${where}`, accountId) !== undefined;
    },

    async devicesOf(accountId) {
      return devicesOf(accountId).map(toDevice);
    },

    async keyPackagesOf(device) {
      const rows = db.all<{
        readonly ref: Bytes;
        readonly suite: number;
        readonly not_before: number;
        readonly not_after: number;
        readonly last_resort: number;
        readonly key_package: Bytes;
      }>("SELECT * FROM key_packages WHERE device = ? ORDER BY ref", device);
      return rows.map((row) => ({
        ref: row.ref,
        suite: row.suite,
        notBefore: BigInt(row.not_before),
        notAfter: BigInt(row.not_after),
        keyPackage: row.key_package,
        lastResort: row.last_resort === 1,
      }));
    },

    async membershipsOf(device, { after, limit }) {
      const rows = db.all<{
        readonly group_id: Bytes;
        readonly leaf_index: number;
        readonly from_seq: number;
        readonly until_seq: number | null;
      }>(
        `SELECT group_id, leaf_index, from_seq, until_seq FROM members
         WHERE device = ? AND (group_id, from_seq) > (?, ?) ORDER BY group_id, from_seq LIMIT ?`,
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
      return db.transaction(() => {
        const held = db.one<AccountRow>("SELECT * FROM accounts WHERE account_id = ?", accountId);
        if (held === undefined) return "unknown";
        if (held.deleted_at !== null) return { devices: [] };
        if (final !== undefined) putList(db, final);
        const devices = devicesOf(accountId).map(({ device }) => device);
        for (const device of devices) {
          if (final !== undefined) refuseLateEntry(db, device);
          clearDevice(device);
        }
        db.run(
          "UPDATE devices SET revoked_at = ? WHERE account_id = ? AND revoked_at = 0",
          Math.floor(now / 1000),
          accountId,
        );
        const groups = groupsOf(accountId);
        for (const group of groups) if (group.shared === 0) clearGroup(group.group_id);
        deleteBlobsOf(db, accountId, now);
        db.run("DELETE FROM backup_marks WHERE account_id = ?", accountId);
        db.run("DELETE FROM contacts WHERE account_id = ? OR peer_id = ?", accountId, accountId);
        db.run(
          // No name has a control character, so none is in the way of this one.
          `UPDATE accounts SET name = '', name_key = char(1) || hex(account_id), contact = NULL,
             asked_at = NULL, registration = x'', deleted_at = ? WHERE account_id = ?`,
          now,
          accountId,
        );
        if (!groups.some((group) => group.shared === 1)) {
          db.run(
            "UPDATE accounts SET device_list = x'', hash = x'' WHERE account_id = ?",
            accountId,
          );
          db.run("UPDATE devices SET revoked_at = ? WHERE account_id = ?", EVER, accountId);
        }
        return { devices };
      });
    },
  };
}
