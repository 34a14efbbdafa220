/**
 * A group as someone follows it who is no member: the service that orders its messages, or an observer. It holds no secret
 * and can make no message. RFC 9420 §6.2, §12.4.2, §12.4.3; RFC 9750 §5.
 *
 * It follows proposals and commits that are PublicMessages. Of one that is a PrivateMessage it sees the group, the epoch and
 * the kind of content (`readMessage`), so it can order commits, one an epoch; it learns the state behind the commit from a new
 * GroupInfo and tree (`open`), and can't tell whether the commit was valid.
 * @module
 */

import { bytesEqual, toHex } from "./bytes.ts";
import type { Bytes } from "./codec.ts";
import { suiteOf } from "./crypto/suite.ts";
import { MlsError } from "./errors.ts";
import {
  type AuthenticatedContent,
  type ContentType,
  type HandshakeContent,
  type Sender,
  verifyContent,
  type WireFormat,
} from "./framing/content.ts";
import { decodeMessage, decodeMessageOf } from "./framing/message.ts";
import type { Proposal, ReInit } from "./framing/proposal.ts";
import { readPublic } from "./framing/public-message.ts";
import { checkAuthenticatedData } from "./group/group-rules.ts";
import { type BrokenRule, inspectProposals } from "./group/inspection.ts";
import {
  readGroupInfo as readGroupInfoWhole,
  treeFor,
  verifiedState,
} from "./group/opened-group.ts";
import { validateProposal } from "./group/proposal-list.ts";
import {
  type CommitPolicy,
  type CommitSummary,
  checkRoom,
  type PendingProposal,
  type PublicContext,
  type PublicState,
  pendingProposal,
  withProposal,
} from "./group/public-state.ts";
import { checkReport, type ProvenReport } from "./group/report.ts";
import { judgeProposal, stageCommit } from "./group/staged-commit.ts";
import { storedProposal } from "./group/stored-group.ts";
import { decodePublicState, encodePublicState } from "./group/stored-public-group.ts";
import type { Extension } from "./key/extension.ts";
import { GroupContext, interimTranscriptHash } from "./key/group-context.ts";
import { verifyGroupInfo } from "./key/group-info.ts";
import { keyPackageRef, validateKeyPackage as validate } from "./key/key-package.ts";
import {
  checkLifetime,
  checkSuiteListed,
  checkTotalLifetime,
  type LeafNode,
  type Lifetime,
  lifetimeOf,
  MAX_LIFETIME,
} from "./tree/leaf-node.ts";
import {
  changedNodes,
  encodedNodes,
  encodeRatchetTree,
  leafAt,
  type Member,
  membersOf,
  type NodeChange,
  treeFromNodes,
} from "./tree/ratchet-tree.ts";
import { summarizePart } from "./tree/tree-hash.ts";

export type { Bytes } from "./codec.ts";
export { type CryptoProvider, SUITES } from "./crypto/suite.ts";
export { webCrypto } from "./crypto/webcrypto.ts";
export { MlsError, type MlsErrorCode } from "./errors.ts";
export type { ContentType, Sender, WireFormat } from "./framing/content.ts";
export type { Proposal, ReInit } from "./framing/proposal.ts";
export { type BrokenRule, inspectKeyPackage } from "./group/inspection.ts";
export type {
  CommitPolicy,
  CommitSummary,
  CommittedProposal,
  PendingProposal,
  ProposalPolicy,
  PublicContext,
} from "./group/public-state.ts";
export type { ProvenReport } from "./group/report.ts";
export type { AuthenticationService, Credential, Credentialed } from "./key/credential.ts";
export { type Extension, findExtension } from "./key/extension.ts";
export { EXTENSION, PROPOSAL } from "./registry.ts";
export type { LeafNode, Lifetime } from "./tree/leaf-node.ts";
export type { Member, NodeChange } from "./tree/ratchet-tree.ts";

/** What a message that was followed turned out to be. */
export type PublicEvent =
  | {
      readonly type: "proposal";
      readonly ref: Bytes;
      readonly proposal: Proposal;
      readonly sender: Sender;
    }
  | { readonly type: "commit"; readonly summary: CommitSummary };

