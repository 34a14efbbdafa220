/**
 * What a view is told of an error from below.
 * @module
 */

import { ServiceError } from "@conclave/delivery/client";
import { ClientError } from "./api.ts";
import { causeOf, refusalOf } from "./refusal.ts";

/** Rejects with a `ClientError`, whatever went wrong. */
export async function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw clientError(error);
  }
}

export function clientError(error: unknown): ClientError {
  const known = causeOf(error, ClientError);
  if (known) return known;
  const service = causeOf(error, ServiceError);
  if (service?.code === "too-many-requests") {
    return new ClientError("busy", "the service was asked too often", { cause: error });
  }
  if (service?.code === "device-in-use") {
    return new ClientError("elsewhere", "another copy of this device signed in", { cause: error });
  }
  if (service?.transient) {
    return new ClientError("offline", "the service can't be reached", { cause: error });
  }
  if (service) return new ClientError("refused", service.code, { cause: error });
  const refusal = refusalOf(error);
  if (refusal) return new ClientError("refused", refusal.code, { cause: error });
  return new ClientError("internal", "something that should not happen", { cause: error });
}
