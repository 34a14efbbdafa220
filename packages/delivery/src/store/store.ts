/**
 * What the service remembers. One seam: a store is whatever keeps these promises, and every method is one
 * transaction. What a method changed is durable when its promise resolves. Times are milliseconds since the Unix
 * epoch, lifetimes of key packages and links seconds.
 *
 * Devices, accounts and groups are named by what they are; `device` is a number that this store gave.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type {
  Accepted,
  BackupMark,
  Device,
  InboxEntry,
  Instance,
  KeyPackageCount,
  LogEntry,
} from "../protocol/index.ts";

export interface Store
  extends AccountStore,
    AccountDataStore,
    AdmissionStore,
    ContactStore,
    BackupMarkStore,
    KeyPackageStore,
    GroupStore,
    ReportStore,
    InboxStore,
    BlobStore,
    UpkeepStore {
  /** Rejects where the database doesn't answer, or isn't of the version that this store knows. */
  ready(): Promise<void>;
  /**
   * Resolves when all that was read before is as durable as what was changed: for whoever acknowledges something because
   * it is there already. Where a store has replicas, what can be read may not have reached them.
   */
  settle(): Promise<void>;
  /** How much of what it was asked waits: to be written, or for a connection. */
  waiting(): number;
  close(): Promise<void>;
}

/**
 * The store failed, or has too much to do. What became of a change isn't known: the same again finds out, since what was done
 * is not done twice.
 */
export class StoreUnavailable extends Error {
  override readonly name = "StoreUnavailable";
}

/** A device as its account's newest list has it, also one that is revoked. */
export interface ListedDevice extends Device {
  readonly device: number;
  readonly accountId: Bytes;
  /** When that list ends, in seconds since the Unix epoch. */
  readonly listExpiresAt: bigint;
}

export interface Account {
  readonly accountId: Bytes;
  readonly name: string;
  /** As the root key signed it. */
  readonly deviceList: Bytes;
  readonly version: bigint;
  /** SHA-256 of `deviceList`. */
  readonly hash: Bytes;
  /** Of `deviceList`, in seconds since the Unix epoch; like `revokedAt` of its devices, at most 2^53 - 1. */
  readonly expiresAt: bigint;
  /** Where it was deleted. Its name is empty then, and the list is what others judge its leaves by. */
  readonly deletedAt?: number;
  /** Where the operator disabled it: none of its devices can sign in. */
  readonly disabledAt?: number;
}

export interface AccountStore {
  /**
   * A new account, and the nonce of the sign-in that came with it. The same registration again changes
   * nothing and is "registered" too. Names that share their `nameKey` are the same name to "name-taken". `invite`, where
   * one is needed: it is spent by a new account, and by nothing else.
   */
  register(
    account: Account & {
      readonly devices: readonly Device[];
      /** SHA-256 of the sign-in that came with it. */
      readonly registration: Bytes;
      readonly nonce: Nonce;
      readonly invite?: { readonly hash: Bytes; readonly now: number };
    },
  ): Promise<"registered" | "name-taken" | "account-exists" | "key-in-use" | InviteRefusal>;

  /** Of a deleted account there is something as long as others may need its device list. */
  account(accountId: Bytes): Promise<Account | undefined>;

  /**
   * Puts the list in the place of its predecessor, whose devices it keeps. Those that it revokes, or that have
   * another sign-in key in it, lose their sessions, key packages and inboxes: they are the answer. "entered-later": it
   * revokes a device as of a time before it last entered a group.
   */
  replaceDeviceList(
    next: Account & { readonly previousHash: Bytes; readonly devices: readonly Device[] },
  ): Promise<
    | { readonly revoked: readonly number[] }
    | "device-list-conflict"
    | "key-in-use"
    | "entered-later"
  >;

  device(accountId: Bytes, deviceId: Bytes): Promise<ListedDevice | undefined>;
  devicesBySignatureKey(keys: readonly Bytes[]): Promise<readonly (ListedDevice | undefined)[]>;

