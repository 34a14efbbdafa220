/**
 * A client's records and keys in IndexedDB. Writes are `durability: strict`; private signature keys are
 * CryptoKeys that cannot be exported.
 * @module
 */

import type { SigningKey } from "@conclave/delivery/protocol";
import type { Bytes } from "@conclave/mls/codec";
import {
  type DBSchema,
  type IDBPDatabase,
  type IDBPTransaction,
  openDB,
  type StoreNames,
} from "idb";
import { ClientError } from "../api.ts";
import { type ClientStorage, ENGINE_RECORD, endOf } from "../storage.ts";
import type { KeyName, KeyVault } from "../vault.ts";

interface Schema extends DBSchema {
  records: { key: string; value: Bytes | number };
  keys: { key: KeyName; value: { readonly publicKey: Bytes; readonly privateKey: CryptoKey } };
}

type Database = IDBPDatabase<Schema>;

/** Makes a version of the database from the one before it; what it rejects with leaves that one as it was. */
export type SchemaStep = (
  database: Database,
  transaction: IDBPTransaction<Schema, StoreNames<Schema>[], "versionchange">,
) => void | Promise<void>;

/** Step by step, from nothing. A step that was released is never changed; a new form of a record is a step too, so that older code keeps out. */
export const SCHEMA: readonly SchemaStep[] = [
  (database) => {
    database.createObjectStore("records");
    database.createObjectStore("keys");
  },
];

export interface BrowserProfile {
  readonly storage: ClientStorage;
  readonly vault: KeyVault;
  /** Settled when the database was taken away: by a newer version of the page, or by being deleted. */
  readonly ended: Promise<"outdated" | "gone">;
}

/**
 * Opens or makes the database. Whoever had it open before can no longer write. Throws `ClientError`: `outdated` where the database is
 * of a newer version, which is left alone; `storage` where it can't be opened, or brought to this version.
 */
export async function openBrowserProfile(
  name: string,
  schema: readonly SchemaStep[] = SCHEMA,
): Promise<BrowserProfile> {
  const { database, ended } = await openDatabase(name, schema);
  return { storage: await openStorage(database), vault: openVault(database), ended };
}

/** Brings the database to this version. Engines of an older page end, in whatever tab. Throws as `openBrowserProfile` does. */
export async function updateDatabase(name: string, schema: readonly SchemaStep[]): Promise<void> {
  (await openDatabase(name, schema)).database.close();
}

async function openDatabase(
  name: string,
  schema: readonly SchemaStep[],
): Promise<{ readonly database: Database } & Pick<BrowserProfile, "ended">> {
  const { promise: ended, resolve: end } = Promise.withResolvers<"outdated" | "gone">();
  try {
    const database = await openDB<Schema>(name, schema.length, {
      upgrade: (changing, from, _to, transaction) => {
        const steps = async () => {
          for (const step of schema.slice(from)) await step(changing, transaction);
        };
        // The library waits for the transaction alone.
        steps().catch(() => transaction.abort());
      },
      // Whoever wants to change or delete it must not wait for us.
      blocking: (_current, wanted, event) => {
        (event.target as IDBDatabase).close();
        end(wanted === null ? "gone" : "outdated");
      },
      terminated: () => end("gone"),
    });
    return { database, ended };
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "VersionError") {
      throw new ClientError("outdated", "the database is of a newer version", { cause });
    }
    throw new ClientError("storage", "the browser's database can't be opened", { cause });
  }
}

async function openStorage(database: Database): Promise<ClientStorage> {
  const begin = () => database.transaction("records", "readwrite", { durability: "strict" });
  const claim = begin();
  const engine = Number((await claim.store.get(ENGINE_RECORD)) ?? 0) + 1;
  await claim.store.put(engine, ENGINE_RECORD);
  await claim.done;

  return {
    get: async (key) => {
      const value = await guarded(() => database.get("records", key));
      return value instanceof Uint8Array ? value : undefined;
    },
    list: (prefix) =>
      guarded(async () => {
        const range = IDBKeyRange.bound(prefix, endOf(prefix), false, true);
        const { store } = database.transaction("records");
        const [keys, values] = await Promise.all([store.getAllKeys(range), store.getAll(range)]);
        return new Map(keys.map((key, i) => [key, values[i] as Bytes]));
      }),
    range: ({ from, to, limit, reverse }) =>
      guarded(async () => {
        const found: [string, Bytes][] = [];
        // IndexedDB has no empty ranges.
        if (from >= to) return found;
        const { store } = database.transaction("records");
        const bound = IDBKeyRange.bound(from, to, false, true);
        let cursor = await store.openCursor(bound, reverse ? "prev" : "next");
        for (; cursor && found.length < limit; cursor = await cursor.continue()) {
          found.push([cursor.key, cursor.value as Bytes]);
        }
        return found;
      }),
    apply: (batch) =>
      guarded(async () => {
        const transaction = begin();
        const { store } = transaction;
        if ((await store.get(ENGINE_RECORD)) !== engine) {
          transaction.abort();
          await transaction.done.catch(() => {});
          throw new ClientError("fenced", "another engine took this profile over");
        }
        // Requests of one transaction run in order; what fails makes the transaction fail.
        const requests: Promise<unknown>[] = [];
        for (const key of batch.delete ?? []) requests.push(store.delete(key));
        for (const [key, value] of batch.put ?? []) requests.push(store.put(value, key));
        await Promise.all([...requests, transaction.done]);
      }),
    close: async () => database.close(),
  };
}

function openVault(database: Database): KeyVault {
  const signerOf = (publicKey: Bytes, privateKey: CryptoKey): SigningKey => ({
    publicKey,
    sign: async (message) =>
      new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, message)),
  });
  return {
    create: async (name) => {
      const pair = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
      const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
      const { privateKey } = pair;
      await guarded(async () => {
        const transaction = database.transaction("keys", "readwrite", { durability: "strict" });
        await Promise.all([
          transaction.store.put({ publicKey, privateKey }, name),
          transaction.done,
        ]);
      });
      return signerOf(publicKey, privateKey);
    },
    open: async (name) => {
      const pair = await guarded(() => database.get("keys", name));
      return pair && signerOf(pair.publicKey, pair.privateKey);
    },
  };
}

/** A full disk, a database that was deleted or is closing: one error for all. */
async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw new ClientError("storage", "the browser's database failed", { cause });
  }
}
