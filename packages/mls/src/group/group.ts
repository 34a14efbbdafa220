/**
 * A group as its member holds it: the one live object, which owns the newest state, its secrets and its storage.
 * RFC 9420 §6 (messages), §12.4 (commits), §14 (order of commits), §8.5 (exporter).
 *
 * Operations take turns, whoever calls. Each computes what is to change, stores that with the application's own records
 * in one batch, and only then changes what is in memory: a failure leaves the group as it was.
 * @module
 */

import { copyOf } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import type { Sender } from "../framing/content.ts";
import type { Proposal, ReInit } from "../framing/proposal.ts";
import type { Extension } from "../key/extension.ts";
import { mlsExporter } from "../key/key-schedule.ts";
import type { PreSharedKeyID } from "../key/psk.ts";
import { encodeRatchetTree, type Member, membersOf } from "../tree/ratchet-tree.ts";
import { type CommitOptions, commit, discardPending } from "./committing.ts";
import type { CommitBundle, NewLeaf } from "./compose.ts";
import { externalPubExtension, makeGroupInfo, ratchetTreeExtensions } from "./epoch.ts";
import type { GroupEvent } from "./events.ts";
import { safeExportSecret } from "./exporting.ts";
import { type BrokenRule, inspectProposals } from "./inspection.ts";
import { type And, type GroupParts, type GroupPosition, LiveGroup } from "./live-group.ts";
import { lacksPsk } from "./pre-shared-key.ts";
import type { PendingProposal } from "./public-state.ts";
import { type Received, receive } from "./receiving.ts";
import { propose, proposeUpdate, send } from "./sending.ts";
import type { GroupStatus } from "./stored-group.ts";

let partsOf: (group: Group) => LiveGroup;

/** For operations that stand beside the class, so that an application which has no use for them need not load them. */
export function liveGroupOf(group: Group): LiveGroup {
  return partsOf(group);
}

/** A member's group: see the top of this module. */
export class Group {
  static {
    partsOf = (group) => group.#group;
  }
  readonly #group: LiveGroup;

  /** Not for applications: see `createGroup`, `joinGroup`, `joinExternally`, `loadGroup`. */
  constructor(parts: GroupParts) {
    this.#group = new LiveGroup(parts);
  }

