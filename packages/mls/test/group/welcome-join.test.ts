/** §12.4.3.1: coming into a group by a Welcome. Mallory, at leaf 1, invites. */

import {
  createKeyPackage,
  type Group,
  joinExternally,
  joinGroup,
  type MlsErrorCode,
  type Proposal,
  readKeyPackage,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { decodeMessageOf, encodeMessage } from "../../src/framing/message.ts";
import { pskSecret } from "../../src/key/psk.ts";
import { removeLeaf } from "../../src/tree/ratchet-tree.ts";
import {
  type ForgedWelcome,
  forgeKeyPackage,
  forgeWelcome,
  heldKeys,
  type Inside,
  inside,
} from "../forge.ts";
import {
  ACCEPT_ALL_FOR_TESTS,
  add,
  addProposal,
  found,
  keyPackageOf,
  LIFETIME,
  type Person,
  person,
  persons,
  type Room,
  room,
  utf8,
} from "../people.ts";

interface Stage {
  readonly where: Room;
  readonly mallory: Inside;
  readonly eve: Person;
}

async function stage(): Promise<Stage> {
  const where = await room(await persons(["alice", "mallory", "carol"]));
  const externalPsk = async () => utf8("shared");
  return {
    where,
    mallory: await inside(where.at(1).person),
    eve: await person("eve", { externalPsk }),
  };
}

async function invited({ mallory, eve }: Stage, options: ForgedWelcome = {}): Promise<Group> {
  const keyPackage = readKeyPackage(await keyPackageOf(eve));
  const welcome = await forgeWelcome(mallory, keyPackage, options);
  return joinGroup(eve.context, { welcome, signer: eve.signer });
}

const extension = (extensionType: number) => ({ extensionType, extensionData: utf8("") });
const external = { pskType: "external", pskId: utf8("id"), pskNonce: new Uint8Array(32) } as const;
const resumption = {
  pskType: "resumption",
  pskGroupId: utf8("room"),
  pskEpoch: 0n,
  pskNonce: new Uint8Array(32),
} as const;

const RULES: readonly (readonly [
  rule: string,
  ForgedWelcome | ((stage: Stage) => ForgedWelcome),
  MlsErrorCode,
])[] = [
  [
    "a GroupInfo signed by another key",
    ({ eve }) => ({ signer: eve.signer }),
    "group-info-signature",
  ],
  [
    "a GroupInfo signed by another member",
    () => ({ info: () => ({ signer: 0 }) }),
    "group-info-signature",
  ],
  ["a GroupInfo signed by nobody", { info: () => ({ signer: 5 }) }, "group-info-signature"],
  ["a signer beyond the tree", { info: () => ({ signer: 2 ** 32 - 1 }) }, "group-info-signature"],
  ["another version", { context: () => ({ version: 2 }) }, "unsupported-version"],
  ["a group of another suite", { context: () => ({ cipherSuite: 1 }) }, "welcome"],
  ["a Welcome of another suite", { suite: 1 }, "welcome"],
  ["a Welcome of a suite that the provider doesn't have", { suite: 0x0bad }, "unsupported-suite"],
  [
    "another tree than the context's",
    { context: () => ({ treeHash: new Uint8Array(32) }) },
    "tree-hash",
  ],
  ["no tree at all", { info: () => ({ extensions: [] }) }, "welcome"],
  [
    "bytes after the tree",
    {
      info: ({ extensions }) => ({
        extensions: extensions.map((one) => ({
          ...one,
          extensionData: Uint8Array.of(...one.extensionData, 0),
        })),
      }),
    },
    "decode",
  ],
  ["bytes after the GroupInfo", { trailing: Uint8Array.of(0) }, "decode"],
  ["a tree without our leaf", { tree: (tree) => removeLeaf(tree, 3) }, "welcome"],
  ["a tree with our leaf twice", { times: 2 }, "leaf-key-reused"],
  [
    "another confirmation tag",
    { info: () => ({ confirmationTag: new Uint8Array(32) }) },
    "confirmation-tag",
  ],
  [
    "an empty confirmation tag",
    { info: () => ({ confirmationTag: new Uint8Array(0) }) },
    "confirmation-tag",
  ],
  [
    "a GroupContext extension twice",
    { context: () => ({ extensions: [extension(9), extension(9)] }) },
    "duplicate-extension",
  ],
  [
    "a GroupInfo extension twice",
    { info: ({ extensions }) => ({ extensions: [...extensions, ...extensions] }) },
    "duplicate-extension",
  ],
  [
    "a GroupContext extension that members don't support",
    { context: () => ({ extensions: [extension(0xf001)] }) },
    "extension-unsupported",
  ],
  [
    "a path secret where the common ancestor is blank",
    { secrets: () => ({ pathSecret: { pathSecret: new Uint8Array(32) } }) },
    "path-secret",
  ],
  [
    "a PSK that the joiner doesn't have",
    { secrets: () => ({ psks: [{ ...resumption, usage: "application" }] }) },
    "psk-unknown",
  ],
  [
    "a branch off a group that the joiner is not in",
    { secrets: () => ({ psks: [{ ...resumption, usage: "branch" }] }) },
    "psk-unknown",
  ],
  [
    "a ReInit of a group that the joiner is not in",
    { secrets: () => ({ psks: [{ ...resumption, usage: "reinit" }] }) },
    "psk-unknown",
  ],
  [
    "W03 two PSKs that link it to former groups",
    {
      secrets: () => ({
        psks: [
          { ...resumption, usage: "reinit" },
          { ...resumption, usage: "branch" },
        ],
      }),
    },
    "psk-usage",
  ],
  [
    "a PSK with a short nonce",
    { secrets: () => ({ psks: [{ ...external, pskNonce: utf8("") }] }) },
    "psk-nonce",
  ],
  ["a PSK twice", { secrets: () => ({ psks: [external, external] }) }, "proposal-list"],
];

describe("§12.4.3.1 a Welcome is refused for", () => {
  it.each(RULES)("%s", async (_, forged, code) => {
    const on = await stage();
    const options = typeof forged === "function" ? forged(on) : forged;
    await expect(invited(on, options)).rejects.toMatchObject({ name: "MlsError", code });
    // Nothing of the group is kept, and the key packages still serve.
    expect((await on.eve.storage.list("group/")).size).toBe(0);
    expect((await invited(on)).epoch).toBe(2n);
  });

  it("another key package", async () => {
    const { mallory, eve, where } = await stage();
    const keyPackage = await forgeKeyPackage(eve);
    const welcome = await forgeWelcome(mallory, keyPackage);
    await expect(joinGroup(eve.context, { welcome, signer: eve.signer })).rejects.toMatchObject({
      code: "key-package-unknown",
    });
    expect(where.groups).toHaveLength(3);
  });

  it("ciphertexts that don't open", async () => {
    const { mallory, eve } = await stage();
    const keyPackage = readKeyPackage(await keyPackageOf(eve));
    const { welcome } = decodeMessageOf(await forgeWelcome(mallory, keyPackage), "mls_welcome");
    const broken = { ...welcome, encryptedGroupInfo: welcome.encryptedGroupInfo.slice(1) };
    const bytes = encodeMessage({ wireFormat: "mls_welcome", welcome: broken });
    // The GroupInfo is part of what the secrets are bound to.
    await expect(
      joinGroup(eve.context, { welcome: bytes, signer: eve.signer }),
    ).rejects.toMatchObject({
      code: "hpke-open",
    });
  });

  it("a group that is here already", async () => {
    const on = await stage();
    await invited(on);
    await expect(invited(on)).rejects.toMatchObject({ code: "group-exists" });
    const known = found(on.eve);
    await expect(known).rejects.toMatchObject({ code: "group-exists" });
  });

  it("a path secret that leads to other keys", async () => {
    const [alice, bob, eve] = await persons(["alice", "bob", "eve"]);
    if (!alice || !bob || !eve) throw new Error("three people");
    const { groups } = await room([alice, bob]);
    const [a] = groups;
    if (!a) throw new Error("a group");
    const mallory = await inside(alice);
    const keyPackage = readKeyPackage(await keyPackageOf(eve));
    const welcome = await forgeWelcome(mallory, keyPackage, {
      secrets: () => ({ pathSecret: { pathSecret: new Uint8Array(32) } }),
    });
    await expect(joinGroup(eve.context, { welcome, signer: eve.signer })).rejects.toMatchObject({
      code: "path-secret",
    });
    // An honest one gives the joiner the keys of all nodes above both.
    await add(a, [eve], [], { forcePath: true });
    expect([...(await heldKeys(eve)).keys()].sort((x, y) => x - y)).toEqual([3, 4]);
  });

  it("another group or epoch than was expected", async () => {
    const { mallory, eve, where } = await stage();
    const keyPackage = readKeyPackage(await keyPackageOf(eve));
    const welcome = await forgeWelcome(mallory, keyPackage);
    const { groupId } = where.at(0).group;
    const joined = (expected: { readonly groupId: Bytes; readonly epoch: bigint }) =>
      joinGroup(eve.context, { welcome, signer: eve.signer, expected });
    for (const expected of [
      { groupId: utf8("hall"), epoch: 2n },
      { groupId, epoch: 1n },
    ]) {
      await expect(joined(expected)).rejects.toMatchObject({ code: "welcome" });
    }
    expect((await joined({ groupId, epoch: 2n })).epoch).toBe(2n);
  });

  it("credentials that the application refuses", async () => {
    const no = new Error("no");
    const on = await stage();
    const authentication = {
      ...ACCEPT_ALL_FOR_TESTS,
      validate: async () => {
        throw no;
      },
    };
    const eve = { ...on.eve, context: { ...on.eve.context, authentication } };
    await expect(invited({ ...on, eve })).rejects.toBe(no);
  });
});

describe("§12.4.3.1 a Welcome", () => {
  it("may carry extensions of the GroupInfo that nobody knows", async () => {
    const on = await stage();
    const info: ForgedWelcome["info"] = ({ extensions }) => ({
      extensions: [...extensions, extension(0x0a0a), extension(0xf00d)],
    });
    expect((await invited(on, { info })).status).toBe("active");
  });

  it("may name external PSKs", async () => {
    const on = await stage();
    const secret = pskSecret(on.mallory.suite, [{ id: external, secret: utf8("shared") }]);
    const group = await invited(on, { secrets: () => ({ psks: [external] }), pskSecret: secret });
    expect(group.epoch).toBe(2n);
  });

  it("uses its key package up (§10), but for a last resort", async () => {
    const { mallory, eve } = await stage();
    const { keyPackage, ref } = await createKeyPackage(eve.context, {
      suite: 3,
      credential: eve.credential,
      signer: eve.signer,
      lifetime: LIFETIME,
      lastResort: true,
    });
    const welcome = await forgeWelcome(mallory, readKeyPackage(keyPackage));
    await joinGroup(eve.context, { welcome, signer: eve.signer });
    const stored = [...(await eve.storage.list("key-package/")).keys()];
    expect(stored).toHaveLength(1);
    expect(ref).toHaveLength(32);
    const dan = await person("dan");
    const [group] = await add(await found(await person("bob")), [dan]);
    expect(group?.members()).toHaveLength(2);
    expect((await dan.storage.list("key-package/")).size).toBe(0);
  });

  it("by a last resort is good for one epoch once: message keys would be new in it again (§9.1)", async () => {
    const [alice, bob] = await persons(["alice", "bob"]);
    if (!alice || !bob) throw new Error("nobody");
    const { context, suite, credential, signer } = bob;
    const { keyPackage } = await createKeyPackage(context, {
      suite,
      credential,
      signer,
      lifetime: LIFETIME,
      lastResort: true,
    });
    const adding = { proposalType: "add", keyPackage: readKeyPackage(keyPackage) } as const;
    const group = await found(alice);
    const invite = async (proposals: readonly Proposal[]) => {
      const { commit, welcome = utf8("") } = await group.commit({ proposals });
      await group.receive(commit);
      return { commit, join: { welcome, ratchetTree: group.ratchetTree(), signer } };
    };
    const first = await invite([adding]);
    const joined = await joinGroup(context, first.join);
    const out = await invite([{ proposalType: "remove", removed: 1 }]);
    await joined.receive(out.commit);
    const again = joinGroup(context, first.join);
    await expect(again).rejects.toMatchObject({ code: "welcome" });

    const second = await invite([adding]);
    const back = await joinGroup(context, second.join);
    expect(back.epochAuthenticator).toEqual(group.epochAuthenticator);
    await back.remove();
    for (const { join } of [first, second]) {
      await expect(joinGroup(context, join)).rejects.toMatchObject({ code: "welcome" });
    }
  });

  it("covers each who is added by one entry (§12.4.1)", async () => {
    const [alice, ...others] = await persons(["alice", "b", "c", "d", "e"]);
    if (!alice) throw new Error("alice");
    const group = await found(alice);
    const { welcome } = await group.commit({
      proposals: await Promise.all(others.map(addProposal)),
    });
    if (!welcome) throw new Error("a welcome");
    const { secrets } = decodeMessageOf(welcome, "mls_welcome").welcome;
    expect(new Set(secrets.map(({ newMember }) => newMember.join())).size).toBe(4);
    expect((await group.commit().catch((error: unknown) => error)) as object).toMatchObject({
      code: "pending-commit",
    });
  });

  it("gives the records of the application into the same batch", async () => {
    const { mallory, eve } = await stage();
    const keyPackage = readKeyPackage(await keyPackageOf(eve));
    const welcome = await forgeWelcome(mallory, keyPackage);
    const group = await joinGroup(eve.context, {
      welcome,
      signer: eve.signer,
      and: ({ group: joined }) => ({ put: new Map([["joined", joined.groupId]]) }),
    });
    expect(await eve.storage.get("joined")).toEqual(group.groupId);
  });
});

describe("§12.4.3.3 the ratchet tree", () => {
  it("travels inside Welcomes and GroupInfos where the application wants it so", async () => {
    const [alice, bob] = await persons(["alice", "bob"]);
    if (!alice || !bob) throw new Error("two people");
    const context = { ...alice.context, ratchetTree: "inside" as const };
    const group = await found({ ...alice, context });
    const bundle = await group.commit({
      proposals: [await addProposal(bob)],
      groupInfoForJoiners: true,
    });
    await group.receive(bundle.commit);
    const { welcome, groupInfoForJoiners } = bundle;
    if (!welcome || !groupInfoForJoiners) throw new Error("no welcome, or nothing for joiners");
    const joined = await joinGroup(bob.context, { welcome, signer: bob.signer });
    expect(joined.epochAuthenticator).toEqual(group.epochAuthenticator);
    for (const groupInfo of [groupInfoForJoiners, await group.groupInfo({ externalPub: true })]) {
      const eve = await person("eve");
      const { credential, signer } = eve;
      const outside = await joinExternally(eve.context, { groupInfo, credential, signer });
      expect(outside.group.epoch).toBe(2n);
    }
    const without = await group.groupInfo({ externalPub: true, ratchetTree: "beside" });
    const { credential, signer, context: other } = await person("dave");
    await expect(
      joinExternally(other, { groupInfo: without, credential, signer }),
    ).rejects.toMatchObject({ code: "welcome" });
  });
});

it("takes the signer of its key package", async () => {
  const on = await stage();
  const keyPackage = readKeyPackage(await keyPackageOf(on.eve));
  const welcome = await forgeWelcome(on.mallory, keyPackage);
  const { signer } = await person("eve");
  await expect(joinGroup(on.eve.context, { welcome, signer })).rejects.toMatchObject({
    name: "MlsError",
    code: "storage",
  });
  expect((await joinGroup(on.eve.context, { welcome, signer: on.eve.signer })).epoch).toBe(2n);
});
