/**
 * A group over many steps, with all that goes wrong between clients and a service, out of one seed: messages lost, late, twice and
 * out of order, commits that race, clients that crash in the middle of a write, start again, are removed, come back, lose all they had.
 * What must hold is checked all along.
 */

import { createHash } from "node:crypto";
import {
  createGroup,
  EXTENSION,
  type Group,
  loadGroup,
  MlsError,
  memoryStorage,
  type Proposal,
  readKeyPackage,
  webCrypto,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { PublicGroup } from "@conclave/mls/public-group";
import { decodeSecrets } from "../../src/group/stored-group.ts";
import { Random } from "../fuzz/random.ts";
import { hex, LIFETIME, utf8 } from "../people.ts";
import { GROUP_ID, Member, OWN_EXTENSION } from "./member.ts";
import { Seals } from "./seeded-crypto.ts";
import { type Entry, nameOf, Service } from "./service.ts";

export interface Settings {
  readonly seed: number;
  readonly steps: number;
  /** The most that the group has at once. */
  readonly members: number;
  /** Every other one's platform is a browser's. */
  readonly mixed?: boolean;
  /** Steps to leave out: for finding a shorter run that fails. */
  readonly without?: ReadonlySet<number>;
}

/** What became of a run. */
export interface Outcome {
  readonly steps: number;
  readonly epochs: number;
  readonly entries: number;
  readonly read: number;
  readonly seals: number;
  readonly crashes: number;
  readonly lostCommits: number;
  readonly mostMembers: number;
}

/** A run that broke an invariant, with the way there. */
export class Broken extends Error {
  override readonly name = "Broken";
  readonly step: number;

  constructor(settings: Settings, step: number, trace: readonly string[], cause: unknown) {
    const { seed, members } = settings;
    super(
      [
        `seed ${seed}, ${members} members, step ${step}: ${String(cause)}`,
        ...trace.slice(-40).map((line) => `  ${line}`),
      ].join("\n"),
      { cause },
    );
    this.step = step;
  }
}

type Action = "say" | "propose" | "commit" | "race" | "link" | "restart" | "lose" | "pry";
const WEIGHTS: Readonly<Record<Action, number>> = {
  say: 34,
  propose: 14,
  commit: 18,
  race: 6,
  link: 6,
  restart: 8,
  lose: 3,
  pry: 11,
};
const ACTIONS = Object.entries(WEIGHTS).flatMap(([action, weight]) =>
  Array.from({ length: weight }, () => action as Action),
);

/** What a member had when it was removed, kept against the rules. */
interface Archive {
  readonly name: string;
  readonly records: ReadonlyMap<string, Bytes>;
  readonly cursor: number;
  readonly removedAt: number;
}

class Simulation {
  readonly #settings: Settings;
  readonly #people: readonly Member[];
  readonly #service: Service;
  readonly #seals: Seals;
  readonly #epochs = new Map<bigint, string>();
  readonly #archives: Archive[] = [];
  readonly #trace: string[] = [];
  #random: Random;
  #crashes = 0;
  #lostCommits = 0;
  #mostMembers = 1;
  /** Nothing goes wrong any more: what is under way arrives. */
  #calm = false;

  private constructor(
    settings: Settings,
    people: readonly Member[],
    service: Service,
    seals: Seals,
  ) {
    this.#settings = settings;
    this.#people = people;
    this.#service = service;
    this.#seals = seals;
    this.#random = new Random(settings.seed, "begin");
  }

  static async create(settings: Settings): Promise<Simulation> {
    const { seed, members } = settings;
    const seals = new Seals();
    const suite = seed % 2 === 0 ? 1 : 3;
    const people = Array.from({ length: Math.ceil(members * 1.25) + 1 }, (_, i) => {
      const platform = settings.mixed && i % 2 === 1 ? webCrypto : nodeCrypto;
      return new Member(`p${i}`, suite, seed, seals, platform);
    });
    const [founder] = people;
    if (!founder) throw new Error("nobody");
    const group = await createGroup(founder.context, {
      ...founder.about,
      groupId: GROUP_ID,
      suite,
      lifetime: LIFETIME,
    });
    founder.begins(group);
    const observer = await PublicGroup.open(founder.context, {
      groupInfo: await group.groupInfo({ externalPub: false }),
      ratchetTree: group.ratchetTree(),
    });
    const groupInfo = await group.groupInfo({ externalPub: true });
    const service = new Service(founder.context, observer, groupInfo);
    return new Simulation(settings, people, service, seals);
  }

  async run(): Promise<Outcome> {
    const { seed, steps, without } = this.#settings;
    for (let step = 0; step <= steps; step++) {
      if (without?.has(step)) continue;
      this.#random = new Random(seed, `step ${step}`);
      try {
        if (step < steps) await this.#step();
        else await this.#settle();
      } catch (cause) {
        throw new Broken(this.#settings, step, this.#trace, cause);
      }
      this.#trace.push(`-- ${step}: epoch ${this.#service.observer.epoch}`);
    }
    let read = 0;
    for (const member of this.#people) read += (await member.everRead()).size;
    return {
      steps,
      epochs: Number(this.#service.observer.epoch),
      entries: this.#service.log.length,
      read,
      seals: this.#seals.count,
      crashes: this.#crashes,
      lostCommits: this.#lostCommits,
      mostMembers: this.#mostMembers,
    };
  }

  #note(line: string): void {
    this.#trace.push(line);
    if (this.#trace.length > 400) this.#trace.splice(0, 200);
  }

  // What is done

  async #step(): Promise<void> {
    const actors = this.#random.shuffled(this.#people);
    const action = this.#random.pick(ACTIONS);
    this.#note(action);
    await this.#act(action, actors);
    for (const member of actors) {
      if (this.#random.chance(0.5)) await this.#traffic(member);
    }
    const members = this.#service.members();
    this.#mostMembers = Math.max(this.#mostMembers, members.length);
    if (new Set(members).size !== members.length) throw new Error("a member stands there twice");
  }

  async #act(action: Action, actors: readonly Member[]): Promise<void> {
    switch (action) {
      case "say":
        for (const member of await this.#active(actors, 1 + this.#random.below(4))) {
          await this.#say(member);
        }
        return;
      case "propose":
        for (const member of await this.#active(actors, 1 + this.#random.below(3))) {
          await this.#propose(member);
        }
        return;
      case "commit":
        for (const member of await this.#active(actors, 1)) await this.#commit(member);
        return;
      case "race":
        for (const member of await this.#active(actors, 2 + this.#random.below(3))) {
          await this.#commit(member);
        }
        return;
      case "link":
        return this.#link(actors);
      case "restart":
        for (const member of actors) if (this.#random.chance(0.3)) member.stop();
        await this.#service.restart();
        return;
      case "lose":
        return this.#lose(actors);
      case "pry":
        return this.#pry(actors);
    }
  }

  /** Some who can do something. */
  async #active(actors: readonly Member[], count: number): Promise<Member[]> {
    const found: Member[] = [];
    for (const member of actors) {
      if (found.length === count) break;
      await member.wake();
      if (member.group?.status === "active") found.push(member);
    }
    return found;
  }

  async #attempt(member: Member, what: string, act: () => Promise<void>): Promise<boolean> {
    const crash =
      !this.#calm && this.#random.chance(0.12)
        ? this.#random.pick(["before", "after"] as const)
        : undefined;
    const done = await member.attempt(crash, act);
    if (!done) this.#crashes++;
    if (what !== "" || !done) {
      this.#note(`${member.name} ${what}${done ? "" : `, and crashes ${crash} it is written`}`);
    }
    if (done) await this.#agree(member);
    return done;
  }

  async #say(member: Member): Promise<void> {
    if (member.active.pendingProposals.length > 0) {
      await refused(member, () => member.say(utf8("too early")), "pending-proposals");
      return;
    }
    const data = this.#random.bytes(this.#random.below(60));
    if (this.#random.chance(0.2)) {
      // At once, without waiting for each other.
      const both = async () => {
        const ends = await Promise.allSettled([member.say(data), member.say(data)]);
        for (const end of ends) if (end.status === "rejected") throw end.reason;
      };
      await this.#attempt(member, "says two things", both);
      return;
    }
    await this.#attempt(member, "says something", () => member.say(data));
  }

  #nonce(): Bytes {
    return this.#random.bytes(32);
  }

  #psk(): Proposal {
    const pskId = this.#random.bytes(4);
    return {
      proposalType: "psk",
      psk: { pskType: "external", pskId, pskNonce: this.#nonce() },
    };
  }

  /** Of an epoch that all who are there have lived in. */
  #resumption(): Proposal {
    const { observer, since } = this.#service;
    const latest = [...since.values()].reduce((a, b) => (a > b ? a : b), 0n);
    const back = BigInt(this.#random.below(Math.min(8, Number(observer.epoch - latest) + 1)));
    return {
      proposalType: "psk",
      psk: {
        pskType: "resumption",
        usage: "application",
        pskGroupId: GROUP_ID,
        pskEpoch: observer.epoch - back,
        pskNonce: this.#nonce(),
      },
    };
  }

  #extensions(): Proposal {
    const extensionData = this.#random.bytes(this.#random.below(20));
    const required = { extensionType: EXTENSION.requiredCapabilities };
    const capabilities = { ...required, extensionData: Uint8Array.of(2, 0xf0, 1, 0, 2, 0, 1) };
    const own = { extensionType: OWN_EXTENSION, extensionData };
    return {
      proposalType: "group_context_extensions",
      extensions: this.#random.pick([[], [own], [own, capabilities]]),
    };
  }

  #removal(by: Group): Proposal | undefined {
    const others = by.members().filter(({ leafIndex }) => leafIndex !== by.ownLeafIndex);
    if (others.length === 0) return undefined;
    return { proposalType: "remove", removed: this.#random.pick(others).leafIndex };
  }

  /** Someone who is not in the group, nor on the way in. */
  #outsider(by: Group): Member | undefined {
    if (by.members().length >= this.#settings.members) return undefined;
    // As the service has it, and as the one who would add it sees it.
    const present = new Set([...this.#service.members(), ...by.members().map(nameOf)]);
    const outsiders = this.#people.filter(
      ({ name, group }) =>
        !present.has(name) &&
        !this.#service.invitations.get(name)?.length &&
        group?.status !== "joining",
    );
    return outsiders.length > 0 ? this.#random.pick(outsiders) : undefined;
  }

  async #addition(by: Group): Promise<Proposal | undefined> {
    const who = this.#outsider(by);
    if (!who) return undefined;
    if (!this.#service.keyPackages.get(who.name)?.length) {
      await this.#attempt(who, "publishes a key package", () => who.publish(this.#service));
    }
    const keyPackage = this.#service.keyPackages.get(who.name)?.shift();
    return keyPackage && { proposalType: "add", keyPackage: readKeyPackage(keyPackage) };
  }

  async #propose(member: Member): Promise<void> {
    const group = member.active;
    type Choice = Proposal | "update" | undefined;
    const choices: (() => Promise<Choice> | Choice)[] = [
      () => "update",
      () => "update",
      () => this.#removal(group),
      () => this.#psk(),
      () => this.#extensions(),
      () => this.#addition(group),
      () => this.#addition(group),
    ];
    const proposal = await this.#random.pick(choices)();
    if (!proposal) return;
    const what = proposal === "update" ? proposal : proposal.proposalType;
    await this.#attempt(member, `proposes ${what}`, () => member.propose(proposal));
  }

  async #commit(member: Member): Promise<void> {
    const group = member.active;
    if (group.pendingCommit) return;
    const proposals: Proposal[] = [];
    const few = group.members().length < this.#settings.members / 2;
    for (let i = this.#random.below(few ? 4 : 2); i > 0; i--) {
      const addition = await this.#addition(group);
      if (addition) proposals.push(addition);
    }
    if (!few && this.#random.chance(0.3)) {
      const removal = this.#removal(group);
      if (removal) proposals.push(removal);
    }
    if (this.#random.chance(0.15)) proposals.push(this.#psk());
    if (this.#random.chance(0.15)) proposals.push(this.#extensions());
    const adds = [...proposals, ...group.pendingProposals.map(({ proposal }) => proposal)];
    const isUpToDate = group.epoch === this.#service.observer.epoch;
    if (isUpToDate && !adds.some(({ proposalType }) => proposalType === "add")) {
      if (this.#random.chance(0.2)) proposals.push(this.#resumption());
    }
    const unique = distinct(proposals);
    const joinerExtensions = this.#random.chance(0.2)
      ? [{ extensionType: OWN_EXTENSION, extensionData: this.#random.bytes(5) }]
      : [];
    const forcePath = this.#random.chance(0.3);
    const types = unique.map(({ proposalType }) => proposalType).join("+");
    await this.#attempt(member, `commits ${types} in ${group.epoch}`, () =>
      member.commit({ proposals: unique, joinerExtensions, forcePath }),
    );
  }

  async #link(actors: readonly Member[]): Promise<void> {
    if (this.#service.members().length >= this.#settings.members) return;
    for (const who of actors) if (await this.#joinByLink(who)) return;
  }

  /** Whether someone without a group tried to come in; into the place of a leaf that it lost, where there is one. */
  async #joinByLink(who: Member): Promise<boolean> {
    if (this.#service.invitations.get(who.name)?.length) return false;
    await who.wake();
    if (who.group && who.group.status !== "removed") return false;
    const leaf = this.#service.leafOf(who.name);
    await this.#attempt(who, `joins by a link, for leaf ${leaf}`, () =>
      who.joinByLink(this.#service, leaf),
    );
    return true;
  }

  async #lose(actors: readonly Member[]): Promise<void> {
    const [who] = await this.#active(actors, 1);
    if (!who || this.#service.invitations.get(who.name)?.length) return;
    await who.lose();
    this.#service.keyPackages.delete(who.name);
    this.#note(`${who.name} loses all it had`);
    await this.#joinByLink(who);
  }

  // What travels

  async #traffic(member: Member): Promise<void> {
    await member.wake();
    const lost =
      !this.#calm && this.#random.chance(0.2)
        ? this.#random.pick(["request", "answer"] as const)
        : undefined;
    const known = this.#service.log.length;
    const before = this.#service.members();
    await this.#attempt(member, "", async () => {
      const what = await member.post(this.#service, lost);
      if (what) this.#note(`${member.name} posts: ${what}`);
    });
    if (this.#service.log.length > known) await this.#archive(before);
    await this.#fetch(member, this.#calm ? 1000 : 1 + this.#random.below(10));
    await this.#accept(member);
  }

  /** Keeps what those had whom the newest commit removes. */
  async #archive(before: readonly string[]): Promise<void> {
    const present = new Set(this.#service.members());
    for (const name of before.filter((one) => !present.has(one))) {
      const member = this.#people.find((one) => one.name === name);
      if (!member) continue;
      await member.wake();
      if (member.group?.status !== "active") continue;
      const records = await member.storage.list("group/");
      const removedAt = this.#service.log.length - 1;
      this.#archives.push({ name, records, cursor: member.cursor, removedAt });
    }
  }

  async #accept(member: Member): Promise<void> {
    const invitations = this.#service.invitations.get(member.name) ?? [];
    const [invitation, ...others] = invitations;
    if (!invitation) return;
    await member.wake();
    const status = member.group?.status;
    const isUsed = member.cursor >= invitation.from;
    if (isUsed || !(await member.canOpen(invitation))) {
      this.#service.invitations.set(member.name, others);
      return;
    }
    if (status === "active" || status === "joining") return;
    const joined = await this.#attempt(member, `joins at ${invitation.from}`, () =>
      member.join(invitation),
    );
    if (!joined) return;
    this.#service.invitations.set(member.name, others);
    const earlier = this.#service.log.slice(0, invitation.from);
    if (earlier.length > 0) {
      const { bytes } = this.#random.pick(earlier);
      await refused(member, () => member.active.receive(bytes), undefined);
    }
  }

  async #fetch(member: Member, limit: number): Promise<void> {
    for (let left = limit; left > 0; left--) {
      await member.wake();
      const { group, cursor } = member;
      const entry = this.#service.log[cursor];
      if (!entry || !group) return;
      if (group.status === "joining") {
        if (!(await this.#awaitOwn(member, group, entry))) return;
        continue;
      }
      if (group.status !== "active") return;
      if (entry.kind === "application") {
        if (!(await this.#readSome(member, left))) return;
        continue;
      }
      const secrets = this.#random.chance(0.15) ? await secretsOf(member) : [];
      const followed = await this.#attempt(
        member,
        `follows ${entry.kind} ${entry.index}`,
        async () => {
          const received = await member.follow(entry);
          if (received.type === "commit" && received.lostPending) this.#lostCommits++;
        },
      );
      if (!followed) return;
      if (entry.kind === "commit") await checkDeleted(member, secrets);
    }
  }

  /** While it joins, a member waits for its own commit, and gives up when another comes. */
  async #awaitOwn(member: Member, group: Group, entry: Entry): Promise<boolean> {
    const own = group.pendingCommit;
    if (own && hex(own.commit) === hex(entry.bytes)) {
      return this.#attempt(member, "meets the commit it joins by", async () => {
        await member.follow(entry);
      });
    }
    if (entry.kind === "commit") {
      this.#lostCommits++;
      return this.#attempt(member, "gives up joining", () => member.giveUp());
    }
    await refused(member, () => group.receive(entry.bytes), "pending-commit");
    return this.#attempt(member, "waits", () => member.skipTo(entry.index + 1));
  }

  /** Application messages of one epoch, in any order; some twice. */
  async #readSome(member: Member, limit: number): Promise<boolean> {
    const { log } = this.#service;
    const { cursor } = member;
    let end = cursor;
    while (log[end]?.kind === "application" && end - cursor < limit) end++;
    for (const entry of this.#random.shuffled(log.slice(cursor, end))) {
      const { index, by } = entry;
      if (by === member.name) {
        await refused(member, () => member.active.receive(entry.bytes), "own-message");
        continue;
      }
      if (await member.hasRead(index)) {
        await refused(member, () => member.active.receive(entry.bytes), "generation-used");
        continue;
      }
      if (!(await this.#attempt(member, `reads ${index}`, () => member.read(entry)))) return false;
    }
    return this.#attempt(member, `has read to ${end}`, () => member.skipTo(end));
  }

  // What must hold

  /** All who are in an epoch have the same of it. */
  async #agree(member: Member): Promise<void> {
    const { group } = member;
    if (!group || group.status !== "active") return;
    const hash = createHash("sha256");
    hash.update(group.epochAuthenticator).update(group.confirmedTranscriptHash);
    hash.update(group.exportSecret("simulation", GROUP_ID, 32)).update(group.ratchetTree());
    const view = hash.digest("hex");
    const known = this.#epochs.get(group.epoch) ?? view;
    this.#epochs.set(group.epoch, known);
    if (view !== known) throw new Error(`${member.name} sees another epoch ${group.epoch}`);
    const { observer } = this.#service;
    if (group.epoch !== observer.epoch) return;
    if (hex(group.ratchetTree()) !== hex(observer.ratchetTree())) {
      throw new Error(`${member.name} and the observer see different trees`);
    }
    if (this.#random.chance(0.1)) {
      await observer.checkGroupInfo(await group.groupInfo({ externalPub: false }));
    }
  }

  /** Those who try what they must not be able to. */
  async #pry(actors: readonly Member[]): Promise<void> {
    const { log } = this.#service;
    const [member] = await this.#active(actors, 1);
    if (member) {
      const past = log.slice(0, member.cursor).filter(({ kind }) => kind !== "proposal");
      if (past.length > 0) {
        const { bytes } = this.#random.pick(past);
        await refused(member, () => member.active.receive(bytes), undefined);
      }
    }
    if (this.#archives.length > 0) await this.#openArchive(this.#random.pick(this.#archives));
  }

  /** A removed member that kept all it had, and ignores that it was removed, reads nothing that came after. */
  async #openArchive(archive: Archive): Promise<void> {
    const owner = this.#people.find(({ name }) => name === archive.name);
    if (!owner) throw new Error("nobody");
    const storage = memoryStorage();
    await storage.apply({ put: archive.records });
    const context = { ...owner.context, storage, crypto: nodeCrypto };
    const group = await loadGroup(context, { groupId: GROUP_ID, signer: owner.signer });
    if (!group) throw new Error("no group in an archive");
    for (const { index, bytes } of this.#service.log.slice(archive.cursor)) {
      if (index === archive.removedAt) continue;
      try {
        await group.receive(bytes);
      } catch (error) {
        if (error instanceof MlsError) continue;
        throw error;
      }
      if (index > archive.removedAt)
        throw new Error(`${archive.name} was removed, and reads ${index}`);
    }
  }

  /** All arrives; then everybody has read everything once, and the group works. */
  async #settle(): Promise<void> {
    this.#calm = true;
    for (let round = 0; round < 1000; round++) {
      const before = this.#progress();
      for (const member of this.#people) {
        await this.#traffic(member);
        if (this.#service.leafOf(member.name) !== undefined) await this.#joinByLink(member);
      }
      if (before === this.#progress()) break;
    }
    const present = new Set(this.#service.members());
    for (const member of this.#people) {
      const isActive = member.group?.status === "active";
      if (isActive !== present.has(member.name)) {
        throw new Error(
          `${member.name} is ${member.group?.status}, present: ${present.has(member.name)}`,
        );
      }
      if (isActive && member.active.epoch !== this.#service.observer.epoch) {
        throw new Error(`${member.name} stays behind`);
      }
      await this.#checkRead(member);
    }
    for (const archive of this.#archives) await this.#openArchive(archive);
  }

  #progress(): string {
    const writes = this.#people.reduce((sum, { storage }) => sum + storage.writes, 0);
    return `${this.#service.log.length} ${writes}`;
  }

  async #checkRead(member: Member): Promise<void> {
    const read = await member.everRead();
    const due = new Set<number>();
    for (const { from, to } of member.spans) {
      for (const { kind, index, by } of this.#service.log.slice(from, to)) {
        if (kind === "application" && by !== member.name) due.add(index);
      }
    }
    for (const index of due) {
      if (!read.has(index)) throw new Error(`${member.name} never read ${index}`);
    }
    for (const index of read) {
      const entry = this.#service.log[index];
      if (!entry?.members.includes(member.name)) {
        throw new Error(`${member.name} read ${index} and was not there`);
      }
    }
  }
}

