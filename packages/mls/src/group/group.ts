/**
 * A group as its member holds it: the one live object, which owns the newest state, its secrets and its storage.
 * RFC 9420 §6 (messages), §12.4 (commits), §14 (order of commits), §8.5 (exporter).
 *
 * Operations take turns, whoever calls. Each computes what is to change, stores that with the application's own records
 * in one batch, and only then changes what is in memory: a failure leaves the group as it was.
 * @module
 */

import { bytesEqual, EMPTY, toHex, wipe } from "../bytes.ts";
import { type Bytes, encode } from "../codec.ts";
import type { Signer } from "../crypto/signature.ts";
import type { DhKeyPair } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import {
  AuthenticatedContent,
  type Content,
  type Sender,
  signContent,
  verifyContent,
} from "../framing/content.ts";
import { decodeMessage, encodeMessage } from "../framing/message.ts";
import {
  type PrivateMessage,
  protectPrivate,
  unprotectPrivate,
} from "../framing/private-message.ts";
import type { Commit, Proposal } from "../framing/proposal.ts";
import {
  type PublicMessage,
  protectPublic,
  readPublic,
  verifyMembershipTag,
} from "../framing/public-message.ts";
import type { Extension } from "../key/extension.ts";
import { GroupContext } from "../key/group-context.ts";
import { mlsExporter, wipeEpochSecrets } from "../key/key-schedule.ts";
import { SecretTree, type TakenKey } from "../key/secret-tree.ts";
import { PROPOSAL } from "../registry.ts";
import { type Batch, mergeBatches } from "../storage.ts";
import { type LeafNode, signLeafNode } from "../tree/leaf-node.ts";
import { encodeRatchetTree, leafAt, type Member, membersOf } from "../tree/ratchet-tree.ts";
import {
  type AuthenticatedData,
  type CommitBundle,
  type ComposedCommit,
  composeCommit,
} from "./compose.ts";
import {
  externalPubExtension,
  fittingKeys,
  type MlsContext,
  makeGroupInfo,
  type NextEpoch,
} from "./epoch.ts";
import { type BrokenRule, checkProposals, inspectProposals } from "./inspection.ts";
import { type LiveEpoch, nextEpoch, pskSecretOf } from "./next-epoch.ts";
import { type ListedProposal, validateProposal } from "./proposal-list.ts";
import { fittingProposals, selectProposals } from "./proposal-selection.ts";
import { type CommitSummary, type PendingProposal, withProposal } from "./public-state.ts";
import { stageCommit } from "./staged-commit.ts";
import {
  encodeKeyPair,
  encodePending,
  encodeState,
  epochRecords,
  type GroupKeys,
  type GroupStatus,
  groupKeys,
  pendingProposal,
} from "./stored-group.ts";

/** What a message from the group turned out to be. */
export type Received =
  | {
      readonly type: "application";
      /** The sender's leaf index. */
      readonly sender: number;
      readonly senderLeaf: LeafNode;
      readonly data: Bytes;
      readonly authenticatedData: Bytes;
      readonly epoch: bigint;
      readonly generation: number;
    }
  | {
      readonly type: "proposal";
      readonly ref: Bytes;
      readonly proposal: Proposal;
      readonly sender: Sender;
    }
  | {
      readonly type: "commit";
      /** A commit of ours, met again and applied from storage. */
      readonly own: boolean;
      readonly summary: CommitSummary;
      /** The epoch it began. */
      readonly epoch: bigint;
      /** A commit of ours was under way and lost; its secrets are gone. */
      readonly lostPending: boolean;
      /** It removed us: the group's secrets are gone. */
      readonly removed: boolean;
    };

/** Records of the application, to be stored in one batch with the group's. */
export type And<T> = (about: T) => Batch | Promise<Batch>;

export interface CommitOptions {
  /** By value; pending ones go along by reference. */
  readonly proposals?: readonly Proposal[];
  readonly authenticatedData?: AuthenticatedData;
  /** GroupInfo extensions for joiners alone: in the Welcome, and in `groupInfoForJoiners`. */
  readonly joinerExtensions?: readonly Extension[];
  /** A path also where the proposals don't ask for one. */
  readonly forcePath?: boolean;
  readonly and?: And<CommitBundle>;
}