/** The public state of a group in one epoch. A value: following the group gives the next one. */
export class PublicGroup {
  readonly #context: PublicContext;
  readonly #state: PublicState;
  readonly #groupInfo: Bytes | undefined;

  private constructor(context: PublicContext, state: PublicState, groupInfo?: Bytes) {
    this.#context = context;
    this.#state = state;
    this.#groupInfo = groupInfo;
  }

  /**
   * From a GroupInfo (an MLSMessage) and the tree in it or beside it, both checked whole: part by part, and between them other work has its
   * turn. Throws `MlsError`.
   */
  static async open(
    context: PublicContext,
    options: { readonly groupInfo: Bytes; readonly ratchetTree?: Bytes },
  ): Promise<PublicGroup> {
    const groupInfo = readGroupInfoWhole(options.groupInfo);
    const suite = suiteOf(context.crypto, groupInfo.groupContext.cipherSuite);
    const tree = await treeFor(suite, groupInfo, options.ratchetTree);
    const state = await verifiedState(context, suite, groupInfo, tree);
    return new PublicGroup(context, state, new Uint8Array(options.groupInfo));
  }

  /**
   * From what `state` and `nodes` gave; nothing is verified again. It is done part by part, with all that is computed of the tree once, and
   * between them other work has its turn: the bytes must not change meanwhile. Throws `MlsError` with `storage`, `decode` or `tree-shape`.
   */
  static async load(
    context: PublicContext,
    stored: {
      readonly state: Bytes;
      readonly nodes: Iterable<readonly [index: number, node: Bytes]>;
    },
  ): Promise<PublicGroup> {
    const { groupContext, confirmationTag, proposals, reinit, groupInfo } = decodePublicState(
      stored.state,
    );
    const suite = suiteOf(context.crypto, groupContext.cipherSuite);
    const tree = await treeFromNodes(stored.nodes, (part) => summarizePart(suite, part));
    const confirmed = groupContext.confirmedTranscriptHash;
    let state: PublicState = {
      suite,
      groupContext,
      tree,
      confirmationTag,
      interimTranscriptHash: interimTranscriptHash(suite, confirmed, confirmationTag),
      proposals: new Map(),
      reinit,
    };
    for (const authenticated of proposals) {
      state = withProposal(state, storedProposal(suite, authenticated));
    }
    return new PublicGroup(context, state, groupInfo);
  }

  get groupId(): Bytes {
    return this.#state.groupContext.groupId;
  }
  get suite(): number {
    return this.#state.suite.number;
  }
  get epoch(): bigint {
    return this.#state.groupContext.epoch;
  }
  /** Of the GroupContext. */
  get extensions(): readonly Extension[] {
    return this.#state.groupContext.extensions;
  }

