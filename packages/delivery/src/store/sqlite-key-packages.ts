/**
 * Key packages in SQLite.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { sameBytes } from "../bytes.ts";
import type { KeyPackageCount } from "../protocol/index.ts";
import type { Database } from "./sqlite-database.ts";
import type { ClaimedKeyPackage, KeyPackageStore, StoredKeyPackage } from "./store.ts";
import { Undo } from "./undo.ts";

export function sqliteKeyPackages(db: Database): KeyPackageStore {
  function count(device: number, now: number): KeyPackageCount {
    const rows = db.all<{
      readonly suite: number;
      readonly available: number;
      readonly last_resort: number;
      readonly served_at: number | null;
    }>(
      `SELECT suite, count(*) FILTER (WHERE last_resort = 0) AS available,
              max(last_resort) AS last_resort, max(served_at) AS served_at
       FROM key_packages WHERE device = ? AND not_after > ? GROUP BY suite ORDER BY suite`,
      device,
      Math.floor(now / 1000),
    );
    return {
      pools: rows.map(({ suite, available, last_resort, served_at }) => ({
        suite,
        available,
        lastResort: last_resort === 1,
        ...(served_at !== null && { lastResortServedAt: served_at }),
      })),
    };
  }

  function add(device: number, added: StoredKeyPackage, lastResort: 0 | 1): void {
    const { ref, suite, notBefore, notAfter, keyPackage, capabilities } = added;
    const isNew = db.run(
      "INSERT INTO key_package_refs (ref, device, not_after) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      ref,
      device,
      notAfter,
    );
    if (isNew === 0) return;
    if (lastResort === 1) {
      db.run(
        "DELETE FROM key_packages WHERE device = ? AND suite = ? AND last_resort = 1",
        device,
        suite,
      );
    }
    db.run(
      `INSERT INTO key_packages
         (ref, device, suite, not_before, not_after, last_resort, key_package, capabilities)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      ref,
      device,
      suite,
      notBefore,
      notAfter,
      lastResort,
      keyPackage,
      capabilities === undefined ? null : JSON.stringify(capabilities),
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
        if (counted.pools.some(({ available }) => available > limit)) throw new Undo("full");
        return counted;
      });
    },

    async countKeyPackages(device, now) {
      return count(device, now);
    },

    async claimKeyPackages(accountId, suites, now, more = {}) {
      const { reserve = 0, requires = [], devices: named } = more;
      const seconds = Math.floor(now / 1000);
      const wanted = `device = ? AND not_before <= ? AND not_after > ?
        AND suite IN (SELECT value FROM json_each(?))
        AND (capabilities IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?) AS required
          WHERE required.value NOT IN (SELECT value FROM json_each(capabilities))))`;
      const inOrder = "ORDER BY (SELECT key FROM json_each(?) WHERE value = suite), not_after";
      const [suiteList, requiredList] = [JSON.stringify(suites), JSON.stringify(requires)];
      return db.transaction(() => {
        const claimed: ClaimedKeyPackage[] = [];
        const devices = db.all<{ device: number; device_id: Bytes }>(
          "SELECT device, device_id FROM devices WHERE account_id = ? AND revoked_at = 0",
          accountId,
        );
        for (const { device, device_id: deviceId } of devices) {
          if (named?.some((id) => sameBytes(id, deviceId)) === false) continue;
          const values = [device, seconds, seconds, suiteList, requiredList, suiteList];
          const last = db.one<{ ref: Bytes; key_package: Bytes }>(
            `SELECT ref, key_package FROM key_packages
             WHERE ${wanted} AND last_resort = 1 ${inOrder} LIMIT 1`,
            ...values,
          );
          const row = db.one<{ key_package: Bytes }>(
            `DELETE FROM key_packages WHERE ref = (
               SELECT ref FROM key_packages WHERE ${wanted} AND last_resort = 0
               ${inOrder} LIMIT 1 OFFSET ?)
             RETURNING key_package`,
            ...values,
            last === undefined ? 0 : reserve,
          );
          if (row === undefined && last !== undefined) {
            db.run("UPDATE key_packages SET served_at = ? WHERE ref = ?", now, last.ref);
          }
          const lastResort = row === undefined;
          const keyPackage = (row ?? last)?.key_package;
          if (keyPackage !== undefined) claimed.push({ device, deviceId, keyPackage, lastResort });
        }
        return claimed;
      });
    },
  };
}
