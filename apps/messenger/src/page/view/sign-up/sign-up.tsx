/**
 * The first screen: choose a name, and where the service asks for an invite code, enter it.
 * @module
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Dialog } from "../controls/dialog.tsx";
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
  const overlay = messenger.overlay.value;
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
        <Form
          task={task}
          onSubmit={async () => {
            const wanted = tidyName(name.value);
            if (wanted === "") await messenger.signUp(wanted, code);
            else messenger.show({ type: "begin-as", name: wanted });
          }}
        >
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
      {overlay?.type === "begin-as" && (
        <BeginAs
          name={overlay.name}
          onBegin={() => {
            messenger.closeOverlay();
            task.run(() => messenger.signUp(overlay.name, code));
          }}
        />
      )}
    </main>
  );
}

/** As the directory will hold it, but for what is no name at all, which the engine says. */
function tidyName(name: string): string {
  return name.trim().replace(/\s+/gu, " ");
}

/** A name is for good, and the Enter key is quickly pressed. */
function BeginAs({
  name,
  onBegin,
}: {
  readonly name: string;
  readonly onBegin: () => void;
}): JSX.Element {
  const messenger = useMessenger();
  return (
    <Dialog title="Is this your name?" onClose={() => messenger.closeOverlay()}>
      <p class="sign-up-name">
        <bdi>{name}</bdi>
      </p>
      <p>Others find you by it, written exactly like this. It can't be changed later.</p>
      <div class="actions">
        <button type="button" class="button" onClick={() => messenger.closeOverlay()}>
          Change it
        </button>
        <button type="button" class="button primary" autoFocus onClick={onBegin}>
          Begin
        </button>
      </div>
    </Dialog>
  );
}
