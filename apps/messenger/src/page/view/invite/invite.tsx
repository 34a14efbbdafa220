/**
 * Invitation links: making one, copying it, closing all.
 * @module
 */
import type { ConversationSummary, Invitation } from "@conclave/client";
import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useId, useRef } from "preact/hooks";
import { dayAndTimeOf } from "../../model/calendar.ts";
import { invitationLink } from "../../model/invitation-link.ts";
import { counted } from "../../model/sentences.ts";
import { Dialog } from "../controls/dialog.tsx";
import { Form, TaskError } from "../controls/form.tsx";
import { Icon } from "../controls/icon.tsx";
import { type Task, useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";
import "./invite.css";

const LIFETIMES = [
  [3_600, "1 hour"],
  [86_400, "1 day"],
  [604_800, "7 days"],
  [2_592_000, "30 days"],
] as const;
const USES = [
  [1, "1 person"],
  [10, "10 people"],
  [50, "50 people"],
  [1_000, "1,000 people"],
] as const;

export function Invite({
  conversation,
}: {
  readonly conversation: ConversationSummary;
}): JSX.Element {
  const messenger = useMessenger();
  const invitation = useSignal<Invitation>();
  return (
    <Dialog title="Invite by a link" onClose={() => messenger.closeOverlay()}>
      {invitation.value === undefined ? (
        <Terms
          onSubmit={async (terms) => {
            invitation.value = await messenger.createInvitation(conversation.id, terms);
          }}
        />
      ) : (
        <Link invitation={invitation.value} />
      )}
      {conversation.links > 0 && <OpenLinks conversation={conversation} made={invitation} />}
    </Dialog>
  );
}

function Terms({
  onSubmit,
}: {
  readonly onSubmit: (terms: {
    readonly expiresInSeconds: number;
    readonly maxUses: number;
  }) => Promise<void>;
}): JSX.Element {
  const lifetime = useSignal<number>(604_800);
  const uses = useSignal<number>(10);
  const task = useTask();
  return (
    <Form
      task={task}
      onSubmit={() => onSubmit({ expiresInSeconds: lifetime.value, maxUses: uses.value })}
    >
      <p>
        Whoever has the link can join and read what is written from then on. Hand it only to those
        you want in.
      </p>
      <div class="invite-terms">
        <Choice label="Open for" options={LIFETIMES} value={lifetime} />
        <Choice label="Lets in" options={USES} value={uses} />
      </div>
      <div class="actions">
        <button type="submit" class="button primary" autoFocus disabled={task.running.value}>
          {task.running.value ? "Making the link…" : "Make a link"}
        </button>
      </div>
    </Form>
  );
}

function Choice({
  label,
  options,
  value,
}: {
  readonly label: string;
  readonly options: readonly (readonly [number, string])[];
  readonly value: Signal<number>;
}): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="select">
        <select
          id={id}
          onChange={(event) => {
            value.value = Number(event.currentTarget.value);
          }}
        >
          {options.map(([amount, words]) => (
            <option key={amount} value={amount} selected={amount === value.value}>
              {words}
            </option>
          ))}
        </select>
        <Icon name="choose" />
      </div>
    </div>
  );
}

function Link({ invitation }: { readonly invitation: Invitation }): JSX.Element {
  const link = invitationLink(location.origin, invitation.fragment);
  const field = useRef<HTMLInputElement>(null);
  const copied = useSignal(false);
  const task: Task = useTask();
  return (
    <>
      <p>
        Open until {dayAndTimeOf(invitation.expiresAt, Date.now())}, for up to{" "}
        {counted(invitation.maxUses, "person", "people")}. Whoever has it gets in.
      </p>
      <div class="invite-link">
        <input
          ref={field}
          type="text"
          readOnly
          aria-label="Invitation link"
          value={link}
          onFocus={(event) => event.currentTarget.select()}
        />
        <button
          type="button"
          class="button primary"
          autoFocus
          onClick={() =>
            task.run(async () => {
              try {
                await navigator.clipboard.writeText(link);
                copied.value = true;
              } catch {
                // The browser won't let us: then the person copies what is selected.
                field.current?.focus();
              }
            })
          }
        >
          <Icon name={copied.value ? "sent" : "copy"} />
          {copied.value ? "Copied" : "Copy"}
        </button>
        <span class="visually-hidden" role="status">
          {copied.value && "Copied"}
        </span>
      </div>
    </>
  );
}

function OpenLinks({
  conversation,
  made,
}: {
  readonly conversation: ConversationSummary;
  readonly made: Signal<Invitation | undefined>;
}): JSX.Element {
  const messenger = useMessenger();
  const task = useTask();
  return (
    <div class="invite-open">
      <p>{counted(conversation.links, "link is open", "links are open")}.</p>
      <button
        type="button"
        class="text-button"
        disabled={task.running.value}
        onClick={() =>
          task.run(async () => {
            await messenger.revokeInvitations(conversation.id);
            made.value = undefined;
          })
        }
      >
        {conversation.links === 1 ? "Close the link" : "Close all links"}
      </button>
      <TaskError task={task} />
    </div>
  );
}
