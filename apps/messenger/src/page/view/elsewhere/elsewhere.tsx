/**
 * Another copy of this browser's data is in use: this one waits until the person wants it to go on.
 * @module
 */
import type { JSX } from "preact";
import { useFocusAtFirst } from "../controls/focus.ts";
import { TaskError } from "../controls/form.tsx";
import { useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";

export function Elsewhere(): JSX.Element {
  const messenger = useMessenger();
  const task = useTask();
  const heading = useFocusAtFirst<HTMLHeadingElement>();
  return (
    <main class="gate">
      <section class="card">
        <h1 class="card-title" tabIndex={-1} ref={heading}>
          Your account is in use in a copy of this browser's data
        </h1>
        <p>
          The copy may be on another computer, or be a backup that was put back. Two copies must not
          write with the same keys, so this one has stopped, and nothing is sent from here.
        </p>
        <p>
          If you go on here, the other one stops. Conversations in which it has written meanwhile
          will have to be joined anew here. If you know of no copy, somebody may have taken one: go
          on here, and tell the others.
        </p>
        <button
          type="button"
          class="button primary wide"
          disabled={task.running.value}
          onClick={() => task.run(() => messenger.takeOver())}
        >
          Go on here
        </button>
        <TaskError task={task} />
      </section>
    </main>
  );
}
