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
  signerOfSeed,
  unwrapRootSeed,
  wrapRootSeed,
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
  const seed = randomBytes(32);
  const root = signerOfSeed(seed);
  const deviceId = randomBytes(16);
  const entropy = newEntropy();
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
  const wrappedRoot = wrapRootSeed(entropy, seed);
  seed.fill(0);
  return {
    accountId: await accountIdOf(root.publicKey),
    name,
    rootKey: root.publicKey,
    deviceId,
    deviceList,
    wrappedRoot,
    entropy,
    phrasePending: true,
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

/** The next device list, signed for another year. Throws `ClientError` with `phrase-wrong`. */
export async function nextDeviceList(
  account: Account,
  phrase: string,
  change: (devices: readonly Device[]) => readonly Device[],
  now: number,
): Promise<Bytes> {
  const entropy = entropyOf(phrase);
  const seed = unwrapRootSeed(entropy, account.wrappedRoot);
  entropy.fill(0);
  try {
    const root: SigningKey = signerOfSeed(seed);
    if (!equal(root.publicKey, account.rootKey)) {
      throw new ClientError("phrase-wrong", "the recovery phrase is of another account");
    }
    const held: DeviceList = await openDeviceList(account.deviceList);
    const issuedAt = BigInt(Math.floor(now / 1000));
    return await signDeviceList(
      {
        name: held.name,
        version: held.version + 1n,
        previousHash: await sha256(account.deviceList),
        issuedAt,
        expiresAt: issuedAt + YEAR,
        devices: change(held.devices),
      },
      root,
    );
  } finally {
    seed.fill(0);
  }
}

/** What stands in this device's leaves. */
export function credentialOf(account: Account, leafKey: Bytes): Credential {
  const { rootKey, deviceId } = account;
  return {
    credentialType: "basic",
    identity: encodeDeviceIdentity({ rootKey, deviceId, signatureKey: leafKey }),
  };
}
