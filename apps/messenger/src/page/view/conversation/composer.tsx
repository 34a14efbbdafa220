/**
 * Where a message is written. Enter sends, Shift and Enter begin a new line.
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Draft } from "../../model/draft.ts";
import { errorSentence } from "../../model/sentences.ts";
import { Icon } from "../controls/icon.tsx";

const MOST_ROWS = 8;

export function Composer({ draft }: { readonly draft: Draft }): JSX.Element {
  const field = useRef<HTMLTextAreaElement>(null);
  const text = draft.text.value;
  const error = draft.error.value;

  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) field.current?.focus();
  }, []);

  const send = (): void => {
    void draft.send();
    field.current?.focus();
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <p class="task-error" role="alert">
        {error !== undefined && errorSentence(error)}
      </p>
      <div class="composer-field">
        <textarea
          ref={field}
          aria-label="Message"
          placeholder="Write a message"
          dir="auto"
          rows={Math.min(text.split("\n").length, MOST_ROWS)}
          value={text}
          readOnly={draft.sending.value}
          onInput={(event) => {
            draft.text.value = event.currentTarget.value;
          }}
          onKeyDown={(event) => {
            // Enter that chooses from an input method's suggestions belongs to that.
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            send();
          }}
        />
        <button type="submit" class="composer-send" aria-label="Send" disabled={text.trim() === ""}>
          <Icon name="send" />
        </button>
      </div>
    </form>
  );
}
