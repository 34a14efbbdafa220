/**
 * The list of proposals in a commit: is it valid, and what does it do to the group.
 * RFC 9420 §12.1 (each proposal), §12.2 (the list), §12.3 (applying).
 * @module
 */

import { bytesEqual, toHex } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { checkPublicKey } from "../crypto/hpke.ts";
import type { Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import type { Sender } from "../framing/content.ts";
import type { Commit, Proposal } from "../framing/proposal.ts";
import { checkNoDuplicateExtension, type Extension } from "../key/extension.ts";
import { keyPackageRef, validateKeyPackage } from "../key/key-package.ts";
import { type PreSharedKeyID, pskKey } from "../key/psk.ts";
import { DEFAULT_PROPOSALS, PROPOSAL } from "../registry.ts";
import { checkLeafNode, verifyLeafNode } from "../tree/leaf-node.ts";
import {
  addLeaf,
  leafAt,
  type RatchetTree,
  removeLeaf,
  support,
  updateLeaf,
} from "../tree/ratchet-tree.ts";
import { checkSupport, checkUnique } from "../tree/tree-validation.ts";
import type { CommitSummary, PublicState } from "./public-state.ts";

/** A proposal with the one who made it; the committer, where it stands in the commit by value. */
export interface ListedProposal {
  readonly proposal: Proposal;
  readonly sender: Sender;
  readonly ref: Bytes | undefined;
}

/** What a valid list makes of a group, before the commit's path. */
export interface AppliedProposals {
  readonly tree: RatchetTree;
  readonly extensions: readonly Extension[];
  readonly added: CommitSummary["added"];
  readonly removed: CommitSummary["removed"];
  readonly updated: CommitSummary["updated"];
  /** In the order of their proposals (§8.4). */
  readonly psks: readonly PreSharedKeyID[];
  /** The `kem_output` of an external commit. */
  readonly externalInit: Bytes | undefined;
  /** Each type once, increasing. */
  readonly proposalTypes: readonly number[];
  /** Whether the commit must have a path (§12.4). */
  readonly pathRequired: boolean;
}

/** The proposals that a commit names. Throws `MlsError` with `proposal-unknown`. */
export function listProposals(
  state: PublicState,
  commit: Commit,
  committer: Sender,
): readonly ListedProposal[] {
  const named = new Set<string>();
  return commit.proposals.map((entry) => {
    if (entry.type === "proposal") {
      return { proposal: entry.proposal, sender: committer, ref: undefined };
    }
    const ref = toHex(entry.reference);
    if (named.has(ref)) refuseList("12.2", "a proposal is named twice");
    named.add(ref);
    const pending = state.proposals.get(ref);
    if (!pending) {
      throw new MlsError(
        "proposal-unknown",
        "12.4.2",
        "a commit names a proposal that did not come",
      );
    }
    return pending;
  });
}

function proposalTypeOf(proposal: Proposal): number {
  switch (proposal.proposalType) {
    case "external_init":
      return PROPOSAL.externalInit;
    case "group_context_extensions":
      return PROPOSAL.groupContextExtensions;
    case "other":
      return proposal.number;
    case "add":
    case "update":
    case "remove":
    case "psk":
    case "reinit":
      return PROPOSAL[proposal.proposalType];
  }
}

function refuseList(section: string, why: string): never {
  throw new MlsError("proposal-list", section, why);
}

/** Those of a list that are of one type. */
function ofType<T extends Proposal["proposalType"]>(
  list: readonly ListedProposal[],
  type: T,
): { readonly proposal: Extract<Proposal, { proposalType: T }>; readonly sender: Sender }[] {
  return list.filter(({ proposal }) => proposal.proposalType === type) as never;
}

/** Validates one proposal by itself, as it must be before it is kept for a commit (§12.1). */
export async function validateProposal(
  state: PublicState,
  proposal: Proposal,
  sender: Sender,
): Promise<void> {
  const { suite, tree, groupContext } = state;
  checkSender(proposal, sender);
  switch (proposal.proposalType) {
    case "add":
      return validateKeyPackage(suite, proposal.keyPackage);
    case "update":
      return validateUpdate(state, proposal, sender);
    case "remove":
      if (!leafAt(tree, proposal.removed)) {
        throw new MlsError(
          "blank-leaf",
          "12.1.3",
          `leaf ${proposal.removed} has no member to remove`,
        );
      }
      return undefined;
    case "psk":
      return validatePsk(suite, proposal.psk);
    case "reinit":
      if (proposal.version < groupContext.version) {
        throw new MlsError("proposal-invalid", "12.1.5", "a ReInit to an older version");
      }
      return checkNoDuplicateExtension(proposal.extensions);
    case "group_context_extensions":
      return checkNoDuplicateExtension(proposal.extensions);
    case "external_init":
    case "other":
      return undefined;
  }
}

/** Which proposals may come from whom (§12.1, §12.1.8). */
function checkSender(proposal: Proposal, sender: Sender): void {
  const { proposalType } = proposal;
  const allowed = ((): boolean => {
    switch (sender.senderType) {
      case "member":
        return proposalType !== "external_init";
      case "external":
        return ["add", "remove", "psk", "reinit", "group_context_extensions", "other"].includes(
          proposalType,
        );
      case "new_member_proposal":
        return proposalType === "add";
      case "new_member_commit":
        return ["external_init", "remove", "psk", "other"].includes(proposalType);
    }
  })();
  if (!allowed) {
    throw new MlsError(
      "sender-not-allowed",
      "12.1.8",
      `a proposal of type ${proposalType} from a sender of type ${sender.senderType}`,
    );
  }
}

async function validateUpdate(
  state: PublicState,
  { leafNode }: Extract<Proposal, { proposalType: "update" }>,
  sender: Sender,
): Promise<void> {
  if (sender.senderType !== "member") return;
  const { leafIndex } = sender;
  checkLeafNode(state.suite, leafNode, "update");
  const before = leafAt(state.tree, leafIndex);
  if (!before || bytesEqual(before.encryptionKey, leafNode.encryptionKey)) {
    throw new MlsError("leaf-encryption-key", "7.3", "an update that keeps its encryption key");
  }
  await checkPublicKey(state.suite, leafNode.encryptionKey);
  await verifyLeafNode(state.suite, leafNode, { groupId: state.groupContext.groupId, leafIndex });
}

/** The PSKs of a commit, or of the Welcome to it: each valid, and none twice (§12.2). Throws `MlsError`. */
export function checkPsks(suite: Suite, psks: readonly PreSharedKeyID[]): void {
  for (const psk of psks) validatePsk(suite, psk);
  if (new Set(psks.map(pskKey)).size !== psks.length) refuseList("12.2", "the same PSK twice");
}

function validatePsk(suite: Suite, psk: PreSharedKeyID): void {
  if (psk.pskNonce.length !== suite.nh) {
    throw new MlsError("psk-nonce", "8.4", `a PSK nonce of ${psk.pskNonce.length} bytes`);
  }
  if (psk.pskType === "resumption" && psk.usage !== "application") {
    throw new MlsError("psk-usage", "12.1.4", `a PSK for ${psk.usage} in a commit`);
  }
}

/** §12.2, a list in a regular commit. */
function checkRegularList(list: readonly ListedProposal[], committer: number): void {
  const touched = new Set<number>();
  const touch = (leafIndex: number): void => {
    if (touched.has(leafIndex)) refuseList("12.2", `leaf ${leafIndex} is updated or removed twice`);
    touched.add(leafIndex);
  };
  for (const { proposal, sender } of list) {
    if (proposal.proposalType === "update" && sender.senderType === "member") {
      if (sender.leafIndex === committer) refuseList("12.2", "an Update by the committer");
      touch(sender.leafIndex);
    }
    if (proposal.proposalType === "remove") {
      if (proposal.removed === committer) refuseList("12.2", "a Remove of the committer");
      touch(proposal.removed);
    }
    if (proposal.proposalType === "external_init") {
      refuseList("12.2", "an ExternalInit in a commit by a member");
    }
  }
  if (ofType(list, "group_context_extensions").length > 1) {
    refuseList("12.2", "two GroupContextExtensions");
  }
  if (ofType(list, "reinit").length > 0 && list.length > 1) {
    refuseList("12.2", "a ReInit beside other proposals");
  }
}

/** §12.2, a list in an external commit. */
function checkExternalList(list: readonly ListedProposal[]): void {
  if (list.some(({ ref }) => ref))
    refuseList("12.2", "a proposal by reference in an external commit");
  if (ofType(list, "external_init").length !== 1) {
    refuseList("12.2", "an external commit has exactly one ExternalInit");
  }
  if (ofType(list, "remove").length > 1)
    refuseList("12.2", "an external commit removes one leaf at most");
}

/**
 * Checks a list and applies it: GroupContextExtensions, Update, Remove, Add (§12.3). The state stays as it is.
 * `committer`: the leaf index of a member, or undefined for an external commit, whose leaf comes with its path.
 */
export async function applyProposals(
  state: PublicState,
  list: readonly ListedProposal[],
  committer: number | undefined,
): Promise<AppliedProposals> {
  const { suite } = state;
  if (committer === undefined) checkExternalList(list);
  else checkRegularList(list, committer);
  // What came by reference was validated when it came, in this very epoch.
  const byValue = list.filter(({ ref }) => ref === undefined);
  await Promise.all(
    byValue.map(({ proposal, sender }) => validateProposal(state, proposal, sender)),
  );

  const psks = ofType(list, "psk").map(({ proposal }) => proposal.psk);
  checkPsks(suite, psks);

  const extensions =
    ofType(list, "group_context_extensions")[0]?.proposal.extensions ??
    state.groupContext.extensions;

  let { tree } = state;
  const updated: CommitSummary["updated"][number][] = [];
  for (const { proposal, sender } of ofType(list, "update")) {
    const leafIndex = sender.senderType === "member" ? sender.leafIndex : -1;
    const previous = leafAt(tree, leafIndex);
    if (!previous) throw new MlsError("blank-leaf", "12.1.2", "an Update of a blank leaf");
    updated.push({ leafIndex, previous, next: proposal.leafNode });
    tree = updateLeaf(tree, leafIndex, proposal.leafNode);
  }
  const removed: CommitSummary["removed"][number][] = [];
  for (const { proposal } of ofType(list, "remove")) {
    const leafNode = leafAt(tree, proposal.removed);
    if (!leafNode) throw new MlsError("blank-leaf", "12.1.3", "a Remove of a blank leaf");
    removed.push({ leafIndex: proposal.removed, leafNode });
    tree = removeLeaf(tree, proposal.removed);
  }
  checkProposalSupport(tree, list);
  const added: CommitSummary["added"][number][] = [];
  for (const { proposal } of ofType(list, "add")) {
    const { leafNode } = proposal.keyPackage;
    const placed = addLeaf(tree, leafNode);
    tree = placed.tree;
    added.push({
      leafIndex: placed.leafIndex,
      leafNode,
      keyPackageRef: keyPackageRef(suite, proposal.keyPackage),
    });
  }
  for (const leaf of [...added.map((one) => one.leafNode), ...updated.map((one) => one.next)]) {
    checkUnique(tree, leaf.encryptionKey);
    checkUnique(tree, leaf.signatureKey);
  }
  checkSupport(tree, extensions);
  return {
    tree,
    extensions,
    added,
    removed,
    updated,
    psks,
    externalInit: ofType(list, "external_init")[0]?.proposal.kemOutput,
    proposalTypes: [...new Set(list.map(({ proposal }) => proposalTypeOf(proposal)))].sort(
      (a, b) => a - b,
    ),
    pathRequired:
      list.length === 0 ||
      list.some(({ proposal }) => !["add", "psk", "reinit"].includes(proposal.proposalType)),
  };
}

/** §12.2: who stays must know the types of proposals; who comes or goes by this commit need not. */
function checkProposalSupport(tree: RatchetTree, list: readonly ListedProposal[]): void {
  const types = list.map(({ proposal }) => proposalTypeOf(proposal));
  const known = support(tree).proposals;
  for (const type of types) {
    if (!DEFAULT_PROPOSALS.has(type) && !known.has(type)) {
      throw new MlsError(
        "proposal-unsupported",
        "12.2",
        `a member does not support proposal ${type}`,
      );
    }
  }
}
