/** §10: what we publish about ourselves is what others would take. */

import {
  createGroup,
  createKeyPackage,
  deleteKeyPackages,
  joinExternally,
  joinGroup,
  readKeyPackage,
  signerOf,
} from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { validateKeyPackage } from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import { found, hex, LIFETIME, NOW, person, utf8 } from "../people.ts";

describe("the lifetime of a leaf of ours", () => {
  it("§7.2 doesn't end before it begins", async () => {
    const refused = { code: "leaf-lifetime", section: "7.2" };
    const alice = await person("alice");
    const { notBefore } = LIFETIME;
    const of = (notAfter: bigint) => ({ ...alice, lifetime: { notBefore, notAfter } });
    await expect(createKeyPackage(alice.context, of(notBefore - 1n))).rejects.toMatchObject(
      refused,
    );
    const group = createGroup(alice.context, { ...of(notBefore - 1n), groupId: utf8("room") });
    await expect(group).rejects.toMatchObject(refused);
    expect((await alice.storage.list("")).size).toBe(0);
    await createKeyPackage(alice.context, of(notBefore));
  });
});

describe("the signer of a suite", () => {
  it("is taken where it signs as the suite does, or doesn't say how", async () => {
    const alice = await person("alice");
    const { publicKey, sign } = alice.signer;
    for (const signer of [alice.signer, { publicKey, sign }]) {
      const options = { ...alice, signer, lifetime: LIFETIME };
      const { keyPackage } = await createKeyPackage(alice.context, options);
      expect((await validateKeyPackage(alice.context, keyPackage)).suite).toBe(alice.suite);
    }
  });
  it("is refused where the suite signs with something else, and nothing is stored", async () => {
    const refused = { code: "signature", section: "5.1" };
    const alice = await person("alice");
    const options = { ...alice, suite: 2, lifetime: LIFETIME };
    await expect(createKeyPackage(alice.context, options)).rejects.toMatchObject(refused);
    const group = createGroup(alice.context, { ...options, groupId: utf8("room") });
    await expect(group).rejects.toMatchObject(refused);
    expect((await alice.storage.list("")).size).toBe(0);
  });
  it("is refused in an external commit and in a new leaf too", async () => {
    const refused = { code: "signature", section: "5.1" };
    const [alice, bob] = [await person("alice"), await person("bob", { suite: 2 })];
    const atAlice = await found(alice);
    const groupInfo = await atAlice.groupInfo({ externalPub: true, ratchetTree: "inside" });
    await expect(joinExternally(bob.context, { ...bob, groupInfo })).rejects.toMatchObject(refused);
    const keyPair = await nodeCrypto.generateSignatureKeyPair("ecdsa_secp256r1_sha256");
    const leaf = { signer: signerOf(nodeCrypto, "ecdsa_secp256r1_sha256", keyPair) };
    await expect(atAlice.commit({ leaf })).rejects.toMatchObject(refused);
    await expect(atAlice.proposeUpdate({ leaf })).rejects.toMatchObject(refused);
    expect(atAlice.pendingCommit).toBeUndefined();
  });
});

describe("the lifetime of a key package of our own (§7.2)", () => {
  it("is at most what others take, in seconds", async () => {
    const alice = await person("alice");
    const { notBefore } = LIFETIME;
    const ofDays = (days: number) => ({ notBefore, notAfter: notBefore + BigInt(days * 86_400) });
    const made = createKeyPackage(alice.context, { ...alice, lifetime: ofDays(400) });
    await expect(made).resolves.toBeDefined();
    const inMilliseconds = { notBefore, notAfter: BigInt(NOW + 86_400_000) };
    for (const lifetime of [ofDays(401), inMilliseconds]) {
      const refused = createKeyPackage(alice.context, { ...alice, lifetime });
      await expect(refused).rejects.toMatchObject({ code: "leaf-lifetime", section: "7.2" });
    }
  });
});

describe("§9.2, §10 the private halves of key packages that expired", () => {
  it("are deleted: of those that nobody used, and of last resorts, with what tells where these led", async () => {
    const [alice, bob] = [await person("alice"), await person("bob")];
    const { notBefore } = LIFETIME;
    const make = (notAfter: bigint, lastResort: boolean) => {
      const lifetime = { notBefore, notAfter };
      return createKeyPackage(bob.context, { ...bob, lifetime, lastResort });
    };
    const [early, late] = [notBefore + 86_400n, notBefore + 90n * 86_400n];
    const [unused, resort] = [await make(early, false), await make(early, true)];
    const later = await make(late, true);
    const group = await found(alice);
    const join = async ({ keyPackage }: typeof resort) => {
      const adding = { proposalType: "add", keyPackage: readKeyPackage(keyPackage) } as const;
      const { commit, welcome = utf8("") } = await group.commit({ proposals: [adding] });
      await group.receive(commit);
      return { welcome, ratchetTree: group.ratchetTree(), signer: bob.signer };
    };
    const joining = await join(resort);
    await (await joinGroup(bob.context, joining)).remove();
    const keys = async () => [...(await bob.storage.list("")).keys()].sort();
    const before = await keys();
    expect(before.filter((key) => key.startsWith("last-resort/"))).toHaveLength(1);
    // The end of a lifetime is a part of it.
    expect(await deleteKeyPackages(bob.context, early)).toBe(0);
    expect(await keys()).toEqual(before);
    expect(await deleteKeyPackages(bob.context, early + 1n)).toBe(2);
    expect(await keys()).toEqual([`key-package/${hex(later.ref)}`]);
    const refused = { code: "key-package-unknown" };
    await expect(joinGroup(bob.context, joining)).rejects.toMatchObject(refused);
    expect(unused.ref).not.toEqual(resort.ref);
    const proposals = [{ proposalType: "remove", removed: 1 } as const];
    await group.receive((await group.commit({ proposals })).commit);
    expect((await joinGroup(bob.context, await join(later))).epoch).toBe(group.epoch);
  });
});
