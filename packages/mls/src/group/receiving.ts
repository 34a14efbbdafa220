/**
 * What a member receives: each message is checked, and what it means is stored, before anything changes.
 * RFC 9420 §6, §6.3, §12.4.2.
 * @module
 */

import { bytesEqual, toHex } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { MlsError } from "../errors.ts";
import {
  type AuthenticatedContent,
  type HandshakeContent,
  isMemberAt,
  type Sender,
  verifyContent,
} from "../framing/content.ts";
import { decodeMessage } from "../framing/message.ts";
import { type PrivateMessage, unprotectPrivate } from "../framing/private-message.ts";
import type { Commit, Proposal } from "../framing/proposal.ts";
import { type PublicMessage, readPublic, verifyMembershipTag } from "../framing/public-message.ts";
import { GroupContext } from "../key/group-context.ts";
import type { TakenKey } from "../key/secret-tree.ts";
import { mergeBatches } from "../storage.ts";
import type { LeafNode } from "../tree/leaf-node.ts";
import { leafAt, type Member } from "../tree/ratchet-tree.ts";
import { mergeJoining, mergeOwn } from "./committing.ts";
import { commitEvents } from "./events.ts";
import { checkAuthenticatedData, rulesFor } from "./group-rules.ts";
import { type And, type LiveGroup, notJoined } from "./live-group.ts";
import { nextEpoch } from "./next-epoch.ts";
import type { ReadableEpoch } from "./past-epochs.ts";
import { proposalTypeOf, validateProposal } from "./proposal-list.ts";
import { type CommitSummary, checkRoom, pendingProposal, withProposal } from "./public-state.ts";
import { proposalRecord } from "./sending.ts";
import { judgeProposal, stageCommit } from "./staged-commit.ts";

/** What a message from the group turned out to be. */
export type Received =
  | {
      readonly type: "application";
      /** The sender's leaf index. */
      readonly sender: number;
      readonly senderLeaf: LeafNode;
      readonly data: Bytes;
      readonly authenticatedData: Bytes;
      readonly epoch: bigint;
      readonly generation: number;
    }
  | {
      readonly type: "proposal";
      readonly ref: Bytes;
      readonly proposal: Proposal;
      readonly sender: Sender;
    }
  | {
      readonly type: "commit";
      /** A commit of ours, met again and applied from storage. */
      readonly own: boolean;
      readonly summary: CommitSummary;
      /** The epoch it began. */
      readonly epoch: bigint;
      /** A commit of ours was under way and lost; its secrets are gone. */
      readonly lostPending: boolean;
      /** It removed us: the group's secrets are gone. */
      readonly removed: boolean;
    };

/** Takes a message of the group, in the order in which the service has them. */
export async function receive(
  group: LiveGroup,
  bytes: Bytes,
  and: And<Received> | undefined,
): Promise<Received> {
  group.checkNotGone();
  const { joining, pending } = group;
  if (joining && bytesEqual(joining.commit, bytes)) return mergeJoining(group, and);
  if (pending && bytesEqual(pending.composed.bundle.commit, bytes)) {
    return mergeOwn(group, pending.composed, and);
  }
  if (group.status === "joining") throw notJoined();
  const message = decodeMessage(bytes);
  switch (message.wireFormat) {
    case "mls_public_message":
      return await receivePublic(group, message.publicMessage, and);
    case "mls_private_message":
      return await receivePrivate(group, message.privateMessage, and);
    case "mls_welcome":
    case "mls_group_info":
    case "mls_key_package":
      throw new MlsError("wrong-wire-format", "6", `${message.wireFormat} is not said in a group`);
  }
}

