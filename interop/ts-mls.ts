/**
 * Members that run on `ts-mls`, by its public interface. What it does otherwise than RFC 9420 says is in README.md.
 * @module
 */

import { ECDH } from "node:crypto";
import { type Bytes, RequiredCapabilities } from "@conclave/mls";
import {
  opaque,
  decode as read,
  struct,
  uint8,
  uint16,
  uint32,
  vector,
  encode as write,
} from "@conclave/mls/codec";
import * as ts from "ts-mls";
import {
  type Change,
  type Client,
  hex,
  type Library,
  lifetime,
  type Member,
  type RawExtension,
  type Setting,
  utf8,
} from "./member.ts";

export const tsMls: Library = {
  name: "ts-mls",
  can: new Set(),
  refusesTree: (cause) =>
    cause instanceof ts.ValidationError && cause.message.includes("in its unmerged_leaves"),
  client,
};

const REQUIRED_CAPABILITIES = 3;
const RATCHET_TREE = 2;
const EXTERNAL_PUB = 4;

/** A copy whose buffer is its own. */
function copy(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes);
}

function message(bytes: Bytes): ts.MlsMessage {
  const decoded = ts.decode(ts.mlsMessageDecoder, bytes);
  if (!decoded) throw new Error("ts-mls can't read this message");
  return decoded;
}

function onWire(made: ts.MlsMessage): Bytes {
  return copy(ts.encode(ts.mlsMessageEncoder, made));
}

function contextExtension({
  extensionType,
  extensionData,
}: RawExtension): ts.GroupContextExtension {
  if (extensionType === REQUIRED_CAPABILITIES) {
    const { extensionTypes, proposalTypes, credentialTypes } = read(
      RequiredCapabilities,
      extensionData,
    );
    return {
      extensionType,
      extensionData: {
        extensionTypes: [...extensionTypes],
        proposalTypes: [...proposalTypes],
        credentialTypes: [...credentialTypes],
      },
    };
  }
  return ts.makeCustomExtension({ extensionType, extensionData });
}

