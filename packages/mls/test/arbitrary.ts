/** Arbitrary values of every structure of the wire, for round trips and for mutation. */

import type { Bytes } from "@conclave/mls/codec";
import fc, { type Arbitrary } from "fast-check";
import type { HpkeCiphertext } from "../src/crypto/hpke.ts";
import type { Content, FramedContent, Sender } from "../src/framing/content.ts";
import type { MLSMessage } from "../src/framing/message.ts";
import type { PrivateMessage } from "../src/framing/private-message.ts";
import type { Commit, Proposal, ProposalOrRef } from "../src/framing/proposal.ts";
import type { PublicMessage } from "../src/framing/public-message.ts";
import type { CommitReport } from "../src/group/report.ts";
import type { Credential } from "../src/key/credential.ts";
import type { Extension, RequiredCapabilities } from "../src/key/extension.ts";
import type { GroupContext } from "../src/key/group-context.ts";
import type { GroupInfo, GroupSecrets, Welcome } from "../src/key/group-info.ts";
import type { KeyPackage } from "../src/key/key-package.ts";
import type { PreSharedKeyID } from "../src/key/psk.ts";
import type { Capabilities, LeafNode, Lifetime } from "../src/tree/leaf-node.ts";
import type { ParentNode } from "../src/tree/ratchet-tree.ts";
import type { UpdatePath } from "../src/tree/update-path.ts";

export const bytes: Arbitrary<Bytes> = fc
  .uint8Array({ maxLength: 80 })
  .map((value) => Uint8Array.from(value));
const uint16 = fc.nat({ max: 0xffff });
const uint32 = fc.nat({ max: 0xffff_ffff });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

function some<T>(of: Arbitrary<T>): Arbitrary<readonly T[]> {
  return fc.array(of, { maxLength: 3 });
}

export const extension: Arbitrary<Extension> = fc.record({
  extensionType: uint16,
  extensionData: bytes,
});

export const credential: Arbitrary<Credential> = fc.oneof(
  fc.record({ credentialType: fc.constant("basic"), identity: bytes }),
  fc.record({ credentialType: fc.constant("x509"), certificates: some(bytes) }),
  fc.record({
    credentialType: fc.constant("other"),
    number: fc.integer({ min: 3, max: 0xffff }),
    data: bytes,
  }),
);

export const capabilities: Arbitrary<Capabilities> = fc.record({
  versions: some(uint16),
  cipherSuites: some(uint16),
  extensions: some(uint16),
  proposals: some(uint16),
  credentials: some(uint16),
});

export const requiredCapabilities: Arbitrary<RequiredCapabilities> = fc.record({
  extensionTypes: some(uint16),
  proposalTypes: some(uint16),
  credentialTypes: some(uint16),
});

export const lifetime: Arbitrary<Lifetime> = fc.record({ notBefore: uint64, notAfter: uint64 });

export const leafNode: Arbitrary<LeafNode> = fc.record({
  encryptionKey: bytes,
  signatureKey: bytes,
  credential,
  capabilities,
  source: fc.oneof(
    fc.record({
      leafNodeSource: fc.constant("key_package"),
      lifetime,
    }),
    fc.record({ leafNodeSource: fc.constant("update") }),
    fc.record({ leafNodeSource: fc.constant("commit"), parentHash: bytes }),
  ),
  extensions: some(extension),
  signature: bytes,
});

export const parentNode: Arbitrary<ParentNode> = fc.record({
  encryptionKey: bytes,
  parentHash: bytes,
  unmergedLeaves: some(uint32),
});

export const keyPackage: Arbitrary<KeyPackage> = fc.record({
  version: uint16,
  cipherSuite: uint16,
  initKey: bytes,
  leafNode,
  extensions: some(extension),
  signature: bytes,
});

export const preSharedKeyId: Arbitrary<PreSharedKeyID> = fc.oneof(
  fc.record({ pskType: fc.constant("external"), pskId: bytes, pskNonce: bytes }),
  fc.record({
    pskType: fc.constant("resumption"),
    usage: fc.constantFrom("application", "reinit", "branch"),
    pskGroupId: bytes,
    pskEpoch: uint64,
    pskNonce: bytes,
  }),
);

export const commitReport: Arbitrary<CommitReport> = fc.record({
  version: fc.nat({ max: 255 }),
  nodeIndex: uint32,
  privateKey: bytes,
});

export const hpkeCiphertext: Arbitrary<HpkeCiphertext> = fc.record({
  kemOutput: bytes,
  ciphertext: bytes,
});

export const updatePath: Arbitrary<UpdatePath> = fc.record({
  leafNode,
  nodes: some(fc.record({ encryptionKey: bytes, encryptedPathSecret: some(hpkeCiphertext) })),
});

