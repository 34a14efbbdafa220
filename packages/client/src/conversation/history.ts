/**
 * The messages of a conversation, as they are stored and as a view sees them.
 * @module
 */

import { type Bytes, decode } from "@conclave/mls/codec";
import type { ConversationId, Message, MessageBody } from "../api.ts";
import { hex } from "../bytes.ts";
import { decodeContent, textOf } from "../content/content.ts";
import type { Directory } from "../directory.ts";
import { type Changes, type ClientStorage, endOf, ordinal, put } from "../storage.ts";
import { KEYS, type OutboxEntry, type StoredBody, StoredMessage } from "./records.ts";

/** How many messages one entry of the log can have: one for each account in the largest groups. */
const MAX_OF_ENTRY = 50_000;

export interface History {
  readonly id: ConversationId;
  readonly storage: ClientStorage;
  readonly directory: Directory;
  readonly self: { readonly accountId: string; readonly accountIdBytes: Bytes };
}

/** Puts messages that belong to one entry of the log into a batch. */
export function putMessages(
  batch: Changes,
  id: ConversationId,
  messages: readonly StoredMessage[],
): void {
  for (const [index, message] of messages.entries()) {
    put(batch, KEYS.message(id, message.seq, index), StoredMessage, message);
  }
}

/**
 * The last `limit` messages before the entry `before`, oldest first; more, where the first of them has others of
 * its entry before it.
 */
export async function messagesBefore(
  history: History,
  before: number,
  limit: number,
): Promise<readonly StoredMessage[]> {
  const { id, storage } = history;
  const prefix = KEYS.messages(id);
  const to = before === Number.POSITIVE_INFINITY ? endOf(prefix) : prefix + ordinal(before);
  const found = [...(await storage.range({ from: prefix, to, limit, reverse: true }))].reverse();
  const [oldest] = found;
  if (oldest) {
    const [key, bytes] = oldest;
    const from = KEYS.message(id, decode(StoredMessage, bytes).seq, 0);
    found.unshift(...(await storage.range({ from, to: key, limit: MAX_OF_ENTRY })));
  }
  return found.map(([, bytes]) => decode(StoredMessage, bytes));
}

/** All messages, oldest first, so many read at a time. */
export async function* messagesAfter(
  { id, storage }: History,
  limit: number,
): AsyncGenerator<StoredMessage> {
  let from = KEYS.messages(id);
  const to = endOf(from);
  for (;;) {
    const page = await storage.range({ from, to, limit });
    for (const [, bytes] of page) yield decode(StoredMessage, bytes);
    const [last] = page.at(-1) ?? [];
    if (last === undefined || page.length < limit) return;
    // The first key behind it: none goes on where it ends.
    from = `${last}/`;
  }
}

/** Messages with `from < seq <= to`. */
export async function messagesBetween(
  history: History,
  from: number,
  to: number,
): Promise<readonly StoredMessage[]> {
  const prefix = KEYS.messages(history.id);
  const found = await history.storage.range({
    from: prefix + ordinal(from + 1),
    to: prefix + ordinal(to + 1),
    limit: MAX_OF_ENTRY,
  });
  return found.map(([, bytes]) => decode(StoredMessage, bytes));
}

/** `delivered`: up to which entry all other devices have what stands there. */
export function messageView(history: History, stored: StoredMessage, delivered: number): Message {
  const { directory, self } = history;
  const accountId = hex(stored.accountId);
  const own = accountId === self.accountId;
  return {
    id: stored.id,
    conversationId: history.id,
    seq: stored.seq,
    accountId,
    senderName: directory.nameOf(accountId),
    own,
    at: stored.at,
    body: bodyView(directory, stored.body),
    state: own ? deliveryOf(stored, delivered) : "received",
    ...(stored.fromBackup && { restored: true }),
  };
}

function deliveryOf(
  { seq, alone, fromBackup }: StoredMessage,
  delivered: number,
): "sent" | "delivered" {
  return fromBackup ?? (seq <= delivered && !alone ? "delivered" : "sent");
}

function bodyView(directory: Directory, body: StoredBody): MessageBody {
  if (body.type !== "membership") return body;
  const accountId = hex(body.subject);
  return {
    type: "membership",
    change: body.change,
    accountId,
    name: directory.nameOf(accountId),
    ...(body.by && { by: directory.nameOf(hex(body.by)) }),
  };
}

/** A message that waits in the outbox. */
export function waitingView(history: History, entry: OutboxEntry): Message {
  const { directory, self } = history;
  return {
    id: entry.id,
    conversationId: history.id,
    ...(entry.acceptedSeq !== undefined && { seq: entry.acceptedSeq }),
    accountId: self.accountId,
    senderName: directory.nameOf(self.accountId),
    own: true,
    at: entry.writtenAt,
    body: { type: "text", text: textOf(decodeContent(entry.content)) ?? "" },
    state: entry.failure ? "failed" : entry.acceptedSeq === undefined ? "waiting" : "sent",
    ...(entry.failure !== undefined && { failure: entry.failure }),
  };
}