export interface GroupParts {
  readonly context: MlsContext;
  readonly signer: Signer;
  readonly status: GroupStatus;
  readonly live: LiveEpoch;
  readonly pending: { readonly composed: ComposedCommit } | undefined;
  /** What a joining group has to send. */
  readonly joining: CommitBundle | undefined;
  /** Private keys of our Updates that are not committed yet, by public key in hexadecimal. */
  readonly updates: ReadonlyMap<string, DhKeyPair>;
}

export class Group {
  readonly #context: MlsContext;
  readonly #signer: Signer;
  readonly #keys: GroupKeys;
  #status: GroupStatus;
  #live: LiveEpoch;
  #pending: { readonly composed: ComposedCommit } | undefined;
  #joining: CommitBundle | undefined;
  #updates: Map<string, DhKeyPair>;
  /** The end of the queue. */
  #turn: Promise<unknown> = Promise.resolve();
  /** A batch failed: what is stored is not known, so nothing may be used again. */
  #broken = false;

  /** Not for applications: see `createGroup`, `joinGroup`, `joinExternally`, `loadGroup`. */
  constructor(parts: GroupParts) {
    this.#context = parts.context;
    this.#signer = parts.signer;
    this.#status = parts.status;
    this.#live = parts.live;
    this.#pending = parts.pending;
    this.#joining = parts.joining;
    this.#updates = new Map(parts.updates);
    this.#keys = groupKeys(parts.live.state.groupContext.groupId);
  }

