/**
 * Which of the pending proposals go into a commit of ours. RFC 9420 §12.2, §12.4.
 * @module
 */

import { toHex } from "../bytes.ts";
import type { Sender } from "../framing/content.ts";
import type { Proposal } from "../framing/proposal.ts";
import type { AuthenticationService, Credentialed } from "../key/credential.ts";
import { pskKey } from "../key/psk.ts";
import { membersOf, type RatchetTree } from "../tree/ratchet-tree.ts";
import { type GroupRules, rulesFor, selfRemoved } from "./group-rules.ts";
import { type ListedProposal, proposalTypeOf } from "./proposal-list.ts";
import type { PendingProposal } from "./public-state.ts";

interface SelectionContext {
  readonly ownLeaf: number;
  readonly tree: RatchetTree;
  readonly clientOf: AuthenticationService["clientOf"];
  readonly rules: GroupRules | undefined;
}

/** The pending proposals that can stand beside each other and those given, then those given (§12.4). */
export function selectProposals(
  pending: readonly PendingProposal[],
  proposals: readonly Proposal[],
  within: SelectionContext,
): readonly ListedProposal[] {
  const { ownLeaf } = within;
  const own: Sender = { senderType: "member", leafIndex: ownLeaf };
  const given = proposals.map((proposal) => ({ proposal, sender: own, ref: undefined }));
  const touched = new Set<number>([ownLeaf]);
  for (const proposal of proposals) {
    if (proposal.proposalType === "remove") touched.add(proposal.removed);
  }
  let contexts = proposals.some(({ proposalType }) => proposalType === "group_context_extensions");
  const psks = new Set(
    proposals.flatMap((one) => (one.proposalType === "psk" ? [pskKey(one.psk)] : [])),
  );
  // §12.2: of several Updates of a leaf the most recent one.
  const newest = new Map<number, PendingProposal>();
  for (const one of pending) {
    const { proposal, sender } = one;
    if (proposal.proposalType === "update" && sender.senderType === "member") {
      newest.set(sender.leafIndex, one);
    }
  }
  const referenced: PendingProposal[] = [];
  // A Remove goes before an Update of the same leaf (§12.2), so Removes choose first; then it is clear who stays, and a
  // client that stays is not added again, so Adds choose last.
  const leavingOf = (one: PendingProposal): number | undefined =>
    selfRemoved(rulesFor({ rules: within.rules }, proposalTypeOf(one.proposal)), one);
  // Who leaves by itself is not removed beside that.
  const leaving = pending.filter((one) => leavingOf(one) !== undefined);
  const removes = pending.filter(({ proposal }) => proposal.proposalType === "remove");
  const adds = pending.filter(({ proposal }) => proposal.proposalType === "add");
  const chosen = new Set([...leaving, ...removes, ...adds]);
  const others = pending.filter((one) => !chosen.has(one));
  for (const one of [...leaving, ...removes, ...others]) {
    const { proposal, sender } = one;
    // A ReInit stands alone or not at all.
    if (proposal.proposalType === "reinit" && pending.length + proposals.length > 1) continue;
    if (proposal.proposalType === "group_context_extensions") {
      if (contexts) continue;
      contexts = true;
    }
    if (proposal.proposalType === "psk") {
      if (psks.has(pskKey(proposal.psk))) continue;
      psks.add(pskKey(proposal.psk));
    }
    const leaf =
      proposal.proposalType === "remove"
        ? proposal.removed
        : proposal.proposalType === "update" && sender.senderType === "member"
          ? sender.leafIndex
          : leavingOf(one);
    if (leaf !== undefined) {
      if (touched.has(leaf)) continue;
      if (proposal.proposalType === "update" && newest.get(leaf) !== one) continue;
      touched.add(leaf);
    }
    referenced.push(one);
  }
  const left = referenced.flatMap((one) => leavingOf(one) ?? []);
  return [...referenced, ...selectAdds(adds, [...referenced, ...given], left, within), ...given];
}

/** How many lists are tried before a commit goes without the rest. */
const MAX_CHECKS = 64;

/**
 * The list without those pending proposals that would make it one that is refused: whoever may propose could otherwise
 * keep everybody from committing. `check` throws for a list that cannot be committed. Each that is left out costs
 * O(log n) checks; after `MAX_CHECKS` whatever was not found to fit is left out too, so that nobody makes commits slow by proposing
 * much that does not fit. Throws what `check` throws for the given proposals alone.
 */
export async function fittingProposals(
  list: readonly ListedProposal[],
  check: (list: readonly ListedProposal[]) => Promise<void>,
): Promise<readonly ListedProposal[]> {
  const given = list.filter(({ ref }) => ref === undefined);
  await check(given);
  let fitting: readonly ListedProposal[] = [];
  const waiting = [list.filter(({ ref }) => ref !== undefined)];
  for (let checks = 0; checks < MAX_CHECKS; checks++) {
    const some = waiting.pop();
    if (!some) break;
    const more = [...fitting, ...some];
    const fits = await check([...more, ...given]).then(
      () => true,
      () => false,
    );
    if (fits) fitting = more;
    else if (some.length > 1) {
      const half = some.length >> 1;
      waiting.push(some.slice(half), some.slice(0, half));
    }
  }
  return [...fitting, ...given];
}

/** Those Adds whose client neither stays in the group nor comes by another Add (§12.2). */
function selectAdds(
  adds: readonly PendingProposal[],
  beside: readonly ListedProposal[],
  left: readonly number[],
  { tree, clientOf = signatureKeyOf }: Pick<SelectionContext, "tree" | "clientOf">,
): readonly PendingProposal[] {
  if (adds.length === 0) return [];
  const removed = new Set<number>(left);
  const clients = new Set<string>();
  for (const { proposal } of beside) {
    if (proposal.proposalType === "remove") removed.add(proposal.removed);
    if (proposal.proposalType === "add") clients.add(clientOf(proposal.keyPackage.leafNode));
  }
  for (const { leafIndex, leafNode } of membersOf(tree)) {
    if (!removed.has(leafIndex)) clients.add(clientOf(leafNode));
  }
  return adds.filter(({ proposal }) => {
    if (proposal.proposalType !== "add") return false;
    const client = clientOf(proposal.keyPackage.leafNode);
    if (clients.has(client)) return false;
    clients.add(client);
    return true;
  });
}

/** As far as it can be told from the tree: nobody stands there twice (§7.3). */
function signatureKeyOf({ signatureKey }: Credentialed): string {
  return toHex(signatureKey);
}
