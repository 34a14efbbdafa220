/**
 * What is known of blobs in SQLite. Their bytes are elsewhere.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { type BlobRow, toBlob } from "./rows.ts";
import type { Database } from "./sqlite-database.ts";
import type { BlobPart, BlobStore } from "./store.ts";

/** Ends all blobs of an account, within a transaction. */
export function deleteBlobsOf(db: Database, accountId: Bytes, now: number): void {
  db.run(
    "UPDATE blobs SET deleted_at = ? WHERE account_id = ? AND deleted_at IS NULL",
    now,
    accountId,
  );
  db.run("DELETE FROM blob_usage WHERE account_id = ?", accountId);
}

export function sqliteBlobs(db: Database): BlobStore {
  /** Gives back to the account what a blob of it took. */
  function release({ account_id: accountId, size }: BlobRow): void {
    db.run(
      "UPDATE blob_usage SET bytes = bytes - ?, blobs = blobs - 1 WHERE account_id = ?",
      size,
      accountId,
    );
  }

  return {
    async createBlob({ blobId, accountId, requestKey, size, expiresAt, now, quota }) {
      return db.transaction(() => {
        const held = db.one<BlobRow>(
          "SELECT * FROM blobs WHERE account_id = ? AND request_key = ?",
          accountId,
          requestKey,
        );
        if (held !== undefined) {
          const live = held.deleted_at === null && held.expires_at > now;
          return live && held.size === size ? toBlob(held) : "key-in-use";
        }
        const usage = db.one<{ readonly bytes: number; readonly blobs: number }>(
          "SELECT bytes, blobs FROM blob_usage WHERE account_id = ?",
          accountId,
        ) ?? { bytes: 0, blobs: 0 };
        if (usage.bytes + size > quota.bytes || usage.blobs + 1 > quota.blobs) return "over-quota";
        db.run(
          `INSERT INTO blob_usage (account_id, bytes, blobs) VALUES (?, ?, 1)
           ON CONFLICT (account_id) DO UPDATE
           SET bytes = bytes + excluded.bytes, blobs = blobs + 1`,
          accountId,
          size,
        );
        db.run(
          `INSERT INTO blobs (blob_id, account_id, request_key, size, expires_at)
           VALUES (?, ?, ?, ?, ?)`,
          blobId,
          accountId,
          requestKey,
          size,
          expiresAt,
        );
        return { blobId, accountId, size, stored: 0, expiresAt };
      });
    },

    async blob(blobId, now) {
      const row = db.one<BlobRow>(
        "SELECT * FROM blobs WHERE blob_id = ? AND deleted_at IS NULL AND expires_at > ?",
        blobId,
        now,
      );
      return row && toBlob(row);
    },

    async blobParts(blobId, from, limit) {
      return db.all<BlobPart>(
        `SELECT start, length, hash, name FROM blob_parts
         WHERE blob_id = ? AND start + length > ? ORDER BY start LIMIT ?`,
        blobId,
        from,
        limit,
      );
    },

    async appendBlobPart(blobId, { start, length, hash, name }, { now, keepUntil }) {
      return db.transaction(() => {
        const row = db.one<BlobRow>(
          `UPDATE blobs SET stored = stored + ?,
             expires_at = CASE WHEN stored + ? = size THEN ? ELSE expires_at END
           WHERE blob_id = ? AND stored = ? AND stored + ? <= size
             AND deleted_at IS NULL AND expires_at > ?
           RETURNING *`,
          length,
          length,
          keepUntil,
          blobId,
          start,
          length,
          now,
        );
        if (row === undefined) {
          const there = db.one(
            "SELECT 1 FROM blobs WHERE blob_id = ? AND deleted_at IS NULL AND expires_at > ?",
            blobId,
            now,
          );
          return there === undefined ? undefined : "moved";
        }
        db.run(
          "INSERT INTO blob_parts (blob_id, start, length, hash, name) VALUES (?, ?, ?, ?, ?)",
          blobId,
          start,
          length,
          hash,
          name,
        );
        return toBlob(row);
      });
    },

    async blobsOf(accountId, { after, limit, now }) {
      return db
        .all<BlobRow>(
          `SELECT * FROM blobs WHERE account_id = ? AND blob_id > ?
           AND deleted_at IS NULL AND expires_at > ? ORDER BY blob_id LIMIT ?`,
          accountId,
          after ?? new Uint8Array(0),
          now,
          limit,
        )
        .map(toBlob);
    },

    async deleteBlob(blobId, accountId, now) {
      return db.transaction(() => {
        const row = db.one<BlobRow>(
          `UPDATE blobs SET deleted_at = ? WHERE blob_id = ? AND account_id = ?
           AND deleted_at IS NULL AND expires_at > ? RETURNING *`,
          now,
          blobId,
          accountId,
          now,
        );
        if (row !== undefined) release(row);
        return row !== undefined;
      });
    },

    async blobsToRemove(before, limit) {
      return db
        .all<{ readonly blob_id: Bytes }>(
          `SELECT blob_id FROM blobs WHERE deleted_at <= ?
           UNION SELECT blob_id FROM blobs WHERE expires_at <= ? LIMIT ?`,
          before,
          before,
          limit,
        )
        .map((row) => row.blob_id);
    },

    async forgetBlob(blobId) {
      return db.transaction(() => {
        db.run("DELETE FROM blob_parts WHERE blob_id = ?", blobId);
        const row = db.one<BlobRow>("DELETE FROM blobs WHERE blob_id = ? RETURNING *", blobId);
        if (row?.deleted_at === null) release(row);
      });
    },
  };
}
