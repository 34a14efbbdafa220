/** draft-ietf-mls-extensions, the rules that it adds to those of RFC 9420. */

import {
  EXTENSION,
  type Extension,
  joinExternally,
  type Proposal,
  RequiredCapabilities,
} from "@conclave/mls";
import { type Bytes, decode, encode, opaque, struct, uint16, vector } from "@conclave/mls/codec";
import {
  AppDataDictionary,
  type Component,
  componentData,
  DRAFT_PROPOSAL,
  dictionaryExtension,
  dictionaryOf,
  draftProposals,
} from "@conclave/mls/extensions";
import { expect } from "vitest";
import { decodeMessage } from "../../src/framing/message.ts";
import { forgeCommit, forgePrivate, forgeProposal, type Inside, inside } from "../forge.ts";
import {
  addProposal,
  expectAccepted,
  hex,
  type Person,
  person,
  persons,
  type Room,
  room,
  text,
  utf8,
} from "../people.ts";
import { accepts, refusedByAll, refuses, rule } from "./rule.ts";
import { MALLORY } from "./stage.ts";

const SELF_REMOVE: Proposal = { proposalType: "self_remove" };
const DICTIONARY = 6;
/** A component whose data is a text that grows, by no more than letters. */
const TEXT = 0x8001;
const OTHER = 0x8002;

const growing: Component = {
  update: (data, updates) => {
    const added = updates.map((one) => text(one)).join("");
    if (!/^[a-z]*$/.test(added)) throw new Error("no letters");
    return utf8(text(data ?? new Uint8Array()) + added);
  },
  ephemeral: (data) => {
    if (data.length > 10) throw new Error("too long");
  },
};
const components = new Map([
  [TEXT, growing],
  [OTHER, growing],
]);

const options = {
  capabilities: { extensions: [DICTIONARY], proposals: Object.values(DRAFT_PROPOSAL) },
  context: { rules: { proposals: draftProposals(components) } },
};

interface Stage {
  readonly where: Room;
  readonly mallory: Inside;
}

async function stage(
  extensions: readonly Extension[] = [],
  context: Person["context"] | object = {},
): Promise<Stage> {
  const people = await persons(["alice", "bob", "carol", "mallory"], {
    ...options,
    context: { ...options.context, ...context },
  });
  const where = await room(people, { extensions });
  return { where, mallory: await inside(where.at(MALLORY).person) };
}

/** A member proposes, and all take it. */
async function proposed(at: Stage, leafIndex: number, proposal: Proposal): Promise<Stage> {
  const message = await at.where.at(leafIndex).group.propose(proposal);
  return received(at, leafIndex, message);
}

async function received(at: Stage, leafIndex: number, message: Bytes): Promise<Stage> {
  const where = await expectAccepted(at.where, leafIndex, message);
  return { where, mallory: await inside(where.at(MALLORY).person) };
}

function references(at: Stage): readonly Bytes[] {
  return [...at.mallory.state.proposals.values()].map(({ ref }) => ref);
}

/** A member commits what waits and these, and all take it. */
async function committed(
  at: Stage,
  leafIndex: number,
  proposals: readonly Proposal[] = [],
): Promise<Room> {
  const { group } = at.where.at(leafIndex);
  const { commit } = await group.commit({ proposals });
  await group.receive(commit);
  return expectAccepted(at.where, leafIndex, commit);
}

function leaves(where: Room, leafIndex: number): readonly number[] {
  const { group } = where.at(leafIndex);
  return group.members().map((member) => member.leafIndex);
}

function update(componentId: number, letters: string): Proposal {
  const operation = { op: "update", update: utf8(letters) } as const;
  return { proposalType: "app_data_update", componentId, operation };
}

function remove(componentId: number): Proposal {
  return { proposalType: "app_data_update", componentId, operation: { op: "remove" } };
}

function ephemeral(data: string, componentId: number = TEXT): Proposal {
  return { proposalType: "app_ephemeral", componentId, data: utf8(data) };
}

