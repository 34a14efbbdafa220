/**
 * A copy of one's messages: saved into a file, and brought to another device.
 * @module
 */
import type { LongCall, Progress, RestoredBackup } from "@conclave/client";
import { type ReadonlySignal, useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { restoredSentence } from "../../model/sentences.ts";
import { Dialog } from "../controls/dialog.tsx";
import { useFocusAtFirst } from "../controls/focus.ts";
import { Form } from "../controls/form.tsx";
import { PhraseField } from "../controls/phrase-field.tsx";
import { type Task, useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";
import "./backup.css";

/** Work with progress, which ends when it is cancelled, and when the dialog goes. */
interface LongTask {
  readonly task: Task;
  readonly progress: ReadonlySignal<Progress | undefined>;
  readonly begin: (work: (call: LongCall) => Promise<void>) => Promise<void>;
  readonly cancel: () => void;
}

function useLongTask(): LongTask {
  const task = useTask();
  const progress = useSignal<Progress>();
  const end = useRef<AbortController | undefined>(undefined);
  const cancel = (): void => end.current?.abort();
  useEffect(() => cancel, []);
  return {
    task,
    progress,
    cancel,
    async begin(work) {
      const { signal } = (end.current = new AbortController());
      try {
        await work({
          signal,
          onProgress: (now) => {
            progress.value = now;
          },
        });
      } finally {
        progress.value = undefined;
      }
    },
  };
}

export function SaveCopy(): JSX.Element {
  const messenger = useMessenger();
  const words = useSignal("");
  const saved = useSignal<string>();
  const { task, progress, begin, cancel } = useLongTask();
  const close = (): void => messenger.closeOverlay();
  return (
    <Dialog title="Save a copy of my messages" onClose={close}>
      {saved.value === undefined ? (
        <>
          <p>
            All your messages in one file. It is locked with your recovery phrase, and nobody can
            read it without. The phrase isn't kept on this device, so enter it here.
          </p>
          <Form
            task={task}
            onSubmit={() =>
              begin(async (call) => {
                saved.value = await messenger.saveCopy(words.value, call);
              })
            }
          >
            <PhraseField words={words} />
            <Actions task={task} action="Save" onCancel={cancel}>
              <Bar label="Saving…" progress={progress} />
            </Actions>
          </Form>
        </>
      ) : (
        <Done onClose={close}>
          Saved as <strong>{saved.value}</strong>. Keep it somewhere else than on this device. What
          is written from now on isn't in it: save another one now and then.
        </Done>
      )}
    </Dialog>
  );
}

export function BringMessages(): JSX.Element {
  const messenger = useMessenger();
  const words = useSignal("");
  const file = useSignal<File>();
  const restored = useSignal<RestoredBackup>();
  const { task, progress, begin, cancel } = useLongTask();
  const id = useId();
  const close = (): void => messenger.closeOverlay();
  const bring = (older: boolean): Promise<void> =>
    begin(async (call) => {
      if (file.value === undefined) return;
      restored.value = await messenger.bringMessages(file.value, words.value, { ...call, older });
    });
  return (
    <Dialog title="Bring my messages here" onClose={close}>
      {restored.value === undefined ? (
        <>
          <p>
            From a copy that you saved. What is here already stays as it is, and nobody else
            notices.
          </p>
          <Form task={task} onSubmit={() => bring(false)}>
            <div class="field">
              <label for={id}>The file</label>
              <input
                id={id}
                type="file"
                required
                onChange={({ currentTarget }) => {
                  file.value = currentTarget.files?.[0];
                }}
              />
            </div>
            <PhraseField words={words} />
            <Actions task={task} action="Bring them here" onCancel={cancel}>
              <Bar label="Bringing them here…" progress={progress} />
            </Actions>
          </Form>
          {(task.code.value === "backup-older" || task.code.value === "backup-unsure") && (
            <section class="older-copy" aria-label="An older copy">
              <p>
                If you have no newer one, bring this one: what was written after it will be missing.
              </p>
              <button type="button" class="button" onClick={() => task.run(() => bring(true))}>
                Bring this copy
              </button>
            </section>
          )}
        </>
      ) : (
        <Done onClose={close}>{restoredSentence(restored.value, Date.now())}</Done>
      )}
    </Dialog>
  );
}

function Actions({
  task,
  action,
  onCancel,
  children,
}: {
  readonly task: Task;
  /** The verb on the button. */
  readonly action: string;
  readonly onCancel: () => void;
  readonly children: ComponentChildren;
}): JSX.Element {
  if (!task.running.value) {
    return (
      <button type="submit" class="button primary wide">
        {action}
      </button>
    );
  }
  return (
    <div class="under-way">
      {children}
      <Cancel onCancel={onCancel} />
    </div>
  );
}

/** Where the button was that began it, so the focus stays. */
function Cancel({ onCancel }: { readonly onCancel: () => void }): JSX.Element {
  const button = useFocusAtFirst<HTMLButtonElement>();
  return (
    <button ref={button} type="button" class="button small" onClick={onCancel}>
      Cancel
    </button>
  );
}

function Bar({
  label,
  progress,
}: {
  readonly label: string;
  readonly progress: ReadonlySignal<Progress | undefined>;
}): JSX.Element {
  const { done, total } = progress.value ?? { done: 0, total: 1 };
  return (
    <label class="bar">
      {label}
      <progress max={total} value={done} />
    </label>
  );
}

function Done({
  onClose,
  children,
}: {
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}): JSX.Element {
  const button = useFocusAtFirst<HTMLButtonElement>();
  return (
    <>
      <p role="status">{children}</p>
      <button ref={button} type="button" class="button primary wide" onClick={onClose}>
        Done
      </button>
    </>
  );
}
