/**
 * The bodies of requests and answers. Bytes are base64url without padding; times are milliseconds
 * since the Unix epoch; sequence numbers and epochs are decimal strings where they may pass 2^53.
 * Which route takes and answers what, `routes.ts` says.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { z } from "zod";
import { bytesFromText, bytesToText } from "./base64url.ts";

// Otherwise it tries `new Function`, which the page's policy forbids and reports.
z.config({ jitless: true });

/** The largest bodies, in bytes. */
export const LIMITS = {
  body: 8 * 1024 * 1024,
  /** A new group: one leaf, and a GroupInfo. */
  newGroup: 64 * 1024,
  message: 256 * 1024,
  /** What a service takes at most, whatever it is set to; its own limit is in `Upload-Limit`. */
  blob: 16 * 1024 * 1024 * 1024,
  keyPackages: 100,
  logPage: 200,
  signal: 1024,
  backupSeal: 256,
} as const;

/** How many instances a device's client names as those that it may succeed. */
export const INSTANCES = 8;

export const bytes: z.ZodType<Bytes, string> = z
  .string()
  .meta({ contentEncoding: "base64url" })
  .transform((text, context): Bytes => {
    try {
      return bytesFromText(text);
    } catch {
      context.addIssue({ code: "custom", message: "not base64url without padding" });
      return z.NEVER;
    }
  });

export const uint64: z.ZodType<bigint, string> = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,19})$/)
  .transform((text) => BigInt(text));

/** The last epoch that stores count to; no group comes to it. */
const LAST_EPOCH = 2n ** 63n - 1n;

/** An epoch that somebody asks for. One that no store can count to is as one that no group comes to. */
export function askedEpoch(epoch: bigint): bigint {
  return epoch < LAST_EPOCH ? epoch : LAST_EPOCH;
}

/** In a query: an epoch. */
export const epochNumber: z.ZodType<bigint, string> = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,19})$/)
  .transform((text) => askedEpoch(BigInt(text)));

/** How many, or the how manieth. */
const count = z.number().int().min(0);

/** Milliseconds since the Unix epoch. */
const time = z.number().min(0);

/** In a query: decimal digits. */
export const wholeNumber: z.ZodType<number, string> = z
  .string()
  .regex(/^[0-9]{1,15}$/)
  .transform(Number);

/** `value` as JSON, with bytes and bigints in their text forms. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (inner instanceof Uint8Array) return bytesToText(inner);
    return typeof inner === "bigint" ? inner.toString() : inner;
  });
}

type Body<T extends z.ZodType> = Readonly<z.infer<T>>;

/** 16 bytes. */
const instanceId = bytes.refine((id) => id.length === 16);

/**
 * Which running copy of a device's client signs in: each start of it takes an id of its own, at random. It may go on where the one
 * that was signed in last is itself or among `succeeds`, those whose state it has; or with `takeOver`, which a person decides.
 */
export interface Instance {
  readonly id: Bytes;
  readonly succeeds: readonly Bytes[];
  readonly takeOver: boolean;
}
const instance = z.object({
  id: instanceId,
  succeeds: z.array(instanceId).max(INSTANCES),
  takeOver: z.boolean(),
});

/** `recover`: the account's next list, with a device of it. `signIn` proves the device's key. Answers as `signIn` does. */
export const RecoverRequest = z.object({
  deviceList: bytes,
  signIn: bytes,
  instance: z.optional(instance),
});
export type RecoverRequest = Body<typeof RecoverRequest>;

/**
 * `register`: a new account with its first device. `invite`: a code of the operator's, where the service needs one; it is spent with this.
 * Answers as `signIn` does.
 */
export const RegisterRequest = RecoverRequest.extend({ invite: z.optional(z.string().max(64)) });
export type RegisterRequest = Body<typeof RegisterRequest>;

/** `recovery`: asked by the account's root key. Answers with the account's device list. */
export const RecoveryRequest = z.object({ recovery: bytes });
export type RecoveryRequest = Body<typeof RecoveryRequest>;

export const SignInRequest = z.object({ signIn: bytes, instance: z.optional(instance) });
export type SignInRequest = Body<typeof SignInRequest>;

export const SignInResponse = z.object({ token: z.string(), expiresAt: time });
export type SignInResponse = Body<typeof SignInResponse>;

/**
 * What the service remembers of an account's newest backup of its messages, which itself is elsewhere: its number, the time at which it
 * was saved in milliseconds since the Unix epoch, and what the account sealed about it for its own devices.
 */
export const BackupMark = z.object({
  number: z.number().int().min(1),
  seal: bytes.refine((seal) => seal.length <= LIMITS.backupSeal),
});
export type BackupMark = Body<typeof BackupMark>;