  get groupId(): Bytes {
    return this.#group.live.state.groupContext.groupId;
  }
  get suite(): number {
    return this.#group.live.state.suite.number;
  }
  get epoch(): bigint {
    return this.#group.live.state.groupContext.epoch;
  }
  get status(): GroupStatus {
    return this.#group.status;
  }
  get ownLeafIndex(): number {
    return this.#group.live.ownLeaf;
  }
  /** Of the GroupContext. */
  get extensions(): readonly Extension[] {
    return this.#group.live.state.groupContext.extensions;
  }
  /** What the group goes on as (§11.2), where its last commit ended it: see `reinitializeGroup`. */
  get reinit(): ReInit | undefined {
    return this.#group.live.state.reinit;
  }
  get confirmedTranscriptHash(): Bytes {
    return this.#group.live.state.groupContext.confirmedTranscriptHash;
  }
  /** §8.7: the same for all members of this epoch, and for nobody else. */
  get epochAuthenticator(): Bytes {
    this.#group.checkNotGone();
    return copyOf(this.#group.live.secrets.epochAuthenticator);
  }
  /** What waits for the service's decision: a commit of ours, or the one that we join by. */
  get pendingCommit(): CommitBundle | undefined {
    return this.#group.joining ?? this.#group.pending?.composed.bundle;
  }
  get pendingProposals(): readonly PendingProposal[] {
    return [...this.#group.live.state.proposals.values()];
  }

  /** How far we have come in this group, to be compared with what is known elsewhere: with the log, or another copy (`comparePositions`). */
  get position(): GroupPosition {
    return this.#group.position;
  }

  /**
   * What happens from now on: each event once what it tells of is stored. Nothing in it is secret. A reader that is slow misses
   * what is more than `limit` events (256 unless given), and is told how many.
   */
  events(options: { readonly limit?: number } = {}): ReadableStream<GroupEvent> {
    return this.#group.events.open(options.limit);
  }

  /** The members, by leaf index. */
  members(): readonly Member[] {
    return membersOf(this.#group.live.state.tree);
  }

  /** The `ratchet_tree` of this epoch, encoded (§12.4.3.3). */
  ratchetTree(): Bytes {
    return encodeRatchetTree(this.#group.live.state.tree);
  }

  /** `MLS-Exporter` (§8.5), `length` bytes. Throws `MlsError` with `removed`. */
  exportSecret(label: string, context: Bytes, length: number): Bytes {
    this.#group.checkNotGone();
    const { state, secrets } = this.#group.live;
    return mlsExporter(state.suite, secrets.exporterSecret, label, context, length);
  }

  /**
   * `SafeExportSecret` (draft-ietf-mls-extensions, "Exported Secrets"): `nh` bytes that a component, by its id of 16 bits, gets once in an
   * epoch. What they come from is deleted, and that is stored, with what `and` gives for the secret, before this is fulfilled; so
   * after a crash between the two the secret is gone. Throws `MlsError`: `generation-used` for a second time; `storage` in an epoch
   * that an older version stored.
   */
  safeExportSecret(
    componentId: number,
    options: { readonly and?: And<Bytes> } = {},
  ): Promise<Bytes> {
    return this.#group.inTurn(() => safeExportSecret(this.#group, componentId, options.and));
  }

  /**
   * Every rule that a commit of ours with these proposals by value would break, the application's judgement included; none:
   * `commit` would take them. A dry run: nothing changes.
   */
  async inspectProposals(proposals: readonly Proposal[]): Promise<readonly BrokenRule[]> {
    const { state, ownLeaf } = this.#group.live;
    const sender: Sender = { senderType: "member", leafIndex: ownLeaf };
    const list = proposals.map((proposal) => ({ proposal, sender, ref: undefined }));
    const { context } = this.#group;
    const lacking = (psk: PreSharedKeyID): Promise<boolean> => lacksPsk(context, psk);
    return inspectProposals(context, state, list, ownLeaf, lacking);
  }

  /** A GroupInfo of this epoch as an MLSMessage; with `external_pub`, whoever has it can join. */
  async groupInfo(options: {
    readonly externalPub: boolean;
    /** Where the tree is to be (§12.4.3.3): as the context says, unless given. */
    readonly ratchetTree?: "beside" | "inside";
    readonly extensions?: readonly Extension[];
  }): Promise<Bytes> {
    this.#group.checkNotGone();
    // All of one epoch: another may begin while this is made.
    const { context, signer, live } = this.#group;
    const { state, ownLeaf, secrets } = live;
    const externalPub = options.externalPub
      ? [await externalPubExtension(state.suite, secrets)]
      : [];
    const where = options.ratchetTree ? { ratchetTree: options.ratchetTree } : context;
    const extensions = [
      ...externalPub,
      ...ratchetTreeExtensions(where, state.tree),
      ...(options.extensions ?? []),
    ];
    return makeGroupInfo(signer, state, ownLeaf, extensions);
  }

  /**
   * Encrypts application data as a PrivateMessage (§6.3). The used generation is stored, with what `and` gives for the
   * message, before this is fulfilled. `authenticatedData` is not encrypted. Throws `MlsError`: `pending-proposals` where a commit is due
   * first (§12.4), `state-old` where the log has shown that this state is an older copy.
   */
  send(
    data: Bytes,
    options: { readonly authenticatedData?: Bytes; readonly and?: And<Bytes> } = {},
  ): Promise<Bytes> {
    return this.#group.inTurn(() => send(this.#group, data, options));
  }

  /** Sends a proposal, to be committed by whoever commits next. */
  propose(
    proposal: Proposal,
    options: { readonly authenticatedData?: Bytes; readonly and?: And<Bytes> } = {},
  ): Promise<Bytes> {
    return this.#group.inTurn(() => propose(this.#group, proposal, options));
  }

  /**
   * Proposes new keys for our leaf, and what else it is to say (§12.1.2); they are used, and a new signer signs, once another
   * member commits it. A commit of our own leaves it out.
   */
  proposeUpdate(
    options: {
      readonly leaf?: NewLeaf;
      readonly authenticatedData?: Bytes;
      readonly and?: And<Bytes>;
    } = {},
  ): Promise<Bytes> {
    return this.#group.inTurn(() => proposeUpdate(this.#group, options));
  }

  /**
   * Composes a commit over the pending proposals and those given, and stores it with the epoch after it. The group stays
   * in its epoch until the commit comes back through `receive`, or is given up by `discardPendingCommit` (§14).
   */
  commit(options: CommitOptions = {}): Promise<CommitBundle> {
    return this.#group.inTurn(() => commit(this.#group, options));
  }

  /** Our commit lost, or was never sent: it is deleted, and its secrets with it. */
  discardPendingCommit(options: { readonly and?: And<undefined> } = {}): Promise<void> {
    return this.#group.inTurn(() => discardPending(this.#group, options.and));
  }

  /**
   * Takes a message of this group, in the order in which the service has them. What it means is stored with what `and`
   * gives for it in one batch. Throws `MlsError` for a message that breaks a rule; the group stays as it was.
   */
  receive(message: Bytes, options: { readonly and?: And<Received> } = {}): Promise<Received> {
    return this.#group.inTurn(() => receive(this.#group, message, options.and));
  }

  /** The external commit that we join by was accepted: we are a member. */
  confirm(options: { readonly and?: And<undefined> } = {}): Promise<void> {
    return this.#group.inTurn(async () => {
      if (this.#group.status !== "joining") return;
      await this.#group.confirm(() => options.and?.(undefined));
      this.#group.events.emit(() => [{ type: "status", status: "active" }]);
    });
  }

  /** Deletes all that this client has of the group, wherever it stands. */
  remove(options: { readonly and?: And<undefined> } = {}): Promise<void> {
    return this.#group.inTurn(() => this.#group.remove(() => options.and?.(undefined)));
  }
}
