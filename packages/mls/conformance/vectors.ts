/**
 * The working group's test vectors (mlswg/mls-implementations, test-vectors.md): each kind is recognised by its fields,
 * and each case either passes or fails with a reason.
 * @module
 */

import { bytesEqual, concat } from "../src/bytes.ts";
import { type Bytes, type Codec, decode, encode, Reader, Writer } from "../src/codec.ts";
import { decryptWithLabel, encryptWithLabel, publicKeyOf } from "../src/crypto/hpke.ts";
import { deriveSecret, deriveTreeSecret, expandWithLabel, refHash } from "../src/crypto/kdf.ts";
import { signerOf, signWithLabel, verifyWithLabel } from "../src/crypto/signature.ts";
import { type CryptoProvider, type KemName, type Suite, suiteOf } from "../src/crypto/suite.ts";
import {
  AuthenticatedContent,
  type Content,
  confirmedTranscriptHash,
  signContent,
  verifyContent,
} from "../src/framing/content.ts";
import { decodeMessage, decodeMessageOf, encodeMessage } from "../src/framing/message.ts";
import { protectPrivate, senderDataKey, unprotectPrivate } from "../src/framing/private-message.ts";
import { Commit, Proposal } from "../src/framing/proposal.ts";
import { protectPublic, readPublic, verifyMembershipTag } from "../src/framing/public-message.ts";
import { privateKeyPackage } from "../src/group/own-key-package.ts";
import { openGroupInfo, openGroupSecrets } from "../src/group/welcome.ts";
import { joinGroup } from "../src/group/welcome-join.ts";
import type { AuthenticationService } from "../src/key/credential.ts";
import { GroupContext, interimTranscriptHash } from "../src/key/group-context.ts";
import { GroupSecrets, verifyGroupInfoBy } from "../src/key/group-info.ts";
import { keyPackageRef } from "../src/key/key-package.ts";
import {
  confirmationTag,
  epochSecrets,
  externalKeyPair,
  joinerSecret,
  mlsExporter,
  welcomeSecret,
} from "../src/key/key-schedule.ts";
import { type Psk, pskSecret } from "../src/key/psk.ts";
import { SecretTree } from "../src/key/secret-tree.ts";
import { MLS10 } from "../src/registry.ts";
import { memoryStorage } from "../src/storage.ts";
import {
  defaultCapabilities,
  type LeafNode,
  signLeafNode,
  verifyLeafNode,
} from "../src/tree/leaf-node.ts";
import {
  addLeaf,
  decodeRatchetTree,
  encodeRatchetTree,
  leafAt,
  membersOf,
  nodeAt,
  type RatchetTree,
  removeLeaf,
  resolution,
  treeOf,
  updateLeaf,
} from "../src/tree/ratchet-tree.ts";
import { checkParentHashes, rootHash, treeHash } from "../src/tree/tree-hash.ts";
import { left, nodeWidth, parent, right, root, sibling } from "../src/tree/tree-math.ts";
import {
  createPath,
  decryptPath,
  derivePathSecrets,
  encryptPath,
  mergePath,
  type PrivateKeys,
  UpdatePath,
} from "../src/tree/update-path.ts";

/** A case as JSON gives it; the fields of each kind are asked for by name and type. */
export type Case = Readonly<Record<string, unknown>>;

function fail(what: string): never {
  throw new Error(what);
}

function same(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (!bytesEqual(actual, expected)) fail(`${what} differs`);
}

function text(from: Case, field: string): string {
  const value = from[field];
  return typeof value === "string" ? value : fail(`${field} is no string`);
}

function bytes(from: Case, field: string): Bytes {
  return fromHex(text(from, field));
}

function fromHex(hex: string): Bytes {
  if (hex.length % 2 !== 0) fail("an odd number of hexadecimal digits");
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) =>
    Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16),
  );
}

function number(from: Case, field: string): number {
  const value = from[field];
  return typeof value === "number" ? value : fail(`${field} is no number`);
}

