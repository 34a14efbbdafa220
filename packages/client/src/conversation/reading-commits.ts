/**
 * What follows from a commit in the log: who came and went, and what of our own it settled.
 * @module
 */

import { type LogEntry, leafThatLeaves, someoneGoes } from "@conclave/delivery/protocol";
import type { Group, LeafNode, Received } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { ClientError } from "../api.ts";
import { equal, fromHex, hex } from "../bytes.ts";
import { boolean, endOf, ordinal, put } from "../storage.ts";
import { type Intent, KEYS, type MembershipChange } from "./records.ts";
import { stageFollowUp, stageNoRenewal } from "./renewing.ts";
import { deviceOf } from "./roster.ts";
import type { ConversationState, Step } from "./state.ts";

export interface CommitEvent {
  readonly event: Extract<Received, { type: "commit" }>;
  readonly entry: LogEntry;
  /** Those that were pending before it. */
  readonly proposals: Group["pendingProposals"];
}

export async function readCommit(
  state: ConversationState,
  step: Step,
  group: Group,
  { event, entry, proposals }: CommitEvent,
): Promise<void> {
  await forgetChain(state, step);
  noteKeys(state, step, event);
  await tellMembership(state, step, { event, entry, proposals });
  if (event.removed) {
    stageLeft(state, step);
    return;
  }
  settleOutbox(state, step);
  await settleRenewals(state, step, event);
  if (event.own) await settleIntent(state, step, event);
  restateLeaving(state, step, group, { event, proposals });
}

/** Who asked to leave may not be there to ask again in the epoch that a joiner began: then we take it out. */
function restateLeaving(
  state: ConversationState,
  step: Step,
  group: Group,
  { event, proposals }: Pick<CommitEvent, "event" | "proposals">,
): void {
  if (!event.summary.external) return;
  const removed = new Set(event.summary.removed.map(({ leafIndex }) => leafIndex));
  for (const proposed of proposals) {
    const leaf = leafThatLeaves(proposed);
    if (leaf === undefined || leaf === group.ownLeafIndex || removed.has(leaf)) continue;
    const seat = state.roster.find(({ leafIndex }) => leafIndex === leaf);
    if (!seat) continue;
    const signatureKey = fromHex(seat.signatureKey);
    if (state.intents.find((intent) => isRelease(intent, signatureKey)) !== undefined) continue;
    const intent: Intent = { type: "release", signatureKey };
    step.afterwards(state.intents.stage(step.batch, state.intents.takeNumber(), intent));
  }
}

function isRelease(intent: Intent, signatureKey: Bytes): boolean {
  return intent.type === "release" && equal(intent.signatureKey, signatureKey);
}

/** The chain begins anew with each epoch. */
async function forgetChain(state: ConversationState, step: Step): Promise<void> {
  const from = KEYS.chain(state.id);
  const old = await state.storage.range({ from, to: endOf(from), limit: Number.MAX_SAFE_INTEGER });
  for (const [key] of old) step.batch.delete.push(key);
}

/** Whether somebody outside has secrets of a time in which a key of ours was in use. A path of ours replaces all of them. */
function noteKeys(state: ConversationState, step: Step, event: CommitEvent["event"]): void {
  const { own, summary } = event;
  if (own && summary.pathLeaf) put(step.batch, KEYS.noneRemoved(state.id), boolean, true);
  else if (someoneGoes(summary)) step.batch.delete.push(KEYS.noneRemoved(state.id));
  // We follow: what was in the log for us alone did no harm.
  step.batch.delete.push(KEYS.shutOut(state.id));
}

