/**
 * Which device of which account each leaf of a group is.
 * @module
 */

import { accountIdOf } from "@conclave/delivery/protocol";
import type { Group, LeafNode } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import type { AccountId } from "../api.ts";
import { hex } from "../bytes.ts";
import { identityOf } from "../directory.ts";

export interface MemberDevice {
  readonly accountId: AccountId;
  readonly accountIdBytes: Bytes;
  /** Hex: what a device is known by within a group. */
  readonly signatureKey: string;
}

export interface Seat extends MemberDevice {
  readonly leafIndex: number;
}

/** Leaves are shared between epochs, so each is looked at once. */
const devices = new WeakMap<LeafNode, Promise<MemberDevice>>();

/** Throws `Refusal` for a leaf that is no device of this application. */
export function deviceOf(leaf: LeafNode): Promise<MemberDevice> {
  let device = devices.get(leaf);
  if (!device) {
    device = readDevice(leaf);
    devices.set(leaf, device);
  }
  return device;
}

async function readDevice(leaf: LeafNode): Promise<MemberDevice> {
  const accountIdBytes = await accountIdOf(identityOf(leaf).rootKey);
  return {
    accountId: hex(accountIdBytes),
    accountIdBytes,
    signatureKey: hex(leaf.signatureKey),
  };
}

/** All devices in the group, in the order of their leaves. */
export async function rosterOf(group: Pick<Group, "members">): Promise<readonly Seat[]> {
  return Promise.all(
    [...group.members()].map(async ({ leafIndex, leafNode }) => ({
      leafIndex,
      ...(await deviceOf(leafNode)),
    })),
  );
}
