/**
 * Rows that both databases have alike, and what they stand for.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { sameBytes } from "../bytes.ts";
import type { Device, Instance, LogEntry } from "../protocol/index.ts";
import type { Account, InviteRefusal, ListedDevice, StoredBlob, StoredInvite } from "./store.ts";

/**
 * From when on the devices are revoked of an account whose list is gone, in seconds since the Unix epoch: nobody could judge the leaf of
 * one that enters a group, at whatever time.
 */
export const EVER = 1;

/** How many sessions a device has at most; the oldest go first. */
export const SESSIONS = 16;

/**
 * Whether the instance of a device's client may go on, where `held` signed in last: as that one, or in its place. One that doesn't say
 * which it is goes on as long as none did.
 */
export function placeOf(
  instance: Instance | undefined,
  held: Bytes | null,
): "same" | "next" | "in-use" {
  if (instance === undefined) return held === null ? "same" : "in-use";
  const { id, succeeds, takeOver } = instance;
  const isHeld = (one: Bytes): boolean => held !== null && sameBytes(one, held);
  if (isHeld(id)) return "same";
  return held === null || takeOver || succeeds.some(isHeld) ? "next" : "in-use";
}

/** A list and the hash of the one before it. */
export type DeviceListChange = Account & {
  readonly previousHash: Bytes;
  readonly devices: readonly Device[];
};

export interface AccountRow {
  readonly account_id: Bytes;
  readonly name: string;
  readonly device_list: Bytes;
  readonly version: number;
  readonly hash: Bytes;
  readonly expires_at: number;
  readonly registration: Bytes;
  readonly deleted_at: number | null;
  readonly disabled_at: number | null;
}

export interface DeviceRow {
  readonly device: number;
  readonly account_id: Bytes;
  readonly device_id: Bytes;
  readonly signature_key: Bytes;
  readonly sign_in_key: Bytes;
  readonly revoked_at: number;
}

export interface InviteRow {
  readonly hash: Bytes;
  readonly made_at: number;
  readonly expires_at: number;
  readonly spent_at: number | null;
}

export function toInvite(row: InviteRow): StoredInvite {
  const { hash, made_at: madeAt, expires_at: expiresAt, spent_at: spentAt } = row;
  return { hash, madeAt, expiresAt, ...(spentAt !== null && { spentAt }) };
}

/** Why this one, or none, makes no account. */
export function inviteRefusal(row: InviteRow | undefined): InviteRefusal {
  if (row === undefined) return "invite-unknown";
  return row.spent_at === null ? "invite-expired" : "invite-spent";
}

/** A device and the list that names it. */
export interface ListedRow extends DeviceRow {
  readonly list_expires_at: number;
}
export const LISTED = `SELECT devices.*, accounts.expires_at AS list_expires_at
  FROM devices JOIN accounts USING (account_id)`;

export function toAccount(row: AccountRow): Account {
  return {
    accountId: row.account_id,
    name: row.name,
    deviceList: row.device_list,
    version: BigInt(row.version),
    hash: row.hash,
    expiresAt: BigInt(row.expires_at),
    ...(row.deleted_at !== null && { deletedAt: row.deleted_at }),
    ...(row.disabled_at !== null && { disabledAt: row.disabled_at }),
  };
}

export function toDevice(row: ListedRow): ListedDevice {
  return {
    device: row.device,
    accountId: row.account_id,
    deviceId: row.device_id,
    signatureKey: row.signature_key,
    signInKey: row.sign_in_key,
    revokedAt: BigInt(row.revoked_at),
    listExpiresAt: BigInt(row.list_expires_at),
  };
}

export interface BlobRow {
  readonly blob_id: Bytes;
  readonly account_id: Bytes;
  readonly size: number;
  readonly stored: number;
  readonly expires_at: number;
  readonly deleted_at: number | null;
}

export function toBlob(row: BlobRow): StoredBlob {
  return {
    blobId: row.blob_id,
    accountId: row.account_id,
    size: row.size,
    stored: row.stored,
    expiresAt: row.expires_at,
  };
}

export interface EntryRow {
  readonly seq: number;
  readonly epoch: number;
  readonly kind: LogEntry["kind"];
  readonly message: Bytes;
  readonly accepted_at: number;
}

export function toEntry({
  seq,
  epoch,
  kind,
  message,
  accepted_at: acceptedAt,
}: EntryRow): LogEntry {
  return { seq, epoch: BigInt(epoch), kind, message, acceptedAt };
}
