import { expect, it } from "vitest";
import { check, type Evidence, type Logged, type Reading } from "./check.ts";

/** A commit and a message, then a commit and a message again. */
const LOG: readonly Logged[] = [
  { seq: 1, epoch: 0n, kind: "commit", hash: "c1", acceptedAt: 10 },
  { seq: 2, epoch: 1n, kind: "application", hash: "m1", acceptedAt: 10 },
  { seq: 3, epoch: 1n, kind: "commit", hash: "c2", acceptedAt: 12 },
  { seq: 4, epoch: 2n, kind: "application", hash: "m2", acceptedAt: 13 },
];

const READING: Reading = {
  member: "Ada",
  groupId: "g",
  after: 0,
  entries: LOG.map(({ seq, hash, kind }) => ({
    seq,
    hash,
    text: kind === "application" ? `text of ${hash}` : undefined,
  })),
  end: { epoch: 2n, authenticator: "a" },
};

const WELCOME = { member: "Bob", groupId: "g", epoch: 1n, hash: "w" };

const GOOD: Evidence = {
  acknowledged: LOG.map(({ seq, hash, kind, acceptedAt }) => ({
    groupId: "g",
    seq,
    hash,
    kind,
    acceptedAt,
  })),
  logs: new Map([["g", LOG]]),
  readings: [READING, { ...READING, member: "Bob", after: 1, entries: READING.entries.slice(1) }],
  welcomes: { sent: [WELCOME], found: [WELCOME] },
  claimed: ["k1", "k2"],
  stuck: [],
};

function rules(change: Partial<Evidence>): readonly string[] {
  return [...new Set(check({ ...GOOD, ...change }).map(({ rule }) => rule))].sort();
}

function withLog(log: readonly Logged[]): Partial<Evidence> {
  // The readers agree with it, so that only what is wrong in the log itself is found.
  return { logs: new Map([["g", log]]), readings: [] };
}

function withReading(change: Partial<Reading>): Partial<Evidence> {
  return { readings: [READING, { ...READING, member: "Bob", ...change }] };
}

it("has nothing to say of a run in which all held", () => {
  expect(check(GOOD)).toEqual([]);
});

it("finds an acknowledged entry that is not in the log", () => {
  expect(rules(withLog(LOG.slice(0, 3)))).toEqual(["lost"]);
  expect(
    rules(withLog(LOG.map((entry) => (entry.seq === 4 ? { ...entry, hash: "x" } : entry)))),
  ).toEqual(["lost"]);
});

it("finds a group whose log is gone", () => {
  expect(rules({ logs: new Map(), readings: [] })).toEqual(["lost"]);
});

it("finds an entry at another place or time than was acknowledged", () => {
  const [first, ...others] = GOOD.acknowledged;
  for (const change of [{ seq: 2 }, { acceptedAt: 11 }, { kind: "proposal" } as const]) {
    const acknowledged = [
      {
        ...first,
        groupId: "g",
        seq: 1,
        hash: "c1",
        kind: "commit" as const,
        acceptedAt: 10,
        ...change,
      },
      ...others,
    ];
    expect(rules({ acknowledged })).toEqual(["misplaced"]);
  }
});

it("finds an entry that the log has twice", () => {
  const again = { seq: 5, epoch: 2n, kind: "application", hash: "m2", acceptedAt: 13 } as const;
  expect(rules(withLog([...LOG, again]))).toEqual(["twice"]);
});

it("finds a text that was encrypted twice and accepted twice", () => {
  const entries = READING.entries.map((entry) =>
    entry.seq === 4 ? { ...entry, text: "text of m1" } : entry,
  );
  expect(rules({ readings: [{ ...READING, entries }] })).toEqual(["twice"]);
});

it("finds a gap in the log", () => {
  const log = LOG.map((entry) => (entry.seq === 4 ? { ...entry, seq: 5 } : entry));
  expect(rules({ ...withLog(log), acknowledged: [] })).toEqual(["gap"]);
});

it("finds two commits in one epoch", () => {
  const second = { seq: 5, epoch: 1n, kind: "commit", hash: "c3", acceptedAt: 14 } as const;
  expect(rules(withLog([...LOG, second]))).toEqual(["forked"]);
});

it("finds a time that goes back", () => {
  const log = LOG.map((entry) => (entry.seq === 4 ? { ...entry, acceptedAt: 11 } : entry));
  expect(rules({ ...withLog(log), acknowledged: [] })).toEqual(["clock"]);
});

it("finds what a member read and the log has not", () => {
  const entries = READING.entries.map((entry) =>
    entry.seq === 3 ? { ...entry, hash: "x" } : entry,
  );
  expect(rules(withReading({ entries }))).toEqual(["taken-away"]);
});

it("finds a member that skipped an entry, and one that has not read all", () => {
  const skipped = READING.entries.filter(({ seq }) => seq !== 2);
  expect(rules(withReading({ entries: skipped }))).toEqual(["gap"]);
  expect(rules(withReading({ entries: READING.entries.slice(0, 3) }))).toEqual(["unread"]);
});

it("lets one that was removed stop where it was", () => {
  expect(rules(withReading({ entries: READING.entries.slice(0, 3), end: undefined }))).toEqual([]);
});

it("finds members that read different texts, or end apart", () => {
  const entries = READING.entries.map((entry) =>
    entry.seq === 4 ? { ...entry, text: "x" } : entry,
  );
  expect(rules(withReading({ entries }))).toEqual(["forked"]);
  expect(rules(withReading({ end: { epoch: 2n, authenticator: "b" } }))).toEqual(["forked"]);
  expect(rules(withReading({ end: { epoch: 1n, authenticator: "a" } }))).toEqual(["forked"]);
});

it("finds a Welcome that never came, is another, or came twice", () => {
  const { welcomes } = GOOD;
  expect(rules({ welcomes: { ...welcomes, found: [] } })).toEqual(["welcome"]);
  expect(rules({ welcomes: { ...welcomes, found: [{ ...WELCOME, hash: "x" }] } })).toEqual([
    "welcome",
  ]);
  expect(rules({ welcomes: { ...welcomes, found: [WELCOME, WELCOME] } })).toEqual(["welcome"]);
});

it("finds a key package that was served twice", () => {
  expect(rules({ claimed: ["k1", "k1"] })).toEqual(["served-twice"]);
});

it("finds who is stuck", () => {
  expect(rules({ stuck: ["Ada in g"] })).toEqual(["stuck"]);
});
