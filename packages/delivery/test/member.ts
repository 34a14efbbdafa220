/**
 * A device with real MLS groups, that speaks to the service over HTTP: what a client does, without its comforts.
 * @module
 */

import { readRatchetTree } from "@conclave/delivery/client";
import {
  bytesToText,
  type CommitRequest,
  encodeDeviceIdentity,
  encodeLinks,
  InboxResponse,
  LINKS_EXTENSION,
  type Link,
  LinkResponse,
  LogResponse,
  linkIdOf,
  proveLink,
  type SigningKey,
} from "@conclave/delivery/protocol";
import {
  type CommitBundle,
  type CommitOptions,
  createGroup,
  createKeyPackage,
  defaultCapabilities,
  type Extension,
  type Group,
  joinExternally,
  joinGroup,
  type MlsContext,
  memoryStorage,
  readKeyPackage,
} from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import {
  type Answer,
  type Bytes,
  call,
  newKey,
  newPerson,
  type Person,
  random,
  register,
} from "./world.ts";

export const SUITE = 1;

/** A type of proposals that all devices here know, and that has no place in a conversation. */
export const CUSTOM_PROPOSAL = 0xf0c9;

/** Who trusts everybody: what the service lets through is the question here. */
const TRUSTING = { validate: async () => undefined, isSuccessor: async () => true };

export interface Member {
  readonly person: Person;
  readonly token: string;
  readonly context: MlsContext;
}

type Place = { readonly url: string };

export async function newMember(place: Place, name: string): Promise<Member> {
  const person = await newPerson(name);
  const token = await register(place, person);
  return memberOf(person, token);
}

export function memberOf(person: Person, token: string): Member {
  const context = {
    crypto: nodeCrypto,
    storage: memoryStorage(),
    authentication: TRUSTING,
    externalPsk: async () => new Uint8Array(32),
    now: Date.now,
  };
  return { person, token, context };
}

function joiner({ person }: Member) {
  const { rootKey, signatureKey, device } = person;
  const identity = encodeDeviceIdentity({ rootKey: rootKey.publicKey, ...device });
  return {
    credential: { credentialType: "basic", identity },
    signer: signatureKey,
    capabilities: defaultCapabilities(nodeCrypto, {
      extensions: [LINKS_EXTENSION],
      proposals: [CUSTOM_PROPOSAL],
    }),
    suite: SUITE,
  } as const;
}

/** From a minute ago, for so many seconds. */
function lifetime(seconds = 86400n): { notBefore: bigint; notAfter: bigint } {
  const now = BigInt(Math.floor(Date.now() / 1000));
  return { notBefore: now - 60n, notAfter: now + seconds };
}

export async function aKeyPackage(
  member: Member,
  seconds?: bigint,
  change: Partial<Parameters<typeof createKeyPackage>[1]> = {},
): Promise<Bytes> {
  const lasting = lifetime(seconds);
  // Made when it began, so that it may have ended since.
  const context = { ...member.context, now: () => Number(lasting.notBefore) * 1000 };
  const options = { ...joiner(member), ...change, lifetime: lasting };
  const { keyPackage } = await createKeyPackage(context, options);
  return keyPackage;
}

export function pathOf(groupId: Bytes, rest: string): string {
  return `/v1/groups/${bytesToText(groupId)}/${rest}`;
}

export function aGroup(
  member: Member,
  groupId: Bytes = random(16),
  links?: readonly Link[],
  extensions: readonly Extension[] = [],
): Promise<Group> {
  const extension = { extensionType: LINKS_EXTENSION, extensionData: encodeLinks(links ?? []) };
  return createGroup(member.context, {
    ...joiner(member),
    groupId,
    lifetime: lifetime(),
    extensions: links === undefined ? extensions : [...extensions, extension],
  });
}

export async function postGroup(place: Place, member: Member, group: Group): Promise<Answer> {
  const groupInfo = await group.groupInfo({ externalPub: false });
  const body = { groupInfo, ratchetTree: group.ratchetTree() };
  return call(place, "POST", "/v1/groups", { token: member.token, body });
}

