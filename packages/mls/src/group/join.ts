/**
 * How a client comes to hold a group: by making it, by a Welcome, by an external commit, from storage.
 * RFC 9420 §11 (creation), §10 (key packages), §12.4.3.1 (Welcome), §12.4.3.2 (external commit).
 * @module
 */

import { bytesEqual, constantTimeEqual, EMPTY, toHex, wipe } from "../bytes.ts";
import { type Bytes, type Codec, decode, encode, opaque, struct, uint8 } from "../codec.ts";
import { hpkeSendExport } from "../crypto/hpke.ts";
import type { Signer } from "../crypto/signature.ts";
import { type DhKeyPair, type Suite, suiteOf } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { decodeMessageOf, encodeMessage } from "../framing/message.ts";
import type { Credential } from "../key/credential.ts";
import { checkNoDuplicateExtension, type Extension, findExtension } from "../key/extension.ts";
import { GroupContext, interimTranscriptHash } from "../key/group-context.ts";
import { type GroupInfo, verifyGroupInfo } from "../key/group-info.ts";
import { KeyPackage, keyPackageRef, signKeyPackage } from "../key/key-package.ts";
import {
  confirmationTag,
  EpochSecrets,
  EXTERNAL_INIT_LABEL,
  epochSecrets,
  secretsOfEpoch,
} from "../key/key-schedule.ts";
import { SecretTree } from "../key/secret-tree.ts";
import { EXTENSION, MLS10 } from "../registry.ts";
import { type Batch, mergeBatches } from "../storage.ts";
import {
  type Capabilities,
  defaultCapabilities,
  type Lifetime,
  sameLeaf,
  signLeafNode,
} from "../tree/leaf-node.ts";
import { decodeRatchetTree, membersOf, type RatchetTree, treeOf } from "../tree/ratchet-tree.ts";
import { rootHash } from "../tree/tree-hash.ts";
import { commonAncestor } from "../tree/tree-math.ts";
import { checkSupport, validateTree } from "../tree/tree-validation.ts";
import { openWelcomePath } from "../tree/update-path.ts";
import { type AuthenticatedData, type CommitBundle, composeCommit } from "./compose.ts";
import { keysAfterPath, type MlsContext, type NextEpoch, resolvePsks } from "./epoch.ts";
import { type And, Group } from "./group.ts";
import { checkPsks } from "./proposal-list.ts";
import type { PublicState } from "./public-state.ts";
import {
  decodePending,
  decodeState,
  encodeState,
  type GroupStatus,
  groupKeys,
  keyRecords,
  loadKeys,
  loadProposals,
  loadTree,
  loadUpdates,
  nodeRecords,
  StoredBundle,
} from "./stored-group.ts";
import { openGroupInfo, openGroupSecrets } from "./welcome.ts";

/** The private half of a key package, as it is stored until it is used. */
interface StoredKeyPackage {
  readonly version: number;
  readonly lastResort: number;
  readonly keyPackage: KeyPackage;
  readonly initKey: Bytes;
  readonly encryptionKey: Bytes;
}
const StoredKeyPackage: Codec<StoredKeyPackage> = struct({
  version: uint8,
  lastResort: uint8,
  keyPackage: KeyPackage,
  initKey: opaque,
  encryptionKey: opaque,
});

function keyPackageKey(ref: Bytes): string {
  return `key-package/${toHex(ref)}`;
}

/** The private half of a key package as a record, under the reference by which a Welcome finds it. */
export function privateKeyPackage(
  suite: Suite,
  keyPackage: KeyPackage,
  privateKeys: { readonly initKey: Bytes; readonly encryptionKey: Bytes },
  lastResort = false,
): Batch {
  const ref = keyPackageRef(suite, keyPackage);
  const stored = { version: 1, lastResort: lastResort ? 1 : 0, keyPackage, ...privateKeys };
  return { put: new Map([[keyPackageKey(ref), encode(StoredKeyPackage, stored)]]) };
}

/** Who joins: a credential, the key it belongs to, and what the client can do. */
export interface Joiner {
  readonly credential: Credential;
  readonly signer: Signer;
  readonly capabilities?: Capabilities;
}

