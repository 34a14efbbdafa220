import { localDoorbell, openSqliteStore, type Store } from "@conclave/delivery";
import { bytesToText, LINKS_EXTENSION, sha256 } from "@conclave/delivery/protocol";
import { applicationId, EXTENSION, RequiredCapabilities } from "@conclave/mls";
import { decode, encode, opaque, struct, uint16 } from "@conclave/mls/codec";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  addAll,
  addOf,
  aGroup,
  aKeyPackage,
  bundleBody,
  CUSTOM_PROPOSAL,
  commit,
  commitLinks,
  composeJoin,
  joinByLink,
  joinByWelcome,
  type Member,
  memberOf,
  newLink,
  newMember,
  pathOf,
  postCommit,
  postGroup,
  postMessage,
  readInbox,
  readLink,
  readLog,
  readTree,
  send,
  startGroup,
} from "./member.ts";
import {
  call,
  eventually,
  newKey,
  newPerson,
  proveSignIn,
  random,
  signList,
  signNextList,
  startWorld,
  type World,
} from "./world.ts";

type Ring = Parameters<ReturnType<typeof localDoorbell>["ring"]>[0];

/** An MLSMessage with a Welcome (RFC 9420 §6, §12.4.3.1), as far as it is of interest here. */
const WelcomeMessage = struct({
  version: uint16,
  wireFormat: uint16,
  cipherSuite: uint16,
  secrets: opaque,
  encryptedGroupInfo: opaque,
});

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

let count = 0;
const aMember = (): Promise<Member> => newMember(world, `Member ${++count}`);
const text = (data: Uint8Array): string => Buffer.from(data).toString();

describe("a new group", () => {
  it("is in epoch 0 with its maker alone, and is made once", async () => {
    const ada = await aMember();
    const group = await aGroup(ada);
    expect((await postGroup(world, ada, group)).status).toBe(201);
    const list = await call(world, "GET", "/v1/groups", { token: ada.token });
    expect(list.body).toEqual({
      groups: [{ groupId: bytesToText(group.groupId), head: 0, epoch: "0", member: true }],
    });
    const other = await aMember();
    const same = await aGroup(other, group.groupId);
    expect((await postGroup(world, other, same)).problem.code).toBe("group-exists");
  });

  it("is one of few that a device makes", async () => {
    const limited = await startWorld({ limits: { group: { burst: 1, perSecond: 0.01 } } });
    const ada = await newMember(limited, "Ada");
    expect((await postGroup(limited, ada, await aGroup(ada))).status).toBe(201);
    expect((await postGroup(limited, ada, await aGroup(ada))).status).toBe(429);
    await limited.close();
  });

  it("has no links yet", async () => {
    const ada = await aMember();
    const { link } = await newLink();
    const group = await aGroup(ada, random(16), [link]);
    expect((await postGroup(world, ada, group)).problem.code).toBe("not-allowed");
  });

  it("is refused to another device than its member's", async () => {
    const [ada, eve] = [await aMember(), await aMember()];
    const answer = await postGroup(world, eve, await aGroup(ada));
    expect(answer.problem.code).toBe("not-allowed");
  });

  it("is refused with a leaf of no registered device", async () => {
    const ada = await aMember();
    const stranger = { ...ada, person: await newPerson("Nobody registered") };
    const answer = await postGroup(world, ada, await aGroup(stranger));
    expect(answer.problem.code).toBe("not-allowed");
  });

  it("is refused when it has external_pub, a later epoch, or an id that is too short or too long", async () => {
    const ada = await aMember();
    const group = await aGroup(ada);
    const post = async (groupInfo: Uint8Array): Promise<string> =>
      (
        await call(world, "POST", "/v1/groups", {
          token: ada.token,
          body: { groupInfo, ratchetTree: group.ratchetTree() },
        })
      ).problem.code;
    expect(await post(await group.groupInfo({ externalPub: true }))).toBe("not-allowed");
    const bundle = await group.commit();
    await group.receive(bundle.commit);
    expect(await post(bundle.groupInfo)).toBe("not-allowed");
    for (const length of [8, 15, 65]) {
      const wrong = await aGroup(ada, random(length));
      expect((await postGroup(world, ada, wrong)).problem.code).toBe("not-allowed");
    }
    expect((await postGroup(world, ada, await aGroup(ada, random(64)))).status).toBe(201);
  });

  it("is refused when its GroupInfo or tree does not hold", async () => {
    const ada = await aMember();
    const [group, other] = [await aGroup(ada), await aGroup(ada)];
    const groupInfo = await group.groupInfo({ externalPub: false });
    const answer = await call(world, "POST", "/v1/groups", {
      token: ada.token,
      body: { groupInfo, ratchetTree: other.ratchetTree() },
    });
    expect(answer.status).toBe(422);
    expect(answer.problem.code).toBe("invalid-message");
    expect(answer.problem["rule"]).toBeTypeOf("string");
  });
});

