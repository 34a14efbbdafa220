/**
 * Coming into a group: by an invitation link (an external commit, RFC 9420 §12.4.3.2) or by a Welcome
 * that a member made (§12.4.3.1).
 * @module
 */

import { readRatchetTree, ServiceError } from "@conclave/delivery/client";
import { type InboxEntry, type LinkResponse, proveLink } from "@conclave/delivery/protocol";
import {
  type Batch,
  type Group,
  joinExternally,
  joinGroup,
  loadGroup,
  MlsError,
  readGroupInfo,
} from "@conclave/mls";
import { type Bytes, decode } from "@conclave/mls/codec";
import { PublicGroup } from "@conclave/mls/public-group";
import { ClientError, type InvitationPreview } from "../api.ts";
import { equal, hex } from "../bytes.ts";
import { failureOf } from "../client-error.ts";
import { capabilitiesOf, type Environment, mlsContext } from "../environment.ts";
import {
  type LinkKeys,
  type LinkSecret,
  linkKeysOf,
  openSealed,
  readTitle,
  titleExtension,
} from "../invitation.ts";
import { causeOf, Refusal, refusalOf } from "../refusal.ts";
import { boolean, ordinal, put } from "../storage.ts";
import { type Outcome, requestOf } from "./committing.ts";
import { catchUp } from "./reading.ts";
import { JoinRecord, KEYS } from "./records.ts";
import { rosterOf } from "./roster.ts";
import { type ConversationState, NOWHERE, type Step } from "./state.ts";

/** A link as the service has it now, opened and checked. */
export interface OpenedLink {
  readonly groupId: Bytes;
  readonly groupInfo: Bytes;
  readonly ratchetTree: Bytes;
  readonly keys: LinkKeys;
  readonly preview: InvitationPreview;
  /** The index of a leaf that this device has in the group. */
  readonly ownLeaf: number | undefined;
}

/** Throws `ClientError` (`link-closed`, `link-invalid`, `refused`) and `ServiceError`. */
export async function openLink(environment: Environment, secret: LinkSecret): Promise<OpenedLink> {
  const keys = await linkKeysOf(secret.seed);
  let link: LinkResponse;
  try {
    link = await environment.service.link({ linkId: keys.linkId });
  } catch (error) {
    if (!(error instanceof ServiceError) || error.transient) throw error;
    throw linkRefused(error);
  }
  const groupInfo = await openSealed(environment.crypto, keys, link.sealedGroupInfo);
  const { epoch } = link;
  const ratchetTree = await readRatchetTree((from) =>
    environment.service.linkTree({ linkId: keys.linkId, epoch, from }),
  ).catch((error: unknown) => {
    if (!(error instanceof ServiceError)) throw error;
    // The group went on meanwhile: the link leads into its next epoch.
    if (error.code === "tree-gone") throw raced(error);
    throw error.transient ? error : linkRefused(error);
  });
  const context = mlsContext(environment, environment.service.now);
  try {
    const group = await PublicGroup.open(context, { groupInfo, ratchetTree });
    const roster = await rosterOf(group);
    const { inviter } = secret;
    const found = roster.find(({ accountIdBytes }) => equal(accountIdBytes, inviter));
    const preview = {
      title: readTitle(readGroupInfo(groupInfo).extensions),
      inviterName: environment.directory.nameOf(hex(inviter)),
      inviterConfirmed: found !== undefined,
      members: new Set(roster.map(({ accountId }) => accountId)).size,
    };
    const ownKey = hex(environment.self.leafSigner.publicKey);
    const ownLeaf = roster.find(({ signatureKey }) => signatureKey === ownKey)?.leafIndex;
    return { groupId: group.groupId, groupInfo, ratchetTree, keys, preview, ownLeaf };
  } catch (error) {
    if (causeOf(error, ServiceError)?.transient) throw error;
    if (!(error instanceof MlsError) && !refusalOf(error)) throw error;
    throw new ClientError("refused", "the group behind the link is not in order", { cause: error });
  }
}

