/**
 * The logs of groups as members write them. Each group is followed by its public part: a commit counts
 * only once that part accepts it, and what is stored with it is checked against the epoch it leads into.
 * @module
 */

import { randomInt } from "node:crypto";
import type { Bytes } from "@conclave/mls/codec";
import {
  type CommitPolicy,
  type CommitSummary,
  EXTENSION,
  findExtension,
  type PublicContext,
  PublicGroup,
  readGroupInfo,
  readMessage,
  readWelcome,
} from "@conclave/mls/public-group";
import { sameBytes } from "./bytes.ts";
import type { Call, Handlers } from "./call.ts";
import { checkMayEnter } from "./device-authentication.ts";
import type { Doorbell } from "./doorbell.ts";
import { linkClosed, linkOfJoiner, linksToStore, sameSet } from "./group-links.ts";
import type { Limits } from "./limits.ts";
import { byTheRules } from "./mls-rules.ts";
import {
  type Accepted,
  type AnswerOf,
  askedEpoch,
  type BodyOf,
  bytesToText,
  checkProposal,
  commitPolicy,
  type Link,
  linkIdOf,
  linkNamed,
  linksOf,
} from "./protocol/index.ts";
import { createRateLimiter, type Rate } from "./rate-limit.ts";
import { createRecent } from "./recent.ts";
import { notFound, Refusal } from "./refusal.ts";
import { sha256 } from "./sha256.ts";
import type { ListedDevice, Store, StoredGroup } from "./store/store.ts";
import { createTurns } from "./turns.ts";

/** Ids of groups are random: shorter ones could be guessed, and longer ones have no place in a path. */
const GROUP_ID_LENGTH = { least: 16, most: 64 };

/** In bytes. A group is held whole in memory while it is in use. */
const SIZES = {
  /** The tree of a new group, which is one leaf, and any other leaf. */
  leaf: 16 * 1024,
  /** It has the group's context, of which commits change only the links. */
  newGroupInfo: 32 * 1024,
  groupInfo: 128 * 1024,
  /** The state with the proposals that wait for a commit. */
  stateWithProposals: 4 * 1024 * 1024,
  /** A Welcome waits in the inboxes of all whom it welcomes: the GroupInfo that it has, and what is each one's own. */
  welcome: 192 * 1024,
  welcomed: 4 * 1024,
};

/** How often it is rung in a group for what one device sends again: a lost answer is rare, and each ring makes others look. */
const REPEATS: Rate = { burst: 4, perSecond: 0.1 };

/** What a group and one of its nodes take in memory beside their encoded forms, in bytes. */
const GROUP_WEIGHT = 16 * 1024;
const NODE_WEIGHT = 1536;

interface Held {
  readonly version: number;
  readonly group: PublicGroup;
  /** About what it takes in memory, in bytes: its state and its nodes. */
  readonly stateWeight: number;
  readonly treeWeight: number;
  /** What each node takes of it, by its index. The newest version of the group has it and changes it. */
  readonly nodeWeights: number[];
}

function weightOf(node: Bytes | undefined): number {
  return node === undefined ? 0 : node.length + NODE_WEIGHT;
}

function checkSize(bytes: Bytes, limit: number, title: string): void {
  if (bytes.length > limit) throw new Refusal("too-large", title, { members: { limit } });
}

/** A message that is to be appended. */
interface Entry {
  readonly groupId: Bytes;
  readonly epoch: bigint;
  readonly message: Bytes;
  /** SHA-256 of `message`. */
  readonly hash: Bytes;
}

type Header = ReturnType<typeof readMessage>;

function notAllowed(title: string): Refusal {
  return new Refusal("not-allowed", title);
}

