/**
 * A group whose tree is populated throughout, as it is when every second member has committed, made at once: with the members' keys in
 * one hand, but without the messages and states that would lead there. For what has to be shown of trees that took many commits.
 */

import type { Signer } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { encode, opaque } from "../src/codec.ts";
import { generateKeyPair } from "../src/crypto/hpke.ts";
import type { Suite } from "../src/crypto/suite.ts";
import { encodeMessage } from "../src/framing/message.ts";
import { signGroupInfo } from "../src/key/group-info.ts";
import { EXTENSION, MLS10 } from "../src/registry.ts";
import { type LeafNode, signLeafNode } from "../src/tree/leaf-node.ts";
import { addLeaves, encodeRatchetTree, leafAt, treeOf } from "../src/tree/ratchet-tree.ts";
import { rootHash } from "../src/tree/tree-hash.ts";
import { createPath } from "../src/tree/update-path.ts";

export interface Placed {
  readonly leafNode: LeafNode;
  readonly signer: Signer;
}

/** A GroupInfo by which anyone can join, signed by the first member, and the tree: what an external commit takes. */
export async function populated(
  suite: Suite,
  groupId: Bytes,
  members: readonly Placed[],
  /** Every how many-th member has committed. */
  every = 2,
): Promise<{ readonly groupInfo: Bytes; readonly ratchetTree: Bytes }> {
  const [first, ...others] = members;
  if (!first) throw new Error("nobody");
  const leaves = others.map(({ leafNode }) => leafNode);
  let { tree } = addLeaves(treeOf(first.leafNode), leaves);
  for (let leafIndex = 0; leafIndex < members.length; leafIndex += every) {
    const content = leafAt(tree, leafIndex);
    const signer = members[leafIndex]?.signer;
    if (!content || !signer) throw new Error(`nobody at ${leafIndex}`);
    const made = await createPath(suite, tree, leafIndex, (encryptionKey, parentHash) =>
      signLeafNode(
        { ...content, encryptionKey, source: { leafNodeSource: "commit", parentHash } },
        signer,
        { groupId, leafIndex },
      ),
    );
    tree = made.tree;
  }
  const { publicKey } = await generateKeyPair(suite);
  const groupInfo = await signGroupInfo(
    {
      groupContext: {
        version: MLS10,
        cipherSuite: suite.number,
        groupId,
        epoch: 1000n,
        treeHash: rootHash(suite, tree),
        confirmedTranscriptHash: suite.provider.random(suite.nh),
        extensions: [],
      },
      extensions: [
        { extensionType: EXTENSION.externalPub, extensionData: encode(opaque, publicKey) },
      ],
      confirmationTag: suite.provider.random(suite.nh),
      signer: 0,
    },
    first.signer,
  );
  return {
    groupInfo: encodeMessage({ wireFormat: "mls_group_info", groupInfo }),
    ratchetTree: encodeRatchetTree(tree),
  };
}
