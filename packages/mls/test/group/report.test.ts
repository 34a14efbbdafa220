/** Who is shut out by a commit proves it to those who hold no secret; who is not, can't. Mallory, at leaf 3, keeps to no rule. */

import { reportCommit } from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { decode, encode } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { PRIVATE_USE_NUMBERS, withPostQuantum } from "@conclave/mls/post-quantum";
import { PublicGroup, SUITES } from "@conclave/mls/public-group";
import { describe, expect, it } from "vitest";
import { CommitReport } from "../../src/group/report.ts";
import type { UpdatePath } from "../../src/tree/update-path.ts";
import { type ForgedCommit, forgeCommit, heldKeys, type Inside, inside } from "../forge.ts";
import { addProposal, hex, joinByLink, type Person, person, persons, room } from "../people.ts";

const NAMES = ["alice", "bob", "carol", "mallory"];

async function stage(options: Parameters<typeof person>[1] = {}) {
  const where = await room(await persons(NAMES, options));
  return { ...where, mallory: await inside(where.at(3).person) };
}

/** The ciphertexts of a node of the path made undecryptable: the lowest is for Carol, the one above for Alice and Bob together. */
function garbage(...at: readonly number[]): ForgedCommit {
  const path = (made: UpdatePath): UpdatePath => ({
    ...made,
    nodes: made.nodes.map((node, i) => ({
      ...node,
      encryptedPathSecret: [...node.encryptedPathSecret].map((sealed) =>
        at.includes(i)
          ? { ...sealed, ciphertext: sealed.ciphertext.map((byte) => byte ^ 1) }
          : sealed,
      ),
    })),
  });
  return { path };
}

/** Whoever encrypts by this suite encrypts another secret than the one that the path's keys come from. */
function misleading(by: Inside): Inside {
  const { suite } = by;
  const { provider, nh } = suite;
  const seal: typeof provider.seal = (aead, key, nonce, aad, plaintext) =>
    provider.seal(
      aead,
      key,
      nonce,
      aad,
      plaintext.length === nh ? new Uint8Array(nh).fill(7) : plaintext,
    );
  return { ...by, suite: { ...suite, provider: { ...provider, seal } } };
}

const changed = (report: Bytes, change: Partial<CommitReport>): Bytes =>
  encode(CommitReport, { ...decode(CommitReport, report), ...change });

const REFUSED = { name: "MlsError", code: "report" };

