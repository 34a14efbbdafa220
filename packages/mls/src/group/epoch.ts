/**
 * A member's side of an epoch: the public state, and the secrets that one member owns.
 * RFC 9420 §8, §7.5 (private keys of the tree), §12.4.3 (GroupInfo).
 * @module
 */

import { bytesEqual, wipe } from "../bytes.ts";
import { type Bytes, encode, opaque } from "../codec.ts";
import type { Signer } from "../crypto/signature.ts";
import type { KeyPair, Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { encodeMessage } from "../framing/message.ts";
import type { Padding } from "../framing/private-message.ts";
import {
  checkNoDuplicateExtension,
  type Extension,
  greaseExtension,
  randomGrease,
} from "../key/extension.ts";
import { type GroupInfo, signGroupInfo } from "../key/group-info.ts";
import { type EpochSecrets, externalKeyPair } from "../key/key-schedule.ts";
import type { RatchetBounds } from "../key/secret-tree.ts";
import { EXTENSION } from "../registry.ts";
import type { Storage } from "../storage.ts";
import type { LeafNode } from "../tree/leaf-node.ts";
import {
  childTowards,
  encodeRatchetTree,
  isSubtree,
  leafAt,
  type RatchetTree,
  type TreeNode,
} from "../tree/ratchet-tree.ts";
import type { PathSecret } from "../tree/update-path.ts";
import type { PastEpochWindow } from "./past-epochs.ts";
import type { PublicContext, PublicState } from "./public-state.ts";

/**
 * How the proposals and commits of members travel (§6): as PublicMessages, which a service can follow and check, or as
 * PrivateMessages, which hide from it what happens in the group. External proposals and external commits are PublicMessages always (§12.1.8, §12.4.3.2).
 */
export interface HandshakePolicy {
  /** `public` unless given. */
  readonly send?: "public" | "private";
  /** What is taken from other members: `both` unless given. */
  readonly accept?: "public" | "private" | "both";
}

/** What every operation of a member needs. */
export interface MlsContext extends PublicContext, RatchetBounds {
  readonly storage: Storage;
  readonly handshakes?: HandshakePolicy;
  /** How far PrivateMessages are padded (§15.1): `padme` unless given. */
  readonly padding?: Padding;
  /** Which epochs that have passed are kept for their late application messages (§15.3): none unless given. */
  readonly pastEpochs?: PastEpochWindow;
  /** The value of an external PSK (§8.4), or undefined where this client has none by that id. */
  readonly externalPsk?: (pskId: Bytes) => Promise<Bytes | undefined>;
  /**
   * Where joiners find the tree (§12.4.3.3): `beside` what they get (`Group.ratchetTree`), unless given, or `inside` Welcomes and
   * GroupInfos, which then grow with the group.
   */
  readonly ratchetTree?: "beside" | "inside";
  /** Of how many ended epochs the resumption PSK is kept (§8.6): 8 unless given. */
  readonly resumptionEpochs?: number;
}

/** An epoch that was computed and is not yet lived in. */
export interface NextEpoch {
  readonly state: PublicState;
  readonly ownLeaf: number;
  /** Private keys of the tree, by node index. */
  readonly keys: ReadonlyMap<number, KeyPair>;
  readonly secrets: EpochSecrets;
  readonly encryptionSecret: Bytes;
  /** Undefined where a version without it stored the commit that begins the epoch. */
  readonly applicationExportSecret: Bytes | undefined;
}

/** Our own leaf. Throws `MlsError` with `storage` where a stored group has none. */
export function ownLeafNode({ state, ownLeaf }: Pick<NextEpoch, "state" | "ownLeaf">): LeafNode {
  const leaf = leafAt(state.tree, ownLeaf);
  if (!leaf) throw new MlsError("storage", "14", "a stored group without a leaf of ours");
  return leaf;
}

/** A member's keys after a path: those whose public half the tree still shows at their node, and the path's own. */
export function keysAfterPath(
  tree: RatchetTree,
  ownLeaf: number,
  keys: ReadonlyMap<number, KeyPair>,
  path: readonly PathSecret[],
): Map<number, KeyPair> {
  const fitting = new Map<number, KeyPair>();
  // All of them belong to our leaf and the nodes above it.
  let node: TreeNode | undefined = tree.root;
  while (node) {
    const shown = isSubtree(node) ? node.parent?.encryptionKey : node.leaf?.encryptionKey;
    const held = keys.get(node.index);
    if (held && shown && bytesEqual(shown, held.publicKey)) fitting.set(node.index, held);
    node = isSubtree(node) ? childTowards(node, ownLeaf) : undefined;
  }
  for (const { index, keyPair } of path) fitting.set(index, keyPair);
  return fitting;
}

/** A signed GroupInfo (§12.4.3). Throws `MlsError` with `duplicate-extension`. */
export async function newGroupInfo(
  signer: Signer,
  state: PublicState,
  ownLeaf: number,
  extensions: readonly Extension[],
): Promise<GroupInfo> {
  const { groupContext, confirmationTag, suite } = state;
  checkNoDuplicateExtension(extensions);
  // §13.5: a value among them that means nothing, so that receivers who would refuse it are found out.
  const greased = [...extensions, greaseExtension(randomGrease(suite.provider))];
  return signGroupInfo(
    { groupContext, extensions: greased, confirmationTag, signer: ownLeaf },
    signer,
  );
}

/** The same as an MLSMessage. */
export async function makeGroupInfo(...content: Parameters<typeof newGroupInfo>): Promise<Bytes> {
  const groupInfo = await newGroupInfo(...content);
  return encodeMessage({ wireFormat: "mls_group_info", groupInfo });
}

/** The extension that brings a joiner the tree (§12.4.3.3), where the application wants it inside. */
export function ratchetTreeExtensions(
  context: Pick<MlsContext, "ratchetTree">,
  tree: RatchetTree,
): readonly Extension[] {
  if (context.ratchetTree !== "inside") return [];
  return [{ extensionType: EXTENSION.ratchetTree, extensionData: encodeRatchetTree(tree) }];
}

/** The extension that lets outsiders in (§12.4.3.2). */
export async function externalPubExtension(
  suite: Suite,
  secrets: EpochSecrets,
): Promise<Extension> {
  const { publicKey, privateKey } = await externalKeyPair(suite, secrets.externalSecret);
  wipe(privateKey);
  return { extensionType: EXTENSION.externalPub, extensionData: encode(opaque, publicKey) };
}

/** `nh` zero bytes: the commit secret of a commit without a path (§8). */
export function zeroSecret(suite: Suite): Bytes {
  return new Uint8Array(suite.nh);
}