/** Makes a key package and stores its private half (§10). A last resort serves for more than one group. */
export async function createKeyPackage(
  context: MlsContext,
  options: Joiner & {
    readonly suite: number;
    readonly lifetime: Lifetime;
    readonly extensions?: readonly Extension[];
    readonly lastResort?: boolean;
    readonly and?: And<{ readonly keyPackage: Bytes; readonly ref: Bytes }>;
  },
): Promise<{ readonly keyPackage: Bytes; readonly ref: Bytes }> {
  const suite = suiteOf(context.crypto, options.suite);
  const init = await suite.provider.generateDhKeyPair(suite.kem);
  const { leafNode, keyPair } = await newLeaf(suite, options, options.lifetime);
  const keyPackage = await signKeyPackage(
    {
      version: MLS10,
      cipherSuite: suite.number,
      initKey: init.publicKey,
      leafNode,
      extensions: options.extensions ?? [],
    },
    options.signer,
  );
  const made = {
    keyPackage: encodeMessage({ wireFormat: "mls_key_package", keyPackage }),
    ref: keyPackageRef(suite, keyPackage),
  };
  const privateKeys = { initKey: init.privateKey, encryptionKey: keyPair.privateKey };
  const record = privateKeyPackage(suite, keyPackage, privateKeys, options.lastResort);
  await context.storage.apply(mergeBatches(record, await options.and?.(made)));
  wipe(init.privateKey, keyPair.privateKey);
  return made;
}

async function newLeaf(suite: Suite, joiner: Joiner, lifetime: Lifetime) {
  const keyPair = await suite.provider.generateDhKeyPair(suite.kem);
  const leafNode = await signLeafNode(
    {
      encryptionKey: keyPair.publicKey,
      signatureKey: joiner.signer.publicKey,
      credential: joiner.credential,
      capabilities: joiner.capabilities ?? defaultCapabilities(),
      source: { leafNodeSource: "key_package", lifetime },
      extensions: [],
    },
    joiner.signer,
  );
  return { leafNode, keyPair };
}

/** Stores a group that is new here, and brings it to life. */
async function begin(
  context: MlsContext,
  signer: Signer,
  status: GroupStatus,
  next: NextEpoch,
  extra: {
    readonly batch?: Batch;
    readonly joining?: CommitBundle;
    readonly and?: And<Group> | undefined;
  },
): Promise<Group> {
  const { state, ownLeaf } = next;
  const keys = groupKeys(state.groupContext.groupId);
  const known = await context.storage.get(keys.state);
  if (known && decodeState(known).status !== "removed") {
    throw new MlsError("group-exists", "12.4.3.1", "a group with this id is here already");
  }
  const prefix = keys.tree(state.groupContext.epoch);
  const { suite, tree } = state;
  const secretTree = SecretTree.create(
    suite,
    tree.leafCount,
    prefix,
    next.encryptionSecret,
    context.window,
  );
  const group = new Group({
    context,
    signer,
    status,
    live: { state, ownLeaf, keys: next.keys, secrets: next.secrets, secretTree },
    pending: undefined,
    joining: extra.joining,
    updates: new Map(),
  });
  // What a group that we were removed from has left goes first.
  const stale = [...(await context.storage.list(keys.all)).keys()];
  const records = new Map([
    [keys.state, encodeState(state, status, ownLeaf)],
    [keys.secrets, encode(EpochSecrets, next.secrets)],
  ]);
  if (extra.joining) records.set(keys.pending, encode(StoredBundle, extra.joining));
  await context.storage.apply(
    mergeBatches(
      { delete: stale },
      nodeRecords(keys, undefined, tree),
      keyRecords(keys, new Map(), next.keys),
      { put: records },
      secretTree.records(),
      extra.batch,
      await extra.and?.(group),
    ),
  );
  return group;
}

