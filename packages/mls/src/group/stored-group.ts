/**
 * The form in which a member keeps a group: many small records, so that what does not change is not written again.
 *
 * ```
 * group/ID/state                 version, status, own leaf, GroupContext, transcript
 * group/ID/secrets               the epoch's secrets, what is left of its exporter tree among them
 * group/ID/node/N                a node of the tree that is not blank
 * group/ID/key/N                 the private key of a node of our path
 * group/ID/tree/EPOCH/…          the secret tree: nodes, ratchets, kept message keys
 * group/ID/past/EPOCH            a past epoch whose messages may still come: its context, its leaves, when it ended
 * group/ID/proposal/N            a proposal that may still be committed, by the order they came
 * group/ID/update/KEY            the private key of an Update of ours that is not committed yet
 * group/ID/resumption/EPOCH      a resumption PSK
 * group/ID/position              how often we changed the group, and the last message that we sent before this epoch
 * group/ID/pending               a commit of ours that the service has not decided on
 * group/ID/discarded             empty: a commit of ours was given up in this epoch
 * ```
 *
 * Records whose form may change begin with its version: `state`, `secrets`, `past`, `position`, `pending`, key packages
 * (`key-package/REF`), and the state of a public group. Version 2 added to `state` what a group goes on as, to `pending` that and the
 * commit's proposals, and a version to `secrets` and to the `pending` of a joining group; `past` and `position` came with it. Version 3
 * added the exporter tree to `secrets`, and its root to `pending`. What an older version wrote is read, and written anew in the newest
 * when it changes.
 * @module
 */

