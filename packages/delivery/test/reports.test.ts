import { localDoorbell, PAST_EPOCHS } from "@conclave/delivery";
import {
  linkIdOf,
  linksOf,
  openReport,
  type Report,
  ReportResponse,
  ReportsResponse,
  SocketFrame,
  sha256,
  signReport,
} from "@conclave/delivery/protocol";
import { type Group, reportCommit } from "@conclave/mls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import {
  addAll,
  addOf,
  aKeyPackage,
  commit,
  commitLinks,
  composeJoin,
  joinByLink,
  joinByWelcome,
  knowLinks,
  type Member,
  newLink,
  newMember,
  pathOf,
  postCommit,
  readLog,
  send,
  startGroup,
} from "./member.ts";
import { spoiling } from "./spoiling.ts";
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
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

let count = 0;
const aMember = (at: World = world): Promise<Member> => newMember(at, `Reporter ${++count}`);

interface Seat {
  readonly member: Member;
  readonly group: Group;
}

/** Ada, Ben and Cy at leaves 0 to 2, and Dan at 3, who keeps to no rule. */
async function stage(at: World = world) {
  const { crypto, spoil } = spoiling();
  const [ada, ben, cy, honest] = [
    await aMember(at),
    await aMember(at),
    await aMember(at),
    await aMember(at),
  ];
  const dan = { ...honest, context: { ...honest.context, crypto } };
  const group = await startGroup(at, ada);
  const others = await addAll(at, { member: ada, group }, [ben, cy, dan]);
  const seat = (member: Member, i: number): Seat => {
    const theirs = i < 0 ? group : others[i];
    if (!theirs) throw new Error("nobody");
    return { member, group: theirs };
  };
  return {
    ada: seat(ada, -1),
    ben: seat(ben, 0),
    cy: seat(cy, 1),
    dan: seat(dan, 2),
    groupId: group.groupId,
    spoil,
  };
}
type Stage = Awaited<ReturnType<typeof stage>>;

/** The newest commit in the log. */
async function lastCommit(at: World, { member, group }: Seat) {
  const { entries } = await readLog(at, member, group.groupId);
  const entry = entries.findLast(({ kind }) => kind === "commit");
  if (!entry) throw new Error("no commit");
  return entry;
}

/** Dan's commit that is of no use to Cy, or to those at other places; the others follow it. */
async function badCommit(on: Stage, at: World = world, ...places: readonly number[]) {
  on.spoil(...(places.length > 0 ? places : [0]));
  const answer = await commit(at, on.dan.member, on.dan.group, { forcePath: true });
  on.spoil();
  expect(answer.status).toBe(201);
  const entry = await lastCommit(at, on.ada);
  for (const one of [on.ada, on.ben, on.cy]) await one.group.receive(entry.message).catch(() => {});
  return entry;
}

async function aReport(
  { member, group }: Seat,
  message: Bytes,
  change: Partial<Report> = {},
): Promise<{ readonly report: Bytes; readonly keyPackage: Bytes }> {
  const { groupId } = group;
  const keyPackage = await aKeyPackage(member);
  const own = group.members().find(({ leafIndex }) => leafIndex === group.ownLeafIndex);
  const encryptionKey = own?.leafNode.encryptionKey ?? random(0);
  const commitHash = await sha256(message);
  const content = { groupId, commitHash, encryptionKey, keyPackage, ...change };
  return { report: await signReport(content, member.person.signatureKey), keyPackage };
}

function postReport(at: World, { member, group }: Seat, body: unknown): Promise<Answer> {
  const path = pathOf(group.groupId, "reports");
  return call(at, "POST", path, { token: member.token, body });
}

function readReports(at: World, { member, group }: Seat): Promise<Answer> {
  return call(at, "GET", pathOf(group.groupId, "reports"), { token: member.token });
}

/** With Dan at fault, if that is proven. */
async function danMayCommit({ dan }: Stage, at: World = world): Promise<boolean> {
  const answer = await commit(at, dan.member, dan.group);
  if (answer.status === 201) return true;
  expect(answer.problem.code).toBe("not-allowed");
  return false;
}

