/**
 * Everything that is bounded, and where the bound is by default.
 * @module
 */

import type { Rate } from "./rate-limit.ts";

export interface Limits {
  /** Requests and new sockets of one address. */
  readonly address: Rate;
  /** Requests of one device. */
  readonly device: Rate;
  /** Bytes of bodies that are being read, wait or are dealt with in one process, each as 4 KiB more than it has. */
  readonly bodyBytes: number;
  /** Of those, the bytes that come from one account, and those that come from one address. */
  readonly bodyBytesPerCaller: number;
  /** Connections of one address to the port, where no proxy stands before it. */
  readonly connectionsPerAddress: number;
  /** New accounts from one address. */
  readonly registration: Rate;
  /** Attempts to sign in from one address. */
  readonly signIn: Rate;
  /** How long a token is good for, in milliseconds. */
  readonly sessionLifetime: number;
  /** How long ago the session began by which an account is deleted, in milliseconds. */
  readonly freshSignIn: number;
  /** Requests of all devices of one account. */
  readonly account: Rate;
  /** Names that one device looks up; also one address. */
  readonly lookUp: Rate;
  /** Key packages that one device uploads. */
  readonly upload: Rate;
  /** Times that one device claims key packages. */
  readonly claim: Rate;
  /** Key packages of one account that go to accounts it knows; more get the last resort. */
  readonly claimed: Rate;
  /** Times that one account claims key packages of another that does not know it. */
  readonly strangerClaim: Rate;
  /** Key packages of one account that go to accounts it does not know; more get the last resort. */
  readonly strangerClaimed: Rate;
  /** Key packages of a device that strangers leave, where it has a last resort. */
  readonly reserve: number;
  /** Times that one account asks to reach others. */
  readonly ask: Rate;
  /** Times that accounts from one address ask to reach others. */
  readonly asksPerAddress: Rate;
  /** Accounts that wait for one's answer: where there are more, who asked first has to ask again. */
  readonly requests: number;
  /** How long they wait, in milliseconds. */
  readonly requestLifetime: number;
  /** How long a refusal stands, in milliseconds. */
  readonly refusalLifetime: number;
  /** Accounts that one allows or blocks. */
  readonly contacts: number;
  /** Times that one account reads all that is held about it. */
  readonly export: Rate;
  /** Signals of one device. */
  readonly signal: Rate;
  /** Signals in one group. */
  readonly groupSignal: Rate;
  /** Frames that signals make for the sockets of one process. */
  readonly signalFrames: Rate;
  /** Frames that the signals of one account make for the sockets of one process. */
  readonly signalFramesPerAccount: Rate;
  /** Signals that wait for one socket; more are dropped. */
  readonly signalQueue: number;
  /** Commits, proposals and application messages of all members of one group. */
  readonly groupMessage: Rate;
  /** Commits of one account in one group: each ends the epoch for what all others are about to send. */
  readonly groupCommit: Rate;
  /** Bytes of new groups, of commits with what comes with them, and of messages that one account sends. */
  readonly logBytes: Rate;
  /** Commits and proposals of one device that were judged, and refused. */
  readonly refused: Rate;
  /** Bytes of what one account reads: of logs, trees, inboxes, blobs and everything else. */
  readonly readBytes: Rate;
  /** Commits of one device to groups that it is not in. */
  readonly join: Rate;
  /** Groups that one device makes. */
  readonly group: Rate;
  /** Groups that one device is in, but those that it gave up. */
  readonly groupsPerDevice: number;
  /** How many of those places only the device itself can fill, by making or joining groups. */
  readonly ownGroups: number;
  /** Reports of one device on commits that it can't follow. */
  readonly report: Rate;
  /** Devices in one account's list, with those that were revoked. */
  readonly devices: number;
  /** How far ahead a key package may end, in seconds. */
  readonly keyPackageLifetime: number;
  /** Welcomes that wait for one device. */
  readonly inbox: number;
  /** Proposals that wait in one epoch. */
  readonly proposals: number;
  /** Bytes of messages in one page of a log or an inbox, when it has more than one entry. */
  readonly pageBytes: number;
  /** Commits and messages of one group that wait, for their turn or for the store, or are dealt with. */
  readonly waiting: number;
  /** Of those, the ones of one device. */
  readonly waitingPerDevice: number;
  /** How long a request may wait for something to read, in seconds. */
  readonly longPoll: number;
  /** Requests of one process that wait for something to read. */
  readonly longPolls: number;
  /** Requests of one device that wait for something to read. */
  readonly longPollsPerDevice: number;
  /** Requests of one account that wait for something to read. */
  readonly longPollsPerAccount: number;
  /** Requests from one address that wait for something to read. */
  readonly longPollsPerAddress: number;
  /** Bytes that the groups whose public state is kept in memory take, about: a usual member takes 4 KiB. */
  readonly groupBytesInMemory: number;
  /** Bytes of the entries that one frame of a socket carries, as they stand in it; a larger entry is only told of. */
  readonly frameEntryBytes: number;
  /** Bytes of the ends of all logs that are kept in memory to be carried by frames. */
  readonly tailBytes: number;
  /** How many frames' worth is kept of one log. */
  readonly tailFrames: number;
  /** Times that one device opens a WebSocket: each has its groups read. */
  readonly socket: Rate;
  /** WebSockets of one process. */
  readonly sockets: number;
  /** WebSockets of one address. */
  readonly socketsPerAddress: number;
  /** WebSockets of one device. */
  readonly socketsPerDevice: number;
  /** Between two pings on a socket, in milliseconds; one that did not answer the first is closed at the second. */
  readonly heartbeat: number;
  /** After which a socket's groups are looked at although nobody rang, in milliseconds: a ring may have been lost. */
  readonly lookAgain: number;
  /** Until a socket has to have said hello, in milliseconds. */
  readonly hello: number;
  /** Bytes of one blob. */
  readonly blobSize: number;
  /** Bytes of all blobs of one account, from when they are begun. */
  readonly blobQuota: number;
  /** Blobs of one account. */
  readonly blobs: number;
  /** Bytes that are appended to a blob at once, at least; but for the last. */
  readonly blobAppend: number;
  /** How long an upload may take, in milliseconds. */
  readonly blobUpload: number;
  /** How long a blob is kept, in milliseconds. */
  readonly blobRetention: number;
  /** How long a download waits for a client that takes nothing, in milliseconds. */
  readonly blobPatience: number;
  /** Uploads and downloads under way in one process: each holds up to a mebibyte. */
  readonly transfers: number;
  /** Uploads and downloads under way for one account. */
  readonly transfersPerAccount: number;
  /** Uploads and downloads under way for one address. */
  readonly transfersPerAddress: number;
}

