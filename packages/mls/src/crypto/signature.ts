/**
 * Signatures under a label. RFC 9420 §5.1.2.
 * @module
 */

import { concat, mlsLabel } from "../bytes.ts";
import { type Bytes, type Encoder, encode, opaque } from "../codec.ts";
import { MlsError } from "../errors.ts";
import type {
  CryptoProvider,
  KeyPair,
  MaybePromise,
  SignatureName,
  Signed,
  Suite,
} from "./suite.ts";

/** A signature key, wherever its private half is kept: in memory, in a non-extractable CryptoKey, in hardware. */
export interface Signer {
  readonly publicKey: Bytes;
  /** What it signs with, so that a suite that wants another is refused before anything is signed. */
  readonly signature?: SignatureName;
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
  return { publicKey: keyPair.publicKey, signature, sign: async (message) => sign(message) };
}

/** §5.1: a suite has one signature scheme. Throws `MlsError` with `signature`. */
export function checkSigner(suite: Suite, signer: Signer): void {
  if (signer.signature === undefined || signer.signature === suite.signature) return;
  const wanted = `suite ${suite.number} signs with ${suite.signature}`;
  throw new MlsError("signature", "5.1", `a signer for ${signer.signature}, and ${wanted}`);
}

interface SignContent {
  readonly label: Bytes;
  readonly content: readonly Bytes[];
}
/** All of it but the content itself, which may be large: it is copied once. */
const SignContentHead: Encoder<SignContent> = {
  write: (w, { label, content }) => {
    opaque.write(w, label);
    w.length(content.reduce((length, part) => length + part.length, 0));
  },
};

/** `SignContent`: what is signed under a label. The content may be given in parts, which are joined here alone. */
export function labeled(label: string | Bytes, ...content: readonly Bytes[]): Bytes {
  return concat(encode(SignContentHead, { label: mlsLabel(label), content }), ...content);
}

export function signWithLabel(
  signer: Signer,
  label: string | Bytes,
  ...content: readonly Bytes[]
): Promise<Bytes> {
  return signer.sign(labeled(label, ...content));
}

/** A question that is asked with the next others, and who waits for its answer. */
interface Question extends Signed {
  readonly answer: (valid: boolean) => void;
  readonly fail: (cause: unknown) => void;
}
/** What waits to be asked, by provider and scheme. */
const WAITING = new WeakMap<CryptoProvider, Map<SignatureName, Question[]>>();

/** Asks all that waits for a provider and scheme at once. */
async function ask(provider: CryptoProvider, signature: SignatureName): Promise<void> {
  const questions = WAITING.get(provider)?.get(signature) ?? [];
  WAITING.get(provider)?.delete(signature);
  try {
    const answers = await provider.verifyMany(signature, questions);
    for (const [i, { answer }] of questions.entries()) answer(answers[i] ?? false);
  } catch (cause) {
    for (const { fail } of questions) fail(cause);
  }
}

/** Whether a signature over a `labeled` content verifies. */
export type Verify = (
  suite: Suite,
  publicKey: Bytes,
  message: Bytes,
  signatureBytes: Bytes,
) => MaybePromise<boolean>;

/** One that is asked for by itself. */
export const verifyAlone: Verify = ({ provider, signature }, publicKey, message, signatureBytes) =>
  provider.verify(signature, publicKey, message, signatureBytes);

/** Whether a signature under a label verifies: see `verifySigned`. */
export function verifyWithLabel(
  suite: Suite,
  publicKey: Bytes,
  label: string | Bytes,
  content: Bytes,
  signature: Bytes,
): Promise<boolean> {
  return verifySigned(suite, publicKey, labeled(label, content), signature);
}

/**
 * Whether a signature over a `labeled` content verifies. Those asked for together, without a pause for anything else, are verified together: in
 * parallel where the platform can. So the leaves of a tree need no more than `Promise.all`.
 */
export function verifySigned(
  suite: Suite,
  publicKey: Bytes,
  message: Bytes,
  signatureBytes: Bytes,
): Promise<boolean> {
  const { provider, signature } = suite;
  return new Promise((answer, fail) => {
    const waiting = WAITING.get(provider) ?? new Map<SignatureName, Question[]>();
    WAITING.set(provider, waiting);
    const questions = waiting.get(signature) ?? [];
    waiting.set(signature, questions);
    if (questions.length === 0) queueMicrotask(() => void ask(provider, signature));
    questions.push({ publicKey, message, signature: signatureBytes, answer, fail });
  });
}
