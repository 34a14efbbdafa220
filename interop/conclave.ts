/**
 * Members that run on `@conclave/mls`.
 * @module
 */

import {
  branchGroup,
  createGroup,
  createKeyPackage,
  defaultCapabilities,
  type Group,
  joinExternally,
  joinGroup,
  loadGroup,
  type MlsContext,
  memoryStorage,
  type Proposal,
  proposeToJoin,
  readGroupInfo,
  readKeyPackage,
  reinitializeGroup,
  signerOf,
  suiteOf,
} from "@conclave/mls";
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
import { crypto } from "./suites.ts";

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

/** How the next handshake message travels, and where joiners find the tree: a test changes its mind between two of them. */
interface Wishes {
  wire: Wire;
  tree: "inside" | "beside";
}

async function client(name: string, setting: Setting): Promise<Client> {
  const suite = crypto.suites.get(setting.suite);
  if (!suite) throw new Error(`no suite ${setting.suite}`);
  const keyPair = await crypto.generateSignatureKeyPair(suite.signature);
  const wishes: Wishes = { wire: "public", tree: "beside" };
  const context: MlsContext = {
    handshakes: {
      get send() {
        return wishes.wire;
      },
    },
    get ratchetTree() {
      return wishes.tree;
    },
    crypto,
    storage: memoryStorage(),
    // Who the others are is no question of these tests.
    authentication: { validate: async () => undefined, isSuccessor: async () => true },
    now: () => Date.now(),
    externalPsk: async (id) => setting.psks.get(hex(id)),
  };
  const signer = signerOf(crypto, suite.signature, keyPair);
  const joiner = {
    credential: { credentialType: "basic", identity: utf8(name) } as const,
    signer,
    // Both libraries' credentials, and a value of GREASE (§13.5) in each list.
    capabilities: defaultCapabilities(crypto, {
      cipherSuites: [...crypto.suites.keys(), 0x1a1a],
      extensions: [...setting.extensions, 0x2a2a],
      proposals: [0x3a3a],
      credentials: [1, 2, 0x4a4a],
    }),
  };
  const own: Client = {
    library: conclave,
    name,
    keyPackage: async (wanted = setting.suite) => {
      const options = { ...joiner, suite: wanted, lifetime: lifetime() };
      return (await createKeyPackage(context, options)).keyPackage;
    },
    create: async (options) => {
      const made = { ...joiner, ...options, suite: setting.suite, lifetime: lifetime() };
      return member(own, await createGroup(context, made), wishes);
    },
    join: async (welcome, { tree } = {}) => {
      const options = { welcome, signer, ...(tree && { ratchetTree: tree }) };
      return member(own, await joinGroup(context, options), wishes);
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
      return { member: member(own, group, wishes), commit: bundle.commit };
    },
    link: async (former, { how, groupId, keyPackages }) => {
      const { groupId: from } = readGroupInfo(await former.groupInfo({ tree: false })).groupContext;
      const options = { ...joiner, from: { groupId: from }, keyPackages, lifetime: lifetime() };
      const { group, bundle } =
        how === "reinit"
          ? await reinitializeGroup(context, options)
          : await branchGroup(context, { ...options, groupId });
      await group.receive(bundle.commit);
      if (!bundle.welcome) throw new Error("nobody comes along");
      return { member: member(own, group, wishes), welcome: bundle.welcome };
    },
    ask: async (groupInfo) => {
      const { groupContext: to } = readGroupInfo(groupInfo);
      return proposeToJoin({ to, keyPackage: await own.keyPackage(), signer });
    },
  };
  return own;
}

function member(of: Client, group: Group, wishes: Wishes): Member {
  const { groupId } = group;
  const nonceSize = suiteOf(crypto, group.suite).nh;
  const proposal = (change: Change): Proposal => {
    const pskNonce = crypto.random(nonceSize);
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
      case "reinit":
        return {
          proposalType: "reinit",
          groupId: change.groupId,
          version: 1,
          cipherSuite: change.suite,
          extensions: [],
        };
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
    groupInfo: ({ tree }) =>
      group.groupInfo({ externalPub: true, ratchetTree: tree ? "inside" : "beside" }),
    send: (data, authenticatedData) =>
      group.send(data, authenticatedData ? { authenticatedData } : {}),
    propose: (change, wire) => {
      wishes.wire = wire;
      return change.type === "update" ? group.proposeUpdate() : group.propose(proposal(change));
    },
    commit: async (changes, { wire, tree = false }) => {
      wishes.wire = wire;
      wishes.tree = tree ? "inside" : "beside";
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
