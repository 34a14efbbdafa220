/**
 * Composing a commit, by a member or by someone who joins with it. RFC 9420 §12.4.1, §12.4.3.2.
 * @module
 */

import { EMPTY, wipe } from "../bytes.ts";
import type { Bytes } from "../codec.ts";
import { checkSigner, type Signer } from "../crypto/signature.ts";
import type { KeyPair, Suite } from "../crypto/suite.ts";
import {
  type AuthenticatedContent,
  type Sender,
  signContent,
  type WireFormat,
} from "../framing/content.ts";
import { encodeLeafNode } from "../framing/proposal.ts";
import type { Credential } from "../key/credential.ts";
import type { Extension } from "../key/extension.ts";
import { GroupContext } from "../key/group-context.ts";
import { confirmationTag, epochSecrets, joinerSecret } from "../key/key-schedule.ts";
import type { TakenKey } from "../key/secret-tree.ts";
import { GREASE } from "../registry.ts";
import {
  type Capabilities,
  checkLeafNode,
  checkLifetime,
  checkSuiteListed,
  greased,
  type LeafNode,
  lifetimeOf,
  signLeafNode,
  verifyLeafNode,
} from "../tree/leaf-node.ts";
import { addLeaf } from "../tree/ratchet-tree.ts";
import { checkSupport, checkUnique } from "../tree/tree-validation.ts";
import { createPath, encryptPath, type NewPath } from "../tree/update-path.ts";
import {
  externalPubExtension,
  keysAfterPath,
  type MlsContext,
  makeGroupInfo,
  type NextEpoch,
  newGroupInfo,
  ownLeafNode,
  ratchetTreeExtensions,
  zeroSecret,
} from "./epoch.ts";
import { checkAuthenticatedData, checkGroup } from "./group-rules.ts";
import { applyProposals, type ListedProposal } from "./proposal-list.ts";
import type { CommitSummary, PublicState } from "./public-state.ts";
import { judge, nextContext, nextState, provisionalContext, summarize } from "./staged-commit.ts";
import { makeWelcome } from "./welcome.ts";

/** Everything that leaves this client because of one commit. Each an MLSMessage. */
export interface CommitBundle {
  readonly commit: Bytes;
  /** For those whom the commit adds; without the tree, unless the context wants it inside. */
  readonly welcome: Bytes | undefined;
  /** Of the new epoch, with neither `external_pub` nor `ratchet_tree`: nobody can join by it. */
  readonly groupInfo: Bytes;
  /** The same with `external_pub` and the extensions for joiners, where it was asked for. Not for everyone's eyes. */
  readonly groupInfoForJoiners: Bytes | undefined;
}

/** What an application may sign along with a commit, made when the committer's new leaf is known. */
export type AuthenticatedData =
  | Bytes
  | ((path: {
      readonly groupId: Bytes;
      readonly epoch: bigint;
      /** Encoded; undefined for a commit without a path. */
      readonly leafNode: Bytes | undefined;
    }) => Promise<Bytes>);

/** What a member's new leaf says instead of what the one before it said (§7.2). */
export interface NewLeaf {
  /** With its key the member signs from the epoch on that the leaf begins. */
  readonly signer?: Signer;
  readonly credential?: Credential;
  readonly capabilities?: Capabilities;
  readonly extensions?: readonly Extension[];
}

/** The contents of a new leaf, but for its keys. Throws `MlsError` with `leaf-capabilities` or `signature`. */
export function newLeafContents(
  suite: Suite,
  leaf: Pick<LeafNode, "credential" | "capabilities" | "extensions">,
  { signer, credential = leaf.credential, capabilities, extensions }: NewLeaf = {},
): Pick<LeafNode, "credential" | "capabilities" | "extensions"> {
  if (signer) checkSigner(suite, signer);
  if (!capabilities && !extensions) {
    return { credential, capabilities: leaf.capabilities, extensions: leaf.extensions };
  }
  const said = leaf.extensions.filter(({ extensionType }) => !GREASE.has(extensionType));
  return {
    credential,
    ...greased(suite.provider, {
      capabilities: capabilities ?? leaf.capabilities,
      extensions: extensions ?? said,
    }),
  };
}