function epochOf(from: Case): bigint {
  const { epoch } = from;
  return typeof epoch === "bigint" ? epoch : fail("epoch is no integer");
}

function list(from: Case, field: string): readonly Case[] {
  const value = from[field];
  return Array.isArray(value) ? (value as readonly Case[]) : fail(`${field} is no list`);
}

function object(from: Case, field: string): Case {
  const value = from[field];
  return typeof value === "object" && value !== null
    ? (value as Case)
    : fail(`${field} is no object`);
}

/** What a case is checked with. */
export interface Bench {
  readonly crypto: CryptoProvider;
}

function suiteFor(bench: Bench, from: Case): Suite {
  return suiteOf(bench.crypto, number(from, "cipher_suite"));
}

/** The vectors drop the leading zeros of the private keys of NIST curves, which have a fixed size (RFC 9180 §7.1.2). */
function privateKeyOf(suite: Suite, from: Case, field: string): Bytes {
  const key = bytes(from, field);
  const sizes: Partial<Record<KemName, number>> = { p256: 32, p384: 48, p521: 66 };
  return concat(new Uint8Array(Math.max(0, (sizes[suite.kem] ?? 0) - key.length)), key);
}

type Check = (bench: Bench, vector: Case) => Promise<void>;

async function treeMath(_: Bench, vector: Case): Promise<void> {
  const leafCount = number(vector, "n_leaves");
  const width = nodeWidth(leafCount);
  if (width !== number(vector, "n_nodes")) fail("n_nodes differs");
  if (root(leafCount) !== number(vector, "root")) fail("root differs");
  const relations = {
    left,
    right,
    parent: (node: number) => parent(node, leafCount),
    sibling: (node: number) => sibling(node, leafCount),
  };
  for (const [name, relation] of Object.entries(relations)) {
    for (const [node, expected] of (vector[name] as readonly (number | null)[]).entries()) {
      if ((relation(node) ?? null) !== expected) fail(`${name} of ${node} differs`);
    }
  }
}

async function cryptoBasics(bench: Bench, vector: Case): Promise<void> {
  const suite = suiteFor(bench, vector);
  const ref = object(vector, "ref_hash");
  same(refHash(suite, text(ref, "label"), bytes(ref, "value")), bytes(ref, "out"), "RefHash");
  const expand = object(vector, "expand_with_label");
  same(
    expandWithLabel(
      suite,
      bytes(expand, "secret"),
      text(expand, "label"),
      bytes(expand, "context"),
      number(expand, "length"),
    ),
    bytes(expand, "out"),
    "ExpandWithLabel",
  );
  const derive = object(vector, "derive_secret");
  const derived = deriveSecret(suite, bytes(derive, "secret"), text(derive, "label"));
  same(derived, bytes(derive, "out"), "DeriveSecret");
  const tree = object(vector, "derive_tree_secret");
  same(
    deriveTreeSecret(
      suite,
      bytes(tree, "secret"),
      text(tree, "label"),
      number(tree, "generation"),
      number(tree, "length"),
    ),
    bytes(tree, "out"),
    "DeriveTreeSecret",
  );
  const sign = object(vector, "sign_with_label");
  const [label, content, publicKey] = [
    text(sign, "label"),
    bytes(sign, "content"),
    bytes(sign, "pub"),
  ];
  const signer = signerOf(bench.crypto, suite.signature, {
    privateKey: privateKeyOf(suite, sign, "priv"),
    publicKey,
  });
  for (const signature of [bytes(sign, "signature"), await signWithLabel(signer, label, content)]) {
    if (!(await verifyWithLabel(suite, publicKey, label, content, signature)))
      fail("VerifyWithLabel");
  }
  const sealed = object(vector, "encrypt_with_label");
  const keyPair = {
    privateKey: privateKeyOf(suite, sealed, "priv"),
    publicKey: bytes(sealed, "pub"),
  };
  const [sealLabel, context, plaintext] = [
    text(sealed, "label"),
    bytes(sealed, "context"),
    bytes(sealed, "plaintext"),
  ];
  const given = { kemOutput: bytes(sealed, "kem_output"), ciphertext: bytes(sealed, "ciphertext") };
  const made = await encryptWithLabel(suite, keyPair.publicKey, sealLabel, context, plaintext);
  for (const ciphertext of [given, made]) {
    const opened = await decryptWithLabel(suite, keyPair, sealLabel, context, ciphertext);
    same(opened, plaintext, "DecryptWithLabel");
  }
}

