import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  localDoorbell,
  openPostgresStore,
  openSqliteStore,
  type Ring,
  type Store,
} from "@conclave/delivery";
import { bytesToText } from "@conclave/delivery/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { carriedTo, framesOf, headOf, seqsOf } from "./carrying.ts";
import { type Listener, listenReady } from "./listener.ts";
import {
  addAll,
  addOf,
  aKeyPackage,
  commit,
  joinByWelcome,
  type Member,
  newMember,
  readLog,
  send,
  startGroup,
} from "./member.ts";
import { type PostgresServer, startPostgres } from "./postgres.ts";
import { eventually, startWorld, type World } from "./world.ts";

const WANTED = { entries: true };
/** In bytes, as it stands in the frame. */
const FRAME = 4096;

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

const STORES: readonly (readonly [string, () => Promise<Store | undefined>])[] = [
  ["SQLite", async () => undefined],
  ["PostgreSQL", async () => openPostgresStore(await server.database(), { connections: 4 })],
];

describe.each(STORES)("over %s, a doorbell", (_, open) => {
  let world: World;
  beforeAll(async () => {
    const store = await open();
    world = await startWorld({ ...(store && { store }), limits: { frameEntryBytes: FRAME } });
  });
  afterAll(() => world.close());

  let count = 0;
  const aMember = (): Promise<Member> => newMember(world, `Someone ${++count}`);
  const listening = ({ token }: Member): Promise<Listener> => listenReady(world, token, WANTED);
  const remove = (removed: number) => ({
    proposals: [{ proposalType: "remove", removed } as const],
  });

  it("carries what is new to members who want that, and to no others", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    await addAll(world, { member: ada, group }, [ben]);
    const { groupId } = group;
    const [adas, bens, plain] = [
      await listening(ada),
      await listening(ben),
      await listenReady(world, ben.token),
    ];
    await send(world, ada, group, "one");
    await commit(world, ada, group);
    await send(world, ada, group, "two");
    for (const listener of [adas, bens, plain]) {
      await eventually(() => headOf(listener, groupId) === 4);
    }
    const { entries } = await readLog(world, ben, groupId, 1);
    expect(entries.map(({ kind }) => kind)).toEqual(["application", "commit", "application"]);
    expect(carriedTo(adas, groupId)).toEqual(entries);
    expect(carriedTo(bens, groupId)).toEqual(entries);
    expect(framesOf(plain, groupId).every((frame) => !("entries" in frame))).toBe(true);
  });

  it("brings the removed the commit that removes them, and nothing later", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const [theirs] = await addAll(world, { member: ada, group }, [ben]);
    const { groupId } = group;
    const [adas, bens] = [await listening(ada), await listening(ben)];
    await send(world, ada, group, "with Ben");
    await commit(world, ada, group, remove(theirs?.ownLeafIndex ?? 0));
    await send(world, ada, group, "without Ben");
    await commit(world, ada, group);
    await eventually(() => seqsOf(adas, groupId).includes(5));
    // What is said later has arrived, so what was said before has too.
    const other = await startGroup(world, ben);
    await send(world, ben, other, "alone");
    await eventually(() => headOf(bens, other.groupId) === 1);
    expect(seqsOf(adas, groupId)).toEqual([2, 3, 4, 5]);
    expect(seqsOf(bens, groupId)).toEqual([2, 3]);
    expect(headOf(bens, groupId)).toBe(3);
  });

  it("brings the added nothing from before, and all from then on", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const { groupId } = group;
    const [adas, bens] = [await listening(ada), await listening(ben)];
    await send(world, ada, group, "before");
    await commit(world, ada, group, { proposals: [addOf(await aKeyPackage(ben))] });
    const theirs = await joinByWelcome(world, ben);
    await send(world, ada, group, "after");
    await send(world, ben, theirs, "me too");
    await eventually(() => seqsOf(adas, groupId).includes(4));
    await eventually(() => seqsOf(bens, groupId).includes(4));
    expect(seqsOf(adas, groupId)).toEqual([1, 2, 3, 4]);
    expect(seqsOf(bens, groupId)).toEqual([3, 4]);
    expect(headOf(bens, groupId)).toBe(4);
  });

  it("brings who comes back nothing of what was said meanwhile", async () => {
    const [ada, ben] = [await aMember(), await aMember()];
    const group = await startGroup(world, ada);
    const [theirs] = await addAll(world, { member: ada, group }, [ben]);
    const { groupId } = group;
    const bens = await listening(ben);
    await commit(world, ada, group, remove(theirs?.ownLeafIndex ?? 0));
    await send(world, ada, group, "without Ben");
    await commit(world, ada, group, { proposals: [addOf(await aKeyPackage(ben))] });
    await send(world, ada, group, "welcome back");
    await eventually(() => seqsOf(bens, groupId).includes(5));
    expect(seqsOf(bens, groupId)).toEqual([2, 5]);
  });

  it("only tells of what is too large, and carries what follows", async () => {
    const ada = await aMember();
    const group = await startGroup(world, ada);
    const { groupId } = group;
    const adas = await listening(ada);
    await send(world, ada, group, "small");
    await eventually(() => headOf(adas, groupId) === 1);
    await send(world, ada, group, "x".repeat(FRAME));
    await eventually(() => headOf(adas, groupId) === 2);
    await send(world, ada, group, "small again");
    await eventually(() => headOf(adas, groupId) === 3);
    expect(seqsOf(adas, groupId)).toEqual([1, 3]);
  });

  it("takes several frames for what does not fit in one, and leaves none out", async () => {
    const ada = await aMember();
    const group = await startGroup(world, ada);
    const { groupId } = group;
    const adas = await listening(ada);
    const texts = Array.from({ length: 12 }, (__, i) => `${i}`.repeat(500));
    const messages = await Promise.all(texts.map((text) => group.send(Buffer.from(text).slice())));
    await Promise.all(
      messages.map((body) =>
        fetch(`${world.url}/v1/groups/${Buffer.from(groupId).toString("base64url")}/messages`, {
          method: "POST",
          headers: { authorization: `Bearer ${ada.token}`, "content-type": "message/mls" },
          body: new Uint8Array(body),
        }),
      ),
    );
    await eventually(() => headOf(adas, groupId) === 12);
    expect(carriedTo(adas, groupId)).toEqual((await readLog(world, ada, groupId)).entries);
    for (const frame of framesOf(adas, groupId)) {
      expect(
        JSON.stringify(
          frame.entries?.map(({ message }) => Buffer.from(message).toString("base64url")) ?? [],
        ).length,
      ).toBeLessThanOrEqual(FRAME);
      expect(frame.head).toBe(frame.entries?.at(-1)?.seq);
    }
  });
});

