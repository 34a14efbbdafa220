/**
 * Signing up: an account is made, kept, and told to the service; whatever is lost in between, the same
 * account is tried again.
 * @module
 */

import { type ClientInstance, type DeliveryClient, ServiceError } from "@conclave/delivery/client";
import type { SigningKey } from "@conclave/delivery/protocol";
import { encode } from "@conclave/mls/codec";
import { ACCOUNT_RECORD, Account, nameOf, newAccount, registered } from "./account.ts";
import { ClientError } from "./api.ts";
import { clientError } from "./client-error.ts";
import { type ClientStorage, read } from "./storage.ts";
import type { KeyName, KeyVault } from "./vault.ts";

export interface Registry {
  readonly storage: ClientStorage;
  readonly vault: KeyVault;
  readonly service: DeliveryClient;
  readonly instance: ClientInstance;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** The account of this device, if it has one that the service confirmed. */
export async function loadAccount(storage: ClientStorage): Promise<Account | undefined> {
  const account = await read(storage, Account, ACCOUNT_RECORD);
  return account?.entropy.length === 0 ? account : undefined;
}

export async function keepAccount(storage: ClientStorage, account: Account): Promise<void> {
  await storage.apply({ put: new Map([[ACCOUNT_RECORD, encode(Account, account)]]) });
}

/** Throws `ClientError` with `storage` where the vault has lost it. */
export async function keyOf(vault: KeyVault, name: KeyName): Promise<SigningKey> {
  const key = await vault.open(name);
  if (!key) throw new ClientError("storage", "the device's keys are gone");
  return key;
}

/** Throws `ClientError`: `name-invalid`, `name-taken`, `offline`. */
export async function register(
  registry: Registry,
  input: string,
): Promise<{ readonly account: Account; readonly recoveryPhrase: string }> {
  const draft = await draftOf(registry, nameOf(input));
  const { storage, vault, service, instance } = registry;
  const { accountId, deviceId, deviceList } = draft;
  service.signInAs({ accountId, deviceId, key: await keyOf(vault, "sign-in"), instance });
  try {
    await service.register(deviceList);
  } catch (error) {
    const code = error instanceof ServiceError ? error.code : undefined;
    if (code === "name-taken") {
      await storage.apply({ delete: [ACCOUNT_RECORD] });
      throw new ClientError("name-taken", "somebody has this name", { cause: error });
    }
    // It exists where the answer to an earlier attempt was lost.
    if (code !== "account-exists") throw clientError(error);
  }
  const done = registered(draft);
  await keepAccount(storage, done.account);
  return done;
}

/** The account that the service is asked to take: the same again, if it was asked before for this name. */
async function draftOf({ storage, vault, now }: Registry, name: string): Promise<Account> {
  const earlier = await read(storage, Account, ACCOUNT_RECORD);
  if (earlier?.name === name) return earlier;
  const account = await newAccount(name, vault, now());
  await keepAccount(storage, account);
  return account;
}
