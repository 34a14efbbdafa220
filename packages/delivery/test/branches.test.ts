import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openSqliteStore, type Store } from "@conclave/delivery";
import type { Group } from "@conclave/mls";
import { expect, it } from "vitest";
import {
  addAll,
  bundleBody,
  commit,
  type Member,
  newMember,
  postCommit,
  postMessage,
  startGroup,
} from "./member.ts";
import { type Bytes, startWorld, type World } from "./world.ts";

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

for (const { what, make } of CHANGES) {
  it(`a process that knows ${what} of a branch that is lost judges by the one that went on`, async () => {
    const primary = await startWorld();
    const [ada, ben, cem] = [
      await newMember(primary, "Ada"),
      await newMember(primary, "Ben"),
      await newMember(primary, "Cem"),
    ];
    const adas = await startGroup(primary, ada);
    const [bens, cems] = await addAll(primary, { member: ada, group: adas }, [ben, cem]);
    if (bens === undefined || cems === undefined) throw new Error("both are in");
    const copy = join(primary.file, "..", "standby.sqlite");
    new DatabaseSync(primary.file).exec(`VACUUM INTO '${copy}'`);
    const standby = openSqliteStore(copy);

    const { store, switchTo } = switching(primary.store);
    const first = await startWorld({ store, keepStore: true });
    const second = await startWorld({ store: standby, keepStore: true });
    // Accepted by the primary alone, which is lost; on the standby as much happens as did there.
    await make(first, ben, bens);
    switchTo(standby);
    await adas.receive(await make(second, cem, cems));
    expect((await commit(first, ada, adas)).status).toBe(201);

    await first.close();
    await second.close();
    await standby.close();
    await primary.close();
  });
}