async function client(name: string, setting: Setting): Promise<Client> {
  const cipherSuite = await implementationOf(setting.suite);
  const context: ts.MlsContext = {
    cipherSuite,
    authService: ts.unsafeTestingAuthenticationService,
    externalPsks: Object.fromEntries(
      [...setting.psks].map(([id, secret]) => [ts.bytesToBase64(unhex(id)), secret]),
    ),
  };
  const signatureKeyPair = await signatureKeys(cipherSuite);
  const generate = (implementation = cipherSuite) =>
    ts.generateKeyPackageWithKey({
      credential: { credentialType: ts.defaultCredentialTypes.basic, identity: utf8(name) },
      // Values of GREASE (§13.5) in each list, others than in the other library's leaves.
      capabilities: {
        versions: [ts.protocolVersions.mls10],
        ciphersuites: [...Object.values(ts.ciphersuites), 0xaaaa],
        extensions: [...setting.extensions, 0xbaba],
        proposals: [0xcaca],
        credentials: [1, 2, 0xdada],
      },
      lifetime: lifetime(),
      signatureKeyPair,
      cipherSuite: implementation,
    });
  const packages = new Map<string, Awaited<ReturnType<typeof generate>>>();
  const self: Client = {
    library: tsMls,
    name,
    keyPackage: async (wanted = setting.suite) => {
      const implementation = await implementationOf(wanted);
      const made = await generate(implementation);
      const ref = await ts.makeKeyPackageRef(made.publicPackage, implementation.hash);
      packages.set(hex(ref), made);
      return onWire({
        version: ts.protocolVersions.mls10,
        wireformat: ts.wireformats.mls_key_package,
        keyPackage: made.publicPackage,
      });
    },
    create: async ({ groupId, extensions = [] }) => {
      const { publicPackage, privatePackage } = await generate();
      const state = await ts.createGroup({
        context,
        groupId,
        keyPackage: publicPackage,
        privateKeyPackage: privatePackage,
        extensions: extensions.map(contextExtension),
      });
      return member(self, context, state);
    },
    join: async (welcome, { tree, former } = {}) => {
      const decoded = message(welcome);
      if (decoded.wireformat !== ts.wireformats.mls_welcome) throw new Error("no Welcome");
      const refs = decoded.welcome.secrets.map(({ newMember }) => hex(newMember));
      const found = refs.map((ref) => packages.get(ref)).find((one) => one !== undefined);
      if (!found) throw new Error("a Welcome for somebody else");
      const joined = {
        ...context,
        cipherSuite: await implementationOf(decoded.welcome.cipherSuite),
      };
      const options = {
        context: joined,
        welcome: decoded.welcome,
        keyPackage: found.publicPackage,
        ...(tree && { ratchetTree: await readTree(context, tree) }),
      };
      if (!former) {
        const state = await ts.joinGroup({ ...options, privateKeys: found.privatePackage });
        return member(self, joined, state);
      }
      const known = stateOf(former);
      const linked = { ...options, privateKeyPackage: found.privatePackage };
      const state =
        known.groupActiveState.kind === "suspendedPendingReinit"
          ? await ts.joinGroupFromReinit({ ...linked, suspendedState: known })
          : await ts.joinGroupFromBranch({ ...linked, oldState: known });
      return member(self, joined, state);
    },
    enter: async (groupInfo, { tree, resync } = {}) => {
      const decoded = message(groupInfo);
      if (decoded.wireformat !== ts.wireformats.mls_group_info) throw new Error("no GroupInfo");
      const { publicPackage, privatePackage } = await generate();
      const { hpke } = cipherSuite;
      const { extensionData: externalPub } =
        decoded.groupInfo.extensions.find(({ extensionType }) => extensionType === EXTERNAL_PUB) ??
        {};
      const importPublicKey: typeof hpke.importPublicKey = (key) =>
        hpke.importPublicKey(key === externalPub ? read(opaque, key) : key);
      const { publicMessage, newState } = await ts.joinGroupExternal({
        // It takes the extension's bytes for the key itself: here is where the key comes out of its vector.
        context: {
          ...context,
          cipherSuite: { ...cipherSuite, hpke: { ...hpke, importPublicKey } },
        },
        groupInfo: decoded.groupInfo,
        keyPackage: publicPackage,
        privateKeys: privatePackage,
        resync: resync !== undefined,
        ...(tree && { tree: await readTree(context, tree) }),
      });
      const commit = onWire({
        version: ts.protocolVersions.mls10,
        wireformat: ts.wireformats.mls_public_message,
        publicMessage,
      });
      return { member: member(self, context, newState), commit };
    },
    link: async (former, { how, groupId, suite, keyPackages }) => {
      const linked = { ...context, cipherSuite: await implementationOf(suite) };
      const { publicPackage, privatePackage } = await generate(linked.cipherSuite);
      const options = {
        context: linked,
        state: stateOf(former),
        keyPackage: publicPackage,
        privateKeyPackage: privatePackage,
        memberKeyPackages: keyPackages.map(keyPackage),
      };
      const { newState, welcome } =
        how === "reinit"
          ? await ts.reinitCreateNewGroup({ ...options, groupId, cipherSuite: nameOf(suite) })
          : await ts.branchGroup({ ...options, newGroupId: groupId });
      if (!welcome) throw new Error("nobody comes along");
      return { member: member(self, linked, newState), welcome: onWire(welcome) };
    },
    ask: async (groupInfo) => {
      const decoded = message(groupInfo);
      if (decoded.wireformat !== ts.wireformats.mls_group_info) throw new Error("no GroupInfo");
      const made = await generate();
      const ref = await ts.makeKeyPackageRef(made.publicPackage, cipherSuite.hash);
      packages.set(hex(ref), made);
      return onWire(
        await ts.proposeAddExternal(
          decoded.groupInfo,
          made.publicPackage,
          made.privatePackage,
          cipherSuite,
        ),
      );
    },
  };
  return self;
}

/** The curves of ECDSA, by suite. */
const CURVES: ReadonlyMap<number, string> = new Map([
  [2, "prime256v1"],
  [5, "secp521r1"],
  [7, "secp384r1"],
]);

/** Its ECDSA keys come as compressed points; in MLS they are uncompressed (§5.1.1). */
async function signatureKeys(implementation: ts.CiphersuiteImpl): Promise<ts.SignatureKeyPair> {
  const made = await implementation.signature.keygen();
  const curve = CURVES.get(implementation.id);
  if (!curve) return made;
  const point = String(ECDH.convertKey(made.publicKey, curve, undefined, "hex"));
  return { ...made, publicKey: unhex(point) };
}