export const proposal: Arbitrary<Proposal> = fc.oneof(
  fc.record({ proposalType: fc.constant("add"), keyPackage }),
  fc.record({ proposalType: fc.constant("update"), leafNode }),
  fc.record({ proposalType: fc.constant("remove"), removed: uint32 }),
  fc.record({ proposalType: fc.constant("psk"), psk: preSharedKeyId }),
  fc.record({
    proposalType: fc.constant("reinit"),
    groupId: bytes,
    version: uint16,
    cipherSuite: uint16,
    extensions: some(extension),
  }),
  fc.record({ proposalType: fc.constant("external_init"), kemOutput: bytes }),
  fc.record({
    proposalType: fc.constant("group_context_extensions"),
    extensions: some(extension),
  }),
  fc.record({
    proposalType: fc.constant("app_data_update"),
    componentId: uint16,
    operation: fc.oneof(
      fc.record({ op: fc.constant("update"), update: bytes }),
      fc.record({ op: fc.constant("remove") }),
    ),
  }),
  fc.record({ proposalType: fc.constant("app_ephemeral"), componentId: uint16, data: bytes }),
  fc.record({ proposalType: fc.constant("self_remove") }),
  fc.record({
    proposalType: fc.constant("other"),
    number: fc.integer({ min: 11, max: 0xffff }),
    data: bytes,
  }),
);

const proposalOrRef: Arbitrary<ProposalOrRef> = fc.oneof(
  fc.record({ type: fc.constant("proposal"), proposal }),
  fc.record({ type: fc.constant("reference"), reference: bytes }),
);

export const commit: Arbitrary<Commit> = fc.record({
  proposals: some(proposalOrRef),
  path: fc.option(updatePath, { nil: undefined }),
});

const sender: Arbitrary<Sender> = fc.oneof(
  fc.record({ senderType: fc.constant("member"), leafIndex: uint32 }),
  fc.record({ senderType: fc.constant("external"), senderIndex: uint32 }),
  fc.record({ senderType: fc.constant("new_member_proposal") }),
  fc.record({ senderType: fc.constant("new_member_commit") }),
);

const content: Arbitrary<Content> = fc.oneof(
  fc.record({ contentType: fc.constant("application"), applicationData: bytes }),
  fc.record({ contentType: fc.constant("proposal"), proposal }),
  fc.record({ contentType: fc.constant("commit"), commit }),
);

export const framedContent: Arbitrary<FramedContent> = fc.record({
  groupId: bytes,
  epoch: uint64,
  sender,
  authenticatedData: bytes,
  content,
});

export const publicMessage: Arbitrary<PublicMessage> = fc
  .record({ content: framedContent, signature: bytes, tag: bytes })
  .map(({ content: framed, signature, tag }) => ({
    content: framed,
    auth: {
      signature,
      confirmationTag: framed.content.contentType === "commit" ? tag : undefined,
    },
    membershipTag: framed.sender.senderType === "member" ? tag : undefined,
  }));

export const privateMessage: Arbitrary<PrivateMessage> = fc.record({
  groupId: bytes,
  epoch: uint64,
  contentType: fc.constantFrom("application", "proposal", "commit"),
  authenticatedData: bytes,
  encryptedSenderData: bytes,
  ciphertext: bytes,
});

export const groupContext: Arbitrary<GroupContext> = fc.record({
  version: uint16,
  cipherSuite: uint16,
  groupId: bytes,
  epoch: uint64,
  treeHash: bytes,
  confirmedTranscriptHash: bytes,
  extensions: some(extension),
});

export const groupInfo: Arbitrary<GroupInfo> = fc.record({
  groupContext,
  extensions: some(extension),
  confirmationTag: bytes,
  signer: uint32,
  signature: bytes,
});

export const groupSecrets: Arbitrary<GroupSecrets> = fc.record({
  joinerSecret: bytes,
  pathSecret: fc.option(fc.record({ pathSecret: bytes }), { nil: undefined }),
  psks: some(preSharedKeyId),
});

export const welcome: Arbitrary<Welcome> = fc.record({
  cipherSuite: uint16,
  secrets: some(fc.record({ newMember: bytes, encryptedGroupSecrets: hpkeCiphertext })),
  encryptedGroupInfo: bytes,
});

export const message: Arbitrary<MLSMessage> = fc.oneof(
  fc.record({ wireFormat: fc.constant("mls_public_message"), publicMessage }),
  fc.record({ wireFormat: fc.constant("mls_private_message"), privateMessage }),
  fc.record({ wireFormat: fc.constant("mls_welcome"), welcome }),
  fc.record({ wireFormat: fc.constant("mls_group_info"), groupInfo }),
  fc.record({ wireFormat: fc.constant("mls_key_package"), keyPackage }),
);

/** A decoded value built anew: nothing of it is decoded late, and the bytes that it was read from are forgotten. */
export function rebuilt<T>(value: T): T {
  const copy = (one: unknown): unknown => {
    if (typeof one !== "object" || one === null || ArrayBuffer.isView(one)) return one;
    if (Symbol.iterator in one) return Array.from(one as Iterable<unknown>, copy);
    return Object.fromEntries(Object.entries(one).map(([name, field]) => [name, copy(field)]));
  };
  return copy(value) as T;
}
