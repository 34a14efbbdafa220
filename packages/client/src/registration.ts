/**
 * Signing up: an account is made, kept, and told to the service; whatever is lost in between, the same
 * account is tried again. And coming back to an account whose device is lost, by its recovery phrase.
 * @module
 */

import { type ClientInstance, type DeliveryClient, ServiceError } from "@conclave/delivery/client";
import { openDeviceList, type SigningKey, signRecovery } from "@conclave/delivery/protocol";
import { type Bytes, encode } from "@conclave/mls/codec";
import {
  ACCOUNT_RECORD,
  Account,
  nameOf,
  newAccount,
  recoveredAccount,
  registered,
} from "./account.ts";
import { ClientError } from "./api.ts";
import { equal } from "./bytes.ts";
import { clientError } from "./client-error.ts";
import { INSTANCES_RECORD } from "./instance.ts";
import { entropyOf, rootSeedOf, signerOfSeed } from "./phrase.ts";
import { type ClientStorage, ENGINE_RECORD, read } from "./storage.ts";
import type { KeyName, KeyVault } from "./vault.ts";

export interface Registry {
  readonly storage: ClientStorage;
  readonly vault: KeyVault;
  readonly service: DeliveryClient;
  readonly instance: ClientInstance;
  /** Of the service. */
  readonly origin: string;
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

/** Throws `ClientError` with `lost` where the vault has it no more. */
export async function keyOf(vault: KeyVault, name: KeyName): Promise<SigningKey> {
  const key = await vault.open(name);
  if (!key) throw new ClientError("lost", "the device's keys are gone");
  return key;
}

/** Why a service takes no account, where the person can do something about it. */
const REFUSALS = {
  "name-taken": "somebody has this name",
  "registration-closed": "the service takes no new accounts",
  "invite-needed": "the service takes new accounts by invite code alone",
  "invite-unknown": "the service doesn't know this invite code",
  "invite-spent": "another account was made with this invite code",
  "invite-expired": "the time of this invite code is over",
} as const;

function isRefusal(code: string | undefined): code is keyof typeof REFUSALS {
  return code !== undefined && Object.hasOwn(REFUSALS, code);
}

/** Throws `ClientError`: `name-invalid`, `offline`, or one of `REFUSALS`. */
export async function register(
  registry: Registry,
  input: string,
  inviteCode?: string,
): Promise<{ readonly account: Account; readonly recoveryPhrase: string }> {
  const draft = await draftOf(registry, nameOf(input));
  const { storage, vault, service, instance } = registry;
  const { accountId, deviceId, deviceList } = draft;
  service.signInAs({ accountId, deviceId, key: await keyOf(vault, "sign-in"), instance });
  try {
    await service.register(deviceList, inviteCode);
  } catch (error) {
    const code = error instanceof ServiceError ? error.code : undefined;
    if (isRefusal(code)) throw new ClientError(code, REFUSALS[code], { cause: error });
    // It exists where the answer to an earlier attempt was lost.
    if (code !== "account-exists") throw clientError(error);
  }
  const done = registered(draft);
  await keepAccount(storage, done.account);
  return done;
}

/**
 * The account of this phrase, with this device in the place of all that it had: what the storage still has is deleted first, since it is
 * of another device. Wherever it breaks off, it can be done again. Throws `ClientError`: `phrase-wrong`, `offline`.
 */
export async function recover(registry: Registry, phrase: string): Promise<Account> {
  const { storage, vault, service, instance, now } = registry;
  const entropy = entropyOf(phrase);
  const seed = rootSeedOf(entropy);
  entropy.fill(0);
  try {
    const signed = await askForList(registry, signerOfSeed(seed));
    const list = await openDeviceList(signed);
    if (!equal(list.rootKey, signerOfSeed(seed).publicKey)) {
      throw new ClientError("refused", "the service showed the list of another account");
    }
    await forgetAll(storage);
    const account = await recoveredAccount({ list, signed, seed }, vault, now());
    const { accountId, deviceId, deviceList } = account;
    service.signInAs({ accountId, deviceId, key: await keyOf(vault, "sign-in"), instance });
    await service.recover(deviceList);
    await keepAccount(storage, account);
    return account;
  } catch (error) {
    throw clientError(error);
  } finally {
    seed.fill(0);
  }
}

/** Throws `ServiceError`, and `ClientError` with `phrase-wrong` where there is no such account. */
async function askForList({ service, origin, now }: Registry, root: SigningKey): Promise<Bytes> {
  const ask = async (at: number): Promise<Bytes> => {
    const issuedAt = BigInt(Math.floor(at / 1000));
    const recovery = await signRecovery({ service: origin, issuedAt }, root);
    return (await service.recovery({ body: { recovery } })).deviceList;
  };
  try {
    return await ask(now()).catch((error: unknown) => {
      const theirs = error instanceof ServiceError && error.problem?.["now"];
      if (typeof theirs !== "number") throw error;
      return ask(theirs);
    });
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== "not-found") throw error;
    throw new ClientError("phrase-wrong", "no account has these words", { cause: error });
  }
}

/** Whether there is something of an account that is not there. */
export async function hasRemains(storage: ClientStorage, vault: KeyVault): Promise<boolean> {
  if (await storage.get(ACCOUNT_RECORD)) return false;
  if ((await vault.open("leaf")) || (await vault.open("sign-in"))) return true;
  for (const key of (await storage.list("")).keys()) {
    if (key !== ENGINE_RECORD && key !== INSTANCES_RECORD) return true;
  }
  return false;
}

export async function forgetAll(storage: ClientStorage): Promise<void> {
  const keys = [...(await storage.list("")).keys()];
  await storage.apply({ delete: keys.filter((key) => key !== ENGINE_RECORD) });
}

/** The account that the service is asked to take: the same again, if it was asked before for this name. */
async function draftOf({ storage, vault, now }: Registry, name: string): Promise<Account> {
  const earlier = await read(storage, Account, ACCOUNT_RECORD);
  if (earlier?.name === name && (await vault.open("sign-in"))) return earlier;
  const account = await newAccount(name, vault, now());
  await keepAccount(storage, account);
  return account;
}