export function createGroupLog(service: {
  readonly store: Store;
  readonly doorbell: Doorbell;
  readonly limits: Limits;
  readonly now: () => number;
  readonly context: PublicContext;
}): {
  readonly handlers: Handlers<"createGroup" | "commit" | "message">;
  /** Commits and messages that wait for their turn in a group. */
  readonly waiting: () => number;
} {
  const { store, doorbell, limits, now, context } = service;
  const newGroups = createRateLimiter(limits.group, now);
  const messages = createRateLimiter(limits.groupMessage, now);
  const commits = createRateLimiter(limits.groupCommit, now);
  const outsiders = createRateLimiter(limits.join, now);
  const bytesOfAccount = createRateLimiter(limits.logBytes, now);
  const repeats = createRateLimiter(REPEATS, now);
  const refused = createRateLimiter(limits.refused, now);
  const turns = createTurns(limits);
  const cache = createRecent<Held>(
    limits.groupBytesInMemory,
    ({ stateWeight, treeWeight }) => GROUP_WEIGHT + stateWeight + treeWeight,
  );

  async function loaded(version: number, parts: NonNullable<StoredGroup["parts"]>): Promise<Held> {
    const nodeWeights: number[] = [];
    let treeWeight = 0;
    for (const [nodeIndex, node] of parts.nodes) {
      nodeWeights[nodeIndex] = weightOf(node);
      treeWeight += weightOf(node);
    }
    const group = await PublicGroup.load(context, parts);
    return { version, group, stateWeight: parts.state.length, treeWeight, nodeWeights };
  }

  /** The group, and how late its log is. */
  async function load(
    groupId: Bytes,
  ): Promise<(Held & { readonly acceptedAt: number }) | undefined> {
    const known = cache.get(bytesToText(groupId));
    const stored = await store.group(groupId, known?.version);
    if (stored === undefined) return undefined;
    const { version, acceptedAt, parts } = stored;
    const held = parts ? await loaded(version, parts) : known;
    if (held === undefined) return undefined;
    cache.set(bytesToText(groupId), held);
    return { ...held, acceptedAt };
  }

  async function createGroup({
    device: caller,
    body,
  }: Call<"createGroup">): Promise<AnswerOf<"createGroup">> {
    newGroups.take(String(caller.device));
    const { groupInfo, ratchetTree } = await body();
    const size = groupInfo.length + ratchetTree.length;
    bytesOfAccount.take(bytesToText(caller.accountId), size);
    checkSize(ratchetTree, SIZES.leaf, "the tree of a new group has one leaf");
    checkSize(groupInfo, SIZES.newGroupInfo, "a new group's GroupInfo is too large");
    const acceptedAt = now();
    const group = await byTheRules(async () => {
      checkHeldExtensions(groupInfo);
      return PublicGroup.open(context, { groupInfo, ratchetTree });
    });
    const [creator, ...others] = group.members();
    const own =
      creator !== undefined && sameBytes(creator.leafNode.signatureKey, caller.signatureKey);
    if (!own || others.length > 0) {
      throw notAllowed("a new group has one member, who makes it");
    }
    checkMayEnter(caller, acceptedAt);
    const links = await byTheRules(() => linksOf(group.extensions));
    if (group.epoch !== 0n || links.length > 0) {
      throw notAllowed("a new group is in epoch 0, without links");
    }
    const { length } = group.groupId;
    if (length < GROUP_ID_LENGTH.least || length > GROUP_ID_LENGTH.most) {
      throw notAllowed("a group's id is random, of 16 to 64 bytes");
    }
    const created = await store.createGroup({
      groupId: group.groupId,
      device: caller.device,
      leafIndex: creator.leafIndex,
      state: group.state(),
      groupInfo,
      nodes: [...group.nodes()],
      version: newVersion(),
      groupLimit: limits.groupsPerDevice,
      now: acceptedAt,
    });
    if (created === "group-exists") throw new Refusal(created, "the group exists already");
    if (created === "full") throw new Refusal("device-full", "the device is in too many groups");
    doorbell.ring({
      type: "group",
      groupId: group.groupId,
      head: 0,
      joined: [caller.device],
      left: [],
    });
    return {};
  }

  /**
   * Members wait where the group is over its rate. Others go on to be refused as ever: they don't learn that there is a group, nor take
   * from it, since only what was accepted is counted.
   */
  async function checkRate(groupId: Bytes, device: number): Promise<void> {
    const key = bytesToText(groupId);
    if (messages.has(key) || (await store.leafOf(groupId, device)) === undefined) return;
    messages.check(key);
  }

  /**
   * Judging takes the group's turn, also where nothing comes of it, and of that the group's rate knows nothing: so whoever has had much
   * refused waits.
   */
  async function judged<T>(device: number, work: () => Promise<T>): Promise<T> {
    const key = String(device);
    refused.check(key);
    try {
      return await byTheRules(work);
    } catch (error) {
      if (error instanceof Refusal) refused.charge(key);
      throw error;
    }
  }

  /**
   * Who is no member commits by an open link of this group, or learns nothing of it and takes none of its time. Was the commit
   * accepted before, its device is a member by it or may still read where it is.
   */
  async function checkMayCommit(
    groupId: Bytes,
    caller: ListedDevice,
    commit: Bytes,
  ): Promise<void> {
    if ((await store.leafOf(groupId, caller.device)) !== undefined) return;
    if (await store.findEntry(groupId, caller.device, sha256(commit))) return;
    outsiders.take(String(caller.device));
    const header = await byTheRules(() => readMessage(commit));
    const named = header.authenticatedData && linkNamed(header.authenticatedData);
    if (header.sender?.senderType !== "new_member_commit" || !named) throw notFound();
    const link = await store.link(await linkIdOf(named), now());
    // To whoever has its key the link itself says no less.
    if (link === "closed") throw linkClosed();
    if (!link || !sameBytes(link.groupId, groupId)) throw notFound();
  }

  /** Who is no member takes none of the group's time with a proposal either; one that was accepted may come again. */
  async function checkMayPropose({ groupId, hash }: Entry, device: number): Promise<void> {
    if ((await store.leafOf(groupId, device)) !== undefined) return;
    if ((await store.findEntry(groupId, device, hash)) === undefined) throw notFound();
  }

  /** Where a message of another epoch was refused. Only members learn where the group is. */
  async function wrongEpoch(
    groupId: Bytes,
    epochs: { readonly current: bigint; readonly given: bigint },
    isMember: boolean,
  ): Promise<Refusal> {
    if (!isMember) return new Refusal("wrong-epoch", "the group is in another epoch");
    const { current: currentEpoch, given } = epochs;
    if (given > currentEpoch) {
      return new Refusal("future-epoch", "the group has not come to this epoch yet", {
        members: { currentEpoch },
      });
    }
    const winner = await store.winner(groupId, given);
    return new Refusal("wrong-epoch", "the epoch is over", {
      members: { currentEpoch, ...(winner && { winner }) },
    });
  }

  /** The devices that the commit lets in, each with its leaf. */
  async function devicesAdded(
    caller: ListedDevice,
    commit: CommitSummary,
    acceptedAt: number,
  ): Promise<readonly { readonly leafIndex: number; readonly device: number }[]> {
    const keys = commit.added.map(({ leafNode }) => leafNode.signatureKey);
    const devices = await store.devicesBySignatureKey(keys);
    const entering = commit.added.map(({ leafIndex }, i) => ({ leafIndex, device: devices[i] }));
    if (commit.external) entering.push({ leafIndex: commit.committer, device: caller });
    return entering.map(({ leafIndex, device }) => {
      if (device === undefined) throw notAllowed("a leaf is not that of a registered device");
      checkMayEnter(device, acceptedAt);
      return { leafIndex, device: device.device };
    });
  }

  /** Judges a commit and, if nothing else came before, stores it with all that belongs to it. */
  async function tryCommit(
    caller: ListedDevice,
    groupId: Bytes,
    body: BodyOf<"commit">,
    hash: Bytes,
    attempt: number,
  ): Promise<Accepted | "moved"> {
    const [leaf, barred] = await Promise.all([
      store.leafOf(groupId, caller.device),
      store.isBarred(groupId, caller.device),
    ]);
    if (barred) throw notAllowed("this device's commits shut others out");
    const header = await byTheRules(() => readMessage(body.commit));
    const external = header.sender?.senderType === "new_member_commit";
    if (leaf === undefined && !external) throw notFound();
    const { given } = headerFor(header, groupId, "commit");
    // Read only for those who may have to do with it: it may be large.
    const held = await load(groupId);
    if (held === undefined) throw notFound();
    const current = held.group.epoch;
    if (given !== current) throw await wrongEpoch(groupId, { current, given }, leaf !== undefined);

    // Judged by the time that it will be logged with: members judge it by that too.
    const acceptedAt = Math.max(now(), held.acceptedAt) + headStart(attempt);
    let link: Link | undefined;
    const policy: CommitPolicy = async (summary, pending) => {
      if (summary.external) link = await linkOfJoiner(caller, summary, acceptedAt);
      await commitPolicy(() => acceptedAt)(summary, pending);
    };

    return judged(caller.device, async () => {
      const { group, event, changes } = await held.group.process(body.commit, { policy });
      if (event.type !== "commit") throw new Refusal("bad-request", "this is no commit");
      const { summary } = event;
      const state = group.state();
      for (const { index, node } of changes) {
        // Leaves have the even indices (RFC 9420 App. C).
        if (index % 2 === 0 && node) checkSize(node, SIZES.leaf, "a leaf is too large");
      }
      if (!summary.external && summary.committer !== leaf) {
        throw notAllowed("the commit is another member's");
      }
      checkHeldExtensions(body.groupInfo);
      await group.checkGroupInfo(body.groupInfo);
      checkWelcome(summary, body.welcome);
      const added = await devicesAdded(caller, summary, acceptedAt);
      const removed = summary.removed.map(({ leafIndex }) => leafIndex);
      const left = await Promise.all(removed.map((index) => store.deviceOfLeaf(groupId, index)));
      const joined = added.map(({ device }) => device);
      if (!summary.external && joined.length > 0) {
        const unwilling = await store.unwilling(caller.accountId, groupId, joined);
        if (unwilling.length > 0) throw deviceFull(summary, added, unwilling);
      }

      const nextVersion = newVersion();
      const accepted = await store.appendCommit({
        groupId,
        version: held.version,
        nextVersion,
        epoch: current,
        hash,
        message: body.commit,
        acceptedAt,
        state,
        groupInfo: body.groupInfo,
        nodes: changes.map(({ index, node }) => ({ nodeIndex: index, node })),
        removed,
        added,
        // Others can't fill a device so that it can't make or join one by itself.
        groupLimit: limits.groupsPerDevice - (summary.external ? 0 : limits.ownGroups),
        welcome: body.welcome && { message: body.welcome, devices: joined, limit: limits.inbox },
        links: await linksToStore(group.extensions, body.links),
        linkUsed: link && (await linkIdOf(link.signatureKey)),
      });
      if (typeof accepted === "object" && "full" in accepted) {
        throw deviceFull(summary, added, accepted.full);
      }
      switch (accepted) {
        case "moved":
          return accepted;
        case "link-closed":
          throw linkClosed();
        case "link-taken":
          throw notAllowed("a link is another group's");
      }
      const { nodeWeights } = held;
      let { treeWeight } = held;
      for (const { index, node } of changes) {
        const weight = weightOf(node);
        treeWeight += weight - (nodeWeights[index] ?? 0);
        nodeWeights[index] = weight;
      }
      const stateWeight = state.length;
      const next = { version: nextVersion, group, stateWeight, treeWeight, nodeWeights };
      cache.set(bytesToText(groupId), next);
      doorbell.ring({
        type: "group",
        groupId,
        head: accepted.seq,
        joined,
        left: left.filter((device) => device !== undefined),
        entry: { ...accepted, epoch: current, kind: "commit", message: body.commit },
      });
      if (body.welcome !== undefined) doorbell.ring({ type: "inbox", devices: joined });
      return accepted;
    });
  }

  async function commit({ device, params, body }: Call<"commit">): Promise<Accepted> {
    const { groupId } = params;
    const bundle = await body();
    checkSize(bundle.groupInfo, SIZES.groupInfo, "the GroupInfo is too large");
    bytesOfAccount.take(bytesToText(device.accountId), sizeOf(bundle));
    const hash = sha256(bundle.commit);
    await checkRate(groupId, device.device);
    await checkMayCommit(groupId, device, bundle.commit);
    const key = bytesToText(groupId);
    const committer = `${key} ${bytesToText(device.accountId)}`;
    const accepted = await turns.alone(key, device.device, () =>
      untilSettled(async (attempt) => {
        const again = await store.findEntry(groupId, device.device, hash);
        if (again === undefined) {
          commits.check(committer);
          const taken = await tryCommit(device, groupId, bundle, hash, attempt);
          if (taken !== "moved") commits.charge(committer);
          return taken;
        }
        if (!repeats.tryTake(`${key} ${device.device}`)) return again;
        // Who was to ring for it the first time may have ended before.
        const moved = await store.movedBy(groupId, again.seq);
        doorbell.ring({ type: "group", groupId, head: again.seq, ...moved });
        if (bundle.welcome !== undefined) doorbell.ring({ type: "inbox", devices: moved.joined });
        return again;
      }),
    );
    messages.tryTake(key);
    return accepted;
  }

  async function application(caller: ListedDevice, entry: Entry): Promise<Accepted> {
    const { groupId, epoch } = entry;
    const { device } = caller;
    const accepted = await store.appendApplication({ ...entry, device, now: now() });
    if (accepted === "not-member") throw notFound();
    if ("currentEpoch" in accepted) {
      throw await wrongEpoch(groupId, { current: accepted.currentEpoch, given: epoch }, true);
    }
    return accepted;
  }

  async function tryProposal(caller: ListedDevice, entry: Entry): Promise<Accepted | "moved"> {
    const { groupId, epoch, message, hash } = entry;
    const { device } = caller;
    const again = await store.findEntry(groupId, device, hash);
    if (again !== undefined) return again;
    if ((await store.leafOf(groupId, device)) === undefined) throw notFound();
    const held = await load(groupId);
    if (held === undefined) throw notFound();
    const current = held.group.epoch;
    if (epoch !== current) throw await wrongEpoch(groupId, { current, given: epoch }, true);
    const group = await judged(device, async () => {
      const { group: next, event } = await held.group.process(message);
      if (event.type !== "proposal") throw new Refusal("bad-request", "this is no proposal");
      checkProposal(event.proposal, event.sender);
      return next;
    });
    const { version } = held;
    const nextVersion = newVersion();
    const state = group.state();
    const tooMany = (): Refusal =>
      new Refusal("too-many-requests", "too many proposals wait for a commit", {
        headers: { "retry-after": "1" },
      });
    if (state.length > SIZES.stateWithProposals) throw tooMany();
    const accepted = await store.appendProposal({
      ...entry,
      device,
      now: now(),
      version,
      nextVersion,
      state,
      limit: limits.proposals,
    });
    if (accepted === "moved") return accepted;
    if (accepted === "not-member") throw notFound();
    if (accepted === "full") throw tooMany();
    const next = { ...held, version: nextVersion, group, stateWeight: state.length };
    cache.set(bytesToText(groupId), next);
    return accepted;
  }

  async function message({ device, params, body }: Call<"message">): Promise<Accepted> {
    const { groupId } = params;
    const bytes = await body();
    const header = await byTheRules(() => readMessage(bytes));
    const isProposal = header.wireFormat === "mls_public_message";
    const { given: epoch } = headerFor(header, groupId, isProposal ? "proposal" : "application");
    const entry = { groupId, epoch, message: bytes, hash: sha256(bytes) };
    bytesOfAccount.take(bytesToText(device.accountId), bytes.length);
    // In turn also what needs no judgement: the log must not get past the time by which a commit is being judged.
    const key = bytesToText(groupId);
    await checkRate(groupId, device.device);
    if (isProposal) await checkMayPropose(entry, device.device);
    const accepted = isProposal
      ? await turns.alone(key, device.device, () => untilSettled(() => tryProposal(device, entry)))
      : await turns.together(key, device.device, () => application(device, entry));
    messages.tryTake(key);
    const kind = isProposal ? "proposal" : "application";
    doorbell.ring({
      type: "group",
      groupId,
      head: accepted.seq,
      joined: [],
      left: [],
      entry: { ...accepted, epoch, kind, message: bytes },
    });
    return accepted;
  }

  return { handlers: { createGroup, commit, message }, waiting: turns.waiting };
}