/** What a member of this library holds. */
const states = new WeakMap<Member, () => ts.ClientState>();
function stateOf(of: Member): ts.ClientState {
  const state = states.get(of)?.();
  if (!state) throw new Error("a member of another library");
  return state;
}

function implementationOf(suite: number): Promise<ts.CiphersuiteImpl> {
  return ts.getCiphersuiteImpl(nameOf(suite));
}

function nameOf(suite: number): ts.CiphersuiteName {
  const names = Object.keys(ts.ciphersuites) as ts.CiphersuiteName[];
  const found = names.find((name) => ts.ciphersuites[name] === suite);
  if (!found) throw new Error(`no suite ${suite}`);
  return found;
}

function keyPackage(bytes: Bytes): ts.KeyPackage {
  const decoded = message(bytes);
  if (decoded.wireformat !== ts.wireformats.mls_key_package) throw new Error("no key package");
  return decoded.keyPackage;
}

function unhex(digits: string): Bytes {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** The tree of a state on the wire, by the one door there is: a GroupInfo that carries it. */
async function writeTree(context: ts.MlsContext, state: ts.ClientState): Promise<Bytes> {
  const groupInfo = await ts.createGroupInfoWithExternalPubAndRatchetTree(
    state,
    [],
    context.cipherSuite,
  );
  const inside = groupInfo.extensions.find(({ extensionType }) => extensionType === RATCHET_TREE);
  if (!inside) throw new Error("no tree");
  return copy(inside.extensionData);
}

/** A tree from the wire: ts-mls reads one only as part of a state, so it is read in the place of another. */
async function readTree(context: ts.MlsContext, tree: Bytes): Promise<ts.RatchetTree> {
  const made = await ts.generateKeyPackage({
    credential: { credentialType: ts.defaultCredentialTypes.basic, identity: utf8("nobody") },
    cipherSuite: context.cipherSuite,
  });
  const state = await ts.createGroup({
    context,
    groupId: utf8("nowhere"),
    keyPackage: made.publicPackage,
    privateKeyPackage: made.privatePackage,
  });
  const whole = ts.encode(ts.clientStateEncoder, state);
  const secrets = ts.encode(ts.groupStateEncoder, state);
  const other = await writeTree(context, state);
  const before = whole.subarray(0, whole.length - secrets.length - other.length);
  const exchanged = ts.decode(
    ts.clientStateDecoder,
    new Uint8Array([...before, ...tree, ...secrets]),
  );
  if (!exchanged) throw new Error("ts-mls can't read this tree");
  return exchanged.ratchetTree;
}

/** §7.2 `LeafNodeTBS` of a basic credential and of source `update`; ts-mls has no operation that makes an Update. */
const UpdateLeafTBS = struct<{
  readonly encryptionKey: Bytes;
  readonly signatureKey: Bytes;
  readonly credentialType: number;
  readonly identity: Bytes;
  readonly versions: readonly number[];
  readonly cipherSuites: readonly number[];
  readonly extensionTypes: readonly number[];
  readonly proposals: readonly number[];
  readonly credentials: readonly number[];
  readonly leafNodeSource: number;
  readonly extensions: readonly number[];
  readonly groupId: Bytes;
  readonly leafIndex: number;
}>({
  encryptionKey: opaque,
  signatureKey: opaque,
  credentialType: uint16,
  identity: opaque,
  versions: vector(uint16),
  cipherSuites: vector(uint16),
  extensionTypes: vector(uint16),
  proposals: vector(uint16),
  credentials: vector(uint16),
  leafNodeSource: uint8,
  extensions: vector(uint8),
  groupId: opaque,
  leafIndex: uint32,
});

/** `SignWithLabel` (§5.1.2). */
const SignContent = struct<{ readonly label: Bytes; readonly content: Bytes }>({
  label: opaque,
  content: opaque,
});

async function signWithLabel(
  context: ts.MlsContext,
  state: ts.ClientState,
  label: string,
  content: Bytes,
): Promise<Uint8Array> {
  const signed = write(SignContent, { label: utf8(`MLS 1.0 ${label}`), content });
  return context.cipherSuite.signature.sign(state.signaturePrivateKey, signed);
}

/** A GroupInfo with the key of `external_pub` in a vector, where ts-mls leaves its bytes bare, and so signed again. */
async function writeGroupInfo(
  context: ts.MlsContext,
  state: ts.ClientState,
  tree: boolean,
): Promise<Bytes> {
  const make = tree
    ? ts.createGroupInfoWithExternalPubAndRatchetTree
    : ts.createGroupInfoWithExternalPub;
  const made = await make(state, [], context.cipherSuite);
  const extensions = made.extensions.map((extension) =>
    extension.extensionType === ts.defaultExtensionTypes.external_pub
      ? { ...extension, extensionData: write(opaque, copy(extension.extensionData)) }
      : extension,
  );
  const groupInfo = { ...made, extensions, signature: new Uint8Array() };
  const head = { version: ts.protocolVersions.mls10, wireformat: ts.wireformats.mls_group_info };
  // Between the head of an MLSMessage and an empty signature stands GroupInfoTBS.
  const content = onWire({ ...head, groupInfo }).slice(4, -1);
  const signature = await signWithLabel(context, state, "GroupInfoTBS", content);
  return onWire({ ...head, groupInfo: { ...groupInfo, signature } });
}

async function updatedLeaf(context: ts.MlsContext, state: ts.ClientState) {
  const { hpke } = context.cipherSuite;
  const keyPair = await hpke.generateKeyPair();
  const { capabilities, credential, signaturePublicKey } = ts.getOwnLeafNode(state);
  if (!("identity" in credential)) throw new Error("no basic credential");
  const encryptionKey = await hpke.exportPublicKey(keyPair.publicKey);
  const content = write(UpdateLeafTBS, {
    encryptionKey: copy(encryptionKey),
    signatureKey: copy(signaturePublicKey),
    credentialType: credential.credentialType,
    identity: copy(credential.identity),
    versions: capabilities.versions,
    cipherSuites: capabilities.ciphersuites,
    extensionTypes: capabilities.extensions,
    proposals: capabilities.proposals,
    credentials: capabilities.credentials,
    leafNodeSource: ts.leafNodeSources.update,
    extensions: [],
    groupId: copy(state.groupContext.groupId),
    leafIndex: state.privatePath.leafIndex,
  });
  const leafNode: ts.LeafNodeUpdate = {
    hpkePublicKey: encryptionKey,
    signaturePublicKey,
    credential,
    capabilities,
    leafNodeSource: ts.leafNodeSources.update,
    extensions: [],
    signature: await signWithLabel(context, state, "LeafNodeTBS", content),
  };
  return { leafNode, privateKey: await hpke.exportPrivateKey(keyPair.privateKey) };
}

function member(of: Client, context: ts.MlsContext, begun: ts.ClientState): Member {
  const { cipherSuite } = context;
  let state = begun;
  let pending: ts.ClientState | undefined;
  /** The private key of an Update of ours that is not committed yet. */
  let updated: Uint8Array | undefined;
  const { kdf, rng } = cipherSuite;

  const proposal = (change: Change): ts.Proposal => {
    const pskNonce = rng.randomBytes(kdf.size);
    switch (change.type) {
      case "add":
        return {
          proposalType: ts.defaultProposalTypes.add,
          add: { keyPackage: keyPackage(change.keyPackage) },
        };
      case "remove":
        return {
          proposalType: ts.defaultProposalTypes.remove,
          remove: { removed: change.leaf },
        };
      case "psk":
        return {
          proposalType: ts.defaultProposalTypes.psk,
          psk: { preSharedKeyId: { psktype: ts.pskTypes.external, pskId: change.id, pskNonce } },
        };
      case "resumption":
        return {
          proposalType: ts.defaultProposalTypes.psk,
          psk: {
            preSharedKeyId: {
              psktype: ts.pskTypes.resumption,
              usage: ts.resumptionPSKUsages.application,
              pskGroupId: state.groupContext.groupId,
              pskEpoch: change.epoch,
              pskNonce,
            },
          },
        };
      case "extensions":
        return {
          proposalType: ts.defaultProposalTypes.group_context_extensions,
          groupContextExtensions: { extensions: change.extensions.map(contextExtension) },
        };
      case "reinit":
        return {
          proposalType: ts.defaultProposalTypes.reinit,
          reinit: {
            groupId: change.groupId,
            version: ts.protocolVersions.mls10,
            cipherSuite: change.suite,
            extensions: [],
          },
        };
    }
  };

  /** ts-mls looks for our private key in the leaf's place, so that of an Update goes there when it is committed. */
  const withUpdate = (): ts.ClientState => {
    if (!updated) return state;
    const { privatePath } = state;
    const privateKeys = { ...privatePath.privateKeys, [2 * privatePath.leafIndex]: updated };
    return { ...state, privatePath: { ...privatePath, privateKeys } };
  };

  const update = async (): Promise<ts.Proposal> => {
    const { leafNode, privateKey } = await updatedLeaf(context, state);
    updated = privateKey;
    return { proposalType: ts.defaultProposalTypes.update, update: { leafNode } };
  };

  const self: Member = {
    client: of,
    leaf: () => state.privatePath.leafIndex,
    epoch: () => state.groupContext.epoch,
    leaves: () =>
      state.ratchetTree.flatMap((node, index) =>
        node?.nodeType === ts.nodeTypes.leaf ? [index / 2] : [],
      ),
    authenticator: () => copy(state.keySchedule.epochAuthenticator),
    exportSecret: async (label, exporterContext, length) => {
      const { exporterSecret } = state.keySchedule;
      return copy(
        await ts.mlsExporter(exporterSecret, label, exporterContext, length, cipherSuite),
      );
    },
    tree: () => writeTree(context, state),
    groupInfo: ({ tree }) => writeGroupInfo(context, state, tree),
    send: async (data, authenticatedData = new Uint8Array()) => {
      const made = await ts.createApplicationMessage({
        context,
        state,
        message: data,
        authenticatedData,
      });
      state = made.newState;
      return onWire(made.message);
    },
    propose: async (change, wire) => {
      const made = await ts.createProposal({
        context,
        state,
        wireAsPublicMessage: wire === "public",
        proposal: change.type === "update" ? await update() : proposal(change),
      });
      state = made.newState;
      return onWire(made.message);
    },
    commit: async (changes, { wire, tree = false }) => {
      const made = await ts.createCommit({
        context,
        state,
        wireAsPublicMessage: wire === "public",
        ratchetTreeExtension: tree,
        extraProposals: changes.map(proposal),
      });
      pending = made.newState;
      return { commit: onWire(made.commit), welcome: made.welcome && onWire(made.welcome) };
    },
    accept: async () => {
      if (!pending) throw new Error("no commit of ours");
      state = pending;
      pending = undefined;
      updated = undefined;
    },
    receive: async (bytes) => {
      const decoded = message(bytes);
      const before = state;
      const own = before.privatePath.leafIndex;
      let removed = false;
      // A commit that removes us has no path secret for us, and it would look for one all the same: that is all we need to hear.
      const callback: ts.IncomingMessageCallback = (incoming) => {
        removed = incoming.kind === "commit" && incoming.proposals.some((one) => removes(one, own));
        return removed ? "reject" : "accept";
      };
      // `processMessage` would leave out the external PSKs where a commit is private.
      const given = { context, state: withUpdate(), callback };
      if (decoded.wireformat === ts.wireformats.mls_private_message) {
        const { privateMessage } = decoded;
        const result = await ts.processPrivateMessage({ ...given, privateMessage });
        state = result.newState;
        if (result.kind === "applicationMessage") {
          state = { ...state, privatePath: before.privatePath };
          const { message: data, aad } = result;
          return { type: "application", data: copy(data), authenticatedData: copy(aad) };
        }
      } else if (decoded.wireformat === ts.wireformats.mls_public_message) {
        const { publicMessage } = decoded;
        state = (await ts.processPublicMessage({ ...given, publicMessage })).newState;
      } else throw new Error("no message of a group");
      if (removed) return { type: "commit", removed };
      if (state.groupContext.epoch === before.groupContext.epoch) {
        state = { ...state, privatePath: before.privatePath };
        return { type: "proposal" };
      }
      updated = undefined;
      pending = undefined;
      return { type: "commit", removed };
    },
  };
  states.set(self, () => state);
  return self;
}

function removes({ proposal }: ts.ProposalWithSender, leaf: number): boolean {
  return "remove" in proposal && proposal.remove.removed === leaf;
}
