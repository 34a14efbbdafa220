/** People for tests: each with a signature key, a storage of their own, and an authentication that knows them all. */

import {
  type AuthenticationService,
  type CommitPolicy,
  createGroup,
  createKeyPackage,
  type Extension,
  type Group,
  joinExternally,
  joinGroup,
  loadGroup,
  type MlsContext,
  memoryStorage,
  type Proposal,
  readKeyPackage,
  type Signer,
  type Storage,
  signerOf,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";

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

export interface Person {
  readonly name: string;
  readonly signer: Signer;
  readonly storage: Storage;
  readonly context: MlsContext;
  readonly credential: { readonly credentialType: "basic"; readonly identity: Bytes };
  readonly suite: number;
}

export async function person(
  name: string,
  options: {
    readonly suite?: number;
    readonly policy?: CommitPolicy;
    readonly storage?: Storage;
    readonly authentication?: AuthenticationService;
    readonly externalPsk?: (id: Bytes) => Promise<Bytes | undefined>;
  } = {},
): Promise<Person> {
  const storage = options.storage ?? memoryStorage();
  const keyPair = await nodeCrypto.generateSignatureKeyPair("ed25519");
  return {
    name,
    signer: signerOf(nodeCrypto, "ed25519", keyPair),
    storage,
    credential: { credentialType: "basic", identity: utf8(name) },
    suite: options.suite ?? 3,
    context: {
      crypto: nodeCrypto,
      storage,
      authentication: options.authentication ?? ACCEPT_ALL_FOR_TESTS,
      now: () => NOW,
      ...(options.policy && { policy: options.policy }),
      ...(options.externalPsk && { externalPsk: options.externalPsk }),
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
    lifetime: LIFETIME,
    extensions: options.extensions ?? [],
  });
}

export async function keyPackageOf(who: Person): Promise<Bytes> {
  const { context, suite, credential, signer } = who;
  const made = await createKeyPackage(context, { suite, credential, signer, lifetime: LIFETIME });
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
