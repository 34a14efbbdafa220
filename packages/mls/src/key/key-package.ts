/**
 * Key packages: how a client can be added while it is away. RFC 9420 §10.
 * @module
 */

import { bytesEqual } from "../bytes.ts";
import {
  type Bytes,
  encode,
  type Kept,
  kept,
  opaque,
  type Struct,
  signed,
  signedPart,
  struct,
  uint16,
} from "../codec.ts";
import { checkPublicKey } from "../crypto/hpke.ts";
import { refHash } from "../crypto/kdf.ts";
import { type Signer, signWithLabel, verifyWithLabel } from "../crypto/signature.ts";
import type { Suite } from "../crypto/suite.ts";
import { attempt, MlsError, type Refuse, refuseAtOnce } from "../errors.ts";
import { MLS10 } from "../registry.ts";
import { checkLeafNode, LeafNode, verifyLeafNode } from "../tree/leaf-node.ts";
import { checkNoDuplicateExtension, type Extension, Extensions } from "./extension.ts";

/** §10, all but the signature. */
interface KeyPackageContent {
  readonly version: number;
  readonly cipherSuite: number;
  readonly initKey: Bytes;
  readonly leafNode: LeafNode;
  readonly extensions: readonly Extension[];
}
const KeyPackageTBS: Struct<KeyPackageContent> = struct({
  version: uint16,
  cipherSuite: uint16,
  initKey: opaque,
  leafNode: LeafNode,
  extensions: Extensions,
});
/** §10. */
export interface KeyPackage extends KeyPackageContent {
  readonly signature: Bytes;
}
/** How a key package stands on the wire. */
export const KeyPackage: Kept<KeyPackage> = kept(signed(KeyPackageTBS));

const LABEL = "KeyPackageTBS";

export async function signKeyPackage(
  content: KeyPackageContent,
  signer: Signer,
): Promise<KeyPackage> {
  return {
    ...content,
    signature: await signWithLabel(signer, LABEL, encode(KeyPackageTBS, content)),
  };
}

/** `KeyPackageRef` (§5.2), `nh` bytes. */
export function keyPackageRef(suite: Suite, keyPackage: KeyPackage): Bytes {
  return refHash(suite, "MLS 1.0 KeyPackage Reference", KeyPackage.encoded(keyPackage));
}

/** §10.1. That its lifetime contains now is a sender's to check, its credential the application's to judge. */
export async function validateKeyPackage(
  suite: Suite,
  keyPackage: KeyPackage,
  refuse: Refuse = refuseAtOnce,
): Promise<void> {
  const { version, cipherSuite, initKey, leafNode } = keyPackage;
  if (version !== MLS10) {
    refuse(new MlsError("key-package-version", "10.1", `a key package of version ${version}`));
  }
  if (cipherSuite !== suite.number) {
    refuse(new MlsError("key-package-suite", "10.1", `a key package of suite ${cipherSuite}`));
  }
  checkLeafNode(leafNode, "key_package", refuse);
  checkNoDuplicateExtension(keyPackage.extensions, refuse);
  if (bytesEqual(initKey, leafNode.encryptionKey)) {
    refuse(
      new MlsError("key-package-init-key", "10.1", "init key and encryption key are the same"),
    );
  }
  await attempt(refuse, () => checkPublicKey(suite, initKey));
  await attempt(refuse, () => checkPublicKey(suite, leafNode.encryptionKey));
  await attempt(refuse, () => verifyLeafNode(suite, leafNode));
  const tbs = signedPart(KeyPackage.encoded(keyPackage), keyPackage.signature);
  if (!(await verifyWithLabel(suite, leafNode.signatureKey, LABEL, tbs, keyPackage.signature))) {
    refuse(
      new MlsError(
        "key-package-signature",
        "10.1",
        "the signature of a key package does not verify",
      ),
    );
  }
}
