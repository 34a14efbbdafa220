/**
 * Who is in the conversation, and what can be done about it.
 * @module
 */
import type { ConversationSummary, Member } from "@conclave/client";
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { counted } from "../../model/sentences.ts";
import { Asked } from "../contacts/asked.tsx";
import { Avatar } from "../controls/avatar.tsx";
import { useFocusAtFirst } from "../controls/focus.ts";
import { Form, TaskError, TextField } from "../controls/form.tsx";
import { Icon } from "../controls/icon.tsx";
import { useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";
import "./members.css";

export function Members({
  conversation,
}: {
  readonly conversation: ConversationSummary;
}): JSX.Element {
  const messenger = useMessenger();
  const { id, members, status } = conversation;
  const heading = useFocusAtFirst<HTMLHeadingElement>();
  useEffect(() => {
    // Without the service's word, nobody is shown as blocked who wasn't just now.
    messenger.contacts().catch(() => {});
  }, []);
  return (
    <aside class="members" aria-label="Members">
      <header class="members-header">
        <h2 tabIndex={-1} ref={heading}>
          {counted(members.length, "member", "members")}
        </h2>
        <button
          type="button"
          class="icon-button"
          aria-label="Close the members"
          onClick={() => messenger.up()}
        >
          <Icon name="close" />
        </button>
      </header>
      <ul class="members-list">
        {members.map((member) => (
          <MemberEntry key={member.accountId} member={member} conversation={conversation} />
        ))}
      </ul>
      {status === "active" && (
        <div class="members-more">
          <AddByName conversation={conversation} />
          <button
            type="button"
            class="button wide"
            onClick={() => messenger.show({ type: "invite", conversation: id })}
          >
            <Icon name="link" />
            Invite by a link
          </button>
          <button
            type="button"
            class="button wide quiet-danger"
            onClick={() => messenger.show({ type: "leave", conversation: id })}
          >
            Leave the conversation
          </button>
        </div>
      )}
    </aside>
  );
}

function MemberEntry({
  member,
  conversation,
}: {
  readonly member: Member;
  readonly conversation: ConversationSummary;
}): JSX.Element {
  const messenger = useMessenger();
  const { accountId, name, devices, self, verified } = member;
  const about = { conversation: conversation.id, accountId } as const;
  const blocked = messenger.blocked.value.has(accountId);
  const unblocking = useTask();
  return (
    <li class="member">
      <Avatar id={accountId} name={name} />
      <div class="member-name">
        <bdi>{name}</bdi>
        {self && <span class="tag">You</span>}
        {verified && (
          <span class="tag tag-verified">
            <Icon name="verified" />
            Verified
          </span>
        )}
        {blocked && <span class="tag">Blocked</span>}
      </div>
      {!self && (
        <div class="member-actions">
          {devices > 1 && <span>{counted(devices, "device", "devices")}</span>}
          <button
            type="button"
            class="text-button"
            onClick={() => messenger.show({ type: "safety-number", ...about })}
          >
            Safety number<span class="visually-hidden"> of {name}</span>
          </button>
          {conversation.status === "active" && (
            <button
              type="button"
              class="text-button"
              onClick={() => messenger.show({ type: "remove", ...about })}
            >
              Remove<span class="visually-hidden"> {name}</span>
            </button>
          )}
          <button
            type="button"
            class="text-button"
            disabled={unblocking.running.value}
            onClick={() => {
              if (blocked) unblocking.run(() => messenger.forgetContact(accountId));
              else messenger.show({ type: "block", ...about });
            }}
          >
            {blocked ? "Unblock" : "Block"}
            <span class="visually-hidden"> {name}</span>
          </button>
          <TaskError task={unblocking} />
        </div>
      )}
    </li>
  );
}

function AddByName({ conversation }: { readonly conversation: ConversationSummary }): JSX.Element {
  const messenger = useMessenger();
  const name = useSignal("");
  /** Whom there was no way to. */
  const missed = useSignal<string>();
  const field = useRef<HTMLDivElement>(null);
  const task = useTask();
  return (
    <>
      <Form
        task={task}
        onSubmit={async () => {
          const wanted = name.value.trim();
          missed.value = wanted;
          await messenger.addByName(conversation.id, wanted);
          name.value = "";
        }}
      >
        <div class="members-add" ref={field}>
          <TextField
            label="Add by name"
            value={name.value}
            maxLength={48}
            onInput={(value) => {
              name.value = value;
            }}
          />
          <button type="submit" class="button" disabled={task.running.value}>
            {task.running.value ? "Adding…" : "Add"}
          </button>
        </div>
      </Form>
      {task.code.value === "name-unknown" && missed.value === name.value.trim() && (
        <Ask
          name={missed.value}
          onAsked={() => {
            task.forget();
            name.value = "";
            field.current?.querySelector("input")?.focus();
          }}
        />
      )}
      <Asked onAdd={(wanted) => messenger.addByName(conversation.id, wanted)} />
    </>
  );
}

/** The service doesn't say whether there is such a person: whoever wants to be asked is asked without knowing. */
function Ask({
  name,
  onAsked,
}: {
  readonly name: string;
  readonly onAsked: () => void;
}): JSX.Element {
  const messenger = useMessenger();
  const task = useTask();
  return (
    <section class="members-ask" aria-label={`Ask ${name}`}>
      <p>
        You can ask. If somebody has this name, they see yours,{" "}
        <strong>
          <bdi>{messenger.account.value?.name}</bdi>
        </strong>
        , and that you want to add them to conversations; nothing of this conversation. You are told
        if they allow it, and not if they don't.
      </p>
      <button
        type="button"
        class="button small"
        disabled={task.running.value}
        onClick={() =>
          task.run(async () => {
            await messenger.askContact(name);
            onAsked();
          })
        }
      >
        <span>
          Ask <bdi>{name}</bdi>
        </span>
      </button>
      <TaskError task={task} />
    </section>
  );
}
