/**
 * An engine without keys, service or disk, that tells the page what a test wants told: so that
 * every state of the page can be reached in a moment. It is in no product bundle; what the real
 * engine does is tested with the real one in test/browser.
 * @module
 */
import type {
  AccountState,
  AskedContact,
  ClientErrorCode,
  ClientEvent,
  Connection,
  ContactBook,
  ContactRequest,
  ConversationId,
  ConversationSummary,
  Invitation,
  InvitationPreview,
  LongCall,
  Member,
  Message,
  MessageBody,
  SignalSettings,
  Warning,
} from "@conclave/client";
import type { Engine } from "../../../src/page/model/engine.ts";

export interface DemoState {
  readonly account: AccountState | undefined;
  readonly lost?: boolean;
  readonly requests?: readonly ContactRequest[];
  readonly asked?: readonly AskedContact[];
  readonly book?: ContactBook;
  readonly signalSettings?: SignalSettings;
  readonly conversations: readonly ConversationSummary[];
  readonly messages: readonly Message[];
  readonly warnings: readonly Warning[];
  readonly preview: InvitationPreview;
}

export interface DemoEngine extends Engine {
  /** The next call of this function fails with this code. */
  failNext(method: keyof Engine, code: ClientErrorCode): void;
  connect(connection: Connection): void;
  /** Somebody who was asked allows it. */
  allow(name: string): void;
  /** Somebody else wrote. */
  receive(id: ConversationId, from: Member, text: string): void;
  /** Who is writing. */
  type(id: ConversationId, ...who: readonly Member[]): void;
  warn(warning: Warning, id?: ConversationId): void;
  /** What takes long takes until what comes back is called. */
  hold(): () => void;
  /** Every call, in order, with its arguments. */
  readonly calls: readonly (readonly [keyof Engine, ...unknown[]])[];
}

export const PHRASE =
  "lantern orchard violet mosaic harbour ribbon amber cabin willow saddle copper meadow";

