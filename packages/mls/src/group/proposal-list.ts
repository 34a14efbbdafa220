/**
 * The list of proposals in a commit: is it valid, and what does it do to the group.
 * RFC 9420 §12.1 (each proposal), §12.2 (the list), §12.3 (applying).
 * @module
 */

import { bytesEqual, toHex } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { checkPublicKey } from "../crypto/hpke.ts";
import type { Suite } from "../crypto/suite.ts";
import { attempt, MlsError, type Refuse, refuseAtOnce } from "../errors.ts";
import type { Sender } from "../framing/content.ts";
import type { Commit, Proposal, ReInit } from "../framing/proposal.ts";
import { checkNoDuplicateExtension, type Extension } from "../key/extension.ts";
import { keyPackageRef, validateKeyPackage } from "../key/key-package.ts";
import { isLink, type PreSharedKeyID, pskKey } from "../key/psk.ts";
import { DEFAULT_PROPOSALS, DRAFT_PROPOSAL, PROPOSAL } from "../registry.ts";
import { checkLeafNode, type LeafNode, verifyLeafNode } from "../tree/leaf-node.ts";
import {
  addLeaves,
  leafAt,
  type RatchetTree,
  removeLeaf,
  support,
  updateLeaf,
} from "../tree/ratchet-tree.ts";
import { checkLeafUnique, checkSupport } from "../tree/tree-validation.ts";
import { checkListed, type RulesContext, rulesFor, selfRemoved } from "./group-rules.ts";
import type { CommitSummary, PublicState } from "./public-state.ts";

/** A proposal with the one who made it; the committer, where it stands in the commit by value. */
export interface ListedProposal {
  readonly proposal: Proposal;
  readonly sender: Sender;
  readonly ref: Bytes | undefined;
  /** In the first commit of a group, by who made it: there a PSK may link the group to a former one (§11.2, §11.3). */
  readonly first?: boolean;
}

