/**
 * A group that is new here: made by us, or entered. RFC 9420 §11.
 * @module
 */

import { copyOf, EMPTY, wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import type { Signer } from "../crypto/signature.ts";
import { suiteOf } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { ExporterTree } from "../key/exporter-tree.ts";
import { checkNoDuplicateExtension, type Extension, externalSendersOf } from "../key/extension.ts";
import { type GroupContext, interimTranscriptHash } from "../key/group-context.ts";
import { confirmationTag, secretsOfEpoch, wipeDerived } from "../key/key-schedule.ts";
import { SecretTree } from "../key/secret-tree.ts";
import { MLS10 } from "../registry.ts";
import { type Batch, keysOf, mergeBatches, type Storage } from "../storage.ts";
import {
  checkTotalLifetime,
  keyPackageSource,
  type Lifetime,
  MAX_LIFETIME,
} from "../tree/leaf-node.ts";
import { eachNode, encodedNode, treeOf } from "../tree/ratchet-tree.ts";
import { rootHash } from "../tree/tree-hash.ts";
import { checkSupport } from "../tree/tree-validation.ts";
import type { compose } from "./committing.ts";
import type { CommitBundle } from "./compose.ts";
import type { MlsContext, NextEpoch } from "./epoch.ts";
import { Group, liveGroupOf } from "./group.ts";
import { type And, type GroupParts, LiveGroup } from "./live-group.ts";
import { type Joiner, keyPackageKey, newLeaf } from "./own-key-package.ts";
import { heldResumptionPsk } from "./pre-shared-key.ts";
import type { PublicState } from "./public-state.ts";
import {
  decodeState,
  encodeJoining,
  encodePending,
  encodeSecrets,
  encodeState,
  type GroupStatus,
  groupKeys,
  keyRecords,
} from "./stored-group.ts";

/** What a group that is new here is stored with. */
interface Beginning {
  /** The key package that we come by, and what becomes of it; asked when nobody else is about to come by it. */
  readonly keyPackage?: { readonly ref: Bytes; readonly use: () => Promise<Batch> };
  /** It takes the place of a group with the same id that is here. */
  readonly replacing?: boolean;
  readonly joining?: CommitBundle;
  /** Composes the group's first commit, which is stored with it. */
  readonly first?: (group: LiveGroup) => ReturnType<typeof compose>;
  readonly and?: And<Group> | undefined;
}

/** What is about to be stored, by storage and key: of two groups with one id, or by one key package, the second must see the first. */
const turns = new WeakMap<Storage, Map<string, Promise<unknown>>>();

async function inTurn<T>(storage: Storage, key: string, act: () => Promise<T>): Promise<T> {
  const waiting = turns.get(storage) ?? new Map<string, Promise<unknown>>();
  turns.set(storage, waiting);
  const before = waiting.get(key) ?? Promise.resolve();
  const done = before.catch(() => undefined).then(act);
  waiting.set(key, done);
  try {
    return await done;
  } finally {
    if (waiting.get(key) === done) waiting.delete(key);
  }
}

/** Stores a group that is new here, and brings it to life. Throws `MlsError` with `group-exists`. */
export async function begin(
  context: MlsContext,
  signer: Signer,
  status: GroupStatus,
  next: NextEpoch,
  extra: Beginning,
): Promise<Group> {
  const { storage } = context;
  const { keyPackage } = extra;
  const act = () => store(context, signer, status, next, extra);
  try {
    return await inTurn(storage, groupKeys(next.state.groupContext.groupId).all, () =>
      keyPackage ? inTurn(storage, keyPackageKey(keyPackage.ref), act) : act(),
    );
  } catch (cause) {
    wipeEpoch(next);
    throw cause;
  }
}

/** Overwrites an epoch that nobody lives in. */
function wipeEpoch(next: NextEpoch): void {
  wipeDerived(next);
  for (const { privateKey } of next.keys.values()) wipe(privateKey);
}

async function store(
  context: MlsContext,
  signer: Signer,
  status: GroupStatus,
  next: NextEpoch,
  extra: Beginning,
): Promise<Group> {
  const { state, ownLeaf } = next;
  const keys = groupKeys(state.groupContext.groupId);
  const known = await context.storage.get(keys.state);
  const former = known && decodeState(known);
  if (former && former.status !== "removed" && !extra.replacing) {
    throw new MlsError("group-exists", "12.4.3.1", "a group with this id is here already");
  }
  const used = await extra.keyPackage?.use();
  const prefix = keys.tree(state.groupContext.epoch);
  const { suite, tree } = state;
  const secretTree = SecretTree.create(
    suite,
    tree.leafCount,
    prefix,
    next.encryptionSecret,
    context,
  );
  const { secrets, applicationExportSecret } = next;
  const exporter = applicationExportSecret && ExporterTree.create(suite, applicationExportSecret);
  const parts: GroupParts = {
    context,
    signer,
    status,
    live: { state, ownLeaf, keys: next.keys, secrets, secretTree, exporter },
    pending: undefined,
    joining: extra.joining,
    updates: new Map(),
  };
  const composed = await extra.first?.(new LiveGroup(parts));
  const group = new Group({ ...parts, pending: composed && { composed } });
  // What a former self in the group has left goes first, but for what may prove later that it was there (§8.6).
  const left = await keysOf(context.storage, keys.all);
  const stale = left.filter((key) => !key.startsWith(keys.resumptions));
  const { groupId } = state.groupContext;
  const last = former && (await heldResumptionPsk(context, groupId, former.groupContext.epoch));
  const records = new Map([
    [keys.state, encodeState(state, status, ownLeaf)],
    [keys.secrets, encodeSecrets(secrets, exporter?.nodes())],
  ]);
  await eachNode(tree, (node) => {
    const encoded = encodedNode(node);
    if (encoded) records.set(keys.node(node.index), encoded);
  });
  if (last) records.set(keys.resumption(former.groupContext.epoch), last);
  if (composed) records.set(keys.pending, encodePending(tree, composed));
  if (extra.joining) records.set(keys.pending, encodeJoining(extra.joining));
  try {
    await context.storage.apply(
      mergeBatches(
        { delete: stale },
        keyRecords(keys, new Map(), next.keys),
        { put: records },
        secretTree.records(),
        composed?.taken?.batch,
        used,
        await extra.and?.(group),
      ),
    );
  } catch (cause) {
    composed?.taken?.discard();
    // The application may have kept what it was shown.
    liveGroupOf(group).abandon();
    throw cause;
  } finally {
    wipe(last);
  }
  composed?.taken?.settle();
  return group;
}

/** What a new group is to be. */
export interface NewGroup extends Joiner {
  readonly groupId: Bytes;
  readonly suite: number;
  /** Of its maker's leaf. */
  readonly lifetime: Lifetime;
  /** Of the GroupContext. */
  readonly extensions?: readonly Extension[];
}

/**
 * Makes a group with its maker as the one member (§11). Not a message is sent. Throws `MlsError`: `leaf-lifetime` where nobody would
 * join a group whose maker's leaf may live that long, `leaf-signature` where the signer signs with another key than its own.
 */
export async function createGroup(
  context: MlsContext,
  options: NewGroup & { readonly and?: And<Group> },
): Promise<Group> {
  const next = await firstEpoch(context, options);
  return begin(context, options.signer, "active", next, { and: options.and });
}

/** Epoch 0 of a group that we make (§11). */
export async function firstEpoch(context: MlsContext, options: NewGroup): Promise<NextEpoch> {
  const suite = suiteOf(context.crypto, options.suite);
  const extensions = options.extensions ?? [];
  checkNoDuplicateExtension(extensions);
  checkTotalLifetime(keyPackageSource(options.lifetime), context.maxLifetime ?? MAX_LIFETIME);
  const { leafNode, keyPair } = await newLeaf(suite, options, options.lifetime);
  // The maker's own too (§5.3.1): a group whose first member others will refuse is better not made.
  await context.authentication.validate([leafNode, ...externalSendersOf(extensions)], "new");
  const tree = treeOf(leafNode);
  checkSupport(tree, extensions);
  const groupContext: GroupContext = {
    version: MLS10,
    cipherSuite: suite.number,
    groupId: copyOf(options.groupId),
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
  return { state, ownLeaf: 0, keys: new Map([[0, keyPair]]), ...derived };
}
