/**
 * Which leaves are those of registered devices. The service lets no other into a tree, nor one of a device that may not enter.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { AuthenticationService, Credential } from "@conclave/mls/public-group";
import { sameBytes } from "./bytes.ts";
import { accountIdOf, decodeDeviceIdentity, mayEnter } from "./protocol/index.ts";
import { Refusal } from "./refusal.ts";
import type { ListedDevice, Store } from "./store/store.ts";

/** Whether the credential names just this device, with its account and its key. */
export async function isCredentialOf(
  credential: Credential,
  device: ListedDevice,
): Promise<boolean> {
  if (credential.credentialType !== "basic") return false;
  try {
    const { rootKey, deviceId, signatureKey } = decodeDeviceIdentity(credential.identity);
    return (
      sameBytes(await accountIdOf(rootKey), device.accountId) &&
      sameBytes(deviceId, device.deviceId) &&
      sameBytes(signatureKey, device.signatureKey)
    );
  } catch {
    return false;
  }
}

/** Throws `Refusal` for a device that is revoked, or whose list has expired, at a time in milliseconds. */
export function checkMayEnter(device: ListedDevice, at: number): void {
  if (!mayEnter({ expiresAt: device.listExpiresAt }, device, at)) {
    throw new Refusal("not-allowed", "a device is revoked, or its list has expired");
  }
}

/** The device that an identity names, whatever its key. */
function deviceOf(identity: Bytes): string {
  const { rootKey, deviceId } = decodeDeviceIdentity(identity);
  return Buffer.concat([rootKey, deviceId]).toString("hex");
}

/** Who a leaf belongs to. Whether a device may enter depends on when, which `checkMayEnter` is told. */
export function deviceAuthentication(store: Store): AuthenticationService {
  return {
    async validate(leaves) {
      const keys = leaves.map((leaf) => leaf.signatureKey);
      const devices = await store.devicesBySignatureKey(keys);
      for (const [i, { credential }] of leaves.entries()) {
        const device = devices[i];
        if (device === undefined || !(await isCredentialOf(credential, device))) {
          throw new Refusal("not-allowed", "a leaf is not that of a registered device");
        }
      }
    },

    /** A device may change its key; its leaf stays its own. */
    async isSuccessor(previous, next) {
      const { credential: before } = previous;
      const { credential: after } = next;
      if (before.credentialType !== "basic" || after.credentialType !== "basic") return false;
      return deviceOf(before.identity) === deviceOf(after.identity);
    },

    clientOf: ({ credential }) => {
      if (credential.credentialType === "basic") return deviceOf(credential.identity);
      throw new Refusal("not-allowed", "a leaf is not that of a registered device");
    },
  };
}