describe("scenario 12: a commit that a member can't follow", () => {
  it("is proven by it; who made it commits no more, the others go on and bring the member back", async () => {
    const on = await stage();
    const { ada, ben, cy, dan, groupId } = on;
    const own = await newLink();
    await commitLinks(world, ada.member, ada.group, [own]);
    const linked = await lastCommit(world, ada);
    for (const one of [ben, cy, dan]) await one.group.receive(linked.message);
    knowLinks(dan.group, [own]);
    const { seq, message } = await badCommit(on);
    expect(cy.group.epoch).toBe(2n);
    const { report, keyPackage } = await aReport(cy, message);
    const proof = await reportCommit(cy.group, message);
    const answer = await postReport(world, cy, { seq, report, proof });
    expect(answer.status).toBe(201);
    expect(ReportResponse.parse(answer.body)).toEqual({ proven: true });
    // After a lost answer, and without the proof.
    for (const body of [
      { seq, report, proof },
      { seq, report },
    ]) {
      expect((await postReport(world, cy, body)).body).toEqual({ proven: true });
    }
    expect(await danMayCommit(on)).toBe(false);
    expect((await send(world, dan.member, dan.group, "still here")).answer.status).toBe(201);
    const said = await send(world, ben.member, ben.group, "we go on");
    expect(said.answer.status).toBe(201);
    await expect(ada.group.receive(said.message)).resolves.toMatchObject({ type: "application" });

    const { reports } = ReportsResponse.parse((await readReports(world, ada)).body);
    expect(reports).toEqual([{ seq, report, proven: true }]);
    const leafKey = cy.member.person.signatureKey.publicKey;
    expect(await openReport(report, leafKey)).toMatchObject({ groupId, keyPackage });
    expect(await openReport(report, ada.member.person.signatureKey.publicKey)).toBeUndefined();
    // One commit takes the old leaf out and the new one in; the link stays open.
    const proposals = [{ proposalType: "remove", removed: 2 } as const, addOf(keyPackage)];
    const another = [...proposals, { proposalType: "remove", removed: 1 } as const];
    const removing = await commit(world, ada.member, ada.group, { proposals: another });
    expect(removing.problem.code).toBe("not-allowed");
    const mended = await commit(world, ada.member, ada.group, { proposals });
    expect(mended.status).toBe(201);
    expect(linksOf(ada.group.extensions)).toHaveLength(1);
    expect((await readReports(world, ada)).body).toEqual({ reports: [], revoked: [] });
    const repair = await lastCommit(world, ada);
    for (const one of [ben, dan]) await one.group.receive(repair.message);
    await cy.group.remove();
    const cys = await joinByWelcome(world, cy.member);
    expect(cys.epochAuthenticator).toEqual(ben.group.epochAuthenticator);
    const back = await send(world, cy.member, cys, "back");
    await expect(ben.group.receive(back.message)).resolves.toMatchObject({ type: "application" });
    // A report of the earlier stay is over.
    expect((await postReport(world, cy, { seq, report, proof })).problem.code).toBe(
      "report-refused",
    );
  });

  it("bars its maker until a member adds it again, also from joining by a link", async () => {
    const on = await stage();
    const { ada, ben, cy, dan } = on;
    const own = await newLink();
    await commitLinks(world, ada.member, ada.group, [own]);
    const linked = await lastCommit(world, ada);
    for (const one of [ben, cy, dan]) await one.group.receive(linked.message);
    knowLinks(dan.group, [own]);
    const { seq, message } = await badCommit(on);
    const { report } = await aReport(cy, message);
    await postReport(world, cy, { seq, report, proof: await reportCommit(cy.group, message) });
    await commitLinks(world, ada.member, ada.group, [own]);
    const again = { ...dan.member, context: (await aMember()).context };
    const { group, body } = await composeJoin(world, again, own, { resync: 3 });
    expect((await postCommit(world, again, group.groupId, body)).problem.code).toBe("not-allowed");
    await group.remove();
    // It can't get back in by a report either.
    const newest = await lastCommit(world, ada);
    const bySelf = await aReport(dan, newest.message);
    const asked = await postReport(world, dan, { seq: newest.seq, report: bySelf.report });
    expect(asked.problem.code).toBe("not-allowed");
    const keyPackage = await aKeyPackage(again);
    const remove = { proposalType: "remove", removed: 3 } as const;
    await commitLinks(world, ada.member, ada.group, [], [remove]);
    expect(
      (await commit(world, ada.member, ada.group, { proposals: [addOf(keyPackage)] })).status,
    ).toBe(201);
    const dans = await joinByWelcome(world, again);
    expect((await commit(world, again, dans)).status).toBe(201);
  });

  it("may shut out several, each of whom says so", async () => {
    const on = await stage();
    const { ada, ben, cy } = on;
    // Ada's path gives her and Ben a node that they share.
    await commit(world, ada.member, ada.group, { forcePath: true });
    const shared = await lastCommit(world, ada);
    for (const one of [ben, cy, on.dan]) await one.group.receive(shared.message);
    const { seq, message } = await badCommit(on, world, 1);
    expect([ada.group.epoch, ben.group.epoch, cy.group.epoch]).toEqual([2n, 2n, 3n]);
    for (const one of [ada, ben]) {
      const { report } = await aReport(one, message);
      const proof = await reportCommit(one.group, message);
      expect((await postReport(world, one, { seq, report, proof })).body).toEqual({ proven: true });
    }
    const { reports } = ReportsResponse.parse((await readReports(world, cy)).body);
    expect(reports).toHaveLength(2);
    expect(await danMayCommit(on)).toBe(false);
  });

  it("may be reported without a proof: then nobody is barred", async () => {
    const on = await stage();
    const { seq, message } = await badCommit(on);
    const { report } = await aReport(on.cy, message);
    const answer = await postReport(world, on.cy, { seq, report });
    expect(answer.body).toEqual({ proven: false });
    expect((await readReports(world, on.ben)).body.reports).toHaveLength(1);
    expect(await danMayCommit(on)).toBe(true);
  });

  it("is not looked into when it is too far back", async () => {
    const on = await stage();
    const { seq, message } = await badCommit(on);
    const { report } = await aReport(on.cy, message);
    const proof = await reportCommit(on.cy.group, message);
    for (let i = 0; i < PAST_EPOCHS; i++) {
      expect((await commit(world, on.ada.member, on.ada.group)).status).toBe(201);
    }
    const answer = await postReport(world, on.cy, { seq, report, proof });
    expect(answer.body).toEqual({ proven: false });
  });

  it("rings for all members that are there", async () => {
    const on = await stage();
    const socket = new WebSocket(`${world.url.replace("http", "ws")}/v1/socket`);
    const frames: SocketFrame[] = [];
    socket.on("message", (data: Buffer) =>
      frames.push(SocketFrame.parse(JSON.parse(data.toString()))),
    );
    await new Promise((resolve) => socket.once("open", resolve));
    socket.send(JSON.stringify({ type: "hello", token: on.ben.member.token }));
    await eventually(() => frames.some(({ type }) => type === "ready"));
    const { seq, message } = await badCommit(on);
    const { report } = await aReport(on.cy, message);
    await postReport(world, on.cy, { seq, report });
    const { groupId } = on;
    const last = () => frames.findLast(({ type }) => type === "reports");
    await eventually(() => last() !== undefined);
    expect(last()).toEqual({ type: "reports", groupId });
    socket.close();
  });

  it("rings once for many that come together, and for what is said again and again", async () => {
    const doorbell = localDoorbell();
    let rung = 0;
    doorbell.listen(({ type }) => {
      if (type === "reports") rung++;
    });
    const at = await startWorld({ doorbell });
    const on = await stage(at);
    const { seq, message } = await badCommit(on, at);
    for (let i = 0; i < 4; i++) {
      const { report } = await aReport(on.cy, message);
      for (let again = 0; again < 2; again++) {
        expect((await postReport(at, on.cy, { seq, report })).status).toBe(201);
      }
    }
    expect(rung).toBe(1);
    await at.close();
  });
});

