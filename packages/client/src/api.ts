/**
 * What a view sees of an account: one interface, whether the engine runs in this realm or in the
 * worker that was elected for all tabs. Everything in it survives structured cloning.
 * @module
 */

/** Hex of the account's id. */
export type AccountId = string;
/** Hex of the group's id. */
export type ConversationId = string;

/** Something a person should know about; never silent, never a crash. */
export interface Warning {
  readonly code: WarningCode;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  /** The account it is about, where there is one. */
  readonly accountId?: AccountId;
  /** That account's name, or what else the sentence needs. */
  readonly subject?: string;
}

export type WarningCode =
  /** A commit or message broke a rule and was refused; the group stays as it was. */
  | "message-refused"
  /** An external commit that no invitation link vouches for. */
  | "uninvited-member"
  /** A leaf whose device is not on its account's signed list; or is in a group that it might not enter now: revoked, or the list expired. */
  | "unlisted-device"
  /** A name that belonged to another root key when it was first seen. */
  | "root-key-changed"
  /** The service showed an older device list than one that is known to exist. */
  | "device-list-old"
  /** Two different device lists of one version. */
  | "device-list-fork"
  /** The same message a second time. */
  | "message-replayed"
  /** Messages of a sender are missing. */
  | "message-missing"
  /** A member saw another history than we did. */
  | "history-differs"
  /** A message that could not be decrypted. */
  | "message-unreadable"
  /** A device of somebody who was added could not be yet: it is tried again. */
  | "device-left-out"
  /** Our own state is older than what we once sent. */
  | "state-restored"
  /** The group went on by a commit that we refused: what follows can't be read, until we join anew. */
  | "out-of-step";

/**
 * `elsewhere`: another copy of this device signed in, so this one neither reads nor sends, until `takeOver`. `outdated`: a newer version of
 * the page took over in another tab, and this one has to be loaded again.
 */
export type Connection =
  | "connecting"
  | "online"
  | "offline"
  /** The service's operator has disabled the account: what waits is sent when it is enabled again. */
  | "disabled"
  /**
   * The account was deleted, for good: what waits is never sent. What this device has stays readable. The service is asked no more, until a
   * client is opened anew.
   */
  | "deleted"
  | "elsewhere"
  | "outdated";

export interface AccountState {
  readonly accountId: AccountId;
  readonly name: string;
  /** Until the person says that the phrase is written down. */
  readonly recoveryPhrasePending: boolean;
}

export interface Member {
  readonly accountId: AccountId;
  readonly name: string;
  readonly devices: number;
  readonly self: boolean;
  /** The person compared the safety number and said that it matches. */
  readonly verified: boolean;
  /** The last entry (`Message.seq`) that they say to have read; 0 where they don't say, or the person doesn't want to know. */
  readonly readUpTo: number;
}

export interface ConversationSummary {
  readonly id: ConversationId;
  readonly title: string;
  /** `left`: removed or gone; what was received stays readable. */
  readonly status: "active" | "joining" | "left";
  readonly members: readonly Member[];
  readonly lastMessage?: Message;
  readonly unread: number;
  readonly warnings: readonly Warning[];
  /** Open invitation links. */
  readonly links: number;
  /** This device is not in it, and its newest message came from a backup: it may yet be let in. */
  readonly restored?: boolean;
  /** The last entry that all others said to have read; 0 for none. */
  readonly readByAll: number;
}

export type MessageBody =
  | { readonly type: "text"; readonly text: string }
  /** What happened to the group, told by its commits. */
  | {
      readonly type: "membership";
      readonly change: "created" | "joined" | "added" | "removed" | "left";
      readonly accountId: AccountId;
      readonly name: string;
      readonly by?: string;
    }
  | { readonly type: "unreadable" };

export interface Message {
  /** Hex; the same for everyone who has the message. */
  readonly id: string;
  readonly conversationId: ConversationId;
  /** Its place in the conversation; absent while it waits in the outbox. */
  readonly seq?: number;
  readonly accountId: AccountId;
  readonly senderName: string;
  readonly own: boolean;
  /** Milliseconds since the Unix epoch: when it was accepted, or, before that, written. */
  readonly at: number;
  readonly body: MessageBody;
  /** `waiting`: in the outbox. `sent`: the service has it. `delivered`: every other device reported it. */
  readonly state: "waiting" | "sent" | "delivered" | "received" | "failed";
  /** For `failed`: why, as an error code. */
  readonly failure?: string;
  /** It came from a backup: this device did not receive it. */
  readonly restored?: boolean;
}

export interface Invitation {
  /** What follows `#` in the link. Secret: it lets people in. */
  readonly fragment: string;
  readonly expiresAt: number;
  readonly maxUses: number;
}

