/** §12.1 to §12.4: what a commit may carry. Mallory, at leaf 3, has all the keys of a member and keeps to no rule. */

import { EXTENSION, type MlsErrorCode, RequiredCapabilities } from "@conclave/mls";
import { type Bytes, encode } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { pskSecret } from "../../src/key/psk.ts";
import {
  type ForgedCommit,
  forgeCommit,
  forgeKeyPackage,
  forgeProposal,
  forgeUpdate,
  inside,
} from "../forge.ts";
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
const required = (extensionTypes: readonly number[]) => ({
  extensionType: EXTENSION.requiredCapabilities,
  extensionData: encode(RequiredCapabilities, {
    extensionTypes,
    proposalTypes: [],
    credentialTypes: [],
  }),
});
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
const resumption = (usage: "application" | "reinit" | "branch", pskEpoch = 0n) =>
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

type Forged = ForgedCommit | ((stage: Stage) => Promise<ForgedCommit>);
interface Rule {
  readonly rule: string;
  readonly bad: Forged;
  readonly code: MlsErrorCode;
  readonly good: Forged;
  /** Who follows the group from outside can't tell. */
  readonly membersOnly?: boolean;
}

const RULES: readonly Rule[] = [
  {
    rule: "§12.2 an Update by the committer",
    bad: async ({ where }) => ({
      proposals: [await forgeUpdate(await inside(where.at(3).person))],
    }),
    code: "proposal-list",
    good: async ({ proposed }) => ({ references: [await proposed(2, "update")] }),
  },
  {
    rule: "§12.2 a Remove of the committer",
    bad: { proposals: [remove(3)] },
    code: "proposal-list",
    good: { proposals: [remove(1)] },
  },
  {
    rule: "§12.2 an Update and a Remove of one leaf",
    bad: async ({ proposed }) => ({
      references: [await proposed(2, "update")],
      proposals: [remove(2)],
    }),
    code: "proposal-list",
    good: async ({ proposed }) => ({
      references: [await proposed(2, "update")],
      proposals: [remove(1)],
    }),
  },
  {
    rule: "§12.2 two Removes of one leaf",
    bad: async ({ proposed }) => ({
      references: [await proposed(2, "remove-bob")],
      proposals: [remove(1)],
    }),
    code: "proposal-list",
    good: { proposals: [remove(1), remove(2)] },
  },
  {
    rule: "§12.2 two Updates of one leaf",
    bad: async ({ proposed }) => ({
      references: [await proposed(2, "update"), await proposed(2, "update")],
    }),
    code: "proposal-list",
    good: async ({ proposed }) => ({
      references: [await proposed(2, "update"), await proposed(1, "update")],
    }),
  },
  {
    rule: "§12.2 two Adds of one client",
    bad: async () => {
      const eve = await person("eve");
      return { proposals: [await add(eve), await add(eve)] };
    },
    code: "leaf-key-reused",
    good: async () => ({
      proposals: [await add(await person("eve")), await add(await person("dan"))],
    }),
  },
  {
    rule: "§7.3 an Add with an encryption key that another Add has",
    bad: async () => {
      const first = await add(await person("eve"));
      const { encryptionKey } = first.keyPackage.leafNode;
      return {
        proposals: [first, await add(await person("dan"), { leaf: () => ({ encryptionKey }) })],
      };
    },
    code: "leaf-key-reused",
    good: async () => ({ proposals: [await add(await person("eve"))] }),
  },
  {
    rule: "§12.2 an Add of a client that is there",
    bad: async ({ where }) => ({ proposals: [await add(where.at(1).person)] }),
    code: "leaf-key-reused",
    good: async ({ where }) => ({ proposals: [remove(1), await add(where.at(1).person)] }),
  },
  {
    rule: "§12.2 the same PreSharedKeyID twice",
    bad: { proposals: [psk(1), psk(1)] },
    code: "proposal-list",
    good: async ({ where }) => {
      const { suite } = await inside(where.at(3).person);
      const proposals = [psk(1), psk(2)];
      const psks = proposals.map(({ psk: id }) => ({ id, secret: PSK }));
      return { proposals, pskSecret: pskSecret(suite, psks) };
    },
  },
  {
    rule: "§8.4 a PSK nonce of another length than the hash's",
    bad: { proposals: [psk(1, { pskNonce: new Uint8Array(31) })] },
    code: "psk-nonce",
    good: async ({ where }) => {
      const { suite } = await inside(where.at(3).person);
      return {
        proposals: [psk(1)],
        pskSecret: pskSecret(suite, [{ id: psk(1).psk, secret: PSK }]),
      };
    },
  },
  ...(["reinit", "branch"] as const).map((usage) => ({
    rule: `§12.1.4 a resumption PSK for a ${usage}`,
    bad: { proposals: [resumption(usage)] },
    code: "psk-usage" as const,
    good: async ({ where }: Stage) => {
      const { suite, secrets } = await inside(where.at(3).person);
      const proposal = resumption("application", 1n);
      const known = { id: proposal.psk, secret: secrets.resumptionPsk };
      return { proposals: [proposal], pskSecret: pskSecret(suite, [known]) };
    },
  })),
  {
    rule: "§8.4 a PSK that a member doesn't have",
    bad: { proposals: [psk(1, { pskId: utf8("unknown") })] },
    code: "psk-unknown",
    good: {},
    membersOnly: true,
  },
  {
    rule: "§12.2 two GroupContextExtensions",
    bad: { proposals: [extensions(), extensions()] },
    code: "proposal-list",
    good: { proposals: [extensions()] },
  },
  {
    rule: "§13.4 a GroupContextExtensions with a type twice",
    bad: { proposals: [extensions(custom, custom)] },
    code: "duplicate-extension",
    good: { proposals: [extensions(custom)] },
  },
  {
    rule: "§13.4 a GroupContext extension that a member doesn't support",
    bad: { proposals: [extensions({ ...custom, extensionType: 0xf003 })] },
    code: "extension-unsupported",
    good: { proposals: [extensions(custom)] },
  },
  {
    rule: "§11.1 required capabilities that a member hasn't got",
    bad: { proposals: [extensions(required([0xf003]))] },
    code: "leaf-capabilities",
    good: { proposals: [extensions(required([CUSTOM_EXTENSION]))] },
  },
  {
    rule: "§11.1 required capabilities that someone added by the same commit hasn't got",
    bad: async () => ({
      proposals: [extensions(required([CUSTOM_EXTENSION])), await add(await person("eve"))],
    }),
    code: "leaf-capabilities",
    good: async () => {
      const capable = { extensions: [CUSTOM_EXTENSION] };
      const eve = await add(await person("eve"), {
        leaf: ({ capabilities }) => ({ capabilities: { ...capabilities, ...capable } }),
      });
      return { proposals: [extensions(required([CUSTOM_EXTENSION])), eve] };
    },
  },
  {
    rule: "§11.1 required_capabilities with bytes too many",
    bad: {
      proposals: [
        extensions({
          ...required([]),
          extensionData: Uint8Array.of(...required([]).extensionData, 0),
        }),
      ],
    },
    code: "decode",
    good: { proposals: [extensions(required([]))] },
  },
  {
    rule: "§12.2 a ReInit beside something else",
    bad: { proposals: [reinit(), remove(1)] },
    code: "proposal-list",
    good: { proposals: [reinit()], pathless: true },
  },
  {
    rule: "§12.1.5 a ReInit to an older version",
    bad: { proposals: [reinit(0)] },
    code: "proposal-invalid",
    good: { proposals: [reinit(1)] },
  },
  {
    rule: "§13.4 a ReInit with an extension type twice",
    bad: { proposals: [{ ...reinit(), extensions: [custom, custom] }] },
    code: "duplicate-extension",
    good: { proposals: [{ ...reinit(), extensions: [custom] }] },
  },
  {
    rule: "§12.2 an ExternalInit in a member's commit",
    bad: { proposals: [{ proposalType: "external_init", kemOutput: new Uint8Array(32) }] },
    code: "proposal-list",
    good: {},
  },
  {
    rule: "§12.1.3 a Remove of a blank leaf",
    bad: async ({ bobGoes }) => {
      await bobGoes();
      return { proposals: [remove(1)] };
    },
    code: "blank-leaf",
    good: { proposals: [remove(2)] },
  },
  ...[4, 7, 2 ** 32 - 1].map((leafIndex) => ({
    rule: `§12.1.3 a Remove of leaf ${leafIndex}, beyond the members`,
    bad: { proposals: [remove(leafIndex)] },
    code: "blank-leaf" as const,
    good: { proposals: [remove(0)] },
  })),
  {
    rule: "§12.2 a proposal type that a member doesn't support",
    bad: { proposals: [nonDefault(0xf009)] },
    code: "proposal-unsupported",
    good: { proposals: [nonDefault(CUSTOM_PROPOSAL)] },
  },
  {
    rule: "§12.2 a proposal type that someone who stays doesn't support",
    bad: { proposals: [nonDefault(0xf009), remove(1)] },
    code: "proposal-unsupported",
    // Who is added by the same commit need not know it.
    good: async () => ({
      proposals: [nonDefault(CUSTOM_PROPOSAL), await add(await person("eve"))],
    }),
  },
  {
    rule: "§12.2 one reference twice",
    bad: async ({ proposed }) => {
      const ref = await proposed(1, "custom");
      return { references: [ref, ref] };
    },
    code: "proposal-list",
    good: async ({ proposed }) => ({ references: [await proposed(1, "custom")] }),
  },
  {
    rule: "§12.4.2 a reference to no proposal",
    bad: { references: [new Uint8Array(32)] },
    code: "proposal-unknown",
    good: async ({ proposed }) => ({ references: [await proposed(1, "update")] }),
  },
  ...(
    [
      ["no proposal", {}],
      ["a Remove", { proposals: [remove(1)] }],
      ["a GroupContextExtensions", { proposals: [extensions(custom)] }],
      ["a type of its own", { proposals: [nonDefault(CUSTOM_PROPOSAL)] }],
    ] as const
  ).map(([name, commit]) => ({
    rule: `§12.4 a commit with ${name} and no path`,
    bad: { ...commit, pathless: true },
    code: "path-required" as const,
    good: commit,
  })),
  {
    rule: "§12.4 a commit with an Update and no path",
    bad: async ({ proposed }) => ({ references: [await proposed(1, "update")], pathless: true }),
    code: "path-required",
    good: async () => ({ proposals: [await add(await person("eve"))], pathless: true }),
  },
];

async function made(forged: Forged, on: Stage): Promise<Bytes> {
  const options = typeof forged === "function" ? await forged(on) : forged;
  return forgeCommit(await inside(on.where.at(3).person), options);
}

describe("a commit is refused for", () => {
  it.each(RULES)("$rule", async ({ bad, code, good, membersOnly }) => {
    const first = await stage();
    const refused = await made(bad, first);
    await expectRefused(first.where, 3, refused, code, { membersOnly: membersOnly ?? false });
    // The group goes on as if nothing had been said.
    const { commit } = await first.where.at(0).group.commit();
    await expectAccepted(first.where, -1, commit);
    const second = await stage();
    const honest = await made(good, second);
    await expectAccepted(second.where, 3, honest);
  });

  it("§12.4 a reference to a proposal of an earlier epoch", async () => {
    const on = await stage();
    const ref = await on.proposed(2, "update");
    await expectAccepted(on.where, -1, (await on.where.at(0).group.commit()).commit);
    const late = await forgeCommit(await inside(on.where.at(3).person), { references: [ref] });
    await expectRefused(on.where, 3, late, "proposal-unknown", { membersOnly: true });
  });
});

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
