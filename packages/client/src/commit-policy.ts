/**
 * Which commits members accept, beyond the rules of MLS. Only what is signed and public counts, and the
 * time at which the log took the commit, so that all members decide alike.
 *
 * In this version every member may add and remove. What nobody may do is join without a link, or leave
 * a link open behind a removal, or close the group.
 * @module
 */

import { LINKS_EXTENSION, linkOfProof } from "@conclave/delivery/protocol";
import type { CommitPolicy, CommitSummary, Extension } from "@conclave/mls";
import { equal, hex } from "./bytes.ts";
import { identityOf } from "./directory.ts";
import { linksOf, MAX_LINKS } from "./invitation.ts";
import { Refusal } from "./refusal.ts";

/** `acceptedAt`: when the log took the commit that is being judged, in milliseconds. */
export function commitPolicy(acceptedAt: () => number): CommitPolicy {
  return async (commit) => {
    if (commit.reinit) throw new Refusal("message-refused", "a commit that closes the group");
    if (commit.external) await checkExternal(commit, acceptedAt());
    checkLinks(commit);
  };
}

async function checkExternal(commit: CommitSummary, acceptedAt: number): Promise<void> {
  const { pathLeaf, encodedPathLeaf } = commit;
  if (!pathLeaf || !encodedPathLeaf)
    throw new Refusal("message-refused", "a joiner without a leaf");
  const joiner = identityOf(pathLeaf);
  const joining = { groupId: commit.groupId, epoch: commit.epoch, leafNode: encodedPathLeaf };
  const links = linksOf(commit.extensionsBefore);
  const link = await linkOfProof(commit.authenticatedData, joining, links);
  if (!link) throw new Refusal("uninvited-member", "no link vouches for the joiner");
  if (Number(link.expiresAt) * 1000 <= acceptedAt) {
    throw new Refusal("uninvited-member", "the link had expired");
  }
  if (commit.added.length > 0) throw new Refusal("message-refused", "a joiner adds others");
  for (const { leafNode } of commit.removed) {
    const removed = identityOf(leafNode);
    // A device may take the place of its own leaf, whose state it lost.
    const same = equal(removed.rootKey, joiner.rootKey) && equal(removed.deviceId, joiner.deviceId);
    if (!same) throw new Refusal("message-refused", "a joiner removes others");
  }
}

function checkLinks(commit: CommitSummary): void {
  const before = withoutLinks(commit.extensionsBefore);
  const after = withoutLinks(commit.extensionsAfter);
  if (before !== after) {
    throw new Refusal("message-refused", "a commit changes more of the context than its links");
  }
  const links = linksOf(commit.extensionsAfter);
  if (links.length > MAX_LINKS) throw new Refusal("message-refused", "too many links");
  if (commit.removed.length > 0 && !commit.external && links.length > 0) {
    throw new Refusal("message-refused", "a removal leaves links by which to come back");
  }
}

/** A comparable form of all other extensions. */
function withoutLinks(extensions: readonly Extension[]): string {
  return extensions
    .filter(({ extensionType }) => extensionType !== LINKS_EXTENSION)
    .map(({ extensionType, extensionData }) => `${extensionType}:${hex(extensionData)}`)
    .sort()
    .join();
}