/** §6: of this group and epoch, or none of our business; and the epoch is one in which something may be said. */
function checkAddress(group: LiveGroup, groupId: Bytes, epoch: bigint): void {
  const { groupContext } = group.live.state;
  if (!bytesEqual(groupId, groupContext.groupId)) {
    throw new MlsError("wrong-group", "6.1", "a message of another group");
  }
  if (epoch !== groupContext.epoch) {
    const { epoch: ours } = groupContext;
    throw new MlsError(
      "wrong-epoch",
      "6.1",
      `a message of epoch ${epoch}, the group is at ${ours}`,
    );
  }
  // What was said before the ReInit may still come.
  if (group.status === "closed") {
    throw new MlsError("group-closed", "11.2", "the group is over");
  }
}

/** Whether a proposal is one of those that must be PublicMessages. */
function isPublic(group: LiveGroup, proposal: Proposal): boolean {
  return rulesFor(group.context, proposalTypeOf(proposal))?.publicMessage === true;
}

/** A PublicMessage of this epoch that was verified (§6.1, §6.2). Throws `MlsError`. */
export async function openPublic(
  group: LiveGroup,
  message: PublicMessage,
): Promise<AuthenticatedContent<HandshakeContent>> {
  checkAddress(group, message.content.groupId, message.content.epoch);
  const { state, secrets } = group.live;
  const authenticated = readPublic(message);
  const { sender, content } = message.content;
  if (
    sender.senderType === "member" &&
    group.context.handshakes?.accept === "private" &&
    !(content.contentType === "proposal" && isPublic(group, content.proposal))
  ) {
    throw new MlsError("wrong-wire-format", "6", "a member's handshake message in the clear");
  }
  const context = GroupContext.encoded(state.groupContext);
  verifyMembershipTag(state.suite, secrets.membershipKey, message, context);
  const leafOf = (leafIndex: number) => leafAt(state.tree, leafIndex);
  await verifyContent(state.suite, authenticated, leafOf, state.groupContext);
  const { authenticatedData } = message.content;
  checkAuthenticatedData(group.context, state.groupContext, authenticatedData);
  return authenticated;
}

async function receivePublic(
  group: LiveGroup,
  message: PublicMessage,
  and: And<Received> | undefined,
): Promise<Received> {
  const authenticated = await openPublic(group, message);
  return await handleHandshake(group, authenticated, authenticated.content.content, undefined, and);
}

async function receivePrivate(
  group: LiveGroup,
  message: PrivateMessage,
  and: And<Received> | undefined,
): Promise<Received> {
  const epoch = epochOf(group, message);
  if (message.contentType !== "application" && group.context.handshakes?.accept === "public") {
    throw new MlsError("wrong-wire-format", "6", "an encrypted handshake message");
  }
  const { suite } = group.live.state;
  const { groupContext, leafOf, ownLeaf } = epoch;
  const opened = await unprotectPrivate(suite, epoch, leafOf, message, ownLeaf);
  const { authenticated, sender, taken } = opened;
  try {
    await verifyContent(suite, authenticated, leafOf, groupContext);
    checkAuthenticatedData(group.context, groupContext, message.authenticatedData);
    const { content } = authenticated.content;
    if (content.contentType === "proposal" && isPublic(group, content.proposal)) {
      throw new MlsError("wrong-wire-format", "12.1", "a proposal that must be a PublicMessage");
    }
    if (sender.leafIndex === ownLeaf) {
      throw group.foundOld();
    }
    return content.contentType === "application"
      ? await handleApplication(group, message, content.applicationData, { sender, taken }, and)
      : await handleHandshake(group, authenticated, content, taken, and);
  } catch (cause) {
    taken.discard();
    throw cause;
  }
}

/**
 * The epoch that an encrypted message is read in: the current one, or for application data one that has passed and is kept
 * (§15.3). Proposals and commits of another epoch are void (§12.4.2).
 */
function epochOf(group: LiveGroup, message: PrivateMessage): ReadableEpoch {
  const { state, ownLeaf, secrets, secretTree } = group.live;
  const { groupContext, tree } = state;
  if (message.contentType === "application" && bytesEqual(message.groupId, groupContext.groupId)) {
    const past = group.past.at(message.epoch, tree);
    if (past) return past;
  }
  checkAddress(group, message.groupId, message.epoch);
  const { senderDataSecret } = secrets;
  const leafOf = (leafIndex: number) => leafAt(tree, leafIndex);
  return { groupContext, ownLeaf, senderDataSecret, secretTree, leafOf };
}

