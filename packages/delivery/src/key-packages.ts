/**
 * Key packages: each of a device's is served once, its last resort when the others are used up.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { type PublicContext, validateKeyPackage } from "@conclave/mls/public-group";
import { type Call, type Handler, json, readJson } from "./call.ts";
import { isCredentialOf } from "./device-authentication.ts";
import type { Limits } from "./limits.ts";
import { byTheRules } from "./mls-rules.ts";
import {
  bytesToText,
  ClaimKeyPackagesRequest,
  type ClaimKeyPackagesResponse,
  LIMITS,
  UploadKeyPackagesRequest,
} from "./protocol/index.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { Refusal } from "./refusal.ts";
import type { ListedDevice, Store, StoredKeyPackage } from "./store/store.ts";

const UPLOAD_LIMIT = 1024 * 1024;
const CLAIM_LIMIT = 4 * 1024;

export function createKeyPackages(service: {
  readonly store: Store;
  readonly limits: Limits;
  readonly now: () => number;
  readonly context: PublicContext;
}): { readonly [name in "uploadKeyPackages" | "countKeyPackages" | "claimKeyPackages"]: Handler } {
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

  async function uploadKeyPackages({ request, device }: Call): Promise<Response> {
    const caller = await device();
    const body = await readJson(request, UploadKeyPackagesRequest, UPLOAD_LIMIT);
    const keyPackages: StoredKeyPackage[] = [];
    for (const keyPackage of body.keyPackages) keyPackages.push(await read(keyPackage, caller));
    const lastResort = body.lastResort && (await read(body.lastResort, caller));
    const count = await store.addKeyPackages(caller.device, {
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
    return json(200, count);
  }

  async function countKeyPackages({ device }: Call): Promise<Response> {
    const caller = await device();
    return json(200, await store.countKeyPackages(caller.device, now()));
  }

  async function claimKeyPackages({ request, device }: Call): Promise<Response> {
    const caller = await device();
    claims.take(String(caller.device));
    const { accountId, suites } = await readJson(request, ClaimKeyPackagesRequest, CLAIM_LIMIT);
    claimsOfAccount.take(bytesToText(accountId));
    if ((await store.account(accountId)) === undefined) {
      throw new Refusal("not-found", "there is nothing here");
    }
    const keyPackages = await store.claimKeyPackages(accountId, suites, now());
    return json(200, { keyPackages: [...keyPackages] } satisfies ClaimKeyPackagesResponse);
  }

  return { uploadKeyPackages, countKeyPackages, claimKeyPackages };
}
