/**
 * Key packages: each of a device's is served once, its last resort when the others are used up.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { type PublicContext, validateKeyPackage } from "@conclave/mls/public-group";
import type { Call, Handlers } from "./call.ts";
import { isCredentialOf } from "./device-authentication.ts";
import type { Limits } from "./limits.ts";
import { byTheRules } from "./mls-rules.ts";
import { type AnswerOf, bytesToText, type KeyPackageCount, LIMITS } from "./protocol/index.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { Refusal } from "./refusal.ts";
import type { ListedDevice, Store, StoredKeyPackage } from "./store/store.ts";

export function createKeyPackages(service: {
  readonly store: Store;
  readonly limits: Limits;
  readonly now: () => number;
  readonly context: PublicContext;
}): Handlers<"uploadKeyPackages" | "countKeyPackages" | "claimKeyPackages"> {
  const { store, limits, now, context } = service;
  const claims = createRateLimiter(limits.claim, now);
  const claimsOfAccount = createRateLimiter(limits.claimed, now);

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

  async function claimKeyPackages({
    device,
    body,
  }: Call<"claimKeyPackages">): Promise<AnswerOf<"claimKeyPackages">> {
    claims.take(String(device.device));
    const { accountId, suites } = await body();
    claimsOfAccount.take(bytesToText(accountId));
    if ((await store.account(accountId)) === undefined) {
      throw new Refusal("not-found", "there is nothing here");
    }
    const claimed = await store.claimKeyPackages(accountId, suites, now());
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
