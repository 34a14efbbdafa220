/** §8.4, §8.6, §12.1.4: pre-shared keys, the application's and those of former epochs. */

import {
  createGroup,
  deleteResumptionPsks,
  type Group,
  memoryStorage,
  type PreSharedKeyID,
  type Proposal,
  preSharedKey,
} from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { bytesEqual } from "../../src/bytes.ts";
import { groupKeys } from "../../src/group/stored-group.ts";
import { changedWelcome, forgeCommit, forgeProposal, inside } from "../forge.ts";
import {
  add,
  addProposal,
  expectRefused,
  found,
  LIFETIME,
  type Person,
  person,
  type Room,
  reload,
  room,
  utf8,
} from "../people.ts";

const NH = 32;

/** Knows these external PSKs: by their ids, each its own secret. */
function knowing(name: string, ids: readonly string[], options: Parameters<typeof person>[1] = {}) {
  const known = ids.map(utf8);
  return person(name, {
    ...options,
    externalPsk: async (id) => known.find((one) => bytesEqual(one, id))?.slice(),
  });
}

const external = (where: Room, id: string) => {
  const { person: who, group } = where.at(0);
  return preSharedKey(who.context, group, { pskType: "external", pskId: utf8(id) });
};

const resumption = (who: Person, of: Group, pskEpoch: bigint, into = of) =>
  preSharedKey(who.context, into, { pskType: "resumption", pskGroupId: of.groupId, pskEpoch });

/** Commits, and all receive; they end in one epoch, with the same secrets. */
async function committed(where: Room, proposals: readonly Proposal[], by = 0): Promise<void> {
  const { commit } = await where.at(by).group.commit({ proposals });
  for (const group of where.groups) await group.receive(commit);
  const authenticators = where.groups.map((group) => group.epochAuthenticator.join());
  expect(new Set(authenticators).size).toBe(1);
}

function idOf(proposal: Proposal): PreSharedKeyID {
  if (proposal.proposalType !== "psk") throw new Error("no PSK");
  return proposal.psk;
}

describe("§8.4 external PSKs", () => {
  it("are proposed with a fresh nonce of KDF.Nh bytes", async () => {
    const where = await room([await knowing("alice", ["a"]), await knowing("bob", [])]);
    const [one, two] = [idOf(external(where, "a")), idOf(external(where, "a"))];
    expect(one.pskNonce).toHaveLength(NH);
    expect(one.pskNonce).not.toEqual(two.pskNonce);
  });

  it("go into the next epoch's secrets, by value and by reference", async () => {
    const where = await room([
      await knowing("alice", ["a", "b"]),
      await knowing("bob", ["a", "b"]),
    ]);
    await committed(where, [external(where, "a"), external(where, "b")]);
    const proposed = await where.at(1).group.propose(external(where, "b"));
    await where.at(0).group.receive(proposed);
    await committed(where, [external(where, "a")]);
    expect(where.at(0).group.epoch).toBe(3n);
  });

  it("stay as the application has them, in a Buffer too", async () => {
    const secret = Buffer.from("0123456789abcdef0123456789abcdef");
    const group = await found(await person("alice", { externalPsk: async () => secret }));
    const psk = { pskType: "external", pskId: utf8("a") } as const;
    const { context } = await person("bob");
    await group.commit({ proposals: [preSharedKey(context, group, psk)] });
    expect(secret).toEqual(Buffer.from("0123456789abcdef0123456789abcdef"));
  });
  it("C03 §12.4.2 are all there before anything changes", async () => {
    const where = await room([await knowing("alice", ["a", "b"]), await knowing("bob", ["a"])]);
    const { commit } = await where
      .at(0)
      .group.commit({ proposals: [external(where, "a"), external(where, "b")] });
    await expectRefused(where, 0, commit, "psk-unknown", { membersOnly: true });
    expect((await reload(where.at(1).person, where.at(1).group)).epoch).toBe(1n);
  });

  it("are left out of a commit by who doesn't have them", async () => {
    const where = await room([await knowing("alice", ["a"]), await knowing("bob", ["a", "b"])]);
    const { group: alice } = where.at(0);
    const { group: bob } = where.at(1);
    for (const id of ["b", "a"]) await alice.receive(await bob.propose(external(where, id)));
    const { commit } = await alice.commit();
    const received = await bob.receive(commit);
    expect(received.type === "commit" && received.summary.proposalTypes).toEqual([4]);
    await alice.receive(commit);
    expect(alice.epochAuthenticator).toEqual(bob.epochAuthenticator);
    await expect(alice.commit({ proposals: [external(where, "b")] })).rejects.toMatchObject({
      code: "psk-unknown",
    });
  });

  it("P21 §12.2 the same id is committed once", async () => {
    const where = await room([await knowing("alice", ["a"]), await knowing("bob", ["a"])]);
    const twice = external(where, "a");
    const { group: alice } = where.at(0);
    await expect(alice.commit({ proposals: [twice, twice] })).rejects.toMatchObject({
      code: "proposal-list",
    });
    await alice.receive(await where.at(1).group.propose(twice));
    await committed(where, [twice]);
  });

  it("P31 §12.4.1 stand in the Welcome in the order of the commit", async () => {
    const ids = ["c", "a", "b"];
    const where = await room([await knowing("alice", ids), await knowing("bob", ids)]);
    const eve = await knowing("eve", ids);
    const { group: alice } = where.at(0);
    const psks = ids.map((id) => external(where, id));
    const { welcome } = await alice.commit({ proposals: [await addProposal(eve), ...psks] });
    if (!welcome) throw new Error("no welcome");
    const named: PreSharedKeyID[] = [];
    const secrets = ({ psks: found }: { readonly psks: readonly PreSharedKeyID[] }) => {
      named.push(...found);
      return {};
    };
    await changedWelcome(eve, welcome, { secrets });
    expect(named).toEqual(psks.map(idOf));
  });
});

