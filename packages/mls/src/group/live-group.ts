/**
 * What a member's group is made of, and the steps by which it changes: one batch of records, and only then what is in memory.
 * RFC 9420 §9.2 (what is deleted), §12.4.2 (the next epoch), §14 (order of commits).
 * @module
 */

import { toHex, wipe } from "../bytes.ts";
import type { Signer } from "../crypto/signature.ts";
import type { KeyPair } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { ExporterTree } from "../key/exporter-tree.ts";
import { wipeDerived, wipeEpochSecrets } from "../key/key-schedule.ts";
import { SecretTree, type Taken, type TakenKey } from "../key/secret-tree.ts";
import { type Batch, keysOf, mergeBatches } from "../storage.ts";
import { leafAt } from "../tree/ratchet-tree.ts";
import type { CommitBundle, ComposedCommit } from "./compose.ts";
import { type MlsContext, type NextEpoch, ownLeafNode } from "./epoch.ts";
import { GroupEvents } from "./events.ts";
import type { LiveEpoch } from "./next-epoch.ts";
import { PastEpochs } from "./past-epochs.ts";
import {
  decodeState,
  encodeState,
  epochRecords,
  type GroupKeys,
  type GroupStatus,
  groupKeys,
  positionRecord,
  type StoredPosition,
} from "./stored-group.ts";

/** Records of the application, to be stored in one batch with the group's. */
export type And<T> = (about: T) => Batch | Promise<Batch>;

/** The same, once it is known about what. */
export type Records = () => Batch | Promise<Batch> | undefined;

export interface GroupParts {
  readonly context: MlsContext;
  /** Of our leaf. */
  readonly signer: Signer;
  /** Those that leaves of ours may need which are not in the tree yet. */
  readonly signers?: readonly Signer[];
  readonly status: GroupStatus;
  readonly live: LiveEpoch;
  readonly pending: { readonly composed: ComposedCommit } | undefined;
  /** What a joining group has to send. */
  readonly joining: CommitBundle | undefined;
  /** Private keys of our Updates that are not committed yet, by public key in hexadecimal. */
  readonly updates: ReadonlyMap<string, KeyPair>;
  readonly past?: PastEpochs;
  readonly discarded?: boolean;
  readonly position?: StoredPosition;
}

/**
 * How far this client has come in a group. Whatever it does there makes one of the numbers grow, and that is stored before
 * anything leaves; so of two copies of a state the one with the smaller position is older, and must not be used.
 */
export interface GroupPosition {
  /** Grows with each proposal, commit, discarded commit and safely exported secret of ours, and with each epoch. */
  readonly changes: bigint;
  readonly epoch: bigint;
  /** How many messages we encrypted in this epoch: application data, and proposals and commits that were PrivateMessages. */
  readonly sent: { readonly application: number; readonly handshake: number };
  /** The last application message that we sent; undefined before the first. */
  readonly lastSent: { readonly epoch: bigint; readonly generation: number } | undefined;
}

/** Below zero where `a` is of an older state than `b`, above it where `b` is older; zero for copies of one state. */
export function comparePositions(a: GroupPosition, b: GroupPosition): number {
  if (a.changes !== b.changes) return a.changes < b.changes ? -1 : 1;
  return a.sent.application - b.sent.application;
}

/** What is refused in a group that we join by a commit of ours. */
export function notJoined(): MlsError {
  return new MlsError("pending-commit", "12.4.3.2", "the commit that we join by is not accepted");
}

export class LiveGroup {
  readonly context: MlsContext;
  readonly keys: GroupKeys;
  readonly updates: Map<string, KeyPair>;
  readonly past: PastEpochs;
  readonly events: GroupEvents = new GroupEvents();
  /** Of our leaf in the current epoch. */
  signer: Signer;
  status: GroupStatus;
  live: LiveEpoch;
  pending: { readonly composed: ComposedCommit } | undefined;
  joining: CommitBundle | undefined;
  #position: StoredPosition;
  /** A commit of ours was given up in this epoch. */
  discarded: boolean;
  /** By public key in hexadecimal. */
  readonly #signers = new Map<string, Signer>();
  /** The end of the queue. */
  #turn: Promise<unknown> = Promise.resolve();
  /** A batch failed: what is stored is not known, so nothing may be used again. */
  #broken = false;
  /** The log has what this state doesn't know that we sent: it would use keys again. */
  #old = false;