describe("a member that a commit shuts out", () => {
  it("refuses it, stays where it was, and proves it", async () => {
    const { at, observer, mallory } = await stage();
    const bad = await forgeCommit(mallory, garbage(0));
    const { group } = at(2);
    const before = hex(group.epochAuthenticator);
    await expect(group.receive(bad)).rejects.toMatchObject({ code: "hpke-open" });
    const report = await reportCommit(group, bad);
    expect([group.epoch, hex(group.epochAuthenticator)]).toEqual([1n, before]);
    expect(await observer.checkReport(bad, report)).toEqual({ committer: 3, shutOut: [2] });
    // The others go on.
    for (const one of [at(0), at(1)]) await one.group.receive(bad);
    await expect(observer.process(bad)).resolves.toBeDefined();
  });

  it("shows one node's key for all that share it, and not another", async () => {
    const { at, observer, mallory } = await stage();
    const bad = await forgeCommit(mallory, garbage(1));
    const reports = await Promise.all([0, 1].map((one) => reportCommit(at(one).group, bad)));
    const [report = new Uint8Array(0)] = reports;
    expect(reports.map(hex)).toEqual([hex(report), hex(report)]);
    const { nodeIndex, privateKey } = decode(CommitReport, report);
    expect(nodeIndex).toBe(1);
    const held = await heldKeys(at(0).person);
    expect(privateKey).toEqual(held.get(1)?.privateKey);
    expect(await observer.checkReport(bad, report)).toEqual({ committer: 3, shutOut: [0, 1] });
    await expect(reportCommit(at(2).group, bad)).rejects.toMatchObject(REFUSED);
  });

  it("is each for itself where the node that they share is blank or they came to it later", async () => {
    const { at, observer, groups, mallory } = await stage();
    // Bob's new leaf blanks what stands above it.
    const update = await at(1).group.proposeUpdate();
    for (const group of groups) await group.receive(update);
    const { group: next } = await observer.process(update);
    const { ref } = (await inside(mallory.person)).state.proposals.values().next().value ?? {};
    const again = await inside(mallory.person);
    const bad = await forgeCommit(again, { ...garbage(1), ...(ref && { references: [ref] }) });
    for (const one of [0, 1]) {
      const { group } = at(one);
      await expect(group.receive(bad)).rejects.toMatchObject({ code: "hpke-open" });
      const report = await reportCommit(group, bad);
      expect(decode(CommitReport, report).nodeIndex).toBe(2 * one);
      expect(await next.checkReport(bad, report)).toEqual({ committer: 3, shutOut: [one] });
    }
  });

  it("is not one of those who came below a node and don't have its key", async () => {
    const people = await persons([...NAMES, "dave"]);
    const where = await room(people.slice(0, 4));
    const { at } = where;
    const dave = people[4] as Person;
    // Bob goes and Dave takes his leaf: unmerged at the root alone, since a removal blanks the path.
    const { commit } = await at(3).group.commit({
      proposals: [{ proposalType: "remove", removed: 1 }, await addProposal(dave)],
    });
    for (const one of [0, 2, 3]) await at(one).group.receive(commit);
    const { group: observer } = await where.observer.process(commit);
    const bad = await forgeCommit(await inside(at(3).person), garbage(1));
    const report = await reportCommit(at(0).group, bad);
    expect(await observer.checkReport(bad, report)).toEqual({ committer: 3, shutOut: [0] });
  });

  it("proves that what it could open leads elsewhere", async () => {
    const { at, observer, mallory } = await stage();
    const bad = await forgeCommit(misleading(mallory));
    for (const leafIndex of [0, 1, 2]) {
      const { group } = at(leafIndex);
      await expect(group.receive(bad)).rejects.toMatchObject({ code: "path-secret" });
      const { shutOut } = await observer.checkReport(bad, await reportCommit(group, bad));
      expect(shutOut).toContain(leafIndex);
    }
  });

  it("reports who came with such a commit from outside", async () => {
    const { at, observer, groups } = await stage();
    const { group } = at(2);
    const outside = await person("outsider");
    const bad = await forgeCommit(await inside(at(3).person), {
      ...garbage(0),
      external: { person: outside },
    });
    await expect(group.receive(bad)).rejects.toMatchObject({ code: "hpke-open" });
    const report = await reportCommit(group, bad);
    const proven = await observer.checkReport(bad, report);
    expect(proven).toEqual({ committer: 4, shutOut: groups.map((_, i) => i) });
  });

  it("proves it also where the application would judge the commit otherwise by now", async () => {
    const { at, mallory } = await stage();
    const bad = await forgeCommit(mallory, garbage(0));
    const report = await reportCommit(at(2).group, bad);
    const refuse = async () => {
      throw new Error("not any more");
    };
    const observer = await PublicGroup.open(
      { ...at(0).person.context, policy: refuse },
      {
        groupInfo: await at(0).group.groupInfo({ externalPub: false }),
        ratchetTree: at(0).group.ratchetTree(),
      },
    );
    await expect(observer.process(bad)).rejects.toMatchObject({ code: "policy" });
    await expect(observer.checkReport(bad, report)).resolves.toMatchObject({ committer: 3 });
  });
});