/** Makes a group with its maker as the one member (§11). Not a message is sent. */
export async function createGroup(
  context: MlsContext,
  options: Joiner & {
    readonly groupId: Bytes;
    readonly suite: number;
    readonly lifetime: Lifetime;
    /** Of the GroupContext. */
    readonly extensions?: readonly Extension[];
    readonly and?: And<Group>;
  },
): Promise<Group> {
  const suite = suiteOf(context.crypto, options.suite);
  const extensions = options.extensions ?? [];
  checkNoDuplicateExtension(extensions);
  const { leafNode, keyPair } = await newLeaf(suite, options, options.lifetime);
  const tree = treeOf(suite, leafNode);
  checkSupport(tree, extensions);
  const groupContext: GroupContext = {
    version: MLS10,
    cipherSuite: suite.number,
    groupId: options.groupId,
    epoch: 0n,
    treeHash: rootHash(suite, tree),
    confirmedTranscriptHash: EMPTY,
    extensions,
  };
  const epochSecret = suite.provider.random(suite.nh);
  const derived = secretsOfEpoch(suite, epochSecret);
  wipe(epochSecret);
  const tag = confirmationTag(suite, derived.secrets.confirmationKey, EMPTY);
  const state: PublicState = {
    suite,
    groupContext,
    tree,
    confirmationTag: tag,
    interimTranscriptHash: interimTranscriptHash(suite, EMPTY, tag),
    proposals: new Map(),
  };
  const next = { state, ownLeaf: 0, keys: new Map([[0, keyPair]]), ...derived };
  return begin(context, options.signer, "active", next, { and: options.and });
}

/** The tree that comes in a GroupInfo, or beside it. Throws `MlsError` with `welcome` where there is neither. */
function treeFor(suite: Suite, groupInfo: GroupInfo, beside: Bytes | undefined): RatchetTree {
  const encoded = findExtension(groupInfo.extensions, EXTENSION.ratchetTree) ?? beside;
  if (!encoded) throw new MlsError("welcome", "12.4.3.1", "neither here nor there a ratchet tree");
  return decodeRatchetTree(suite, encoded);
}

/** What a joiner can check of a group before it has any secret of it (§12.4.3.1). */
async function verifiedState(
  context: MlsContext,
  suite: Suite,
  groupInfo: GroupInfo,
  tree: RatchetTree,
): Promise<PublicState> {
  const { groupContext, confirmationTag: tag } = groupInfo;
  if (groupContext.version !== MLS10) {
    throw new MlsError(
      "unsupported-version",
      "12.4.3.1",
      `a group of MLS version ${groupContext.version}`,
    );
  }
  if (groupContext.cipherSuite !== suite.number) {
    throw new MlsError("welcome", "12.4.3.1", "a group of another cipher suite");
  }
  checkNoDuplicateExtension(groupContext.extensions);
  checkNoDuplicateExtension(groupInfo.extensions);
  await verifyGroupInfo(suite, groupInfo, tree);
  await validateTree(suite, tree, groupContext);
  await context.authentication.validate(
    membersOf(tree).map(({ leafNode }) => leafNode),
    "present",
  );
  const confirmed = groupContext.confirmedTranscriptHash;
  return {
    suite,
    groupContext,
    tree,
    confirmationTag: tag,
    interimTranscriptHash: interimTranscriptHash(suite, confirmed, tag),
    proposals: new Map(),
  };
}

async function resumptionPsk(context: MlsContext, groupId: Bytes, epoch: bigint) {
  return context.storage.get(groupKeys(groupId).resumption(epoch));
}