function dictionary(...entries: readonly (readonly [number, string])[]): Extension {
  return dictionaryExtension(
    entries.map(([componentId, data]) => ({ componentId, data: utf8(data) })),
  );
}

function requiring(...proposalTypes: readonly number[]): Extension {
  const required = { extensionTypes: [], proposalTypes, credentialTypes: [] };
  return {
    extensionType: EXTENSION.requiredCapabilities,
    extensionData: encode(RequiredCapabilities, required),
  };
}

function dataIn(where: Room, componentId: number): string | undefined {
  const data = componentData(where.at(0).group.extensions, componentId);
  return data && text(data);
}

async function refusedCommit(at: Stage, proposals: readonly Proposal[]): Promise<void> {
  await refusedByAll(at.where, MALLORY, await forgeCommit(at.mallory, { proposals }));
}

rule("X01", () => {
  accepts("one by reference, which removes its sender", async () => {
    const at = await proposed(await stage(), 1, SELF_REMOVE);
    const where = await committed(at, 0);
    expect(leaves(where, 0)).toEqual([0, 2, 3]);
    expect(where.at(1).group.status).toBe("removed");
  });
  refuses("one by value", "proposal-list §12.2", async () =>
    refusedCommit(await stage(), [SELF_REMOVE]),
  );
  refuses("one by value in an external commit", "proposal-list §12.2", async () => {
    const at = await stage();
    const external = { person: await person("eve", options) };
    const bad = await forgeCommit(at.mallory, { external, proposals: [SELF_REMOVE] });
    await refusedByAll(at.where, -1, bad);
  });
  refuses("the committer's own", "proposal-list §12.2", async () => {
    const at = await proposed(await stage(), MALLORY, SELF_REMOVE);
    const bad = await forgeCommit(at.mallory, { references: references(at) });
    await refusedByAll(at.where, MALLORY, bad);
  });
  accepts("a commit without the committer's own", async () => {
    const at = await proposed(await stage(), 1, SELF_REMOVE);
    expect(leaves(await committed(at, 1), 0)).toEqual([0, 1, 2, 3]);
  });
  refuses(
    "one in a group in which somebody does not support it",
    "proposal-unsupported §12.2",
    async () => {
      const [old, ...others] = await persons(["old", "new", "other", "mallory"], options);
      const capabilities = { ...(old ?? others[0])?.capabilities, proposals: [] };
      const where = await room([{ ...old, capabilities } as Person, ...others]);
      const mallory = await inside(where.at(MALLORY).person);
      await refusedByAll(where, MALLORY, await forgeProposal(mallory, SELF_REMOVE));
    },
  );
  refuses("one from outside, were it allowed by value", "sender-not-allowed §12.1.8", async () => {
    const eased = { ...ofSelfRemove(), listed: "either" } as const;
    const rules = { proposals: new Map([[DRAFT_PROPOSAL.selfRemove, eased]]) };
    const people = await persons(["alice", "bob", "carol", "mallory"], {
      ...options,
      context: { rules },
    });
    const where = await room(people);
    const external = { person: await person("eve", options) };
    const mallory = await inside(where.at(MALLORY).person);
    await refusedByAll(
      where,
      -1,
      await forgeCommit(mallory, { external, proposals: [SELF_REMOVE] }),
    );
  });
});

function ofSelfRemove() {
  const rules = draftProposals().get(DRAFT_PROPOSAL.selfRemove);
  if (!rules) throw new Error("no rules");
  return rules;
}

rule("X02", () => {
  accepts("one in a group whose handshakes are encrypted", async () => {
    const at = await stage([], { handshakes: { send: "private", accept: "private" } });
    const message = await at.where.at(1).group.propose(SELF_REMOVE);
    expect(decodeMessage(message).wireFormat).toBe("mls_public_message");
    await expectAccepted(at.where, 1, message);
  });
  refuses("one that is encrypted", "wrong-wire-format §12.1", async () => {
    const { where, mallory } = await stage();
    const content = { contentType: "proposal", proposal: SELF_REMOVE } as const;
    await refusedByAll(where, MALLORY, await forgePrivate(mallory, content), { membersOnly: true });
  });
});