/** A group that the service knows. */
export async function startGroup(place: Place, member: Member): Promise<Group> {
  const group = await aGroup(member);
  const { status } = await postGroup(place, member, group);
  if (status !== 201) throw new Error(`the group was refused with ${status}`);
  return group;
}

/** What a commit takes with it. What is sealed to a link is for clients to say: here it is in the clear. */
export async function bundleBody(group: Group, bundle: CommitBundle): Promise<CommitRequest> {
  return {
    commit: bundle.commit,
    ...(bundle.welcome && { welcome: bundle.welcome }),
    groupInfo: bundle.groupInfo,
    links: await sealed(linkKeys.get(group) ?? [], bundle.groupInfoForJoiners ?? bundle.groupInfo),
  };
}

/** The public keys of the links that a group will have after what it is about to commit. */
const linkKeys = new WeakMap<Group, readonly Bytes[]>();

/** A member that did not put them there knows the group's links too. */
export function knowLinks(group: Group, links: readonly OwnLink[]): void {
  const keys = links.map(({ link }) => link.signatureKey);
  linkKeys.set(group, keys);
}

async function sealed(keys: readonly Bytes[], sealedGroupInfo: Bytes) {
  return Promise.all(keys.map(async (key) => ({ linkId: await linkIdOf(key), sealedGroupInfo })));
}

export function postCommit(
  place: Place,
  member: Member,
  groupId: Bytes,
  body: unknown,
): Promise<Answer> {
  return call(place, "POST", pathOf(groupId, "commits"), { token: member.token, body });
}

/** Commits and, if it was accepted, goes on. */
export async function commit(
  place: Place,
  member: Member,
  group: Group,
  options: CommitOptions = {},
): Promise<Answer> {
  const bundle = await group.commit({ groupInfoForJoiners: true, ...options });
  const answer = await postCommit(place, member, group.groupId, await bundleBody(group, bundle));
  if (answer.status === 201) await group.receive(bundle.commit);
  else await group.discardPendingCommit();
  return answer;
}

/** The proposal to add somebody by this key package. */
export function addOf(keyPackage: Bytes) {
  return { proposalType: "add", keyPackage: readKeyPackage(keyPackage) } as const;
}

export interface OwnLink {
  readonly key: SigningKey;
  readonly link: Link;
}

export async function newLink(change: Partial<Link> = {}): Promise<OwnLink> {
  const key = await newKey();
  const expiresAt = BigInt(Math.floor(Date.now() / 1000)) + 3600n;
  const link = { signatureKey: key.publicKey, encryptionKey: random(32), expiresAt, maxUses: 10 };
  return { key, link: { ...link, ...change } };
}

/** Puts these links into the group's context. */
export function commitLinks(
  place: Place,
  member: Member,
  group: Group,
  links: readonly OwnLink[],
  others: NonNullable<CommitOptions["proposals"]> = [],
): Promise<Answer> {
  const kept = group.extensions.filter(({ extensionType }) => extensionType !== LINKS_EXTENSION);
  const extensionData = encodeLinks(links.map(({ link }) => link));
  linkKeys.set(
    group,
    links.map(({ link }) => link.signatureKey),
  );
  const extensions = [...kept, { extensionType: LINKS_EXTENSION, extensionData }];
  const proposals = [...others, { proposalType: "group_context_extensions", extensions } as const];
  return commit(place, member, group, { proposals });
}

export async function readLink(place: Place, member: Member, { link }: OwnLink): Promise<Answer> {
  const id = bytesToText(await linkIdOf(link.signatureKey));
  return call(place, "GET", `/v1/links/${id}`, { token: member.token });
}

