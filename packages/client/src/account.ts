/**
 * The account on this device: its name, its root key (wrapped), its device list, this device's keys.
 * @module
 */

import {
  accountIdOf,
  type Device,
  type DeviceList,
  encodeDeviceIdentity,
  normalizeName,
  openDeviceList,
  type SigningKey,
  sha256,
  signDeviceList,
} from "@conclave/delivery/protocol";
import type { Credential } from "@conclave/mls";
import { type Bytes, type Codec, fixed, opaque, struct, utf8 } from "@conclave/mls/codec";
import { ClientError } from "./api.ts";
import { equal, randomBytes } from "./bytes.ts";
import {
  entropyOf,
  newEntropy,
  phraseOf,
  rootSeedOf,
  signerOfSeed,
  unwrapRootSeed,
} from "./phrase.ts";
import { boolean } from "./storage.ts";
import type { KeyVault } from "./vault.ts";

const YEAR = 365n * 24n * 3600n;

export const ACCOUNT_RECORD = "account";

export interface Account {
  readonly accountId: Bytes;
  readonly name: string;
  readonly rootKey: Bytes;
  readonly deviceId: Bytes;
  /** Signed; the newest of our own. */
  readonly deviceList: Bytes;
  /** Of an account whose root key doesn't come from its phrase, but was made beside it: before 0.2. Else empty. */
  readonly wrappedRoot: Bytes;
  /**
   * Of the recovery phrase, from before the service is asked for the name until it has answered: so that
   * a crash in between loses neither name nor phrase. Empty ever after.
   */
  readonly entropy: Bytes;
  readonly phrasePending: boolean;
}
export const Account: Codec<Account> = struct({
  accountId: fixed(32),
  name: utf8,
  rootKey: fixed(32),
  deviceId: fixed(16),
  deviceList: opaque,
  wrappedRoot: opaque,
  entropy: opaque,
  phrasePending: boolean,
});

/** A new account and its first device, whose keys are put into the vault. Throws `ClientError` with `name-invalid`. */
export async function newAccount(input: string, vault: KeyVault, now: number): Promise<Account> {
  const name = nameOf(input);
  const leaf = await vault.create("leaf");
  const signIn = await vault.create("sign-in");
  const entropy = newEntropy();
  const seed = rootSeedOf(entropy);
  const root = signerOfSeed(seed);
  const deviceId = randomBytes(16);
  const issuedAt = BigInt(Math.floor(now / 1000));
  const deviceList = await signDeviceList(
    {
      name,
      version: 1n,
      previousHash: new Uint8Array(0),
      issuedAt,
      expiresAt: issuedAt + YEAR,
      devices: [
        { deviceId, signatureKey: leaf.publicKey, signInKey: signIn.publicKey, revokedAt: 0n },
      ],
    },
    root,
  );
  seed.fill(0);
  return {
    accountId: await accountIdOf(root.publicKey),
    name,
    rootKey: root.publicKey,
    deviceId,
    deviceList,
    wrappedRoot: new Uint8Array(0),
    entropy,
    phrasePending: true,
  };
}

/** What the clocks show, in milliseconds since the Unix epoch. */
export interface Clocks {
  readonly ours: number;
  /** The service's, as far as it is known. */
  readonly theirs: number;
}

/**
 * When a list is signed that follows another. What it says of times stands for good, so our clock may not be wrong, and the service's counts; as far as our clock
 * and the list leave it open: not before both, and not when this list has expired by both.
 */
export function signingTime(
  { issuedAt, expiresAt }: Pick<DeviceList, "issuedAt" | "expiresAt">,
  { ours, theirs }: Clocks,
): number {
  const earliest = Math.min(Number(issuedAt) * 1000, ours);
  const latest = Math.max(Number(expiresAt) * 1000, ours);
  return Math.min(Math.max(theirs, earliest), latest);
}

/**
 * The account of this device list, with a fresh device that takes the place of all others: they are revoked. `seed` is of the root key.
 * The device's keys are put into the vault.
 */
