import {
  localDoorbell,
  openPostgresDoorbell,
  openPostgresStore,
  type PostgresDoorbell,
} from "@conclave/delivery";
import type { Group } from "@conclave/mls";
import { afterAll, beforeAll, expect, it } from "vitest";
import { headOf, seqsOf } from "./carrying.ts";
import { listenReady } from "./listener.ts";
import {
  addAll,
  addOf,
  aKeyPackage,
  bundleBody,
  commit,
  joinByWelcome,
  type Member,
  newMember,
  pathOf,
  postCommit,
  readLog,
  send,
  startGroup,
} from "./member.ts";
import { type PostgresServer, startPostgres } from "./postgres.ts";
import { call, eventually, startWorld, type World } from "./world.ts";

/** The parts of a service that share nothing but the database with those of another. */
interface Process {
  readonly world: World;
  readonly doorbell: PostgresDoorbell | undefined;
}

let server: PostgresServer;
let url: string;
const processes: Process[] = [];

async function aProcess(
  options: Parameters<typeof startWorld>[0] & { readonly deaf?: boolean } = {},
): Promise<World> {
  const { deaf = false, ...rest } = options;
  const doorbell = deaf ? undefined : await openPostgresDoorbell(url);
  const world = await startWorld({
    store: await openPostgresStore(url, { connections: 4 }),
    doorbell: doorbell ?? localDoorbell(),
    ...rest,
  });
  processes.push({ world, doorbell });
  return world;
}

let [a, b, c]: World[] = [];
const at = (world: World | undefined): World => {
  if (world === undefined) throw new Error("it has not started");
  return world;
};
beforeAll(async () => {
  server = await startPostgres();
  url = await server.database();
  [a, b, c] = [await aProcess(), await aProcess(), await aProcess()];
});
afterAll(async () => {
  for (const { world, doorbell } of processes) {
    await world.close();
    await doorbell?.close();
  }
  await server.stop();
});

let count = 0;
const aMember = (world: World): Promise<Member> => newMember(world, `Someone ${++count}`);

it("a device that is connected to one hears of what another accepted", async () => {
  const [ada, ben] = [await aMember(at(a)), await aMember(at(b))];
  const listener = await listenReady(at(c), ben.token);
  const group = await startGroup(at(a), ada);
  await commit(at(a), ada, group, { proposals: [addOf(await aKeyPackage(ben))] });
  await eventually(() => listener.frames.some(({ type }) => type === "inbox"));
  await eventually(() => headOf(listener, group.groupId) === 1);
  const theirs = await joinByWelcome(at(b), ben);
  await send(at(a), ada, group, "hello");
  await eventually(() => headOf(listener, group.groupId) === 2);
  await commit(at(b), ben, theirs);
  await eventually(() => headOf(listener, group.groupId) >= 3);
  expect(headOf(listener, group.groupId)).toBe(3);
  listener.socket.close();
});

it("what one accepted is carried to the sockets of another, which reads it once for all", async () => {
  const [ada, ben] = [await aMember(at(a)), await aMember(at(b))];
  const group = await startGroup(at(a), ada);
  const { groupId } = group;
  await addAll(at(a), { member: ada, group }, [ben]);
  const members = [ada, ada, ben, ben];
  const listeners = await Promise.all(
    members.map(({ token }) => listenReady(at(b), token, { entries: true })),
  );
  const { store } = at(b);
  const newest = store.newest.bind(store);
  let reads = 0;
  store.newest = async (...given) => {
    reads++;
    return newest(...given);
  };
  for (let seq = 2; seq < 7; seq++) {
    if (seq === 4) await commit(at(a), ada, group);
    else await send(at(a), ada, group, "hello");
    for (const listener of listeners) await eventually(() => headOf(listener, groupId) === seq);
  }
  store.newest = newest;
  expect(reads).toBe(5);
  for (const listener of listeners) {
    expect(seqsOf(listener, groupId)).toEqual([2, 3, 4, 5, 6]);
    listener.socket.close();
  }
});

