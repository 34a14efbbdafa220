/**
 * The logs of groups as members write them. Each group is followed by its public part: a commit counts
 * only once that part accepts it, and what is stored with it is checked against the epoch it leads into.
 * @module
 */

import type { Bytes } from "@conclave/mls/codec";
import {
  type CommitSummary,
  EXTENSION,
  findExtension,
  type PublicContext,
  PublicGroup,
  readGroupInfo,
  readMessage,
  readWelcome,
} from "@conclave/mls/public-group";
import { type Call, type Handler, json, readBody, readJson } from "./call.ts";
import type { Doorbell } from "./doorbell.ts";
import { linkOfJoiner, linksOf, linksToStore, sameSet } from "./group-links.ts";
import type { Limits } from "./limits.ts";
import { byTheRules } from "./mls-rules.ts";
import {
  type Accepted,
  bytesToText,
  CommitRequest,
  CreateGroupRequest,
  LIMITS,
  linkIdOf,
  sha256,
} from "./protocol/index.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { createRecent } from "./recent.ts";
import { Refusal } from "./refusal.ts";
import type { ListedDevice, Store } from "./store/store.ts";
import { createTurns } from "./turns.ts";

/** Ids of groups are random; shorter ones could be guessed. */
const GROUP_ID_LENGTH = 16;

interface Held {
  readonly version: number;
  readonly group: PublicGroup;
}

type Header = ReturnType<typeof readMessage>;

/** Of a group that does not exist and of one the device has no part in, the same. */
function notFound(): Refusal {
  return new Refusal("not-found", "there is nothing here");
}

function notAllowed(title: string): Refusal {
  return new Refusal("not-allowed", title);
}

