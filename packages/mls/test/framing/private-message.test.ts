/** §6.3, §9: encrypted messages. Mallory, at leaf 3, has a member's keys. */

import type { Bytes } from "@conclave/mls/codec";
import { describe, expect, it } from "vitest";
import { decodeMessageOf } from "../../src/framing/message.ts";
import { padme } from "../../src/framing/private-message.ts";
import { forgeCommit, forgePrivate, type Inside, inside } from "../forge.ts";
import {
  expectAccepted,
  expectRefused,
  persons,
  type Room,
  reload,
  room,
  text,
  utf8,
} from "../people.ts";

const application = { contentType: "application", applicationData: utf8("hello") } as const;

async function stage(): Promise<{ readonly where: Room; readonly mallory: Inside }> {
  const where = await room(await persons(["alice", "bob", "carol", "mallory"]));
  return { where, mallory: await inside(where.at(3).person) };
}

async function read(where: Room, leafIndex: number, message: Bytes): Promise<string> {
  const received = await where.at(leafIndex).group.receive(message);
  return received.type === "application" ? text(received.data) : received.type;
}

describe("§6.3 a PrivateMessage", () => {
  it("is read by all members, and by no one twice", async () => {
    const { where, mallory } = await stage();
    const message = await forgePrivate(mallory, application);
    for (const leafIndex of [0, 1, 2]) {
      expect(await read(where, leafIndex, message)).toBe("hello");
      const again = where.at(leafIndex).group.receive(message);
      await expect(again).rejects.toMatchObject({ code: "generation-used" });
    }
    await expect(where.observer.process(message)).rejects.toMatchObject({
      code: "wrong-wire-format",
    });
  });

  it("of our own is told apart, since its key is gone", async () => {
    const { where } = await stage();
    const { group } = where.at(0);
    const message = await group.send(utf8("mine"));
    await expect(group.receive(message)).rejects.toMatchObject({ code: "own-message" });
  });

  it("that a member signs as another leaves the key that was misused to its owner", async () => {
    const { where, mallory } = await stage();
    const bad = await forgePrivate(mallory, application, { as: 2 });
    for (const leafIndex of [0, 1]) {
      const { group } = where.at(leafIndex);
      await expect(group.receive(bad)).rejects.toMatchObject({ code: "signature" });
    }
    // The key that was misused still serves its owner.
    const good = await where.at(2).group.send(utf8("from carol"));
    expect(await read(where, 0, good)).toBe("from carol");
  });

  it("of an epoch that has passed is refused (§6.1)", async () => {
    const { where, mallory } = await stage();
    const late = await forgePrivate(mallory, application);
    const { commit } = await where.at(0).group.commit();
    await expectAccepted(where, -1, commit);
    await expectRefused(where, 3, late, "wrong-epoch", { membersOnly: true });
  });

  it("carries a commit, too", async () => {
    const { where, mallory } = await stage();
    const commit = await forgeCommit(mallory, { wireFormat: "mls_private_message" });
    for (const leafIndex of [0, 1, 2]) expect(await read(where, leafIndex, commit)).toBe("commit");
    expect(where.at(0).group.epochAuthenticator).toEqual(where.at(1).group.epochAuthenticator);
    expect(await read(where, 1, await where.at(0).group.send(utf8("on")))).toBe("on");
  });

  it("carries a proposal, too, which a commit may name", async () => {
    const { where, mallory } = await stage();
    const proposal = { proposalType: "remove", removed: 1 } as const;
    const message = await forgePrivate(mallory, { contentType: "proposal", proposal });
    for (const leafIndex of [0, 1, 2])
      expect(await read(where, leafIndex, message)).toBe("proposal");
    const { commit } = await where.at(0).group.commit();
    await where.at(2).group.receive(commit);
    const gone = await where.at(1).group.receive(commit);
    expect(gone.type === "commit" && gone.removed).toBe(true);
  });
});

describe("§6.3.1 padding", () => {
  it("hides the length among those of one Padmé class", async () => {
    const { where } = await stage();
    const { group } = where.at(0);
    const lengths = new Set<number>();
    for (let length = 1000; length < 1016; length++) {
      lengths.add((await group.send(new Uint8Array(length))).length);
    }
    expect(lengths.size).toBeLessThanOrEqual(2);
  });
  it("is as the application wants it, within bounds, for handshakes too (§15.1)", async () => {
    let padding = (length: number): number => Math.ceil(length / 512) * 512;
    const context = {
      padding: (length: number) => padding(length),
      handshakes: { send: "private" } as const,
    };
    const where = await room(await persons(["alice", "bob"], { context }));
    const { group } = where.at(0);
    const ciphertextOf = (message: Bytes) =>
      decodeMessageOf(message, "mls_private_message").privateMessage.ciphertext.length;
    for (const length of [0, 100, 300]) {
      const message = await group.send(new Uint8Array(length));
      expect(ciphertextOf(message)).toBe(512 + 16);
      await where.at(1).group.receive(message);
    }
    const { commit } = await group.commit();
    expect((ciphertextOf(commit) - 16) % 512).toBe(0);
    await group.discardPendingCommit();
    for (const wrong of [
      (length: number) => length - 1,
      (length: number) => length + 0.5,
      (length: number) => 2 * length + 2 ** 16 + 1,
      () => Number.NaN,
    ]) {
      padding = wrong;
      await expect(group.send(utf8("x"))).rejects.toThrow(TypeError);
    }
    // No key was lost by that.
    padding = padme;
    const received = await where.at(1).group.receive(await group.send(utf8("x")));
    expect(received.type === "application" && received.generation).toBe(3);
  });
  it("grows a message by 12 percent at most", () => {
    for (let length = 1; length < 5000; length++) {
      expect(padme(length)).toBeGreaterThanOrEqual(length);
      expect(padme(length)).toBeLessThanOrEqual(Math.max(length + 1, length * 1.12));
      expect(padme(padme(length))).toBe(padme(length));
    }
  });
});

describe("§15.2 how much is encrypted in an epoch", () => {
  it("is bounded: then the epoch has to end, which commits can still do", async () => {
    const context = { messageLimit: 3, handshakes: { send: "private" } as const };
    const where = await room(await persons(["alice", "bob"], { context }));
    const { group, person: alice } = where.at(0);
    for (const words of ["one", "two", "three"]) {
      expect(await read(where, 1, await group.send(utf8(words)))).toBe(words);
    }
    for (const one of [group, await reload(alice, group)]) {
      await expect(one.send(utf8("four"))).rejects.toMatchObject({
        code: "exhausted",
        section: "15.2",
      });
    }
    // The bound is each sender's own.
    const other = await where.at(1).group.send(utf8("from bob"));
    expect(await read(where, 0, other)).toBe("from bob");
    const { commit } = await group.commit();
    for (const one of where.groups) await one.receive(commit);
    expect(await read(where, 1, await group.send(utf8("four")))).toBe("four");
  });
});
