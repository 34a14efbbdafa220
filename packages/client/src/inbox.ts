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
  /** The numbers of those that are dealt with and stay for one before them: kept from one reading to the next. */
  readonly ahead: Set<number>;
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

/**
 * Empties the inbox and makes up for the key packages that were used. One that can't be dealt with now stays, with those behind it, until
 * it can; they are dealt with meanwhile. Throws `ServiceError`.
 */
export async function readInbox({ environment, join, warn, ahead }: InboxOptions): Promise<void> {
  const { service } = environment;
  let after = 0;
  let left: ServiceError | undefined;
  for (;;) {
    const { entries } = await service.inbox({ after });
    for (const entry of entries) {
      try {
        if (!ahead.has(entry.seq)) await join(entry);
      } catch (error) {
        const failed = causeOf(error, ServiceError);
        // What is no problem of the service's is said by something before it, and says nothing of the Welcome.
        if (failed && (failed.transient || failed.problem === undefined)) {
          if (failed.code === "offline") throw error;
          left ??= failed;
          after = entry.seq;
          continue;
        }
        const refusal = refusalOf(error);
        if (!refusal && !causeOf(error, MlsError) && !causeOf(error, ServiceError)) throw error;
        environment.log("welcome refused", error);
        warn({ code: refusal?.code ?? "message-refused", ...refusal?.about });
        // Whoever sends what can't be used takes up no place with it.
        await giveUp(environment, entry.groupId);
      }
      after = entry.seq;
      if (left) ahead.add(after);
      else {
        await service.acknowledge({ body: { upTo: after } });
        ahead.delete(after);
      }
    }
    if (entries.length === 0) break;
  }
  await refillKeyPackages(environment);
  if (left) throw left;
}
