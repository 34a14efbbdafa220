/**
 * Signals: what members tell each other for the moment (that somebody types, what was read). They go to the sockets that are open
 * now; nothing of them is stored or logged, and what is in them the members alone can read.
 * @module
 */

import type { Call, Handlers } from "./call.ts";
import type { Doorbell } from "./doorbell.ts";
import type { Limits } from "./limits.ts";
import { bytesToText } from "./protocol/index.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { notFound } from "./refusal.ts";
import type { Store } from "./store/store.ts";

export function createSignals(service: {
  readonly store: Store;
  readonly doorbell: Doorbell;
  readonly limits: Limits;
  readonly now: () => number;
}): Handlers<"signal"> {
  const { store, doorbell, limits, now } = service;
  const ofDevice = createRateLimiter(limits.signal, now);
  const ofGroup = createRateLimiter(limits.groupSignal, now);

  async function signal({ device, params, body }: Call<"signal">): Promise<undefined> {
    ofDevice.take(String(device.device));
    const { groupId } = params;
    const bytes = await body();
    // Before the group's bucket: others can't empty it, nor find out that there is one.
    if ((await store.leafOf(groupId, device.device)) === undefined) throw notFound();
    ofGroup.take(bytesToText(groupId));
    const { device: from, accountId } = device;
    doorbell.ring({ type: "signal", groupId, from, accountId, body: bytes });
  }

  return { signal };
}
