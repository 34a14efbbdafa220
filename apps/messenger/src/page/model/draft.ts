/**
 * A message being written. It stays until the engine has it on disk, so that nothing is lost
 * between the two.
 * @module
 */
import type { ClientErrorCode, ConversationId } from "@conclave/client";
import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { Engine } from "./engine.ts";
import { errorCodeOf } from "./sentences.ts";

export interface Draft {
  readonly text: Signal<string>;
  readonly sending: ReadonlySignal<boolean>;
  readonly error: ReadonlySignal<ClientErrorCode | undefined>;
  send(): Promise<void>;
}

export function createDraft(engine: Engine, id: ConversationId, newKey: () => string): Draft {
  const text = signal("");
  text.subscribe((written) => {
    // Of no harm where it fails: the message is what counts.
    if (written.trim() !== "") engine.tellTyping(id).catch(() => {});
  });
  const sending = signal(false);
  const error = signal<ClientErrorCode>();
  // What was wrong with one text says nothing of the next.
  text.subscribe(() => {
    error.value = undefined;
  });
  /** A second attempt with the same text has the same key, and so can't send it twice. */
  let attempt: { readonly text: string; readonly key: string } | undefined;

  return {
    text,
    sending,
    error,
    async send() {
      const message = text.value.trim();
      if (message === "" || sending.value) return;
      if (attempt?.text !== message) attempt = { text: message, key: newKey() };
      sending.value = true;
      error.value = undefined;
      try {
        await engine.sendText(id, message, attempt.key);
        attempt = undefined;
        text.value = "";
      } catch (reason) {
        error.value = errorCodeOf(reason);
      } finally {
        sending.value = false;
      }
    },
  };
}