  /**
   * Without a nonce: the sign-in has one that was taken at registration. "not-current": the key by which it was judged is not
   * the device's now, or the device is revoked. "disabled": its account is. "in-use": the device has an instance, which is neither this one
   * nor one that it succeeds. Where it is another, it gives way: `ended` are its sessions, all that the device had.
   */
  startSession(session: {
    readonly device: number;
    readonly signInKey: Bytes;
    readonly nonce?: Nonce;
    readonly instance?: Instance;
    readonly tokenHash: Bytes;
    readonly expiresAt: number;
    readonly now: number;
  }): Promise<
    { readonly ended: readonly Bytes[] } | "nonce-used" | "not-current" | "in-use" | "disabled"
  >;
  session(
    tokenHash: Bytes,
    now: number,
  ): Promise<
    | { readonly device: ListedDevice; readonly startedAt: number; readonly expiresAt: number }
    | undefined
  >;
  /** For each, in their order, whether its session goes on: not ended, not expired, its device not revoked. */
  sessionsLive(tokenHashes: readonly Bytes[], now: number): Promise<readonly boolean[]>;
  /** Those of the account's devices that go on, in the order of their starts. */
  sessionsOf(accountId: Bytes, now: number): Promise<readonly StoredSession[]>;
  /** Ends one of the account's. Whether there was one. */
  endSession(accountId: Bytes, tokenHash: Bytes): Promise<boolean>;
  /** Ends all of the account's, or of one of its devices; answers with the devices that had some. */
  endSessions(accountId: Bytes, deviceId?: Bytes): Promise<readonly number[]>;
}

export interface StoredSession {
  readonly tokenHash: Bytes;
  readonly deviceId: Bytes;
  readonly startedAt: number;
  readonly expiresAt: number;
}

/** All that is held about an account: to be read, and to be deleted. */
export interface AccountDataStore {
  /** Whether there was such an account, and it was deleted. */
  isDeleted(accountId: Bytes): Promise<boolean>;
  /** In the order of their numbers, also those that are revoked. */
  devicesOf(accountId: Bytes): Promise<readonly ListedDevice[]>;
  /** Of one device, the last resort among them. */
  keyPackagesOf(
    device: number,
  ): Promise<readonly (StoredKeyPackage & { readonly lastResort: boolean })[]>;
  /** In which groups the device is and was, in the order of their ids, at most `limit` behind `after`. */
  membershipsOf(
    device: number,
    page: {
      readonly after?: { readonly groupId: Bytes; readonly fromSeq: number };
      readonly limit: number;
    },
  ): Promise<readonly Membership[]>;
  /**
   * Ends an account. Its name is free; its devices are revoked, and their sessions, nonces, key packages and inboxes gone, like its blobs, what
   * others said of it to the service and it of them, and the logs, trees and links of groups in which nobody else ever was. The ids of
   * accounts, devices, signature keys and groups stay taken. The device list stays if it shared a group with others, who judge by it
   * what the log says; `final` takes its place then, the list that follows the one held and revokes every device. Again it changes
   * nothing and answers with no devices. Otherwise the answer is all of its devices.
   */
  deleteAccount(
    accountId: Bytes,
    how: {
      readonly final?: Account & {
        readonly previousHash: Bytes;
        readonly devices: readonly Device[];
      };
      readonly now: number;
    },
  ): Promise<
    { readonly devices: readonly number[] } | "unknown" | "device-list-conflict" | "entered-later"
  >;
}

/** A code by which one account is made. The code itself is nowhere. */
export interface StoredInvite {
  /** SHA-256 of the code. */
  readonly hash: Bytes;
  readonly madeAt: number;
  readonly expiresAt: number;
  readonly spentAt?: number;
}

export type InviteRefusal = "invite-unknown" | "invite-spent" | "invite-expired";

/** How long an invite is remembered when its time is over, so that who comes late is told so: milliseconds. */
export const INVITE_MEMORY: number = 90 * 24 * 60 * 60 * 1000;

/** Who may be here: what the operator decides of new accounts, and of those that there are. */
export interface AdmissionStore {
  addInvites(invites: readonly StoredInvite[]): Promise<void>;
  /** In the order of their hashes, at most `limit` behind `after`. */
  invites(page: {
    readonly after?: Bytes;
    readonly limit: number;
  }): Promise<readonly StoredInvite[]>;
  /** From now on nobody knows it; one that is spent stays. Whether there was one. */
  revokeInvite(hash: Bytes): Promise<boolean>;

