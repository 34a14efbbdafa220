/**
 * What a member sends but commits: application messages and proposals.
 * RFC 9420 §6 (messages), §12.1 (proposals), §12.1.2 (Update).
 * @module
 */

import { EMPTY, toHex } from "../bytes.ts";
import { type Bytes, encode } from "../codec.ts";
import { generateKeyPair } from "../crypto/hpke.ts";
import { MlsError } from "../errors.ts";
import { AuthenticatedContent, type Sender, signContent } from "../framing/content.ts";
import { encodeMessage } from "../framing/message.ts";
import { protectPrivate } from "../framing/private-message.ts";
import type { Proposal } from "../framing/proposal.ts";
import { protectPublic } from "../framing/public-message.ts";
import { GroupContext } from "../key/group-context.ts";
import type { TakenKey } from "../key/secret-tree.ts";
import type { Batch } from "../storage.ts";
import { checkSuiteListed, signLeafNode, verifyLeafNode } from "../tree/leaf-node.ts";
import { updateLeaf } from "../tree/ratchet-tree.ts";
import { checkSupport, checkUnique } from "../tree/tree-validation.ts";
import { type NewLeaf, newLeafContents } from "./compose.ts";
import { ownLeafNode } from "./epoch.ts";
import { checkAuthenticatedData, rulesFor } from "./group-rules.ts";
import type { And, LiveGroup } from "./live-group.ts";
import { proposalTypeOf, validateProposal } from "./proposal-list.ts";
import { checkRoom, pendingProposal, withProposal } from "./public-state.ts";
import { judgeProposal } from "./staged-commit.ts";
import { encodeKeyPair } from "./stored-group.ts";

/** A message of ours, and the key that it takes, to be stored as used before the message leaves. */
export interface Outgoing {
  readonly bytes: Bytes;
  readonly taken: TakenKey | undefined;
}

/** The wire format of our handshake messages, as the application chose (§6). */
export function handshakeFormat(group: LiveGroup): "mls_public_message" | "mls_private_message" {
  return group.context.handshakes?.send === "private"
    ? "mls_private_message"
    : "mls_public_message";
}

/** A signed content as it goes out, in the wire format that it was signed for. `context`: the encoded GroupContext. */
export async function protect(
  group: LiveGroup,
  signed: AuthenticatedContent,
  context: Bytes,
): Promise<Outgoing> {
  const { state, secrets, secretTree } = group.live;
  if (signed.wireFormat === "mls_private_message") {
    const keys = { senderDataSecret: secrets.senderDataSecret, secretTree };
    const { padding } = group.context;
    const { message, taken } = await protectPrivate(state.suite, keys, signed, padding);
    const bytes = encodeMessage({ wireFormat: "mls_private_message", privateMessage: message });
    return { bytes, taken };
  }
  const publicMessage = protectPublic(state.suite, secrets.membershipKey, signed, context);
  return {
    bytes: encodeMessage({ wireFormat: "mls_public_message", publicMessage }),
    taken: undefined,
  };
}

/** Encrypts application data (§6.3). */
export async function send(
  group: LiveGroup,
  data: Bytes,
  options: { readonly authenticatedData?: Bytes; readonly and?: And<Bytes> },
): Promise<Bytes> {
  group.checkActive();
  const { state, ownLeaf } = group.live;
  if (state.proposals.size > 0) {
    throw new MlsError("pending-proposals", "12.4", "proposals wait to be committed first");
  }
  const { groupId, epoch } = state.groupContext;
  const { authenticatedData = EMPTY } = options;
  checkAuthenticatedData(group.context, state.groupContext, authenticatedData);
  const context = GroupContext.encoded(state.groupContext);
  const signed = await signContent(
    group.signer,
    "mls_private_message",
    {
      groupId,
      epoch,
      sender: { senderType: "member", leafIndex: ownLeaf },
      authenticatedData,
      content: { contentType: "application", applicationData: data },
    },
    context,
  );
  const { bytes, taken } = await protect(group, signed, context);
  await group.store(taken?.batch ?? {}, () => options.and?.(bytes), taken);
  group.events.emit(() => [{ type: "message-sent", epoch, generation: taken?.generation ?? 0 }]);
  return bytes;
}