async function deserialization(_: Bench, vector: Case): Promise<void> {
  const header = bytes(vector, "vlbytes_header");
  const length = number(vector, "length");
  if (new Reader(header).length() !== length) fail("the length differs");
  const writer = new Writer();
  writer.length(length);
  same(writer.finish(), header, "the header");
}

async function secretTree(bench: Bench, vector: Case): Promise<void> {
  const suite = suiteFor(bench, vector);
  const senderData = object(vector, "sender_data");
  const { key, nonce } = senderDataKey(
    suite,
    bytes(senderData, "sender_data_secret"),
    bytes(senderData, "ciphertext"),
  );
  same(key, bytes(senderData, "key"), "sender_data_key");
  same(nonce, bytes(senderData, "nonce"), "sender_data_nonce");
  const leaves = vector["leaves"] as readonly (readonly Case[])[];
  const tree = SecretTree.create(suite, leaves.length, "", bytes(vector, "encryption_secret"));
  for (const [leafIndex, generations] of leaves.entries()) {
    for (const generation of generations) {
      for (const type of ["handshake", "application"] as const) {
        const taken = tree.at(leafIndex, type, number(generation, "generation"));
        same(taken.key, bytes(generation, `${type}_key`), `${type} key`);
        same(taken.nonce, bytes(generation, `${type}_nonce`), `${type} nonce`);
        taken.settle();
      }
    }
  }
}

/** A leaf for vectors that have a signature key and no tree. */
function leafWith(crypto: CryptoProvider, signatureKey: Bytes, encryptionKey: Bytes): LeafNode {
  return {
    encryptionKey,
    signatureKey,
    credential: { credentialType: "basic", identity: signatureKey },
    capabilities: defaultCapabilities(crypto),
    source: { leafNodeSource: "update" },
    extensions: [],
    signature: new Uint8Array(0),
  };
}

