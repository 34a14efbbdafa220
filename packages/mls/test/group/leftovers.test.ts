/** §7.5, §8, §9.2: what is left in memory of the secrets that an operation passed through. */

import {
  branchGroup,
  type Credentialed,
  createGroup,
  deleteKeyPackages,
  type Group,
  joinExternally,
  joinGroup,
  type MlsContext,
  memoryStorage,
  preSharedKey,
  readKeyPackage,
  reportCommit,
  type Storage,
} from "@conclave/mls";
import type { Bytes } from "@conclave/mls/codec";
import { nodeCrypto } from "@conclave/mls/node";
import { describe, expect, it } from "vitest";
import { changedWelcome, forgeCommit, forgeKeyPackage, forgeWelcome, inside } from "../forge.ts";
import { ledgerOf } from "../ledger.ts";
import {
  addProposal,
  found,
  hex,
  keyPackageOf,
  LIFETIME,
  person,
  reload,
  room,
  utf8,
} from "../people.ts";

/** Someone whose secrets are looked after. `public`: what the application has, or everybody. */
async function watched(name: string, context: Partial<MlsContext> = {}) {
  const ledger = ledgerOf(nodeCrypto);
  const who = await person(name, { crypto: ledger.crypto, context });
  const known: Uint8Array[] = [];
  const check = async (...shown: readonly (Uint8Array | undefined)[]): Promise<void> => {
    known.push(...shown.flatMap((one) => one ?? []));
    const stored = (await who.storage.list("")).values();
    expect(ledger.left([...stored, ...known])).toEqual([]);
  };
  return { who, check };
}

/** Alice, who is watched, and bob and carol. */
async function three(context: Partial<MlsContext> = {}) {
  const { who, check } = await watched("alice", context);
  const where = await room([
    who,
    await person("bob", { context }),
    await person("carol", { context }),
  ]);
  const { group: alice } = where.at(0);
  const { group: bob } = where.at(1);
  const { group: carol } = where.at(2);
  await check();
  return { who, check, where, alice, bob, carol };
}

function clientByIdentity({ credential }: Credentialed): string {
  return credential.credentialType === "basic" ? hex(credential.identity) : "";
}

async function commits(
  by: Group,
  groups: readonly Group[],
  options: Parameters<Group["commit"]>[0] = {},
) {
  const bundle = await by.commit({ forcePath: true, ...options });
  for (const group of groups) await group.receive(bundle.commit);
  return Object.values(bundle);
}

