/**
 * The devices of an account, signed by its root key: the one thing that key signs. Versions form a
 * hash chain, so that a service that shows an old list, or two lists, can be found out.
 * @module
 */

import {
  type Bytes,
  type Codec,
  decode,
  encode,
  fixed,
  opaque,
  struct,
  uint64,
  utf8,
  vector,
} from "@conclave/mls/codec";
import { type SigningKey, sha256, verifyEd25519 } from "./ed25519.ts";

const LABEL = "Conclave 1 device list";

export interface Device {
  /** 16 random bytes. */
  readonly deviceId: Bytes;
  /** The signature key of the device's leaves. */
  readonly signatureKey: Bytes;
  /** The key the device signs in with; never the leaf's. */
  readonly signInKey: Bytes;
  /**
   * Seconds since the Unix epoch from which on its leaf may not enter a group any more; 0 while it may. A device that was
   * listed stays listed: what it did before must be judged the same by those who read it later.
   */
  readonly revokedAt: bigint;
}
const Device: Codec<Device> = struct({
  deviceId: fixed(16),
  signatureKey: fixed(32),
  signInKey: fixed(32),
  revokedAt: uint64,
});

export interface DeviceList {
  readonly label: string;
  /** What the person calls themself; the directory holds each name once. */
  readonly name: string;
  readonly rootKey: Bytes;
  /** From 1 on, one more each time. */
  readonly version: bigint;
  /** The hash of the signed list before this one; empty in version 1. */
  readonly previousHash: Bytes;
  /** Seconds since the Unix epoch. */
  readonly issuedAt: bigint;
  /** Seconds since the Unix epoch. */
  readonly expiresAt: bigint;
  readonly devices: readonly Device[];
}
const DeviceList: Codec<DeviceList> = struct({
  label: utf8,
  name: utf8,
  rootKey: fixed(32),
  version: uint64,
  previousHash: opaque,
  issuedAt: uint64,
  expiresAt: uint64,
  devices: vector(Device),
});

interface SignedDeviceList {
  readonly list: Bytes;
  readonly signature: Bytes;
}
const SignedDeviceList: Codec<SignedDeviceList> = struct({ list: opaque, signature: fixed(64) });

/** Which list of an account is meant. */
export interface DeviceListHead {
  readonly version: bigint;
  /** SHA-256 of the signed list, 32 bytes. */
  readonly hash: Bytes;
}

/** The longest name, in UTF-16 code units. */
export const MAX_NAME_LENGTH = 48;

/** What nobody sees: controls, unassigned and private characters, those that are drawn as nothing, and the blank Braille pattern. */
const INVISIBLE = /[\p{C}\p{Default_Ignorable_Code_Point}\u2800]/u;

/**
 * A name as the directory holds it: NFKC, one space at most in a row and none at an end, nothing invisible. For who takes a name; a name
 * in a signed list is not judged by this, since it depends on the platform's version of Unicode. Throws `TypeError` for what is no name.
 */
export function normalizeName(input: string): string {
  const name = input.normalize("NFKC").trim().replace(/\s+/gu, " ");
  if (name.length === 0 || name.length > MAX_NAME_LENGTH || INVISIBLE.test(name)) {
    throw new TypeError(`a name has 1 to ${MAX_NAME_LENGTH} visible characters`);
  }
  return name;
}

/** What two names share that only differ in case: the directory gives it once. */
export function nameKey(name: string): string {
  return name.toLowerCase().normalize("NFKC");
}

/** Whether the device may come into a group at a time, in milliseconds: not revoked, on a list that holds. */
export function mayEnter(
  list: Pick<DeviceList, "expiresAt">,
  device: Pick<Device, "revokedAt">,
  at: number,
): boolean {
  if (Number(list.expiresAt) * 1000 <= at) return false;
  return device.revokedAt === 0n || at < Number(device.revokedAt) * 1000;
}

/** Whether a list keeps all that the one before it said of its devices: none is gone, and no revocation is taken back. */
export function keepsDevices(before: DeviceList, after: DeviceList): boolean {
  return before.devices.every((old) =>
    after.devices.some(
      (device) =>
        sameBytes(device.deviceId, old.deviceId) &&
        sameBytes(device.signatureKey, old.signatureKey) &&
        (old.revokedAt === 0n || device.revokedAt === old.revokedAt),
    ),
  );
}

function sameBytes(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** The signed form of a list. */
export async function signDeviceList(
  list: Omit<DeviceList, "label" | "rootKey">,
  rootKey: SigningKey,
): Promise<Bytes> {
  const encoded = encode(DeviceList, { label: LABEL, rootKey: rootKey.publicKey, ...list });
  return encode(SignedDeviceList, { list: encoded, signature: await rootKey.sign(encoded) });
}

/**
 * Reads a signed list and checks its own signature and form. What only the reader knows (is this the root
 * that is expected, is it newer than the last, is it expired) is not judged here, nor what the name looks like.
 * Throws `MlsError` with `decode`, or `TypeError`.
 */
export async function openDeviceList(signed: Bytes): Promise<DeviceList> {
  const { list: encoded, signature } = decode(SignedDeviceList, signed);
  const list = decode(DeviceList, encoded);
  if (list.label !== LABEL) throw new TypeError("a device list of another version");
  if (!(await verifyEd25519(list.rootKey, encoded, signature))) {
    throw new TypeError("the signature of the device list does not verify");
  }
  if (list.version < 1n || (list.version === 1n) !== (list.previousHash.length === 0)) {
    throw new TypeError("the device list does not fit into a chain");
  }
  if (list.name.length === 0 || list.name.length > MAX_NAME_LENGTH) {
    throw new TypeError("a device list without a name, or with one that is too long");
  }
  return list;
}

export async function headOf(signed: Bytes, list: DeviceList): Promise<DeviceListHead> {
  return { version: list.version, hash: await sha256(signed) };
}
