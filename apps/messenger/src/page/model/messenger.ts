/**
 * The page's state, and what a person can do in it. No DOM: the views read the signals and call
 * the functions. All functions that ask the engine fail with its `ClientError`.
 * @module
 */
import type {
  AccountId,
  ClientErrorCode,
  ContactAnswer,
  ContactBook,
  ContactRule,
  ConversationId,
  ConversationSummary,
  Invitation,
  InvitationPreview,
  LongCall,
  RestoredBackup,
  SignalSettings,
} from "@conclave/client";
import { batch, computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import { createDraft, type Draft } from "./draft.ts";
import type { Engine } from "./engine.ts";
import { wordsOf } from "./phrase.ts";
import type { Navigation } from "./place.ts";
import { createReplica, type Replica } from "./replica.ts";
import { errorCodeOf, typingSentence } from "./sentences.ts";
import { createThread, type Thread } from "./thread.ts";

/** What lies over the page until it is answered. */
type Overlay =
  | { readonly type: "begin-as"; readonly name: string }
  | { readonly type: "without-phrase" }
  | { readonly type: "new-conversation" }
  | { readonly type: "settings" }
  | { readonly type: "save-copy" }
  | { readonly type: "bring-messages" }
  | { readonly type: "invite"; readonly conversation: ConversationId }
  | {
      readonly type: "remove";
      readonly conversation: ConversationId;
      readonly accountId: AccountId;
    }
  | { readonly type: "leave"; readonly conversation: ConversationId }
  | {
      readonly type: "block";
      readonly conversation: ConversationId;
      readonly accountId: AccountId;
    }
  | {
      readonly type: "safety-number";
      readonly conversation: ConversationId;
      readonly accountId: AccountId;
    };

type Screen =
  | "starting"
  | "failed"
  | "elsewhere"
  | "outdated"
  | "recover"
  | "sign-up"
  | "recovery-phrase"
  | "join"
  | "home";

export interface Messenger extends Omit<Replica, "load" | "typing">, Omit<Navigation, "popped"> {
  readonly screen: ReadonlySignal<Screen>;
  /** Why the engine didn't start. */
  readonly failure: ReadonlySignal<ClientErrorCode | undefined>;
  /** There was an account, whose name is known perhaps, and what the browser kept of it is gone. */
  readonly loss: ReadonlySignal<{ readonly name: string | undefined } | undefined>;
  /** The account came back here just now: its conversations follow, one by one. */
  readonly cameBack: ReadonlySignal<boolean>;
  /** Known from sign-up until it is written down or the page is left, then nowhere. */
  readonly recoveryPhrase: ReadonlySignal<string | undefined>;
  /** The secret part of the link that was opened. In memory alone. */
  readonly invitation: ReadonlySignal<string | undefined>;
  /** The invite code of the link that was opened, or of the service's asking: empty until it is entered. */
  readonly inviteCode: ReadonlySignal<string | undefined>;
  readonly conversation: ReadonlySignal<ConversationSummary | undefined>;
  readonly thread: ReadonlySignal<Thread | undefined>;
  readonly overlay: ReadonlySignal<Overlay | undefined>;
  /** Who can't reach one any more, as far as it is known here. */
  readonly blocked: ReadonlySignal<ReadonlySet<AccountId>>;
  /** For those who listen: what was just received in the open conversation. */
  readonly announcement: ReadonlySignal<string>;
  /** Who is writing in the open conversation; empty where nobody is. */
  readonly typing: ReadonlySignal<string>;
  /** The same for those who listen, who are told now and then that somebody begins. */
  readonly typingAnnouncement: ReadonlySignal<string>;

  start(): Promise<void>;
  show(overlay: Overlay): void;
  closeOverlay(): void;

  signUp(name: string, inviteCode?: string): Promise<void>;
  confirmRecoveryPhrase(): Promise<void>;
  takeOver(): Promise<void>;
  reload(): void;

  /** Somebody has a recovery phrase, and no account here. */
  wantRecovery(): void;
  recover(phrase: string): Promise<void>;
  /** To the sign-up, whatever was lost. */
  beginAnew(): void;

  enterInviteCode(code: string): void;
  openInvitation(fragment: string): void;
  previewInvitation(): Promise<InvitationPreview>;
  acceptInvitation(): Promise<void>;
  declineInvitation(): void;

  createConversation(title: string): Promise<void>;
  draft(id: ConversationId): Draft;
  /** The newest messages of the open conversation are before the person's eyes. */
  markRead(): Promise<void>;
  createInvitation(
    id: ConversationId,
    terms: { readonly expiresInSeconds: number; readonly maxUses: number },
  ): Promise<Invitation>;
  revokeInvitations(id: ConversationId): Promise<void>;
  addByName(id: ConversationId, name: string): Promise<void>;
  askContact(name: string): Promise<void>;
  /** Also where it is answered: then there is nothing to wait for any more. */
  withdrawContact(name: string): Promise<void>;
  answerContact(accountId: AccountId, answer: ContactAnswer): Promise<void>;
  forgetContact(accountId: AccountId): Promise<void>;
  contacts(): Promise<ContactBook>;
  setContactRule(rule: ContactRule): Promise<void>;
  setSignalSettings(settings: SignalSettings): Promise<void>;
  removeMember(id: ConversationId, accountId: AccountId): Promise<void>;
  leave(id: ConversationId): Promise<void>;
  safetyNumber(accountId: AccountId): Promise<string>;
  setVerified(accountId: AccountId, verified: boolean): Promise<void>;
  /** Into a file, which the browser keeps where it keeps such; answers how that is called. */
  saveCopy(recoveryPhrase: string, call: LongCall): Promise<string>;
  bringMessages(
    file: Blob,
    recoveryPhrase: string,
    options: LongCall & { readonly older: boolean },
  ): Promise<RestoredBackup>;
  dismissConversationWarnings(id: ConversationId): Promise<void>;
}

/** Who listens is told of somebody's writing no more often than this, in milliseconds: in a lively conversation it would be all they hear. */
const QUIET = 60_000;

/** What the page keeps and does outside of the engine. */
export interface Surroundings {
  readonly newKey: () => string;
  /** Gives the person a file of this name. */
  readonly download: (file: Blob, name: string) => void;
  readonly reload: () => void;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** The name of the account that this browser has, kept apart from the account: it tells that there was one. */
  readonly remembered: () => string | undefined;
  readonly remember: (name: string | undefined) => void;
}

export function createMessenger(
  engine: Engine,
  navigation: Navigation,
  { newKey, now, download, reload, remembered, remember }: Surroundings,
): Messenger {
  const { load, typing: typingIn, ...replica } = createReplica(engine);
  const formerName = signal(remembered());
  const anew = signal(false);
  const recovering = signal(false);
  const cameBack = signal(false);
  const started = signal(false);
  const failure = signal<ClientErrorCode>();
  const signingUp = signal(false);
  const recoveryPhrase = signal<string>();
  const invitation = signal<string>();
  const inviteCode = signal<string>();
  const thread = signal<Thread>();
  const overlay = signal<Overlay>();
  const announcement = signal("");
  const typingAnnouncement = signal("");
  const blocked = signal<ReadonlySet<AccountId>>(new Set());
  const drafts = new Map<ConversationId, Draft>();

  const loss = computed(() => {
    const { account, lost } = replica;
    if (account.value !== undefined || anew.value || signingUp.value) return undefined;
    const name = formerName.value;
    return lost.value || name !== undefined ? { name } : undefined;
  });
  effect(() => {
    const { value: account } = replica.account;
    if (account === undefined) return;
    remember(account.name);
    batch(() => {
      formerName.value = account.name;
      anew.value = false;
      recovering.value = false;
      inviteCode.value = undefined;
    });
  });
  const screen = computed<Screen>(() => {
    if (failure.value === "outdated" || replica.connection.value === "outdated") return "outdated";
    if (failure.value !== undefined) return "failed";
    if (!started.value) return "starting";
    if (replica.connection.value === "elsewhere") return "elsewhere";
    if (recoveryPhrase.value !== undefined) return "recovery-phrase";
    const none = replica.account.value === undefined;
    if (none && (recovering.value || loss.value !== undefined)) return "recover";
    // The account may be there before the call that made it answers with the phrase.
    if (replica.account.value === undefined || signingUp.value) return "sign-up";
    return invitation.value === undefined ? "home" : "join";
  });
  const conversation = computed(() => {
    const id = navigation.place.value.conversation;
    return replica.conversations.value.find((c) => c.id === id);
  });
  const openId = computed(() => conversation.value?.id);

  const typing = computed(() => {
    const { id = "", members = [] } = conversation.value ?? {};
    const writing = typingIn.value.get(id) ?? [];
    return typingSentence(
      members.flatMap(({ accountId, name }) => (writing.includes(accountId) ? [name] : [])),
    );
  });
  /** When it was last said in which conversation. */
  const typingSaid = new Map<ConversationId, number>();
  effect(() => {
    const [id, sentence] = [openId.value ?? "", typing.value];
    const at = now();
    if (sentence !== "" && at - (typingSaid.get(id) ?? -QUIET) < QUIET) return;
    if (sentence !== "") typingSaid.set(id, at);
    typingAnnouncement.value = sentence;
  });

  effect(() => {
    const id = openId.value;
    if (id === undefined || !replica.signalSettings.value.receipts) return;
    // What isn't known is told with the next receipt.
    engine.askReaders(id).catch(() => {});
  });

  effect(() => {
    const id = openId.value;
    if (id === undefined) return;
    const opened = createThread(engine, id);
    opened.onReceived(({ body, senderName }) => {
      if (body.type === "text") announcement.value = `${senderName}: ${body.text}`;
    });
    thread.value = opened;
    void opened.load();
    return () => {
      opened.close();
      thread.value = undefined;
      announcement.value = "";
    };
  });

  const noteBlocked = (accountId: AccountId, is: boolean): void => {
    const rest = [...blocked.peek()].filter((one) => one !== accountId);
    blocked.value = new Set(is ? [...rest, accountId] : rest);
  };

  return {
    ...replica,
    place: navigation.place,
    go: navigation.go,
    up: navigation.up,
    screen,
    failure,
    loss,
    cameBack,
    recoveryPhrase,
    invitation,
    inviteCode,
    conversation,
    thread,
    overlay,
    blocked,
    announcement,
    typing,
    typingAnnouncement,

    async start() {
      try {
        await load();
        started.value = true;
      } catch (reason) {
        failure.value = errorCodeOf(reason);
      }
    },

    show(next) {
      overlay.value = next;
    },
    closeOverlay() {
      overlay.value = undefined;
    },

    async signUp(name, code) {
      signingUp.value = true;
      try {
        ({ recoveryPhrase: recoveryPhrase.value } =
          code === undefined ? await engine.signUp(name) : await engine.signUp(name, code));
      } catch (reason) {
        if (errorCodeOf(reason) === "invite-needed") inviteCode.value ??= "";
        throw reason;
      } finally {
        signingUp.value = false;
      }
    },
    async confirmRecoveryPhrase() {
      await engine.confirmRecoveryPhrase();
      batch(() => {
        overlay.value = undefined;
        recoveryPhrase.value = undefined;
      });
    },
    takeOver: () => engine.takeOver(),
    reload,

    wantRecovery() {
      recovering.value = true;
    },
    async recover(phrase) {
      await engine.recover(wordsOf(phrase).join(" "));
      cameBack.value = true;
    },
    beginAnew() {
      remember(undefined);
      batch(() => {
        anew.value = true;
        recovering.value = false;
      });
    },

    enterInviteCode(code) {
      if (replica.account.peek() === undefined) inviteCode.value = code;
    },
    openInvitation(fragment) {
      batch(() => {
        overlay.value = undefined;
        invitation.value = fragment;
      });
    },
    previewInvitation: () => engine.previewInvitation(invitation.peek() ?? ""),
    async acceptInvitation() {
      const id = await engine.acceptInvitation(invitation.peek() ?? "");
      batch(() => {
        invitation.value = undefined;
        navigation.go({ conversation: id, members: false });
      });
    },
    declineInvitation() {
      invitation.value = undefined;
    },

    async createConversation(title) {
      const id = await engine.createConversation(title);
      navigation.go({ conversation: id, members: false });
    },
    draft(id) {
      const draft = drafts.get(id) ?? createDraft(engine, id, newKey);
      drafts.set(id, draft);
      return draft;
    },
    async markRead() {
      const open = conversation.peek();
      if (open !== undefined && open.unread > 0) await engine.markRead(open.id);
    },
    createInvitation: (id, terms) => engine.createInvitation(id, terms),
    revokeInvitations: (id) => engine.revokeInvitations(id),
    addByName: (id, name) => engine.addByName(id, name),
    askContact: (name) => engine.askContact(name),
    withdrawContact: (name) => engine.withdrawContact(name),
    async answerContact(accountId, answer) {
      await engine.answerContact(accountId, answer);
      noteBlocked(accountId, answer === "blocked");
    },
    async forgetContact(accountId) {
      await engine.forgetContact(accountId);
      noteBlocked(accountId, false);
    },
    async contacts() {
      const book = await engine.contacts();
      blocked.value = new Set(
        book.contacts.flatMap(({ accountId, answer }) => (answer === "blocked" ? accountId : [])),
      );
      return book;
    },
    setContactRule: (rule) => engine.setContactRule(rule),
    setSignalSettings: (settings) => engine.setSignalSettings(settings),
    removeMember: (id, accountId) => engine.removeMember(id, accountId),
    leave: (id) => engine.leave(id),
    safetyNumber: (accountId) => engine.safetyNumber(accountId),
    setVerified: (accountId, verified) => engine.setVerified(accountId, verified),
    async saveCopy(phrase, call) {
      const copy = await engine.saveBackup(wordsOf(phrase).join(" "), call);
      const name = `conclave-messages-${new Date().toISOString().slice(0, 10)}.backup`;
      download(copy, name);
      return name;
    },
    bringMessages: (file, phrase, options) =>
      engine.restoreBackup(file, wordsOf(phrase).join(" "), options),
    dismissConversationWarnings: (id) => engine.dismissWarnings(id),
  };
}