export function createDemoEngine(initial: DemoState): DemoEngine {
  let account = initial.account;
  let connection: Connection = "online";
  let serial = 1;
  const conversations = new Map(initial.conversations.map((c) => [c.id, c]));
  let messages = initial.messages;
  let requests = initial.requests ?? [];
  let asked = initial.asked ?? [];
  let book = initial.book ?? { rule: "default", unlessSet: "open", contacts: [] };
  const listeners = new Set<(event: ClientEvent) => void>();
  const failures = new Map<keyof Engine, ClientErrorCode>();
  const calls: (readonly [keyof Engine, ...unknown[]])[] = [];

  const tell = (event: ClientEvent): void => {
    for (const listener of listeners) listener(event);
  };
  const called = async (method: keyof Engine, ...args: unknown[]): Promise<void> => {
    calls.push([method, ...args]);
    const code = failures.get(method);
    failures.delete(method);
    if (code !== undefined) throw Object.assign(new Error(code), { code });
  };
  let signalSettings = initial.signalSettings ?? { typing: true, receipts: false };
  const tellAsked = (now: readonly AskedContact[]): void => {
    asked = now;
    tell({ type: "asked-contacts", asked });
  };
  const find = (id: ConversationId): ConversationSummary => {
    const conversation = conversations.get(id);
    if (conversation === undefined) {
      throw Object.assign(new Error(id), { code: "unknown-conversation" });
    }
    return conversation;
  };
  const change = (id: ConversationId, changes: Partial<ConversationSummary>): void => {
    const conversation = { ...find(id), ...changes };
    conversations.set(id, conversation);
    tell({ type: "conversation", conversation });
  };
  const place = (message: Message): void => {
    messages = [...messages.filter((m) => m.id !== message.id), message];
    tell({ type: "messages", messages: [message] });
    change(message.conversationId, {
      lastMessage: message,
      unread: find(message.conversationId).unread + (message.state === "received" ? 1 : 0),
    });
  };
  const lastSeq = (id: ConversationId): number =>
    Math.max(0, ...messages.filter((m) => m.conversationId === id).map((m) => m.seq ?? 0));
  const write = (id: ConversationId, body: MessageBody, own: boolean, from: Author): Message => ({
    id: (serial++).toString(16).padStart(8, "0"),
    conversationId: id,
    seq: lastSeq(id) + 1,
    accountId: from.accountId,
    senderName: from.name,
    own,
    // The scenes play in the afternoon, whenever one looks.
    at: Math.max(Date.now(), ...messages.map((m) => m.at + 1)),
    body,
    state: own ? "sent" : "received",
  });
  const self = (): AccountState => {
    if (account === undefined) throw Object.assign(new Error("none"), { code: "no-account" });
    return account;
  };
  const selfMember = (): Member => ({
    accountId: self().accountId,
    name: self().name,
    devices: 1,
    self: true,
    verified: false,
    readUpTo: 0,
  });

  /** Half done, and then for as long as the test holds it. */
  const underWay = async ({ signal, onProgress }: LongCall = {}): Promise<void> => {
    onProgress?.({ done: 1, total: 2 });
    const cancelled = Promise.withResolvers<never>();
    const cancel = (): void =>
      cancelled.reject(Object.assign(new Error("cancelled"), { code: "cancelled" }));
    signal?.addEventListener("abort", cancel);
    await Promise.race([held, cancelled.promise]);
  };
  let held: Promise<void> = Promise.resolve();

  return {
    calls,
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return resolve;
    },
    failNext: (method, code) => failures.set(method, code),
    connect(next) {
      connection = next;
      tell({ type: "connection", connection });
    },
    allow(name) {
      tellAsked(asked.map((one) => (one.name === name ? { ...one, allowed: true } : one)));
    },
    receive: (id, from, text) => place(write(id, { type: "text", text }, false, from)),
    type: (conversationId, ...who) =>
      tell({ type: "typing", conversationId, accountIds: who.map(({ accountId }) => accountId) }),
    warn(warning, id) {
      if (id === undefined) tell({ type: "warning", warning });
      else change(id, { warnings: [...find(id).warnings, warning] });
    },

    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async snapshot() {
      await called("snapshot");
      return {
        account,
        lost: initial.lost === true,
        connection,
        conversations: [...conversations.values()],
        warnings: initial.warnings,
        asked,
        signalSettings,
      };
    },
    async messages(id, page) {
      await called("messages", id, page);
      const all = messages.filter((m) => m.conversationId === id);
      const placed = all.filter((m) => m.seq !== undefined && m.seq < (page.before ?? Infinity));
      const waiting = page.before === undefined ? all.filter((m) => m.seq === undefined) : [];
      return [...placed.slice(-page.limit), ...waiting];
    },
    async signUp(...given) {
      await called("signUp", ...given);
      const [name] = given;
      account = { accountId: "0a11ce00", name, recoveryPhrasePending: true };
      tell({ type: "account", account });
      return { recoveryPhrase: PHRASE };
    },
    async confirmRecoveryPhrase() {
      await called("confirmRecoveryPhrase");
      account = { ...self(), recoveryPhrasePending: false };
      tell({ type: "account", account });
    },
    async recover(phrase) {
      await called("recover", phrase);
      account = { accountId: "0a11ce00", name: "Alma Reyes", recoveryPhrasePending: false };
      tell({ type: "account", account });
    },
    async takeOver() {
      await called("takeOver");
      connection = "online";
      tell({ type: "connection", connection });
    },
    async createConversation(title) {
      await called("createConversation", title);
      const id = (serial++).toString(16).padStart(8, "c");
      conversations.set(id, {
        id,
        title,
        status: "active",
        members: [selfMember()],
        unread: 0,
        warnings: [],
        links: 0,
        readByAll: 0,
      });
      const { accountId, name } = self();
      place(
        write(id, { type: "membership", change: "created", accountId, name }, true, {
          accountId,
          name,
        }),
      );
      return id;
    },
    async sendText(id, text, messageKey) {
      await called("sendText", id, text, messageKey);
      const message = write(id, { type: "text", text }, true, self());
      if (connection === "online") {
        place(message);
      } else {
        const { seq: _, ...unplaced } = message;
        place({ ...unplaced, state: "waiting" });
      }
    },
    async discardFailed(id, messageId) {
      await called("discardFailed", id, messageId);
      messages = messages.filter((m) => m.id !== messageId);
      tell({ type: "discarded", conversationId: id, messageId });
    },
    async markRead(id) {
      await called("markRead", id);
      change(id, { unread: 0 });
    },
    async tellTyping(id) {
      await called("tellTyping", id);
    },
    async askReaders(id) {
      await called("askReaders", id);
    },
    async setSignalSettings(settings) {
      await called("setSignalSettings", settings);
      signalSettings = settings;
      tell({ type: "signal-settings", settings });
    },
    async createInvitation(id, terms): Promise<Invitation> {
      await called("createInvitation", id, terms);
      change(id, { links: find(id).links + 1 });
      return {
        fragment: "AX3b".repeat(22),
        expiresAt: Date.now() + terms.expiresInSeconds * 1_000,
        maxUses: terms.maxUses,
      };
    },
    async revokeInvitations(id) {
      await called("revokeInvitations", id);
      change(id, { links: 0 });
    },
    async previewInvitation(fragment) {
      await called("previewInvitation", fragment);
      return initial.preview;
    },
    async acceptInvitation(fragment) {
      await called("acceptInvitation", fragment);
      const id = "000000fe";
      conversations.set(id, {
        id,
        title: initial.preview.title,
        status: "active",
        members: [selfMember()],
        unread: 0,
        warnings: [],
        links: 0,
        readByAll: 0,
      });
      const { accountId, name } = self();
      place(write(id, { type: "membership", change: "joined", accountId, name }, true, self()));
      return id;
    },
    async addByName(id, name) {
      await called("addByName", id, name);
      const member = {
        accountId: "add0",
        name,
        devices: 1,
        self: false,
        verified: false,
        readUpTo: 0,
      };
      change(id, { members: [...find(id).members, member] });
      tellAsked(asked.filter((one) => one.name !== name));
    },
    async askContact(name) {
      await called("askContact", name);
      tellAsked([...asked, { name, at: Date.now(), allowed: false }]);
    },
    async withdrawContact(name) {
      await called("withdrawContact", name);
      tellAsked(asked.filter((one) => one.name !== name));
    },
    async contactRequests() {
      await called("contactRequests");
      return requests;
    },
    async answerContact(accountId, answer) {
      await called("answerContact", accountId, answer);
      requests = requests.filter((request) => request.accountId !== accountId);
      tell({ type: "contact-requests", requests });
      book = {
        ...book,
        contacts: book.contacts.map((one) =>
          one.accountId === accountId ? { ...one, answer } : one,
        ),
      };
    },
    async forgetContact(accountId) {
      await called("forgetContact", accountId);
      book = { ...book, contacts: book.contacts.filter((one) => one.accountId !== accountId) };
    },
    async contacts() {
      await called("contacts");
      return book;
    },
    async setContactRule(rule) {
      await called("setContactRule", rule);
      book = { ...book, rule };
    },
    async removeMember(id, accountId) {
      await called("removeMember", id, accountId);
      change(id, { members: find(id).members.filter((m) => m.accountId !== accountId) });
    },
    async leave(id) {
      await called("leave", id);
      change(id, { status: "left" });
    },
    async safetyNumber(accountId) {
      await called("safetyNumber", accountId);
      return "30571 90226 41873 55012 76394 18840 62175 09358 44716 83021 57690 21438";
    },
    async setVerified(accountId, verified) {
      await called("setVerified", accountId, verified);
      for (const { id, members } of conversations.values()) {
        change(id, {
          members: members.map((m) => (m.accountId === accountId ? { ...m, verified } : m)),
        });
      }
    },
    async dismissWarnings(id) {
      await called("dismissWarnings", id);
      if (id !== undefined) change(id, { warnings: [] });
    },
    async saveBackup(phrase, options) {
      await called("saveBackup", phrase);
      await underWay(options);
      return new Blob(["a copy"]);
    },
    async restoreBackup(file, phrase, { older = false, ...options } = {}) {
      await called("restoreBackup", file, phrase, { older });
      await underWay(options);
      for (const id of conversations.keys()) tell({ type: "history", conversationId: id });
      return { savedAt: Date.UTC(2026, 4, 3, 12), conversations: 5, messages: 1204, added: 1204 };
    },
  };
}

interface Author {
  readonly accountId: string;
  readonly name: string;
}
