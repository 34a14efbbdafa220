/**
 * Taking a backup in. All of it is read and checked before anything of it is stored; then it is read again, and stored conversation by
 * conversation. Broken off on the way it can be done again: what is there is not added twice.
 * @module
 */

import { ClientError, type LongCall, type RestoredBackup } from "../api.ts";
import { hex } from "../bytes.ts";
import type { StoredMessage } from "../conversation/records.ts";
import type { Conversations } from "../conversations.ts";
import type { Environment } from "../environment.ts";
import { damaged, type OpenedBackup, openBackup, readBackup } from "./container.ts";
import { newestBackup } from "./mark.ts";
import { type BackupRecord, checkRecords, decodeRecords, type SavedMessage } from "./records.ts";

/** Messages that are stored at a time; more, where they belong to one entry of the log. */
const BATCH = 200;

export interface Restoring extends LongCall {
  readonly environment: Environment;
  readonly conversations: Conversations;
  readonly phraseKey: CryptoKey;
  /** The person wants it though it may not be the newest. */
  readonly older: boolean;
}

/** Throws `ClientError`: those of `openBackup`, `backup-damaged`, `backup-older`, `backup-unsure`; `ServiceError`; and what the signal was aborted with. */
export async function restoreBackup(file: Blob, restoring: Restoring): Promise<RestoredBackup> {
  const { environment, phraseKey, older, onProgress } = restoring;
  const backup = await openBackup(file, phraseKey);
  const total = 2 * file.size;
  const tell = (before: number) => (done: number) => onProgress?.({ done: before + done, total });
  const { savedAt, messages } = await verify(recordsOf(backup, restoring, tell(0)));
  if (!older) {
    const { service, self } = environment;
    const newest = await newestBackup({ service, accountId: self.accountIdBytes, phraseKey });
    if (newest?.isOurs === false) {
      throw new ClientError("backup-unsure", "the note of the newest backup is not the account's");
    }
    if (newest !== undefined && savedAt < newest.savedAt) {
      throw new ClientError("backup-older", "the account has saved a newer backup since");
    }
  }
  const stored = await store(recordsOf(backup, restoring, tell(file.size)), restoring);
  return { savedAt, messages, ...stored };
}

function recordsOf(
  backup: OpenedBackup,
  { environment, signal }: Restoring,
  onRead: (bytes: number) => void,
): AsyncGenerator<BackupRecord> {
  const chunks = readBackup(backup, { onRead, ...(signal && { signal }) });
  return checkRecords(decodeRecords(chunks), environment.self.accountIdBytes);
}

async function verify(
  records: AsyncIterable<BackupRecord>,
): Promise<Pick<RestoredBackup, "savedAt" | "messages">> {
  let savedAt = 0;
  let messages = 0;
  for await (const record of records) {
    if (record.type === "start") ({ savedAt } = record);
    if (record.type === "message") messages += 1;
  }
  return { savedAt, messages };
}

async function store(
  records: AsyncIterable<BackupRecord>,
  { environment, conversations }: Restoring,
): Promise<Pick<RestoredBackup, "conversations" | "added">> {
  const { directory } = environment;
  let open: Extract<BackupRecord, { type: "conversation" }> | undefined;
  let pending: StoredMessage[] = [];
  let changed = false;
  let count = 0;
  let added = 0;
  const flush = async () => {
    if (!open || pending.length === 0) return;
    const { groupId, title, createdAt } = open;
    const few = await conversations.restore(hex(groupId), { title, createdAt }, pending);
    added += few;
    changed ||= few > 0;
    pending = [];
  };
  const close = async () => {
    await flush();
    if (open && changed) conversations.get(hex(open.groupId)).tellRestored();
    changed = false;
  };
  for await (const record of records) {
    switch (record.type) {
      case "start":
        break;
      case "author":
        await directory.learnName(hex(record.accountId), record.name);
        break;
      case "conversation":
        await close();
        open = record;
        count += 1;
        break;
      case "message":
        if (!open) throw damaged();
        if (pending.length >= BATCH && record.seq !== pending.at(-1)?.seq) await flush();
        pending.push(storedOf(record));
        break;
    }
  }
  await close();
  return { conversations: count, added };
}

function storedOf({ id, seq, accountId, at, delivered, body }: SavedMessage): StoredMessage {
  const fromBackup = delivered ? "delivered" : "sent";
  return { id, seq, accountId, at, alone: false, fromBackup, body };
}