/**
 * By number alone the versions of two branches of a log would be alike: one that a primary took with it, and the one that the next primary
 * went on with. A group that is held here would then pass for one that it isn't.
 */
function newVersion(): number {
  return randomInt(2 ** 48 - 1);
}

function sizeOf({ commit, welcome, groupInfo, links }: BodyOf<"commit">): number {
  const sealed = links.reduce((sum, { sealedGroupInfo }) => sum + sealedGroupInfo.length, 0);
  return commit.length + (welcome?.length ?? 0) + groupInfo.length + sealed;
}

/** There is a Welcome just where there is somebody to welcome, and it is for them. */
function checkWelcome(commit: CommitSummary, welcome: Bytes | undefined): void {
  const added = commit.added.map(({ keyPackageRef }) => keyPackageRef);
  const welcomed = welcome === undefined ? [] : readWelcome(welcome).keyPackageRefs;
  if ((welcome === undefined) !== (added.length === 0) || !sameSet(added, welcomed)) {
    throw new Refusal("bad-request", "the Welcome is not for those whom the commit adds");
  }
  if (welcome === undefined) return;
  checkSize(welcome, SIZES.welcome + added.length * SIZES.welcomed, "the Welcome is too large");
}

/** Why they can't be added is not told: who is full, whose inbox is, and who wants nothing of the committer are answered alike. */
function deviceFull(
  commit: CommitSummary,
  added: readonly { readonly device: number }[],
  devices: readonly number[],
): Refusal {
  const full = new Set(devices);
  const keyPackages = commit.added
    .filter((_, i) => full.has(added[i]?.device ?? -1))
    .map(({ keyPackageRef }) => keyPackageRef);
  return new Refusal("device-full", "a device that would enter can take in no more", {
    members: { keyPackages },
  });
}