describe("no key is shown", () => {
  it("for a commit that is fine, also where only its tag is wrong", async () => {
    const { at, mallory } = await stage();
    const { group } = at(0);
    await expect(reportCommit(group, await forgeCommit(mallory))).rejects.toMatchObject(REFUSED);
    const wrongTag = await forgeCommit(mallory, { tag: (tag) => tag.map((byte) => byte ^ 1) });
    await expect(group.receive(wrongTag)).rejects.toMatchObject({ code: "confirmation-tag" });
    await expect(reportCommit(group, wrongTag)).rejects.toMatchObject(REFUSED);
  });

  it("for what is no commit of another member of this epoch with a path", async () => {
    const { at, groups, mallory } = await stage();
    const { group } = at(0);
    const pathless = await forgeCommit(mallory, {
      pathless: true,
      proposals: [await addProposal(await person("eve"))],
    });
    await expect(reportCommit(group, pathless)).rejects.toMatchObject(REFUSED);
    const update = await at(1).group.proposeUpdate();
    await expect(reportCommit(group, update)).rejects.toMatchObject(REFUSED);
    const own = await forgeCommit(await inside(at(0).person), garbage(1));
    await expect(reportCommit(group, own)).rejects.toMatchObject(REFUSED);
    const proposals = [{ proposalType: "remove", removed: 0 }] as const;
    const removing = await forgeCommit(mallory, { ...garbage(1), proposals });
    await expect(reportCommit(group, removing)).rejects.toMatchObject(REFUSED);
    const bad = await forgeCommit(mallory, garbage(1));
    const untagged = bad.with(-1, (bad.at(-1) ?? 0) ^ 1) as Bytes;
    await expect(reportCommit(group, untagged)).rejects.toMatchObject({ code: "membership-tag" });
    const { commit } = await at(2).group.commit();
    for (const one of groups) await one.receive(commit);
    await expect(reportCommit(group, bad)).rejects.toMatchObject({ code: "wrong-epoch" });
    await group.remove();
    await expect(reportCommit(group, bad)).rejects.toMatchObject({ code: "removed" });
  });

  it("for a commit that is a PrivateMessage", async () => {
    const { at, mallory } = await stage();
    const bad = await forgeCommit(mallory, { ...garbage(0), wireFormat: "mls_private_message" });
    await expect(reportCommit(at(2).group, bad)).rejects.toMatchObject({
      code: "wrong-wire-format",
    });
  });
});

describe("a report is refused", () => {
  async function reported() {
    const on = await stage();
    const bad = await forgeCommit(on.mallory, garbage(0));
    return { ...on, bad, report: await reportCommit(on.at(2).group, bad) };
  }

  it("on a commit whose path secret is what it should be", async () => {
    const { observer, report, at, mallory } = await reported();
    const fine = await forgeCommit(mallory);
    await expect(observer.checkReport(fine, report)).rejects.toMatchObject(REFUSED);
    // Who could follow shows a key of its own.
    const { bad } = await reported();
    const held = (await heldKeys(at(0).person)).get(1);
    if (!held) throw new Error("no key");
    const of = { nodeIndex: 1, privateKey: held.privateKey };
    const other = await forgeCommit(mallory, garbage(0));
    await expect(observer.checkReport(other, changed(report, of))).rejects.toMatchObject({
      ...REFUSED,
      message: expect.stringContaining("what it should be") as string,
    });
    await expect(observer.checkReport(bad, changed(report, of))).rejects.toMatchObject({
      name: "MlsError",
    });
  });

  it("with another key, one of another node, or of another size", async () => {
    const { observer, bad, report, at } = await reported();
    const keys = await heldKeys(at(2).person);
    const other = keys.get(3)?.privateKey ?? new Uint8Array(0);
    for (const privateKey of [other, new Uint8Array(32), new Uint8Array(0), new Uint8Array(999)]) {
      const forged = changed(report, { privateKey });
      await expect(observer.checkReport(bad, forged)).rejects.toMatchObject(REFUSED);
    }
  });

  it("for a node that the path is not encrypted to", async () => {
    const { observer, bad, report, at } = await reported();
    // Above; the committer's own; a blank one; whose key the committer's path replaces; beyond the tree.
    for (const nodeIndex of [0, 3, 5, 6, 7, 99, 2 ** 32 - 1]) {
      const held = (await heldKeys(at(0).person)).get(nodeIndex);
      const forged = changed(report, { nodeIndex, ...(held && { privateKey: held.privateKey }) });
      await expect(observer.checkReport(bad, forged)).rejects.toMatchObject(REFUSED);
    }
  });

  it("for a leaf that the commit adds", async () => {
    const { observer, at, mallory } = await stage();
    const eve = await person("eve");
    const proposals = [await addProposal(eve)];
    const bad = await forgeCommit(mallory, { ...garbage(0, 1, 2), proposals });
    const report = await reportCommit(at(0).group, bad);
    await expect(
      observer.checkReport(bad, changed(report, { nodeIndex: 8 })),
    ).rejects.toMatchObject(REFUSED);
  });

  it("with a key of another epoch", async () => {
    const { at, groups, observer } = await stage();
    const old = (await heldKeys(at(2).person)).get(4);
    const { commit } = await at(2).group.commit();
    for (const group of groups) await group.receive(commit);
    const { group: next } = await observer.process(commit);
    const bad = await forgeCommit(await inside(at(3).person), garbage(0));
    const report = await reportCommit(at(2).group, bad);
    await expect(next.checkReport(bad, report)).resolves.toMatchObject({ shutOut: [2] });
    const stale = changed(report, { privateKey: old?.privateKey ?? new Uint8Array(0) });
    await expect(next.checkReport(bad, stale)).rejects.toMatchObject(REFUSED);
    await expect(observer.checkReport(bad, report)).rejects.toMatchObject({ code: "wrong-epoch" });
  });

  it("on what is no commit with a path, or not signed by its sender", async () => {
    const { observer, bad, report, mallory, at } = await reported();
    const proposal = await at(1).group.proposeUpdate();
    await expect(observer.checkReport(proposal, report)).rejects.toMatchObject(REFUSED);
    const pathless = await forgeCommit(mallory, {
      pathless: true,
      proposals: [await addProposal(await person("eve"))],
    });
    await expect(observer.checkReport(pathless, report)).rejects.toMatchObject(REFUSED);
    // A ciphertext that is spoiled on its way was not the committer's doing.
    const fine = await forgeCommit(mallory);
    const spoiled = fine.map((byte, i) => (i === fine.length - 200 ? byte ^ 1 : byte)) as Bytes;
    await expect(observer.checkReport(spoiled, report)).rejects.toMatchObject({ name: "MlsError" });
    const { group } = await observer.process(bad);
    await expect(group.checkReport(bad, report)).rejects.toMatchObject({ code: "wrong-epoch" });
  });

  it("in another form or of another version", async () => {
    const { observer, bad, report } = await reported();
    await expect(observer.checkReport(bad, report.slice(0, -1))).rejects.toMatchObject({
      code: "decode",
    });
    await expect(observer.checkReport(bad, changed(report, { version: 2 }))).rejects.toMatchObject({
      code: "unsupported-version",
    });
  });
});