async function tellMembership(
  state: ConversationState,
  step: Step,
  { event, entry, proposals }: CommitEvent,
): Promise<void> {
  const { summary } = event;
  const committer = summary.external
    ? undefined
    : state.roster.find(({ leafIndex }) => leafIndex === summary.committer)?.accountIdBytes;
  const at = step.position.acceptedAt;
  const told = new Set<string>();
  const tell = (change: MembershipChange, subject: Bytes, by: Bytes | undefined) => {
    const name = `${change}/${hex(subject)}`;
    // An account with several devices comes and goes once.
    if (told.has(name)) return;
    told.add(name);
    step.messages.push({
      id: `02${hex(subject)}${ordinal(entry.seq)}${ordinal(told.size)}`,
      seq: entry.seq,
      accountId: by ?? subject,
      at,
      alone: false,
      body: { type: "membership", change, subject, by },
    });
  };
  const come = async (leaf: LeafNode) => {
    const device = await deviceOf(leaf);
    step.peer(device.signatureKey, { sequence: 0, reported: entry.seq });
    return device.accountIdBytes;
  };
  // A device that could not follow goes and comes at once.
  const returning = new Set(summary.added.map(({ leafNode }) => hex(leafNode.signatureKey)));
  const came = summary.added.filter(
    ({ leafNode }) =>
      !summary.removed.some((one) => hex(one.leafNode.signatureKey) === hex(leafNode.signatureKey)),
  );
  const accounts = await Promise.all(came.map(({ leafNode }) => deviceOf(leafNode)));
  const coming = new Set(accounts.map(({ accountId }) => accountId));
  const before = new Set(state.roster.map(({ accountId }) => accountId));
  const remaining = new Set(state.roster.map(({ leafIndex }) => leafIndex));
  for (const { leafIndex } of summary.removed) remaining.delete(leafIndex);

  for (const { leafIndex, leafNode } of summary.removed) {
    const { signatureKey, accountId, accountIdBytes } = await deviceOf(leafNode);
    step.peer(signatureKey, undefined);
    // With another device, perhaps.
    const stays =
      coming.has(accountId) ||
      state.roster.some((s) => remaining.has(s.leafIndex) && s.accountId === accountId);
    if (stays || summary.external || returning.has(signatureKey)) continue;
    const wished =
      proposals.some((proposed) => leafThatLeaves(proposed) === leafIndex) ||
      state.intents.find((intent) => isRelease(intent, leafNode.signatureKey)) !== undefined;
    tell(wished ? "left" : "removed", accountIdBytes, wished ? undefined : committer);
  }
  for (const { leafNode } of summary.added) {
    const account = await come(leafNode);
    const isNew = came.some((one) => one.leafNode === leafNode) && !before.has(hex(account));
    if (isNew) tell("added", account, committer);
  }
  if (summary.external && summary.pathLeaf) {
    const account = await come(summary.pathLeaf);
    const there = state.roster.some(({ accountIdBytes }) => hex(accountIdBytes) === hex(account));
    if (!there) tell("joined", account, undefined);
  }
}

/** We are out: what was to be sent can't be, and what was wanted of the group neither. */
export function stageLeft(state: ConversationState, step: Step): void {
  step.record = { ...step.record, status: "left", leaving: false };
  const gone = new ClientError("not-member", "this device is no longer in the conversation");
  stageGivenUp(state, step, gone);
}

/** Nothing that waits is sent any more, and nothing done that is wanted. */
export function stageGivenUp(state: ConversationState, step: Step, why: ClientError): void {
  for (const [number, entry] of state.outbox.entries) {
    if (entry.kind !== "text") step.outbox(number, undefined);
    else if (entry.acceptedSeq === undefined) {
      step.outbox(number, { ...entry, failure: entry.failure ?? why.code });
    }
  }
  step.afterwards(state.intents.stageFailureOfAll(step.batch, why));
}

/** What was encrypted in the epoch that ended is encrypted anew; a proposal of that epoch is void. */
function settleOutbox(state: ConversationState, step: Step): void {
  for (const [number, entry] of state.outbox.entries) {
    if (!entry.ciphertext || entry.failure !== undefined) continue;
    const kept =
      entry.kind === "proposal"
        ? undefined
        : { ...entry, ciphertext: undefined, acceptedSeq: undefined };
    step.outbox(number, kept);
  }
}

/** Whoever is taken out stays out, but for what a commit of ours is for itself. */
async function settleRenewals(
  state: ConversationState,
  step: Step,
  { summary }: CommitEvent["event"],
): Promise<void> {
  const removed = new Set(summary.removed.map(({ leafIndex }) => leafIndex));
  const leaves = summary.added.map(({ leafNode }) => leafNode);
  if (summary.external && summary.pathLeaf) leaves.push(summary.pathLeaf);
  const added = await Promise.all(leaves.map(deviceOf));
  const remaining = [...state.roster.filter(({ leafIndex }) => !removed.has(leafIndex)), ...added];
  const there = new Set(remaining.map(({ accountId }) => accountId));
  for (const { accountId, leafIndex } of state.roster) {
    if (removed.has(leafIndex) && !there.has(accountId)) stageNoRenewal(state, step, accountId);
  }
}

/** Our commit won: what it was for is done. */
async function settleIntent(
  state: ConversationState,
  step: Step,
  { summary }: CommitEvent["event"],
): Promise<void> {
  const key = KEYS.composing(state.id);
  const composing = await state.storage.get(key);
  if (!composing) return;
  step.batch.delete.push(key);
  const number = Number.parseInt(new TextDecoder().decode(composing), 16);
  step.afterwards(state.intents.stageOutcome(step.batch, number));
  stageFollowUp(state, step, number, summary);
}
