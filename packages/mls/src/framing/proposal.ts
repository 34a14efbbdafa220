/**
 * Proposals and commits as they stand on the wire. RFC 9420 §12.1, §12.4.
 * @module
 */

import {
  type Bytes,
  type Codec,
  opaque,
  optional,
  type Struct,
  select,
  struct,
  uint8,
  uint16,
  uint32,
  vector,
} from "../codec.ts";
import { type Extension, Extensions } from "../key/extension.ts";
import { KeyPackage } from "../key/key-package.ts";
import { PreSharedKeyID } from "../key/psk.ts";
import { DRAFT_PROPOSAL, PROPOSAL } from "../registry.ts";
import { LeafNode } from "../tree/leaf-node.ts";
import { UpdatePath } from "../tree/update-path.ts";

/** §12.1.5. */
export interface ReInit {
  readonly groupId: Bytes;
  readonly version: number;
  readonly cipherSuite: number;
  readonly extensions: readonly Extension[];
}
/** How a ReInit stands on the wire. */
export const ReInit: Struct<ReInit> = struct({
  groupId: opaque,
  version: uint16,
  cipherSuite: uint16,
  extensions: Extensions,
});

/** draft-ietf-mls-extensions `AppDataUpdateOperation`. */
export type AppDataUpdateOperation =
  | { readonly op: "update"; readonly update: Bytes }
  | { readonly op: "remove" };
const AppDataUpdateOperation: Codec<AppDataUpdateOperation> = select<"op", AppDataUpdateOperation>(
  "op",
  uint8,
  { update: [1, struct({ update: opaque })], remove: [2, struct({})] },
);

/** §12.1. */
export type Proposal =
  | { readonly proposalType: "add"; readonly keyPackage: KeyPackage }
  | { readonly proposalType: "update"; readonly leafNode: LeafNode }
  /** `removed`: a leaf index. */
  | { readonly proposalType: "remove"; readonly removed: number }
  | { readonly proposalType: "psk"; readonly psk: PreSharedKeyID }
  | ({ readonly proposalType: "reinit" } & ReInit)
  | { readonly proposalType: "external_init"; readonly kemOutput: Bytes }
  | { readonly proposalType: "group_context_extensions"; readonly extensions: readonly Extension[] }
  /** draft-ietf-mls-extensions: an update of a component's data in the GroupContext, or its end. */
  | {
      readonly proposalType: "app_data_update";
      readonly componentId: number;
      readonly operation: AppDataUpdateOperation;
    }
  /** draft-ietf-mls-extensions: data that belongs to a commit. */
  | { readonly proposalType: "app_ephemeral"; readonly componentId: number; readonly data: Bytes }
  /** draft-ietf-mls-extensions: its sender leaves. */
  | { readonly proposalType: "self_remove" }
  /** A type that the application gave a meaning to: its content is an opaque vector. */
  | { readonly proposalType: "other"; readonly number: number; readonly data: Bytes };
export const Proposal: Codec<Proposal> = select<"proposalType", Proposal>(
  "proposalType",
  uint16,
  {
    add: [PROPOSAL.add, struct({ keyPackage: KeyPackage })],
    update: [PROPOSAL.update, struct({ leafNode: LeafNode })],
    remove: [PROPOSAL.remove, struct({ removed: uint32 })],
    psk: [PROPOSAL.psk, struct({ psk: PreSharedKeyID })],
    reinit: [PROPOSAL.reinit, ReInit],
    external_init: [PROPOSAL.externalInit, struct({ kemOutput: opaque })],
    group_context_extensions: [PROPOSAL.groupContextExtensions, struct({ extensions: Extensions })],
    app_data_update: [
      DRAFT_PROPOSAL.appDataUpdate,
      struct({ componentId: uint16, operation: AppDataUpdateOperation }),
    ],
    app_ephemeral: [DRAFT_PROPOSAL.appEphemeral, struct({ componentId: uint16, data: opaque })],
    self_remove: [DRAFT_PROPOSAL.selfRemove, struct({})],
  },
  struct({ data: opaque }),
);

/** §12.4 `ProposalOrRef`: a proposal itself, or the reference (§5.2) of one that was sent before. */
export type ProposalOrRef =
  | { readonly type: "proposal"; readonly proposal: Proposal }
  | { readonly type: "reference"; readonly reference: Bytes };
const ProposalOrRef: Codec<ProposalOrRef> = select<"type", ProposalOrRef>("type", uint8, {
  proposal: [1, struct({ proposal: Proposal })],
  reference: [2, struct({ reference: opaque })],
});

/** §12.4 `Commit`: the proposals that it covers, in order, and the sender's path, where it has one. */
export interface Commit {
  readonly proposals: readonly ProposalOrRef[];
  readonly path: UpdatePath | undefined;
}
/** How a Commit stands on the wire. */
export const Commit: Codec<Commit> = struct({
  proposals: vector(ProposalOrRef),
  path: optional(UpdatePath),
});

export function encodeLeafNode(leafNode: LeafNode): Bytes {
  return LeafNode.encoded(leafNode).slice();
}