function handleHandshake(
  group: LiveGroup,
  authenticated: AuthenticatedContent,
  content: HandshakeContent,
  taken: TakenKey | undefined,
  and: And<Received> | undefined,
): Promise<Received> {
  switch (content.contentType) {
    case "proposal":
      return handleProposal(group, authenticated, content.proposal, taken, and);
    case "commit":
      return handleCommit(group, authenticated, content.commit, taken, and);
  }
}

async function handleApplication(
  group: LiveGroup,
  { epoch, authenticatedData }: PrivateMessage,
  data: Bytes,
  { sender, taken }: { readonly sender: Member; readonly taken: TakenKey },
  and: And<Received> | undefined,
): Promise<Received> {
  const { generation } = taken;
  const received: Received = {
    type: "application",
    sender: sender.leafIndex,
    senderLeaf: sender.leafNode,
    data,
    authenticatedData,
    epoch,
    generation,
  };
  await group.store(taken.batch, () => and?.(received), taken);
  group.events.emit(() => [
    { type: "message-received", epoch, generation, sender: sender.leafIndex },
  ]);
  return received;
}

async function handleProposal(
  group: LiveGroup,
  authenticated: AuthenticatedContent,
  proposal: Proposal,
  taken: TakenKey | undefined,
  and: And<Received> | undefined,
): Promise<Received> {
  const { state, ownLeaf } = group.live;
  const { sender } = authenticated.content;
  const pending = pendingProposal(state.suite, authenticated, proposal);
  checkRoom(group.context, state, pending);
  const known = state.proposals.has(toHex(pending.ref));
  if (!known) {
    if (isMemberAt(sender, ownLeaf)) throw group.foundOld();
    await validateProposal(group.context, state, proposal, sender);
    await judgeProposal(group.context, state, proposal, sender);
  }
  const received: Received = { type: "proposal", ref: pending.ref, proposal, sender };
  const record = known ? {} : proposalRecord(group, authenticated);
  await group.store(mergeBatches(taken?.batch, record), () => and?.(received), taken);
  group.live = { ...group.live, state: withProposal(state, pending) };
  if (!known) {
    const { epoch } = state.groupContext;
    const { ref } = pending;
    const { proposalType } = proposal;
    group.events.emit(() => [{ type: "proposal", own: false, epoch, ref, proposalType, sender }]);
  }
  return received;
}

async function handleCommit(
  group: LiveGroup,
  authenticated: AuthenticatedContent,
  commit: Commit,
  taken: TakenKey | undefined,
  and: And<Received> | undefined,
): Promise<Received> {
  const { state, ownLeaf } = group.live;
  const { sender } = authenticated.content;
  if (isMemberAt(sender, ownLeaf)) {
    throw new MlsError("pending-commit", "14", "a commit of ours that is not the one under way");
  }
  const staged = await stageCommit(group.context, state, authenticated, commit);
  const removed = staged.summary.removed.some(({ leafIndex }) => leafIndex === ownLeaf);
  const before = group.status;
  const received = {
    type: "commit",
    own: false,
    summary: staged.summary,
    epoch: staged.next.groupContext.epoch,
    lostPending: group.pending !== undefined,
    removed,
  } as const;
  if (removed) {
    await group.enterRemoved(() => and?.(received));
    taken?.discard();
  } else {
    const next = await nextEpoch(group.context, group.live, group.updates, {
      commit,
      staged,
    });
    try {
      await group.enter(next, () => and?.(received), { taken });
    } catch (cause) {
      group.wipeNext(next);
      throw cause;
    }
  }
  group.events.emit(() => commitEvents(received, { before, after: group.status }));
  if (removed) group.events.close();
  return received;
}
