/**
 * Reading the log: each entry is judged, and what follows from it is written in one batch with the
 * key it used up and the place up to which was read. An entry that breaks a rule is told and passed over;
 * the group stays as it was.
 * @module
 */

import { type DeliveryClient, ServiceError } from "@conclave/delivery/client";
import { checkProposal, type LogEntry, sha256 } from "@conclave/delivery/protocol";
import { type Batch, type Group, MlsError, type Received } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { readMessage } from "@conclave/mls/public-group";
import { ClientError, type WarningCode } from "../api.ts";
import { equal, hex } from "../bytes.ts";
import { CHAIN_MEMORY, type ChainPosition, chainNext, chainStart } from "../chain.ts";
import { ContentError, decodeContent, textOf } from "../content/content.ts";
import { decodeFrame, type Envelope, messageIdOf } from "../content/frame.ts";
import { causeOf, refusalOf } from "../refusal.ts";
import { count, put, read } from "../storage.ts";
import { readCommitData } from "./commit-data.ts";
import { messagesBetween, messageView } from "./history.ts";
import { checkStep, loseStep, shutsOut } from "./out-of-step.ts";
import { readCommit } from "./reading-commits.ts";
import { deliveredUpTo, SEEN_EXTENSION } from "./receipts.ts";
import { KEYS, ShutOut, type StoredBody } from "./records.ts";
import { deviceOf } from "./roster.ts";
import type { ConversationState, Step } from "./state.ts";

type LogPage = Awaited<ReturnType<DeliveryClient["log"]>>;

/** How many entries are asked for at a time. */
const PAGE = 200;

/**
 * Reads what the log has behind our place, up to `upTo` or to its end, and finds out whether we are still in step. What came by the socket
 * is taken as long as it goes on from our place; the service is asked for the rest. Throws `ServiceError`, and `ClientError` where storage
 * fails.
 */
export async function catchUp(
  state: ConversationState,
  upTo: number = Number.POSITIVE_INFINITY,
): Promise<void> {
  for (;;) {
    await readCarried(state);
    const { cursor } = state.position;
    if (state.group?.status !== "active" || cursor >= upTo) break;
    const page = await nextPage(state, cursor);
    if (page === undefined) return;
    for (const entry of page.entries) await readEntry(state, entry);
    // A service that claims more than it shows would keep us here.
    if (state.position.cursor === cursor || state.position.cursor >= page.head) break;
  }
  await checkStep(state);
}

async function readCarried(state: ConversationState): Promise<void> {
  while (state.group?.status === "active") {
    const entry = state.carried.take(state.position.cursor);
    if (entry === undefined) return;
    await readEntry(state, entry);
  }
}

/**
 * What the log has behind our place. It may be gone there: deleted for its age before we came, or the service is a copy from before
 * and the log ends where we have been. Then what is missing can't be had any more, and only joining anew helps.
 */
async function nextPage(state: ConversationState, after: number): Promise<LogPage | undefined> {
  const { groupId, environment } = state;
  let page: LogPage | undefined;
  try {
    page = await environment.service.log({ groupId, after, limit: PAGE });
  } catch (error) {
    if (!(error instanceof ServiceError && error.code === "gone")) throw error;
  }
  if (page !== undefined && page.head >= after) return page;
  await loseStep(state);
  return undefined;
}

/** One entry, which has been accepted by the log. What was read already is passed over. */
export async function readEntry(state: ConversationState, entry: LogEntry): Promise<void> {
  const { group } = state;
  if (!group || group.status !== "active" || entry.seq <= state.position.cursor) return;
  const hash = await sha256(entry.message);
  const own = state.outbox.byHash(hash);
  if (own) {
    const step = await beginStep(state, group, entry, hash);
    const [number, written] = own;
    step.outbox(number, undefined);
    if (written.kind === "text") {
      putText(state, step, entry.seq, {
        id: written.id,
        accountId: state.self.accountIdBytes,
        at: step.position.acceptedAt,
        body: { type: "text", text: textOf(decodeContent(written.content)) ?? "" },
      });
    }
    await step.apply();
    return;
  }
  await readForeign(state, group, entry, hash);
}

