/**
 * States of the page worth looking at, by name.
 * @module
 */
import type { ConversationSummary, Member, Message, MessageBody } from "@conclave/client";
import type { DemoState } from "./demo-engine.ts";

const SELF = { accountId: "0a11ce03", name: "Alma Reyes" };
const person = (accountId: string, name: string, changes: Partial<Member> = {}): Member => ({
  accountId,
  name,
  devices: 1,
  self: false,
  verified: false,
  readUpTo: 0,
  ...changes,
});
const alma = person(SELF.accountId, SELF.name, { self: true });
export const jonas = person("0b0b0d01", "Jonas Lind", { verified: true, devices: 2 });
const priya = person("0b0b0202", "Priya Nair");
export const tomasz = person("0b0b0b04", "Tomasz");

const MINUTE = 60_000;
/** Half past two in the afternoon of the day on which one looks. */
const now = new Date().setHours(14, 30, 0, 0);

function thread(
  id: string,
  lines: readonly (readonly [Member, number, string | MessageBody, Message["state"]?])[],
): readonly Message[] {
  let seq = 0;
  return lines.map(([from, minutesAgo, body, state], i) => {
    const own = from === alma;
    const placed = state !== "waiting" && state !== "failed";
    return {
      id: `${id}${i.toString(16).padStart(4, "0")}`,
      conversationId: id,
      ...(placed ? { seq: ++seq } : {}),
      accountId: from.accountId,
      senderName: from.name,
      own,
      at: now - minutesAgo * MINUTE,
      body: typeof body === "string" ? { type: "text", text: body } : body,
      state: state ?? (own ? "delivered" : "received"),
      ...(state === "failed" ? { failure: "text-too-long" } : {}),
    };
  });
}

const membership = (
  change: "created" | "joined" | "added" | "removed",
  { accountId, name }: Member,
  by?: Member,
): MessageBody => ({
  type: "membership",
  change,
  accountId,
  name,
  ...(by === undefined ? {} : { by: by.name }),
});

const DAY = 24 * 60;
const reading = thread("7c0000a1", [
  [alma, DAY + 190, membership("created", alma)],
  [jonas, DAY + 186, membership("joined", jonas)],
  [priya, DAY + 171, membership("joined", priya)],
  [
    jonas,
    DAY + 170,
    "Thanks for setting this up. I still have the other copy of the book, if anybody needs one.",
  ],
  [priya, DAY + 166, "Me, please!"],
  [priya, DAY + 166, "I'm at the library on Thursday anyway."],
  [alma, DAY + 160, "Then let's meet there. Thursday at six, by the long tables?"],
  [jonas, 95, "Thursday works. I looked up when they close: https://library.example/hours"],
  [jonas, 94, "Nine, so there's time."],
  [alma, 62, "Good. I'll bring the tea, and the list of what we could read next."],
  [
    alma,
    61,
    "So far:\n– The Left Hand of Darkness\n– Middlemarch (Tomasz insists)\n– something short for once",
  ],
  [priya, 12, membership("added", tomasz, priya)],
  [tomasz, 8, "I do insist."],
  [priya, 6, "Something short, then Middlemarch. That is fair to everybody."],
  [alma, 2, "It is. See you on Thursday.", "sent"],
]);
const walk = thread("2c0000a2", [
  [priya, 3 * DAY, membership("added", alma, priya)],
  [priya, 40, "Are the boots dry?"],
  [jonas, 21, "Nearly. The path by the river is under water, so let's take the ridge."],
]);
const brought = walk.map((message) => ({ ...message, restored: true }));
const family = thread("4e0100a3", [
  [alma, 2 * DAY, membership("created", alma)],
  [alma, 2 * DAY - 5, "The keys are with the neighbours."],
]);
const old = thread("150300a4", [
  [tomasz, 9 * DAY, "The last box is in the van. Thank you all!"],
  [tomasz, 9 * DAY, membership("removed", alma, tomasz)],
]);

function summary(
  id: string,
  title: string,
  members: readonly Member[],
  messages: readonly Message[],
  changes: Partial<ConversationSummary> = {},
): ConversationSummary {
  const lastMessage = messages.at(-1);
  return {
    id,
    title,
    status: "active",
    members,
    unread: 0,
    warnings: [],
    links: 0,
    readByAll: 0,
    ...(lastMessage === undefined ? {} : { lastMessage }),
    ...changes,
  };
}

