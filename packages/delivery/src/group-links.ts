/**
 * Links as a group's context lists them: who joins by one, and what is stored for those who will.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import { type CommitSummary, type Extension, findExtension } from "@conclave/mls/public-group";
import {
  bytesToText,
  type CommitRequest,
  decodeLinks,
  LINKS_EXTENSION,
  type Link,
  linkIdOf,
  linkOfProof,
} from "./protocol/index.ts";
import { Refusal } from "./refusal.ts";
import type { ListedDevice, StoredLink } from "./store/store.ts";

/** Seconds since the Unix epoch, beyond what a clock can show: there it makes no difference when a link ends. */
const FOREVER = BigInt(Number.MAX_SAFE_INTEGER);

/** Throws `MlsError` with `decode`. */
export function linksOf(extensions: readonly Extension[]): readonly Link[] {
  const found = findExtension(extensions, LINKS_EXTENSION);
  return found === undefined ? [] : decodeLinks(found);
}

/** Whether both name the same things, each once. */
export function sameSet(a: readonly Bytes[], b: readonly Bytes[]): boolean {
  const [left, right] = [a, b].map((names) => new Set(names.map(bytesToText)));
  if (left?.size !== a.length || right?.size !== b.length) return false;
  return left.size === right.size && left.isSubsetOf(right);
}

/**
 * Which link a device joins by, with its own leaf; whether it is open, the transaction finds. That a leaf which goes
 * with this is the same device's is a rule of MLS, judged by `isSuccessor`.
 */
export async function linkOfJoiner(caller: ListedDevice, commit: CommitSummary): Promise<Link> {
  const { groupId, epoch, pathLeaf, encodedPathLeaf: leafNode, authenticatedData } = commit;
  const own =
    pathLeaf !== undefined && Buffer.compare(pathLeaf.signatureKey, caller.signatureKey) === 0;
  if (!own || leafNode === undefined) {
    throw new Refusal("not-allowed", "a device joins for itself alone");
  }
  const links = linksOf(commit.extensionsBefore);
  const link = await linkOfProof(authenticatedData, { groupId, epoch, leafNode }, links);
  if (link === undefined) {
    throw new Refusal("not-allowed", "no link of the group vouches for this");
  }
  return link;
}

/** The links of the new epoch, each with what joiners by it need: all of them and no other. */
export async function linksToStore(
  extensions: readonly Extension[],
  given: CommitRequest["links"],
): Promise<readonly StoredLink[]> {
  const stored: StoredLink[] = [];
  for (const { signatureKey, expiresAt, maxUses } of linksOf(extensions)) {
    const linkId = await linkIdOf(signatureKey);
    const sealed = given.find((link) => Buffer.compare(link.linkId, linkId) === 0);
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
