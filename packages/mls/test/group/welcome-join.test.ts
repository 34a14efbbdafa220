/** §12.4.3.1: coming into a group by a Welcome. Mallory, at leaf 1, invites. */

import {
  createKeyPackage,
  joinExternally,
  joinGroup,
  type MlsErrorCode,
  type Proposal,
  readKeyPackage,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { decodeMessageOf, encodeMessage } from "../../src/framing/message.ts";
import { type ForgedWelcome, forgeWelcome, heldKeys } from "../forge.ts";
import { extension, external, invited, resumption, stage } from "../inviting.ts";
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
  room,
  utf8,
} from "../people.ts";

/** What no rule of `test/rules/welcome.test.ts` says already. */
const REFUSED: readonly (readonly [what: string, ForgedWelcome, MlsErrorCode])[] = [
  ["a suite that the provider doesn't have", { suite: 0x0bad }, "unsupported-suite"],
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
  [
    "a GroupContext extension twice",
    { context: () => ({ extensions: [extension(9), extension(9)] }) },
    "duplicate-extension",
  ],
  [
    "a branch off a group that the joiner is not in",
    { secrets: () => ({ psks: [resumption("branch")] }) },
    "psk-unknown",
  ],
  [
    "a ReInit of a group that the joiner is not in",
    { secrets: () => ({ psks: [resumption("reinit")] }) },
    "psk-unknown",
  ],
  [
    "a PSK with a short nonce",
    { secrets: () => ({ psks: [{ ...external, pskNonce: utf8("") }] }) },
    "psk-nonce",
  ],
  ["a PSK twice", { secrets: () => ({ psks: [external, external] }) }, "proposal-list"],
];

describe("§12.4.3.1 a Welcome is refused for", () => {
  it.each(REFUSED)("%s", async (_, options, code) => {
    const on = await stage();
    await expect(invited(on, options)).rejects.toMatchObject({ name: "MlsError", code });
    // Nothing of the group is kept, and the key packages still serve.
    expect((await on.eve.storage.list("group/")).size).toBe(0);
    expect((await invited(on)).epoch).toBe(2n);
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
    let committer: number | undefined;
    const joined = await joinGroup(eve.context, {
      welcome,
      signer: eve.signer,
      and: (about) => {
        ({ committer } = about);
        return {};
      },
    });
    expect(joined.members().map(({ leafIndex }) => leafIndex)).toContain(committer);
    expect(committer).not.toBe(joined.ownLeafIndex);
    const stored = [...(await eve.storage.list("key-package/")).keys()];
    expect(stored).toHaveLength(1);
    expect(ref).toHaveLength(32);
    const dan = await person("dan");
    const [group] = await add(await found(await person("bob")), [dan]);
    expect(group?.members()).toHaveLength(2);
    expect((await dan.storage.list("key-package/")).size).toBe(0);
  });

  it("isn't made with extensions that its receivers would refuse (§13.4)", async () => {
    const { where } = await stage();
    const { group } = where.at(0);
    const proposals = [await addProposal(await person("dan"))];
    const one = { extensionType: 0xf001, extensionData: utf8("") };
    const refused = { code: "duplicate-extension" };
    const making = group.commit({ proposals, joinerExtensions: [one, one] });
    await expect(making).rejects.toMatchObject(refused);
    const info = group.groupInfo({ externalPub: true, extensions: [one, one] });
    await expect(info).rejects.toMatchObject(refused);
    expect(group.pendingCommit).toBeUndefined();
  });

  it("uses it up for one of two groups that want it at once (§10)", async () => {
    const [alice, bob, carol] = await persons(["alice", "bob", "carol"]);
    if (!alice || !bob || !carol) throw new Error("three people");
    const keyPackage = readKeyPackage(await keyPackageOf(carol));
    const invite = async (by: Person, groupId: string) => {
      const group = await found(by, { groupId });
      const { commit, welcome = utf8("") } = await group.commit({
        proposals: [{ proposalType: "add", keyPackage }],
      });
      await group.receive(commit);
      return { welcome, ratchetTree: group.ratchetTree(), signer: carol.signer };
    };
    const joining = [await invite(alice, "one"), await invite(bob, "other")];
    const settled = await Promise.allSettled(joining.map((join) => joinGroup(carol.context, join)));
    expect(settled.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const refused = settled.find(({ status }) => status === "rejected");
    expect(refused).toMatchObject({ reason: { code: "key-package-unknown" } });
    const states = [...(await carol.storage.list("group/")).keys()];
    expect(states.filter((key) => key.endsWith("/state"))).toHaveLength(1);
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

  it("gives the joiner the keys of all nodes above both, where the commit had a path", async () => {
    const [alice, bob, eve] = await persons(["alice", "bob", "eve"]);
    if (!alice || !bob || !eve) throw new Error("three people");
    const { at } = await room([alice, bob]);
    await add(at(0).group, [eve], [], { forcePath: true });
    expect([...(await heldKeys(eve)).keys()].sort((x, y) => x - y)).toEqual([3, 4]);
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
    code: "signer-unknown",
  });
  expect((await joinGroup(on.eve.context, { welcome, signer: on.eve.signer })).epoch).toBe(2n);
});