  constructor(parts: GroupParts) {
    this.context = parts.context;
    this.signer = parts.signer;
    for (const signer of [parts.signer, ...(parts.signers ?? [])]) this.know(signer);
    this.status = parts.status;
    this.live = parts.live;
    this.pending = parts.pending;
    this.joining = parts.joining;
    this.updates = new Map(parts.updates);
    this.keys = groupKeys(parts.live.state.groupContext.groupId);
    this.#position = parts.position ?? { changes: 0n, lastSent: undefined };
    this.discarded = parts.discarded ?? false;
    this.past = parts.past ?? new PastEpochs(this.keys);
  }

  /** Operations take turns, whoever calls. */
  inTurn<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(async () => {
      if (this.#broken) throw new MlsError("storage", "14", "a write failed: load the group again");
      if (!this.past.isEmpty) await this.#sweep();
      return await operation();
    });
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** Deletes the past epochs whose time is over (§9.2). */
  async #sweep(): Promise<void> {
    const { batch, settle } = this.past.sweep(this.context.pastEpochs, this.context.now());
    if (batch.delete?.length === 0) return;
    await this.store(batch, () => undefined);
    settle();
  }

  /** One batch with the application's records; a secret that was taken is forgotten once that is stored. */
  async store(batch: Batch, and: Records, taken?: Taken): Promise<void> {
    let whole = batch;
    try {
      const records = and();
      if (records) whole = mergeBatches(batch, await records);
    } catch (cause) {
      taken?.discard();
      throw cause;
    }
    try {
      await this.context.storage.apply(whole);
    } catch (cause) {
      // It may have been written all the same: this object must not use a key again.
      this.#broken = true;
      throw cause;
    }
    taken?.settle();
  }

  get position(): GroupPosition {
    const { state, ownLeaf, secretTree } = this.live;
    const { epoch } = state.groupContext;
    const application = secretTree.generation(ownLeaf, "application");
    const handshake = secretTree.generation(ownLeaf, "handshake");
    const { changes, lastSent } = this.#position;
    const last = application > 0 ? { epoch, generation: application - 1 } : lastSent;
    return { changes, epoch, sent: { application, handshake }, lastSent: last };
  }

  /** The same as `store`, for what we do to the group: our position in it grows. */
  async change(
    batches: readonly (Batch | undefined)[],
    and: Records,
    taken?: Taken,
  ): Promise<void> {
    const { changes, lastSent } = this.position;
    const position = { changes: changes + 1n, lastSent };
    const batch = mergeBatches(...batches, positionRecord(this.keys, position));
    await this.store(batch, and, taken);
    this.#position = position;
  }

  /** Keeps a signer for a leaf of ours that is on its way. */
  know(signer: Signer): void {
    this.#signers.set(toHex(signer.publicKey), signer);
  }