export async function recoveredAccount(
  {
    list,
    signed,
    seed,
  }: { readonly list: DeviceList; readonly signed: Bytes; readonly seed: Bytes },
  vault: KeyVault,
  clocks: Clocks,
): Promise<Account> {
  const leaf = await vault.create("leaf");
  const signIn = await vault.create("sign-in");
  const deviceId = randomBytes(16);
  const fresh = {
    deviceId,
    signatureKey: leaf.publicKey,
    signInKey: signIn.publicKey,
    revokedAt: 0n,
  };
  const deviceList = await signNextList(
    { list, signed },
    signerOfSeed(seed),
    (devices, revokedAt) => [
      ...devices.map((device) => (device.revokedAt === 0n ? { ...device, revokedAt } : device)),
      fresh,
    ],
    clocks,
  );
  return {
    accountId: await accountIdOf(list.rootKey),
    name: list.name,
    rootKey: list.rootKey,
    deviceId,
    deviceList,
    wrappedRoot: new Uint8Array(0),
    entropy: new Uint8Array(0),
    phrasePending: false,
  };
}

/** The name as the directory holds it. Throws `ClientError` with `name-invalid`. */
export function nameOf(input: string): string {
  try {
    return normalizeName(input);
  } catch (cause) {
    throw new ClientError("name-invalid", "this is no name", { cause });
  }
}

/** The phrase, and the account once the service has it: without the phrase. */
export function registered(account: Account): {
  readonly account: Account;
  readonly recoveryPhrase: string;
} {
  return {
    account: { ...account, entropy: new Uint8Array(0) },
    recoveryPhrase: phraseOf(account.entropy),
  };
}

/** What becomes of a list's devices. `revokedAt`: of those that are revoked by it. */
export type ListChange = (devices: readonly Device[], revokedAt: bigint) => readonly Device[];

/** The next device list, signed for another year. Throws `ClientError` with `phrase-wrong`. */
export async function nextDeviceList(
  account: Account,
  phrase: string,
  change: ListChange,
  clocks: Clocks,
): Promise<Bytes> {
  const entropy = entropyOf(phrase);
  const seed = ownSeedOf(account, entropy);
  entropy.fill(0);
  try {
    const signed = account.deviceList;
    const held = { list: await openDeviceList(signed), signed };
    return await signNextList(held, signerOfSeed(seed), change, clocks);
  } finally {
    seed.fill(0);
  }
}

/** The entropy of this account's phrase, which the caller overwrites. Throws `ClientError` with `phrase-wrong`. */
export function ownEntropyOf(account: Account, phrase: string): Bytes {
  const entropy = entropyOf(phrase);
  try {
    ownSeedOf(account, entropy).fill(0);
    return entropy;
  } catch (error) {
    entropy.fill(0);
    throw error;
  }
}

/** Throws `ClientError` with `phrase-wrong` where it isn't the account's. */
function ownSeedOf({ wrappedRoot, rootKey }: Account, entropy: Bytes): Bytes {
  const seed = wrappedRoot.length > 0 ? unwrapRootSeed(entropy, wrappedRoot) : rootSeedOf(entropy);
  if (equal(signerOfSeed(seed).publicKey, rootKey)) return seed;
  seed.fill(0);
  throw new ClientError("phrase-wrong", "the recovery phrase is of another account");
}

async function signNextList(
  held: { readonly list: DeviceList; readonly signed: Bytes },
  root: SigningKey,
  change: ListChange,
  clocks: Clocks,
): Promise<Bytes> {
  const { name, version, devices, expiresAt } = held.list;
  const now = signingTime(held.list, clocks);
  const issuedAt = BigInt(Math.floor(now / 1000));
  const year = issuedAt + YEAR;
  return signDeviceList(
    {
      name,
      version: version + 1n,
      previousHash: await sha256(held.signed),
      issuedAt,
      // No list ends before the one that it follows.
      expiresAt: year > expiresAt ? year : expiresAt,
      // Not before what happened in this second.
      devices: change(devices, BigInt(Math.ceil(now / 1000))),
    },
    root,
  );
}

/** What stands in this device's leaves. */
export function credentialOf(account: Account, leafKey: Bytes): Credential {
  const { rootKey, deviceId } = account;
  return {
    credentialType: "basic",
    identity: encodeDeviceIdentity({ rootKey, deviceId, signatureKey: leafKey }),
  };
}
