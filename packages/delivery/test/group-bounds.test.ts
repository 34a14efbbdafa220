import { bytesToText, GroupsResponse } from "@conclave/delivery/protocol";
import { validateKeyPackage } from "@conclave/mls/public-group";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listenReady } from "./listener.ts";
import {
  addAll,
  addOf,
  aGroup,
  aKeyPackage,
  commit,
  commitLinks,
  composeJoin,
  joinByLink,
  joinByWelcome,
  type Member,
  newLink,
  newMember,
  postCommit,
  postGroup,
  postMessage,
  readInbox,
  send,
  startGroup,
} from "./member.ts";
import {
  type Answer,
  type Bytes,
  call,
  eventually,
  random,
  startWorld,
  type World,
} from "./world.ts";

let world: World;
let ada: Member;
let ben: Member;
beforeEach(async () => {
  world = await startWorld({ limits: { groupsPerDevice: 3, ownGroups: 1, inbox: 3 } });
  [ada, ben] = [await newMember(world, "Ada"), await newMember(world, "Ben")];
});
afterEach(() => world.close());

const giveUp = ({ token }: Member, groupId: Bytes): Promise<Answer> =>
  call(world, "DELETE", `/v1/groups/${bytesToText(groupId)}`, { token });

const founded = async (member: Member): Promise<Answer> =>
  postGroup(world, member, await aGroup(member));

/** Groups that somebody who is never counted as full makes. */
async function startAnother() {
  const member = await newMember(world, `Founder ${random(4).join("")}`);
  return { member, group: await startGroup(world, member) };
}

/** Fills a device with as many groups as others may put it into. */
async function fill(member: Member) {
  const groups = [];
  for (let i = 0; i < 2; i++) groups.push(...(await addAll(world, await startAnother(), [member])));
  return groups;
}

