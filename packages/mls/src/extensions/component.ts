/**
 * What a component of an application does with MLS's keys, told apart from MLS itself and from other components.
 * draft-ietf-mls-extensions, "The Safe Application Interface".
 * @module
 */

import { utf8Bytes } from "../bytes.ts";
import { type Bytes, type Codec, encode, opaque, struct, uint16 } from "../codec.ts";
import { decryptWithLabel, encryptWithLabel, type HpkeCiphertext } from "../crypto/hpke.ts";
import { type Signer, signWithLabel, verifyWithLabel } from "../crypto/signature.ts";
import type { KeyPair, Suite } from "../crypto/suite.ts";

interface ComponentOperationLabel {
  readonly baseLabel: Bytes;
  readonly componentId: number;
  readonly label: Bytes;
}
const ComponentOperationLabel: Codec<ComponentOperationLabel> = struct({
  baseLabel: opaque,
  componentId: uint16,
  label: opaque,
});

const BASE_LABEL = "MLS Component";

/** A component, by its own id and never another's, and what it does. */
export interface ComponentOperation {
  readonly componentId: number;
  readonly label: string;
}

/** The encoded label under which a component does something with a key. */
export function componentOperationLabel({ componentId, label }: ComponentOperation): Bytes {
  const value = { baseLabel: utf8Bytes(BASE_LABEL), componentId, label: utf8Bytes(label) };
  return encode(ComponentOperationLabel, value);
}

/** `SafeSignWithLabel`: with the key of our leaf, or another of MLS's. */
export function safeSignWithLabel(
  signer: Signer,
  operation: ComponentOperation,
  content: Bytes,
): Promise<Bytes> {
  return signWithLabel(signer, componentOperationLabel(operation), content);
}

/** `SafeVerifyWithLabel`. */
export function safeVerifyWithLabel(
  suite: Suite,
  publicKey: Bytes,
  operation: ComponentOperation,
  content: Bytes,
  signature: Bytes,
): Promise<boolean> {
  return verifyWithLabel(suite, publicKey, componentOperationLabel(operation), content, signature);
}

/** `SafeEncryptWithLabel`. */
export function safeEncryptWithLabel(
  suite: Suite,
  publicKey: Bytes,
  operation: ComponentOperation,
  context: Bytes,
  plaintext: Bytes,
): Promise<HpkeCiphertext> {
  const label = componentOperationLabel(operation);
  return encryptWithLabel(suite, publicKey, label, context, plaintext);
}

/** `SafeDecryptWithLabel`. Throws `MlsError` with `hpke-open`. */
export function safeDecryptWithLabel(
  suite: Suite,
  keyPair: KeyPair,
  operation: ComponentOperation,
  context: Bytes,
  sealed: HpkeCiphertext,
): Promise<Bytes> {
  return decryptWithLabel(suite, keyPair, componentOperationLabel(operation), context, sealed);
}