describe("joining by a Welcome", () => {
  it("leads from claimed key package to conversation", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const keyPackages = [await aKeyPackage(ben)];
    await call(world, "POST", "/v1/key-packages", { token: ben.token, body: { keyPackages } });
    const claim = await call(world, "POST", "/v1/key-packages/claim", {
      token: ada.token,
      body: { accountId: ben.person.accountId, suites: [1] },
    });
    const claimed = new Uint8Array(Buffer.from(claim.body.keyPackages[0].keyPackage, "base64url"));
    const group = await startGroup(world, ada);
    const answer = await commit(world, ada, group, { proposals: [addOf(claimed)] });
    expect(answer.status).toBe(201);
    expect(answer.body.seq).toBe(1);
    const [entry] = await readInbox(world, ben);
    expect(entry).toMatchObject({ seq: 1, epoch: 1n, commitSeq: 1, groupId: group.groupId });
    const bens = await joinByWelcome(world, ben);
    expect(bens.epochAuthenticator).toEqual(group.epochAuthenticator);
    expect(await readInbox(world, ben)).toEqual([]);

    const { answer: sent } = await send(world, ada, group, "hello");
    expect(sent.body.seq).toBe(2);
    const page = await readLog(world, ben, group.groupId, 1);
    const received = await bens.receive(page.entries[0]?.message ?? random(0));
    expect(received.type === "application" && text(received.data)).toBe("hello");
  });

  it("works with the tree of the Welcome's epoch when the group has moved on", async () => {
    const [ada, ben, eve] = [await aMember(), await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    await commit(world, ada, group, { proposals: [addOf(await aKeyPackage(ben))] });
    for (let i = 0; i < 3; i++) await commit(world, ada, group);
    const tree = (member: Member, epoch: number): Promise<number> =>
      call(world, "GET", pathOf(group.groupId, `tree?epoch=${epoch}`), {
        token: member.token,
      }).then(({ status }) => status);
    expect(await tree(ada, 1)).toBe(410);
    expect(await tree(eve, 1)).toBe(404);
    const bens = await joinByWelcome(world, ben);
    expect(bens.epoch).toBe(1n);
    expect(await tree(ben, 1)).toBe(410);
    expect(await tree(ben, 4)).toBe(200);
    const { entries } = await readLog(world, ben, group.groupId, 1);
    for (const { message } of entries) await bens.receive(message);
    expect(bens.epochAuthenticator).toEqual(group.epochAuthenticator);
    const current = await readTree(world, ben, pathOf(group.groupId, "tree?epoch=4"));
    expect(current).toEqual(group.ratchetTree());
  });

  it("needs a Welcome for just those who are added", async () => {
    const [ada, ben, eve] = [await aMember(), await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const bundle = await group.commit({ proposals: [addOf(await aKeyPackage(ben))] });
    const body = await bundleBody(group, bundle);
    const { welcome, ...without } = body;
    const other = await startGroup(world, eve);
    const stray = await other.commit({ proposals: [addOf(await aKeyPackage(ben))] });
    for (const wrong of [without, { ...body, welcome: stray.welcome }]) {
      const answer = await postCommit(world, ada, group.groupId, wrong);
      expect(answer.problem.code).toBe("bad-request");
    }
    expect(await readInbox(world, ben)).toEqual([]);
    expect((await postCommit(world, ada, group.groupId, { ...without, welcome })).status).toBe(201);
    await group.receive(bundle.commit);
    const empty = await group.commit();
    const superfluous = { ...(await bundleBody(group, empty)), welcome };
    const answer = await postCommit(world, ada, group.groupId, superfluous);
    expect(answer.problem.code).toBe("bad-request");
  });

  it("is for registered devices", async () => {
    const ada = await aMember();
    const stranger = { ...ada, person: await newPerson("Not registered") };
    const group = await startGroup(world, ada);
    const add = addOf(await aKeyPackage(stranger));
    const answer = await commit(world, ada, group, { proposals: [add] });
    expect(answer.problem.code).toBe("not-allowed");
    expect((await commit(world, ada, group)).status).toBe(201);
  });

  it("is for devices that are not in", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const [bens] = await addAll(world, { member: ada, group }, [ben]);
    const add = addOf(await aKeyPackage(ben));
    const beside = commit(world, ada, group, { proposals: [add] });
    await expect(beside).rejects.toMatchObject({ code: "leaf-key-reused" });
    const remove = { proposalType: "remove", removed: bens?.ownLeafIndex ?? 0 } as const;
    const replaced = await commit(world, ada, group, { proposals: [remove, add] });
    expect(replaced.status).toBe(201);
  });

  it("is for devices that are not revoked, and whose list has not expired, when it is accepted", async () => {
    const [ada, ben] = [await aMember(), await newPerson("Listed for an hour")];
    const seconds = BigInt(Math.floor(world.clock.now / 1000));
    const expiresAt = seconds + 1200n;
    const deviceList = await signList(ben, { expiresAt });
    const body = { deviceList, signIn: await proveSignIn(ben) };
    const { token } = (await call(world, "POST", "/v1/accounts", { body })).body;
    const group = await startGroup(world, ada);
    const add = addOf(await aKeyPackage(memberOf(ben, token)));
    const adding = await bundleBody(group, await group.commit({ proposals: [add] }));
    const { store } = world;
    const later = await startWorld({ store: { ...store, close: async () => undefined } });
    later.clock.now = Number(expiresAt) * 1000;
    const signIn = await proveSignIn(ada.person, { issuedAt: expiresAt });
    const signedIn = await call(later, "POST", "/v1/sessions", { body: { signIn } });
    const laterAda = { ...ada, token: signedIn.body.token };
    const expired = await postCommit(later, laterAda, group.groupId, adding);
    expect(expired.problem.code).toBe("not-allowed");
    const issuedAt = { issuedAt: expiresAt };
    const own = { signIn: await proveSignIn(ben, issuedAt) };
    const bens = await call(later, "POST", "/v1/sessions", { body: own });
    const laterBen = memberOf(ben, bens.body.token);
    const made = await postGroup(later, laterBen, await aGroup(laterBen));
    expect(made.problem.code).toBe("not-allowed");
    await later.close();

    const devices = [{ ...ben.device, revokedAt: seconds }];
    const revoking = await signNextList(ben, deviceList, { devices, expiresAt });
    await call(world, "PUT", `/v1/accounts/${bytesToText(ben.accountId)}/device-list`, {
      token,
      body: { deviceList: revoking },
    });
    const revoked = await postCommit(world, ada, group.groupId, adding);
    expect(revoked.problem.code).toBe("not-allowed");
    await group.discardPendingCommit();
    expect((await addAll(world, { member: ada, group }, [await aMember()])).length).toBe(1);
  });

  it("is for devices as they are registered: their credential names account, device and key", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const rootKey = await newKey();
    const posing = { ...ben, person: { ...ben.person, rootKey } };
    const group = await startGroup(world, ada);
    const answer = await commit(world, ada, group, {
      proposals: [addOf(await aKeyPackage(posing))],
    });
    expect(answer.problem.code).toBe("not-allowed");
  });
});