/** What a valid list makes of a group, before the commit's path. */
export interface AppliedProposals {
  readonly tree: RatchetTree;
  readonly extensions: readonly Extension[];
  readonly added: CommitSummary["added"];
  readonly removed: CommitSummary["removed"];
  /** The former self that someone from outside replaces (§12.4.3.2). */
  readonly replaced: LeafNode | undefined;
  readonly updated: CommitSummary["updated"];
  /** In the order of their proposals (§8.4). */
  readonly psks: readonly PreSharedKeyID[];
  /** The `kem_output` of an external commit. */
  readonly externalInit: Bytes | undefined;
  readonly reinit: ReInit | undefined;
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
  const first = state.groupContext.epoch === 0n && committer.senderType === "member";
  return commit.proposals.map((entry) => {
    if (entry.type === "proposal") {
      return { proposal: entry.proposal, sender: committer, ref: undefined, first };
    }
    const ref = toHex(entry.reference);
    if (named.has(ref)) throw brokenList("12.2", "a proposal is named twice");
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

/** The number of a proposal's type (§17.4). */
export function proposalTypeOf(proposal: Proposal): number {
  switch (proposal.proposalType) {
    case "external_init":
      return PROPOSAL.externalInit;
    case "group_context_extensions":
      return PROPOSAL.groupContextExtensions;
    case "app_data_update":
      return DRAFT_PROPOSAL.appDataUpdate;
    case "app_ephemeral":
      return DRAFT_PROPOSAL.appEphemeral;
    case "self_remove":
      return DRAFT_PROPOSAL.selfRemove;
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

function brokenList(section: string, why: string): MlsError {
  return new MlsError("proposal-list", section, why);
}

/** Those of a list that are of one type, with their positions in it. */
function ofType<T extends Proposal["proposalType"]>(
  list: readonly ListedProposal[],
  type: T,
): {
  readonly proposal: Extract<Proposal, { proposalType: T }>;
  readonly sender: Sender;
  readonly position: number;
}[] {
  return list
    .map((one, position) => ({ ...one, position }))
    .filter(({ proposal }) => proposal.proposalType === type) as never;
}

/** What is refused of one proposal in a list. */
function about(refuse: Refuse, position: number): Refuse {
  return (error) => refuse(error, position);
}

/** Validates one proposal by itself, as it must be before it is kept for a commit (§12.1). */
export async function validateProposal(
  context: RulesContext,
  state: PublicState,
  proposal: Proposal,
  sender: Sender,
  refuse: Refuse = refuseAtOnce,
  first = false,
): Promise<void> {
  const { suite, tree, groupContext } = state;
  checkSender(context, proposal, sender, refuse);
  switch (proposal.proposalType) {
    case "add":
      return validateKeyPackage(suite, proposal.keyPackage, refuse);
    case "update":
      return validateUpdate(state, proposal, sender, refuse);
    case "remove":
      if (!leafAt(tree, proposal.removed)) {
        refuse(
          new MlsError("blank-leaf", "12.1.3", `leaf ${proposal.removed} has no member to remove`),
        );
      }
      return undefined;
    case "psk":
      return validatePsk(suite, proposal.psk, first, refuse);
    case "reinit":
      if (proposal.version < groupContext.version) {
        refuse(new MlsError("proposal-invalid", "12.1.5", "a ReInit to an older version"));
      }
      return checkNoDuplicateExtension(proposal.extensions, refuse);
    case "group_context_extensions":
      return checkNoDuplicateExtension(proposal.extensions, refuse);
    case "external_init":
      return undefined;
    case "app_data_update":
    case "app_ephemeral":
    case "self_remove":
    case "other":
      return validateCustom(context, state, proposal, sender, refuse);
  }
}

/** A proposal of a type that RFC 9420 doesn't define. */
function validateCustom(
  context: RulesContext,
  state: PublicState,
  proposal: Proposal,
  sender: Sender,
  refuse: Refuse,
): Promise<void> {
  const number = proposalTypeOf(proposal);
  const rules = rulesFor(context, number);
  if (!rules && DRAFT_TYPES.has(number)) {
    refuse(new MlsError("proposal-unsupported", "12.2", `no rules for proposal ${number}`));
  }
  return attempt(refuse, async () => rules?.validate?.(state, proposal, sender));
}

/** They do what somebody must carry out: who has no rules for them cannot follow a commit that holds one. */
const DRAFT_TYPES: ReadonlySet<number> = new Set(Object.values(DRAFT_PROPOSAL));

/** Those that external senders may propose (§12.1.8, and the External column of §17.4). */
const EXTERNAL_TYPES: ReadonlySet<Proposal["proposalType"]> = new Set([
  "add",
  "remove",
  "psk",
  "reinit",
  "group_context_extensions",
  "app_data_update",
  "app_ephemeral",
  "other",
]);

/** Which proposals may come from whom (§12.1, §12.1.8). */
export function checkSender(
  context: RulesContext,
  proposal: Proposal,
  sender: Sender,
  refuse: Refuse,
): void {
  const { proposalType } = proposal;
  const rules = rulesFor(context, proposalTypeOf(proposal));
  const allowed = ((): boolean => {
    if (rules) return rules.senders.includes(sender.senderType);
    switch (sender.senderType) {
      case "member":
        return proposalType !== "external_init";
      case "external":
        return EXTERNAL_TYPES.has(proposalType);
      case "new_member_proposal":
        return proposalType === "add";
      case "new_member_commit":
        return ["external_init", "remove", "psk"].includes(proposalType);
    }
  })();
  if (!allowed) {
    refuse(
      new MlsError(
        "sender-not-allowed",
        "12.1.8",
        `a proposal of type ${proposalType} from a sender of type ${sender.senderType}`,
      ),
    );
  }
}

async function validateUpdate(
  state: PublicState,
  { leafNode }: Extract<Proposal, { proposalType: "update" }>,
  sender: Sender,
  refuse: Refuse,
): Promise<void> {
  if (sender.senderType !== "member") return;
  const { leafIndex } = sender;
  checkLeafNode(leafNode, "update", refuse);
  const before = leafAt(state.tree, leafIndex);
  if (!before || bytesEqual(before.encryptionKey, leafNode.encryptionKey)) {
    refuse(new MlsError("leaf-encryption-key", "7.3", "an update that keeps its encryption key"));
  }
  const { groupId } = state.groupContext;
  await attempt(refuse, () => checkPublicKey(state.suite, leafNode.encryptionKey));
  await attempt(refuse, () => verifyLeafNode(state.suite, leafNode, { groupId, leafIndex }));
}

/** The PSKs in a Welcome: each valid, none twice, and one at most that links to a former group (§12.4.3.1). Throws `MlsError`. */
export function checkWelcomePsks(suite: Suite, psks: readonly PreSharedKeyID[]): void {
  for (const psk of psks) validatePsk(suite, psk, true, refuseAtOnce);
  checkPskList(psks, refuseAtOnce);
}

/** PSKs are counted in 16 bits (§8.4). */
const MAX_PSKS = 0xffff;

function checkPskList(psks: readonly PreSharedKeyID[], refuse: Refuse): void {
  if (psks.length > MAX_PSKS) refuse(brokenList("8.4", `${psks.length} PSKs`));
  if (psks.filter(isLink).length > 1) {
    refuse(new MlsError("psk-usage", "12.4.3.1", "two PSKs that link to a former group"));
  }
  if (new Set(psks.map(pskKey)).size !== psks.length) {
    refuse(brokenList("12.2", "the same PSK twice"));
  }
}

function validatePsk(suite: Suite, psk: PreSharedKeyID, first: boolean, refuse: Refuse): void {
  if (psk.pskNonce.length !== suite.nh) {
    refuse(new MlsError("psk-nonce", "8.4", `a PSK nonce of ${psk.pskNonce.length} bytes`));
  }
  if (isLink(psk) && !first) {
    refuse(new MlsError("psk-usage", "12.1.4", `a PSK for ${psk.usage} in a commit`));
  }
}

/** §12.2, a list in a regular commit. */
function checkRegularList(
  context: RulesContext,
  list: readonly ListedProposal[],
  committer: number,
  refuse: Refuse,
): void {
  const touched = new Set<number>();
  const touch = (leafIndex: number, position: number): void => {
    if (touched.has(leafIndex)) {
      refuse(brokenList("12.2", `leaf ${leafIndex} is updated or removed twice`), position);
    }
    touched.add(leafIndex);
  };
  for (const [position, { proposal, sender }] of list.entries()) {
    if (proposal.proposalType === "update" && sender.senderType === "member") {
      if (sender.leafIndex === committer) {
        refuse(brokenList("12.2", "an Update by the committer"), position);
      }
      touch(sender.leafIndex, position);
    }
    if (proposal.proposalType === "remove") {
      if (proposal.removed === committer) {
        refuse(brokenList("12.2", "a Remove of the committer"), position);
      }
      touch(proposal.removed, position);
    }
    const leaving = selfRemoved(rulesFor(context, proposalTypeOf(proposal)), { sender });
    if (leaving !== undefined) {
      if (leaving === committer) {
        refuse(brokenList("12.2", "the committer removes itself"), position);
      }
      touch(leaving, position);
    }
    if (proposal.proposalType === "external_init") {
      refuse(brokenList("12.2", "an ExternalInit in a commit by a member"), position);
    }
  }
  const [, second] = ofType(list, "group_context_extensions");
  if (second) refuse(brokenList("12.2", "two GroupContextExtensions"), second.position);
  const [reinit] = ofType(list, "reinit");
  if (reinit && list.length > 1) {
    refuse(brokenList("12.2", "a ReInit beside other proposals"), reinit.position);
  }
}

/** §12.2, a list in an external commit. */
function checkExternalList(
  context: RulesContext,
  list: readonly ListedProposal[],
  refuse: Refuse,
): void {
  const gone = new Set<number>();
  for (const [position, { proposal, sender, ref }] of list.entries()) {
    const rules = rulesFor(context, proposalTypeOf(proposal));
    const leaving =
      proposal.proposalType === "remove" ? proposal.removed : selfRemoved(rules, { sender });
    if (leaving !== undefined) {
      if (gone.has(leaving)) {
        refuse(brokenList("12.2", `leaf ${leaving} is removed twice`), position);
      }
      gone.add(leaving);
    }
    if (ref && rules?.listed !== "by-reference")
      refuse(brokenList("12.2", "a proposal by reference in an external commit"), position);
  }
  if (ofType(list, "external_init").length !== 1) {
    refuse(brokenList("12.2", "an external commit has exactly one ExternalInit"));
  }
  const [, second] = ofType(list, "remove");
  if (second) {
    refuse(brokenList("12.2", "an external commit removes one leaf at most"), second.position);
  }
}

/**
 * Checks a list and applies it: GroupContextExtensions, Update, Remove, Add (§12.3). The state stays as it is.
 * `committer`: the leaf index of a member, or undefined for an external commit, whose leaf comes with its path.
 * With a `refuse` that goes on, what could not be applied is left out of what is returned.
 */
export async function applyProposals(
  context: RulesContext,
  state: PublicState,
  list: readonly ListedProposal[],
  committer: number | undefined,
  refuse: Refuse = refuseAtOnce,
): Promise<AppliedProposals> {
  const { suite } = state;
  if (committer === undefined) checkExternalList(context, list, refuse);
  else checkRegularList(context, list, committer, refuse);
  for (const [position, one] of list.entries()) {
    const number = proposalTypeOf(one.proposal);
    const broken = checkListed(rulesFor(context, number), number, one, committer === undefined);
    if (broken) refuse(broken, position);
  }
  for (const rules of context.rules?.proposals?.values() ?? []) {
    await attempt(refuse, async () => rules.checkList?.(state, list));
  }
  // A commit of a path alone leaves the rest of the group as it was, and as it was checked.
  if (list.length === 0) return appliedNothing(state);
  // What came by reference was validated when it came, in this very epoch.
  await Promise.all(
    list.map(async ({ proposal, sender, ref, first }, position) => {
      if (!ref)
        await validateProposal(context, state, proposal, sender, about(refuse, position), first);
    }),
  );

  const psks = ofType(list, "psk").map(({ proposal }) => proposal.psk);
  checkPskList(psks, refuse);

  const replacedExtensions =
    ofType(list, "group_context_extensions")[0]?.proposal.extensions ??
    state.groupContext.extensions;

  let { tree } = state;
  const entered: { readonly leafNode: LeafNode; readonly position: number }[] = [];
  const updated: CommitSummary["updated"][number][] = [];
  for (const { proposal, sender, position } of ofType(list, "update")) {
    const leafIndex = sender.senderType === "member" ? sender.leafIndex : -1;
    const previous = leafAt(tree, leafIndex);
    if (!previous) {
      refuse(new MlsError("blank-leaf", "12.1.2", "an Update of a blank leaf"), position);
      continue;
    }
    updated.push({ leafIndex, previous, next: proposal.leafNode });
    entered.push({ leafNode: proposal.leafNode, position });
    tree = updateLeaf(tree, leafIndex, proposal.leafNode);
  }
  const removed: CommitSummary["removed"][number][] = [];
  for (const one of list) {
    const leafIndex = selfRemoved(rulesFor(context, proposalTypeOf(one.proposal)), one);
    const leafNode = leafIndex === undefined ? undefined : leafAt(tree, leafIndex);
    if (leafIndex === undefined || !leafNode) continue;
    removed.push({ leafIndex, leafNode });
    tree = removeLeaf(tree, leafIndex);
  }
  let replaced: LeafNode | undefined;
  for (const { proposal, position } of ofType(list, "remove")) {
    const leafNode = leafAt(tree, proposal.removed);
    if (!leafNode) {
      refuse(new MlsError("blank-leaf", "12.1.3", "a Remove of a blank leaf"), position);
      continue;
    }
    removed.push({ leafIndex: proposal.removed, leafNode });
    if (committer === undefined) replaced = leafNode;
    tree = removeLeaf(tree, proposal.removed);
  }
  checkProposalSupport(tree, list, refuse);
  const adds = ofType(list, "add");
  const placed = addLeaves(
    tree,
    adds.map(({ proposal }) => proposal.keyPackage.leafNode),
  );
  tree = placed.tree;
  const added = adds.map(({ proposal: { keyPackage }, position }, i) => {
    const { leafNode } = keyPackage;
    entered.push({ leafNode, position });
    const leafIndex = placed.leafIndices[i] ?? 0;
    return { leafIndex, leafNode, keyPackageRef: keyPackageRef(suite, keyPackage) };
  });
  for (const { leafNode, position } of entered) {
    checkLeafUnique(tree, leafNode, about(refuse, position));
  }
  let extensions = replacedExtensions;
  for (const [number, { apply }] of context.rules?.proposals ?? []) {
    const own = list.filter(({ proposal }) => proposalTypeOf(proposal) === number);
    const proposals = own.map(({ proposal }) => proposal);
    if (apply && own.length > 0) {
      await attempt(refuse, async () => {
        extensions = apply(extensions, proposals);
      });
    }
  }
  await attempt(refuse, () => checkSupport(tree, extensions, refuse));
  return {
    tree,
    extensions,
    added,
    removed,
    replaced,
    updated,
    psks,
    externalInit: ofType(list, "external_init")[0]?.proposal.kemOutput,
    reinit: reinitOf(list),
    proposalTypes: [...new Set(list.map(({ proposal }) => proposalTypeOf(proposal)))].sort(
      (a, b) => a - b,
    ),
    pathRequired: list.length === 0 || list.some(({ proposal }) => needsPath(context, proposal)),
  };
}

function appliedNothing({ tree, groupContext }: PublicState): AppliedProposals {
  return {
    tree,
    extensions: groupContext.extensions,
    added: [],
    removed: [],
    replaced: undefined,
    updated: [],
    psks: [],
    externalInit: undefined,
    reinit: undefined,
    proposalTypes: [],
    pathRequired: true,
  };
}

/** §12.4: the Path Required column of §17.4. */
function needsPath(context: RulesContext, proposal: Proposal): boolean {
  if (["add", "psk", "reinit"].includes(proposal.proposalType)) return false;
  return rulesFor(context, proposalTypeOf(proposal))?.path ?? true;
}

function reinitOf(list: readonly ListedProposal[]): ReInit | undefined {
  const [found] = ofType(list, "reinit");
  if (!found) return undefined;
  const { groupId, version, cipherSuite, extensions } = found.proposal;
  return { groupId, version, cipherSuite, extensions };
}

/** §12.2: who stays must know the types of proposals; who comes or goes by this commit need not. */
function checkProposalSupport(
  tree: RatchetTree,
  list: readonly ListedProposal[],
  refuse: Refuse,
): void {
  const known = support(tree).proposals;
  for (const [position, { proposal }] of list.entries()) {
    const type = proposalTypeOf(proposal);
    if (!DEFAULT_PROPOSALS.has(type) && !known.has(type)) {
      refuse(
        new MlsError("proposal-unsupported", "12.2", `a member does not support proposal ${type}`),
        position,
      );
    }
  }
}