async function messageProtection(bench: Bench, vector: Case): Promise<void> {
  const suite = suiteFor(bench, vector);
  const groupContext: GroupContext = {
    version: MLS10,
    cipherSuite: suite.number,
    groupId: bytes(vector, "group_id"),
    epoch: epochOf(vector),
    treeHash: bytes(vector, "tree_hash"),
    confirmedTranscriptHash: bytes(vector, "confirmed_transcript_hash"),
    extensions: [],
  };
  const context = encode(GroupContext, groupContext);
  const publicKey = bytes(vector, "signature_pub");
  const signer = signerOf(bench.crypto, suite.signature, {
    privateKey: privateKeyOf(suite, vector, "signature_priv"),
    publicKey,
  });
  const membershipKey = bytes(vector, "membership_key");
  const senderDataSecret = bytes(vector, "sender_data_secret");
  // Two members, of whom the second sends.
  const first = treeOf(leafWith(bench.crypto, new Uint8Array(32), new Uint8Array(1)));
  const { tree } = addLeaf(first, leafWith(bench.crypto, publicKey, new Uint8Array(2)));
  const leafOf = (leafIndex: number) => leafAt(tree, leafIndex);
  const sender = { senderType: "member", leafIndex: 1 } as const;
  const freshKeys = () => ({
    senderDataSecret,
    secretTree: SecretTree.create(suite, 2, "", bytes(vector, "encryption_secret")),
  });
  const contents: readonly (readonly [
    name: string,
    content: Content,
    raw: (content: Content) => Bytes,
  ])[] = [
    [
      "proposal",
      { contentType: "proposal", proposal: decode(Proposal, bytes(vector, "proposal")) },
      (content) =>
        content.contentType === "proposal" ? encode(Proposal, content.proposal) : fail("type"),
    ],
    [
      "commit",
      { contentType: "commit", commit: decode(Commit, bytes(vector, "commit")) },
      (content) =>
        content.contentType === "commit" ? encode(Commit, content.commit) : fail("type"),
    ],
    [
      "application",
      { contentType: "application", applicationData: bytes(vector, "application") },
      (content) => (content.contentType === "application" ? content.applicationData : fail("type")),
    ],
  ];
  const framed = (content: Content) => ({
    groupId: groupContext.groupId,
    epoch: groupContext.epoch,
    sender,
    authenticatedData: new Uint8Array(0),
    content,
  });
  const confirmationTag = new Uint8Array(suite.nh);
  for (const [name, content, raw] of contents) {
    const expected = bytes(vector, name);
    const readBack = async (message: Bytes): Promise<void> => {
      const decoded = decodeMessage(message);
      if (decoded.wireFormat === "mls_public_message") {
        verifyMembershipTag(suite, membershipKey, decoded.publicMessage, context);
        const authenticated = readPublic(decoded.publicMessage);
        await verifyContent(suite, authenticated, leafOf, groupContext);
        same(raw(authenticated.content.content), expected, `public ${name}`);
      } else if (decoded.wireFormat === "mls_private_message") {
        const { privateMessage } = decoded;
        const opened = await unprotectPrivate(
          suite,
          freshKeys(),
          leafOf,
          privateMessage,
          undefined,
        );
        await verifyContent(suite, opened.authenticated, leafOf, groupContext);
        same(raw(opened.authenticated.content.content), expected, `private ${name}`);
      } else fail(`a ${decoded.wireFormat}`);
    };
    const protect = async (wireFormat: "mls_public_message" | "mls_private_message") => {
      const signed = await signContent(signer, wireFormat, framed(content), context);
      const tagged =
        name === "commit" ? { ...signed, auth: { ...signed.auth, confirmationTag } } : signed;
      if (wireFormat === "mls_public_message") {
        const publicMessage = protectPublic(suite, membershipKey, tagged, context);
        return encodeMessage({ wireFormat, publicMessage });
      }
      const { message } = await protectPrivate(suite, freshKeys(), tagged);
      return encodeMessage({ wireFormat, privateMessage: message });
    };
    await readBack(bytes(vector, `${name}_priv`));
    await readBack(await protect("mls_private_message"));
    if (name === "application") {
      const refused = await protect("mls_public_message").then(
        () => false,
        () => true,
      );
      if (!refused) fail("application data was protected as a PublicMessage");
    } else {
      await readBack(bytes(vector, `${name}_pub`));
      await readBack(await protect("mls_public_message"));
    }
  }
}

async function keySchedule(bench: Bench, vector: Case): Promise<void> {
  const suite = suiteFor(bench, vector);
  let init = bytes(vector, "initial_init_secret");
  for (const [epoch, expected] of list(vector, "epochs").entries()) {
    const context = encode(GroupContext, {
      version: MLS10,
      cipherSuite: suite.number,
      groupId: bytes(vector, "group_id"),
      epoch: BigInt(epoch),
      treeHash: bytes(expected, "tree_hash"),
      confirmedTranscriptHash: bytes(expected, "confirmed_transcript_hash"),
      extensions: [],
    });
    same(context, bytes(expected, "group_context"), "group_context");
    const psk = bytes(expected, "psk_secret");
    const joiner = joinerSecret(suite, init, bytes(expected, "commit_secret"), context);
    same(joiner, bytes(expected, "joiner_secret"), "joiner_secret");
    same(welcomeSecret(suite, joiner, psk), bytes(expected, "welcome_secret"), "welcome_secret");
    const { secrets, encryptionSecret } = epochSecrets(suite, joiner, psk, context);
    same(encryptionSecret, bytes(expected, "encryption_secret"), "encryption_secret");
    const names = {
      init_secret: secrets.initSecret,
      sender_data_secret: secrets.senderDataSecret,
      exporter_secret: secrets.exporterSecret,
      epoch_authenticator: secrets.epochAuthenticator,
      external_secret: secrets.externalSecret,
      confirmation_key: secrets.confirmationKey,
      membership_key: secrets.membershipKey,
      resumption_psk: secrets.resumptionPsk,
      external_pub: (await externalKeyPair(suite, secrets.externalSecret)).publicKey,
    };
    for (const [name, value] of Object.entries(names)) same(value, bytes(expected, name), name);
    const exporter = object(expected, "exporter");
    same(
      mlsExporter(
        suite,
        secrets.exporterSecret,
        text(exporter, "label"),
        bytes(exporter, "context"),
        number(exporter, "length"),
      ),
      bytes(exporter, "secret"),
      "exporter",
    );
    init = secrets.initSecret;
  }
}