  /** Those that are not deleted, in the order of their `nameKey`, at most `limit` behind `after`, an account's name. */
  accounts(page: { readonly after?: string; readonly limit: number }): Promise<readonly Account[]>;
  /** By whatever name it is the same. Nothing of one that was deleted. */
  findAccount(name: AccountName): Promise<Account | undefined>;
  /**
   * Disables the account since then, or enables it again. One that is disabled loses its sessions and can begin none. The answer is
   * all of its devices. Again it changes nothing but that.
   */
  setDisabled(
    accountId: Bytes,
    since: number | undefined,
  ): Promise<{ readonly devices: readonly number[] } | "unknown">;
}

/** From the log entry that let the device in to the one that removed it, where one did. */
export interface Membership {
  readonly groupId: Bytes;
  readonly leafIndex: number;
  readonly fromSeq: number;
  readonly untilSeq: number | undefined;
}

/** Whether strangers may add an account's devices to groups, or have to ask. */
export type ContactRule = "open" | "ask";

/** An account as it is named to the directory: by its exact name, or by its id. */
export type AccountName = { readonly name: string } | { readonly accountId: Bytes };

export interface Contact {
  readonly accountId: Bytes;
  readonly state: "allowed" | "refused" | "blocked";
  readonly changedAt: number;
}

export interface ContactStore {
  /**
   * The account, if the caller's may reach it: its own; one that did not block it and is open, allowed it, asked it, or is now in
   * a group with it. `known`: not by being open alone. Takes as much work where the answer is no, whatever the reason.
   */
  reach(
    caller: Bytes,
    target: AccountName,
    /** Of accounts that made none. */
    rule: ContactRule,
  ): Promise<{ readonly account: Account; readonly known: boolean } | undefined>;

  /**
   * Which of these devices are of accounts that blocked the caller's, and have no device in the group: they are not to be added to it by
   * the caller, who may have claimed their key packages before.
   */
  unwilling(caller: Bytes, groupId: Bytes, devices: readonly number[]): Promise<readonly number[]>;

  /**
   * Notes that `from` asks to reach another account, unless that allowed, refused (since `refusedSince`) or blocked it, or there is no
   * such account. Forgotten are requests before `askedSince`, and the oldest where more than `limit` wait. Answers with the devices that
   * may be told.
   */
  askContact(request: {
    readonly from: Bytes;
    readonly target: AccountName;
    readonly now: number;
    readonly askedSince: number;
    readonly refusedSince: number;
    readonly limit: number;
  }): Promise<readonly number[]>;
  /** Takes back what `from` asked, where it still waits. Answers with the devices that may be told. */
  withdrawContact(from: Bytes, target: AccountName): Promise<readonly number[]>;
  /** Who asked the account and waits for its answer, in the order of asking. */
  contactRequests(
    accountId: Bytes,
    askedSince: number,
  ): Promise<readonly { readonly account: Account; readonly askedAt: number }[]>;

  /** What the account said to others, in the order of their ids, at most `limit` behind `after`. */
  contactsOf(
    accountId: Bytes,
    page: { readonly after?: Bytes; readonly limit: number },
  ): Promise<readonly Contact[]>;
  /**
   * "full": it said something to `limit` others already. "answered": the other had asked and is allowed now. A refusal is noted only
   * where there is something to refuse.
   */
  setContact(
    accountId: Bytes,
    contact: Contact & { readonly limit: number },
  ): Promise<"set" | "answered" | "full">;
  /** Takes back whatever was said. */
  forgetContact(accountId: Bytes, peer: Bytes): Promise<void>;

  /** What the account itself decided; undefined where the service's rule holds. */
  contactRule(accountId: Bytes): Promise<ContactRule | undefined>;
  setContactRule(accountId: Bytes, rule: ContactRule | undefined): Promise<void>;
}

export interface BackupMarkStore {
  backupMark(accountId: Bytes): Promise<BackupMark | undefined>;
  /** Only ever a higher number takes the place of another, so of several at once with one number one is "set". The same again is, too. */
  setBackupMark(accountId: Bytes, mark: BackupMark): Promise<"set" | "older">;
}

export interface Nonce {
  readonly nonce: Bytes;
  /** From when on it need not be remembered. */
  readonly expiresAt: number;
}