import { EMPTY, toHex } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  decode,
  encode,
  enumeration,
  opaque,
  optional,
  struct,
  uint8,
  uint16,
  uint32,
  uint64,
  vector,
} from "../codec.ts";
import type { KeyPair, Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { AuthenticatedContent, Sender } from "../framing/content.ts";
import { decodeMessageOf } from "../framing/message.ts";
import { encodeLeafNode, Proposal, ReInit } from "../framing/proposal.ts";
import { ExporterNodes } from "../key/exporter-tree.ts";
import { GroupContext } from "../key/group-context.ts";
import { EpochSecrets } from "../key/key-schedule.ts";
import type { Batch } from "../storage.ts";
import {
  changedNodes,
  leafAt,
  type RatchetTree,
  treeFromNodes,
  withNodes,
} from "../tree/ratchet-tree.ts";
import { nodeWidth } from "../tree/tree-math.ts";
import type { CommitBundle, ComposedCommit } from "./compose.ts";
import type { NextEpoch } from "./epoch.ts";
import { listProposals } from "./proposal-list.ts";
import {
  type CommittedProposal,
  type PendingProposal,
  type PublicState,
  pendingProposal,
} from "./public-state.ts";

const VERSION = 3;

/** `joining`: by an external commit that is not accepted yet. `closed`: re-initialised (§11.2). */
export type GroupStatus = "joining" | "active" | "removed" | "closed";
const GroupStatus: Codec<GroupStatus> = enumeration(uint8, {
  joining: 1,
  active: 2,
  removed: 3,
  closed: 4,
});

interface StoredState {
  readonly version: number;
  readonly status: GroupStatus;
  readonly ownLeaf: number;
  readonly groupContext: GroupContext;
  readonly confirmationTag: Bytes;
  readonly interimTranscriptHash: Bytes;
  readonly reinit: ReInit | undefined;
}
/** As version 1 had them: it did not know what a group goes on as. */
const STORED_STATE = {
  version: uint8,
  status: GroupStatus,
  ownLeaf: uint32,
  groupContext: GroupContext,
  confirmationTag: opaque,
  interimTranscriptHash: opaque,
} as const;
const StoredState: Codec<StoredState> = struct({ ...STORED_STATE, reinit: optional(ReInit) });
const StoredState1: Codec<Omit<StoredState, "reinit">> = struct(STORED_STATE);

/** The secrets of an epoch as they are stored. */
interface StoredSecrets {
  readonly secrets: EpochSecrets;
  /** Undefined where a version before 3 stored the epoch. */
  readonly exporter: ExporterNodes | undefined;
}
const STORED_SECRETS = { version: uint8, secrets: EpochSecrets } as const;
const StoredSecrets: Codec<StoredSecrets & { readonly version: number }> = struct({
  ...STORED_SECRETS,
  exporter: optional(ExporterNodes),
});
const StoredSecrets2: Codec<Omit<StoredSecrets, "exporter"> & { readonly version: number }> =
  struct(STORED_SECRETS);

const StoredKeyPair: Codec<KeyPair> = struct({ privateKey: opaque, publicKey: opaque });

/** The keys of the records of one group. */
export interface GroupKeys {
  readonly all: string;
  readonly state: string;
  readonly secrets: string;
  readonly pending: string;
  readonly position: string;
  readonly discarded: string;
  readonly node: (index: number) => string;
  readonly key: (index: number) => string;
  readonly tree: (epoch: bigint) => string;
  /** What the keys of all past epochs begin with. */
  readonly allPast: string;
  readonly past: (epoch: bigint) => string;
  readonly proposal: (position: number) => string;
  readonly update: (publicKey: Bytes) => string;
  readonly resumptions: string;
  readonly resumption: (epoch: bigint) => string;
}

export function groupKeys(groupId: Bytes): GroupKeys {
  const all = `group/${toHex(groupId)}/`;
  return {
    all,
    state: `${all}state`,
    secrets: `${all}secrets`,
    pending: `${all}pending`,
    position: `${all}position`,
    discarded: `${all}discarded`,
    node: (index) => `${all}node/${index}`,
    key: (index) => `${all}key/${index}`,
    tree: (epoch) => `${all}tree/${epoch}/`,
    allPast: `${all}past/`,
    past: (epoch) => `${all}past/${epoch}`,
    proposal: (position) => `${all}proposal/${position}`,
    update: (publicKey) => `${all}update/${toHex(publicKey)}`,
    resumptions: `${all}resumption/`,
    resumption: (epoch) => `${all}resumption/${epoch}`,
  };
}

export function encodeState(state: PublicState, status: GroupStatus, ownLeaf: number): Bytes {
  const { groupContext, confirmationTag, interimTranscriptHash, reinit } = state;
  return encode(StoredState, {
    version: VERSION,
    status,
    ownLeaf,
    groupContext,
    confirmationTag,
    interimTranscriptHash,
    reinit,
  });
}

/** Throws `MlsError` with `storage` for a version that this package does not know. */
export function decodeState(bytes: Bytes): StoredState {
  if (bytes[0] === 1) return { ...decode(StoredState1, bytes), reinit: undefined };
  checkVersion(bytes);
  return decode(StoredState, bytes);
}

/** Records of version 1 are told apart before. */
function checkVersion(bytes: Bytes): void {
  const [version = 0] = bytes;
  if (version >= 2 && version <= VERSION) return;
  throw new MlsError("storage", "14", `a stored record of version ${bytes[0]}`);
}

export function encodeKeyPair(keyPair: KeyPair): Bytes {
  return encode(StoredKeyPair, keyPair);
}

function decodeKeyPair(bytes: Bytes): KeyPair {
  return decode(StoredKeyPair, bytes);
}

/** The nodes that differ, as records. */
function nodeRecords(keys: GroupKeys, before: RatchetTree, after: RatchetTree): Batch {
  const put = new Map<string, Bytes>();
  const deleted: string[] = [];
  for (const { index, node } of changedNodes(before, after)) {
    if (node) put.set(keys.node(index), node);
    else deleted.push(keys.node(index));
  }
  return { put, delete: deleted };
}

/** The private keys that differ, as records. */
export function keyRecords(
  keys: GroupKeys,
  before: ReadonlyMap<number, KeyPair>,
  after: ReadonlyMap<number, KeyPair>,
): Batch {
  const put = new Map<string, Bytes>();
  for (const [index, keyPair] of after) {
    if (before.get(index) !== keyPair) put.set(keys.key(index), encodeKeyPair(keyPair));
  }
  const gone = [...before.keys()].filter((index) => !after.has(index));
  return { put, delete: gone.map((index) => keys.key(index)) };
}

/** Of how many ended epochs the resumption PSK is kept (§8.6), unless the context says otherwise. */
const RESUMPTION_EPOCHS = 8;

/** Resumption PSKs that are older than the application wants them now. */
export function staleResumptionPsks(
  keys: GroupKeys,
  records: ReadonlyMap<string, Bytes>,
  epoch: bigint,
  resumptionEpochs: number = RESUMPTION_EPOCHS,
): Batch {
  const oldest = epoch - BigInt(resumptionEpochs);
  const kept = below(records, keys.resumptions).map(([number]) => BigInt(number));
  return { delete: kept.filter((number) => number < oldest).map(keys.resumption) };
}

/** The secrets of an epoch as a record. */
export function encodeSecrets(secrets: EpochSecrets, exporter: ExporterNodes | undefined): Bytes {
  return encode(StoredSecrets, { version: VERSION, secrets, exporter });
}

/** Version 1 had no version here: its records begin with the length of a secret, which is 32 or more. */
export function decodeSecrets(bytes: Bytes): StoredSecrets {
  if ((bytes[0] ?? 0) >= 32) return { secrets: decode(EpochSecrets, bytes), exporter: undefined };
  checkVersion(bytes);
  if (bytes[0] === 2) return { ...decode(StoredSecrets2, bytes), exporter: undefined };
  return decode(StoredSecrets, bytes);
}

/** What changes when an epoch ends and another begins, in batches that go together; the secret trees and past epochs write themselves. */
export function epochRecords(
  keys: GroupKeys,
  ended: {
    readonly state: PublicState;
    readonly keys: ReadonlyMap<number, KeyPair>;
    readonly secrets: EpochSecrets;
  },
  begun: NextEpoch & {
    readonly status: GroupStatus;
    /** The public keys of our Updates: committed or void now. */
    readonly updates: readonly Bytes[];
    readonly exporter: ExporterNodes | undefined;
  },
  resumptionEpochs: number = RESUMPTION_EPOCHS,
): readonly Batch[] {
  const { epoch } = ended.state.groupContext;
  const proposals = Array.from({ length: ended.state.proposals.size }, (_, i) => keys.proposal(i));
  return [
    nodeRecords(keys, ended.state.tree, begun.state.tree),
    keyRecords(keys, ended.keys, begun.keys),
    {
      put: new Map([
        [keys.state, encodeState(begun.state, begun.status, begun.ownLeaf)],
        [keys.secrets, encodeSecrets(begun.secrets, begun.exporter)],
        ...(resumptionEpochs > 0
          ? [[keys.resumption(epoch), ended.secrets.resumptionPsk] as const]
          : []),
      ]),
      delete: [
        ...proposals,
        ...begun.updates.map(keys.update),
        keys.pending,
        keys.discarded,
        keys.resumption(epoch - BigInt(resumptionEpochs)),
      ],
    },
  ];
}

/** How far a client has come in a group: what the current epoch's ratchets say of it is not repeated here. */
export interface StoredPosition {
  readonly changes: bigint;
  readonly lastSent: { readonly epoch: bigint; readonly generation: number } | undefined;
}
const StoredPosition: Codec<StoredPosition & { readonly version: number }> = struct({
  version: uint8,
  changes: uint64,
  lastSent: optional(struct({ epoch: uint64, generation: uint32 })),
});

export function positionRecord(keys: GroupKeys, position: StoredPosition): Batch {
  const record = encode(StoredPosition, { version: VERSION, ...position });
  return { put: new Map([[keys.position, record]]) };
}

/** Groups of version 1 have none. */
export function loadPosition(keys: GroupKeys, records: ReadonlyMap<string, Bytes>): StoredPosition {
  const stored = records.get(keys.position);
  if (!stored) return { changes: 0n, lastSent: undefined };
  checkVersion(stored);
  const { changes, lastSent } = decode(StoredPosition, stored);
  return { changes, lastSent };
}

/** What stands behind a prefix among records, by the rest of the key. */
function below(records: ReadonlyMap<string, Bytes>, prefix: string): [rest: string, Bytes][] {
  return [...records]
    .filter(([key]) => key.startsWith(prefix))
    .map(([key, value]) => [key.slice(prefix.length), value]);
}

export function loadTree(
  keys: GroupKeys,
  records: ReadonlyMap<string, Bytes>,
): Promise<RatchetTree> {
  const nodes = below(records, `${keys.all}node/`);
  return treeFromNodes(nodes.map(([index, node]) => [Number(index), node]));
}

export function loadKeys(
  keys: GroupKeys,
  records: ReadonlyMap<string, Bytes>,
): Map<number, KeyPair> {
  const stored = below(records, `${keys.all}key/`);
  return new Map(stored.map(([index, keyPair]) => [Number(index), decodeKeyPair(keyPair)]));
}

export function loadUpdates(
  keys: GroupKeys,
  records: ReadonlyMap<string, Bytes>,
): Map<string, KeyPair> {
  const stored = below(records, `${keys.all}update/`);
  return new Map(stored.map(([publicKey, keyPair]) => [publicKey, decodeKeyPair(keyPair)]));
}

/** A proposal as it was stored, with what names it. Throws `MlsError` with `storage`. */
export function storedProposal(suite: Suite, authenticated: AuthenticatedContent): PendingProposal {
  const { content } = authenticated.content;
  if (content.contentType !== "proposal") {
    throw new MlsError("storage", "14", "a stored proposal that is none");
  }
  return pendingProposal(suite, authenticated, content.proposal);
}

/** The pending proposals among a group's records, in the order they came. */
export function loadProposals(
  suite: Suite,
  keys: GroupKeys,
  records: ReadonlyMap<string, Bytes>,
): ReadonlyMap<string, PendingProposal> {
  const pending = below(records, `${keys.all}proposal/`)
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, stored]) => storedProposal(suite, decode(AuthenticatedContent, stored)));
  return new Map(pending.map((one) => [toHex(one.ref), one]));
}

