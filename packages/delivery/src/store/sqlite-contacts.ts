/**
 * Who may reach whom, in SQLite.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { sameBytes } from "../bytes.ts";
import { type AccountRow, toAccount } from "./rows.ts";
import type { Database } from "./sqlite-database.ts";
import type { AccountName, Contact, ContactRule, ContactStore } from "./store.ts";

/** The id of no account: what is asked about the unknown is asked about this. */
const NOBODY = new Uint8Array(32);

interface NamedRow extends AccountRow {
  readonly contact: ContactRule | null;
}

export function sqliteContacts(db: Database): ContactStore {
  function named(target: AccountName): NamedRow | undefined {
    return "name" in target
      ? db.one("SELECT * FROM accounts WHERE name = ? AND deleted_at IS NULL", target.name)
      : db.one(
          "SELECT * FROM accounts WHERE account_id = ? AND deleted_at IS NULL",
          target.accountId,
        );
  }

  function stateOf(accountId: Bytes, peer: Bytes) {
    return db.one<{
      readonly state: Contact["state"] | "asked";
      readonly asked_at: number | null;
      readonly changed_at: number;
    }>(
      "SELECT state, asked_at, changed_at FROM contacts WHERE account_id = ? AND peer_id = ?",
      accountId,
      peer,
    );
  }

  function devicesOf(accountId: Bytes): readonly number[] {
    return db
      .all<{ device: number }>(
        "SELECT device FROM devices WHERE account_id = ? AND revoked_at = 0",
        accountId,
      )
      .map(({ device }) => device);
  }

  /** Begins with the caller's groups, so that it takes as long for an account that is in none. */
  function together(caller: Bytes, other: Bytes): boolean {
    const group = db.one(
      `SELECT 1 FROM devices AS mine
       CROSS JOIN members AS here ON here.device = mine.device AND here.until_seq IS NULL
       CROSS JOIN devices AS theirs ON theirs.account_id = ? AND theirs.revoked_at = 0
       CROSS JOIN members AS there ON there.group_id = here.group_id
         AND there.device = theirs.device AND there.until_seq IS NULL
       WHERE mine.account_id = ? AND mine.revoked_at = 0 LIMIT 1`,
      other,
      caller,
    );
    return group !== undefined;
  }

  return {
    async reach(caller, target, rule) {
      const row = named(target);
      const accountId = row?.account_id ?? NOBODY;
      const theirs = stateOf(accountId, caller)?.state;
      const asked = stateOf(caller, accountId)?.asked_at ?? null;
      const shared = together(caller, accountId);
      if (row === undefined) return undefined;
      if (sameBytes(accountId, caller)) return { account: toAccount(row), known: true };
      if (theirs === "blocked") return undefined;
      const known = theirs === "allowed" || asked !== null || shared;
      if (!known && (row.contact ?? rule) !== "open") return undefined;
      return { account: toAccount(row), known };
    },

    async unwilling(caller, groupId, devices) {
      const rows = db.all<{ device: number }>(
        `SELECT listed.device FROM json_each(?) CROSS JOIN devices AS listed ON listed.device = json_each.value
         JOIN contacts ON contacts.account_id = listed.account_id AND contacts.peer_id = ?
         WHERE contacts.state = 'blocked' AND NOT EXISTS (
           SELECT 1 FROM devices AS theirs CROSS JOIN members ON members.device = theirs.device
           WHERE theirs.account_id = listed.account_id AND members.group_id = ?
             AND members.until_seq IS NULL)`,
        JSON.stringify(devices),
        caller,
        groupId,
      );
      return rows.map(({ device }) => device);
    },

    async askContact({ from, target, now, askedSince, refusedSince, limit }) {
      return db.transaction((): readonly number[] => {
        db.run("UPDATE accounts SET asked_at = ? WHERE account_id = ?", now, from);
        const row = named(target);
        if (row === undefined || sameBytes(row.account_id, from)) return [];
        const { account_id: accountId } = row;
        db.run(
          `DELETE FROM contacts WHERE account_id = ?
           AND (state = 'asked' AND asked_at < ? OR state = 'refused' AND changed_at < ?)`,
          accountId,
          askedSince,
          refusedSince,
        );
        if (stateOf(accountId, from) !== undefined) return [];
        db.run(
          `DELETE FROM contacts WHERE account_id = ? AND state = 'asked' AND peer_id IN (
             SELECT peer_id FROM contacts WHERE account_id = ? AND state = 'asked'
             ORDER BY asked_at DESC, peer_id LIMIT -1 OFFSET ?)`,
          accountId,
          accountId,
          limit - 1,
        );
        db.run(
          `INSERT INTO contacts (account_id, peer_id, state, asked_at, changed_at)
           VALUES (?, ?, 'asked', ?, ?)`,
          accountId,
          from,
          now,
          now,
        );
        return devicesOf(accountId);
      });
    },

    async withdrawContact(from, target) {
      return db.transaction((): readonly number[] => {
        const accountId = named(target)?.account_id ?? NOBODY;
        const waited = stateOf(accountId, from)?.state === "asked";
        db.run(
          "DELETE FROM contacts WHERE account_id = ? AND peer_id = ? AND state = 'asked'",
          accountId,
          from,
        );
        return waited ? devicesOf(accountId) : [];
      });
    },

    async contactRequests(accountId, askedSince) {
      const rows = db.all<AccountRow & { readonly request_at: number }>(
        `SELECT accounts.*, contacts.asked_at AS request_at
         FROM contacts JOIN accounts ON accounts.account_id = contacts.peer_id
         WHERE contacts.account_id = ? AND state = 'asked' AND contacts.asked_at >= ?
         ORDER BY contacts.asked_at, peer_id`,
        accountId,
        askedSince,
      );
      return rows.map((row) => ({ account: toAccount(row), askedAt: row.request_at }));
    },

    async contactsOf(accountId, { after, limit }) {
      const rows = db.all<{
        readonly peer_id: Bytes;
        readonly state: Contact["state"];
        readonly changed_at: number;
      }>(
        `SELECT peer_id, state, changed_at FROM contacts
         WHERE account_id = ? AND state <> 'asked' AND peer_id > ? ORDER BY peer_id LIMIT ?`,
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
      return db.transaction(() => {
        if (state === "refused") {
          db.run(
            `UPDATE contacts SET state = 'refused', asked_at = NULL, changed_at = ?
             WHERE account_id = ? AND peer_id = ? AND state IN ('asked', 'allowed')`,
            changedAt,
            accountId,
            peer,
          );
          return "set";
        }
        const others = db.one<{ n: number }>(
          `SELECT count(*) AS n FROM contacts
           WHERE account_id = ? AND state IN ('allowed', 'blocked') AND peer_id <> ?`,
          accountId,
          peer,
        );
        if ((others?.n ?? 0) >= limit) return "full";
        const waited = stateOf(accountId, peer)?.state === "asked";
        // Who asked may be reached; who is blocked takes that with it.
        db.run(
          `INSERT INTO contacts (account_id, peer_id, state, changed_at) VALUES (?, ?, ?, ?)
           ON CONFLICT (account_id, peer_id) DO UPDATE SET state = excluded.state,
             changed_at = excluded.changed_at,
             asked_at = CASE excluded.state WHEN 'allowed' THEN asked_at END`,
          accountId,
          peer,
          state,
          changedAt,
        );
        return waited && state === "allowed" ? "answered" : "set";
      });
    },

    async forgetContact(accountId, peer) {
      await db.transaction(() =>
        db.run("DELETE FROM contacts WHERE account_id = ? AND peer_id = ?", accountId, peer),
      );
    },

    async contactRule(accountId) {
      const row = db.one<{ readonly contact: ContactRule | null }>(
        "SELECT contact FROM accounts WHERE account_id = ?",
        accountId,
      );
      return row?.contact ?? undefined;
    },

    async setContactRule(accountId, rule) {
      await db.transaction(() =>
        db.run("UPDATE accounts SET contact = ? WHERE account_id = ?", rule ?? null, accountId),
      );
    },
  };
}