export interface StoredKeyPackage {
  /** The KeyPackageRef. */
  readonly ref: Bytes;
  readonly suite: number;
  /** Seconds since the Unix epoch. */
  readonly notBefore: bigint;
  readonly notAfter: bigint;
  /** The MLSMessage. */
  readonly keyPackage: Bytes;
  /** What its leaf is capable of, in words of the service's; absent where that was not noted, and then it fits everything. */
  readonly capabilities?: readonly string[];
}

export interface ClaimedKeyPackage {
  readonly device: number;
  readonly deviceId: Bytes;
  readonly keyPackage: Bytes;
  readonly lastResort: boolean;
}

export interface KeyPackageStore {
  /** One that was ever added is not added again, so that none is served twice. A last resort takes the place of that of its suite. */
  addKeyPackages(
    device: number,
    added: {
      readonly keyPackages: readonly StoredKeyPackage[];
      readonly lastResort?: StoredKeyPackage;
      /** How many the device may have of one suite, the last resort apart. */
      readonly limit: number;
      readonly now: number;
    },
  ): Promise<KeyPackageCount | "full">;
  countKeyPackages(device: number, now: number): Promise<KeyPackageCount>;
  /**
   * One for each device, or each of `devices`, that is not revoked and has one in a suite of `suites`, the first of them if it can be, that is capable of all
   * that is required and valid now; gone with this, but a last resort, of which it is noted. A device that has a fitting last resort
   * keeps the last `reserve` of the others.
   */
  claimKeyPackages(
    accountId: Bytes,
    suites: readonly number[],
    now: number,
    more?: {
      readonly reserve?: number;
      readonly requires?: readonly string[];
      /** By their ids. */
      readonly devices?: readonly Bytes[] | undefined;
    },
  ): Promise<readonly ClaimedKeyPackage[]>;
}

/** A node of the ratchet tree: its index in the array (RFC 9420 App. C), and its encoding. */
export type StoredNode = readonly [nodeIndex: number, node: Bytes];

export interface TreePart {
  /** Whether the group is in this epoch. */
  readonly current: boolean;
  readonly nodes: readonly StoredNode[];
  /** The index from which to read on, where there is more. */
  readonly next: number | undefined;
}

/** What the service follows a group by. */
export interface StoredGroup {
  readonly epoch: bigint;
  /** Another with every change of `parts`. */
  readonly version: number;
  /** Of the newest entry in its log. */
  readonly acceptedAt: number;
  /** Absent where the caller holds this version already. */
  readonly parts: { readonly state: Bytes; readonly nodes: readonly StoredNode[] } | undefined;
}

/**
 * For how many epochs behind the current one a store keeps a group as it was, so that a report on a commit can be checked. Nodes that
 * a Welcome needs stay longer.
 */
export const PAST_EPOCHS = 32;

/** That a member can't follow a commit, as it signed it. */
export interface StoredReport {
  readonly leafIndex: number;
  /** Of the commit. */
  readonly seq: number;
  readonly report: Bytes;
  /** Whether the service saw the proof. */
  readonly proven: boolean;
}

export interface ReportStore {
  /** The group as it was when this epoch ended; undefined further back than `PAST_EPOCHS`, and for what has not ended. */
  pastGroup(
    groupId: Bytes,
    epoch: bigint,
  ): Promise<{ readonly state: Bytes; readonly nodes: readonly StoredNode[] } | undefined>;
  /**
   * Keeps the report until the device's leaf is removed; one for each leaf, the newest. `committer`: the leaf of who made the commit, where
   * that is proven: its device is barred from commits in this group until a member's commit adds it. "not-member": the device's
   * leaf is not in the group, or not since before the commit.
   */
  addReport(report: {
    readonly groupId: Bytes;
    readonly device: number;
    readonly seq: number;
    readonly report: Bytes;
    readonly committer: number | undefined;
  }): Promise<"added" | "not-member">;
  /** By leaf index. */
  reports(groupId: Bytes): Promise<readonly StoredReport[]>;
  /** The accounts of members' devices that are revoked. */
  revokedIn(groupId: Bytes): Promise<readonly Bytes[]>;
  isBarred(groupId: Bytes, device: number): Promise<boolean>;
}