describe("commits", () => {
  it("win an epoch one at a time, of eight that come at once", async () => {
    const ada = await aMember();
    const others = await Promise.all(Array.from({ length: 7 }, aMember));
    const group = await startGroup(world, ada);
    const joined = await addAll(world, { member: ada, group }, others);
    const everybody = [ada, ...others].map((member, i) => ({
      member,
      group: [group, ...joined][i] ?? group,
    }));
    for (let round = 0; round < 3; round++) {
      const attempts = await Promise.all(
        everybody.map(async ({ member, group: own }) => {
          const bundle = await own.commit();
          const body = await bundleBody(own, bundle);
          return { body, answer: await postCommit(world, member, own.groupId, body) };
        }),
      );
      const won = attempts.filter(({ answer }) => answer.status === 201);
      expect(won).toHaveLength(1);
      const winner = won[0];
      if (winner === undefined) throw new Error("nobody won");
      const epoch = 1 + round;
      for (const { answer } of attempts.filter((attempt) => attempt !== winner)) {
        expect(answer.problem).toMatchObject({
          code: "wrong-epoch",
          currentEpoch: String(epoch + 1),
          winner: {
            seq: winner.answer.body.seq,
            hash: bytesToText(await sha256(winner.body.commit)),
          },
        });
      }
      for (const { group: own } of everybody) await own.receive(winner.body.commit);
    }
    const authenticators = everybody.map(({ group: own }) => bytesToText(own.epochAuthenticator));
    expect(new Set(authenticators).size).toBe(1);
    const { entries, head } = await readLog(world, ada, group.groupId);
    expect(entries.map(({ seq, epoch }) => [seq, epoch])).toEqual([
      [1, 0n],
      [2, 1n],
      [3, 2n],
      [4, 3n],
    ]);
    expect(head).toBe(4);
  });

  it("are answered alike when they come again, also many epochs later and at once", async () => {
    const ada = await aMember();
    const group = await startGroup(world, ada);
    const bundle = await group.commit();
    const body = await bundleBody(group, bundle);
    const both = await Promise.all([1, 2].map(() => postCommit(world, ada, group.groupId, body)));
    await group.receive(bundle.commit);
    for (let i = 0; i < 2; i++) await commit(world, ada, group);
    const late = await postCommit(world, ada, group.groupId, body);
    for (const answer of [...both, late]) {
      expect(answer.status).toBe(201);
      expect(answer.body).toEqual(both[0]?.body);
    }
    expect((await readLog(world, ada, group.groupId)).head).toBe(3);
  });

  it("that come again ring for those who came with them", async () => {
    const inner = localDoorbell();
    const rings: Ring[] = [];
    inner.listen((ring) => void rings.push(ring));
    const ringing = await startWorld({ doorbell: inner });
    const [ada, ben] = [await newMember(ringing, "Ada"), await newMember(ringing, "Ben")];
    const group = await startGroup(ringing, ada);
    await commit(ringing, ada, group);
    const bundle = await group.commit({ proposals: [addOf(await aKeyPackage(ben))] });
    const body = await bundleBody(group, bundle);
    const seen: Ring[][] = [];
    for (let i = 0; i < 2; i++) {
      rings.length = 0;
      expect((await postCommit(ringing, ada, group.groupId, body)).status).toBe(201);
      seen.push(rings.filter(({ type }) => type === "group" || type === "inbox"));
    }
    expect(seen[0]).toMatchObject([{ type: "group", head: 2 }, { type: "inbox" }]);
    // Who is in or out by it may have changed since: so it is not told as something new.
    const [told] = seen[0]?.map((ring) => ({ ...ring, entry: undefined })) ?? [];
    expect(seen[1]).toEqual([told, seen[0]?.[1]]);
    // Nobody makes others look again and again by it.
    rings.length = 0;
    for (let i = 0; i < 20; i++) {
      expect((await postCommit(ringing, ada, group.groupId, body)).status).toBe(201);
    }
    expect(rings.filter(({ type }) => type === "inbox")).toHaveLength(3);
    // Nor does anybody use up what another has for that.
    const bens = await joinByWelcome(ringing, ben);
    const theirs = await bundleBody(bens, await bens.commit());
    for (let i = 0; i < 2; i++) {
      rings.length = 0;
      expect((await postCommit(ringing, ben, group.groupId, theirs)).status).toBe(201);
      expect(rings).toMatchObject([{ type: "group", head: 3 }]);
    }
    await ringing.close();
  });

  it("cost no epoch where they are invalid", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    await addAll(world, { member: ada, group }, [ben]);
    const bundle = await group.commit({ groupInfoForJoiners: true });
    const body = await bundleBody(group, bundle);
    const forged = bundle.commit.slice();
    forged[forged.length - 40] = (forged.at(-40) ?? 0) ^ 1;
    const post = (change: object): ReturnType<typeof postCommit> =>
      postCommit(world, ada, group.groupId, { ...body, ...change });
    expect((await post({ commit: forged })).problem.code).toBe("invalid-message");
    expect((await post({ commit: random(100) })).problem.code).toBe("invalid-message");
    expect((await post({ groupInfo: random(100) })).problem.code).toBe("invalid-message");
    const old = await group.groupInfo({ externalPub: false });
    expect((await post({ groupInfo: old })).problem["rule"]).toBe("group-info-signature");
    const open = bundle.groupInfoForJoiners;
    expect((await post({ groupInfo: open })).problem.code).toBe("not-allowed");
    const stray = [{ linkId: random(16), sealedGroupInfo: random(9) }];
    expect((await post({ links: stray })).problem.code).toBe("bad-request");
    expect((await post({})).body.seq).toBe(2);
  });

  it("are refused from those who did not make them, and from those who are not in", async () => {
    const [ada, ben, eve] = [await aMember(), await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    await addAll(world, { member: ada, group }, [ben]);
    const body = await bundleBody(group, await group.commit());
    const stolen = await postCommit(world, ben, group.groupId, body);
    expect(stolen.problem.code).toBe("not-allowed");
    const outside = await postCommit(world, eve, group.groupId, body);
    expect(outside.problem.code).toBe("not-found");
    const nowhere = await postCommit(world, ada, random(16), body);
    expect(nowhere.problem).toEqual(outside.problem);
    const elsewhere = await startGroup(world, ada);
    const misplaced = await postCommit(world, ada, elsewhere.groupId, body);
    expect(misplaced.problem.code).toBe("bad-request");
  });

  it("go on after a restart, by what is stored alone", async () => {
    const first = await startWorld();
    const [ada, ben] = [await newMember(first, "Ada"), await newMember(first, "Ben")];
    const group = await startGroup(first, ada);
    const [bens] = await addAll(first, { member: ada, group }, [ben]);
    if (bens === undefined) throw new Error("Ben is in");
    const leave = await bens.propose({ proposalType: "remove", removed: bens.ownLeafIndex });
    await postMessage(first, ben, group.groupId, leave);
    await group.receive(leave);
    const second = await startWorld({ store: first.store });
    await first.server.close();
    // The proposal is committed by reference: the service knows it from its store.
    expect((await commit(second, ada, group)).status).toBe(201);
    const list = await call(second, "GET", "/v1/groups", { token: ben.token });
    expect(list.body.groups[0].member).toBe(false);
    await second.close();
  });

  it("that leave out who asked to leave are refused, with the references of what is missing", async () => {
    const [ada, ben, cem] = [await aMember(), await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const [bens, cems] = await addAll(world, { member: ada, group }, [ben, cem]);
    if (bens === undefined || cems === undefined) throw new Error("both are in");
    const bundle = await bundleBody(group, await group.commit());
    const leave = await bens.propose({ proposalType: "remove", removed: bens.ownLeafIndex });
    expect((await postMessage(world, ben, group.groupId, leave)).status).toBe(201);
    const refused = await postCommit(world, ada, group.groupId, bundle);
    await cems.receive(leave);
    const [pending] = cems.pendingProposals;
    const refs = [bytesToText(pending?.ref ?? random(0))];
    expect(refused.status).toBe(409);
    expect(refused.problem).toMatchObject({ code: "pending-proposals", refs });
    // It costs no epoch: one that has it is taken, with the removal by value too.
    await group.discardPendingCommit();
    const remove = { proposalType: "remove", removed: bens.ownLeafIndex } as const;
    expect((await commit(world, ada, group, { proposals: [remove] })).status).toBe(201);
    await expect(readLog(world, cem, group.groupId)).resolves.toMatchObject({ head: 3 });
  });

  it("of an epoch that nobody can count to are as of any epoch that is not there", async () => {
    const [ada, eve] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const message = await group.send(random(8));
    // Behind the version, the wire format and an id of 16 bytes with its length.
    message.fill(0xff, 21, 29);
    const refused = await postMessage(world, ada, group.groupId, message);
    expect(refused.problem).toMatchObject({ code: "future-epoch", currentEpoch: "0" });
    expect((await postMessage(world, eve, group.groupId, message)).status).toBe(404);
    for (const epoch of ["9".repeat(20), String(2n ** 63n)]) {
      const path = pathOf(group.groupId, `tree?epoch=${epoch}`);
      expect((await call(world, "GET", path, { token: ada.token })).status).toBe(410);
      expect((await call(world, "GET", path, { token: eve.token })).status).toBe(404);
    }
  });

  it("are followed when more groups are in use than memory keeps", async () => {
    const small = await startWorld({ limits: { groupBytesInMemory: 1 } });
    const ada = await newMember(small, "Ada");
    const groups = [await startGroup(small, ada), await startGroup(small, ada)];
    for (let i = 0; i < 3; i++) {
      for (const group of groups) expect((await commit(small, ada, group)).status).toBe(201);
    }
    await small.close();
  });
});

describe("what members would refuse is refused", () => {
  const psk = { pskType: "external", pskId: random(8), pskNonce: random(32) } as const;
  const forbidden = [
    ["a PSK", { proposalType: "psk", psk }],
    [
      "a ReInit",
      { proposalType: "reinit", groupId: random(16), version: 1, cipherSuite: 1, extensions: [] },
    ],
    ["a custom proposal", { proposalType: "other", number: CUSTOM_PROPOSAL, data: random(3) }],
  ] as const;

  it.each(forbidden)("in a commit: %s", async (_, proposal) => {
    const ada = await aMember();
    const group = await startGroup(world, ada);
    const answer = await commit(world, ada, group, { proposals: [proposal] });
    expect(answer.status).toBe(403);
    expect(answer.problem.code).toBe("not-allowed");
    expect((await commit(world, ada, group)).body.seq).toBe(1);
  });

  it.each(forbidden)("by itself: %s", async (_, proposal) => {
    const ada = await aMember();
    const group = await startGroup(world, ada);
    const answer = await postMessage(world, ada, group.groupId, await group.propose(proposal));
    expect(answer.problem.code).toBe("not-allowed");
  });

  it("by itself: anything but to leave", async () => {
    const [ada, ben, eve] = [await aMember(), await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const [bens] = await addAll(world, { member: ada, group }, [ben]);
    if (bens === undefined) throw new Error("Ben is in");
    for (const proposal of [
      await bens.proposeUpdate(),
      await bens.propose(addOf(await aKeyPackage(eve))),
      await bens.propose({ proposalType: "remove", removed: group.ownLeafIndex }),
      await bens.propose({ proposalType: "group_context_extensions", extensions: [] }),
    ]) {
      const answer = await postMessage(world, ben, group.groupId, proposal);
      expect(answer.status).toBe(403);
      expect(answer.problem.code).toBe("not-allowed");
    }
    const leave = await bens.propose({ proposalType: "remove", removed: bens.ownLeafIndex });
    expect((await postMessage(world, ben, group.groupId, leave)).status).toBe(201);
  });

  it("in a commit: a removal that leaves a link open", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const [bens] = await addAll(world, { member: ada, group }, [ben]);
    const own = await newLink();
    await commitLinks(world, ada, group, [own]);
    const remove = { proposalType: "remove", removed: bens?.ownLeafIndex ?? 0 } as const;
    const answer = await commit(world, ada, group, { proposals: [remove] });
    expect(answer.problem.code).toBe("not-allowed");
    const replaced = await commitLinks(world, ada, group, [await newLink()], [remove]);
    expect(replaced.problem.code).toBe("not-allowed");
    expect((await commitLinks(world, ada, group, [], [remove])).status).toBe(201);
  });

  it("in a commit: a context without the capabilities that it required", async () => {
    const ada = await aMember();
    const required = {
      extensionType: EXTENSION.requiredCapabilities,
      extensionData: encode(RequiredCapabilities, {
        extensionTypes: [LINKS_EXTENSION],
        proposalTypes: [],
        credentialTypes: [],
      }),
    };
    const group = await aGroup(ada, random(16), undefined, [required]);
    expect((await postGroup(world, ada, group)).status).toBe(201);
    const dropping = { proposalType: "group_context_extensions", extensions: [] } as const;
    const answer = await commit(world, ada, group, { proposals: [dropping] });
    expect(answer.problem.code).toBe("not-allowed");
    expect((await commitLinks(world, ada, group, [await newLink()])).status).toBe(201);
  });
});

describe("the time in a log", () => {
  it("never goes back, and commits and links are judged by it", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const expiresAt = BigInt(Math.floor(world.clock.now / 1000)) + 60n;
    const own = await newLink({ expiresAt });
    await commitLinks(world, ada, group, [own]);
    const { body } = await composeJoin(world, ben, own);
    world.clock.now += 61_000;
    const { answer: sent } = await send(world, ada, group, "later");
    world.clock.now -= 61_000;
    expect((await readLink(world, ben, own)).problem.code).toBe("link-closed");
    expect((await postCommit(world, ben, group.groupId, body)).problem.code).toBe("link-closed");
    const next = await commit(world, ada, group);
    expect(next.body.acceptedAt).toBe(sent.body.acceptedAt);
    const { entries } = await readLog(world, ada, group.groupId);
    const times = entries.map(({ acceptedAt }) => acceptedAt);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times.at(-1)).toBe(next.body.acceptedAt);
  });
});