describe("the groups of a device", () => {
  it("are listed in pages behind a cursor", async () => {
    const { accountId, device } = ben.person;
    const listed = await world.store.device(accountId, device.deviceId);
    const made = Array.from({ length: 501 }, () => random(16));
    await Promise.all(
      made.map((groupId) =>
        world.store.createGroup({
          groupId,
          device: listed?.device ?? -1,
          leafIndex: 0,
          state: random(1),
          groupInfo: random(1),
          nodes: [],
          version: 0,
          groupLimit: 999,
          now: 0,
        }),
      ),
    );
    const read = async (query: string): Promise<GroupsResponse> =>
      GroupsResponse.parse((await call(world, "GET", `/v1/groups${query}`, ben)).body);
    const first = await read("");
    expect(first.groups).toHaveLength(500);
    const second = await read(`?after=${bytesToText(first.next ?? random(0))}`);
    expect(second).toMatchObject({ groups: [{ member: true }] });
    expect(second.next).toBeUndefined();
    const ids = [...first.groups, ...second.groups].map(({ groupId }) => bytesToText(groupId));
    expect(ids.toSorted()).toEqual(made.map(bytesToText).toSorted());
    expect((await call(world, "GET", "/v1/groups?after=!", ben)).problem.code).toBe("bad-request");
  });

  it("are so many: others can't add it to more, and are told which device, not what it has", async () => {
    await fill(ben);
    const cem = await newMember(world, "Cem");
    const group = await startGroup(world, ada);
    const [bens, cems] = [await aKeyPackage(ben), await aKeyPackage(cem)];
    const { problem } = await commit(world, ada, group, { proposals: [bens, cems].map(addOf) });
    const { ref } = await validateKeyPackage(ada.context, bens);
    expect(problem).toEqual({
      type: "urn:conclave:problem:device-full",
      title: expect.any(String),
      status: 409,
      code: "device-full",
      keyPackages: [bytesToText(ref)],
    });
    // Nothing became of it for the other either, who comes in without.
    expect(await readInbox(world, cem)).toEqual([]);
    expect((await commit(world, ada, group, { proposals: [addOf(cems)] })).status).toBe(201);
    await joinByWelcome(world, cem);
  });

  it("that can't be in more, and one whose inbox is full, are not told apart", async () => {
    await fill(ben);
    const cem = await newMember(world, "Cem");
    for (let i = 0; i < 2; i++) {
      const { member, group } = await startAnother();
      await commit(world, member, group, { proposals: [addOf(await aKeyPackage(cem))] });
      await giveUp(cem, group.groupId);
    }
    const { member, group: third } = await startAnother();
    await commit(world, member, third, { proposals: [addOf(await aKeyPackage(cem))] });
    await giveUp(cem, third.groupId);
    const group = await startGroup(world, ada);
    const problems = [];
    for (const full of [ben, cem]) {
      const proposals = [addOf(await aKeyPackage(full))];
      const { problem } = await commit(world, ada, group, { proposals });
      problems.push({ ...problem, keyPackages: [] });
    }
    expect(problems).toMatchObject([{ code: "device-full" }, problems[0]]);
  });

  it("leave room for those that it makes or joins by itself", async () => {
    await fill(ben);
    expect((await founded(ben)).status).toBe(201);
    expect((await founded(ben)).problem).toMatchObject({ status: 409, code: "device-full" });
    const link = await newLink();
    const group = await startGroup(world, ada);
    await commitLinks(world, ada, group, [link]);
    const { answer } = await joinByLink(world, ben, link);
    expect(answer.problem).toMatchObject({ status: 409, code: "device-full", keyPackages: [] });
    // A use of the link is not lost by it.
    const cem = await newMember(world, "Cem");
    expect((await composeJoin(world, cem, link)).group.epoch).toBe(group.epoch + 1n);
  });

  it("take no more room where a device takes the place of its own leaf", async () => {
    const link = await newLink();
    const group = await startGroup(world, ada);
    await commitLinks(world, ada, group, [link]);
    await fill(ben);
    const { group: bens } = await joinByLink(world, ben, link);
    expect((await founded(ben)).problem.code).toBe("device-full");
    const again = await newMember(world, "Cem");
    const lost = { ...ben, context: { ...ben.context, storage: again.context.storage } };
    const join = await composeJoin(world, lost, link, { resync: bens.ownLeafIndex });
    expect((await postCommit(world, lost, group.groupId, join.body)).status).toBe(201);
  });

  it("take no more room where another member puts it out and in with one commit", async () => {
    const another = await startAnother();
    const [bens] = await addAll(world, another, [ben]);
    await addAll(world, await startAnother(), [ben]);
    expect((await founded(ben)).status).toBe(201);
    expect((await founded(ben)).problem.code).toBe("device-full");
    const add = addOf(await aKeyPackage(ben));
    const remove = { proposalType: "remove", removed: bens?.ownLeafIndex ?? 0 } as const;
    const { member, group } = another;
    const { status } = await commit(world, member, group, { proposals: [remove, add] });
    expect(status).toBe(201);
    expect((await founded(ben)).problem.code).toBe("device-full");
  });

  it("are fewer at once where it gave one up, whatever its founder makes of that", async () => {
    const [first] = await fill(ben);
    const group = await startGroup(world, ada);
    const add = async () => {
      const proposals = [addOf(await aKeyPackage(ben))];
      return (await commit(world, ada, group, { proposals })).problem.code;
    };
    expect(await add()).toBe("device-full");
    const groupId = first?.groupId ?? random(16);
    // Nobody else can give it up, or learns by it that there is such a group.
    const stranger = await giveUp(ada, groupId);
    expect(stranger.problem).toMatchObject({ code: "not-found" });
    expect((await giveUp(ada, random(16))).problem).toEqual(stranger.problem);
    expect(await add()).toBe("device-full");
    expect((await giveUp(ben, groupId)).status).toBe(204);
    expect((await giveUp(ben, groupId)).status).toBe(204);
    expect(await add()).toBeUndefined();
    expect(await readInbox(world, ben)).toHaveLength(1);
  });

  it("are fewer as soon as it proposed to leave one", async () => {
    const [, second] = await fill(ben);
    if (second === undefined) throw new Error("two groups");
    const group = await startGroup(world, ada);
    const leave = await second.propose({ proposalType: "remove", removed: second.ownLeafIndex });
    expect((await postMessage(world, ben, second.groupId, leave)).status).toBe(201);
    const proposals = [addOf(await aKeyPackage(ben))];
    expect((await commit(world, ada, group, { proposals })).status).toBe(201);
  });

  it("ring on its sockets as far as it may be in them: those that it gave up come last", async () => {
    const cem = await newMember(world, "Cem");
    const made = [];
    for (let i = 0; i < 5; i++) {
      const another = await startAnother();
      const [group] = await addAll(world, another, [cem]);
      if (group === undefined) throw new Error("the group");
      made.push({ ...another, group, founders: another.group });
      if (i < 3) await giveUp(cem, group.groupId);
    }
    const { frames, socket } = await listenReady(world, cem.token);
    const heard = () => frames.flatMap((frame) => (frame.type === "group" ? [frame.groupId] : []));
    for (const { member, founders } of made) await send(world, member, founders, "to all");
    await eventually(() => heard().length >= 3);
    const ids = new Set(heard().map(bytesToText));
    for (const { group } of made.slice(3)) expect(ids).toContain(bytesToText(group.groupId));
    const last = made[4];
    if (last === undefined) throw new Error("five groups");
    const { member, founders } = last;
    // What was rung before this has been heard by now.
    const { answer } = await send(world, member, founders, "last");
    await eventually(() =>
      frames.some((one) => one.type === "group" && one.head === answer.body.seq),
    );
    expect(new Set(heard().map(bytesToText)).size).toBe(3);
    socket.close();
  });
});