/** What one commit changes. */
export interface AppendCommit {
  readonly groupId: Bytes;
  /** The group's version that the commit was checked against. */
  readonly version: number;
  /** The one that it leads to. Drawn at random, so that two branches of a log, before and after a fail-over, never have one in common. */
  readonly nextVersion: number;
  /** The epoch that the commit ends. */
  readonly epoch: bigint;
  readonly hash: Bytes;
  readonly message: Bytes;
  /** What it was judged by, and is logged with. */
  readonly acceptedAt: number;
  readonly state: Bytes;
  readonly groupInfo: Bytes;
  readonly nodes: readonly { readonly nodeIndex: number; readonly node: Bytes | undefined }[];
  readonly removed: readonly number[];
  readonly added: readonly { readonly leafIndex: number; readonly device: number }[];
  /** In how many groups each of those may be, with this one; but those of `removed` who come back in the place that they had. */
  readonly groupLimit: number;
  readonly welcome:
    | { readonly message: Bytes; readonly devices: readonly number[]; readonly limit: number }
    | undefined;
  /** The links of the new epoch; all others of the group close. */
  readonly links: readonly StoredLink[];
  /** The link by which the commit joins: counted here. */
  readonly linkUsed: Bytes | undefined;
}

/** A commit adds these devices, which can take in no more: so many groups, or Welcomes, they have. */
export interface Full {
  readonly full: readonly number[];
}

export interface StoredLink {
  readonly linkId: Bytes;
  readonly expiresAt: bigint;
  readonly maxUses: number;
  readonly sealedGroupInfo: Bytes;
}

/** The version of a group that is gone: no other has it, so whatever was judged before moves on to nothing. */
export const GONE = -1;

/**
 * How many application messages of an epoch have one place each, however often they come. One from before them that comes again
 * may take another: a reader that had it has no key for it any more (RFC 9420 §9.1).
 */
export const REMEMBERED = 1024;

/** Bytes of a message's hash. */
export const HASH = 32;

export interface AppendMessage {
  readonly groupId: Bytes;
  readonly device: number;
  readonly epoch: bigint;
  readonly hash: Bytes;
  readonly message: Bytes;
  readonly now: number;
}

export interface Page {
  /** A sequence number. */
  readonly after: number;
  /** Entries. */
  readonly limit: number;
  /** Of the messages in them. */
  readonly bytes: number;
}

export type EntryKind = LogEntry["kind"];

export interface GroupStore {
  /** The same group again from the same device is "created" too. */
  createGroup(group: {
    readonly groupId: Bytes;
    readonly device: number;
    readonly leafIndex: number;
    readonly state: Bytes;
    readonly groupInfo: Bytes;
    readonly nodes: readonly StoredNode[];
    /** As of a commit. */
    readonly version: number;
    readonly groupLimit: number;
    readonly now: number;
  }): Promise<"created" | "group-exists" | "full">;

  group(groupId: Bytes, heldVersion?: number): Promise<StoredGroup | undefined>;
  /**
   * A part of the epoch's tree: its nodes from an index on, in their order, at most so many bytes of them, but one at least. There is
   * none of an epoch that is over, unless a Welcome that waits leads into it.
   */
  treePart(
    groupId: Bytes,
    epoch: bigint,
    part: { readonly from: number; readonly bytes: number },
  ): Promise<TreePart | undefined>;

  /** The leaf that is the device's now. */
  leafOf(groupId: Bytes, device: number): Promise<number | undefined>;
  /** The device whose leaf this is now. */
  deviceOfLeaf(groupId: Bytes, leafIndex: number): Promise<number | undefined>;

  /** Where the log has the commit or proposal with this hash, if the device may read that place. */
  findEntry(groupId: Bytes, device: number, hash: Bytes): Promise<Accepted | undefined>;
  /** Who came and went with this entry of the log, as far as they are still in, or still out; who made the group came with the first. */
  movedBy(
    groupId: Bytes,
    seq: number,
  ): Promise<{ readonly joined: readonly number[]; readonly left: readonly number[] }>;
  /** The commit that ended the epoch. */
  winner(
    groupId: Bytes,
    epoch: bigint,
  ): Promise<{ readonly seq: number; readonly hash: Bytes } | undefined>;

