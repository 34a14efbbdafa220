/** What tests of a store put into it, where nothing about it matters but that it is there. */

import type { AppendCommit, Store } from "@conclave/delivery";
import { type Bytes, random } from "../world.ts";

export const NOW = 1_700_000_000_000;
/** The same, as certificates count. */
export const SECONDS: bigint = BigInt(NOW / 1000);

export type Registration = Parameters<Store["register"]>[0];
export type NewGroup = Parameters<Store["createGroup"]>[0];

/** As they stand in an account's list. */
export const someDevices = (howMany: number): Registration["devices"] =>
  Array.from({ length: howMany }, () => ({
    deviceId: random(16),
    signatureKey: random(32),
    signInKey: random(32),
    revokedAt: 0n,
  }));

let count = 0;
/** Of a new account with one device. */
export const aRegistration = (change: Partial<Registration> = {}): Registration => ({
  accountId: random(32),
  name: `person ${++count}`,
  deviceList: random(100),
  version: 1n,
  hash: random(32),
  expiresAt: SECONDS + 1000n,
  devices: someDevices(1),
  registration: random(32),
  nonce: { nonce: random(16), expiresAt: NOW + 1000 },
  ...change,
});

/** The number of the one device of a new account. */
export async function aDevice(store: Store): Promise<number> {
  const account = aRegistration();
  await store.register(account);
  return (await store.devicesOf(account.accountId))[0]?.device ?? -1;
}

/** Of one device, in epoch 0. */
export const aNewGroup = (device: number, change: Partial<NewGroup> = {}): NewGroup => ({
  groupId: random(16),
  device,
  leafIndex: 0,
  version: 0,
  groupLimit: 99,
  state: random(9),
  groupInfo: random(9),
  nodes: [[0, random(9)]],
  now: NOW,
  ...change,
});

export async function aGroup(
  store: Store,
  device: number,
  change: Partial<NewGroup> = {},
): Promise<Bytes> {
  const group = aNewGroup(device, change);
  await store.createGroup(group);
  return group.groupId;
}

/** A commit that ends an epoch of a group. The group's versions are the numbers of its epochs, unless told otherwise. */
export const aCommit = (
  groupId: Bytes,
  epoch: number | bigint,
  change: Partial<AppendCommit> = {},
): AppendCommit => ({
  groupId,
  version: Number(epoch),
  nextVersion: (change.version ?? Number(epoch)) + 1,
  groupLimit: 99,
  epoch: BigInt(epoch),
  hash: random(32),
  message: random(40),
  acceptedAt: NOW,
  state: random(9),
  groupInfo: random(9),
  nodes: [],
  removed: [],
  added: [],
  welcome: undefined,
  links: [],
  linkUsed: undefined,
  ...change,
});