describe("what is held in memory", () => {
  it("is bounded: a leaf and a GroupInfo that a commit brings", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const large = { leafExtensions: [applicationId(random(16 * 1024))] };
    const withLarge = addOf(await aKeyPackage(ben, undefined, large));
    const body = await bundleBody(group, await group.commit({ proposals: [withLarge] }));
    const post = async (wrong: unknown): Promise<unknown> =>
      (await postCommit(world, ada, group.groupId, wrong)).problem;
    expect(await post(body)).toMatchObject({ code: "too-large", limit: 16 * 1024 });
    const groupInfo = random(128 * 1024 + 1);
    expect(await post({ ...body, groupInfo })).toMatchObject({ limit: 128 * 1024 });
    await group.discardPendingCommit();
    // A Welcome waits for everybody whom it welcomes, and has no more than they need.
    const add = addOf(await aKeyPackage(ben));
    const welcoming = await bundleBody(group, await group.commit({ proposals: [add] }));
    const parts = decode(WelcomeMessage, welcoming.welcome ?? random(0));
    const encryptedGroupInfo = random(200 * 1024);
    const welcome = encode(WelcomeMessage, { ...parts, encryptedGroupInfo });
    expect(await post({ ...welcoming, welcome })).toMatchObject({ code: "too-large" });
    await group.discardPendingCommit();
    expect((await commit(world, ada, group)).status).toBe(201);
  });

  it("is not read for who has no part in it", async () => {
    const read: unknown[] = [];
    const store = new Proxy(openSqliteStore(":memory:"), {
      get(target, name: keyof Store) {
        if (name === "group") read.push(name);
        return target[name];
      },
    });
    const own = await startWorld({ store });
    const [ada, eve] = [await newMember(own, "Ada"), await newMember(own, "Eve")];
    const group = await startGroup(own, ada);
    const body = await bundleBody(group, await group.commit());
    const proposal = await group.propose({ proposalType: "remove", removed: 0 });
    expect((await postCommit(own, eve, group.groupId, body)).status).toBe(404);
    expect((await postMessage(own, eve, group.groupId, proposal)).status).toBe(404);
    expect(read).toEqual([]);
    expect((await postCommit(own, ada, group.groupId, body)).status).toBe(201);
    expect(read).toEqual(["group"]);
    await own.close();
  });
});