/** Throws where the service would come to hold what lets it join, or a tree beside its own. */
function checkHeldExtensions(groupInfo: Bytes): void {
  const { extensions } = readGroupInfo(groupInfo);
  for (const extensionType of [EXTENSION.externalPub, EXTENSION.ratchetTree]) {
    if (findExtension(extensions, extensionType) !== undefined) {
      throw notAllowed("the GroupInfo has external_pub or ratchet_tree");
    }
  }
}

/** Commits and proposals are PublicMessages and application data PrivateMessages, of the group in the path. */
function headerFor(
  header: Header,
  groupId: Bytes,
  contentType: "application" | "proposal" | "commit",
): { readonly given: bigint } {
  const wireFormat = contentType === "application" ? "mls_private_message" : "mls_public_message";
  const fits =
    header.wireFormat === wireFormat &&
    header.contentType === contentType &&
    header.groupId !== undefined &&
    sameBytes(header.groupId, groupId);
  if (!fits || header.epoch === undefined) {
    throw new Refusal("bad-request", "this is not the message for this place");
  }
  if (contentType === "proposal" && header.sender?.senderType !== "member") {
    throw notAllowed("proposals come from members");
  }
  return { given: askedEpoch(header.epoch) };
}

/** Another process may have moved the group meanwhile: then it is judged anew. */
async function untilSettled(
  attempt: (which: number) => Promise<Accepted | "moved">,
): Promise<Accepted> {
  for (let which = 0; ; which++) {
    const result = await attempt(which);
    if (result !== "moved") return result;
  }
}

/**
 * Messages that other processes accept make a log later than the time by which a commit is being judged. When that happened it is
 * judged by a time a little ahead, in milliseconds, which they don't get past.
 */
function headStart(attempt: number): number {
  return attempt === 0 ? 0 : Math.min(25 * 2 ** attempt, 2000);
}
