/**
 * A conversation's state on this device, and the steps by which it changes: what a step stages is
 * written in one batch, and is in force and shown only once that batch is on disk.
 * @module
 */

import { type CarriedEntries, createCarriedEntries, ServiceError } from "@conclave/delivery/client";
import { type LogEntry, linksOf } from "@conclave/delivery/protocol";
import { type Batch, type Group, loadGroup, type MlsContext } from "@conclave/mls";
import { type Bytes, decode } from "@conclave/mls/codec";
import {
  type AccountId,
  ClientError,
  type ConversationId,
  type ConversationSummary,
  type Member,
  type Warning,
} from "../api.ts";
import { fromHex } from "../bytes.ts";
import { type ChainPosition, chainStart } from "../chain.ts";
import { type Environment, mlsContext } from "../environment.ts";
import { type Changes, changes, count, put, read } from "../storage.ts";
import { type History, messagesBefore, messageView, putMessages, waitingView } from "./history.ts";
import { Intents } from "./intents.ts";
import { Outbox } from "./outbox.ts";
import {
  ConversationRecord,
  KEYS,
  NO_READERS,
  type OutboxEntry,
  Peer,
  Position,
  Readers,
  type StoredMessage,
} from "./records.ts";
import { rosterOf, type Seat } from "./roster.ts";

export class ConversationState implements History {
  readonly id: ConversationId;
  readonly groupId: Bytes;
  readonly environment: Environment;
  readonly context: MlsContext;
  readonly outbox: Outbox;
  readonly intents: Intents;
  readonly peers: Map<string, Peer>;
  /** What came by the socket and was not read yet. */
  readonly carried: CarriedEntries<LogEntry> = createCarriedEntries();
  record: ConversationRecord;
  position: Position;
  /** Absent while joining before there is one, and once we are out. */
  group: Group | undefined;
  roster: readonly Seat[] = [];
  /** The newest message in the log. */
  last: StoredMessage | undefined;
  /** How many texts had been received when the person last looked. */
  read = 0;
  /** Who says to have read what; nobody, where the person doesn't want to know. */
  readers: Readers = NO_READERS;
  /** The time by which credentials and commits are judged right now. */
  judgedAt = 0;
  /** The log had a commit that we refused, or what comes behind one: the group may have gone on by it. */
  refusedCommit = false;
  /** Accounts of which the service says that devices are revoked, and the list may not: until when it isn't asked for again. */
  readonly unrevoked: Map<AccountId, { readonly times: number; readonly until: number }> =
    new Map();
  /** Devices that could not be brought back: until when it isn't tried again. */
  readonly leftOut: Map<string, number> = new Map();
  /** The log had a gap: an honest service has one where it was restored from a copy of before. */
  gap = false;

  private constructor(
    environment: Environment,
    id: ConversationId,
    parts: Pick<ConversationState, "record" | "position" | "outbox" | "intents" | "peers">,
  ) {
    this.environment = environment;
    this.id = id;
    this.groupId = fromHex(id);
    this.record = parts.record;
    this.position = parts.position;
    this.outbox = parts.outbox;
    this.intents = parts.intents;
    this.peers = parts.peers;
    this.context = mlsContext(environment, () => this.judgedAt);
  }

  /** Of a conversation whose records are in storage. */
  static async load(
    environment: Environment,
    id: ConversationId,
    record: ConversationRecord,
  ): Promise<ConversationState> {
    const { storage, self } = environment;
    const peers = new Map<string, Peer>();
    const prefix = KEYS.peers(id);
    for (const [key, bytes] of await storage.list(prefix)) {
      peers.set(key.slice(prefix.length), decode(Peer, bytes));
    }
    const placed = await read(storage, Position, KEYS.position(id));
    const state = new ConversationState(environment, id, {
      record,
      position: placed ?? NOWHERE,
      outbox: await Outbox.load(storage, id),
      intents: await Intents.load(storage, id),
      peers,
    });
    state.read = (await read(storage, count, KEYS.read(id))) ?? 0;
    state.readers = (await read(storage, Readers, KEYS.readers(id))) ?? NO_READERS;
    [state.last] = await messagesBefore(state, Number.POSITIVE_INFINITY, 1);
    if (record.status !== "left") {
      const signer = self.leafSigner;
      const group = await loadGroup(state.context, { groupId: state.groupId, signer });
      // What an earlier stay left is no group to go on with.
      await state.setGroup(group?.status === "removed" ? undefined : group);
    }
    const ownLast = state.last?.fromBackup ? undefined : state.last;
    const begun = (ownLast?.seq ?? 0) > 0 || (state.group?.epoch ?? 0n) > 0n;
    const torn =
      record.status === "active" && !record.restored && (!state.group || (begun && !placed));
    if (torn) throw new ClientError("lost", "a part of a conversation's state is gone");
    return state;
  }

  get storage(): Environment["storage"] {
    return this.environment.storage;
  }

  get directory(): Environment["directory"] {
    return this.environment.directory;
  }

  get self(): Environment["self"] {
    return this.environment.self;
  }

  async setGroup(group: Group | undefined): Promise<void> {
    this.group = group;
    await this.refreshRoster();
  }

  /** After each epoch. */
  async refreshRoster(): Promise<void> {
    this.roster = this.group && this.group.status !== "joining" ? await rosterOf(this.group) : [];
  }

  /** Where we stand in the group's epoch. What is stored is of an earlier one until the first entry. */
  async chain(group: Group): Promise<ChainPosition> {
    const { chain } = this.position;
    if (chain.length > 0 && chain.epoch === group.epoch) return chain;
    return chainStart(group.epoch, group.confirmedTranscriptHash);
  }