const account = { ...SELF, recoveryPhrasePending: false };
const preview = {
  title: "Reading circle",
  inviterName: "Jonas Lind",
  inviterConfirmed: true,
  members: 3,
};

const home: DemoState = {
  account,
  conversations: [
    summary("7c0000a1", "Reading circle", [alma, jonas, priya, tomasz], reading, { links: 1 }),
    summary("2c0000a2", "Sunday walk", [alma, jonas, priya], walk, { unread: 2 }),
    summary("4e0100a3", "House", [alma], family),
    summary("150300a4", "Moving day", [], old, { status: "left" }),
  ],
  messages: [...reading, ...walk, ...family, ...old],
  warnings: [],
  preview,
};

const trouble: readonly Message[] = thread("150200b1", [
  [jonas, 30, "Did the minutes arrive?"],
  [jonas, 29, { type: "unreadable" }],
  [alma, 20, "Not yet. Could you send them again?", "sent"],
  [alma, 5, "I'm on the train, so this may take a while.", "waiting"],
  [alma, 4, "(the whole of last year's minutes)", "failed"],
]);

const long = thread(
  "000000d1",
  Array.from(
    { length: 180 },
    (_, i) => [i % 3 === 0 ? alma : jonas, 900 - i * 4, `Line ${i + 1}`] as const,
  ),
);

export const scenes = {
  new: { account: undefined, conversations: [], messages: [], warnings: [], preview },
  lost: {
    account: undefined,
    lost: true,
    conversations: [],
    messages: [],
    warnings: [],
    preview,
  },
  empty: { account, conversations: [], messages: [], warnings: [], preview },
  home,
  asked: {
    ...home,
    requests: [{ accountId: "0c0c0a01", name: "Ingrid Sørensen", at: now - 20 * MINUTE }],
    asked: [
      { name: "Mira Okafor", at: now - 3 * 60 * MINUTE, allowed: true },
      { name: "Henrik", at: now - 2 * DAY * MINUTE, allowed: false },
    ],
    book: {
      rule: "default",
      unlessSet: "open",
      contacts: [
        { accountId: "0b0b0202", name: "Priya Nair", answer: "allowed", at: now - DAY * MINUTE },
        { accountId: "0c0c0a02", name: "Somebody Loud", answer: "blocked", at: now - DAY * MINUTE },
        { accountId: "0c0c0a03", name: "Erik", answer: "refused", at: now - 2 * DAY * MINUTE },
        { accountId: "0c0c0a04", answer: "blocked", at: now - 9 * DAY * MINUTE },
      ],
    },
  },
  restored: {
    ...home,
    conversations: [
      summary("2c0000a2", "Sunday walk", [], brought, { status: "left", restored: true }),
    ],
    messages: brought,
  },
  lively: {
    ...home,
    signalSettings: { typing: true, receipts: true },
    conversations: [
      summary(
        "7c0000a1",
        "Reading circle",
        [alma, jonas, { ...priya, readUpTo: 15 }, { ...tomasz, readUpTo: 15 }],
        reading,
        { readByAll: 11 },
      ),
      summary("2c0000a2", "Sunday walk", [alma, jonas, priya], walk),
    ],
  },
  "false-link": {
    account,
    conversations: [],
    messages: [],
    warnings: [],
    preview: { ...preview, inviterConfirmed: false },
  },
  long: {
    ...home,
    conversations: [summary("000000d1", "A long story", [alma, jonas], long)],
    messages: long,
  },
  trouble: {
    account: { ...account, recoveryPhrasePending: true },
    conversations: [
      summary("150200b1", "Committee", [alma, jonas, priya], trouble, {
        warnings: [
          { code: "history-differs", at: now - 9 * MINUTE, subject: "Jonas Lind" },
          { code: "message-unreadable", at: now - 29 * MINUTE, subject: "Jonas Lind" },
          { code: "message-unreadable", at: now - 28 * MINUTE, subject: "Jonas Lind" },
        ],
      }),
    ],
    messages: trouble,
    warnings: [{ code: "root-key-changed", at: now - 50 * MINUTE, subject: "Priya Nair" }],
    preview,
  },
} as const satisfies Record<string, DemoState>;

export type SceneName = keyof typeof scenes;
