/** §12.1 to §12.4: what a commit may carry. Mallory, at leaf 3, has all the keys of a member and keeps to no rule. */

import type { Bytes } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { forgeKeyPackage, forgeProposal, inside } from "../forge.ts";
import {
  expectAccepted,
  expectRefused,
  type Person,
  person,
  persons,
  type Room,
  room,
  utf8,
} from "../people.ts";

const PSK = utf8("known to all but the observer");
const KNOWN = utf8("known");
const CUSTOM_EXTENSION = 0xf001;
const CUSTOM_PROPOSAL = 0xf002;

async function fourPeople(): Promise<Person[]> {
  const externalPsk = async (id: Bytes) => (id[0] === KNOWN[0] ? PSK.slice() : undefined);
  const able = { extensions: [CUSTOM_EXTENSION, 0xf003], proposals: [CUSTOM_PROPOSAL] };
  const people = await persons(["alice", "bob", "carol"], { externalPsk, capabilities: able });
  return [
    ...people,
    await person("mallory", {
      externalPsk,
      capabilities: { ...able, extensions: [CUSTOM_EXTENSION] },
    }),
  ];
}

interface Stage {
  readonly where: Room;
  /** A proposal of another member, received by all; its reference. */
  readonly proposed: (
    leafIndex: number,
    kind: "update" | "remove-bob" | "custom",
  ) => Promise<Bytes>;
  readonly bobGoes: () => Promise<void>;
}

async function stage(): Promise<Stage> {
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

const remove = (removed: number) => ({ proposalType: "remove", removed }) as const;
const add = async (who: Person, options: Parameters<typeof forgeKeyPackage>[1] = {}) =>
  ({ proposalType: "add", keyPackage: await forgeKeyPackage(who, options) }) as const;
const extensions = (
  ...list: readonly { readonly extensionType: number; readonly extensionData: Bytes }[]
) => ({ proposalType: "group_context_extensions", extensions: list }) as const;
const custom = { extensionType: CUSTOM_EXTENSION, extensionData: utf8("data") };
const psk = (nonceByte: number, change: { pskNonce?: Bytes; pskId?: Bytes } = {}) =>
  ({
    proposalType: "psk",
    psk: {
      pskType: "external",
      pskId: KNOWN,
      pskNonce: new Uint8Array(32).fill(nonceByte),
      ...change,
    },
  }) as const;
const reinit = (version = 1) =>
  ({
    proposalType: "reinit",
    groupId: utf8("next room"),
    version,
    cipherSuite: 3,
    extensions: [] as { extensionType: number; extensionData: Bytes }[],
  }) as const;
const nonDefault = (number: number) =>
  ({ proposalType: "other", number, data: utf8("anything") }) as const;

describe("§12.1 a proposal by itself is refused for", () => {
  it.each([
    ["an older version", reinit(0), "proposal-invalid"],
    ["a leaf that is blank", remove(5), "blank-leaf"],
    ["a short PSK nonce", psk(1, { pskNonce: new Uint8Array(1) }), "psk-nonce"],
    [
      "an ExternalInit",
      { proposalType: "external_init", kemOutput: utf8("") },
      "sender-not-allowed",
    ],
    ["an extension twice", extensions(custom, custom), "duplicate-extension"],
  ] as const)("%s", async (_, proposal, code) => {
    const { where } = await stage();
    const mallory = await inside(where.at(3).person);
    await expectRefused(where, 3, await forgeProposal(mallory, proposal), code);
    await expect(where.at(0).group.propose(proposal)).rejects.toMatchObject({ code });
    await expectAccepted(where, 3, await forgeProposal(mallory, extensions(custom)));
  });
});

describe("the committer's own choice of proposals (§12.4)", () => {
  it("prefers Removes to Updates, and leaves out what touches itself", async () => {
    const on = await stage();
    await on.proposed(2, "update");
    await on.proposed(1, "update");
    await on.proposed(0, "remove-bob");
    const { where } = on;
    await expectAccepted(where, -1, (await where.at(2).group.commit()).commit);
    expect(where.at(1).group.status).toBe("removed");
    expect(
      where
        .at(0)
        .group.members()
        .map(({ leafIndex }) => leafIndex),
    ).toEqual([0, 2, 3]);
  });

  it("takes given proposals instead of pending ones of the same leaf", async () => {
    const on = await stage();
    await on.proposed(0, "remove-bob");
    const { where } = on;
    const { commit } = await where.at(2).group.commit({ proposals: [remove(1)] });
    await expectAccepted(where, -1, commit);
    expect(where.at(1).group.status).toBe("removed");
  });

  it("takes one of two Adds of a client, and a ReInit only by itself", async () => {
    const { where } = await stage();
    const eve = await person("eve");
    const messages = [
      await where.at(1).group.propose(await add(eve)),
      await where.at(2).group.propose(await add(eve)),
      await where.at(3).group.propose(reinit()),
    ];
    for (const message of messages) for (const one of where.groups) await one.receive(message);
    const { commit } = await where.at(0).group.commit();
    for (const one of where.groups) await one.receive(commit);
    expect(where.at(0).group.members()).toHaveLength(5);
    expect(where.groups.map(({ status }) => status)).toEqual(where.groups.map(() => "active"));
    const last = await where.at(3).group.propose(reinit());
    for (const one of where.groups) await one.receive(last);
    const end = await where.at(0).group.commit();
    for (const one of where.groups) await one.receive(end.commit);
    expect(where.groups.map(({ status }) => status)).toEqual(where.groups.map(() => "closed"));
  });
});
