/** Coming into a group by a Welcome: mallory, at leaf 1, has a member's keys, keeps to no rule, and invites eve. */

import { type Group, joinGroup, readKeyPackage } from "@conclave/mls";
import { type ForgedWelcome, forgeWelcome, type Inside, inside } from "./forge.ts";
import { keyPackageOf, type Person, person, persons, type Room, room, utf8 } from "./people.ts";

export interface Stage {
  readonly where: Room;
  readonly mallory: Inside;
  /** Who is to come in. */
  readonly eve: Person;
}

/** What the external PSK is that eve knows, whatever its id. */
export const SECRET = utf8("shared");
export const knowing = { externalPsk: async () => SECRET.slice() };

export async function stage(options?: Parameters<typeof person>[1]): Promise<Stage> {
  const where = await room(await persons(["alice", "mallory", "carol"], options));
  return { where, mallory: await inside(where.at(1).person), eve: await person("eve", knowing) };
}

export async function invited(
  { mallory, eve }: Stage,
  options: ForgedWelcome = {},
  into: Person = eve,
): Promise<Group> {
  const keyPackage = readKeyPackage(await keyPackageOf(into));
  const welcome = await forgeWelcome(mallory, keyPackage, options);
  return joinGroup(into.context, { welcome, signer: into.signer });
}

export function extension(extensionType: number, data = "") {
  return { extensionType, extensionData: utf8(data) };
}

export const external = {
  pskType: "external",
  pskId: utf8("id"),
  pskNonce: new Uint8Array(32),
} as const;

/** A PSK of the room's first epoch. */
export function resumption<U extends "application" | "reinit" | "branch">(usage: U) {
  return {
    pskType: "resumption",
    usage,
    pskGroupId: utf8("room"),
    pskEpoch: 0n,
    pskNonce: new Uint8Array(32),
  } as const;
}
