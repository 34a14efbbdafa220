/**
 * What someone can make who doesn't keep to the rules: messages signed and tagged with the right keys, out of the records in
 * a member's own storage, with nothing checked on the way.
 */

import type { Proposal, Signer } from "@conclave/mls";
import { type Bytes, decode, encode } from "@conclave/mls/codec";
import { EMPTY } from "../src/bytes.ts";
import { encryptWithLabel, generateKeyPair, hpkeSendExport } from "../src/crypto/hpke.ts";
import { expandWithLabel } from "../src/crypto/kdf.ts";
import { type Suite, suiteOf } from "../src/crypto/suite.ts";
import {
  type AuthenticatedContent,
  type Content,
  type FramedContent,
  type Sender,
  signContent,
  type WireFormat,
} from "../src/framing/content.ts";
import { decodeMessageOf, encodeMessage } from "../src/framing/message.ts";
import { protectPrivate } from "../src/framing/private-message.ts";
import type { ProposalOrRef } from "../src/framing/proposal.ts";
import { type PublicMessage, protectPublic } from "../src/framing/public-message.ts";
import { zeroSecret } from "../src/group/epoch.ts";
import { StoredKeyPackage } from "../src/group/own-key-package.ts";
import type { ListedProposal } from "../src/group/proposal-list.ts";
import type { PublicState } from "../src/group/public-state.ts";
import { nextContext } from "../src/group/staged-commit.ts";
import {
  decodeSecrets,
  decodeState,
  groupKeys,
  loadKeys,
  loadProposals,
  loadTree,
} from "../src/group/stored-group.ts";
import { openGroupInfo, openGroupSecrets } from "../src/group/welcome.ts";
import { GroupContext } from "../src/key/group-context.ts";
import { GroupInfo, GroupSecrets, signGroupInfo } from "../src/key/group-info.ts";
import { type KeyPackage, keyPackageRef, signKeyPackage } from "../src/key/key-package.ts";
import {
  confirmationTag,
  type EpochSecrets,
  EXTERNAL_INIT_LABEL,
  epochSecrets,
  externalKeyPair,
  joinerSecret,
  welcomeSecret,
} from "../src/key/key-schedule.ts";
import { SecretTree } from "../src/key/secret-tree.ts";
import { EXTENSION, MLS10 } from "../src/registry.ts";
import { defaultCapabilities, type LeafNode, signLeafNode } from "../src/tree/leaf-node.ts";
import {
  addLeaf,
  encodeRatchetTree,
  leafAt,
  type RatchetTree,
  removeLeaf,
  updateLeaf,
} from "../src/tree/ratchet-tree.ts";
import { rootHash } from "../src/tree/tree-hash.ts";
import { createPath, encryptPath, type UpdatePath } from "../src/tree/update-path.ts";
import { hex, LIFETIME, type Person, utf8 } from "./people.ts";

/** All that a member has of a group. */
export interface Inside {
  readonly person: Person;
  readonly suite: Suite;
  readonly state: PublicState;
  readonly ownLeaf: number;
  readonly secrets: EpochSecrets;
  readonly secretTree: SecretTree;
}

export async function inside(person: Person, groupId: Bytes = utf8("room")): Promise<Inside> {
  const keys = groupKeys(groupId);
  const records = await person.storage.list(keys.all);
  const [stored, secrets] = [records.get(keys.state), records.get(keys.secrets)];
  if (!stored || !secrets) throw new Error(`${person.name} has no such group`);
  const {
    ownLeaf,
    groupContext,
    confirmationTag: tag,
    interimTranscriptHash,
  } = decodeState(stored);
  const suite = suiteOf(person.context.crypto, groupContext.cipherSuite);
  const tree = await loadTree(keys, records);
  return {
    person,
    suite,
    ownLeaf,
    secrets: decodeSecrets(secrets).secrets,
    secretTree: SecretTree.load(suite, tree.leafCount, keys.tree(groupContext.epoch), records),
    state: {
      suite,
      groupContext,
      tree,
      confirmationTag: tag,
      interimTranscriptHash,
      proposals: loadProposals(suite, keys, records),
    },
  };
}

export interface Framing {
  readonly sender?: Sender;
  readonly groupId?: Bytes;
  readonly epoch?: bigint;
  readonly authenticatedData?: Bytes;
  readonly signer?: Signer;
  /** What the signature says it is in. */
  readonly signedAs?: WireFormat;
  /** The GroupContext that the signature covers. */
  readonly context?: GroupContext;
}