  /** Who signs for our leaf in the epoch to come. Throws `MlsError` with `storage` where this client was not told: the record of an Update is gone. */
  #signerIn(next: NextEpoch): Signer {
    const leaf = ownLeafNode(next);
    if (leaf === leafAt(this.live.state.tree, this.live.ownLeaf)) return this.signer;
    const signer = this.#signers.get(toHex(leaf.signatureKey));
    if (!signer) throw new MlsError("storage", "14", "no signer is known for our new leaf");
    return signer;
  }

  checkNotGone(): void {
    if (this.status === "removed")
      throw new MlsError("removed", "12.4.2", "no member of this group any more");
  }

  /** For a message of ours that this state doesn't know: an older copy of it was put back. From then on nothing is sent. */
  foundOld(): MlsError {
    this.#old = true;
    return new MlsError("state-old", "14", "we sent this, and this state does not know it");
  }

  /** Whether we may send. */
  checkActive(): void {
    this.checkNotGone();
    if (this.#old) {
      throw new MlsError(
        "state-old",
        "9.1",
        "this state is an older copy: it would use keys again",
      );
    }
    if (this.status === "joining") throw notJoined();
    if (this.status !== "active") {
      throw new MlsError("group-closed", "11.2", `the group is ${this.status}`);
    }
  }

  /**
   * Begins the next epoch: one batch, then the old epoch's secrets die, but for what the application's window keeps. A ReInit
   * closes the group (§11.2). `taken`: the key of a commit that came encrypted.
   */
  async enter(
    next: NextEpoch,
    and: Records,
    { own = false, taken }: { readonly own?: boolean; readonly taken?: TakenKey | undefined } = {},
  ): Promise<void> {
    const { keys, secrets, exporter: ended } = this.live;
    const signer = this.#signerIn(next);
    const { epoch } = next.state.groupContext;
    const status: GroupStatus = next.state.reinit ? "closed" : "active";
    const nextTree = SecretTree.create(
      next.state.suite,
      next.state.tree.leafCount,
      this.keys.tree(epoch),
      next.encryptionSecret,
      this.context,
    );
    const { applicationExportSecret } = next;
    const exporter =
      applicationExportSecret && ExporterTree.create(next.state.suite, applicationExportSecret);
    const updates = [...this.updates.values()].map(({ publicKey }) => publicKey);
    const { pastEpochs, resumptionEpochs, now } = this.context;
    const begun = { ...next, status, updates, exporter: exporter?.nodes() };
    const records = epochRecords(this.keys, this.live, begun, resumptionEpochs);
    const past = this.past.end(this.live, next.state.tree, pastEpochs, now());
    // Where the old tree goes, its keys go with it; where it stays, this one is used.
    const used = past.kept ? taken : undefined;
    const batches = [used?.batch, ...records, past.batch, nextTree.records()];
    await this.change(batches, and, used);
    if (!used) taken?.discard();
    past.settle();
    if (own) this.pending = undefined;
    else this.wipePending();
    keys.forEach(({ privateKey }, index) => {
      if (next.keys.get(index)?.privateKey !== privateKey) wipe(privateKey);
    });
    wipeEpochSecrets(secrets);
    ended?.wipe();
    const leafKey = next.keys.get(2 * next.ownLeaf)?.privateKey;
    for (const { privateKey } of this.updates.values()) {
      if (privateKey !== leafKey) wipe(privateKey);
    }
    this.updates.clear();
    this.discarded = false;
    this.status = status;
    this.signer = signer;
    this.live = {
      state: next.state,
      ownLeaf: next.ownLeaf,
      keys: next.keys,
      secrets: next.secrets,
      secretTree: nextTree,
      exporter,
    };
  }

  /** A commit removed us (§12.4.2): nothing is kept but that. */
  async enterRemoved(and: Records): Promise<void> {
    const { state, ownLeaf } = this.live;
    const all = await keysOf(this.context.storage, this.keys.all);
    // The tree stays, so that who was in the group can still be shown; it holds no secret.
    const kept = (key: string): boolean =>
      key === this.keys.state || key.startsWith(`${this.keys.all}node/`);
    const record = new Map([[this.keys.state, encodeState(state, "removed", ownLeaf)]]);
    const batch = { put: record, delete: all.filter((key) => !kept(key)) };
    await this.store(batch, and);
    this.#wipeAll();
    this.status = "removed";
  }

  /** The external commit that we join by was accepted. */
  async confirm(and: Records): Promise<void> {
    const { state, ownLeaf } = this.live;
    const record = new Map([[this.keys.state, encodeState(state, "active", ownLeaf)]]);
    await this.change([{ put: record, delete: [this.keys.pending] }], and);
    this.status = "active";
    this.joining = undefined;
  }

  /** Deletes all that this client has of the group. */
  async remove(and: Records): Promise<void> {
    const { storage } = this.context;
    // Who came to the group anew has other records there, which are not this object's.
    const state = this.status === "removed" ? await storage.get(this.keys.state) : undefined;
    const isAnothers = state && decodeState(state).status !== "removed";
    const keys = isAnothers ? [] : await keysOf(storage, this.keys.all);
    await this.store({ delete: keys }, and);
    this.#wipeAll();
    this.status = "removed";
    this.events.emit(() => [{ type: "status", status: "removed" }]);
    this.events.close();
  }

  /** It was never stored, or nobody knows: nothing can be done with it. */
  abandon(): void {
    this.#broken = true;
    this.#wipeAll();
    this.status = "removed";
    this.events.close();
  }

  /** Overwrites what a commit of ours that lost had prepared. */
  wipePending(): void {
    if (!this.pending) return;
    this.wipeNext(this.pending.composed.next);
    this.pending = undefined;
  }

  /** Overwrites an epoch that is not to begin. */
  wipeNext(next: NextEpoch): void {
    wipeDerived(next);
    // A key that both epochs share is still in use, and so is that of an Update of ours.
    const inUse = new Set(
      [...this.live.keys.values(), ...this.updates.values()].map(({ privateKey }) => privateKey),
    );
    for (const { privateKey } of next.keys.values()) {
      if (!inUse.has(privateKey)) wipe(privateKey);
    }
  }

  #wipeAll(): void {
    this.joining = undefined;
    this.wipePending();
    wipeEpochSecrets(this.live.secrets);
    this.live.secretTree.wipe();
    this.live.exporter?.wipe();
    this.past.wipe();
    for (const { privateKey } of this.live.keys.values()) wipe(privateKey);
    for (const { privateKey } of this.updates.values()) wipe(privateKey);
    this.updates.clear();
    this.live = { ...this.live, keys: new Map() };
  }
}
