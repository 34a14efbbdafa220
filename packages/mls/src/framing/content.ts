/**
 * What is said in a group, by whom, and how it is signed. RFC 9420 §6, §6.1; §8.2 (the transcript of commits).
 * @module
 */

import { EMPTY } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  type Encoder,
  encode,
  encodedFor,
  enumeration,
  type Kept,
  kept,
  opaque,
  type Struct,
  select,
  struct,
  uint8,
  uint16,
  uint32,
  uint64,
} from "../codec.ts";
import { hash, refHash } from "../crypto/kdf.ts";
import { labeled, type Signer, verifyAlone } from "../crypto/signature.ts";
import type { Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { externalSendersOf } from "../key/extension.ts";
import { GroupContext } from "../key/group-context.ts";
import { MLS10 } from "../registry.ts";
import type { LeafNode } from "../tree/leaf-node.ts";
import { Commit, Proposal } from "./proposal.ts";

/** §6: what a message is, outermost. */
export type WireFormat =
  | "mls_public_message"
  | "mls_private_message"
  | "mls_welcome"
  | "mls_group_info"
  | "mls_key_package";
/** How a wire format stands on the wire. */
export const WireFormat: Codec<WireFormat> = enumeration(uint16, {
  mls_public_message: 1,
  mls_private_message: 2,
  mls_welcome: 3,
  mls_group_info: 4,
  mls_key_package: 5,
});

/** §6: what a message carries. */
export type ContentType = "application" | "proposal" | "commit";
/** How a content type stands on the wire. */
export const ContentType: Codec<ContentType> = enumeration(uint8, {
  application: 1,
  proposal: 2,
  commit: 3,
});

/** §6. */
export type Sender =
  | { readonly senderType: "member"; readonly leafIndex: number }
  | { readonly senderType: "external"; readonly senderIndex: number }
  | { readonly senderType: "new_member_proposal" }
  | { readonly senderType: "new_member_commit" };
export const Sender: Codec<Sender> = select<"senderType", Sender>("senderType", uint8, {
  member: [1, struct({ leafIndex: uint32 })],
  external: [2, struct({ senderIndex: uint32 })],
  new_member_proposal: [3, struct({})],
  new_member_commit: [4, struct({})],
});

/** Whether that is the member at this leaf. */
export function isMemberAt(sender: Sender, leafIndex: number): boolean {
  return sender.senderType === "member" && sender.leafIndex === leafIndex;
}

/** `select (content_type)`. */
export type Content =
  | { readonly contentType: "application"; readonly applicationData: Bytes }
  | { readonly contentType: "proposal"; readonly proposal: Proposal }
  | { readonly contentType: "commit"; readonly commit: Commit };
/** What changes the group. */
export type HandshakeContent = Exclude<Content, { contentType: "application" }>;

/** The content alone, without its type: as a PrivateMessage encrypts it. */
export const CONTENT: {
  readonly [T in ContentType]: Struct<Omit<Extract<Content, { contentType: T }>, "contentType">>;
} = {
  application: struct({ applicationData: opaque }),
  proposal: struct({ proposal: Proposal }),
  commit: struct({ commit: Commit }),
};
const Content: Codec<Content> = select<"contentType", Content>("contentType", uint8, {
  application: [1, CONTENT.application],
  proposal: [2, CONTENT.proposal],
  commit: [3, CONTENT.commit],
});

/** §6. */
export interface FramedContent<C extends Content = Content> {
  readonly groupId: Bytes;
  readonly epoch: bigint;
  readonly sender: Sender;
  readonly authenticatedData: Bytes;
  readonly content: C;
}
/** Whether that is content that changes the group. */
export function isHandshake(content: FramedContent): content is FramedContent<HandshakeContent> {
  return content.content.contentType !== "application";
}

const Fields: Codec<FramedContent> = struct({
  groupId: opaque,
  epoch: uint64,
  sender: Sender,
  authenticatedData: opaque,
  content: Content,
});
/** How a content stands on the wire: the bytes are kept, since they are signed, authenticated and hashed as well. */
export const FramedContent: Kept<FramedContent> = kept(Fields, false);

/** What `use` makes of the encoding of a content: that of application data is wanted once, to be signed, and not kept. */
function encodedContentFor<R>(content: FramedContent, use: (encoded: Bytes) => R): R {
  return isHandshake(content)
    ? use(FramedContent.encoded(content))
    : encodedFor(Fields, content, use);
}

/** §6.1: the confirmation tag is there for commits alone. */
export interface FramedContentAuthData {
  readonly signature: Bytes;
  readonly confirmationTag: Bytes | undefined;
}

function authData(isCommit: boolean): Codec<FramedContentAuthData> {
  return {
    write: (w, auth) => {
      opaque.write(w, auth.signature);
      if (!isCommit) return;
      if (!auth.confirmationTag) throw new TypeError("a commit without a confirmation tag");
      opaque.write(w, auth.confirmationTag);
    },
    read: (r) => ({
      signature: opaque.read(r),
      confirmationTag: isCommit ? opaque.read(r) : undefined,
    }),
  };
}
const OF_COMMIT = authData(true);
const OF_OTHERS = authData(false);

/** The auth data of a content of this type (§6.1). */
export function authDataOf(contentType: ContentType): Codec<FramedContentAuthData> {
  return contentType === "commit" ? OF_COMMIT : OF_OTHERS;
}

/** §6. */
export interface AuthenticatedContent<C extends Content = Content> {
  readonly wireFormat: WireFormat;
  readonly content: FramedContent<C>;
  readonly auth: FramedContentAuthData;
}
/** How it stands where it is hashed (§5.2). */
export const AuthenticatedContent: Codec<AuthenticatedContent> = {
  write: (w, value) => {
    WireFormat.write(w, value.wireFormat);
    FramedContent.write(w, value.content);
    authDataOf(value.content.content.contentType).write(w, value.auth);
  },
  read: (r) => {
    const wireFormat = WireFormat.read(r);
    const content = FramedContent.read(r);
    return { wireFormat, content, auth: authDataOf(content.content.contentType).read(r) };
  },
};

/** §6.1: what is signed begins with the version and the wire format. */
const TbsHead: Encoder<WireFormat> = {
  write: (w, wireFormat) => {
    w.uint(MLS10, 2);
    WireFormat.write(w, wireFormat);
  },
};

/**
 * What `use` makes of a `FramedContentTBS` (§6.1), in parts: what the signature and the membership tag cover. `context`: the encoded
 * GroupContext, which is there for `member` and `new_member_commit`.
 */
export function framedContentTbsFor<R>(
  { wireFormat, content }: Pick<AuthenticatedContent, "wireFormat" | "content">,
  context: Bytes,
  use: (...parts: readonly Bytes[]) => R,
): R {
  const { senderType } = content.sender;
  const behind = senderType === "member" || senderType === "new_member_commit" ? context : EMPTY;
  return encodedContentFor(content, (encoded) => use(encode(TbsHead, wireFormat), encoded, behind));
}

/** What is signed of a content. */
function signedBytes(
  of: Pick<AuthenticatedContent, "wireFormat" | "content">,
  context: Bytes,
): Bytes {
  return framedContentTbsFor(of, context, (...parts) => labeled("FramedContentTBS", ...parts));
}

/** Signs a content; a commit's confirmation tag is put in when it is known. */
export async function signContent(
  signer: Signer,
  wireFormat: WireFormat,
  content: FramedContent,
  context: Bytes,
): Promise<AuthenticatedContent> {
  const signature = await signer.sign(signedBytes({ wireFormat, content }, context));
  return { wireFormat, content, auth: { signature, confirmationTag: undefined } };
}

/** The members of an epoch by leaf index; undefined where nobody stands. */
export type LeafOf = (leafIndex: number) => LeafNode | undefined;

/** The key that must have signed a content (§6.1). Throws `MlsError` with `unknown-sender` or `sender-not-allowed`. */
function signatureKeyOf(content: FramedContent, leafOf: LeafOf, groupContext: GroupContext): Bytes {
  const { sender } = content;
  switch (sender.senderType) {
    case "member": {
      const leaf = leafOf(sender.leafIndex);
      if (!leaf)
        throw new MlsError(
          "unknown-sender",
          "6.1",
          `leaf ${sender.leafIndex}, the sender, is blank`,
        );
      return leaf.signatureKey;
    }
    case "external": {
      if (content.content.contentType !== "proposal") {
        throw new MlsError(
          "sender-not-allowed",
          "6.1",
          "an external sender may send proposals alone",
        );
      }
      const known = externalSendersOf(groupContext.extensions)[sender.senderIndex];
      if (!known)
        throw new MlsError("unknown-sender", "6.1", `no external sender ${sender.senderIndex}`);
      return known.signatureKey;
    }
    case "new_member_proposal":
      if (
        content.content.contentType !== "proposal" ||
        content.content.proposal.proposalType !== "add"
      ) {
        throw new MlsError(
          "sender-not-allowed",
          "12.1.8",
          "who is no member may propose to be added alone",
        );
      }
      return content.content.proposal.keyPackage.leafNode.signatureKey;
    case "new_member_commit": {
      if (content.content.contentType !== "commit" || !content.content.commit.path) {
        throw new MlsError("sender-not-allowed", "6.1", "an external commit must have a path");
      }
      return content.content.commit.path.leafNode.signatureKey;
    }
  }
}

/** The signature of a content in its epoch, whose context and leaves these are (§6.1). Throws `MlsError`. */
export async function verifyContent(
  suite: Suite,
  authenticated: AuthenticatedContent,
  leafOf: LeafOf,
  groupContext: GroupContext,
): Promise<void> {
  const { content, auth } = authenticated;
  const key = signatureKeyOf(content, leafOf, groupContext);
  const message = signedBytes(authenticated, GroupContext.encoded(groupContext));
  if (!(await verifyAlone(suite, key, message, auth.signature))) {
    throw new MlsError("signature", "6.1", "the signature of a message does not verify");
  }
}

/** §8.2: over the interim hash before, and the `ConfirmedTranscriptHashInput` of the commit. */
export function confirmedTranscriptHash(
  suite: Suite,
  interim: Bytes,
  { wireFormat, content, auth }: AuthenticatedContent,
): Bytes {
  // The encoding of the content is there already, and may be long.
  return hash(suite, [
    interim,
    encode(WireFormat, wireFormat),
    FramedContent.encoded(content),
    encode(opaque, auth.signature),
  ]);
}

/** `ProposalRef` (§5.2), `nh` bytes. */
export function proposalRef(suite: Suite, proposal: AuthenticatedContent): Bytes {
  return refHash(suite, "MLS 1.0 Proposal Reference", encode(AuthenticatedContent, proposal));
}
