/**
 * Messages that are signed and not encrypted. RFC 9420 §6.2.
 * @module
 */

import { constantTimeEqual, EMPTY } from "../bytes.ts";
import { type Bytes, type Codec, encode, opaque } from "../codec.ts";
import { mac } from "../crypto/kdf.ts";
import type { Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import {
  type AuthenticatedContent,
  authDataOf,
  FramedContent,
  type FramedContentAuthData,
  framedContentTbsFor,
  type HandshakeContent,
  isHandshake,
} from "./content.ts";

/** §6.2: the membership tag is there for members alone. */
export interface PublicMessage {
  readonly content: FramedContent;
  readonly auth: FramedContentAuthData;
  readonly membershipTag: Bytes | undefined;
}
export const PublicMessage: Codec<PublicMessage> = {
  write: (w, message) => {
    FramedContent.write(w, message.content);
    authDataOf(message.content.content.contentType).write(w, message.auth);
    if (message.content.sender.senderType !== "member") return;
    if (!message.membershipTag) throw new TypeError("a member's message without a membership tag");
    opaque.write(w, message.membershipTag);
  },
  read: (r) => {
    const content = FramedContent.read(r);
    const auth = authDataOf(content.content.contentType).read(r);
    const membershipTag = content.sender.senderType === "member" ? opaque.read(r) : undefined;
    return { content, auth, membershipTag };
  },
};

function membershipTagOf(
  suite: Suite,
  membershipKey: Bytes,
  { content, auth }: Omit<PublicMessage, "membershipTag">,
  context: Bytes,
): Bytes {
  const authData = encode(authDataOf(content.content.contentType), auth);
  // `AuthenticatedContentTBM`: what is signed, and the signature behind it.
  return framedContentTbsFor({ wireFormat: "mls_public_message", content }, context, (...tbs) =>
    mac(suite, membershipKey, [...tbs, authData]),
  );
}

/** `context`: the encoded GroupContext. */
export function protectPublic(
  suite: Suite,
  membershipKey: Bytes,
  authenticated: AuthenticatedContent,
  context: Bytes,
): PublicMessage {
  const { content, auth } = authenticated;
  if (content.content.contentType === "application") {
    throw new MlsError("wrong-wire-format", "6", "application data is never sent in the clear");
  }
  const membershipTag =
    content.sender.senderType === "member"
      ? membershipTagOf(suite, membershipKey, { content, auth }, context)
      : undefined;
  return { content, auth, membershipTag };
}

/** The content, whose signature is still to be verified; its form is as §6 and §6.2 demand. */
export function readPublic(message: PublicMessage): AuthenticatedContent<HandshakeContent> {
  const { content, auth } = message;
  if (!isHandshake(content)) {
    throw new MlsError("wrong-wire-format", "6", "application data in a PublicMessage");
  }
  return { wireFormat: "mls_public_message", content, auth };
}

/** Throws `MlsError` with `membership-tag` where a member's message was not made by a member (§6.2). */
export function verifyMembershipTag(
  suite: Suite,
  membershipKey: Bytes,
  message: PublicMessage,
  context: Bytes,
): void {
  if (message.content.sender.senderType !== "member") return;
  const due = membershipTagOf(suite, membershipKey, message, context);
  if (!constantTimeEqual(due, message.membershipTag ?? EMPTY)) {
    throw new MlsError("membership-tag", "6.2", "the membership tag does not verify");
  }
}
