/** §11.2, §11.3: groups that continue others, re-initialised or branched off. */

import {
  branchGroup,
  type Extension,
  type Group,
  joinGroup,
  loadGroup,
  reinitializeGroup,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { PRIVATE_USE_NUMBERS, withPostQuantum } from "@conclave/mls/post-quantum";
import { PublicGroup } from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import { groupKeys } from "../../src/group/stored-group.ts";
import { forgeProposal, inside } from "../forge.ts";
import { closed, reinitTo, renewed, where } from "../linking.ts";
import {
  ACCEPT_ALL_FOR_TESTS,
  hex,
  keyPackageOf,
  LIFETIME,
  type Person,
  person,
  persons,
  type Room,
  reload,
  room,
  text,
  utf8,
} from "../people.ts";

const POST_QUANTUM = PRIVATE_USE_NUMBERS.MLS_192_MLKEM768_AES256GCM_SHA384_MLDSA65;

const linked = async (who: Person, from: Group, others: readonly Person[]) => ({
  from,
  keyPackages: await Promise.all(others.map(keyPackageOf)),
  credential: who.credential,
  signer: who.signer,
  capabilities: who.capabilities,
  lifetime: LIFETIME,
});

const at = <T>(list: readonly T[], index: number): T => {
  const one = list[index];
  if (one === undefined) throw new Error(`nothing at ${index}`);
  return one;
};

/** One makes the new group, and all others join it by its Welcome. */
async function reinitialized(on: Awaited<ReturnType<typeof closed>>, by = 0): Promise<Group[]> {
  const maker = at(on.anew, by);
  const others = on.anew.filter((who) => who !== maker);
  const { group, bundle } = await reinitializeGroup(
    maker.context,
    await linked(maker, at(on.groups, by), others),
  );
  await group.receive(bundle.commit);
  return [group, ...(await join(others, group, bundle.welcome))];
}

async function join(
  people: readonly Person[],
  group: Group,
  welcome: Bytes | undefined,
): Promise<Group[]> {
  if (!welcome) throw new Error("no welcome");
  const ratchetTree = group.ratchetTree();
  return Promise.all(
    people.map(({ context, signer }) => joinGroup(context, { welcome, ratchetTree, signer })),
  );
}

describe("§11.2 a ReInit", () => {
  it("C08 closes the group: nobody sends, proposes, commits or receives any more", async () => {
    const { groups, people } = await closed();
    for (const [i, group] of groups.entries()) {
      expect([group.status, group.epoch]).toEqual(["closed", 2n]);
      expect(group.reinit).toEqual({
        groupId: utf8("new room"),
        version: 1,
        cipherSuite: 1,
        extensions: [],
      });
      const loaded = await reload(at(people, i), group);
      expect([loaded.status, loaded.reinit]).toEqual(["closed", group.reinit]);
      for (const attempt of [
        () => loaded.send(utf8("late")),
        () => loaded.commit(),
        () => loaded.proposeUpdate(),
      ]) {
        await expect(attempt()).rejects.toMatchObject({ code: "group-closed" });
      }
    }
    const mallory = await inside(at(people, 1));
    const late = await forgeProposal(mallory, { proposalType: "remove", removed: 2 });
    await expect(at(groups, 0).receive(late)).rejects.toMatchObject({ code: "group-closed" });
  });

  it("may be proposed by one, committed by another, and carried out by a third", async () => {
    const on = await where();
    const proposal = await on.at(2).group.propose(reinitTo());
    for (const group of on.groups.slice(0, 2)) await group.receive(proposal);
    const { commit } = await on.at(1).group.commit();
    for (const group of on.groups) await group.receive(commit);
    const anew = await Promise.all(on.people.map((who) => renewed(who, 1)));
    const groups = await reinitialized({ ...on, anew }, 0);
    expect(new Set(groups.map((group) => hex(group.epochAuthenticator))).size).toBe(1);
  });

  it.each([
    ["another suite", { cipherSuite: 1 }],
    ["the same suite", { cipherSuite: 3 }],
    ["a suite with other signatures", { cipherSuite: 2 }],
    ["a post-quantum suite", { cipherSuite: POST_QUANTUM }],
    [
      "other extensions",
      { cipherSuite: 3, extensions: [{ extensionType: 0xf001, extensionData: utf8("x") }] },
    ],
  ] as const)("leads to a group with %s, in which all talk on", async (_, changes) => {
    const crypto = withPostQuantum(nodeCrypto);
    const on = await closed(changes, { crypto, capabilities: { extensions: [0xf001] } });
    const capable = await Promise.all(
      on.people.map(async (who) => {
        const fresh = await renewed(who, changes.cipherSuite);
        return { ...fresh, capabilities: who.capabilities };
      }),
    );
    const groups = await reinitialized({ ...on, anew: capable }, 2);
    for (const group of groups) {
      expect(group.groupId).toEqual(utf8("new room"));
      expect([group.epoch, group.suite, group.status]).toEqual([1n, changes.cipherSuite, "active"]);
      expect(group.extensions).toEqual("extensions" in changes ? changes.extensions : []);
    }
    const sent = await at(groups, 1).send(utf8("on we go"));
    const received = await at(groups, 0).receive(sent);
    expect(received.type === "application" && text(received.data)).toBe("on we go");
    for (const old of on.groups) await old.remove();
    expect((await at(on.people, 0).storage.list(groupKeys(utf8("room")).all)).size).toBe(0);
    const { commit } = await at(groups, 0).commit();
    for (const group of groups) await group.receive(commit);
  });

  it("lets late messages of the epochs before be read, within the window for them", async () => {
    const on = await where();
    const { person: alice, group } = on.at(0);
    const context = { ...alice.context, pastEpochs: { epochs: 1, seconds: 60 } };
    const patient = await reload({ ...alice, context }, group);
    const late = await on.at(2).group.send(utf8("wait for me"));
    const { commit } = await on.at(1).group.commit({ proposals: [reinitTo()] });
    await patient.receive(commit);
    expect(patient.status).toBe("closed");
    const received = await patient.receive(late);
    expect(received.type === "application" && text(received.data)).toBe("wait for me");
  });

  it("may be committed, and the new group begun, as PrivateMessages", async () => {
    const on = await where({ capabilities: {} });
    const secretly = on.people.map((who) => {
      const context = { ...who.context, handshakes: { send: "private" } as const };
      return { ...who, context };
    });
    const groups = await Promise.all(secretly.map((who, i) => reload(who, at(on.groups, i))));
    const { commit } = await at(groups, 1).commit({ proposals: [reinitTo()] });
    for (const group of groups) await group.receive(commit);
    const anew = await Promise.all(
      secretly.map(async (who) => {
        const { context } = who;
        return { ...(await renewed(who, 1)), context };
      }),
    );
    const begun = await reinitialized({ ...on, groups, anew });
    expect(new Set(begun.map((group) => hex(group.epochAuthenticator))).size).toBe(1);
    const next = await at(begun, 0).commit();
    for (const group of begun) await group.receive(next.commit);
  });

  it("goes on after a crash, before and behind the making of the new group", async () => {
    const on = await closed();
    const [maker, ...others] = on.anew;
    if (!maker) throw new Error("nobody");
    const old = await reload(at(on.people, 0), at(on.groups, 0));
    await reinitializeGroup(maker.context, await linked(maker, old, others));
    // The group and its first commit were stored in one batch; here the process begins anew.
    const group = await loadGroup(maker.context, {
      groupId: utf8("new room"),
      signer: maker.signer,
    });
    const bundle = group?.pendingCommit;
    if (!group || !bundle) throw new Error("no pending commit");
    expect(group.epoch).toBe(0n);
    await group.receive(bundle.commit);
    const [bob] = await join(others, group, bundle.welcome);
    expect(bob?.epochAuthenticator).toEqual(group.epochAuthenticator);
  });

  it("is carried out once, whoever wants to: the others give theirs up", async () => {
    const on = await closed();
    const [alice, bob, carol] = on.anew;
    if (!alice || !bob || !carol) throw new Error("three people");
    const ours = await reinitializeGroup(
      bob.context,
      await linked(bob, at(on.groups, 1), [alice, carol]),
    );
    const theirs = await reinitializeGroup(
      alice.context,
      await linked(alice, at(on.groups, 0), [bob, carol]),
    );
    await theirs.group.receive(theirs.bundle.commit);
    const late = join([bob], theirs.group, theirs.bundle.welcome);
    await expect(late).rejects.toMatchObject({ code: "group-exists" });
    await ours.group.remove();
    const groups = await join([bob, carol], theirs.group, theirs.bundle.welcome);
    for (const group of groups) {
      expect(group.epochAuthenticator).toEqual(theirs.group.epochAuthenticator);
    }
  });

  it("is carried out with the same members, no fewer and no more", async () => {
    const on = await closed();
    const [alice, bob, carol] = on.anew;
    if (!alice || !bob || !carol) throw new Error("three people");
    const dave = await person("dave", { suite: 1 });
    for (const others of [[bob], [bob, carol, dave], [bob, dave]]) {
      const options = await linked(alice, at(on.groups, 0), others);
      await expect(reinitializeGroup(alice.context, options)).rejects.toMatchObject({
        code: "reinit",
      });
    }
    expect(await alice.storage.get(groupKeys(utf8("new room")).state)).toBeUndefined();
    // Where the application names no clients, successors are the same members.
    const isSuccessor = async (
      { credential: a }: { credential: unknown },
      { credential: b }: { credential: unknown },
    ) => JSON.stringify(a) === JSON.stringify(b);
    let asked = 0;
    const counting: typeof isSuccessor = (previous, next) => {
      asked++;
      return isSuccessor(previous, next);
    };
    const unnamed = { ...ACCEPT_ALL_FOR_TESTS, isSuccessor: counting };
    const context = { ...alice.context, authentication: unnamed };
    const wrong = await linked(alice, at(on.groups, 0), [bob, dave]);
    await expect(reinitializeGroup(context, wrong)).rejects.toMatchObject({ code: "reinit" });
    // However many strangers there are: the first is looked for among those who are left, and no other.
    const strangers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => person(`stranger ${i}`, { suite: 1 })),
    );
    asked = 0;
    const crowd = await linked(alice, at(on.groups, 0), strangers);
    await expect(reinitializeGroup(context, crowd)).rejects.toMatchObject({ code: "reinit" });
    expect(asked).toBe(3);
    const right = await linked(alice, at(on.groups, 0), [carol, bob]);
    expect((await reinitializeGroup(context, right)).group.epoch).toBe(0n);
  });

  it("must have come first", async () => {
    const on = await where();
    const { person: alice, group } = on.at(0);
    const options = await linked(alice, group, on.people.slice(1));
    await expect(reinitializeGroup(alice.context, options)).rejects.toMatchObject({
      code: "reinit",
    });
    const eve = await person("eve");
    const elsewhere = await linked(eve, group, []);
    await expect(reinitializeGroup(eve.context, elsewhere)).rejects.toMatchObject({
      code: "psk-unknown",
    });
  });

  it("to a version that is not built is committed, and can't be carried out here", async () => {
    const on = await closed({ version: 2 });
    const [alice, ...others] = on.anew;
    if (!alice) throw new Error("nobody");
    const options = await linked(alice, at(on.groups, 0), others);
    await expect(reinitializeGroup(alice.context, options)).rejects.toMatchObject({
      code: "unsupported-version",
    });
  });

  it("closes the group for who follows it, too", async () => {
    const on = await where();
    const { commit } = await on.at(0).group.commit({ proposals: [reinitTo()] });
    const { group: observer, event } = await on.observer.process(commit);
    expect(event.type === "commit" && event.summary.reinit?.groupId).toEqual(utf8("new room"));
    const mallory = await inside(on.at(1).person);
    for (const group of on.groups) await group.receive(commit);
    const late = await forgeProposal(await inside(on.at(1).person), {
      proposalType: "remove",
      removed: 2,
    });
    expect(mallory.state.groupContext.epoch).toBe(1n);
    const nodes = [...observer.nodes()];
    const loaded = await PublicGroup.load(on.at(0).person.context, {
      state: observer.state(),
      nodes,
    });
    for (const one of [observer, loaded]) {
      expect(one.reinit?.cipherSuite).toBe(1);
      await expect(one.process(late)).rejects.toMatchObject({ code: "group-closed" });
    }
  });
});

