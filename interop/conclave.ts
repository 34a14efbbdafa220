/**
 * Members that run on `@conclave/mls`.
 * @module
 */

import {
  createGroup,
  createKeyPackage,
  defaultCapabilities,
  EXTENSION,
  type Group,
  joinExternally,
  joinGroup,
  loadGroup,
  type MlsContext,
  memoryStorage,
  type Proposal,
  readGroupInfo,
  readKeyPackage,
  SUITES,
  signerOf,
  suiteOf,
} from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import {
  type Change,
  type Client,
  hex,
  type Library,
  lifetime,
  type Member,
  type Setting,
  utf8,
  type Wire,
} from "./member.ts";

export const conclave: Library = {
  name: "conclave",
  can: new Set([
    "commit an Update",
    "commit one Remove",
    "commit an Add beside Removes",
    "commit extensions",
    "commit a resumption PSK",
  ]),
  refusesTree: () => false,
  client,
};

async function client(name: string, setting: Setting): Promise<Client> {
  const suite = SUITES.get(setting.suite);
  if (!suite) throw new Error(`no suite ${setting.suite}`);
  const keyPair = await nodeCrypto.generateSignatureKeyPair(suite.signature);
  /** How the next handshake message travels; a test changes it between two of them. */
  const handshakes: { send: Wire } = { send: "public" };
  const context: MlsContext = {
    handshakes,
    crypto: nodeCrypto,
    storage: memoryStorage(),
    // Who the others are is no question of these tests.
    authentication: { validate: async () => undefined, isSuccessor: async () => true },
    now: () => Date.now(),
    externalPsk: async (id) => setting.psks.get(hex(id)),
  };
  const signer = signerOf(nodeCrypto, suite.signature, keyPair);
  const joiner = {
    credential: { credentialType: "basic", identity: utf8(name) } as const,
    signer,
    // Both libraries' credentials, and a value of GREASE (§13.5) in each list.
    capabilities: defaultCapabilities(nodeCrypto, {
      cipherSuites: [setting.suite, 0x1a1a],
      extensions: [...setting.extensions, 0x2a2a],
      proposals: [0x3a3a],
      credentials: [1, 2, 0x4a4a],
    }),
  };
  const own: Client = {
    library: conclave,
    name,
    keyPackage: async () => {
      const options = { ...joiner, suite: setting.suite, lifetime: lifetime() };
      return (await createKeyPackage(context, options)).keyPackage;
    },
    create: async (options) => {
      const made = { ...joiner, ...options, suite: setting.suite, lifetime: lifetime() };
      return member(own, await createGroup(context, made), handshakes);
    },
    join: async (welcome, tree) => {
      const options = { welcome, signer, ...(tree && { ratchetTree: tree }) };
      return member(own, await joinGroup(context, options), handshakes);
    },
    enter: async (groupInfo, { tree, resync } = {}) => {
      if (resync !== undefined) {
        const { groupId } = readGroupInfo(groupInfo).groupContext;
        await (await loadGroup(context, { groupId, signer }))?.remove();
      }
      const { group, bundle } = await joinExternally(context, {
        ...joiner,
        groupInfo,
        ...(tree && { ratchetTree: tree }),
        ...(resync !== undefined && { resync }),
      });
      await group.confirm();
      return { member: member(own, group, handshakes), commit: bundle.commit };
    },
  };
  return own;
}

function member(of: Client, group: Group, handshakes: { send: Wire }): Member {
  const { groupId } = group;
  const nonceSize = suiteOf(nodeCrypto, group.suite).nh;
  const proposal = (change: Change): Proposal => {
    const pskNonce = nodeCrypto.random(nonceSize);
    switch (change.type) {
      case "add":
        return { proposalType: "add", keyPackage: readKeyPackage(change.keyPackage) };
      case "remove":
        return { proposalType: "remove", removed: change.leaf };
      case "psk":
        return { proposalType: "psk", psk: { pskType: "external", pskId: change.id, pskNonce } };
      case "resumption":
        return {
          proposalType: "psk",
          psk: {
            pskType: "resumption",
            usage: "application",
            pskGroupId: groupId,
            pskEpoch: change.epoch,
            pskNonce,
          },
        };
      case "extensions":
        return { proposalType: "group_context_extensions", extensions: change.extensions };
    }
  };
  return {
    client: of,
    leaf: () => group.ownLeafIndex,
    epoch: () => group.epoch,
    leaves: () => group.members().map(({ leafIndex }) => leafIndex),
    authenticator: () => group.epochAuthenticator,
    exportSecret: async (label, context, length) => group.exportSecret(label, context, length),
    tree: async () => group.ratchetTree(),
    groupInfo: async ({ tree }) => {
      const inside = { extensionType: EXTENSION.ratchetTree, extensionData: group.ratchetTree() };
      return group.groupInfo({ externalPub: true, extensions: tree ? [inside] : [] });
    },
    send: (data, authenticatedData) =>
      group.send(data, authenticatedData ? { authenticatedData } : {}),
    propose: (change, wire) => {
      handshakes.send = wire;
      return change.type === "update" ? group.proposeUpdate() : group.propose(proposal(change));
    },
    commit: async (changes, { wire }) => {
      handshakes.send = wire;
      const { commit, welcome } = await group.commit({ proposals: changes.map(proposal) });
      return { commit, welcome };
    },
    accept: async () => {
      const pending = group.pendingCommit;
      if (!pending) throw new Error("no commit of ours");
      await group.receive(pending.commit);
    },
    receive: async (message) => {
      const received = await group.receive(message);
      switch (received.type) {
        case "application": {
          const { data, authenticatedData } = received;
          return { type: "application", data, authenticatedData };
        }
        case "proposal":
          return { type: "proposal" };
        case "commit":
          return { type: "commit", removed: received.removed };
      }
    },
  };
}
