/**
 * New groups that continue others, each linked to the former one by a resumption PSK: a group re-initialised with other
 * parameters, and a branch for some of its members. RFC 9420 §11.2, §11.3, §12.4.3.1.
 * @module
 */

import { bytesEqual, toHex, wipe } from "../bytes.ts";
import { type Bytes, encode } from "../codec.ts";
import { suiteOf } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import type { Proposal } from "../framing/proposal.ts";
import { type AuthenticationService, Credential, type Credentialed } from "../key/credential.ts";
import { type Extension, Extensions } from "../key/extension.ts";
import type { GroupContext } from "../key/group-context.ts";
import { freshPskId, isLink, type PreSharedKeyID, type PskSource } from "../key/psk.ts";
import { MLS10 } from "../registry.ts";
import type { Lifetime } from "../tree/leaf-node.ts";
import { membersOf, type RatchetTree } from "../tree/ratchet-tree.ts";
import { compose } from "./committing.ts";
import type { AuthenticatedData, CommitBundle } from "./compose.ts";
import type { MlsContext } from "./epoch.ts";
import type { Group } from "./group.ts";
import type { And } from "./live-group.ts";
import { loadState } from "./loading.ts";
import { begin, firstEpoch } from "./new-group.ts";
import { type Joiner, readKeyPackage } from "./own-key-package.ts";
import type { PublicState } from "./public-state.ts";
import { groupKeys } from "./stored-group.ts";

export interface LinkedGroup extends Joiner {
  /** The former group, of which this client is a member. */
  readonly from: { readonly groupId: Bytes };
  /** Fresh ones (MLSMessages) of those who come along, for the new group's suite; not our own. */
  readonly keyPackages: readonly Bytes[];
  /** Of our leaf in the new group. */
  readonly lifetime: Lifetime;
  /** To be injected beside the one that links the groups. */
  readonly psks?: readonly PskSource[];
  readonly forcePath?: boolean;
  readonly authenticatedData?: AuthenticatedData;
  readonly joinerExtensions?: readonly Extension[];
  /** Whether the bundle is to have a GroupInfo by which anyone can join: not, unless asked for. */
  readonly groupInfoForJoiners?: boolean;
  readonly and?: And<Group>;
}

/**
 * Makes the group that a closed one goes on as (§11.2): what its ReInit said, with the same members. Any member may, and may
 * again after a crash; the service decides whose comes first, and all others `remove` theirs and take the Welcome. The new
 * group is at epoch 0 with the commit that adds the others as its pending one. Throws `MlsError` with `reinit`.
 */
export async function reinitializeGroup(
  context: MlsContext,
  options: LinkedGroup,
): Promise<{ readonly group: Group; readonly bundle: CommitBundle }> {
  const former = await formerGroup(context, options.from.groupId);
  const { reinit } = former;
  if (!reinit) throw new MlsError("reinit", "11.2", "the group was not re-initialised");
  if (reinit.version !== MLS10) {
    throw new MlsError("unsupported-version", "11.2", `a ReInit to MLS version ${reinit.version}`);
  }
  const { groupId, cipherSuite: suite, extensions } = reinit;
  return makeLinked(context, "reinit", former, { groupId, suite, extensions }, options);
}

/**
 * Makes a group for some of the members of another (§11.3), with the same version and suite. The new group is at epoch 0 with
 * the commit that adds the others as its pending one. Throws `MlsError` with `branch`.
 */
export async function branchGroup(
  context: MlsContext,
  options: LinkedGroup & {
    /** Of the new group. */
    readonly groupId: Bytes;
    /** Of the new GroupContext; those of the former one unless given. */
    readonly extensions?: readonly Extension[];
  },
): Promise<{ readonly group: Group; readonly bundle: CommitBundle }> {
  const former = await formerGroup(context, options.from.groupId);
  const { cipherSuite: suite } = former.groupContext;
  const { groupId, extensions = former.groupContext.extensions } = options;
  return makeLinked(context, "branch", former, { groupId, suite, extensions }, options);
}

async function formerGroup(context: MlsContext, groupId: Bytes): Promise<PublicState> {
  const keys = groupKeys(groupId);
  const records = await context.storage.list(keys.all);
  const loaded = await loadState(context, keys, records).finally(() => {
    for (const record of records.values()) wipe(record);
  });
  if (!loaded) {
    throw new MlsError("psk-unknown", "8.6", "no member of the group that is to be continued");
  }
  return loaded.state;
}

