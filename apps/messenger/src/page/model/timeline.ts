/**
 * Messages as they stand on the page: under their day, and joined to a run with the sender's
 * others.
 * @module
 */
import type { Message } from "@conclave/client";

export type TimelineItem =
  | { readonly type: "day"; readonly key: string; readonly at: number }
  /** Membership changes, and what couldn't be read. */
  | { readonly type: "notice"; readonly key: string; readonly message: Message }
  | {
      readonly type: "message";
      readonly key: string;
      readonly message: Message;
      readonly text: string;
      /** First and last of a run: the first shows the sender, the last the time. */
      readonly first: boolean;
      readonly last: boolean;
    };

/** Milliseconds within which a sender's messages belong together. */
const RUN = 5 * 60_000;

export function timelineOf(messages: readonly Message[]): readonly TimelineItem[] {
  const items: TimelineItem[] = [];
  messages.forEach((message, i) => {
    const previous = messages[i - 1];
    const next = messages[i + 1];
    if (previous === undefined || !isSameDay(previous, message)) {
      items.push({ type: "day", key: `day-${message.id}`, at: message.at });
    }
    if (message.body.type === "text") {
      items.push({
        type: "message",
        key: message.id,
        message,
        text: message.body.text,
        first: !isSameRun(previous, message),
        last: !isSameRun(message, next),
      });
    } else {
      items.push({ type: "notice", key: message.id, message });
    }
  });
  return items;
}

function isSameRun(a: Message | undefined, b: Message | undefined): boolean {
  return (
    a !== undefined &&
    b !== undefined &&
    a.body.type === "text" &&
    b.body.type === "text" &&
    a.accountId === b.accountId &&
    b.at - a.at < RUN &&
    isSameDay(a, b)
  );
}

function isSameDay(a: Message, b: Message): boolean {
  return new Date(a.at).toDateString() === new Date(b.at).toDateString();
}
