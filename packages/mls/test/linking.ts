/** Groups that continue others, honestly or not: for tests of re-initialising and branching. */

import {
  type AuthenticationService,
  type Group,
  joinGroup,
  type Proposal,
  type ReInit,
  readKeyPackage,
} from "@conclave/mls";
import { suiteOf } from "../src/crypto/suite.ts";
import { heldResumptionPsk } from "../src/group/pre-shared-key.ts";
import { freshPskId, pskSecret } from "../src/key/psk.ts";
import { type ForgedWelcome, forgeWelcome, inside } from "./forge.ts";
import {
  ACCEPT_ALL_FOR_TESTS,
  add,
  found,
  keyPackageOf,
  type Person,
  person,
  persons,
  type Room,
  room,
  text,
  utf8,
} from "./people.ts";

/** Who is who by the credential: the same name is the same client, whatever its keys. */
export const BY_NAME: AuthenticationService = {
  ...ACCEPT_ALL_FOR_TESTS,
  clientOf: ({ credential }) =>
    JSON.stringify(credential, (_, value: unknown) =>
      value instanceof Uint8Array ? text(value) : value,
    ),
};

const NAMES = ["alice", "bob", "carol"];

/** Three clients in a room, whom the application tells apart by name. */
export async function where(options: Parameters<typeof persons>[1] = {}): Promise<Room> {
  return room(await persons(NAMES, { authentication: BY_NAME, ...options }));
}

/** The same client with a new signature key, for a suite. */
export async function renewed(who: Person, suite: number): Promise<Person> {
  const { name, storage, context } = who;
  const { authentication, crypto } = context;
  const { capabilities } = who;
  return person(name, { storage, suite, authentication, crypto, capabilities });
}

export const reinitTo = (changes: Partial<ReInit> = {}): Proposal => ({
  proposalType: "reinit",
  groupId: utf8("new room"),
  version: 1,
  cipherSuite: 1,
  extensions: [],
  ...changes,
});

/** A room that a ReInit has closed, and the clients as they are to be in the new one. */
export async function closed(
  changes: Partial<ReInit> = {},
  options: Parameters<typeof persons>[1] = {},
): Promise<Room & { readonly anew: readonly Person[] }> {
  const on = await where(options);
  const reinit = reinitTo(changes);
  const { commit } = await on.at(1).group.commit({ proposals: [reinit] });
  for (const group of on.groups) await group.receive(commit);
  const { cipherSuite: suite = 1 } = changes;
  return { ...on, anew: await Promise.all(on.people.map((who) => renewed(who, suite))) };
}

/** What is wrong with a group that claims to continue another. */
export interface Claim extends Omit<ForgedWelcome, "pskSecret" | "secrets"> {
  readonly groupId?: string;
  readonly epochOfPsk?: bigint;
}

/** Mallory makes a group that claims to continue another, and sends the Welcome to bob, who was in that one. */
export async function claimed(
  usage: "reinit" | "branch",
  on: Room,
  anew: readonly Person[],
  forged: Claim = {},
): Promise<Group> {
  const { groupId = "new room" } = forged;
  const [alice, bob] = anew;
  if (!alice || !bob) throw new Error("two people");
  const others = anew.slice(2);
  const own = await found(alice, { groupId });
  if (others.length > 0) await add(own, others);
  const mallory = await inside(alice, utf8(groupId));
  const suite = suiteOf(alice.context.crypto, alice.suite);
  const pskEpoch = forged.epochOfPsk ?? on.at(0).group.epoch;
  const id = freshPskId(
    suite,
    { pskType: "resumption", pskGroupId: utf8("room"), pskEpoch },
    usage,
  );
  const secret = await heldResumptionPsk(on.at(0).person.context, utf8("room"), pskEpoch);
  if (!secret) throw new Error("no PSK");
  const welcome = await forgeWelcome(mallory, readKeyPackage(await keyPackageOf(bob)), {
    ...forged,
    context: (context) => ({ epoch: 1n, ...forged.context?.(context) }),
    secrets: () => ({ psks: [id] }),
    pskSecret: pskSecret(suite, [{ id, secret }]),
  });
  return joinGroup(bob.context, { welcome, signer: bob.signer });
}
