/**
 * Sending what is in the outbox: encrypted in the current epoch, kept, posted until the service answers,
 * encrypted anew if a commit came in between.
 * @module
 */

import { ServiceError } from "@conclave/delivery/client";
import { type Accepted, sha256 } from "@conclave/delivery/protocol";
import type { Group } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { failureOf, isOfStorage } from "../client-error.ts";
import { encodeFrame } from "../content/frame.ts";
import { loseStep } from "./out-of-step.ts";
import { catchUp, readEntry } from "./reading.ts";
import type { OutboxEntry } from "./records.ts";
import type { ConversationState } from "./state.ts";

/** How often an entry is tried, at least, that fails for no known reason. */
const TRIES = 6;

/** Sends one entry. Throws `ServiceError` where trying again later may help. */
export async function sendEntry(
  state: ConversationState,
  group: Group,
  number: number,
  entry: OutboxEntry,
): Promise<void> {
  let message: Bytes;
  try {
    message = entry.ciphertext?.message ?? (await encrypt(state, group, number, entry));
  } catch (error) {
    const failure = failureOf(error);
    if (!failure && (isOfStorage(error) || mayWorkSoon(state, number))) throw error;
    if (!failure) state.environment.log("sending", error);
    await giveUp(state, number, failure?.message ?? "internal");
    return;
  }
  const { epoch } = group;
  let accepted: Accepted;
  try {
    accepted = await state.environment.service.message({
      groupId: state.groupId,
      body: message,
    });
  } catch (error) {
    if (!(error instanceof ServiceError) || error.transient) throw error;
    if (error.problem === undefined) {
      // That is said by something before the service, and may pass. Behind a proposal, which is to leave, nothing waits.
      if (entry.kind === "proposal" || mayWorkSoon(state, number)) throw error;
      // The service may have taken the message, and then the log has it.
      const kept = state.outbox.entries.get(number);
      await catchUp(state);
      if (state.outbox.entries.get(number) !== kept) return;
    }
    if (isOfOtherEpoch(error)) await nextEpoch(state, group, epoch);
    else await giveUp(state, number, error.code);
    return;
  }
  const { seq, acceptedAt } = accepted;
  if (seq === state.position.cursor + 1) {
    await readEntry(state, { seq, epoch, kind: "application", message, acceptedAt });
    return;
  }
  const current = state.outbox.entries.get(number);
  if (current) {
    const step = state.step();
    step.outbox(number, { ...current, acceptedSeq: seq });
    await step.apply();
  }
  await catchUp(state, seq);
}

/** Whether what failed for no known reason is tried again: often enough and for a while, but those behind it don't wait for ever. */
function mayWorkSoon({ environment, outbox }: ConversationState, number: number): boolean {
  const { now, timing } = environment;
  const { times, since } = outbox.noteFailure(number, now());
  return times < TRIES || now() - since < 2 * timing.retry[1];
}

/** The number is used up and the ciphertext kept in one batch, before anything leaves. */
async function encrypt(
  state: ConversationState,
  group: Group,
  number: number,
  entry: OutboxEntry,
): Promise<Bytes> {
  const step = state.step();
  const sequence = entry.sequence ?? step.position.nextSequence;
  if (entry.sequence === undefined) {
    step.position = { ...step.position, nextSequence: sequence + 1 };
  }
  const { length, hash } = await state.chain(group);
  const own = state.directory.known(state.self.accountId);
  if (!own) throw new TypeError("the own device list is not known");
  const frame = encodeFrame({
    envelope: { sequence, lastSeen: { length, hash }, deviceList: own.head },
    content: entry.content,
  });
  const message = await group.send(frame, {
    and: async (ciphertext) => {
      const kept = { message: ciphertext, hash: await sha256(ciphertext) };
      step.outbox(number, { ...entry, sequence, ciphertext: kept });
      return step.finish();
    },
  });
  step.done();
  return message;
}

/** Whether the service has the group in another epoch: behind us it is only if it forgot something. */
export function isOfOtherEpoch({ code }: ServiceError): boolean {
  return code === "wrong-epoch" || code === "future-epoch";
}

/**
 * The service says that the epoch is over: what ended it must be in the log. If it is not, or was refused by us, the group has
 * gone on without us: our state is of no use any more, and only joining anew helps.
 */
export async function nextEpoch(
  state: ConversationState,
  group: Group,
  epoch: bigint,
): Promise<void> {
  await catchUp(state);
  if (state.group === group && group.epoch === epoch) await loseStep(state);
}

async function giveUp(state: ConversationState, number: number, failure: string): Promise<void> {
  const entry = state.outbox.entries.get(number);
  if (!entry) return;
  const step = state.step();
  step.outbox(number, entry.kind === "text" ? { ...entry, failure } : undefined);
  await step.apply();
}
