/** Which pending proposals a commit takes along: no proposal keeps anybody from committing. */

import type { Bytes, Proposal } from "@conclave/mls";
import { describe, expect, it } from "vitest";
import { fittingProposals } from "../../src/group/proposal-selection.ts";
import { forgeKeyPackage, forgeProposal, inside } from "../forge.ts";
import { hex, type Person, person, persons, type Room, reload, room, utf8 } from "../people.ts";

async function three(): Promise<Room> {
  return room(await persons(["alice", "bob", "carol"]));
}

/** Alice and carol have taken what bob proposed, whose own client would not. */
async function propose(where: Room, proposal: Proposal): Promise<void> {
  const message = await forgeProposal(await inside(where.at(1).person), proposal);
  for (const leafIndex of [0, 2]) await where.at(leafIndex).group.receive(message);
}

async function adding(who: Person, options: Parameters<typeof forgeKeyPackage>[1] = {}) {
  return { proposalType: "add", keyPackage: await forgeKeyPackage(who, options) } as const;
}

function psk(nonce: number, pskId = "unknown"): Proposal {
  const pskNonce = new Uint8Array(32).fill(nonce);
  return { proposalType: "psk", psk: { pskType: "external", pskId: utf8(pskId), pskNonce } };
}

/** Removes of leaves 0 to 999, by one member. */
function thousandRemoves() {
  const sender = { senderType: "member", leafIndex: 1 } as const;
  return Array.from({ length: 1000 }, (_, removed) => ({
    proposal: { proposalType: "remove", removed } as const,
    sender,
    ref: Uint8Array.of(removed >> 8, removed & 0xff),
  }));
}

/** Proposals that are valid each by itself, and that no commit can hold. */
const POISON: Readonly<Record<string, (where: Room) => Promise<Proposal>>> = {
  "an Add with a member's encryption key": async (where) => {
    const { encryptionKey } = where.at(0).group.members()[1]?.leafNode ?? {};
    if (!encryptionKey) throw new Error("nobody");
    return adding(await person("mallory"), { leaf: () => ({ encryptionKey }) });
  },
  "an Add of a member": async (where) => adding(where.at(1).person),
  "an Add with a credential that not all support": async () =>
    adding(await person("mallory"), {
      leaf: ({ capabilities }) => ({
        credential: { credentialType: "other", number: 0xf001, data: utf8("x") },
        capabilities: { ...capabilities, credentials: [0xf001] },
      }),
    }),
  "an Add whose lifetime has passed": async () =>
    adding(await person("mallory"), {
      leaf: () => ({
        source: { leafNodeSource: "key_package", lifetime: { notBefore: 0n, notAfter: 9n } },
      }),
    }),
  "a PSK that nobody has": async () => psk(1),
  "a type that not all support": async () => ({
    proposalType: "other",
    number: 0xf001,
    data: utf8("x"),
  }),
  "extensions that not all support": async () => ({
    proposalType: "group_context_extensions",
    extensions: [{ extensionType: 0xf001, extensionData: utf8("x") }],
  }),
  "required capabilities that cannot be read": async () => ({
    proposalType: "group_context_extensions",
    extensions: [{ extensionType: 3, extensionData: Uint8Array.of(0xff) }],
  }),
};