/** `backupMark`: absent where the account never made a backup. */
export const BackupMarkResponse = z.object({ mark: BackupMark.optional() });
export type BackupMarkResponse = Body<typeof BackupMarkResponse>;

/** What an account said to another. */
const contactState = z.enum(["allowed", "refused", "blocked"]);
/** Who may add an account's devices to groups: everybody, or whom it allows; `default`: as the service has it. */
const contactRule = z.enum(["open", "ask", "default"]);

/** `sessions`: those of the account's devices that go on, in the order of their starts. */
export const SessionsResponse = z.object({
  sessions: z.array(
    z.object({
      sessionId: bytes,
      deviceId: bytes,
      startedAt: time,
      expiresAt: time,
      /** The one by which this was asked. */
      current: z.boolean(),
    }),
  ),
});
export type SessionsResponse = Body<typeof SessionsResponse>;

/** `endSessions`: of one device of the account, or of all. */
export const EndSessionsRequest = z.object({ deviceId: bytes.optional() });
export type EndSessionsRequest = Body<typeof EndSessionsRequest>;

/** `deleteAccount`: with the list that revokes every device, or by a session that has just begun. */
export const DeleteAccountRequest = z.object({ deviceList: bytes.optional() });
export type DeleteAccountRequest = Body<typeof DeleteAccountRequest>;

/** `exportAccount`: all that the service holds about the account. */
export const AccountExport = z.object({
  exportedAt: time,
  accountId: bytes,
  name: z.string(),
  deviceList: bytes,
  contact: contactRule,
  backup: BackupMark.optional(),
  sessions: z.array(
    z.object({
      sessionId: bytes,
      deviceId: bytes,
      startedAt: time,
      expiresAt: time,
    }),
  ),
  /** Who asked to reach the account and waits for its answer. */
  requests: z.array(z.object({ accountId: bytes, askedAt: time })),
  /** What the account said to others. */
  contacts: z.array(
    z.object({
      accountId: bytes,
      state: contactState,
      changedAt: time,
    }),
  ),
  /** What they hold is read by their ids. */
  blobs: z.array(z.object({ blobId: bytes, size: count, stored: count, expiresAt: time })),
  devices: z.array(
    z.object({
      deviceId: bytes,
      signatureKey: bytes,
      signInKey: bytes,
      revokedAt: uint64,
      keyPackages: z.array(
        z.object({
          ref: bytes,
          suite: count,
          notBefore: uint64,
          notAfter: uint64,
          lastResort: z.boolean(),
          keyPackage: bytes,
        }),
      ),
      /** From the log entry that let it in to the one that removed it. */
      groups: z.array(
        z.object({
          groupId: bytes,
          leafIndex: count,
          fromSeq: count,
          untilSeq: count.optional(),
        }),
      ),
      inbox: z.array(
        z.object({
          seq: count,
          groupId: bytes,
          epoch: uint64,
          commitSeq: count,
          welcome: bytes,
        }),
      ),
    }),
  ),
});
export type AccountExport = Body<typeof AccountExport>;

/** `askContact`, `withdrawContact`: whom to reach, by exact name or by id. */
export const AskContactRequest = z.union([
  z.strictObject({ name: z.string() }),
  z.strictObject({ accountId: bytes }),
]);
export type AskContactRequest = Body<typeof AskContactRequest>;

/** `contactRequests`: who waits for an answer, in the order of asking. */
export const ContactRequestsResponse = z.object({
  requests: z.array(z.object({ accountId: bytes, deviceList: bytes, askedAt: time })),
});
export type ContactRequestsResponse = Body<typeof ContactRequestsResponse>;

/**
 * `contacts`: what the account said to others, in the order of their ids; `next`: what to ask for as `after`, where there is more.
 * `unlessSet`: what `default` means here.
 */
export const ContactsResponse = z.object({
  contact: contactRule,
  unlessSet: z.enum(["open", "ask"]),
  contacts: z.array(
    z.object({
      accountId: bytes,
      state: contactState,
      changedAt: time,
    }),
  ),
  next: bytes.optional(),
});
export type ContactsResponse = Body<typeof ContactsResponse>;

export const SetContactRequest = z.object({ state: contactState });
export type SetContactRequest = Body<typeof SetContactRequest>;

export const SetContactRuleRequest = z.object({ contact: contactRule });
export type SetContactRuleRequest = Body<typeof SetContactRuleRequest>;

/** `lookUp`: by exact name. Unknown and unwilling are answered alike: `not-found`. */
export const LookUpRequest = z.object({ name: z.string() });
export type LookUpRequest = Body<typeof LookUpRequest>;