describe("a group's turns", () => {
  it("are its members': who has no part in it takes none by a proposal", async () => {
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    let strangers = false;
    const store = new Proxy(openSqliteStore(":memory:"), {
      get(target, name: keyof Store) {
        if (name !== "findEntry" || !strangers) return target[name];
        return async (...given: Parameters<Store["findEntry"]>) => {
          asked.resolve();
          await answered.promise;
          return target.findEntry(...given);
        };
      },
    });
    const own = await startWorld({ store, limits: { waiting: 1 } });
    const [ada, eve] = [await newMember(own, "Ada"), await newMember(own, "Eve")];
    const group = await startGroup(own, ada);
    const text = await group.send(random(9));
    const proposal = await group.propose({ proposalType: "remove", removed: 0 });
    strangers = true;
    const refused = postMessage(own, eve, group.groupId, proposal);
    await asked.promise;
    const sent = await postMessage(own, ada, group.groupId, text);
    answered.resolve();
    expect(sent.status).toBe(201);
    expect((await refused).status).toBe(404);
    await own.close();
  });
});

describe("large trees", () => {
  const blank = encode(opaque, new Uint8Array(2 ** 20));

  it("are none of a new group's: they are not even read", async () => {
    const ada = await aMember();
    const group = await aGroup(ada);
    const groupInfo = await group.groupInfo({ externalPub: false });
    const post = (body: unknown) => call(world, "POST", "/v1/groups", { token: ada.token, body });
    const tree = blank.subarray(0, 16 * 1024 + 1);
    const answer = await post({ groupInfo, ratchetTree: tree });
    expect(answer.status).toBe(413);
    expect(answer.problem).toMatchObject({ code: "too-large", limit: 16 * 1024 });
    const whole = await post({ groupInfo, ratchetTree: blank });
    expect(whole.problem).toMatchObject({ code: "too-large", limit: 64 * 1024 });
    const large = await post({ groupInfo: random(32 * 1024 + 1), ratchetTree: random(9) });
    expect(large.problem).toMatchObject({ code: "too-large", limit: 32 * 1024 });
    expect((await postGroup(world, ada, group)).status).toBe(201);
  });

  it("are refused in the GroupInfo of a commit", async () => {
    const ada = await aMember();
    const group = await startGroup(world, ada);
    const tree = {
      extensionType: EXTENSION.ratchetTree,
      extensionData: encode(opaque, new Uint8Array(64)),
    };
    const bundle = await group.commit({ joinerExtensions: [tree], groupInfoForJoiners: true });
    const body = await bundleBody(group, bundle);
    const large = { ...body, groupInfo: bundle.groupInfoForJoiners };
    const answer = await postCommit(world, ada, group.groupId, large);
    expect(answer.problem.code).toBe("not-allowed");
    expect((await postCommit(world, ada, group.groupId, body)).status).toBe(201);
  });
});

describe("removal", () => {
  it("ends what a device may read, write and join with the commit that removes it", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    await commit(world, ada, group);
    const [bens] = await addAll(world, { member: ada, group }, [ben]);
    if (bens === undefined) throw new Error("Ben is in");
    await send(world, ada, group, "before");
    const remove = { proposalType: "remove", removed: bens.ownLeafIndex } as const;
    await commit(world, ada, group, { proposals: [remove] });
    await send(world, ada, group, "after");
    await commit(world, ada, group);

    const page = await readLog(world, ben, group.groupId);
    expect(page.entries.map(({ seq }) => seq)).toEqual([2, 3, 4]);
    expect(page.head).toBe(4);
    const { message } = await send(world, ben, bens, "still here?");
    expect((await postMessage(world, ben, group.groupId, message)).problem.code).toBe("not-found");
    const outside = await postCommit(
      world,
      ben,
      group.groupId,
      await bundleBody(bens, await bens.commit()),
    );
    expect(outside.problem.code).toBe("not-found");
    const tree = await call(world, "GET", pathOf(group.groupId, "tree?epoch=3"), {
      token: ben.token,
    });
    expect(tree.problem.code).toBe("not-found");
    const list = await call(world, "GET", "/v1/groups", { token: ben.token });
    expect(list.body.groups).toEqual([
      { groupId: bytesToText(group.groupId), head: 4, epoch: "2", member: false },
    ]);
  });

  it("can be asked for by the member itself, and committed by another", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const [bens] = await addAll(world, { member: ada, group }, [ben]);
    if (bens === undefined) throw new Error("Ben is in");
    const leave = await bens.propose({ proposalType: "remove", removed: bens.ownLeafIndex });
    const posted = await postMessage(world, ben, group.groupId, leave);
    expect(posted.status).toBe(201);
    expect((await postMessage(world, ben, group.groupId, leave)).body).toEqual(posted.body);
    await group.receive(leave);
    expect((await commit(world, ada, group)).status).toBe(201);
    const list = await call(world, "GET", "/v1/groups", { token: ben.token });
    expect(list.body.groups[0].member).toBe(false);
  });
});

