/**
 * Key packages: each of a device's is served once, its last resort when the others are used up.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { type PublicContext, validateKeyPackage } from "@conclave/mls/public-group";
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
      Buffer.compare(signatureKey, device.signatureKey) === 0 &&
      (await isCredentialOf(credential, device));
    if (!own) throw new Refusal("not-allowed", "a key package is another device's");
    const seconds = BigInt(Math.floor(now() / 1000));
    const { notBefore, notAfter } = lifetime;
    if (notAfter > seconds + BigInt(limits.keyPackageLifetime)) {
      throw new Refusal("bad-request", "a key package expires too late");
    }
    return { ref, suite, notBefore, notAfter, keyPackage };
  }

  async function uploadKeyPackages({
    device,
    body,
  }: Call<"uploadKeyPackages">): Promise<KeyPackageCount> {
    const given = await body();
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

  /** How many key packages a stranger leaves: past a rate, all of them, so that the pool is there for others. */
  function reserveFor(stranger: ListedDevice, accountId: Bytes): number {
    const target = bytesToText(accountId);
    claimsOfStranger.take(`${bytesToText(stranger.accountId)} ${target}`);
    return claimsByStrangers.tryTake(target) ? limits.reserve : LIMITS.keyPackages;
  }

  /** Who runs short uploads more, or takes another last resort. */
  async function tellOwners(claimed: readonly ClaimedKeyPackage[]): Promise<void> {
    const short: number[] = [];
    for (const { device, lastResort } of claimed) {
      const few = lastResort || (await store.countKeyPackages(device, now())).available < FEW;
      if (few) short.push(device);
    }
    if (short.length > 0) doorbell.ring({ type: "key-packages", devices: short });
  }

  async function claimKeyPackages({
    device,
    body,
  }: Call<"claimKeyPackages">): Promise<AnswerOf<"claimKeyPackages">> {
    claims.take(String(device.device));
    const { accountId, suites } = await body();
    // Of the unknown and of the unwilling, the same.
    const reached = await store.reach(device.accountId, { accountId }, service.contact);
    if (reached === undefined) throw notFound();
    if (reached.known) claimsOfAccount.take(bytesToText(accountId));
    const reserve = reached.known ? 0 : reserveFor(device, accountId);
    const claimed = await store.claimKeyPackages(accountId, suites, now(), reserve);
    await tellOwners(claimed);
    return {
      keyPackages: claimed.map(({ deviceId, keyPackage }) => ({ deviceId, keyPackage })),
    };
  }

  return {
    uploadKeyPackages,
    countKeyPackages: ({ device }) => store.countKeyPackages(device.device, now()),
    claimKeyPackages,
  };
}
