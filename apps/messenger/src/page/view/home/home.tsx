/**
 * The list of conversations, the one that is open, and its members: side by side where there is
 * room, else one at a time.
 * @module
 */
import type { AskedContact, ContactAnswer, ContactRequest } from "@conclave/client";
import type { JSX } from "preact";
import { connectionSentence } from "../../model/sentences.ts";
import { BringMessages, SaveCopy } from "../backup/backup.tsx";
import { Confirmation } from "../confirm/confirmation.tsx";
import { useFocusKept } from "../controls/focus.ts";
import { TaskError } from "../controls/form.tsx";
import { Emblem, Icon } from "../controls/icon.tsx";
import { useTask } from "../controls/task.ts";
import { Conversation } from "../conversation/conversation.tsx";
import { ConversationList } from "../conversation-list/conversation-list.tsx";
import { Invite } from "../invite/invite.tsx";
import { Members } from "../members/members.tsx";
import { useMessenger } from "../messenger-context.ts";
import { NewConversation } from "../new-conversation/new-conversation.tsx";
import { WITHOUT_PHRASE } from "../recovery-phrase/recovery-phrase.tsx";
import { SafetyNumber } from "../safety-number/safety-number.tsx";
import { Settings } from "../settings/settings.tsx";
import { Warnings } from "../warnings/warnings.tsx";
import "./home.css";

export function Home(): JSX.Element {
  const messenger = useMessenger();
  const conversation = messenger.conversation.value;
  const thread = messenger.thread.value;
  const ref = useFocusKept<HTMLDivElement>();
  // One who was removed doesn't learn any more who is in.
  const showsMembers =
    conversation !== undefined && conversation.members.length > 0 && messenger.place.value.members;
  const depth = conversation === undefined ? "list" : showsMembers ? "members" : "conversation";
  return (
    <div class={`home home-${depth}`} ref={ref}>
      <Banners />
      <div class="columns">
        <ConversationList />
        {conversation !== undefined && thread !== undefined ? (
          <Conversation key={conversation.id} conversation={conversation} thread={thread} />
        ) : (
          <Nothing />
        )}
        {showsMembers && <Members key={conversation.id} conversation={conversation} />}
      </div>
      <TopOverlay />
      <p class="visually-hidden" role="log" aria-live="polite">
        {messenger.announcement.value}
      </p>
      <p class="visually-hidden" role="status">
        {messenger.typingAnnouncement.value}
      </p>
    </div>
  );
}

function Banners(): JSX.Element {
  const messenger = useMessenger();
  const connection = messenger.connection.value;
  return (
    <div class="banners">
      <div class="banner-always" role="status">
        {(connection === "offline" || connection === "disabled" || connection === "deleted") && (
          <div class="banner">
            <Icon name={connection === "offline" ? "waiting" : "warning"} />
            <p>{connectionSentence(connection)}</p>
          </div>
        )}
      </div>
      {messenger.account.value?.recoveryPhrasePending === true && <PhrasePending />}
      {messenger.contactRequests.value.map((request) => (
        <Asking key={request.accountId} request={request} />
      ))}
      {messenger.asked.value
        .filter(({ allowed }) => allowed)
        .map((asked) => (
          <Allowed key={asked.name} asked={asked} />
        ))}
      <Warnings warnings={messenger.warnings.value} onDismiss={() => messenger.dismissWarnings()} />
    </div>
  );
}

/** Somebody asks to be let. No word of theirs comes with it, so that nobody is written to this way. */
function Asking({ request }: { readonly request: ContactRequest }): JSX.Element {
  const messenger = useMessenger();
  const task = useTask();
  const answer = (what: ContactAnswer): void =>
    task.run(() => messenger.answerContact(request.accountId, what));
  return (
    <section class="banner" aria-label={`A request by ${request.name}`}>
      <Icon name="people" />
      <p>
        <bdi>{request.name}</bdi> asks to add you to conversations.
        <TaskError task={task} />
      </p>
      <button type="button" class="button small" onClick={() => answer("allowed")}>
        Allow
      </button>
      <button type="button" class="button small" onClick={() => answer("refused")}>
        Not now
      </button>
      <button type="button" class="button small" onClick={() => answer("blocked")}>
        Block
      </button>
    </section>
  );
}

