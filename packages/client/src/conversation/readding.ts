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
import { type Group, type LeafNode, MlsError, readKeyPackage, reportCommit } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { equal, hex } from "../bytes.ts";
import { newKeyPackage } from "../key-packages.ts";
import { causeOf } from "../refusal.ts";
import { put, read } from "../storage.ts";
import { acceptable } from "./claiming.ts";
import type { Change, Entrant } from "./committing.ts";
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

/** Who says that it can't follow, each in the place of its old leaf. Throws `ServiceError`. */
export async function returns(
  state: ConversationState,
  group: Group,
): Promise<Change | "over" | "later"> {
  const { groupId, environment } = state;
  const { reports, revoked } = await environment.service.reports({ groupId });
  await noticeRevoked(state, revoked);
  const leaving = group.pendingProposals.flatMap(({ proposal }) =>
    proposal.proposalType === "remove" ? [proposal.removed] : [],
  );
  const replaced = new Set([group.ownLeafIndex, ...leaving]);
  const added: Entrant[] = [];
  // As long as the service says that somebody is to go, it is looked whether that is so.
  let waits = revoked.length > 0;
  for (const { report } of reports) {
    if (added.length === AT_ONCE) break;
    const returning = await opened(state, group, report);
    if (!returning || replaced.has(returning.leafIndex)) continue;
    const { leafIndex, keyPackage, signatureKey } = returning;
    const isLeftOut = (state.leftOut.get(signatureKey) ?? 0) > environment.now();
    const mayEnter = isLeftOut ? undefined : await isAcceptable(state, keyPackage);
    waits ||= mayEnter === undefined;
    if (!mayEnter) continue;
    replaced.add(leafIndex);
    added.push({ keyPackage, instead: leafIndex });
  }
  if (added.length > 0) return { added };
  return waits ? "later" : "over";
}

/** Undefined where it can't be known now. */
async function isAcceptable(
  state: ConversationState,
  keyPackage: Bytes,
): Promise<boolean | undefined> {
  try {
    return await acceptable(state, keyPackage);
  } catch (error) {
    if (causeOf(error, ServiceError)) return undefined;
    throw error;
  }
}

function leafOf(group: Group, leafIndex: number): LeafNode | undefined {
  return group.members().find((member) => member.leafIndex === leafIndex)?.leafNode;
}

interface Returning extends Report {
  readonly leafIndex: number;
  readonly signatureKey: string;
}

/** Whose leaf a report speaks for, if that member signed it for the leaf that it still has in this group: it has not come back since. */
async function opened(
  { roster, groupId }: ConversationState,
  group: Group,
  bytes: Bytes,
): Promise<Returning | undefined> {
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
  const { leafIndex, signatureKey } = seat;
  const current = leafOf(group, leafIndex)?.encryptionKey;
  if (!current || !equal(current, report.encryptionKey)) return undefined;
  return { ...report, leafIndex, signatureKey };
}
