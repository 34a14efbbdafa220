/**
 * A commit, checked and computed as far as its public part goes; members add the secrets, the service does not need them.
 * RFC 9420 §12.4.2, §12.4.3.2.
 * @module
 */

import { bytesEqual } from "../bytes.ts";
import { type Bytes, encode } from "../codec.ts";
import { checkPublicKey } from "../crypto/hpke.ts";
import { verifyAlone } from "../crypto/signature.ts";
import { MlsError } from "../errors.ts";
import {
  type AuthenticatedContent,
  confirmedTranscriptHash,
  type Sender,
} from "../framing/content.ts";
import { type Commit, encodeLeafNode, type Proposal } from "../framing/proposal.ts";
import { Credential, type Credentialed } from "../key/credential.ts";
import { externalSendersOf } from "../key/extension.ts";
import { GroupContext, interimTranscriptHash } from "../key/group-context.ts";
import { keyCount } from "../tree/key-index.ts";
import {
  checkLeafNode,
  checkTotalLifetime,
  type LeafNode,
  MAX_LIFETIME,
  verifyLeafNode,
} from "../tree/leaf-node.ts";
import { addLeaf, leafAt, membersOf, type RatchetTree } from "../tree/ratchet-tree.ts";
import { rootHash } from "../tree/tree-hash.ts";
import { checkSupport, checkUnique } from "../tree/tree-validation.ts";
import { mergePath, type ReceivedPath, type UpdatePath } from "../tree/update-path.ts";
import { checkGroup } from "./group-rules.ts";
import {
  type AppliedProposals,
  applyProposals,
  type ListedProposal,
  listProposals,
} from "./proposal-list.ts";
import type { CommitSummary, PublicContext, PublicState } from "./public-state.ts";

export interface StagedCommit {
  readonly summary: CommitSummary;
  readonly applied: AppliedProposals;
  /** With the proposals applied, the external committer's leaf included: what the path was encrypted under. */
  readonly provisionalTree: RatchetTree;
  /** The leaves that came by Add: the path is not for them. */
  readonly newLeaves: ReadonlySet<number>;
  /** The encoded provisional GroupContext, which path secrets are encrypted under (§12.4.1). */
  readonly provisionalContext: Bytes;
  /** The public state of the next epoch. */
  readonly next: PublicState;
}

/** A commit's path, with what it was encrypted under and for whom (§7.6, §12.4.1). */
export function receivedPath(staged: StagedCommit, path: UpdatePath): ReceivedPath {
  const { summary, newLeaves, provisionalContext } = staged;
  return {
    leafIndex: summary.committer,
    path,
    added: newLeaves,
    groupContext: provisionalContext,
  };
}

/** Epochs are counted in 64 bits (§8.1). */
const LAST_EPOCH = 2n ** 64n - 1n;

/**
 * The GroupContext that a path is encrypted under: of the next epoch, but for the transcript (§12.4.1).
 * Throws `MlsError` with `exhausted` where there is no next epoch.
 */
export function provisionalContext(
  state: PublicState,
  applied: AppliedProposals,
  tree: RatchetTree,
): GroupContext {
  const { epoch } = state.groupContext;
  if (epoch >= LAST_EPOCH) throw new MlsError("exhausted", "8.1", "the group is at its last epoch");
  return {
    ...state.groupContext,
    epoch: epoch + 1n,
    treeHash: rootHash(state.suite, tree),
    extensions: applied.extensions,
  };
}

/** The next epoch's GroupContext, once the commit is signed (§8.2). */
export function nextContext(
  state: PublicState,
  provisional: GroupContext,
  commit: AuthenticatedContent,
): GroupContext {
  const { suite, interimTranscriptHash: interim } = state;
  return {
    ...provisional,
    confirmedTranscriptHash: confirmedTranscriptHash(suite, interim, commit),
  };
}

/** The next epoch's public state, once the confirmation tag is known too. */
export function nextState(
  state: PublicState,
  applied: AppliedProposals,
  tree: RatchetTree,
  groupContext: GroupContext,
  confirmationTag: Bytes,
): PublicState {
  const confirmed = groupContext.confirmedTranscriptHash;
  return {
    suite: state.suite,
    groupContext,
    tree,
    confirmationTag,
    interimTranscriptHash: interimTranscriptHash(state.suite, confirmed, confirmationTag),
    proposals: new Map(),
    reinit: applied.reinit,
  };
}

