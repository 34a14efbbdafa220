/**
 * How a call that takes long is followed and ended.
 * @module
 */

import { ClientError, type LongCall, type Progress } from "../api.ts";
import { clientError } from "../client-error.ts";

export interface OngoingCall {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  /** Why it failed, as the caller is told. */
  readonly failure: (error: unknown) => ClientError;
}

/** Progress is told by hundredths; the call ends when the caller's signal is aborted (`cancelled`), and with the engine (`fenced`). */
export function ongoingCall({ signal, onProgress }: LongCall, end: AbortSignal): OngoingCall {
  let told = -1;
  return {
    signal: AbortSignal.any(signal ? [signal, end] : [end]),
    onProgress: ({ done, total }) => {
      const hundredths = Math.floor((100 * done) / total);
      if (hundredths <= told) return;
      told = hundredths;
      onProgress?.({ done, total });
    },
    failure: (error) => {
      if (signal?.aborted) return new ClientError("cancelled", "it was cancelled");
      if (end.aborted) return new ClientError("fenced", "this engine has stopped");
      return clientError(error);
    },
  };
}