rule("X03", () => {
  accepts("the SelfRemove, and no Remove of the same leaf", async () => {
    let at = await proposed(await stage(), 2, { proposalType: "remove", removed: 1 });
    at = await proposed(at, 1, SELF_REMOVE);
    const where = await committed(at, 0);
    expect(leaves(where, 0)).toEqual([0, 2, 3]);
  });
  refuses("both", "proposal-list §12.2", async () => {
    let at = await proposed(await stage(), 2, { proposalType: "remove", removed: 1 });
    at = await proposed(at, 1, SELF_REMOVE);
    const bad = await forgeCommit(at.mallory, { references: references(at) });
    await refusedByAll(at.where, MALLORY, bad);
  });
  refuses("both in an external commit", "proposal-list §12.2", async () => {
    const at = await proposed(await stage(), 1, SELF_REMOVE);
    const bad = await forgeCommit(at.mallory, {
      external: { person: await person("eve", options) },
      references: references(at),
      proposals: [{ proposalType: "remove", removed: 1 }],
    });
    await refusedByAll(at.where, -1, bad);
  });
});

rule("X04", () => {
  accepts("the same one again, and one in the next epoch", async () => {
    let at = await stage();
    const message = await at.where.at(1).group.propose(SELF_REMOVE);
    at = await received(at, 1, message);
    at = await received(at, 1, message);
    expect(at.where.at(0).group.pendingProposals).toHaveLength(1);
    const where = await committed(at, 1);
    at = { where, mallory: await inside(where.at(MALLORY).person) };
    await proposed(at, 1, SELF_REMOVE);
  });
  refuses("another one", "proposal-invalid §12.1", async () => {
    const at = await proposed(await stage(), MALLORY, SELF_REMOVE);
    const again = await forgeProposal(at.mallory, SELF_REMOVE, { authenticatedData: utf8("2") });
    await refusedByAll(at.where, MALLORY, again);
  });
});

rule("X05", () => {
  accepts("one by someone who joins and takes it along", async () => {
    let at = await stage();
    const leaving = await at.where.at(1).group.propose(SELF_REMOVE);
    at = await received(at, 1, leaving);
    const host = at.where.at(0).group;
    const eve = await person("eve", options);
    const { group, bundle } = await joinExternally(eve.context, {
      groupInfo: await host.groupInfo({ externalPub: true }),
      ratchetTree: host.ratchetTree(),
      credential: eve.credential,
      signer: eve.signer,
      capabilities: eve.capabilities,
      proposals: [leaving],
    });
    const where = await expectAccepted(at.where, -1, bundle.commit);
    await group.confirm();
    expect(where.at(1).group.status).toBe("removed");
    expect(hex(group.epochAuthenticator)).toBe(hex(where.at(0).group.epochAuthenticator));
  });
  refuses("another proposal by reference", "proposal-list §12.2", async () => {
    const at = await proposed(await stage(), 2, { proposalType: "remove", removed: 1 });
    const external = { person: await person("eve", options) };
    const bad = await forgeCommit(at.mallory, { external, references: references(at) });
    await refusedByAll(at.where, -1, bad);
  });
  const joined = async (
    change: (at: Stage, message: Bytes) => Promise<Bytes> | Bytes,
    by: (at: Stage) => Promise<Bytes> = (at) => at.where.at(1).group.propose(SELF_REMOVE),
  ) => {
    const at = await stage();
    const eve = await person("eve", options);
    const host = at.where.at(0).group;
    await joinExternally(eve.context, {
      groupInfo: await host.groupInfo({ externalPub: true }),
      ratchetTree: host.ratchetTree(),
      credential: eve.credential,
      signer: eve.signer,
      capabilities: eve.capabilities,
      proposals: [await change(at, await by(at))],
    });
  };
  refuses("one of another group", "wrong-group §6.1", () =>
    joined(({ mallory }) => forgeProposal(mallory, SELF_REMOVE, { groupId: utf8("elsewhere") })),
  );
  refuses("one of another epoch", "wrong-epoch §6.1", () =>
    joined(({ mallory }) => forgeProposal(mallory, SELF_REMOVE, { epoch: 9n })),
  );
  refuses("one that another signed", "signature §6.1", () =>
    joined(({ mallory }) =>
      forgeProposal(mallory, SELF_REMOVE, { sender: { senderType: "member", leafIndex: 1 } }),
    ),
  );
  refuses("one of another type", "proposal-list §12.2", () =>
    joined(
      (_, message) => message,
      (at) => at.where.at(1).group.propose(ephemeral("hi")),
    ),
  );
});

