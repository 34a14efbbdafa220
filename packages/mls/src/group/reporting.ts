/**
 * A member reports a commit that shuts it out: see `report.ts` for what that shows. RFC 9420 §7.5, §12.4.2.
 * @module
 */

import { type Bytes, encode } from "../codec.ts";
import { MlsError } from "../errors.ts";
import { isMemberAt } from "../framing/content.ts";
import { decodeMessageOf } from "../framing/message.ts";
import { ownRecipient } from "../tree/update-path.ts";
import { type Group, liveGroupOf } from "./group.ts";
import type { LiveGroup } from "./live-group.ts";
import { keysForPath } from "./next-epoch.ts";
import { openPublic } from "./receiving.ts";
import { CommitReport, newReport, shutsOut } from "./report.ts";
import { receivedPath, stageCommit } from "./staged-commit.ts";

/**
 * The proof that a commit which `Group.receive` refuses shuts us out: its path secret for us does not open, or leads to other keys than the
 * path has (§7.5). **It reveals the private key that the secret was encrypted to**: whoever sees it can open what earlier paths encrypted
 * to that key, and the group must not be used after it, but joined anew. Nothing changes here. A commit whose path is fine gives none.
 * Throws `MlsError`: `report` where there is nothing to prove, or what `receive` says of the commit's public part; `wrong-wire-format` for a
 * PrivateMessage, which only members could check.
 */
export function reportCommit(group: Group, commit: Bytes): Promise<Bytes> {
  const live = liveGroupOf(group);
  return live.inTurn(() => report(live, commit));
}

async function report(group: LiveGroup, bytes: Bytes): Promise<Bytes> {
  group.checkActive();
  const { publicMessage } = decodeMessageOf(bytes, "mls_public_message");
  const authenticated = await openPublic(group, publicMessage);
  const { content, sender } = authenticated.content;
  const { state, ownLeaf } = group.live;
  const commit = content.contentType === "commit" ? content.commit : undefined;
  if (!commit?.path || isMemberAt(sender, ownLeaf)) {
    throw new MlsError("report", "12.4.2", "this is no commit of another with a path");
  }
  const staged = await stageCommit(group.context, state, authenticated, commit);
  if (staged.summary.removed.some(({ leafIndex }) => leafIndex === ownLeaf)) {
    throw new MlsError("report", "12.4.2", "a commit that removes us has nothing for us");
  }
  const received = receivedPath(staged, commit.path);
  const keys = keysForPath(group.live, group.updates, staged);
  const own = { leafIndex: ownLeaf, keys };
  const { recipient, keyPair } = ownRecipient(staged.provisionalTree, received, own);
  if (!(await shutsOut(state.suite, received, recipient, keyPair))) {
    throw new MlsError("report", "12.4.2", "what the path has for us is as it should be");
  }
  return encode(CommitReport, newReport(recipient, keyPair));
}
