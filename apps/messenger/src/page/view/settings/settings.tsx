/**
 * What one decides for oneself: who may write first, what was said to whom, and what others are told while one writes and reads.
 * @module
 */
import type { Contact, ContactBook, ContactRule, SignalSettings } from "@conclave/client";
import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useId } from "preact/hooks";
import { contactAnswerSentence } from "../../model/sentences.ts";
import { Asked } from "../contacts/asked.tsx";
import { Dialog } from "../controls/dialog.tsx";
import { TaskError } from "../controls/form.tsx";
import { type Task, useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";
import "./settings.css";

export function Settings(): JSX.Element {
  const messenger = useMessenger();
  const book = useSignal<ContactBook>();
  const task = useTask();
  const load = (): void =>
    task.run(async () => {
      book.value = await messenger.contacts();
    });
  useEffect(load, []);
  return (
    <Dialog title="Settings" onClose={() => messenger.closeOverlay()}>
      {book.value === undefined ? (
        <section class="settings-part" aria-busy={task.running.value}>
          <h3>Who may write to me first</h3>
          {task.running.value && <p class="hint">Asking the service…</p>}
          <TaskError task={task} />
          {task.error.value !== undefined && (
            <button type="button" class="button small" onClick={load}>
              Try again
            </button>
          )}
        </section>
      ) : (
        <>
          <Rule book={book} loaded={book.value} />
          <People book={book} loaded={book.value} />
        </>
      )}
      <Told />
      <Messages />
    </Dialog>
  );
}

function Messages(): JSX.Element {
  const messenger = useMessenger();
  return (
    <section class="settings-part">
      <h3>My messages</h3>
      <p class="hint">
        They are on this device alone. Save a copy to have them on your next device: a file that
        only your recovery phrase opens.
      </p>
      <div class="settings-actions">
        <button
          type="button"
          class="button small"
          onClick={() => messenger.show({ type: "save-copy" })}
        >
          Save a copy
        </button>
        <button
          type="button"
          class="button small"
          onClick={() => messenger.show({ type: "bring-messages" })}
        >
          Bring my messages here
        </button>
      </div>
    </section>
  );
}

function Choice({
  type,
  name,
  checked,
  label,
  hint,
  task,
  onChoose,
}: {
  readonly type: "radio" | "checkbox";
  /** Of those of which one is chosen. */
  readonly name?: string;
  readonly checked: boolean;
  readonly label: string;
  readonly hint: string;
  /** Keeps the choice. */
  readonly task: Task;
  readonly onChoose: () => Promise<void>;
}): JSX.Element {
  return (
    <label class="choice">
      <input
        type={type}
        name={name}
        checked={checked}
        // While a choice is kept no other is made. Disabled, it would lose the focus.
        onClick={(event) => {
          if (task.running.value) event.preventDefault();
        }}
        onChange={() => task.run(onChoose)}
      />
      <span>
        {label}
        <span class="hint">{hint}</span>
      </span>
    </label>
  );
}

const RULES = [
  [
    "open",
    "Everybody who knows my name",
    "They need it exactly; nobody can look through the names. They add you, and you can leave and block them.",
  ],
  [
    "ask",
    "Only people I allow",
    "Others have to ask, and aren't told that you exist before you allow it.",
  ],
] as const;

function Rule({
  book,
  loaded,
}: {
  readonly book: Signal<ContactBook | undefined>;
  readonly loaded: ContactBook;
}): JSX.Element {
  const messenger = useMessenger();
  const task = useTask();
  const id = useId();
  /** Shown from the click on. */
  const wanted = useSignal<ContactRule>();
  const rule = wanted.value ?? loaded.rule;
  const shown = rule === "default" ? loaded.unlessSet : rule;
  return (
    <fieldset class="settings-part" aria-describedby={`${id}-always`}>
      <legend>Who may write to me first</legend>
      {RULES.map(([one, label, hint]) => (
        <Choice
          key={one}
          type="radio"
          name={id}
          checked={shown === one}
          label={label}
          hint={hint}
          task={task}
          onChoose={async () => {
            wanted.value = one;
            try {
              await messenger.setContactRule(one);
              book.value = { ...loaded, rule: one };
            } finally {
              wanted.value = undefined;
            }
          }}
        />
      ))}
      <p class="hint" id={`${id}-always`}>
        People you share a conversation with, or have asked yourself, can add you either way. Links
        that you open always work.
      </p>
      <TaskError task={task} />
    </fieldset>
  );
}

function People({
  book,
  loaded,
}: {
  readonly book: Signal<ContactBook | undefined>;
  readonly loaded: ContactBook;
}): JSX.Element | null {
  const messenger = useMessenger();
  const asked = messenger.asked.value.length > 0;
  if (!asked && loaded.contacts.length === 0) return null;
  return (
    <section class="settings-part">
      <h3>Requests and blocked people</h3>
      <Asked />
      {loaded.contacts.length > 0 && (
        <ul class="contacts" aria-label="Whom you answered">
          {loaded.contacts.map((contact) => (
            <Answered key={contact.accountId} contact={contact} book={book} />
          ))}
        </ul>
      )}
    </section>
  );
}

const SIGNALS = [
  [
    "typing",
    "That I am writing",
    "The others see it while you write, and you see it of them. In conversations of more than about 20 people it stays off.",
  ],
  [
    "receipts",
    "What I have read",
    "The others see how far you have read, and you see it of those who tell it too.",
  ],
] as const;

function Told(): JSX.Element {
  const messenger = useMessenger();
  const task = useTask();
  const wanted = useSignal<SignalSettings>();
  const settings = wanted.value ?? messenger.signalSettings.value;
  return (
    <fieldset class="settings-part">
      <legend>What others are told</legend>
      {SIGNALS.map(([what, label, hint]) => (
        <Choice
          key={what}
          type="checkbox"
          checked={settings[what]}
          label={label}
          hint={hint}
          task={task}
          onChoose={async () => {
            const next = { ...settings, [what]: !settings[what] };
            wanted.value = next;
            try {
              await messenger.setSignalSettings(next);
            } finally {
              wanted.value = undefined;
            }
          }}
        />
      ))}
      <p class="hint">
        Both are encrypted, as messages are. What you don't tell, you aren't told either.
      </p>
      <TaskError task={task} />
    </fieldset>
  );
}

/** The verb that takes back what was said. */
const TAKES_BACK = { allowed: "Take back", refused: "Allow", blocked: "Unblock" } as const;

function Answered({
  contact,
  book,
}: {
  readonly contact: Contact;
  readonly book: Signal<ContactBook | undefined>;
}): JSX.Element {
  const messenger = useMessenger();
  const task = useTask();
  const { accountId, name, answer } = contact;
  return (
    <li class="contact">
      <p class="contact-name">
        <bdi>{name ?? "Somebody whose account is gone"}</bdi>
        <span>{contactAnswerSentence(answer)}</span>
      </p>
      <button
        type="button"
        class="text-button"
        disabled={task.running.value}
        onClick={() =>
          task.run(async () => {
            if (answer === "refused") await messenger.answerContact(accountId, "allowed");
            else await messenger.forgetContact(accountId);
            book.value = await messenger.contacts();
          })
        }
      >
        {TAKES_BACK[answer]}
        <span class="visually-hidden"> {name ?? "them"}</span>
      </button>
      <TaskError task={task} />
    </li>
  );
}