describe("messages", () => {
  it("that were sent while a device was out are not sent again by it once it is back", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const [bens] = await addAll(world, { member: ada, group }, [ben]);
    const remove = { proposalType: "remove", removed: bens?.ownLeafIndex ?? 0 } as const;
    await commit(world, ada, group, { proposals: [remove] });
    const { message } = await send(world, ada, group, "meanwhile");
    await bens?.remove();
    await addAll(world, { member: ada, group }, [ben]);
    const answer = await postMessage(world, ben, group.groupId, message);
    expect(answer.problem.code).toBe("wrong-epoch");
  });

  it("are of the current epoch and by members; the same again is answered alike", async () => {
    const [ada, eve] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const { answer, message } = await send(world, ada, group, "one");
    expect(answer.status).toBe(201);
    expect((await postMessage(world, eve, group.groupId, message)).problem.code).toBe("not-found");
    const late = await group.send(new Uint8Array(Buffer.from("late")));
    const { body: won } = await commit(world, ada, group);
    expect((await postMessage(world, ada, group.groupId, message)).body).toEqual(answer.body);
    const refused = await postMessage(world, ada, group.groupId, late);
    expect(refused.status).toBe(409);
    expect(refused.problem).toMatchObject({
      code: "wrong-epoch",
      currentEpoch: "1",
      winner: { seq: won.seq },
    });
  });

  it("of an epoch that is over and of one that is still to come have codes of their own", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const [bens] = await addAll(world, { member: ada, group }, [ben]);
    if (bens === undefined) throw new Error("Ben is in");
    const epoch = group.epoch;
    // Ahead of the service, which lost what it had.
    const ahead = await group.commit();
    await group.receive(ahead.commit);
    const future = { code: "future-epoch", currentEpoch: String(epoch) };
    const { message, answer } = await send(world, ada, group, "too early");
    expect(answer.problem).toMatchObject(future);
    const later = await bundleBody(group, await group.commit());
    expect((await postCommit(world, ada, group.groupId, later)).problem).toMatchObject(future);
    // Others are told nothing of where the group is.
    const eve = await aMember();
    expect((await postMessage(world, eve, group.groupId, message)).problem.code).toBe("not-found");
    const stale = await bundleBody(bens, await bens.commit());
    await bens.discardPendingCommit();
    const body = await bundleBody(bens, await bens.commit());
    expect((await postCommit(world, ben, group.groupId, body)).status).toBe(201);
    expect((await postCommit(world, ben, group.groupId, body)).status).toBe(201);
    const problem = { code: "wrong-epoch", currentEpoch: String(epoch + 1n), winner: {} };
    expect((await postCommit(world, ben, group.groupId, stale)).problem).toMatchObject(problem);
  });

  it("are application data or proposals, and nothing else", async () => {
    const ada = await aMember();
    const group = await startGroup(world, ada);
    const bundle = await group.commit();
    for (const message of [bundle.commit, bundle.groupInfo, await aKeyPackage(ada)]) {
      const answer = await postMessage(world, ada, group.groupId, message);
      expect(answer.problem.code).toBe("bad-request");
    }
    const garbage = await postMessage(world, ada, group.groupId, random(50));
    expect(garbage.problem.code).toBe("invalid-message");
    const large = await postMessage(world, ada, group.groupId, random(256 * 1024 + 1));
    expect(large.problem.code).toBe("too-large");
  });

  it("that propose are members' own", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const [bens] = await addAll(world, { member: ada, group }, [ben]);
    if (bens === undefined) throw new Error("Ben is in");
    const proposal = await bens.propose({ proposalType: "remove", removed: bens.ownLeafIndex });
    // The sender stands behind version, wire format, group id and epoch; an outsider has no leaf, and no membership tag.
    const sender = 2 + 2 + 17 + 8;
    const outsider = new Uint8Array([
      ...proposal.subarray(0, sender),
      3,
      ...proposal.subarray(sender + 5, -33),
    ]);
    const answer = await postMessage(world, ben, group.groupId, outsider);
    expect(answer.problem.code).toBe("not-allowed");
    expect((await postMessage(world, ben, group.groupId, proposal)).status).toBe(201);
  });

  it("that propose are checked, and few in an epoch", async () => {
    const small = await startWorld({ limits: { proposals: 1 } });
    const [ada, ben, cy] = [
      await newMember(small, "Ada"),
      await newMember(small, "Ben"),
      await newMember(small, "Cy"),
    ];
    const group = await startGroup(small, ada);
    const [bens, cys] = await addAll(small, { member: ada, group }, [ben, cy]);
    if (bens === undefined || cys === undefined) throw new Error("Ben and Cy are in");
    const leaving = { proposalType: "remove", removed: bens.ownLeafIndex } as const;
    const first = await bens.propose(leaving);
    const forged = first.slice();
    forged[forged.length - 60] = (forged.at(-60) ?? 0) ^ 1;
    const refused = await postMessage(small, ben, group.groupId, forged);
    expect(refused.problem.code).toBe("invalid-message");
    expect((await postMessage(small, ben, group.groupId, first)).status).toBe(201);
    const other = await cys.propose({ proposalType: "remove", removed: cys.ownLeafIndex });
    const second = await postMessage(small, cy, group.groupId, other);
    expect(second.problem.code).toBe("too-many-requests");
    await small.close();
  });
});

