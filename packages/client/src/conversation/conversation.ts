/**
 * A conversation: what a view may ask of it, and the one worker that does all that changes it. The worker
 * does one thing after the other, each of which begins and ends with records on disk; so wherever it is
 * cut off, the next start goes on from there.
 * @module
 */

import { type InboxEntry, type LogEntry, sha256 } from "@conclave/delivery/protocol";
import type { Group } from "@conclave/mls";
import { ClientError, type ConversationSummary, type Message } from "../api.ts";
import { equal, hex, randomBytes, utf8Bytes } from "../bytes.ts";
import { clientError, failureOf } from "../client-error.ts";
import { encodeContent, textContent } from "../content/content.ts";
import { messageIdOf } from "../content/frame.ts";
import { workerError } from "../environment.ts";
import { causeOf } from "../refusal.ts";
import { changes, count, put } from "../storage.ts";
import { AGAIN, IDLE, ON, Worker } from "../worker.ts";
import {
  carryOut,
  commitPending,
  committable,
  MAX_RACES,
  type Outcome,
  pushAgain,
  settle,
} from "./committing.ts";
import { messagesBefore, messageView, waitingView } from "./history.ts";
import { isCommon } from "./intents.ts";
import { dropGroup, joinByLink, joinByWelcome } from "./joining.ts";
import { askToReturn } from "./readding.ts";
import { catchUp } from "./reading.ts";
import { stageGivenUp, stageLeft } from "./reading-commits.ts";
import { receiptContent, receiptDue } from "./receipts.ts";
import { type Intent, KEYS, type OutboxEntry, type StoredMessage } from "./records.ts";
import { restoreMessages } from "./restoring.ts";
import { sendEntry } from "./sending.ts";
import type { ConversationState } from "./state.ts";

/** The longest text, in UTF-8 bytes. */
const MAX_TEXT_LENGTH: number = 32 * 1024;

export class Conversation {
  readonly state: ConversationState;
  readonly #worker: Worker;
  #behind = true;
  /** The newest head that we heard of since we looked. */
  #head = 0;
  /** When the log is to be looked at though no doorbell rang, in milliseconds. */
  #lookAt = 0;
  #races = 0;
  #receiptAt: number | undefined;
  /** When we do what every member wants alike, if nobody did. */
  #commonAt: number | undefined;
  /** When we say again that we can't follow. */
  #askAt = 0;
  /** Where in the log the service refused a commit of what is proposed: it is tried again behind that. */
  #refusedAt = -1;
  /** The end of the queue of texts that are put into the outbox. */
  #writing: Promise<void> = Promise.resolve();
  #joining: PromiseWithResolvers<void> | undefined;
  #leaving: PromiseWithResolvers<void> | undefined;