async function readForeign(
  state: ConversationState,
  group: Group,
  entry: LogEntry,
  hash: Bytes,
): Promise<void> {
  const step = await beginStep(state, group, entry, hash);
  const proposals = group.pendingProposals;
  state.judgedAt = step.position.acceptedAt;
  let received: Received;
  try {
    received = await group.receive(entry.message, {
      and: async (event: Received): Promise<Batch> => {
        if (event.type === "application") await readApplication(state, step, group, event, entry);
        if (event.type === "proposal") checkProposal(event.proposal, event.sender);
        if (event.type === "commit") {
          await compareSeen(state, step, group, readCommitData(event.summary));
          await readCommit(state, step, group, { event, entry, proposals });
        }
        return step.finish();
      },
    });
  } catch (error) {
    if (mustTryAgain(error)) throw error;
    await passOver(state, group, entry, hash, error);
    return;
  }
  step.done();
  if (received.type !== "commit") return;
  await state.setGroup(received.removed ? undefined : group);
  state.emitSummary();
}

/** Our place behind the entry, and the chain, which every entry but a commit makes longer. */
async function beginStep(
  state: ConversationState,
  group: Group,
  entry: LogEntry,
  hash: Bytes,
): Promise<Step> {
  const step = state.step();
  if (entry.seq !== step.position.cursor + 1) {
    step.warn({ code: "message-missing" });
    state.gap = true;
  }
  step.position = {
    ...step.position,
    cursor: entry.seq,
    acceptedAt: Math.max(step.position.acceptedAt, timeOf(entry)),
  };
  if (isCommit(entry.message)) return step;
  const chain = await chainNext(await state.chain(group), hash);
  step.position = { ...step.position, chain };
  step.batch.put.set(KEYS.chainAt(state.id, chain.length), chain.hash);
  if (chain.length > CHAIN_MEMORY) {
    step.batch.delete.push(KEYS.chainAt(state.id, chain.length - CHAIN_MEMORY));
  }
  return step;
}

/** A whole number of milliseconds, whatever the service says. */
function timeOf({ acceptedAt }: LogEntry): number {
  return Math.min(Math.max(0, Math.floor(acceptedAt)), Number.MAX_SAFE_INTEGER);
}

function isCommit(message: Bytes): boolean {
  try {
    return readMessage(message).contentType === "commit";
  } catch {
    return false;
  }
}

async function readApplication(
  state: ConversationState,
  step: Step,
  group: Group,
  event: Extract<Received, { type: "application" }>,
  entry: LogEntry,
): Promise<void> {
  const sender = await deviceOf(event.senderLeaf);
  const about = { accountId: sender.accountId, subject: state.directory.nameOf(sender.accountId) };
  const at = step.position.acceptedAt;
  const accountId = sender.accountIdBytes;
  const unreadable = () => {
    step.warn({ code: "message-unreadable", ...about });
    const id = `00${hex(event.data.slice(0, 31)).padEnd(62, "0")}`;
    putText(state, step, entry.seq, { id, accountId, at, body: { type: "unreadable" } });
  };

  let envelope: Envelope;
  let content: Bytes;
  try {
    ({ envelope, content } = decodeFrame(event.data));
  } catch (error) {
    if (!(error instanceof ContentError)) throw error;
    return unreadable();
  }
  await compareSeen(state, step, group, {
    code: "history-differs",
    about,
    seen: envelope.lastSeen,
  });
  step.afterwards(() => state.beside(noticeHead(state, accountId, envelope)));

  const peer = state.peers.get(sender.signatureKey);
  const before = peer?.sequence;
  if (before !== undefined && envelope.sequence <= before) {
    step.warn({ code: "message-replayed", ...about });
    return;
  }
  if (before !== undefined && envelope.sequence > before + 1) {
    step.warn({ code: "message-missing", ...about });
  }
  const known = { sequence: envelope.sequence, reported: peer?.reported ?? 0 };

  let decoded: ReturnType<typeof decodeContent>;
  try {
    decoded = decodeContent(content);
  } catch (error) {
    if (!(error instanceof ContentError)) throw error;
    step.peer(sender.signatureKey, known);
    return unreadable();
  }
  const id = await messageIdOf(accountId, state.groupId, content);
  const seen = await read(state.storage, count, KEYS.seen(state.id, id));
  // A backup may have brought this very entry before the log did.
  if (seen !== undefined && seen !== entry.seq) {
    step.warn({ code: "message-replayed", ...about });
    step.peer(sender.signatureKey, known);
    return;
  }
  const upTo = decoded.extensions.get(SEEN_EXTENSION);
  if (decoded.part.type === "null" && typeof upTo === "number") {
    const reported = Math.max(known.reported, Math.min(upTo, entry.seq));
    readReceipt(state, step, sender.signatureKey, { ...known, reported });
    return;
  }
  step.peer(sender.signatureKey, known);
  const text = textOf(decoded);
  const body: StoredBody = text === undefined ? { type: "unreadable" } : { type: "text", text };
  putText(state, step, entry.seq, { id, accountId, at, body });
}