describe("links", () => {
  it("let somebody in who proves to have one, and are counted", async () => {
    const [ada, ben, eve] = [await aMember(), await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const own = await newLink({ maxUses: 1 });
    expect((await commitLinks(world, ada, group, [own])).status).toBe(201);
    expect((await readLink(world, ben, own)).body.usesLeft).toBe(1);
    const late = await composeJoin(world, eve, own);
    const { group: bens, answer } = await joinByLink(world, ben, own);
    expect(answer.status).toBe(201);
    const { entries } = await readLog(world, ben, group.groupId);
    expect(entries.map(({ seq }) => seq)).toEqual([2]);
    await group.receive(entries[0]?.message ?? random(0));
    expect(bens.epochAuthenticator).toEqual(group.epochAuthenticator);
    expect((await send(world, ben, bens, "here I am")).answer.status).toBe(201);

    const refused = await postCommit(world, eve, group.groupId, late.body);
    expect(refused.problem.code).toBe("link-closed");
    expect(refused.problem["currentEpoch"]).toBeUndefined();
    expect((await readLink(world, eve, own)).problem.code).toBe("link-closed");
  });

  it("answer a joiner again whose answer was lost", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const own = await newLink();
    await commitLinks(world, ada, group, [own]);
    const { body } = await composeJoin(world, ben, own);
    const first = await postCommit(world, ben, group.groupId, body);
    const again = await postCommit(world, ben, group.groupId, body);
    expect(first.status).toBe(201);
    expect(again.body).toEqual(first.body);
    expect((await readLink(world, ada, own)).body.usesLeft).toBe(9);
  });

  it("are of no use without their key, or to another device", async () => {
    const [ada, ben, eve] = [await aMember(), await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const own = await newLink();
    await commitLinks(world, ada, group, [own]);
    const unproved = await composeJoin(world, ben, own, { key: await newKey() });
    expect((await postCommit(world, ben, group.groupId, unproved.body)).problem.code).toBe(
      "not-found",
    );
    await unproved.group.remove();
    const without = await composeJoin(world, ben, own, { proof: random(0) });
    expect((await postCommit(world, ben, group.groupId, without.body)).problem.code).toBe(
      "not-found",
    );
    await without.group.remove();
    const proved = await composeJoin(world, ben, own);
    expect((await postCommit(world, eve, group.groupId, proved.body)).problem.code).toBe(
      "not-allowed",
    );
    expect((await postCommit(world, ben, group.groupId, proved.body)).status).toBe(201);
  });

  it("come with what joiners need, all of them, with each commit", async () => {
    const ada = await aMember();
    const group = await startGroup(world, ada);
    await commitLinks(world, ada, group, [await newLink(), await newLink()]);
    const body = await bundleBody(group, await group.commit());
    for (const links of [[], body.links.slice(1), [...body.links, ...body.links]]) {
      const answer = await postCommit(world, ada, group.groupId, { ...body, links });
      expect(answer.problem.code).toBe("bad-request");
    }
    expect((await postCommit(world, ada, group.groupId, body)).status).toBe(201);
  });

  it("are what an outsider learns of a group by, and commits without one are few", async () => {
    const own = await startWorld({ limits: { join: { burst: 2, perSecond: 0.01 } } });
    const [ada, eve] = [await newMember(own, "Ada"), await newMember(own, "Eve")];
    const link = await newLink();
    const group = await startGroup(own, ada);
    await commitLinks(own, ada, group, [link]);
    const { body } = await composeJoin(own, eve, link, { key: await newKey() });
    await commit(own, ada, group);
    const there = await postCommit(own, eve, group.groupId, body);
    const nowhere = await postCommit(own, eve, random(16), body);
    expect(there.problem.code).toBe("not-found");
    expect(nowhere.problem).toEqual(there.problem);
    expect((await postCommit(own, eve, group.groupId, body)).status).toBe(429);
    await own.close();
  });

  it("close when they are revoked, and are unknown when they never were", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const own = await newLink();
    await commitLinks(world, ada, group, [own]);
    const { body } = await composeJoin(world, ben, own);
    await commitLinks(world, ada, group, []);
    expect((await readLink(world, ben, own)).problem.code).toBe("link-closed");
    expect((await postCommit(world, ben, group.groupId, body)).problem.code).toBe("link-closed");
    const unknown = await readLink(world, ben, await newLink());
    expect(unknown.problem.code).toBe("not-found");
  });

  it("that have expired let nobody in, though the group still lists them", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const expiresAt = BigInt(Math.floor(world.clock.now / 1000)) + 60n;
    const own = await newLink({ expiresAt });
    await commitLinks(world, ada, group, [own]);
    const { body } = await composeJoin(world, ben, own);
    world.clock.now += 61_000;
    try {
      expect((await readLink(world, ben, own)).problem.code).toBe("link-closed");
      expect((await postCommit(world, ben, group.groupId, body)).problem.code).toBe("link-closed");
    } finally {
      world.clock.now -= 61_000;
    }
    expect((await postCommit(world, ben, group.groupId, body)).status).toBe(201);
  });

  it("let a member replace its own leaf, and nobody else's", async () => {
    const [ada, ben, eve] = [await aMember(), await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const own = await newLink();
    await commitLinks(world, ada, group, [own]);
    const { group: bens } = await joinByLink(world, ben, own);
    const evicting = await composeJoin(world, eve, own, { resync: bens.ownLeafIndex });
    const refused = await postCommit(world, eve, group.groupId, evicting.body);
    expect(refused.status).toBe(422);
    await bens.remove();
    // While its leaf is there it can't come in beside it: who composes finds the rule that the service would.
    const beside = composeJoin(world, ben, own);
    await expect(beside).rejects.toMatchObject({ code: "leaf-key-reused" });
    const resync = await composeJoin(world, ben, own, { resync: bens.ownLeafIndex });
    expect((await postCommit(world, ben, group.groupId, resync.body)).status).toBe(201);
    const { entries } = await readLog(world, ben, group.groupId);
    expect(entries.map(({ seq }) => seq)).toEqual([2, 3]);
  });

  it("are exact when many come at once", async () => {
    const ada = await aMember();
    const guests = await Promise.all(Array.from({ length: 6 }, aMember));
    const group = await startGroup(world, ada);
    const own = await newLink({ maxUses: 3 });
    await commitLinks(world, ada, group, [own]);
    const results = await Promise.all(
      guests.map(async (guest) => {
        for (;;) {
          const held = await readLink(world, guest, own);
          if (held.status !== 200) return held.problem.code;
          const { answer } = await joinByLink(world, guest, own).catch(() => ({ answer: held }));
          if (answer.status === 201) return "in";
        }
      }),
    );
    expect(results.filter((result) => result === "in")).toHaveLength(3);
    expect(results.filter((result) => result === "link-closed")).toHaveLength(3);
    await expect(readLog(world, ada, group.groupId)).resolves.toMatchObject({ head: 4 });
  });
});

