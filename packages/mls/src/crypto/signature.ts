/**
 * Signatures under a label. RFC 9420 §5.1.2.
 * @module
 */

import { utf8Bytes } from "../bytes.ts";
import { type Bytes, encode, opaque, struct } from "../codec.ts";
import type { CryptoProvider, KeyPair, SignatureName, Signed, Suite } from "./suite.ts";

/** A signature key, wherever its private half is kept: in memory, in a non-extractable CryptoKey, in hardware. */
export interface Signer {
  readonly publicKey: Bytes;
  /** The signature over `message`, in the encoding of the suite (§5.1.2). */
  readonly sign: (message: Bytes) => Promise<Bytes>;
}

/** A signer with its private key in memory. The array is kept, do not reuse it. */
export function signerOf(
  provider: CryptoProvider,
  signature: SignatureName,
  keyPair: KeyPair,
): Signer {
  const sign = provider.signer(signature, keyPair);
  return { publicKey: keyPair.publicKey, sign: async (message) => sign(message) };
}

interface SignContent {
  readonly label: Bytes;
  readonly content: Bytes;
}
const SignContent = struct<SignContent>({ label: opaque, content: opaque });

function signContent(label: string, content: Bytes): Bytes {
  return encode(SignContent, { label: utf8Bytes(`MLS 1.0 ${label}`), content });
}

export function signWithLabel(signer: Signer, label: string, content: Bytes): Promise<Bytes> {
  return signer.sign(signContent(label, content));
}

export async function verifyWithLabel(
  suite: Suite,
  publicKey: Bytes,
  label: string,
  content: Bytes,
  signature: Bytes,
): Promise<boolean> {
  return suite.provider.verify(suite.signature, publicKey, signContent(label, content), signature);
}

/** What `verifyManyWithLabel` takes: a signature under a label, and what it claims to be of whom. */
export interface SignedContent {
  readonly publicKey: Bytes;
  readonly label: string;
  readonly content: Bytes;
  readonly signature: Bytes;
}

/** `verifyWithLabel` for many signatures, in parallel where the platform can; the answers in the order of the questions. */
export function verifyManyWithLabel(
  suite: Suite,
  signed: readonly SignedContent[],
): Promise<readonly boolean[]> {
  const questions = signed.map(
    ({ publicKey, label, content, signature }): Signed => ({
      publicKey,
      message: signContent(label, content),
      signature,
    }),
  );
  return suite.provider.verifyMany(suite.signature, questions);
}
