/**
 * Messaging Layer Security (RFC 9420). Begin with `createKeyPackage` and `createGroup`; a member then holds a `Group`.
 * The service's side is in `@conclave/mls/public-group`, Node's own crypto in `@conclave/mls/node`.
 * @module
 */

// §2.1
export type { Bytes } from "./codec.ts";
// §5.1: suites and their platform
export {
  decryptWithLabel,
  deriveKeyPair,
  encryptWithLabel,
  HpkeCiphertext,
  hpkeOpen,
  hpkeSeal,
} from "./crypto/hpke.ts";
export type { Kem } from "./crypto/kem.ts";
export { type Signer, signerOf } from "./crypto/signature.ts";
export {
  type AeadName,
  type CipherSuite,
  type CryptoProvider,
  type DhGroup,
  type HashName,
  type KemName,
  type KeyPair,
  type Lattice,
  type MaybePromise,
  type NistGroup,
  type Pieces,
  type SignatureName,
  type Signed,
  SUITES,
  type Suite,
  suiteOf,
} from "./crypto/suite.ts";
export { webCrypto } from "./crypto/webcrypto.ts";
export { MlsError, type MlsErrorCode } from "./errors.ts";
// §6, §12.1: what is said
export type { AuthenticatedContent, Content, Sender } from "./framing/content.ts";
export { type Padding, padme } from "./framing/private-message.ts";
export type {
  AppDataUpdateOperation,
  Commit,
  Proposal,
  ProposalOrRef,
  ReInit,
} from "./framing/proposal.ts";
// §11, §12: groups
export type { CommitOptions } from "./group/committing.ts";
export type { AuthenticatedData, CommitBundle, NewLeaf } from "./group/compose.ts";
export type { HandshakePolicy, MlsContext } from "./group/epoch.ts";
export type { GroupEvent } from "./group/events.ts";
export { joinExternally } from "./group/external-join.ts";
export {
  type ExternalProposal,
  proposeExternally,
  proposeToJoin,
} from "./group/external-proposal.ts";
export type { Group } from "./group/group.ts";
export type { GroupRules, ProposalRules } from "./group/group-rules.ts";
export { type BrokenRule, inspectKeyPackage } from "./group/inspection.ts";
export { branchGroup, type LinkedGroup, reinitializeGroup } from "./group/linked-group.ts";
export { type And, comparePositions, type GroupPosition } from "./group/live-group.ts";
export { loadGroup, type SignerOf } from "./group/loading.ts";
export { createGroup, type NewGroup } from "./group/new-group.ts";
export { readGroupInfo } from "./group/opened-group.ts";
export {
  createKeyPackage,
  deleteKeyPackages,
  type Joiner,
  readKeyPackage,
} from "./group/own-key-package.ts";
export type { PastEpochWindow } from "./group/past-epochs.ts";
export { deleteResumptionPsks, preSharedKey } from "./group/pre-shared-key.ts";
export type { ListedProposal } from "./group/proposal-list.ts";
export type {
  CommitPolicy,
  CommitSummary,
  CommittedProposal,
  PendingProposal,
  ProposalPolicy,
  PublicContext,
  PublicState,
} from "./group/public-state.ts";
export type { Received } from "./group/receiving.ts";
export { reportCommit } from "./group/reporting.ts";
export type { GroupStatus } from "./group/stored-group.ts";
export { joinGroup } from "./group/welcome-join.ts";
// §5.3: credentials
export type { AuthenticationService, Credential, Credentialed } from "./key/credential.ts";
// §13.4: extensions
export {
  applicationId,
  applicationIdOf,
  type Extension,
  type ExternalSender,
  externalSenders,
  externalSendersOf,
  findExtension,
  RequiredCapabilities,
  requiredCapabilities,
  requiredCapabilitiesOf,
} from "./key/extension.ts";
// §8.1, §12.4.3
export type { GroupContext } from "./key/group-context.ts";
export type { GroupInfo } from "./key/group-info.ts";
// §10: key packages
export type { KeyPackage } from "./key/key-package.ts";
// §8.4
export type { PreSharedKeyID, PskSource, ResumptionPskUsage } from "./key/psk.ts";
// §9.1
export type { MessageWindow, RatchetBounds } from "./key/secret-tree.ts";
export { CREDENTIAL, EXTENSION, PROPOSAL } from "./registry.ts";
// Storage
export { type Batch, memoryStorage, mergeBatches, type Storage } from "./storage.ts";
// §7: members
export {
  type Capabilities,
  defaultCapabilities,
  type LeafNode,
  type LeafNodeSource,
  type Lifetime,
} from "./tree/leaf-node.ts";
export type { Member } from "./tree/ratchet-tree.ts";
export type { UpdatePath, UpdatePathNode } from "./tree/update-path.ts";
