/**
 * Coming back to an account by its recovery phrase; after the browser lost what it kept, or on a new device.
 * @module
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Form } from "../controls/form.tsx";
import { Emblem } from "../controls/icon.tsx";
import { PhraseField } from "../controls/phrase-field.tsx";
import { useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";

export function Recover(): JSX.Element {
  const messenger = useMessenger();
  const words = useSignal("");
  const task = useTask();
  const lost = messenger.loss.value;
  return (
    <main class="gate">
      <Emblem />
      <section class="card">
        {lost === undefined ? (
          <>
            <h1 class="card-title">Bring your account back</h1>
            <p>Your account moves to this browser. Where it was before, it stops working.</p>
          </>
        ) : (
          <>
            <h1 class="card-title">This browser lost {lost.name ?? "your account"}'s data</h1>
            <p role="alert">
              What Conclave kept here is gone, or not complete: the browser made room, or somebody
              cleared its data. Nothing of it is used any more. Your recovery phrase brings the
              account back, as on a new device.
            </p>
          </>
        )}
        <p>
          You come back into each conversation as soon as one of its members is online. Earlier
          messages come back only from a copy, if you saved one: afterwards, in the settings.
        </p>
        <Form task={task} onSubmit={() => messenger.recover(words.value)}>
          <PhraseField words={words} />
          <button type="submit" class="button primary wide" disabled={task.running.value}>
            {task.running.value ? "Asking for your account…" : "Bring it back"}
          </button>
        </Form>
        <button type="button" class="button wide" onClick={() => messenger.beginAnew()}>
          {lost === undefined ? "Back" : "Begin anew, with another name"}
        </button>
      </section>
      <p class="gate-note">
        The phrase of an account that was made before version 0.2 can't do this.
      </p>
    </main>
  );
}
