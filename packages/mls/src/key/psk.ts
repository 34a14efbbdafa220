/**
 * Pre-shared keys. RFC 9420 §8.4 (PSK secret), §8.6 (resumption), §12.1.4.
 * @module
 */

import { toHex, wipe } from "../bytes.ts";
import {
  type Bytes,
  type Codec,
  encode,
  enumeration,
  opaque,
  select,
  struct,
  uint8,
  uint16,
  uint64,
} from "../codec.ts";
import { expandWithLabel, extract } from "../crypto/kdf.ts";
import type { Suite } from "../crypto/suite.ts";

/** §8.4: what a resumption PSK is for. */
export type ResumptionPskUsage = "application" | "reinit" | "branch";
const ResumptionPskUsage: Codec<ResumptionPskUsage> = enumeration(uint8, {
  application: 1,
  reinit: 2,
  branch: 3,
});

/** §8.4. */
export type PreSharedKeyID =
  | { readonly pskType: "external"; readonly pskId: Bytes; readonly pskNonce: Bytes }
  | {
      readonly pskType: "resumption";
      readonly usage: ResumptionPskUsage;
      readonly pskGroupId: Bytes;
      readonly pskEpoch: bigint;
      readonly pskNonce: Bytes;
    };
export const PreSharedKeyID: Codec<PreSharedKeyID> = select<"pskType", PreSharedKeyID>(
  "pskType",
  uint8,
  {
    external: [1, struct({ pskId: opaque, pskNonce: opaque })],
    resumption: [
      2,
      struct({ usage: ResumptionPskUsage, pskGroupId: opaque, pskEpoch: uint64, pskNonce: opaque }),
    ],
  },
);

/** What a PSK is, before it is injected anywhere. */
export type PskSource =
  | { readonly pskType: "external"; readonly pskId: Bytes }
  /** Of a group that the client is or was in (§8.6). */
  | { readonly pskType: "resumption"; readonly pskGroupId: Bytes; readonly pskEpoch: bigint };

/** An id with a fresh nonce of `nh` bytes (§8.4): each time that a PSK is injected it is to be a new one. */
export function freshPskId(
  suite: Suite,
  psk: PskSource,
  usage: ResumptionPskUsage = "application",
): PreSharedKeyID {
  const pskNonce = suite.provider.random(suite.nh);
  return psk.pskType === "external" ? { ...psk, pskNonce } : { ...psk, usage, pskNonce };
}

/** Whether a PSK links a new group to a former one: nowhere else may it be used (§11.2, §11.3). */
export function isLink(
  id: PreSharedKeyID,
): id is Extract<PreSharedKeyID, { pskType: "resumption" }> {
  return id.pskType === "resumption" && id.usage !== "application";
}

/** One string for each id: the nonce counts, as it does in the RFC's equality. */
export function pskKey(id: PreSharedKeyID): string {
  return toHex(encode(PreSharedKeyID, id));
}

interface PSKLabel {
  readonly id: PreSharedKeyID;
  readonly index: number;
  readonly count: number;
}
const PSKLabel: Codec<PSKLabel> = struct({ id: PreSharedKeyID, index: uint16, count: uint16 });

/** A pre-shared key with the id that a proposal gave it. */
export interface Psk {
  readonly id: PreSharedKeyID;
  readonly secret: Bytes;
}

/** `psk_secret` (§8.4), `nh` bytes: all zero without PSKs. */
export function pskSecret(suite: Suite, psks: readonly Psk[]): Bytes {
  const zero = new Uint8Array(suite.nh);
  let secret: Bytes = new Uint8Array(suite.nh);
  for (const [index, psk] of psks.entries()) {
    const extracted = extract(suite, zero, psk.secret);
    const label = encode(PSKLabel, { id: psk.id, index, count: psks.length });
    const input = expandWithLabel(suite, extracted, "derived psk", label, suite.nh);
    const next = extract(suite, input, secret);
    wipe(extracted, input, secret);
    secret = next;
  }
  return secret;
}
