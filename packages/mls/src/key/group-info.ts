/**
 * What someone needs to know of a group to join it. RFC 9420 §12.4.3 (GroupInfo), §12.4.3.1 (Welcome).
 * @module
 */

import {
  type Bytes,
  type Codec,
  encode,
  opaque,
  optional,
  type Struct,
  signed,
  struct,
  uint16,
  uint32,
  vector,
} from "../codec.ts";
import { HpkeCiphertext } from "../crypto/hpke.ts";
import { type Signer, signWithLabel, verifyWithLabel } from "../crypto/signature.ts";
import type { Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { leafAt, type RatchetTree } from "../tree/ratchet-tree.ts";
import { type Extension, Extensions } from "./extension.ts";
import { GroupContext } from "./group-context.ts";
import { PreSharedKeyID } from "./psk.ts";

/** §12.4.3, all but the signature. */
interface GroupInfoContent {
  readonly groupContext: GroupContext;
  readonly extensions: readonly Extension[];
  readonly confirmationTag: Bytes;
  /** The leaf index of the member that signed it. */
  readonly signer: number;
}
const GroupInfoTBS: Struct<GroupInfoContent> = struct({
  groupContext: GroupContext,
  extensions: Extensions,
  confirmationTag: opaque,
  signer: uint32,
});
/** §12.4.3. */
export interface GroupInfo extends GroupInfoContent {
  readonly signature: Bytes;
}
/** How a GroupInfo stands on the wire. */
export const GroupInfo: Codec<GroupInfo> = signed(GroupInfoTBS);

const LABEL = "GroupInfoTBS";

export async function signGroupInfo(content: GroupInfoContent, signer: Signer): Promise<GroupInfo> {
  return {
    ...content,
    signature: await signWithLabel(signer, LABEL, encode(GroupInfoTBS, content)),
  };
}

/** Whether a member of this tree signed it (§12.4.3). Throws `MlsError` with `group-info-signature`. */
export async function verifyGroupInfo(
  suite: Suite,
  groupInfo: GroupInfo,
  tree: RatchetTree,
): Promise<void> {
  const leaf = leafAt(tree, groupInfo.signer);
  if (!leaf) {
    throw new MlsError(
      "group-info-signature",
      "12.4.3",
      `leaf ${groupInfo.signer}, the signer, is blank`,
    );
  }
  await verifyGroupInfoBy(suite, groupInfo, leaf.signatureKey);
}

export async function verifyGroupInfoBy(
  suite: Suite,
  groupInfo: GroupInfo,
  signatureKey: Bytes,
): Promise<void> {
  const tbs = encode(GroupInfoTBS, groupInfo);
  if (!(await verifyWithLabel(suite, signatureKey, LABEL, tbs, groupInfo.signature))) {
    throw new MlsError(
      "group-info-signature",
      "12.4.3",
      "the signature of a GroupInfo does not verify",
    );
  }
}

/** §12.4.3.1. */
export interface GroupSecrets {
  readonly joinerSecret: Bytes;
  readonly pathSecret: { readonly pathSecret: Bytes } | undefined;
  readonly psks: readonly PreSharedKeyID[];
}
export const GroupSecrets: Codec<GroupSecrets> = struct({
  joinerSecret: opaque,
  pathSecret: optional(struct({ pathSecret: opaque })),
  psks: vector(PreSharedKeyID),
});

export interface EncryptedGroupSecrets {
  /** The `KeyPackageRef` of the one it is for. */
  readonly newMember: Bytes;
  readonly encryptedGroupSecrets: HpkeCiphertext;
}
const EncryptedGroupSecrets: Codec<EncryptedGroupSecrets> = struct({
  newMember: opaque,
  encryptedGroupSecrets: HpkeCiphertext,
});

export interface Welcome {
  readonly cipherSuite: number;
  readonly secrets: readonly EncryptedGroupSecrets[];
  readonly encryptedGroupInfo: Bytes;
}
export const Welcome: Codec<Welcome> = struct({
  cipherSuite: uint16,
  secrets: vector(EncryptedGroupSecrets),
  encryptedGroupInfo: opaque,
});
