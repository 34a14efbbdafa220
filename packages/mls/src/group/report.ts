/**
 * The proof that a commit shuts a member out: what stands in its path for that member doesn't open, or leads to other keys than the path
 * has. Nobody but the holder of the key can see that, so the key is shown. RFC 9420 §7.5, §7.6, §12.4.2, §16.12; RFC 9750 §5.
 * @module
 */

import { bytesEqual } from "../bytes.ts";
import { type Bytes, type Codec, decode, opaque, struct, uint8, uint32 } from "../codec.ts";
import { publicKeyOf } from "../crypto/hpke.ts";
import { passLoadError } from "../crypto/loading.ts";
import type { KeyPair, Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import type { AuthenticatedContent } from "../framing/content.ts";
import type { Commit } from "../framing/proposal.ts";
import {
  encryptionKeyAt,
  isSubtree,
  membersOf,
  nodeAt,
  type RatchetTree,
} from "../tree/ratchet-tree.ts";
import {
  openPathSecret,
  type ReceivedPath,
  type Recipient,
  recipientAt,
  wipePath,
} from "../tree/update-path.ts";
import type { PublicContext, PublicState } from "./public-state.ts";
import { receivedPath, stageCommit } from "./staged-commit.ts";

const VERSION = 1;

/** What a member shows: the key that the path secret for it was encrypted to. Not of the standard. */
export interface CommitReport {
  readonly version: number;
  /** Of the copath's resolution. */
  readonly nodeIndex: number;
  readonly privateKey: Bytes;
}
export const CommitReport: Codec<CommitReport> = struct({
  version: uint8,
  nodeIndex: uint32,
  privateKey: opaque,
});

export function newReport({ index }: Recipient, { privateKey }: KeyPair): CommitReport {
  return { version: VERSION, nodeIndex: index, privateKey };
}

/** What a report that holds says. */
export interface ProvenReport {
  /** The leaf index of who made the commit; for an external commit the new one. */
  readonly committer: number;
  /** The leaf indices of those who had to follow it by what was shown not to open. */
  readonly shutOut: readonly number[];
}

/** Whether what a path has for a node is of no use to the holder of that node's key (§7.5). */
export async function shutsOut(
  suite: Suite,
  received: Pick<ReceivedPath, "groupContext">,
  recipient: Recipient,
  keyPair: KeyPair,
): Promise<boolean> {
  try {
    wipePath(await openPathSecret(suite, received, recipient, keyPair));
    return false;
  } catch (error) {
    if (error instanceof MlsError && (error.code === "hpke-open" || error.code === "path-secret")) {
      return true;
    }
    throw error;
  }
}

/** Those who have the key of a node of a resolution (§4.1.1): all below it but its unmerged leaves. */
function holders(tree: RatchetTree, index: number): readonly number[] {
  const node = nodeAt(tree, index);
  if (!isSubtree(node)) return [index / 2];
  const unmerged = new Set(node.parent?.unmergedLeaves);
  return membersOf({ root: node })
    .map(({ leafIndex }) => leafIndex)
    .filter((leafIndex) => !unmerged.has(leafIndex));
}

function refuse(why: string): never {
  throw new MlsError("report", "12.4.2", why);
}

/** Checks a report on a commit whose signature was verified, by the state before it. Throws `MlsError`. */
export async function checkReport(
  context: PublicContext,
  state: PublicState,
  authenticated: AuthenticatedContent,
  commit: Commit,
  bytes: Bytes,
): Promise<ProvenReport> {
  const { suite } = state;
  const { version, nodeIndex, privateKey } = decode(CommitReport, bytes);
  if (version !== VERSION) {
    throw new MlsError("unsupported-version", "12.4.2", `a report of version ${version}`);
  }
  const staged = await stageCommit(withoutJudgement(context), state, authenticated, commit);
  if (!commit.path) refuse("a report on a commit without a path");
  const { provisionalTree } = staged;
  const received = receivedPath(staged, commit.path);
  const recipient = recipientAt(provisionalTree, received, nodeIndex);
  if (!recipient) refuse(`nothing in the path is encrypted to node ${nodeIndex}`);
  const publicKey = encryptionKeyAt(provisionalTree, nodeIndex);
  const keyPair = { privateKey, publicKey };
  if (!(await isPair(suite, keyPair))) refuse(`the key is not that of node ${nodeIndex}`);
  if (!(await shutsOut(suite, received, recipient, keyPair))) {
    refuse("the path secret is what it should be");
  }
  const { committer } = staged.summary;
  return { committer, shutOut: holders(provisionalTree, nodeIndex) };
}

/** Whether the halves belong together. */
async function isPair(suite: Suite, { privateKey, publicKey }: KeyPair): Promise<boolean> {
  try {
    return bytesEqual(await publicKeyOf(suite, privateKey), publicKey);
  } catch (cause) {
    passLoadError(cause);
    return false;
  }
}

/** The commit was accepted when it came: what the application thinks of it now is another matter. */
function withoutJudgement(context: PublicContext): PublicContext {
  const { policy: _, ...rest } = context;
  return {
    ...rest,
    authentication: { validate: async () => undefined, isSuccessor: async () => true },
  };
}
