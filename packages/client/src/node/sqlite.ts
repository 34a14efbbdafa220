/**
 * A client's records and keys in one SQLite file. WAL with `synchronous=FULL`: what was applied
 * survives a power cut; `secure_delete`: what was deleted is overwritten.
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import type { SigningKey } from "@conclave/delivery/protocol";
import type { Batch } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { ClientError } from "../api.ts";
import { type ClientStorage, ENGINE_RECORD, endOf, type KeyRange } from "../storage.ts";
import type { KeyName, KeyVault } from "../vault.ts";

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA secure_delete = ON;
  PRAGMA busy_timeout = 5000;
  CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, public BLOB NOT NULL, private BLOB NOT NULL) STRICT;
`;

export interface Profile {
  readonly storage: ClientStorage;
  readonly vault: KeyVault;
}

/** Opens or makes the file. Whoever had it open before can no longer write. */
export function openProfile(path: string): Profile {
  const database = new DatabaseSync(path);
  database.exec(SCHEMA);
  return { storage: openStorage(database), vault: openVault(database) };
}

function openStorage(database: DatabaseSync): ClientStorage {
  const get = database.prepare("SELECT value FROM records WHERE key = ?");
  const put = database.prepare("INSERT OR REPLACE INTO records (key, value) VALUES (?, ?)");
  const remove = database.prepare("DELETE FROM records WHERE key = ?");
  const range = (direction: "ASC" | "DESC") =>
    database.prepare(
      `SELECT key, value FROM records WHERE key >= ? AND key < ? ORDER BY key ${direction} LIMIT ?`,
    );
  const forwards = range("ASC");
  const backwards = range("DESC");

  const valueOf = (key: string): Bytes | undefined => get.get(key)?.["value"] as Bytes | undefined;
  const engineNow = (): number => {
    const value = valueOf(ENGINE_RECORD);
    return value === undefined ? 0 : Number(new TextDecoder().decode(value));
  };
  const transaction = (body: () => void): void => {
    database.exec("BEGIN IMMEDIATE");
    try {
      body();
      database.exec("COMMIT");
    } catch (cause) {
      if (database.isTransaction) database.exec("ROLLBACK");
      if (cause instanceof ClientError) throw cause;
      throw new ClientError("storage", "the profile can't be written", { cause });
    }
  };

  let engine = 0;
  transaction(() => {
    engine = engineNow() + 1;
    put.run(ENGINE_RECORD, new TextEncoder().encode(String(engine)));
  });

  const entries = ({ from, to, limit, reverse }: KeyRange): [string, Bytes][] =>
    (reverse ? backwards : forwards)
      .all(from, to, limit)
      // The columns' types are the schema's (STRICT).
      .map((row) => [row["key"] as string, row["value"] as Bytes]);

  return {
    get: async (key) => valueOf(key),
    list: async (prefix) => new Map(entries({ from: prefix, to: endOf(prefix), limit: -1 })),
    range: async (wanted) => entries(wanted),
    apply: async (batch: Batch) => {
      transaction(() => {
        if (engineNow() !== engine) {
          throw new ClientError("fenced", "another engine took this profile over");
        }
        for (const key of batch.delete ?? []) remove.run(key);
        for (const [key, value] of batch.put ?? []) put.run(key, value);
      });
    },
    close: async () => database.close(),
  };
}

function openVault(database: DatabaseSync): KeyVault {
  const signerOf = (publicKey: Bytes, privateKey: CryptoKey): SigningKey => ({
    publicKey,
    sign: async (message) =>
      new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, message)),
  });
  return {
    create: async (name: KeyName) => {
      const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
      const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
      const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
      database
        .prepare("INSERT OR REPLACE INTO keys (name, public, private) VALUES (?, ?, ?)")
        .run(name, publicKey, pkcs8);
      pkcs8.fill(0);
      return signerOf(publicKey, pair.privateKey);
    },
    open: async (name: KeyName) => {
      const row = database.prepare("SELECT public, private FROM keys WHERE name = ?").get(name);
      if (!row) return undefined;
      const pkcs8 = row["private"] as Bytes;
      const key = await crypto.subtle.importKey("pkcs8", pkcs8, "Ed25519", false, ["sign"]);
      pkcs8.fill(0);
      return signerOf(row["public"] as Bytes, key);
    },
  };
}
