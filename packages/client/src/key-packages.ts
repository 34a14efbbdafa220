/**
 * Key packages: what lets others add this device while it is away. Each is used once; the last resort
 * serves when the others have run out, and is replaced when it was served or has aged.
 * @module
 */

import { createKeyPackage, deleteKeyPackages } from "@conclave/mls";
import { type Bytes, type Codec, encode, struct } from "@conclave/mls/codec";
import {
  capabilitiesOf,
  type Environment,
  leafLifetime,
  mlsContext,
  SUITE,
} from "./environment.ts";
import { count, read } from "./storage.ts";

const LEAST = 20;
const FULL = 40;
/** How old a last resort may get, in milliseconds. */
const LAST_RESORT_AGE = 30 * 24 * 3600 * 1000;
const LAST_RESORT_RECORD = "last-resort";
/** How long a private half stays when its key package is over, in milliseconds: a Welcome by it may lie in the inbox of a device that is long away. */
const KEPT = 90 * 24 * 3600 * 1000;

interface LastResort {
  readonly madeAt: number;
}
const LastResort: Codec<LastResort> = struct({ madeAt: count });

/** A key package of this device, whose private half is kept. */
export async function newKeyPackage(environment: Environment, lastResort: boolean): Promise<Bytes> {
  const { self, service } = environment;
  // By the clock that says how long it lasts, and by which others judge it.
  const context = { ...mlsContext(environment, service.now), now: service.now };
  const { keyPackage } = await createKeyPackage(context, {
    suite: SUITE,
    credential: self.credential,
    signer: self.leafSigner,
    capabilities: capabilitiesOf(context.crypto),
    lifetime: leafLifetime(service.now()),
    lastResort,
  });
  return keyPackage;
}

/** Fills up what the service has of ours. Throws `ServiceError`. */
export async function refillKeyPackages(environment: Environment): Promise<void> {
  const { service, storage, now } = environment;
  const { pools } = await service.countKeyPackages();
  const pool = pools.find(({ suite }) => suite === SUITE);
  const { available = 0, lastResort = false, lastResortServedAt } = pool ?? {};
  const held = await read(storage, LastResort, LAST_RESORT_RECORD);
  // One that was served is known to somebody (RFC 9750 §5.1). Its private half stays: the Welcome may still be on its way.
  const used = lastResortServedAt !== undefined;
  const replace = !lastResort || used || !held || held.madeAt + LAST_RESORT_AGE < service.now();
  if (available >= LEAST && !replace) return;

  const keyPackages = [];
  if (available < LEAST) {
    for (let i = available; i < FULL; i++)
      keyPackages.push(await newKeyPackage(environment, false));
  }
  const fresh = replace ? await newKeyPackage(environment, true) : undefined;
  const body = { keyPackages, ...(fresh && { lastResort: fresh }) };
  await service.uploadKeyPackages({ body });
  if (fresh) {
    const madeAt = encode(LastResort, { madeAt: service.now() });
    await storage.apply({ put: new Map([[LAST_RESORT_RECORD, madeAt]]) });
  }
  // By the clock that is behind: the other may be wrong.
  const kept = Math.min(service.now(), now()) - KEPT;
  await deleteKeyPackages({ storage, now }, BigInt(Math.floor(kept / 1000)));
}
