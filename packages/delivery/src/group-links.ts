/**
 * Links as a group's context lists them: who joins by one, and what is stored for those who will.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import type { CommitSummary, Extension } from "@conclave/mls/public-group";
import { sameBytes } from "./bytes.ts";
import {
  type BodyOf,
  bytesToText,
  type Link,
  linkIdOf,
  linkOfProof,
  linksOf,
} from "./protocol/index.ts";
import { Refusal } from "./refusal.ts";
import type { ListedDevice, StoredLink } from "./store/store.ts";

/** Seconds since the Unix epoch, beyond what a clock can show: there it makes no difference when a link ends. */
const FOREVER = BigInt(Number.MAX_SAFE_INTEGER);

/** Whether both name the same things, each once. */
export function sameSet(a: readonly Bytes[], b: readonly Bytes[]): boolean {
  const [left, right] = [a, b].map((names) => new Set(names.map(bytesToText)));
  if (left?.size !== a.length || right?.size !== b.length) return false;
  return left.size === right.size && left.isSubsetOf(right);
}

export function linkClosed(): Refusal {
  return new Refusal("link-closed", "the link is not open any more");
}

/**
 * Which link a device joins by, with its own leaf, at a time in milliseconds. Whether the link is used up, the transaction
 * finds; what else the joiner may do, the policy that members share.
 */
export async function linkOfJoiner(
  caller: ListedDevice,
  commit: CommitSummary,
  acceptedAt: number,
): Promise<Link> {
  const { groupId, epoch, pathLeaf, encodedPathLeaf: leafNode, authenticatedData } = commit;
  const own = pathLeaf !== undefined && sameBytes(pathLeaf.signatureKey, caller.signatureKey);
  if (!own || leafNode === undefined) {
    throw new Refusal("not-allowed", "a device joins for itself alone");
  }
  const links = linksOf(commit.extensionsBefore);
  const link = await linkOfProof(authenticatedData, { groupId, epoch, leafNode }, links);
  if (link === undefined) {
    throw new Refusal("not-allowed", "no link of the group vouches for this");
  }
  if (Number(link.expiresAt) * 1000 <= acceptedAt) throw linkClosed();
  return link;
}

/** The links of the new epoch, each with what joiners by it need: all of them and no other. */
export async function linksToStore(
  extensions: readonly Extension[],
  given: BodyOf<"commit">["links"],
): Promise<readonly StoredLink[]> {
  const stored: StoredLink[] = [];
  for (const { signatureKey, expiresAt, maxUses } of linksOf(extensions)) {
    const linkId = await linkIdOf(signatureKey);
    const sealed = given.find((link) => sameBytes(link.linkId, linkId));
    if (sealed === undefined) throw wrongLinks();
    const { sealedGroupInfo } = sealed;
    const ends = expiresAt < FOREVER ? expiresAt : FOREVER;
    stored.push({ linkId, expiresAt: ends, maxUses, sealedGroupInfo });
  }
  const ids = stored.map(({ linkId }) => linkId);
  const givenIds = given.map(({ linkId }) => linkId);
  if (!sameSet(ids, givenIds)) throw wrongLinks();
  return stored;
}

function wrongLinks(): Refusal {
  return new Refusal("bad-request", "the links are not those of the new epoch");
}
