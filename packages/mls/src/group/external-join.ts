/**
 * Joining by an external commit. RFC 9420 §12.4.3.2, §8.3.
 * @module
 */

import { EMPTY, wipe } from "../bytes.ts";
import { type Bytes, decode, opaque } from "../codec.ts";
import { hpkeSendExport } from "../crypto/hpke.ts";
import { suiteOf } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { encodeMessage } from "../framing/message.ts";
import type { Proposal } from "../framing/proposal.ts";
import { protectPublic } from "../framing/public-message.ts";
import { type Extension, findExtension } from "../key/extension.ts";
import { EXTERNAL_INIT_LABEL } from "../key/key-schedule.ts";
import { freshPskId, type PskSource } from "../key/psk.ts";
import { EXTENSION } from "../registry.ts";
import { type AuthenticatedData, type CommitBundle, composeCommit } from "./compose.ts";
import type { MlsContext } from "./epoch.ts";
import type { Group } from "./group.ts";
import type { And } from "./live-group.ts";
import { begin } from "./new-group.ts";
import { readGroupInfo, treeFor, verifiedState } from "./opened-group.ts";
import { type Joiner, ownLeafContent } from "./own-key-package.ts";
import { resolvePsks } from "./pre-shared-key.ts";

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
    /**
     * The leaf index of a former self, which this commit replaces; so does it what is stored here of the group. A `Group` of
     * the former self must not be used any more.
     */
    readonly resync?: number;
    /** Injected into the new epoch, in this order: all members must have them. */
    readonly psks?: readonly PskSource[];
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
  const psks = (options.psks ?? []).map((psk) => freshPskId(suite, psk));
  const proposals: readonly Proposal[] = [
    { proposalType: "external_init", kemOutput: init.kemOutput },
    ...(options.resync === undefined
      ? []
      : [{ proposalType: "remove", removed: options.resync } as const]),
    ...psks.map((psk) => ({ proposalType: "psk", psk }) as const),
  ];
  const sender = { senderType: "new_member_commit" } as const;
  const { bundle, next } = await composeCommit(context, {
    state,
    list: proposals.map((proposal) => ({ proposal, sender, ref: undefined })),
    signer: options.signer,
    committer: {
      credential: options.credential,
      ...ownLeafContent(suite, options),
    },
    initSecret: init.secret,
    pskSecret: await resolvePsks(context, suite, psks),
    forcePath: true,
    authenticatedData: options.authenticatedData ?? EMPTY,
    joinerExtensions: options.joinerExtensions ?? [],
    // Whoever is no member yet has no key to encrypt with.
    wireFormat: "mls_public_message",
    protect: async (signed, encodedContext) => {
      const publicMessage = protectPublic(suite, EMPTY, signed, encodedContext);
      const bytes = encodeMessage({ wireFormat: "mls_public_message", publicMessage });
      return { bytes, taken: undefined };
    },
  });
  wipe(init.secret);
  const group = await begin(context, options.signer, "joining", next, {
    joining: bundle,
    replacing: options.resync !== undefined,
    and: options.and,
  });
  return { group, bundle };
}
