/**
 * The messages, newest at the bottom. Who is at the bottom stays there when more come; who reads
 * further up isn't moved.
 * @module
 */

import type { ConversationSummary } from "@conclave/client";
import { useComputed, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { dayOf } from "../../model/calendar.ts";
import { type ReadBy, readByOf } from "../../model/read-by.ts";
import { errorSentence } from "../../model/sentences.ts";
import type { Thread } from "../../model/thread.ts";
import { type TimelineItem, timelineOf } from "../../model/timeline.ts";
import { Icon } from "../controls/icon.tsx";
import { useMessenger } from "../messenger-context.ts";
import { MessageBubble, Notice } from "./message.tsx";

/** Pixels from an end that count as being there. */
const NEAR_BOTTOM = 48;
const NEAR_TOP = 300;

export function Timeline({
  thread,
  conversation,
}: {
  readonly thread: Thread;
  readonly conversation: ConversationSummary;
}): JSX.Element {
  const messenger = useMessenger();
  const { unread } = conversation;
  const readBy = readByOf(conversation, thread.messages.value);
  const items = useComputed(() => timelineOf(thread.messages.value)).value;
  const scroller = useRef<HTMLDivElement>(null);
  const atBottom = useSignal(true);
  const before = useRef({ firstKey: "", height: 0 });
  const firstKey = items[0]?.key ?? "";

  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    if (atBottom.value) {
      element.scrollTop = element.scrollHeight;
    } else if (firstKey !== before.current.firstKey) {
      element.scrollTop += element.scrollHeight - before.current.height;
    }
    before.current = { firstKey, height: element.scrollHeight };
  }, [items]);

  // The composer grows, a keyboard appears, the window is resized.
  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => {
      if (atBottom.value) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    const markIfSeen = (): void => {
      // If this fails it stays unread, and the next message or look tries again.
      if (atBottom.value && document.visibilityState === "visible") {
        messenger.markRead().catch(() => {});
      }
    };
    markIfSeen();
    document.addEventListener("visibilitychange", markIfSeen);
    return () => document.removeEventListener("visibilitychange", markIfSeen);
  }, [unread, atBottom.value]);

  const onScroll = (): void => {
    const element = scroller.current;
    if (element === null) return;
    const below = element.scrollHeight - element.scrollTop - element.clientHeight;
    atBottom.value = below < NEAR_BOTTOM;
    if (element.scrollTop < NEAR_TOP) void thread.loadOlder();
  };

  return (
    <div class="timeline-frame">
      <section
        ref={scroller}
        class="timeline"
        aria-label="Messages"
        tabIndex={0}
        onScroll={onScroll}
      >
        {thread.error.value !== undefined && (
          <p class="timeline-error" role="alert">
            {errorSentence(thread.error.value)}
          </p>
        )}
        <ol>
          {items.map((item) => (
            <Item
              key={item.key}
              item={item}
              thread={thread}
              read={readBy.get(item.key) ?? NOBODY}
            />
          ))}
        </ol>
      </section>
      {!atBottom.value && (
        <button
          type="button"
          class="timeline-newest"
          onClick={() => {
            scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
          }}
        >
          <Icon name="down" />
          {unread > 0 ? `${unread} new` : "Newest"}
        </button>
      )}
    </div>
  );
}

const NOBODY: ReadBy = [];

function Item({
  item,
  thread,
  read,
}: {
  readonly item: TimelineItem;
  readonly thread: Thread;
  readonly read: ReadBy;
}): JSX.Element {
  switch (item.type) {
    case "day":
      return (
        <li class="day">
          <h3>{dayOf(item.at, Date.now())}</h3>
        </li>
      );
    case "notice":
      return <Notice message={item.message} />;
    case "message":
      return <MessageBubble item={item} thread={thread} read={read} />;
  }
}