export interface Composition {
  readonly state: PublicState;
  readonly list: readonly ListedProposal[];
  readonly signer: Signer;
  /** A member by its leaf, or someone who joins, by what its leaf is to say. */
  readonly committer:
    | { readonly leafIndex: number; readonly keys: ReadonlyMap<number, KeyPair> }
    | Pick<LeafNode, "credential" | "capabilities" | "extensions">;
  /** Of the current epoch, or from `external_pub`. Stays the caller's, as the next one does. */
  readonly initSecret: Bytes;
  readonly pskSecret: Bytes;
  /** The committer's new leaf; it takes a path. */
  readonly leaf?: NewLeaf | undefined;
  readonly forcePath: boolean;
  readonly authenticatedData: AuthenticatedData;
  readonly joinerExtensions: readonly Extension[];
  readonly groupInfoForJoiners: boolean;
  /** What the commit is signed for, since the transcript covers that (§8.2). */
  readonly wireFormat: WireFormat;
  /** The signed commit as an MLSMessage, and the key that this takes. `context`: the encoded GroupContext. */
  readonly protect: (signed: AuthenticatedContent, context: Bytes) => Promise<Protected>;
}

interface Protected {
  readonly bytes: Bytes;
  readonly taken: TakenKey | undefined;
}

export interface ComposedCommit {
  readonly bundle: CommitBundle;
  readonly summary: CommitSummary;
  readonly next: NextEpoch;
}

/** What the committer's new leaf says, but for its keys. */
function leafTemplate(
  composition: Composition,
): Pick<LeafNode, "credential" | "capabilities" | "extensions"> {
  const { committer, state } = composition;
  if ("credential" in committer) return committer;
  const leaf = ownLeafNode({ state, ownLeaf: committer.leafIndex });
  return newLeafContents(state.suite, leaf, composition.leaf);
}

/** Who signs for the committer from the next epoch on. */
function nextSigner({ leaf, signer }: Composition): Signer {
  return leaf?.signer ?? signer;
}

async function leafFor(
  composition: Composition,
  leafIndex: number,
  encryptionKey: Bytes,
  parentHash: Bytes,
): Promise<LeafNode> {
  const { credential, capabilities, extensions } = leafTemplate(composition);
  const { state } = composition;
  const signer = nextSigner(composition);
  const source = { leafNodeSource: "commit", parentHash } as const;
  const { publicKey: signatureKey } = signer;
  return signLeafNode(
    { encryptionKey, signatureKey, credential, capabilities, source, extensions },
    signer,
    { groupId: state.groupContext.groupId, leafIndex },
  );
}

/** Composes a commit and the epoch after it; `state` and the committer's keys stay as they are. */
export async function composeCommit(
  context: MlsContext,
  composition: Composition,
): Promise<ComposedCommit & { readonly taken: TakenKey | undefined }> {
  const unfinished: Bytes[] = [];
  try {
    return await composed(context, composition, unfinished);
  } catch (cause) {
    wipe(...unfinished);
    throw cause;
  }
}

