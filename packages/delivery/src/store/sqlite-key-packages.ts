/**
 * Key packages in SQLite.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { KeyPackageCount } from "../protocol/index.ts";
import type { Database } from "./sqlite-database.ts";
import type { ClaimedKeyPackage, KeyPackageStore, StoredKeyPackage } from "./store.ts";
import { Undo } from "./undo.ts";

export function sqliteKeyPackages(db: Database): KeyPackageStore {
  function count(device: number, now: number): KeyPackageCount {
    const row = db.one<{ available: number; last_resort: number }>(
      `SELECT count(*) FILTER (WHERE last_resort = 0) AS available,
              count(*) FILTER (WHERE last_resort = 1) AS last_resort
       FROM key_packages WHERE device = ? AND not_after > ?`,
      device,
      Math.floor(now / 1000),
    );
    return { available: row?.available ?? 0, lastResort: row?.last_resort === 1 };
  }

  function add(device: number, added: StoredKeyPackage, lastResort: 0 | 1): void {
    const { ref, suite, notBefore, notAfter, keyPackage } = added;
    const isNew = db.run(
      "INSERT INTO key_package_refs (ref, device, not_after) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      ref,
      device,
      notAfter,
    );
    if (isNew === 0) return;
    if (lastResort === 1) {
      db.run("DELETE FROM key_packages WHERE device = ? AND last_resort = 1", device);
    }
    db.run(
      `INSERT INTO key_packages (ref, device, suite, not_before, not_after, last_resort, key_package)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
      ref,
      device,
      suite,
      notBefore,
      notAfter,
      lastResort,
      keyPackage,
    );
  }

  return {
    async addKeyPackages(device, { keyPackages, lastResort, limit, now }) {
      return db.transaction(() => {
        const seconds = Math.floor(now / 1000);
        db.run("DELETE FROM key_packages WHERE device = ? AND not_after <= ?", device, seconds);
        db.run("DELETE FROM key_package_refs WHERE device = ? AND not_after <= ?", device, seconds);
        for (const keyPackage of keyPackages) add(device, keyPackage, 0);
        if (lastResort !== undefined) add(device, lastResort, 1);
        const counted = count(device, now);
        if (counted.available > limit) throw new Undo("full");
        return counted;
      });
    },

    async countKeyPackages(device, now) {
      return count(device, now);
    },

    async claimKeyPackages(accountId, suites, now, reserve = 0) {
      const seconds = Math.floor(now / 1000);
      const wanted = `device = ? AND not_before <= ? AND not_after > ?
        AND suite IN (SELECT value FROM json_each(?))`;
      return db.transaction(() => {
        const claimed: ClaimedKeyPackage[] = [];
        const devices = db.all<{ device: number; device_id: Bytes }>(
          "SELECT device, device_id FROM devices WHERE account_id = ? AND revoked_at = 0",
          accountId,
        );
        for (const { device, device_id: deviceId } of devices) {
          const values = [device, seconds, seconds, JSON.stringify(suites)];
          const last = db.one<{ key_package: Bytes }>(
            `SELECT key_package FROM key_packages WHERE ${wanted} AND last_resort = 1`,
            ...values,
          );
          const kept = last === undefined ? 0 : reserve;
          const row = db.one<{ key_package: Bytes }>(
            `DELETE FROM key_packages WHERE ref = (
               SELECT ref FROM key_packages WHERE ${wanted} AND last_resort = 0 LIMIT 1 OFFSET ?)
             RETURNING key_package`,
            ...values,
            kept,
          );
          const lastResort = row === undefined;
          const keyPackage = (row ?? last)?.key_package;
          if (keyPackage !== undefined) claimed.push({ device, deviceId, keyPackage, lastResort });
        }
        return claimed;
      });
    },
  };
}