describe("§11.3 a branch", () => {
  const branch = async (
    on: Room,
    others: readonly Person[],
    changes: { readonly extensions?: readonly Extension[] } = {},
  ) => {
    const { person: alice, group } = on.at(0);
    const options = { ...(await linked(alice, group, others)), groupId: utf8("aside"), ...changes };
    const made = await branchGroup(alice.context, options);
    await made.group.receive(made.bundle.commit);
    return made;
  };

  it("has some of the members, the same version and suite, and goes on by itself", async () => {
    const on = await where();
    const { group, bundle } = await branch(on, [on.at(2).person]);
    const [carol] = await join([on.at(2).person], group, bundle.welcome);
    expect(carol?.epochAuthenticator).toEqual(group.epochAuthenticator);
    expect([group.epoch, group.suite, group.members().length]).toEqual([1n, 3, 2]);
    const { commit } = await on.at(0).group.commit();
    for (const one of on.groups) await one.receive(commit);
    expect(on.at(0).group.epoch).toBe(2n);
  });

  it("takes the extensions of the former group, unless it is given others", async () => {
    const extensions = [{ extensionType: 0xf001, extensionData: utf8("x") }];
    const capabilities = { extensions: [0xf001] };
    const on = await room(await persons(["alice", "bob", "carol"], { capabilities }), {
      extensions,
    });
    expect((await branch(on, [])).group.extensions).toEqual(extensions);
    const other = await room(await persons(["alice", "bob", "carol"], { capabilities }), {
      extensions,
    });
    const made = await branch(other, [], { extensions: [] });
    expect(made.group.extensions).toEqual([]);
  });

  it("is joined also by who has gone on in the former group since", async () => {
    const on = await where();
    const { group, bundle } = await branch(on, [on.at(1).person]);
    const { commit } = await on.at(2).group.commit();
    for (const one of on.groups) await one.receive(commit);
    const [bob] = await join([on.at(1).person], group, bundle.welcome);
    expect(bob?.epochAuthenticator).toEqual(group.epochAuthenticator);
  });

  it("is for members alone", async () => {
    const on = await where();
    const dave = await person("dave");
    await expect(branch(on, [dave])).rejects.toMatchObject({ code: "branch" });
  });

  it("may be followed from its first epoch on", async () => {
    const on = await where();
    const { person: alice, group: old } = on.at(0);
    const options = { ...(await linked(alice, old, [on.at(1).person])), groupId: utf8("aside") };
    const { group, bundle } = await branchGroup(alice.context, options);
    const groupInfo = await group.groupInfo({ externalPub: false });
    const ratchetTree = group.ratchetTree();
    const observer = await PublicGroup.open(alice.context, { groupInfo, ratchetTree });
    expect((await observer.process(bundle.commit)).group.epoch).toBe(1n);
  });
});