async function preSharedKeys(bench: Bench, vector: Case): Promise<void> {
  const suite = suiteFor(bench, vector);
  const psks: Psk[] = list(vector, "psks").map((psk) => ({
    id: { pskType: "external", pskId: bytes(psk, "psk_id"), pskNonce: bytes(psk, "psk_nonce") },
    secret: bytes(psk, "psk"),
  }));
  same(pskSecret(suite, psks), bytes(vector, "psk_secret"), "psk_secret");
}

async function transcriptHashes(bench: Bench, vector: Case): Promise<void> {
  const suite = suiteFor(bench, vector);
  const authenticated = decode(AuthenticatedContent, bytes(vector, "authenticated_content"));
  const tag = authenticated.auth.confirmationTag ?? fail("no confirmation tag");
  const before = bytes(vector, "interim_transcript_hash_before");
  const confirmed = confirmedTranscriptHash(suite, before, authenticated);
  same(confirmed, bytes(vector, "confirmed_transcript_hash_after"), "confirmed_transcript_hash");
  same(
    interimTranscriptHash(suite, confirmed, tag),
    bytes(vector, "interim_transcript_hash_after"),
    "interim_transcript_hash",
  );
  same(
    confirmationTag(suite, bytes(vector, "confirmation_key"), confirmed),
    tag,
    "confirmation_tag",
  );
}

async function welcome(bench: Bench, vector: Case): Promise<void> {
  const suite = suiteFor(bench, vector);
  const { keyPackage } = decodeMessageOf(bytes(vector, "key_package"), "mls_key_package");
  const { welcome: message } = decodeMessageOf(bytes(vector, "welcome"), "mls_welcome");
  const keyPair = {
    privateKey: privateKeyOf(suite, vector, "init_priv"),
    publicKey: keyPackage.initKey,
  };
  const ref = keyPackageRef(suite, keyPackage);
  const { joinerSecret: joiner } = await openGroupSecrets(suite, message, ref, keyPair);
  const noPsk = new Uint8Array(suite.nh);
  const groupInfo = await openGroupInfo(suite, message, joiner, noPsk);
  await verifyGroupInfoBy(suite, groupInfo, bytes(vector, "signer_pub"));
  const context = encode(GroupContext, groupInfo.groupContext);
  const { secrets } = epochSecrets(suite, joiner, noPsk, context);
  const confirmed = groupInfo.groupContext.confirmedTranscriptHash;
  const tag = confirmationTag(suite, secrets.confirmationKey, confirmed);
  same(tag, groupInfo.confirmationTag, "confirmation_tag");
}

async function treeOperations(bench: Bench, vector: Case): Promise<void> {
  const suite = suiteFor(bench, vector);
  const before = await decodeRatchetTree(bytes(vector, "tree_before"));
  same(rootHash(suite, before), bytes(vector, "tree_hash_before"), "tree_hash_before");
  const proposal = decode(Proposal, bytes(vector, "proposal"));
  const applied = (): RatchetTree => {
    switch (proposal.proposalType) {
      case "add":
        return addLeaf(before, proposal.keyPackage.leafNode).tree;
      case "update":
        return updateLeaf(before, number(vector, "proposal_sender"), proposal.leafNode);
      case "remove":
        return removeLeaf(before, proposal.removed);
      case "psk":
      case "reinit":
      case "external_init":
      case "group_context_extensions":
      case "app_data_update":
      case "app_ephemeral":
      case "self_remove":
      case "other":
        return fail(`a proposal of type ${proposal.proposalType}`);
    }
  };
  const after = applied();
  same(encodeRatchetTree(after), bytes(vector, "tree_after"), "tree_after");
  same(rootHash(suite, after), bytes(vector, "tree_hash_after"), "tree_hash_after");
}