/** `lookUp`, `deviceList`: the signed device list; who reads it checks it. */
export const DeviceListResponse = z.object({ deviceList: bytes });
export type DeviceListResponse = Body<typeof DeviceListResponse>;

/** `replaceDeviceList`. */
export const ReplaceDeviceListRequest = z.object({ deviceList: bytes });
export type ReplaceDeviceListRequest = Body<typeof ReplaceDeviceListRequest>;

/** `uploadKeyPackages`: MLSMessages of one device. `lastResort` replaces the one before of its suite. */
export const UploadKeyPackagesRequest = z.object({
  keyPackages: z.array(bytes).max(LIMITS.keyPackages),
  lastResort: bytes.optional(),
});
export type UploadKeyPackagesRequest = Body<typeof UploadKeyPackagesRequest>;

const uint16 = z.number().int().min(0).max(0xffff);

/** `uploadKeyPackages`, `countKeyPackages`: how many are left of each suite, the last resort apart. */
export const KeyPackageCount = z.object({
  pools: z.array(
    z.object({
      suite: uint16,
      available: count,
      lastResort: z.boolean(),
      /** Where it was served: then another is to take its place. */
      lastResortServedAt: time.optional(),
    }),
  ),
});
export type KeyPackageCount = Body<typeof KeyPackageCount>;

export const ClaimKeyPackagesRequest = z.object({
  accountId: bytes,
  /** Those of the account's devices that are wanted; all unless given. */
  devices: z.array(bytes).min(1).max(64).optional(),
  /** That of the group. Of several, the first that there is. */
  suites: z.array(uint16).min(1).max(16),
  /** What the group requires of its members (RFC 9420 §11.1), and the version of MLS. */
  requires: z
    .object({
      versions: z.array(uint16).max(16).optional(),
      extensionTypes: z.array(uint16).max(64).optional(),
      proposalTypes: z.array(uint16).max(64).optional(),
      credentialTypes: z.array(uint16).max(64).optional(),
    })
    .optional(),
});
export type ClaimKeyPackagesRequest = Body<typeof ClaimKeyPackagesRequest>;

/** One for each device that was asked for and has one; each is served once, but a last resort. */
export const ClaimKeyPackagesResponse = z.object({
  keyPackages: z.array(z.object({ deviceId: bytes, keyPackage: bytes, lastResort: z.boolean() })),
  /**
   * The others that were asked for: `exhausted` has no valid key package, `nothing-compatible` none of what was asked for. Strangers are
   * not told of them.
   */
  unserved: z.array(
    z.object({ deviceId: bytes, reason: z.enum(["exhausted", "nothing-compatible"]) }),
  ),
});
export type ClaimKeyPackagesResponse = Body<typeof ClaimKeyPackagesResponse>;

/** `createGroup`: epoch 0, with the device as its one member. `groupInfo` has no `external_pub`. */
export const CreateGroupRequest = z.object({ groupInfo: bytes, ratchetTree: bytes });
export type CreateGroupRequest = Body<typeof CreateGroupRequest>;

/** `createGroup`: there is nothing to say. */
export const CreateGroupResponse = z.object({});
export type CreateGroupResponse = Body<typeof CreateGroupResponse>;

/** `commit`: all that belongs to one commit; accepted whole or not at all, once by the commit's hash. */
export const CommitRequest = z.object({
  /** MLSMessage with a PublicMessage. */
  commit: bytes,
  /** MLSMessage with the Welcome for those whom the commit adds. */
  welcome: bytes.optional(),
  /** MLSMessage with the GroupInfo of the new epoch, with neither `external_pub` nor `ratchet_tree`. */
  groupInfo: bytes,
  /** For each link in the new group context, the GroupInfo for joiners, sealed to it. */
  links: z.array(z.object({ linkId: bytes, sealedGroupInfo: bytes })).max(64),
});
export type CommitRequest = Body<typeof CommitRequest>;

/** `commit`, `message`: where the log has it. The same bytes again get the same answer. */
export const Accepted = z.object({ seq: count, acceptedAt: time });
export type Accepted = Body<typeof Accepted>;

export const LogEntry = z.object({
  /** From 1 on, without gaps, in each group. */
  seq: count,
  /** The epoch the message belongs to (a commit: the one it ends). */
  epoch: uint64,
  kind: z.enum(["commit", "proposal", "application"]),
  /** The MLSMessage. */
  message: bytes,
  acceptedAt: time,
});
export type LogEntry = Body<typeof LogEntry>;

