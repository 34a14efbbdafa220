/**
 * Which commits and proposals are accepted, beyond the rules of MLS: by members and by the service alike, since a commit that the
 * service takes and members refuse ends a group. Only what is signed and public counts, and the time at which the
 * log takes the commit, so that all decide the same.
 *
 * In this version every member may add and remove, so each may bring back a member that can't follow a commit. What nobody may
 * do is join without a link, leave a link open behind a removal, change the group's context otherwise, or bring in what not
 * every member can follow (PSKs, re-initialisation, other types).
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import {
  type CommitPolicy,
  type CommitSummary,
  type Extension,
  type PendingProposal,
  PROPOSAL,
  type Proposal,
  type Sender,
} from "@conclave/mls/public-group";
import { bytesToText } from "./base64url.ts";
import { type DeviceIdentity, decodeDeviceIdentity } from "./identity.ts";
import { LINKS_EXTENSION, linkOfProof, linksOf, MAX_LINKS } from "./link.ts";

/** Why a commit or proposal is refused. */
export class CommitRefusal extends Error {
  override readonly name = "CommitRefusal";
  readonly code: "message-refused" | "uninvited-member";
  /** The references of the proposals that the commit should not have left out. */
  readonly leftOut: readonly Bytes[];

  constructor(
    code: "message-refused" | "uninvited-member",
    message: string,
    leftOut: readonly Bytes[] = [],
  ) {
    super(message);
    this.code = code;
    this.leftOut = leftOut;
  }
}

const ALLOWED: ReadonlySet<number> = new Set([
  PROPOSAL.add,
  PROPOSAL.update,
  PROPOSAL.remove,
  PROPOSAL.externalInit,
  PROPOSAL.groupContextExtensions,
]);

/** `acceptedAt`: when the log took, or is about to take, the commit, in milliseconds. Throws `CommitRefusal`. */
export function commitPolicy(acceptedAt: () => number): CommitPolicy {
  return async (commit, pending) => {
    if (!commit.proposalTypes.every((type) => ALLOWED.has(type))) {
      throw new CommitRefusal("message-refused", "a proposal that has no place in a conversation");
    }
    if (commit.external) await checkExternal(commit, acceptedAt());
    else checkLeaving(commit, pending);
    checkContext(commit);
  };
}

/** The leaf that a proposal is to take out, where that is the proposer's own. */
export function leafThatLeaves({
  proposal,
  sender,
}: Pick<PendingProposal, "proposal" | "sender">): number | undefined {
  const leaves =
    proposal.proposalType === "remove" &&
    sender.senderType === "member" &&
    sender.leafIndex === proposal.removed;
  return leaves ? proposal.removed : undefined;
}

/**
 * Who asked to be taken out is taken out with the next commit, whoever makes it. Not by a joiner, who knows of no proposals and
 * removes nobody: with the epoch the proposal is void, and is made again.
 */
function checkLeaving(commit: CommitSummary, pending: readonly PendingProposal[]): void {
  const removed = new Set(commit.removed.map(({ leafIndex }) => leafIndex));
  const leftOut = pending.filter((proposed) => {
    const leaf = leafThatLeaves(proposed);
    return leaf !== undefined && !removed.has(leaf);
  });
  if (leftOut.length === 0) return;
  const refs = leftOut.map(({ ref }) => ref);
  throw new CommitRefusal("message-refused", "a commit leaves out who asked to leave", refs);
}

/** Members propose nothing but their own leaving: a proposal that nobody may commit would keep all from sending. */
export function checkProposal(proposal: Proposal, sender: Sender): void {
  if (leafThatLeaves({ proposal, sender }) === undefined) {
    throw new CommitRefusal("message-refused", "a proposal of something else than to leave");
  }
}

async function checkExternal(commit: CommitSummary, acceptedAt: number): Promise<void> {
  const { pathLeaf, encodedPathLeaf } = commit;
  if (!pathLeaf || !encodedPathLeaf) {
    throw new CommitRefusal("message-refused", "a joiner without a leaf");
  }
  const joining = { groupId: commit.groupId, epoch: commit.epoch, leafNode: encodedPathLeaf };
  const link = await linkOfProof(
    commit.authenticatedData,
    joining,
    linksOf(commit.extensionsBefore),
  );
  if (!link) throw new CommitRefusal("uninvited-member", "no link vouches for the joiner");
  if (Number(link.expiresAt) * 1000 <= acceptedAt) {
    throw new CommitRefusal("uninvited-member", "the link had expired");
  }
  if (commit.added.length > 0) throw new CommitRefusal("message-refused", "a joiner adds others");
  // A device may take the place of its own leaf, whose state it lost.
  const joiner = nameOf(pathLeaf);
  for (const { leafNode } of commit.removed) {
    if (joiner === undefined || nameOf(leafNode) !== joiner) {
      throw new CommitRefusal("message-refused", "a joiner removes others");
    }
  }
}

/** Which device of which account a leaf is, as one string. */
function nameOf({ credential }: NonNullable<CommitSummary["pathLeaf"]>): string | undefined {
  if (credential.credentialType !== "basic") return undefined;
  let identity: DeviceIdentity;
  try {
    identity = decodeDeviceIdentity(credential.identity);
  } catch {
    return undefined;
  }
  return `${bytesToText(identity.rootKey)}/${bytesToText(identity.deviceId)}`;
}

function checkContext(commit: CommitSummary): void {
  if (withoutLinks(commit.extensionsBefore) !== withoutLinks(commit.extensionsAfter)) {
    throw new CommitRefusal(
      "message-refused",
      "a commit changes more of the context than its links",
    );
  }
  const links = linksOf(commit.extensionsAfter);
  if (links.length > MAX_LINKS) throw new CommitRefusal("message-refused", "too many links");
  if (!commit.external && links.length > 0 && someoneGoes(commit)) {
    throw new CommitRefusal("message-refused", "a removal leaves links by which to come back");
  }
}

/** Whether somebody is removed for good: who can't follow a commit comes back with the one that takes the old leaf out. */
export function someoneGoes({ removed, added }: Pick<CommitSummary, "removed" | "added">): boolean {
  const back = new Set(added.map(({ leafNode }) => nameOf(leafNode)));
  return removed.some(({ leafNode }) => {
    const name = nameOf(leafNode);
    return name === undefined || !back.has(name);
  });
}

/** A comparable form of all other extensions. */
function withoutLinks(extensions: readonly Extension[]): string {
  return extensions
    .filter(({ extensionType }) => extensionType !== LINKS_EXTENSION)
    .map(({ extensionType, extensionData }) => `${extensionType}:${bytesToText(extensionData)}`)
    .sort()
    .join();
}