/** `unfinished`: gets the secrets that are made, which are of no use if this fails. */
async function composed(
  context: MlsContext,
  composition: Composition,
  unfinished: Bytes[],
): ReturnType<typeof composeCommit> {
  const { state, list, signer, committer, pskSecret } = composition;
  const { suite } = state;
  const { groupId, epoch } = state.groupContext;
  const external = "credential" in committer;
  const applied = await applyProposals(
    context,
    state,
    list,
    external ? undefined : committer.leafIndex,
  );

  // Someone who joins takes the leftmost blank leaf; until its path is made, a leaf without keys stands there.
  let provisionalTree = applied.tree;
  let leafIndex = external ? -1 : committer.leafIndex;
  if (external) {
    const source = { leafNodeSource: "commit", parentHash: EMPTY } as const;
    const keys = { encryptionKey: EMPTY, signatureKey: EMPTY, signature: EMPTY };
    const placed = addLeaf(applied.tree, { ...leafTemplate(composition), ...keys, source });
    provisionalTree = placed.tree;
    leafIndex = placed.leafIndex;
  }

  const newLeaves = new Set(applied.added.map((one) => one.leafIndex));
  const { leaf, forcePath } = composition;
  const withPath = external || applied.pathRequired || forcePath || leaf !== undefined;
  const made: NewPath | undefined = withPath
    ? await createPath(suite, provisionalTree, leafIndex, (encryptionKey, parentHash) =>
        leafFor(composition, leafIndex, encryptionKey, parentHash),
      )
    : undefined;
  if (made) {
    const { commitSecret, leafKeyPair, path } = made;
    unfinished.push(commitSecret, leafKeyPair.privateKey);
    for (const { secret, keyPair } of path) unfinished.push(secret, keyPair.privateKey);
  }
  const tree = made?.tree ?? provisionalTree;
  if (made && (external || leaf)) {
    // What all others would refuse is refused here first.
    checkLeafNode(made.leafNode, "commit");
    if (external || leaf?.signer) {
      await verifyLeafNode(suite, made.leafNode, { groupId, leafIndex });
    }
    checkSuiteListed(suite, made.leafNode);
    checkUnique(tree);
    checkSupport(tree, applied.extensions);
  }
  const provisional = provisionalContext(state, applied, tree);
  const encodedProvisional = GroupContext.encoded(provisional);
  const path =
    made &&
    (await encryptPath(suite, provisionalTree, leafIndex, made, newLeaves, encodedProvisional));

  const leafNode = made && encodeLeafNode(made.leafNode);
  const authenticatedData =
    typeof composition.authenticatedData === "function"
      ? await composition.authenticatedData({ groupId, epoch, leafNode })
      : composition.authenticatedData;
  checkAuthenticatedData(context, state.groupContext, authenticatedData);
  const summary = summarize(state, applied, {
    committer: leafIndex,
    external,
    authenticatedData,
    pathLeaf: made?.leafNode,
    list,
  });
  for (const { leafNode } of applied.added) {
    checkLifetime(lifetimeOf(leafNode), context.now());
    checkSuiteListed(suite, leafNode);
  }
  await judge(context, state, summary, applied.replaced);
  await checkGroup(context, applied.extensions, tree);

  const sender: Sender = external
    ? { senderType: "new_member_commit" }
    : { senderType: "member", leafIndex };
  const proposals = list.map(({ proposal, ref }) =>
    ref
      ? ({ type: "reference", reference: ref } as const)
      : ({ type: "proposal", proposal } as const),
  );
  const content = { contentType: "commit", commit: { proposals, path } } as const;
  const encodedContext = GroupContext.encoded(state.groupContext);
  const signed = await signContent(
    signer,
    composition.wireFormat,
    { groupId, epoch, sender, authenticatedData, content },
    encodedContext,
  );

  // The key schedule of the epoch after it (§8).
  const groupContext = nextContext(state, provisional, signed);
  const encodedNext = GroupContext.encoded(groupContext);
  const commitSecret = made?.commitSecret ?? zeroSecret(suite);
  const joiner = joinerSecret(suite, composition.initSecret, commitSecret, encodedNext);
  const derived = epochSecrets(suite, joiner, pskSecret, encodedNext);
  const { secrets, encryptionSecret, applicationExportSecret } = derived;
  unfinished.push(joiner, ...Object.values(secrets), encryptionSecret, applicationExportSecret);
  const tag = confirmationTag(suite, secrets.confirmationKey, groupContext.confirmedTranscriptHash);
  const authenticated: AuthenticatedContent = {
    ...signed,
    auth: { signature: signed.auth.signature, confirmationTag: tag },
  };
  const next = nextState(state, applied, tree, groupContext, tag);

  const held = external ? new Map() : committer.keys;
  const keys = keysAfterPath(tree, leafIndex, held, made?.path ?? []);
  if (made) keys.set(2 * leafIndex, made.leafKeyPair);
  const forJoiners = [
    ...ratchetTreeExtensions(context, next.tree),
    ...composition.joinerExtensions,
  ];
  const signerAfter = nextSigner(composition);
  const { added, psks } = applied;
  const welcome =
    added.length > 0
      ? await makeWelcome(
          suite,
          { list, added, committer: leafIndex, path: made?.path ?? [], psks },
          { joinerSecret: joiner, pskSecret },
          await newGroupInfo(signerAfter, next, leafIndex, forJoiners),
        )
      : undefined;
  const groupInfo = await makeGroupInfo(signerAfter, next, leafIndex, []);
  const groupInfoForJoiners = composition.groupInfoForJoiners
    ? await makeGroupInfo(signerAfter, next, leafIndex, [
        await externalPubExtension(suite, secrets),
        ...forJoiners,
      ])
    : undefined;
  // Last, since it may take a key, which whatever fails after it would lose.
  const { bytes, taken } = await composition.protect(authenticated, encodedContext);
  const bundle: CommitBundle = { commit: bytes, welcome, groupInfo, groupInfoForJoiners };
  wipe(joiner, commitSecret, ...(made?.path ?? []).map(({ secret }) => secret));
  return {
    bundle,
    summary,
    taken,
    next: { state: next, ownLeaf: leafIndex, keys, ...derived },
  };
}
