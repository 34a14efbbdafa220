/**
 * What is kept of a conversation, each part under a key of its own, so that what is written for a message
 * has the same size whatever came before it.
 * @module
 */

import {
  type Bytes,
  type Codec,
  enumeration,
  fixed,
  mapped,
  opaque,
  optional,
  select,
  struct,
  uint8,
  uint32,
  uint64,
  utf8,
  vector,
} from "@conclave/mls/codec";
import type { AccountId, ConversationId } from "../api.ts";
import { fromHex, hex } from "../bytes.ts";
import { ChainPosition } from "../chain.ts";
import { boolean, count, ordinal } from "../storage.ts";

/** The keys of a conversation's records. */
export const KEYS = {
  conversations: "conversation/",
  conversation: (id: ConversationId): string => `conversation/${id}`,
  position: (id: ConversationId): string => `position/${id}`,
  read: (id: ConversationId): string => `read/${id}`,
  readers: (id: ConversationId): string => `readers/${id}`,
  join: (id: ConversationId): string => `join/${id}`,
  /** The intent that the pending commit carries out. */
  composing: (id: ConversationId): string => `composing/${id}`,
  messages: (id: ConversationId): string => `message/${id}/`,
  message: (id: ConversationId, seq: number, index: number): string =>
    `message/${id}/${ordinal(seq)}/${index.toString(16).padStart(4, "0")}`,
  /** Where a message's id was first seen. */
  seen: (id: ConversationId, messageId: string): string => `seen/${id}/${messageId}`,
  /** The commit that we can't follow, and what we say of it. */
  shutOut: (id: ConversationId): string => `shut-out/${id}`,
  /** Is there while nobody was removed since our leaf's key came in: nobody outside has secrets of its time. */
  noneRemoved: (id: ConversationId): string => `none-removed/${id}`,
  outbox: (id: ConversationId): string => `outbox/${id}/`,
  outboxEntry: (id: ConversationId, number: number): string => `outbox/${id}/${ordinal(number)}`,
  /** The caller's key of a message that was put into the outbox once. */
  written: (id: ConversationId, keyHash: string): string => `written/${id}/${keyHash}`,
  intents: (id: ConversationId): string => `intent/${id}/`,
  intent: (id: ConversationId, number: number): string => `intent/${id}/${ordinal(number)}`,
  peers: (id: ConversationId): string => `peer/${id}/`,
  peer: (id: ConversationId, signatureKey: string): string => `peer/${id}/${signatureKey}`,
  chain: (id: ConversationId): string => `chain/${id}/`,
  chainAt: (id: ConversationId, length: number): string => `chain/${id}/${ordinal(length)}`,
} as const;

export type ConversationStatus = "active" | "joining" | "left";

export interface ConversationRecord {
  readonly title: string;
  readonly status: ConversationStatus;
  /** The person left; the others have yet to commit it. */
  readonly leaving: boolean;
  /** The state is a copy of one that went on elsewhere, or the group went on without it: nothing may be sent from it. */
  readonly restored: boolean;
  readonly createdAt: number;
}
export const ConversationRecord: Codec<ConversationRecord> = struct({
  title: utf8,
  status: enumeration<ConversationStatus>(uint8, { active: 1, joining: 2, left: 3 }),
  leaving: boolean,
  restored: boolean,
  createdAt: count,
});

/** Where this device stands in the log. Written with each entry, by the conversation's worker alone. */
export interface Position {
  /** The last entry that was dealt with. */
  readonly cursor: number;
  /** The latest time at which the log took an entry: never goes back. Milliseconds. */
  readonly acceptedAt: number;
  readonly chain: ChainPosition;
  /** Of this device's next frame. */
  readonly nextSequence: number;
  /** How many texts of others there were. */
  readonly received: number;
  /** The entry with the last of them, and the last one that was reported by a receipt. */
  readonly lastReceived: number;
  readonly reported: number;
  /** All other devices have what stands up to here. */
  readonly delivered: number;
}
export const Position: Codec<Position> = struct({
  cursor: count,
  acceptedAt: count,
  chain: ChainPosition,
  nextSequence: count,
  received: count,
  lastReceived: count,
  reported: count,
  delivered: count,
});

/** What is known of another device. */
export interface Peer {
  /** Of its last frame; absent until the first, if it was in the group before us. */
  readonly sequence: number | undefined;
  /** It has all entries up to here. */
  readonly reported: number;
}
export const Peer: Codec<Peer> = struct({ sequence: optional(count), reported: count });

/** What the other members say that they have read: entries of the log. */
export interface Readers {
  readonly by: ReadonlyMap<AccountId, number>;
  /** Up to which entry all others who were in had read at some time: who joins later doesn't change it. */
  readonly all: number;
}
export const NO_READERS: Readers = { by: new Map(), all: 0 };
export const Readers: Codec<Readers> = struct({
  by: mapped(
    vector(struct({ accountId: fixed(32), upTo: count })),
    (wire): Readers["by"] => new Map(wire.map(({ accountId, upTo }) => [hex(accountId), upTo])),
    (by) => [...by].map(([accountId, upTo]) => ({ accountId: fromHex(accountId), upTo })),
  ),
  all: count,
});

export type MembershipChange = "created" | "joined" | "added" | "removed" | "left";

export type StoredBody =
  | { readonly type: "text"; readonly text: string }
  | {
      readonly type: "membership";
      readonly change: MembershipChange;
      readonly subject: Bytes;
      readonly by: Bytes | undefined;
    }
  | { readonly type: "unreadable" };

export const StoredBody: Codec<StoredBody> = select<"type", StoredBody>("type", uint8, {
  text: [1, struct({ text: utf8 })],
  membership: [
    2,
    struct({
      change: enumeration<MembershipChange>(uint8, {
        created: 1,
        joined: 2,
        added: 3,
        removed: 4,
        left: 5,
      }),
      subject: fixed(32),
      by: optional(fixed(32)),
    }),
  ],
  unreadable: [3, struct({})],
});