describe("of secrets nothing is left in memory but what is stored", () => {
  it("when a group is made, and somebody is added", async () => {
    const { who, check } = await watched("alice");
    const alice = await found(who);
    await check();
    const bundle = await alice.commit({ proposals: [await addProposal(await person("bob"))] });
    await check(...Object.values(bundle));
    await alice.receive(bundle.commit);
    await check();
  });

  it("when somebody comes by a Welcome", async () => {
    const [alice, { who: bob, check }] = [await person("alice"), await watched("bob")];
    const group = await found(alice);
    const proposals = [await addProposal(bob)];
    await check();
    const { commit, welcome } = await group.commit({ proposals, forcePath: true });
    await group.receive(commit);
    if (!welcome) throw new Error("no welcome");
    const { context, signer } = bob;
    await joinGroup(context, { welcome, ratchetTree: group.ratchetTree(), signer });
    await check();
  });

  it("when a Welcome names PSKs", async () => {
    const psk = utf8("a secret of the application");
    const context = { externalPsk: async () => psk };
    const { who: bob, check } = await watched("bob", context);
    const alice = await person("alice", { context });
    const group = await found(alice);
    const injected = preSharedKey(alice.context, group, {
      pskType: "external",
      pskId: utf8("id"),
    });
    const proposals = [await addProposal(bob), injected];
    const { commit, welcome } = await group.commit({ proposals });
    await group.receive(commit);
    if (!welcome) throw new Error("no welcome");
    await joinGroup(bob.context, {
      welcome,
      ratchetTree: group.ratchetTree(),
      signer: bob.signer,
    });
    await check();
  });

  it("when a Welcome is refused: into another epoch, or for its confirmation tag", async () => {
    const { where } = await three();
    const mallory = await inside(where.at(2).person);
    const { who: eve, check } = await watched("eve");
    const keyPackage = readKeyPackage(await keyPackageOf(eve));
    const welcome = await forgeWelcome(mallory, keyPackage, {
      info: () => ({ confirmationTag: new Uint8Array(32) }),
    });
    const joining = { welcome, signer: eve.signer };
    const expected = { groupId: mallory.state.groupContext.groupId, epoch: 7n };
    const elsewhere = joinGroup(eve.context, { ...joining, expected });
    await expect(elsewhere).rejects.toMatchObject({ code: "welcome" });
    await check();
    await expect(joinGroup(eve.context, joining)).rejects.toMatchObject({
      code: "confirmation-tag",
    });
    await check();
  });

  it("when a Welcome's path secret leads to other keys than the tree shows", async () => {
    const { where } = await three();
    const { group: carol } = where.at(2);
    const { who: eve, check } = await watched("eve");
    const proposals = [await addProposal(eve)];
    const { commit, welcome } = await carol.commit({ proposals, forcePath: true });
    await carol.receive(commit);
    if (!welcome) throw new Error("no welcome");
    const pathSecret = new Uint8Array(32).fill(5);
    const secrets = () => ({ pathSecret: { pathSecret } });
    const changed = await changedWelcome(
      { ...eve, context: { ...eve.context, crypto: nodeCrypto } },
      welcome,
      { secrets },
    );
    const joining = { welcome: changed, ratchetTree: carol.ratchetTree(), signer: eve.signer };
    await expect(joinGroup(eve.context, joining)).rejects.toMatchObject({ code: "path-secret" });
    await check();
  });

  it("when a Welcome leads into a group that does not continue the one it claims to", async () => {
    const { who, check, where, bob } = await three();
    const by = where.at(1).person;
    const { context, signer } = who;
    const made = await branchGroup(by.context, {
      ...by,
      from: bob,
      groupId: utf8("aside"),
      keyPackages: [await keyPackageOf(who), await keyPackageOf(await person("dave"))],
      lifetime: LIFETIME,
    });
    await made.group.receive(made.bundle.commit);
    const { welcome } = made.bundle;
    if (!welcome) throw new Error("no welcome");
    // By alice's word on who is who, dave was not in the former group.
    const authentication = { ...context.authentication, clientOf: clientByIdentity };
    const joining = { welcome, ratchetTree: made.group.ratchetTree(), signer };
    await expect(joinGroup({ ...context, authentication }, joining)).rejects.toMatchObject({
      code: "branch",
    });
    await check();
  });

  it("when somebody comes by an external commit, and when it is met", async () => {
    const { alice, bob, carol, check } = await three();
    const { who: eve, check: checkEve } = await watched("eve");
    const groupInfo = await alice.groupInfo({ externalPub: true, ratchetTree: "inside" });
    await check(groupInfo);
    const { credential, signer } = eve;
    const { group, bundle } = await joinExternally(eve.context, { groupInfo, credential, signer });
    await checkEve(...Object.values(bundle));
    await group.receive(bundle.commit);
    for (const one of [alice, bob, carol]) await one.receive(bundle.commit);
    await checkEve();
    await check();
  });

  it("when messages are sent and received, late ones too", async () => {
    const { alice, bob, check } = await three();
    await check(await alice.send(utf8("hello")));
    const sent = [await bob.send(utf8("one")), await bob.send(utf8("two"))];
    for (const message of sent.toReversed()) {
      const received = await alice.receive(message);
      await check(received.type === "application" ? received.data : undefined);
    }
    const good = await bob.send(utf8("three"));
    const bad = good.with(-1, (good.at(-1) ?? 0) ^ 1);
    await expect(alice.receive(bad)).rejects.toMatchObject({ code: "aead-open" });
    await check();
  });

  it("when others commit, and when handshakes are encrypted", async () => {
    const { alice, bob, carol, check } = await three({ handshakes: { send: "private" } });
    const all = [alice, bob, carol];
    await commits(bob, all);
    await check();
    await commits(carol, all);
    await check();
    await check(...(await commits(alice, all)));
    const proposal = await alice.propose({ proposalType: "remove", removed: 2 });
    for (const one of [bob, carol]) await one.receive(proposal);
    await check(proposal);
    await commits(bob, all);
    await check();
  });

  it("when a commit is refused for its confirmation tag", async () => {
    const { alice, where, check } = await three();
    const mallory = await inside(where.at(2).person);
    const bad = await forgeCommit(mallory, { tag: (tag) => tag.with(0, (tag[0] ?? 0) ^ 1) });
    await expect(alice.receive(bad)).rejects.toMatchObject({ code: "confirmation-tag" });
    await check();
  });

  it("when a commit is looked at, and there is nothing to report", async () => {
    const { alice, bob, check } = await three();
    const { commit } = await bob.commit({ forcePath: true });
    await expect(reportCommit(alice, commit)).rejects.toMatchObject({ code: "report" });
    await check();
  });

  it("when an Update is committed, and when it is not", async () => {
    const { alice, bob, carol, check } = await three();
    const all = [alice, bob, carol];
    await alice.proposeUpdate();
    await check();
    // Nobody has seen it.
    await commits(bob, all);
    await check();
    const update = await alice.proposeUpdate();
    for (const one of [bob, carol]) await one.receive(update);
    await commits(bob, all);
    await check();
  });

  it("when a commit of ours loses, and when it is given up", async () => {
    const { alice, bob, carol, check } = await three();
    const all = [alice, bob, carol];
    await check(...Object.values(await alice.commit({ forcePath: true })));
    await commits(bob, all);
    await check();
    await check(...Object.values(await alice.commit({ forcePath: true })));
    await alice.discardPendingCommit();
    await check();
  });

  it("when PSKs are injected, the application's and those of past epochs", async () => {
    const psk = utf8("a secret of the application");
    const context = { externalPsk: async () => psk, resumptionEpochs: 1 };
    const { who, alice, bob, carol, check } = await three(context);
    const source = { pskType: "resumption", pskGroupId: alice.groupId, pskEpoch: 1n } as const;
    const proposals = [
      preSharedKey(who.context, alice, { pskType: "external", pskId: utf8("id") }),
      preSharedKey(who.context, alice, source),
    ];
    const bundle = await commits(alice, [alice, bob, carol], { proposals });
    await check(...bundle);
    await commits(bob, [alice, bob, carol], { proposals: [...proposals] });
    await commits(bob, [alice, bob, carol]);
    await check();
  });

  it("when a proposal that nobody can commit is left out", async () => {
    const { who, alice, bob, check } = await three({ externalPsk: async () => utf8("psk") });
    const expired = await forgeKeyPackage(await person("eve"), {
      leaf: () => ({
        source: { leafNodeSource: "key_package", lifetime: { notBefore: 0n, notAfter: 9n } },
      }),
    });
    await alice.receive(await bob.propose({ proposalType: "add", keyPackage: expired }));
    const proposals = [
      preSharedKey(who.context, alice, { pskType: "external", pskId: utf8("id") }),
    ];
    await check(...Object.values(await alice.commit({ proposals })));
  });

  it("when secrets are exported", async () => {
    const { alice, check } = await three();
    await check(
      alice.exportSecret("label", utf8("context"), 32),
      alice.exportSecret("label", utf8("x"), 70),
    );
    await check(await alice.safeExportSecret(7));
  });

  it("when past epochs are over", async () => {
    const { alice, bob, carol, check } = await three({
      pastEpochs: { epochs: 1, seconds: 3600 },
    });
    const all = [alice, bob, carol];
    const late = await bob.send(utf8("late"));
    await bob.send(utf8("lost"));
    await commits(bob, all);
    await check();
    const received = await alice.receive(late);
    await check(received.type === "application" ? received.data : undefined);
    await commits(carol, all);
    await check();
  });

  it("when we are removed, and when a group is forgotten", async () => {
    const removed = await three({ pastEpochs: { epochs: 1, seconds: 3600 } });
    await commits(removed.bob, [removed.alice, removed.bob, removed.carol]);
    const proposals = [{ proposalType: "remove", removed: 0 } as const];
    await commits(removed.bob, [removed.alice, removed.bob, removed.carol], { proposals });
    await removed.check();
    const { alice, bob, carol, check } = await three({
      pastEpochs: { epochs: 1, seconds: 3600 },
    });
    await commits(bob, [alice, bob, carol]);
    await alice.proposeUpdate();
    await check(...Object.values(await alice.commit({ forcePath: true })));
    await alice.remove();
    await check();
  });

  it("when a commit's path doesn't open, or leads elsewhere, a PSK in it", async () => {
    const { who, alice, where, check } = await three({ externalPsk: async () => utf8("a psk") });
    const proposals = [
      preSharedKey(who.context, alice, { pskType: "external", pskId: utf8("id") }),
    ];
    const mallory = await inside(where.at(2).person);
    const bad = await forgeCommit(mallory, {
      proposals,
      path: (made) => ({
        ...made,
        nodes: made.nodes.map((node) => ({
          ...node,
          encryptedPathSecret: [...node.encryptedPathSecret].map((sealed) => ({
            ...sealed,
            ciphertext: sealed.ciphertext.map((byte) => byte ^ 1),
          })),
        })),
      }),
    });
    await expect(alice.receive(bad)).rejects.toMatchObject({ code: "hpke-open" });
    await check(bad);
    const { provider } = mallory.suite;
    const seal: typeof provider.seal = (aead, key, nonce, aad, plaintext) => {
      const wrong = plaintext.length === mallory.suite.nh ? plaintext.map(() => 7) : plaintext;
      return provider.seal(aead, key, nonce, aad, wrong);
    };
    const misleading = { ...mallory, suite: { ...mallory.suite, provider: { ...provider, seal } } };
    const worse = await forgeCommit(misleading);
    await expect(alice.receive(worse)).rejects.toMatchObject({ code: "path-secret" });
    await check();
    await reportCommit(alice, worse);
    await check();
  });

  it("when the application has no records for what was done", async () => {
    const and = (): never => {
      throw new Error("no room");
    };
    const { who, alice, bob, carol, check } = await three();
    const { commit } = await bob.commit({ forcePath: true });
    await expect(alice.receive(commit, { and })).rejects.toThrow("no room");
    await check();
    await expect(alice.commit({ forcePath: true, and })).rejects.toThrow("no room");
    await check();
    const authenticatedData = async () => and();
    await expect(alice.commit({ forcePath: true, authenticatedData })).rejects.toThrow("no room");
    await check();
    const groupInfo = await bob.groupInfo({ externalPub: true, ratchetTree: "inside" });
    const { who: eve, check: checkEve } = await watched("eve");
    await expect(joinExternally(eve.context, { ...eve, groupInfo, and })).rejects.toThrow("room");
    await checkEve();
    const proposals = [await addProposal(eve)];
    const { welcome, ...bundle } = await carol.commit({ proposals, forcePath: true });
    await carol.receive(bundle.commit);
    if (!welcome) throw new Error("no welcome");
    const joining = { welcome, ratchetTree: carol.ratchetTree(), signer: eve.signer, and };
    await expect(joinGroup(eve.context, joining)).rejects.toThrow("no room");
    await checkEve();
    const lifetime = LIFETIME;
    // Dave is not in the group that this claims to continue.
    const keyPackages = [await keyPackageOf(await person("dave"))];
    const linked = { ...who, from: alice, groupId: utf8("aside"), keyPackages, lifetime };
    const authentication = { ...who.context.authentication, clientOf: clientByIdentity };
    const branching = branchGroup({ ...who.context, authentication }, linked);
    await expect(branching).rejects.toMatchObject({ code: "branch" });
    await check();
    const alone = branchGroup(who.context, { ...linked, keyPackages: [], and });
    await expect(alone).rejects.toThrow("no room");
    await check();
    const founding = createGroup(who.context, { ...who, groupId: utf8("new"), lifetime, and });
    await expect(founding).rejects.toThrow("no room");
    await check();
    // What the group lives on is still there.
    await alice.receive(commit);
    expect(alice.epoch).toBe(2n);
  });
});

