/**
 * The first screen: choose a name, and where the service asks for an invite code, enter it.
 * @module
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Form, TextField } from "../controls/form.tsx";
import { Emblem } from "../controls/icon.tsx";
import { useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";
import "./sign-up.css";

export function SignUp(): JSX.Element {
  const messenger = useMessenger();
  const name = useSignal("");
  const task = useTask();
  const code = messenger.inviteCode.value;
  return (
    <main class="gate">
      <header class="gate-header">
        <Emblem />
        <h1 class="wordmark">Conclave</h1>
        <p class="gate-motto">A room that locks from the inside.</p>
      </header>
      <section class="card">
        {messenger.invitation.value !== undefined && (
          <p class="sign-up-invited">
            You have been invited to a conversation. Choose a name first; then you will see who
            invited you.
          </p>
        )}
        <Form task={task} onSubmit={() => messenger.signUp(name.value, code)}>
          <TextField
            label="Your name"
            hint="Others find you by exactly this name. It can't be changed later."
            value={name.value}
            maxLength={48}
            autoFocus
            onInput={(value) => {
              name.value = value;
            }}
          />
          {code !== undefined && (
            <TextField
              label="Your invite code"
              hint="From whoever runs this service. It is good for one account."
              value={code}
              maxLength={64}
              onInput={(value) => messenger.enterInviteCode(value)}
            />
          )}
          <button type="submit" class="button primary wide" disabled={task.running.value}>
            {task.running.value ? "Making your keys…" : "Begin"}
          </button>
        </Form>
        <button type="button" class="button wide" onClick={() => messenger.wantRecovery()}>
          I have a recovery phrase
        </button>
      </section>
      <p class="gate-note">
        There is no password. Your account lives in this browser: its keys are made here and stay
        here, and only the people in a conversation can read it.
      </p>
    </main>
  );
}