  constructor(state: ConversationState) {
    this.state = state;
    this.#worker = new Worker({
      turn: () => this.#turn().catch((error: unknown) => this.#endIfDeleted(error)),
      retry: state.environment.timing.retry,
      onError: (error) => {
        // Whatever it was, the log may say why.
        this.#behind = true;
        return workerError(state.environment, error);
      },
    });
  }

  start(): void {
    this.#worker.start();
  }

  /** With a reason, who waits for an outcome is told; otherwise the next engine comes to it. */
  async close(why?: ClientError): Promise<void> {
    await this.#worker.close();
    if (why) this.state.intents.stopWaiting(why);
    const stopped = why ?? new ClientError("fenced", "this engine has stopped");
    this.#joining?.reject(stopped);
    this.#leaving?.reject(stopped);
  }

  /** The log may have more than we read. */
  lookAgain(): void {
    this.#behind = true;
    this.state.intents.hurry();
    this.#worker.hurry();
  }

  /** The log has grown to there, with these entries at its end, as far as they came along. */
  hearOf(head: number, entries: readonly LogEntry[]): void {
    const { position, carried, group } = this.state;
    if (head <= position.cursor) return;
    if (group?.status === "active") carried.put(entries);
    this.#head = Math.max(this.#head, head);
    this.#worker.hurry();
  }

  /** There may be members that can't follow a commit. */
  lookAtReports(): void {
    const { intents, record } = this.state;
    if (record.status !== "active") return;
    const number = intents.find(({ type }) => type === "return") ?? intents.takeNumber();
    // Nothing of it is stored.
    intents.stage(changes(), number, { type: "return", tries: 0, at: 0 })();
    this.#worker.hurry();
  }

  summary(): ConversationSummary {
    return this.state.summary();
  }

  /** Newest last; what waits in the outbox comes with the newest. */
  async messages(before: number | undefined, limit: number): Promise<readonly Message[]> {
    const { state } = this;
    const stored = await messagesBefore(state, before ?? Number.POSITIVE_INFINITY, limit);
    const { delivered } = state.position;
    const views = stored.map((message) => messageView(state, message, delivered));
    if (before !== undefined) return views;
    return [...views, ...state.outbox.texts().map((entry) => waitingView(state, entry))];
  }

  /** Done once it is in the outbox. Texts go there one after the other, in the order of the calls. */
  sendText(text: string, messageKey: string): Promise<void> {
    const written = this.#writing.then(() => this.#write(text, messageKey));
    this.#writing = written.catch(() => {});
    return written;
  }

  async #write(text: string, messageKey: string): Promise<void> {
    const { state } = this;
    const { id, storage, self } = state;
    this.#requireActive();
    const size = utf8Bytes(text).length;
    if (size === 0 || size > MAX_TEXT_LENGTH) {
      throw new ClientError("text-too-long", `a text has 1 to ${MAX_TEXT_LENGTH} bytes`);
    }
    const written = KEYS.written(id, hex((await sha256(utf8Bytes(messageKey))).slice(0, 16)));
    if (await storage.get(written)) return;
    const content = encodeContent(textContent(text, randomBytes(16)));
    const messageId = await messageIdOf(self.accountIdBytes, state.groupId, content);
    this.#requireActive();
    const step = state.step();
    put(step.batch, written, count, state.environment.now());
    step.outbox(state.outbox.takeNumber(), this.#entry("text", messageId, content));
    await step.apply();
    this.#worker.ring();
  }

  async discardFailed(messageId: string): Promise<void> {
    const { state } = this;
    for (const [number, entry] of state.outbox.entries) {
      if (entry.id !== messageId || entry.failure === undefined) continue;
      const step = state.step();
      step.outbox(number, undefined);
      step.afterwards(() =>
        state.environment.emit({ type: "discarded", conversationId: state.id, messageId }),
      );
      await step.apply();
    }
  }

  async markRead(): Promise<void> {
    const { state } = this;
    const { received } = state.position;
    if (state.read === received) return;
    const step = state.step();
    put(step.batch, KEYS.read(state.id), count, received);
    step.afterwards(() => {
      state.read = received;
    });
    await step.apply();
  }

  /** Wants something of the group, and waits until it is so. The same wish twice is one. */
  async want(intent: Intent): Promise<void> {
    this.#requireActive();
    const { state } = this;
    let number = state.intents.find((other) => sameIntent(other, intent));
    if (number === undefined) {
      number = state.intents.takeNumber();
      const step = state.step();
      step.afterwards(state.intents.stage(step.batch, number, intent));
      await step.apply();
    }
    const outcome = state.intents.outcome(number);
    this.#worker.ring();
    await outcome;
  }

  /** From now on nothing is sent; the others take this device out when one of them is there. */
  async leave(): Promise<void> {
    this.#requireActive();
    this.#leaving ??= Promise.withResolvers<void>();
    this.#worker.ring();
    await this.#leaving.promise;
  }

  /** Waits until a join by link has come to its end. */
  joined(): Promise<void> {
    if (this.state.record.status === "active") return Promise.resolve();
    this.#joining ??= Promise.withResolvers<void>();
    this.#worker.ring();
    return this.#joining.promise;
  }

  /** Joins by a Welcome, unless we are in already. Throws as `joinByWelcome` does. */
  async welcome(entry: InboxEntry): Promise<void> {
    await this.#worker.alone(() => joinByWelcome(this.state, entry));
    this.lookAgain();
  }

  /** Takes messages of a backup in, all that it has of their entries. Answers how many were not here. */
  restore(messages: readonly StoredMessage[]): Promise<number> {
    return this.#worker.alone(() => restoreMessages(this.state, messages));
  }

  tellRestored(): void {
    const { state } = this;
    state.environment.emit({ type: "history", conversationId: state.id });
  }

  #requireActive(): void {
    const { record } = this.state;
    if (record.status !== "active" || record.leaving) {
      throw new ClientError("not-member", "this device is not in the conversation");
    }
    if (record.restored) {
      throw new ClientError("refused", "this device is out of step: it has to join anew");
    }
  }

  #entry(kind: OutboxEntry["kind"], id: string, content: OutboxEntry["content"]): OutboxEntry {
    return {
      kind,
      id,
      content,
      writtenAt: this.state.environment.now(),
      sequence: undefined,
      ciphertext: undefined,
      acceptedSeq: undefined,
      failure: undefined,
    };
  }

  async #turn(): Promise<number> {
    const { state } = this;
    const { record, group } = state;
    if (record.status === "left") return this.#clear();
    if (record.status === "joining") return this.#join();
    if (this.#leaving) return this.#beginLeaving(this.#leaving);
    if (!group) return IDLE;

    const { now, timing } = state.environment;
    const due = this.#behind || now() >= this.#lookAt;
    if (due || this.#head > state.position.cursor) {
      const upTo = due ? undefined : this.#head;
      this.#behind = false;
      this.#head = 0;
      this.#lookAt = now() + timing.poll;
      try {
        await catchUp(state, upTo);
      } catch (error) {
        this.#behind = true;
        throw error;
      }
      // After each failure the log is read first, which may go well where nothing else does.
      return ON;
    }
    if (record.restored) return this.#askToReturn();
    if (group.pendingCommit) return this.#after(await pushAgain(state, group));
    const looked = now();
    if (record.leaving) await this.#proposeLeaving(group);
    else {
      const pause = await this.#commit(group, looked);
      if (pause !== undefined) return pause;
    }
    const first = state.outbox.first();
    if (first) {
      await sendEntry(state, group, ...first);
      return 0;
    }
    return record.leaving ? this.#poll() : this.#rest(looked);
  }

  /** Of an account that was deleted nothing is sent any more; who waits for something is told. Throws all other errors. */
  async #endIfDeleted(error: unknown): Promise<number> {
    const failure = clientError(error);
    if (failure.code !== "account-deleted") throw error;
    const { state } = this;
    if (state.outbox.first() || state.intents.size > 0) {
      const step = state.step();
      stageGivenUp(state, step, failure);
      await step.apply();
    }
    this.#joining?.reject(failure);
    this.#leaving?.reject(failure);
    this.#joining = this.#leaving = undefined;
    // There is nothing in the log that could be read.
    return IDLE;
  }

  /** What came into outbox and intents while we were being taken out. */
  async #clear(): Promise<number> {
    const { state } = this;
    if (state.outbox.first() || state.intents.size > 0) {
      const step = state.step();
      stageLeft(state, step);
      await step.apply();
    }
    return IDLE;
  }

  async #join(): Promise<number> {
    try {
      const outcome = await joinByLink(this.state);
      if (outcome === "lost" && ++this.#races < MAX_RACES) return AGAIN;
      if (outcome === "lost") throw new ClientError("busy", "too many others joined meanwhile");
      this.#races = 0;
      this.#joining?.resolve();
      this.#behind = true;
      return 0;
    } catch (error) {
      const failure = causeOf(error, ClientError);
      if (!failure || failure.code === "storage" || failure.code === "fenced") throw error;
      const step = this.state.step();
      step.record = { ...step.record, status: "left" };
      step.batch.delete.push(KEYS.join(this.state.id));
      await step.apply();
      this.#joining?.reject(failure);
      this.#joining = undefined;
      return IDLE;
    }
  }

  /** Commits what is proposed or wanted, if anything is at this time; undefined if not. */
  async #commit(group: Group, now: number): Promise<number | undefined> {
    const { state } = this;
    const { intents, outbox, environment } = state;
    const stuck = this.#refusedAt === state.position.cursor;
    const proposed = committable(group) && !stuck;
    const own = intents.due(now, (intent) => !isCommon(intent));
    const common = intents.due(now, isCommon);
    // What every member wants alike: each gives the others a chance to be first.
    if (!proposed && !common) this.#commonAt = undefined;
    else this.#commonAt ??= now + Math.random() * environment.timing.proposals;
    const at = this.#commonAt;
    const isOurs = at !== undefined && (outbox.first() !== undefined || now >= at);
    // A member with proposals pending commits them before it sends (RFC 9420 §12.4).
    if (proposed && (isOurs || own)) return this.#after(await this.#commitPending(group));
    const next = own ?? (isOurs ? common : undefined);
    if (next) {
      if (next === common) this.#commonAt = undefined;
      return this.#after(await carryOut(state, group, ...next), next);
    }
    // Before the proposals are committed, nothing can be sent.
    return stuck && committable(group) ? this.#pause(now) : undefined;
  }

  /** What others proposed. A refusal that will not change is told, and the log decides when to try again. */
  async #commitPending(group: Group): Promise<Outcome> {
    const { state } = this;
    try {
      return await commitPending(state, group);
    } catch (error) {
      if (!failureOf(error)) throw error;
      state.environment.log("commit of proposals", error);
      this.#refusedAt = state.position.cursor;
      const step = state.step();
      step.warn({ code: "message-refused" });
      await step.apply();
      return "accepted";
    }
  }

  /** Out of step: says so, now and then, until a Welcome comes. */
  async #askToReturn(): Promise<number> {
    const { state } = this;
    const { now, timing } = state.environment;
    if (now() >= this.#askAt) {
      await askToReturn(state);
      this.#askAt = now() + timing.poll;
    }
    return Math.min(this.#poll(), Math.max(1, this.#askAt - now()));
  }

  /** A race that was lost is run again a little later; after too many, what was wanted is given up, or put off. */
  async #after(outcome: Outcome, wanted?: readonly [number, Intent]): Promise<number> {
    if (outcome === "accepted") {
      this.#races = 0;
      return 0;
    }
    this.#races++;
    if (this.#races < MAX_RACES || !wanted) return AGAIN;
    this.#races = 0;
    const [number, intent] = wanted;
    const { intents, environment } = this.state;
    const { now, timing } = environment;
    if (isCommon(intent)) intents.putOff(number, { now: now(), retry: timing.retry });
    else
      await settle(this.state, number, new ClientError("busy", "others kept changing the group"));
    return 0;
  }

  async #beginLeaving(leaving: PromiseWithResolvers<void>): Promise<number> {
    const { state } = this;
    const step = state.step();
    stageLeft(state, step);
    step.record = { ...state.record, leaving: true };
    await step.apply();
    this.#leaving = undefined;
    leaving.resolve();
    return 0;
  }

  /** The own removal is proposed in each epoch, until somebody commits it. */
  async #proposeLeaving(group: Group): Promise<void> {
    const { state } = this;
    if (state.roster.length === 1) {
      const step = state.step();
      stageLeft(state, step);
      await dropGroup(state, step.finish());
      step.done();
      return;
    }
    const removed = group.ownLeafIndex;
    const proposed = group.pendingProposals.some(
      ({ proposal }) => proposal.proposalType === "remove" && proposal.removed === removed,
    );
    if (proposed) return;
    const step = state.step();
    await group.propose(
      { proposalType: "remove", removed },
      {
        and: async (message) => {
          const ciphertext = { message, hash: await sha256(message) };
          const entry = this.#entry("proposal", "", new Uint8Array(0));
          step.outbox(state.outbox.takeNumber(), { ...entry, ciphertext });
          return step.finish();
        },
      },
    );
    step.done();
  }

  /** Nothing to do but what has a time, which had not come at `looked`: says when. */
  async #rest(looked: number): Promise<number> {
    const { state } = this;
    const { now, timing } = state.environment;
    let pause = this.#pause(looked);
    if (receiptDue(state)) {
      this.#receiptAt ??= now() + timing.receipt;
      if (now() >= this.#receiptAt) {
        this.#receiptAt = undefined;
        await this.#putReceipt();
        return 0;
      }
      pause = Math.min(pause, this.#receiptAt - now());
    }
    return Math.max(1, pause);
  }

  async #putReceipt(): Promise<void> {
    const { state } = this;
    const content = encodeContent(receiptContent(state.position.cursor));
    const step = state.step();
    step.position = { ...step.position, reported: step.position.lastReceived };
    step.outbox(state.outbox.takeNumber(), this.#entry("receipt", "", content));
    await step.apply();
  }

  /** Until something is to be committed, or looked at, that was not at `looked`: its time may have come since. */
  #pause(looked: number): number {
    const { intents, environment } = this.state;
    const next = Math.min(intents.nextTime(looked), this.#commonAt ?? Number.POSITIVE_INFINITY);
    return Math.max(1, Math.min(this.#poll(), next - environment.now()));
  }

  /** Without a doorbell, the log is looked at now and then. */
  #poll(): number {
    return Math.max(1, this.#lookAt - this.state.environment.now());
  }
}

function sameIntent(a: Intent, b: Intent): boolean {
  if (a.type === "revoke") return b.type === "revoke";
  if (a.type !== "add" && a.type !== "remove") return false;
  return b.type === a.type && equal(a.accountId, b.accountId);
}