export function summarize(
  state: PublicState,
  applied: AppliedProposals,
  commit: {
    readonly committer: number;
    readonly external: boolean;
    readonly authenticatedData: Bytes;
    readonly pathLeaf: LeafNode | undefined;
    readonly list: readonly ListedProposal[];
  },
): CommitSummary {
  const { added, removed, updated, extensions } = applied;
  const { committer, external, authenticatedData, pathLeaf, list } = commit;
  return {
    groupId: state.groupContext.groupId,
    epoch: state.groupContext.epoch,
    committer,
    external,
    authenticatedData,
    pathLeaf,
    proposals: list.map(({ proposal, sender, ref }) => ({ proposal, sender, ref })),
    encodedPathLeaf: pathLeaf && encodeLeafNode(pathLeaf),
    added,
    removed,
    updated,
    extensionsBefore: state.groupContext.extensions,
    extensionsAfter: extensions,
    proposalTypes: applied.proposalTypes,
    reinit: applied.reinit,
  };
}

/** Whether a leaf brings in a credential or key that was not judged before (§5.3.1). */
function isChanged({ previous, next }: { previous: Credentialed; next: Credentialed }): boolean {
  return (
    !bytesEqual(previous.signatureKey, next.signatureKey) ||
    !bytesEqual(encode(Credential, previous.credential), encode(Credential, next.credential))
  );
}

/**
 * The application's word on a proposal that waits for a commit: on the credentials it would bring in, so that none that
 * is refused stands in the way of every commit (§5.3.1).
 */
export async function judgeProposal(
  context: PublicContext,
  state: PublicState,
  proposal: Proposal,
  sender: Sender,
): Promise<void> {
  const { authentication } = context;
  if (proposal.proposalType === "add") {
    await authentication.validate([proposal.keyPackage.leafNode], "new");
  }
  if (proposal.proposalType === "group_context_extensions") {
    const externals = externalSendersOf(proposal.extensions);
    if (externals.length > 0) await authentication.validate(externals, "new");
  }
  if (proposal.proposalType === "update" && sender.senderType === "member") {
    const { leafNode: next } = proposal;
    const previous = leafAt(state.tree, sender.leafIndex);
    if (previous && isChanged({ previous, next })) await authentication.validate([next], "new");
    if (previous) await checkSuccessor(context, previous, next);
  }
  const { groupId, epoch } = state.groupContext;
  await byPolicy(() => context.proposalPolicy?.({ groupId, epoch, proposal, sender }));
}

/** What the application doesn't want is refused like what breaks a rule (§12.4). */
async function byPolicy(policy: () => unknown): Promise<void> {
  try {
    await policy();
  } catch (cause) {
    if (cause instanceof MlsError) throw cause;
    throw new MlsError("policy", "12.4", "the application's policy refuses this", { cause });
  }
}

async function checkSuccessor(
  { authentication }: PublicContext,
  previous: Credentialed,
  next: Credentialed,
): Promise<void> {
  if (await authentication.isSuccessor(previous, next)) return;
  throw new MlsError("authentication", "5.3.1", "a leaf is replaced by one that is no successor");
}

/** §12.2: no client is added twice, or while it is a member, by the application's word on who is who. */
function checkClients(context: PublicContext, state: PublicState, summary: CommitSummary): void {
  const { clientOf } = context.authentication;
  if (!clientOf || summary.added.length === 0) return;
  const gone = new Set(summary.removed.map(({ leafIndex }) => leafIndex));
  const staying = membersOf(state.tree).filter(({ leafIndex }) => !gone.has(leafIndex));
  const clients = new Set(staying.map(({ leafNode }) => clientOf(leafNode)));
  for (const { leafNode } of summary.added) {
    const client = clientOf(leafNode);
    if (clients.has(client)) {
      throw new MlsError("proposal-list", "12.2", "an Add of a client that is there already");
    }
    clients.add(client);
  }
}

