import { describe, expect, it } from "vitest";
import { conclave } from "../conclave.ts";
import {
  type Change,
  type Client,
  hex,
  type Library,
  type Member,
  utf8,
  type Wire,
} from "../member.ts";
import { Room } from "../room.ts";
import { SHARED_SUITES } from "../suites.ts";
import { tsMls } from "../ts-mls.ts";

const PSK = utf8("a key from elsewhere");
const EXTENSION = 0xf0c1;

/** Numbers below `below`, the same for the same seed (mulberry32). */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** A group of up to `people` members that lives through `steps` changes, drawn from `seed`. */
async function walk(options: {
  readonly suite: number;
  readonly founder: Library;
  readonly people: number;
  readonly steps: number;
  readonly seed: number;
}): Promise<void> {
  const { suite, people, steps, founder } = options;
  const roll = dice(options.seed);
  const pick = <T>(from: readonly T[]): T => {
    const one = from[roll(from.length)];
    if (one === undefined) throw new Error("nothing to pick from");
    return one;
  };
  const other = founder === conclave ? tsMls : conclave;
  const setting = {
    suite,
    extensions: [EXTENSION],
    psks: new Map([[hex(PSK), utf8("what all of them know already")]]),
  };
  const clients = await Promise.all(
    Array.from({ length: people }, (_, i) =>
      (i % 2 === 0 ? founder : other).client(`m${i}`, setting),
    ),
  );
  const [first, second] = clients;
  if (!first || !second) throw new Error("nobody");
  const room = await Room.found(first);
  const wire = (): Wire => pick(["public", "private"]);
  const where = (): "inside" | "beside" => pick(["inside", "beside"]);
  const absent = (): Client[] =>
    clients.filter((client) => !room.members.some((member) => member.client === client));
  /** Some of them, at most `most`. */
  const some = <T>(from: readonly T[], most: number): T[] => {
    const left = [...from];
    const count = Math.min(1 + roll(most), left.length);
    return Array.from({ length: count }, () => left.splice(roll(left.length), 1)).flat();
  };
  await room.add(room.of(first.name), [second], { wire: "public" });

  /** Each gives false where it is not possible now. */
  const moves: Record<string, (by: Member) => Promise<boolean>> = {
    refresh: async (by) => {
      await room.commit(by, [], { wire: wire() });
      return true;
    },
    "add by value": async (by) => {
      const joining = some(absent(), 3);
      if (joining.length === 0) return false;
      await room.add(by, joining, { wire: wire(), tree: where() });
      return true;
    },
    "add by reference": async (by) => {
      const joining = some(absent(), 2);
      if (joining.length === 0) return false;
      for (const client of joining) {
        const proposer = pick(room.members);
        const keyPackage = await client.keyPackage();
        await room.propose(proposer, { type: "add", keyPackage }, wire());
      }
      await room.commit(by, [], { wire: wire(), tree: where(), joining });
      return true;
    },
    remove: async (by) => {
      // One of ours stays, who can remove a single member.
      const keeper = room.members.find(({ client }) => client.library === conclave);
      const others = room.members.filter((member) => member !== by && member !== keeper);
      const one = by.client.library.can.has("commit one Remove");
      const gone = one ? some(others, 2) : some(others, 1).concat(some(others, 1));
      if (room.members.length < gone.length + 2 || new Set(gone).size < (one ? 1 : 2)) return false;
      const changes: Change[] = gone.map((member) => ({ type: "remove", leaf: member.leaf() }));
      const staying = room.members.filter((member) => member !== by && !gone.includes(member));
      const proposer = pick(staying);
      if (roll(2) === 1) await room.commit(by, changes, { wire: wire() });
      else {
        for (const change of changes) await room.propose(proposer, change, wire());
        await room.commit(by, [], { wire: wire() });
      }
      return true;
    },
    update: async (by) => {
      if (!by.client.library.can.has("commit an Update")) return false;
      const others = some(
        room.members.filter((member) => member !== by),
        3,
      );
      for (const member of others) await room.propose(member, { type: "update" }, wire());
      await room.commit(by, [], { wire: wire() });
      return true;
    },
    psk: async (by) => {
      await room.commit(by, [{ type: "psk", id: PSK }], { wire: wire() });
      return true;
    },
    extensions: async (by) => {
      if (!by.client.library.can.has("commit extensions")) return false;
      const extensionData = utf8(`subject ${roll(1000)}`);
      const extensions = [{ extensionType: EXTENSION, extensionData }];
      await room.commit(by, [{ type: "extensions", extensions }], { wire: wire() });
      return true;
    },
    "join externally": async (host) => {
      const [client] = some(absent(), 1);
      if (!client) return false;
      return room.enter(client, host, { tree: where() });
    },
    "come back": async (host) => {
      const resync = pick(room.members.filter((member) => member !== host));
      return room.enter(resync.client, host, { tree: where(), resync });
    },
    ask: async (by) => {
      const [client] = some(absent(), 1);
      if (!client) return false;
      await room.ask(client, by, wire());
      return true;
    },
    race: async (by) => {
      const loser = pick(room.members.filter((member) => member !== by));
      await room.race(by, loser, [wire(), wire()]);
      return true;
    },
  };
  const done: string[] = [];
  while (done.length < steps) {
    const [name, move] = pick(Object.entries(moves));
    const by = pick(room.members);
    const step = `${name} by ${by.client.name} (${by.client.library.name})`;
    try {
      if (!(await move(by))) continue;
      await room.chatter(pick(room.members), roll);
    } catch (cause) {
      throw new Error(`after ${done.join(", ")}: ${step}`, { cause });
    }
    done.push(step);
  }
}

describe.each([conclave, tsMls])("a group of two libraries that $name founds", (founder) => {
  it.each([1, 2, 3])(
    "lives through seed %i with eight people",
    { timeout: 60_000 },
    async (seed) => {
      const options = { suite: 1, founder, people: 8, steps: 25, seed };
      await expect(walk(options)).resolves.toBeUndefined();
    },
  );

  it.each(SHARED_SUITES)("lives in suite %i", { timeout: 120_000 }, async (suite) => {
    const options = { suite, founder, people: 4, steps: 8, seed: suite };
    await expect(walk(options)).resolves.toBeUndefined();
  });
});