/** Proposes something, for whoever commits next. `batch`: what is to be stored with it. */
export async function propose(
  group: LiveGroup,
  proposal: Proposal,
  options: {
    readonly batch?: Batch;
    readonly authenticatedData?: Bytes;
    readonly and?: And<Bytes>;
  },
): Promise<Bytes> {
  group.checkActive();
  const { state, ownLeaf } = group.live;
  const { groupId, epoch } = state.groupContext;
  const { authenticatedData = EMPTY } = options;
  checkAuthenticatedData(group.context, state.groupContext, authenticatedData);
  const sender: Sender = { senderType: "member", leafIndex: ownLeaf };
  await validateProposal(group.context, state, proposal, sender);
  await judgeProposal(group.context, state, proposal, sender);
  const content = { contentType: "proposal", proposal } as const;
  const context = GroupContext.encoded(state.groupContext);
  const framed = { groupId, epoch, sender, authenticatedData, content };
  const wireFormat = rulesFor(group.context, proposalTypeOf(proposal))?.publicMessage
    ? "mls_public_message"
    : handshakeFormat(group);
  const signed = await signContent(group.signer, wireFormat, framed, context);
  const pending = pendingProposal(state.suite, signed, proposal);
  checkRoom(group.context, state, pending, true);
  const { bytes, taken } = await protect(group, signed, context);
  // The same words again are the same proposal: it has its record.
  const known = state.proposals.has(toHex(pending.ref));
  const record = known ? undefined : proposalRecord(group, signed);
  const batches = [taken?.batch, options.batch, record];
  await group.change(batches, () => options.and?.(bytes), taken);
  group.live = { ...group.live, state: withProposal(state, pending) };
  const { ref } = pending;
  const { proposalType } = proposal;
  group.events.emit(() => [{ type: "proposal", own: true, epoch, ref, proposalType, sender }]);
  return bytes;
}

/** A proposal that may be committed, behind those that came before it. */
export function proposalRecord(group: LiveGroup, authenticated: AuthenticatedContent): Batch {
  const position = group.live.state.proposals.size;
  const record = encode(AuthenticatedContent, authenticated);
  return { put: new Map([[group.keys.proposal(position), record]]) };
}

/** Proposes new keys for our leaf, and what else it is to say (§12.1.2). */
export async function proposeUpdate(
  group: LiveGroup,
  options: {
    readonly leaf?: NewLeaf;
    readonly authenticatedData?: Bytes;
    readonly and?: And<Bytes>;
  },
): Promise<Bytes> {
  const { state, ownLeaf } = group.live;
  const { suite, groupContext } = state;
  const leaf = ownLeafNode(group.live);
  const keyPair = await generateKeyPair(suite);
  const signer = options.leaf?.signer ?? group.signer;
  const position = { groupId: groupContext.groupId, leafIndex: ownLeaf };
  const leafNode = await signLeafNode(
    {
      ...newLeafContents(state.suite, leaf, options.leaf),
      encryptionKey: keyPair.publicKey,
      signatureKey: signer.publicKey,
      source: { leafNodeSource: "update" },
    },
    signer,
    position,
  );
  if (options.leaf) {
    // What would spoil every commit is refused here first.
    if (options.leaf.signer) await verifyLeafNode(suite, leafNode, position);
    checkSuiteListed(suite, leafNode);
    const updated = updateLeaf(state.tree, ownLeaf, leafNode);
    checkUnique(updated);
    checkSupport(updated, groupContext.extensions);
  }
  const record = new Map([[group.keys.update(keyPair.publicKey), encodeKeyPair(keyPair)]]);
  const sent = await propose(
    group,
    { proposalType: "update", leafNode },
    { ...options, batch: { put: record } },
  );
  group.know(signer);
  group.updates.set(toHex(keyPair.publicKey), keyPair);
  return sent;
}
