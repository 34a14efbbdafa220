/**
 * All conversations, and whose they are.
 * @module
 */
import type { ConversationSummary } from "@conclave/client";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { briefly } from "../../model/calendar.ts";
import { counted, previewSentence, type Self } from "../../model/sentences.ts";
import { Avatar } from "../controls/avatar.tsx";
import { Emblem, Icon } from "../controls/icon.tsx";
import { useMessenger } from "../messenger-context.ts";
import "./conversation-list.css";

export function ConversationList(): JSX.Element {
  const messenger = useMessenger();
  const account = messenger.account.value;
  const conversations = messenger.conversations.value;
  return (
    <nav class="list" aria-label="Conversations">
      <header class="list-header">
        <Emblem />
        <h1 class="wordmark">Conclave</h1>
        <button
          type="button"
          class="button small"
          onClick={() => messenger.show({ type: "new-conversation" })}
        >
          <Icon name="plus" />
          New<span class="visually-hidden"> conversation</span>
        </button>
      </header>
      {conversations.length === 0 ? (
        <div class="list-empty">{messenger.cameBack.value ? <ComingBack /> : <Nothing />}</div>
      ) : (
        <ul class="list-entries">
          {account !== undefined &&
            conversations.map((conversation) => (
              <Entry key={conversation.id} conversation={conversation} self={account} />
            ))}
        </ul>
      )}
      {account !== undefined && (
        <footer class="list-footer">
          <Avatar id={account.accountId} name={account.name} />
          <span class="list-self">
            <bdi>{account.name}</bdi>
            <span class={`presence presence-${messenger.connection.value}`}>
              {messenger.connection.value}
            </span>
          </span>
          <button
            type="button"
            class="icon-button"
            aria-label="Settings"
            onClick={() => messenger.show({ type: "settings" })}
          >
            <Icon name="settings" />
          </button>
        </footer>
      )}
    </nav>
  );
}

function Entry({
  conversation,
  self,
}: {
  readonly conversation: ConversationSummary;
  readonly self: Self;
}): JSX.Element {
  const messenger = useMessenger();
  const { id, title, lastMessage, unread, status, warnings } = conversation;
  const isOpen = messenger.place.value.conversation === id;
  const button = useRef<HTMLButtonElement>(null);
  const wasOpen = useRef(false);

  // Back from the conversation where only one of both is shown: the focus comes back as well.
  useEffect(() => {
    if (wasOpen.current && messenger.place.value.conversation === undefined) {
      button.current?.focus();
    }
    wasOpen.current = isOpen;
  }, [isOpen]);

  return (
    <li>
      <button
        ref={button}
        type="button"
        class={unread > 0 ? "entry entry-unread" : "entry"}
        aria-current={isOpen ? "page" : undefined}
        onClick={() => messenger.go({ conversation: id, members: false })}
      >
        <Avatar id={id} name={title} shape="square" />
        <span class="entry-title" dir="auto">
          {title}
        </span>
        {lastMessage !== undefined && (
          <span class="entry-time">{briefly(lastMessage.at, Date.now())}</span>
        )}
        <span class="entry-preview" dir="auto">
          {status === "joining" && "Joining…"}
          {status !== "joining" && lastMessage !== undefined && previewSentence(lastMessage, self)}
        </span>
        {(warnings.length > 0 || unread > 0) && (
          <span class="entry-marks">
            {warnings.length > 0 && (
              <Icon name="warning" label={counted(warnings.length, "warning", "warnings")} />
            )}
            {unread > 0 && (
              <span class="entry-count">
                {unread}
                <span class="visually-hidden"> unread</span>
              </span>
            )}
          </span>
        )}
      </button>
    </li>
  );
}

function Nothing(): JSX.Element {
  const messenger = useMessenger();
  return (
    <>
      <p>No conversations yet. Begin one and invite others, or open a link you were given.</p>
      <button
        type="button"
        class="button primary"
        onClick={() => messenger.show({ type: "new-conversation" })}
      >
        Begin a conversation
      </button>
    </>
  );
}

/** Of an account that was brought here: an empty list would look like a loss. */
function ComingBack(): JSX.Element {
  const messenger = useMessenger();
  return (
    <>
      <p>
        Your account is back. Each conversation follows as soon as one of its members is online; you
        needn't do anything.
      </p>
      <p>If you saved a copy of your messages, bring them here.</p>
      <button
        type="button"
        class="button"
        onClick={() => messenger.show({ type: "bring-messages" })}
      >
        Bring my messages here
      </button>
    </>
  );
}
