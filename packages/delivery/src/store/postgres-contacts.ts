/**
 * Who may reach whom, in PostgreSQL.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { sameBytes } from "../bytes.ts";
import { nameKey } from "../protocol/index.ts";
import type { Database, Queries } from "./postgres-database.ts";
import { type AccountRow, toAccount } from "./rows.ts";
import type { AccountName, Contact, ContactRule, ContactStore } from "./store.ts";

/** The id of no account: what is asked about the unknown is asked about this. */
const NOBODY = new Uint8Array(32);

interface NamedRow extends AccountRow {
  readonly contact: ContactRule | null;
}

async function named(db: Queries, target: AccountName): Promise<NamedRow | undefined> {
  return "name" in target
    ? db.one(
        "SELECT * FROM accounts WHERE name_key = $1 AND name = $2 AND deleted_at IS NULL",
        nameKey(target.name),
        target.name,
      )
    : db.one(
        "SELECT * FROM accounts WHERE account_id = $1 AND deleted_at IS NULL",
        target.accountId,
      );
}

async function devicesOf(db: Queries, accountId: Bytes): Promise<readonly number[]> {
  const rows = await db.all<{ device: number }>(
    "SELECT device FROM devices WHERE account_id = $1 AND revoked_at = 0 ORDER BY device",
    accountId,
  );
  return rows.map(({ device }) => device);
}