function linkRefused(error: ServiceError): ClientError {
  const code = error.code === "link-closed" ? "link-closed" : "link-invalid";
  return new ClientError(code, "the service doesn't let this link in", { cause: error });
}

/** Trying again helps. */
function raced(cause: ServiceError): ServiceError {
  return new ServiceError(cause.code, cause.message, { cause, transient: true });
}

/**
 * Goes on with a join by link, from wherever it is. `lost`: somebody else's commit was first.
 * Throws `ClientError` where the link can't be used (again), `ServiceError` where trying later may help.
 */
export async function joinByLink(state: ConversationState): Promise<Outcome> {
  const bytes = await state.storage.get(KEYS.join(state.id));
  if (!bytes) throw new ClientError("link-invalid", "there is no link to join by");
  const group = state.group ?? (await prepare(state, decode(JoinRecord, bytes)).catch(refused));
  const bundle = group.pendingCommit;
  if (!bundle) throw new TypeError("a group that is being joined has a commit");
  try {
    const request = await requestOf(state, bundle);
    const { seq, acceptedAt } = await state.environment.service.commit({
      groupId: state.groupId,
      body: request,
    });
    await enter(state, group, seq, acceptedAt);
    return "accepted";
  } catch (error) {
    if (!(error instanceof ServiceError) || error.transient) throw error;
    await group.remove();
    state.group = undefined;
    if (error.code === "wrong-epoch") return "lost";
    const code = error.code === "link-closed" ? "link-closed" : "refused";
    throw new ClientError(code, `the service refused: ${error.code}`, { cause: error });
  }
}

/** What is wrong with the group stays wrong: there is no use in trying again. */
function refused(error: unknown): never {
  const failure = failureOf(error);
  if (!failure) throw error;
  if (refusalOf(error)?.code !== "uninvited-member") throw failure;
  throw new ClientError("link-closed", "the link has expired", { cause: error });
}

/** The group as it will be, with the external commit to be sent; both are kept. */
async function prepare(state: ConversationState, secret: LinkSecret): Promise<Group> {
  const { environment, groupId } = state;
  const { self } = environment;
  const link = await openLink(environment, secret);
  if (!equal(link.groupId, groupId)) {
    throw new ClientError("link-invalid", "the link leads to another group now");
  }
  state.judgeNow();
  const { group } = await joinExternally(state.context, {
    groupInfo: link.groupInfo,
    ratchetTree: link.ratchetTree,
    credential: self.credential,
    signer: self.leafSigner,
    capabilities: capabilitiesOf(state.context.crypto),
    joinerExtensions: [titleExtension(state.record.title)],
    groupInfoForJoiners: true,
    ...(link.ownLeaf !== undefined && { resync: link.ownLeaf }),
    authenticatedData: ({ leafNode = new Uint8Array(0), ...joining }) =>
      proveLink({ ...joining, leafNode }, link.keys.signer),
  });
  state.group = group;
  return group;
}

/** In: reading begins behind the entry that brought us in. */
async function enter(
  state: ConversationState,
  group: Group,
  seq: number,
  acceptedAt: number,
): Promise<void> {
  const step = state.step();
  step.batch.delete.push(KEYS.join(state.id));
  beginAt(state, step, { seq, acceptedAt, at: acceptedAt, change: "joined" });
  await group.confirm({ and: () => step.finish() });
  step.done();
  await state.refreshRoster();
  state.emitSummary();
}

/**
 * Joins by a Welcome from the inbox, unless we are in by now. Throws `MlsError` and `Refusal` where it can't be used,
 * `ServiceError`.
 */
