/** The dry run: every broken rule is listed, where a commit would end at the first. */

import { inspectKeyPackage, type Proposal } from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { decodeMessageOf, encodeMessage } from "../../src/framing/message.ts";
import { forgeKeyPackage, forgeUpdate, inside } from "../forge.ts";
import { addProposal, found, hex, keyPackageOf, person, persons, room, utf8 } from "../people.ts";

const remove = (removed: number): Proposal => ({ proposalType: "remove", removed });
const psk = (nonce: number): Proposal => ({
  proposalType: "psk",
  psk: { pskType: "external", pskId: utf8("known"), pskNonce: new Uint8Array(nonce) },
});

describe("a key package, looked at before it is used", () => {
  it("breaks no rule", async () => {
    const bob = await person("bob");
    expect(await inspectKeyPackage(bob.context, await keyPackageOf(bob))).toEqual([]);
  });

  it("breaks several, and all are told", async () => {
    const bob = await person("bob");
    const { keyPackage } = decodeMessageOf(await keyPackageOf(bob), "mls_key_package");
    const { leafNode } = keyPackage;
    const damaged = encodeMessage({
      wireFormat: "mls_key_package",
      keyPackage: {
        ...keyPackage,
        version: 7,
        initKey: leafNode.encryptionKey,
        extensions: [1, 1].map((extensionType) => ({
          extensionType,
          extensionData: utf8("twice"),
        })),
        leafNode: {
          ...leafNode,
          capabilities: { ...leafNode.capabilities, credentials: [2] },
          source: { leafNodeSource: "key_package", lifetime: { notBefore: 0n, notAfter: 1n } },
        },
      },
    });
    const broken = await inspectKeyPackage(
      {
        ...bob.context,
        authentication: {
          ...bob.context.authentication,
          validate: async () => {
            throw new Error("never heard of");
          },
        },
      },
      damaged,
    );
    expect(broken.map(({ code }) => code)).toEqual([
      "key-package-version",
      "leaf-capabilities",
      "duplicate-extension",
      "key-package-init-key",
      "leaf-signature",
      "key-package-signature",
      "leaf-lifetime",
      "authentication",
    ]);
    expect(broken.map(({ section }) => section)).toContain("10.1");
  });

  it("does not list its suite: a rule for who adds it", async () => {
    const bob = await person("bob", { capabilities: { cipherSuites: [1] } });
    const { capabilities } = bob;
    const keyPackage = await forgeKeyPackage(bob, { leaf: () => ({ capabilities }) });
    const message = encodeMessage({ wireFormat: "mls_key_package", keyPackage });
    expect(await inspectKeyPackage(bob.context, message)).toEqual([
      expect.objectContaining({ code: "leaf-capabilities", section: "7.2" }),
    ]);
  });

  it("is no key package, and that is told like any other rule", async () => {
    const { context } = await person("bob");
    expect(await inspectKeyPackage(context, utf8("no message"))).toMatchObject([{ section: "6" }]);
  });
});

describe("a list of proposals, looked at before it is committed", () => {
  it("breaks no rule, and nothing changes by looking", async () => {
    const where = await room(await persons(["alice", "bob", "carol"]));
    const { group } = where.at(0);
    const before = hex(group.epochAuthenticator);
    const list = [remove(1), await addProposal(await person("dave"))];
    expect(await group.inspectProposals(list)).toEqual([]);
    expect(await where.observer.inspectProposals(list, 0)).toEqual([]);
    expect([group.epoch, hex(group.epochAuthenticator)]).toEqual([1n, before]);
    await group.commit({ proposals: list });
  });

  it("breaks several, and each is told with its place", async () => {
    const where = await room(await persons(["alice", "bob", "carol"]));
    const { group } = where.at(0);
    const expired = await forgeKeyPackage(await person("eve"), {
      leaf: () => ({
        source: { leafNodeSource: "key_package", lifetime: { notBefore: 0n, notAfter: 1n } },
      }),
    });
    const list: Proposal[] = [
      remove(0),
      remove(1),
      remove(1),
      remove(9),
      psk(3),
      psk(3),
      { proposalType: "add", keyPackage: expired },
      { proposalType: "other", number: 0xf00d, data: utf8("custom") },
    ];
    const broken = await group.inspectProposals(list);
    const told = broken.map(({ code, section, proposal }) => `${code} §${section} ${proposal}`);
    expect(told).toEqual([
      "proposal-list §12.2 0",
      "proposal-list §12.2 2",
      "blank-leaf §12.1.3 3",
      "psk-nonce §8.4 4",
      "psk-nonce §8.4 5",
      "proposal-list §12.2 undefined",
      "blank-leaf §12.1.3 2",
      "proposal-unsupported §12.2 7",
      "leaf-lifetime §7.3 6",
      "psk-unknown §8.4 4",
      "psk-unknown §8.4 5",
    ]);
    await expect(group.commit({ proposals: list })).rejects.toMatchObject({ name: "MlsError" });
  });

  it("names a PSK that this client lacks, which a service can't know", async () => {
    const context = { externalPsk: async () => utf8("a secret of the application") };
    const where = await room([await person("alice"), await person("bob", { context })]);
    const list = [remove(1), psk(32)];
    const broken = await where.at(0).group.inspectProposals(list);
    expect(broken.map(({ code, proposal }) => [code, proposal])).toEqual([["psk-unknown", 1]]);
    await expect(where.at(0).group.commit({ proposals: list })).rejects.toMatchObject({
      code: "psk-unknown",
    });
    expect(await where.observer.inspectProposals(list, 0)).toEqual([]);
    expect(await where.at(1).group.inspectProposals([psk(32)])).toEqual([]);
  });

  it("has a key twice, and only the Adds with it are told", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const [one, other] = [await person("dave"), await person("eve")];
    const again = { ...other, signer: one.signer };
    const list = await Promise.all([one, await person("frank"), again].map(addProposal));
    const broken = await where.at(0).group.inspectProposals(list);
    expect(broken.map(({ code, proposal }) => [code, proposal])).toEqual([
      ["leaf-key-reused", 0],
      ["leaf-key-reused", 2],
    ]);
  });

  it("is looked at for a committer who is not there", async () => {
    const where = await room(await persons(["alice", "bob"]));
    const update = await forgeUpdate(await inside(where.at(1).person));
    const broken = await where.observer.inspectProposals([update], 9);
    expect(broken.map(({ code }) => code)).toContain("leaf-encryption-key");
  });

  it("is refused by the application's policy, and that is told", async () => {
    const policy = async () => {
      throw new Error("not today");
    };
    const alice = await person("alice", { policy });
    const group = await found(alice);
    const list = [await addProposal(await person("bob"))];
    expect(await group.inspectProposals(list)).toMatchObject([{ code: "policy" }]);
  });
});
