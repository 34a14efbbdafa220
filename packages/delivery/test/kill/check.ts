/**
 * What must hold when everything was killed and came back: the evidence that a run collects, and its judge.
 * @module
 */

import type { EntryKind } from "@conclave/delivery";

/** An answer of the service that something was accepted, as it arrived. */
export interface Acknowledgement {
  readonly groupId: string;
  readonly seq: number;
  /** SHA-256 of the message. */
  readonly hash: string;
  readonly kind: EntryKind;
  readonly acceptedAt: number;
}

/** An entry of a log, as the service has it in the end. */
export interface Logged {
  readonly seq: number;
  readonly epoch: bigint;
  readonly kind: EntryKind;
  readonly hash: string;
  readonly acceptedAt: number;
}

/** What a member read from the time that it joined, in its order. */
export interface Reading {
  readonly member: string;
  readonly groupId: string;
  /** The place in the log before its first. */
  readonly after: number;
  readonly entries: readonly ReadEntry[];
  /** Of a member that is one still: the epoch that it is in, and what shows that all are in the same. */
  readonly end: { readonly epoch: bigint; readonly authenticator: string } | undefined;
}

export interface ReadEntry {
  readonly seq: number;
  readonly hash: string;
  /** What an application message says. */
  readonly text: string | undefined;
}

/** A Welcome, and for whom. */
export interface Welcomed {
  readonly member: string;
  readonly groupId: string;
  readonly epoch: bigint;
  readonly hash: string;
}

export interface Evidence {
  readonly acknowledged: readonly Acknowledgement[];
  /** The whole log of each group. */
  readonly logs: ReadonlyMap<string, readonly Logged[]>;
  readonly readings: readonly Reading[];
  /** Those that acknowledged commits brought, and those that were found in inboxes. */
  readonly welcomes: { readonly sent: readonly Welcomed[]; readonly found: readonly Welcomed[] };
  /** The KeyPackageRefs that were served, by the SHA-256 of the key package. */
  readonly claimed: readonly string[];
  /** What a member could not do, or an answer that it should not have got. */
  readonly stuck: readonly string[];
}

export type Rule =
  /** Acknowledged and not there. */
  | "lost"
  /** There, but not at the place or with the time that was acknowledged. */
  | "misplaced"
  /** At two places. */
  | "twice"
  | "gap"
  /** Two commits in one epoch; members that read different things or end in different epochs. */
  | "forked"
  /** A time before that of the entry before it. */
  | "clock"
  /** A member read what is not in the log. */
  | "taken-away"
  /** A member has not read what is in the log. */
  | "unread"
  /** A Welcome that never came, or is not the one that was sent. */
  | "welcome"
  /** A key package that was served twice. */
  | "served-twice"
  | "stuck";

export interface Finding {
  readonly rule: Rule;
  readonly what: string;
}

/** What was broken; nothing where all held. */
export function check(evidence: Evidence): readonly Finding[] {
  const findings: Finding[] = evidence.stuck.map((what) => ({ rule: "stuck", what }));
  const found = (rule: Rule, what: string): void => void findings.push({ rule, what });
  for (const [groupId, log] of evidence.logs) checkLog(groupId, log, found);
  for (const each of evidence.acknowledged) checkAcknowledgement(each, evidence.logs, found);
  for (const each of evidence.readings) checkReading(each, evidence.logs, found);
  checkTexts(evidence.readings, found);
  checkEnds(evidence, found);
  checkWelcomes(evidence.welcomes, found);
  for (const hash of repeated(evidence.claimed)) found("served-twice", `key package ${hash}`);
  return findings;
}

type Found = (rule: Rule, what: string) => void;

