/**
 * A client's records and keys in IndexedDB. Writes are `durability: strict`; private signature keys are
 * CryptoKeys that cannot be exported.
 * @module
 */

import type { SigningKey } from "@conclave/delivery/protocol";
import type { Bytes } from "@conclave/mls/codec";
import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import { ClientError } from "../api.ts";
import { type ClientStorage, ENGINE_RECORD, endOf } from "../storage.ts";
import type { KeyName, KeyVault } from "../vault.ts";

interface Schema extends DBSchema {
  records: { key: string; value: Bytes | number };
  keys: { key: KeyName; value: { readonly publicKey: Bytes; readonly privateKey: CryptoKey } };
}

export interface BrowserProfile {
  readonly storage: ClientStorage;
  readonly vault: KeyVault;
}

/** Opens or makes the database. Whoever had it open before can no longer write. */
export async function openBrowserProfile(name: string): Promise<BrowserProfile> {
  const database = await openDB<Schema>(name, 1, {
    upgrade: (fresh) => {
      fresh.createObjectStore("records");
      fresh.createObjectStore("keys");
    },
    // A newer version of the page wants to change the schema: it must not wait for us.
    blocking: (_current, _blocked, event) => (event.target as IDBDatabase).close(),
  });
  return { storage: await openStorage(database), vault: openVault(database) };
}

async function openStorage(database: IDBPDatabase<Schema>): Promise<ClientStorage> {
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

function openVault(database: IDBPDatabase<Schema>): KeyVault {
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