/** Each thing once: two Adds of one client, two Removes of one leaf, or two contexts fit no list. */
function distinct(proposals: readonly Proposal[]): readonly Proposal[] {
  const byKey = new Map<string, Proposal>();
  for (const proposal of proposals) {
    const key =
      proposal.proposalType === "add"
        ? hex(proposal.keyPackage.leafNode.signatureKey)
        : proposal.proposalType === "psk"
          ? hex(proposal.psk.pskNonce)
          : proposal.proposalType;
    byKey.set(key, proposal);
  }
  return [...byKey.values()];
}

/** What is tried is refused, and nothing is written. */
async function refused(
  member: Member,
  act: () => Promise<unknown>,
  code: string | undefined,
): Promise<void> {
  const { writes } = member.storage;
  try {
    await act();
  } catch (error) {
    if (!(error instanceof MlsError)) throw error;
    if (code && error.code !== code) throw new Error(`${error.code} where ${code} is due`);
    if (member.storage.writes !== writes) throw new Error("refused, and something was written");
    return;
  }
  throw new Error(`${member.name} took what is to be refused (${code ?? "with any code"})`);
}

/** The secrets that the next commit ends: but for the resumption PSK, which may outlive its epoch (§8.6). */
async function secretsOf(member: Member): Promise<readonly string[]> {
  const secrets: Bytes[] = [];
  for (const [key, value] of await member.storage.list("group/")) {
    if (key.endsWith("/secrets")) {
      const { secrets: stored, exporter = [] } = decodeSecrets(value);
      const { resumptionPsk: _, ...others } = stored;
      secrets.push(...Object.values(others), ...exporter.map(({ secret }) => secret));
    }
    if (/\/tree\//.test(key)) secrets.push(value);
  }
  return secrets.map(hex);
}

/** §9.2, §14: nothing of an ended epoch is left in storage. */
async function checkDeleted(member: Member, secrets: readonly string[]): Promise<void> {
  const { group } = member;
  if (!group) return;
  const records = await member.storage.list("group/");
  const all = [...records.values()].map(hex).join("|");
  for (const secret of secrets) {
    if (all.includes(secret)) throw new Error(`${member.name} keeps a secret of an ended epoch`);
  }
  for (const key of records.keys()) {
    const [, , kind, at] = key.split("/");
    const isOld = kind === "tree" && BigInt(at ?? "0") !== group.epoch;
    if (isOld || ["pending", "update", "proposal"].includes(kind ?? "")) {
      throw new Error(`${member.name} keeps the record ${key} in epoch ${group.epoch}`);
    }
  }
}

/** Runs one seed. Throws `Broken`. */
export async function simulate(settings: Settings): Promise<Outcome> {
  return (await Simulation.create(settings)).run();
}