export function createGroupLog(service: {
  readonly store: Store;
  readonly doorbell: Doorbell;
  readonly limits: Limits;
  readonly now: () => number;
  readonly context: PublicContext;
}): { readonly [name in "createGroup" | "commit" | "message"]: Handler } {
  const { store, doorbell, limits, now, context } = service;
  const newGroups = createRateLimiter(limits.group, now);
  const inTurn = createTurns(limits.waiting);
  const cache = createRecent<Held>(limits.groupsInMemory);

  async function load(groupId: Bytes): Promise<Held | undefined> {
    const known = cache.get(bytesToText(groupId));
    const stored = await store.group(groupId, known?.version);
    if (stored === undefined) return undefined;
    const { version, parts } = stored;
    const held = parts ? { version, group: PublicGroup.load(context, parts) } : known;
    if (held !== undefined) cache.set(bytesToText(groupId), held);
    return held;
  }

  async function createGroup({ request, device }: Call): Promise<Response> {
    const caller = await device();
    newGroups.take(String(caller.device));
    const { groupInfo, ratchetTree } = await readJson(request, CreateGroupRequest, LIMITS.body);
    const group = await byTheRules(async () => {
      checkHeldExtensions(groupInfo);
      return PublicGroup.open(context, { groupInfo, ratchetTree });
    });
    const [creator, ...others] = group.members();
    const own =
      creator !== undefined &&
      Buffer.compare(creator.leafNode.signatureKey, caller.signatureKey) === 0;
    if (!own || others.length > 0) {
      throw notAllowed("a new group has one member, who makes it");
    }
    const links = await byTheRules(() => linksOf(group.extensions));
    if (group.epoch !== 0n || links.length > 0 || group.groupId.length < GROUP_ID_LENGTH) {
      throw notAllowed("a new group is in epoch 0, without links, and has a long random id");
    }
    const created = await store.createGroup({
      groupId: group.groupId,
      device: caller.device,
      leafIndex: creator.leafIndex,
      state: group.state(),
      groupInfo,
      nodes: [...group.nodes()],
      now: now(),
    });
    if (created === "group-exists") throw new Refusal(created, "the group exists already");
    doorbell.ring({
      type: "group",
      groupId: group.groupId,
      head: 0,
      joined: [caller.device],
      left: [],
    });
    return json(201, {});
  }

  /** Where a message of another epoch was refused. Only members learn where the group is. */
  async function wrongEpoch(
    groupId: Bytes,
    epochs: { readonly current: bigint; readonly given: bigint },
    isMember: boolean,
  ): Promise<Refusal> {
    const winner = isMember ? await store.winner(groupId, epochs.given) : undefined;
    return new Refusal("wrong-epoch", "the group is in another epoch", {
      members: {
        ...(isMember && { currentEpoch: epochs.current }),
        ...(winner && { winner }),
      },
    });
  }

  /** The devices that the commit adds, each with its leaf: none that is in already. */
  async function devicesAdded(
    caller: ListedDevice,
    commit: CommitSummary,
  ): Promise<readonly { readonly leafIndex: number; readonly device: number }[]> {
    if (commit.external) return [{ leafIndex: commit.committer, device: caller.device }];
    const keys = commit.added.map(({ leafNode }) => leafNode.signatureKey);
    const devices = await store.devicesBySignatureKey(keys);
    const removed = new Set(commit.removed.map(({ leafIndex }) => leafIndex));
    const added: { leafIndex: number; device: number }[] = [];
    for (const [i, { leafIndex }] of commit.added.entries()) {
      const device = devices[i]?.device;
      if (device === undefined) throw notAllowed("a leaf is not that of a registered device");
      const old = await store.leafOf(commit.groupId, device);
      if (old !== undefined && !removed.has(old)) {
        throw notAllowed("the device is in the group");
      }
      added.push({ leafIndex, device });
    }
    return added;
  }

  /** Judges a commit and, if nothing else came before, stores it with all that belongs to it. */
  async function tryCommit(
    caller: ListedDevice,
    groupId: Bytes,
    body: CommitRequest,
    hash: Bytes,
  ): Promise<Accepted | "moved"> {
    const held = await load(groupId);
    if (held === undefined) throw notFound();
    const leaf = await store.leafOf(groupId, caller.device);
    const header = await byTheRules(() => readMessage(body.commit));
    const external = header.sender?.senderType === "new_member_commit";
    if (leaf === undefined && !external) throw notFound();
    const { given } = headerFor(header, groupId, "commit");
    const current = held.group.epoch;
    if (given !== current) throw await wrongEpoch(groupId, { current, given }, leaf !== undefined);

    return byTheRules(async () => {
      const { group, event, changes } = await held.group.process(body.commit);
      if (event.type !== "commit") throw new Refusal("bad-request", "this is no commit");
      const { summary } = event;
      const link = summary.external ? await linkOfJoiner(caller, summary) : undefined;
      if (!summary.external && summary.committer !== leaf) {
        throw notAllowed("the commit is another member's");
      }
      checkHeldExtensions(body.groupInfo);
      await group.checkGroupInfo(body.groupInfo);
      checkWelcome(summary, body.welcome);
      const added = await devicesAdded(caller, summary);
      const removed = summary.removed.map(({ leafIndex }) => leafIndex);
      const left = await Promise.all(removed.map((index) => store.deviceOfLeaf(groupId, index)));
      const joined = added.map(({ device }) => device);

      const accepted = await store.appendCommit({
        groupId,
        version: held.version,
        epoch: current,
        hash,
        message: body.commit,
        now: now(),
        state: group.state(),
        groupInfo: body.groupInfo,
        nodes: changes.map(({ index, node }) => ({ nodeIndex: index, node })),
        removed,
        added,
        welcome: body.welcome && { message: body.welcome, devices: joined, limit: limits.inbox },
        links: await linksToStore(group.extensions, body.links),
        linkUsed: link && (await linkIdOf(link.signatureKey)),
      });
      switch (accepted) {
        case "moved":
          return accepted;
        case "link-closed":
          throw linkClosed();
        case "link-taken":
          throw notAllowed("a link is another group's");
        case "inbox-full":
          throw new Refusal(accepted, "a device that is added has not read its inbox for long");
      }
      cache.set(bytesToText(groupId), { version: held.version + 1, group });
      doorbell.ring({
        type: "group",
        groupId,
        head: accepted.seq,
        joined,
        left: left.filter((device) => device !== undefined),
      });
      if (body.welcome !== undefined) doorbell.ring({ type: "inbox", devices: joined });
      return accepted;
    });
  }

  async function commit({ request, id, device }: Call): Promise<Response> {
    const caller = await device();
    const groupId = id("groupId");
    const body = await readJson(request, CommitRequest, LIMITS.body);
    const hash = await sha256(body.commit);
    const accepted = await inTurn(bytesToText(groupId), () =>
      untilSettled(async () => {
        const again = await store.findEntry(groupId, caller.device, hash);
        return again ?? tryCommit(caller, groupId, body, hash);
      }),
    );
    return json(201, accepted);
  }

  async function application(
    caller: ListedDevice,
    entry: { readonly groupId: Bytes; readonly epoch: bigint; readonly message: Bytes },
  ): Promise<Accepted> {
    const { groupId, epoch, message } = entry;
    const hash = await sha256(message);
    const { device } = caller;
    const accepted = await store.appendApplication({
      groupId,
      device,
      epoch,
      hash,
      message,
      now: now(),
    });
    if (accepted === "not-member") throw notFound();
    if ("currentEpoch" in accepted) {
      throw await wrongEpoch(groupId, { current: accepted.currentEpoch, given: epoch }, true);
    }
    return accepted;
  }

  async function tryProposal(
    caller: ListedDevice,
    entry: { readonly groupId: Bytes; readonly epoch: bigint; readonly message: Bytes },
  ): Promise<Accepted | "moved"> {
    const { groupId, epoch, message } = entry;
    const { device } = caller;
    const hash = await sha256(message);
    const again = await store.findEntry(groupId, device, hash);
    if (again !== undefined) return again;
    const held = await load(groupId);
    if (held === undefined || (await store.leafOf(groupId, device)) === undefined) throw notFound();
    const current = held.group.epoch;
    if (epoch !== current) throw await wrongEpoch(groupId, { current, given: epoch }, true);
    const { group } = await byTheRules(() => held.group.process(message));
    const { version } = held;
    const accepted = await store.appendProposal({
      groupId,
      device,
      epoch,
      hash,
      message,
      now: now(),
      version,
      state: group.state(),
      limit: limits.proposals,
    });
    if (accepted === "moved") return accepted;
    if (accepted === "not-member") throw notFound();
    if (accepted === "full") {
      throw new Refusal("too-many-requests", "too many proposals wait for a commit");
    }
    cache.set(bytesToText(groupId), { version: version + 1, group });
    return accepted;
  }

  async function message({ request, id, device }: Call): Promise<Response> {
    const caller = await device();
    const groupId = id("groupId");
    const bytes = await readBody(request, "message/mls", LIMITS.message);
    const header = await byTheRules(() => readMessage(bytes));
    const isProposal = header.wireFormat === "mls_public_message";
    const { given: epoch } = headerFor(header, groupId, isProposal ? "proposal" : "application");
    const entry = { groupId, epoch, message: bytes };
    const accepted = isProposal
      ? await inTurn(bytesToText(groupId), () => untilSettled(() => tryProposal(caller, entry)))
      : await application(caller, entry);
    doorbell.ring({ type: "group", groupId, head: accepted.seq, joined: [], left: [] });
    return json(201, accepted);
  }

  return { createGroup, commit, message };
}

function linkClosed(): Refusal {
  return new Refusal("link-closed", "the link is not open any more");
}

/** There is a Welcome just where there is somebody to welcome, and it is for them. */
function checkWelcome(commit: CommitSummary, welcome: Bytes | undefined): void {
  const added = commit.added.map(({ keyPackageRef }) => keyPackageRef);
  const welcomed = welcome === undefined ? [] : readWelcome(welcome).keyPackageRefs;
  if ((welcome === undefined) !== (added.length === 0) || !sameSet(added, welcomed)) {
    throw new Refusal("bad-request", "the Welcome is not for those whom the commit adds");
  }
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
    Buffer.compare(header.groupId, groupId) === 0;
  if (!fits || header.epoch === undefined) {
    throw new Refusal("bad-request", "this is not the message for this place");
  }
  if (contentType === "proposal" && header.sender?.senderType !== "member") {
    throw notAllowed("proposals come from members");
  }
  return { given: header.epoch };
}

/** Another process may have moved the group meanwhile: then it is judged anew. */
async function untilSettled(attempt: () => Promise<Accepted | "moved">): Promise<Accepted> {
  for (;;) {
    const result = await attempt();
    if (result !== "moved") return result;
  }
}
