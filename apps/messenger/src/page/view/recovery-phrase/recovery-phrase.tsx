/**
 * Right after sign-up: the phrase, this once.
 * @module
 */
import type { JSX } from "preact";
import { useFocusAtFirst } from "../controls/focus.ts";
import { TaskError } from "../controls/form.tsx";
import { useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";
import "./recovery-phrase.css";

export function RecoveryPhrase(): JSX.Element {
  const messenger = useMessenger();
  const task = useTask();
  const heading = useFocusAtFirst<HTMLHeadingElement>();
  const words = messenger.recoveryPhrase.value?.split(" ") ?? [];
  return (
    <main class="gate">
      <section class="card">
        <h1 class="card-title" tabIndex={-1} ref={heading}>
          Write these {words.length} words down
        </h1>
        <p>
          They bring your account back when this browser's data is gone, or on another device.
          Whoever has them has your account. They are shown this once, and nobody else has them.
        </p>
        <ol class="phrase">
          {words.map((word, i) => (
            <li key={i}>{word}</li>
          ))}
        </ol>
        <button
          type="button"
          class="button primary wide"
          disabled={task.running.value}
          onClick={() => task.run(() => messenger.confirmRecoveryPhrase())}
        >
          I wrote them down
        </button>
        <TaskError task={task} />
      </section>
    </main>
  );
}