describe("of the records that a storage gave", () => {
  /** A storage, and which secret records that it gave still hold something. Those of secret trees are the trees' own. */
  function watchedStorage() {
    const inner = memoryStorage();
    const given: (readonly [key: string, record: Bytes])[] = [];
    const isSecret = (key: string) =>
      /\/(?:secrets|pending)$|\/(?:key|update|resumption|past)\/|^key-package\//.test(key);
    const storage: Storage = {
      ...inner,
      get: async (key) => {
        const record = await inner.get(key);
        if (record) given.push([key, record]);
        return record;
      },
      list: async (prefix) => {
        const records = await inner.list(prefix);
        given.push(...records);
        return records;
      },
      apply: async (batch) => {
        await inner.apply(batch);
        // Of an epoch that is over: nobody has a use for it but the storage.
        for (const record of batch.put ?? []) {
          if (record[0].includes("/resumption/")) given.push(record);
        }
      },
    };
    const left = () =>
      given.flatMap(([key, record]) => (isSecret(key) && record.some((byte) => byte) ? [key] : []));
    return { storage, left, looked: () => given.splice(0).filter(([key]) => isSecret(key)).length };
  }

  it("those that were secret are overwritten when a group is loaded, joined, or left", async () => {
    const { storage, left, looked } = watchedStorage();
    const { where } = await three({ pastEpochs: { epochs: 1, seconds: 3600 } });
    const [bob, carol] = [where.at(1).group, where.at(2).group];
    const dave = await person("dave", { storage });
    const joined = await bob.commit({ proposals: [await addProposal(dave)], forcePath: true });
    for (const { group } of [0, 1, 2].map(where.at)) await group.receive(joined.commit);
    const { welcome, commit: _ } = joined;
    if (!welcome) throw new Error("no welcome");
    const { context, signer } = dave;
    let group = await joinGroup(context, { welcome, ratchetTree: bob.ratchetTree(), signer });
    expect(left()).toEqual([]);
    expect(looked()).toBeGreaterThan(0);
    await bob.receive(await group.proposeUpdate());
    await commits(bob, [group]);
    await group.proposeUpdate();
    await group.commit({ forcePath: true });
    group = await reload(dave, group);
    expect(left()).toEqual([]);
    expect(looked()).toBeGreaterThan(5);
    await group.discardPendingCommit();
    const source = { pskType: "resumption", pskGroupId: group.groupId } as const;
    const proposals = [2n, 3n].map((pskEpoch) =>
      preSharedKey(context, group, { ...source, pskEpoch }),
    );
    expect(await group.inspectProposals(proposals)).toEqual([]);
    expect(left()).toEqual([]);
    expect(looked()).toBe(2);
    await group.commit({ proposals });
    expect(left()).toEqual([]);
    expect(looked()).toBe(2);
    const branch = { ...dave, from: group, groupId: utf8("aside"), keyPackages: [] };
    await branchGroup(context, { ...branch, lifetime: LIFETIME });
    expect(left()).toEqual([]);
    expect(looked()).toBeGreaterThan(5);
    const { group: again } = await joinExternally(context, {
      ...dave,
      groupInfo: await carol.groupInfo({ externalPub: true, ratchetTree: "inside" }),
      resync: group.ownLeafIndex,
    });
    expect(left()).toEqual([]);
    expect(looked()).toBeGreaterThan(0);
    await again.remove();
    expect(left()).toEqual([]);
    expect(looked()).toBeGreaterThan(0);
    await keyPackageOf(dave);
    expect(await deleteKeyPackages(dave.context, 0n)).toBe(0);
    expect(left()).toEqual([]);
    expect(looked()).toBeGreaterThan(0);
  });
});
