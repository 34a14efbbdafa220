/** Two processes of the command over one PostgreSQL, as they run: nothing is shared but the database. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommitBundle } from "@conclave/mls";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort } from "../../../../scripts/free-port.ts";
import { type Listener, listenReady } from "../listener.ts";
import {
  addAll,
  addOf,
  aKeyPackage,
  bundleBody,
  commit,
  joinByWelcome,
  newMember,
  postCommit,
  postMessage,
  readLog,
  send,
  startGroup,
} from "../member.ts";
import { type PostgresServer, startPostgres } from "../postgres.ts";
import { type Answer, type Bytes, call, eventually, ORIGIN } from "../world.ts";
import { type Running, startCommand } from "./process.ts";

interface Service extends Running {
  readonly url: string;
}

let postgres: PostgresServer;
let database: string;
let folder: string;
let [a, b]: Service[] = [];

async function aService(): Promise<Service> {
  const port = await freePort();
  const running = await startCommand({
    CONCLAVE_PUBLIC_ORIGIN: ORIGIN,
    CONCLAVE_LISTEN: `127.0.0.1:${port}`,
    CONCLAVE_CONTACT: "open",
    CONCLAVE_DATA: folder,
    CONCLAVE_DATABASE_URL: database,
  });
  return { ...running, url: `http://127.0.0.1:${port}` };
}

/** Both, while they run. */
function both(): readonly [Service, Service] {
  if (a === undefined || b === undefined) throw new Error("they have not started");
  return [a, b];
}

beforeAll(async () => {
  postgres = await startPostgres();
  database = await postgres.database();
  folder = await mkdtemp(join(tmpdir(), "processes-"));
  [a, b] = await Promise.all([aService(), aService()]);
});
afterAll(async () => {
  for (const one of [a, b]) one?.child.kill("SIGKILL");
  await Promise.all([a?.ended, b?.ended]);
  await postgres.stop();
  await rm(folder, { recursive: true });
});

function headOf({ frames }: Listener, groupId: Bytes): number {
  const heads = frames.flatMap((frame) =>
    frame.type === "group" && Buffer.compare(frame.groupId, groupId) === 0 ? [frame.head] : [],
  );
  return Math.max(-1, ...heads);
}

it("a member that is connected to either gets all that any of them accepts", async () => {
  const [first, second] = both();
  expect(first.child.pid).not.toBe(second.child.pid);
  const [ada, ben] = [await newMember(first, "Ada"), await newMember(second, "Ben")];
  const adas = await startGroup(first, ada);
  const { groupId } = adas;
  const sockets = [await listenReady(second, ada.token), await listenReady(first, ben.token)];
  const [, bensSocket] = sockets;
  await commit(first, ada, adas, { proposals: [addOf(await aKeyPackage(ben))] });
  await eventually(() => bensSocket?.frames.some(({ type }) => type === "inbox") === true);
  const bens = await joinByWelcome(second, ben);
  const sent: Bytes[] = [];
  for (let i = 0; i < 6; i++) {
    // Each through either.
    sent.push((await send([first, second][i % 2] ?? first, ada, adas, `Ada ${i}`)).message);
    sent.push((await send([first, second][(i + 1) % 2] ?? first, ben, bens, `Ben ${i}`)).message);
  }
  for (const socket of sockets) await eventually(() => headOf(socket, groupId) === 13);
  for (const place of [first, second]) {
    for (const member of [ada, ben]) {
      const { entries } = await readLog(place, member, groupId, 1);
      expect(entries.map(({ message }) => message)).toEqual(sent);
    }
  }
  for (const { socket } of sockets) socket.close();
});

it("of two commits that come through both at once one wins, and the other is told of it", async () => {
  const [first, second] = both();
  const [ada, ben] = [await newMember(first, "Ada Two"), await newMember(second, "Ben Two")];
  const adas = await startGroup(first, ada);
  const [bens] = await addAll(first, { member: ada, group: adas }, [ben]);
  if (bens === undefined) throw new Error("Ben is in");
  for (let round = 0; round < 4; round++) {
    const adasBundle: CommitBundle = await adas.commit();
    const bensBundle: CommitBundle = await bens.commit();
    const answers: readonly Answer[] = await Promise.all([
      bundleBody(adas, adasBundle).then((body) => postCommit(first, ada, adas.groupId, body)),
      bundleBody(bens, bensBundle).then((body) => postCommit(second, ben, bens.groupId, body)),
    ]);
    const won = answers.findIndex(({ status }) => status === 201);
    const lost = answers[1 - won];
    expect(lost?.problem).toMatchObject({
      code: "wrong-epoch",
      winner: { seq: answers[won]?.body.seq },
    });
    await [adas, bens][1 - won]?.discardPendingCommit();
    const { commit: winner } = won === 0 ? adasBundle : bensBundle;
    for (const group of [adas, bens]) await group.receive(winner);
  }
  expect(adas.epochAuthenticator).toEqual(bens.epochAuthenticator);
});

it("a session that ends in one ends in the other, its socket too", async () => {
  const [first, second] = both();
  const ada = await newMember(first, "Ada Three");
  const socket = await listenReady(second, ada.token);
  expect((await call(first, "DELETE", "/v1/sessions", { token: ada.token })).status).toBe(204);
  expect((await call(second, "GET", "/v1/groups", { token: ada.token })).status).toBe(401);
  expect(await socket.closed).toBe(4401);
});

it("what one acknowledged before it was killed is there in the other, and taken once", async () => {
  const [first, second] = both();
  const ada = await newMember(first, "Ada Four");
  const group = await startGroup(second, ada);
  const { answer, message } = await send(second, ada, group, "before the end");
  expect(answer.status).toBe(201);
  second.child.kill("SIGKILL");
  await second.ended;
  const again = await postMessage(first, ada, group.groupId, message);
  expect([again.status, again.body]).toEqual([201, answer.body]);
  b = await aService();
  await send(b, ada, group, "through its successor");
  expect((await readLog(first, ada, group.groupId)).entries.map(({ seq }) => seq)).toEqual([1, 2]);
});