describe("a doorbell that carries entries", () => {
  it("only rings for a reader that is slow, and keeps nothing for it", async () => {
    const world = await startWorld();
    const ada = await newMember(world, "Ada");
    const group = await startGroup(world, ada);
    const { groupId } = group;
    const [slow, quick] = [
      await listenReady(world, ada.token, WANTED),
      await listenReady(world, ada.token, WANTED),
    ];
    slow.socket.pause();
    const text = "x".repeat(16 * 1024);
    // What the connection itself holds, in both systems' buffers, and what is kept of the log.
    for (let sent = 0; world.service.status().backlog === 0 || sent < 50; sent++) {
      await send(world, ada, group, text);
    }
    for (let i = 0; i < 20; i++) await send(world, ada, group, text);
    const { head } = await readLog(world, ada, groupId, 1_000_000);
    await eventually(() => headOf(quick, groupId) === head);
    expect(world.service.status().backlog).toBe(1);
    slow.socket.resume();
    await eventually(() => headOf(slow, groupId) === head);
    const [all, some] = [seqsOf(quick, groupId), seqsOf(slow, groupId)];
    expect(all).toHaveLength(head);
    expect(some.length).toBeLessThan(head - 10);
    await send(world, ada, group, "goes on");
    await eventually(() => seqsOf(slow, groupId).includes(head + 1));
    await world.close();
  }, 30_000);

  it("waits for what is missing in between, and reads it once for all", async () => {
    const doorbell = localDoorbell();
    const folder = await mkdtemp(join(tmpdir(), "delivery-"));
    const store = openSqliteStore(join(folder, "store"));
    const here = await startWorld({ store, keepStore: true, doorbell });
    // Another process, whose rings are lost.
    const there = await startWorld({ store, keepStore: true });
    const ada = await newMember(here, "Ada");
    const group = await startGroup(here, ada);
    const { groupId } = group;
    const listeners = await Promise.all(
      Array.from({ length: 5 }, () => listenReady(here, ada.token, WANTED)),
    );
    let reads = 0;
    const newest = store.newest.bind(store);
    store.newest = async (...given) => {
      reads++;
      return newest(...given);
    };
    await send(here, ada, group, "one");
    await send(there, ada, group, "two");
    await send(here, ada, group, "three");
    for (const listener of listeners) {
      await eventually(() => headOf(listener, groupId) === 3);
      expect(seqsOf(listener, groupId)).toEqual([1, 2, 3]);
    }
    expect(reads).toBe(1);
    // Where the store does not answer they are told of the head.
    store.newest = async () => Promise.reject(new Error("no answer"));
    await send(there, ada, group, "four");
    await send(here, ada, group, "five");
    for (const listener of listeners) {
      await eventually(() => headOf(listener, groupId) === 5);
      expect(seqsOf(listener, groupId)).toEqual([1, 2, 3]);
    }
    await there.close();
    await here.close();
    await store.close();
    await rm(folder, { recursive: true });
  });

  it("carries nothing while nobody can say who is a member", async () => {
    const folder = await mkdtemp(join(tmpdir(), "delivery-"));
    const store = openSqliteStore(join(folder, "store"));
    const here = await startWorld({ store, keepStore: true });
    const there = await startWorld({ store, keepStore: true });
    const [ada, ben] = [await newMember(here, "Ada"), await newMember(here, "Ben")];
    const group = await startGroup(here, ada);
    const { groupId } = group;
    const [theirs] = await addAll(here, { member: ada, group }, [ben]);
    const listeners = await Promise.all(
      [ada, ben].map(({ token }) => listenReady(here, token, WANTED)),
    );
    const removed = theirs?.ownLeafIndex ?? 0;
    await commit(there, ada, group, { proposals: [{ proposalType: "remove", removed }] });
    const membersAmong = store.membersAmong.bind(store);
    store.membersAmong = async () => Promise.reject(new Error("no answer"));
    await send(here, ada, group, "without Ben");
    for (const listener of listeners) {
      await eventually(() => headOf(listener, groupId) === 3);
      expect(seqsOf(listener, groupId)).toEqual([]);
    }
    store.membersAmong = membersAmong;
    await send(here, ada, group, "still without Ben");
    const [adas, bens] = listeners as [Listener, Listener];
    await eventually(() => headOf(adas, groupId) === 4);
    expect(seqsOf(adas, groupId)).toEqual([4]);
    expect(framesOf(bens, groupId)).toEqual([{ type: "group", groupId, head: 3 }]);
    await there.close();
    await here.close();
    await store.close();
    await rm(folder, { recursive: true });
  });

  it.each([1, 2, 3, 4])(
    "brings nobody what the log does not show it, whichever rings are lost or late (%i)",
    async (seed) => {
      const next = numbers(seed);
      const chance = (of: number): boolean => next() < of;
      const pause = (): Promise<void> =>
        new Promise((resolve) => setTimeout(resolve, next() < 0.5 ? 0 : 4 * next()));
      const folder = await mkdtemp(join(tmpdir(), "delivery-"));
      const store = openSqliteStore(join(folder, "store"));
      // As far away as another machine's.
      const slowly =
        <A extends unknown[], R>(read: (...given: A) => Promise<R>) =>
        async (...given: A): Promise<R> => {
          await pause();
          const answer = await read(...given);
          await pause();
          return answer;
        };
      store.newest = slowly(store.newest.bind(store));
      store.membersAmong = slowly(store.membersAmong.bind(store));
      store.currentGroupsOf = slowly(store.currentGroupsOf.bind(store));
      const bells = [localDoorbell(), localDoorbell()];
      const worlds = await Promise.all(
        bells.map((own, i) => {
          const ring = (heard: Ring): void => {
            own.ring(heard);
            if (heard.type !== "group" || chance(0.3)) return;
            const { entry: _, ...rest } = heard;
            setTimeout(() => bells[1 - i]?.ring(rest), 30 * next());
          };
          const limits = { frameEntryBytes: FRAME };
          return startWorld({ store, keepStore: true, doorbell: { ...own, ring }, limits });
        }),
      );
      const anyWorld = (): World => worlds[chance(0.5) ? 0 : 1] as World;
      const members: Member[] = [];
      for (const name of ["Ada", "Ben", "Cy", "Dee", "Eli"]) {
        members.push(await newMember(anyWorld(), name));
      }
      const [ada, ...others] = members as [Member, ...Member[]];
      const group = await startGroup(anyWorld(), ada);
      const listeners = await Promise.all(
        members.map(({ token }) => listenReady(anyWorld(), token, WANTED)),
      );
      const leafOf = ({ person }: Member) =>
        group.members().find(({ leafNode }) => bytesToText(leafNode.signatureKey) === keyOf(person))
          ?.leafIndex;
      const keyOf = ({ signatureKey }: Member["person"]) => bytesToText(signatureKey.publicKey);
      for (let step = 0; step < 50; step++) {
        const other = others[Math.floor(next() * others.length)] as Member;
        const removed = leafOf(other);
        if (chance(0.6)) await send(anyWorld(), ada, group, `step ${step}`);
        else if (removed === undefined) {
          await commit(anyWorld(), ada, group, { proposals: [addOf(await aKeyPackage(other))] });
        } else {
          await commit(anyWorld(), ada, group, {
            proposals: [{ proposalType: "remove", removed }],
          });
        }
        if (chance(0.5)) await pause();
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
      let carried = 0;
      for (const [i, listener] of listeners.entries()) {
        const key = (members[i] as Member).person.signatureKey.publicKey;
        const [device] = await store.devicesBySignatureKey([key]);
        const page = { after: 0, limit: 200, bytes: 1_000_000 };
        const shown = (await store.log(group.groupId, device?.device ?? -1, page))?.entries ?? [];
        const entries = carriedTo(listener, group.groupId);
        carried += entries.length;
        expect(shown).toEqual(expect.arrayContaining([...entries]));
        expect(seqsOf(listener, group.groupId)).toEqual(
          [...new Set(seqsOf(listener, group.groupId))].toSorted((one, two) => one - two),
        );
      }
      expect(carried).toBeGreaterThan(50);
      for (const world of worlds) await world.close();
      await store.close();
      await rm(folder, { recursive: true });
    },
    30_000,
  );
});

/** Numbers from 0 to 1 that look random and are the same each time. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
