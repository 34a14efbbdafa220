/**
 * What is said in a group, by whom, and how it is signed. RFC 9420 §6, §6.1; §8.2 (the transcript of commits).
 * @module
 */

import {
  type Bytes,
  type Codec,
  type Encoder,
  encode,
  enumeration,
  opaque,
  select,
  struct,
  uint8,
  uint16,
  uint32,
  uint64,
} from "../codec.ts";
import { hashOf, refHash } from "../crypto/kdf.ts";
import { labeled, type Signer, verifySigned } from "../crypto/signature.ts";
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
  readonly [T in ContentType]: Codec<Omit<Extract<Content, { contentType: T }>, "contentType">>;
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
export const FramedContent: Codec<FramedContent> = struct({
  groupId: opaque,
  epoch: uint64,
  sender: Sender,
  authenticatedData: opaque,
  content: Content,
});

/** §6.1: the confirmation tag is there for commits alone. */
export interface FramedContentAuthData {
  readonly signature: Bytes;
  readonly confirmationTag: Bytes | undefined;
}

/** The auth data of a content of this type (§6.1). */
export function authDataOf(contentType: ContentType): Codec<FramedContentAuthData> {
  return {
    write: (w, auth) => {
      opaque.write(w, auth.signature);
      if (contentType !== "commit") return;
      if (!auth.confirmationTag) throw new TypeError("a commit without a confirmation tag");
      opaque.write(w, auth.confirmationTag);
    },
    read: (r) => ({
      signature: opaque.read(r),
      confirmationTag: contentType === "commit" ? opaque.read(r) : undefined,
    }),
  };
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

interface FramedContentTBS {
  readonly wireFormat: WireFormat;
  readonly content: FramedContent;
  /** The encoded GroupContext, for `member` and `new_member_commit`. */
  readonly context: Bytes;
}

/** §6.1 `FramedContentTBS`: what the signature and the membership tag cover. It is never read. */
export const FramedContentTBS: Encoder<FramedContentTBS> = {
  write: (w, { wireFormat, content, context }) => {
    w.uint(MLS10, 2);
    WireFormat.write(w, wireFormat);
    FramedContent.write(w, content);
    const { senderType } = content.sender;
    if (senderType === "member" || senderType === "new_member_commit") w.bytes(context);
  },
};

const LABEL = "FramedContentTBS";

/** Signs a content; a commit's confirmation tag is put in when it is known. */
export async function signContent(
  signer: Signer,
  wireFormat: WireFormat,
  content: FramedContent,
  context: Bytes,
): Promise<AuthenticatedContent> {
  const tbs = { wireFormat, content, context };
  const signature = await signer.sign(labeled(LABEL, FramedContentTBS, tbs));
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
  const { wireFormat, content, auth } = authenticated;
  const key = signatureKeyOf(content, leafOf, groupContext);
  const tbs = { wireFormat, content, context: GroupContext.encoded(groupContext) };
  const { signature } = auth;
  if (!(await verifySigned(suite, key, labeled(LABEL, FramedContentTBS, tbs), signature))) {
    throw new MlsError("signature", "6.1", "the signature of a message does not verify");
  }
}

/** §8.2 `ConfirmedTranscriptHashInput`, behind the interim hash that it is hashed with. It is never read. */
const ConfirmedTranscriptHashInput: Encoder<{
  readonly interim: Bytes;
  readonly commit: AuthenticatedContent;
}> = {
  write: (w, { interim, commit: { wireFormat, content, auth } }) => {
    w.bytes(interim);
    WireFormat.write(w, wireFormat);
    FramedContent.write(w, content);
    opaque.write(w, auth.signature);
  },
};

/** §8.2: over the interim hash before, and the commit. */
export function confirmedTranscriptHash(
  suite: Suite,
  interim: Bytes,
  commit: AuthenticatedContent,
): Bytes {
  return hashOf(suite, ConfirmedTranscriptHashInput, { interim, commit });
}

/** `ProposalRef` (§5.2), `nh` bytes. */
export function proposalRef(suite: Suite, proposal: AuthenticatedContent): Bytes {
  return refHash(suite, "MLS 1.0 Proposal Reference", encode(AuthenticatedContent, proposal));
}
