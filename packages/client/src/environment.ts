/**
 * What every part of an engine needs from the others.
 * @module
 */

import { type DeliveryClient, ServiceError } from "@conclave/delivery/client";
import { commitPolicy, LINKS_EXTENSION, type SigningKey } from "@conclave/delivery/protocol";
import {
  type Capabilities,
  type Credential,
  type CryptoProvider,
  defaultCapabilities,
  type Lifetime,
  type MlsContext,
  MlsError,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { type AccountId, ClientError, type ClientEvent } from "./api.ts";
import type { Directory } from "./directory.ts";
import { causeOf } from "./refusal.ts";
import type { ClientStorage } from "./storage.ts";
import type { Warnings } from "./warnings.ts";

/** ChaCha20-Poly1305 is constant-time in JavaScript too. */
export const SUITE = 0x0003;

/** Milliseconds. */
export interface Timing {
  /** How long a device collects what it received before it says so. */
  readonly receipt: number;
  /** The shortest and the longest pause before something is tried again. */
  readonly retry: readonly [least: number, most: number];
  /** The shortest pause between two words of it that one is writing, and how long such a word is believed. */
  readonly typing: readonly [pause: number, shown: number];
  /** The longest pause before a member commits what another proposed. */
  readonly proposals: number;
  /** How often the log is looked at though no doorbell rang. */
  readonly poll: number;
  /** How long a revoked device stays for one that takes its place and can't be added yet. */
  readonly patience: number;
}

export const TIMING: Timing = {
  receipt: 2_000,
  retry: [500, 30_000],
  typing: [3_000, 6_000],
  proposals: 3_000,
  poll: 60_000,
  patience: 30_000,
};

/** This device, once it has an account. */
export interface Self {
  readonly accountId: AccountId;
  readonly accountIdBytes: Bytes;
  readonly deviceId: Bytes;
  readonly credential: Credential;
  readonly leafSigner: SigningKey;
}

export interface Environment {
  readonly storage: ClientStorage;
  readonly crypto: CryptoProvider;
  readonly service: DeliveryClient;
  readonly directory: Directory;
  readonly warnings: Warnings;
  readonly self: Self;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  readonly timing: Timing;
  readonly emit: (event: ClientEvent) => void;
  /** Something went wrong that no view is told of; the error holds no content. */
  readonly log: (what: string, error: unknown) => void;
  /** The engine can't go on: its profile was taken over, or can't be written. */
  readonly fail: (error: unknown) => void;
}

/** What leaves of this application say they can do. */
export function capabilitiesOf(crypto: CryptoProvider): Capabilities {
  return defaultCapabilities(crypto, { extensions: [LINKS_EXTENSION] });
}

/** Days. */
const LIFETIME = 90n;
/** Clocks differ: an hour, in seconds. */
const LEEWAY = 3600n;
/** How far behind ours the service's clock is followed, in milliseconds: it is not to bring back key packages that are long over. */
const BEHIND = 24 * 3_600_000;

/** Of a new leaf, from `now` (milliseconds) by the service's clock. */
export function leafLifetime(now: number): Lifetime {
  const seconds = BigInt(Math.floor(now / 1000));
  return { notBefore: seconds - LEEWAY, notAfter: seconds + LIFETIME * 24n * 3600n };
}

/**
 * `judgedAt`: the time, in milliseconds, by which credentials and commits are judged. By the service's clock others judge our key packages,
 * and made theirs: ours may be wrong.
 */
export function mlsContext(environment: Environment, judgedAt: () => number): MlsContext {
  const { crypto, storage, directory, service, now } = environment;
  return {
    crypto,
    storage,
    authentication: directory.authentication(judgedAt),
    policy: commitPolicy(judgedAt),
    // The log has one order, and its messages belong to the current epoch: hardly anything comes out of order.
    window: { forward: 16, kept: 16 },
    now: () => Math.max(service.now(), now() - BEHIND),
  };
}

/** What a worker does about an error: waits, or stops the engine where storage failed. */
export function workerError(environment: Environment, error: unknown): number | "stop" {
  // A group whose write failed can't go on before it is loaded again.
  if (causeOf(error, ClientError) || causeOf(error, MlsError)?.code === "storage") {
    environment.fail(error);
    return "stop";
  }
  const service = causeOf(error, ServiceError);
  if (!service) environment.log("worker", error);
  return service?.retryAfter ?? 0;
}
