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
}
const Device: Codec<Device> = struct({
  deviceId: fixed(16),
  signatureKey: fixed(32),
  signInKey: fixed(32),
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

/**
 * A name as the directory holds it: NFKC, no control or invisible characters, no space at an end.
 * Throws `TypeError` for what is no name.
 */
export function normalizeName(input: string): string {
  const name = input.normalize("NFKC").trim().replace(/\s+/gu, " ");
  if (name.length === 0 || name.length > MAX_NAME_LENGTH || /[\p{C}]/u.test(name)) {
    throw new TypeError(`a name has 1 to ${MAX_NAME_LENGTH} visible characters`);
  }
  return name;
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
 * Reads a signed list and checks its own signature, name and form. What only the reader knows (is this the root
 * that is expected, is it newer than the last, is it expired) is not judged here.
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
  if (normalizeName(list.name) !== list.name) throw new TypeError("the name is not normalized");
  return list;
}

export async function headOf(signed: Bytes, list: DeviceList): Promise<DeviceListHead> {
  return { version: list.version, hash: await sha256(signed) };
}
