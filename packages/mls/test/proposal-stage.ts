/** Where proposals are tried: four people of whom one can do less, the proposals that they make, and those made for them. */

import { type Credentialed, EXTENSION, RequiredCapabilities } from "@conclave/mls";
import { type Bytes, encode } from "@conclave/mls/codec";
import { forgeKeyPackage } from "./forge.ts";
import {
  ACCEPT_ALL_FOR_TESTS,
  expectAccepted,
  type Person,
  person,
  type Room,
  room,
  text,
  utf8,
} from "./people.ts";

export const PSK = utf8("known to all but the observer");
export const KNOWN = utf8("known");
export const CUSTOM_EXTENSION = 0xf001;
export const CUSTOM_PROPOSAL = 0xf002;
export const ALL_BUT_BOB = 0xf003;

/** Everybody can do what is not of the RFC, but for Bob. Clients are told apart by their names. */
async function fourPeople(): Promise<Person[]> {
  const able = {
    extensions: [CUSTOM_EXTENSION, ALL_BUT_BOB],
    proposals: [CUSTOM_PROPOSAL, ALL_BUT_BOB],
  };
  const less = { extensions: [CUSTOM_EXTENSION], proposals: [CUSTOM_PROPOSAL] };
  return Promise.all(
    ["alice", "bob", "carol", "mallory"].map((name) =>
      person(name, {
        externalPsk,
        capabilities: name === "bob" ? less : able,
        authentication: {
          ...ACCEPT_ALL_FOR_TESTS,
          clientOf: nameOf,
          isSuccessor: async (previous, next) => nameOf(previous) === nameOf(next),
        },
      }),
    ),
  );
}

export async function externalPsk(id: Bytes): Promise<Bytes | undefined> {
  return id[0] === KNOWN[0] ? PSK.slice() : undefined;
}

export function nameOf({ credential }: Credentialed): string {
  return credential.credentialType === "basic" ? text(credential.identity) : "";
}

export interface Stage {
  readonly where: Room;
  /** A proposal of another member, received by all; its reference. */
  readonly proposed: (
    leafIndex: number,
    kind: "update" | "remove-bob" | "custom",
  ) => Promise<Bytes>;
  readonly bobGoes: () => Promise<void>;
}

export async function stage(): Promise<Stage> {
  const where = await room(await fourPeople());
  const { observer: before } = where;
  let observer = before;
  const proposed: Stage["proposed"] = async (leafIndex, kind) => {
    const { group } = where.at(leafIndex);
    const message =
      kind === "update"
        ? await group.proposeUpdate()
        : await group.propose(kind === "custom" ? nonDefault(CUSTOM_PROPOSAL) : remove(1));
    let ref: Bytes | undefined;
    for (const other of where.groups) {
      const received = await other.receive(message);
      if (received.type === "proposal") ref = received.ref;
    }
    ({ group: observer } = await observer.process(message));
    if (!ref) throw new Error("no reference");
    return ref;
  };
  return {
    get where() {
      return { ...where, observer };
    },
    proposed,
    bobGoes: async () => {
      const { commit } = await where.at(0).group.commit({ proposals: [remove(1)] });
      ({ observer } = await expectAccepted({ ...where, observer }, -1, commit));
    },
  };
}

export const remove = (removed: number) => ({ proposalType: "remove", removed }) as const;
export const add = async (who: Person, options: Parameters<typeof forgeKeyPackage>[1] = {}) =>
  ({ proposalType: "add", keyPackage: await forgeKeyPackage(who, options) }) as const;
export const extensions = (
  ...list: readonly { readonly extensionType: number; readonly extensionData: Bytes }[]
) => ({ proposalType: "group_context_extensions", extensions: list }) as const;
export const custom = { extensionType: CUSTOM_EXTENSION, extensionData: utf8("data") };
export const required = (extensionTypes: readonly number[]) => ({
  extensionType: EXTENSION.requiredCapabilities,
  extensionData: encode(RequiredCapabilities, {
    extensionTypes,
    proposalTypes: [],
    credentialTypes: [],
  }),
});
export const psk = (nonceByte: number, change: { pskNonce?: Bytes; pskId?: Bytes } = {}) =>
  ({
    proposalType: "psk",
    psk: {
      pskType: "external",
      pskId: KNOWN,
      pskNonce: new Uint8Array(32).fill(nonceByte),
      ...change,
    },
  }) as const;
export const resumption = (usage: "application" | "reinit" | "branch", pskEpoch = 0n) =>
  ({
    proposalType: "psk",
    psk: {
      pskType: "resumption",
      usage,
      pskGroupId: utf8("room"),
      pskEpoch,
      pskNonce: new Uint8Array(32),
    },
  }) as const;
export const reinit = (version = 1) =>
  ({
    proposalType: "reinit",
    groupId: utf8("next room"),
    version,
    cipherSuite: 3,
    extensions: [] as { extensionType: number; extensionData: Bytes }[],
  }) as const;
export const nonDefault = (number: number) =>
  ({ proposalType: "other", number, data: utf8("anything") }) as const;