  /** What the group goes on as (§11.2), where its last commit ended it: it takes no message any more. */
  get reinit(): ReInit | undefined {
    return this.#state.reinit;
  }
  get pendingProposals(): readonly PendingProposal[] {
    return [...this.#state.proposals.values()];
  }
  /**
   * The newest GroupInfo of this epoch (an MLSMessage) that was checked; undefined until a member signs one. A tree that
   * is not in it goes beside it (`ratchetTree`): the signature covers its extensions.
   */
  get groupInfo(): Bytes | undefined {
    return this.#groupInfo;
  }

  /** The members, by leaf index. */
  members(): readonly Member[] {
    return membersOf(this.#state.tree);
  }

  /** The `ratchet_tree`, encoded (§12.4.3.3). */
  ratchetTree(): Bytes {
    return encodeRatchetTree(this.#state.tree);
  }

  /** Everything but the nodes of the tree: small, and rewritten with each change. */
  state(): Bytes {
    const { groupContext, confirmationTag, proposals, reinit } = this.#state;
    return encodePublicState({
      groupContext,
      confirmationTag,
      proposals: [...proposals.values()].map(({ authenticated }) => authenticated),
      reinit,
      groupInfo: this.#groupInfo,
    });
  }

  /** The nodes that are not blank, encoded, by node index. */
  nodes(): Iterable<readonly [index: number, node: Bytes]> {
    return encodedNodes(this.#state.tree);
  }

  /**
   * Follows a proposal or commit (an MLSMessage with a PublicMessage of this epoch). Its membership tag and the secrets in
   * its path are for members to check; everything else is checked here. `policy` judges this commit instead of the context's. Throws `MlsError`; this value stays as it is.
   */
  async process(
    message: Bytes,
    options: { readonly policy?: CommitPolicy } = {},
  ): Promise<{
    readonly group: PublicGroup;
    readonly event: PublicEvent;
    readonly changes: readonly NodeChange[];
  }> {
    const { suite } = this.#state;
    const authenticated = await this.#verified(message);
    const { content } = authenticated;
    const { content: inner, sender } = content;
    if (inner.contentType === "commit") {
      const staged = await stageCommit(
        { ...this.#context, ...options },
        this.#state,
        authenticated,
        inner.commit,
      );
      return {
        group: new PublicGroup(this.#context, staged.next),
        event: { type: "commit", summary: staged.summary },
        changes: changedNodes(this.#state.tree, staged.next.tree),
      };
    }
    const pending = pendingProposal(suite, authenticated, inner.proposal);
    checkRoom(this.#context, this.#state, pending);
    if (!this.#state.proposals.has(toHex(pending.ref))) {
      await validateProposal(this.#context, this.#state, pending.proposal, sender);
      await judgeProposal(this.#context, this.#state, pending.proposal, sender);
    }
    return {
      group: new PublicGroup(this.#context, withProposal(this.#state, pending), this.#groupInfo),
      event: { type: "proposal", ref: pending.ref, proposal: pending.proposal, sender },
      changes: [],
    };
  }

  /** A message of this state whose signature was verified (§6.1). Throws `MlsError`. */
  async #verified(message: Bytes): Promise<AuthenticatedContent<HandshakeContent>> {
    const { publicMessage } = decodeMessageOf(message, "mls_public_message");
    const authenticated = readPublic(publicMessage);
    const { content } = authenticated;
    const { groupContext, suite, tree } = this.#state;
    if (!bytesEqual(content.groupId, groupContext.groupId)) {
      throw new MlsError("wrong-group", "6.1", "a message of another group");
    }
    if (content.epoch !== groupContext.epoch) {
      throw new MlsError(
        "wrong-epoch",
        "6.1",
        `a message of epoch ${content.epoch}, the group is at ${groupContext.epoch}`,
      );
    }
    if (this.#state.reinit) throw new MlsError("group-closed", "11.2", "the group is over");
    const leafOf = (leafIndex: number) => leafAt(tree, leafIndex);
    await verifyContent(suite, authenticated, leafOf, groupContext);
    checkAuthenticatedData(this.#context, groupContext, content.authenticatedData);
    return authenticated;
  }

  /**
   * Whom a commit of this epoch (an MLSMessage with a PublicMessage) shuts out, by what a member reveals (`reportCommit`): the leaf indices of
   * all that had to follow it by the same ciphertext. Whether the application would still accept the commit is not asked. Throws
   * `MlsError`: `report` where the report doesn't hold, `decode` or `unsupported-version` for what is none.
   */
  async checkReport(commit: Bytes, report: Bytes): Promise<ProvenReport> {
    const authenticated = await this.#verified(commit);
    const { content } = authenticated.content;
    if (content.contentType !== "commit") {
      throw new MlsError("report", "12.4.2", "a report on what is no commit");
    }
    return checkReport(this.#context, this.#state, authenticated, content.commit, report);
  }

  /** Every rule that a commit by this member with these proposals by value would break, but for those on its path. */
  inspectProposals(
    proposals: readonly Proposal[],
    committer: number,
  ): Promise<readonly BrokenRule[]> {
    const sender: Sender = { senderType: "member", leafIndex: committer };
    const list = proposals.map((proposal) => ({ proposal, sender, ref: undefined }));
    return inspectProposals(this.#context, this.#state, list, committer);
  }

  /**
   * Throws `MlsError` unless this GroupInfo (an MLSMessage) is of exactly this state and signed by a member. `group`: the same
   * state, which gives this GroupInfo out.
   */
  async checkGroupInfo(
    message: Bytes,
  ): Promise<{ readonly extensions: readonly Extension[]; readonly group: PublicGroup }> {
    // What is handed out is what was checked, whatever becomes of the caller's array meanwhile.
    const copy = new Uint8Array(message);
    const { groupInfo } = decodeMessageOf(copy, "mls_group_info");
    const { groupContext, confirmationTag, suite, tree } = this.#state;
    if (
      !bytesEqual(
        GroupContext.encoded(groupInfo.groupContext),
        GroupContext.encoded(groupContext),
      ) ||
      !bytesEqual(groupInfo.confirmationTag, confirmationTag)
    ) {
      throw new MlsError("group-info-signature", "12.4.3", "a GroupInfo of another state");
    }
    await verifyGroupInfo(suite, groupInfo, tree);
    const group = new PublicGroup(this.#context, this.#state, copy);
    return { extensions: groupInfo.extensions, group };
  }
}

/** What the head of a message says, before anything is verified. Throws `MlsError` with `decode`. */
export function readMessage(message: Bytes): {
  readonly wireFormat: WireFormat;
  readonly groupId?: Bytes;
  readonly epoch?: bigint;
  readonly contentType?: ContentType;
  readonly sender?: Sender;
  /** Of a PublicMessage. */
  readonly authenticatedData?: Bytes;
} {
  const decoded = decodeMessage(message);
  const { wireFormat } = decoded;
  switch (decoded.wireFormat) {
    case "mls_public_message": {
      const { groupId, epoch, sender, content, authenticatedData } = decoded.publicMessage.content;
      const { contentType } = content;
      return { wireFormat, groupId, epoch, contentType, sender, authenticatedData };
    }
    case "mls_private_message": {
      const { groupId, epoch, contentType } = decoded.privateMessage;
      return { wireFormat, groupId, epoch, contentType };
    }
    case "mls_group_info": {
      const { groupId, epoch } = decoded.groupInfo.groupContext;
      return { wireFormat, groupId, epoch };
    }
    case "mls_welcome":
    case "mls_key_package":
      return { wireFormat };
  }
}

/** For whom a Welcome (an MLSMessage) is. Throws `MlsError` with `decode` or `wrong-wire-format`. */
export function readWelcome(message: Bytes): {
  readonly suite: number;
  readonly keyPackageRefs: readonly Bytes[];
} {
  const { welcome } = decodeMessageOf(message, "mls_welcome");
  return {
    suite: welcome.cipherSuite,
    keyPackageRefs: welcome.secrets.map(({ newMember }) => newMember),
  };
}

/** The context and extensions of a GroupInfo (an MLSMessage), unverified. */
export function readGroupInfo(message: Bytes): {
  readonly groupId: Bytes;
  readonly epoch: bigint;
  readonly suite: number;
  readonly extensions: readonly Extension[];
} {
  const { groupContext, extensions } = decodeMessageOf(message, "mls_group_info").groupInfo;
  const { groupId, epoch, cipherSuite: suite } = groupContext;
  return { groupId, epoch, suite, extensions };
}

/** Checks a key package (an MLSMessage) as who adds it is to (§10.1): its lifetime contains now. Throws `MlsError`. */
export async function validateKeyPackage(
  context: Pick<PublicContext, "crypto" | "now" | "maxLifetime">,
  message: Bytes,
): Promise<{
  readonly ref: Bytes;
  readonly suite: number;
  readonly leafNode: LeafNode;
  readonly lifetime: Lifetime;
}> {
  const { keyPackage } = decodeMessageOf(message, "mls_key_package");
  const suite = suiteOf(context.crypto, keyPackage.cipherSuite);
  await validate(suite, keyPackage);
  const { leafNode } = keyPackage;
  checkSuiteListed(suite, leafNode);
  checkTotalLifetime(leafNode.source, context.maxLifetime ?? MAX_LIFETIME);
  const lifetime = lifetimeOf(leafNode);
  checkLifetime(lifetime, context.now());
  return {
    ref: keyPackageRef(suite, keyPackage),
    suite: suite.number,
    leafNode,
    lifetime,
  };
}
