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
  /** New accounts from one address. */
  readonly registration: Rate;
  /** Attempts to sign in from one address. */
  readonly signIn: Rate;
  /** Names that one device looks up; also one address. */
  readonly lookUp: Rate;
  /** Times that one device claims key packages. */
  readonly claim: Rate;
  /** Times that key packages of one account are claimed, by whomever. */
  readonly claimed: Rate;
  /** Groups that one device makes. */
  readonly group: Rate;
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
  /** Messages that wait for their turn in one group. */
  readonly waiting: number;
  /** Groups whose public state is kept in memory. */
  readonly groupsInMemory: number;
  readonly sockets: number;
  readonly socketsPerAddress: number;
  readonly socketsPerDevice: number;
  /** Between two pings on a socket, in milliseconds; one that did not answer the first is closed at the second. */
  readonly heartbeat: number;
  /** Until a socket has to have said hello, in milliseconds. */
  readonly hello: number;
}

export const DEFAULT_LIMITS: Limits = {
  address: { burst: 2000, perSecond: 200 },
  device: { burst: 1000, perSecond: 100 },
  registration: { burst: 100, perSecond: 0.1 },
  signIn: { burst: 200, perSecond: 2 },
  lookUp: { burst: 60, perSecond: 1 },
  claim: { burst: 120, perSecond: 1 },
  claimed: { burst: 120, perSecond: 1 },
  group: { burst: 60, perSecond: 0.1 },
  devices: 64,
  keyPackageLifetime: 366 * 24 * 60 * 60,
  inbox: 1000,
  proposals: 256,
  pageBytes: 1024 * 1024,
  waiting: 128,
  groupsInMemory: 256,
  sockets: 20_000,
  socketsPerAddress: 1000,
  socketsPerDevice: 8,
  heartbeat: 30_000,
  hello: 10_000,
};
