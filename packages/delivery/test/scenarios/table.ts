/**
 * What may go wrong with a delivery service and its clients, and the tests that play it. `docs/delivery-scenarios.md` is made of
 * this by `npm run scenarios`, and a test checks that the tests are there.
 * @module
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const PAGE: string = fileURLToPath(
  new URL("../../../../docs/delivery-scenarios.md", import.meta.url),
);

/** A folder of tests by a short name. */
const FOLDERS = {
  delivery: "packages/delivery/test/",
  client: "packages/client/test/",
  mls: "packages/mls/test/",
  messenger: "apps/messenger/test/",
} as const;

/** A file (`delivery:group-log`), and the titles of tests in it. */
type Tests = readonly [file: `${keyof typeof FOLDERS}:${string}`, ...titles: string[]];

export interface Scenario {
  readonly what: string;
  readonly tests: readonly Tests[];
  /** What there is to know beside the tests. */
  readonly note?: string;
}

const COMMITS = "delivery:scenarios/commits" as const;
const DEVICES = "delivery:scenarios/devices" as const;
const LOG = "delivery:group-log" as const;
const HOSTILE = "client:hostile/hostile-service" as const;

/** By subject, numbered through. */
export const SCENARIOS: Readonly<Record<string, readonly Scenario[]>> = {
  "Commits and epochs": [
    {
      what: "Two members commit in one epoch: one is accepted; the other derives its commit anew, and its first Welcome reaches nobody.",
      tests: [
        [
          COMMITS,
          "two add somebody at the same time: one does, the other's Welcome goes nowhere until it is tried anew",
        ],
        [LOG, "win an epoch one at a time, of eight that come at once"],
        [
          "delivery:processes",
          "of commits that come through several at once one wins, and all go on from it",
        ],
        [
          "client:conversation/membership",
          "who loses composes again on the winner: nothing that was wanted is lost",
        ],
      ],
    },
    {
      what: "Fifty members commit at once: the group goes on, with bounded attempts, and nobody waits for ever.",
      tests: [
        ["delivery:scenarios/storm.slow", "fifty members commit at once: each is done in the end"],
        [
          COMMITS,
          "many want the same epoch again and again: each gets its own in the end, and none waits for ever",
        ],
        [LOG, "are so many at once: then the others come in, also to remove it"],
      ],
    },
    {
      what: "A commit is accepted and the answer lost: the same bytes get the same place, and are applied once.",
      tests: [
        [
          COMMITS,
          "an answer is lost: the same commit gets the same place, and its maker goes on from there",
        ],
        [LOG, "are answered alike when they come again, also many epochs later and at once"],
      ],
    },
    {
      what: "A client dies after sending a commit and before applying it: it finds its own commit in the log and applies what it stored.",
      tests: [["client:crash", "of a commit: it is made or not, and the group goes on"]],
    },
    {
      what: "A client dies after the service accepted and before its pending commit is stored.",
      tests: [["client:crash", "of a commit: it is made or not, and the group goes on"]],
      note: "Can't happen: the pending commit is on disk before it is sent. The test dies at every step.",
    },
    {
      what: "A commit or message of an epoch to come, of one that is over, or the same again: codes of their own.",
      tests: [
        [LOG, "of an epoch that is over and of one that is still to come have codes of their own"],
        [LOG, "are answered alike when they come again, also many epochs later and at once"],
      ],
    },
    {
      what: "A message of an epoch arrives after the commit that ends it.",
      tests: [
        ["client:conversation/outbox", "encrypts anew what lost its epoch, under the same id"],
        [LOG, "are of the current epoch and by members; the same again is answered alike"],
        ["mls:group/past-epochs", "is refused unless the application keeps epochs"],
      ],
      note: "Can't be read late here: the service takes messages of the current epoch alone, and the log has one order.",
    },
    {
      what: "A message comes before the commit that begins its epoch.",
      tests: [
        [COMMITS, "a newcomer writes before others know of it: everybody reads the commit first"],
        [
          "delivery:store/contract",
          "order messages and commits without gaps, and never back in time",
        ],
      ],
      note: "Can't happen: members read the log in order, from their cursor.",
    },
    {
      what: "A commit refers to a proposal that a member has not received.",
      tests: [
        [LOG, "can be asked for by the member itself, and committed by another"],
        ["delivery:store/contract", "take proposals into their state, so many an epoch"],
      ],
      note: "Can't happen: proposals stand in the same log, before the commit that names them.",
    },
    {
      what: "A commit leaves out a proposal that waits: refused by the service and by members alike.",
      tests: [
        [
          LOG,
          "that leave out who asked to leave are refused, with the references of what is missing",
        ],
        [DEVICES, "two ask to leave at once: one commit lets both go, and the last one is alone"],
      ],
    },
    {
      what: "Somebody joins by an external commit while a proposal waits: it is said again and in the end applied.",
      tests: [
        [
          COMMITS,
          "who joins by a link takes the epoch from a wish to leave: it is said again, and done",
        ],
        [
          "client:conversation/membership",
          "is committed by another, also while messages are written",
        ],
      ],
    },
    {
      what: "A commit that the service can't see through, with a path secret that a member can't decrypt: the victim proves it, the others bring it back, and reports evict nobody by themselves.",
      tests: [
        [
          "delivery:reports",
          "is proven by it; who made it commits no more, the others go on and bring the member back",
          "with a proof that does not hold, however often it comes; nobody is put out by it",
        ],
        [
          "client:conversation/readding",
          "is reported by one with proof; another brings it back, and what waits is sent once",
        ],
        [
          "client:conversation/out-of-step",
          "is told to all of them; nothing is sent or tried again, and what waits stays",
          "is healed by joining again by a link: what waits is sent",
        ],
        ["mls:group/report", "refuses it, stays where it was, and proves it"],
      ],
    },
    {
      what: "A member uploads a GroupInfo or tree that is wrong.",
      tests: [
        [LOG, "cost no epoch where they are invalid"],
        [LOG, "is refused when its GroupInfo or tree does not hold"],
        [LOG, "are refused in the GroupInfo of a commit"],
        [
          "delivery:reports",
          "where only a joiner can see it: it refuses, the group goes on, and the next commit opens the link again",
        ],
      ],
    },
    {
      what: "The service dies between any two statements of a transaction: no epoch stays locked.",
      tests: [
        [
          COMMITS,
          "the service dies between any two statements of a commit: no epoch is frozen, and the commit is made after",
        ],
        [
          "delivery:kill/kill",
          "SQLite: a process that is killed has everything it acknowledged, and leaves nobody stuck",
        ],
      ],
      note: "On PostgreSQL the connection's process is ended inside the statement.",
    },
    {
      what: "Process and database are killed, and a standby takes over, in the middle of many commits: nothing acknowledged is lost, no epoch has two.",
      tests: [
        [
          "delivery:kill/kill",
          "SQLite: a process that is killed has everything it acknowledged, and leaves nobody stuck",
        ],
        [
          "delivery:kill/kill",
          "PostgreSQL: two processes and the database are killed, and the same holds",
        ],
        [
          "delivery:kill/failover",
          "members go on through a fail-over in which waits for the quorum were cancelled",
        ],
      ],
    },
    {
      what: "The clock of the service is wrong, or goes back: order by number, and times of a log that never go back.",
      tests: [
        [COMMITS, "the clock of the service goes back: order and times in a log do not"],
        [LOG, "never goes back, and commits and links are judged by it"],
        ["delivery:store/contract", "are closed by the log's time too, should the clock go back"],
        [
          "client:key-packages",
          "has key packages by the service's: it is added, and makes them once (%s before)",
          "takes those of others by the service's: it adds them as soon as they are there",
        ],
      ],
      note: "A log that took an entry at a time far ahead is judged by that time from then on: until it has come, nobody enters whose device list, or link, ends before it.",
    },
  ],
  "Welcomes, key packages, joining": [
    {
      what: "A Welcome can be read before its commit is durable.",
      tests: [
        [
          "delivery:store/contract",
          "get a Welcome with its commit or not at all, each device in its order",
        ],
        [
          COMMITS,
          "the service dies between any two statements of a commit: no epoch is frozen, and the commit is made after",
        ],
      ],
      note: "Can't happen: they come in one transaction.",
    },
    {
      what: "A newcomer has its Welcome and writes before others know of the commit.",
      tests: [
        [COMMITS, "a newcomer writes before others know of it: everybody reads the commit first"],
      ],
    },
    {
      what: "A Welcome for a key package that is used up, replaced, expired or lost: a plain failure, and a new claim.",
      tests: [
        [
          DEVICES,
          "a Welcome is for a key package whose keys are lost: it fails plainly, and a new claim brings the device in",
        ],
        [
          "client:conversation/membership",
          "by a Welcome that comes again, its receipt being lost: nothing changes",
        ],
      ],
    },
    {
      what: "Two claim one key package at the same time: one gets it.",
      tests: [
        [
          "delivery:store/contract",
          "are served once each, whoever asks at once, and then the last resort again and again",
        ],
        [
          "delivery:key-packages",
          "are claimed once each by whoever asks at once, then the last resort",
        ],
      ],
    },
    {
      what: "An attacker drains somebody's key packages, or looks for names by the errors.",
      tests: [
        [
          "delivery:consent",
          "leave a reserve and get the last resort; the owner is told, and who is known gets the rest",
        ],
        [
          "delivery:consent",
          "is told the same of it as of one there is none of: to look-ups, claims and requests",
        ],
        [
          "delivery:key-packages",
          "are claimed so often by a device; past so many of an account its last resort goes to whoever asks",
        ],
        [
          "client:key-packages",
          "a device keeps twenty and a last resort with the service, and makes up for those that were used",
        ],
      ],
    },
    {
      what: "A last resort is used for two groups: both Welcomes lead in, and it is replaced after.",
      tests: [
        [
          DEVICES,
          "a last resort is used for two groups: both Welcomes lead in, and the next claim may get another",
        ],
        [
          "delivery:key-packages",
          "of the last resort are marked, and its owner hears of it and puts another in its place",
        ],
      ],
    },
    {
      what: "A key package that has expired, or is not valid yet by the service's clock, is not served.",
      tests: [
        [
          "delivery:key-packages",
          "are refused after their time, and when it is too long; and are not served after it",
        ],
        ["delivery:store/contract", "are served while they are valid, in a suite that is wanted"],
      ],
    },
    {
      what: "Of an account's devices one has no key package: it comes in later by itself or by a link, and is never in twice.",
      tests: [
        [
          "client:key-packages",
          "a device that had no key package is told of, and added when it has one",
        ],
        [DEVICES, "a device is added by a member just before it joins by a link: it is in once"],
        [DEVICES, "a device joins by a link just before a member adds it: it is in once"],
        ["delivery:store/contract", "come one from each device of an account"],
        [LOG, "is for devices that are not in"],
      ],
    },
    {
      what: "A link is used by many at once, or revoked while they come: its uses are counted exactly.",
      tests: [
        [LOG, "are exact when many come at once"],
        [
          "delivery:store/contract-concurrent",
          "lets as many in by a link as it is for, of 100 who come at once",
        ],
        [
          "delivery:scenarios/contract-links",
          "lets in as many of a crowd as it is for, and tells all others that it is closed",
          "that is revoked while a crowd comes lets in nobody after that was acknowledged",
        ],
        ["delivery:store/contract", "are counted, however many come at once, and over epochs"],
        [
          "delivery:store/contract",
          "let nobody in by one that expired, was revoked or is another group's",
        ],
        [
          "client:conversation/membership",
          "by many at once: each gets in, by racing for the epochs",
        ],
      ],
    },
    {
      what: "A re-initialisation stops half way, or two members finish it: one new group.",
      tests: [
        [COMMITS, "two finish one re-initialisation: there is one group"],
        [
          "mls:group/linked-group",
          "is carried out once, whoever wants to: the others give theirs up",
        ],
        [
          "mls:group/linked-group",
          "goes on after a crash, before and behind the making of the new group",
        ],
      ],
      note: "The messenger's policy has no place for ReInit: the service refuses it. The first test is what the service adds should it have one.",
    },
  ],
  "Devices, removal, membership": [
    {
      what: "A device is removed while it is away for weeks: it learns of that and can post nothing.",
      tests: [
        [
          DEVICES,
          "a device comes back after it was removed: it learns of that, reads up to it, and can post nothing",
        ],
        [
          "client:conversation/membership",
          "what is in the outbox of a removed client fails, and can be discarded",
        ],
      ],
    },
    {
      what: "A removed device uses its old link or GroupInfo again.",
      tests: [
        [
          DEVICES,
          "a removed device uses again what it joined by: the link is closed, and the old GroupInfo of no use",
        ],
        [LOG, "ends what a device may read, write and join with the commit that removes it"],
      ],
    },
    {
      what: "A member leaves while other proposals wait; the last one leaves; nobody else is there.",
      tests: [
        [DEVICES, "two ask to leave at once: one commit lets both go, and the last one is alone"],
        ["client:conversation/membership", "alone ends the conversation on this device"],
        [
          "client:conversation/membership",
          "that the service lets nobody commit is tried once for each entry of the log",
        ],
      ],
    },
    {
      what: "Somebody adds a second device while another removes the first.",
      tests: [
        [COMMITS, "somebody adds a device and is removed first: it brings nobody in"],
        [
          COMMITS,
          "somebody adds a device first and is removed after: the device is in, and may be removed too",
        ],
      ],
    },
    {
      what: "The service makes up a device or an account.",
      tests: [
        [HOSTILE, "adds a made-up device to an account: left out, and shown"],
        [HOSTILE, "adds a made-up user by external commit: refused, and shown"],
        [HOSTILE, "swaps a name's root key: refused, and shown"],
      ],
      note: "Client only.",
    },
    {
      what: "A credential expires or changes in the middle of an epoch; a revoked one is still a leaf.",
      tests: [
        [
          "client:directory",
          "of a revoked device enters no group from then on; where it is, it stays",
        ],
        [
          "delivery:store/contract-people",
          "lets nobody in whose list is gone: also by a commit that was judged before, by an earlier time",
        ],
        [
          "client:directory",
          "is refused once its list has expired, and accepted again with a new one",
        ],
        [
          LOG,
          "is for devices that are not revoked, and whose list has not expired, when it is accepted",
        ],
        [
          "delivery:device-authentication",
          "follows one of the same device, whatever its key, and no other",
        ],
      ],
    },
    {
      what: "A group of very many: joining, removing, updating, with bounded memory and messages.",
      tests: [
        [
          DEVICES,
          "a crowd is in a group: who comes last reads the tree of its epoch, and what members send stays small",
        ],
        [LOG, "are followed when more groups are in use than memory keeps"],
        ["delivery:store/contract", "follow the changes of each commit"],
      ],
      note: "Thousands of members are played by the load generator, `bench/delivery`.",
    },
  ],
  "Lost state, copies, tabs": [
    {
      what: "An older copy of a profile is put back: noticed before anything is sent.",
      tests: [
        [
          "client:conversation/outbox",
          "finds its own later %s in the log, says so, and sends nothing",
        ],
      ],
      note: "Client only.",
    },
    {
      what: "A profile is copied to a second machine: one of the two goes on, the other is told and sends nothing.",
      tests: [
        [
          "messenger:browser/storage",
          "runs in one of two browsers: the other says so, sends nothing, and may take over",
        ],
        [
          "client:conversation/outbox",
          "that runs beside the first gives way, and the first goes on; or takes over, and the first gives way",
          "that was made of a running one takes its place, and it is told",
          "is no engine that comes after another: after a crash, or sign-ins whose answers were lost",
        ],
        [
          "delivery:sessions",
          "are those of the copy of the device's client that signed in last, unless another takes over",
        ],
        [
          "delivery:store/contract",
          "are those of one instance of the device's client, and of those that follow it",
        ],
        [
          "delivery:store/contract-concurrent",
          "lets one of several copies of a device's client go on, and keeps the sessions of no other",
        ],
      ],
      note: "A copy that takes over reads the log first, and finds what the other sent there.",
    },
    {
      what: "The browser drops a part of the storage: the page says so, nothing is sent, the recovery phrase leads to a fresh device, and the old leaf goes.",
      tests: [
        [
          "messenger:browser/storage",
          "loses its %s %s: the page says so, and the phrase leads to a fresh device",
        ],
        [
          "client:client",
          "comes back by its phrase on a fresh device, in the conversations that it was in; the old one is out",
          "%s: says so, sends nothing, and begins again by the phrase",
        ],
        [
          "delivery:accounts",
          "is told its device list by its root key, and by nothing else",
          "gets a fresh device by the list that its root key signs, which revokes the others",
        ],
        [
          "delivery:store/contract-reports",
          "come with the accounts whose devices were revoked, for as long as their leaves stay",
        ],
      ],
      note: "The phrases of accounts from before 0.2 can't do this. A single node of a group's tree that is gone is not noticed at the start: the next commit is then refused, and the conversation says that it is out of step.",
    },
    {
      what: "The disk is full while a commit is applied.",
      tests: [
        ["client:crash", "stops the engine; what was taken before is sent after the next start"],
        [
          "delivery:store/sqlite",
          "all fail where SQLite undid the batch, and the next are written",
        ],
      ],
    },
    {
      what: "Two tabs send at the same time.",
      tests: [
        [
          "client:browser/engine",
          "is one for two tabs, and goes on in the other when its tab is closed",
        ],
        [
          "mls:group/group",
          "take turns: each message has its own generation, in the order of the calls",
        ],
      ],
      note: "Client only.",
    },
    {
      what: "The tab with the engine is frozen, discarded or killed.",
      tests: [
        [
          "client:browser/engine",
          "is one for two tabs, and goes on in the other when its tab is closed",
        ],
        ["client:client", "stops at its next write, and says so"],
        [
          "messenger:browser/conversation",
          "the tab in which the engine ran is closed: the other goes on",
        ],
      ],
      note: "Client only.",
    },
    {
      what: "A tab with an old version, and one with a newer schema: the older stops and says so, and a step that fails leaves the old database whole.",
      tests: [
        [
          "client:browser/engine",
          "the newer one takes over: the older says so, sends nothing more, and doesn't come back",
          "a step to a newer one that fails leaves the database whole: the older page goes on",
        ],
      ],
      note: "Client only.",
    },
    {
      what: "A backup of messages is restored on a new device; one that was changed, or is older than the newest, is refused.",
      tests: [
        [
          "client:backup/backup",
          "is restored on a new device: history is shown as restored, new messages follow, and the same again adds nothing",
          "has no secret of MLS and no key in it: messages, authors and conversations alone",
          "with other words, of another account, changed or cut off; and then nothing of it is stored",
          "where the account saved a newer one, unless the person wants the older one",
          "where the service can't be asked which is the newest, or makes a note up; and saves none then",
        ],
        [
          "client:backup/container",
          "where chunks are cut off, left out, moved, repeated, put behind, or of another backup",
          "whatever byte is flipped, and wherever it is cut off",
        ],
        [
          "messenger:browser/backup",
          "a copy of one's messages is saved in one browser and brought to another; an older or changed one is refused",
        ],
        [
          "delivery:backup-marks",
          "is the account's alone, is never followed by what is older, and is in what is held about it",
        ],
      ],
      note: "Messages alone: of MLS state there is no backup, by design. A service that conspires with whoever keeps the file can hide that there is a newer one.",
    },
    {
      what: "One group is rolled back: others are not touched.",
      tests: [
        [
          "client:conversation/out-of-step",
          "is healed by joining again by a link: what waits is sent",
        ],
      ],
      note: "Nothing is ever rolled back; a conversation that is out of step stops alone.",
    },
  ],
  "Delivery, a hostile service, metadata": [
    {
      what: "A message is delivered twice, one's own too.",
      tests: [
        [HOSTILE, "replays a message: shown once, and told"],
        [HOSTILE, "replays a message of one's own: told as that, and one may go on"],
        ["delivery:store/contract", "give a message one place, whoever sends it and however late"],
      ],
    },
    {
      what: "The service withholds a message, or all of one sender.",
      tests: [
        [HOSTILE, "withholds a message: the gap is told"],
        [HOSTILE, "withholds so many that keys would be derived for them: the next is unreadable"],
        [
          HOSTILE,
          "withholds a member's last words: another's message tells that the histories differ",
        ],
      ],
      note: "Told by clients; the service's own logs have no gaps.",
    },
    {
      what: "The service shows two halves of a group different commits.",
      tests: [
        [
          HOSTILE,
          "withholds a member's last words: another's message tells that the histories differ",
        ],
        ["client:chain", "is the same for the same history, and another for any other"],
        ["delivery:store/contract", "take one commit an epoch, whoever comes at once"],
      ],
      note: "Told by clients, whose messages carry the hash of the history they have seen. The database itself forbids two commits in an epoch.",
    },
    {
      what: "The service reorders messages or forges times.",
      tests: [
        ["client:chain", "is the same for the same history, and another for any other"],
        [
          "client:conversation/membership",
          "by a Welcome with a clock that is ahead: who joins later is judged by the log's time alone",
        ],
        [
          "delivery:store/contract",
          "order messages and commits without gaps, and never back in time",
        ],
      ],
    },
    {
      what: "A member sends another's or its own message again, with a new generation.",
      tests: [
        ["client:content/frame", "is another for another sender, conversation or content"],
        [HOSTILE, "replays a message: shown once, and told"],
      ],
      note: "Client only: a message has the sender's own number and a random salt in it.",
    },
    {
      what: "The service shows an old GroupInfo or an old key package.",
      tests: [
        [
          DEVICES,
          "a joiner is shown a GroupInfo of an epoch that is over: its commit is refused and costs nothing",
        ],
        [LOG, "come with what joiners need, all of them, with each commit"],
        [
          "delivery:key-packages",
          "are refused after their time, and when it is too long; and are not served after it",
        ],
      ],
      note: "An external commit on an old epoch is one that no member takes.",
    },
    {
      what: "Cursors are abused: acknowledging too much, other inboxes, other logs, what was before; an inbox is full.",
      tests: [
        [
          DEVICES,
          "somebody asks for what is not theirs: other inboxes, other logs, and what came before they did",
        ],
        [
          "delivery:inbox",
          "an inbox holds what its device has not acknowledged, and no more can be acknowledged",
        ],
        [
          "delivery:store/contract",
          "are bounded: a commit that would overfill one is refused whole",
        ],
        [
          "delivery:hostile/hostile",
          "two thousand hostile requests neither fail, leak, nor keep honest members from talking",
        ],
      ],
      note: "Nothing is dropped from a full inbox: who would fill it further is told `device-full`.",
    },
    {
      what: "Names, secrets, ids or addresses in logs, URLs, errors; typing and receipts; attachments that are deleted, expired or changed.",
      tests: [
        ["delivery:service", "has a line a request, which says neither who nor what"],
        ["delivery:signals", "leave no trace in the store and the log"],
        ["delivery:blobs/blobs", "names no blob"],
        ["delivery:blobs/blobs", "is when its account deletes it: bytes and all"],
        ["delivery:blobs/blobs", "is when its time is over, and that of an upload much earlier"],
        ["delivery:blobs/blobs", "of what was changed on the disk never ends well"],
        ["client:client", "have nothing of what was written, of titles, or of the links' secrets"],
        [
          "messenger:browser/privacy",
          "what the server stored and logged has nothing of what people wrote, of titles, phrases and links",
        ],
        ["client:content/frame", "comes back from its encoding, whose length says little"],
      ],
      note: "The content hash by which a client tells a blob that was changed stands in MIMI's ExternalPart; the messenger sends no attachments yet.",
    },
  ],
};

