/**
 * Commits that some members can't follow: who says so, and whether it is proven. The service can't see that a path's secrets are
 * wrong until their recipient shows it (RFC 9750 §5). A report asks for nothing but its own member's leaf to be replaced; one that
 * is proven bars the device that made the commit from making another in this group.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import {
  MlsError,
  type PublicContext,
  PublicGroup,
  validateKeyPackage,
} from "@conclave/mls/public-group";
import { sameBytes } from "./bytes.ts";
import type { Handlers } from "./call.ts";
import type { Doorbell } from "./doorbell.ts";
import type { Limits } from "./limits.ts";
import { createPacer } from "./pacer.ts";
import { bytesToText, type LogEntry, openReport, sha256 } from "./protocol/index.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { notFound, Refusal } from "./refusal.ts";
import type { ListedDevice, Store } from "./store/store.ts";
import { createTurns } from "./turns.ts";

/** Checks that wait for one another in a group, and those of one device: each reads a whole tree. */
const WAITING = { waiting: 8, waitingPerDevice: 2 };

/** How often a group's members are told that there are reports, in milliseconds: each ring makes all of them read. */
const PACE = 10_000;

function refused(title: string, rule?: string): Refusal {
  return new Refusal("report-refused", title, rule === undefined ? {} : { members: { rule } });
}

export function createReports(service: {
  readonly store: Store;
  readonly doorbell: Doorbell;
  readonly limits: Limits;
  readonly now: () => number;
  readonly context: PublicContext;
}): Handlers<"report" | "reports"> {
  const { store, doorbell, limits, now, context } = service;
  const perDevice = createRateLimiter(limits.report, now);
  const turns = createTurns(WAITING);
  const ring = createPacer(PACE, (groupId: Bytes) => doorbell.ring({ type: "reports", groupId }));

  /** The commit at this place in the log, where the device may read it. */
  async function commitAt(groupId: Bytes, device: number, seq: number): Promise<LogEntry> {
    const page = await store.log(groupId, device, { after: seq - 1, limit: 1, bytes: 1 });
    const entry = page?.entries[0];
    if (entry?.seq !== seq || entry.kind !== "commit") throw refused("there is no such commit");
    return entry;
  }

  /** The report is of this device, on this commit, with a key package by which it can be added. */
  async function checkReport(
    { signatureKey }: ListedDevice,
    groupId: Bytes,
    commit: LogEntry,
    bytes: Bytes,
  ): Promise<void> {
    const report = await openReport(bytes, signatureKey);
    const fits =
      report !== undefined &&
      sameBytes(report.groupId, groupId) &&
      sameBytes(report.commitHash, await sha256(commit.message));
    if (!fits) throw refused("the report is not this device's on this commit");
    try {
      const { leafNode } = await validateKeyPackage(context, report.keyPackage);
      await context.authentication.validate([leafNode], "new");
      if (sameBytes(leafNode.signatureKey, signatureKey)) return;
    } catch (error) {
      if (!(error instanceof MlsError)) throw error;
      throw refused("the key package breaks a rule of MLS", error.code);
    }
    throw refused("the key package is another device's");
  }

  /**
   * Who made the commit, if the proof shows that it shuts out this leaf; undefined where the group's state before it is not kept any
   * more. Throws `Refusal` where the proof doesn't hold.
   */
  async function provenCommitter(
    groupId: Bytes,
    leaf: number,
    { epoch, message }: LogEntry,
    proof: Bytes,
  ): Promise<number | undefined> {
    const past = await store.pastGroup(groupId, epoch);
    if (past === undefined) return undefined;
    try {
      const group = await PublicGroup.load(context, past);
      const { committer, shutOut } = await group.checkReport(message, proof);
      if (shutOut.includes(leaf)) return committer;
    } catch (error) {
      if (!(error instanceof MlsError) || error.code === "storage") throw error;
      throw refused("the proof does not hold", error.code);
    }
    throw refused("the proof is another member's");
  }

  return {
    async report({ device: caller, params, body }) {
      const { groupId } = params;
      const { device } = caller;
      perDevice.take(String(device));
      const { seq, report, proof } = await body();
      const leafIndex = await store.leafOf(groupId, device);
      if (leafIndex === undefined) throw notFound();
      if (await store.isBarred(groupId, device)) {
        throw new Refusal("not-allowed", "this device's commits shut others out");
      }
      const proven = await turns.alone(bytesToText(groupId), device, async () => {
        const held = (await store.reports(groupId)).find((one) => one.leafIndex === leafIndex);
        if (held?.seq === seq && sameBytes(held.report, report) && (held.proven || !proof)) {
          return held.proven;
        }
        const commit = await commitAt(groupId, device, seq);
        await checkReport(caller, groupId, commit, report);
        const committer = proof && (await provenCommitter(groupId, leafIndex, commit, proof));
        const added = await store.addReport({ groupId, device, seq, report, committer });
        if (added === "not-member") throw refused("the device came after the commit");
        return committer !== undefined;
      });
      ring(bytesToText(groupId), groupId);
      return { proven };
    },

    async reports({ device: { device }, params: { groupId } }) {
      if ((await store.leafOf(groupId, device)) === undefined) throw notFound();
      const reports = await store.reports(groupId);
      return {
        reports: reports.map(({ seq, report, proven }) => ({ seq, report, proven })),
        revoked: [...(await store.revokedIn(groupId))],
      };
    },
  };
}