describe("§8.6 resumption PSKs", () => {
  async function pair(options: Parameters<typeof person>[1] = {}): Promise<Room> {
    return room([await person("alice", options), await person("bob", options)]);
  }

  it("come from the epoch at hand and from those before it", async () => {
    const where = await pair();
    const { person: alice, group } = where.at(0);
    await committed(where, [resumption(alice, group, 1n)]);
    await committed(where, [resumption(alice, group, 1n), resumption(alice, group, 2n)]);
    expect(group.epoch).toBe(3n);
  });

  it("come from other groups of the same members", async () => {
    const where = await pair();
    const { person: alice, group: old } = where.at(0);
    const hall = await createGroup(alice.context, {
      groupId: utf8("hall"),
      suite: alice.suite,
      credential: alice.credential,
      signer: alice.signer,
      lifetime: LIFETIME,
    });
    const others = await add(hall, [where.at(1).person]);
    const both = { ...where, groups: [hall, ...others] };
    const { commit } = await hall.commit({ proposals: [resumption(alice, old, 1n, hall)] });
    for (const group of both.groups) await group.receive(commit);
    expect(others[0]?.epochAuthenticator).toEqual(hall.epochAuthenticator);
  });

  it("are kept for as many epochs as the context says, and no longer", async () => {
    const alice = await person("alice");
    const few = { ...alice, context: { ...alice.context, resumptionEpochs: 2 } };
    const group = await found(few);
    const next = async () => group.receive((await group.commit()).commit);
    for (let i = 0; i < 4; i++) await next();
    const keys = groupKeys(group.groupId);
    expect([...(await few.storage.list(keys.resumptions)).keys()]).toEqual([
      keys.resumption(2n),
      keys.resumption(3n),
    ]);
    await expect(group.commit({ proposals: [resumption(few, group, 1n)] })).rejects.toMatchObject({
      code: "psk-unknown",
    });
    const fewer = { ...few, context: { ...few.context, resumptionEpochs: 1 } };
    const loaded = await reload(fewer, group);
    expect([...(await few.storage.list(keys.resumptions)).keys()]).toEqual([keys.resumption(3n)]);
    await loaded.receive((await loaded.commit()).commit);
    const none = { ...few.context, resumptionEpochs: 0 };
    const bare = await found({ ...few, context: none }, { groupId: "bare" });
    await bare.receive((await bare.commit()).commit);
    expect((await few.storage.list(groupKeys(bare.groupId).resumptions)).size).toBe(0);
  });

  it("are forgotten on demand", async () => {
    const alice = await person("alice");
    const group = await found(alice);
    for (let i = 0; i < 4; i++) await group.receive((await group.commit()).commit);
    const keys = groupKeys(group.groupId);
    await deleteResumptionPsks(alice.context, group, 3n);
    expect([...(await alice.storage.list(keys.resumptions)).keys()]).toEqual([keys.resumption(3n)]);
    await deleteResumptionPsks(alice.context, group);
    expect((await alice.storage.list(keys.resumptions)).size).toBe(0);
    await group.receive((await group.commit()).commit);
  });

  it.each(["reinit", "branch"] as const)(
    "P07 P08 §12.1.4 for %s are refused in a commit and as a proposal",
    async (usage) => {
      const where = await pair();
      const { person: alice, group } = where.at(0);
      const id = idOf(resumption(alice, group, 1n));
      const proposal = { proposalType: "psk", psk: { ...id, usage } } as Proposal;
      await expect(group.commit({ proposals: [proposal] })).rejects.toMatchObject({
        code: "psk-usage",
      });
      await expect(group.propose(proposal)).rejects.toMatchObject({ code: "psk-usage" });
      const mallory = await inside(where.at(1).person);
      const commit = await forgeCommit(mallory, { proposals: [proposal] });
      await expectRefused(where, 1, commit, "psk-usage");
      await expectRefused(where, 1, await forgeProposal(mallory, proposal), "psk-usage");
      // Nor in a first commit that nobody called a branch or a re-initialisation.
      const first = await found(alice, { groupId: "hall" });
      const refused = first.commit({ proposals: [proposal] });
      await expect(refused).rejects.toMatchObject({ code: "psk-usage" });
    },
  );
});