  /** "moved": the group is not in that version any more, its log is past `acceptedAt`, or who enters was revoked meanwhile. */
  appendCommit(
    commit: AppendCommit,
  ): Promise<Accepted | "moved" | "link-closed" | "link-taken" | Full>;
  /** That the device leaves, by which it gives the group up. "moved" as above; `limit` proposals may wait in an epoch. */
  appendProposal(
    proposal: AppendMessage & {
      readonly version: number;
      readonly nextVersion: number;
      readonly state: Bytes;
      readonly limit: number;
    },
  ): Promise<Accepted | "moved" | "not-member" | "full">;
  /**
   * The same again is answered alike, also when its epoch is over: that holds for the last `REMEMBERED` messages of each epoch at
   * least. The hash is of bytes that name their epoch, so none has two.
   */
  appendApplication(
    message: AppendMessage,
  ): Promise<Accepted | "not-member" | { readonly currentEpoch: bigint }>;

  /**
   * What follows `after` and the device may read, at most so many entries and bytes, but one at least. With `keptFrom`
   * there are none: some of that was deleted for its age, and only from there on all is there.
   */
  log(
    groupId: Bytes,
    device: number,
    page: Page,
  ): Promise<
    | {
        readonly entries: readonly LogEntry[];
        readonly head: number;
        readonly keptFrom?: number;
      }
    | undefined
  >;
  /** Those the device is or was in, in the order of their ids, at most `limit` behind `after`. */
  groupsOf(
    device: number,
    page: { readonly after?: Bytes | undefined; readonly limit: number },
  ): Promise<
    readonly {
      readonly groupId: Bytes;
      readonly head: number;
      readonly epoch: bigint;
      readonly member: boolean;
    }[]
  >;
  /** Those it is in now, at most `limit`; those that it gave up are the last. */
  currentGroupsOf(
    device: number,
    limit: number,
  ): Promise<readonly { readonly groupId: Bytes; readonly head: number; readonly epoch: bigint }[]>;
  /**
   * The device gives the group up: it counts no more among those that it is in, whatever becomes of its leaf. Whether it is or was in
   * it.
   */
  giveUpGroup(groupId: Bytes, device: number): Promise<boolean>;

  /** "closed": expired by `now` or by the group's log, used up or revoked. */
  link(
    linkId: Bytes,
    now: number,
  ): Promise<
    | {
        readonly groupId: Bytes;
        readonly epoch: bigint;
        readonly sealedGroupInfo: Bytes;
        readonly usesLeft: number;
      }
    | "closed"
    | undefined
  >;

  /** What follows `after`, at most so many entries and bytes, for whoever knows who may read it. Nothing of what was deleted for its age. */
  newest(groupId: Bytes, page: Page): Promise<readonly LogEntry[]>;
  /** Which of these devices are members, each from which entry on, and in which epoch that is so. */
  membersAmong(
    groupId: Bytes,
    devices: readonly number[],
  ): Promise<{ readonly epoch: bigint; readonly fromSeq: ReadonlyMap<number, number> } | undefined>;
}

export interface InboxStore {
  /** What follows `after`, at most so many entries and bytes, but one at least. */
  inbox(device: number, page: Page): Promise<readonly InboxEntry[]>;
  /** Whether a Welcome into this epoch waits for the device. */
  hasWelcome(device: number, groupId: Bytes, epoch: bigint): Promise<boolean>;
  /** "beyond-end": there was never that much. */
  acknowledge(device: number, upTo: number): Promise<"acknowledged" | "beyond-end">;
}

/** An upload, or, with `stored` equal to `size`, the blob that came of it. */
export interface StoredBlob {
  readonly blobId: Bytes;
  /** Whose device uploads it. */
  readonly accountId: Bytes;
  /** Bytes. */
  readonly size: number;
  /** How many of them are durable. */
  readonly stored: number;
  readonly expiresAt: number;
}

/** A run of a blob's bytes, as it was put. */
export interface BlobPart {
  /** Where in the blob. */
  readonly start: number;
  readonly length: number;
  /** SHA-256. */
  readonly hash: Bytes;
  /** By which the bodies know it. */
  readonly name: string;
}

