/**
 * Where the recovery phrase is entered: as many lines as it needs, and nothing of it for the browser to remember or correct.
 * @module
 */
import type { Signal } from "@preact/signals";
import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { PHRASE_LENGTH, wordsOf } from "../../model/phrase.ts";
import { useFocusAtFirst } from "./focus.ts";

/** Has the focus when it appears. */
export function PhraseField({ words }: { readonly words: Signal<string> }): JSX.Element {
  const id = useId();
  const field = useFocusAtFirst<HTMLTextAreaElement>();
  const count = wordsOf(words.value).length;
  return (
    <div class="field">
      <label for={id}>Your recovery phrase</label>
      <textarea
        ref={field}
        id={id}
        required
        rows={3}
        maxLength={400}
        autocomplete="off"
        autocapitalize="none"
        spellcheck={false}
        aria-describedby={`${id}-hint`}
        value={words.value}
        onInput={(event) => {
          words.value = event.currentTarget.value;
        }}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.isComposing) return;
          event.preventDefault();
          event.currentTarget.form?.requestSubmit();
        }}
      />
      <p class="hint" id={`${id}-hint`}>
        {count === 0
          ? "The twelve words, in their order."
          : `${count} of ${PHRASE_LENGTH} words, in their order.`}
      </p>
    </div>
  );
}
