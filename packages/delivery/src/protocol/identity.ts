/**
 * Who is who: the account behind a root key, the device behind a leaf of a group.
 * @module
 */

import { type Bytes, type Codec, decode, encode, fixed, struct, utf8 } from "@conclave/mls/codec";
import { sha256 } from "./ed25519.ts";

const CREDENTIAL_LABEL = "Conclave 1 credential";
const ACCOUNT_LABEL = "Conclave 1 account";

/**
 * The identity in a device's BasicCredential, byte for byte: it binds account, root key and device key.
 * The account is named by its root key alone, so neither can be changed without the other.
 */
export interface DeviceIdentity {
  readonly label: string;
  /** The account's root key: Ed25519, 32 bytes. */
  readonly rootKey: Bytes;
  /** 16 random bytes. */
  readonly deviceId: Bytes;
  /** The signature key of the device's leaves: Ed25519, 32 bytes. */
  readonly signatureKey: Bytes;
}
const DeviceIdentity: Codec<DeviceIdentity> = struct({
  label: utf8,
  rootKey: fixed(32),
  deviceId: fixed(16),
  signatureKey: fixed(32),
});

export function encodeDeviceIdentity(identity: Omit<DeviceIdentity, "label">): Bytes {
  return encode(DeviceIdentity, { label: CREDENTIAL_LABEL, ...identity });
}

/** Throws `MlsError` with `decode` for bytes that are no identity of this version. */
export function decodeDeviceIdentity(bytes: Bytes): DeviceIdentity {
  const identity = decode(DeviceIdentity, bytes);
  if (identity.label !== CREDENTIAL_LABEL) {
    throw new TypeError("a credential of another application or version");
  }
  return identity;
}

const AccountKey: Codec<{ readonly label: string; readonly rootKey: Bytes }> = struct({
  label: utf8,
  rootKey: fixed(32),
});

/** The id of the account with this root key, 32 bytes: the hash of the key under a label. */
export function accountIdOf(rootKey: Bytes): Promise<Bytes> {
  return sha256(encode(AccountKey, { label: ACCOUNT_LABEL, rootKey }));
}