/** A commit of ours, with all that is needed to go on once it is accepted. */
interface StoredPending {
  readonly version: number;
  readonly bundle: CommitBundle;
  readonly summary: StoredSummary;
  readonly proposals: readonly CommittedProposal[];
  readonly ownLeaf: number;
  readonly groupContext: GroupContext;
  readonly confirmationTag: Bytes;
  readonly interimTranscriptHash: Bytes;
  readonly nodes: readonly { readonly index: number; readonly node: Bytes | undefined }[];
  readonly keys: readonly { readonly index: number; readonly keyPair: KeyPair }[];
  readonly secrets: EpochSecrets;
  readonly encryptionSecret: Bytes;
  readonly reinit: ReInit | undefined;
  readonly applicationExportSecret: Bytes | undefined;
}
/** A summary by leaf indices: the leaves themselves stand in the trees before and after. */
interface StoredSummary {
  readonly external: number;
  readonly proposalTypes: readonly number[];
  readonly authenticatedData: Bytes;
  readonly path: number;
  readonly added: readonly { readonly leafIndex: number; readonly keyPackageRef: Bytes }[];
  readonly removed: readonly number[];
  readonly updated: readonly number[];
}
/** Empty where there is none: version 2 had one always. */
const SparedBytes: Codec<Bytes | undefined> = {
  write: (w, value) => opaque.write(w, value ?? EMPTY),
  read: (r) => {
    const read = opaque.read(r);
    return read.length > 0 ? read : undefined;
  },
};
export const StoredBundle: Codec<CommitBundle> = struct({
  commit: opaque,
  welcome: optional(opaque),
  groupInfo: opaque,
  groupInfoForJoiners: SparedBytes,
});
const StoredJoining: Codec<{ readonly version: number; readonly bundle: CommitBundle }> = struct({
  version: uint8,
  bundle: StoredBundle,
});