/** Composes an external commit by what the service has of the link. */
export async function composeJoin(
  place: Place,
  member: Member,
  own: OwnLink,
  options: {
    readonly resync?: number;
    readonly key?: SigningKey;
    readonly proof?: Bytes;
  } = {},
): Promise<{ readonly group: Group; readonly body: CommitRequest }> {
  const held = LinkResponse.parse((await readLink(place, member, own)).body);
  const id = bytesToText(await linkIdOf(own.link.signatureKey));
  const { group, bundle } = await joinExternally(member.context, {
    ...joiner(member),
    ...(options.resync !== undefined && { resync: options.resync }),
    groupInfo: held.sealedGroupInfo,
    groupInfoForJoiners: true,
    ratchetTree: await readTree(place, member, `/v1/links/${id}/tree?epoch=${held.epoch}`),
    authenticatedData:
      options.proof ??
      (({ groupId, epoch, leafNode }) =>
        proveLink({ groupId, epoch, leafNode: leafNode ?? random(0) }, options.key ?? own.key)),
  });
  linkKeys.set(group, [own.link.signatureKey]);
  return { group, body: await bundleBody(group, bundle) };
}

/** All parts of a tree. */
export function readTree(place: Place, { token }: Member, path: string): Promise<Bytes> {
  return readRatchetTree(async (from) => {
    const answer = await call(place, "GET", `${path}&from=${from}`, { token });
    if (answer.status !== 200) throw new Error(answer.problem.code);
    return new Response(answer.body as Bytes, { headers: answer.headers });
  });
}

/** Joins by the link, and goes on if it was accepted. */
export async function joinByLink(
  place: Place,
  member: Member,
  own: OwnLink,
): Promise<{ readonly group: Group; readonly answer: Answer }> {
  const { group, body } = await composeJoin(place, member, own);
  const answer = await postCommit(place, member, group.groupId, body);
  if (answer.status === 201) await group.confirm();
  else await group.remove();
  return { group, answer };
}

export async function readInbox(place: Place, member: Member): Promise<InboxResponse["entries"]> {
  const answer = await call(place, "GET", "/v1/inbox", { token: member.token });
  return InboxResponse.parse(answer.body).entries;
}

/** Joins by the first Welcome in the inbox, with the tree of its epoch. */
export async function joinByWelcome(place: Place, member: Member): Promise<Group> {
  const [entry] = await readInbox(place, member);
  if (entry === undefined) throw new Error("there is no Welcome");
  const path = pathOf(entry.groupId, `tree?epoch=${entry.epoch}`);
  const group = await joinGroup(member.context, {
    welcome: entry.welcome,
    ratchetTree: await readTree(place, member, path),
    signer: member.person.signatureKey,
  });
  await call(place, "POST", "/v1/inbox/ack", { token: member.token, body: { upTo: entry.seq } });
  return group;
}

/** Adds the others by key packages made for this, and lets them join. */
export async function addAll(
  place: Place,
  adder: { readonly member: Member; readonly group: Group },
  others: readonly Member[],
): Promise<readonly Group[]> {
  const keyPackages = await Promise.all(others.map((other) => aKeyPackage(other)));
  const { member, group } = adder;
  const { status } = await commit(place, member, group, { proposals: keyPackages.map(addOf) });
  if (status !== 201) throw new Error(`the commit was refused with ${status}`);
  return Promise.all(others.map((other) => joinByWelcome(place, other)));
}

export async function readLog(
  place: Place,
  member: Member,
  groupId: Bytes,
  after = 0,
): Promise<LogResponse> {
  const path = pathOf(groupId, `log?after=${after}`);
  return LogResponse.parse((await call(place, "GET", path, { token: member.token })).body);
}

/** Sends text to the group. */
export async function send(
  place: Place,
  member: Member,
  group: Group,
  text: string,
): Promise<{ readonly answer: Answer; readonly message: Bytes }> {
  const message = await group.send(new Uint8Array(Buffer.from(text)));
  return { answer: await postMessage(place, member, group.groupId, message), message };
}

export function postMessage(
  place: Place,
  member: Member,
  groupId: Bytes,
  message: Bytes,
): Promise<Answer> {
  return call(place, "POST", pathOf(groupId, "messages"), { token: member.token, body: message });
}