describe("reports in each cipher suite", () => {
  const withLattices = withPostQuantum(nodeCrypto);
  const all = [
    ...[...SUITES.values()].map((suite) => [suite.name, suite.number, nodeCrypto] as const),
    ...["MLS_128_MLKEM768_AES256GCM_SHA384_P256", "MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519"]
      .map((name) => [name, new Map(Object.entries(PRIVATE_USE_NUMBERS)).get(name)] as const)
      .flatMap(([name, number]) => (number ? [[name, number, withLattices] as const] : [])),
  ];
  it.each(all)("%s", async (_, suite, crypto) => {
    const { at, observer, mallory } = await stage({ suite, crypto });
    const bad = await forgeCommit(mallory, garbage(0));
    const report = await reportCommit(at(2).group, bad);
    expect(await observer.checkReport(bad, report)).toEqual({ committer: 3, shutOut: [2] });
    const fine = await forgeCommit(mallory);
    await expect(observer.checkReport(fine, report)).rejects.toMatchObject(REFUSED);
    await expect(reportCommit(at(2).group, fine)).rejects.toMatchObject(REFUSED);
    const wrong = changed(report, { privateKey: new Uint8Array(32).fill(1) });
    await expect(observer.checkReport(bad, wrong)).rejects.toMatchObject(REFUSED);
    const misled = await forgeCommit(misleading(mallory));
    const other = await reportCommit(at(0).group, misled);
    await expect(observer.checkReport(misled, other)).resolves.toMatchObject({ committer: 3 });
  });
});

it("a report is followed by joining anew: an external commit takes the leaf's place", async () => {
  const { at, mallory } = await stage();
  const bad = await forgeCommit(mallory, garbage(0));
  await reportCommit(at(2).group, bad);
  for (const one of [0, 1]) await at(one).group.receive(bad);
  const { person: carol } = at(2);
  await at(2).group.remove();
  const { group } = at(0);
  const { commit } = await group.commit({ proposals: [{ proposalType: "remove", removed: 2 }] });
  for (const one of [0, 1]) await at(one).group.receive(commit);
  const carols = await joinByLink(carol, group, [at(1).group]);
  expect(hex(carols.epochAuthenticator)).toBe(hex(at(1).group.epochAuthenticator));
});