async function sign(
  by: Inside,
  content: Content,
  framing: Framing,
  wireFormat: WireFormat,
): Promise<{ readonly signed: AuthenticatedContent; readonly context: Bytes }> {
  const { groupContext } = by.state;
  const framed: FramedContent = {
    groupId: framing.groupId ?? groupContext.groupId,
    epoch: framing.epoch ?? groupContext.epoch,
    sender: framing.sender ?? { senderType: "member", leafIndex: by.ownLeaf },
    authenticatedData: framing.authenticatedData ?? EMPTY,
    content,
  };
  const context = encode(GroupContext, framing.context ?? groupContext);
  const signer = framing.signer ?? by.person.signer;
  const signed = await signContent(signer, framing.signedAs ?? wireFormat, framed, context);
  return { signed: { ...signed, wireFormat }, context };
}

/** A PublicMessage; `change` comes after signature and tag. */
export async function forgePublic(
  by: Inside,
  content: Content,
  framing: Framing = {},
  change: (message: PublicMessage) => PublicMessage = (message) => message,
): Promise<Bytes> {
  const { signed, context } = await sign(by, content, framing, "mls_public_message");
  const tagged =
    content.contentType === "commit"
      ? { ...signed, auth: { ...signed.auth, confirmationTag: new Uint8Array(by.suite.nh) } }
      : signed;
  const made = protectPublic(by.suite, by.secrets.membershipKey, tagged, context);
  return encodeMessage({ wireFormat: "mls_public_message", publicMessage: change(made) });
}

export function forgeProposal(
  by: Inside,
  proposal: Proposal,
  framing: Framing = {},
): Promise<Bytes> {
  return forgePublic(by, { contentType: "proposal", proposal }, framing);
}

export interface ForgedPrivate extends Framing {
  /** Another place to write the message from. */
  readonly as?: number;
  /** Keys so far into the ratchet. */
  readonly skip?: number;
  readonly confirmationTag?: Bytes;
}

/** A PrivateMessage with the keys that `as` would use. */
export async function forgePrivate(
  by: Inside,
  content: Content,
  options: ForgedPrivate = {},
): Promise<Bytes> {
  const leafIndex = options.as ?? by.ownLeaf;
  const framing = { sender: { senderType: "member", leafIndex }, ...options } as const;
  const { signed } = await sign(by, content, framing, "mls_private_message");
  const tag = options.confirmationTag;
  const authenticated = tag
    ? { ...signed, auth: { ...signed.auth, confirmationTag: tag } }
    : signed;
  const type = content.contentType === "application" ? "application" : "handshake";
  for (let i = 0; i < (options.skip ?? 0); i++) by.secretTree.next(leafIndex, type).settle();
  const { senderDataSecret } = by.secrets;
  const keys = { senderDataSecret, secretTree: by.secretTree };
  const { message, taken } = await protectPrivate(by.suite, keys, authenticated);
  taken.settle();
  return encodeMessage({ wireFormat: "mls_private_message", privateMessage: message });
}

export interface ForgedCommit {
  readonly proposals?: readonly Proposal[];
  readonly references?: readonly Bytes[];
  readonly pathless?: boolean;
  /** Changes the new leaf before it is signed, or how it is. */
  readonly leaf?: (content: LeafNode) => Partial<LeafNode>;
  readonly leafSigner?: Signer;
  readonly leafPosition?: { readonly groupId: Bytes; readonly leafIndex: number };
  /** Changes the path once all is computed. */
  readonly path?: (path: UpdatePath) => UpdatePath;
  readonly encryptedUnder?: (context: GroupContext) => GroupContext;
  readonly tag?: (tag: Bytes) => Bytes;
  readonly pskSecret?: Bytes;
  readonly wireFormat?: "mls_private_message";
  /** What the key pairs of the path are computed with. */
  readonly pathSuite?: Suite;
  /** By someone outside, who joins with it. */
  readonly external?: { readonly person: Person; readonly externalInits?: number };
}

