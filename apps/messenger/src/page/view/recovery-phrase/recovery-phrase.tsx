/**
 * Right after sign-up: the phrase, this once. Two of its words are asked back, since a phrase that nobody wrote down is found
 * out only when it is needed.
 * @module
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { PHRASE_LENGTH, placesToAsk, wordsOf } from "../../model/phrase.ts";
import { Confirmation } from "../confirm/confirmation.tsx";
import { useFocusAtFirst } from "../controls/focus.ts";
import { Form, TextField } from "../controls/form.tsx";
import { Icon } from "../controls/icon.tsx";
import { useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";
import "./recovery-phrase.css";

/** What it means to have none. Said before one goes on without it. */
export const WITHOUT_PHRASE =
  "When this browser's data is cleared, or the device is lost, your account is gone for good, with its name, and there is no copy of your messages. Nobody can help then, not even who runs this service.";

export function RecoveryPhrase(): JSX.Element {
  const messenger = useMessenger();
  const words = messenger.recoveryPhrase.value?.split(" ") ?? [];
  const checking = useSignal(false);
  return (
    <main class="gate">
      <section class="card">
        {checking.value ? (
          <Check
            words={words}
            onBack={() => {
              checking.value = false;
            }}
          />
        ) : (
          <Words
            words={words}
            onNext={() => {
              checking.value = true;
            }}
          />
        )}
      </section>
      {messenger.overlay.value?.type === "without-phrase" && (
        <Confirmation
          title="Go on without the words?"
          text={`They can't be shown again. ${WITHOUT_PHRASE}`}
          action="Go on without"
          onConfirm={() => messenger.confirmRecoveryPhrase()}
        />
      )}
    </main>
  );
}

function Words({
  words,
  onNext,
}: {
  readonly words: readonly string[];
  readonly onNext: () => void;
}): JSX.Element {
  const messenger = useMessenger();
  const heading = useFocusAtFirst<HTMLHeadingElement>();
  const copied = useSignal<boolean>();
  return (
    <>
      <h1 class="card-title" tabIndex={-1} ref={heading}>
        Write these {PHRASE_LENGTH} words down
      </h1>
      <p>
        They are the only way back to your account when this browser's data is gone, or on another
        device. Whoever has them has your account. They are shown only now.
      </p>
      <ol class="phrase">
        {words.map((word, i) => (
          <li key={i}>{word}</li>
        ))}
      </ol>
      <button type="button" class="button primary wide" onClick={onNext}>
        I wrote them down
      </button>
      <div class="phrase-else">
        <button
          type="button"
          class="text-button"
          onClick={() => {
            navigator.clipboard.writeText(words.join(" ")).then(
              () => {
                copied.value = true;
              },
              () => {
                copied.value = false;
              },
            );
          }}
        >
          <Icon name={copied.value === true ? "sent" : "copy"} />
          Copy
        </button>
        <button
          type="button"
          class="text-button phrase-without"
          onClick={() => messenger.show({ type: "without-phrase" })}
        >
          Go on without them
        </button>
        <p class="hint" role="status">
          {copied.value === true &&
            "Copied. Put them into a password manager, then copy something else."}
          {copied.value === false &&
            "The browser doesn't let them be copied. Write them down instead."}
        </p>
      </div>
    </>
  );
}

function Check({
  words,
  onBack,
}: {
  readonly words: readonly string[];
  readonly onBack: () => void;
}): JSX.Element {
  const messenger = useMessenger();
  const { current: places } = useRef(placesToAsk(words.length, Math.random));
  const answers = useSignal<readonly string[]>(places.map(() => ""));
  const wrong = useSignal<number>();
  const task = useTask();
  return (
    <>
      <h1 class="card-title">Two of them, to be sure</h1>
      <p>Look at what you wrote down, and enter these two words.</p>
      <Form
        task={task}
        onSubmit={async () => {
          wrong.value = places.find(
            (place, i) => wordsOf(answers.value[i] ?? "").join() !== words[place],
          );
          if (wrong.value === undefined) await messenger.confirmRecoveryPhrase();
        }}
      >
        <div class="phrase-check">
          {places.map((place, i) => (
            <TextField
              key={place}
              label={`Word ${place + 1}`}
              value={answers.value[i] ?? ""}
              maxLength={20}
              autoFocus={i === 0}
              onInput={(value) => {
                answers.value = answers.value.with(i, value);
              }}
            />
          ))}
        </div>
        <p class="task-error" role="alert">
          {wrong.value !== undefined &&
            `Word ${wrong.value + 1} is another one. Look at all the words again, and compare.`}
        </p>
        <button type="submit" class="button primary wide" disabled={task.running.value}>
          Go on
        </button>
      </Form>
      <button type="button" class="button wide" onClick={onBack}>
        Show the words again
      </button>
    </>
  );
}