export const DEFAULT_LIMITS: Limits = {
  address: { burst: 2000, perSecond: 200 },
  device: { burst: 1000, perSecond: 100 },
  bodyBytes: 256 * 1024 * 1024,
  bodyBytesPerCaller: 32 * 1024 * 1024,
  connectionsPerAddress: 2000,
  registration: { burst: 100, perSecond: 0.1 },
  signIn: { burst: 200, perSecond: 2 },
  sessionLifetime: 30 * 60 * 1000,
  freshSignIn: 5 * 60 * 1000,
  account: { burst: 2000, perSecond: 200 },
  lookUp: { burst: 60, perSecond: 1 },
  upload: { burst: 1000, perSecond: 0.2 },
  claim: { burst: 120, perSecond: 1 },
  claimed: { burst: 120, perSecond: 1 },
  strangerClaim: { burst: 10, perSecond: 0.01 },
  strangerClaimed: { burst: 20, perSecond: 0.01 },
  reserve: 10,
  ask: { burst: 20, perSecond: 0.001 },
  asksPerAddress: { burst: 100, perSecond: 0.02 },
  requests: 100,
  requestLifetime: 30 * 24 * 60 * 60 * 1000,
  refusalLifetime: 7 * 24 * 60 * 60 * 1000,
  contacts: 10_000,
  export: { burst: 4, perSecond: 0.002 },
  signal: { burst: 30, perSecond: 5 },
  groupSignal: { burst: 200, perSecond: 50 },
  signalFrames: { burst: 20_000, perSecond: 10_000 },
  signalFramesPerAccount: { burst: 5000, perSecond: 250 },
  signalQueue: 8,
  groupMessage: { burst: 2000, perSecond: 200 },
  groupCommit: { burst: 200, perSecond: 1 },
  logBytes: { burst: 256 * 1024 * 1024, perSecond: 128 * 1024 },
  refused: { burst: 60, perSecond: 0.5 },
  readBytes: { burst: 1024 * 1024 * 1024, perSecond: 8 * 1024 * 1024 },
  join: { burst: 60, perSecond: 0.2 },
  group: { burst: 60, perSecond: 0.1 },
  groupsPerDevice: 2000,
  ownGroups: 200,
  report: { burst: 20, perSecond: 0.05 },
  devices: 64,
  keyPackageLifetime: 366 * 24 * 60 * 60,
  inbox: 1000,
  proposals: 256,
  pageBytes: 1024 * 1024,
  waiting: 128,
  waitingPerDevice: 32,
  longPoll: 30,
  longPolls: 20_000,
  longPollsPerDevice: 32,
  longPollsPerAccount: 128,
  longPollsPerAddress: 1000,
  groupBytesInMemory: 200 * 1024 * 1024,
  frameEntryBytes: 32 * 1024,
  tailBytes: 32 * 1024 * 1024,
  tailFrames: 4,
  socket: { burst: 100, perSecond: 1 },
  sockets: 20_000,
  socketsPerAddress: 1000,
  socketsPerDevice: 8,
  heartbeat: 30_000,
  lookAgain: 15 * 60 * 1000,
  hello: 10_000,
  blobSize: 100 * 1024 * 1024,
  blobQuota: 2 * 1024 * 1024 * 1024,
  blobs: 10_000,
  blobAppend: 64 * 1024,
  blobUpload: 24 * 60 * 60 * 1000,
  blobRetention: 90 * 24 * 60 * 60 * 1000,
  blobPatience: 30_000,
  transfers: 128,
  transfersPerAccount: 8,
  transfersPerAddress: 32,
};