rule("X06", () => {
  accepts("the removal of what is there", async () => {
    const at = await stage([dictionary([TEXT, "old"])]);
    const where = await committed(at, 0, [remove(TEXT)]);
    expect(dataIn(where, TEXT)).toBeUndefined();
  });
  refuses("the removal of what is not there", "proposal-invalid §12.1", async () =>
    refusedCommit(await stage([dictionary([TEXT, "old"])]), [remove(OTHER)]),
  );
  refuses("an update of a component that is not known", "proposal-invalid §12.1", async () =>
    refusedCommit(await stage(), [update(0x8003, "a")]),
  );
  refuses("an update that its component refuses", "proposal-invalid §12.1", async () =>
    refusedCommit(await stage(), [update(TEXT, "1")]),
  );
});

rule("X07", () => {
  accepts("several updates, and a removal of another component", async () => {
    const at = await stage([dictionary([OTHER, "old"])]);
    const where = await committed(at, 0, [update(TEXT, "a"), remove(OTHER), update(TEXT, "b")]);
    expect([dataIn(where, TEXT), dataIn(where, OTHER)]).toEqual(["ab", undefined]);
  });
  refuses("an update and a removal", "proposal-list §12.2", async () =>
    refusedCommit(await stage([dictionary([TEXT, "old"])]), [update(TEXT, "a"), remove(TEXT)]),
  );
  refuses("a removal and an update", "proposal-list §12.2", async () =>
    refusedCommit(await stage([dictionary([TEXT, "old"])]), [remove(TEXT), update(TEXT, "a")]),
  );
  refuses("two removals", "proposal-list §12.2", async () =>
    refusedCommit(await stage([dictionary([TEXT, "old"])]), [remove(TEXT), remove(TEXT)]),
  );
});

rule("X08", () => {
  const required = requiring(DRAFT_PROPOSAL.appDataUpdate);
  const was = dictionary([TEXT, "old"]);
  const own: Extension = { extensionType: 0xff01, extensionData: utf8("x") };
  const replacing = (...extensions: readonly Extension[]): Proposal => ({
    proposalType: "group_context_extensions",
    extensions,
  });
  const supporting = async (extensions: readonly Extension[]): Promise<Stage> => {
    const people = await persons(["alice", "bob", "carol", "mallory"], {
      ...options,
      capabilities: { ...options.capabilities, extensions: [DICTIONARY, own.extensionType] },
    });
    const where = await room(people, { extensions });
    return { where, mallory: await inside(where.at(MALLORY).person) };
  };
  accepts("a change of others, the dictionary as it was", async () => {
    const at = await supporting([required, was]);
    const where = await committed(at, 0, [replacing(required, was, own), update(TEXT, "er")]);
    expect(dataIn(where, TEXT)).toBe("older");
  });
  accepts("a change of the dictionary where AppDataUpdate is not required", async () => {
    const where = await committed(await supporting([was]), 0, [
      replacing(dictionary([TEXT, "new"])),
    ]);
    expect(dataIn(where, TEXT)).toBe("new");
  });
  for (const [what, before, after] of [
    ["its change", [required, was], [required, dictionary([TEXT, "new"])]],
    ["its end", [required, was], [required]],
    ["its beginning", [required], [required, was]],
  ] as const) {
    refuses(what, "proposal-list §12.1.7", async () =>
      refusedCommit(await supporting(before), [replacing(...after)]),
    );
  }
});

