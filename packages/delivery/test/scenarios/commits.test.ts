/** What may go wrong between members that change a group at the same time, played by real members over the real service. */

import { linkIdOf } from "@conclave/delivery/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  addOf,
  aGroup,
  aKeyPackage,
  bundleBody,
  commit,
  commitLinks,
  composeJoin,
  joinByWelcome,
  type Member,
  newLink,
  newMember,
  postCommit,
  postGroup,
  postMessage,
  readInbox,
  readLog,
  send,
} from "../member.ts";
import { type Bytes, call, random } from "../world.ts";
import { catchUp, type Seat, storm, takeSeats } from "./seats.ts";
import { onBothStores, type StoredWorld } from "./worlds.ts";

onBothStores("commits", (start, kind) => {
  let world: StoredWorld;
  let count = 0;
  const aMember = (): Promise<Member> => newMember(world, `${kind} ${++count}`);
  beforeAll(async () => {
    // All of them come from one address, and the world's clock stands still.
    const much = { burst: 10_000, perSecond: 1 };
    world = await start({ limits: { groupMessage: much, address: much } });
  });
  afterAll(() => world.close());

  const aRound = async (size: number): Promise<readonly Seat[]> =>
    takeSeats(world, await Promise.all(Array.from({ length: size }, aMember)));

  async function remove(seat: Seat, leaf: number): Promise<{ body: object; commit: Bytes }> {
    const bundle = await seat.group.commit({
      proposals: [{ proposalType: "remove", removed: leaf }],
    });
    return { body: await bundleBody(seat.group, bundle), commit: bundle.commit };
  }

  it("two add somebody at the same time: one does, the other's Welcome goes nowhere until it is tried anew", async () => {
    const [ada, ben] = await aRound(2);
    const guests = [await aMember(), await aMember()];
    if (!ada || !ben) throw new Error("two are in");
    const attempts = await Promise.all(
      [ada, ben].map(async (seat, i) => {
        const guest = guests[i] ?? guests[0];
        if (guest === undefined) throw new Error("there are two");
        const proposals = [addOf(await aKeyPackage(guest))];
        const bundle = await seat.group.commit({ proposals });
        const body = await bundleBody(seat.group, bundle);
        const answer = await postCommit(world, seat.member, seat.group.groupId, body);
        return { seat, guest, proposals, bundle, answer };
      }),
    );
    const [won] = attempts.filter(({ answer }) => answer.status === 201);
    const [lost] = attempts.filter(({ answer }) => answer.status !== 201);
    if (won === undefined || lost === undefined) throw new Error("one of two is accepted");
    expect(lost.answer.problem.code).toBe("wrong-epoch");
    expect(await readInbox(world, won.guest)).toHaveLength(1);
    expect(await readInbox(world, lost.guest)).toEqual([]);
    await won.seat.group.receive(won.bundle.commit);
    await lost.seat.group.discardPendingCommit();
    await lost.seat.group.receive(won.bundle.commit);
    const again = await commit(world, lost.seat.member, lost.seat.group, {
      proposals: lost.proposals,
    });
    expect(again.status).toBe(201);
    const joined = await joinByWelcome(world, lost.guest);
    expect(joined.epochAuthenticator).toEqual(lost.seat.group.epochAuthenticator);
  });

  it("many want the same epoch again and again: each gets its own in the end, and none waits for ever", async () => {
    const { most, views } = await storm(world, await aRound(10));
    // An attempt is in vain only where another's was not: nobody tries more often than there are others.
    expect(most).toBeLessThanOrEqual(10);
    expect(views).toHaveLength(1);
    expect(views[0]?.epoch).toBe(11n);
  });

  it("an answer is lost: the same commit gets the same place, and its maker goes on from there", async () => {
    const [ada, ben] = await aRound(2);
    if (!ada || !ben) throw new Error("two are in");
    const bundle = await ada.group.commit();
    const body = await bundleBody(ada.group, bundle);
    const lost = await postCommit(world, ada.member, ada.group.groupId, body);
    await catchUp(world, ben);
    expect((await commit(world, ben.member, ben.group)).status).toBe(201);
    const again = await postCommit(world, ada.member, ada.group.groupId, body);
    expect([again.status, again.body]).toEqual([201, lost.body]);
    await catchUp(world, ada);
    expect(ada.group.epochAuthenticator).toEqual(ben.group.epochAuthenticator);
  });

  it("the service dies between any two statements of a commit: no epoch is frozen, and the commit is made after", async () => {
    const [ada] = await aRound(2);
    const guest = await aMember();
    if (!ada) throw new Error("two are in");
    const own = await newLink();
    await commitLinks(world, ada.member, ada.group, [own]);
    const { epoch } = ada.group;
    const bundle = await ada.group.commit({ proposals: [addOf(await aKeyPackage(guest))] });
    const body = {
      ...(await bundleBody(ada.group, bundle)),
      links: [{ linkId: await linkIdOf(own.link.signatureKey), sealedGroupInfo: random(9) }],
    };
    const post = () => postCommit(world, ada.member, ada.group.groupId, body);
    // Each of these is written somewhere in the transaction; the statement fails, and all that came before it with it.
    for (const [table, change] of [
      ["groups", "UPDATE"],
      ["group_states", "UPDATE"],
      ["group_nodes", "INSERT"],
      ["log", "INSERT"],
      ["members", "INSERT"],
      ["links", "UPDATE"],
      ["welcomes", "INSERT"],
      ["inbox", "INSERT"],
      ["devices", "UPDATE"],
    ] as const) {
      await world.meddle(failing(kind, table, change));
      const answer = await post();
      expect([table, answer.status >= 500]).toEqual([table, true]);
      await world.meddle(mended(kind, table));
      expect(await readInbox(world, guest)).toEqual([]);
      const log = await readLog(world, ada.member, ada.group.groupId);
      expect(log.entries.at(-1)?.epoch).toBe(epoch - 1n);
    }
    expect((await post()).status).toBe(201);
    await ada.group.receive(bundle.commit);
    const joined = await joinByWelcome(world, guest);
    expect(joined.epochAuthenticator).toEqual(ada.group.epochAuthenticator);
  });

  it("the clock of the service goes back: order and times in a log do not", async () => {
    const [ada] = await aRound(1);
    if (!ada) throw new Error("one is in");
    const { clock } = world;
    const began = clock.now;
    await send(world, ada.member, ada.group, "one");
    clock.now -= 3_600_000;
    await send(world, ada.member, ada.group, "two");
    await commit(world, ada.member, ada.group);
    clock.now = began;
    await send(world, ada.member, ada.group, "three");
    const { entries } = await readLog(world, ada.member, ada.group.groupId);
    expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, i) => i + 1));
    const times = entries.map(({ acceptedAt }) => acceptedAt);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it("a newcomer writes before others know of it: everybody reads the commit first", async () => {
    const [ada, ben] = await aRound(2);
    const guest = await aMember();
    if (!ada || !ben) throw new Error("two are in");
    await commit(world, ada.member, ada.group, { proposals: [addOf(await aKeyPackage(guest))] });
    const group = await joinByWelcome(world, guest);
    await send(world, guest, group, "hello");
    const { entries } = await readLog(world, ben.member, ben.group.groupId, ben.read);
    expect(entries.map((entry) => entry.kind)).toEqual(["commit", "application"]);
    for (const { message } of entries) await ben.group.receive(message);
    expect(ben.group.epoch).toBe(group.epoch);
  });

  it("somebody adds a device and is removed first: it brings nobody in", async () => {
    const [ada, ben] = await aRound(2);
    const second = await aMember();
    if (!ada || !ben) throw new Error("two are in");
    const { groupId } = ada.group;
    const adding = await ben.group.commit({ proposals: [addOf(await aKeyPackage(second))] });
    const addition = await bundleBody(ben.group, adding);
    const removal = await remove(ada, ben.group.ownLeafIndex);
    expect((await postCommit(world, ada.member, groupId, removal.body)).status).toBe(201);
    const late = await postCommit(world, ben.member, groupId, addition);
    expect(late.problem.code).toBe("not-found");
    expect(await readInbox(world, second)).toEqual([]);
    const { entries } = await readLog(world, ben.member, groupId, 1);
    expect(entries.map((entry) => entry.kind)).toEqual(["commit"]);
  });

  it("somebody adds a device first and is removed after: the device is in, and may be removed too", async () => {
    const [ada, ben] = await aRound(2);
    const second = await aMember();
    if (!ada || !ben) throw new Error("two are in");
    const { groupId } = ada.group;
    const adding = await ben.group.commit({ proposals: [addOf(await aKeyPackage(second))] });
    const addition = await bundleBody(ben.group, adding);
    const removal = await remove(ada, ben.group.ownLeafIndex);
    expect((await postCommit(world, ben.member, groupId, addition)).status).toBe(201);
    const late = await postCommit(world, ada.member, groupId, removal.body);
    expect(late.problem.code).toBe("wrong-epoch");
    await ada.group.discardPendingCommit();
    await ada.group.receive(adding.commit);
    const again = await remove(ada, ben.group.ownLeafIndex);
    expect((await postCommit(world, ada.member, groupId, again.body)).status).toBe(201);
    await ada.group.receive(again.commit);
    const joined = await joinByWelcome(world, second);
    const { entries } = await readLog(world, second, groupId, joined.epoch === 2n ? 2 : 0);
    for (const { message } of entries) await joined.receive(message);
    expect(joined.epochAuthenticator).toEqual(ada.group.epochAuthenticator);
    expect(ada.group.members()).toHaveLength(2);
  });

  it("who joins by a link takes the epoch from a wish to leave: it is said again, and done", async () => {
    const [ada, ben] = await aRound(2);
    const guest = await aMember();
    if (!ada || !ben) throw new Error("two are in");
    const own = await newLink();
    const linked = await commitLinks(world, ada.member, ada.group, [own]);
    expect(linked.status).toBe(201);
    await catchUp(world, ben);
    const leaving = { proposalType: "remove", removed: ben.group.ownLeafIndex } as const;
    const wish = await ben.group.propose(leaving);
    expect((await postMessage(world, ben.member, ben.group.groupId, wish)).status).toBe(201);
    const { group, body } = await composeJoin(world, guest, own);
    expect((await postCommit(world, guest, group.groupId, body)).status).toBe(201);
    await group.confirm();
    ada.read = 2;
    await catchUp(world, ada);
    ben.read = 3;
    await catchUp(world, ben);
    expect(ada.group.epoch).toBe(group.epoch);
    const again = await ben.group.propose(leaving);
    expect((await postMessage(world, ben.member, ben.group.groupId, again)).status).toBe(201);
    await ada.group.receive(again);
    // A removal closes the links.
    expect((await commitLinks(world, ada.member, ada.group, [])).status).toBe(201);
    const { body: held } = await call(world, "GET", "/v1/groups", { token: ben.member.token });
    expect(held.groups).toMatchObject([{ member: false }]);
  });

  it("two finish one re-initialisation: there is one group", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const groupId = random(16);
    const made = await Promise.all(
      [ada, ben].map(async (member) => postGroup(world, member, await aGroup(member, groupId))),
    );
    expect(made.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409]);
    expect(made.find(({ status }) => status === 409)?.problem.code).toBe("group-exists");
  });
});

/** SQL by which the next such statement fails: in PostgreSQL the connection's process ends. */
function failing(kind: "SQLite" | "PostgreSQL", table: string, change: string): string {
  if (kind === "SQLite") {
    return `CREATE TRIGGER fail_${table} BEFORE ${change} ON ${table}
      BEGIN SELECT RAISE(ROLLBACK, 'as if the process died'); END`;
  }
  return `CREATE FUNCTION fail_${table}() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
    CREATE TRIGGER fail_${table} BEFORE ${change} ON ${table}
      FOR EACH ROW EXECUTE FUNCTION fail_${table}()`;
}

function mended(kind: "SQLite" | "PostgreSQL", table: string): string {
  if (kind === "SQLite") return `DROP TRIGGER fail_${table}`;
  return `DROP TRIGGER fail_${table} ON ${table}; DROP FUNCTION fail_${table}()`;
}
