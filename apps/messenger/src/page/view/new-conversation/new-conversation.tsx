/**
 * Beginning a conversation: it needs a title, and nothing else yet.
 * @module
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Dialog } from "../controls/dialog.tsx";
import { Form, TextField } from "../controls/form.tsx";
import { useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";

export function NewConversation(): JSX.Element {
  const messenger = useMessenger();
  const title = useSignal("");
  const task = useTask();
  const close = (): void => messenger.closeOverlay();
  return (
    <Dialog title="New conversation" onClose={close}>
      <Form
        task={task}
        onSubmit={async () => {
          await messenger.createConversation(title.value.trim());
          close();
        }}
      >
        <TextField
          label="Title"
          hint="Only members and people with an invitation link can read it."
          value={title.value}
          maxLength={80}
          autoFocus
          onInput={(value) => {
            title.value = value;
          }}
        />
        <div class="actions">
          <button type="button" class="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={task.running.value}>
            {task.running.value ? "Beginning…" : "Begin"}
          </button>
        </div>
      </Form>
    </Dialog>
  );
}
