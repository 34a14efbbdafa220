/**
 * Joining by an external commit. RFC 9420 §12.4.3.2, §8.3.
 * @module
 */

import { bytesEqual, EMPTY, toHex, wipe } from "../bytes.ts";
import { type Bytes, decode, opaque } from "../codec.ts";
import { hpkeSendExport } from "../crypto/hpke.ts";
import { suiteOf } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { verifyContent } from "../framing/content.ts";
import { decodeMessageOf, encodeMessage } from "../framing/message.ts";
import type { Proposal } from "../framing/proposal.ts";
import { protectPublic, readPublic } from "../framing/public-message.ts";
import { type Extension, findExtension } from "../key/extension.ts";
import { EXTERNAL_INIT_LABEL } from "../key/key-schedule.ts";
import { freshPskId, type PskSource } from "../key/psk.ts";
import { EXTENSION } from "../registry.ts";
import { leafAt } from "../tree/ratchet-tree.ts";
import { type AuthenticatedData, type CommitBundle, composeCommit } from "./compose.ts";
import type { MlsContext } from "./epoch.ts";
import type { Group } from "./group.ts";
import { checkAuthenticatedData } from "./group-rules.ts";
import type { And } from "./live-group.ts";
import { begin } from "./new-group.ts";
import { readGroupInfo, treeFor, verifiedState } from "./opened-group.ts";
import { type Joiner, ownLeafContent } from "./own-key-package.ts";
import { resolvePsks } from "./pre-shared-key.ts";
import { validateProposal } from "./proposal-list.ts";
import { checkRoom, type PublicState, pendingProposal, withProposal } from "./public-state.ts";
import { judgeProposal } from "./staged-commit.ts";

/**
 * Joins by an external commit (§12.4.3.2). The group is stored as joining, with the bundle to be sent; once the service has
 * accepted it, `confirm` (or the commit met in the log) makes us a member; if it lost, `remove` forgets the group. One that lost with
 * `resync` is replaced by the next: to remove it would forget the former self's resumption PSKs as well.
 */
export async function joinExternally(
  context: MlsContext,
  options: Joiner & {
    /** An MLSMessage with `external_pub`. */
    readonly groupInfo: Bytes;
    readonly ratchetTree?: Bytes;
    readonly authenticatedData?: AuthenticatedData;
    readonly joinerExtensions?: readonly Extension[];
    /** Whether the bundle is to have a GroupInfo by which anyone can join: not, unless asked for. */
    readonly groupInfoForJoiners?: boolean;
    /**
     * The leaf index of a former self, which this commit replaces; so does it what is stored here of the group. A `Group` of
     * the former self must not be used any more.
     */
    readonly resync?: number;
    /** Injected into the new epoch, in this order: all members must have them. */
    readonly psks?: readonly PskSource[];
    /** Proposals that wait in the group and that an external commit may hold, as they were sent: PublicMessages. */
    readonly proposals?: readonly Bytes[];
    readonly and?: And<Group>;
  },
): Promise<{ readonly group: Group; readonly bundle: CommitBundle }> {
  const groupInfo = readGroupInfo(options.groupInfo);
  const suite = suiteOf(context.crypto, groupInfo.groupContext.cipherSuite);
  const tree = await treeFor(suite, groupInfo, options.ratchetTree);
  const state = await withProposals(
    context,
    await verifiedState(context, suite, groupInfo, tree),
    options.proposals ?? [],
  );
  const externalPub = findExtension(groupInfo.extensions, EXTENSION.externalPub);
  if (!externalPub) {
    throw new MlsError("external-commit", "12.4.3.2", "a GroupInfo without external_pub");
  }
  const publicKey = decode(opaque, externalPub);
  const init = await hpkeSendExport(suite, publicKey, EXTERNAL_INIT_LABEL, suite.nh);
  const psks = (options.psks ?? []).map((psk) => freshPskId(suite, psk));
  const proposals: readonly Proposal[] = [
    { proposalType: "external_init", kemOutput: init.kemOutput },
    ...(options.resync === undefined
      ? []
      : [{ proposalType: "remove", removed: options.resync } as const]),
    ...psks.map((psk) => ({ proposalType: "psk", psk }) as const),
  ];
  const sender = { senderType: "new_member_commit" } as const;
  const pskSecret = await resolvePsks(context, suite, psks);
  const { bundle, next } = await composeCommit(context, {
    state,
    list: [
      ...state.proposals.values(),
      ...proposals.map((proposal) => ({ proposal, sender, ref: undefined })),
    ],
    signer: options.signer,
    committer: {
      credential: options.credential,
      ...ownLeafContent(suite, options),
    },
    initSecret: init.secret,
    pskSecret,
    forcePath: true,
    authenticatedData: options.authenticatedData ?? EMPTY,
    joinerExtensions: options.joinerExtensions ?? [],
    groupInfoForJoiners: options.groupInfoForJoiners ?? false,
    // Whoever is no member yet has no key to encrypt with.
    wireFormat: "mls_public_message",
    protect: async (signed, encodedContext) => {
      const publicMessage = protectPublic(suite, EMPTY, signed, encodedContext);
      const bytes = encodeMessage({ wireFormat: "mls_public_message", publicMessage });
      return { bytes, taken: undefined };
    },
  }).finally(() => {
    wipe(init.secret, pskSecret);
  });
  const group = await begin(context, options.signer, "joining", next, {
    joining: bundle,
    replacing: options.resync !== undefined,
    and: options.and,
  });
  return { group, bundle };
}

/** The proposals that members made and that go along by reference; their membership tags are for members to check. */
async function withProposals(
  context: MlsContext,
  from: PublicState,
  messages: readonly Bytes[],
): Promise<PublicState> {
  let state = from;
  for (const message of messages) {
    const { publicMessage } = decodeMessageOf(message, "mls_public_message");
    const authenticated = readPublic(publicMessage);
    const { groupId, epoch, sender } = authenticated.content;
    if (!bytesEqual(groupId, state.groupContext.groupId)) {
      throw new MlsError("wrong-group", "6.1", "a proposal of another group");
    }
    if (epoch !== state.groupContext.epoch) {
      throw new MlsError("wrong-epoch", "6.1", `a proposal of epoch ${epoch}`);
    }
    const leafOf = (leafIndex: number) => leafAt(from.tree, leafIndex);
    await verifyContent(state.suite, authenticated, leafOf, state.groupContext);
    checkAuthenticatedData(context, state.groupContext, authenticated.content.authenticatedData);
    const { content } = authenticated.content;
    if (content.contentType !== "proposal") {
      throw new MlsError("content-type-not-allowed", "12.4.3.2", "no proposal");
    }
    const pending = pendingProposal(state.suite, authenticated, content.proposal);
    if (state.proposals.has(toHex(pending.ref))) continue;
    checkRoom(context, state, pending);
    await validateProposal(context, state, pending.proposal, sender);
    await judgeProposal(context, state, pending.proposal, sender);
    state = withProposal(state, pending);
  }
  return state;
}