  get groupId(): Bytes {
    return this.#live.state.groupContext.groupId;
  }
  get suite(): number {
    return this.#live.state.suite.number;
  }
  get epoch(): bigint {
    return this.#live.state.groupContext.epoch;
  }
  get status(): GroupStatus {
    return this.#status;
  }
  get ownLeafIndex(): number {
    return this.#live.ownLeaf;
  }
  /** Of the GroupContext. */
  get extensions(): readonly Extension[] {
    return this.#live.state.groupContext.extensions;
  }
  get confirmedTranscriptHash(): Bytes {
    return this.#live.state.groupContext.confirmedTranscriptHash;
  }
  /** §8.7: the same for all members of this epoch, and for nobody else. */
  get epochAuthenticator(): Bytes {
    this.#checkNotGone();
    return this.#live.secrets.epochAuthenticator.slice();
  }
  /** What waits for the service's decision: a commit of ours, or the one that we join by. */
  get pendingCommit(): CommitBundle | undefined {
    return this.#joining ?? this.#pending?.composed.bundle;
  }
  get pendingProposals(): readonly PendingProposal[] {
    return [...this.#live.state.proposals.values()];
  }

  members(): readonly Member[] {
    return membersOf(this.#live.state.tree);
  }

  /** The `ratchet_tree` of this epoch, encoded (§12.4.3.3). */
  ratchetTree(): Bytes {
    return encodeRatchetTree(this.#live.state.tree);
  }

  /** `MLS-Exporter` (§8.5), `length` bytes. Throws `MlsError` with `removed`. */
  exportSecret(label: string, context: Bytes, length: number): Bytes {
    this.#checkNotGone();
    const { state, secrets } = this.#live;
    return mlsExporter(state.suite, secrets.exporterSecret, label, context, length);
  }

  /**
   * Every rule that a commit of ours with these proposals by value would break, the application's judgement included; none:
   * `commit` would take them. A dry run: nothing changes.
   */
  async inspectProposals(proposals: readonly Proposal[]): Promise<readonly BrokenRule[]> {
    const { state, ownLeaf } = this.#live;
    const sender: Sender = { senderType: "member", leafIndex: ownLeaf };
    const list = proposals.map((proposal) => ({ proposal, sender, ref: undefined }));
    return inspectProposals(this.#context, state, list, ownLeaf);
  }

  /** A GroupInfo of this epoch as an MLSMessage; with `external_pub`, whoever has it can join. */
  async groupInfo(options: {
    readonly externalPub: boolean;
    readonly extensions?: readonly Extension[];
  }): Promise<Bytes> {
    this.#checkNotGone();
    const { state, ownLeaf, secrets } = this.#live;
    const externalPub = options.externalPub
      ? [await externalPubExtension(state.suite, secrets)]
      : [];
    const extensions = [...externalPub, ...(options.extensions ?? [])];
    return makeGroupInfo(this.#signer, state, ownLeaf, extensions);
  }

  /**
   * Encrypts application data as a PrivateMessage (§6.3). The used generation is stored, with what `and` gives for the
   * message, before this is fulfilled. Throws `MlsError`: `pending-proposals` where a commit is due first (§12.4).
   */
  send(
    data: Bytes,
    options: { readonly authenticatedData?: Bytes; readonly and?: And<Bytes> } = {},
  ): Promise<Bytes> {
    return this.#inTurn(async () => {
      this.#checkActive();
      const { state, ownLeaf, secrets, secretTree } = this.#live;
      if (state.proposals.size > 0) {
        throw new MlsError("pending-proposals", "12.4", "proposals wait to be committed first");
      }
      const { groupId, epoch } = state.groupContext;
      const signed = await signContent(
        this.#signer,
        "mls_private_message",
        {
          groupId,
          epoch,
          sender: { senderType: "member", leafIndex: ownLeaf },
          authenticatedData: options.authenticatedData ?? EMPTY,
          content: { contentType: "application", applicationData: data },
        },
        encode(GroupContext, state.groupContext),
      );
      const keys = { senderDataSecret: secrets.senderDataSecret, secretTree };
      const { message, taken } = await protectPrivate(state.suite, keys, signed);
      const bytes = encodeMessage({ wireFormat: "mls_private_message", privateMessage: message });
      await this.#store(taken.batch, () => options.and?.(bytes), taken);
      return bytes;
    });
  }

  /** Sends a proposal as a PublicMessage, to be committed by whoever commits next. */
  propose(proposal: Proposal, options: { readonly and?: And<Bytes> } = {}): Promise<Bytes> {
    return this.#inTurn(() => this.#propose(proposal, EMPTY_BATCH, options.and));
  }

  /** Proposes new keys for our leaf (§12.1.2); they are used once another member commits it. */
  proposeUpdate(options: { readonly and?: And<Bytes> } = {}): Promise<Bytes> {
    return this.#inTurn(async () => {
      this.#checkActive();
      const { state, ownLeaf } = this.#live;
      const { suite, groupContext } = state;
      const leaf = leafAt(state.tree, ownLeaf);
      if (!leaf) throw new MlsError("blank-leaf", "12.1.2", "our leaf is blank");
      const keyPair = await suite.provider.generateDhKeyPair(suite.kem);
      const leafNode = await signLeafNode(
        { ...leaf, encryptionKey: keyPair.publicKey, source: { leafNodeSource: "update" } },
        this.#signer,
        { groupId: groupContext.groupId, leafIndex: ownLeaf },
      );
      const record = new Map([[this.#keys.update(keyPair.publicKey), encodeKeyPair(keyPair)]]);
      const sent = await this.#propose(
        { proposalType: "update", leafNode },
        { put: record },
        options.and,
      );
      this.#updates.set(toHex(keyPair.publicKey), keyPair);
      return sent;
    });
  }

  async #propose(proposal: Proposal, batch: Batch, and: And<Bytes> | undefined): Promise<Bytes> {
    this.#checkActive();
    const { state, ownLeaf, secrets } = this.#live;
    const { groupId, epoch } = state.groupContext;
    const sender: Sender = { senderType: "member", leafIndex: ownLeaf };
    await validateProposal(state, proposal, sender);
    const content = { contentType: "proposal", proposal } as const;
    const context = encode(GroupContext, state.groupContext);
    const framed = { groupId, epoch, sender, authenticatedData: EMPTY, content };
    const signed = await signContent(this.#signer, "mls_public_message", framed, context);
    const publicMessage = protectPublic(state.suite, secrets.membershipKey, signed, context);
    const bytes = encodeMessage({ wireFormat: "mls_public_message", publicMessage });
    const pending = pendingProposal(state.suite, signed);
    // The same words again are the same proposal: it has its record.
    const known = pending && state.proposals.has(toHex(pending.ref));
    const record = known ? EMPTY_BATCH : this.#proposalRecord(signed);
    await this.#store(mergeBatches(batch, record), () => and?.(bytes));
    if (pending) this.#live = { ...this.#live, state: withProposal(state, pending) };
    return bytes;
  }

  #proposalRecord(authenticated: AuthenticatedContent): Batch {
    const position = this.#live.state.proposals.size;
    const record = encode(AuthenticatedContent, authenticated);
    return { put: new Map([[this.#keys.proposal(position), record]]) };
  }

  /**
   * Composes a commit over the pending proposals and those given, and stores it with the epoch after it. The group stays
   * in its epoch until the commit comes back through `receive`, or is given up by `discardPendingCommit` (§14).
   */
  commit(options: CommitOptions = {}): Promise<CommitBundle> {
    return this.#inTurn(async () => {
      this.#checkActive();
      if (this.#pending)
        throw new MlsError("pending-commit", "14", "a commit of ours is under way");
      const { state, ownLeaf } = this.#live;
      const list = selectProposals(this.pendingProposals, options.proposals ?? [], ownLeaf);
      const composed = await this.#compose(list, options).catch(async (cause: unknown) => {
        const fitting = await fittingProposals(list, (some) => this.#checkList(some));
        if (fitting.length === list.length) throw cause;
        return this.#compose(fitting, options);
      });
      const record = new Map([[this.#keys.pending, encodePending(state.tree, composed)]]);
      await this.#store({ put: record }, () => options.and?.(composed.bundle));
      this.#pending = { composed };
      return composed.bundle;
    });
  }

  async #compose(list: readonly ListedProposal[], options: CommitOptions): Promise<ComposedCommit> {
    const { state, ownLeaf, keys, secrets } = this.#live;
    return composeCommit(this.#context, {
      state,
      list,
      signer: this.#signer,
      committer: { leafIndex: ownLeaf, membershipKey: secrets.membershipKey, keys },
      initSecret: secrets.initSecret,
      pskSecret: await this.#pskSecretFor(list),
      forcePath: options.forcePath ?? false,
      authenticatedData: options.authenticatedData ?? EMPTY,
      joinerExtensions: options.joinerExtensions ?? [],
    });
  }

  #pskSecretFor(list: readonly ListedProposal[]): Promise<Bytes> {
    const psks = list.flatMap(({ proposal }) =>
      proposal.proposalType === "psk" ? [proposal.psk] : [],
    );
    return pskSecretOf(this.#context, this.#live, psks);
  }

  /** Throws where a list cannot be committed by us, whatever the path will be. */
  async #checkList(list: readonly ListedProposal[]): Promise<void> {
    wipe(await this.#pskSecretFor(list));
    await checkProposals(this.#context, this.#live.state, list, this.#live.ownLeaf);
  }

  /** Our commit lost, or was never sent: it is deleted, and its secrets with it. */
  discardPendingCommit(options: { readonly and?: And<undefined> } = {}): Promise<void> {
    return this.#inTurn(async () => {
      this.#checkNotGone();
      if (!this.#pending) throw new MlsError("no-pending-commit", "14", "no commit is under way");
      await this.#store({ delete: [this.#keys.pending] }, () => options.and?.(undefined));
      this.#wipePending();
    });
  }

  #wipePending(): void {
    if (!this.#pending) return;
    const { next } = this.#pending.composed;
    wipeEpochSecrets(next.secrets);
    wipe(next.encryptionSecret);
    for (const [index, { privateKey }] of next.keys) {
      // A key that both epochs share is still in use.
      if (this.#live.keys.get(index)?.privateKey !== privateKey) wipe(privateKey);
    }
    this.#pending = undefined;
  }

  /**
   * Takes a message of this group, in the order in which the service has them. What it means is stored with what `and`
   * gives for it in one batch. Throws `MlsError` for a message that breaks a rule; the group stays as it was.
   */
  receive(message: Bytes, options: { readonly and?: And<Received> } = {}): Promise<Received> {
    return this.#inTurn(() => this.#receive(message, options.and));
  }

  async #receive(bytes: Bytes, and: And<Received> | undefined): Promise<Received> {
    this.#checkNotGone();
    const own = this.#joining ?? this.#pending?.composed.bundle;
    if (own && bytesEqual(own.commit, bytes)) return this.#mergeOwn(and);
    if (this.#status === "joining") {
      throw new MlsError(
        "pending-commit",
        "12.4.3.2",
        "the commit that we join by is not accepted yet",
      );
    }
    const message = decodeMessage(bytes);
    switch (message.wireFormat) {
      case "mls_public_message":
        return this.#receivePublic(message.publicMessage, and);
      case "mls_private_message":
        return this.#receivePrivate(message.privateMessage, and);
      case "mls_welcome":
      case "mls_group_info":
      case "mls_key_package":
        throw new MlsError(
          "wrong-wire-format",
          "6",
          `${message.wireFormat} is not said in a group`,
        );
    }
  }

  /** §6: of this group and epoch, or none of our business. */
  #checkAddress(groupId: Bytes, epoch: bigint): void {
    const { groupContext } = this.#live.state;
    if (!bytesEqual(groupId, groupContext.groupId)) {
      throw new MlsError("wrong-group", "6.1", "a message of another group");
    }
    if (epoch !== groupContext.epoch) {
      const { epoch: ours } = groupContext;
      throw new MlsError(
        "wrong-epoch",
        "6.1",
        `a message of epoch ${epoch}, the group is at ${ours}`,
      );
    }
  }

  async #receivePublic(message: PublicMessage, and: And<Received> | undefined): Promise<Received> {
    this.#checkAddress(message.content.groupId, message.content.epoch);
    const { state, secrets } = this.#live;
    const authenticated = readPublic(message);
    const context = encode(GroupContext, state.groupContext);
    verifyMembershipTag(state.suite, secrets.membershipKey, message, context);
    await verifyContent(state.suite, authenticated, state.tree, state.groupContext);
    return this.#handle(authenticated, undefined, and);
  }

  async #receivePrivate(
    message: PrivateMessage,
    and: And<Received> | undefined,
  ): Promise<Received> {
    this.#checkAddress(message.groupId, message.epoch);
    const { state, ownLeaf, secrets, secretTree } = this.#live;
    const keys = { senderDataSecret: secrets.senderDataSecret, secretTree };
    const { authenticated, taken } = await unprotectPrivate(
      state.suite,
      keys,
      state.tree,
      message,
      ownLeaf,
    );
    try {
      await verifyContent(state.suite, authenticated, state.tree, state.groupContext);
      const { sender } = authenticated.content;
      if (sender.senderType === "member" && sender.leafIndex === ownLeaf) {
        throw new MlsError("state-old", "14", "we sent this, and this state does not know it");
      }
      return await this.#handle(authenticated, taken, and);
    } catch (cause) {
      taken.discard();
      throw cause;
    }
  }

  async #handle(
    authenticated: AuthenticatedContent,
    taken: TakenKey | undefined,
    and: And<Received> | undefined,
  ): Promise<Received> {
    const { content } = authenticated.content;
    switch (content.contentType) {
      case "application":
        return this.#handleApplication(authenticated, content, taken, and);
      case "proposal":
        return this.#handleProposal(authenticated, content.proposal, taken, and);
      case "commit":
        return this.#handleCommit(authenticated, content.commit, and);
    }
  }

  async #handleApplication(
    authenticated: AuthenticatedContent,
    content: Extract<Content, { contentType: "application" }>,
    taken: TakenKey | undefined,
    and: And<Received> | undefined,
  ): Promise<Received> {
    const { sender, authenticatedData, epoch } = authenticated.content;
    const leafIndex = sender.senderType === "member" ? sender.leafIndex : -1;
    const senderLeaf = leafAt(this.#live.state.tree, leafIndex);
    if (!senderLeaf || !taken) throw new MlsError("unknown-sender", "6.3", "no member sent this");
    const received: Received = {
      type: "application",
      sender: leafIndex,
      senderLeaf,
      data: content.applicationData,
      authenticatedData,
      epoch,
      generation: taken.generation,
    };
    await this.#store(taken.batch, () => and?.(received), taken);
    return received;
  }

  async #handleProposal(
    authenticated: AuthenticatedContent,
    proposal: Proposal,
    taken: TakenKey | undefined,
    and: And<Received> | undefined,
  ): Promise<Received> {
    const { state } = this.#live;
    const { sender } = authenticated.content;
    await validateProposal(state, proposal, sender);
    const pending = pendingProposal(state.suite, authenticated);
    if (!pending) throw new MlsError("proposal-invalid", "12.1", "no proposal");
    const received: Received = { type: "proposal", ref: pending.ref, proposal, sender };
    const known = state.proposals.has(toHex(pending.ref));
    const record = known ? EMPTY_BATCH : this.#proposalRecord(authenticated);
    await this.#store(mergeBatches(taken?.batch, record), () => and?.(received), taken);
    this.#live = { ...this.#live, state: withProposal(state, pending) };
    return received;
  }

