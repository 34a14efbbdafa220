/**
 * Hostile messages to live groups: bytes changed on the way, and what members with the right keys make who keep to no rule.
 * Each ends in a value or an `MlsError`; after a refusal state and storage are as they were; and whatever was taken, an honest member can go on.
 */

import {
  type Group,
  joinExternally,
  joinGroup,
  loadGroup,
  MlsError,
  memoryStorage,
  readKeyPackage,
  type Storage,
  webCrypto,
} from "@conclave/mls";
import {
  type Bytes,
  type Codec,
  decode,
  encode,
  opaque,
  struct,
  uint8,
  uint64,
} from "@conclave/mls/codec";
import { PublicGroup, validateKeyPackage } from "@conclave/mls/public-group";
import fc from "fast-check";
import { EMPTY } from "../../src/bytes.ts";
import type { Content } from "../../src/framing/content.ts";
import { decodeMessage, encodeMessage } from "../../src/framing/message.ts";
import { senderDataKey } from "../../src/framing/private-message.ts";
import { Commit, Proposal } from "../../src/framing/proposal.ts";
import { GroupContext } from "../../src/key/group-context.ts";
import { GroupInfo, GroupSecrets, signGroupInfo } from "../../src/key/group-info.ts";
import { KeyPackage } from "../../src/key/key-package.ts";
import { LeafNode } from "../../src/tree/leaf-node.ts";
import {
  decodeRatchetTree,
  encodeRatchetTree,
  type RatchetTree,
} from "../../src/tree/ratchet-tree.ts";
import { rootHash } from "../../src/tree/tree-hash.ts";
import { UpdatePath } from "../../src/tree/update-path.ts";
import * as arbitrary from "../arbitrary.ts";
import {
  forgeCommit,
  forgeKeyPackage,
  forgePrivate,
  forgePublic,
  forgeUpdate,
  forgeWelcome,
  type Inside,
  inside,
} from "../forge.ts";
import {
  addProposal,
  hex,
  keyPackageOf,
  type Person,
  person,
  persons,
  room,
  utf8,
} from "../people.ts";
import { hostile, mutated } from "./mutation.ts";
import { Random } from "./random.ts";

const ROOM = utf8("room");
const ATTACKER = 1;
const SECRET = utf8("shared");

/** A value that is encoded almost as this one. */
function reshaped<T>(random: Random, codec: Codec<T>, value: T): T {
  const bytes = encode(codec, value);
  for (let i = 0; i < 40; i++) {
    try {
      return decode(codec, mutated(random, bytes, [bytes]));
    } catch (error) {
      if (!(error instanceof MlsError)) throw error;
    }
  }
  return value;
}

function maybe<T>(random: Random, probability: number, make: () => T): T | undefined {
  return random.chance(probability) ? make() : undefined;
}

/** What a member holds and shows, in one string. */
async function view(group: Group, storage: Storage): Promise<string> {
  const records = [...(await storage.list(""))].map(([key, value]) => `${key}=${hex(value)}`);
  const shown =
    group.status === "removed"
      ? [group.status]
      : [group.status, group.epoch, hex(group.epochAuthenticator), hex(group.ratchetTree())];
  return [...shown, group.pendingProposals.length, ...records].join("\n");
}

interface Tally {
  accepted: number;
  readonly refused: Map<string, number>;
}

export class HostileRoom {
  readonly #seed: number;
  readonly #people: readonly Person[];
  readonly #outsider: Person;
  readonly #snapshots: ReadonlyMap<string, ReadonlyMap<string, Bytes>>;
  readonly #observer: PublicGroup;
  readonly #samples: readonly Bytes[];
  readonly #tally: Tally = { accepted: 0, refused: new Map() };

  private constructor(
    seed: number,
    people: readonly Person[],
    outsider: Person,
    snapshots: ReadonlyMap<string, ReadonlyMap<string, Bytes>>,
    observer: PublicGroup,
  ) {
    this.#seed = seed;
    this.#people = people;
    this.#outsider = outsider;
    this.#snapshots = snapshots;
    this.#observer = observer;
    this.#samples = fc
      .sample(arbitrary.proposal, { seed, numRuns: 200 })
      .map((proposal) => encode(Proposal, proposal));
  }

