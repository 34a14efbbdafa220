/**
 * One thing a person asked for: whether it is under way, and in words why it failed.
 * @module
 */
import { type ReadonlySignal, useSignal } from "@preact/signals";
import { errorCodeOf, errorSentence } from "../../model/sentences.ts";

export interface Task {
  readonly running: ReadonlySignal<boolean>;
  readonly error: ReadonlySignal<string | undefined>;
  /** Nothing happens while it runs already. */
  run(work: () => Promise<void>): void;
}

export function useTask(): Task {
  const running = useSignal(false);
  const error = useSignal<string>();
  return {
    running,
    error,
    run(work) {
      if (running.value) return;
      running.value = true;
      error.value = undefined;
      work()
        .catch((reason: unknown) => {
          error.value = errorSentence(errorCodeOf(reason));
        })
        .finally(() => {
          running.value = false;
        });
    },
  };
}