async function makeLinked(
  context: MlsContext,
  usage: "reinit" | "branch",
  former: PublicState,
  parameters: {
    readonly groupId: Bytes;
    readonly suite: number;
    readonly extensions: readonly Extension[];
  },
  options: LinkedGroup,
): Promise<{ readonly group: Group; readonly bundle: CommitBundle }> {
  const suite = suiteOf(context.crypto, parameters.suite);
  const { groupId: pskGroupId, epoch: pskEpoch } = former.groupContext;
  const link = freshPskId(suite, { pskType: "resumption", pskGroupId, pskEpoch }, usage);
  const psks = [link, ...(options.psks ?? []).map((psk) => freshPskId(suite, psk))];
  const proposals: readonly Proposal[] = [
    ...options.keyPackages.map(
      (message) => ({ proposalType: "add", keyPackage: readKeyPackage(message) }) as const,
    ),
    ...psks.map((psk) => ({ proposalType: "psk", psk }) as const),
  ];
  const sender = { senderType: "member", leafIndex: 0 } as const;
  const list = proposals.map((proposal) => ({ proposal, sender, ref: undefined, first: true }));
  const next = await firstEpoch(context, { ...options, ...parameters });
  const group = await begin(context, options.signer, "active", next, {
    first: async (live) => {
      const composed = await compose(live, list, options);
      const { tree } = composed.next.state;
      await checkMembers(context.authentication, usage, former.tree, tree).catch((cause) => {
        live.wipeNext(composed.next);
        throw cause;
      });
      return composed;
    },
    and: options.and,
  });
  const bundle = group.pendingCommit;
  if (!bundle) throw new TypeError("a linked group begins with a commit");
  return { group, bundle };
}

/**
 * §12.4.3.1, for who joins: whether a new group continues the one that its PSKs link it to, by what this client knows of that
 * one. Throws `MlsError` with `reinit`, `branch` or `psk-unknown`.
 */
export async function checkLink(
  context: MlsContext,
  psks: readonly PreSharedKeyID[],
  joined: { readonly groupContext: GroupContext; readonly tree: RatchetTree },
): Promise<void> {
  const link = psks.find(isLink);
  if (!link || link.usage === "application") return;
  const { usage } = link;
  const refuse = (why: string): never => {
    const section = usage === "reinit" ? "11.2" : "11.3";
    throw new MlsError(usage, section, `${why} than it was to be for`);
  };
  const { groupContext } = joined;
  const former = await formerGroup(context, link.pskGroupId);
  if (groupContext.epoch !== 1n) refuse("another epoch");
  if (usage === "branch") {
    // The version is the same: there is but one that groups are opened with.
    if (groupContext.cipherSuite !== former.groupContext.cipherSuite) refuse("another suite");
  } else {
    const { reinit } = former;
    // The last commit must be the ReInit's: its epoch is the one that the PSK is of.
    if (!reinit || link.pskEpoch !== former.groupContext.epoch) {
      throw new MlsError("reinit", "11.2", "the former group was not re-initialised");
    }
    if (!bytesEqual(groupContext.groupId, reinit.groupId)) refuse("another id");
    if (groupContext.version !== reinit.version) refuse("another version");
    if (groupContext.cipherSuite !== reinit.cipherSuite) refuse("another suite");
    const due = encode(Extensions, reinit.extensions);
    if (!bytesEqual(encode(Extensions, groupContext.extensions), due)) refuse("other extensions");
  }
  await checkMembers(context.authentication, usage, former.tree, joined.tree);
}

/** Whether all who are in the new group are in the former one; and for a re-initialised group, the other way round too. */
async function checkMembers(
  authentication: AuthenticationService,
  usage: "reinit" | "branch",
  former: RatchetTree,
  joined: RatchetTree,
): Promise<void> {
  const before = membersOf(former).map(({ leafNode }) => leafNode);
  const now = membersOf(joined).map(({ leafNode }) => leafNode);
  const { clientOf } = authentication;
  const matched = clientOf
    ? matchByName(clientOf, before, now)
    : await matchBySuccession(authentication, before, now);
  if (matched < now.length) {
    const section = usage === "reinit" ? "11.2" : "11.3";
    throw new MlsError(usage, section, "somebody who is not in the former group");
  }
  if (usage === "reinit" && matched < before.length) {
    throw new MlsError("reinit", "11.2", "a member of the former group is missing");
  }
}

/** How many of the new leaves are each of another client that was there before. */
function matchByName(
  clientOf: (leaf: Credentialed) => string,
  before: readonly Credentialed[],
  now: readonly Credentialed[],
): number {
  const unmatched = new Set(before.map(clientOf));
  return now.filter((leaf) => unmatched.delete(clientOf(leaf))).length;
}

/** The same, where the application names no clients: each leaf is to be a successor of another one. */
async function matchBySuccession(
  authentication: AuthenticationService,
  before: readonly Credentialed[],
  now: readonly Credentialed[],
): Promise<number> {
  const unmatched = new Set(before);
  const byCredential = new Map(before.map((leaf) => [credentialKey(leaf), leaf]));
  const findPrevious = async (next: Credentialed): Promise<Credentialed | undefined> => {
    const likely = byCredential.get(credentialKey(next));
    for (const previous of likely ? [likely, ...unmatched] : unmatched) {
      if (!unmatched.has(previous)) continue;
      if (await authentication.isSuccessor(previous, next)) return previous;
    }
    return undefined;
  };
  let matched = 0;
  for (const next of now) {
    const previous = await findPrevious(next);
    // One stranger is enough: a group of many is not compared with ours to the end.
    if (!previous) break;
    unmatched.delete(previous);
    matched += 1;
  }
  return matched;
}

function credentialKey({ credential }: Credentialed): string {
  return toHex(encode(Credential, credential));
}