  async #handleCommit(
    authenticated: AuthenticatedContent,
    commit: Commit,
    and: And<Received> | undefined,
  ): Promise<Received> {
    const { state, ownLeaf } = this.#live;
    const { sender } = authenticated.content;
    if (sender.senderType === "member" && sender.leafIndex === ownLeaf) {
      throw new MlsError("pending-commit", "14", "a commit of ours that is not the one under way");
    }
    const staged = await stageCommit(this.#context, state, authenticated, commit);
    const removed = staged.summary.removed.some(({ leafIndex }) => leafIndex === ownLeaf);
    const received: Received = {
      type: "commit",
      own: false,
      summary: staged.summary,
      epoch: staged.next.groupContext.epoch,
      lostPending: this.#pending !== undefined,
      removed,
    };
    if (removed) await this.#enterRemoved(and, received);
    else {
      const next = await nextEpoch(this.#context, this.#live, this.#updates, {
        authenticated,
        commit,
        staged,
      });
      const status = staged.summary.proposalTypes.includes(PROPOSAL.reinit) ? "closed" : "active";
      await this.#enter(next, status, () => and?.(received));
    }
    return received;
  }

  /** Our own commit was accepted: the epoch that was computed with it begins. */
  async #mergeOwn(and: And<Received> | undefined): Promise<Received> {
    if (this.#joining) {
      const { state, ownLeaf } = this.#live;
      const pathLeaf = leafAt(state.tree, ownLeaf);
      const received: Received = {
        type: "commit",
        own: true,
        summary: {
          groupId: this.groupId,
          epoch: this.epoch - 1n,
          committer: ownLeaf,
          external: true,
          authenticatedData: EMPTY,
          pathLeaf,
          encodedPathLeaf: undefined,
          added: [],
          removed: [],
          updated: [],
          extensionsBefore: this.extensions,
          extensionsAfter: this.extensions,
          proposalTypes: [PROPOSAL.externalInit],
        },
        epoch: this.epoch,
        lostPending: false,
        removed: false,
      };
      await this.#confirm(() => and?.(received));
      return received;
    }
    if (!this.#pending) throw new MlsError("no-pending-commit", "14", "no commit is under way");
    const { summary, next } = this.#pending.composed;
    const received: Received = {
      type: "commit",
      own: true,
      summary,
      epoch: next.state.groupContext.epoch,
      lostPending: false,
      removed: false,
    };
    await this.#enter(
      next,
      summary.proposalTypes.includes(PROPOSAL.reinit) ? "closed" : "active",
      () => and?.(received),
      true,
    );
    return received;
  }

  /** The external commit that we join by was accepted: we are a member. */
  confirm(options: { readonly and?: And<undefined> } = {}): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#status !== "joining") return;
      await this.#confirm(() => options.and?.(undefined));
    });
  }

  async #confirm(and: () => Batch | Promise<Batch> | undefined): Promise<void> {
    const { state, ownLeaf } = this.#live;
    const record = new Map([[this.#keys.state, encodeState(state, "active", ownLeaf)]]);
    await this.#store({ put: record, delete: [this.#keys.pending] }, and);
    this.#status = "active";
    this.#joining = undefined;
  }

  /** Deletes all that this client has of the group, wherever it stands. */
  remove(options: { readonly and?: And<undefined> } = {}): Promise<void> {
    return this.#inTurn(async () => {
      const keys = [...(await this.#context.storage.list(this.#keys.all)).keys()];
      await this.#store({ delete: keys }, () => options.and?.(undefined));
      this.#wipeAll();
      this.#status = "removed";
    });
  }

  /** Begins the next epoch: one batch, then the old epoch's secrets die. */
  async #enter(
    next: NextEpoch,
    status: GroupStatus,
    and: () => Batch | Promise<Batch> | undefined,
    own = false,
  ): Promise<void> {
    const { keys, secrets, secretTree } = this.#live;
    const { epoch } = next.state.groupContext;
    const nextTree = SecretTree.create(
      next.state.suite,
      next.state.tree.leafCount,
      this.#keys.tree(epoch),
      next.encryptionSecret,
      this.#context.window,
    );
    const updates = [...this.#updates.values()].map(({ publicKey }) => publicKey);
    const batch = epochRecords(this.#keys, this.#live, { ...next, status, updates });
    await this.#store(mergeBatches(batch, nextTree.records()), and);
    if (own) this.#pending = undefined;
    else this.#wipePending();
    for (const [index, { privateKey }] of keys) {
      if (next.keys.get(index)?.privateKey !== privateKey) wipe(privateKey);
    }
    wipeEpochSecrets(secrets);
    secretTree.wipe();
    this.#updates.clear();
    this.#status = status;
    this.#live = {
      state: next.state,
      ownLeaf: next.ownLeaf,
      keys: fittingKeys(next.state.tree, next.keys),
      secrets: next.secrets,
      secretTree: nextTree,
    };
  }

  /** A commit removed us (§12.4.2): nothing is kept but that. */
  async #enterRemoved(and: And<Received> | undefined, received: Received): Promise<void> {
    const { state, ownLeaf } = this.#live;
    const all = [...(await this.#context.storage.list(this.#keys.all)).keys()];
    // The tree stays, so that who was in the group can still be shown; it holds no secret.
    const kept = (key: string): boolean =>
      key === this.#keys.state || key.startsWith(`${this.#keys.all}node/`);
    const record = new Map([[this.#keys.state, encodeState(state, "removed", ownLeaf)]]);
    const batch = { put: record, delete: all.filter((key) => !kept(key)) };
    await this.#store(batch, () => and?.(received));
    this.#wipeAll();
    this.#status = "removed";
  }

  #wipeAll(): void {
    this.#wipePending();
    wipeEpochSecrets(this.#live.secrets);
    this.#live.secretTree.wipe();
    for (const { privateKey } of this.#live.keys.values()) wipe(privateKey);
    for (const { privateKey } of this.#updates.values()) wipe(privateKey);
    this.#updates.clear();
    this.#live = { ...this.#live, keys: new Map() };
  }

  #inTurn<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(() => {
      if (this.#broken) throw new MlsError("storage", "14", "a write failed: load the group again");
      return operation();
    });
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** One batch with the application's records; a key that was taken is forgotten once that is stored. */
  async #store(
    batch: Batch,
    and: () => Batch | Promise<Batch> | undefined,
    taken?: TakenKey,
  ): Promise<void> {
    let records: Batch | undefined;
    try {
      records = await and();
    } catch (cause) {
      taken?.discard();
      throw cause;
    }
    try {
      await this.#context.storage.apply(mergeBatches(batch, records));
    } catch (cause) {
      // It may have been written all the same: this object must not use a key again.
      this.#broken = true;
      throw cause;
    }
    taken?.settle();
  }

  #checkNotGone(): void {
    if (this.#status === "removed")
      throw new MlsError("removed", "12.4.2", "no member of this group any more");
  }

  #checkActive(): void {
    this.#checkNotGone();
    if (this.#status !== "active") {
      throw new MlsError("group-closed", "11.2", `the group is ${this.#status}`);
    }
  }
}

const EMPTY_BATCH: Batch = {};
