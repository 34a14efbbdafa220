/**
 * Key packages in PostgreSQL.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { KeyPackageCount } from "../protocol/index.ts";
import type { Database, Queries } from "./postgres-database.ts";
import type { KeyPackageStore, StoredKeyPackage } from "./store.ts";
import { Undo } from "./undo.ts";

/** $2: suites; $3: now, in seconds; $5: what it has to be capable of. */
const WANTED = `not_before <= $3 AND not_after > $3 AND suite = ANY($2::bigint[])
  AND (capabilities IS NULL OR capabilities @> $5::text[])`;

async function count(db: Queries, device: number, now: number): Promise<KeyPackageCount> {
  const rows = await db.all<{
    readonly suite: number;
    readonly available: number;
    readonly last_resort: boolean;
    readonly served_at: number | null;
  }>(
    `SELECT suite, count(*) FILTER (WHERE NOT last_resort) AS available,
            bool_or(last_resort) AS last_resort, max(served_at) AS served_at
     FROM key_packages WHERE device = $1 AND not_after > $2 GROUP BY suite ORDER BY suite`,
    device,
    Math.floor(now / 1000),
  );
  return {
    pools: rows.map(({ suite, available, last_resort: lastResort, served_at: servedAt }) => ({
      suite,
      available,
      lastResort,
      ...(servedAt !== null && { lastResortServedAt: servedAt }),
    })),
  };
}

/** Those that were never there before; a last resort takes the place of that of its suite. */
async function add(
  tx: Queries,
  device: number,
  added: readonly StoredKeyPackage[],
  lastResort: boolean,
): Promise<void> {
  if (added.length === 0) return;
  await tx.all(
    `WITH given AS (
       SELECT * FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::text[])
         AS given (ref, suite, not_before, not_after, key_package, capabilities)
     ), fresh AS (
       INSERT INTO key_package_refs (ref, device, not_after)
       SELECT ref, $1::bigint, not_after FROM given ON CONFLICT DO NOTHING RETURNING ref
     )
     INSERT INTO key_packages
       (ref, device, suite, not_before, not_after, last_resort, key_package, capabilities)
     SELECT ref, $1, suite, not_before, not_after, ${lastResort}, key_package,
       CASE WHEN capabilities IS NOT NULL
         THEN ARRAY(SELECT jsonb_array_elements_text(capabilities::jsonb)) END
     FROM given JOIN fresh USING (ref)
     ON CONFLICT (device, suite) WHERE last_resort DO UPDATE SET ref = excluded.ref,
       not_before = excluded.not_before, not_after = excluded.not_after,
       key_package = excluded.key_package, capabilities = excluded.capabilities, served_at = NULL`,
    device,
    added.map(({ ref }) => ref),
    added.map(({ suite }) => suite),
    added.map(({ notBefore }) => notBefore),
    added.map(({ notAfter }) => notAfter),
    added.map(({ keyPackage }) => keyPackage),
    // As JSON: an array of arrays would have to be rectangular.
    added.map(({ capabilities }) =>
      capabilities === undefined ? null : JSON.stringify(capabilities),
    ),
  );
}

export function postgresKeyPackages(db: Database): KeyPackageStore {
  return {
    async addKeyPackages(device, { keyPackages, lastResort, limit, now }) {
      return db.transaction(async (tx) => {
        const seconds = Math.floor(now / 1000);
        // One at a time for a device: the limit is exact.
        await tx.all("SELECT 1 FROM devices WHERE device = $1 FOR NO KEY UPDATE", device);
        await tx.all(
          `WITH old AS (DELETE FROM key_packages WHERE device = $1 AND not_after <= $2)
           DELETE FROM key_package_refs WHERE device = $1 AND not_after <= $2`,
          device,
          seconds,
        );
        await add(tx, device, keyPackages, false);
        if (lastResort !== undefined) await add(tx, device, [lastResort], true);
        const counted = await count(tx, device, now);
        if (counted.pools.some(({ available }) => available > limit)) throw new Undo("full");
        return counted;
      });
    },

    async countKeyPackages(device, now) {
      return count(db, device, now);
    },

    async claimKeyPackages(accountId, suites, now, more = {}) {
      const { reserve = 0, requires = [], devices: named } = more;
      return db.transaction(async (tx) => {
        // One claim at a time for a device: what it keeps is exact.
        const devices = await tx.all<{ device: number; device_id: Bytes }>(
          `SELECT device, device_id FROM devices WHERE account_id = $1 AND revoked_at = 0
             AND ($2::bytea[] IS NULL OR device_id = ANY($2::bytea[]))
           ORDER BY device FOR NO KEY UPDATE`,
          accountId,
          named ?? null,
        );
        const rows = await tx.all<{ device: number; key_package: Bytes; last_resort: boolean }>(
          `WITH asked AS (
             SELECT * FROM unnest($1::bigint[]) AS asked (device)
           ), last AS (
             SELECT DISTINCT ON (device) device, ref FROM key_packages
             WHERE device = ANY($1::bigint[]) AND last_resort AND ${WANTED}
             ORDER BY device, array_position($2::bigint[], suite)
           ), picked AS (
             SELECT one.ref FROM asked CROSS JOIN LATERAL (
               SELECT ref FROM key_packages
               WHERE key_packages.device = asked.device AND NOT last_resort AND ${WANTED}
               ORDER BY array_position($2::bigint[], suite), not_after
               LIMIT 1 OFFSET CASE
                 WHEN EXISTS (SELECT 1 FROM last WHERE last.device = asked.device) THEN $4::bigint ELSE 0
               END
               FOR UPDATE SKIP LOCKED) AS one
           ), claimed AS (
             DELETE FROM key_packages USING picked WHERE key_packages.ref = picked.ref
             RETURNING device, key_package
           ), served AS (
             UPDATE key_packages SET served_at = $6 FROM last
             WHERE key_packages.ref = last.ref
               AND NOT EXISTS (SELECT 1 FROM claimed WHERE claimed.device = last.device)
             RETURNING key_packages.device, key_package
           )
           SELECT device, key_package, false AS last_resort FROM claimed
           UNION ALL
           SELECT device, key_package, true FROM served`,
          devices.map(({ device }) => device),
          suites,
          Math.floor(now / 1000),
          reserve,
          requires,
          now,
        );
        return devices.flatMap(({ device, device_id: deviceId }) => {
          const row = rows.find((one) => one.device === device);
          if (row === undefined) return [];
          return [{ device, deviceId, keyPackage: row.key_package, lastResort: row.last_resort }];
        });
      });
    },
  };
}