describe("what one may send", () => {
  it("is so much at once into one group: others have their turns meanwhile", async () => {
    const few = await startWorld({ limits: { waiting: 4, waitingPerDevice: 2 } });
    const [ada, eve] = [await newMember(few, "Ada"), await newMember(few, "Eve")];
    const group = await startGroup(few, ada);
    const gate = Promise.withResolvers<undefined>();
    const append = few.store.appendApplication.bind(few.store);
    let asked = 0;
    few.store.appendApplication = async (message) => {
      asked++;
      await gate.promise;
      return append(message);
    };
    // Somebody who is no member, and knows the group's id.
    const theirs = await Promise.all(
      Array.from({ length: 5 }, () => group.send(random(9))).map(async (message) => message),
    );
    const posted = theirs.map(async (message) => postMessage(few, eve, group.groupId, message));
    await eventually(() => asked === 2);
    const own = send(few, ada, group, "heard");
    await eventually(() => asked === 3);
    gate.resolve(undefined);
    expect((await own).answer.status).toBe(201);
    const statuses = (await Promise.all(posted)).map(({ status }) => status);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([404, 404, 429, 429, 429]);
    await few.close();
  });

  it("is so many bytes, whether messages or commits, with all devices of an account", async () => {
    const logBytes = { burst: 20_000, perSecond: 100 };
    const small = await startWorld({ limits: { logBytes } });
    const [ada, ben] = [await newMember(small, "Ada"), await newMember(small, "Ben")];
    const group = await startGroup(small, ada);
    const text = "x".repeat(12_000);
    expect((await send(small, ada, group, text)).answer.status).toBe(201);
    const { answer } = await send(small, ada, group, text);
    expect(answer.problem.code).toBe("too-many-requests");
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(30);
    expect((await send(small, ada, group, "short")).answer.status).toBe(201);
    const bens = await startGroup(small, ben);
    expect((await send(small, ben, bens, text)).answer.status).toBe(201);
    small.clock.now += 300_000;
    // What is larger than all that may come at once waits for that, and is taken.
    expect((await send(small, ada, group, "x".repeat(30_000))).answer.status).toBe(201);
    expect((await commit(small, ada, group)).status).toBe(429);
    // Nor does it make groups and give them up again, without end.
    const { problem } = await postGroup(small, ada, await aGroup(ada));
    expect(problem.code).toBe("too-many-requests");
    await small.close();
  });
});

describe("the commits of a member", () => {
  it("are so many at once: then the others come in, also to remove it", async () => {
    const few = await startWorld({ limits: { groupCommit: { burst: 3, perSecond: 0.01 } } });
    const [mallory, ada] = [await newMember(few, "Mallory"), await newMember(few, "Ada")];
    const group = await startGroup(few, mallory);
    const [adas] = await addAll(few, { member: mallory, group }, [ada]);
    if (adas === undefined) throw new Error("Ada is in");
    const made = [await bundleBody(group, await group.commit())];
    for (let i = 0; i < 2; i++) {
      await group.receive(made.at(-1)?.commit ?? random(0));
      made.push(await bundleBody(group, await group.commit()));
    }
    const post = (body: unknown) => postCommit(few, mallory, group.groupId, body);
    const [second, third, fourth] = made;
    for (const body of [second, third]) {
      expect((await post(body)).status).toBe(201);
      await adas.receive(body?.commit ?? random(0));
    }
    const { status, headers } = await post(fourth);
    expect(status).toBe(429);
    expect(Number(headers.get("retry-after"))).toBeGreaterThan(60);
    // What was accepted before is answered as ever, and another group is another matter.
    expect((await post(third)).status).toBe(201);
    expect((await commit(few, mallory, await startGroup(few, mallory))).status).toBe(201);
    const removed = adas.members().find(({ leafIndex }) => leafIndex !== adas.ownLeafIndex);
    const proposals = [{ proposalType: "remove", removed: removed?.leafIndex ?? -1 }] as const;
    expect((await commit(few, ada, adas, { proposals })).status).toBe(201);
    await few.close();
  });
});

describe("what is refused once it was judged", () => {
  it("is so much from one device, and takes nothing from others, nor from what is repeated or late", async () => {
    const few = await startWorld({ limits: { refused: { burst: 2, perSecond: 0.01 } } });
    const [ada, ben] = [await newMember(few, "Ada"), await newMember(few, "Ben")];
    const group = await startGroup(few, ada);
    const [bens] = await addAll(few, { member: ada, group }, [ben]);
    if (bens === undefined) throw new Error("Ben is in");
    const late = await bundleBody(bens, await bens.commit());
    await bens.discardPendingCommit();
    const first = await bundleBody(group, await group.commit());
    expect((await postCommit(few, ada, group.groupId, first)).status).toBe(201);
    for (const own of [group, bens]) await own.receive(first.commit);
    for (let i = 0; i < 4; i++) {
      expect((await postCommit(few, ben, group.groupId, late)).problem.code).toBe("wrong-epoch");
    }
    const body = await bundleBody(bens, await bens.commit());
    const spoilt = { ...body, links: [{ linkId: random(16), sealedGroupInfo: random(9) }] };
    const codes: string[] = [];
    for (let i = 0; i < 3; i++) {
      codes.push((await postCommit(few, ben, group.groupId, spoilt)).problem.code);
    }
    expect(codes).toEqual(["bad-request", "bad-request", "too-many-requests"]);
    const waiting = await postCommit(few, ben, group.groupId, body);
    expect(waiting.problem.code).toBe("too-many-requests");
    expect(Number(waiting.headers.get("retry-after"))).toBeGreaterThan(60);
    expect((await postCommit(few, ada, group.groupId, first)).status).toBe(201);
    expect((await commit(few, ada, group)).status).toBe(201);
    await few.close();
  });
});

describe("a group over its rate", () => {
  it("makes its members wait, and tells others nothing", async () => {
    const few = await startWorld({ limits: { groupMessage: { burst: 3, perSecond: 0.01 } } });
    const [ada, eve] = [await newMember(few, "Ada"), await newMember(few, "Eve")];
    const group = await startGroup(few, ada);
    const message = await group.send(random(10));
    // What is refused takes nothing from those who may.
    for (let i = 0; i < 5; i++) {
      expect((await postMessage(few, eve, group.groupId, message)).status).toBe(404);
    }
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await send(few, ada, group, "x")).answer.status);
    expect(statuses).toEqual([201, 201, 201]);
    const { answer } = await send(few, ada, group, "x");
    expect(answer.problem.code).toBe("too-many-requests");
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await commit(few, ada, group)).status).toBe(429);
    expect((await postMessage(few, eve, group.groupId, message)).status).toBe(404);
    const other = await startGroup(few, ada);
    expect((await send(few, ada, other, "x")).answer.status).toBe(201);
    await few.close();
  });
});
