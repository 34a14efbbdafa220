/**
 * What a view is told of an error from below.
 * @module
 */

import { ServiceError } from "@conclave/delivery/client";
import { MlsError } from "@conclave/mls";
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
  if (service?.code === "account-disabled") {
    return new ClientError("account-disabled", "the operator has disabled the account", {
      cause: error,
    });
  }
  if (service?.code === "account-deleted") {
    return new ClientError("account-deleted", "the account was deleted", { cause: error });
  }
  if (service?.transient) {
    return new ClientError("offline", "the service can't be reached", { cause: error });
  }
  if (service) return new ClientError("refused", service.code, { cause: error });
  const refusal = refusalOf(error);
  if (refusal) return new ClientError("refused", refusal.code, { cause: error });
  return new ClientError("internal", "something that should not happen", { cause: error });
}

/** What there is no use in trying again for; undefined for what is temporary. */
export function failureOf(error: unknown): ClientError | undefined {
  if (isOfStorage(error)) return undefined;
  if (error instanceof ClientError) return error;
  const refusal = refusalOf(error);
  if (refusal) return new ClientError("refused", refusal.message, { cause: error });
  const service = causeOf(error, ServiceError);
  if (service) return service.transient ? undefined : clientError(error);
  const mls = causeOf(error, MlsError);
  return mls && new ClientError("refused", mls.code, { cause: error });
}

/** Storage can't be written, or is another engine's by now. */
export function isOfStorage(error: unknown): boolean {
  const code = causeOf(error, ClientError)?.code;
  return code === "storage" || code === "fenced" || causeOf(error, MlsError)?.code === "storage";
}
