/**
 * Signing up: an account is made, kept, and told to the service; whatever is lost in between, the same
 * account is tried again. And coming back to an account whose device is lost, by its recovery phrase.
 * @module
 */

import { type ClientInstance, type DeliveryClient, ServiceError } from "@conclave/delivery/client";
import {
  type DeviceList,
  openDeviceList,
  type SigningKey,
  sha256,
  signRecovery,
} from "@conclave/delivery/protocol";
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

/** The account that was recovered, until the service has answered. */
const RECOVERY_RECORD = "recovery";

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
 * of another device. Wherever it breaks off, it can be done again, and no second device comes of it. Throws `ClientError`:
 * `phrase-wrong`, `offline`.
 */
export async function recover(registry: Registry, phrase: string): Promise<Account> {
  const { storage, vault, service, instance } = registry;
  const entropy = entropyOf(phrase);
  const seed = rootSeedOf(entropy);
  entropy.fill(0);
  try {
    const signed = await askForList(registry, signerOfSeed(seed));
    const list = await openDeviceList(signed);
    if (!equal(list.rootKey, signerOfSeed(seed).publicKey)) {
      throw new ClientError("refused", "the service showed the list of another account");
    }
    for (let first = true; ; first = false) {
      const account = await recoveryDraftOf(registry, { list, signed, seed });
      const { accountId, deviceId, deviceList } = account;
      service.signInAs({ accountId, deviceId, key: await keyOf(vault, "sign-in"), instance });
      try {
        await service.recover(deviceList);
      } catch (error) {
        if (!(error instanceof ServiceError) || error.transient) throw error;
        // Signed by a clock that is wrong, or too long ago: another is made.
        await storage.apply({ delete: [RECOVERY_RECORD] });
        if (first) continue;
        throw error;
      }
      const put = new Map([[ACCOUNT_RECORD, encode(Account, account)]]);
      await storage.apply({ put, delete: [RECOVERY_RECORD] });
      return account;
    }
  } catch (error) {
    throw clientError(error);
  } finally {
    seed.fill(0);
  }
}

interface HeldList {
  readonly list: DeviceList;
  readonly signed: Bytes;
  /** Of the root key. */
  readonly seed: Bytes;
}

/** The account that the service is asked to take: the same again, if it was asked before and goes on from there. */
async function recoveryDraftOf(registry: Registry, held: HeldList): Promise<Account> {
  const { storage, vault, service, now } = registry;
  const earlier = await read(storage, Account, RECOVERY_RECORD);
  if (earlier && (await leadsOn(earlier, held, vault))) return earlier;
  await forgetAll(storage);
  const account = await recoveredAccount(held, vault, { ours: now(), theirs: service.now() });
  await storage.apply({ put: new Map([[RECOVERY_RECORD, encode(Account, account)]]) });
  return account;
}

/** Whether its list is the one that the service holds or the next, and the vault has its device's keys. */
async function leadsOn(draft: Account, held: HeldList, vault: KeyVault): Promise<boolean> {
  const { previousHash, devices, rootKey } = await openDeviceList(draft.deviceList);
  const follows =
    equal(draft.deviceList, held.signed) || equal(previousHash, await sha256(held.signed));
  const device = devices.find(({ deviceId }) => equal(deviceId, draft.deviceId));
  const [leaf, signIn] = [await vault.open("leaf"), await vault.open("sign-in")];
  return (
    follows &&
    equal(rootKey, held.list.rootKey) &&
    device !== undefined &&
    leaf !== undefined &&
    signIn !== undefined &&
    equal(device.signatureKey, leaf.publicKey) &&
    equal(device.signInKey, signIn.publicKey)
  );
}

/** Throws `ServiceError`, and `ClientError` with `phrase-wrong` where there is no such account. */
async function askForList({ service, origin }: Registry, root: SigningKey): Promise<Bytes> {
  try {
    return await byTheirClock(async () => {
      const issuedAt = BigInt(Math.floor(service.now() / 1000));
      const recovery = await signRecovery({ service: origin, issuedAt }, root);
      return (await service.recovery({ body: { recovery } })).deviceList;
    });
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== "not-found") throw error;
    throw new ClientError("phrase-wrong", "no account has these words", { cause: error });
  }
}

/** Once more, where the service says that the clocks differ: from then on its own is known. */
export async function byTheirClock<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== "clock-skew") throw error;
    return work();
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