/** Joins by a Welcome (§12.4.3.1). The key package's private half is deleted in the same batch, a last resort's kept. */
export async function joinGroup(
  context: MlsContext,
  options: {
    readonly welcome: Bytes;
    /** Where the GroupInfo in the Welcome does not carry it. */
    readonly ratchetTree?: Bytes;
    /** Where it is known: a Welcome into another group or epoch is refused with `welcome`, before anything is stored. */
    readonly expected?: { readonly groupId: Bytes; readonly epoch: bigint };
    readonly signer: Signer;
    /** Sees the group, and the extensions of the GroupInfo that only joiners get. */
    readonly and?: And<{
      readonly group: Group;
      readonly groupInfoExtensions: readonly Extension[];
    }>;
  },
): Promise<Group> {
  const { welcome } = decodeMessageOf(options.welcome, "mls_welcome");
  const suite = suiteOf(context.crypto, welcome.cipherSuite);
  const found = await findKeyPackage(
    context,
    welcome.secrets.map(({ newMember }) => newMember),
  );
  const { ref, stored } = found;
  const { keyPackage } = stored;
  if (keyPackage.cipherSuite !== suite.number) {
    throw new MlsError("welcome", "12.4.3.1", "a Welcome of another suite than its key package");
  }
  const initKeyPair = { privateKey: stored.initKey, publicKey: keyPackage.initKey };
  const secrets = await openGroupSecrets(suite, welcome, ref, initKeyPair);
  checkPsks(suite, secrets.psks);
  const pskSecret = await resolvePsks(context, suite, secrets.psks, (groupId, epoch) =>
    resumptionPsk(context, groupId, epoch),
  );
  const groupInfo = await openGroupInfo(suite, welcome, secrets.joinerSecret, pskSecret);
  const { expected } = options;
  const { groupId, epoch } = groupInfo.groupContext;
  if (expected && (!bytesEqual(expected.groupId, groupId) || expected.epoch !== epoch)) {
    throw new MlsError("welcome", "12.4.3.1", "a Welcome into another group or epoch");
  }
  const tree = treeFor(suite, groupInfo, options.ratchetTree);
  const state = await verifiedState(context, suite, groupInfo, tree);
  const own = membersOf(tree).filter(({ leafNode }) => sameLeaf(leafNode, keyPackage.leafNode));
  const [ownMember] = own;
  if (!ownMember || own.length !== 1) {
    throw new MlsError("welcome", "12.4.3.1", "our leaf is not in the tree");
  }
  const ownLeaf = ownMember.leafIndex;
  const encodedContext = encode(GroupContext, state.groupContext);
  const derived = epochSecrets(suite, secrets.joinerSecret, pskSecret, encodedContext);
  wipe(secrets.joinerSecret, pskSecret);
  const confirmed = state.groupContext.confirmedTranscriptHash;
  const tag = confirmationTag(suite, derived.secrets.confirmationKey, confirmed);
  if (!constantTimeEqual(tag, state.confirmationTag)) {
    throw new MlsError("confirmation-tag", "12.4.3.1", "the confirmation tag does not verify");
  }
  const leafKeyPair: DhKeyPair = {
    privateKey: stored.encryptionKey,
    publicKey: keyPackage.leafNode.encryptionKey,
  };
  const ancestor = commonAncestor(2 * ownLeaf, 2 * groupInfo.signer);
  const path = secrets.pathSecret
    ? await openWelcomePath(suite, tree, secrets.pathSecret.pathSecret, ancestor, ownLeaf)
    : [];
  const keys = keysAfterPath(tree, new Map([[2 * ownLeaf, leafKeyPair]]), path);
  wipe(...path.map(({ secret }) => secret));
  const next = { state, ownLeaf, keys, ...derived };
  const used = stored.lastResort === 1 ? {} : { delete: [keyPackageKey(ref)] };
  return begin(context, options.signer, "active", next, {
    batch: used,
    and: (group) => options.and?.({ group, groupInfoExtensions: groupInfo.extensions }) ?? {},
  });
}

async function findKeyPackage(context: MlsContext, refs: readonly Bytes[]) {
  for (const ref of refs) {
    const bytes = await context.storage.get(keyPackageKey(ref));
    if (bytes) return { ref, stored: decode(StoredKeyPackage, bytes) };
  }
  throw new MlsError("key-package-unknown", "12.4.3.1", "a Welcome for no key package of ours");
}

/** A key package (an MLSMessage) for an Add proposal; it is validated when it is committed. */
export function readKeyPackage(message: Bytes): KeyPackage {
  return decodeMessageOf(message, "mls_key_package").keyPackage;
}

/** What a GroupInfo says before any of it is verified: for looking, not for trusting. */
export function readGroupInfo(message: Bytes): GroupInfo {
  return decodeMessageOf(message, "mls_group_info").groupInfo;
}

/**
 * Joins by an external commit (§12.4.3.2). The group is stored as joining, with the bundle to be sent; once the service has
 * accepted it, `confirm` (or the commit met in the log) makes us a member; if it lost, `remove` forgets the group.
 */