describe("§8.4 a PSK that is injected again and again", () => {
  it("is looked up once", async () => {
    const inner = memoryStorage();
    let looks = 0;
    const get = (key: string) => {
      looks++;
      return inner.get(key);
    };
    const [alice, bob] = await Promise.all([
      person("alice"),
      person("bob", { storage: { ...inner, get } }),
    ]);
    const { at } = await room([alice, bob]);
    const many = Array.from({ length: 100 }, () => resumption(alice, at(0).group, 1n));
    const { commit } = await at(0).group.commit({ proposals: many });
    looks = 0;
    await at(1).group.receive(commit);
    expect(looks).toBeLessThan(10);
    await at(0).group.receive(commit);
    expect(at(1).group.epochAuthenticator).toEqual(at(0).group.epochAuthenticator);
  });
});

describe("§8.6 a resumption PSK of another group, which goes on meanwhile", () => {
  it.each([2, 3])("is that of its epoch, whenever that ends: before look %i", async (looks) => {
    const inner = memoryStorage();
    let before: (() => Promise<unknown>) | undefined;
    let look = 0;
    const get = async (key: string) => {
      if (key.startsWith("group/") && ++look === looks) {
        const act = before;
        before = undefined;
        await act?.();
      }
      return inner.get(key);
    };
    const [alice, bob] = await Promise.all([
      person("alice", { storage: { ...inner, get } }),
      person("bob"),
    ]);
    const one = await found(alice, { groupId: "one" });
    await add(one, [bob]);
    const two = await found(alice, { groupId: "two" });
    const [twoAtBob] = await add(two, [bob]);
    const { commit: next } = await one.commit();
    const proposals = [resumption(alice, one, 1n)];
    before = () => one.receive(next);
    look = 0;
    const { commit } = await two.commit({ proposals });
    expect(one.epoch).toBe(2n);
    await expect(twoAtBob?.receive(commit)).resolves.toMatchObject({ epoch: 2n });
  });
});