/** What a joining group has to send, as a record. */
export function encodeJoining(bundle: CommitBundle): Bytes {
  return encode(StoredJoining, { version: VERSION, bundle });
}

/** Version 1 had no version here: its records begin with the length of a commit, in two bytes or more. */
export function decodeJoining(bytes: Bytes): CommitBundle {
  if ((bytes[0] ?? 0) >= 64) return decode(StoredBundle, bytes);
  checkVersion(bytes);
  return decode(StoredJoining, bytes).bundle;
}

const STORED_PENDING = {
  version: uint8,
  bundle: StoredBundle,
  summary: struct<StoredSummary>({
    external: uint8,
    proposalTypes: vector(uint16),
    authenticatedData: opaque,
    path: uint8,
    added: vector(struct({ leafIndex: uint32, keyPackageRef: opaque })),
    removed: vector(uint32),
    updated: vector(uint32),
  }),
  ownLeaf: uint32,
  groupContext: GroupContext,
  confirmationTag: opaque,
  interimTranscriptHash: opaque,
  nodes: vector(struct({ index: uint32, node: optional(opaque) })),
  keys: vector(struct({ index: uint32, keyPair: StoredKeyPair })),
  secrets: EpochSecrets,
  encryptionSecret: opaque,
} as const;
const STORED_PENDING_2 = {
  ...STORED_PENDING,
  reinit: optional(ReInit),
  proposals: vector(
    struct<CommittedProposal>({ proposal: Proposal, sender: Sender, ref: optional(opaque) }),
  ),
} as const;
const StoredPending: Codec<StoredPending> = struct({
  ...STORED_PENDING_2,
  applicationExportSecret: optional(opaque),
});
type StoredPending2 = Omit<StoredPending, "applicationExportSecret">;
const StoredPending2: Codec<StoredPending2> = struct(STORED_PENDING_2);
const StoredPending1: Codec<Omit<StoredPending2, "reinit" | "proposals">> = struct(STORED_PENDING);

