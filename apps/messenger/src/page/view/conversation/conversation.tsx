/**
 * The open conversation: what it is called, what needs to be known about it, what was written,
 * and where to write.
 * @module
 */
import type { ConversationId, ConversationSummary } from "@conclave/client";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { counted } from "../../model/sentences.ts";
import type { Thread } from "../../model/thread.ts";
import { Icon } from "../controls/icon.tsx";
import { useMessenger } from "../messenger-context.ts";
import { Warnings } from "../warnings/warnings.tsx";
import { Composer } from "./composer.tsx";
import { Timeline } from "./timeline.tsx";
import "./conversation.css";

export function Conversation({
  conversation,
  thread,
}: {
  readonly conversation: ConversationSummary;
  readonly thread: Thread;
}): JSX.Element {
  const messenger = useMessenger();
  const { id, title, status, members, warnings, restored = false } = conversation;
  const membersOpen = messenger.place.value.members;
  const heading = useRef<HTMLHeadingElement>(null);

  // Where a keyboard covers half of the screen, the person decides when to write.
  useEffect(() => {
    if (matchMedia("(pointer: coarse)").matches) heading.current?.focus();
  }, []);

  return (
    <main class="conversation">
      <header class="conversation-header">
        <button
          type="button"
          class="icon-button conversation-back"
          aria-label="Back to the conversations"
          onClick={() => messenger.up()}
        >
          <Icon name="back" />
        </button>
        <div class="conversation-name">
          <h2 dir="auto" tabIndex={-1} ref={heading}>
            {title}
          </h2>
          <p>
            <Icon name="lock" />
            {status === "left"
              ? restored
                ? "From a copy"
                : "No longer a member"
              : counted(members.length, "member", "members")}
          </p>
        </div>
        {status === "active" && (
          <button
            type="button"
            class="button small"
            onClick={() => messenger.show({ type: "invite", conversation: id })}
          >
            <Icon name="link" />
            Invite
          </button>
        )}
        {members.length > 0 && (
          <button
            type="button"
            class="icon-button"
            aria-label="Members"
            aria-expanded={membersOpen}
            onClick={() =>
              membersOpen ? messenger.up() : messenger.go({ conversation: id, members: true })
            }
          >
            <Icon name="people" />
          </button>
        )}
      </header>
      <Warnings warnings={warnings} onDismiss={() => messenger.dismissConversationWarnings(id)} />
      <Timeline thread={thread} conversation={conversation} />
      {status === "active" && members.length === 1 && <Alone id={id} />}
      {status === "active" && (
        <>
          <p class="typing" aria-hidden="true" dir="auto">
            {messenger.typing.value}
          </p>
          <Composer draft={messenger.draft(id)} />
        </>
      )}
      {status === "joining" && <p class="conversation-closed">Joining…</p>}
      {status === "left" && (
        <p class="conversation-closed">
          {restored
            ? "This comes from your copy. If you are still in this conversation, its members let this device in when one of them is online."
            : "You are no longer in this conversation. What you received stays readable here."}
        </p>
      )}
    </main>
  );
}

/** What is written now nobody will ever read but who writes it: who comes later reads nothing of it. */
function Alone({ id }: { readonly id: ConversationId }): JSX.Element {
  const messenger = useMessenger();
  return (
    <section class="alone" aria-label="Nobody else is here">
      <p>Only you are here. Who comes later can't read what was written before.</p>
      <div class="alone-ways">
        <button
          type="button"
          class="button small"
          onClick={() => messenger.show({ type: "invite", conversation: id })}
        >
          <Icon name="link" />
          Invite by a link
        </button>
        <button
          type="button"
          class="button small"
          onClick={() => messenger.go({ conversation: id, members: true })}
        >
          <Icon name="people" />
          Add by name
        </button>
      </div>
    </section>
  );
}