it("a member that another removed, or let in again, is carried nothing that is not for it, though no ring tells of that", async () => {
  const deaf = await aProcess({ deaf: true });
  const [ada, ben, cy] = [await aMember(at(a)), await aMember(at(a)), await aMember(at(a))];
  const group = await startGroup(at(a), ada);
  const { groupId } = group;
  const [bens, cys] = await addAll(at(a), { member: ada, group }, [ben, cy]);
  const [gone, back, staying] = await Promise.all(
    [ben, cy, ada].map(({ token }) => listenReady(deaf, token, { entries: true })),
  );
  if (gone === undefined || back === undefined || staying === undefined) throw new Error("three");
  await send(deaf, ada, group, "all of us");
  const removals = [bens, cys].map((one) => ({
    proposalType: "remove" as const,
    removed: one?.ownLeafIndex ?? 0,
  }));
  await commit(at(a), ada, group, { proposals: removals });
  await send(at(a), ada, group, "without both");
  await commit(at(a), ada, group, { proposals: [addOf(await aKeyPackage(cy))] });
  await send(deaf, ada, group, "without Ben");
  for (const listener of [back, staying]) await eventually(() => headOf(listener, groupId) >= 6);
  await eventually(() => headOf(gone, groupId) === 3);
  await commit(deaf, ada, group);
  for (const listener of [back, staying]) await eventually(() => headOf(listener, groupId) >= 7);
  expect(seqsOf(gone, groupId)).toEqual([2]);
  expect(headOf(gone, groupId)).toBe(3);
  expect(seqsOf(staying, groupId)).toEqual([2, 3, 4, 5, 6, 7]);
  // From its return on, which it may read too.
  expect(seqsOf(back, groupId)).toEqual([2, 5, 6, 7]);
  for (const listener of [gone, back, staying]) listener.socket.close();
});

it("of commits that come through several at once one wins, and all go on from it", async () => {
  const members = await Promise.all([a, b, c].map((world) => aMember(at(world))));
  const [ada, ...others] = members;
  if (ada === undefined) throw new Error("three members");
  const own = await startGroup(at(a), ada);
  const groups: Group[] = [own, ...(await addAll(at(a), { member: ada, group: own }, others))];
  const { groupId } = own;
  for (let round = 0; round < 4; round++) {
    const bundles = await Promise.all(groups.map((group) => group.commit()));
    const bodies = await Promise.all(
      groups.map(async (group, i) => {
        const bundle = bundles[i];
        if (bundle === undefined) throw new Error("each has one");
        return bundleBody(group, bundle);
      }),
    );
    const answers = await Promise.all(
      members.map((member, i) => postCommit(at([a, b, c][i]), member, groupId, bodies[i])),
    );
    const statuses = answers.map(({ status }) => status);
    const winner = statuses.indexOf(201);
    const seq = answers[winner]?.body.seq;
    const refused = { status: 409, problem: { code: "wrong-epoch", winner: { seq } } };
    const lost = answers.filter((_, i) => i !== winner);
    expect(lost).toMatchObject([refused, refused]);
    for (const [i, group] of groups.entries()) {
      if (i !== winner) await group.discardPendingCommit();
      await group.receive(bundles[winner]?.commit ?? new Uint8Array(0));
    }
  }
  const log = await readLog(at(b), ada, groupId);
  const commits = log.entries.filter(({ kind }) => kind === "commit");
  expect(commits.map(({ epoch }) => epoch)).toEqual([0n, 1n, 2n, 3n, 4n]);
});

it("what one holds of a group in memory is no older than what another wrote", async () => {
  const ada = await aMember(at(a));
  const group = await startGroup(at(a), ada);
  for (let round = 0; round < 3; round++) {
    for (const world of [a, b, c]) {
      expect((await commit(at(world), ada, group)).status).toBe(201);
      expect((await send(at(world), ada, group, "hello")).answer.status).toBe(201);
    }
  }
  expect((await readLog(at(c), ada, group.groupId)).entries).toHaveLength(18);
});

it("a commit gets through although messages come through another all the time", async () => {
  const [ada, ben] = [await aMember(at(a)), await aMember(at(b))];
  const group = await startGroup(at(a), ada);
  const [theirs] = await addAll(at(a), { member: ada, group }, [ben]);
  if (theirs === undefined) throw new Error("Ben is in");
  const { store } = at(a);
  const append = store.appendCommit.bind(store);
  let attempts = 0;
  store.appendCommit = async (given) => {
    attempts++;
    // Between the judgement of the commit and its transaction the log gets later each time.
    if (attempts < 5) {
      at(b).clock.now += 1;
      await send(at(b), ben, theirs, "in between");
    }
    return append(given);
  };
  at(b).clock.now = Math.max(at(a).clock.now, at(b).clock.now);
  expect((await commit(at(a), ada, group)).status).toBe(201);
  expect(attempts).toBe(2);
  store.appendCommit = append;
  const { entries } = await readLog(at(b), ben, group.groupId);
  const times = entries.map(({ acceptedAt }) => acceptedAt);
  expect(times).toEqual(times.toSorted((one, other) => one - other));
});

