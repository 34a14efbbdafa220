import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { localDoorbell, openSqliteStore, type Store } from "@conclave/delivery";
import type { Group } from "@conclave/mls";
import { expect, it } from "vitest";
import { carriedTo, framesOf, headOf, seqsOf } from "./carrying.ts";
import { listenReady } from "./listener.ts";
import {
  addAll,
  addOf,
  aKeyPackage,
  bundleBody,
  commit,
  type Member,
  newMember,
  postCommit,
  postMessage,
  readLog,
  send,
  startGroup,
} from "./member.ts";
import { type Bytes, eventually, startWorld, type World } from "./world.ts";

/** A store that is another from some moment on, as the name of a database is after a fail-over. */
function switching(first: Store): {
  readonly store: Store;
  readonly switchTo: (next: Store) => void;
} {
  let current = first;
  const store = new Proxy(first, {
    get(_, name) {
      const value: unknown = Reflect.get(current, name);
      return typeof value === "function" ? value.bind(current) : value;
    },
  });
  return {
    store,
    switchTo(next) {
      current = next;
    },
  };
}

interface Change {
  readonly what: string;
  /** Makes it, and gives what the other members receive. */
  readonly make: (place: World, member: Member, group: Group) => Promise<Bytes>;
}

const CHANGES: readonly Change[] = [
  {
    what: "a commit",
    async make(place, member, group) {
      const bundle = await group.commit();
      const body = await bundleBody(group, bundle);
      expect((await postCommit(place, member, group.groupId, body)).status).toBe(201);
      return bundle.commit;
    },
  },
  {
    what: "a proposal",
    async make(place, member, group) {
      const leave = { proposalType: "remove", removed: group.ownLeafIndex } as const;
      const proposal = await group.propose(leave);
      expect((await postMessage(place, member, group.groupId, proposal)).status).toBe(201);
      return proposal;
    },
  },
];

/** A primary whose standby is as it is now, and a process over whichever of the two is in charge. */
async function replicated(primary: World) {
  const copy = join(primary.file, "..", "standby.sqlite");
  new DatabaseSync(primary.file).exec(`VACUUM INTO '${copy}'`);
  const standby = openSqliteStore(copy);
  const { store, switchTo } = switching(primary.store);
  const doorbell = localDoorbell();
  const process = await startWorld({ store, keepStore: true, doorbell });
  return {
    standby,
    process,
    /** The primary is lost, and what the standby lacks. */
    failOver: () => switchTo(standby),
    /** As a doorbell rings that has found the next primary. */
    ring: () => doorbell.ring({ type: "all" }),
    close: async (): Promise<void> => {
      await process.close();
      await standby.close();
      await primary.close();
    },
  };
}

/** Ada's group, with Ben and Cem in it. */
async function groupOfThree(primary: World) {
  const [ada, ben, cem] = [
    await newMember(primary, "Ada"),
    await newMember(primary, "Ben"),
    await newMember(primary, "Cem"),
  ];
  const adas = await startGroup(primary, ada);
  const [bens, cems] = await addAll(primary, { member: ada, group: adas }, [ben, cem]);
  if (bens === undefined || cems === undefined) throw new Error("both are in");
  return { ada, ben, cem, adas, bens, cems, groupId: adas.groupId };
}

for (const { what, make } of CHANGES) {
  it(`a process that knows ${what} of a branch that is lost judges by the one that went on`, async () => {
    const primary = await startWorld();
    const { ada, ben, cem, adas, bens, cems } = await groupOfThree(primary);
    const { standby, process, failOver, close } = await replicated(primary);
    const second = await startWorld({ store: standby, keepStore: true });
    // Accepted by the primary alone, which is lost; on the standby as much happens as did there.
    await make(process, ben, bens);
    failOver();
    await adas.receive(await make(second, cem, cems));
    expect((await commit(process, ada, adas)).status).toBe(201);
    await second.close();
    await close();
  });
}

it("sockets that heard of a branch that is lost hear of the one that goes on, and are brought what its log has", async () => {
  const primary = await startWorld();
  const { ada, ben, adas, groupId } = await groupOfThree(primary);
  const { process, failOver, ring, close } = await replicated(primary);
  const bens = await listenReady(process, ben.token, { entries: true });
  const plain = await listenReady(process, ben.token);
  for (const text of ["lost", "lost too", "and this"]) await send(process, ada, adas, text);
  await eventually(() => headOf(bens, groupId) === 4 && headOf(plain, groupId) === 4);
  const lost = carriedTo(bens, groupId);
  expect(seqsOf(bens, groupId)).toEqual([2, 3, 4]);

  failOver();
  ring();
  await eventually(() => framesOf(bens, groupId).at(-1)?.head === 1);
  await eventually(() => framesOf(plain, groupId).at(-1)?.head === 1);
  for (const text of ["one", "two", "three", "four"]) await send(process, ada, adas, text);
  await eventually(() => framesOf(bens, groupId).at(-1)?.head === 5);
  await eventually(() => framesOf(plain, groupId).at(-1)?.head === 5);
  const { entries } = await readLog(process, ben, groupId, 1);
  expect(entries.map(({ seq }) => seq)).toEqual([2, 3, 4, 5]);
  expect(carriedTo(bens, groupId)).toEqual([...lost, ...entries]);
  await close();
});

it("who was removed on a branch that is lost hears on, and is brought nothing by what is known of its epochs", async () => {
  const primary = await startWorld();
  const { ada, ben, cem, adas, bens, cems, groupId } = await groupOfThree(primary);
  const { process, failOver, ring, close } = await replicated(primary);
  const listener = await listenReady(process, ben.token, { entries: true });
  // Whoever stays knows the epochs of the lost branch.
  const staying = await listenReady(process, cem.token, { entries: true });
  for (const text of ["lost", "lost too", "and this"]) await send(process, ada, adas, text);
  const remove = { proposalType: "remove", removed: bens.ownLeafIndex } as const;
  await commit(process, ada, adas, { proposals: [remove] });
  await eventually(() => headOf(listener, groupId) === 5);
  await eventually(() => headOf(staying, groupId) === 5);

  failOver();
  ring();
  await eventually(() => framesOf(listener, groupId).at(-1)?.head === 1);
  await send(process, cem, cems, "with Ben");
  await eventually(() => framesOf(listener, groupId).at(-1)?.head === 2);
  await commit(process, cem, cems, { proposals: [remove] });
  await send(process, cem, cems, "without Ben");
  // In a place that the lost branch went past.
  await commit(process, cem, cems, { proposals: [addOf(await aKeyPackage(ben))] });
  await send(process, cem, cems, "with Ben again");
  await eventually(() => framesOf(listener, groupId).at(-1)?.head === 6);
  const { entries } = await readLog(process, ben, groupId, 1);
  expect(entries.map(({ seq }) => seq)).toEqual([2, 3, 5, 6]);
  const carried = carriedTo(listener, groupId).slice(4);
  expect(entries).toEqual(expect.arrayContaining([...carried]));
  expect(carried.map(({ seq }) => seq)).toEqual(expect.arrayContaining([2, 3, 6]));
  await close();
});
