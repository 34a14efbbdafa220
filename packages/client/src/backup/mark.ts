/**
 * What an account notes about its newest backup, with the service, so that an older one is not taken for it on a device that knows nothing
 * yet: when it was saved, under a key that only the recovery phrase gives. The service can forget it or show an older note; it can't make one.
 * Nor can whoever has a device without the phrase: what they note tells nothing, and gives way to the next.
 * @module
 */

import { type DeliveryClient, ServiceError } from "@conclave/delivery/client";
import { type Bytes, encode, fixed, struct } from "@conclave/mls/codec";
import { ClientError } from "../api.ts";
import { utf8Bytes } from "../bytes.ts";
import { count } from "../storage.ts";

const LABEL = utf8Bytes("Conclave 1 newest backup");

export interface Marks {
  readonly service: Pick<DeliveryClient, "backupMark" | "setBackupMark">;
  readonly accountId: Bytes;
  readonly phraseKey: CryptoKey;
}

export interface NewestBackup {
  /** Milliseconds since the Unix epoch. */
  readonly savedAt: number;
  /** Whoever noted it had the phrase. */
  readonly isOurs: boolean;
}

/** What is noted of the account's newest backup; undefined where nothing is. Throws `ServiceError`. */
export async function newestBackup(marks: Marks): Promise<NewestBackup | undefined> {
  const { mark } = await marks.service.backupMark();
  if (mark === undefined) return undefined;
  const { number: savedAt, seal } = mark;
  const key = await keyOf(marks.phraseKey);
  const isOurs = await crypto.subtle.verify("HMAC", key, seal, noted(marks.accountId, savedAt));
  return { savedAt, isOurs };
}

/** Throws `ClientError` with `busy` where another device saved one meanwhile, and `ServiceError`. */
export async function noteBackup(marks: Marks, savedAt: number): Promise<void> {
  const key = await keyOf(marks.phraseKey);
  const seal = new Uint8Array(
    await crypto.subtle.sign("HMAC", key, noted(marks.accountId, savedAt)),
  );
  try {
    await marks.service.setBackupMark({ body: { number: savedAt, seal } });
  } catch (cause) {
    if (!(cause instanceof ServiceError) || cause.code !== "backup-older") throw cause;
    throw new ClientError("busy", "another device saved a backup meanwhile", { cause });
  }
}

const Noted = struct({ accountId: fixed(32), savedAt: count });

function noted(accountId: Bytes, savedAt: number): Bytes {
  return encode(Noted, { accountId, savedAt });
}

function keyOf(phraseKey: CryptoKey): Promise<CryptoKey> {
  const by = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info: LABEL };
  const hmac = { name: "HMAC", hash: "SHA-256", length: 256 };
  return crypto.subtle.deriveKey(by, phraseKey, hmac, false, ["sign", "verify"]);
}