describe("§12.4 a pending proposal that would spoil the list", () => {
  it.each(Object.entries(POISON))("is left out: %s", async (_, poison) => {
    const where = await three();
    await propose(where, await poison(where));
    const good = await where.at(1).group.propose({ proposalType: "remove", removed: 2 });
    for (const leafIndex of [0, 2]) await where.at(leafIndex).group.receive(good);
    const { commit } = await where.at(0).group.commit();
    for (const group of where.groups) await group.receive(commit);
    expect(
      where
        .at(0)
        .group.members()
        .map(({ leafIndex }) => leafIndex),
    ).toEqual([0, 1]);
    expect(hex(where.at(1).group.epochAuthenticator)).toBe(
      hex(where.at(0).group.epochAuthenticator),
    );
    await where.at(0).group.send(utf8("going on"));
  });

  it("is left out where the application refuses it", async () => {
    const policy = async ({ removed }: { readonly removed: readonly unknown[] }) => {
      if (removed.length > 0) throw new Error("nobody is removed here");
    };
    const where = await room(await persons(["alice", "bob", "carol"], { policy }));
    await propose(where, { proposalType: "remove", removed: 2 });
    const { commit } = await where.at(0).group.commit();
    for (const group of where.groups) await group.receive(commit);
    expect(where.at(0).group.members()).toHaveLength(3);
  });

  it("is not left out where it is given with the commit: that is refused", async () => {
    const where = await three();
    const proposal = await adding(where.at(2).person);
    await propose(where, { proposalType: "remove", removed: 1 });
    await expect(where.at(0).group.commit({ proposals: [proposal] })).rejects.toMatchObject({
      code: "leaf-key-reused",
    });
    expect(where.at(0).group.pendingCommit).toBeUndefined();
  });

  it("costs a number of checks that grows with those left out, not with all", async () => {
    const list = thousandRemoves();
    let checks = 0;
    const fitting = await fittingProposals(list, async (some) => {
      checks++;
      if (
        some.some(({ proposal }) => proposal.proposalType === "remove" && proposal.removed === 700)
      )
        throw new Error("no");
    });
    expect(fitting).toHaveLength(999);
    expect(fitting.map(({ ref }) => ref)).toEqual(
      list.filter(({ proposal }) => proposal.removed !== 700).map(({ ref }) => ref),
    );
    expect(checks).toBeLessThan(25);
  });

  it("costs one check where what is given does not fit: nothing would", async () => {
    const of = (leafIndex: number, ref: Bytes | undefined) => ({
      proposal: { proposalType: "remove", removed: leafIndex } as const,
      sender: { senderType: "member", leafIndex: 0 } as const,
      ref,
    });
    const list = [of(1, utf8("a")), of(2, utf8("b")), of(0, undefined)];
    let checks = 0;
    const fitting = fittingProposals(list, async (some) => {
      checks++;
      if (some.some(({ proposal }) => "removed" in proposal && proposal.removed === 0)) {
        throw new Error("not ourselves");
      }
    });
    await expect(fitting).rejects.toThrow("not ourselves");
    expect(checks).toBe(1);
  });

  it("ends after some checks, however many don't fit, with what was found to fit", async () => {
    const list = thousandRemoves();
    let checks = 0;
    const fitting = await fittingProposals(list, async (some) => {
      checks++;
      if (some.some(({ proposal }) => "removed" in proposal && proposal.removed % 2 === 1)) {
        throw new Error("no");
      }
    });
    expect(checks).toBeLessThan(70);
    expect(fitting.length).toBeGreaterThan(10);
    expect(fitting).toEqual(
      list.filter(({ proposal }) => proposal.removed % 2 === 0).slice(0, fitting.length),
    );
  });
});

describe("§12.2 several proposals for one leaf", () => {
  /** The proposal types in alice's commit, and bob's leaf after it. */
  async function committed(where: Room) {
    const { commit } = await where.at(0).group.commit();
    const [received] = await Promise.all(where.groups.map((group) => group.receive(commit)));
    if (received?.type !== "commit") throw new Error("no commit");
    const leaf = where.at(0).group.members()[1]?.leafNode;
    return { types: received.summary.proposals.map(({ proposal }) => proposal.proposalType), leaf };
  }
  async function updates(where: Room): Promise<readonly Bytes[]> {
    const keys: Bytes[] = [];
    for (let i = 0; i < 3; i++) {
      const message = await where.at(1).group.proposeUpdate();
      for (const leafIndex of [0, 2]) await where.at(leafIndex).group.receive(message);
      const newest = where.at(0).group.pendingProposals.at(-1)?.proposal;
      if (newest?.proposalType === "update") keys.push(newest.leafNode.encryptionKey);
    }
    return keys;
  }

  it("ends in the most recent Update", async () => {
    const where = await three();
    const keys = await updates(where);
    const { types, leaf } = await committed(where);
    expect(types).toEqual(["update"]);
    expect(leaf?.encryptionKey).toEqual(keys[2]);
    expect(hex(where.at(1).group.epochAuthenticator)).toBe(
      hex(where.at(0).group.epochAuthenticator),
    );
  });

  it("ends in a Remove, if there is one", async () => {
    const where = await three();
    const remove = await where.at(2).group.propose({ proposalType: "remove", removed: 1 });
    for (const leafIndex of [0, 1]) await where.at(leafIndex).group.receive(remove);
    await updates(where);
    expect((await committed(where)).types).toEqual(["remove"]);
  });
});

describe("the same proposal by the same member twice", () => {
  it("is one, and leaves no record to the next epoch", async () => {
    const where = await three();
    const { person: alice, group: a } = where.at(0);
    const first = await a.propose({ proposalType: "remove", removed: 2 });
    expect(hex(await a.propose({ proposalType: "remove", removed: 2 }))).toBe(hex(first));
    expect(a.pendingProposals).toHaveLength(1);
    const bob = where.at(1).group;
    await bob.receive(first);
    const { commit } = await bob.commit();
    for (const group of [a, bob]) await group.receive(commit);
    const again = await reload(alice, a);
    expect(again.pendingProposals).toEqual([]);
    await again.send(utf8("nothing waits"));
  });
});
