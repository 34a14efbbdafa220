/**
 * The account as the engine tells it: its snapshot, kept up to date by its events.
 * @module
 */
import type {
  AccountId,
  AccountState,
  AskedContact,
  ClientEvent,
  Connection,
  ContactRequest,
  ConversationId,
  ConversationSummary,
  SignalSettings,
  Warning,
} from "@conclave/client";
import { batch, computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Engine } from "./engine.ts";

export interface Replica {
  readonly account: ReadonlySignal<AccountState | undefined>;
  /** What the account needs is gone from the storage. */
  readonly lost: ReadonlySignal<boolean>;
  readonly connection: ReadonlySignal<Connection>;
  /** The one with the newest message first. */
  readonly conversations: ReadonlySignal<readonly ConversationSummary[]>;
  /** Those that belong to no conversation. */
  readonly warnings: ReadonlySignal<readonly Warning[]>;
  /** Who asks to reach this account, and waits for an answer. */
  readonly contactRequests: ReadonlySignal<readonly ContactRequest[]>;
  /** Whom this account asked, and who has not been added since. */
  readonly asked: ReadonlySignal<readonly AskedContact[]>;
  /** Who is writing, by conversation. */
  readonly typing: ReadonlySignal<ReadonlyMap<ConversationId, readonly AccountId[]>>;
  readonly signalSettings: ReadonlySignal<SignalSettings>;
  /** Unread messages of all conversations. */
  readonly unread: ReadonlySignal<number>;
  /** Fails with what `Engine.snapshot` fails with; until it is done the signals are empty. */
  readonly load: () => Promise<void>;
  readonly dismissWarnings: () => Promise<void>;
}

export function createReplica(engine: Engine): Replica {
  const account = signal<AccountState>();
  const lost = signal(false);
  const connection = signal<Connection>("connecting");
  const byId = signal<ReadonlyMap<ConversationId, ConversationSummary>>(new Map());
  const contactRequests = signal<readonly ContactRequest[]>([]);
  const asked = signal<readonly AskedContact[]>([]);
  const typing = signal<ReadonlyMap<ConversationId, readonly AccountId[]>>(new Map());
  const signalSettings = signal<SignalSettings>({ typing: false, receipts: false });
  const warnings = signal<readonly Warning[]>([]);

  const apply = (event: ClientEvent): void => {
    switch (event.type) {
      case "account":
        lost.value = event.lost === true;
        account.value = event.account;
        return;
      case "connection":
        connection.value = event.connection;
        return;
      case "conversation":
        byId.value = new Map(byId.value).set(event.conversation.id, event.conversation);
        return;
      case "warning":
        warnings.value = [...warnings.value, event.warning];
        return;
      case "contact-requests":
        contactRequests.value = event.requests;
        return;
      case "typing":
        typing.value = new Map(typing.value).set(event.conversationId, event.accountIds);
        return;
      case "signal-settings":
        signalSettings.value = event.settings;
        return;
      case "asked-contacts":
        asked.value = event.asked;
        return;
      case "messages":
      case "history":
      case "discarded":
        return;
    }
  };

  return {
    account,
    lost,
    connection,
    conversations: computed(() => [...byId.value.values()].toSorted(newestFirst)),
    warnings,
    contactRequests,
    asked,
    typing,
    signalSettings,
    unread: computed(() => [...byId.value.values()].reduce((sum, { unread }) => sum + unread, 0)),

    async load() {
      // An event that overtakes the snapshot is newer than it, or repeats it: applied after it, it is right.
      const early: ClientEvent[] = [];
      let loaded = false;
      engine.subscribe((event) => {
        if (loaded) apply(event);
        else early.push(event);
      });
      const snapshot = await engine.snapshot();
      // Told by an event with each connection; this tab may have come later.
      if (snapshot.account !== undefined) {
        engine.contactRequests().then(
          (requests) => {
            contactRequests.value = requests;
          },
          // Without a connection they come with the next one.
          () => {},
        );
      }
      batch(() => {
        lost.value = snapshot.lost === true;
        account.value = snapshot.account;
        connection.value = snapshot.connection;
        byId.value = new Map(snapshot.conversations.map((c) => [c.id, c]));
        warnings.value = snapshot.warnings;
        asked.value = snapshot.asked;
        signalSettings.value = snapshot.signalSettings;
        loaded = true;
        for (const event of early) apply(event);
      });
    },

    async dismissWarnings() {
      await engine.dismissWarnings(undefined);
      warnings.value = [];
    },
  };
}

/** One without a message is being made or joined at this moment: it stands above the others. */
function newestFirst(a: ConversationSummary, b: ConversationSummary): number {
  const [atA, atB] = [a, b].map((c) => c.lastMessage?.at ?? Number.MAX_SAFE_INTEGER);
  return (atB ?? 0) - (atA ?? 0);
}
