import { type Bytes, RequiredCapabilities } from "@conclave/mls";
import { encode } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { conclave } from "../conclave.ts";
import {
  type Ability,
  type Client,
  hex,
  type Library,
  type Member,
  type Setting,
  utf8,
  type Wire,
} from "../member.ts";
import { Room } from "../room.ts";
import { POST_QUANTUM_SUITES } from "../suites.ts";
import { tsMls } from "../ts-mls.ts";

const NAMES = ["alice", "bob", "carol", "dave"] as const;
type Name = (typeof NAMES)[number];

const PSK = utf8("a key from elsewhere");
const EXTENSION = 0xf0c1;

function setting(suite: number): Setting {
  const psks = new Map([[hex(PSK), utf8("what all of them know already")]]);
  return { suite, extensions: [EXTENSION], psks };
}

/** The people of a script and how they send handshakes. */
interface Cast {
  readonly suite: number;
  readonly alice: Client;
  readonly bob: Client;
  readonly carol: Client;
  readonly dave: Client;
  readonly wire: Wire;
  readonly tree: "inside" | "beside";
}

/** What happens, whoever runs on what; `needs`: what the libraries of some must be able to do. */
interface Script {
  readonly name: string;
  readonly people: 2 | 3 | 4;
  readonly needs?: Partial<Readonly<Record<Name, readonly Ability[]>>>;
  readonly play: (cast: Cast) => Promise<void>;
}

async function founded(cast: Cast, names: readonly Name[]): Promise<Room> {
  const room = await Room.found(cast.alice);
  const { wire, tree } = cast;
  const joining = names.map((name) => cast[name]);
  await room.add(room.of("alice"), joining, { wire, tree });
  return room;
}

/** An empty commit: new keys on the path of whoever makes it (§12.4). */
function refresh(room: Room, by: Member, cast: Cast): Promise<void> {
  return room.commit(by, [], { wire: cast.wire });
}