/** `log`: what follows `after`, in order; `head` is the last sequence number the device may read. */
export const LogResponse = z.object({ entries: z.array(LogEntry), head: count });
export type LogResponse = Body<typeof LogResponse>;

/** `report`: a signed report on the commit at `seq`; `proof`, a report of MLS on it, reveals a key, and is not kept. */
export const ReportRequest = z.object({ seq: count, report: bytes, proof: bytes.optional() });
export type ReportRequest = Body<typeof ReportRequest>;

/** Whether the commit is proven to be at fault. Its proof is not checked where the commit is too far back. */
export const ReportResponse = z.object({ proven: z.boolean() });
export type ReportResponse = Body<typeof ReportResponse>;

/**
 * `reports`: of those members who wait to be added again; each is to be checked by the key of its leaf. `revoked`: the accounts of members'
 * devices that are revoked; their lists say which, and those leaves are to go.
 */
export const ReportsResponse = z.object({
  reports: z.array(z.object({ seq: count, report: bytes, proven: z.boolean() })),
  revoked: z.array(bytes),
});
export type ReportsResponse = Body<typeof ReportsResponse>;

/** `groups`: those the device is or was in, in the order of their ids; `next`: what to ask for as `after`, where there is more. */
export const GroupsResponse = z.object({
  groups: z.array(z.object({ groupId: bytes, head: count, epoch: uint64, member: z.boolean() })),
  next: bytes.optional(),
});
export type GroupsResponse = Body<typeof GroupsResponse>;

export const LinkResponse = z.object({
  groupId: bytes,
  epoch: uint64,
  sealedGroupInfo: bytes,
  usesLeft: count,
});
export type LinkResponse = Body<typeof LinkResponse>;

/** A Welcome, and the log entry of the commit that made it: reading starts behind that. */
export const InboxEntry = z.object({
  seq: count,
  groupId: bytes,
  epoch: uint64,
  commitSeq: count,
  welcome: bytes,
});
export type InboxEntry = Body<typeof InboxEntry>;

export const InboxResponse = z.object({ entries: z.array(InboxEntry) });
export type InboxResponse = Body<typeof InboxResponse>;

export const AcknowledgeRequest = z.object({ upTo: count });
export type AcknowledgeRequest = Body<typeof AcknowledgeRequest>;

export const HealthResponse = z.object({ status: z.literal("ok") });
export type HealthResponse = Body<typeof HealthResponse>;

/** OpenAPI 3.1. */
export const OpenApiDocument = z.looseObject({ openapi: z.string() });
export type OpenApiDocument = Body<typeof OpenApiDocument>;

/** `createBlob`, `appendBlob`: where the upload is. It is complete when `stored` is `size`. */
export const BlobResponse = z.object({
  /** Who knows it can fetch the blob: it belongs into an encrypted message alone. */
  blobId: bytes,
  /** Bytes. */
  size: z.number().int(),
  stored: z.number().int(),
  /** Of the upload; when it is complete, of the blob. */
  expiresAt: z.number(),
});
export type BlobResponse = Body<typeof BlobResponse>;

export const ReadyResponse = z.object({ status: z.literal("ready") });
export type ReadyResponse = Body<typeof ReadyResponse>;

/**
 * The socket's first frame, from the device; within 10 seconds. `signals`: whether it wants any; it does where it doesn't say. `entries`:
 * whether doorbells are to carry what is new; only where it says so.
 */
export const SocketHello = z.object({
  type: z.literal("hello"),
  token: z.string(),
  signals: z.boolean().optional(),
  entries: z.boolean().optional(),
});
export type SocketHello = Body<typeof SocketHello>;

/**
 * Frames from the service. Doorbells may be lost or come twice; the log is the truth. A signal is what a member says for the moment,
 * and comes once or never.
 */
export const SocketFrame = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ready") }),
  /**
   * The log has grown to `head`. `entries`, where there are any, are the last of it, in order and without gaps: who has read up to the one
   * before need not ask for them.
   */
  z.object({
    type: z.literal("group"),
    groupId: bytes,
    head: count,
    entries: z.array(LogEntry).optional(),
  }),
  /** There are members who can't follow a commit. */
  z.object({ type: z.literal("reports"), groupId: bytes }),
  z.object({ type: z.literal("inbox") }),
  /** Somebody asks to reach the account, or one that was asked allowed it. */
  z.object({ type: z.literal("contacts") }),
  /** Few key packages are left, or the last resort was served. */
  z.object({ type: z.literal("key-packages") }),
  z.object({ type: z.literal("signal"), groupId: bytes, body: bytes }),
]);
export type SocketFrame = Body<typeof SocketFrame>;