rule("X09", () => {
  accepts("updates in their order, on what GroupContextExtensions left", async () => {
    const at = await stage();
    const replacing: Proposal = {
      proposalType: "group_context_extensions",
      extensions: [dictionary([TEXT, "new"])],
    };
    const where = await committed(at, 0, [update(TEXT, "a"), update(TEXT, "b"), replacing]);
    expect(dataIn(where, TEXT)).toBe("newab");
  });
  accepts("without a path, AppEphemeral beside", async () => {
    const at = await stage();
    const { group } = at.where.at(0);
    const { commit } = await group.commit({ proposals: [ephemeral("hello"), update(TEXT, "a")] });
    const { publicMessage } = decodeMessage(commit) as { publicMessage: { content: object } };
    expect(publicMessage.content).toMatchObject({ content: { commit: { path: undefined } } });
    await group.receive(commit);
    const where = await expectAccepted(at.where, 0, commit);
    expect(dataIn(where, TEXT)).toBe("a");
  });
  accepts("a member who comes with the commit agrees on them", async () => {
    const at = await stage();
    const dora = await addProposal(await person("dora", options));
    const where = await committed(at, 0, [update(TEXT, "a"), dora]);
    expect(leaves(where, 1)).toEqual([0, 1, 2, 3, 4]);
  });
  refuses("AppEphemeral for a component that takes none", "proposal-invalid §12.1", async () =>
    refusedCommit(await stage(), [ephemeral("hello", 0x8003)]),
  );
  refuses("AppEphemeral that its component refuses", "proposal-invalid §12.1", async () =>
    refusedCommit(await stage(), [ephemeral("hello to everyone")]),
  );
  refuses("one, by who has no rules for it", "proposal-unsupported §12.2", async () => {
    const where = await room(
      await persons(["alice", "bob", "carol", "mallory"], { capabilities: options.capabilities }),
    );
    const mallory = await inside(where.at(MALLORY).person);
    await refusedByAll(where, MALLORY, await forgeCommit(mallory, { proposals: [ephemeral("")] }));
  });
});

rule("X10", () => {
  const raw = vector(struct({ componentId: uint16, data: opaque }));
  const extension = (...ids: readonly number[]): Extension => ({
    extensionType: DICTIONARY,
    extensionData: encode(
      raw,
      ids.map((componentId) => ({ componentId, data: utf8("x") })),
    ),
  });
  accepts("increasing ones", () => {
    expect(dictionaryOf([extension(1, 2, 9)]).map(({ componentId }) => componentId)).toEqual([
      1, 2, 9,
    ]);
    expect(dictionary([9, "x"], [1, "x"])).toEqual(extension(1, 9));
    expect(decode(AppDataDictionary, extension(1, 2).extensionData)).toHaveLength(2);
  });
  accepts("a new entry in its place", async () => {
    const at = await stage([dictionary([TEXT - 1, "x"], [OTHER, "y"])]);
    const where = await committed(at, 0, [update(TEXT, "a")]);
    const entries = dictionaryOf(where.at(0).group.extensions);
    expect(entries.map(({ componentId }) => componentId)).toEqual([TEXT - 1, TEXT, OTHER]);
  });
  refuses("others", "decode §13.4", () => dictionaryOf([extension(2, 1)]));
  refuses("one twice", "decode §13.4", () => dictionaryOf([extension(1, 1)]));
  refuses("an update of one that is not sorted", "decode §13.4", async () =>
    refusedCommit(await stage([extension(2, 1)]), [update(TEXT, "a")]),
  );
});