const SCRIPTS: readonly Script[] = [
  {
    name: "grow by Welcomes, and everybody commits and speaks",
    people: 3,
    play: async (cast) => {
      const { alice, bob, carol, wire, tree } = cast;
      const room = await Room.found(alice);
      await room.add(room.of("alice"), [bob], { wire, tree: "beside" });
      await room.chat();
      await room.add(room.of("bob"), [carol], { wire, tree });
      await room.chat();
      for (const name of ["carol", "alice", "bob", "carol"]) {
        await refresh(room, room.of(name), cast);
        await room.chat();
      }
    },
  },
  {
    name: "come into a tree that has parents and unmerged leaves",
    people: 4,
    play: async (cast) => {
      const { carol, dave, wire, tree } = cast;
      const room = await founded(cast, ["bob"]);
      await refresh(room, room.of("bob"), cast);
      await room.add(room.of("alice"), [carol], { wire, tree });
      await room.add(room.of("bob"), [dave], { wire, tree });
      await room.chat();
      for (const name of ["dave", "carol", "alice"]) await refresh(room, room.of(name), cast);
      await room.chat();
    },
  },
  {
    name: "commit an Add and a PSK by reference",
    people: 3,
    play: async (cast) => {
      const { carol, wire, tree } = cast;
      const room = await founded(cast, ["bob"]);
      const keyPackage = await carol.keyPackage();
      await room.propose(room.of("bob"), { type: "add", keyPackage }, wire);
      await room.propose(room.of("bob"), { type: "psk", id: PSK }, wire);
      const options = { wire, joining: [carol], tree };
      await room.commit(room.of("alice"), [], options);
      await room.chat();
      await refresh(room, room.of("carol"), cast);
      await room.chat();
    },
  },
  {
    name: "commit an external PSK by value",
    people: 2,
    play: async (cast) => {
      const { wire } = cast;
      const room = await founded(cast, ["bob"]);
      await room.commit(room.of("alice"), [{ type: "psk", id: PSK }], { wire });
      await room.commit(room.of("bob"), [{ type: "psk", id: PSK }], { wire });
      await room.chat();
    },
  },
  {
    name: "commit the resumption PSK of an epoch before",
    people: 2,
    needs: { alice: ["commit a resumption PSK"] },
    play: async (cast) => {
      const { wire } = cast;
      const room = await founded(cast, ["bob"]);
      await refresh(room, room.of("bob"), cast);
      const past = { type: "resumption", epoch: 1n } as const;
      const present = { type: "resumption", epoch: 2n } as const;
      await room.commit(room.of("alice"), [past, present], { wire });
      await room.propose(room.of("bob"), { type: "resumption", epoch: 2n }, wire);
      await room.commit(room.of("alice"), [], { wire });
      await room.chat();
    },
  },
  {
    name: "commit an Update",
    people: 3,
    needs: { alice: ["commit an Update"] },
    play: async (cast) => {
      const { wire } = cast;
      const room = await founded(cast, ["bob", "carol"]);
      await room.propose(room.of("bob"), { type: "update" }, wire);
      await room.commit(room.of("alice"), [], { wire });
      await room.chat();
      await room.propose(room.of("carol"), { type: "update" }, wire);
      await room.propose(room.of("bob"), { type: "update" }, wire);
      await room.commit(room.of("alice"), [], { wire });
      for (const name of ["bob", "carol"]) await refresh(room, room.of(name), cast);
      await room.chat();
    },
  },
  {
    name: "remove one, by value and by reference, and let them come again",
    people: 4,
    needs: { alice: ["commit one Remove"] },
    play: async (cast) => {
      const { bob, dave, wire, tree } = cast;
      const room = await founded(cast, ["bob", "carol", "dave"]);
      await refresh(room, room.of("dave"), cast);
      const wireOfAlice = { wire, tree };
      await room.commit(
        room.of("alice"),
        [{ type: "remove", leaf: room.of("bob").leaf() }],
        wireOfAlice,
      );
      await room.chat();
      const { leaf } = room.of("dave");
      await room.propose(room.of("carol"), { type: "remove", leaf: leaf() }, wire);
      await room.commit(room.of("alice"), [], wireOfAlice);
      await room.chat();
      await room.add(room.of("carol"), [bob, dave], { wire, tree });
      for (const name of ["bob", "dave"]) await refresh(room, room.of(name), cast);
      await room.chat();
    },
  },
  {
    name: "remove two at once",
    people: 4,
    play: async (cast) => {
      const { bob, dave, wire, tree } = cast;
      const room = await founded(cast, ["bob", "carol", "dave"]);
      await refresh(room, room.of("carol"), cast);
      const removes = ["bob", "dave"].map((name) => ({
        type: "remove" as const,
        leaf: room.of(name).leaf(),
      }));
      await room.commit(room.of("carol"), removes, { wire });
      await room.chat();
      await room.add(room.of("alice"), [dave, bob], { wire, tree });
      await refresh(room, room.of("bob"), cast);
      await room.chat();
      for (const name of ["alice", "carol"]) {
        const { leaf } = room.of(name);
        await room.propose(room.of("dave"), { type: "remove", leaf: leaf() }, wire);
      }
      await room.commit(room.of("bob"), [], { wire });
      await room.chat();
    },
  },
  {
    name: "add and remove in one commit",
    people: 4,
    needs: { alice: ["commit an Add beside Removes"] },
    play: async (cast) => {
      const { dave, wire, tree } = cast;
      const room = await founded(cast, ["bob", "carol"]);
      const changes = [
        { type: "remove", leaf: room.of("bob").leaf() },
        { type: "add", keyPackage: await dave.keyPackage() },
      ] as const;
      const options = { wire, joining: [dave], tree };
      await room.commit(room.of("alice"), changes, options);
      for (const name of ["dave", "carol"]) await refresh(room, room.of(name), cast);
      await room.chat();
    },
  },
  {
    name: "join externally, with the tree inside the GroupInfo and beside it, and come back in one's own place",
    people: 4,
    play: async (cast) => {
      const { carol, dave } = cast;
      const room = await founded(cast, ["bob"]);
      await room.enter(carol, room.of("bob"), { tree: "inside" });
      await room.chat();
      await room.enter(dave, room.of("carol"), { tree: "beside" });
      await room.chat();
      for (const name of ["dave", "alice", "carol"]) await refresh(room, room.of(name), cast);
      await room.enter(carol, room.of("alice"), { tree: "inside", resync: room.of("carol") });
      await room.chat();
      for (const name of ["bob", "carol"]) await refresh(room, room.of(name), cast);
      await room.chat();
    },
  },
  {
    name: "change the extensions of the group, by value and by reference",
    people: 3,
    needs: { alice: ["commit extensions"] },
    play: async (cast) => {
      const { carol, wire, tree } = cast;
      const room = await founded(cast, ["bob"]);
      const required = encode(RequiredCapabilities, {
        extensionTypes: [EXTENSION],
        proposalTypes: [],
        credentialTypes: [1],
      });
      const extensions = [
        { extensionType: 3, extensionData: required },
        { extensionType: EXTENSION, extensionData: utf8("the subject of this room") },
      ];
      await room.commit(room.of("alice"), [{ type: "extensions", extensions }], {
        wire,
      });
      await room.add(room.of("bob"), [carol], { wire, tree });
      await room.chat();
      const fewer = { type: "extensions", extensions: extensions.slice(1) } as const;
      await room.propose(room.of("carol"), fewer, wire);
      await room.commit(room.of("alice"), [], { wire });
      for (const name of ["bob", "carol"]) await refresh(room, room.of(name), cast);
      await room.chat();
    },
  },
  {
    name: "found a group with extensions",
    people: 2,
    play: async (cast) => {
      const { alice, bob, wire, tree } = cast;
      const extensions = [{ extensionType: EXTENSION, extensionData: utf8("a subject") }];
      const room = await Room.found(alice, { extensions });
      await room.add(room.of("alice"), [bob], { wire, tree });
      await refresh(room, room.of("bob"), cast);
      await room.chat();
    },
  },
  {
    name: "commit at the same time, and one of them loses",
    people: 3,
    play: async (cast) => {
      const { wire } = cast;
      const room = await founded(cast, ["bob", "carol"]);
      const names = ["alice", "bob", "carol", "alice"] as const;
      for (const [i, name] of names.slice(1).entries()) {
        const [winner, loser] = [room.of(name), room.of(names[i] ?? "alice")];
        await room.race(winner, loser, [wire, wire]);
        await room.chat();
      }
    },
  },
  {
    name: "ask to be added",
    people: 3,
    play: async (cast) => {
      const { carol, wire } = cast;
      const room = await founded(cast, ["bob"]);
      await room.ask(carol, room.of("bob"), wire);
      for (const name of ["carol", "alice"]) await refresh(room, room.of(name), cast);
      await room.chat();
    },
  },
  {
    name: "branch off a group for some of them",
    people: 4,
    play: async (cast) => {
      const room = await founded(cast, ["bob", "carol", "dave"]);
      const { suite, wire } = cast;
      const link = { how: "branch", groupId: "a smaller room", suite } as const;
      const branch = await room.link(room.of("bob"), [room.of("alice"), room.of("dave")], link);
      for (const name of ["alice", "dave", "bob"]) await refresh(branch, branch.of(name), cast);
      await branch.chat();
      await room.commit(room.of("carol"), [], { wire });
      await room.chat();
    },
  },
  {
    name: "go on in a group of another suite",
    people: 3,
    play: async (cast) => {
      const { wire } = cast;
      const room = await founded(cast, ["bob", "carol"]);
      // Of the same signature scheme, so that everybody keeps the own key.
      const suite = cast.suite === 1 ? 3 : 1;
      const groupId = "the next room";
      const reinit = { type: "reinit", groupId: utf8(groupId), suite } as const;
      await room.commit(room.of("alice"), [reinit], { wire });
      const others = [room.of("carol"), room.of("alice")];
      const next = await room.link(room.of("bob"), others, { how: "reinit", groupId, suite });
      for (const name of ["carol", "bob", "alice"]) await refresh(next, next.of(name), cast);
      await next.chat();
    },
  },
  {
    name: "hear what comes out of order within an epoch",
    people: 2,
    play: async (cast) => {
      const room = await founded(cast, ["bob"]);
      const both = [room.of("alice"), room.of("bob")] as const;
      for (const [from, to] of [both, [both[1], both[0]] as const]) {
        const sent: { readonly data: Bytes; readonly message: Bytes }[] = [];
        for (let i = 0; i < 8; i++) {
          const data = utf8("x".repeat(40 * i));
          sent.push({ data, message: await from.send(data, utf8(`${i}`)) });
        }
        for (const i of [7, 2, 0, 1, 5, 3, 6, 4]) {
          const one = sent[i];
          if (one) await room.expectHeard(to, one.message, one.data);
        }
        for (const { message } of sent) await room.expectRefused(to, message);
      }
      await refresh(room, room.of("bob"), cast);
      await room.chat();
    },
  },
];

