/**
 * One thing a person asked for: whether it is under way, and in words why it failed.
 * @module
 */
import type { ClientErrorCode } from "@conclave/client";
import { type ReadonlySignal, useComputed, useSignal } from "@preact/signals";
import { errorCodeOf, errorSentence } from "../../model/sentences.ts";

export interface Task {
  readonly running: ReadonlySignal<boolean>;
  readonly code: ReadonlySignal<ClientErrorCode | undefined>;
  readonly error: ReadonlySignal<string | undefined>;
  /** Nothing happens while it runs already. */
  run(work: () => Promise<void>): void;
  /** What failed doesn't matter any more. */
  forget(): void;
}

export function useTask(): Task {
  const running = useSignal(false);
  const code = useSignal<ClientErrorCode>();
  const error = useComputed(() => code.value && errorSentence(code.value));
  return {
    running,
    code,
    error,
    forget() {
      code.value = undefined;
    },
    run(work) {
      if (running.value) return;
      running.value = true;
      code.value = undefined;
      work()
        .catch((reason: unknown) => {
          code.value = errorCodeOf(reason);
        })
        .finally(() => {
          running.value = false;
        });
    },
  };
}