it("a session that ends in one ends in all, its sockets too", async () => {
  const ada = await aMember(at(a));
  const listener = await listenReady(at(b), ada.token);
  expect((await call(at(a), "DELETE", "/v1/sessions", { token: ada.token })).status).toBe(204);
  expect((await call(at(c), "GET", "/v1/groups", { token: ada.token })).status).toBe(401);
  expect(await listener.closed).toBe(4401);
});

it("a session that ends in one ends in all, also where no ring is heard", async () => {
  const deaf = await aProcess({ deaf: true, limits: { heartbeat: 300 } });
  const ada = await aMember(at(a));
  const listener = await listenReady(deaf, ada.token);
  await call(at(a), "DELETE", "/v1/sessions", { token: ada.token });
  expect((await call(deaf, "GET", "/v1/groups", { token: ada.token })).status).toBe(401);
  expect(await listener.closed).toBe(4401);
});

it("what was rung while nobody heard is found, as soon as there are rings again", async () => {
  const [ada, ben] = [await aMember(at(a)), await aMember(at(b))];
  const group = await startGroup(at(a), ada);
  const listeners = [await listenReady(at(b), ada.token), await listenReady(at(c), ben.token)];
  await server.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'conclave-doorbell'",
  );
  await commit(at(a), ada, group, { proposals: [addOf(await aKeyPackage(ben))] });
  for (const listener of listeners) {
    await eventually(() => headOf(listener, group.groupId) >= 1);
    expect(headOf(listener, group.groupId)).toBe(1);
    await eventually(() => listener.frames.some(({ type }) => type === "inbox"));
    listener.socket.close();
  }
});

it("what is sent again is rung for again: who was to ring the first time may have ended", async () => {
  const deaf = await aProcess({ deaf: true });
  const ada = await aMember(at(a));
  const group = await startGroup(at(a), ada);
  const listener = await listenReady(at(c), ada.token);
  const body = await bundleBody(group, await group.commit());
  expect((await postCommit(deaf, ada, group.groupId, body)).body).toMatchObject({ seq: 1 });
  expect((await postCommit(at(b), ada, group.groupId, body)).body).toMatchObject({ seq: 1 });
  await eventually(() => headOf(listener, group.groupId) === 1);
  listener.socket.close();
});

it("what nobody rang for is found after a while", async () => {
  const deaf = await aProcess({ deaf: true, limits: { heartbeat: 300, lookAgain: 1000 } });
  const [ada, ben] = [await aMember(at(a)), await aMember(at(a))];
  const [first, second] = [await startGroup(at(a), ada), await startGroup(at(a), ada)];
  await addAll(at(a), { member: ada, group: second }, [ben]);
  const listener = await listenReady(deaf, ben.token);
  await commit(at(a), ada, first, { proposals: [addOf(await aKeyPackage(ben))] });
  await commit(at(a), ada, second, { proposals: [{ proposalType: "remove", removed: 1 }] });
  deaf.clock.now += 2000;
  await eventually(() => headOf(listener, first.groupId) === 1);
  await eventually(() => headOf(listener, second.groupId) === 2);
  // It is out of the one, and in the other.
  await commit(at(a), ada, second);
  await commit(at(a), ada, first);
  deaf.clock.now += 2000;
  await eventually(() => headOf(listener, first.groupId) === 2);
  expect(headOf(listener, second.groupId)).toBe(2);
  listener.socket.close();
});

it("a database that does not answer is told as unavailable, and the same again is accepted once", async () => {
  const ada = await aMember(at(a));
  const group = await startGroup(at(a), ada);
  const name = new URL(url).pathname.slice(1);
  const message = await group.send(new Uint8Array(3));
  const post = () =>
    call(at(b), "POST", pathOf(group.groupId, "messages"), { token: ada.token, body: message });
  await server.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
  await server.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`,
  );
  const answer = await post();
  expect(answer.problem).toMatchObject({ status: 503, code: "unavailable" });
  expect(answer.headers.get("retry-after")).toBe("1");
  await server.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
  await eventually(async () => (await post()).status === 201);
  expect((await post()).body).toMatchObject({ seq: 1 });
});
