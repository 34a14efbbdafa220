import { request as httpRequest } from "node:http";
import { localDoorbell } from "@conclave/delivery";
import { bytesToText } from "@conclave/delivery/protocol";
import type { Group } from "@conclave/mls";
import { expect, it } from "vitest";
import {
  addOf,
  aKeyPackage,
  commit,
  joinByWelcome,
  type Member,
  newMember,
  pathOf,
  startGroup,
} from "./member.ts";
import { type Answer, call, eventually, random, startWorld, type World } from "./world.ts";

async function worldOf(options: Parameters<typeof startWorld>[0] = {}): Promise<{
  readonly world: World;
  readonly ada: Member;
  readonly group: Group;
  readonly waiting: () => number;
}> {
  let waiting = 0;
  // A wait shows by what it asks the store, before it waits.
  const world = await startWorld(options);
  const log = world.store.log.bind(world.store);
  world.store.log = async (...given) => {
    const page = await log(...given);
    if (page?.entries.length === 0) waiting++;
    return page;
  };
  const ada = await newMember(world, "Ada");
  const group = await startGroup(world, ada);
  return { world, ada, group, waiting: () => waiting };
}

const read = (world: World, { token }: Member, group: Group, query: string): Promise<Answer> =>
  call(world, "GET", pathOf(group.groupId, `log?${query}`), { token });

async function send(world: World, { token }: Member, group: Group): Promise<void> {
  const body = await group.send(random(8));
  await call(world, "POST", pathOf(group.groupId, "messages"), { token, body });
}

it("a log is read when something comes, from the cursor", async () => {
  const { world, ada, group, waiting } = await worldOf();
  const first = read(world, ada, group, "wait=30");
  await eventually(() => waiting() > 0);
  await send(world, ada, group);
  expect((await first).body).toMatchObject({ head: 1, entries: [{ seq: 1 }] });
  // What is there already is waited for by nobody.
  expect((await read(world, ada, group, "after=0&wait=30")).body.entries).toHaveLength(1);
  await world.close();
});

it("what comes between reading and waiting is not missed", async () => {
  const { world, ada, group } = await worldOf();
  const log = world.store.log.bind(world.store);
  let once = true;
  world.store.log = async (...given) => {
    const page = await log(...given);
    if (once) {
      once = false;
      await send(world, ada, group);
    }
    return page;
  };
  expect((await read(world, ada, group, "wait=30")).body.head).toBe(1);
  await world.close();
});

it("who waits for what comes later reads nothing before, and ends when it is out", async () => {
  const { world, ada, group } = await worldOf();
  const ben = await newMember(world, "Ben");
  await commit(world, ada, group, { proposals: [addOf(await aKeyPackage(ben))] });
  const bens = await joinByWelcome(world, ben);
  const log = world.store.log.bind(world.store);
  let reads = 0;
  world.store.log = async (...given) => {
    reads++;
    return log(...given);
  };
  const far = read(world, ben, group, "after=1000&wait=30");
  const next = read(world, ben, group, "after=3&wait=30");
  await eventually(() => reads === 2);
  for (let i = 0; i < 3; i++) await send(world, ada, group);
  expect((await next).body.entries).toMatchObject([{ seq: 4 }]);
  expect(reads).toBe(3);
  const removed = bens.ownLeafIndex;
  await commit(world, ada, group, { proposals: [{ proposalType: "remove", removed }] });
  expect((await far).body).toEqual({ entries: [], head: 5 });
  await world.close();
});

it("an inbox is read when a Welcome comes", async () => {
  const { world, ada, group } = await worldOf();
  const ben = await newMember(world, "Ben");
  let asked = false;
  const inbox = world.store.inbox.bind(world.store);
  world.store.inbox = async (...given) => {
    asked = true;
    return inbox(...given);
  };
  const waiting = call(world, "GET", "/v1/inbox?wait=30", { token: ben.token });
  await eventually(() => asked);
  await commit(world, ada, group, { proposals: [addOf(await aKeyPackage(ben))] });
  expect((await waiting).body.entries).toMatchObject([{ seq: 1 }]);
  await world.close();
});

it("nothing comes: the answer is empty after the time that was asked for, or is allowed", async () => {
  const { world, ada, group } = await worldOf({ limits: { longPoll: 0.05 } });
  for (const query of ["wait=1", "wait=100000", "wait=0"]) {
    expect((await read(world, ada, group, query)).body).toEqual({ entries: [], head: 0 });
  }
  expect((await read(world, ada, group, "wait=-1")).problem.code).toBe("bad-request");
  await world.close();
});

it("who has no part in a group waits for nothing, and who is out reads to its removal", async () => {
  const { world, ada, group } = await worldOf();
  const [ben, eve] = [await newMember(world, "Ben"), await newMember(world, "Eve")];
  expect((await read(world, eve, group, "wait=30")).problem.code).toBe("not-found");
  await commit(world, ada, group, { proposals: [addOf(await aKeyPackage(ben))] });
  const bens = await joinByWelcome(world, ben);
  const removed = bens.ownLeafIndex;
  await commit(world, ada, group, { proposals: [{ proposalType: "remove", removed }] });
  await send(world, ada, group);
  expect((await read(world, ben, group, "after=2&wait=30")).body).toEqual({ entries: [], head: 2 });
  await world.close();
});