export interface BlobStore {
  /**
   * A new upload, which counts against the account's quota from here on until it is deleted, or forgotten. The
   * same `requestKey` from the same account is the same upload again, as it is now; "key-in-use": that one had
   * another size, or is gone.
   */
  createBlob(blob: {
    readonly blobId: Bytes;
    readonly accountId: Bytes;
    readonly requestKey: Bytes;
    readonly size: number;
    readonly expiresAt: number;
    readonly now: number;
    /** Bytes and blobs that one account may have. */
    readonly quota: { readonly bytes: number; readonly blobs: number };
  }): Promise<StoredBlob | "over-quota" | "key-in-use">;
  /** Neither deleted nor expired. */
  blob(blobId: Bytes, now: number): Promise<StoredBlob | undefined>;
  /** Those that end after `from`, in order, at most so many. */
  blobParts(blobId: Bytes, from: number, limit: number): Promise<readonly BlobPart[]>;
  /**
   * Takes the part if it begins where the upload is, and answers with the upload as it is then. With its last
   * part it has until `keepUntil`. "moved": it is elsewhere.
   */
  appendBlobPart(
    blobId: Bytes,
    part: BlobPart,
    times: { readonly now: number; readonly keepUntil: number },
  ): Promise<StoredBlob | "moved" | undefined>;
  /** Those of the account that are neither deleted nor expired, in the order of their ids, at most `limit` behind `after`. */
  blobsOf(
    accountId: Bytes,
    page: { readonly after?: Bytes; readonly limit: number; readonly now: number },
  ): Promise<readonly StoredBlob[]>;
  /** Whether the account had it. It can't be read from here on; its bytes wait to be removed. */
  deleteBlob(blobId: Bytes, accountId: Bytes, now: number): Promise<boolean>;
  /** Deleted or expired by `before`, at most so many. */
  blobsToRemove(before: number, limit: number): Promise<readonly Bytes[]>;
  /** That its bytes are removed. */
  forgetBlob(blobId: Bytes): Promise<void>;
}

/** Something that happened to the database as a whole. */
export type Fact = "backed-up" | "swept" | "restored";

/** All of a database is in another, where the service is to run, or may be there. */
export interface CopyMark {
  /** The other's URL, without what is secret in it. */
  readonly to: string;
  /** When the copy was begun; it is known by that. */
  readonly at: number;
  /** Whether all is there for certain. */
  readonly ended: boolean;
}

/** What a database says of itself. */
export interface DatabaseVersion {
  /** The migrations that it went through, of those that there are. */
  readonly found: number;
  readonly known: number;
  /** Undefined where it is not marked as copied to another. */
  readonly copied: CopyMark | undefined;
}

export interface Statistics {
  readonly accounts: number;
  /** Those that are not revoked. */
  readonly devices: number;
  readonly groups: number;
  /** That wait in inboxes. */
  readonly welcomes: number;
  /** Of the whole database. */
  readonly bytes: number;
  /** When it last happened. */
  readonly facts: Readonly<Partial<Record<Fact, number>>>;
}

/** By how much sequence numbers jump when a copy from before is put back: more than it can lack. */
export const RESTORE_GAP = 1_000_000_000;

export interface UpkeepStore {
  /**
   * Deletes at most `limit` of each kind of what has expired, and of the entries in logs of groups that ended with an account: how many
   * of which.
   */
  sweep(now: number, limit: number): Promise<Readonly<Record<string, number>>>;
  /** The groups behind `after`, in the order of their ids. */
  groupIds(after: Bytes | undefined, limit: number): Promise<readonly Bytes[]>;
  /**
   * Deletes at most `limit` of the group's oldest messages: those accepted before `before`, and those beyond its `keep` newest. Their
   * places stay, with hash and time, so that nothing is accepted a second time. Answers how many.
   */
  trimLog(
    groupId: Bytes,
    options: {
      readonly before?: number | undefined;
      readonly keep?: number | undefined;
      readonly limit: number;
    },
  ): Promise<number>;
  statistics(): Promise<Statistics>;
  note(fact: Fact, at: number): Promise<void>;
  /**
   * After a copy from before was put back: numbers of logs and inboxes go on `RESTORE_GAP` further, so that none is given twice and
   * nobody's place lies ahead; key packages that may have been served since, and sessions, are gone.
   */
  markRestored(now: number): Promise<void>;
}