export function postgresContacts(db: Database): ContactStore {
  return {
    async reach(caller, target, rule) {
      const row = await named(db, target);
      const accountId = row?.account_id ?? NOBODY;
      // The groups begin with the caller's, so that it takes as long for an account that is in none.
      const seen = await db.one<{
        readonly theirs: Contact["state"] | "asked" | null;
        readonly asked_at: number | null;
        readonly shared: boolean;
      }>(
        `SELECT
           (SELECT state FROM contacts WHERE account_id = $2 AND peer_id = $1) AS theirs,
           (SELECT asked_at FROM contacts WHERE account_id = $1 AND peer_id = $2) AS asked_at,
           EXISTS (
             SELECT 1 FROM (
               SELECT group_id FROM devices JOIN members USING (device)
               WHERE account_id = $1 AND revoked_at = 0 AND until_seq IS NULL OFFSET 0) AS mine
             WHERE EXISTS (
               SELECT 1 FROM members JOIN devices USING (device)
               WHERE members.group_id = mine.group_id AND until_seq IS NULL
                 AND account_id = $2 AND revoked_at = 0)) AS shared`,
        caller,
        accountId,
      );
      if (row === undefined || seen === undefined) return undefined;
      if (sameBytes(accountId, caller)) return { account: toAccount(row), known: true };
      if (seen.theirs === "blocked") return undefined;
      const known = seen.theirs === "allowed" || seen.asked_at !== null || seen.shared;
      if (!known && (row.contact ?? rule) !== "open") return undefined;
      return { account: toAccount(row), known };
    },

    async unwilling(caller, groupId, devices) {
      const rows = await db.all<{ device: number }>(
        `SELECT listed.device FROM devices AS listed
         JOIN contacts ON contacts.account_id = listed.account_id AND contacts.peer_id = $1
         WHERE listed.device = ANY($3::bigint[]) AND contacts.state = 'blocked' AND NOT EXISTS (
           SELECT 1 FROM devices AS theirs JOIN members USING (device)
           WHERE theirs.account_id = listed.account_id AND members.group_id = $2
             AND members.until_seq IS NULL)`,
        caller,
        groupId,
        devices,
      );
      return rows.map(({ device }) => device);
    },

    async askContact({ from, target, now, askedSince, refusedSince, limit }) {
      return db.transaction(async (tx): Promise<readonly number[]> => {
        await tx.all("UPDATE accounts SET asked_at = $2 WHERE account_id = $1", from, now);
        const row = await named(tx, target);
        if (row === undefined || sameBytes(row.account_id, from)) return [];
        const { account_id: accountId } = row;
        await tx.all(
          `DELETE FROM contacts WHERE account_id = $1
           AND (state = 'asked' AND asked_at < $2 OR state = 'refused' AND changed_at < $3)`,
          accountId,
          askedSince,
          refusedSince,
        );
        const asked = await tx.one(
          `INSERT INTO contacts (account_id, peer_id, state, asked_at, changed_at)
           VALUES ($1, $2, 'asked', $3, $3) ON CONFLICT DO NOTHING RETURNING 1`,
          accountId,
          from,
          now,
        );
        if (asked === undefined) return [];
        await tx.all(
          `DELETE FROM contacts WHERE account_id = $1 AND state = 'asked' AND peer_id IN (
             SELECT peer_id FROM contacts WHERE account_id = $1 AND state = 'asked' AND peer_id <> $2
             ORDER BY asked_at DESC, peer_id OFFSET $3)`,
          accountId,
          from,
          limit - 1,
        );
        return devicesOf(tx, accountId);
      });
    },

    async withdrawContact(from, target) {
      const accountId = (await named(db, target))?.account_id ?? NOBODY;
      const withdrawn = await db.one(
        `DELETE FROM contacts WHERE account_id = $1 AND peer_id = $2 AND state = 'asked'
         RETURNING 1`,
        accountId,
        from,
      );
      return withdrawn === undefined ? [] : devicesOf(db, accountId);
    },

    async contactRequests(accountId, askedSince) {
      const rows = await db.all<AccountRow & { readonly request_at: number }>(
        `SELECT accounts.*, contacts.asked_at AS request_at
         FROM contacts JOIN accounts ON accounts.account_id = contacts.peer_id
         WHERE contacts.account_id = $1 AND state = 'asked' AND contacts.asked_at >= $2
         ORDER BY contacts.asked_at, peer_id`,
        accountId,
        askedSince,
      );
      return rows.map((row) => ({ account: toAccount(row), askedAt: row.request_at }));
    },

    async contactsOf(accountId, { after, limit }) {
      const rows = await db.all<{
        readonly peer_id: Bytes;
        readonly state: Contact["state"];
        readonly changed_at: number;
      }>(
        `SELECT peer_id, state, changed_at FROM contacts
         WHERE account_id = $1 AND state <> 'asked' AND peer_id > $2 ORDER BY peer_id LIMIT $3`,
        accountId,
        after ?? new Uint8Array(0),
        limit,
      );
      return rows.map((row) => ({
        accountId: row.peer_id,
        state: row.state,
        changedAt: row.changed_at,
      }));
    },

    async setContact(accountId, { accountId: peer, state, changedAt, limit }) {
      return db.transaction(async (tx) => {
        // One at a time for an account: the limit is exact.
        await tx.all("SELECT 1 FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE", accountId);
        if (state === "refused") {
          await tx.all(
            `UPDATE contacts SET state = 'refused', asked_at = NULL, changed_at = $3
             WHERE account_id = $1 AND peer_id = $2 AND state IN ('asked', 'allowed')`,
            accountId,
            peer,
            changedAt,
          );
          return "set";
        }
        const others = await tx.one<{ n: number }>(
          `SELECT count(*) AS n FROM contacts
           WHERE account_id = $1 AND state IN ('allowed', 'blocked') AND peer_id <> $2`,
          accountId,
          peer,
        );
        if ((others?.n ?? 0) >= limit) return "full";
        const waited = await tx.one(
          "SELECT 1 FROM contacts WHERE account_id = $1 AND peer_id = $2 AND state = 'asked'",
          accountId,
          peer,
        );
        // Who asked may be reached; who is blocked takes that with it.
        await tx.all(
          `INSERT INTO contacts (account_id, peer_id, state, changed_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (account_id, peer_id) DO UPDATE SET state = excluded.state,
             changed_at = excluded.changed_at,
             asked_at = CASE excluded.state WHEN 'allowed' THEN contacts.asked_at END`,
          accountId,
          peer,
          state,
          changedAt,
        );
        return waited !== undefined && state === "allowed" ? "answered" : "set";
      });
    },

    async forgetContact(accountId, peer) {
      await db.all("DELETE FROM contacts WHERE account_id = $1 AND peer_id = $2", accountId, peer);
    },

    async contactRule(accountId) {
      const row = await db.one<{ readonly contact: ContactRule | null }>(
        "SELECT contact FROM accounts WHERE account_id = $1",
        accountId,
      );
      return row?.contact ?? undefined;
    },

    async setContactRule(accountId, rule) {
      await db.all(
        "UPDATE accounts SET contact = $2 WHERE account_id = $1",
        accountId,
        rule ?? null,
      );
    },
  };
}