export interface InvitationPreview {
  readonly title: string;
  readonly inviterName: string;
  /** The inviter's fingerprint in the link is the one of the inviter in the group. */
  readonly inviterConfirmed: boolean;
  readonly members: number;
}

/** Somebody asks to be let reach this account: to look it up, and to add it to conversations. */
export interface ContactRequest {
  readonly accountId: AccountId;
  readonly name: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

/** `refused`: not heard again for a week. `blocked`: reaches this account by no way, whatever else holds. */
export type ContactAnswer = "allowed" | "refused" | "blocked";

/** Who may reach this account without being let: everybody, nobody, or as the service has it. */
export type ContactRule = "open" | "ask" | "default";

/** What this account said to another. */
export interface Contact {
  readonly accountId: AccountId;
  /** Absent where the account is gone. */
  readonly name?: string;
  readonly answer: ContactAnswer;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

export interface ContactBook {
  readonly rule: ContactRule;
  /** What `default` means at this service. */
  readonly unlessSet: "open" | "ask";
  /** The newest answer first. */
  readonly contacts: readonly Contact[];
}

/** Somebody whom this account asked to be let reach them. */
export interface AskedContact {
  readonly name: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  /** They can be reached now. That they refused is never told. */
  readonly allowed: boolean;
}

/** What is done so far, of how much: of no unit but each other. */
export interface Progress {
  readonly done: number;
  readonly total: number;
}

/** Of a call that may take long. */
export interface LongCall {
  /** Aborted, the call fails with `cancelled`. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** What a backup had, and what of it was new here. */
export interface RestoredBackup {
  /** Milliseconds since the Unix epoch. */
  readonly savedAt: number;
  readonly conversations: number;
  readonly messages: number;
  /** Messages that were not here before. */
  readonly added: number;
}

/** What the person tells others for the moment, and is told by those who do too. */
export interface SignalSettings {
  /** That one is writing. */
  readonly typing: boolean;
  /** What one has read. */
  readonly receipts: boolean;
}

/** All that a view can show, and how it changes. Each event replaces what it names. */
export type ClientEvent =
  | {
      readonly type: "account";
      readonly account: AccountState | undefined;
      readonly lost?: boolean;
    }
  | { readonly type: "connection"; readonly connection: Connection }
  | { readonly type: "conversation"; readonly conversation: ConversationSummary }
  | { readonly type: "messages"; readonly messages: readonly Message[] }
  /** A message that could not be sent was discarded: it is shown no more. */
  | {
      readonly type: "discarded";
      readonly conversationId: ConversationId;
      readonly messageId: string;
    }
  /** A backup brought messages into it: what of it was read before is to be read again. */
  | { readonly type: "history"; readonly conversationId: ConversationId }
  /** Who is writing in the conversation, all of them. An engine that is new knows of nobody. */
  | {
      readonly type: "typing";
      readonly conversationId: ConversationId;
      readonly accountIds: readonly AccountId[];
    }
  | { readonly type: "signal-settings"; readonly settings: SignalSettings }
  /** Those that wait for an answer now. */
  | { readonly type: "contact-requests"; readonly requests: readonly ContactRequest[] }
  /** Whom the account asked, all of them. */
  | { readonly type: "asked-contacts"; readonly asked: readonly AskedContact[] }
  /** Warnings that belong to no conversation. */
  | { readonly type: "warning"; readonly warning: Warning };

export interface Snapshot {
  readonly account: AccountState | undefined;
  /** There was an account, and of what it needs a part is gone: nothing of it can be used any more. */
  readonly lost?: boolean;
  readonly connection: Connection;
  readonly conversations: readonly ConversationSummary[];
  readonly warnings: readonly Warning[];
  /** In the order of asking. */
  readonly asked: readonly AskedContact[];
  readonly signalSettings: SignalSettings;
}

/** Every method may fail with a `ClientError`. */
export interface ClientApi {
  snapshot(): Promise<Snapshot>;
  /** Newest last; those before `before` (a seq), or the newest. Waiting ones come with the newest. */
  messages(
    id: ConversationId,
    page: { readonly before?: number; readonly limit: number },
  ): Promise<readonly Message[]>;
  /** What remains of an account that is lost goes. `inviteCode`: where the service takes new accounts by code alone. */
  signUp(name: string, inviteCode?: string): Promise<{ readonly recoveryPhrase: string }>;
  /** Makes this a fresh device of the account that the phrase is of, and the only one: all others are revoked. */
  recover(recoveryPhrase: string): Promise<void>;
  confirmRecoveryPhrase(): Promise<void>;
  /** Goes on here, where another copy of this device signed in: that one stops. */
  takeOver(): Promise<void>;
  createConversation(title: string): Promise<ConversationId>;
  /** Done once it is in the outbox on disk. `messageKey` makes a repeated call harmless. */
  sendText(id: ConversationId, text: string, messageKey: string): Promise<void>;
  discardFailed(id: ConversationId, messageId: string): Promise<void>;
  markRead(id: ConversationId): Promise<void>;
  /** The person is writing: said to those who are there, as often as is useful, where the settings allow it. */
  tellTyping(id: ConversationId): Promise<void>;
  /** The person looks at the conversation: where receipts are wanted, the others are asked what they have read. */
  askReaders(id: ConversationId): Promise<void>;
  setSignalSettings(settings: SignalSettings): Promise<void>;
  createInvitation(
    id: ConversationId,
    terms: { readonly expiresInSeconds: number; readonly maxUses: number },
  ): Promise<Invitation>;
  /** Closes every open link of the conversation. */
  revokeInvitations(id: ConversationId): Promise<void>;
  previewInvitation(fragment: string): Promise<InvitationPreview>;
  acceptInvitation(fragment: string): Promise<ConversationId>;
  addByName(id: ConversationId, name: string): Promise<void>;
  /** Asks somebody who has to allow it first. Done alike whether there is such a name, and whatever becomes of it. */
  askContact(name: string): Promise<void>;
  /** Takes that back: whom it still waits for sees it no more. */
  withdrawContact(name: string): Promise<void>;
  contactRequests(): Promise<readonly ContactRequest[]>;
  /** Also for who did not ask. */
  answerContact(accountId: AccountId, answer: ContactAnswer): Promise<void>;
  /** Takes back what was said to them: as if they had never been answered. */
  forgetContact(accountId: AccountId): Promise<void>;
  contacts(): Promise<ContactBook>;
  setContactRule(rule: ContactRule): Promise<void>;
  removeMember(id: ConversationId, accountId: AccountId): Promise<void>;
  leave(id: ConversationId): Promise<void>;
  /** 60 digits in groups of five: the same on both sides. */
  safetyNumber(accountId: AccountId): Promise<string>;
  setVerified(accountId: AccountId, verified: boolean): Promise<void>;
  dismissWarnings(id: ConversationId | undefined): Promise<void>;
  /**
   * All messages of the account that are here and were sent, in one encrypted file. The phrase opens it; no key of it is kept. The account
   * notes it as its newest, so this needs the service.
   */
  saveBackup(recoveryPhrase: string, options?: LongCall): Promise<Blob>;
  /**
   * Brings the messages of a backup of this account here: checked as a whole before the first is stored. What is here already stays, so
   * the same again adds nothing. Where the account has saved a newer one, it fails with `backup-older`, or with `backup-unsure` where that can't be told, unless `older` says that it is
   * wanted all the same; then the service isn't asked.
   */
  restoreBackup(
    file: Blob,
    recoveryPhrase: string,
    options?: LongCall & { readonly older?: boolean },
  ): Promise<RestoredBackup>;
}

export type ClientErrorCode =
  | "no-account"
  | "account-exists"
  | "name-taken"
  | "name-invalid"
  | "name-unknown"
  /** The service takes no new accounts; or none without an invite code; or not by this one. */
  | "registration-closed"
  | "invite-needed"
  | "invite-unknown"
  | "invite-spent"
  | "invite-expired"
  | "no-key-packages"
  | "phrase-wrong"
  | "link-invalid"
  | "link-closed"
  | "already-member"
  | "not-member"
  | "unknown-conversation"
  | "root-key-changed"
  | "offline"
  | "busy"
  | "text-too-long"
  | "storage"
  /** A part of what the device needs is gone from its storage. */
  | "lost"
  /** Another engine took the profile over; this one has stopped. */
  | "fenced"
  /** Another copy of this device signed in. */
  | "elsewhere"
  /** The service's operator has disabled the account. */
  | "account-disabled"
  /** The account was deleted, for good. */
  | "account-deleted"
  /** The storage is a newer version's: this one leaves it alone. */
  | "outdated"
  | "refused"
  /** The file is no backup. */
  | "backup-none"
  /** It was made by a later version. */
  | "backup-newer"
  /** It is of another account, or its beginning was changed. */
  | "backup-foreign"
  /** It is not whole, or was changed. */
  | "backup-damaged"
  /** The account has saved a newer one. */
  | "backup-older"
  /** Whether the account has saved a newer one can't be told: somebody noted one who doesn't have the phrase. */
  | "backup-unsure"
  /** The call's own signal was aborted. */
  | "cancelled"
  | "internal";

/** Why a call failed. Crosses between realms as `{ code, message }`. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly code: ClientErrorCode;

  constructor(code: ClientErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
