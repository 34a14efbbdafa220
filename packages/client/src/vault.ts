/**
 * Where a device's private signature keys are. What leaves it is signatures.
 * @module
 */

import type { SigningKey } from "@conclave/delivery/protocol";

/** The keys of a device: one for its leaves, one to sign in with; never the same. */
export type KeyName = "leaf" | "sign-in";

export interface KeyVault {
  /** A new Ed25519 key in the place of the one that has this name. Durable when the promise resolves. */
  create(name: KeyName): Promise<SigningKey>;
  open(name: KeyName): Promise<SigningKey | undefined>;
}
