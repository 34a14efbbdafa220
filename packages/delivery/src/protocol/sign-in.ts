/**
 * How a device proves to the service who it is: a signature over a fixed structure under our own label.
 * The service chooses none of the signed bytes, so the proof is good for nothing else.
 * @module
 */

import {
  type Bytes,
  type Codec,
  decode,
  encode,
  fixed,
  struct,
  uint64,
  utf8,
} from "@conclave/mls/codec";
import { type SigningKey, verifyEd25519 } from "./ed25519.ts";

const LABEL = "Conclave 1 sign-in";

/** How far the clocks of a device and the service may differ, in seconds. */
export const SIGN_IN_WINDOW = 300;

export interface SignIn {
  readonly label: string;
  /** The origin of the service that is signed in to: a proof for one is none for another. */
  readonly service: string;
  readonly accountId: Bytes;
  readonly deviceId: Bytes;
  /** Seconds since the Unix epoch. */
  readonly issuedAt: bigint;
  /** 16 random bytes; the service takes each once. */
  readonly nonce: Bytes;
}
const SignIn: Codec<SignIn> = struct({
  label: utf8,
  service: utf8,
  accountId: fixed(32),
  deviceId: fixed(16),
  issuedAt: uint64,
  nonce: fixed(16),
});

interface SignedSignIn {
  readonly signIn: SignIn;
  readonly signature: Bytes;
}
const SignedSignIn: Codec<SignedSignIn> = struct({ signIn: SignIn, signature: fixed(64) });

export async function signSignIn(
  request: Omit<SignIn, "label">,
  signInKey: SigningKey,
): Promise<Bytes> {
  const signIn = { label: LABEL, ...request };
  return encode(SignedSignIn, { signIn, signature: await signInKey.sign(encode(SignIn, signIn)) });
}

/** What a device claims, before its key is known. Throws `MlsError` with `decode`. */
export function readSignIn(signed: Bytes): SignIn {
  return decode(SignedSignIn, signed).signIn;
}

/** Whether the device with this sign-in key said so. Time, nonce and service are the caller's to judge. */
export async function verifySignIn(signed: Bytes, signInKey: Bytes): Promise<boolean> {
  const { signIn, signature } = decode(SignedSignIn, signed);
  return signIn.label === LABEL && verifyEd25519(signInKey, encode(SignIn, signIn), signature);
}