describe("a report is refused", () => {
  it("with a proof that does not hold, however often it comes; nobody is put out by it", async () => {
    const on = await stage();
    const { ada, ben, cy } = on;
    const { seq, message } = await badCommit(on);
    const proof = await reportCommit(cy.group, message);
    const fine = await commit(world, ada.member, ada.group, { forcePath: true });
    expect(fine.status).toBe(201);
    const followed = await lastCommit(world, ada);
    await ben.group.receive(followed.message);
    for (let i = 0; i < 3; i++) {
      // Ben could follow Dan's commit: what is Cy's proves nothing of him.
      const report = (await aReport(ben, message)).report;
      const stolen = await postReport(world, ben, { seq, report, proof });
      expect(stolen.problem.code).toBe("report-refused");
      // Nor does Ada's honest commit shut anybody out.
      const other = (await aReport(ben, followed.message)).report;
      for (const false_ of [proof, random(40), proof.slice(0, -1)]) {
        const answer = await postReport(world, ben, {
          seq: followed.seq,
          report: other,
          proof: false_,
        });
        expect(answer.status).toBe(422);
        expect(answer.problem.code).toBe("report-refused");
        expect(answer.problem["rule"]).toBeTypeOf("string");
      }
    }
    expect((await readReports(world, ada)).body).toEqual({ reports: [], revoked: [] });
    expect((await commit(world, ada.member, ada.group)).status).toBe(201);
  });

  it("where it is not the device's own, on this commit, with its own key package", async () => {
    const on = await stage();
    const { ben, cy } = on;
    const { seq, message } = await badCommit(on);
    const good = await aReport(cy, message);
    const refused = async (by: Seat, report: Bytes, at = seq): Promise<void> => {
      const answer = await postReport(world, by, { seq: at, report });
      expect(answer.problem.code).toBe("report-refused");
    };
    await refused(ben, good.report);
    await refused(cy, random(100));
    for (const change of [
      { groupId: random(16) },
      { commitHash: random(32) },
      { keyPackage: await aKeyPackage(ben.member) },
      { keyPackage: random(50) },
    ]) {
      await refused(cy, (await aReport(cy, message, change)).report);
    }
    await refused(cy, good.report, seq + 1);
    await refused(cy, good.report, seq - 1);
    await refused(cy, good.report, 0);
    expect((await readReports(world, ben)).body).toEqual({ reports: [], revoked: [] });
    expect((await postReport(world, cy, { seq, report: good.report })).status).toBe(201);
  });

  it("of who came with that commit or later, and is not there for who is no member", async () => {
    const on = await stage();
    const eve = await aMember();
    const [evesGroup] = await addAll(world, { member: on.ada.member, group: on.ada.group }, [eve]);
    if (!evesGroup) throw new Error("nobody");
    const eves = { member: eve, group: evesGroup };
    const { seq, message } = await lastCommit(world, on.ada);
    const { report } = await aReport(eves, message);
    expect((await postReport(world, eves, { seq, report })).problem.code).toBe("report-refused");
    const stranger = { member: await aMember(), group: evesGroup };
    expect((await postReport(world, stranger, { seq, report })).problem.code).toBe("not-found");
    expect((await readReports(world, stranger)).problem.code).toBe("not-found");
  });

  it("when there are too many", async () => {
    const limited = await startWorld({ limits: { report: { burst: 2, perSecond: 0.001 } } });
    const on = await stage(limited);
    const { seq, message } = await badCommit(on, limited);
    const { report } = await aReport(on.cy, message);
    const codes = [];
    for (let i = 0; i < 3; i++)
      codes.push((await postReport(limited, on.cy, { seq, report })).status);
    expect(codes).toEqual([201, 201, 429]);
    await limited.close();
  });
});

