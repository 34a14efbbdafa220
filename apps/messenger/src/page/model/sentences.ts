/**
 * What the page says: a sentence for each thing that can go wrong, and for each change in a group.
 * @module
 */
import type {
  AccountId,
  ClientErrorCode,
  Connection,
  ContactAnswer,
  Message,
  MessageBody,
  RestoredBackup,
  Warning,
  WarningCode,
} from "@conclave/client";
import { dayAndTimeOf } from "./calendar.ts";

const ERRORS: Readonly<Record<ClientErrorCode, string>> = {
  "no-account": "Choose a name first.",
  "account-exists": "This browser already has an account.",
  "name-taken": "Somebody already has this name. Please choose another.",
  "name-invalid": "A name has 1 to 48 characters, all of them visible.",
  "name-unknown":
    "Nobody can be added by this name. It must be spelled exactly, or the person wants to be asked first.",
  "registration-closed": "This service takes no new accounts. Ask whoever runs it.",
  "invite-needed":
    "New accounts here need an invite code. Ask whoever runs this service for one, and enter it.",
  "invite-unknown": "This invite code isn't known here. Compare it letter by letter.",
  "invite-spent": "Somebody has used this invite code already. Ask for another one.",
  "invite-expired": "The time of this invite code is over. Ask for another one.",
  "no-key-packages": "This person can't be added right now. They need to open Conclave once.",
  "link-invalid": "This link isn't complete. Please ask for it again.",
  "link-closed": "This link is no longer open: it expired, was used up, or was closed.",
  "already-member": "Already in this conversation.",
  "not-member": "You are no longer in this conversation.",
  "unknown-conversation": "This conversation isn't on this device.",
  "root-key-changed":
    "This name belonged to somebody else when you first met it, so nothing was done. Ask the person, face to face or by phone.",
  offline: "There is no connection. Please try again when you are online.",
  busy: "Too much at once. Please wait a moment and try again.",
  "text-too-long": "This message is too long. Please send it in parts.",
  storage: "This browser could not save it: storage is full, or closed to this page.",
  fenced:
    "This tab was asleep while another one took over. Reload the page to go on; nothing is lost.",
  "phrase-wrong": "No account has these twelve words. Check each of them, and their order.",
  lost: "Part of what this browser kept is gone. Reload the page: it says what to do.",
  outdated: "A newer version of Conclave has been opened in this browser. Reload the page.",
  elsewhere: "A copy of this browser's data is in use somewhere else.",
  "account-disabled":
    "Whoever runs this service has disabled your account. Ask them; nothing here is lost.",
  "account-deleted":
    "Your account was deleted, for good. What this browser kept can still be read.",
  refused: "The service refused this.",
  "backup-none": "This file isn't a copy of messages.",
  "backup-newer":
    "This copy was saved by a newer version of Conclave. Reload the page and try again.",
  "backup-foreign": "This is a copy of another account's messages, or the file was changed.",
  "backup-damaged":
    "This copy isn't whole, or was changed since it was saved. Nothing of it was brought here.",
  "backup-older": "You have saved a newer copy since. Nothing of this one was brought here.",
  "backup-unsure":
    "Whether this is your newest copy can't be told: somebody without your words noted one. Nothing of this one was brought here.",
  cancelled: "Cancelled.",
  internal: "Something went wrong here. Please try again; if it stays so, reload the page.",
};

/** The code of what a call failed with; `internal` for what isn't the client's. */
export function errorCodeOf(error: unknown): ClientErrorCode {
  const code: unknown =
    typeof error === "object" && error !== null ? Reflect.get(error, "code") : undefined;
  return isErrorCode(code) ? code : "internal";
}

export function errorSentence(code: ClientErrorCode): string {
  return ERRORS[code];
}

/** Why a message wasn't sent: `Message.failure`. */
export function failureSentence(failure: string | undefined): string {
  return ERRORS[isErrorCode(failure) ? failure : "internal"];
}

function isErrorCode(code: unknown): code is ClientErrorCode {
  return typeof code === "string" && Object.hasOwn(ERRORS, code);
}

export interface WarningWords {
  readonly title: string;
  /** What it means, and what to do. */
  readonly text: string;
  /** Somebody may be lying, as opposed to something being lost. */
  readonly grave: boolean;
}