/** The proposals' effect, whatever they are. */
function applied(
  by: Inside,
  list: readonly { readonly proposal: Proposal; readonly sender: Sender }[],
) {
  let { tree } = by.state;
  let { extensions } = by.state.groupContext;
  const added = new Set<number>();
  for (const { proposal, sender } of list) {
    if (proposal.proposalType === "group_context_extensions") extensions = proposal.extensions;
    if (proposal.proposalType === "update" && sender.senderType === "member") {
      tree = updateLeaf(tree, sender.leafIndex, proposal.leafNode);
    }
  }
  for (const { proposal, sender } of list) {
    if (proposal.proposalType !== "self_remove" || sender.senderType !== "member") continue;
    if (leafAt(tree, sender.leafIndex)) tree = removeLeaf(tree, sender.leafIndex);
  }
  for (const { proposal } of list) {
    if (proposal.proposalType === "remove" && leafAt(tree, proposal.removed)) {
      tree = removeLeaf(tree, proposal.removed);
    }
  }
  for (const { proposal } of list) {
    if (proposal.proposalType !== "add") continue;
    const placed = addLeaf(tree, proposal.keyPackage.leafNode);
    tree = placed.tree;
    added.add(placed.leafIndex);
  }
  return { tree, extensions, added };
}

/** The commit that an honest member would make of these proposals, but for what the options change. */
export async function forgeCommit(by: Inside, options: ForgedCommit = {}): Promise<Bytes> {
  const { suite, state } = by;
  const { groupContext } = state;
  const { external } = options;
  const person = external?.person ?? by.person;
  const sender: Sender = external
    ? { senderType: "new_member_commit" }
    : { senderType: "member", leafIndex: by.ownLeaf };
  const referenced = (options.references ?? []).flatMap((ref): ListedProposal[] => {
    const known = state.proposals.get(hex(ref));
    return known ? [known] : [];
  });
  const { publicKey } = await externalKeyPair(suite, by.secrets.externalSecret);
  const init = await hpkeSendExport(suite, publicKey, EXTERNAL_INIT_LABEL, suite.nh);
  const externalInit = { proposalType: "external_init", kemOutput: init.kemOutput } as const;
  const proposals: readonly Proposal[] = [
    ...Array.from({ length: external ? (external.externalInits ?? 1) : 0 }, () => externalInit),
    ...(options.proposals ?? []),
  ];
  const after = applied(by, [
    ...referenced,
    ...proposals.map((proposal) => ({ proposal, sender })),
  ]);
  let { tree }: { tree: RatchetTree } = after;
  let leafIndex = by.ownLeaf;
  const old = leafAt(state.tree, by.ownLeaf);
  if (!old) throw new Error("no leaf");
  const template: LeafNode = external
    ? {
        ...old,
        credential: person.credential,
        capabilities: defaultCapabilities(person.context.crypto),
        extensions: [],
      }
    : old;
  if (external)
    ({ tree, leafIndex } = addLeaf(tree, {
      ...template,
      encryptionKey: EMPTY,
      signatureKey: EMPTY,
    }));
  const made = options.pathless
    ? undefined
    : await createPath(options.pathSuite ?? suite, tree, leafIndex, (encryptionKey, parentHash) => {
        const honest: LeafNode = {
          ...template,
          signatureKey: person.signer.publicKey,
          encryptionKey,
          source: { leafNodeSource: "commit", parentHash },
        };
        return signLeafNode(
          { ...honest, ...options.leaf?.(honest) },
          options.leafSigner ?? person.signer,
          options.leafPosition ?? { groupId: groupContext.groupId, leafIndex },
        );
      });
  const provisional: GroupContext = {
    ...groupContext,
    epoch: groupContext.epoch + 1n,
    treeHash: rootHash(suite, made?.tree ?? tree),
    extensions: after.extensions,
  };
  const under = encode(GroupContext, options.encryptedUnder?.(provisional) ?? provisional);
  const honestPath = made && (await encryptPath(suite, tree, leafIndex, made, after.added, under));
  const path = honestPath && (options.path?.(honestPath) ?? honestPath);
  const listed: readonly ProposalOrRef[] = [
    ...(options.references ?? []).map((reference) => ({ type: "reference" as const, reference })),
    ...proposals.map((proposal) => ({ type: "proposal" as const, proposal })),
  ];
  const content = { contentType: "commit", commit: { proposals: listed, path } } as const;
  const framing = { sender, signer: person.signer };
  const wireFormat = options.wireFormat ?? "mls_public_message";
  const { signed, context } = await sign(by, content, framing, wireFormat);
  const next = nextContext(state, provisional, signed);
  const encodedNext = encode(GroupContext, next);
  const joiner = joinerSecret(
    suite,
    external ? init.secret : by.secrets.initSecret,
    made?.commitSecret ?? zeroSecret(suite),
    encodedNext,
  );
  const { secrets } = epochSecrets(
    suite,
    joiner,
    options.pskSecret ?? zeroSecret(suite),
    encodedNext,
  );
  const tag = confirmationTag(suite, secrets.confirmationKey, next.confirmedTranscriptHash);
  const confirmed = options.tag?.(tag) ?? tag;
  if (wireFormat === "mls_private_message") {
    return forgePrivate(by, content, { ...framing, confirmationTag: confirmed });
  }
  const authenticated = { ...signed, auth: { ...signed.auth, confirmationTag: confirmed } };
  const publicMessage = protectPublic(suite, by.secrets.membershipKey, authenticated, context);
  return encodeMessage({ wireFormat: "mls_public_message", publicMessage });
}

