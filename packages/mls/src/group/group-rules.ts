/**
 * What an application's group has beyond RFC 9420: proposals of other types, and rules on the group as a whole and its messages.
 * RFC 9420 §12.2, §12.3 and §13 leave them to those who define them.
 * @module
 */

import type { Bytes } from "../codec.ts";
import { MlsError } from "../errors.ts";
import type { Sender } from "../framing/content.ts";
import type { Proposal } from "../framing/proposal.ts";
import type { Extension } from "../key/extension.ts";
import type { GroupContext } from "../key/group-context.ts";
import { type Member, membersOf, type RatchetTree } from "../tree/ratchet-tree.ts";
import type { ListedProposal } from "./proposal-list.ts";
import type { PublicState } from "./public-state.ts";

/** How proposals of one type are checked, and what they do. Each function throws `MlsError` to refuse. */
export interface ProposalRules {
  /** Who may make one (§6.1). */
  readonly senders: readonly Sender["senderType"][];
  /** How a commit may hold it (§12.4). */
  readonly listed: "by-reference" | "either";
  /** Whether a commit from outside may hold it (§12.2). */
  readonly external: boolean;
  /** Whether a commit with it must have a path (§12.4). */
  readonly path: boolean;
  /** It is sent as a PublicMessage, whatever the group's policy, so that those outside can read it. */
  readonly publicMessage?: boolean;
  /** It removes who sent it: applied after Updates and before Removes, as a Remove is. */
  readonly removesSender?: boolean;
  /** One proposal, when it comes. */
  readonly validate?: (state: PublicState, proposal: Proposal, sender: Sender) => void;
  /** Any list of a commit, with or without one of this type. */
  readonly checkList?: (state: PublicState, list: readonly ListedProposal[]) => void;
  /** The GroupContext's extensions after those of this type, in their order: when all that the RFC defines is applied. */
  readonly apply?: (
    extensions: readonly Extension[],
    proposals: readonly Proposal[],
  ) => readonly Extension[];
}

/** All who follow a group must have the same rules: who refuses a commit that others take has left the group. */
export interface GroupRules {
  /** By number; applied in the order of the map. */
  readonly proposals?: ReadonlyMap<number, ProposalRules>;
  /** The group as a commit or an invitation makes it. Throws to refuse. */
  readonly checkGroup?: (group: {
    readonly extensions: readonly Extension[];
    readonly members: () => readonly Member[];
  }) => void | Promise<void>;
  /** The `authenticatedData` (§6) of any message, ours or another's, in a group with these extensions. Throws to refuse. */
  readonly checkAuthenticatedData?: (
    extensions: readonly Extension[],
    authenticatedData: Bytes,
  ) => void;
}

export interface RulesContext {
  readonly rules?: GroupRules | undefined;
}

/** The rules for a type that RFC 9420 doesn't define; undefined where the application has none. */
export function rulesFor({ rules }: RulesContext, number: number): ProposalRules | undefined {
  return rules?.proposals?.get(number);
}

/** The application's rules on a group as it is or is about to be. */
export async function checkGroup(
  { rules }: RulesContext,
  extensions: readonly Extension[],
  tree: RatchetTree,
): Promise<void> {
  await rules?.checkGroup?.({ extensions, members: () => membersOf(tree) });
}

/** The application's rules on what is authenticated along with a message (§6). */
export function checkAuthenticatedData(
  { rules }: RulesContext,
  { extensions }: Pick<GroupContext, "extensions">,
  authenticatedData: Bytes,
): void {
  rules?.checkAuthenticatedData?.(extensions, authenticatedData);
}

/** The leaf that a proposal empties because its sender asks for that. */
export function selfRemoved(
  rules: ProposalRules | undefined,
  { sender }: Pick<ListedProposal, "sender">,
): number | undefined {
  return rules?.removesSender && sender.senderType === "member" ? sender.leafIndex : undefined;
}

/** §12.2: a type that must be known, and how a commit may hold it. */
export function checkListed(
  rules: ProposalRules | undefined,
  number: number,
  { ref }: Pick<ListedProposal, "ref">,
  external: boolean,
): MlsError | undefined {
  if (!rules) return undefined;
  if (!ref && rules.listed === "by-reference") {
    return new MlsError("proposal-list", "12.2", `a proposal of type ${number} by value`);
  }
  if (external && !rules.external) {
    return new MlsError("proposal-list", "12.2", `type ${number} in an external commit`);
  }
  return undefined;
}
