/**
 * One message, or one notice of what happened to the group.
 * @module
 */
import type { Message } from "@conclave/client";
import type { JSX } from "preact";
import { timeOf } from "../../model/calendar.ts";
import { linkedText } from "../../model/linked-text.ts";
import type { ReadBy } from "../../model/read-by.ts";
import {
  failureSentence,
  messageStateSentence,
  noticeSentence,
  readBySentence,
} from "../../model/sentences.ts";
import type { Thread } from "../../model/thread.ts";
import type { TimelineItem } from "../../model/timeline.ts";
import { Avatar } from "../controls/avatar.tsx";
import { TaskError } from "../controls/form.tsx";
import { Icon } from "../controls/icon.tsx";
import { useTask } from "../controls/task.ts";
import { useMessenger } from "../messenger-context.ts";

export function MessageBubble({
  item: { message, text, first, last },
  thread,
  read,
}: {
  readonly item: Extract<TimelineItem, { readonly type: "message" }>;
  readonly thread: Thread;
  readonly read: ReadBy;
}): JSX.Element {
  const state = read === "all" ? "read" : message.state;
  const sides = ["message", message.own ? "message-own" : "message-other"];
  if (first) sides.push("message-first");
  if (last) sides.push("message-last");
  return (
    <li class={sides.join(" ")} data-state={state} data-message={message.id}>
      {!message.own && first && <Avatar id={message.accountId} name={message.senderName} />}
      <div class="bubble">
        <span class={first && !message.own ? "message-sender" : "visually-hidden"}>
          <bdi>{message.own ? "You" : message.senderName}</bdi>
        </span>
        <p class="message-text" dir="auto">
          {linkedText(text).map((part, i) =>
            part.href === undefined ? (
              part.text
            ) : (
              <a key={i} href={part.href} target="_blank" rel="noopener noreferrer">
                {part.text}
              </a>
            ),
          )}
        </p>
        <span class="message-meta">
          {message.restored === true && <Icon name="restored" label="From a copy" />}
          <time dateTime={new Date(message.at).toISOString()}>{timeOf(message.at)}</time>
          {state !== "received" && <Icon name={state} label={messageStateSentence(state)} />}
        </span>
      </div>
      {read !== "all" && read.length > 0 && (
        <p class="message-read" dir="auto">
          {readBySentence(read)}
        </p>
      )}
      {message.state === "failed" && <Failed message={message} thread={thread} />}
    </li>
  );
}

function Failed({
  message,
  thread,
}: {
  readonly message: Message;
  readonly thread: Thread;
}): JSX.Element {
  const task = useTask();
  return (
    <div class="message-failed">
      <p>Not sent. {failureSentence(message.failure)}</p>
      <button
        type="button"
        class="button small"
        disabled={task.running.value}
        onClick={() => task.run(() => thread.discard(message.id))}
      >
        Discard
      </button>
      <TaskError task={task} />
    </div>
  );
}

export function Notice({ message }: { readonly message: Message }): JSX.Element | null {
  const account = useMessenger().account.value;
  if (account === undefined || message.body.type === "text") return null;
  const unreadable = message.body.type === "unreadable";
  return (
    <li class={unreadable ? "notice notice-unreadable" : "notice"} data-message={message.id}>
      {unreadable && <Icon name="warning" />}
      {noticeSentence(message.body, message.senderName, account)}
      {message.restored === true && <Icon name="restored" label="From a copy" />}
      <time dateTime={new Date(message.at).toISOString()}>{timeOf(message.at)}</time>
    </li>
  );
}
