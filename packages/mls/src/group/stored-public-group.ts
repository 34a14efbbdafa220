/**
 * What is stored of a public group beside the nodes of its tree: one record, rewritten with each change.
 * @module
 */

import {
  type Bytes,
  type Codec,
  decode,
  encode,
  opaque,
  optional,
  struct,
  uint8,
  vector,
} from "../codec.ts";
import { MlsError } from "../errors.ts";
import { AuthenticatedContent } from "../framing/content.ts";
import { ReInit } from "../framing/proposal.ts";
import { GroupContext } from "../key/group-context.ts";

const VERSION = 2;

/** All of a public group but its tree. */
export interface StoredPublicState {
  readonly groupContext: GroupContext;
  readonly confirmationTag: Bytes;
  readonly proposals: readonly AuthenticatedContent[];
  readonly reinit: ReInit | undefined;
  readonly groupInfo: Bytes | undefined;
}
interface Versioned extends StoredPublicState {
  readonly version: number;
}
/** As version 1 had them. */
const STORED_PUBLIC_STATE = {
  version: uint8,
  groupContext: GroupContext,
  confirmationTag: opaque,
  proposals: vector(AuthenticatedContent),
} as const;
const Versioned: Codec<Versioned> = struct({
  ...STORED_PUBLIC_STATE,
  reinit: optional(ReInit),
  groupInfo: optional(opaque),
});
const Versioned1: Codec<Omit<Versioned, "reinit" | "groupInfo">> = struct(STORED_PUBLIC_STATE);

/** Throws `MlsError` with `storage` or `decode`. */
export function decodePublicState(bytes: Bytes): StoredPublicState {
  if (bytes[0] === 1) {
    return { ...decode(Versioned1, bytes), reinit: undefined, groupInfo: undefined };
  }
  if (bytes[0] !== VERSION) {
    throw new MlsError("storage", "14", `stored public group of version ${bytes[0]}`);
  }
  return decode(Versioned, bytes);
}

export function encodePublicState(state: StoredPublicState): Bytes {
  return encode(Versioned, { ...state, version: VERSION });
}