/** Every way to give two libraries to so many people, but for those where all have the same; of four, each has two. */
function assignments(people: number): (readonly Library[])[] {
  const all = Array.from({ length: 2 ** people - 2 }, (_, i) =>
    Array.from({ length: people }, (_unused, bit) => (((i + 1) >> bit) & 1 ? tsMls : conclave)),
  );
  return all.filter(
    (libraries) => people < 4 || libraries.filter((library) => library === tsMls).length === 2,
  );
}

function ableTo({ needs = {} }: Script, libraries: readonly Library[]): boolean {
  return NAMES.every((name, i) =>
    (needs[name] ?? []).every((ability) => libraries[i]?.can.has(ability) ?? true),
  );
}

async function play(
  script: Script,
  suite: number,
  libraries: readonly Library[],
  options: Pick<Cast, "wire" | "tree">,
): Promise<void> {
  const clients = await Promise.all(
    NAMES.map((name, i) => (libraries[i] ?? conclave).client(name, setting(suite))),
  );
  const [alice, bob, carol, dave] = clients;
  if (!alice || !bob || !carol || !dave) throw new Error("nobody");
  await script.play({
    suite,
    alice,
    bob,
    carol,
    dave,
    ...options,
  });
}

describe.each(SCRIPTS)("two libraries in one group $name", (script) => {
  const casts = assignments(script.people)
    .filter((libraries) => ableTo(script, libraries))
    .map((libraries, i) => {
      const wire: Wire = i % 2 === 0 ? "public" : "private";
      const tree = i % 4 < 2 ? ("inside" as const) : ("beside" as const);
      return { libraries, wire, tree, names: libraries.map(({ name }) => name).join(", ") };
    });

  it.each(casts)(
    "on $names with $wire handshakes, the tree $tree",
    { timeout: 60_000 },
    async (cast) => {
      await expect(play(script, 1, cast.libraries, cast)).resolves.toBeUndefined();
    },
  );
});

describe.each(POST_QUANTUM_SUITES)("in the post-quantum suite %i", (suite) => {
  it.each([
    [conclave, tsMls],
    [tsMls, conclave],
  ])("both share Welcomes, PSKs and messages, whoever founds (%#)", async (...libraries) => {
    const script: Script = {
      name: "without a path",
      people: 3,
      play: async (cast) => {
        const { carol, wire } = cast;
        const room = await founded(cast, ["bob"]);
        await room.add(room.of("bob"), [carol], { wire, tree: "beside" });
        await room.commit(room.of("carol"), [{ type: "psk", id: PSK }], { wire });
        await room.chat();
      },
    };
    const cast = { wire: "private", tree: "inside" } as const;
    await expect(play(script, suite, libraries, cast)).resolves.toBeUndefined();
  });
});
