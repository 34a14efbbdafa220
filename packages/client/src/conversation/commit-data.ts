/**
 * What a member's commit says in its `authenticated_data`: how far it had read, and the chain's hash there.
 * (An external commit has its link proof there.)
 * @module
 */

import type { CommitSummary } from "@conclave/mls";
import { type Bytes, type Codec, decode, encode, fixed, struct, utf8 } from "@conclave/mls/codec";
import type { ChainPosition } from "../chain.ts";
import { count } from "../storage.ts";

const LABEL = "Conclave 1 commit";

interface CommitData {
  readonly label: string;
  readonly length: number;
  readonly hash: Bytes;
}
const CommitData: Codec<CommitData> = struct({ label: utf8, length: count, hash: fixed(32) });

export function commitData({ length, hash }: ChainPosition): Bytes {
  return encode(CommitData, { label: LABEL, length, hash });
}

/** What the committer claims to have seen; undefined for a joiner's. */
export function readCommitData(summary: CommitSummary):
  | {
      readonly code: "history-differs";
      readonly about: Record<string, never>;
      readonly seen: { readonly length: number; readonly hash: Bytes };
    }
  | undefined {
  if (summary.external) return undefined;
  try {
    const { label, length, hash } = decode(CommitData, summary.authenticatedData);
    return label === LABEL
      ? { code: "history-differs", about: {}, seen: { length, hash } }
      : undefined;
  } catch {
    return undefined;
  }
}
