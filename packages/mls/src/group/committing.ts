/**
 * The life of a commit of ours: composed and stored, then accepted, or lost and deleted with its secrets.
 * RFC 9420 §12.4.1, §14.
 * @module
 */

import { EMPTY, wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { MlsError } from "../errors.ts";
import type { Proposal } from "../framing/proposal.ts";
import type { Extension } from "../key/extension.ts";
import { PROPOSAL } from "../registry.ts";
import { leafAt } from "../tree/ratchet-tree.ts";
import {
  type AuthenticatedData,
  type CommitBundle,
  type ComposedCommit,
  composeCommit,
  type NewLeaf,
} from "./compose.ts";
import { commitEvents } from "./events.ts";
import { checkProposals } from "./inspection.ts";
import type { And, LiveGroup } from "./live-group.ts";
import { resolvePsks } from "./pre-shared-key.ts";
import type { ListedProposal } from "./proposal-list.ts";
import { fittingProposals, selectProposals } from "./proposal-selection.ts";
import type { CommitSummary } from "./public-state.ts";
import type { Received } from "./receiving.ts";
import { handshakeFormat, protect } from "./sending.ts";
import { encodePending } from "./stored-group.ts";

/** What a commit of ours holds, and how it is made. */
export interface CommitOptions {
  /** By value; pending ones go along by reference. */
  readonly proposals?: readonly Proposal[];
  readonly authenticatedData?: AuthenticatedData;
  /** GroupInfo extensions for joiners alone: in the Welcome, and in `groupInfoForJoiners`. */
  readonly joinerExtensions?: readonly Extension[];
  /** Whether the bundle is to have a GroupInfo by which anyone can join (§12.4.3.2): not, unless asked for. */
  readonly groupInfoForJoiners?: boolean;
  /** A path also where the proposals don't ask for one. */
  readonly forcePath?: boolean;
  /** What our leaf is to say from now on; it takes a path. A new signer signs once the commit is accepted. */
  readonly leaf?: NewLeaf;
  readonly and?: And<CommitBundle>;
}

/** Composes a commit over the pending proposals and those given, and stores it with the epoch after it. */
export async function commit(group: LiveGroup, options: CommitOptions): Promise<CommitBundle> {
  group.checkActive();
  if (group.pending) throw new MlsError("pending-commit", "14", "a commit of ours is under way");
  const { state, ownLeaf } = group.live;
  const { authentication } = group.context;
  const pending = [...state.proposals.values()];
  const list = selectProposals(pending, options.proposals ?? [], {
    ownLeaf,
    tree: state.tree,
    clientOf: authentication.clientOf,
    rules: group.context.rules,
  });
  const { taken, ...composed } = await compose(group, list, options).catch(async (cause) => {
    const fitting = await fittingProposals(list, (some) => checkList(group, some));
    if (fitting.length === list.length) throw cause;
    return compose(group, fitting, options);
  });
  const record = new Map([[group.keys.pending, encodePending(state.tree, composed)]]);
  const batches = [taken?.batch, { put: record }];
  try {
    await group.change(batches, () => options.and?.(composed.bundle), taken);
  } catch (cause) {
    group.wipeNext(composed.next);
    throw cause;
  }
  if (options.leaf?.signer) group.know(options.leaf.signer);
  group.pending = { composed };
  group.events.emit(() => [{ type: "commit-composed", epoch: composed.summary.epoch }]);
  return composed.bundle;
}

/** Composes a commit of ours over a list of proposals; nothing is stored yet. */
export async function compose(
  group: LiveGroup,
  list: readonly ListedProposal[],
  options: Omit<CommitOptions, "proposals" | "and">,
): ReturnType<typeof composeCommit> {
  const { live, context, signer } = group;
  const { state, ownLeaf, keys, secrets } = live;
  const pskSecret = await pskSecretFor(group, list);
  const composed = composeCommit(context, {
    state,
    list,
    signer,
    committer: { leafIndex: ownLeaf, keys },
    initSecret: secrets.initSecret,
    pskSecret,
    leaf: options.leaf,
    // Without a path the next epoch follows from the words of a commit alone. A commit that was given up may have been seen,
    // and its Welcome with it: the same words again would encrypt another GroupInfo with the same key and nonce.
    forcePath: options.forcePath || group.discarded,
    authenticatedData: options.authenticatedData ?? EMPTY,
    joinerExtensions: options.joinerExtensions ?? [],
    groupInfoForJoiners: options.groupInfoForJoiners ?? false,
    wireFormat: handshakeFormat(group),
    protect: (signed, encodedContext) => protect(group, signed, encodedContext),
  });
  return composed.finally(() => {
    wipe(pskSecret);
  });
}

function pskSecretFor(group: LiveGroup, list: readonly ListedProposal[]): Promise<Bytes> {
  const psks = list.flatMap(({ proposal }) =>
    proposal.proposalType === "psk" ? [proposal.psk] : [],
  );
  return resolvePsks(group.context, group.live.state.suite, psks);
}

/** Throws where we cannot commit a list, whatever the path will be. */
async function checkList(group: LiveGroup, list: readonly ListedProposal[]): Promise<void> {
  const pskSecret = await pskSecretFor(group, list);
  wipe(pskSecret);
  await checkProposals(group.context, group.live.state, list, group.live.ownLeaf);
}

/** Our commit lost, or was never sent: it is deleted, and its secrets with it. */
export async function discardPending(
  group: LiveGroup,
  and: And<undefined> | undefined,
): Promise<void> {
  group.checkNotGone();
  if (!group.pending) throw new MlsError("no-pending-commit", "14", "no commit is under way");
  const { epoch } = group.pending.composed.summary;
  const mark = new Map([[group.keys.discarded, EMPTY]]);
  await group.change([{ put: mark, delete: [group.keys.pending] }], () => and?.(undefined));
  group.discarded = true;
  group.wipePending();
  group.events.emit(() => [{ type: "commit-discarded", epoch }]);
}

/** The commit that we join by was accepted. */
export async function mergeJoining(
  group: LiveGroup,
  and: And<Received> | undefined,
): Promise<Received> {
  const before = group.status;
  const received = ownCommit(joiningSummary(group), group.live.state.groupContext.epoch);
  await group.confirm(() => and?.(received));
  group.events.emit(() => commitEvents(received, { before, after: group.status }));
  return received;
}

/** Our own commit, which was under way, was accepted: the epoch that was computed with it begins. */
export async function mergeOwn(
  group: LiveGroup,
  { summary, next }: ComposedCommit,
  and: And<Received> | undefined,
): Promise<Received> {
  const before = group.status;
  const received = ownCommit(summary, next.state.groupContext.epoch);
  await group.enter(next, () => and?.(received), { own: true });
  group.events.emit(() => commitEvents(received, { before, after: group.status }));
  return received;
}

function ownCommit(summary: CommitSummary, epoch: bigint): Extract<Received, { type: "commit" }> {
  return { type: "commit", own: true, summary, epoch, lostPending: false, removed: false };
}

/** What is left to say of the external commit that we joined by. */
function joiningSummary({ live: { state, ownLeaf } }: LiveGroup): CommitSummary {
  const { groupId, epoch, extensions } = state.groupContext;
  return {
    groupId,
    epoch: epoch - 1n,
    committer: ownLeaf,
    external: true,
    authenticatedData: EMPTY,
    pathLeaf: leafAt(state.tree, ownLeaf),
    encodedPathLeaf: undefined,
    added: [],
    removed: [],
    updated: [],
    extensionsBefore: extensions,
    extensionsAfter: extensions,
    proposals: [],
    proposalTypes: [PROPOSAL.externalInit],
  };
}
