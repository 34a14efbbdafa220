/**
 * What is in a backup: messages, and what is needed to show them. Nothing of MLS, no keys, no device. Each record has its length before it, in 4
 * bytes; a change of their form, or of a stored message's, is another version of the backup.
 * @module
 */

import {
  type Bytes,
  type Codec,
  decode,
  encode,
  fixed,
  opaque,
  select,
  struct,
  uint8,
  utf8,
} from "@conclave/mls/codec";
import { concat, equal } from "../bytes.ts";
import { StoredBody } from "../conversation/records.ts";
import { boolean, count } from "../storage.ts";
import { damaged } from "./container.ts";

export type BackupRecord =
  /** The first, once. `savedAt`: milliseconds since the Unix epoch; also what tells an older backup from a newer one of the account. */
  | { readonly type: "start"; readonly accountId: Bytes; readonly savedAt: number }
  /** Before what was written by, or tells of, this account. */
  | { readonly type: "author"; readonly accountId: Bytes; readonly name: string }
  /** Its messages follow, oldest first. */
  | {
      readonly type: "conversation";
      readonly groupId: Bytes;
      readonly title: string;
      readonly createdAt: number;
    }
  | ({ readonly type: "message" } & SavedMessage);

export interface SavedMessage {
  readonly id: string;
  readonly seq: number;
  readonly accountId: Bytes;
  readonly at: number;
  /** One's own, of which every other device said that it has it. */
  readonly delivered: boolean;
  readonly body: StoredBody;
}

const BackupRecord: Codec<BackupRecord> = select<"type", BackupRecord>("type", uint8, {
  start: [1, struct({ accountId: fixed(32), savedAt: count })],
  author: [2, struct({ accountId: fixed(32), name: utf8 })],
  conversation: [3, struct({ groupId: opaque, title: utf8, createdAt: count })],
  message: [
    4,
    struct({
      id: utf8,
      seq: count,
      accountId: fixed(32),
      at: count,
      delivered: boolean,
      body: StoredBody,
    }),
  ],
});

/** A text has at most 128 KB in a message, names and titles far less. */
const MAX_RECORD_LENGTH = 256 * 1024;
const LENGTH = 4;
/** Of group ids. */
const MAX_GROUP_ID_LENGTH = 64;

export function encodeRecord(record: BackupRecord): Bytes {
  const body = encode(BackupRecord, record);
  const length = new Uint8Array(LENGTH);
  new DataView(length.buffer).setUint32(0, body.length);
  return concat(length, body);
}

/** Throws `ClientError` with `backup-damaged`. Holds no more than a chunk and a record. */
export async function* decodeRecords(chunks: AsyncIterable<Bytes>): AsyncGenerator<BackupRecord> {
  let rest: Bytes = new Uint8Array(0);
  for await (const chunk of chunks) {
    rest = concat(rest, chunk);
    const view = new DataView(rest.buffer);
    let at = 0;
    while (rest.length - at >= LENGTH) {
      const length = view.getUint32(at);
      if (length > MAX_RECORD_LENGTH) throw damaged();
      const end = at + LENGTH + length;
      if (end > rest.length) break;
      yield decodeRecord(rest.slice(at + LENGTH, end));
      at = end;
    }
    rest = rest.slice(at);
  }
  if (rest.length > 0) throw damaged();
}

function decodeRecord(bytes: Bytes): BackupRecord {
  try {
    return decode(BackupRecord, bytes);
  } catch (cause) {
    throw damaged(cause);
  }
}

/** The records, in an order in which they make sense. Throws `ClientError` with `backup-damaged`. */
export async function* checkRecords(
  records: AsyncIterable<BackupRecord>,
  accountId: Bytes,
): AsyncGenerator<BackupRecord> {
  let started = false;
  /** Of the conversation that messages belong to; undefined before the first. */
  let lastSeq: number | undefined;
  for await (const record of records) {
    if (started === (record.type === "start")) throw damaged();
    started = true;
    switch (record.type) {
      case "start":
        if (!equal(record.accountId, accountId)) throw damaged();
        break;
      case "author":
        break;
      case "conversation":
        if (record.groupId.length > MAX_GROUP_ID_LENGTH) throw damaged();
        lastSeq = 0;
        break;
      case "message":
        // The id becomes part of a key in the storage.
        if (lastSeq === undefined || record.seq < lastSeq || !/^[0-9a-f]{1,128}$/.test(record.id)) {
          throw damaged();
        }
        lastSeq = record.seq;
        break;
    }
    yield record;
  }
  if (!started) throw damaged();
}
