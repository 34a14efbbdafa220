/**
 * The device's inbox: Welcomes of groups that others added it to. Each is dealt with before the service
 * may forget it; one that can't be used is told, and doesn't hold up the next.
 * @module
 */

import { ServiceError } from "@conclave/delivery/client";
import type { InboxEntry } from "@conclave/delivery/protocol";
import { MlsError } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import type { Warning } from "./api.ts";
import type { Environment } from "./environment.ts";
import { refillKeyPackages } from "./key-packages.ts";
import { causeOf, refusalOf } from "./refusal.ts";

export interface InboxOptions {
  readonly environment: Environment;
  /** Joins, or does nothing where we are in already. Throws as `joinByWelcome` does. */
  readonly join: (entry: InboxEntry) => Promise<void>;
  readonly warn: (warning: Omit<Warning, "at">) => void;
}

/** The place that a group takes among those of this device. */
async function giveUp({ service }: Environment, groupId: Bytes): Promise<void> {
  try {
    await service.giveUpGroup({ groupId });
  } catch (error) {
    // A service that knows of nothing to give up has nothing that is taken.
    if (causeOf(error, ServiceError)?.code !== "not-found") throw error;
  }
}

/** Empties the inbox and makes up for the key packages that were used. Throws `ServiceError`. */
export async function readInbox({ environment, join, warn }: InboxOptions): Promise<void> {
  const { service } = environment;
  let after = 0;
  for (;;) {
    const { entries } = await service.inbox({ after });
    for (const entry of entries) {
      try {
        await join(entry);
      } catch (error) {
        if (causeOf(error, ServiceError)?.transient) throw error;
        const refusal = refusalOf(error);
        if (!refusal && !causeOf(error, MlsError) && !causeOf(error, ServiceError)) throw error;
        environment.log("welcome refused", error);
        warn({ code: refusal?.code ?? "message-refused", ...refusal?.about });
        // Whoever sends what can't be used takes up no place with it.
        await giveUp(environment, entry.groupId);
      }
      await service.acknowledge({ body: { upTo: entry.seq } });
      after = entry.seq;
    }
    if (entries.length === 0) break;
  }
  await refillKeyPackages(environment);
}