async function treeValidation(bench: Bench, vector: Case): Promise<void> {
  const suite = suiteFor(bench, vector);
  const tree = await decodeRatchetTree(bytes(vector, "tree"));
  const hashes = vector["tree_hashes"] as readonly string[];
  for (const [index, expected] of hashes.entries()) {
    same(treeHash(suite, nodeAt(tree, index)), fromHex(expected), `tree hash of ${index}`);
  }
  for (const [index, expected] of (
    vector["resolutions"] as readonly (readonly number[])[]
  ).entries()) {
    if (resolution(nodeAt(tree, index)).join() !== expected.join()) fail(`resolution of ${index}`);
  }
  await checkParentHashes(suite, tree);
  const groupId = bytes(vector, "group_id");
  for (const { leafIndex, leafNode } of membersOf(tree)) {
    await verifyLeafNode(suite, leafNode, { groupId, leafIndex });
  }
}

async function treekem(bench: Bench, vector: Case): Promise<void> {
  const suite = suiteFor(bench, vector);
  const tree = await decodeRatchetTree(bytes(vector, "ratchet_tree"));
  const groupId = bytes(vector, "group_id");
  const members = new Map<
    number,
    { readonly keys: PrivateKeys; readonly signaturePrivate: Bytes }
  >();
  for (const leaf of list(vector, "leaves_private")) {
    const leafIndex = number(leaf, "index");
    const shown = nodeAt(tree, 2 * leafIndex);
    const leafNode = shown.level === 0 && "leaf" in shown ? shown.leaf : undefined;
    const privateKey = privateKeyOf(suite, leaf, "encryption_priv");
    const publicKey = await publicKeyOf(suite, privateKey);
    same(publicKey, leafNode?.encryptionKey ?? fail("a blank leaf"), "the leaf's public key");
    const keys = new Map([[2 * leafIndex, { privateKey, publicKey }]]);
    for (const secret of list(leaf, "path_secrets")) {
      const index = number(secret, "node");
      const node = nodeAt(tree, index);
      const { path } = await derivePathSecrets(suite, bytes(secret, "path_secret"), [index]);
      const keyPair = path[0]?.keyPair ?? fail("no key pair");
      const shownKey = "parent" in node ? node.parent?.encryptionKey : undefined;
      same(
        keyPair.publicKey,
        shownKey ?? fail(`node ${index} is blank`),
        `the key of node ${index}`,
      );
      keys.set(index, keyPair);
    }
    members.set(leafIndex, { keys, signaturePrivate: privateKeyOf(suite, leaf, "signature_priv") });
  }
  const contextOf = (after: RatchetTree): Bytes =>
    encode(GroupContext, {
      version: MLS10,
      cipherSuite: suite.number,
      groupId,
      epoch: epochOf(vector),
      treeHash: rootHash(suite, after),
      confirmedTranscriptHash: bytes(vector, "confirmed_transcript_hash"),
      extensions: [],
    });
  const nobody: ReadonlySet<number> = new Set();
  const process = async (
    sender: number,
    path: UpdatePath,
    secrets: readonly unknown[] | undefined,
  ) => {
    const after = mergePath(suite, tree, sender, path, nobody);
    await checkParentHashes(suite, after);
    const received = { leafIndex: sender, path, added: nobody, groupContext: contextOf(after) };
    const commitSecrets: Bytes[] = [];
    for (const [leafIndex, { keys }] of members) {
      if (leafIndex === sender) continue;
      const opened = await decryptPath(suite, tree, received, { leafIndex, keys });
      const expected = secrets?.[leafIndex];
      if (typeof expected === "string") {
        same(opened.path[0]?.secret ?? fail("no path secret"), fromHex(expected), "path secret");
      }
      commitSecrets.push(opened.commitSecret);
    }
    return { after, commitSecrets };
  };
  for (const update of list(vector, "update_paths")) {
    const sender = number(update, "sender");
    const path = decode(UpdatePath, bytes(update, "update_path"));
    const given = await process(sender, path, update["path_secrets"] as readonly unknown[]);
    for (const secret of given.commitSecrets)
      same(secret, bytes(update, "commit_secret"), "commit_secret");
    same(rootHash(suite, given.after), bytes(update, "tree_hash_after"), "tree_hash_after");

    const { signaturePrivate } = members.get(sender) ?? fail("a sender without keys");
    const { signatureKey } = path.leafNode;
    const keyPair = { privateKey: signaturePrivate, publicKey: signatureKey };
    const signer = signerOf(bench.crypto, suite.signature, keyPair);
    const made = await createPath(suite, tree, sender, (encryptionKey, parentHash) =>
      signLeafNode(
        { ...path.leafNode, encryptionKey, source: { leafNodeSource: "commit", parentHash } },
        signer,
        { groupId, leafIndex: sender },
      ),
    );
    const own = await encryptPath(suite, tree, sender, made, nobody, contextOf(made.tree));
    const { commitSecrets } = await process(sender, own, undefined);
    for (const secret of commitSecrets) same(secret, made.commitSecret, "our own commit_secret");
  }
}

