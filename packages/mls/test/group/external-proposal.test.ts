/** §12.1.8: proposals from outside, by named senders and by those who ask to be added. */

import {
  createKeyPackage,
  externalSenders,
  type Group,
  joinGroup,
  type Proposal,
  preSharedKey,
  proposeExternally,
  proposeToJoin,
  readKeyPackage,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { PublicGroup } from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import {
  addProposal,
  expectAccepted,
  expectRefused,
  keyPackageOf,
  LIFETIME,
  type Person,
  person,
  persons,
  type Room,
  reload,
  room,
  utf8,
} from "../people.ts";

const PSK = utf8("a secret");

async function stage(
  options: Parameters<typeof persons>[1] = {},
): Promise<{ readonly where: Room; readonly service: Person; readonly other: Person }> {
  const [service, other] = [await person("service"), await person("other service")];
  const extensions = [
    externalSenders(
      [other, service].map(({ signer, credential }) => ({
        signatureKey: signer.publicKey,
        credential,
      })),
    ),
  ];
  const people = await persons(["alice", "bob", "carol"], {
    externalPsk: async () => PSK.slice(),
    ...options,
  });
  return { where: await room(people, { extensions }), service, other };
}

/** All receive a proposal, also who follows the group; one commits it, and all receive that. */
async function carriedOut(on: Room, proposal: Bytes, by = 0): Promise<Room> {
  const proposed = await expectAccepted(on, -1, proposal);
  const { group } = on.at(by);
  const { commit } = await group.commit();
  return expectAccepted(proposed, -1, commit);
}

describe("§12.1.8 an external sender", () => {
  it.each<[string, (stage: { where: Room; eve: Person }) => Promise<Proposal> | Proposal]>([
    ["an Add", ({ eve }) => addProposal(eve)],
    ["a Remove", () => ({ proposalType: "remove", removed: 2 })],
    [
      "a PSK",
      ({ where }) =>
        preSharedKey(where.at(0).person.context, where.at(0).group, {
          pskType: "external",
          pskId: utf8("id"),
        }),
    ],
    [
      "a ReInit",
      () => ({
        proposalType: "reinit",
        groupId: utf8("next"),
        version: 1,
        cipherSuite: 3,
        extensions: [],
      }),
    ],
    [
      "GroupContextExtensions",
      () => ({ proposalType: "group_context_extensions", extensions: [] }),
    ],
  ])("may propose %s, which members commit by reference", async (_, make) => {
    const { where, service } = await stage();
    const eve = await person("eve");
    const proposal = await make({ where, eve });
    const message = await proposeExternally({
      to: where.observer,
      signer: service.signer,
      proposal,
    });
    const received = await where.at(0).group.receive(message);
    expect(received).toMatchObject({
      type: "proposal",
      sender: { senderType: "external", senderIndex: 1 },
    });
    const after = await carriedOut(where, message);
    expect(after.observer.epoch).toBe(2n);
  });

  it.each<[string, (where: Room) => Promise<Proposal> | Proposal]>([
    ["an ExternalInit", () => ({ proposalType: "external_init", kemOutput: utf8("") })],
    [
      "an Update",
      async (where) => {
        const { keyPackage } = (await addProposal(where.at(0).person)) as Extract<
          Proposal,
          { proposalType: "add" }
        >;
        return { proposalType: "update", leafNode: keyPackage.leafNode };
      },
    ],
  ])("F07 may not propose %s", async (_, make) => {
    const { where, service } = await stage();
    const proposal = await make(where);
    const options = { to: where.observer, signer: service.signer, proposal };
    await expect(proposeExternally(options)).rejects.toMatchObject({
      code: "sender-not-allowed",
    });
  });

  it("F05 must be one of those that the group names, at the time", async () => {
    const { where, service } = await stage();
    const eve = await person("eve");
    const proposal: Proposal = { proposalType: "remove", removed: 2 };
    const to = where.observer;
    const byEve = proposeExternally({ to, signer: eve.signer, proposal });
    await expect(byEve).rejects.toMatchObject({ code: "unknown-sender" });
    const early = await proposeExternally({ to, signer: service.signer, proposal });
    const { commit } = await where
      .at(0)
      .group.commit({ proposals: [{ proposalType: "group_context_extensions", extensions: [] }] });
    const after = await expectAccepted(where, -1, commit);
    await expectRefused(after, -1, early, "wrong-epoch");
    const late = await proposeExternally({
      to: { groupId: to.groupId, extensions: to.extensions, epoch: 2n },
      signer: service.signer,
      proposal,
    });
    await expectRefused(after, -1, late, "unknown-sender");
  });

  it("P39 has its proposal committed before anybody sends", async () => {
    const { where, service } = await stage();
    const message = await proposeExternally({
      to: where.observer,
      signer: service.signer,
      proposal: { proposalType: "remove", removed: 2 },
    });
    const on = await expectAccepted(where, -1, message);
    const { group: alice, person: who } = on.at(0);
    await expect(alice.send(utf8("hi"))).rejects.toMatchObject({ code: "pending-proposals" });
    const loaded = await reload(who, alice);
    expect(loaded.pendingProposals.map(({ sender }) => sender.senderType)).toEqual(["external"]);
    const { commit } = await loaded.commit();
    await loaded.receive(commit);
    expect((await on.at(2).group.receive(commit)) as object).toMatchObject({ removed: true });
    await loaded.send(utf8("hi"));
  });
});

describe("§12.1.8 who asks to join", () => {
  async function asked(eve: Person, where: Room): Promise<Bytes> {
    const { signer } = eve;
    return proposeToJoin({ to: where.observer, keyPackage: await keyPackageOf(eve), signer });
  }

  it("is added by whoever commits next, with a Welcome for its key package", async () => {
    const { where } = await stage();
    const eve = await person("eve");
    const on = await expectAccepted(where, -1, await asked(eve, where));
    const { commit, welcome } = await on.at(1).group.commit();
    const after = await expectAccepted(on, -1, commit);
    if (!welcome) throw new Error("no welcome");
    const ratchetTree = after.observer.ratchetTree();
    const group: Group = await joinGroup(eve.context, { welcome, ratchetTree, signer: eve.signer });
    expect(group.epochAuthenticator).toEqual(on.at(0).group.epochAuthenticator);
  });

  it("F09 signs with the key of its key package", async () => {
    const { where } = await stage();
    const [eve, mallory] = [await person("eve"), await person("mallory")];
    const to = where.observer;
    const keyPackage = await keyPackageOf(eve);
    const asMallory = proposeToJoin({ to, keyPackage, signer: mallory.signer });
    await expect(asMallory).rejects.toThrow(TypeError);
    const signer = { publicKey: eve.signer.publicKey, sign: mallory.signer.sign };
    const forged = await proposeToJoin({ to, keyPackage, signer });
    await expectRefused(where, -1, forged, "signature");
    await expectAccepted(where, -1, await asked(eve, where));
  });

  it("is let in by the application's word alone", async () => {
    const refusal = new Error("nobody asked you");
    const seen: string[] = [];
    const { where } = await stage();
    const eve = await person("eve");
    const { person: alice, group } = where.at(0);
    const context = {
      ...alice.context,
      proposalPolicy: async ({ sender, proposal }: { sender: object; proposal: object }) => {
        seen.push(JSON.stringify([sender, (proposal as Proposal).proposalType]));
        throw refusal;
      },
    };
    const strict = await reload({ ...alice, context }, group);
    const message = await asked(eve, where);
    await expect(strict.receive(message)).rejects.toMatchObject({ code: "policy", cause: refusal });
    expect(seen).toEqual([JSON.stringify([{ senderType: "new_member_proposal" }, "add"])]);
    // What was refused is not pending: nothing waits, and a commit that names it is refused.
    await strict.send(utf8("business as usual"));
    const { group: bob } = where.at(1);
    await bob.receive(message);
    const { commit } = await bob.commit();
    await expect(strict.receive(commit)).rejects.toMatchObject({ code: "proposal-unknown" });
  });

  it("can't fill a group's memory", async () => {
    const { where } = await stage();
    const { person: alice, group } = where.at(0);
    const context = { ...alice.context, maxPendingProposals: 2 };
    const strict = await reload({ ...alice, context }, group);
    let observer = await PublicGroup.load(context, {
      state: where.observer.state(),
      nodes: where.observer.nodes(),
    });
    for (const name of ["e", "f"]) {
      const message = await asked(await person(name), where);
      await strict.receive(message);
      ({ group: observer } = await observer.process(message));
    }
    const third = await asked(await person("g"), where);
    await expect(strict.receive(third)).rejects.toMatchObject({ code: "too-many-proposals" });
    await expect(observer.process(third)).rejects.toMatchObject({ code: "too-many-proposals" });
    expect(observer.pendingProposals).toHaveLength(2);
    await strict.receive((await strict.commit()).commit);
    expect(strict.members()).toHaveLength(5);
  });

  it("may use a key package of last resort", async () => {
    const { where } = await stage();
    const eve = await person("eve");
    const { context, credential, signer } = eve;
    const options = { suite: 3, credential, signer, lifetime: LIFETIME, lastResort: true };
    const { keyPackage } = await createKeyPackage(context, options);
    const message = await proposeToJoin({ to: where.observer, keyPackage, signer });
    expect(readKeyPackage(keyPackage).leafNode.signatureKey).toEqual(signer.publicKey);
    await expectAccepted(where, -1, message);
  });
});