describe("scenario 13: GroupInfo that is no good", () => {
  it("is refused with its commit, which costs no epoch, where the service can see it", async () => {
    const { ada, ben, groupId } = await stage();
    const old = await ada.group.groupInfo({ externalPub: false });
    const bundle = await ada.group.commit();
    const spoiled = bundle.groupInfo.with(-1, (bundle.groupInfo.at(-1) ?? 0) ^ 1);
    for (const groupInfo of [old, spoiled, random(100)]) {
      const answer = await postCommit(world, ada.member, groupId, {
        commit: bundle.commit,
        groupInfo,
        links: [],
      });
      expect(answer.status).toBe(422);
      expect(answer.problem.code).toBe("invalid-message");
    }
    await ada.group.discardPendingCommit();
    expect((await commit(world, ben.member, ben.group)).status).toBe(201);
  });

  it("where only a joiner can see it: it refuses, the group goes on, and the next commit opens the link again", async () => {
    const { ada, ben, cy, dan, groupId } = await stage();
    const own = await newLink();
    await commitLinks(world, ada.member, ada.group, [own]);
    const linked = await lastCommit(world, ada);
    for (const one of [ben, cy, dan]) await one.group.receive(linked.message);
    const bundle = await dan.group.commit();
    const linkId = await linkIdOf(own.link.signatureKey);
    const answer = await postCommit(world, dan.member, groupId, {
      commit: bundle.commit,
      groupInfo: bundle.groupInfo,
      links: [{ linkId, sealedGroupInfo: await ada.group.groupInfo({ externalPub: true }) }],
    });
    expect(answer.status).toBe(201);
    const eve = await aMember();
    await expect(composeJoin(world, eve, own)).rejects.toMatchObject({ name: "MlsError" });
    for (const one of [ada, ben]) await one.group.receive(bundle.commit);
    await commitLinks(world, ada.member, ada.group, [own]);
    const joined = await joinByLink(world, eve, own);
    expect(joined.answer.status).toBe(201);
  });
});