export interface StoredMessage {
  readonly id: string;
  readonly seq: number;
  readonly accountId: Bytes;
  readonly at: number;
  /** No other device was in the group: it is delivered to nobody, whoever comes later. */
  readonly alone: boolean;
  /** Not read in the log, but brought by a backup; and what that said of its delivery. */
  readonly fromBackup?: "sent" | "delivered";
  readonly body: StoredBody;
}
/** One byte says whether it was alone, and whether it came from a backup. */
const ORIGINS: readonly Pick<StoredMessage, "alone" | "fromBackup">[] = [
  { alone: false },
  { alone: true },
  { alone: false, fromBackup: "sent" },
  { alone: false, fromBackup: "delivered" },
];
export const StoredMessage: Codec<StoredMessage> = mapped(
  struct<Omit<StoredMessage, "alone" | "fromBackup"> & { readonly origin: number }>({
    id: utf8,
    seq: count,
    accountId: fixed(32),
    at: count,
    origin: uint8,
    body: StoredBody,
  }),
  ({ origin, ...message }) => ({ ...message, ...(ORIGINS[origin] ?? { alone: false }) }),
  ({ alone, fromBackup, ...message }) => ({
    ...message,
    origin: fromBackup === undefined ? Number(alone) : fromBackup === "sent" ? 2 : 3,
  }),
);

export interface OutboxEntry {
  /** Receipts and proposals are sent like texts, and shown nowhere. */
  readonly kind: "text" | "receipt" | "proposal";
  readonly id: string;
  readonly content: Bytes;
  readonly writtenAt: number;
  /** Given when it is first encrypted, and kept when it is encrypted again in another epoch. */
  readonly sequence: number | undefined;
  readonly ciphertext: { readonly message: Bytes; readonly hash: Bytes } | undefined;
  /** Where the service says it is in the log. */
  readonly acceptedSeq: number | undefined;
  /** Why it can't be sent: an error code. */
  readonly failure: string | undefined;
}
export const OutboxEntry: Codec<OutboxEntry> = struct({
  kind: enumeration<OutboxEntry["kind"]>(uint8, { text: 1, receipt: 2, proposal: 3 }),
  id: utf8,
  content: opaque,
  writtenAt: count,
  sequence: optional(count),
  ciphertext: optional(struct({ message: opaque, hash: fixed(32) })),
  acceptedSeq: optional(count),
  failure: optional(utf8),
});

/** What is wanted of the group. Kept until a commit made it so. */
export type Intent =
  | Addition
  | { readonly type: "remove"; readonly accountId: Bytes }
  | { readonly type: "invite"; readonly link: InvitedLink }
  | { readonly type: "revoke" }
  /** A device that asked to be taken out, in an epoch that a joiner ended: the proposal is void, what it asked for stays. */
  | { readonly type: "release"; readonly signatureKey: Bytes }
  | Renewal
  /** Our leaf came by a last resort: it gets fresh keys, by a commit that does nothing else. */
  | { readonly type: "refresh" }
  | Return;

/** The account's devices come in, by key packages that are claimed once and kept here until they are used. */
export interface Addition {
  readonly type: "add";
  readonly accountId: Bytes;
  readonly keyPackages: readonly Bytes[];
}

/** What is tried so many times, each a while after the one before. */
interface Repeated {
  readonly tries: number;
  /** Not before: milliseconds since the Unix epoch. */
  readonly at: number;
}

/** The account's list revokes devices that are in: they go, and those that are new come. From the second try on, those that our own commit left out come. */
export interface Renewal extends Repeated {
  readonly type: "renew";
  readonly accountId: Bytes;
  readonly keyPackages: readonly Bytes[];
}

/** There may be members that can't follow: they are brought back. It is not stored: the service is asked anew after a start. */
export interface Return extends Repeated {
  readonly type: "return";
}

/** As it will stand in the group's context. */
export interface InvitedLink {
  readonly signatureKey: Bytes;
  readonly encryptionKey: Bytes;
  /** Seconds since the Unix epoch. */
  readonly expiresAt: bigint;
  readonly maxUses: number;
}
const InvitedLink: Codec<InvitedLink> = struct({
  signatureKey: fixed(32),
  encryptionKey: fixed(32),
  expiresAt: uint64,
  maxUses: uint32,
});

export type StoredIntent = Exclude<Intent, Return>;
export const StoredIntent: Codec<StoredIntent> = select<"type", StoredIntent>("type", uint8, {
  add: [1, struct({ accountId: fixed(32), keyPackages: vector(opaque) })],
  remove: [2, struct({ accountId: fixed(32) })],
  invite: [3, struct({ link: InvitedLink })],
  revoke: [4, struct({})],
  release: [5, struct({ signatureKey: opaque })],
  refresh: [7, struct({})],
  renew: [
    8,
    struct({ accountId: fixed(32), keyPackages: vector(opaque), tries: count, at: count }),
  ],
});

/** A commit that we can't follow. */
export interface ShutOut {
  readonly seq: number;
  /** As the service gets them, once they are made. */
  readonly report: Bytes | undefined;
  readonly proof: Bytes | undefined;
}
export const ShutOut: Codec<ShutOut> = struct({
  seq: count,
  report: optional(opaque),
  proof: optional(opaque),
});

/** A join by link that is under way. The seed is deleted with the record once it is over. */
export interface JoinRecord {
  readonly seed: Bytes;
  readonly inviter: Bytes;
}
export const JoinRecord: Codec<JoinRecord> = struct({
  seed: fixed(32),
  inviter: fixed(32),
});