  static async create(seed: number): Promise<HostileRoom> {
    const options = {
      externalPsk: async () => SECRET.slice(),
      capabilities: { extensions: [0xf001], proposals: [0xf002] },
    };
    const names = ["alice", "bob", "carol", "dave", "erin"];
    const people = await persons(names, options);
    const where = await room(people, {
      extensions: [{ extensionType: 0xf001, extensionData: utf8("something") }],
    });
    let { observer } = where;
    for (const leafIndex of [2, 4]) {
      const { commit } = await where.at(leafIndex).group.commit();
      for (const group of where.groups) await group.receive(commit);
      observer = (await observer.process(commit)).group;
    }
    const outsider = await person("outsider", options);
    await keyPackageOf(outsider);
    const snapshots = new Map<string, ReadonlyMap<string, Bytes>>();
    for (const { name, storage } of [...people, outsider]) {
      snapshots.set(name, await storage.list(""));
    }
    return new HostileRoom(seed, people, outsider, snapshots, observer);
  }

  report(): string {
    const { accepted, refused } = this.#tally;
    const codes = [...refused].sort(([, a], [, b]) => b - a).map(([code, n]) => `${code} ${n}`);
    return `${accepted} taken, refused: ${codes.join(", ")}`;
  }

  /** Someone as they were, whatever has happened since; on a browser's platform where `web`. */
  async #restored(who: Person, web = false): Promise<Person> {
    const storage = memoryStorage();
    await storage.apply({ put: this.#snapshots.get(who.name) ?? new Map() });
    const context = { ...who.context, storage, ...(web && { crypto: webCrypto }) };
    return { ...who, storage, context };
  }

  async #member(leafIndex: number, web = false): Promise<{ who: Person; group: Group }> {
    const person = this.#people[leafIndex];
    if (!person) throw new Error(`nobody at ${leafIndex}`);
    const who = await this.#restored(person, web);
    const group = await loadGroup(who.context, { groupId: ROOM, signer: who.signer });
    if (!group) throw new Error("no group");
    return { who, group };
  }