function checkLog(groupId: string, log: readonly Logged[], found: Found): void {
  let epoch = 0n;
  let before: Logged | undefined;
  for (const entry of log) {
    const at = `${groupId} ${entry.seq}`;
    const expected = (before?.seq ?? 0) + 1;
    if (entry.seq !== expected) found("gap", `${at}: ${expected} was to come`);
    if (entry.acceptedAt < (before?.acceptedAt ?? 0))
      found("clock", `${at}: before the one before`);
    if (entry.epoch !== epoch) {
      found("forked", `${at}: a ${entry.kind} of epoch ${entry.epoch}, the log is in ${epoch}`);
    }
    if (entry.kind === "commit") epoch = entry.epoch + 1n;
    before = entry;
  }
  for (const hash of repeated(log.map(({ hash }) => hash))) found("twice", `${groupId}: ${hash}`);
}

function checkAcknowledgement(
  { groupId, seq, hash, kind, acceptedAt }: Acknowledgement,
  logs: Evidence["logs"],
  found: Found,
): void {
  const log = logs.get(groupId) ?? [];
  const at = `${groupId} ${seq}: a ${kind}, ${hash}`;
  const there = log.find((entry) => entry.hash === hash);
  if (there === undefined) found("lost", at);
  else if (there.seq !== seq || there.kind !== kind || there.acceptedAt !== acceptedAt) {
    found("misplaced", `${at}, is a ${there.kind} at ${there.seq}`);
  }
}

function checkReading(reading: Reading, logs: Evidence["logs"], found: Found): void {
  const { member, groupId, after, entries, end } = reading;
  const log = logs.get(groupId) ?? [];
  const who = `${member} in ${groupId}`;
  let last = after;
  for (const { seq, hash } of entries) {
    if (seq !== last + 1) found("gap", `${who}: read ${seq} after ${last}`);
    last = seq;
    const there = log.find((entry) => entry.seq === seq);
    if (there?.hash !== hash) found("taken-away", `${who}: read ${hash} at ${seq}`);
  }
  const head = log.at(-1)?.seq ?? 0;
  if (end !== undefined && last < head) found("unread", `${who}: read to ${last} of ${head}`);
}

/** A text is that of one entry, and whoever reads the entry reads the same. */
function checkTexts(readings: readonly Reading[], found: Found): void {
  const textAt = new Map<string, string>();
  const placeOf = new Map<string, string>();
  for (const { member, groupId, entries } of readings) {
    for (const { seq, text } of entries) {
      if (text === undefined) continue;
      const place = `${groupId} ${seq}`;
      const first = textAt.get(place) ?? text;
      textAt.set(place, first);
      if (first !== text) found("forked", `${place}: ${member} read ${text}, others ${first}`);
      const known = placeOf.get(text) ?? place;
      placeOf.set(text, known);
      if (known !== place) found("twice", `${text} at ${known} and ${place}`);
    }
  }
}

/** All members of a group are in the epoch that its log leads into, and it is the same epoch. */
function checkEnds({ readings, logs }: Evidence, found: Found): void {
  const authenticators = new Map<string, string>();
  for (const { member, groupId, end } of readings) {
    if (end === undefined) continue;
    const commits = (logs.get(groupId) ?? []).filter(({ kind }) => kind === "commit").length;
    const who = `${member} in ${groupId}`;
    if (end.epoch !== BigInt(commits)) {
      found("forked", `${who}: in epoch ${end.epoch}, the log leads into ${commits}`);
    }
    const first = authenticators.get(groupId) ?? end.authenticator;
    authenticators.set(groupId, first);
    if (first !== end.authenticator) found("forked", `${who}: another epoch authenticator`);
  }
}

function checkWelcomes({ sent, found: arrived }: Evidence["welcomes"], found: Found): void {
  const nameOf = ({ member, groupId, epoch, hash }: Welcomed) =>
    `${member} into epoch ${epoch} of ${groupId}, ${hash}`;
  const names = new Set(arrived.map(nameOf));
  for (const name of sent.map(nameOf)) {
    if (!names.has(name)) found("welcome", `never arrived: ${name}`);
  }
  for (const name of repeated(arrived.map(nameOf))) found("welcome", `arrived twice: ${name}`);
}

function repeated(names: readonly string[]): ReadonlySet<string> {
  const known = new Set<string>();
  return new Set(names.filter((name) => known.size === known.add(name).size));
}