function roundTrip<T>(codec: Codec<T>, field: string): (vector: Case) => void {
  return (vector) => {
    const given = bytes(vector, field);
    same(encode(codec, decode(codec, given)), given, field);
  };
}

/** A proposal without the type that stands before it in a list. */
function proposalRoundTrip(type: number, field: string): (vector: Case) => void {
  return (vector) => {
    const given = Uint8Array.of(type >> 8, type & 0xff, ...bytes(vector, field));
    same(encode(Proposal, decode(Proposal, given)), given, field);
  };
}

function messageRoundTrip(field: string): (vector: Case) => void {
  return (vector) => {
    const given = bytes(vector, field);
    same(encodeMessage(decodeMessage(given)), given, field);
  };
}

const MESSAGES: readonly ((vector: Case) => void)[] = [
  ...["mls_welcome", "mls_group_info", "mls_key_package", "private_message"].map(messageRoundTrip),
  ...["application", "proposal", "commit"].map((type) =>
    messageRoundTrip(`public_message_${type}`),
  ),
  roundTrip(GroupSecrets, "group_secrets"),
  roundTrip(Commit, "commit"),
  proposalRoundTrip(1, "add_proposal"),
  proposalRoundTrip(2, "update_proposal"),
  proposalRoundTrip(3, "remove_proposal"),
  proposalRoundTrip(4, "pre_shared_key_proposal"),
  proposalRoundTrip(5, "re_init_proposal"),
  proposalRoundTrip(6, "external_init_proposal"),
  proposalRoundTrip(7, "group_context_extensions_proposal"),
];

async function messages(_: Bench, vector: Case): Promise<void> {
  for (const check of MESSAGES) check(vector);
  const tree = bytes(vector, "ratchet_tree");
  same(encodeRatchetTree(await decodeRatchetTree(tree)), tree, "ratchet_tree");
}

/** Whose credentials vectors use: everyone's. */
const ACCEPT_ALL_FOR_VECTORS: AuthenticationService = {
  validate: async () => undefined,
  isSuccessor: async () => true,
};

