/** §10: what we publish about ourselves is what others would take. */

import {
  createGroup,
  createKeyPackage,
  deleteKeyPackages,
  joinExternally,
  joinGroup,
  readKeyPackage,
  type Signer,
  signerOf,
} from "@conclave/mls";
import { nodeCrypto } from "@conclave/mls/node";
import { validateKeyPackage } from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import { ledgerOf } from "../ledger.ts";
import { found, hex, LIFETIME, NOW, person, utf8 } from "../people.ts";

describe("the lifetime of a leaf of ours", () => {
  it("§7.2 doesn't end before it begins", async () => {
    const refused = { code: "leaf-lifetime", section: "7.2" };
    const alice = await person("alice");
    const { notBefore } = LIFETIME;
    const of = (notAfter: bigint) => ({ ...alice, lifetime: { notBefore, notAfter } });
    const context = { ...alice.context, now: () => Number(notBefore) * 1000 };
    await expect(createKeyPackage(context, of(notBefore - 1n))).rejects.toMatchObject(refused);
    const group = createGroup(context, { ...of(notBefore - 1n), groupId: utf8("room") });
    await expect(group).rejects.toMatchObject(refused);
    expect((await alice.storage.list("")).size).toBe(0);
    await createKeyPackage(context, of(notBefore));
  });
  it("§7.3 contains now, in a key package: durations and milliseconds taken for times are told", async () => {
    const refused = { code: "leaf-lifetime", section: "7.3" };
    const alice = await person("alice");
    const [now, milliseconds] = [BigInt(NOW / 1000), BigInt(NOW)];
    const make = (notBefore: bigint, notAfter: bigint) =>
      createKeyPackage(alice.context, { ...alice, lifetime: { notBefore, notAfter } });
    await expect(make(0n, 90n * 86_400n)).rejects.toMatchObject(refused);
    await expect(make(milliseconds - 60n, milliseconds + 86_400n)).rejects.toMatchObject(refused);
    await expect(make(now - 60n, now - 1n)).rejects.toMatchObject(refused);
    await expect(make(now + 1n, now + 60n)).rejects.toThrow(
      `a lifetime from ${now + 1n} to ${now + 60n} does not contain now, ${now} (seconds since 1970)`,
    );
    expect((await alice.storage.list("")).size).toBe(0);
    await make(now, now);
  });
});

describe("§7.3 a signer whose halves belong to different keys", () => {
  const refused = { code: "leaf-signature", section: "7.3" };
  /** Signs with a key of its own, and says that it is bob's. */
  const mixed = async (): Promise<Signer> => {
    const [alice, bob] = [await person("alice"), await person("bob")];
    return { publicKey: bob.signer.publicKey, sign: alice.signer.sign };
  };

  it("makes no key package and no group, and nothing is stored", async () => {
    const carol = { ...(await person("carol")), signer: await mixed(), lifetime: LIFETIME };
    await expect(createKeyPackage(carol.context, carol)).rejects.toMatchObject(refused);
    const group = createGroup(carol.context, { ...carol, groupId: utf8("room") });
    await expect(group).rejects.toMatchObject(refused);
    expect((await carol.storage.list("")).size).toBe(0);
  });
  it("§9.2 leaves none of the keys that were made for it", async () => {
    const failing = async (): Promise<Signer> => ({
      publicKey: (await person("alice")).signer.publicKey,
      sign: () => Promise.reject(new Error("the key is away")),
    });
    for (const [signer, why] of [
      [await mixed(), "the signature of a leaf does not verify"],
      [await failing(), "the key is away"],
    ] as const) {
      const { crypto, left } = ledgerOf(nodeCrypto);
      const carol = { ...(await person("carol", { crypto })), signer, lifetime: LIFETIME };
      await expect(createKeyPackage(carol.context, carol)).rejects.toThrow(why);
      const group = createGroup(carol.context, { ...carol, groupId: utf8("room") });
      await expect(group).rejects.toThrow(why);
      expect(left([])).toEqual([]);
    }
  });
  it("joins no group from outside", async () => {
    const [alice, carol] = [await person("alice"), await person("carol")];
    const group = await found(alice);
    const groupInfo = await group.groupInfo({ externalPub: true, ratchetTree: "inside" });
    const joining = joinExternally(carol.context, { ...carol, signer: await mixed(), groupInfo });
    await expect(joining).rejects.toMatchObject(refused);
    expect((await carol.storage.list("")).size).toBe(0);
  });
  it("takes no leaf over, by a commit or by an Update", async () => {
    const alice = await person("alice");
    const group = await found(alice);
    const leaf = { signer: await mixed() };
    const before = [...(await alice.storage.list("")).keys()];
    await expect(group.commit({ leaf })).rejects.toMatchObject(refused);
    await expect(group.proposeUpdate({ leaf })).rejects.toMatchObject(refused);
    expect([...(await alice.storage.list("")).keys()]).toEqual(before);
    expect(group.pendingCommit).toBeUndefined();
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
    const last = await make(late, true);
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
    const later = { ...bob.context, now: () => Number(early + 1n) * 1000 };
    // The end of a lifetime is a part of it.
    expect(await deleteKeyPackages(later, early)).toBe(0);
    // What comes after now is no time before which anything has expired: milliseconds, most likely.
    for (const time of [early + 2n, BigInt(later.now())]) {
      const deleting = deleteKeyPackages(later, time);
      await expect(deleting).rejects.toMatchObject({ code: "leaf-lifetime", section: "7.2" });
    }
    expect(await keys()).toEqual(before);
    expect(await deleteKeyPackages(later, early + 1n)).toBe(2);
    expect(await keys()).toEqual([`key-package/${hex(last.ref)}`]);
    const refused = { code: "key-package-unknown" };
    await expect(joinGroup(bob.context, joining)).rejects.toMatchObject(refused);
    expect(unused.ref).not.toEqual(resort.ref);
    const proposals = [{ proposalType: "remove", removed: 1 } as const];
    await group.receive((await group.commit({ proposals })).commit);
    expect((await joinGroup(bob.context, await join(last))).epoch).toBe(group.epoch);
  });
});