export function encodePending(before: RatchetTree, composed: ComposedCommit): Bytes {
  const { bundle, summary, next } = composed;
  const { state, ownLeaf, secrets, encryptionSecret, applicationExportSecret } = next;
  return encode(StoredPending, {
    version: VERSION,
    bundle,
    summary: {
      external: summary.external ? 1 : 0,
      proposalTypes: summary.proposalTypes,
      authenticatedData: summary.authenticatedData,
      path: summary.pathLeaf ? 1 : 0,
      added: summary.added,
      removed: summary.removed.map(({ leafIndex }) => leafIndex),
      updated: summary.updated.map(({ leafIndex }) => leafIndex),
    },
    ownLeaf,
    groupContext: state.groupContext,
    confirmationTag: state.confirmationTag,
    interimTranscriptHash: state.interimTranscriptHash,
    nodes: changedNodes(before, state.tree),
    keys: [...next.keys].map(([index, keyPair]) => ({ index, keyPair })),
    secrets,
    encryptionSecret,
    reinit: state.reinit,
    proposals: summary.proposals,
    applicationExportSecret,
  });
}

/** What the commit of a stored group of version 1 holds: it is a PublicMessage. */
function committedProposals(
  before: PublicState,
  { commit }: CommitBundle,
): readonly CommittedProposal[] {
  const { content, sender } = decodeMessageOf(commit, "mls_public_message").publicMessage.content;
  if (content.contentType !== "commit") {
    throw new MlsError("storage", "14", "a stored commit that is none");
  }
  const list = listProposals(before, content.commit, sender);
  return list.map((one) => ({ proposal: one.proposal, sender: one.sender, ref: one.ref }));
}

/** What an older version did not store is undefined. */
function readPending(
  bytes: Bytes,
): Omit<StoredPending, "proposals"> & Partial<Pick<StoredPending, "proposals">> {
  const older = { reinit: undefined, applicationExportSecret: undefined };
  if (bytes[0] === 1) return { ...older, ...decode(StoredPending1, bytes) };
  checkVersion(bytes);
  if (bytes[0] === 2) return { ...older, ...decode(StoredPending2, bytes) };
  return decode(StoredPending, bytes);
}

export function decodePending(before: PublicState, bytes: Bytes): ComposedCommit {
  const stored = readPending(bytes);
  const { suite } = before;
  // Members who come take the blank leaves first, so the tree has no more than these.
  const leaves = 2 * (before.tree.leafCount + stored.nodes.length);
  const follows = stored.groupContext.epoch === before.groupContext.epoch + 1n;
  if (!follows || stored.nodes.some(({ index }) => index >= nodeWidth(leaves))) {
    throw new MlsError("storage", "14", "a stored commit does not fit its group");
  }
  const tree = withNodes(before.tree, stored.nodes);
  const { groupContext, confirmationTag, interimTranscriptHash, summary, ownLeaf } = stored;
  const leafIn = (from: RatchetTree, leafIndex: number) => {
    const leafNode = leafAt(from, leafIndex);
    if (!leafNode) throw new MlsError("storage", "14", "a stored commit does not fit its group");
    return { leafIndex, leafNode };
  };
  const pathLeaf = summary.path === 1 ? leafAt(tree, ownLeaf) : undefined;
  return {
    bundle: stored.bundle,
    summary: {
      groupId: groupContext.groupId,
      epoch: groupContext.epoch - 1n,
      committer: ownLeaf,
      external: summary.external === 1,
      authenticatedData: summary.authenticatedData,
      pathLeaf,
      encodedPathLeaf: pathLeaf && encodeLeafNode(pathLeaf),
      added: summary.added.map((one) => ({ ...one, ...leafIn(tree, one.leafIndex) })),
      removed: summary.removed.map((leafIndex) => leafIn(before.tree, leafIndex)),
      updated: summary.updated.map((leafIndex) => ({
        leafIndex,
        previous: leafIn(before.tree, leafIndex).leafNode,
        next: leafIn(tree, leafIndex).leafNode,
      })),
      extensionsBefore: before.groupContext.extensions,
      extensionsAfter: groupContext.extensions,
      proposals: stored.proposals ?? committedProposals(before, stored.bundle),
      proposalTypes: summary.proposalTypes,
      reinit: stored.reinit,
    },
    next: {
      state: {
        suite,
        groupContext,
        tree,
        confirmationTag,
        interimTranscriptHash,
        proposals: new Map(),
        reinit: stored.reinit,
      },
      ownLeaf,
      keys: new Map(stored.keys.map(({ index, keyPair }) => [index, keyPair])),
      secrets: stored.secrets,
      encryptionSecret: stored.encryptionSecret,
      applicationExportSecret: stored.applicationExportSecret,
    },
  };
}