async function passiveClient(bench: Bench, vector: Case): Promise<void> {
  const suite = suiteFor(bench, vector);
  const psks = list(vector, "external_psks");
  const storage = memoryStorage();
  const context = {
    crypto: bench.crypto,
    storage,
    authentication: ACCEPT_ALL_FOR_VECTORS,
    now: () => 0,
    // The vectors' key packages last for ever.
    maxLifetime: 2n ** 64n,
    externalPsk: async (id: Bytes) => {
      const known = psks.find((psk) => bytesEqual(bytes(psk, "psk_id"), id));
      return known && bytes(known, "psk");
    },
  };
  const { keyPackage } = decodeMessageOf(bytes(vector, "key_package"), "mls_key_package");
  await storage.apply(
    privateKeyPackage(suite, keyPackage, {
      initKey: privateKeyOf(suite, vector, "init_priv"),
      encryptionKey: privateKeyOf(suite, vector, "encryption_priv"),
    }),
  );
  // It only listens. Whose private key it would be is recorded by each library in a form of its own.
  const signer = {
    publicKey: keyPackage.leafNode.signatureKey,
    sign: async () => fail("a passive client signs nothing"),
  };
  const ratchetTree = vector["ratchet_tree"] === null ? undefined : bytes(vector, "ratchet_tree");
  const group = await joinGroup(context, {
    welcome: bytes(vector, "welcome"),
    signer,
    ...(ratchetTree && { ratchetTree }),
  });
  same(
    group.epochAuthenticator,
    bytes(vector, "initial_epoch_authenticator"),
    "the first authenticator",
  );
  for (const [i, epoch] of list(vector, "epochs").entries()) {
    for (const proposal of epoch["proposals"] as readonly string[]) {
      await group.receive(fromHex(proposal));
    }
    await group.receive(bytes(epoch, "commit"));
    same(group.epochAuthenticator, bytes(epoch, "epoch_authenticator"), `authenticator ${i}`);
  }
}

/** Which check a case wants, by the fields it has. */
const KINDS: readonly {
  readonly name: string;
  readonly fields: readonly string[];
  readonly check: Check;
}[] = [
  { name: "tree-math", fields: ["n_leaves", "sibling"], check: treeMath },
  { name: "crypto-basics", fields: ["ref_hash", "encrypt_with_label"], check: cryptoBasics },
  { name: "deserialization", fields: ["vlbytes_header", "length"], check: deserialization },
  { name: "secret-tree", fields: ["encryption_secret", "leaves"], check: secretTree },
  {
    name: "message-protection",
    fields: ["membership_key", "application_priv"],
    check: messageProtection,
  },
  { name: "key-schedule", fields: ["initial_init_secret", "epochs"], check: keySchedule },
  { name: "psk-secret", fields: ["psks", "psk_secret"], check: preSharedKeys },
  {
    name: "transcript-hashes",
    fields: ["authenticated_content", "confirmation_key"],
    check: transcriptHashes,
  },
  { name: "welcome", fields: ["signer_pub", "init_priv"], check: welcome },
  { name: "tree-operations", fields: ["tree_before", "proposal_sender"], check: treeOperations },
  { name: "tree-validation", fields: ["tree_hashes", "resolutions"], check: treeValidation },
  { name: "treekem", fields: ["leaves_private", "update_paths"], check: treekem },
  { name: "messages", fields: ["mls_welcome", "private_message"], check: messages },
  {
    name: "passive-client",
    fields: ["initial_epoch_authenticator", "epochs"],
    check: passiveClient,
  },
];

/** The kind of vectors that a case belongs to, or undefined. */
export function kindOf(vector: Case): { readonly name: string; readonly check: Check } | undefined {
  return KINDS.find(({ fields }) => fields.every((field) => field in vector));
}

/** Reads a file of vectors; epochs keep all their 64 bits. Throws `SyntaxError`. */
export function parseVectors(json: string): readonly Case[] {
  const parsed: unknown = JSON.parse(
    json,
    function (this: unknown, key: string, value: unknown, ...rest: readonly unknown[]) {
      const [context] = rest as readonly [{ readonly source?: string }?];
      return key === "epoch" && typeof value === "number" && context?.source
        ? BigInt(context.source)
        : value;
    },
  );
  return Array.isArray(parsed) ? (parsed as readonly Case[]) : [];
}
