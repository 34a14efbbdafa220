/**
 * Accounts whose devices do nothing but to have key packages at the service, and may be added to groups.
 */

import { createDeliveryClient, type DeliveryClient } from "@conclave/delivery/client";
import {
  accountIdOf,
  type Device,
  encodeDeviceIdentity,
  type SigningKey,
  sha256,
  signDeviceList,
} from "@conclave/delivery/protocol";
import { createKeyPackage, memoryStorage } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { randomBytes } from "../src/bytes.ts";
import { capabilitiesOf, leafLifetime, SUITE } from "../src/environment.ts";

async function newKey(): Promise<SigningKey> {
  const { publicKey, privateKey } = await crypto.subtle.generateKey("Ed25519", true, [
    "sign",
    "verify",
  ]);
  return {
    publicKey: new Uint8Array(await crypto.subtle.exportKey("raw", publicKey)),
    sign: async (message) =>
      new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, message)),
  };
}

export interface QuietAccount {
  readonly clients: readonly DeliveryClient[];
  /** The next list, by which the first device is revoked. */
  readonly revokeFirst: () => Promise<void>;
}

/** With two devices unless told otherwise. */
export async function quietAccount(
  { origin }: { readonly origin: string },
  name: string,
  count = 2,
): Promise<QuietAccount> {
  const rootKey = await newKey();
  const accountId = await accountIdOf(rootKey.publicKey);
  const devices = await Promise.all(
    Array.from({ length: count }, async () => {
      const [leaf, signIn] = [await newKey(), await newKey()];
      const deviceId = randomBytes(16);
      const keys = { signatureKey: leaf.publicKey, signInKey: signIn.publicKey };
      const device: Device = { deviceId, ...keys, revokedAt: 0n };
      return { leaf, signIn, device };
    }),
  );
  const seconds = BigInt(Math.floor(Date.now() / 1000));
  const first = {
    name,
    version: 1n,
    previousHash: new Uint8Array(0),
    issuedAt: seconds,
    expiresAt: seconds + 86400n,
    devices: devices.map(({ device }) => device),
  };
  const list = await signDeviceList(first, rootKey);
  const clients = devices.map(({ signIn, device: { deviceId } }) => {
    const client = createDeliveryClient({ origin });
    client.signInAs({ accountId, deviceId, key: signIn });
    return client;
  });
  await clients[0]?.register(list);
  for (const [i, { leaf, device }] of devices.entries()) {
    const identity = encodeDeviceIdentity({ rootKey: rootKey.publicKey, ...device });
    const keyPackages = [];
    for (let n = 0; n < 8; n++) {
      const { keyPackage } = await createKeyPackage(
        {
          crypto: nodeCrypto,
          storage: memoryStorage(),
          authentication: { validate: async () => undefined, isSuccessor: async () => true },
          now: Date.now,
        },
        {
          suite: SUITE,
          credential: { credentialType: "basic", identity },
          signer: leaf,
          capabilities: capabilitiesOf(nodeCrypto),
          lifetime: leafLifetime(Date.now()),
        },
      );
      keyPackages.push(keyPackage);
    }
    await clients[i]?.uploadKeyPackages({ body: { keyPackages } });
  }
  const revokeFirst = async (): Promise<void> => {
    const revokedAt = BigInt(Math.ceil(Date.now() / 1000));
    const [one, ...others] = first.devices;
    if (!one) throw new Error("no device");
    const devices = [{ ...one, revokedAt }, ...others];
    const next = { ...first, version: 2n, previousHash: await sha256(list), devices };
    const deviceList = await signDeviceList(next, rootKey);
    await clients[1]?.replaceDeviceList({ accountId, body: { deviceList } });
  };
  return { clients, revokeFirst };
}
