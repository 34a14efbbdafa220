/**
 * Proposals from outside a group: by a sender that its GroupContext names, and by someone who asks to be added.
 * RFC 9420 §12.1.8. Both are PublicMessages, and are committed by a member, by reference.
 * @module
 */

import { bytesEqual, EMPTY } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import type { Signer } from "../crypto/signature.ts";
import { MlsError, refuseAtOnce } from "../errors.ts";
import { type Sender, signContent } from "../framing/content.ts";
import { encodeMessage } from "../framing/message.ts";
import type { Proposal } from "../framing/proposal.ts";
import { externalSendersOf } from "../key/extension.ts";
import type { GroupContext } from "../key/group-context.ts";
import { readKeyPackage } from "./own-key-package.ts";
import { checkSender } from "./proposal-list.ts";

/** What a sender outside the group proposes (§12.1.8). */
export interface ExternalProposal {
  /** The group as it is now: a `PublicGroup`, or the GroupContext in a GroupInfo. */
  readonly to: Pick<GroupContext, "groupId" | "epoch" | "extensions">;
  /** Whose key stands in the group's `external_senders`. */
  readonly signer: Signer;
  readonly proposal: Proposal;
  readonly authenticatedData?: Bytes;
}

/**
 * A proposal by a sender that the group's `external_senders` names (§12.1.8.1), as an MLSMessage. Throws `MlsError` with
 * `unknown-sender`, or with `sender-not-allowed` for a type that is not for external senders.
 */
export async function proposeExternally(options: ExternalProposal): Promise<Bytes> {
  const { to, signer, proposal } = options;
  const senderIndex = externalSendersOf(to.extensions).findIndex(({ signatureKey }) =>
    bytesEqual(signatureKey, signer.publicKey),
  );
  if (senderIndex < 0) {
    throw new MlsError(
      "unknown-sender",
      "12.1.8.1",
      "the group has no external sender of this key",
    );
  }
  const sender: Sender = { senderType: "external", senderIndex };
  checkSender({}, proposal, sender, refuseAtOnce);
  return propose(to, sender, signer, proposal, options.authenticatedData);
}

/** Asks the members of a group to add us (§12.1.8), by a key package (an MLSMessage) that `signer` signed. */
export async function proposeToJoin(options: {
  readonly to: Pick<GroupContext, "groupId" | "epoch">;
  readonly keyPackage: Bytes;
  readonly signer: Signer;
  readonly authenticatedData?: Bytes;
}): Promise<Bytes> {
  const { to, signer } = options;
  const keyPackage = readKeyPackage(options.keyPackage);
  if (!bytesEqual(keyPackage.leafNode.signatureKey, signer.publicKey)) {
    throw new TypeError("the signer is not the one of the key package");
  }
  const sender: Sender = { senderType: "new_member_proposal" };
  return propose(
    to,
    sender,
    signer,
    { proposalType: "add", keyPackage },
    options.authenticatedData,
  );
}

async function propose(
  { groupId, epoch }: Pick<GroupContext, "groupId" | "epoch">,
  sender: Sender,
  signer: Signer,
  proposal: Proposal,
  authenticatedData: Bytes = EMPTY,
): Promise<Bytes> {
  const content = { contentType: "proposal", proposal } as const;
  const framed = { groupId, epoch, sender, authenticatedData, content };
  // Who is outside can't know the GroupContext, so neither signature nor tag covers it (§6.1).
  const signed = await signContent(signer, "mls_public_message", framed, EMPTY);
  const publicMessage = { content: framed, auth: signed.auth, membershipTag: undefined };
  return encodeMessage({ wireFormat: "mls_public_message", publicMessage });
}
