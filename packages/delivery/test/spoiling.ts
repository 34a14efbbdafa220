/**
 * Cryptography of a member that keeps to no rule: it can spoil what its paths have for some.
 * @module
 */

import type { CryptoProvider } from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";

export interface Spoiling {
  readonly crypto: CryptoProvider;
  /** From now on these ciphertexts don't open: counted from 0 in the order in which they are made, a path's first and from its bottom. */
  readonly spoil: (...places: readonly number[]) => void;
}

export function spoiling(): Spoiling {
  let spoiled: ReadonlySet<number> = new Set();
  let made = 0;
  const dhEphemeral: CryptoProvider["dhEphemeral"] = async (group, peer, among) => {
    const place = made++;
    const honest = await nodeCrypto.dhEphemeral?.(group, peer, among);
    if (!honest) throw new TypeError("the provider makes no ephemeral keys");
    return spoiled.has(place) ? { ...honest, secret: honest.secret.map((byte) => ~byte) } : honest;
  };
  return {
    crypto: { ...nodeCrypto, dhEphemeral },
    spoil(...places) {
      spoiled = new Set(places);
      made = 0;
    },
  };
}
