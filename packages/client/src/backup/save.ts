/**
 * Making a backup: the messages of all conversations, read from the storage as they are taken.
 * @module
 */

import { SIGN_IN_WINDOW } from "@conclave/delivery/protocol";
import type { Bytes } from "@conclave/mls/codec";
import { ClientError, type LongCall } from "../api.ts";
import { hex } from "../bytes.ts";
import type { Conversation } from "../conversation/conversation.ts";
import { messagesAfter, messageView } from "../conversation/history.ts";
import type { StoredMessage } from "../conversation/records.ts";
import type { Environment } from "../environment.ts";
import { sealBackup } from "./container.ts";
import { type Marks, newestBackup, noteBackup } from "./mark.ts";
import { type BackupRecord, encodeRecord } from "./records.ts";

/** Messages that are read at a time. */
const PAGE = 200;

export interface Saving extends LongCall {
  readonly environment: Environment;
  /** Those that a person sees. */
  readonly conversations: readonly Conversation[];
  readonly phraseKey: CryptoKey;
}

/**
 * The backup, part by part. It gets its end, without which it is of no use, when the account has noted it as its newest. Throws
 * `ServiceError`, `ClientError`, and what the signal was aborted with.
 */
export async function* saveBackup(saving: Saving): AsyncGenerator<Bytes> {
  const { environment, phraseKey } = saving;
  const { service, self } = environment;
  const marks: Marks = { service, accountId: self.accountIdBytes, phraseKey };
  const newest = await newestBackup(marks);
  // No service takes such a note from whoever has no phrase: this one made it up, and nothing is put above it.
  if (newest?.isOurs === false && newest.savedAt > service.now() + SIGN_IN_WINDOW * 1000) {
    throw new ClientError("refused", "the service shows a note that this account never made");
  }
  // Of two, the one that was made later is the newer one, whatever a clock says.
  const savedAt = Math.max(service.now(), (newest?.savedAt ?? 0) + 1);
  yield* sealBackup(phraseKey, recordsOf(saving, savedAt), () => noteBackup(marks, savedAt));
}

async function* recordsOf(saving: Saving, savedAt: number): AsyncGenerator<Bytes> {
  const { conversations, environment, signal, onProgress } = saving;
  const { directory, self } = environment;
  yield encodeRecord({ type: "start", accountId: self.accountIdBytes, savedAt });
  const authors = new Set<string>();
  function* authorsOf({ accountId, body }: StoredMessage): Generator<BackupRecord> {
    const also = body.type === "membership" ? [body.subject, body.by] : [];
    for (const account of [accountId, ...also]) {
      const id = account && hex(account);
      if (!account || !id || authors.has(id)) continue;
      authors.add(id);
      const name = directory.knownName(id);
      if (name !== undefined) yield { type: "author", accountId: account, name };
    }
  }

  const ends = conversations.map(({ state }) => state.last?.seq ?? 0);
  const total = ends.reduce((sum, end) => sum + end + 1, 0);
  let before = 0;
  for (const [i, { state }] of conversations.entries()) {
    const { groupId, record } = state;
    yield encodeRecord({
      type: "conversation",
      groupId,
      title: record.title,
      createdAt: record.createdAt,
    });
    for await (const stored of messagesAfter(state, PAGE)) {
      signal?.throwIfAborted();
      for (const author of authorsOf(stored)) yield encodeRecord(author);
      const { state: delivery } = messageView(state, stored, state.position.delivered);
      const { id, seq, accountId, at, body } = stored;
      const delivered = delivery === "delivered";
      yield encodeRecord({ type: "message", id, seq, accountId, at, delivered, body });
      onProgress?.({ done: Math.min(before + seq + 1, total), total });
    }
    before += (ends[i] ?? 0) + 1;
  }
  onProgress?.({ done: total, total });
}