/** The application's word on a commit: on every credential it brings in, on every leaf it replaces, on what it does. */
export async function judge(
  context: PublicContext,
  state: PublicState,
  summary: CommitSummary,
  replaced: LeafNode | undefined,
): Promise<void> {
  const { pathLeaf, committer, external } = summary;
  const replacements = [...summary.updated];
  const previous = external ? replaced : leafAt(state.tree, committer);
  if (pathLeaf && previous) replacements.push({ leafIndex: committer, previous, next: pathLeaf });
  for (const { leafNode } of summary.added) {
    checkTotalLifetime(leafNode.source, context.maxLifetime ?? MAX_LIFETIME);
  }
  const entering: Credentialed[] = summary.added.map(({ leafNode }) => leafNode);
  for (const one of summary.updated) if (isChanged(one)) entering.push(one.next);
  const same = !external && previous && pathLeaf && !isChanged({ previous, next: pathLeaf });
  if (pathLeaf && !same) entering.push(pathLeaf);
  if (summary.extensionsAfter !== summary.extensionsBefore) {
    entering.push(...externalSendersOf(summary.extensionsAfter));
  }
  if (entering.length > 0) await context.authentication.validate(entering, "new");
  for (const replacement of replacements) {
    await checkSuccessor(context, replacement.previous, replacement.next);
  }
  checkClients(context, state, summary);
  await byPolicy(() => context.policy?.(summary, [...state.proposals.values()]));
}

/**
 * Checks a commit whose signature has been verified, and computes the next public state. `state` stays as it is.
 * Throws `MlsError`.
 */
export async function stageCommit(
  context: PublicContext,
  state: PublicState,
  authenticated: AuthenticatedContent,
  commit: Commit,
): Promise<StagedCommit> {
  const { sender, authenticatedData } = authenticated.content;
  if (sender.senderType !== "member" && sender.senderType !== "new_member_commit") {
    throw new MlsError(
      "sender-not-allowed",
      "6.1",
      `a commit from a sender of type ${sender.senderType}`,
    );
  }
  if (state.reinit) {
    throw new MlsError("group-closed", "11.2", "a commit in a group that was re-initialised");
  }
  const { confirmationTag } = authenticated.auth;
  if (!confirmationTag) throw new MlsError("confirmation-tag", "6.1", "a commit without its tag");
  const external = sender.senderType === "new_member_commit";
  const list: readonly ListedProposal[] = listProposals(state, commit, sender);
  const applied = await applyProposals(
    context,
    state,
    list,
    external ? undefined : sender.leafIndex,
  );
  if (!commit.path && applied.pathRequired) {
    throw new MlsError("path-required", "12.4", "this commit must have a path");
  }

  const { suite } = state;
  const { groupId } = state.groupContext;
  let provisionalTree = applied.tree;
  let committer = external ? -1 : sender.leafIndex;
  if (external && commit.path) {
    const placed = addLeaf(provisionalTree, commit.path.leafNode);
    provisionalTree = placed.tree;
    committer = placed.leafIndex;
  }
  const newLeaves = new Set(applied.added.map(({ leafIndex }) => leafIndex));
  let tree = provisionalTree;
  if (commit.path) {
    const { leafNode, nodes } = commit.path;
    checkLeafNode(leafNode, "commit");
    // §12.2: who comes back meets the same criteria as who updates its leaf.
    const before = external ? applied.removed[0]?.leafNode : leafAt(state.tree, committer);
    if (before && bytesEqual(before.encryptionKey, leafNode.encryptionKey)) {
      throw new MlsError(
        "leaf-encryption-key",
        "12.4.2",
        "a path that keeps its leaf's encryption key",
      );
    }
    // Before a key is looked at: a path has a node for each level at most, whatever it claims.
    if (2 ** nodes.length > provisionalTree.leafCount) {
      throw new MlsError("update-path", "7.5", `a path of ${nodes.length} nodes in this tree`);
    }
    const newKeys = [leafNode, ...nodes].map(({ encryptionKey }) => encryptionKey);
    await checkPublicKey(suite, ...newKeys);
    await verifyLeafNode(suite, leafNode, { groupId, leafIndex: committer }, verifyAlone);
    for (const { encryptionKey } of nodes) {
      // §12.4.2: not even a key that this very path replaces may come back.
      if (keyCount(state.tree.keys, encryptionKey) > 0) {
        throw new MlsError("update-path", "12.4.2", "a path with a public key that is in use");
      }
    }
    tree = mergePath(suite, provisionalTree, committer, commit.path, newLeaves);
    checkUnique(tree);
    checkSupport(tree, applied.extensions);
  }
  const pathLeaf = commit.path?.leafNode;
  const about = { committer, external, authenticatedData, pathLeaf, list };
  const summary = summarize(state, applied, about);
  await judge(context, state, summary, applied.replaced);
  await checkGroup(context, applied.extensions, tree);

  const provisional = provisionalContext(state, applied, tree);
  const groupContext = nextContext(state, provisional, authenticated);
  return {
    summary,
    applied,
    provisionalTree,
    newLeaves,
    provisionalContext: GroupContext.encoded(provisional),
    next: nextState(state, applied, tree, groupContext, confirmationTag),
  };
}