const WARNINGS: Readonly<Record<WarningCode, (subject: string) => WarningWords>> = {
  "message-refused": (who) => ({
    title: "Something that broke the rules was refused",
    text: `It claimed to come from ${who}. The conversation is as it was before.`,
    grave: false,
  }),
  "uninvited-member": (who) => ({
    title: "Someone tried to get in without an invitation",
    text: `${capitalised(who)} was kept out, and can't read anything. If this goes on, ask whoever runs this service.`,
    grave: true,
  }),
  "unlisted-device": (who) => ({
    title: `A device isn't on the list of ${who}, or not any more`,
    text: `Only a device that ${who} has signed for may come in. This one was kept out; if it was in a conversation before you, it is still there until a member removes ${who}.`,
    grave: true,
  }),
  "root-key-changed": (who) => ({
    title: `The name ${who} now leads to somebody else`,
    text: `It had another key when you first met it, so it isn't trusted here. Ask ${who}, face to face or by phone, before you write anything you would not write to a stranger.`,
    grave: true,
  }),
  "device-list-old": (who) => ({
    title: `The service showed an outdated list of devices of ${who}`,
    text: "The newer list, which this browser knows, stays in force.",
    grave: true,
  }),
  "device-list-fork": (who) => ({
    title: `There are two different lists of devices of ${who}`,
    text: `One of them is false. Compare the safety number with ${who} before you go on.`,
    grave: true,
  }),
  "message-replayed": (who) => ({
    title: "A message came a second time",
    text: `The repetition of what ${who} wrote isn't shown.`,
    grave: false,
  }),
  "message-missing": (who) => ({
    title: "Messages are missing",
    text: `The service has not handed out everything ${who} wrote. Ask them to send it again.`,
    grave: true,
  }),
  "history-differs": (who) => ({
    title: "You don't all see the same conversation",
    text: `What ${who} has seen differs from what you have seen. The service may be showing each of you something else: compare notes another way.`,
    grave: true,
  }),
  "message-unreadable": (who) => ({
    title: "A message can't be read",
    text: `It came from ${who}, and could not be decrypted. Ask them to send it again.`,
    grave: false,
  }),
  "device-left-out": (who) => ({
    title: `A device of ${who} couldn't be added yet`,
    text: `It has been away for too long, or is in as many conversations as it can be. It is tried again by itself; if ${who} opens Conclave there, it goes faster.`,
    grave: false,
  }),
  "state-restored": () => ({
    title: "This browser's data is older than what it once sent",
    text: "It looks like a restored copy. To keep your messages safe, nothing more is sent here from this device. An invitation link lets it join anew.",
    grave: true,
  }),
  "out-of-step": () => ({
    title: "The conversation went on without this device",
    text: "Somebody changed the group in a way that this device had to refuse. Ask a member for a new invitation link and join again; what waits here is sent then.",
    grave: true,
  }),
};

export function warningWords(warning: Warning): WarningWords {
  return WARNINGS[warning.code](warning.subject ?? "a member");
}

/** As a message stands on the page: `read` where everybody says so. */
export type ShownState = Message["state"] | "read";

/** What was said to somebody who might want to write first. */
export function contactAnswerSentence(answer: ContactAnswer): string {
  switch (answer) {
    case "allowed":
      return "May add you to conversations";
    case "refused":
      return "Put off: may ask again after a week";
    case "blocked":
      return "Blocked";
  }
}

export function connectionSentence(connection: Connection): string {
  switch (connection) {
    case "online":
      return "Online";
    case "connecting":
      return "Connecting…";
    case "offline":
      return "No connection. What you write waits here, and is sent when it is back.";
    case "disabled":
      return "Whoever runs this service has disabled your account. Ask them; what you write waits here meanwhile.";
    case "deleted":
      return "Your account was deleted, for good. Nothing can be sent any more; what this browser kept can still be read.";
    case "elsewhere":
      return "In use somewhere else";
    case "outdated":
      return "A newer version is in use";
  }
}

/** What a copy of one's messages brought. */
export function restoredSentence(
  { savedAt, conversations, messages, added }: RestoredBackup,
  now: number,
): string {
  const all = `${counted(messages, "message", "messages")} in ${counted(conversations, "conversation", "conversations")}`;
  const copy = `The copy was saved ${dayAndTimeOf(savedAt, now)}, with ${all}.`;
  if (added === 0) return `${copy} All of them were here already.`;
  if (added === messages) return `${copy} All of them are here now.`;
  return `${copy} ${added} of them are here now; the others were already.`;
}

export function messageStateSentence(state: ShownState): string {
  switch (state) {
    case "read":
      return "Read by everyone";
    case "waiting":
      return "Waiting to be sent";
    case "sent":
      return "Sent";
    case "delivered":
      return "Delivered to everyone";
    case "failed":
      return "Not sent";
    case "received":
      return "Received";
  }
}

/** Of an own message, in a conversation whose members tell each other what they have read. */
export function readBySentence(names: readonly string[]): string {
  return `Read by ${enumerated(names)}`;
}

/** From so many on they aren't named. */
const MANY = 3;

/** Empty where nobody is. */
export function typingSentence(names: readonly string[]): string {
  if (names.length === 0) return "";
  if (names.length > MANY) return "Several people are writing…";
  return `${enumerated(names)} ${names.length === 1 ? "is" : "are"} writing…`;
}

/** "Ada", "Ada and Ben", "Ada, Ben and Cleo". */
function enumerated(names: readonly string[]): string {
  const last = names.at(-1) ?? "";
  return names.length < 2 ? last : `${names.slice(0, -1).join(", ")} and ${last}`;
}

export interface Self {
  readonly accountId: AccountId;
  readonly name: string;
}

/** A change in the group, or a message that couldn't be read. */
export function noticeSentence(
  body: Exclude<MessageBody, { readonly type: "text" }>,
  senderName: string,
  self: Self,
): string {
  if (body.type === "unreadable") return `A message from ${senderName} can't be read`;
  const isSelf = body.accountId === self.accountId;
  const who = isSelf ? "You" : body.name;
  const whom = isSelf ? "you" : body.name;
  const by = body.by === self.name ? "You" : body.by;
  switch (body.change) {
    case "created":
      return `${who} began this conversation`;
    case "joined":
      return `${who} joined by a link`;
    case "added":
      return by === undefined ? `${who} ${isSelf ? "were" : "was"} added` : `${by} added ${whom}`;
    case "removed":
      return by === undefined
        ? `${who} ${isSelf ? "were" : "was"} removed`
        : `${by} removed ${whom}`;
    case "left":
      return `${who} left`;
  }
}

/** The last thing that happened, for the list of conversations. */
export function previewSentence(message: Message, self: Self): string {
  if (message.body.type !== "text") return noticeSentence(message.body, message.senderName, self);
  return `${message.own ? "You" : message.senderName}: ${message.body.text}`;
}

/** "3 members", "1 member". */
export function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

function capitalised(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
