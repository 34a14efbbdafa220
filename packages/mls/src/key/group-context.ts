/**
 * What all members agree on in an epoch. RFC 9420 §8.1, §8.2.
 * @module
 */

import {
  type Bytes,
  type Encoder,
  type Kept,
  kept,
  opaque,
  struct,
  uint16,
  uint64,
} from "../codec.ts";
import { hashOf } from "../crypto/kdf.ts";
import type { Suite } from "../crypto/suite.ts";
import { type Extension, Extensions } from "./extension.ts";

/** §8.1. */
export interface GroupContext {
  readonly version: number;
  readonly cipherSuite: number;
  readonly groupId: Bytes;
  readonly epoch: bigint;
  readonly treeHash: Bytes;
  readonly confirmedTranscriptHash: Bytes;
  readonly extensions: readonly Extension[];
}
/** How a GroupContext stands on the wire, and in what is signed. */
export const GroupContext: Kept<GroupContext> = kept(
  struct({
    version: uint16,
    cipherSuite: uint16,
    groupId: opaque,
    epoch: uint64,
    treeHash: opaque,
    confirmedTranscriptHash: opaque,
    extensions: Extensions,
  }),
);

/** §8.2, behind the confirmed hash. */
const InterimTranscriptHashInput: Encoder<{
  readonly confirmed: Bytes;
  readonly confirmationTag: Bytes;
}> = {
  write: (w, { confirmed, confirmationTag }) => {
    w.bytes(confirmed);
    opaque.write(w, confirmationTag);
  },
};

/** §8.2: over the confirmed hash, and the commit's confirmation tag. */
export function interimTranscriptHash(
  suite: Suite,
  confirmed: Bytes,
  confirmationTag: Bytes,
): Bytes {
  return hashOf(suite, InterimTranscriptHashInput, { confirmed, confirmationTag });
}
