/**
 * Forms: a task that runs on submit, its error under the fields.
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import type { Task } from "./task.ts";
import "./form.css";

export function Form({
  task,
  onSubmit,
  children,
}: {
  readonly task: Task;
  readonly onSubmit: () => Promise<void>;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <form
      class="form"
      autocomplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        task.run(onSubmit);
      }}
    >
      {children}
      <TaskError task={task} />
    </form>
  );
}

/** Always there, so that a screen reader notices when it is filled. */
export function TaskError({ task }: { readonly task: Task }): JSX.Element {
  return (
    <p class="task-error" role="alert">
      {task.error.value}
    </p>
  );
}

export function TextField({
  label,
  hint,
  value,
  onInput,
  maxLength,
  autoFocus = false,
}: {
  readonly label: string;
  readonly hint?: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly maxLength: number;
  readonly autoFocus?: boolean;
}): JSX.Element {
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    // The attribute is heeded by dialogs, and where the page begins; not on a screen that comes later.
    if (autoFocus) field.current?.focus();
  }, []);
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        ref={field}
        id={id}
        type="text"
        required
        dir="auto"
        spellcheck={false}
        maxLength={maxLength}
        value={value}
        autoFocus={autoFocus}
        onInput={(event) => onInput(event.currentTarget.value)}
        {...(hint === undefined ? {} : { "aria-describedby": `${id}-hint` })}
      />
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}