  async #insider(): Promise<Inside> {
    const { who } = await this.#member(ATTACKER);
    return inside(who);
  }

  /** The nth attack of the seed. Throws for whatever is a finding. */
  async take(n: number): Promise<void> {
    const random = new Random(this.#seed, n ^ 0x5eed);
    const attack = random.pick(ATTACKS);
    try {
      await this[attack](random);
    } catch (cause) {
      throw new Error(`attack ${n} of seed ${this.#seed} (${attack}): ${String(cause)}`, { cause });
    }
  }

  /** Whether it was taken; anything but an `MlsError` is thrown on. */
  async #settled(act: () => unknown): Promise<boolean> {
    const { refused } = this.#tally;
    try {
      await act();
      this.#tally.accepted++;
      return true;
    } catch (error) {
      if (!(error instanceof MlsError)) throw error;
      refused.set(error.code, (refused.get(error.code) ?? 0) + 1);
      return false;
    }
  }

  /** A message reaches a member and an observer. `original`: what it was before it was changed on the way. */
  async #deliver(random: Random, message: Bytes, original?: Bytes): Promise<void> {
    const { who, group } = await this.#member(random.pick([0, 2, 3, 4]), random.chance(0.2));
    const before = await view(group, who.storage);
    const taken = await this.#settled(() => group.receive(message));
    if (!taken && (await view(group, who.storage)) !== before) {
      throw new Error(`refused, and something changed: ${hex(message)}`);
    }
    const changed = original && hex(original) !== hex(message);
    if (taken && changed) throw new Error(`changed on the way, and taken: ${hex(message)}`);
    const state = hex(this.#observer.state());
    await this.#settled(() => this.#observer.process(message));
    if (hex(this.#observer.state()) !== state) throw new Error("an observer's value changed");
    if (!taken || group.status !== "active") return;
    // Nobody may stop a group by what it takes: someone honest commits, and is followed.
    const { commit } = await group.commit();
    await group.receive(commit);
    if (group.status === "active") await group.send(utf8("going on"));
    const again = await loadGroup(who.context, { groupId: ROOM, signer: who.signer });
    if (again && hex(again.epochAuthenticator) !== hex(group.epochAuthenticator)) {
      throw new Error("another group in storage than in memory");
    }
  }

  /** Something true that someone could say now. */
  async #honest(random: Random): Promise<Bytes> {
    const { group } = await this.#member(ATTACKER);
    switch (random.below(6)) {
      case 0:
        return group.send(random.bytes(random.below(100)));
      case 1:
        return group.proposeUpdate();
      case 2:
        return (await group.commit()).commit;
      case 3:
        return forgePrivate(await this.#insider(), await this.#proposal(random));
      case 4:
        return forgeCommit(await this.#insider(), { wireFormat: "mls_private_message" });
      default: {
        const outsider = await this.#restored(this.#outsider);
        return forgeCommit(await this.#insider(), { external: { person: outsider } });
      }
    }
  }

  async #proposal(random: Random): Promise<Extract<Content, { contentType: "proposal" }>> {
    const outsider = await this.#restored(this.#outsider);
    const proposals: (() => Promise<Proposal> | Proposal)[] = [
      () => addProposal(outsider),
      async () => forgeUpdate(await this.#insider()),
      async () =>
        forgeUpdate(await this.#insider(), {
          leaf: (leaf) => reshaped(random, LeafNode, leaf),
        }),
      async () => ({
        proposalType: "add",
        keyPackage: await forgeKeyPackage(outsider, {
          leaf: (leaf) => reshaped(random, LeafNode, leaf),
        }),
      }),
      // Keys that are in use, under a signature that holds.
      async () => {
        const { group } = await this.#member(0);
        const { encryptionKey } = random.pick(group.members()).leafNode;
        const keyPackage = await forgeKeyPackage(outsider, { leaf: () => ({ encryptionKey }) });
        return { proposalType: "add", keyPackage };
      },
      async () => ({
        proposalType: "add",
        keyPackage: await forgeKeyPackage(random.pick(this.#people)),
      }),
      () => ({ proposalType: "remove", removed: random.below(7) }),
      () => ({
        proposalType: "psk",
        psk: {
          pskType: "external",
          pskId: random.bytes(3),
          pskNonce: new Uint8Array(32),
        },
      }),
      () => ({
        proposalType: "psk",
        psk: {
          pskType: "resumption",
          usage: "application",
          pskGroupId: random.chance(0.7) ? ROOM : random.bytes(4),
          pskEpoch: BigInt(random.below(6)),
          pskNonce: new Uint8Array(32),
        },
      }),
      () => ({
        proposalType: "group_context_extensions",
        extensions: random.pick([
          [{ extensionType: 3, extensionData: Uint8Array.of(2, 0xf0, 9, 0, 0) }],
          [{ extensionType: 3, extensionData: random.bytes(5) }],
          [{ extensionType: 5, extensionData: random.bytes(5) }],
          [{ extensionType: 0xf009, extensionData: EMPTY }],
          [],
        ]),
      }),
      () => ({
        proposalType: "reinit",
        groupId: random.bytes(4),
        version: 1,
        cipherSuite: random.below(9),
        extensions: [],
      }),
      () => ({ proposalType: "other", number: 0xf002 + random.below(2), data: random.bytes(3) }),
      () => decode(Proposal, random.pick(this.#samples)),
    ];
    const proposal = await random.pick(proposals)();
    const changed = random.chance(0.3) ? reshaped(random, Proposal, proposal) : proposal;
    return { contentType: "proposal", proposal: changed };
  }

  async changedOnTheWay(random: Random): Promise<void> {
    const message = await this.#honest(random);
    await this.#deliver(random, mutated(random, message, [message]), message);
  }

  async noise(random: Random): Promise<void> {
    const message = await this.#honest(random);
    await this.#deliver(random, hostile(random, [message, ...this.#samples]), message);
  }

  async proposals(random: Random): Promise<void> {
    const by = await this.#insider();
    const content = await this.#proposal(random);
    const message = random.chance(0.8)
      ? await forgePublic(by, content)
      : await forgePrivate(by, content);
    await this.#deliver(random, message);
  }

  /** By value, beside each other. */
  async lists(random: Random): Promise<void> {
    const by = await this.#insider();
    const proposals: Proposal[] = [];
    do proposals.push((await this.#proposal(random)).proposal);
    while (random.chance(0.6));
    await this.#deliver(random, await forgeCommit(by, { proposals }));
  }

  async paths(random: Random): Promise<void> {
    const by = await this.#insider();
    const proposals = random.chance(0.3) ? [(await this.#proposal(random)).proposal] : [];
    const external = random.chance(0.3)
      ? { external: { person: await this.#restored(this.#outsider) } }
      : {};
    const leaf = maybe(
      random,
      0.5,
      () => (content: LeafNode) => reshaped(random, LeafNode, content),
    );
    const path = maybe(random, 0.7, () => (made: UpdatePath) => reshaped(random, UpdatePath, made));
    const tag = maybe(random, 0.2, () => (made: Bytes) => mutated(random, made, [made]));
    const wireFormat = maybe(random, 0.2, () => "mls_private_message" as const);
    const message = await forgeCommit(by, {
      proposals,
      ...external,
      ...(leaf && { leaf }),
      ...(path && { path }),
      ...(tag && { tag }),
      ...(wireFormat && !("external" in external) && { wireFormat }),
    });
    await this.#deliver(random, message);
  }

  /** A commit in which nothing fits, signed and tagged all the same. */
  async commits(random: Random): Promise<void> {
    const by = await this.#insider();
    const honest = decodeMessage(await forgeCommit(by));
    if (honest.wireFormat !== "mls_public_message") throw new Error("no commit");
    const { content } = honest.publicMessage.content;
    if (content.contentType !== "commit") throw new Error("no commit");
    const [commit] = random.chance(0.5)
      ? fc.sample(arbitrary.commit, { seed: random.below(2 ** 31), numRuns: 1 })
      : [reshaped(random, Commit, content.commit)];
    if (!commit) throw new Error("no commit");
    await this.#deliver(random, await forgePublic(by, { contentType: "commit", commit }));
  }

  /** Plaintext that is no content, under the right key. */
  async plaintexts(random: Random): Promise<void> {
    const { suite, secretTree, secrets, ownLeaf, state } = await this.#insider();
    const { groupId, epoch } = state.groupContext;
    const number = 1 + random.below(3);
    const contentType = (["application", "proposal", "commit"] as const)[number - 1] ?? "commit";
    const header = { groupId, epoch, contentType: number, authenticatedData: EMPTY };
    const fields = { groupId: opaque, epoch: uint64, contentType: uint8 };
    const aad = encode(struct({ ...fields, authenticatedData: opaque }), header);
    const leafIndex = random.chance(0.8)
      ? ownLeaf
      : random.pick([0, 4, 6, 9, 2 ** 31, 2 ** 32 - 1]);
    const type = contentType === "application" ? "application" : "handshake";
    const taken = secretTree.next(ownLeaf, type);
    const content = encode(Commit, { proposals: [], path: undefined });
    const plaintext = hostile(random, [content, Uint8Array.of(0, 0), random.pick(this.#samples)]);
    const { provider, aead } = suite;
    const ciphertext = await provider.seal(aead, taken.key, taken.nonce, aad, plaintext);
    const generation = random.chance(0.7) ? taken.generation : random.below(2 ** 32);
    const plain = new DataView(new ArrayBuffer(12));
    plain.setUint32(0, leafIndex);
    plain.setUint32(4, generation);
    const senderData = new Uint8Array(plain.buffer);
    const { key, nonce } = senderDataKey(suite, secrets.senderDataSecret, ciphertext);
    const sealed = await provider.seal(
      aead,
      key,
      nonce,
      encode(struct(fields), header),
      random.chance(0.8) ? senderData : mutated(random, senderData, [senderData]),
    );
    const message = {
      groupId,
      epoch,
      contentType,
      authenticatedData: EMPTY,
      encryptedSenderData: sealed,
      ciphertext,
    };
    const encoded = encodeMessage({ wireFormat: "mls_private_message", privateMessage: message });
    await this.#deliver(random, encoded);
  }

  async #reshapedTree(random: Random, tree: RatchetTree): Promise<RatchetTree> {
    const encoded = encodeRatchetTree(tree);
    for (let i = 0; i < 40; i++) {
      try {
        return await decodeRatchetTree(mutated(random, encoded, [encoded]));
      } catch (error) {
        if (!(error instanceof MlsError)) throw error;
      }
    }
    return tree;
  }

  async welcomes(random: Random): Promise<void> {
    const who = await this.#restored(this.#outsider, random.chance(0.2));
    const keyPackage = readKeyPackage(await keyPackageOf(who));
    const by = await this.#insider();
    const context = maybe(
      random,
      0.3,
      () => (made: GroupContext) => reshaped(random, GroupContext, made),
    );
    const info = maybe(random, 0.3, () => (made: GroupInfo) => reshaped(random, GroupInfo, made));
    const secrets = maybe(
      random,
      0.3,
      () => (made: GroupSecrets) => reshaped(random, GroupSecrets, made),
    );
    const tree = maybe(random, 0.4, () => (made: RatchetTree) => this.#reshapedTree(random, made));
    const trailing = maybe(random, 0.1, () => random.bytes(2));
    const honest = await forgeWelcome(by, keyPackage, {
      ...(context && { context }),
      ...(info && { info }),
      ...(secrets && { secrets }),
      ...(tree && { tree }),
      ...(trailing && { trailing }),
    });
    const welcome = random.chance(0.3) ? mutated(random, honest, [honest]) : honest;
    const before = hex(await dump(who.storage));
    const taken = await this.#settled(() =>
      joinGroup(who.context, { welcome, signer: who.signer }),
    );
    if (!taken && hex(await dump(who.storage)) !== before) {
      throw new Error("refused, and something was stored");
    }
  }

  /** A GroupInfo that a member signed, and a tree that has the hash it says. */
  async groupInfos(random: Random): Promise<void> {
    const who = await this.#restored(this.#outsider, random.chance(0.2));
    const by = await this.#insider();
    const { group } = await this.#member(ATTACKER);
    const honest = decodeMessage(await group.groupInfo({ externalPub: true }));
    if (honest.wireFormat !== "mls_group_info") throw new Error("no GroupInfo");
    const tree = random.chance(0.6)
      ? await this.#reshapedTree(random, by.state.tree)
      : by.state.tree;
    const { groupInfo: info } = honest;
    const groupContext = { ...info.groupContext, treeHash: rootHash(by.suite, tree) };
    const content = { ...info, groupContext };
    const groupInfo = await signGroupInfo(
      random.chance(0.5) ? reshaped(random, GroupInfo, { ...content, signature: EMPTY }) : content,
      by.person.signer,
    );
    const encoded = encodeMessage({ wireFormat: "mls_group_info", groupInfo });
    const message = random.chance(0.2) ? mutated(random, encoded, [encoded]) : encoded;
    const encodedTree = encodeRatchetTree(tree);
    const ratchetTree = random.chance(0.2)
      ? mutated(random, encodedTree, [encodedTree])
      : encodedTree;
    await this.#settled(() => PublicGroup.open(who.context, { groupInfo: message, ratchetTree }));
    await this.#settled(() => this.#observer.checkGroupInfo(message));
    const before = hex(await dump(who.storage));
    const taken = await this.#settled(() =>
      joinExternally(who.context, {
        groupInfo: message,
        ratchetTree,
        credential: who.credential,
        signer: who.signer,
        capabilities: who.capabilities,
        ...(random.chance(0.2) && { resync: random.below(8) }),
      }),
    );
    if (!taken && hex(await dump(who.storage)) !== before) {
      throw new Error("refused, and something was stored");
    }
  }

  async keyPackages(random: Random): Promise<void> {
    const keyPackage = await forgeKeyPackage(this.#outsider, {
      leaf: (leaf) => reshaped(random, LeafNode, leaf),
      content: (made) =>
        random.chance(0.5)
          ? { ...reshaped(random, KeyPackage, made), leafNode: made.leafNode }
          : {},
    });
    const honest = encodeMessage({ wireFormat: "mls_key_package", keyPackage });
    const message = random.chance(0.3) ? mutated(random, honest, [honest]) : honest;
    await this.#settled(() => validateKeyPackage(this.#outsider.context, message));
    const { who, group } = await this.#member(0, random.chance(0.2));
    const before = await view(group, who.storage);
    const taken = await this.#settled(() =>
      group.commit({ proposals: [{ proposalType: "add", keyPackage: readKeyPackage(message) }] }),
    );
    if (!taken && (await view(group, who.storage)) !== before) {
      throw new Error("refused, and something changed");
    }
  }

  /** Storage that was damaged: read or refused, never half. */
  async records(random: Random): Promise<void> {
    const { who } = await this.#member(random.below(5));
    const records = [...(await who.storage.list("group/"))];
    const [key, value] = random.pick(records);
    await who.storage.apply({ put: new Map([[key, mutated(random, value, [value])]]) });
    await this.#settled(async () => {
      const group = await loadGroup(who.context, { groupId: ROOM, signer: who.signer });
      await group?.send(utf8("x"));
    });
    const outsider = await this.#restored(this.#outsider);
    const welcome = await forgeWelcome(
      await this.#insider(),
      readKeyPackage(await keyPackageOf(outsider)),
    );
    for (const [at, kept] of await outsider.storage.list("key-package/")) {
      await outsider.storage.apply({ put: new Map([[at, mutated(random, kept, [kept])]]) });
    }
    await this.#settled(() => joinGroup(outsider.context, { welcome, signer: outsider.signer }));
  }
}

async function dump(storage: Storage): Promise<Bytes> {
  const records = [...(await storage.list(""))];
  return utf8(records.map(([key, value]) => `${key}=${hex(value)}`).join("\n"));
}

const ATTACKS = [
  "changedOnTheWay",
  "noise",
  "proposals",
  "lists",
  "paths",
  "commits",
  "plaintexts",
  "welcomes",
  "groupInfos",
  "keyPackages",
  "records",
] as const;

export function hostileRoom(seed: number): Promise<HostileRoom> {
  return HostileRoom.create(seed);
}
