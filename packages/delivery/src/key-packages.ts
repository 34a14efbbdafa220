/**
 * Key packages: each of a device's is served once, its last resort when the others are used up.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import {
  EXTENSION,
  PROPOSAL,
  type PublicContext,
  validateKeyPackage,
} from "@conclave/mls/public-group";
import { sameBytes } from "./bytes.ts";
import type { Call, Handlers } from "./call.ts";
import { isCredentialOf } from "./device-authentication.ts";
import type { Doorbell } from "./doorbell.ts";
import type { Limits } from "./limits.ts";
import { byTheRules } from "./mls-rules.ts";
import { type AnswerOf, bytesToText, type KeyPackageCount, LIMITS } from "./protocol/index.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { notFound, Refusal } from "./refusal.ts";
import type {
  ClaimedKeyPackage,
  ContactRule,
  ListedDevice,
  Store,
  StoredKeyPackage,
} from "./store/store.ts";

/** How many of a device's key packages are few, so that it is told. */
const FEW = 10;

export function createKeyPackages(service: {
  readonly store: Store;
  readonly doorbell: Doorbell;
  readonly contact: ContactRule;
  readonly limits: Limits;
  readonly now: () => number;
  readonly context: PublicContext;
}): Handlers<"uploadKeyPackages" | "countKeyPackages" | "claimKeyPackages"> {
  const { store, doorbell, limits, now, context } = service;
  const uploads = createRateLimiter(limits.upload, now);
  const claims = createRateLimiter(limits.claim, now);
  const claimsOfAccount = createRateLimiter(limits.claimed, now);
  const claimsOfStranger = createRateLimiter(limits.strangerClaim, now);
  const claimsByStrangers = createRateLimiter(limits.strangerClaimed, now);

  /** A valid key package of this device, whose lifetime contains now and ends in time. */
  async function read(keyPackage: Bytes, device: ListedDevice): Promise<StoredKeyPackage> {
    const { ref, suite, leafNode, lifetime } = await byTheRules(() =>
      validateKeyPackage(context, keyPackage),
    );
    const { signatureKey, credential } = leafNode;
    const own =
      sameBytes(signatureKey, device.signatureKey) && (await isCredentialOf(credential, device));
    if (!own) throw new Refusal("not-allowed", "a key package is another device's");
    const seconds = BigInt(Math.floor(now() / 1000));
    const { notBefore, notAfter } = lifetime;
    if (notAfter > seconds + BigInt(limits.keyPackageLifetime)) {
      throw new Refusal("bad-request", "a key package expires too late");
    }
    const { versions, extensions, proposals, credentials } = leafNode.capabilities;
    const capabilities = wordsOf({
      versions,
      extensionTypes: extensions,
      proposalTypes: proposals,
      credentialTypes: credentials,
    });
    return { ref, suite, notBefore, notAfter, keyPackage, capabilities };
  }

  async function uploadKeyPackages({
    device,
    body,
  }: Call<"uploadKeyPackages">): Promise<KeyPackageCount> {
    const given = await body();
    // Before they are judged: that takes its time.
    uploads.take(String(device.device), given.keyPackages.length + (given.lastResort ? 1 : 0));
    const keyPackages: StoredKeyPackage[] = [];
    for (const keyPackage of given.keyPackages) keyPackages.push(await read(keyPackage, device));
    const lastResort = given.lastResort && (await read(given.lastResort, device));
    const count = await store.addKeyPackages(device.device, {
      keyPackages,
      ...(lastResort && { lastResort }),
      limit: LIMITS.keyPackages,
      now: now(),
    });
    if (count === "full") {
      throw new Refusal("too-large", "a device has no more key packages than that", {
        members: { limit: LIMITS.keyPackages },
      });
    }
    return count;
  }

  /**
   * How many key packages who claims leaves where there is a last resort: past a rate, all of them. So the pool is there for others, and
   * nobody who claims much keeps others from adding the account.
   */
  function reserveFor(claimer: ListedDevice, accountId: Bytes, known: boolean): number {
    const target = bytesToText(accountId);
    if (known) return claimsOfAccount.tryTake(target) ? 0 : LIMITS.keyPackages;
    claimsOfStranger.take(`${bytesToText(claimer.accountId)} ${target}`);
    return claimsByStrangers.tryTake(target) ? limits.reserve : LIMITS.keyPackages;
  }

  /** Who runs short uploads more, or takes another last resort. */
  async function tellOwners(
    claimed: readonly ClaimedKeyPackage[],
    suites: readonly number[],
  ): Promise<void> {
    const short: number[] = [];
    for (const { device, lastResort } of claimed) {
      const { pools } = await store.countKeyPackages(device, now());
      const few = pools.some(({ suite, available }) => suites.includes(suite) && available < FEW);
      if (lastResort || few || pools.length === 0) short.push(device);
    }
    if (short.length > 0) doorbell.ring({ type: "key-packages", devices: short });
  }

  /** Those of the account's devices, or of those named, that nothing was claimed of. */
  async function unserved(
    accountId: Bytes,
    named: readonly Bytes[] | undefined,
    claimed: readonly ClaimedKeyPackage[],
  ): Promise<AnswerOf<"claimKeyPackages">["unserved"]> {
    const served = new Set(claimed.map(({ device }) => device));
    const devices = await store.devicesOf(accountId);
    const others = devices.filter(
      ({ device, deviceId, revokedAt }) =>
        revokedAt === 0n &&
        !served.has(device) &&
        named?.some((id) => sameBytes(id, deviceId)) !== false,
    );
    return Promise.all(
      others.map(async ({ device, deviceId }) => {
        const { pools } = await store.countKeyPackages(device, now());
        return { deviceId, reason: pools.length > 0 ? "nothing-compatible" : "exhausted" } as const;
      }),
    );
  }

  async function claimKeyPackages({
    device,
    body,
  }: Call<"claimKeyPackages">): Promise<AnswerOf<"claimKeyPackages">> {
    claims.take(String(device.device));
    const { accountId, devices, suites, requires = {} } = await body();
    // Of the unknown and of the unwilling, the same.
    const reached = await store.reach(device.accountId, { accountId }, service.contact);
    if (reached === undefined) throw notFound();
    const claimed = await store.claimKeyPackages(accountId, suites, now(), {
      reserve: reserveFor(device, accountId, reached.known),
      requires: wordsOf(requires),
      devices,
    });
    await tellOwners(claimed, suites);
    return {
      keyPackages: claimed.map(({ deviceId, keyPackage, lastResort }) => ({
        deviceId,
        keyPackage,
        lastResort,
      })),
      // A stranger learns of the devices that it may add, and no more.
      unserved: reached.known ? await unserved(accountId, devices, claimed) : [],
    };
  }

  return {
    uploadKeyPackages,
    countKeyPackages: ({ device }) => store.countKeyPackages(device.device, now()),
    claimKeyPackages,
  };
}

const DEFAULT_EXTENSIONS: ReadonlySet<number> = new Set(Object.values(EXTENSION));
const DEFAULT_PROPOSALS: ReadonlySet<number> = new Set(Object.values(PROPOSAL));

/** Capabilities in the words that stores compare. What every client has (RFC 9420 §7.2) is in none of them. */
function wordsOf(capabilities: {
  readonly versions?: readonly number[] | undefined;
  readonly extensionTypes?: readonly number[] | undefined;
  readonly proposalTypes?: readonly number[] | undefined;
  readonly credentialTypes?: readonly number[] | undefined;
}): readonly string[] {
  const { versions = [], extensionTypes = [] } = capabilities;
  const { proposalTypes = [], credentialTypes = [] } = capabilities;
  return [
    ...versions.map((type) => `version ${type}`),
    ...extensionTypes
      .filter((type) => !DEFAULT_EXTENSIONS.has(type))
      .map((type) => `extension ${type}`),
    ...proposalTypes
      .filter((type) => !DEFAULT_PROPOSALS.has(type))
      .map((type) => `proposal ${type}`),
    ...credentialTypes.map((type) => `credential ${type}`),
  ];
}
