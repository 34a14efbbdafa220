/**
 * Commits that some members can't follow (RFC 9420 §16.12): who is shut out says so, with a key package, and the others bring it back
 * with one commit, which takes its old leaf out and puts the new one in. The conversation goes on, and so does what waits in the outbox.
 * @module
 */

import { ServiceError } from "@conclave/delivery/client";
import {
  openReport,
  type Report,
  reportedKeyPackage,
  sha256,
  signReport,
} from "@conclave/delivery/protocol";
import {
  type Group,
  type LeafNode,
  MlsError,
  type Proposal,
  readKeyPackage,
  reportCommit,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { equal, hex } from "../bytes.ts";
import { newKeyPackage } from "../key-packages.ts";
import { put, read } from "../storage.ts";
import { acceptable } from "./claiming.ts";
import { commitReturns, type Outcome } from "./committing.ts";
import { KEYS, ShutOut } from "./records.ts";
import { noticeRevoked } from "./renewing.ts";
import type { ConversationState } from "./state.ts";

/** How many are brought back by one commit. */
const AT_ONCE = 32;

/**
 * Tells the service, and so the others, that we can't follow the group; the same again does no harm. Does nothing where we
 * are out of step for another reason. Throws `ServiceError` where trying later may help.
 */
export async function askToReturn(state: ConversationState): Promise<void> {
  const { environment, group, groupId, id, storage } = state;
  const held = await read(storage, ShutOut, KEYS.shutOut(id));
  if (!held || group?.status !== "active") return;
  try {
    const { seq, report, proof } = held.report ? held : await prepare(state, group, held.seq);
    if (!report) return;
    await environment.service.report({ groupId, body: { seq, report, ...(proof && { proof }) } });
  } catch (error) {
    if (!(error instanceof ServiceError) || error.transient) throw error;
    environment.log("report", error);
  }
}

/** Made once, and kept with the key package's keys. */
async function prepare(state: ConversationState, group: Group, seq: number): Promise<ShutOut> {
  const { environment, groupId, id, self } = state;
  const { entries } = await environment.service.log({ groupId, after: seq - 1, limit: 1 });
  const commit = entries.find((entry) => entry.seq === seq);
  if (!commit) return { seq, report: undefined, proof: undefined };
  const keyPackage = await newKeyPackage(environment, false);
  const leaf = leafOf(group, group.ownLeafIndex);
  if (!leaf) return { seq, report: undefined, proof: undefined };
  const { encryptionKey } = leaf;
  const commitHash = await sha256(commit.message);
  const content = { groupId, commitHash, encryptionKey, keyPackage };
  const report = await signReport(content, self.leafSigner);
  state.judgedAt = commit.acceptedAt;
  const proof = await proofOf(state, group, commit.message);
  const made = { seq, report, proof };
  const step = state.step();
  put(step.batch, KEYS.shutOut(id), ShutOut, made);
  await step.apply();
  return made;
}

/**
 * It shows a key of ours. Who was removed while that key was in use could read with it what came after: then no proof is given, and
 * who made the commit stays as free as it was.
 */
async function proofOf(
  state: ConversationState,
  group: Group,
  commit: Bytes,
): Promise<Bytes | undefined> {
  if (!(await state.storage.get(KEYS.noneRemoved(state.id)))) return undefined;
  try {
    return await reportCommit(group, commit);
  } catch (error) {
    if (!(error instanceof MlsError)) throw error;
    return undefined;
  }
}

/** Brings back those who say that they can't follow, if there are any, and wants the devices out that are revoked. */
export async function bringBack(
  state: ConversationState,
  group: Group,
): Promise<Outcome | undefined> {
  const { groupId } = state;
  const { reports, revoked } = await state.environment.service.reports({ groupId });
  await noticeRevoked(state, revoked);
  const leaving = group.pendingProposals.flatMap(({ proposal }) =>
    proposal.proposalType === "remove" ? [proposal.removed] : [],
  );
  const replaced = new Set([group.ownLeafIndex, ...leaving]);
  const proposals: Proposal[] = [];
  for (const { report } of reports) {
    if (proposals.length >= 2 * AT_ONCE) break;
    const returning = await opened(state, group, report);
    if (!returning || replaced.has(returning.leafIndex)) continue;
    if (!(await acceptable(state, returning.keyPackage))) continue;
    replaced.add(returning.leafIndex);
    proposals.push(
      { proposalType: "remove", removed: returning.leafIndex },
      { proposalType: "add", keyPackage: readKeyPackage(returning.keyPackage) },
    );
  }
  return proposals.length > 0 ? commitReturns(state, group, proposals) : undefined;
}

function leafOf(group: Group, leafIndex: number): LeafNode | undefined {
  return group.members().find((member) => member.leafIndex === leafIndex)?.leafNode;
}

/** Whose leaf a report speaks for, if that member signed it for the leaf that it still has in this group: it has not come back since. */
async function opened(
  { roster, groupId }: ConversationState,
  group: Group,
  bytes: Bytes,
): Promise<(Report & { readonly leafIndex: number }) | undefined> {
  const claimed = reportedKeyPackage(bytes);
  if (!claimed) return undefined;
  let leafKey: Bytes;
  try {
    leafKey = readKeyPackage(claimed).leafNode.signatureKey;
  } catch {
    return undefined;
  }
  const seat = roster.find(({ signatureKey }) => signatureKey === hex(leafKey));
  const report = seat && (await openReport(bytes, leafKey));
  if (!seat || !report || !equal(report.groupId, groupId)) return undefined;
  const { leafIndex } = seat;
  const current = leafOf(group, leafIndex)?.encryptionKey;
  return current && equal(current, report.encryptionKey) ? { ...report, leafIndex } : undefined;
}
