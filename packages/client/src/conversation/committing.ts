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
  MlsError,
  type Proposal,
  readGroupInfo,
  readKeyPackage,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { validateKeyPackage } from "@conclave/mls/public-group";
import { ClientError } from "../api.ts";
import { equal, hex, utf8Bytes } from "../bytes.ts";
import { sealToLinks, titleExtension, withLinks } from "../invitation.ts";
import { causeOf, refusalOf } from "../refusal.ts";
import { acceptable, claimFor } from "./claiming.ts";
import { commitData } from "./commit-data.ts";
import { catchUp, readEntry } from "./reading.ts";
import { type Intent, KEYS } from "./records.ts";
import { noteLeftOut, renewal } from "./renewing.ts";
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
  return compose(state, group, { proposals: [], links: undefined, intent: undefined });
}

/** Takes out the leaves of members that can't follow, and lets the same devices in again. */
export async function commitReturns(
  state: ConversationState,
  group: Group,
  proposals: readonly Proposal[],
): Promise<Outcome> {
  return compose(state, group, { proposals, links: undefined, intent: undefined, returns: true });
}

/** Carries out an intent: with a commit, or by finding that there is nothing left to do. */
export async function commitIntent(
  state: ConversationState,
  group: Group,
  number: number,
  intent: Intent,
): Promise<Outcome> {
  try {
    const change = await changeFor(state, group, number, intent);
    if (change) return await compose(state, group, { ...change, intent: number });
    await settle(state, number, undefined);
    return "accepted";
  } catch (error) {
    const failure = failureOf(error);
    if (!failure) throw error;
    state.environment.log("commit", error);
    if (await withoutFull(state, number, error)) return "lost";
    await settle(state, number, failure);
    return "accepted";
  }
}

/** Whether a commit was refused for devices that can take in no more, and there are others: the intent goes on with those. */
async function withoutFull(
  state: ConversationState,
  number: number,
  error: unknown,
): Promise<boolean> {
  const refused = causeOf(error, ServiceError);
  const named = refused?.code === "device-full" && refused.problem?.["keyPackages"];
  // With the key packages that were claimed for it.
  const [first, held] = state.intents.first() ?? [];
  if (first !== number || held?.type !== "add" || !Array.isArray(named)) return false;
  const keyPackages: Bytes[] = [];
  for (const keyPackage of held.keyPackages) {
    const { ref } = await validateKeyPackage(state.context, keyPackage);
    if (!named.includes(bytesToText(ref))) keyPackages.push(keyPackage);
  }
  if (keyPackages.length === 0 || keyPackages.length === held.keyPackages.length) return false;
  const step = state.step();
  step.afterwards(state.intents.stage(step.batch, number, { ...held, keyPackages }));
  await step.apply();
  return true;
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

/** What there is no use in trying again for; undefined for what is temporary. */
export function failureOf(error: unknown): ClientError | undefined {
  if (error instanceof ClientError) {
    return error.code === "storage" || error.code === "fenced" ? undefined : error;
  }
  const refusal = refusalOf(error);
  if (refusal) return new ClientError("refused", refusal.message, { cause: error });
  const service = causeOf(error, ServiceError);
  if (service) {
    return service.transient
      ? undefined
      : new ClientError("refused", service.code, { cause: error });
  }
  const mls = causeOf(error, MlsError);
  return mls && mls.code !== "storage"
    ? new ClientError("refused", mls.code, { cause: error })
    : undefined;
}

interface Change {
  readonly proposals: readonly Proposal[];
  /** The group's links behind it; undefined to leave them. */
  readonly links: readonly Link[] | undefined;
}

/** What must be proposed for this intent; undefined if the group is that way already. */
async function changeFor(
  state: ConversationState,
  group: Group,
  number: number,
  intent: Intent,
): Promise<Change | undefined> {
  const links = linksOf(group.extensions);
  switch (intent.type) {
    case "add":
      return addition(state, group, number, intent);
    case "remove": {
      const account = hex(intent.accountId);
      const leaves = state.roster.filter(({ accountId }) => accountId === account);
      const proposals = leaves.map(
        ({ leafIndex }): Proposal => ({ proposalType: "remove", removed: leafIndex }),
      );
      return proposals.length > 0 ? { proposals, links: undefined } : undefined;
    }
    case "invite": {
      const open = links.filter((link) => Number(link.expiresAt) * 1000 > state.environment.now());
      const there = links.some((link) => equal(link.signatureKey, intent.link.signatureKey));
      return there ? undefined : { proposals: [], links: [...open, intent.link] };
    }
    case "release": {
      const leaf = group
        .members()
        .find(({ leafNode }) => equal(leafNode.signatureKey, intent.signatureKey));
      if (!leaf) return undefined;
      return { proposals: [{ proposalType: "remove", removed: leaf.leafIndex }], links: undefined };
    }
    case "renew": {
      const proposals = await renewal(state, group, intent);
      return proposals && { proposals, links: undefined };
    }
    case "refresh":
      // Any commit of ours brings fresh keys for our leaf.
      return { proposals: [], links: undefined };
    case "revoke":
      return links.length > 0 ? { proposals: [], links: [] } : undefined;
  }
}

/** The account's devices, by key packages that are claimed once and kept until they are used. */
async function addition(
  state: ConversationState,
  group: Group,
  number: number,
  intent: Extract<Intent, { type: "add" }>,
): Promise<Change | undefined> {
  const account = hex(intent.accountId);
  if (state.roster.some(({ accountId }) => accountId === account)) return undefined;
  let { keyPackages } = intent;
  if (keyPackages.length === 0) {
    const claimed = await claimFor(state, group, intent.accountId);
    keyPackages = claimed.keyPackages.map(({ keyPackage }) => keyPackage);
    const step = state.step();
    if (keyPackages.length > 0) noteLeftOut(state, step, intent.accountId, claimed.keyPackages);
    step.afterwards(state.intents.stage(step.batch, number, { ...intent, keyPackages }));
    await step.apply();
  }
  const proposals: Proposal[] = [];
  for (const keyPackage of keyPackages) {
    if (await acceptable(state, keyPackage)) {
      proposals.push({ proposalType: "add", keyPackage: readKeyPackage(keyPackage) });
    }
  }
  if (proposals.length === 0) {
    throw new ClientError(
      "no-key-packages",
      "the service has no usable key package of the account",
    );
  }
  return { proposals, links: undefined };
}

async function compose(
  state: ConversationState,
  group: Group,
  {
    proposals,
    links,
    intent,
    returns = false,
  }: Change & {
    readonly intent: number | undefined;
    /** Whoever these proposals remove comes back with them. */
    readonly returns?: boolean;
  },
): Promise<Outcome> {
  const pending = group.pendingProposals.map(({ proposal }) => proposal);
  const removes = [...(returns ? [] : proposals), ...pending].some(
    ({ proposalType }) => proposalType === "remove",
  );
  const before = linksOf(group.extensions);
  // Who is removed may know the links.
  const after = removes ? [] : (links ?? before);
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

/** Posts the pending commit. It stays pending where no answer comes (throws `ServiceError`). */
export async function push(state: ConversationState, group: Group): Promise<Outcome> {
  const bundle = group.pendingCommit;
  if (!bundle) return "lost";
  const { epoch } = group;
  let accepted: Accepted;
  try {
    const request = await requestOf(state, bundle);
    accepted = await state.environment.service.commit({
      groupId: state.groupId,
      body: request,
    });
  } catch (error) {
    if (!(error instanceof ServiceError) || error.transient) throw error;
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
