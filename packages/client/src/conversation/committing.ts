/**
 * Making commits: what the person wants becomes proposals on the current state, the bundle is kept before
 * it is posted, and one that lost its epoch is composed again on the winner.
 * @module
 */

import { ServiceError } from "@conclave/delivery/client";
import {
  type Accepted,
  bytesToText,
  type CommitRequest,
  type Link,
  linksOf,
} from "@conclave/delivery/protocol";
import {
  type CommitBundle,
  type Group,
  type Proposal,
  readGroupInfo,
  readKeyPackage,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { validateKeyPackage } from "@conclave/mls/public-group";
import { ClientError } from "../api.ts";
import { equal, hex, utf8Bytes } from "../bytes.ts";
import { failureOf, isOfStorage } from "../client-error.ts";
import { sealToLinks, titleExtension, withLinks } from "../invitation.ts";
import { causeOf } from "../refusal.ts";
import { acceptable, keyPackagesFor } from "./claiming.ts";
import { commitData } from "./commit-data.ts";
import { nextTry } from "./intents.ts";
import { returns } from "./readding.ts";
import { catchUp, readEntry } from "./reading.ts";
import { type Addition, type Intent, KEYS } from "./records.ts";
import { renewal, tellLeftOut } from "./renewing.ts";
import { deviceOf } from "./roster.ts";
import { isOfOtherEpoch, nextEpoch } from "./sending.ts";
import type { ConversationState } from "./state.ts";

/** How often a commit is composed again before its intent is given up. */
export const MAX_RACES = 20;

/** How a turn at the log ended. */
export type Outcome = "accepted" | "lost";

/** Whether there are proposals of others that we may commit: nobody can commit its own removal. */
export function committable(group: Group): boolean {
  const { pendingProposals } = group;
  return (
    pendingProposals.length > 0 &&
    !pendingProposals.some(
      ({ proposal }) =>
        proposal.proposalType === "remove" && proposal.removed === group.ownLeafIndex,
    )
  );
}

/** Commits what is proposed. */
export async function commitPending(state: ConversationState, group: Group): Promise<Outcome> {
  return compose(state, group, {});
}

/**
 * Carries out an intent: with a commit, or by finding that there is nothing left to do. What goes wrong is this intent's alone: it is
 * told, or tried again at a time of its own. Throws only what nothing else can go on with: where storage fails, and while it
 * isn't known what became of a commit.
 */
export async function carryOut(
  state: ConversationState,
  group: Group,
  number: number,
  intent: Intent,
): Promise<Outcome> {
  const { environment, intents } = state;
  const { now, timing, log } = environment;
  const putOff = (atLeast?: number) =>
    intents.putOff(number, { now: now(), retry: timing.retry, atLeast });
  /** Somebody rang while the service was asked, whose answer may be older than that: it is asked once more. */
  const isRungAgain = () => intent.type === "return" && intents.get(number) !== intent;
  try {
    const change = await changeFor(state, group, number, intent);
    if (isRungAgain()) return "accepted";
    if (change === "over") await settle(state, number, undefined);
    else if (change === "soon") putOff();
    else if (change === "later") await tryLater(state, number, intent);
    else return await compose(state, group, change, intent.type === "return" ? undefined : number);
  } catch (error) {
    if (group.pendingCommit || isOfStorage(error)) throw error;
    log(intent.type, error);
    const service = causeOf(error, ServiceError);
    if (service?.transient) putOff(service.retryAfter);
    else if (intent.type === "renew" || intent.type === "return") {
      if (!isRungAgain()) await tryLater(state, number, intent);
    } else {
      const unknown = new ClientError("internal", "something that should not happen");
      await settle(state, number, failureOf(error) ?? unknown);
    }
  }
  return "accepted";
}

async function tryLater(state: ConversationState, number: number, intent: Intent): Promise<void> {
  const { environment, intents } = state;
  const step = state.step();
  const afresh = intent.type === "renew" ? { ...intent, keyPackages: [] } : intent;
  const next =
    afresh.type === "renew" || afresh.type === "return"
      ? nextTry(afresh, environment.now(), environment.timing.poll)
      : undefined;
  step.afterwards(
    next ? intents.stage(step.batch, number, next) : intents.stageOutcome(step.batch, number),
  );
  await step.apply();
}

export async function settle(
  state: ConversationState,
  number: number,
  failure: ClientError | undefined,
): Promise<void> {
  const step = state.step();
  step.afterwards(state.intents.stageOutcome(step.batch, number, failure));
  await step.apply();
}

/** What a commit is to do beside what is proposed. */
export interface Change {
  /** The leaves that go. */
  readonly removed?: readonly number[];
  readonly added?: readonly Entrant[];
  /** The group's links behind it; absent to leave them. */
  readonly links?: readonly Link[];
}

/** A device that comes in. */
export interface Entrant {
  readonly keyPackage: Bytes;
  /** The leaf that goes with it: of the same device, which can't follow. Whoever can't come in keeps it. */
  readonly instead?: number;
}

/** What must be committed for this intent; `over` if the group is that way already, `soon` or `later` for when to look again. */
async function changeFor(
  state: ConversationState,
  group: Group,
  number: number,
  intent: Intent,
): Promise<Change | "over" | "soon" | "later"> {
  const links = linksOf(group.extensions);
  switch (intent.type) {
    case "add":
      return addition(state, group, number, intent);
    case "remove": {
      const account = hex(intent.accountId);
      const leaves = state.roster.filter(({ accountId }) => accountId === account);
      return leaves.length > 0 ? { removed: leaves.map(({ leafIndex }) => leafIndex) } : "over";
    }
    case "invite": {
      const now = state.environment.service.now();
      const open = links.filter((link) => Number(link.expiresAt) * 1000 > now);
      const there = links.some((link) => equal(link.signatureKey, intent.link.signatureKey));
      return there ? "over" : { links: [...open, intent.link] };
    }
    case "release": {
      const leaf = group
        .members()
        .find(({ leafNode }) => equal(leafNode.signatureKey, intent.signatureKey));
      return leaf ? { removed: [leaf.leafIndex] } : "over";
    }
    case "renew":
      return renewal(state, group, number, intent);
    case "return":
      return returns(state, group);
    case "refresh":
      // Any commit of ours brings fresh keys for our leaf.
      return {};
    case "revoke":
      return links.length > 0 ? { links: [] } : "over";
  }
}

/** The account's devices. */
async function addition(
  state: ConversationState,
  group: Group,
  number: number,
  intent: Addition,
): Promise<Change | "over"> {
  const account = hex(intent.accountId);
  if (state.roster.some(({ accountId }) => accountId === account)) return "over";
  const added: Entrant[] = [];
  for (const keyPackage of await keyPackagesFor(state, group, number, intent)) {
    if (await acceptable(state, keyPackage)) added.push({ keyPackage });
  }
  if (added.length === 0) {
    throw new ClientError(
      "no-key-packages",
      "the service has no usable key package of the account",
    );
  }
  return { added };
}

/** Commits a change, without those who can't come in: whoever is full, or wants back in with what is no good, keeps nobody else out. */
async function compose(
  state: ConversationState,
  group: Group,
  change: Change,
  intent?: number,
): Promise<Outcome> {
  let { added = [] } = change;
  for (;;) {
    try {
      return await commitOnce(state, group, { ...change, added }, intent);
    } catch (error) {
      if (group.pendingCommit || added.length === 0 || !failureOf(error)) throw error;
      const full = await fullAmong(state, added, error);
      const others = added.filter((entrant) => !full.includes(entrant));
      if (added.some(({ instead }) => instead !== undefined)) {
        // One of them is at fault: found by halves.
        if (full.length === 0 && added.length > 1) added = added.slice(0, added.length >> 1);
        else {
          await leaveOut(state, full.length > 0 ? full : added);
          added = full.length > 0 ? others : [];
        }
        // They are looked for again, without those that were left out.
        if (added.length === 0) return "accepted";
      } else if (change.removed?.length) {
        // Whoever goes doesn't wait for those who can't come.
        added = full.length > 0 ? others : [];
      } else if (full.length > 0 && others.length > 0) added = others;
      else throw error;
    }
  }
}

/** Those whose devices a service named as full when it refused a commit. */
async function fullAmong(
  { context }: ConversationState,
  added: readonly Entrant[],
  error: unknown,
): Promise<readonly Entrant[]> {
  const refused = causeOf(error, ServiceError);
  const named = refused?.code === "device-full" && refused.problem?.["keyPackages"];
  if (!Array.isArray(named)) return [];
  const refs = await Promise.all(
    added.map(async ({ keyPackage }) =>
      bytesToText((await validateKeyPackage(context, keyPackage)).ref),
    ),
  );
  return added.filter((_, i) => named.includes(refs[i]));
}

/** They can't be brought back now: the person is told, and it is tried again later. */
async function leaveOut(state: ConversationState, entrants: readonly Entrant[]): Promise<void> {
  const { environment, directory, leftOut } = state;
  const step = state.step();
  for (const { keyPackage } of entrants) {
    const { accountId, signatureKey } = await deviceOf(readKeyPackage(keyPackage).leafNode);
    if (!leftOut.has(signatureKey)) tellLeftOut(step, accountId, directory.nameOf(accountId));
    leftOut.set(signatureKey, environment.now() + environment.timing.poll);
  }
  await step.apply();
}

async function commitOnce(
  state: ConversationState,
  group: Group,
  { removed = [], added = [], links }: Change,
  intent: number | undefined,
): Promise<Outcome> {
  const removal = (leafIndex: number): Proposal => ({ proposalType: "remove", removed: leafIndex });
  const proposals = [
    ...removed.map(removal),
    ...added.flatMap(({ keyPackage, instead }): readonly Proposal[] => [
      ...(instead === undefined ? [] : [removal(instead)]),
      { proposalType: "add", keyPackage: readKeyPackage(keyPackage) },
    ]),
  ];
  const someoneGoes =
    removed.length > 0 ||
    group.pendingProposals.some(({ proposal }) => proposal.proposalType === "remove");
  const before = linksOf(group.extensions);
  // Who is removed may know the links.
  const after = someoneGoes ? [] : (links ?? before);
  const relinked: Proposal[] =
    after === before || (after.length === 0 && before.length === 0)
      ? []
      : [
          {
            proposalType: "group_context_extensions",
            extensions: withLinks(group.extensions, after),
          },
        ];
  state.judgeNow();
  await group.commit({
    proposals: [...proposals, ...relinked],
    authenticatedData: commitData(await state.chain(group)),
    joinerExtensions: [titleExtension(state.record.title)],
    groupInfoForJoiners: true,
    and: () => {
      const key = KEYS.composing(state.id);
      return intent === undefined
        ? { delete: [key] }
        : { put: new Map([[key, utf8Bytes(intent.toString(16))]]) };
    },
  });
  return push(state, group);
}

/**
 * Posts a commit that is left from before: from before a restart, or from when no answer came. Where it is refused, what it was for is
 * composed anew.
 */
export async function pushAgain(state: ConversationState, group: Group): Promise<Outcome> {
  try {
    return await push(state, group);
  } catch (error) {
    if (group.pendingCommit || isOfStorage(error)) throw error;
    state.environment.log("commit", error);
    return "lost";
  }
}

/** Posts the pending commit. It stays pending where no answer comes (throws `ServiceError`). */
async function push(state: ConversationState, group: Group): Promise<Outcome> {
  const bundle = group.pendingCommit;
  if (!bundle) return "lost";
  const { epoch } = group;
  const body = await requestOf(state, bundle);
  let accepted: Accepted;
  try {
    accepted = await state.environment.service.commit({ groupId: state.groupId, body });
  } catch (error) {
    if (!(error instanceof ServiceError) || error.transient) throw error;
    if (error.problem === undefined) {
      // That is not the service's word: it may have taken the commit, and then the log has it.
      await catchUp(state);
      if (!group.pendingCommit) return "lost";
    }
    if (error.code === "pending-proposals") {
      // Somebody asked to leave meanwhile: it goes into the commit that is composed next.
      await catchUp(state);
      if (group.pendingCommit) await group.discardPendingCommit();
      return "lost";
    }
    if (isOfOtherEpoch(error)) {
      await nextEpoch(state, group, epoch);
      if (group.pendingCommit) await group.discardPendingCommit();
      return "lost";
    }
    await group.discardPendingCommit();
    throw error;
  }
  const { seq, acceptedAt } = accepted;
  if (seq === state.position.cursor + 1) {
    await readEntry(state, { seq, epoch, kind: "commit", message: bundle.commit, acceptedAt });
  } else {
    await catchUp(state);
  }
  return "accepted";
}

/** All that goes with a commit: every link gets the new epoch's GroupInfo. */
export async function requestOf(
  state: ConversationState,
  bundle: Pick<CommitBundle, "commit" | "groupInfo" | "groupInfoForJoiners"> & {
    readonly welcome?: Bytes | undefined;
  },
): Promise<CommitRequest> {
  const links = linksOf(readGroupInfo(bundle.groupInfo).groupContext.extensions);
  const { groupInfoForJoiners } = bundle;
  if (!groupInfoForJoiners) throw new TypeError("a commit without what its links need");
  return {
    commit: bundle.commit,
    ...(bundle.welcome && { welcome: bundle.welcome }),
    groupInfo: bundle.groupInfo,
    links: [...(await sealToLinks(state.environment.crypto, links, groupInfoForJoiners))],
  };
}