export interface ForgedKeyPackage {
  readonly leaf?: (content: LeafNode) => Partial<LeafNode>;
  readonly content?: (keyPackage: KeyPackage) => Partial<KeyPackage>;
  readonly leafSigner?: Signer;
  readonly signer?: Signer;
}

/** A key package whose private half nobody needs. */
export async function forgeKeyPackage(
  person: Person,
  options: ForgedKeyPackage = {},
): Promise<KeyPackage> {
  const suite = suiteOf(person.context.crypto, person.suite);
  const [init, leafKeys] = [await generateKeyPair(suite), await generateKeyPair(suite)];
  const honestLeaf: LeafNode = {
    encryptionKey: leafKeys.publicKey,
    signatureKey: person.signer.publicKey,
    credential: person.credential,
    capabilities: defaultCapabilities(person.context.crypto),
    source: { leafNodeSource: "key_package", lifetime: LIFETIME },
    extensions: [],
    signature: EMPTY,
  };
  const leafNode = await signLeafNode(
    { ...honestLeaf, ...options.leaf?.(honestLeaf) },
    options.leafSigner ?? person.signer,
    { groupId: utf8("room"), leafIndex: 0 },
  );
  const honest: KeyPackage = {
    version: MLS10,
    cipherSuite: person.suite,
    initKey: init.publicKey,
    leafNode,
    extensions: [],
    signature: EMPTY,
  };
  return signKeyPackage(
    { ...honest, ...options.content?.(honest) },
    options.signer ?? person.signer,
  );
}

export interface ForgedWelcome {
  readonly context?: (context: GroupContext) => Partial<GroupContext>;
  readonly info?: (info: GroupInfo) => Partial<GroupInfo>;
  readonly secrets?: (secrets: GroupSecrets) => Partial<GroupSecrets>;
  readonly tree?: (tree: RatchetTree) => RatchetTree | Promise<RatchetTree>;
  readonly signer?: Signer;
  /** Bytes after the GroupInfo. */
  readonly trailing?: Bytes;
  readonly pskSecret?: Bytes;
  readonly suite?: number;
  readonly times?: number;
}

/** A Welcome into a next epoch that `by` makes up; consistent but for what the options change. */
export async function forgeWelcome(
  by: Inside,
  keyPackage: KeyPackage,
  options: ForgedWelcome = {},
): Promise<Bytes> {
  const { suite, state } = by;
  let { tree } = state;
  for (let i = 0; i < (options.times ?? 1); i++) ({ tree } = addLeaf(tree, keyPackage.leafNode));
  tree = (await options.tree?.(tree)) ?? tree;
  const honest: GroupContext = {
    ...state.groupContext,
    epoch: state.groupContext.epoch + 1n,
    treeHash: rootHash(suite, tree),
  };
  const groupContext = { ...honest, ...options.context?.(honest) };
  const joiner = suite.provider.random(suite.nh);
  const psk = options.pskSecret ?? zeroSecret(suite);
  const { secrets } = epochSecrets(suite, joiner, psk, encode(GroupContext, groupContext));
  const tag = confirmationTag(suite, secrets.confirmationKey, groupContext.confirmedTranscriptHash);
  const honestInfo: GroupInfo = {
    groupContext,
    extensions: [{ extensionType: EXTENSION.ratchetTree, extensionData: encodeRatchetTree(tree) }],
    confirmationTag: tag,
    signer: by.ownLeaf,
    signature: EMPTY,
  };
  const groupInfo = await signGroupInfo(
    { ...honestInfo, ...options.info?.(honestInfo) },
    options.signer ?? by.person.signer,
  );
  const plaintext = Uint8Array.of(...encode(GroupInfo, groupInfo), ...(options.trailing ?? []));
  const encryptedGroupInfo = await sealGroupInfo(suite, joiner, psk, plaintext);
  const honestSecrets: GroupSecrets = { joinerSecret: joiner, pathSecret: undefined, psks: [] };
  const groupSecrets = encode(GroupSecrets, {
    ...honestSecrets,
    ...options.secrets?.(honestSecrets),
  });
  const encryptedGroupSecrets = await encryptWithLabel(
    suite,
    keyPackage.initKey,
    "Welcome",
    encryptedGroupInfo,
    groupSecrets,
  );
  const newMember = keyPackageRef(suite, keyPackage);
  return encodeMessage({
    wireFormat: "mls_welcome",
    welcome: {
      cipherSuite: options.suite ?? suite.number,
      secrets: [{ newMember, encryptedGroupSecrets }],
      encryptedGroupInfo,
    },
  });
}