it("so many wait in all, and so many of a device; one that goes makes room", async () => {
  const limits = { longPolls: 3, longPollsPerDevice: 2 };
  const { world, ada, group, waiting } = await worldOf({ limits });
  const path = `${world.url}${pathOf(group.groupId, "log?wait=30")}`;
  const headers = { authorization: `Bearer ${ada.token}` };
  const open = [1, 2].map(() => {
    const asking = httpRequest(path, { headers });
    asking.on("error", () => undefined);
    asking.end();
    return asking;
  });
  await eventually(() => waiting() === 2);
  const refused = await read(world, ada, group, "wait=30");
  expect(refused.problem.code).toBe("too-many-requests");
  expect(refused.headers.get("retry-after")).toBe("5");
  const ben = await newMember(world, "Ben");
  const bens = await startGroup(world, ben);
  const third = read(world, ben, bens, "wait=30");
  await eventually(() => waiting() === 3);
  const cem = await newMember(world, "Cem");
  const fourth = await call(world, "GET", "/v1/inbox?wait=30", { token: cem.token });
  expect(fourth.problem.code).toBe("too-many-requests");
  open[0]?.destroy();
  // The client is gone, and its place free.
  const inbox = world.store.inbox.bind(world.store);
  let entered = false;
  world.store.inbox = async (...given) => {
    entered = true;
    return inbox(...given);
  };
  const late = (async () => {
    for (;;) {
      const answer = await call(world, "GET", "/v1/inbox?wait=30", { token: cem.token });
      if (answer.status !== 429) return answer;
    }
  })();
  await eventually(() => entered);
  await send(world, ben, bens);
  expect((await third).body.head).toBe(1);
  await world.server.close();
  expect((await late).body).toEqual({ entries: [] });
  await world.store.close();
});

/** A world in which two of one account, or of one address, may wait, and do. */
async function twoWait(limits: { longPollsPerAccount: number } | { longPollsPerAddress: number }) {
  const { world, ada, group, waiting } = await worldOf({ limits });
  const held = [1, 2].map(() => read(world, ada, group, "wait=30"));
  await eventually(() => waiting() === 2);
  expect((await read(world, ada, group, "wait=30")).problem.code).toBe("too-many-requests");
  // Who reads what is there waits for nothing.
  expect((await read(world, ada, group, "")).status).toBe(200);
  const ben = await newMember(world, "Ben");
  const bens = read(world, ben, await startGroup(world, ben), "wait=30");
  const end = async (): Promise<void> => {
    await world.server.close();
    await Promise.all([...held, bens]);
    await world.store.close();
  };
  return { bens, waiting, end };
}

it("so many of one account wait, and others beside them", async () => {
  const { bens, waiting, end } = await twoWait({ longPollsPerAccount: 2 });
  await eventually(() => waiting() === 4);
  await end();
  expect((await bens).status).toBe(200);
});

it("so many from one address wait, whatever accounts they are of", async () => {
  const { bens, end } = await twoWait({ longPollsPerAddress: 2 });
  expect((await bens).status).toBe(429);
  await end();
});

it("a session that ends ends its waiting", async () => {
  const { world, ada, group, waiting } = await worldOf();
  const one = read(world, ada, group, "wait=30");
  await eventually(() => waiting() === 1);
  await call(world, "DELETE", "/v1/sessions", { token: ada.token });
  expect((await one).problem.code).toBe("not-signed-in");
  await world.close();
});

it("a session that ended without a word of it ends its waiting when everything is looked at", async () => {
  const doorbell = localDoorbell();
  const { world, ada, group, waiting } = await worldOf({ doorbell });
  const answer = read(world, ada, group, "wait=30");
  await eventually(() => waiting() > 0);
  // By a command beside a service on SQLite, which rings for everything.
  await world.store.setDisabled(ada.person.accountId, Date.now());
  doorbell.ring({ type: "all" });
  expect((await answer).problem.code).toBe("not-signed-in");
  await world.close();
});

it("a service that shuts down answers those who wait with what there is", async () => {
  const { world, ada, group, waiting } = await worldOf();
  const one = read(world, ada, group, "wait=30");
  await eventually(() => waiting() === 1);
  await world.server.close();
  expect((await one).body).toEqual({ entries: [], head: 0 });
  await world.store.close();
});

it("ids in a path that are no group's are like those of groups one is not in", async () => {
  const { world, ada } = await worldOf();
  const nowhere = `/v1/groups/${bytesToText(random(16))}/log?wait=30`;
  expect((await call(world, "GET", nowhere, { token: ada.token })).problem.code).toBe("not-found");
  await world.close();
});
