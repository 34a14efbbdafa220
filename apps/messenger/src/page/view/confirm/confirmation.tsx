/**
 * The question before what can't be undone.
 * @module
 */
import type { JSX } from "preact";
import { Dialog } from "../controls/dialog.tsx";
import { TaskError } from "../controls/form.tsx";
import { useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";

export function Confirmation({
  title,
  text,
  action,
  onConfirm,
}: {
  readonly title: string;
  readonly text: string;
  /** The verb on the button. */
  readonly action: string;
  readonly onConfirm: () => Promise<void>;
}): JSX.Element {
  const messenger = useMessenger();
  const task = useTask();
  const close = (): void => messenger.closeOverlay();
  return (
    <Dialog title={title} onClose={close}>
      <p>{text}</p>
      <TaskError task={task} />
      <div class="actions">
        <button type="button" class="button" autoFocus onClick={close}>
          Cancel
        </button>
        <button
          type="button"
          class="button danger"
          disabled={task.running.value}
          onClick={() =>
            task.run(async () => {
              await onConfirm();
              close();
            })
          }
        >
          {action}
        </button>
      </div>
    </Dialog>
  );
}
