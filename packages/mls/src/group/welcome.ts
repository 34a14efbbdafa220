/**
 * Welcomes: made by who adds, opened by who is added. RFC 9420 §12.4.3.1.
 * @module
 */

import { bytesEqual, EMPTY, wipe } from "../bytes.ts";
import { type Bytes, decode, encode } from "../codec.ts";
import { decryptWithLabel, encryptManyWithLabel } from "../crypto/hpke.ts";
import { expandWithLabel } from "../crypto/kdf.ts";
import { passLoadError } from "../crypto/loading.ts";
import type { KeyPair, Suite } from "../crypto/suite.ts";
import { MlsError } from "../errors.ts";
import { encodeMessage } from "../framing/message.ts";
import { GroupInfo, GroupSecrets, type Welcome } from "../key/group-info.ts";
import { welcomeSecret } from "../key/key-schedule.ts";
import type { PreSharedKeyID } from "../key/psk.ts";
import { commonAncestor } from "../tree/tree-math.ts";
import type { PathSecret } from "../tree/update-path.ts";
import type { ListedProposal } from "./proposal-list.ts";
import type { CommitSummary } from "./public-state.ts";

function welcomeKey(suite: Suite, secret: Bytes): { readonly key: Bytes; readonly nonce: Bytes } {
  return {
    key: expandWithLabel(suite, secret, "key", EMPTY, suite.nk),
    nonce: expandWithLabel(suite, secret, "nonce", EMPTY, suite.nn),
  };
}

/** One Welcome for all whom a commit adds, as an MLSMessage. */
export async function makeWelcome(
  suite: Suite,
  commit: {
    readonly list: readonly ListedProposal[];
    readonly added: CommitSummary["added"];
    readonly committer: number;
    readonly path: readonly PathSecret[];
    readonly psks: readonly PreSharedKeyID[];
  },
  secrets: { readonly joinerSecret: Bytes; readonly pskSecret: Bytes },
  groupInfo: GroupInfo,
): Promise<Bytes> {
  const secret = welcomeSecret(suite, secrets.joinerSecret, secrets.pskSecret);
  const { key, nonce } = welcomeKey(suite, secret);
  const plaintext = encode(GroupInfo, groupInfo);
  const encryptedGroupInfo = await suite.provider.seal(suite.aead, key, nonce, EMPTY, plaintext);
  wipe(secret, key, nonce);
  const pathSecrets = new Map(commit.path.map(({ index, secret: known }) => [index, known]));
  // The list names the added in the order in which they were placed.
  const initKeys = commit.list.flatMap(({ proposal }) =>
    proposal.proposalType === "add" ? [proposal.keyPackage.initKey] : [],
  );
  const messages = commit.added.map(({ leafIndex }, i) => {
    const known = pathSecrets.get(commonAncestor(2 * leafIndex, 2 * commit.committer));
    const plaintext = encode(GroupSecrets, {
      joinerSecret: secrets.joinerSecret,
      pathSecret: known && { pathSecret: known },
      psks: commit.psks,
    });
    return { publicKey: initKeys[i] ?? EMPTY, plaintext };
  });
  const sealed = await encryptManyWithLabel(suite, "Welcome", encryptedGroupInfo, messages);
  wipe(...messages.map(({ plaintext }) => plaintext));
  const entries = sealed.map((encryptedGroupSecrets, i) => ({
    newMember: commit.added[i]?.keyPackageRef ?? EMPTY,
    encryptedGroupSecrets,
  }));
  const welcome: Welcome = {
    cipherSuite: suite.number,
    secrets: entries,
    encryptedGroupInfo,
  };
  return encodeMessage({ wireFormat: "mls_welcome", welcome });
}

/** The secrets in a Welcome for the holder of a key package. Throws `MlsError` with `welcome` or `hpke-open`. */
export async function openGroupSecrets(
  suite: Suite,
  welcome: Welcome,
  ref: Bytes,
  initKeyPair: KeyPair,
): Promise<GroupSecrets> {
  const entry = welcome.secrets.find(({ newMember }) => bytesEqual(newMember, ref));
  if (!entry)
    throw new MlsError("welcome", "12.4.3.1", "a Welcome that is not for this key package");
  const opened = await decryptWithLabel(
    suite,
    initKeyPair,
    "Welcome",
    welcome.encryptedGroupInfo,
    entry.encryptedGroupSecrets,
  );
  const groupSecrets = decode(GroupSecrets, opened);
  wipe(opened);
  return groupSecrets;
}

/** The GroupInfo in a Welcome; its signature is still to be verified. */
export async function openGroupInfo(
  suite: Suite,
  welcome: Welcome,
  joinerSecret: Bytes,
  pskSecret: Bytes,
): Promise<GroupInfo> {
  const secret = welcomeSecret(suite, joinerSecret, pskSecret);
  const { key, nonce } = welcomeKey(suite, secret);
  try {
    const { encryptedGroupInfo } = welcome;
    return decode(
      GroupInfo,
      await suite.provider.open(suite.aead, key, nonce, EMPTY, encryptedGroupInfo),
    );
  } catch (cause) {
    if (cause instanceof MlsError) throw cause;
    passLoadError(cause);
    throw new MlsError("welcome", "12.4.3.1", "the GroupInfo in a Welcome does not open", {
      cause,
    });
  } finally {
    wipe(secret, key, nonce);
  }
}