/** Somebody who was asked allows it. Where a conversation is open that they are not in, it is what they were asked for, most likely. */
function Allowed({ asked: { name } }: { readonly asked: AskedContact }): JSX.Element {
  const messenger = useMessenger();
  const task = useTask();
  const open = messenger.conversation.value;
  const into =
    open?.status === "active" && open.members.every((member) => member.name !== name)
      ? open
      : undefined;
  return (
    <section class="banner" aria-label={`An answer by ${name}`}>
      <Icon name="people" />
      <p>
        <bdi>{name}</bdi> lets you add them to conversations.
        <TaskError task={task} />
      </p>
      {into !== undefined && (
        <button
          type="button"
          class="button small"
          disabled={task.running.value}
          onClick={() => task.run(() => messenger.addByName(into.id, name))}
        >
          <span>
            Add to <bdi>{into.title}</bdi>
          </span>
        </button>
      )}
      <button
        type="button"
        class="button small"
        disabled={task.running.value}
        onClick={() => task.run(() => messenger.withdrawContact(name))}
      >
        Understood
      </button>
    </section>
  );
}

/** The page was left between sign-up and the confirmation. */
function PhrasePending(): JSX.Element {
  const messenger = useMessenger();
  const task = useTask();
  return (
    <div class="banner">
      <Icon name="warning" />
      <p>
        Did you write your recovery phrase down? It can't be shown again.
        <TaskError task={task} />
      </p>
      <button
        type="button"
        class="button small"
        onClick={() => task.run(() => messenger.confirmRecoveryPhrase())}
      >
        I have it
      </button>
      <button
        type="button"
        class="button small"
        onClick={() => messenger.show({ type: "without-phrase" })}
      >
        I don't
      </button>
    </div>
  );
}

function Nothing(): JSX.Element {
  return (
    <main class="nothing">
      <Emblem />
      <p>Choose a conversation, or begin a new one.</p>
    </main>
  );
}

function TopOverlay(): JSX.Element | null {
  const messenger = useMessenger();
  const overlay = messenger.overlay.value;
  if (overlay === undefined) return null;
  if (overlay.type === "new-conversation") return <NewConversation />;
  if (overlay.type === "settings") return <Settings />;
  if (overlay.type === "save-copy") return <SaveCopy />;
  if (overlay.type === "bring-messages") return <BringMessages />;
  if (overlay.type === "begin-as") return null;
  if (overlay.type === "without-phrase") {
    return (
      <Confirmation
        title="Go on without a recovery phrase?"
        text={`${WITHOUT_PHRASE} If that is too much of a risk, begin a new account in another browser, write its words down, and let yourself be invited again.`}
        action="Go on without"
        onConfirm={() => messenger.confirmRecoveryPhrase()}
      />
    );
  }
  const conversation = messenger.conversations.value.find((c) => c.id === overlay.conversation);
  if (conversation === undefined) return null;
  switch (overlay.type) {
    case "invite":
      return <Invite conversation={conversation} />;
    case "leave":
      return (
        <Confirmation
          title="Leave this conversation?"
          text="You won't receive what is written from then on. What you have received stays readable on this device."
          action="Leave"
          onConfirm={() => messenger.leave(conversation.id)}
        />
      );
    case "block":
    case "remove":
    case "safety-number": {
      const member = conversation.members.find((m) => m.accountId === overlay.accountId);
      if (member === undefined) return null;
      if (overlay.type === "safety-number") return <SafetyNumber member={member} />;
      if (overlay.type === "block") {
        return (
          <Confirmation
            title={`Block ${member.name}?`}
            text={`${member.name} isn't told, and can't add you to conversations any more, nor ask to. In conversations that you share already, you both stay. You can unblock them here or in the settings.`}
            action="Block"
            onConfirm={() => messenger.answerContact(member.accountId, "blocked")}
          />
        );
      }
      return (
        <Confirmation
          title={`Remove ${member.name}?`}
          text={`${member.name} won't be able to read what is written from then on. What was written before can't be taken back. Open invitation links are closed.`}
          action="Remove"
          onConfirm={() => messenger.removeMember(conversation.id, member.accountId)}
        />
      );
    }
  }
}
