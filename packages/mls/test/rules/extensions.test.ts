/** draft-ietf-mls-extensions, the rules that it adds to those of RFC 9420. */

import {
  createGroup,
  createKeyPackage,
  deriveKeyPair,
  EXTENSION,
  type Extension,
  type Group,
  joinExternally,
  joinGroup,
  MlsError,
  type Proposal,
  RequiredCapabilities,
  readKeyPackage,
  suiteOf,
} from "@conclave/mls";
import { type Bytes, decode, encode, opaque, struct, uint16, vector } from "@conclave/mls/codec";
import {
  AppDataDictionary,
  bindCredential,
  bindingsOf,
  COMPONENT,
  type Component,
  type CredentialBinding,
  checkComponents,
  checkMultiCredentials,
  checkSafeAad,
  componentData,
  componentOperationLabel,
  componentsList,
  DRAFT_PROPOSAL,
  dictionaryExtension,
  dictionaryOf,
  draftProposals,
  frameContent,
  MULTI_CREDENTIAL,
  mediaTypes,
  multiAuthentication,
  multiCredential,
  readContent,
  readSafeAad,
  safeAad,
  safeDecryptWithLabel,
  safeEncryptWithLabel,
  safeSignWithLabel,
  safeVerifyWithLabel,
} from "@conclave/mls/extensions";
import { nodeCrypto } from "@conclave/mls/node";
import { expect } from "vitest";
import { decodeMessage } from "../../src/framing/message.ts";
import { forgeCommit, forgePrivate, forgeProposal, type Inside, inside } from "../forge.ts";
import {
  ACCEPT_ALL_FOR_TESTS,
  addProposal,
  expectAccepted,
  found,
  hex,
  LIFETIME,
  type Person,
  person,
  persons,
  type Room,
  reload,
  room,
  text,
  unhex,
  utf8,
} from "../people.ts";
import { accepts, refusedByAll, refuses, rule } from "./rule.ts";
import { flipped, MALLORY } from "./stage.ts";

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
  accepts("those of two members", async () => {
    const at = await proposed(await proposed(await stage(), 1, SELF_REMOVE), 2, SELF_REMOVE);
    expect(leaves(await committed(at, 0), 0)).toEqual([0, 3]);
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
  refuses("its proposal, by itself", "proposal-invalid §12.1", async () => {
    const { where, mallory } = await stage();
    await refusedByAll(where, MALLORY, await forgeProposal(mallory, update(0x8003, "a")));
  });
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

rule("X12", () => {
  const taking = async (at: Stage, componentId: number) =>
    Promise.all(at.where.groups.map(async (one) => hex(await one.safeExportSecret(componentId))));
  accepts(
    "a secret for each component, the same for all members, another in each epoch",
    async () => {
      const at = await stage();
      const secrets = [await taking(at, TEXT), await taking(at, OTHER)];
      const where = await committed(at, 0);
      secrets.push(await taking({ ...at, where }, TEXT));
      for (const of of secrets) expect(new Set(of).size).toBe(1);
      expect(new Set(secrets.flat()).size).toBe(3);
    },
  );
  refuses("a second time in an epoch", "generation-used §9.2", async () => {
    const at = await stage();
    await taking(at, TEXT);
    await taking(at, TEXT);
  });
  refuses("a second time after a restart", "generation-used §9.2", async () => {
    const { where } = await stage();
    const { group, person: alice } = where.at(0);
    await group.safeExportSecret(TEXT);
    await (await reload(alice, group)).safeExportSecret(TEXT);
  });
});

const SAFE_AAD = dictionaryExtension([
  { componentId: COMPONENT.safeAad, data: componentsList([]) },
]);

rule("X11", () => {
  const item = (componentId: number) => ({ componentId, data: utf8(`${componentId}`) });
  accepts("items, sorted when they are written, and none at all", () => {
    const items = [item(9), item(2)];
    expect(readSafeAad([SAFE_AAD], safeAad(items))).toEqual([item(2), item(9)]);
    expect(readSafeAad([SAFE_AAD], safeAad([]))).toEqual([]);
  });
  accepts("anything where it is not negotiated", () => {
    expect(readSafeAad([], utf8("free"))).toBeUndefined();
  });
  accepts("items that come with a message", async () => {
    const { where } = await stage([SAFE_AAD]);
    const { group } = where.at(0);
    const sent = await group.send(utf8("hello"), { authenticatedData: safeAad([item(2)]) });
    const got = await where.at(1).group.receive(sent);
    const { authenticatedData } = got as Extract<typeof got, { type: "application" }>;
    expect(readSafeAad(where.at(1).group.extensions, authenticatedData)).toEqual([item(2)]);
  });
  /** All insist on the frame since a commit that brought it in. */
  const insisting = async (): Promise<Stage> => {
    const rules = { ...options.context.rules, checkAuthenticatedData: checkSafeAad };
    const extensions = [SAFE_AAD];
    const replaced = { proposalType: "group_context_extensions", extensions } as const;
    const where = await committed(await stage([], { rules }), 0, [replaced]);
    return { where, mallory: await inside(where.at(MALLORY).person) };
  };
  accepts("every kind of message with items, where the group insists on it", async () => {
    let at = await insisting();
    const { group } = at.where.at(0);
    const authenticatedData = safeAad([item(2)]);
    const said = await group.send(utf8("hello"), { authenticatedData });
    expect(await at.where.at(1).group.receive(said)).toMatchObject({ type: "application" });
    at = await received(at, 1, await at.where.at(1).group.proposeUpdate({ authenticatedData }));
    at = await received(
      at,
      2,
      await at.where.at(2).group.propose(update(TEXT, "a"), { authenticatedData }),
    );
    const { commit } = await group.commit({ authenticatedData });
    await group.receive(commit);
    await expectAccepted(at.where, 0, commit);
  });
  const made: Readonly<Record<string, (group: Group) => Promise<unknown>>> = {
    "a message": (group) => group.send(utf8("hello")),
    "a proposal": (group) => group.propose(SELF_REMOVE),
    "an Update": (group) => group.proposeUpdate(),
    "a commit": (group) => group.commit(),
  };
  for (const [what, make] of Object.entries(made)) {
    refuses(`${what} of ours in no frame`, "decode §2.1", async () =>
      make((await insisting()).where.at(0).group),
    );
  }
  const framing = { authenticatedData: utf8("free") };
  refuses("a member's message in no frame", "decode §2.1", async () => {
    const { where, mallory } = await insisting();
    const content = { contentType: "application", applicationData: utf8("hi") } as const;
    const bad = await forgePrivate(mallory, content, framing);
    await refusedByAll(where, MALLORY, bad, { membersOnly: true });
  });
  refuses("a member's proposal in no frame", "decode §2.1", async () => {
    const { where, mallory } = await insisting();
    await refusedByAll(where, MALLORY, await forgeProposal(mallory, SELF_REMOVE, framing));
  });
  refuses("a member's commit in no frame", "decode §2.1", async () => {
    const { where, mallory } = await insisting();
    await refusedByAll(where, MALLORY, await forgeCommit(mallory));
  });
  refuses("an external commit in no frame", "decode §2.1", async () => {
    const { where, mallory } = await insisting();
    const external = { person: await person("eve", options) };
    await refusedByAll(where, -1, await forgeCommit(mallory, { external }));
  });
  const items = vector(struct({ componentId: uint16, data: opaque }));
  const wrong = (...ids: readonly number[]) => encode(items, ids.map(item));
  refuses("items that are not sorted", "decode §13.4", () => readSafeAad([SAFE_AAD], wrong(9, 2)));
  refuses("an item twice", "decode §13.4", () => readSafeAad([SAFE_AAD], wrong(2, 2)));
  refuses("data in no frame", "decode §2.1", () => readSafeAad([SAFE_AAD], utf8("free")));
  refuses("nothing", "decode §2.1", () => readSafeAad([SAFE_AAD], new Uint8Array()));
  refuses(
    "a member who does not know a component that it needs",
    "extension-unsupported §13.4",
    () => joining(COMPONENT.safeAad, componentsList([2, 9]), componentsList([2])),
  );
  accepts("a member who knows them", () =>
    joining(COMPONENT.safeAad, componentsList([2, 9]), componentsList([9, 2, 0x1a1a])),
  );
});

/** Someone whose leaf lists `leaf` for a component is added to a group that lists `required`. */
async function joining(componentId: number, required: Bytes, leaf: Bytes): Promise<void> {
  const listing = (data: Bytes) => [dictionaryExtension([{ componentId, data }])];
  const [alice, bob] = await persons(["alice", "bob"], {
    ...options,
    context: { rules: { checkGroup: checkComponents } },
  });
  if (!alice || !bob) throw new Error("nobody");
  const of = ({ suite, credential, signer, capabilities }: Person, data: Bytes) => ({
    suite,
    credential,
    signer,
    capabilities,
    lifetime: LIFETIME,
    leafExtensions: listing(data),
  });
  const group = await createGroup(alice.context, {
    groupId: utf8("room"),
    ...of(alice, required),
    extensions: listing(required),
  });
  const { keyPackage } = await createKeyPackage(bob.context, of(bob, leaf));
  const proposals = [{ proposalType: "add", keyPackage: readKeyPackage(keyPackage) } as const];
  const { commit, welcome } = await group.commit({ proposals });
  await group.receive(commit);
  const joined = await joinGroup(bob.context, {
    welcome: welcome ?? new Uint8Array(),
    ratchetTree: group.ratchetTree(),
    signer: bob.signer,
  });
  expect(joined.members()).toHaveLength(2);
}

rule("X13", () => {
  const operation = { componentId: TEXT, label: "greeting" };
  const others = [
    { ...operation, componentId: OTHER },
    { ...operation, label: "farewell" },
  ];
  const suite = suiteOf(nodeCrypto, 3);
  const label = "0d4d4c5320436f6d706f6e656e748001086772656574696e67";
  accepts("a signature under the label that the draft gives it", async () => {
    expect(hex(componentOperationLabel(operation))).toBe(label);
    const { signer } = await person("alice");
    const signature = await safeSignWithLabel(signer, operation, utf8("hi"));
    const verified = (as: typeof operation) =>
      safeVerifyWithLabel(suite, signer.publicKey, as, utf8("hi"), signature);
    expect(await verified(operation)).toBe(true);
    expect(await Promise.all(others.map(verified))).toEqual([false, false]);
    // §5.1.2: SignContent, with the label behind "MLS 1.0 ".
    const whole = `21${hex(utf8("MLS 1.0 "))}${label}02${hex(utf8("hi"))}`;
    const { publicKey } = signer;
    expect(await nodeCrypto.verify("ed25519", publicKey, unhex(whole), signature)).toBe(true);
  });
  const sealed = async (as: typeof operation) => {
    const keyPair = await deriveKeyPair(suite, nodeCrypto.random(32));
    const { publicKey } = keyPair;
    const made = await safeEncryptWithLabel(suite, publicKey, operation, utf8("c"), utf8("hi"));
    return text(await safeDecryptWithLabel(suite, keyPair, as, utf8("c"), made));
  };
  accepts("a ciphertext, for the component that it is for", async () =>
    expect(await sealed(operation)).toBe("hi"),
  );
  refuses("a ciphertext for another component", "hpke-open §5.1.3", () =>
    sealed({ ...operation, componentId: OTHER }),
  );
  refuses("a ciphertext for something else", "hpke-open §5.1.3", () =>
    sealed({ ...operation, label: "farewell" }),
  );
});

/** A group of members whose leaves may have credentials of several, and support what `capabilities` say. */
async function multi(
  kind: keyof typeof MULTI_CREDENTIAL,
  change: {
    readonly bobSupports?: readonly number[];
    readonly bobSuites?: readonly number[];
    readonly bindings?: (
      bound: readonly CredentialBinding[],
    ) => readonly CredentialBinding[] | Promise<readonly CredentialBinding[]>;
    /** The first binding is of a credential that is refused. */
    readonly nobody?: boolean;
    /** What is supported by who judges. */
    readonly types?: readonly number[];
  } = {},
): Promise<Group> {
  const number = MULTI_CREDENTIAL[kind];
  const authentication = multiAuthentication(
    nodeCrypto,
    {
      ...ACCEPT_ALL_FOR_TESTS,
      validate: async (leaves) => {
        for (const { credential } of leaves) {
          if (credential.credentialType === "basic" && text(credential.identity) === "nobody") {
            throw new MlsError("authentication", "5.3.1", "nobody");
          }
        }
      },
    },
    change.types ?? [1, 2],
  );
  const of = async (name: string, credentials: readonly number[], cipherSuites = [1, 3]) =>
    person(name, {
      authentication,
      capabilities: { credentials: [...credentials, number], cipherSuites },
      context: { rules: { checkGroup: checkMultiCredentials } },
    });
  const alice = await of("alice", [1, 2]);
  const bob = await of("bob", change.bobSupports ?? [1, 2], [...(change.bobSuites ?? [1, 3])]);
  const bound = await Promise.all(
    [
      { cipherSuite: 1, credential: (change.nobody ? await person("nobody") : bob).credential },
      { cipherSuite: 1, credential: { credentialType: "x509", certificates: [] } as const },
    ].map(async (one) =>
      bindCredential(one, (await person("holder")).signer, bob.signer.publicKey),
    ),
  );
  const credential = multiCredential(kind, (await change.bindings?.(bound)) ?? bound);
  const group = await found(alice);
  const { keyPackage } = await createKeyPackage(bob.context, {
    suite: bob.suite,
    credential,
    signer: bob.signer,
    capabilities: bob.capabilities,
    lifetime: LIFETIME,
  });
  const proposals = [{ proposalType: "add", keyPackage: readKeyPackage(keyPackage) } as const];
  await group.receive((await group.commit({ proposals })).commit);
  expect(group.members()).toHaveLength(2);
  return group;
}

for (const [id, kind] of [
  ["X14", "multi"],
  ["X15", "weakMulti"],
] as const) {
  rule(id, () => {
    accepts("a credential of two, both supported and valid", () => multi(kind));
    const forged = (bound: readonly CredentialBinding[]) =>
      bound.map((one, i) => (i === 0 ? { ...one, signature: flipped(one.signature, 3) } : one));
    refuses("a binding whose signature does not verify", "authentication §5.3.1", () =>
      multi(kind, { bindings: forged }),
    );
    refuses("a binding to another leaf's key", "authentication §5.3.1", () =>
      multi(kind, {
        bindings: async ([one, ...more]) => {
          const { signer } = await person("thief");
          const other = (await person("other")).signer.publicKey;
          if (!one) throw new Error("no binding");
          return [await bindCredential(one, signer, other), ...more];
        },
      }),
    );
    refuses("a binding of a credential that is refused", "authentication §5.3.1", () =>
      multi(kind, {
        nobody: true,
      }),
    );
    refuses("no binding at all", "authentication §5.3", () => multi(kind, { bindings: () => [] }));
    refuses("bytes that are no bindings", "decode §2.1", async () => {
      bindingsOf({ credentialType: "other", number: MULTI_CREDENTIAL[kind], data: utf8("x") });
    });
  });
}

rule("X14", () => {
  refuses("a type that a member does not support", "leaf-capabilities §7.3", () =>
    multi("multi", { bobSupports: [1] }),
  );
  refuses("a suite that a member does not support", "leaf-capabilities §7.3", () =>
    multi("multi", { bobSuites: [3] }),
  );
  refuses("a type that is not supported here", "authentication §5.3.1", () =>
    multi("multi", { types: [1] }),
  );
});

rule("X15", () => {
  accepts("a type that a member does not support, beside one that it does", () =>
    multi("weakMulti", { bobSupports: [1] }),
  );
  accepts("a type that is not supported here, beside one that is", () =>
    multi("weakMulti", { types: [1] }),
  );
  refuses("no type that a member supports", "leaf-capabilities §7.3", () =>
    multi("weakMulti", { bobSuites: [3] }),
  );
  refuses("no type that is supported here", "authentication §5.3.1", () =>
    multi("weakMulti", { types: [] }),
  );
  const nameOf = async (types: readonly number[]) => {
    const { credential, signer } = await person("bob");
    const bound = await bindCredential({ cipherSuite: 3, credential }, signer, signer.publicKey);
    const { clientOf } = multiAuthentication(
      nodeCrypto,
      { ...ACCEPT_ALL_FOR_TESTS, clientOf: (leaf) => JSON.stringify(leaf.credential) },
      types,
    );
    const leaf = { credential: multiCredential("weakMulti", [bound]), signatureKey: utf8("key") };
    expect(clientOf?.(leaf)).toBe(JSON.stringify(credential));
  };
  accepts("the name of who has one that is supported here", () => nameOf([1]));
  refuses("the name of who has none", "authentication §5.3.1", () => nameOf([2]));
});

rule("X16", () => {
  const plain = { type: "text/plain", parameters: { charset: "UTF-8" } };
  const json = { type: "application/json" };
  const requiringTypes = (data: Bytes) =>
    dictionaryExtension([{ componentId: COMPONENT.contentMediaTypes, data }]);
  const required = [requiringTypes(mediaTypes([plain, json]))];
  accepts("content with its type, or of the first that is required", () => {
    expect(readContent(required, frameContent(utf8("{}"), json))).toEqual({
      content: utf8("{}"),
      mediaType: json,
    });
    expect(readContent(required, frameContent(utf8("hi")))).toEqual({
      content: utf8("hi"),
      mediaType: plain,
    });
  });
  accepts("content in no frame where none is required", () => {
    expect(readContent([], utf8("hi"))).toBeUndefined();
  });
  accepts("framed content of a message", async () => {
    const { where } = await stage(required);
    const sent = await where.at(0).group.send(frameContent(utf8("hi")));
    const got = await where.at(1).group.receive(sent);
    const { data } = got as Extract<typeof got, { type: "application" }>;
    expect(readContent(where.at(1).group.extensions, data)?.mediaType).toEqual(plain);
  });
  refuses("content in no frame", "decode §2.1", () => readContent(required, utf8("hello")));
  refuses("a requirement of no type", "decode §13.4", () =>
    readContent([requiringTypes(mediaTypes([]))], frameContent(utf8("hi"))),
  );
  accepts("a member who reads them all", () =>
    joining(COMPONENT.contentMediaTypes, mediaTypes([plain]), mediaTypes([json, plain])),
  );
  refuses("a member who does not", "extension-unsupported §13.4", () =>
    joining(COMPONENT.contentMediaTypes, mediaTypes([plain]), mediaTypes([json])),
  );
});
