/**
 * The public side of a group in one epoch, as members and the service both follow it; and what an operation needs from
 * its caller. RFC 9420 §8.1, §8.2, §12.4.
 * @module
 */

import { toHex } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import type { CryptoProvider, Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { type AuthenticatedContent, proposalRef, type Sender } from "../framing/content.ts";
import type { Proposal, ReInit } from "../framing/proposal.ts";
import type { AuthenticationService } from "../key/credential.ts";
import type { Extension } from "../key/extension.ts";
import type { GroupContext } from "../key/group-context.ts";
import type { LeafNode } from "../tree/leaf-node.ts";
import type { Member, RatchetTree } from "../tree/ratchet-tree.ts";
import type { GroupRules } from "./group-rules.ts";

/** A proposal that may be committed by reference in this epoch. */
export interface PendingProposal {
  readonly ref: Bytes;
  readonly proposal: Proposal;
  readonly sender: Sender;
  /** As it came: what `ref` is the hash of. */
  readonly authenticated: AuthenticatedContent;
}

/** A proposal as it came, which `authenticated` holds, with what names it. */
export function pendingProposal(
  suite: Suite,
  authenticated: AuthenticatedContent,
  proposal: Proposal,
): PendingProposal {
  const { sender } = authenticated.content;
  return { ref: proposalRef(suite, authenticated), proposal, sender, authenticated };
}

/** A value: an operation takes one and gives the next. */
export interface PublicState {
  readonly suite: Suite;
  readonly groupContext: GroupContext;
  readonly tree: RatchetTree;
  /** Of the commit that began the epoch. */
  readonly confirmationTag: Bytes;
  readonly interimTranscriptHash: Bytes;
  /** By `ref` in hexadecimal, in the order they came. */
  readonly proposals: ReadonlyMap<string, PendingProposal>;
  /** Where the commit that began the epoch re-initialises the group: it is over, and goes on as the one described here (§11.2). */
  readonly reinit?: ReInit | undefined;
}

export function withProposal(state: PublicState, pending: PendingProposal): PublicState {
  const proposals = new Map(state.proposals).set(toHex(pending.ref), pending);
  return { ...state, proposals };
}

/** How many proposals wait for a commit at most, unless the context says otherwise. */
const MAX_PENDING_PROPOSALS = 1024;

/**
 * Throws `MlsError` with `too-many-proposals` where no other proposal may wait to be committed. One of our own stops at half the
 * room: others may be under way, which everybody else takes before it.
 */
export function checkRoom(
  { maxPendingProposals = MAX_PENDING_PROPOSALS }: Pick<PublicContext, "maxPendingProposals">,
  state: PublicState,
  { ref }: PendingProposal,
  own = false,
): void {
  const room = own ? Math.ceil(maxPendingProposals / 2) : maxPendingProposals;
  if (state.proposals.size < room || state.proposals.has(toHex(ref))) return;
  throw new MlsError("too-many-proposals", "12.4", `${room} proposals wait already`);
}

/** A proposal in a commit, and who is answerable for it. */
export interface CommittedProposal {
  readonly proposal: Proposal;
  /** Who proposed it; the committer, where it stands in the commit by value. */
  readonly sender: Sender;
  /** Its `ProposalRef`, where the commit names it by that. */
  readonly ref: Bytes | undefined;
}

/** What a commit does, in public terms: what a policy judges and an application tells its users. */
export interface CommitSummary {
  readonly groupId: Bytes;
  /** The epoch that the commit ends. */
  readonly epoch: bigint;
  /** The committer's leaf index; for an external commit the new one. */
  readonly committer: number;
  readonly external: boolean;
  /** Signed by the committer, and visible to everyone. */
  readonly authenticatedData: Bytes;
  readonly pathLeaf: LeafNode | undefined;
  /** As it stands on the wire. */
  readonly encodedPathLeaf: Bytes | undefined;
  readonly added: readonly (Member & { readonly keyPackageRef: Bytes })[];
  readonly removed: readonly Member[];
  readonly updated: readonly {
    readonly leafIndex: number;
    readonly previous: LeafNode;
    readonly next: LeafNode;
  }[];
  /** Of the GroupContext. */
  readonly extensionsBefore: readonly Extension[];
  readonly extensionsAfter: readonly Extension[];
  /** In the order in which they stand in it. */
  readonly proposals: readonly CommittedProposal[];
  /** The types of its proposals (§17.4), each once, increasing. */
  readonly proposalTypes: readonly number[];
  /** With it the group ends here, and goes on as the one described (§11.2). */
  readonly reinit?: ReInit | undefined;
}

/**
 * Throws to refuse a commit, which then ends in `MlsError` with `policy` and that as its cause. It sees public things alone, so all
 * who follow the group can come to the same answer. `pending` is what was proposed in the epoch before the commit came, whether the
 * commit names it or leaves it out.
 */
export type CommitPolicy = (
  commit: CommitSummary,
  pending: readonly PendingProposal[],
) => void | Promise<void>;

/**
 * Throws to refuse a proposal that comes by itself, ours too, to be committed by reference: who may propose what (§12.1.8).
 * It ends in `MlsError` with `policy`. A commit that names a refused one is refused.
 */
export type ProposalPolicy = (proposed: {
  readonly groupId: Bytes;
  readonly epoch: bigint;
  readonly proposal: Proposal;
  readonly sender: Sender;
}) => void | Promise<void>;

/** What following a group takes. */
export interface PublicContext {
  readonly crypto: CryptoProvider;
  readonly authentication: AuthenticationService;
  readonly policy?: CommitPolicy;
  readonly proposalPolicy?: ProposalPolicy;
  /**
   * How many proposals may wait for a commit: 1,024 unless given. The same for all who follow a group, since a commit names
   * what others must have kept; a member stops proposing at half of it.
   */
  readonly maxPendingProposals?: number;
  /** The longest total lifetime of a key package, in seconds (§7.2); `MAX_LIFETIME` unless given. */
  readonly maxLifetime?: bigint;
  /** What the group has beyond RFC 9420. */
  readonly rules?: GroupRules;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}