  step(): Step {
    return new Step(this);
  }

  /** The time by which an own commit is judged: what the log will say is not earlier. */
  judgeNow(): void {
    this.judgedAt = Math.max(this.environment.service.now(), this.position.acceptedAt);
  }

  /** Up to which entry all others have read, those who are in now or those who were. */
  #readByAll(): number {
    const { by, all } = this.readers;
    const others = new Set(this.roster.map(({ accountId }) => accountId));
    others.delete(this.self.accountId);
    if (others.size === 0) return all;
    return Math.max(all, Math.min(...[...others].map((other) => by.get(other) ?? 0)));
  }

  members(): readonly Member[] {
    const { directory, self, readers } = this;
    const byAccount = Map.groupBy(this.roster, (seat) => seat.accountId);
    return [...byAccount].map(([accountId, seats]) => ({
      accountId,
      name: directory.nameOf(accountId),
      devices: seats.length,
      self: accountId === self.accountId,
      verified: directory.isVerified(accountId),
      readUpTo: readers.by.get(accountId) ?? 0,
    }));
  }

  summary(): ConversationSummary {
    const { record, position } = this;
    const waiting = this.outbox.texts().at(-1);
    const last = waiting
      ? waitingView(this, waiting)
      : this.last && messageView(this, this.last, position.delivered);
    return {
      id: this.id,
      title: record.title,
      status: record.leaving ? "left" : record.status,
      members: this.members(),
      ...(last && { lastMessage: last }),
      ...(record.status === "left" && this.last?.fromBackup && { restored: true }),
      unread: Math.max(0, position.received - this.read),
      warnings: this.environment.warnings.of(this.id),
      links: this.openLinks(),
      readByAll: this.#readByAll(),
    };
  }

  openLinks(): number {
    if (!this.group || this.group.status !== "active") return 0;
    const now = this.environment.service.now();
    const links = linksOf(this.group.extensions);
    return links.filter(({ expiresAt }) => Number(expiresAt) * 1000 > now).length;
  }

  /** Goes on while the next entry is read. Where it fails, the next message leads to it again. */
  beside(work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (!(error instanceof ServiceError)) this.environment.log("beside", error);
    });
  }

  /** Not before the device has been in the group: a join may still fail. */
  get visible(): boolean {
    return this.last !== undefined;
  }

  emitSummary(): void {
    if (!this.visible) return;
    this.environment.emit({ type: "conversation", conversation: this.summary() });
  }
}

/** A position before there is any. */
export const NOWHERE: Position = {
  cursor: 0,
  acceptedAt: 0,
  chain: { epoch: 0n, length: 0, hash: new Uint8Array(32) },
  nextSequence: 1,
  received: 0,
  lastReceived: 0,
  reported: 0,
  delivered: 0,
};

/**
 * Changes of a conversation that are written together. Only the conversation's worker changes `position` and
 * `record`; other steps may run beside it.
 */
export class Step {
  readonly batch: Changes = changes();
  readonly messages: StoredMessage[] = [];
  position: Position;
  record: ConversationRecord;
  readonly #state: ConversationState;
  readonly #before: { readonly position: Position; readonly record: ConversationRecord };
  readonly #after: (() => void)[] = [];

  constructor(state: ConversationState) {
    const { position, record } = state;
    this.#state = state;
    this.#before = { position, record };
    this.position = position;
    this.record = record;
  }

  /** Done once the batch is on disk. */
  afterwards(action: () => void): void {
    this.#after.push(action);
  }

  peer(signatureKey: string, peer: Peer | undefined): void {
    const { id, peers } = this.#state;
    const key = KEYS.peer(id, signatureKey);
    if (peer) put(this.batch, key, Peer, peer);
    else this.batch.delete.push(key);
    this.afterwards(() => (peer ? peers.set(signatureKey, peer) : peers.delete(signatureKey)));
  }

  /** Puts, changes or deletes what is in the outbox; a text is shown as it then stands. */
  outbox(number: number, entry: OutboxEntry | undefined): void {
    const state = this.#state;
    this.afterwards(state.outbox.stage(this.batch, number, entry));
    if (entry?.kind !== "text") return;
    this.afterwards(() =>
      state.environment.emit({ type: "messages", messages: [waitingView(state, entry)] }),
    );
  }

  warn(warning: Omit<Warning, "at">): void {
    const { environment, id } = this.#state;
    const at = environment.now();
    this.afterwards(environment.warnings.stage(this.batch, id, { ...warning, at }));
  }

  /** All that was staged; the caller has it applied, then calls `done`. */
  finish(): Batch {
    const { id } = this.#state;
    const { position, record } = this.#before;
    if (this.position !== position) {
      put(this.batch, KEYS.position(id), Position, this.position);
    }
    if (this.record !== record) {
      put(this.batch, KEYS.conversation(id), ConversationRecord, this.record);
    }
    putMessages(this.batch, id, this.messages);
    return this.batch;
  }

  /** The batch is on disk: what it says is in force. */
  done(): void {
    const state = this.#state;
    if (this.position !== this.#before.position) state.position = this.position;
    if (this.record !== this.#before.record) state.record = this.record;
    state.last = this.messages.at(-1) ?? state.last;
    for (const action of this.#after) action();
    if (this.messages.length > 0) {
      const { delivered } = state.position;
      const messages = this.messages.map((message) => messageView(state, message, delivered));
      state.environment.emit({ type: "messages", messages });
    }
    state.emitSummary();
  }

  async apply(): Promise<void> {
    await this.#state.storage.apply(this.finish());
    this.done();
  }
}
