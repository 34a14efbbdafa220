/**
 * SelfRemove: a member leaves by a proposal that whoever commits next takes along, also from outside.
 * draft-ietf-mls-extensions, "SelfRemove Proposal".
 * @module
 */

import { bytesEqual } from "../bytes.ts";
import { encode } from "../codec.ts";
import { MlsError } from "../errors.ts";
import { Sender } from "../framing/content.ts";
import type { ProposalRules } from "../group/group-rules.ts";
import { DRAFT_PROPOSAL } from "../registry.ts";
import { support } from "../tree/ratchet-tree.ts";

/**
 * By reference alone, as a PublicMessage, and one for each member in an epoch. Whether it is beside a Remove of the same
 * leaf, and whether it is the committer's own, is checked as for any Remove (§12.2).
 */
export const selfRemoveRules: ProposalRules = {
  senders: ["member"],
  listed: "by-reference",
  external: true,
  path: true,
  publicMessage: true,
  removesSender: true,
  validate: ({ tree, proposals }, _, sender) => {
    if (!support(tree).proposals.has(DRAFT_PROPOSAL.selfRemove)) {
      throw new MlsError("proposal-unsupported", "12.2", "a member does not support SelfRemove");
    }
    const from = encode(Sender, sender);
    for (const pending of proposals.values()) {
      if (pending.proposal.proposalType !== "self_remove") continue;
      if (bytesEqual(encode(Sender, pending.sender), from)) {
        throw new MlsError("proposal-invalid", "12.1", "a second SelfRemove of one member");
      }
    }
  },
};
