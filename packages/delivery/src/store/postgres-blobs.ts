/**
 * What is known of blobs in PostgreSQL. Their bytes are elsewhere.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { Database, Queries } from "./postgres-database.ts";
import { type BlobRow, toBlob } from "./rows.ts";
import type { BlobPart, BlobStore, StoredBlob } from "./store.ts";

/** Ends all blobs of an account, within a transaction. */
export async function deleteBlobsOf(tx: Queries, accountId: Bytes, now: number): Promise<void> {
  await tx.all(
    `WITH ended AS (
       UPDATE blobs SET deleted_at = $2 WHERE account_id = $1 AND deleted_at IS NULL)
     DELETE FROM blob_usage WHERE account_id = $1`,
    accountId,
    now,
  );
}

export function postgresBlobs(db: Database): BlobStore {
  async function blob(blobId: Bytes, now: number): Promise<StoredBlob | undefined> {
    const row = await db.one<BlobRow>(
      "SELECT * FROM blobs WHERE blob_id = $1 AND deleted_at IS NULL AND expires_at > $2",
      blobId,
      now,
    );
    return row && toBlob(row);
  }

  return {
    blob,

    async createBlob({ blobId, accountId, requestKey, size, expiresAt, now, quota }) {
      return db.transaction(async (tx) => {
        const held = await tx.one<BlobRow>(
          "SELECT * FROM blobs WHERE account_id = $1 AND request_key = $2",
          accountId,
          requestKey,
        );
        if (held !== undefined) {
          const live = held.deleted_at === null && held.expires_at > now;
          return live && held.size === size ? toBlob(held) : "key-in-use";
        }
        if (size > quota.bytes || quota.blobs < 1) return "over-quota";
        const counted = await tx.one(
          `INSERT INTO blob_usage AS held (account_id, bytes, blobs) VALUES ($1, $2, 1)
           ON CONFLICT (account_id) DO UPDATE
           SET bytes = held.bytes + excluded.bytes, blobs = held.blobs + 1
           WHERE held.bytes + excluded.bytes <= $3 AND held.blobs < $4
           RETURNING 1`,
          accountId,
          size,
          quota.bytes,
          quota.blobs,
        );
        if (counted === undefined) return "over-quota";
        // Where the same request was faster this fails, and the next attempt finds what that made.
        await tx.all(
          `INSERT INTO blobs (blob_id, account_id, request_key, size, expires_at)
           VALUES ($1, $2, $3, $4, $5)`,
          blobId,
          accountId,
          requestKey,
          size,
          expiresAt,
        );
        return { blobId, accountId, size, stored: 0, expiresAt };
      });
    },

    async blobParts(blobId, from, limit) {
      return db.all<BlobPart>(
        `SELECT start, length, hash, name FROM blob_parts
         WHERE blob_id = $1 AND start + length > $2 ORDER BY start LIMIT $3`,
        blobId,
        from,
        limit,
      );
    },

    async appendBlobPart(blobId, { start, length, hash, name }, { now, keepUntil }) {
      const row = await db.one<BlobRow>(
        `WITH moved AS (
           UPDATE blobs SET stored = stored + $3,
             expires_at = CASE WHEN stored + $3 = size THEN $6 ELSE expires_at END
           WHERE blob_id = $1 AND stored = $2 AND stored + $3 <= size
             AND deleted_at IS NULL AND expires_at > $7
           RETURNING *),
         added AS (
           INSERT INTO blob_parts (blob_id, start, length, hash, name)
           SELECT blob_id, $2, $3, $4::bytea, $5::text FROM moved)
         SELECT * FROM moved`,
        blobId,
        start,
        length,
        hash,
        name,
        keepUntil,
        now,
      );
      if (row !== undefined) return toBlob(row);
      return (await blob(blobId, now)) === undefined ? undefined : "moved";
    },

    async blobsOf(accountId, { after, limit, now }) {
      const rows = await db.all<BlobRow>(
        `SELECT * FROM blobs WHERE account_id = $1 AND blob_id > $2
         AND deleted_at IS NULL AND expires_at > $3 ORDER BY blob_id LIMIT $4`,
        accountId,
        after ?? new Uint8Array(0),
        now,
        limit,
      );
      return rows.map(toBlob);
    },

    async deleteBlob(blobId, accountId, now) {
      const row = await db.one(
        `WITH ended AS (
           UPDATE blobs SET deleted_at = $3 WHERE blob_id = $1 AND account_id = $2
             AND deleted_at IS NULL AND expires_at > $3 RETURNING account_id, size),
         released AS (
           UPDATE blob_usage SET bytes = bytes - size, blobs = blobs - 1
           FROM ended WHERE blob_usage.account_id = ended.account_id)
         SELECT 1 FROM ended`,
        blobId,
        accountId,
        now,
      );
      return row !== undefined;
    },

    async blobsToRemove(before, limit) {
      const rows = await db.all<{ readonly blob_id: Bytes }>(
        "SELECT blob_id FROM blobs WHERE deleted_at <= $1 OR expires_at <= $1 LIMIT $2",
        before,
        limit,
      );
      return rows.map((row) => row.blob_id);
    },

    async forgetBlob(blobId) {
      await db.all(
        `WITH parts AS (DELETE FROM blob_parts WHERE blob_id = $1),
         gone AS (
           DELETE FROM blobs WHERE blob_id = $1 RETURNING account_id, size, deleted_at)
         UPDATE blob_usage SET bytes = bytes - size, blobs = blobs - 1
         FROM gone WHERE blob_usage.account_id = gone.account_id AND deleted_at IS NULL`,
        blobId,
      );
    },
  };
}