/** A message in the log, ours or another's. */
function putText(
  state: ConversationState,
  step: Step,
  seq: number,
  message: {
    readonly id: string;
    readonly accountId: Bytes;
    readonly at: number;
    readonly body: StoredBody;
  },
): void {
  step.messages.push({ seq, ...message, alone: state.roster.length === 1 });
  put(step.batch, KEYS.seen(state.id, message.id), count, seq);
  if (hex(message.accountId) === state.self.accountId) return;
  const received = step.position.received + 1;
  step.position = { ...step.position, received, lastReceived: seq };
}

/** Another device says how far it has read. */
function readReceipt(
  state: ConversationState,
  step: Step,
  signatureKey: string,
  peer: { readonly sequence: number; readonly reported: number },
): void {
  step.peer(signatureKey, peer);
  const before = step.position.delivered;
  const delivered = deliveredUpTo(state, new Map([...state.peers, [signatureKey, peer]]));
  if (delivered <= before) return;
  step.position = { ...step.position, delivered };
  step.afterwards(() => state.beside(tellDelivered(state, before, delivered)));
}

async function tellDelivered(state: ConversationState, from: number, to: number): Promise<void> {
  const stored = await messagesBetween(state, from, to);
  const views = stored.map((message) => messageView(state, message, to));
  const messages = views.filter((message) => message.own);
  if (messages.length > 0) state.environment.emit({ type: "messages", messages });
}

/** Whether the sender had seen, at its place, what we have seen there. */
async function compareSeen(
  state: ConversationState,
  step: Step,
  group: Group,
  claim:
    | {
        readonly code: WarningCode;
        readonly about: { readonly accountId?: string; readonly subject?: string };
        readonly seen: { readonly length: number; readonly hash: Bytes };
      }
    | undefined,
): Promise<void> {
  if (!claim) return;
  const { seen, about, code } = claim;
  const here = await state.chain(group);
  const ours = await chainHashAt(state, group, here, seen.length);
  if (seen.length > here.length || (ours && !equal(ours, seen.hash))) step.warn({ code, ...about });
}

async function chainHashAt(
  state: ConversationState,
  group: Group,
  here: ChainPosition,
  length: number,
): Promise<Bytes | undefined> {
  if (length === here.length) return here.hash;
  if (length === 0) return (await chainStart(here.epoch, group.confirmedTranscriptHash)).hash;
  return state.storage.get(KEYS.chainAt(state.id, length));
}

async function noticeHead(
  state: ConversationState,
  accountId: Bytes,
  envelope: Envelope,
): Promise<void> {
  await state.directory.noticeHead(accountId, envelope.deviceList);
}

/** Not the entry's fault: the same may succeed later. */
function mustTryAgain(error: unknown): boolean {
  return (
    causeOf(error, ClientError) !== undefined ||
    (causeOf(error, ServiceError) !== undefined && refusalOf(error) === undefined) ||
    (error instanceof MlsError && error.code === "storage")
  );
}

/** The entry is refused: it is told why, and the next one is read. */
async function passOver(
  state: ConversationState,
  group: Group,
  entry: LogEntry,
  hash: Bytes,
  error: unknown,
): Promise<void> {
  const step = await beginStep(state, group, entry, hash);
  const refusal = refusalOf(error);
  const code = causeOf(error, MlsError)?.code;
  if (!refusal && code === undefined) throw error;
  if (code === "state-old" || code === "pending-commit") {
    // Signed by us, and not known to us: our state is a copy from before.
    step.record = { ...step.record, restored: true };
    step.warn({ code: "state-restored" });
  } else if (refusal) {
    step.warn({ code: refusal.code, ...refusal.about });
  } else {
    const kind = entry.kind === "application" ? WARNINGS[code ?? "decode"] : undefined;
    step.warn({ code: kind ?? "message-refused" });
  }
  state.environment.log("entry refused", error);
  if (entry.epoch === group.epoch && isCommit(entry.message) && shutsOut(code)) {
    const shutOut = { seq: entry.seq, report: undefined, proof: undefined };
    put(step.batch, KEYS.shutOut(state.id), ShutOut, shutOut);
  }
  await step.apply();
  state.refusedCommit ||= isCommit(entry.message) || entry.epoch > group.epoch;
}

/** What the codes of MLS mean to a person, for an application message. */
const WARNINGS: Partial<Record<MlsError["code"], WarningCode>> = {
  "generation-used": "message-replayed",
  "own-message": "message-replayed",
  "aead-open": "message-unreadable",
  "generation-too-far": "message-unreadable",
  "wrong-epoch": "message-unreadable",
};
