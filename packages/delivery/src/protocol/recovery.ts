/**
 * How somebody who has the root key of an account, and no device of it any more, asks the service for the account's device list: a
 * signature by that key over a fixed structure under our own label.
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

const LABEL = "Conclave 1 recovery";

export interface Recovery {
  readonly label: string;
  /** The origin of the service that is asked. */
  readonly service: string;
  readonly rootKey: Bytes;
  /** Seconds since the Unix epoch. */
  readonly issuedAt: bigint;
}
const Recovery: Codec<Recovery> = struct({
  label: utf8,
  service: utf8,
  rootKey: fixed(32),
  issuedAt: uint64,
});

interface SignedRecovery {
  readonly recovery: Recovery;
  readonly signature: Bytes;
}
const SignedRecovery: Codec<SignedRecovery> = struct({
  recovery: Recovery,
  signature: fixed(64),
});

export async function signRecovery(
  { service, issuedAt }: Pick<Recovery, "service" | "issuedAt">,
  root: SigningKey,
): Promise<Bytes> {
  const recovery = { label: LABEL, service, rootKey: root.publicKey, issuedAt };
  return encode(SignedRecovery, {
    recovery,
    signature: await root.sign(encode(Recovery, recovery)),
  });
}

/**
 * What is asked, if the root key that it names signed it; undefined if not. Service and time are the caller's to judge. Throws
 * `MlsError` with `decode`.
 */
export async function openRecovery(signed: Bytes): Promise<Recovery | undefined> {
  const { recovery, signature } = decode(SignedRecovery, signed);
  const holds =
    recovery.label === LABEL &&
    (await verifyEd25519(recovery.rootKey, encode(Recovery, recovery), signature));
  return holds ? recovery : undefined;
}