export async function joinByWelcome(state: ConversationState, entry: InboxEntry): Promise<void> {
  // We may have been removed before we were added again: the log says so.
  await catchUp(state);
  if (state.group) {
    if (state.group.epoch >= entry.epoch) return;
    if (!state.record.restored) {
      // Anybody can make a group with this id. What we are in is left by a commit in its log alone.
      throw new Refusal("message-refused", "a Welcome into a group that this device is in");
    }
  }
  const { environment, groupId } = state;
  const { epoch } = entry;
  const ratchetTree = await readRatchetTree((from) =>
    environment.service.tree({ groupId, epoch, from }),
  );
  state.judgeNow();
  const step = state.step();
  const join = () =>
    joinGroup(state.context, {
      welcome: entry.welcome,
      ratchetTree,
      expected: { groupId, epoch: entry.epoch },
      signer: environment.self.leafSigner,
      and: async ({ group, committer, groupInfoExtensions, lastResort }) => {
        const seats = await rosterOf(group);
        const by = seats.find(({ leafIndex }) => leafIndex === committer);
        step.record = { ...step.record, title: readTitle(groupInfoExtensions) };
        beginAt(state, step, {
          seq: entry.commitSeq,
          // The log's time, by which all judge alike, is not known here: it comes with the next entry.
          acceptedAt: 0,
          at: environment.now(),
          change: "added",
          // A device may also be added by another of its own account.
          by: by?.accountId === state.self.accountId ? undefined : by?.accountIdBytes,
        });
        // Its keys may stand in other groups, and with whoever gets it next (RFC 9750 §5.1).
        if (lastResort) wantFreshLeaf(state, step);
        return step.finish();
      },
    });
  let group: Group;
  try {
    group = await join();
  } catch (error) {
    if (causeOf(error, MlsError)?.code !== "group-exists") throw error;
    // The Welcome is in order, so the state that is of no use any more may go.
    await dropGroup(state, {});
    group = await join();
  }
  step.done();
  await state.setGroup(group);
  state.emitSummary();
}

function wantFreshLeaf(state: ConversationState, step: Step): void {
  const number = state.intents.takeNumber();
  step.afterwards(state.intents.stage(step.batch, number, { type: "refresh" }));
}

/** Deletes what MLS has of the group here, with `and` in one batch. */
export async function dropGroup(state: ConversationState, and: Batch): Promise<void> {
  const { context, groupId, self, storage } = state;
  const group = state.group ?? (await loadGroup(context, { groupId, signer: self.leafSigner }));
  if (group) await group.remove({ and: () => and });
  else await storage.apply(and);
  await state.setGroup(undefined);
}

function beginAt(
  state: ConversationState,
  step: Step,
  { seq, acceptedAt, at, change, by }: Entrance,
): void {
  const subject = state.self.accountIdBytes;
  for (const signatureKey of state.peers.keys()) step.peer(signatureKey, undefined);
  // What was encrypted with the keys of an earlier stay, or numbered in it, is no use in this one.
  const afresh = { sequence: undefined, ciphertext: undefined, acceptedSeq: undefined };
  for (const [number, entry] of state.outbox.entries) {
    if (entry.failure !== undefined) continue;
    step.outbox(number, entry.kind === "text" ? { ...entry, ...afresh } : undefined);
  }
  // What was received in an earlier stay was received.
  const { received, lastReceived } = step.position;
  step.position = {
    ...NOWHERE,
    cursor: seq,
    acceptedAt,
    received,
    lastReceived,
    reported: lastReceived,
  };
  step.batch.delete.push(KEYS.shutOut(state.id));
  put(step.batch, KEYS.noneRemoved(state.id), boolean, true);
  step.record = { ...step.record, status: "active", leaving: false, restored: false };
  step.messages.push({
    id: `02${state.self.accountId}${ordinal(seq)}`,
    seq,
    accountId: by ?? subject,
    at,
    alone: false,
    body: { type: "membership", change, subject, by },
  });
}

interface Entrance {
  readonly seq: number;
  /** By the log, in milliseconds. */
  readonly acceptedAt: number;
  /** To be shown, in milliseconds. */
  readonly at: number;
  readonly change: "joined" | "added";
  /** The account that added this one. */
  readonly by?: Bytes | undefined;
}