/** An Update of a leaf, signed by whoever the options say. */
export async function forgeUpdate(
  by: Inside,
  options: {
    readonly leaf?: (leaf: LeafNode) => Partial<LeafNode>;
    readonly position?: { readonly groupId: Bytes; readonly leafIndex: number };
    readonly signer?: Signer;
  } = {},
): Promise<Proposal> {
  const old = leafAt(by.state.tree, by.ownLeaf);
  if (!old) throw new Error("no leaf");
  const { publicKey } = await generateKeyPair(by.suite);
  const honest: LeafNode = {
    ...old,
    encryptionKey: publicKey,
    source: { leafNodeSource: "update" },
  };
  const leafNode = await signLeafNode(
    { ...honest, ...options.leaf?.(honest) },
    options.signer ?? by.person.signer,
    options.position ?? { groupId: by.state.groupContext.groupId, leafIndex: by.ownLeaf },
  );
  return { proposalType: "update", leafNode };
}

/** Private keys of the tree that a member holds, for tests that look at them. */
export async function heldKeys(person: Person, groupId: Bytes = utf8("room")) {
  const keys = groupKeys(groupId);
  return loadKeys(keys, await person.storage.list(keys.all));
}

/** What is changed in a true Welcome, which is then encrypted again. */
export interface ChangedWelcome {
  readonly secrets?: (secrets: GroupSecrets) => Partial<GroupSecrets>;
  readonly info?: (info: GroupInfo) => Promise<GroupInfo>;
}

/** A Welcome for one person, without PSKs where its GroupInfo is to be changed. */
export async function changedWelcome(
  person: Person,
  message: Bytes,
  { secrets, info }: ChangedWelcome,
): Promise<Bytes> {
  const { welcome } = decodeMessageOf(message, "mls_welcome");
  const suite = suiteOf(person.context.crypto, welcome.cipherSuite);
  const [record] = (await person.storage.list("key-package/")).values();
  const [entry] = welcome.secrets;
  if (!record || !entry) throw new Error("no key package");
  const { keyPackage, initKey } = decode(StoredKeyPackage, record);
  const { initKey: publicKey } = keyPackage;
  const { newMember } = entry;
  const keyPair = { privateKey: initKey, publicKey };
  const opened = await openGroupSecrets(suite, welcome, newMember, keyPair);
  let { encryptedGroupInfo } = welcome;
  if (info) {
    const { joinerSecret: joiner } = opened;
    const psk = zeroSecret(suite);
    const changed = await info(await openGroupInfo(suite, welcome, joiner, psk));
    encryptedGroupInfo = await sealGroupInfo(suite, joiner, psk, encode(GroupInfo, changed));
  }
  const plaintext = encode(GroupSecrets, { ...opened, ...secrets?.(opened) });
  const encryptedGroupSecrets = await encryptWithLabel(
    suite,
    publicKey,
    "Welcome",
    encryptedGroupInfo,
    plaintext,
  );
  const changed = [{ newMember, encryptedGroupSecrets }];
  return encodeMessage({
    wireFormat: "mls_welcome",
    welcome: { ...welcome, secrets: changed, encryptedGroupInfo },
  });
}

function sealGroupInfo(suite: Suite, joiner: Bytes, psk: Bytes, plaintext: Bytes) {
  const secret = welcomeSecret(suite, joiner, psk);
  const key = expandWithLabel(suite, secret, "key", EMPTY, suite.nk);
  const nonce = expandWithLabel(suite, secret, "nonce", EMPTY, suite.nn);
  return suite.provider.seal(suite.aead, key, nonce, EMPTY, plaintext);
}
