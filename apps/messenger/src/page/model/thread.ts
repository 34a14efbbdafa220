/**
 * The messages of the conversation that is open: the newest page at first, older ones on demand,
 * new ones as they come.
 * @module
 */
import type { ClientErrorCode, ConversationId, Message } from "@conclave/client";
import { batch, computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Engine } from "./engine.ts";
import { errorCodeOf } from "./sentences.ts";

const PAGE = 50;

export interface Thread {
  readonly id: ConversationId;
  /** In the conversation's order; those that wait in the outbox last, as they were written. */
  readonly messages: ReadonlySignal<readonly Message[]>;
  /** Whether there is more above the first message. */
  readonly older: ReadonlySignal<"unknown" | "more" | "none">;
  /** Why the last page that was asked for didn't come. */
  readonly error: ReadonlySignal<ClientErrorCode | undefined>;
  /** Called with what others write while the thread is open. */
  onReceived(listener: (message: Message) => void): void;
  /** The newest page; a repeated call asks again. Never fails: see `error`. */
  load(): Promise<void>;
  /** The page above the first message, one at a time. Never fails either. */
  loadOlder(): Promise<void>;
  discard(messageId: string): Promise<void>;
  close(): void;
}

export function createThread(engine: Engine, id: ConversationId): Thread {
  const byId = signal<ReadonlyMap<string, Message>>(new Map());
  const older = signal<"unknown" | "more" | "none">("unknown");
  const error = signal<ClientErrorCode>();
  const messages = computed(() => [...byId.value.values()].toSorted(inOrder));
  let received: (message: Message) => void = () => {};
  let fetching: Promise<void> | undefined;

  const unsubscribe = engine.subscribe((event) => {
    if (event.type === "history") {
      // There may be messages between those that are shown.
      if (event.conversationId === id) void fetchPage({ anew: true });
      return;
    }
    const next = new Map(byId.value);
    if (event.type === "discarded") {
      // In this tab or another.
      if (next.delete(event.messageId)) byId.value = next;
      return;
    }
    if (event.type !== "messages") return;
    const first = firstSeq(byId.value.values());
    for (const message of event.messages) {
      if (message.conversationId !== id) continue;
      // A change to a message above the loaded part: it comes with its page.
      if (message.seq !== undefined && message.seq < first && older.value === "more") continue;
      const isNew = older.value !== "unknown" && !next.has(message.id);
      next.set(message.id, message);
      if (isNew && message.state === "received") received(message);
    }
    byId.value = next;
  });

  /** Adds a page; what an event brought meanwhile is newer than it. */
  const fetchPage = async ({
    before,
    anew = false,
  }: {
    readonly before?: number;
    /** What was shown goes, but for what is newer than the page. */
    readonly anew?: boolean;
  } = {}): Promise<void> => {
    try {
      const page = await engine.messages(
        id,
        before === undefined ? { limit: PAGE } : { before, limit: PAGE },
      );
      // Waiting messages come on top of the limit, and don't count.
      const placed = page.filter((m) => m.seq !== undefined);
      const last = placed.at(-1)?.seq ?? 0;
      const kept = [...byId.value].filter(
        ([, { seq }]) => !anew || seq === undefined || seq > last,
      );
      batch(() => {
        byId.value = new Map([...page.map((m) => [m.id, m] as const), ...kept]);
        older.value = placed.length < PAGE ? "none" : "more";
        error.value = undefined;
      });
    } catch (reason) {
      error.value = errorCodeOf(reason);
    }
  };

  return {
    id,
    messages,
    older,
    error,

    onReceived(listener) {
      received = listener;
    },

    load: () => fetchPage(),

    async loadOlder() {
      if (older.value !== "more") return;
      fetching ??= fetchPage({ before: firstSeq(byId.value.values()) });
      await fetching;
      fetching = undefined;
    },

    discard: (messageId) => engine.discardFailed(id, messageId),

    close: unsubscribe,
  };
}

function firstSeq(messages: Iterable<Message>): number {
  let first = Number.POSITIVE_INFINITY;
  for (const { seq } of messages) if (seq !== undefined && seq < first) first = seq;
  return first;
}

function inOrder(a: Message, b: Message): number {
  if (a.seq !== undefined && b.seq !== undefined) return a.seq - b.seq;
  if (a.seq === undefined && b.seq === undefined) return a.at - b.at;
  return a.seq === undefined ? 1 : -1;
}