export function fileOf(file: Tests[0]): string {
  const [folder = "", name = ""] = file.split(":");
  return `${FOLDERS[folder as keyof typeof FOLDERS]}${name}${/(^|\/)contract(-\w+)?$/.test(name) ? "" : ".test"}.ts`;
}

/** The titles that a table names and its file has not. */
export function missing({ tests }: Scenario): readonly string[] {
  return tests.flatMap(([file, ...titles]) => {
    const path = fileOf(file);
    const source = readFileSync(new URL(`../../../../${path}`, import.meta.url), "utf8");
    return titles
      .filter((title) => !source.includes(JSON.stringify(title)))
      .map((title) => `${path}: ${title}`);
  });
}

export function markdown(): string {
  const lines = [
    "# What may go wrong, and the tests that play it",
    "",
    "Fifty ways in which a delivery service, its clients and what lies between them fail, with the tests that play each. Tests under",
    "`packages/delivery` and `packages/client` use a real service, real sockets and real MLS members; those of `scenarios/`, `store/`, `kill/` and `hostile/`",
    "run on SQLite and on PostgreSQL. Made by `npm run scenarios`; a test checks that every test that is named here is there.",
  ];
  let number = 0;
  for (const [subject, scenarios] of Object.entries(SCENARIOS)) {
    lines.push("", `## ${subject}`, "", "| | what | tests | |", "| --- | --- | --- | --- |");
    for (const { what, tests, note = "" } of scenarios) {
      const links = tests.flatMap(([file, ...titles]) =>
        titles.map((title) => `[${title.replace("%s", "messages")}](../${fileOf(file)})`),
      );
      lines.push(`| ${++number} | ${what} | ${links.join("<br>")} | ${note} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}