export async function joinExternally(
  context: MlsContext,
  options: Joiner & {
    /** An MLSMessage with `external_pub`. */
    readonly groupInfo: Bytes;
    readonly ratchetTree?: Bytes;
    readonly authenticatedData?: AuthenticatedData;
    readonly joinerExtensions?: readonly Extension[];
    /** A leaf of the same client that this commit replaces. */
    readonly resync?: number;
    readonly and?: And<Group>;
  },
): Promise<{ readonly group: Group; readonly bundle: CommitBundle }> {
  const groupInfo = readGroupInfo(options.groupInfo);
  const suite = suiteOf(context.crypto, groupInfo.groupContext.cipherSuite);
  const tree = treeFor(suite, groupInfo, options.ratchetTree);
  const state = await verifiedState(context, suite, groupInfo, tree);
  const externalPub = findExtension(groupInfo.extensions, EXTENSION.externalPub);
  if (!externalPub) {
    throw new MlsError("external-commit", "12.4.3.2", "a GroupInfo without external_pub");
  }
  const publicKey = decode(opaque, externalPub);
  const init = await hpkeSendExport(suite, publicKey, EXTERNAL_INIT_LABEL, suite.nh);
  const sender = { senderType: "new_member_commit" } as const;
  const list = [
    {
      proposal: { proposalType: "external_init", kemOutput: init.kemOutput } as const,
      sender,
      ref: undefined,
    },
    ...(options.resync === undefined
      ? []
      : [
          {
            proposal: { proposalType: "remove", removed: options.resync } as const,
            sender,
            ref: undefined,
          },
        ]),
  ];
  const { bundle, next } = await composeCommit(context, {
    state,
    list,
    signer: options.signer,
    committer: {
      credential: options.credential,
      capabilities: options.capabilities ?? defaultCapabilities(),
    },
    initSecret: init.secret,
    pskSecret: new Uint8Array(suite.nh),
    forcePath: true,
    authenticatedData: options.authenticatedData ?? EMPTY,
    joinerExtensions: options.joinerExtensions ?? [],
  });
  wipe(init.secret);
  const group = await begin(context, options.signer, "joining", next, {
    joining: bundle,
    and: options.and,
  });
  return { group, bundle };
}

/** The group with this id from storage, or undefined. Throws `MlsError` with `storage` where the signer is another. */
export async function loadGroup(
  context: MlsContext,
  options: { readonly groupId: Bytes; readonly signer: Signer },
): Promise<Group | undefined> {
  const keys = groupKeys(options.groupId);
  const records = await context.storage.list(keys.all);
  const stored = records.get(keys.state);
  if (!stored) return undefined;
  const {
    status,
    ownLeaf,
    groupContext,
    confirmationTag: tag,
    interimTranscriptHash,
  } = decodeState(stored);
  const suite = suiteOf(context.crypto, groupContext.cipherSuite);
  const tree = loadTree(suite, keys, records);
  const state: PublicState = {
    suite,
    groupContext,
    tree,
    confirmationTag: tag,
    interimTranscriptHash,
    proposals: loadProposals(suite, keys, records),
  };
  const own = membersOf(tree).find(({ leafIndex }) => leafIndex === ownLeaf);
  if (!own || !bytesEqual(own.leafNode.signatureKey, options.signer.publicKey)) {
    throw new MlsError("storage", "14", "the signer is not the one of our leaf");
  }
  const secrets = records.get(keys.secrets);
  const pending = records.get(keys.pending);
  const none = new Uint8Array(0);
  return new Group({
    context,
    signer: options.signer,
    status,
    live: {
      state,
      ownLeaf,
      keys: loadKeys(keys, records),
      secrets: secrets
        ? decode(EpochSecrets, secrets)
        : {
            senderDataSecret: none,
            exporterSecret: none,
            epochAuthenticator: none,
            externalSecret: none,
            confirmationKey: none,
            membershipKey: none,
            resumptionPsk: none,
            initSecret: none,
          },
      secretTree: SecretTree.load(
        suite,
        tree.leafCount,
        keys.tree(groupContext.epoch),
        records,
        context.window,
      ),
    },
    pending:
      pending && status !== "joining" ? { composed: decodePending(state, pending) } : undefined,
    joining: pending && status === "joining" ? decode(StoredBundle, pending) : undefined,
    updates: loadUpdates(keys, records),
  });
}
