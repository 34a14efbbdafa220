/** People for tests: each with a signature key, a storage of their own, and an authentication that knows them all. */

import {
  type AuthenticationService,
  type Capabilities,
  type CommitPolicy,
  type CryptoProvider,
  createGroup,
  createKeyPackage,
  defaultCapabilities,
  type Extension,
  type Group,
  joinExternally,
  joinGroup,
  loadGroup,
  type MlsContext,
  type MlsErrorCode,
  memoryStorage,
  type Proposal,
  readKeyPackage,
  type Signer,
  type Storage,
  signerOf,
  suiteOf,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { PublicGroup } from "@conclave/mls/public-group";
import { expect } from "vitest";
import { toHex } from "../src/bytes.ts";

export const NOW = Date.UTC(2026, 10, 23);
export const LIFETIME = {
  notBefore: BigInt(NOW / 1000 - 3600),
  notAfter: BigInt(NOW / 1000 + 90 * 86_400),
};

/** Accepts every credential: the people in these tests are who they say. */
export const ACCEPT_ALL_FOR_TESTS: AuthenticationService = {
  validate: async () => undefined,
  isSuccessor: async () => true,
};

export function utf8(text: string): Bytes {
  return new TextEncoder().encode(text);
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

export const hex: (bytes: Uint8Array) => string = toHex;

export function unhex(digits: string): Bytes {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export interface Person {
  readonly name: string;
  readonly signer: Signer;
  readonly storage: Storage;
  readonly context: MlsContext;
  readonly credential: { readonly credentialType: "basic"; readonly identity: Bytes };
  readonly suite: number;
  readonly capabilities: Capabilities;
}

export async function person(
  name: string,
  options: {
    readonly suite?: number;
    readonly policy?: CommitPolicy;
    readonly storage?: Storage;
    readonly authentication?: AuthenticationService;
    readonly crypto?: CryptoProvider;
    readonly capabilities?: Partial<Capabilities>;
    readonly externalPsk?: (id: Bytes) => Promise<Bytes | undefined>;
    /** Whatever else an application may choose. */
    readonly context?: Partial<MlsContext>;
  } = {},
): Promise<Person> {
  const storage = options.storage ?? memoryStorage();
  const crypto = options.crypto ?? nodeCrypto;
  const suite = options.suite ?? 3;
  const { signature } = suiteOf(crypto, suite);
  const keyPair = await crypto.generateSignatureKeyPair(signature);
  return {
    name,
    signer: signerOf(crypto, signature, keyPair),
    storage,
    credential: { credentialType: "basic", identity: utf8(name) },
    suite,
    capabilities: defaultCapabilities(crypto, options.capabilities),
    context: {
      crypto,
      storage,
      authentication: options.authentication ?? ACCEPT_ALL_FOR_TESTS,
      now: () => NOW,
      ...(options.policy && { policy: options.policy }),
      ...(options.externalPsk && { externalPsk: options.externalPsk }),
      ...options.context,
    },
  };
}

export function found(
  who: Person,
  options: { readonly groupId?: string; readonly extensions?: readonly Extension[] } = {},
): Promise<Group> {
  return createGroup(who.context, {
    groupId: utf8(options.groupId ?? "room"),
    suite: who.suite,
    credential: who.credential,
    signer: who.signer,
    capabilities: who.capabilities,
    lifetime: LIFETIME,
    extensions: options.extensions ?? [],
  });
}

export async function keyPackageOf(who: Person): Promise<Bytes> {
  const { context, suite, credential, signer, capabilities } = who;
  const made = await createKeyPackage(context, {
    suite,
    credential,
    signer,
    capabilities,
    lifetime: LIFETIME,
  });
  return made.keyPackage;
}

export async function addProposal(who: Person): Promise<Proposal> {
  return { proposalType: "add", keyPackage: readKeyPackage(await keyPackageOf(who)) };
}

/** `by` adds people; everybody who is there already receives the commit. */
export async function add(
  by: Group,
  people: readonly Person[],
  others: readonly Group[] = [],
  options: { readonly forcePath?: boolean } = {},
): Promise<Group[]> {
  const proposals = await Promise.all(people.map(addProposal));
  const bundle = await by.commit({ proposals, ...options });
  await Promise.all([by, ...others].map((group) => group.receive(bundle.commit)));
  const { welcome } = bundle;
  if (!welcome) throw new Error("no welcome");
  return Promise.all(
    people.map(({ context, signer }) =>
      joinGroup(context, { welcome, ratchetTree: by.ratchetTree(), signer }),
    ),
  );
}

/** Someone joins by an external commit that everybody receives. */
export async function joinByLink(
  who: Person,
  host: Group,
  others: readonly Group[] = [],
): Promise<Group> {
  const groupInfo = await host.groupInfo({ externalPub: true });
  const { group, bundle } = await joinExternally(who.context, {
    groupInfo,
    ratchetTree: host.ratchetTree(),
    credential: who.credential,
    signer: who.signer,
    capabilities: who.capabilities,
  });
  await Promise.all([host, ...others].map((other) => other.receive(bundle.commit)));
  await group.confirm();
  return group;
}

export async function reload(who: Person, group: Group): Promise<Group> {
  const loaded = await loadGroup(who.context, { groupId: group.groupId, signer: who.signer });
  if (!loaded) throw new Error("the group is not in storage");
  return loaded;
}

/** A group with its members, and someone who follows it from outside. */
export interface Room {
  readonly people: readonly Person[];
  readonly groups: readonly Group[];
  readonly observer: PublicGroup;
  /** The person and the group at a leaf. */
  readonly at: (leafIndex: number) => { readonly person: Person; readonly group: Group };
}

/** The first founds the group and adds the others, with a path; so the tree has parents. */
export async function room(
  people: readonly Person[],
  options: { readonly extensions?: readonly Extension[] } = {},
): Promise<Room> {
  const [founder, ...others] = people;
  if (!founder) throw new Error("nobody");
  const first = await found(founder, options);
  const groups = [first, ...(await add(first, others, [], { forcePath: true }))];
  return {
    people,
    groups,
    observer: await observe(founder, first),
    at: (leafIndex) => {
      const [who, group] = [people[leafIndex], groups[leafIndex]];
      if (!who || !group) throw new Error(`nobody at leaf ${leafIndex}`);
      return { person: who, group };
    },
  };
}

export async function observe(who: Person, group: Group): Promise<PublicGroup> {
  const groupInfo = await group.groupInfo({ externalPub: false });
  return PublicGroup.open(who.context, { groupInfo, ratchetTree: group.ratchetTree() });
}

/** Everybody but the one at `sender` refuses a message with this code, and stays where they were; so does who follows the group. */
export async function expectRefused(
  where: Room,
  sender: number,
  message: Bytes,
  code: MlsErrorCode,
  options: { readonly membersOnly?: boolean } = {},
): Promise<void> {
  for (const [leafIndex, group] of where.groups.entries()) {
    if (leafIndex === sender || group.status !== "active") continue;
    const before = [group.epoch, hex(group.epochAuthenticator), group.pendingProposals.length];
    await expect(group.receive(message)).rejects.toMatchObject({ name: "MlsError", code });
    expect([group.epoch, hex(group.epochAuthenticator), group.pendingProposals.length]).toEqual(
      before,
    );
  }
  if (options.membersOnly) return;
  await expect(where.observer.process(message)).rejects.toMatchObject({ name: "MlsError", code });
}

/** Everybody but the one at `sender` takes a message, and so does who follows the group; the members agree. */
export async function expectAccepted(where: Room, sender: number, message: Bytes): Promise<Room> {
  const authenticators = new Set<string>();
  for (const [leafIndex, group] of where.groups.entries()) {
    if (leafIndex === sender || group.status !== "active") continue;
    const received = await group.receive(message);
    if (received.type === "commit" && received.removed) continue;
    authenticators.add(hex(group.epochAuthenticator));
  }
  expect(authenticators.size).toBe(1);
  const { group } = await where.observer.process(message);
  return { ...where, observer: group };
}

/** What something gives, and how often other work had its turn before it did. */
export async function withTurns<T>(act: (turns: () => number) => Promise<T>): Promise<{
  readonly value: T;
  readonly turns: number;
}> {
  let turns = 0;
  let next = setImmediate(function turn() {
    turns++;
    next = setImmediate(turn);
  });
  try {
    return { value: await act(() => turns), turns };
  } finally {
    clearImmediate(next);
  }
}

export async function persons(
  names: readonly string[],
  options: Parameters<typeof person>[1] = {},
): Promise<Person[]> {
  return Promise.all(names.map((name) => person(name, options)));
}
