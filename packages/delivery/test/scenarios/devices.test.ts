/** What may go wrong with devices: how they come in, are put out, and what they ask for that is not theirs. */

import { LinkResponse, linkIdOf } from "@conclave/delivery/protocol";
import { joinGroup } from "@conclave/mls";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  addAll,
  addOf,
  aKeyPackage,
  bundleBody,
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
  postMessage,
  readInbox,
  readLink,
  readLog,
  readTree,
  send,
  startGroup,
} from "../member.ts";
import { type Bytes, call, random } from "../world.ts";
import { onBothStores, type StoredWorld } from "./worlds.ts";

onBothStores("devices", (start, kind) => {
  let world: StoredWorld;
  let count = 0;
  const aMember = (): Promise<Member> => newMember(world, `${kind} ${++count}`);
  beforeAll(async () => {
    world = await start({ contact: "open" });
  });
  afterAll(() => world.close());

  const claim = async (member: Member, target: Member): Promise<readonly Bytes[]> => {
    const body = { accountId: target.person.accountId, suites: [1] };
    const answer = await call(world, "POST", "/v1/key-packages/claim", {
      token: member.token,
      body,
    });
    const { keyPackages } = answer.body as { keyPackages: { keyPackage: string }[] };
    return keyPackages.map(
      ({ keyPackage }) => new Uint8Array(Buffer.from(keyPackage, "base64url")),
    );
  };
  const uploadKeys = async (member: Member, body: object): Promise<void> => {
    const { status } = await call(world, "POST", "/v1/key-packages", { token: member.token, body });
    expect(status).toBe(200);
  };
  const removal = (removed: number) => ({ proposalType: "remove", removed }) as const;

  it("a Welcome is for a key package whose keys are lost: it fails plainly, and a new claim brings the device in", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    await uploadKeys(ben, { keyPackages: [await aKeyPackage(ben)] });
    const group = await startGroup(world, ada);
    const [first = random(0)] = await claim(ada, ben);
    await commit(world, ada, group, { proposals: [addOf(first)] });
    // The device lost its state, and only that.
    const reborn = memberOf(ben.person, ben.token);
    await expect(joinByWelcome(world, reborn)).rejects.toMatchObject({ name: "MlsError" });
    // The Welcome still waits: who can't use it has not acknowledged it.
    const [entry] = await readInbox(world, reborn);
    const upTo = entry?.seq ?? 0;
    await call(world, "POST", "/v1/inbox/ack", { token: ben.token, body: { upTo } });
    await uploadKeys(reborn, { keyPackages: [await aKeyPackage(reborn)] });
    const [second = random(0)] = await claim(ada, ben);
    expect(second).not.toEqual(first);
    // There is one leaf for a device: the old one goes with the commit that brings the new one.
    const proposals = [removal(1), addOf(second)];
    expect((await commit(world, ada, group, { proposals })).status).toBe(201);
    const joined = await joinByWelcome(world, reborn);
    expect(joined.epochAuthenticator).toEqual(group.epochAuthenticator);
  });

  it("a last resort is used for two groups: both Welcomes lead in, and the next claim may get another", async () => {
    const [ada, eve, ben] = [await aMember(), await aMember(), await aMember()];
    await uploadKeys(ben, {
      keyPackages: [],
      lastResort: await aKeyPackage(ben, undefined, { lastResort: true }),
    });
    const [adas, eves] = [await startGroup(world, ada), await startGroup(world, eve)];
    const [forAda = random(0)] = await claim(ada, ben);
    const [forEve = random(0)] = await claim(eve, ben);
    expect(forAda).toEqual(forEve);
    await commit(world, ada, adas, { proposals: [addOf(forAda)] });
    await commit(world, eve, eves, { proposals: [addOf(forEve)] });
    const first = await joinByWelcome(world, ben);
    const second = await joinByWelcome(world, ben);
    expect(first.epochAuthenticator).toEqual(adas.epochAuthenticator);
    expect(second.epochAuthenticator).toEqual(eves.epochAuthenticator);
    // Its leaf changes at once, and the last resort is another from then on.
    expect((await commit(world, ben, first)).status).toBe(201);
    const next = await aKeyPackage(ben, undefined, { lastResort: true });
    await uploadKeys(ben, { keyPackages: [], lastResort: next });
    expect(await claim(ada, ben)).toEqual([next]);
  });

  /** A group with a link, by which Ben is about to join, while Ada is about to add him. */
  async function aRace() {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const own = await newLink();
    await commitLinks(world, ada, group, [own]);
    const adding = await group.commit({
      proposals: [addOf(await aKeyPackage(ben))],
      groupInfoForJoiners: true,
    });
    const linkId = await linkIdOf(own.link.signatureKey);
    const addition = {
      ...(await bundleBody(group, adding)),
      links: [{ linkId, sealedGroupInfo: adding.groupInfoForJoiners ?? random(0) }],
    };
    return { ada, ben, group, own, adding, addition, joining: await composeJoin(world, ben, own) };
  }

  it("a device is added by a member just before it joins by a link: it is in once", async () => {
    const { ada, ben, group, own, adding, addition, joining } = await aRace();
    expect((await postCommit(world, ada, group.groupId, addition)).status).toBe(201);
    const late = await postCommit(world, ben, group.groupId, joining.body);
    expect(late.problem.code).toBe("wrong-epoch");
    await group.receive(adding.commit);
    await joining.group.remove();
    await expect(joinByLink(world, ben, own)).rejects.toMatchObject({ name: "MlsError" });
    const welcomed = await joinByWelcome(world, ben);
    expect(welcomed.epochAuthenticator).toEqual(group.epochAuthenticator);
    expect(group.members()).toHaveLength(2);
  });

  it("a device joins by a link just before a member adds it: it is in once", async () => {
    const { ada, ben, group, addition, joining } = await aRace();
    expect((await postCommit(world, ben, group.groupId, joining.body)).status).toBe(201);
    await joining.group.confirm();
    const late = await postCommit(world, ada, group.groupId, addition);
    expect(late.problem.code).toBe("wrong-epoch");
    expect(await readInbox(world, ben)).toEqual([]);
    await group.discardPendingCommit();
    await group.receive(joining.body.commit);
    const proposals = [addOf(await aKeyPackage(ben))];
    await expect(commit(world, ada, group, { proposals })).rejects.toMatchObject({
      name: "MlsError",
    });
    expect(group.members()).toHaveLength(2);
  });

  it("a device comes back after it was removed: it learns of that, reads up to it, and can post nothing", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const [bens] = await addAll(world, { member: ada, group }, [ben]);
    if (bens === undefined) throw new Error("Ben is in");
    const queued = await bens.send(random(10));
    await commit(world, ada, group, { proposals: [removal(bens.ownLeafIndex)] });
    await commit(world, ada, group);
    await send(world, ada, group, "among us");
    const { entries, head } = await readLog(world, ben, group.groupId, 1);
    expect(entries.map((entry) => [entry.seq, entry.kind])).toEqual([[2, "commit"]]);
    expect(head).toBe(2);
    const [removing] = entries;
    const event = await bens.receive(removing?.message ?? random(0));
    expect(event).toMatchObject({ type: "commit", summary: { removed: [{ leafIndex: 1 }] } });
    const late = await postMessage(world, ben, group.groupId, queued);
    expect(late.problem.code).toBe("not-found");
  });

  it("a removed device uses again what it joined by: the link is closed, and the old GroupInfo of no use", async () => {
    const [ada, ben, eve] = [await aMember(), await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const own = await newLink();
    await commitLinks(world, ada, group, [own]);
    const { group: bens, answer } = await joinByLink(world, ben, own);
    expect(answer.status).toBe(201);
    const log = await readLog(world, ada, group.groupId, 1);
    await group.receive(log.entries[0]?.message ?? random(0));
    // A commit that was composed while the link was open, and is sent when it is not.
    const kept = await composeJoin(world, eve, own);
    const held = LinkResponse.parse((await readLink(world, ben, own)).body);
    expect(held.epoch).toBe(bens.epoch);
    const closing = await commitLinks(world, ada, group, [], [removal(bens.ownLeafIndex)]);
    expect(closing.status).toBe(201);
    expect((await readLink(world, ben, own)).problem.code).toBe("link-closed");
    const again = await postCommit(world, eve, group.groupId, kept.body);
    expect(again.problem.code).toBe("link-closed");
    // Nobody outside is told where the group is.
    expect(again.problem["currentEpoch"]).toBeUndefined();
    expect(group.members()).toHaveLength(1);
  });

  it("a joiner is shown a GroupInfo of an epoch that is over: its commit is refused and costs nothing", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const own = await newLink();
    await commitLinks(world, ada, group, [own]);
    const stale = await composeJoin(world, ben, own);
    await commitLinks(world, ada, group, [own]);
    const late = await postCommit(world, ben, group.groupId, stale.body);
    expect(late.problem.code).toBe("wrong-epoch");
    await stale.group.remove();
    const { answer } = await joinByLink(world, ben, own);
    expect(answer.status).toBe(201);
    // The use was counted once.
    const { usesLeft } = LinkResponse.parse((await readLink(world, ada, own)).body);
    expect(usesLeft).toBe(9);
  });

  it("two ask to leave at once: one commit lets both go, and the last one is alone", async () => {
    const [ada, ben, eve] = [await aMember(), await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const others = await addAll(world, { member: ada, group }, [ben, eve]);
    for (const [i, member] of [ben, eve].entries()) {
      const leaf = others[i]?.ownLeafIndex ?? 0;
      const wish = await others[i]?.propose(removal(leaf));
      if (wish === undefined) throw new Error("both are in");
      expect((await postMessage(world, member, group.groupId, wish)).status).toBe(201);
      await group.receive(wish);
    }
    expect((await commit(world, ada, group)).status).toBe(201);
    expect(group.members()).toHaveLength(1);
    expect((await send(world, ada, group, "alone")).answer.status).toBe(201);
    for (const { token } of [ben, eve]) {
      const { body } = await call(world, "GET", "/v1/groups", { token });
      expect(body.groups).toMatchObject([{ member: false }]);
    }
  });

  it("somebody asks for what is not theirs: other inboxes, other logs, and what came before they did", async () => {
    const [ada, ben, eve] = [await aMember(), await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    await send(world, ada, group, "before");
    await addAll(world, { member: ada, group }, [ben]);
    // Acknowledged is what was there, of one's own inbox: there is no way to name another's.
    const beyond = await call(world, "POST", "/v1/inbox/ack", {
      token: ben.token,
      body: { upTo: 5 },
    });
    expect(beyond.problem.code).toBe("beyond-end");
    const unknown = await call(world, "GET", pathOf(random(16), "log"), { token: eve.token });
    for (const path of ["log", "tree?epoch=1"]) {
      const answer = await call(world, "GET", pathOf(group.groupId, path), { token: eve.token });
      expect(answer.body).toEqual(unknown.body);
    }
    expect(unknown.problem.code).toBe("not-found");
    const { entries } = await readLog(world, ben, group.groupId);
    expect(entries.map(({ seq }) => seq)).toEqual([2]);
    // And what is ahead is nothing, not an error.
    const ahead = await readLog(world, ben, group.groupId, 9);
    expect([ahead.entries, ahead.head]).toEqual([[], 2]);
  });

  it("a crowd is in a group: who comes last reads the tree of its epoch, and what members send stays small", async () => {
    const ada = await aMember();
    const group = await startGroup(world, ada);
    const crowd: Member[] = [];
    for (let i = 0; i < 60; i++) crowd.push(await aMember());
    const proposals = await Promise.all(crowd.map(async (one) => addOf(await aKeyPackage(one))));
    const bundle = await group.commit({ proposals });
    const body = await bundleBody(group, bundle);
    expect((await postCommit(world, ada, group.groupId, body)).status).toBe(201);
    await group.receive(bundle.commit);
    const last = crowd.at(-1);
    if (last === undefined) throw new Error("there is a crowd");
    const [entry] = await readInbox(world, last);
    const joined = await joinGroup(last.context, {
      welcome: entry?.welcome ?? random(0),
      ratchetTree: await readTree(world, last, pathOf(group.groupId, `tree?epoch=${entry?.epoch}`)),
      signer: last.person.signatureKey,
    });
    expect(joined.members()).toHaveLength(61);
    const small = await group.send(random(100));
    expect(small.length).toBeLessThan(1024);
    expect((await postMessage(world, ada, group.groupId, small)).status).toBe(201);
    const leaving = await group.commit({ proposals: [removal(1)] });
    const closing = await bundleBody(group, leaving);
    expect((await postCommit(world, ada, group.groupId, closing)).status).toBe(201);
    await joined.receive(small);
    await joined.receive(leaving.commit);
    expect(joined.members()).toHaveLength(60);
  });
});
